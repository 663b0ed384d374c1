//! The queue of webhook jobs.
//!
//! A job says "look at this delivery" and carries the event's body, so that a first attempt needs no read of it.
//! It is never the truth about the delivery: the item in the table is.

use std::time::Duration;

use events::EventType;
use ids::{DeliveryId, EndpointId, EventId, OrganizationId};
use queue::{Message, Queue};
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
    /// The queue did not take them, or not all of them.
    #[error(transparent)]
    Refused(#[from] queue::Refused),
    /// A job cannot be written as JSON.
    #[error("a job cannot be written")]
    Malformed(#[from] serde_json::Error),
}

/// The queue of jobs.
#[derive(Debug, Clone)]
pub struct JobQueue(Queue);

impl JobQueue {
    /// The queue that `WEBHOOK_JOBS_QUEUE_URL` names.
    ///
    /// # Errors
    /// [`StartError::Missing`] when it is not set.
    pub fn from_services(services: &Services) -> Result<Self, StartError> {
        Queue::from_services(services, "WEBHOOK_JOBS_QUEUE_URL").map(Self)
    }

    /// Puts jobs on the queue.
    ///
    /// # Errors
    /// [`QueueError`]; some jobs may then be on the queue. Sending them again is safe.
    pub async fn send(&self, jobs: &[DeliveryJob]) -> Result<(), QueueError> {
        let message = |job: &DeliveryJob| {
            let body = serde_json::to_string(job)?;
            Ok(Message { organization: Some(job.organization_id), body })
        };
        let messages = jobs.iter().map(message).collect::<Result<Vec<_>, serde_json::Error>>()?;
        Ok(self.0.send(messages).await?)
    }

    /// Hides a received job for `wait`: it comes back after that.
    ///
    /// # Errors
    /// What the SDK reports. The job then comes back when its visibility runs out.
    pub async fn hide(&self, receipt_handle: Option<String>, wait: Duration) -> Result<(), BoxError> {
        self.0.hide(receipt_handle, wait).await
    }
}
