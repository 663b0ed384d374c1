//! Tables.

use std::io::Cursor;

use super::fixture::*;
use crate::{Problem, Report, VerifyError, verify_table};

fn verify(table: &[u8], export: &Export) -> Result<Report, VerifyError> {
    verify_table(table, Cursor::new(export.proofs()), &trust())
}

fn changed(from: &str, to: &str) -> Report {
    let export = Log::with(300).export();
    let table = String::from_utf8(export.table()).unwrap();
    let changed = table.replacen(from, to, 1);
    assert_ne!(changed, table);
    verify(changed.as_bytes(), &export).unwrap()
}

#[test]
fn a_table_is_as_good_as_lines() {
    let export = Log::with(300).export();
    let report = verify(&export.table(), &export).unwrap();
    assert!(report.intact, "{report}");
    assert_eq!(report, export.verify());
}

#[test]
fn cells_say_what_entries_say() {
    let report = changed(",lead.updated,", ",lead.deleted,");
    let finding = &report.findings[0];
    assert_eq!(
        (finding.problem, finding.id.as_deref(), finding.line),
        (Problem::CellChanged, Some("aud_00000000"), Some(2))
    );
    assert_eq!(report.found, 1);
    assert_eq!(changed(",ada@example.com,", ",eve@example.com,").findings[0].problem, Problem::CellChanged);
}

#[test]
fn entries_and_personal_values_are_held_against_the_log() {
    let moved = changed("\n17,", "\n18,");
    assert_eq!((moved.findings[0].problem, moved.found), (Problem::RecordReordered, 1));
    let mut export = Log::with(300).export();
    replace(&mut export.records[17], "lead.updated", "lead.deleted");
    let report = verify(&export.table(), &export).unwrap();
    assert_eq!(
        (report.findings[0].problem, report.findings[0].leaf_index),
        (Problem::RecordChanged, Some(17))
    );

    let mut export = Log::with(300).export();
    export.records.pop();
    let report = verify(&export.table(), &export).unwrap();
    assert_eq!(
        (report.findings[0].problem, report.findings[0].leaf_index),
        (Problem::RecordMissing, Some(299))
    );
}

#[test]
fn what_is_no_table() {
    let export = Log::with(3).export();
    assert!(matches!(verify(b"id,name\n", &export), Err(VerifyError::NotATable(_))));
    assert!(matches!(verify(&export.bytes(), &export), Err(VerifyError::NotATable(_))));
    let endless = [export.table().as_slice(), b"\"", &vec![b'a'; 9 << 20]].concat();
    assert!(matches!(verify(&endless, &export), Err(VerifyError::Read(_))));
    // Records belong in the table.
    let both = verify_table(export.table().as_slice(), Cursor::new(export.bytes()), &trust()).unwrap();
    assert_eq!(both.findings[0].problem, Problem::Unreadable);
}
