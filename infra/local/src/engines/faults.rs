//! Faults on order: makes chosen calls fail, so that what happens then can be tested.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Notify;

use super::Answer;

/// When a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// Instead of the call: nothing was done.
    Before,
    /// In place of its answer: it was done, but the caller does not learn of it.
    After,
}

#[derive(Debug)]
struct Fault {
    operation: String,
    passes: usize,
    times: usize,
    strike: Strike,
    answer: Answer,
}

/// Whether a call is one that `seal` makes: about the head of a log, a tile, or the texts of records.
fn is_sealing(operation: &str, request: &[u8]) -> bool {
    let says = |word: &str| request.windows(word.len()).any(|part| part == word.as_bytes());
    says("#LOG\"") || says("#TILE#") || (operation == "BatchGetItem" && says("#AUD#"))
}

/// A call that waits where it is. It goes on when this is dropped.
#[derive(Debug)]
pub struct Held(Arc<Gate>);

#[derive(Debug)]
struct Gate {
    operation: String,
    about: String,
    arrived: Notify,
    go: Notify,
}

impl Held {
    /// Waits until there is such a call.
    pub async fn arrived(&self) {
        self.0.arrived.notified().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.go.notify_one();
    }
}

/// What DynamoDB says when it throttles.
const THROTTLED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
    "message":"The level of configured provisioned throughput for the table was exceeded"}"#;

/// The faults that have been ordered.
#[derive(Debug, Default)]
pub struct Faults {
    any: AtomicBool,
    ordered: Mutex<Vec<Fault>>,
    /// What the keys of throttled partitions begin with.
    throttled: Mutex<Option<String>>,
    held: Mutex<Vec<Arc<Gate>>>,
}

/// What becomes of a call to DynamoDB when a partition is throttled.
pub(super) enum Throttled {
    /// It is refused.
    Refused(Answer),
    /// This is answered, and these keys are handed back.
    InPart(Bytes, Value),
}

impl Faults {
    /// After `passes` calls of `operation` (SES: `SendEmail`; Lambda: `Invoke`) that go well, the next `times` are answered with `status` and the JSON
    /// document `body`; for S3's operations it is XML. The sealing of audit records, which goes on beside everything, is spared.
    pub fn order(
        &self,
        operation: &str,
        passes: usize,
        times: usize,
        strike: Strike,
        status: u16,
        body: &str,
    ) {
        let answer = Answer { status, content_type: super::AMZ_JSON, body: body.to_owned().into() };
        self.lock().push(Fault { operation: operation.to_owned(), passes, times, strike, answer });
        self.any.store(true, Ordering::Release);
    }

    /// Has DynamoDB throttle the partitions whose keys begin with `prefix`: a call that is about one is refused, and a batch
    /// read hands their keys back.
    pub fn throttle(&self, prefix: &str) {
        *self.throttled.lock().unwrap_or_else(PoisonError::into_inner) = Some(prefix.to_owned());
        self.any.store(true, Ordering::Release);
    }

    /// Has the next call of `operation` wait whose request says `about`: what happens meanwhile it has not seen.
    pub fn hold(&self, operation: &str, about: &str) -> Held {
        let (operation, about) = (operation.to_owned(), about.to_owned());
        let gate = Arc::new(Gate { operation, about, arrived: Notify::new(), go: Notify::new() });
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&gate));
        self.any.store(true, Ordering::Release);
        Held(gate)
    }

    /// Waits as long as this call is held.
    pub(super) async fn pass(&self, operation: &str, body: &[u8]) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let gate = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let body = String::from_utf8_lossy(body);
            let at = held.iter().position(|it| it.operation == operation && body.contains(&it.about));
            at.map(|at| held.remove(at))
        };
        if let Some(gate) = gate {
            gate.arrived.notify_one();
            gate.go.notified().await;
        }
    }

    /// Takes back everything that was ordered.
    pub fn clear(&self) {
        self.lock().clear();
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.throttled.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What becomes of this call, if it is about a partition that is throttled.
    pub(super) fn throttling(&self, operation: &str, body: &[u8]) -> Option<Throttled> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let prefix = self.throttled.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let mut request: Value = serde_json::from_slice(body).ok()?;
        let refused = Answer {
            status: 400,
            content_type: super::AMZ_JSON,
            body: Bytes::from_static(THROTTLED.as_bytes()),
        };
        if operation != "BatchGetItem" {
            let is_about_it = request.to_string().contains(&format!("\"{prefix}"));
            return is_about_it.then_some(Throttled::Refused(refused));
        }
        let mut back = serde_json::Map::new();
        let tables = request.get_mut("RequestItems")?.as_object_mut()?;
        for (table, wanted) in tables.iter_mut() {
            let mut returned = wanted.clone();
            let is_throttled = |key: &Value| {
                key.pointer("/pk/S").and_then(Value::as_str).is_some_and(|pk| pk.starts_with(&prefix))
            };
            wanted.get_mut("Keys")?.as_array_mut()?.retain(|key| !is_throttled(key));
            let keys = returned.get_mut("Keys")?.as_array_mut()?;
            keys.retain(is_throttled);
            if !keys.is_empty() {
                back.insert(table.clone(), returned);
            }
        }
        // A batch of which nothing is served is refused as a whole.
        tables.retain(|_, wanted| wanted.pointer("/Keys/0").is_some());
        match (tables.is_empty(), back.is_empty()) {
            (_, true) => None,
            (true, false) => Some(Throttled::Refused(refused)),
            (false, false) => Some(Throttled::InPart(request.to_string().into(), Value::Object(back))),
        }
    }

    /// The fault that strikes this call of `operation`, if one does.
    pub(super) fn striking(&self, operation: &str, request: &[u8]) -> Option<(Strike, Answer)> {
        if !self.any.load(Ordering::Acquire) || is_sealing(operation, request) {
            return None;
        }
        let mut ordered = self.lock();
        let index = ordered.iter().position(|fault| fault.operation == operation)?;
        let fault = ordered.get_mut(index)?;
        if fault.passes > 0 {
            fault.passes -= 1;
            return None;
        }
        fault.times = fault.times.saturating_sub(1);
        let struck = (fault.strike, fault.answer.clone());
        if fault.times == 0 {
            ordered.remove(index);
        }
        Some(struck)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.ordered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
