//! A queue's messages handed to a function in batches.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage, SqsMessageAttribute};
use clock::Clock;
use tokio::sync::Semaphore;

use super::{LOOK_AGAIN, invoke};
use crate::engines::Engines;
use crate::engines::queues::{Queues, Received, caused_by};
use crate::registry::QueueHandler;
use crate::shutdown::Shutdown;
use crate::template::{ACCOUNT, Function, QueueSource, REGION};

/// Polls one queue for one function.
pub(crate) struct QueuePoller {
    source: QueueSource,
    function: String,
    limit: Duration,
    handler: QueueHandler,
    queues: Queues,
    clock: Clock,
}

impl QueuePoller {
    pub(crate) fn new(
        function: &Function,
        source: &QueueSource,
        handler: QueueHandler,
        engines: &Engines,
        clock: &Clock,
    ) -> Self {
        Self {
            source: source.clone(),
            function: function.logical_id.clone(),
            limit: Duration::from_secs(function.timeout.into()),
            handler,
            queues: engines.queues().clone(),
            clock: clock.clone(),
        }
    }

    /// Hands out batches until `shutdown`, several at once, and returns when the last is done.
    pub(super) async fn run(self: Arc<Self>, mut shutdown: Shutdown) {
        let all = u32::try_from(self.source.concurrency).unwrap_or(u32::MAX);
        let slots = Arc::new(Semaphore::new(self.source.concurrency));
        loop {
            // A slot first: a message taken without one would be hidden from others while it waits.
            let slot = tokio::select! {
                biased;
                () = shutdown.requested() => break,
                slot = Arc::clone(&slots).acquire_owned() => slot,
            };
            let Ok(slot) = slot else { break };
            let batch = tokio::select! {
                biased;
                () = shutdown.requested() => break,
                batch = self.next_batch() => batch,
            };
            let Some(batch) = batch else { break };
            let poller = Arc::clone(&self);
            tokio::spawn(async move {
                poller.hand_out(batch).await;
                drop(slot);
            });
        }
        // All slots are free again when nothing is in progress. The semaphore is never closed.
        let _ = slots.acquire_many(all).await;
    }

    /// Hands out, one after the other, the batches that are visible now; returns how many there were.
    pub(super) async fn step(&self) -> usize {
        let mut invocations = 0;
        loop {
            let batch = self.receive(self.source.batch_size);
            if batch.is_empty() {
                return invocations;
            }
            self.hand_out(batch).await;
            invocations += 1;
        }
    }

    fn receive(&self, max: usize) -> Vec<Received> {
        // The template's reader has made sure that the queue exists; one deleted since has nothing to give.
        self.queues.receive(&self.source.queue, max, None).unwrap_or_default()
    }

    /// The next batch, when there is one; `None` when the queue is gone.
    async fn next_batch(&self) -> Option<Vec<Received>> {
        let mut changed = self.queues.changed(&self.source.queue).ok()?;
        let mut batch = loop {
            changed.mark_unchanged();
            let batch = self.receive(self.source.batch_size);
            if !batch.is_empty() {
                break batch;
            }
            let next = self.queues.next_visible_at(&self.source.queue).ok()?;
            let pause = next.map_or(LOOK_AGAIN, |at| at.since(self.clock.now()).min(LOOK_AGAIN));
            // Woken or not, the queue is looked at again.
            let _ = tokio::time::timeout(pause, changed.changed()).await;
        };
        let window = tokio::time::Instant::now() + Duration::from_secs(self.source.window.into());
        while batch.len() < self.source.batch_size && tokio::time::Instant::now() < window {
            changed.mark_unchanged();
            let more = self.receive(self.source.batch_size - batch.len());
            if more.is_empty() {
                let _ = tokio::time::timeout_at(window, changed.changed()).await;
            }
            batch.extend(more);
        }
        Some(batch)
    }

    async fn hand_out(&self, batch: Vec<Received>) {
        let mut event = SqsEvent::default();
        event.records = batch.iter().map(|message| self.record(message)).collect();
        let Some(cause) = batch.iter().map(|message| message.cause).min() else { return };
        let answer = invoke(self.limit, caused_by(cause, async { (self.handler)(event).await })).await;
        let failed = match &answer {
            Ok(answer) if self.source.reports_failures => failures(answer, &batch),
            Ok(_) => HashSet::new(),
            Err(error) => {
                tracing::error!(function = self.function, %error, messages = batch.len(), "a batch failed");
                return;
            }
        };
        for message in &batch {
            if !failed.contains(message.message_id.as_str()) {
                // The queue may have been deleted under us; then there is nothing left to delete.
                let _ = self.queues.delete(&self.source.queue, &message.receipt_handle);
            }
        }
    }

    fn record(&self, message: &Received) -> SqsMessage {
        let mut record = SqsMessage::default();
        record.message_id = Some(message.message_id.clone());
        record.receipt_handle = Some(message.receipt_handle.clone());
        record.body = Some(message.body.to_string());
        record.md5_of_body = Some(message.body_md5.clone());
        let attributes = [
            ("ApproximateReceiveCount", message.receive_count.to_string()),
            ("SentTimestamp", message.sent_at.millis().to_string()),
            ("ApproximateFirstReceiveTimestamp", message.first_received_at.millis().to_string()),
            ("SenderId", ACCOUNT.to_owned()),
        ];
        record.attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if let Some(group) = &message.group {
            record.attributes.insert("MessageGroupId".to_owned(), group.to_string());
        }
        for (name, value) in &message.attributes {
            let mut attribute = SqsMessageAttribute::default();
            attribute.data_type = Some(value.data_type.clone());
            attribute.string_value.clone_from(&value.string_value);
            record.message_attributes.insert(name.clone(), attribute);
        }
        record.event_source = Some("aws:sqs".to_owned());
        record.event_source_arn = Some(format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}", self.source.queue));
        record.aws_region = Some(REGION.to_owned());
        record
    }
}

/// The messages that are not to be deleted. A report that names no message of the batch is a bug in the function,
/// and Lambda then takes the whole batch for failed.
fn failures<'a>(answer: &'a SqsBatchResponse, batch: &'a [Received]) -> HashSet<&'a str> {
    let ids: HashSet<&str> = batch.iter().map(|message| message.message_id.as_str()).collect();
    let reported: HashSet<&str> =
        answer.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
    if reported.is_subset(&ids) { reported } else { ids }
}
