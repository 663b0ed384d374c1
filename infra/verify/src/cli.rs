//! The command line.

use std::path::PathBuf;

use clap::{ArgGroup, Parser};

const EXAMPLES: &str = "\
Examples:
  An export as NDJSON, with the key from the administration pages:
    artisan-verify export.ndjson --key 'example.com/audit/org_…+1a2b3c4d+AQ…'

  An export as CSV, which has its proofs in a second file:
    artisan-verify export.csv --proofs export.proofs.ndjson --key keys.txt

  Has anything been cut off since a checkpoint was noted?
    artisan-verify export.ndjson --key keys.txt --checkpoint last-year.txt

  One record, by the proof of it:
    artisan-verify --proof aud_….tlog-proof --entry aud_….json --key keys.txt

Get the key once, and keep it apart from exports: it is all that is trusted. Nothing is sent anywhere.

Exit codes: 0 intact, 1 not intact, 2 nothing was verified (wrong arguments, a file that cannot
be read, or one in which nothing is signed).";

/// Tells from an export of the audit log whether anybody changed, removed, reordered or inserted a record
///
/// If anything is wrong, the first record that is not as it was sealed is named.
#[derive(Debug, Parser)]
#[command(name = "artisan-verify", version, about, after_help = EXAMPLES)]
#[command(group(ArgGroup::new("subject").required(true).args(["export", "proof"])))]
pub(crate) struct Cli {
    /// The export: NDJSON; or CSV, together with --proofs
    export: Option<PathBuf>,
    /// A key of the log, or a file with one a line; may be given several times, and one valid signature is enough
    #[arg(long, value_name = "KEY_OR_FILE", required = true)]
    pub(crate) key: Vec<String>,
    /// The proofs that came with a CSV export
    #[arg(long, value_name = "FILE", conflicts_with = "proof")]
    proofs: Option<PathBuf>,
    /// The proof of a single record
    #[arg(long, value_name = "FILE", requires = "entry")]
    proof: Option<PathBuf>,
    /// The record that --proof is of, as it is in the log
    #[arg(long, value_name = "FILE", requires = "proof")]
    entry: Option<PathBuf>,
    /// A checkpoint of the same log that was kept from another time: finds out if the log was cut off or rewritten since
    #[arg(long, value_name = "FILE", conflicts_with = "proof")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Nothing less than the whole log will do: an export of a time range or of some records is not intact then
    #[arg(long, conflicts_with = "proof")]
    pub(crate) whole: bool,
    /// Say it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is to be verified.
pub(crate) enum Subject<'a> {
    Export(&'a PathBuf),
    Table { table: &'a PathBuf, proofs: &'a PathBuf },
    Record { proof: &'a PathBuf, entry: &'a PathBuf },
}

impl Cli {
    /// One of these is always there: clap sees to it.
    pub(crate) fn subject(&self) -> Option<Subject<'_>> {
        match (&self.export, &self.proofs, &self.proof, &self.entry) {
            (_, _, Some(proof), Some(entry)) => Some(Subject::Record { proof, entry }),
            (Some(table), Some(proofs), ..) => Some(Subject::Table { table, proofs }),
            (Some(export), None, ..) => Some(Subject::Export(export)),
            _ => None,
        }
    }
}
