//! The queues of jobs.
//!
//! A job says "look at this delivery". It is never the truth about it: the item in the table is. A job for a first try
//! carries all that makes the item, and the event's body, so that it needs no read of either.
//!
//! There are two lanes, a queue each, with consumers of their own. Events go out by the **first lane**. What is known to take
//! time or to fail goes by the **slow lane**: retries, redriven and replayed deliveries, probes, and all that is sent to an
//! endpoint that takes its time. So a first try never waits behind any of those.
//!
//! Tenants share each lane fairly, by message groups: however many endpoints one has that hang, it has one share of the slow
//! lane.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ids::{DeliveryId, EndpointId, ExportId, OrganizationId};
use queue::{Message, Queue, Unsendable};
use runtime::{Services, StartError};
use serde::{Deserialize, Serialize};
use store::{BoxError, NewDelivery};

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
    /// The exact bytes to send. All jobs of an event share them.
    pub body: Arc<str>,
}

const FORMAT: u32 = 2;

impl DeliveryJob {
    /// The job for the first try at a delivery of an event that has this body.
    #[must_use]
    pub fn first(organization: OrganizationId, delivery: NewDelivery, body: Arc<str>) -> Self {
        Self {
            v: FORMAT,
            organization_id: organization,
            delivery_id: delivery.id,
            endpoint_id: delivery.endpoint_id,
            first: Some(FirstTry { delivery, body }),
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
    /// The queue will never take one of them.
    #[error(transparent)]
    Unsendable(#[from] Unsendable),
    /// A job cannot be written as JSON.
    #[error("a job cannot be written")]
    Malformed(#[from] serde_json::Error),
}

/// Says which long job to look at: an export or an erasure. The job itself is an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LongJobMessage {
    /// Format version.
    pub v: u32,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The job.
    pub job_id: ExportId,
}

/// The queue of long jobs.
#[derive(Debug, Clone)]
pub struct LongJobs(Queue);

impl LongJobs {
    /// The queue that `LONG_JOBS_QUEUE_URL` names.
    ///
    /// # Errors
    /// [`StartError::Missing`] when it is not set.
    pub fn from_services(services: &Services) -> Result<Self, StartError> {
        Queue::from_services(services, "LONG_JOBS_QUEUE_URL").map(Self)
    }

    /// Has a job looked at.
    ///
    /// # Errors
    /// [`QueueError`]; it may then be on the queue all the same. Sending it again is safe.
    pub async fn send(&self, organization: OrganizationId, job: ExportId) -> Result<(), QueueError> {
        let message = LongJobMessage { v: 1, organization_id: organization, job_id: job };
        let body = serde_json::to_string(&message)?;
        let group = Some(organization.to_string());
        self.0.send([Message { group, body, delay: Duration::ZERO }]).await?;
        Ok(())
    }

    /// Hides a received message for `wait`: it comes back after that.
    ///
    /// # Errors
    /// What the SDK reports. The message then comes back when its visibility runs out.
    pub async fn hide(&self, receipt_handle: Option<String>, wait: Duration) -> Result<(), BoxError> {
        self.0.hide(receipt_handle, wait).await
    }
}

/// The lane of first tries.
#[derive(Debug, Clone)]
pub struct FirstLane(Queue);

/// The lane of all that takes time.
#[derive(Debug, Clone)]
pub struct SlowLane(Queue);

/// The message for a job. The group is the tenant.
fn message(job: &DeliveryJob, delay: Duration) -> Result<Message, serde_json::Error> {
    Ok(Message { group: Some(job.organization_id.to_string()), body: written(job)?, delay })
}

/// A job as JSON. JSON leaves two characters as they are that SQS does not take; they are escaped, so that who reads the job
/// finds what was there.
fn written(job: &DeliveryJob) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(job)?;
    if json.chars().all(queue::takes) {
        return Ok(json);
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for character in json.chars() {
        if queue::takes(character) {
            escaped.push(character);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        }
    }
    Ok(escaped)
}

impl FirstLane {
    /// The queue that `WEBHOOK_JOBS_QUEUE_URL` names.
    ///
    /// # Errors
    /// [`StartError::Missing`] when it is not set.
    pub fn from_services(services: &Services) -> Result<Self, StartError> {
        Queue::from_services(services, "WEBHOOK_JOBS_QUEUE_URL").map(Self)
    }

    /// Puts jobs on the queue. They are asked for as they are sent. Returns those that the queue will never take.
    ///
    /// # Errors
    /// [`QueueError`]; some jobs may then be on the queue. Sending them again is safe.
    pub async fn send(
        &self,
        jobs: impl IntoIterator<Item = DeliveryJob>,
    ) -> Result<Vec<Unsendable>, QueueError> {
        let mut malformed = None;
        let messages = jobs
            .into_iter()
            .map_while(|job| message(&job, Duration::ZERO).map_err(|error| malformed = Some(error)).ok());
        let unsendable = self.0.send(messages).await?;
        malformed.map_or(Ok(unsendable), |error| Err(error.into()))
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
        let messages = jobs.iter().map(|(job, delay)| message(job, *delay)).collect::<Result<Vec<_>, _>>()?;
        let unsendable = self.0.send(messages).await?;
        unsendable.into_iter().next().map_or(Ok(()), |unsendable| Err(unsendable.into()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use events::EventType;
    use ids::Ids;

    #[test]
    fn every_character_reaches_the_queue_as_one_it_takes_and_comes_back_as_it_was() {
        let ids = Ids::new(clock::Clock::system());
        let all: String = ('\0'..=char::MAX).collect();
        let body = serde_json::json!({ "custom": all }).to_string();
        let delivery = NewDelivery {
            id: store::delivery_id(ids.next(), ids.next()),
            event_id: ids.next(),
            event: EventType::LeadCreated,
            endpoint_id: ids.next(),
            workspace_id: ids.next(),
            request_id: None,
            created_at: clock::utc(2026, 11, 22, 15, 0),
            expires_at: 0,
        };
        let job = DeliveryJob::first(ids.next(), delivery, body.into());
        let text = written(&job).unwrap();
        assert!(text.chars().all(queue::takes));
        assert_eq!(serde_json::from_str::<DeliveryJob>(&text).unwrap(), job);
    }

    #[test]
    fn a_tenant_has_one_share_of_a_lane_whatever_it_sends_to() {
        let ids = Ids::new(clock::Clock::system());
        let organization: OrganizationId = ids.next();
        for _ in 0..2 {
            let job =
                DeliveryJob::again(organization, ids.next(), store::delivery_id(ids.next(), ids.next()));
            let message = message(&job, Duration::ZERO).unwrap();
            assert_eq!(message.group, Some(organization.to_string()));
        }
    }
}
