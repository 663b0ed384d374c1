//! Fan-out: from the outbox to the queue.
//!
//! The stream of the `activity` table brings new events; for each endpoint that wants one, a delivery is created
//! and a job is queued. A batch may come twice and may have broken off anywhere: a delivery's id follows from
//! event and endpoint, creating one that exists changes nothing, and a job for one that is done does nothing.
//!
//! An event that cannot be read is reported alone, so that the stream goes on and the event ends in the faults
//! queue. Any other failure fails the batch from its first record: the stream holds it until the store or the
//! queue is back.

mod plan;

use std::collections::HashMap;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use ids::OrganizationId;
use jobs::{DeliveryJob, JobQueue, QueueError};
use runtime::{Services, StartError};
use store::{Endpoint, NewDelivery, Store, StoreError, StoredEvent};

/// Why a batch could not be fanned out.
#[derive(Debug, thiserror::Error)]
pub enum FanOutError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The queue failed.
    #[error("the queue failed")]
    Queue(#[from] QueueError),
}

/// The fan-out.
#[derive(Debug, Clone)]
pub struct FanOut {
    store: Store,
    queue: JobQueue,
    clock: clock::Clock,
}

/// Builds the fan-out from `CORE_TABLE`, `ACTIVITY_TABLE` and `WEBHOOK_JOBS_QUEUE_URL`, and opens the connections.
///
/// # Errors
/// [`StartError`] when a variable is missing.
pub async fn handler(services: &Services) -> Result<FanOut, StartError> {
    let store = Store::from_environment(&services.environment, services.aws.dynamodb.clone())?;
    let queue = JobQueue::from_services(services)?;
    store.warm_up().await;
    Ok(FanOut { store, queue, clock: services.clock.clone() })
}

impl FanOut {
    /// Fans a batch out. The answer names the record from which the stream is to be read again, if any.
    pub async fn handle(&self, batch: Event) -> DynamoDbEventResponse {
        let first = batch.records.first().and_then(sequence_number);
        let mut unreadable = None;
        let mut events = Vec::with_capacity(batch.records.len());
        for record in batch.records {
            let sequence = sequence_number(&record);
            match StoredEvent::from_image(record.change.new_image) {
                Ok(event) => events.push(event),
                Err(error) => {
                    tracing::error!(error = %error, event_id = record.event_id, "an event cannot be read");
                    // The stream is read again from the earliest failure, so what follows it comes again anyway.
                    unreadable = Some(sequence);
                    break;
                }
            }
        }
        let failure = match self.fan_out(&events).await {
            Ok(()) => unreadable,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(error = %error, cause, events = events.len(), "a batch will be tried again");
                Some(first)
            }
        };
        let mut answer = DynamoDbEventResponse::default();
        answer.batch_item_failures.extend(failure.map(|sequence| {
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = sequence;
            failure
        }));
        answer
    }

    async fn fan_out(&self, events: &[StoredEvent]) -> Result<(), FanOutError> {
        let mut endpoints: HashMap<OrganizationId, Vec<Endpoint>> = HashMap::new();
        let mut deliveries = Vec::new();
        let mut jobs = Vec::new();
        let now = self.clock.now();
        for event in events {
            let organization = event.organization_id;
            let known = match endpoints.entry(organization) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(unknown) => {
                    unknown.insert(self.store.tenant_of_job(organization).all_endpoints().await?)
                }
            };
            for endpoint in known.iter().filter(|endpoint| plan::wants(endpoint, event)) {
                let new = plan::delivery(event, endpoint.id, now);
                jobs.push(DeliveryJob::new(&new, event, true));
                deliveries.push(new);
            }
        }
        self.store.create_deliveries(&deliveries).await?;
        self.queue.send(&jobs).await?;
        Ok(())
    }

    /// Queues a job for every delivery that is still owed, and tells how many. For a queue whose jobs were lost.
    ///
    /// # Errors
    /// [`FanOutError`]; calling it again is safe.
    pub async fn requeue_owed(&self) -> Result<usize, FanOutError> {
        let mut count = 0;
        for (organization, id) in self.store.owed_deliveries().await? {
            // The index may lag behind, and the event may be past its retention.
            let Some(delivery) = self.store.tenant_of_job(organization).delivery(id).await? else { continue };
            let Some(event) = self.store.event(organization, delivery.event_id).await? else { continue };
            if delivery.status.is_owed() {
                let owed = NewDelivery { organization_id: organization, delivery };
                self.queue.send(&[DeliveryJob::new(&owed, &event, false)]).await?;
                count += 1;
            }
        }
        Ok(count)
    }
}

fn sequence_number(record: &EventRecord) -> Option<String> {
    record.change.sequence_number.clone()
}
