//! The lines of an export: one JSON object each.
//!
//! First a [`Header`]; then [`RecordLine`]s, oldest first, with [`MissingLine`]s, [`ExpiredLine`]s and [`OutsideLine`]s among
//! them; then [`Tile`]s; last a [`CheckpointLine`]. Unknown fields are refused: what a reader passes over, nobody has verified.

use std::io::Write;
use std::time::Duration;

use clock::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;
use tlog::{Hash, TileId};

use crate::personal::Personal;

/// The number of the format that this crate reads and writes.
pub const FORMAT: u32 = 1;

/// How long a record is kept: seven years. After that it is missing for a good reason.
pub const KEPT_FOR: Duration = Duration::from_hours(24 * (7 * 365 + 2));

/// A log is never silent for longer: where nothing happens, a record of that is sealed once a day.
pub const LONGEST_SILENCE: Duration = Duration::from_hours(24);

/// Records are sealed within a minute. One that is older than this and is not sealed was not written the way records are.
pub const SEALED_WITHIN: Duration = Duration::from_mins(10);

/// Whatever fails, a record is sealed by then or never: the stream that brings it forgets it after a day.
pub const LATEST_SEAL: Duration = Duration::from_hours(25);

/// How far records may be out of their order in the log: a request may take a minute, and its sealing another. What is sealed
/// after a record that is so much younger than an instant, is not older than that instant.
pub const OUT_OF_ORDER_BY: Duration = Duration::from_mins(2);

/// Says of each line what it is; a type for each, so that no line can be written with another's.
macro_rules! kinds {
    ($($kind:ident $value:ident $text:literal)*) => {
        $(
            #[doc = concat!("The `type` of a line: `", $text, "`.")]
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
            pub enum $kind {
                #[doc = concat!("`", $text, "`.")]
                #[default]
                #[serde(rename = $text)]
                $value,
            }
        )*

        #[derive(Deserialize)]
        enum AnyKind {
            $(#[serde(rename = $text)] $value,)*
        }
    };
}

kinds! {
    ExportKind Export "export"
    RecordKind Record "record"
    MissingKind Missing "missing"
    ExpiredKind Expired "expired"
    OutsideKind Outside "outside"
    TileKind Tile "tile"
    CheckpointKind Checkpoint "checkpoint"
}

/// The first line: what was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// `export`.
    #[serde(rename = "type")]
    pub kind: ExportKind,
    /// [`FORMAT`].
    pub format: u32,
    /// Whose log it is.
    pub organization_id: String,
    /// The name of the log, as in its checkpoints.
    pub origin: String,
    /// When the export was made.
    pub created_at: Timestamp,
    /// Records before this time were left out.
    #[serde(deserialize_with = "present")]
    pub from: Option<Timestamp>,
    /// Records after this time were left out.
    #[serde(deserialize_with = "present")]
    pub to: Option<Timestamp>,
    /// Whether records were left out for other reasons than their time.
    pub filtered: bool,
}

/// A record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordLine {
    /// `record`.
    #[serde(rename = "type")]
    pub kind: RecordKind,
    /// Its number in the log; `None` if it is not sealed, or not yet.
    #[serde(deserialize_with = "present")]
    pub leaf_index: Option<u64>,
    /// Its exact bytes.
    pub entry: Box<RawValue>,
    /// What is left of its personal values.
    #[serde(default, skip_serializing_if = "Personal::is_empty")]
    pub personal: Personal,
}

/// A leaf whose record could not be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissingLine {
    /// `missing`.
    #[serde(rename = "type")]
    pub kind: MissingKind,
    /// Its number in the log.
    pub leaf_index: u64,
    /// The record's id, where that is known.
    #[serde(deserialize_with = "present")]
    pub id: Option<String>,
}

/// A leaf whose record was kept for as long as records are ([`KEPT_FOR`]), and is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpiredLine {
    /// `expired`.
    #[serde(rename = "type")]
    pub kind: ExpiredKind,
    /// Its number in the log.
    pub leaf_index: u64,
    /// The record's id.
    pub id: String,
}

/// A leaf whose record lies outside the time range of the export: between records of the range, or next to them, which shows
/// that the range begins and ends there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutsideLine {
    /// `outside`.
    #[serde(rename = "type")]
    pub kind: OutsideKind,
    /// Its number in the log.
    pub leaf_index: u64,
    /// The record's exact bytes, as they were sealed. They say its time.
    pub entry: Box<RawValue>,
}

/// A tile of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tile {
    /// `tile`.
    #[serde(rename = "type")]
    pub kind: TileKind,
    /// Its level; 0 has the hashes of entries.
    pub level: u8,
    /// Which one it is on its level.
    pub index: u64,
    /// As many hashes as it has at the size of the checkpoint.
    #[serde(serialize_with = "write_hashes", deserialize_with = "read_hashes")]
    pub hashes: Vec<Hash>,
}

impl Tile {
    /// A line with this tile.
    #[must_use]
    pub fn new(id: TileId, hashes: Vec<Hash>) -> Self {
        Self { kind: TileKind::Tile, level: id.level, index: id.index, hashes }
    }

    /// Which tile it is.
    #[must_use]
    pub fn id(&self) -> TileId {
        TileId { level: self.level, index: self.index }
    }
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointLine {
    /// `checkpoint`.
    #[serde(rename = "type")]
    pub kind: CheckpointKind,
    /// The signed checkpoint; `None` if nothing of the organization was sealed yet.
    #[serde(deserialize_with = "present")]
    pub note: Option<String>,
    /// How many records the export has.
    pub records: u64,
}

/// Any line of an export.
#[derive(Debug, Clone)]
pub enum Line {
    /// The first one.
    Export(Header),
    /// A record.
    Record(RecordLine),
    /// A leaf without its record.
    Missing(MissingLine),
    /// A leaf whose record expired.
    Expired(ExpiredLine),
    /// A leaf out of range.
    Outside(OutsideLine),
    /// A tile.
    Tile(Tile),
    /// The last one.
    Checkpoint(CheckpointLine),
}

/// A line cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is not a line of an export.
    #[error("not a line of an export")]
    Read(#[source] serde_json::Error),
    /// It cannot be written.
    #[error("the line cannot be written")]
    Write(#[source] std::io::Error),
}

impl Line {
    /// Reads a line, with or without the line feed at its end.
    ///
    /// # Errors
    /// [`LineError::Read`] if it is not one of the seven, or has fields that such a line has not.
    pub fn parse(line: &[u8]) -> Result<Self, LineError> {
        #[derive(Deserialize)]
        struct OfAnyKind {
            #[serde(rename = "type")]
            kind: AnyKind,
        }

        let read = || {
            let OfAnyKind { kind } = serde_json::from_slice(line)?;
            Ok(match kind {
                AnyKind::Export => Self::Export(serde_json::from_slice(line)?),
                AnyKind::Record => Self::Record(serde_json::from_slice(line)?),
                AnyKind::Missing => Self::Missing(serde_json::from_slice(line)?),
                AnyKind::Expired => Self::Expired(serde_json::from_slice(line)?),
                AnyKind::Outside => Self::Outside(serde_json::from_slice(line)?),
                AnyKind::Tile => Self::Tile(serde_json::from_slice(line)?),
                AnyKind::Checkpoint => Self::Checkpoint(serde_json::from_slice(line)?),
            })
        };
        read().map_err(LineError::Read)
    }

    /// Writes the line and a line feed.
    ///
    /// # Errors
    /// [`LineError::Write`] if `to` does not take it.
    pub fn write(&self, mut to: impl Write) -> Result<(), LineError> {
        let written = match self {
            Self::Export(line) => serde_json::to_writer(&mut to, line),
            Self::Record(line) => serde_json::to_writer(&mut to, line),
            Self::Missing(line) => serde_json::to_writer(&mut to, line),
            Self::Expired(line) => serde_json::to_writer(&mut to, line),
            Self::Outside(line) => serde_json::to_writer(&mut to, line),
            Self::Tile(line) => serde_json::to_writer(&mut to, line),
            Self::Checkpoint(line) => serde_json::to_writer(&mut to, line),
        };
        written.map_err(std::io::Error::from).and_then(|()| to.write_all(b"\n")).map_err(LineError::Write)
    }
}

/// A field that may be `null` but not absent.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

fn write_hashes<S: Serializer>(hashes: &[Hash], serializer: S) -> Result<S::Ok, S::Error> {
    use base64::Engine as _;
    serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(Hash::join(hashes)))
}

fn read_hashes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Hash>, D::Error> {
    use base64::Engine as _;
    let text = String::deserialize(deserializer)?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok();
    bytes
        .and_then(|bytes| Hash::split(&bytes))
        .ok_or_else(|| de::Error::custom("expected the base64 of hashes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 10] = [
        r#"{"type":"export","format":1,"organization_id":"org_1","origin":"example.com/audit/org_1","created_at":"2026-11-22T15:04:05.123Z","from":null,"to":"2026-11-22T00:00:00.000Z","filtered":false}"#,
        r#"{"type":"record","leaf_index":17,"entry":{"b":1.50,"a":"\u00e4"}}"#,
        r#"{"type":"record","leaf_index":null,"entry":{},"personal":{"/a":{"salt":"QUFBQUFBQUFBQUFBQUFBQQ==","value":1.50}}}"#,
        r#"{"type":"missing","leaf_index":17,"id":"aud_1"}"#,
        r#"{"type":"missing","leaf_index":17,"id":null}"#,
        r#"{"type":"expired","leaf_index":17,"id":"aud_1"}"#,
        r#"{"type":"outside","leaf_index":17,"entry":{"b":1.50,"a":"\u00e4"}}"#,
        r#"{"type":"tile","level":0,"index":3,"hashes":"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="}"#,
        r#"{"type":"checkpoint","note":"a\n\nb\n","records":3}"#,
        r#"{"type":"checkpoint","note":null,"records":0}"#,
    ];

    fn written(line: &Line) -> String {
        let mut written = Vec::new();
        line.write(&mut written).unwrap();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn every_line_is_written_as_it_was_read() {
        for line in LINES {
            assert_eq!(written(&Line::parse(line.as_bytes()).unwrap()), format!("{line}\n"));
        }
    }

    #[test]
    fn what_is_no_line() {
        for line in LINES {
            let refuse = |line: &str| assert!(Line::parse(line.as_bytes()).is_err(), "{line}");
            refuse(&line.replacen('{', r#"{"more":1,"#, 1));
            refuse(&line.replacen("type", "kind", 1));
            refuse(&line[1..]);
            refuse(&format!("{line} {line}"));
            refuse(&line.replacen("{\"type\":\"", "{\"type\":\"x", 1));
        }
        for line in [
            "",
            "null",
            r#"{"type":"record","entry":{}}"#,
            r#"{"type":"record","leaf_index":1.0,"entry":{}}"#,
            r#"{"type":"record","leaf_index":-1,"entry":{}}"#,
            r#"{"type":"record","leaf_index":1,"leaf_index":2,"entry":{}}"#,
            r#"{"type":"checkpoint","records":3}"#,
            r#"{"type":"tile","level":0,"index":3,"hashes":"QUFB"}"#,
            r#"{"type":"tile","level":0,"index":3,"records":1}"#,
        ] {
            assert!(Line::parse(line.as_bytes()).is_err(), "{line}");
        }
    }
}
