//! Whatever is changed is found, or changes nothing.

use std::io::Cursor;
use std::sync::LazyLock;

use audit_format::Line;
use proptest::prelude::*;

use super::fixture::*;
use crate::{verify_export, verify_table};

/// As lines, as a table, and the lines beside the table.
static EXPORT: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let mut export = Log::with(260).export();
    export.records[3].personal = audit_format::Personal::default();
    [export.bytes(), export.table(), export.proofs()]
});

/// What a reader learns from an export that can be proved: all but when and of what time it says it was made.
fn meaning(bytes: &[u8]) -> Vec<String> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| match Line::parse(line).unwrap() {
            Line::Export(header) => {
                format!("{} {} {}", header.organization_id, header.origin, header.filtered)
            }
            Line::Record(record) => format!("{record:?} {}", record.personal.to_json().unwrap()),
            other => format!("{other:?}"),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_changed_byte_is_found_or_changes_nothing(at in any::<prop::sample::Index>(), byte in any::<u8>(), head in any::<bool>()) {
        let [bytes, ..] = &*EXPORT;
        // Half of the time near an end of the file, where lines of other kinds are.
        let at = if head { at.index(bytes.len()) } else { bytes.len() - 1 - at.index(4_000) };
        let mut changed = bytes.clone();
        changed[at] = byte;
        if let Ok(report) = verify_export(Cursor::new(&changed), &trust()) && report.intact {
            prop_assert_eq!(meaning(&changed), meaning(bytes), "byte {} of {}", at, bytes.len());
            prop_assert_eq!((report.records, report.sealed, report.erased_values), (260, 260, 2));
        }
    }

    #[test]
    fn a_changed_byte_of_a_table_is_found_or_changes_nothing(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let [_, table, proofs] = &*EXPORT;
        let at = at.index(table.len());
        let mut changed = table.clone();
        changed[at] = byte;
        if let Ok(report) = verify_table(changed.as_slice(), Cursor::new(proofs), &trust()) && report.intact {
            let cells = |table: &[u8]| {
                let rows = audit_format::TableReader::new(table).unwrap();
                rows.map(|row| audit_format::Row::new(&row.unwrap()).unwrap()).collect::<Vec<_>>()
            };
            prop_assert_eq!(cells(&changed), cells(table));
            prop_assert_eq!((report.records, report.erased_values), (260, 2));
        }
    }

    #[test]
    fn removing_or_moving_a_line_is_found(from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let text = std::str::from_utf8(&EXPORT[0]).unwrap();
        let mut lines: Vec<_> = text.lines().collect();
        let count = lines.len();
        let (from, to) = (from.index(count), to.index(count));
        let line = lines.remove(from);
        let verify = |lines: &[&str]| {
            verify_export(Cursor::new(lines.join("\n")), &trust()).is_ok_and(|report| report.intact)
        };
        prop_assert!(!verify(&lines));
        lines.insert(to, line);
        // Tiles name themselves, so theirs is the one order that says nothing.
        let only_tiles = from.min(to) > 260 && from.max(to) < count - 1;
        prop_assert_eq!(verify(&lines), from == to || only_tiles);
    }
}
