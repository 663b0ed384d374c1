//! The queue of webhook jobs.
//!
//! A job says "look at this delivery" and carries the event's body, so that a first attempt needs no read of it.
//! It is never the truth about the delivery: the item in the table is.

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use events::EventType;
use ids::{DeliveryId, EndpointId, EventId, OrganizationId};
use runtime::{Services, StartError};
use serde::{Deserialize, Serialize};
use store::{BoxError, NewDelivery, StoredEvent};

/// What is to be delivered, and where it stands as far as the sender of the job knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryJob {
    /// Format version.
    pub v: u32,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The event.
    pub event_id: EventId,
    /// The event's type.
    pub event: EventType,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// The delivery has just been created: nothing has been attempted.
    pub fresh: bool,
    /// The exact bytes to send.
    pub body: String,
    /// How long the event and what becomes of it are kept: Unix seconds. Jobs of the first format do not say.
    #[serde(default)]
    pub kept_until_seconds: Option<i64>,
}

impl DeliveryJob {
    /// The job for a delivery of an event.
    #[must_use]
    pub fn new(new: &NewDelivery, event: &StoredEvent, fresh: bool) -> Self {
        Self {
            v: 1,
            organization_id: new.organization_id,
            delivery_id: new.delivery.id,
            event_id: event.id,
            event: event.event,
            endpoint_id: new.delivery.endpoint_id,
            fresh,
            body: event.body.clone(),
            kept_until_seconds: Some(event.expires_at),
        }
    }
}

/// Jobs could not be put on the queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue did not take the batch, or not all of it.
    #[error("the queue did not take {refused} of {of} jobs")]
    Refused {
        /// How many it did not take.
        refused: usize,
        /// Of how many.
        of: usize,
        /// What SQS said, where it said something about the batch as a whole.
        #[source]
        source: Option<BoxError>,
    },
    /// A job cannot be written as JSON.
    #[error("a job cannot be written")]
    Malformed(#[from] serde_json::Error),
}

/// Entries of a batch, and their size together.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
const BATCH: usize = 10;
const BATCH_BYTES: usize = 1024 * 1024;

/// The queue of jobs.
#[derive(Debug, Clone)]
pub struct JobQueue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl JobQueue {
    /// The queue that `WEBHOOK_JOBS_QUEUE_URL` names.
    ///
    /// # Errors
    /// [`StartError::Missing`] when it is not set.
    pub fn from_services(services: &Services) -> Result<Self, StartError> {
        let url = services.environment.required("WEBHOOK_JOBS_QUEUE_URL")?;
        Ok(Self { client: services.aws.sqs.clone(), url })
    }

    /// The client and the queue's URL, for changing a received job's visibility.
    #[must_use]
    pub fn parts(&self) -> (&aws_sdk_sqs::Client, &str) {
        (&self.client, &self.url)
    }

    /// Puts jobs on the queue, in batches. The tenant is the message group, by which SQS shares a standard queue
    /// fairly between tenants.
    ///
    /// # Errors
    /// [`QueueError`]; some jobs may then be on the queue. Sending them again is safe.
    pub async fn send(&self, jobs: &[DeliveryJob]) -> Result<(), QueueError> {
        let mut batch = Vec::with_capacity(BATCH);
        let mut bytes = 0;
        for job in jobs {
            let body = serde_json::to_string(job)?;
            if batch.len() == BATCH || bytes + body.len() > BATCH_BYTES {
                self.send_batch(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += body.len();
            batch.push((job.organization_id, body));
        }
        self.send_batch(batch).await
    }

    async fn send_batch(&self, batch: Vec<(OrganizationId, String)>) -> Result<(), QueueError> {
        if batch.is_empty() {
            return Ok(());
        }
        let of = batch.len();
        let refused = |refused, source| QueueError::Refused { refused, of, source };
        let entries = batch
            .into_iter()
            .enumerate()
            .map(|(index, (organization, body))| {
                SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_group_id(organization.to_string())
                    .message_body(body)
                    .build()
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| refused(of, Some(Box::new(e) as BoxError)))?;
        let call = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let answer = call.send().await.map_err(|e| refused(of, Some(Box::new(e) as BoxError)))?;
        match answer.failed.len() {
            0 => Ok(()),
            failed => Err(refused(failed, None)),
        }
    }
}
