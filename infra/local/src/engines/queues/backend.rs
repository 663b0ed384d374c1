//! Our queues as the backend of the crate that speaks SQS's protocol.
//!
//! Only what functions and their tools use is answered here: queues, messages, visibility. Tags, permissions and
//! message move tasks are refused.

use std::collections::{BTreeMap, HashMap};
use std::future::{Future, ready};
use std::pin::Pin;

use chrono::{DateTime, Utc};
use clock::Timestamp;
use winterbaume_core::StateViewError;
use winterbaume_sqs::state::SqsError;
use winterbaume_sqs::types::{Message, MessageAttribute, MessageMoveTask, Queue};
use winterbaume_sqs::{SendMessageOutput, SqsBackend, SqsStateView};

use super::{Attribute, Outgoing, QueueError, Queues, Received, Settings};
use crate::template::{ACCOUNT, REGION, Redrive};

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The adapter.
pub(in crate::engines) struct Backend(pub(in crate::engines) Queues);

impl From<QueueError> for SqsError {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::NonExistentQueue => Self::NonExistentQueue,
            other => Self::InvalidReceiptHandle { receipt_handle: other.to_string() },
        }
    }
}

fn answer<T: Send + 'static>(value: T) -> Answer<T> {
    Box::pin(ready(value))
}

fn refused<T: Send + 'static>() -> Answer<Result<T, SqsError>> {
    answer(Err(SqsError::InternalError("the local platform does not offer this operation".to_owned())))
}

fn time(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.millis()).unwrap_or_default()
}

fn described(name: &str, settings: &Settings, created: Timestamp) -> Queue {
    Queue {
        name: name.to_owned(),
        url: format!("http://sqs.{REGION}.localhost/{ACCOUNT}/{name}"),
        arn: format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"),
        region: REGION.to_owned(),
        account_id: ACCOUNT.to_owned(),
        created_timestamp: time(created),
        last_modified_timestamp: time(created),
        visibility_timeout: settings.visibility_timeout,
        delay_seconds: settings.delay,
        maximum_message_size: 1_048_576,
        message_retention_period: settings.retention,
        receive_wait_time_seconds: 0,
        fifo_queue: false,
        content_based_deduplication: false,
    }
}

fn changed(mut settings: Settings, attributes: &HashMap<String, String>) -> Settings {
    let number = |name: &str, current: u32| {
        attributes.get(name).and_then(|value| value.parse().ok()).unwrap_or(current)
    };
    settings.visibility_timeout = number("VisibilityTimeout", settings.visibility_timeout);
    settings.delay = number("DelaySeconds", settings.delay);
    settings.retention = number("MessageRetentionPeriod", settings.retention);
    if let Some(policy) = attributes.get("RedrivePolicy") {
        settings.redrive = redrive(policy);
    }
    settings
}

fn redrive(policy: &str) -> Option<Redrive> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let target = policy.get("deadLetterTargetArn")?.as_str()?.rsplit(':').next()?.to_owned();
    let count = policy.get("maxReceiveCount")?;
    let count = count.as_u64().or_else(|| count.as_str()?.parse().ok())?;
    Some(Redrive { target, max_receive_count: u32::try_from(count).ok()? })
}

fn message(received: Received) -> Message {
    Message {
        message_id: received.message_id,
        body: received.body.to_string(),
        body_md5: received.body_md5,
        all_receipt_handles: vec![],
        receipt_handle: Some(received.receipt_handle),
        sender_id: ACCOUNT.to_owned(),
        sent_timestamp: received.sent_at.millis(),
        approximate_first_receive_timestamp: Some(received.first_received_at.millis()),
        approximate_receive_count: received.receive_count,
        visible_at: 0,
        message_attributes: received
            .attributes
            .into_iter()
            .map(|(name, it)| {
                let Attribute { data_type, string_value } = it;
                (name, MessageAttribute { data_type, string_value, binary_value: None })
            })
            .collect(),
    }
}

impl SqsBackend for Backend {
    fn create_queue(
        &self,
        _account: String,
        _region: String,
        name: String,
        attributes: HashMap<String, String>,
        _tags: Option<HashMap<String, String>>,
    ) -> Answer<Result<Queue, SqsError>> {
        let existing = self.0.settings(&name).map(|(settings, _)| settings);
        self.0.create(&name, changed(existing.unwrap_or_default(), &attributes));
        let created = self.0.settings(&name).map(|(settings, created)| described(&name, &settings, created));
        answer(created.map_err(SqsError::from))
    }

    fn delete_queue(&self, _account: String, _region: String, name: String) -> Answer<Result<(), SqsError>> {
        answer(self.0.remove_queue(&name).map_err(SqsError::from))
    }

    fn get_queue_url(
        &self,
        _account: String,
        _region: String,
        name: String,
    ) -> Answer<Result<String, SqsError>> {
        let queue =
            self.0.settings(&name).map(|(settings, created)| described(&name, &settings, created).url);
        answer(queue.map_err(SqsError::from))
    }

    fn get_queue_attributes(
        &self,
        _account: String,
        _region: String,
        name: String,
    ) -> Answer<Result<HashMap<String, String>, SqsError>> {
        let attributes = self.0.settings(&name).and_then(|(settings, created)| {
            let depth = self.0.depth(&name)?;
            let queue = described(&name, &settings, created);
            let mut attributes = BTreeMap::from([
                ("QueueArn", queue.arn),
                ("ApproximateNumberOfMessages", depth.visible.to_string()),
                ("ApproximateNumberOfMessagesNotVisible", depth.in_flight.to_string()),
                ("ApproximateNumberOfMessagesDelayed", depth.delayed.to_string()),
                ("CreatedTimestamp", created.seconds().to_string()),
                ("LastModifiedTimestamp", created.seconds().to_string()),
                ("VisibilityTimeout", settings.visibility_timeout.to_string()),
                ("MaximumMessageSize", queue.maximum_message_size.to_string()),
                ("MessageRetentionPeriod", settings.retention.to_string()),
                ("DelaySeconds", settings.delay.to_string()),
                ("ReceiveMessageWaitTimeSeconds", "0".to_owned()),
            ]);
            if let Some(redrive) = settings.redrive {
                let policy = serde_json::json!({
                    "deadLetterTargetArn": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}", redrive.target),
                    "maxReceiveCount": redrive.max_receive_count,
                });
                attributes.insert("RedrivePolicy", policy.to_string());
            }
            Ok(attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        });
        answer(attributes.map_err(SqsError::from))
    }

    fn set_queue_attributes(
        &self,
        _account: String,
        _region: String,
        name: String,
        attributes: HashMap<String, String>,
    ) -> Answer<Result<(), SqsError>> {
        let set =
            self.0.settings(&name).map(|(settings, _)| self.0.create(&name, changed(settings, &attributes)));
        answer(set.map_err(SqsError::from))
    }

    fn list_queues(
        &self,
        _account: String,
        _region: String,
        prefix: Option<String>,
    ) -> Answer<Result<Vec<Queue>, SqsError>> {
        let mut queues = Vec::new();
        for name in self.0.names() {
            if prefix.as_deref().is_none_or(|prefix| name.starts_with(prefix))
                && let Ok((settings, created)) = self.0.settings(&name)
            {
                queues.push(described(&name, &settings, created));
            }
        }
        answer(Ok(queues))
    }

    fn send_message(
        &self,
        _account: String,
        _region: String,
        name: String,
        body: String,
        delay: Option<u32>,
        attributes: HashMap<String, MessageAttribute>,
        group: Option<String>,
        _deduplication: Option<String>,
    ) -> Answer<Result<SendMessageOutput, SqsError>> {
        let attributes = attributes
            .into_iter()
            .map(|(name, it)| (name, Attribute { data_type: it.data_type, string_value: it.string_value }))
            .collect();
        let sent = self.0.send(&name, Outgoing { body, delay, attributes, group });
        let sent =
            sent.map(|sent| SendMessageOutput { message_id: sent.message_id, body_md5: sent.body_md5 });
        answer(sent.map_err(SqsError::from))
    }

    fn receive_messages(
        &self,
        _account: String,
        _region: String,
        name: String,
        max: usize,
        visibility: Option<u32>,
    ) -> Answer<Result<Vec<Message>, SqsError>> {
        let received = self.0.receive(&name, max.min(10), visibility);
        answer(received.map(|messages| messages.into_iter().map(message).collect()).map_err(SqsError::from))
    }

    fn delete_message(
        &self,
        _account: String,
        _region: String,
        name: String,
        handle: String,
    ) -> Answer<Result<(), SqsError>> {
        answer(self.0.delete(&name, &handle).map_err(SqsError::from))
    }

    fn purge_queue(&self, _account: String, _region: String, name: String) -> Answer<Result<(), SqsError>> {
        answer(self.0.purge(&name).map_err(SqsError::from))
    }

    fn change_message_visibility(
        &self,
        _account: String,
        _region: String,
        name: String,
        handle: String,
        seconds: u32,
    ) -> Answer<Result<(), SqsError>> {
        answer(self.0.change_visibility(&name, &handle, seconds).map_err(SqsError::from))
    }

    fn change_message_visibility_batch(
        &self,
        _account: String,
        _region: String,
        name: String,
        entries: Vec<(String, String, u32)>,
    ) -> Answer<Result<Vec<String>, SqsError>> {
        let changed = entries.into_iter().filter_map(|(id, handle, seconds)| {
            self.0.change_visibility(&name, &handle, seconds).is_ok().then_some(id)
        });
        answer(Ok(changed.collect()))
    }

    fn list_queue_tags(
        &self,
        _account: String,
        _region: String,
        _name: String,
    ) -> Answer<Result<HashMap<String, String>, SqsError>> {
        refused()
    }

    fn tag_queue(
        &self,
        _account: String,
        _region: String,
        _name: String,
        _tags: HashMap<String, String>,
    ) -> Answer<Result<(), SqsError>> {
        refused()
    }

    fn untag_queue(
        &self,
        _account: String,
        _region: String,
        _name: String,
        _keys: Vec<String>,
    ) -> Answer<Result<(), SqsError>> {
        refused()
    }

    fn add_permission(
        &self,
        _account: String,
        _region: String,
        _name: String,
        _label: String,
        _accounts: Vec<String>,
        _actions: Vec<String>,
    ) -> Answer<Result<(), SqsError>> {
        refused()
    }

    fn remove_permission(
        &self,
        _account: String,
        _region: String,
        _name: String,
        _label: String,
    ) -> Answer<Result<(), SqsError>> {
        refused()
    }

    fn list_dead_letter_source_queues(
        &self,
        _account: String,
        _region: String,
        _name: String,
    ) -> Answer<Result<Vec<String>, SqsError>> {
        refused()
    }

    fn start_message_move_task(
        &self,
        _account: String,
        _region: String,
        _source: String,
        _destination: Option<String>,
        _rate: Option<i32>,
    ) -> Answer<Result<String, SqsError>> {
        refused()
    }

    fn cancel_message_move_task(
        &self,
        _account: String,
        _region: String,
        _task: String,
    ) -> Answer<Result<i64, SqsError>> {
        refused()
    }

    fn list_message_move_tasks(
        &self,
        _account: String,
        _region: String,
        _source: String,
    ) -> Answer<Result<Vec<MessageMoveTask>, SqsError>> {
        refused()
    }

    fn scopes_with_state(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn snapshot(&self, _account: String, _region: String) -> Answer<SqsStateView> {
        answer(SqsStateView::default())
    }

    fn restore(
        &self,
        _account: String,
        _region: String,
        _view: SqsStateView,
    ) -> Answer<Result<(), StateViewError>> {
        answer(Ok(()))
    }

    fn merge(
        &self,
        _account: String,
        _region: String,
        _view: SqsStateView,
    ) -> Answer<Result<(), StateViewError>> {
        answer(Ok(()))
    }
}
