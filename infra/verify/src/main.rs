//! `artisan-verify`: verifies an export of the audit log, offline.

mod cli;

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use artisan_verify::{Report, Trust, read_keys, verify_export, verify_proof, verify_table};
use clap::Parser as _;

use crate::cli::{Cli, Subject};

/// Something is wrong with the records.
const NOT_INTACT: u8 = 1;
/// Nothing was verified; also what a command line that cannot be understood ends with.
const NOT_VERIFIED: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match verify(&cli).and_then(|report| tell(&report, cli.json).map(|()| report.intact)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NOT_INTACT),
        Err(error) => {
            // Who reads nothing of it still gets the exit code.
            let _ = writeln!(io::stderr(), "artisan-verify: {}", chain(error.as_ref()));
            ExitCode::from(NOT_VERIFIED)
        }
    }
}

fn verify(cli: &Cli) -> Result<Report, Box<dyn Error>> {
    let keys: Vec<_> = cli.key.iter().map(|key| read_keys(key)).collect::<Result<Vec<_>, _>>()?.concat();
    let open = |path: &PathBuf| File::open(path).map_err(|error| unreadable(path, error));
    let read = |path: &PathBuf| fs::read(path).map_err(|error| unreadable(path, error));
    let text = |path: &PathBuf| fs::read_to_string(path).map_err(|error| unreadable(path, error));
    let kept = cli.checkpoint.as_ref().map(text).transpose()?;
    let subject = cli.subject().ok_or("give an export, or --proof and --entry")?;
    let report = match subject {
        Subject::Record { proof, entry } => verify_proof(&text(proof)?, &read(entry)?, &keys)?,
        Subject::Export(export) => verify_export(open(export)?, &Trust { keys, kept })?,
        Subject::Table { table, proofs } => verify_table(open(table)?, open(proofs)?, &Trust { keys, kept })?,
    };
    Ok(if cli.whole { report.of_whole_log() } else { report })
}

fn unreadable(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}` cannot be read: {error}", path.display()))
}

fn tell(report: &Report, json: bool) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(out.flush()?)
}

/// An error and what caused it, on one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
