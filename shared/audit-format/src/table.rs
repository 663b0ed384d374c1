//! Records as a table (CSV, RFC 4180), which a spreadsheet opens without running what somebody wrote into a field.
//!
//! The last two columns hold entry and personal values exactly, in base64: text in them could be taken for formulas, and
//! could not be changed. All others only make them readable. A row whose readable cells say anything else is refused.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::entry::resolve;
use crate::line::{RecordKind, RecordLine};
use crate::personal::Personal;

/// The names of the columns, in order.
pub const COLUMNS: [&str; 21] = [
    "leaf_index",
    "id",
    "timestamp",
    "action",
    "actor_type",
    "actor_id",
    "actor_email",
    "resource_type",
    "resource_id",
    "workspace_id",
    "ip_address",
    "user_agent",
    "request_id",
    "success",
    "error_code",
    "changes",
    "pii_accessed",
    "sensitive",
    "compliance_relevant",
    "entry_base64",
    "personal_base64",
];

/// Where the readable columns, from `id` to `compliance_relevant`, find their values in a record.
const READABLE: [&str; 18] = [
    "/id",
    "/timestamp",
    "/action",
    "/actor/type",
    "/actor/id",
    "/actor/email",
    "/resource_type",
    "/resource_id",
    "/workspace_id",
    "/ip_address",
    "/user_agent",
    "/request_id",
    "/success",
    "/error_code",
    "/changes",
    "/pii_accessed",
    "/sensitive",
    "/compliance_relevant",
];

/// Why a row cannot be written, or is not believed.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// The file is no table, or could not be read or written.
    #[error("the table cannot be read or written")]
    Csv(#[source] csv::Error),
    /// The first row does not name the [`COLUMNS`].
    #[error("the first row does not have the columns of an audit export")]
    Columns,
    /// A cell that must have a number or JSON in it has something else.
    #[error("the cell `{0}` cannot be read")]
    Cell(&'static str),
    /// A readable cell does not say what the entry says.
    #[error("the cell `{0}` does not say what the entry says")]
    Differs(&'static str),
}

impl RowError {
    /// Whether the file could not be read, rather than understood.
    #[must_use]
    pub fn is_io_error(&self) -> bool {
        matches!(self, Self::Csv(error) if error.is_io_error())
    }
}

/// The cells of a record, in the order of [`COLUMNS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(Vec<String>);

impl Row {
    /// The row of a record.
    ///
    /// # Errors
    /// [`RowError::Cell`] if the entry is not JSON.
    pub fn new(record: &RecordLine) -> Result<Self, RowError> {
        let entry: Value =
            serde_json::from_str(record.entry.get()).map_err(|_| RowError::Cell("entry_base64"))?;
        let seen = resolve(&entry, &record.personal);
        let personal = if record.personal.is_empty() {
            String::new()
        } else {
            BASE64.encode(record.personal.to_json().map_err(|_| RowError::Cell("personal_base64"))?)
        };
        let mut cells = vec![record.leaf_index.map(|index| index.to_string()).unwrap_or_default()];
        cells.extend(READABLE.iter().map(|pointer| safe(&readable(seen.pointer(pointer)))));
        cells.extend([BASE64.encode(record.entry.get()), personal]);
        Ok(Self(cells))
    }

    /// The record of a row, if the readable cells say what its entry and personal values do.
    ///
    /// # Errors
    /// [`RowError::Cell`] or [`RowError::Differs`], naming the cell.
    pub fn record(&self) -> Result<RecordLine, RowError> {
        let cell = |name: &'static str| {
            let column = COLUMNS.iter().position(|column| *column == name);
            column.and_then(|column| self.0.get(column)).map(String::as_str).ok_or(RowError::Cell(name))
        };
        let leaf_index = match cell("leaf_index")? {
            "" => None,
            index => Some(index.parse().map_err(|_| RowError::Cell("leaf_index"))?),
        };
        let exact = |name| {
            let bytes = BASE64.decode(cell(name)?).ok();
            bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(RowError::Cell(name))
        };
        let entry = "entry_base64";
        let entry = RawValue::from_string(exact(entry)?).map_err(|_| RowError::Cell(entry))?;
        let personal = match exact("personal_base64")?.as_str() {
            "" => Personal::default(),
            json => Personal::from_json(json).map_err(|_| RowError::Cell("personal_base64"))?,
        };
        let record = RecordLine { kind: RecordKind::Record, leaf_index, entry, personal };
        let expected = Self::new(&record)?;
        match COLUMNS.iter().zip(self.0.iter().zip(&expected.0)).find(|(_, (is, should))| is != should) {
            Some((column, _)) => Err(RowError::Differs(column)),
            None => Ok(record),
        }
    }
}

fn readable(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => sorted(other).to_string(),
    }
}

/// The same with the fields of objects by their names: in the order of the file it would depend on how `serde_json` is
/// built, and who verifies builds it otherwise than who exports.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(elements) => elements.iter().map(sorted).collect(),
        Value::Object(fields) => {
            let by_name: BTreeMap<_, _> =
                fields.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            Value::Object(by_name.into_iter().collect())
        }
        other => other.clone(),
    }
}

/// Keeps spreadsheets from taking text for a formula.
///
/// OWASP, "CSV Injection": what begins like a formula gets an apostrophe in front. Also inside of a cell, where one begins
/// for a program that separates them by something else than commas.
fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 1);
    if text.starts_with(['\t', '\r', '\n']) {
        safe.push('\'');
    }
    let mut begins = true;
    for char in text.chars() {
        if begins && matches!(char, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠') {
            safe.push('\'');
        }
        begins = match char {
            ',' | ';' | '|' | '\t' | '\r' | '\n' => true,
            ' ' | '"' => begins,
            _ => false,
        };
        safe.push(char);
    }
    safe
}

/// Writes records as a table. The names of the columns come first.
pub struct TableWriter<W: Write>(csv::Writer<W>);

impl<W: Write> TableWriter<W> {
    /// A table that is written to `to`, through a buffer.
    ///
    /// # Errors
    /// [`RowError::Csv`] if `to` does not take it.
    pub fn new(to: W) -> Result<Self, RowError> {
        let mut writer = csv::Writer::from_writer(to);
        writer.write_record(COLUMNS).map_err(RowError::Csv)?;
        Ok(Self(writer))
    }

    /// Writes a record.
    ///
    /// # Errors
    /// [`RowError`] if there is no row for it, or it is not taken.
    pub fn write(&mut self, record: &RecordLine) -> Result<(), RowError> {
        self.0.write_record(Row::new(record)?.0).map_err(RowError::Csv)
    }

    /// Writes what is still in the buffer.
    ///
    /// # Errors
    /// [`RowError::Csv`] if it is not taken.
    pub fn flush(&mut self) -> Result<(), RowError> {
        self.0.flush().map_err(|error| RowError::Csv(error.into()))
    }
}

/// Reads what [`TableWriter`] wrote, row by row. After an error of one row the next can be read.
pub struct TableReader<R: Read> {
    reader: csv::Reader<R>,
    row: csv::StringRecord,
}

impl<R: Read> TableReader<R> {
    /// A table that is read from `from`, through a buffer.
    ///
    /// # Errors
    /// [`RowError::Columns`] if it does not begin with the names of the columns.
    pub fn new(from: R) -> Result<Self, RowError> {
        let mut reader = csv::Reader::from_reader(from);
        if reader.headers().map_err(RowError::Csv)? == COLUMNS.as_slice() {
            Ok(Self { reader, row: csv::StringRecord::new() })
        } else {
            Err(RowError::Columns)
        }
    }

    /// What the last row says its record's id is, which need not be true.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.row.get(1).filter(|id| !id.is_empty())
    }

    /// The line of the file that the last row began on, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.row.position().map_or(1, csv::Position::line)
    }
}

impl<R: Read> Iterator for TableReader<R> {
    type Item = Result<RecordLine, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.reader.read_record(&mut self.row) {
            Ok(false) => None,
            Ok(true) => Some(Row(self.row.iter().map(str::to_owned).collect()).record()),
            Err(error) => Some(Err(RowError::Csv(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use serde_json::json;

    use super::*;
    use crate::{Salt, seal};

    fn record(fields: &Value, personal: &[&str]) -> RecordLine {
        let sealed = seal(fields, personal, || Ok::<_, Infallible>(Salt::from_bytes([7; 16]))).unwrap();
        let entry = RawValue::from_string(sealed.entry).unwrap();
        RecordLine { kind: RecordKind::Record, leaf_index: Some(17), entry, personal: sealed.personal }
    }

    fn hostile() -> RecordLine {
        let fields = json!({
            "id": "aud_1",
            "timestamp": "2026-11-22T15:04:05.123Z",
            "action": "user.updated",
            "actor": {"type": "user", "id": null, "email": "=cmd|' /C calc'!A0"},
            "user_agent": "@SUM(1), \"quoted\"\r\nsecond line",
            "ip_address": "\t203.0.113.7",
            "resource_id": "-1",
            "request_id": "'=1",
            "success": true,
            "changes": [{"field": "name", "before": null, "after": "+1"}],
        });
        record(&fields, &["/actor/email"])
    }

    fn written(records: &[RecordLine]) -> String {
        let mut table = Vec::new();
        let mut writer = TableWriter::new(&mut table).unwrap();
        for record in records {
            writer.write(record).unwrap();
        }
        writer.flush().unwrap();
        drop(writer);
        String::from_utf8(table).unwrap()
    }

    fn read(table: &str) -> Result<Vec<RecordLine>, RowError> {
        TableReader::new(table.as_bytes())?.collect()
    }

    #[test]
    fn cells_are_safe_to_open() {
        let Row(cells) = Row::new(&hostile()).unwrap();
        let cell = |name| cells[COLUMNS.iter().position(|column| *column == name).unwrap()].as_str();
        for (name, expected) in [
            ("leaf_index", "17"),
            ("actor_type", "user"),
            ("actor_id", ""),
            ("actor_email", "'=cmd|' /C calc'!A0"),
            ("user_agent", "'@SUM(1), \"quoted\"\r\nsecond line"),
            ("ip_address", "'\t203.0.113.7"),
            ("resource_id", "'-1"),
            ("request_id", "'=1"),
            ("success", "true"),
            ("error_code", ""),
            ("changes", r#"[{"after":"+1","before":null,"field":"name"}]"#),
        ] {
            assert_eq!(cell(name), expected, "{name}");
        }
    }

    #[test]
    fn formulas_are_found_wherever_a_cell_may_begin() {
        for (text, expected) in [
            ("a=b, c-d", "a=b, c-d"),
            ("a;=b", "a;'=b"),
            ("a; \"=b\"", "a; \"'=b\""),
            ("a\n-b\t+c", "a\n'-b\t'+c"),
            ("＝b", "'＝b"),
            (" @b", " '@b"),
            ("\n=b", "'\n'=b"),
            ("2026-11-22", "2026-11-22"),
        ] {
            assert_eq!(safe(text), expected);
        }
    }

    #[test]
    fn rows_come_back() {
        let erased = RecordLine { leaf_index: None, personal: Personal::default(), ..hostile() };
        let records = [hostile(), erased];
        let table = written(&records);
        assert!(table.contains(",[erased],"));
        let again = read(&table).unwrap();
        assert_eq!(again.len(), 2);
        for (again, record) in again.iter().zip(&records) {
            assert_eq!(again.entry.get(), record.entry.get());
            assert_eq!((again.leaf_index, &again.personal), (record.leaf_index, &record.personal));
        }
    }

    #[test]
    fn a_cell_that_says_something_else_is_found() {
        let table = written(&[hostile()]);
        for (from, to, column) in [
            ("user.updated,", "user.deleted,", "action"),
            (",'-1,", ",-1,", "resource_id"),
            (",true,", ",false,", "success"),
            ("\n17,", "\n017,", "leaf_index"),
        ] {
            let changed = table.replacen(from, to, 1);
            assert_ne!(changed, table, "{from}");
            assert!(matches!(read(&changed), Err(RowError::Differs(found)) if found == column), "{from}");
        }
        assert!(matches!(read(&table.replacen("\n17,", "\nx,", 1)), Err(RowError::Cell("leaf_index"))));
        assert!(matches!(read(&table.replacen("leaf_index", "leaf", 1)), Err(RowError::Columns)));
        assert!(matches!(read(&table.replacen("\n17,", "\n17,more,", 1)), Err(RowError::Csv(_))));
    }

    #[test]
    fn an_empty_table_has_no_rows() {
        assert_eq!(read(&written(&[])).unwrap().len(), 0);
        assert!(matches!(read(""), Err(RowError::Columns)));
    }
}
