//! What can be wrong with an export.

use std::fmt;

use audit_format::PersonalError;
use serde::Serialize;

/// Something that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// The record's number in the log, if it has one.
    pub leaf_index: Option<u64>,
    /// The record's id, if it is known.
    pub id: Option<String>,
    /// The line of the file, from 1, if it is about one.
    pub line: Option<u64>,
    /// Whether it is a line of the proofs that came with a table.
    pub in_proofs: bool,
    /// The same in words.
    pub message: String,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// A record is not what was sealed in its place.
    RecordChanged,
    /// A record that was sealed is not there.
    RecordMissing,
    /// A record stands in another place than it was sealed in, or the file is out of order.
    RecordReordered,
    /// A record that was not sealed, though it should have been by then.
    RecordInserted,
    /// A record is there twice.
    RecordDuplicated,
    /// A personal value is not the one that was sealed.
    PersonalValueChanged,
    /// A record is of another organization.
    WrongOrganization,
    /// A record lies outside the time that the export is of.
    OutsideRange,
    /// The file does not show where in the log its range begins, or ends.
    RangeNotProved,
    /// A cell of a table does not say what its record says.
    CellChanged,
    /// A line cannot be read, or is where it cannot be.
    Unreadable,
    /// The proofs do not lead to the signed root, or are not complete.
    ProofsChanged,
    /// The checkpoint is not signed with a key that is trusted, or there is none.
    NotSigned,
    /// The log, or the file, ends earlier than it did.
    CutOff,
    /// The log is not the one that was signed earlier.
    HistoryChanged,
    /// The file is less than the whole log, which is what was asked for.
    NotWhole,
    /// The file has more or fewer records than it says.
    CountDiffers,
}

impl Finding {
    pub(crate) fn new(problem: Problem, message: impl Into<String>) -> Self {
        Self { problem, leaf_index: None, id: None, line: None, in_proofs: false, message: message.into() }
    }

    pub(crate) fn on_line(self, line: u64) -> Self {
        Self { line: Some(line), ..self }
    }

    pub(crate) fn of_leaf(self, leaf_index: Option<u64>) -> Self {
        Self { leaf_index, ..self }
    }

    pub(crate) fn of_record(self, id: Option<String>) -> Self {
        Self { id, ..self }
    }

    /// A personal value that does not fit.
    pub(crate) fn personal(error: &PersonalError) -> Self {
        Self::new(
            Problem::PersonalValueChanged,
            match error {
                PersonalError::Changed(pointer) => {
                    format!("personal value changed: the one at {pointer} is not the one that was sealed")
                }
                PersonalError::Invented(pointer) => {
                    format!("personal value changed: the record was sealed without one at {pointer}")
                }
            },
        )
    }

    /// Which of several is named first: what cannot be read, as it may hide the others; then by place in the log; then
    /// what is about no place in it.
    pub(crate) fn rank(&self) -> (bool, u64) {
        (self.problem != Problem::Unreadable, self.leaf_index.unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut place = Vec::new();
        place.extend(self.leaf_index.map(|index| format!("number {index} in the log")));
        let file = if self.in_proofs { " of the proofs" } else { "" };
        place.extend(self.line.map(|line| format!("line {line}{file}")));
        let place = place.join(", ");
        match (&self.id, place.as_str()) {
            (None, "") => write!(f, "{}", capitalized(&self.message)),
            (None, place) => write!(f, "{}: {}", capitalized(place), self.message),
            (Some(id), "") => write!(f, "Record {id}: {}", self.message),
            (Some(id), place) => write!(f, "Record {id} ({place}): {}", self.message),
        }
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
