//! One SQS queue: messages go onto it in batches, and received ones are hidden until later.
//!
//! What a message says is the caller's. It may name a message group (a tenant, an endpoint), by which SQS shares a standard
//! queue fairly: one that has thousands of messages does not hold up another's.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html>

use std::error::Error;
use std::time::Duration;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use runtime::{Services, StartError};

type BoxError = Box<dyn Error + Send + Sync>;

/// Entries of a batch, and their size together.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
const BATCH: usize = 10;
const BATCH_BYTES: usize = 1024 * 1024;

/// The queue did not take a batch, or not all of it.
#[derive(Debug, thiserror::Error)]
#[error("the queue did not take {refused} of {of} messages")]
pub struct Refused {
    /// How many it did not take.
    pub refused: usize,
    /// Of how many.
    pub of: usize,
    /// What SQS said, where it said something about the batch as a whole.
    #[source]
    pub source: Option<BoxError>,
}

/// A message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Whom it is about, if it is about somebody in particular.
    pub group: Option<String>,
    /// What it says.
    pub body: String,
    /// How long it can't be received yet, in whole seconds; [`LONGEST_DELAY`] at most.
    pub delay: Duration,
}

/// SQS delays a message no longer than this.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
pub const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);

/// A queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl Queue {
    /// Whether a message that came from the source of this ARN came from this queue.
    #[must_use]
    pub fn is_source(&self, arn: &str) -> bool {
        let name = |text: &str, separator| text.rsplit(separator).next().unwrap_or_default().to_owned();
        name(arn, ':') == name(&self.url, '/')
    }

    /// The queue whose URL is in `variable`.
    ///
    /// # Errors
    /// [`StartError::Missing`] when it is not set.
    pub fn from_services(services: &Services, variable: &'static str) -> Result<Self, StartError> {
        let url = services.environment.required(variable)?;
        Ok(Self { client: services.aws.sqs.clone(), url })
    }

    /// Hides a received message for `wait`, rounded up to whole seconds: it comes back after that.
    ///
    /// # Errors
    /// What the SDK reports. The message then comes back when its visibility runs out.
    pub async fn hide(&self, receipt_handle: Option<String>, wait: Duration) -> Result<(), BoxError> {
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .set_receipt_handle(receipt_handle)
            .visibility_timeout(i32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(i32::MAX))
            .send()
            .await?;
        Ok(())
    }

    /// Sends messages, in as few batches as they fit.
    ///
    /// # Errors
    /// [`Refused`]; some of them may then be on the queue.
    pub async fn send(&self, messages: impl IntoIterator<Item = Message>) -> Result<(), Refused> {
        let mut batch = Vec::with_capacity(BATCH);
        let mut bytes = 0;
        for message in messages {
            if batch.len() == BATCH || bytes + message.body.len() > BATCH_BYTES {
                self.send_batch(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += message.body.len();
            batch.push(message);
        }
        self.send_batch(batch).await
    }

    async fn send_batch(&self, batch: Vec<Message>) -> Result<(), Refused> {
        if batch.is_empty() {
            return Ok(());
        }
        let of = batch.len();
        let refused = |refused, source| Refused { refused, of, source };
        let whole = |source: BoxError| refused(of, Some(source));
        let entries = batch
            .into_iter()
            .enumerate()
            .map(|(index, Message { group, body, delay })| {
                let delay = delay.min(LONGEST_DELAY).as_millis().div_ceil(1000);
                SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .set_message_group_id(group)
                    .set_delay_seconds(i32::try_from(delay).ok().filter(|delay| *delay > 0))
                    .message_body(body)
                    .build()
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| whole(e.into()))?;
        let call = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let answer = call.send().await.map_err(|e| whole(e.into()))?;
        match answer.failed.len() {
            0 => Ok(()),
            failed => Err(refused(failed, None)),
        }
    }
}
