//! The parts of SQS's protocol that the protocol crate answers too leniently.
//!
//! Limits that AWS enforces are enforced here first, because code that runs into them for the first time in
//! production runs into them too late; visibility changes are answered with SQS's own error codes; and a long
//! poll waits for a message instead of asking ten times a second.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{MAX_VISIBILITY, QueueError, Queues};

/// The largest message, and the largest batch, in bytes.
const MAX_BYTES: usize = 1_048_576;
const MAX_DELAY: i64 = 900;
const MAX_ENTRIES: usize = 10;
const MAX_WAIT: i64 = 20;

/// What SQS says of a message with other characters than it takes.
const NOT_TAKEN: &str = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | \
    #xE000 to #xFFFD | #x10000 to #x10FFFF";

/// What is to be done about a call.
pub(in crate::engines) enum Ruling {
    /// This is the answer.
    Answered(u16, String),
    /// The protocol crate answers this request.
    PassOn(Bytes),
    /// The protocol crate answers this request, and these entries failed besides.
    InPart(Bytes, Vec<Value>),
}

/// Whether SQS takes what a message says.
fn is_taken(body: &Option<String>) -> bool {
    let taken = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
    body.as_deref().unwrap_or_default().chars().all(taken)
}

/// Answers or refuses what the protocol crate should not see.
pub(in crate::engines) struct Wire(pub(in crate::engines) Queues);

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    queue_url: String,
    message_body: Option<String>,
    delay_seconds: Option<i64>,
    receipt_handle: String,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    max_number_of_messages: Option<i64>,
    entries: Option<Vec<Entry>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Entry {
    id: String,
    message_body: Option<String>,
    delay_seconds: Option<i64>,
    receipt_handle: String,
    visibility_timeout: Option<i64>,
}

struct Refusal {
    code: &'static str,
    message: String,
}

fn refusal(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { code, message: message.into() }
}

impl From<QueueError> for Refusal {
    fn from(error: QueueError) -> Self {
        let code = match error {
            QueueError::NonExistentQueue => "com.amazonaws.sqs#QueueDoesNotExist",
            QueueError::InvalidReceiptHandle => "com.amazonaws.sqs#ReceiptHandleIsInvalid",
            QueueError::MessageNotInFlight => "com.amazonaws.sqs#MessageNotInflight",
            QueueError::BeyondLimit => "InvalidParameterValue",
        };
        refusal(code, error.to_string())
    }
}

impl Wire {
    /// The name of the queue a request is about; empty when it names none.
    pub(in crate::engines) fn queue(body: &[u8]) -> String {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Names<'a> {
            #[serde(borrow, default)]
            queue_url: Option<std::borrow::Cow<'a, str>>,
            #[serde(borrow, default)]
            queue_name: Option<std::borrow::Cow<'a, str>>,
        }
        let names: Option<Names<'_>> = serde_json::from_slice(body).ok();
        let name = names.and_then(|names| names.queue_url.or(names.queue_name)).unwrap_or_default();
        name.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// A request to receive as it goes to the protocol crate: the waiting has been done.
    fn without_wait(body: Bytes) -> Bytes {
        let Ok(Value::Object(mut request)) = serde_json::from_slice(&body) else { return body };
        request.insert("WaitTimeSeconds".to_owned(), 0.into());
        Value::Object(request).to_string().into()
    }

    /// What becomes of a batch with entries that SQS refuses because of what they say; `None` for one without.
    fn sift(body: &[u8]) -> Option<Ruling> {
        let request: Request = serde_json::from_slice(body).ok()?;
        let entries = request.entries?;
        let refused: HashSet<&str> =
            entries.iter().filter(|entry| !is_taken(&entry.message_body)).map(|entry| &*entry.id).collect();
        let failed: Vec<_> = refused
            .iter()
            .map(|id| json!({"Id": id, "Code": "InvalidMessageContents", "Message": NOT_TAKEN, "SenderFault": true}))
            .collect();
        if refused.is_empty() {
            return None;
        }
        if refused.len() == entries.len() {
            return Some(Ruling::Answered(200, json!({"Successful": [], "Failed": failed}).to_string()));
        }
        let mut rest: Value = serde_json::from_slice(body).ok()?;
        rest.get_mut("Entries")?
            .as_array_mut()?
            .retain(|entry| entry.get("Id").and_then(Value::as_str).is_none_or(|id| !refused.contains(id)));
        Some(Ruling::InPart(rest.to_string().into(), failed))
    }

    /// What is to be done about a call before the protocol crate sees it.
    pub(in crate::engines) async fn rule(&self, operation: &str, body: Bytes) -> Ruling {
        if let Some((status, answer)) = self.answer(operation, &body).await {
            return Ruling::Answered(status, answer);
        }
        match operation {
            "SendMessageBatch" => Self::sift(&body).unwrap_or(Ruling::PassOn(body)),
            "ReceiveMessage" => Ruling::PassOn(Self::without_wait(body)),
            _ => Ruling::PassOn(body),
        }
    }

    /// The answer to a call, or `None` when the protocol crate is to give it.
    async fn answer(&self, operation: &str, body: &[u8]) -> Option<(u16, String)> {
        if !matches!(
            operation,
            "SendMessage"
                | "SendMessageBatch"
                | "ReceiveMessage"
                | "DeleteMessageBatch"
                | "ChangeMessageVisibility"
                | "ChangeMessageVisibilityBatch"
        ) {
            return None;
        }
        let request: Request = serde_json::from_slice(body).ok()?;
        let queue = request.queue_url.rsplit('/').next().unwrap_or_default().to_owned();
        let answered = match operation {
            "ChangeMessageVisibility" => self.change_visibility(&queue, &request).map(Some),
            "ChangeMessageVisibilityBatch" => self.change_visibilities(&queue, &request).map(Some),
            "ReceiveMessage" => self.wait(&queue, &request).await.map(|()| None),
            _ => within_limits(&request, operation).map(|()| None),
        };
        match answered {
            Ok(answer) => answer.map(|answer| (200, answer.to_string())),
            Err(Refusal { code, message }) => {
                Some((400, json!({"__type": code, "message": message}).to_string()))
            }
        }
    }

    fn change_visibility(&self, queue: &str, request: &Request) -> Result<Value, Refusal> {
        let seconds = visibility(request.visibility_timeout)?;
        self.0.change_visibility(queue, &request.receipt_handle, seconds)?;
        Ok(json!({}))
    }

    fn change_visibilities(&self, queue: &str, request: &Request) -> Result<Value, Refusal> {
        let entries = batch(request)?;
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            let changed = visibility(entry.visibility_timeout).and_then(|seconds| {
                self.0.change_visibility(queue, &entry.receipt_handle, seconds).map_err(Refusal::from)
            });
            match changed {
                Ok(()) => successful.push(json!({"Id": entry.id})),
                Err(Refusal { code, message }) => {
                    let code = code.rsplit('#').next().unwrap_or(code);
                    failed
                        .push(json!({"Id": entry.id, "Code": code, "Message": message, "SenderFault": true}));
                }
            }
        }
        Ok(json!({"Successful": successful, "Failed": failed}))
    }

    /// Returns as soon as a message can be received, or when the caller no longer wants to wait.
    async fn wait(&self, queue: &str, request: &Request) -> Result<(), Refusal> {
        if request.max_number_of_messages.is_some_and(|max| !(1..=10).contains(&max)) {
            return Err(refusal("InvalidParameterValue", "MaxNumberOfMessages must be between 1 and 10."));
        }
        let wait = request.wait_time_seconds.unwrap_or(0);
        if !(0..=MAX_WAIT).contains(&wait) {
            return Err(refusal("InvalidParameterValue", "WaitTimeSeconds must be between 0 and 20."));
        }
        let deadline = Instant::now() + Duration::from_secs(wait.unsigned_abs());
        let mut changed = self.0.changed(queue)?;
        while Instant::now() < deadline {
            changed.mark_unchanged();
            let now = self.0.clock.now();
            let next = self.0.next_visible_at(queue)?;
            let until = match next {
                Some(at) if at <= now => return Ok(()),
                Some(at) => deadline.min(Instant::now() + at.since(now)),
                None => deadline,
            };
            // Either way the queue is looked at again.
            let _ = tokio::time::timeout_at(until, changed.changed()).await;
        }
        Ok(())
    }
}

fn visibility(seconds: Option<i64>) -> Result<u32, Refusal> {
    let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok()).filter(|it| *it <= MAX_VISIBILITY);
    seconds.ok_or_else(|| refusal("InvalidParameterValue", "VisibilityTimeout must be between 0 and 43200."))
}

fn batch(request: &Request) -> Result<&[Entry], Refusal> {
    let entries = request.entries.as_deref().unwrap_or_default();
    if entries.is_empty() {
        return Err(refusal("com.amazonaws.sqs#EmptyBatchRequest", "The batch has no entries."));
    }
    if entries.len() > MAX_ENTRIES {
        return Err(refusal(
            "com.amazonaws.sqs#TooManyEntriesInBatchRequest",
            "A batch has at most 10 entries.",
        ));
    }
    let distinct: HashSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    if distinct.len() < entries.len() {
        return Err(refusal(
            "com.amazonaws.sqs#BatchEntryIdsNotDistinct",
            "The ids of the entries must differ.",
        ));
    }
    Ok(entries)
}

fn within_limits(request: &Request, operation: &str) -> Result<(), Refusal> {
    if !is_taken(&request.message_body) {
        return Err(refusal("com.amazonaws.sqs#InvalidMessageContents", NOT_TAKEN));
    }
    let mut bytes = request.message_body.as_ref().map_or(0, String::len);
    let mut delays = vec![request.delay_seconds];
    if operation.ends_with("Batch") {
        for entry in batch(request)? {
            if operation == "SendMessageBatch" && entry.message_body.as_ref().is_none_or(String::is_empty) {
                return Err(refusal("MissingParameter", "Every entry must have a MessageBody."));
            }
            bytes += entry.message_body.as_ref().map_or(0, String::len);
            delays.push(entry.delay_seconds);
        }
    }
    if bytes > MAX_BYTES {
        let code = if operation == "SendMessage" {
            "InvalidParameterValue"
        } else {
            "com.amazonaws.sqs#BatchRequestTooLong"
        };
        return Err(refusal(code, "The messages must be shorter than 1048576 bytes in all."));
    }
    if delays.into_iter().flatten().any(|delay| !(0..=MAX_DELAY).contains(&delay)) {
        return Err(refusal("InvalidParameterValue", "DelaySeconds must be between 0 and 900."));
    }
    Ok(())
}
