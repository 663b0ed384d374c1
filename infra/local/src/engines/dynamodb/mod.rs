//! DynamoDB: the engine that is embedded here, or another one that is running elsewhere on this machine.
//!
//! Both answer DynamoDB's JSON protocol, and what this module adds is the same for both: calls are counted, stream readers
//! are woken by writes. The second one is for tests, so that nothing depends on what one emulator lets pass.

mod embedded;
mod remote;
mod stream_table;
mod tokens;

use bytes::Bytes;
use dynoxide::actions::get_records::{GetRecordsRequest, Record as EmbeddedRecord};
use serde_json::Value;
use tokio::sync::watch;

use super::EngineError;
pub(super) use embedded::Embedded;
pub(super) use remote::Remote;
pub(crate) use stream_table::{KEPT, StreamTable};

/// The tables.
pub enum DynamoDb {
    /// In this process.
    Embedded(Box<Embedded>),
    /// In another one.
    Remote(Box<Remote>),
}

/// What an engine refused, as it says it.
#[derive(Debug, thiserror::Error)]
#[error("{kind}: {message}")]
pub(crate) struct Refused {
    /// The error's name, `ResourceNotFoundException`.
    pub(crate) kind: String,
    message: String,
}

impl DynamoDb {
    /// Answers one call: the status and the JSON body.
    pub(super) async fn dispatch(&self, operation: &str, body: Bytes) -> (u16, Bytes) {
        match self {
            Self::Embedded(engine) => {
                let (status, body) = engine.dispatch(operation, &body);
                (status, body.into())
            }
            Self::Remote(engine) => engine.dispatch(operation, body).await,
        }
    }

    /// Asks something about tables or streams as a whole; it is counted nowhere.
    pub(crate) async fn administer(&self, operation: &str, request: &Value) -> Result<Value, Refused> {
        let body = request.to_string();
        let (status, body) = match self {
            Self::Embedded(engine) => {
                let (status, body) = engine.administer(operation, body.as_bytes());
                (status, body.into())
            }
            Self::Remote(engine) => engine.send(operation, body.into()).await,
        };
        read(status, &body)
    }

    /// The next records of a stream, and where those after them begin.
    pub(crate) async fn records(
        &self,
        iterator: String,
        limit: usize,
    ) -> Result<(Vec<StreamRecord>, Option<String>), Refused> {
        match self {
            Self::Embedded(engine) => {
                let request = GetRecordsRequest { shard_iterator: iterator, limit: Some(limit) };
                let answer = engine.records(request).map_err(|error| Refused {
                    kind: error.short_error_code().to_owned(),
                    message: error.to_string(),
                })?;
                let records = answer.records.into_iter().map(|it| StreamRecord::Embedded(Box::new(it)));
                Ok((records.collect(), answer.next_shard_iterator))
            }
            Self::Remote(engine) => engine.records(&iterator, limit).await,
        }
    }

    /// Advances whenever something was written.
    #[must_use]
    pub fn written(&self) -> watch::Receiver<u64> {
        match self {
            Self::Embedded(engine) => engine.written(),
            Self::Remote(engine) => engine.written(),
        }
    }

    /// The stream records' table, when the engine has a file.
    pub(crate) fn stream_table(&self) -> Option<&StreamTable> {
        match self {
            Self::Embedded(engine) => engine.stream_table(),
            Self::Remote(_) => None,
        }
    }

    /// Whether the engine goes by the platform's clock, and so knows what has expired.
    pub(crate) fn keeps_time(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// Deletes what has outlived its time to live; returns how many items.
    ///
    /// # Errors
    /// [`EngineError`], always from an engine that goes by a clock of its own.
    pub fn sweep(&self) -> Result<usize, EngineError> {
        match self {
            Self::Embedded(engine) => engine.sweep(),
            Self::Remote(_) => Err(EngineError::Database("it goes by a clock of its own".into())),
        }
    }
}

/// A record of a stream.
pub(crate) enum StreamRecord {
    Embedded(Box<EmbeddedRecord>),
    Remote(Value),
}

impl StreamRecord {
    pub(crate) fn sequence_number(&self) -> &str {
        match self {
            Self::Embedded(record) => &record.dynamodb.sequence_number,
            Self::Remote(record) => text(record, "/dynamodb/SequenceNumber"),
        }
    }

    /// `INSERT`, `MODIFY` or `REMOVE`.
    pub(crate) fn event_name(&self) -> &str {
        match self {
            Self::Embedded(record) => &record.event_name,
            Self::Remote(record) => text(record, "/eventName"),
        }
    }

    /// The item's key.
    pub(crate) fn keys(&self) -> Value {
        match self {
            Self::Embedded(record) => serde_json::to_value(&record.dynamodb.keys).unwrap_or_default(),
            Self::Remote(record) => record.pointer("/dynamodb/Keys").cloned().unwrap_or_default(),
        }
    }

    /// The whole of it, as functions are sent it.
    pub(crate) fn into_value(self) -> Option<Value> {
        match self {
            Self::Embedded(record) => serde_json::to_value(&record).ok(),
            Self::Remote(record) => Some(record),
        }
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn read(status: u16, body: &[u8]) -> Result<Value, Refused> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    if status == 200 {
        return Ok(answer);
    }
    let kind = text(&answer, "/__type").rsplit('#').next().unwrap_or_default().to_owned();
    // DynamoDB writes one of the two, depending on the error.
    let message = [text(&answer, "/message"), text(&answer, "/Message")].concat();
    Err(Refused { kind, message })
}
