//! Verifying a whole file.

use std::io::{self, Read, Seek};

use audit_format::{Line, RowError, TableReader};

use crate::checker::Checker;
use crate::evidence::Evidence;
use crate::finding::{Finding, Problem};
use crate::lines::{Limited, Lines};
use crate::report::Report;
use crate::{Trust, VerifyError};

/// Verifies an export whose records are lines among the others (NDJSON).
///
/// # Errors
/// [`VerifyError`] if nothing could be verified. What is wrong with the export is in the report.
pub fn verify_export(mut export: impl Read + Seek, trust: &Trust) -> Result<Report, VerifyError> {
    verify(&mut export, trust, |export, checker| read_lines(export, checker, true))
}

/// Verifies an export whose records are a table (CSV), with the other lines in `proofs`.
///
/// # Errors
/// [`VerifyError`] if nothing could be verified. What is wrong with the export is in the report.
pub fn verify_table(
    table: impl Read,
    mut proofs: impl Read + Seek,
    trust: &Trust,
) -> Result<Report, VerifyError> {
    verify(&mut proofs, trust, |proofs, checker| {
        checker.in_proofs(true);
        read_lines(proofs, checker, false)?;
        checker.in_proofs(false);
        read_table(table, checker)
    })
}

fn verify<R: Read + Seek>(
    proofs: &mut R,
    trust: &Trust,
    read_records: impl FnOnce(&mut R, &mut Checker<'_>) -> Result<(), VerifyError>,
) -> Result<Report, VerifyError> {
    let (evidence, damage) = Evidence::read(&mut *proofs)?;
    let header = evidence.header.clone();
    if !damage.is_empty() {
        return Ok(Report::without_proof(&header, damage));
    }
    let proven = match evidence.judge(trust)? {
        Ok(proven) => proven,
        Err(finding) => return Ok(Report::without_proof(&header, vec![finding])),
    };
    let mut checker = Checker::new(&header, &proven);
    proofs.rewind().map_err(VerifyError::Read)?;
    read_records(proofs, &mut checker)?;
    let (counts, findings, found) = checker.finish();
    Ok(Report::of_export(&header, proven, counts, findings, found))
}

/// Gives the checker the lines about leaves. `records` says whether records are among them.
fn read_lines(export: impl Read, checker: &mut Checker<'_>, records: bool) -> Result<(), VerifyError> {
    let mut lines = Lines::new(export);
    while let Some(line) = lines.next().map_err(VerifyError::Read)? {
        let number = line.number;
        match line.bytes.map(Line::parse) {
            Some(Ok(Line::Record(record))) if records => checker.record(number, &record),
            Some(Ok(Line::Missing(missing))) => checker.missing(number, missing),
            Some(Ok(Line::Outside(outside))) => checker.outside(number, &outside),
            Some(Ok(Line::Expired(expired))) => checker.expired(number, expired),
            Some(Ok(Line::Export(_) | Line::Tile(_) | Line::Checkpoint(_))) => {}
            Some(Ok(Line::Record(_)) | Err(_)) | None => checker.unreadable(number),
        }
    }
    Ok(())
}

fn read_table(table: impl Read, checker: &mut Checker<'_>) -> Result<(), VerifyError> {
    let (table, budget) = Limited::new(table);
    let mut rows = TableReader::new(table).map_err(VerifyError::NotATable)?;
    loop {
        budget.renew();
        let Some(row) = rows.next() else { return Ok(()) };
        let line = rows.line();
        match row {
            Ok(record) => checker.record(line, &record),
            Err(RowError::Differs(cell)) => {
                let message =
                    format!("the cell `{cell}` does not say what the entry and its personal values say");
                let finding = Finding::new(Problem::CellChanged, message);
                checker.damaged(finding.of_record(rows.id().map(str::to_owned)).on_line(line));
            }
            Err(error) if error.is_io_error() => return Err(VerifyError::Read(io::Error::other(error))),
            Err(_) => checker.unreadable(line),
        }
    }
}
