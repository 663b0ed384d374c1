//! The queues of webhook jobs.
//!
//! A job says "look at this delivery". It is never the truth about it: the item in the table is. A job for a first try
//! carries all that makes the item, and the event's body, so that it needs no read of either.
//!
//! There are two lanes, a queue each, with consumers of their own. Events go out by the **first lane**. What is known to take
//! time or to fail goes by the **slow lane**: retries, redriven and replayed deliveries, probes, and all that is sent to an
//! endpoint that takes its time. So a first try never waits behind any of those.
//!
//! Tenants share the first lane fairly and endpoints the slow one, by message groups.

use std::time::Duration;

use ids::{DeliveryId, EndpointId, OrganizationId};
use queue::{Message, Queue};
use runtime::{Services, StartError};
use serde::{Deserialize, Serialize};
use store::{BoxError, NewDelivery, StoredEvent};

/// What is to be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryJob {
    /// Format version.
    pub v: u32,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// What a first try needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<FirstTry>,
}

/// A delivery that has no item yet, and what is to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstTry {
    /// The delivery.
    pub delivery: NewDelivery,
    /// The exact bytes to send.
    pub body: String,
}

const FORMAT: u32 = 2;

impl DeliveryJob {
    /// The job for the first try at a delivery of an event.
    #[must_use]
    pub fn first(event: &StoredEvent, delivery: NewDelivery) -> Self {
        Self {
            v: FORMAT,
            organization_id: event.organization_id,
            delivery_id: delivery.id,
            endpoint_id: delivery.endpoint_id,
            first: Some(FirstTry { delivery, body: event.body.clone() }),
        }
    }

    /// The job for another look at a delivery that has an item.
    #[must_use]
    pub fn again(organization: OrganizationId, endpoint: EndpointId, delivery: DeliveryId) -> Self {
        Self {
            v: FORMAT,
            organization_id: organization,
            delivery_id: delivery,
            endpoint_id: endpoint,
            first: None,
        }
    }
}

/// Jobs could not be put on a queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue did not take them, or not all of them.
    #[error(transparent)]
    Refused(#[from] queue::Refused),
    /// A job cannot be written as JSON.
    #[error("a job cannot be written")]
    Malformed(#[from] serde_json::Error),
}

/// The lane of first tries.
#[derive(Debug, Clone)]
pub struct FirstLane(Queue);

/// The lane of all that takes time.
#[derive(Debug, Clone)]
pub struct SlowLane(Queue);

fn message(job: &DeliveryJob, group: String, delay: Duration) -> Result<Message, serde_json::Error> {
    Ok(Message { group: Some(group), body: serde_json::to_string(job)?, delay })
}

impl FirstLane {
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
        let message = |job: &DeliveryJob| message(job, job.organization_id.to_string(), Duration::ZERO);
        let messages = jobs.iter().map(message).collect::<Result<Vec<_>, _>>()?;
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

impl SlowLane {
    /// The queue that `WEBHOOK_RETRIES_QUEUE_URL` names.
    ///
    /// # Errors
    /// [`StartError::Missing`] when it is not set.
    pub fn from_services(services: &Services) -> Result<Self, StartError> {
        Queue::from_services(services, "WEBHOOK_RETRIES_QUEUE_URL").map(Self)
    }

    /// Puts jobs on the queue, each to be received after its delay.
    ///
    /// # Errors
    /// [`QueueError`]; some jobs may then be on the queue. Sending them again is safe.
    pub async fn send(&self, jobs: &[(DeliveryJob, Duration)]) -> Result<(), QueueError> {
        let message =
            |(job, delay): &(DeliveryJob, Duration)| message(job, job.endpoint_id.to_string(), *delay);
        let messages = jobs.iter().map(message).collect::<Result<Vec<_>, _>>()?;
        Ok(self.0.send(messages).await?)
    }

    /// Whether a message with this source came by this lane.
    #[must_use]
    pub fn is_source(&self, arn: &str) -> bool {
        self.0.is_source(arn)
    }

    /// Hides a received job for `wait`: it comes back after that.
    ///
    /// # Errors
    /// What the SDK reports. The job then comes back when its visibility runs out.
    pub async fn hide(&self, receipt_handle: Option<String>, wait: Duration) -> Result<(), BoxError> {
        self.0.hide(receipt_handle, wait).await
    }
}
