//! One SQS queue: messages go onto it in batches, and received ones are hidden until later.
//!
//! What a message says is the caller's. It may name a message group (a tenant, an endpoint), by which SQS shares a standard
//! queue fairly: one that has thousands of messages does not hold up another's.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html>

use std::error::Error;
use std::iter::Peekable;
use std::time::Duration;

use aws_sdk_sqs::types::{BatchResultErrorEntry, SendMessageBatchRequestEntry};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use runtime::{Services, StartError};

type BoxError = Box<dyn Error + Send + Sync>;

/// Entries of a batch, and their size together.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
const BATCH: usize = 10;
const BATCH_BYTES: usize = 1024 * 1024;
/// Batches on their way at the same time: what is in memory of messages at once, and what a long list of them waits for.
const CALLS: usize = 8;

/// The queue did not take some messages just now. Those after the first of them may not have been sent at all.
#[derive(Debug, thiserror::Error)]
#[error("the queue did not take {refused} messages of a batch of {of}")]
pub struct Refused {
    /// How many of a batch it did not take.
    pub refused: usize,
    /// Of how many.
    pub of: usize,
    /// The first message that it did not take, 0 for the first of all; all before it are on the queue.
    pub first: usize,
    /// What SQS said, where it said something about the batch as a whole.
    #[source]
    pub source: Option<BoxError>,
}

/// A message that SQS does not take as it is, and never will. Others are none the worse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the queue will never take message {index}: {code}")]
pub struct Unsendable {
    /// Which one, 0 for the first of all.
    pub index: usize,
    /// What is wrong with it, as SQS calls it.
    pub code: String,
}

/// Whether SQS takes this character in a message.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
#[must_use]
pub fn takes(character: char) -> bool {
    matches!(character,
        '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
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

    /// Sends messages, in as few batches as they fit and some of those at the same time. They are asked for as they are sent,
    /// so few of many are in memory at once. Returns those that SQS will never take, in their order.
    ///
    /// # Errors
    /// [`Refused`]; some of them may then be on the queue.
    pub async fn send(
        &self,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<Vec<Unsendable>, Refused> {
        let mut messages = messages.into_iter().enumerate().peekable();
        let mut calls = FuturesUnordered::new();
        let mut unsendable = Vec::new();
        let mut refused: Option<Refused> = None;
        loop {
            // After the first failure no others are sent: a queue that is down is not asked a thousand times.
            while refused.is_none()
                && calls.len() < CALLS
                && let Some(batch) = next_batch(&mut messages)
            {
                calls.push(self.send_batch(batch));
            }
            match calls.next().await {
                Some(Ok(some)) => unsendable.extend(some),
                Some(Err(error)) => {
                    let earlier = refused.filter(|earlier| earlier.first < error.first);
                    refused = Some(earlier.unwrap_or(error));
                }
                None => break,
            }
        }
        unsendable.sort_unstable_by_key(|unsendable: &Unsendable| unsendable.index);
        match refused {
            None => Ok(unsendable),
            // What will never be taken is told of when all is sent again.
            Some(Refused { refused, of, first, source }) => {
                let first = unsendable.first().map_or(first, |unsendable| unsendable.index.min(first));
                Err(Refused { refused, of, first, source })
            }
        }
    }

    async fn send_batch(&self, batch: Vec<(usize, Message)>) -> Result<Vec<Unsendable>, Refused> {
        let of = batch.len();
        let first = batch.first().map_or(0, |(index, _)| *index);
        let whole = |source: BoxError| Refused { refused: of, of, first, source: Some(source) };
        let entries = batch
            .into_iter()
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
        // An id that is none of ours stands for the first: rather one too many is sent again than one too few.
        let index = |entry: &BatchResultErrorEntry| entry.id.parse().unwrap_or(first);
        let (never, not_now): (Vec<_>, Vec<_>) =
            answer.failed.into_iter().partition(|entry| entry.sender_fault);
        match not_now.iter().map(index).min() {
            None => {
                Ok(never.iter().map(|it| Unsendable { index: index(it), code: it.code.clone() }).collect())
            }
            Some(earliest) => {
                let first = never.iter().map(index).min().map_or(earliest, |never| never.min(earliest));
                Err(Refused { refused: not_now.len() + never.len(), of, first, source: None })
            }
        }
    }
}

/// As many of the messages that are left as fit into a call.
fn next_batch(
    messages: &mut Peekable<impl Iterator<Item = (usize, Message)>>,
) -> Option<Vec<(usize, Message)>> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut bytes = 0;
    while batch.len() < BATCH
        && let Some(next) =
            messages.next_if(|(_, next)| batch.is_empty() || bytes + next.body.len() <= BATCH_BYTES)
    {
        bytes += next.1.body.len();
        batch.push(next);
    }
    (!batch.is_empty()).then_some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(sizes: &[usize]) -> Vec<Vec<usize>> {
        let message = |size: &usize| Message { body: "x".repeat(*size), ..Message::default() };
        let mut messages = sizes.iter().map(message).enumerate().peekable();
        std::iter::from_fn(|| next_batch(&mut messages))
            .map(|batch| batch.into_iter().map(|(index, _)| index).collect())
            .collect()
    }

    #[test]
    fn a_batch_is_ten_messages_or_a_mebibyte() {
        assert_eq!(batches(&[1; 21]).iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 1]);
        const HALF: usize = BATCH_BYTES / 2;
        assert_eq!(batches(&[HALF, HALF, 1, 2 * HALF, 1]), [vec![0, 1], vec![2], vec![3], vec![4]]);
        assert_eq!(batches(&[3 * HALF, 1]), [[0], [1]], "one that is too large is SQS's to refuse");
        assert!(batches(&[]).is_empty());
    }
}
