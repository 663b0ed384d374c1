//! Fan-out: from the outbox to the queues.
//!
//! The stream of the `activity` table brings new events; for each endpoint that wants one, a job is queued. Nothing is
//! written: the delivery's item comes with its first attempt. A batch may come twice and may have broken off anywhere: a
//! delivery's id follows from event and endpoint, so two jobs for one are two looks at one item, of which one is in vain.
//!
//! The same stream brings mails, whose text is sealed: they are put on the queue of mails as they are. They go last, as
//! nothing makes a mail that is queued twice one mail.
//!
//! What is broken for good (an event, a mail, or a tenant's endpoint that cannot be read) is parked in the faults queue, which
//! is alarmed, and does not hold up what comes after it. Any other failure is an outage: it fails the batch from its
//! first record, and the stream holds it until the store or the queue is back.

mod parking;
mod plan;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use ids::OrganizationId;
use jobs::{DeliveryJob, FirstLane, QueueError, SlowLane};
use mailing::MailQueue;
use runtime::{Services, StartError};
use store::{BoxError, Endpoint, NewDelivery, Outboxed, Store, StoreError};

use crate::parking::Parking;

/// As long as a mail is kept.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a batch could not be fanned out.
#[derive(Debug, thiserror::Error)]
pub enum FanOutError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The queue failed.
    #[error("the queue failed")]
    Queue(#[from] QueueError),
    /// The queue of mails failed.
    #[error("the queue of mails failed")]
    Mails(#[from] mailing::QueueError),
    /// What is broken could not be parked.
    #[error("a broken event could not be parked")]
    Park(#[source] BoxError),
}

/// The fan-out.
#[derive(Debug, Clone)]
pub struct FanOut {
    store: Store,
    queue: FirstLane,
    mails: MailQueue,
    faults: Parking,
    clock: clock::Clock,
}

/// Builds the fan-out from `CORE_TABLE`, `ACTIVITY_TABLE`, `WEBHOOK_JOBS_QUEUE_URL`, `MAIL_QUEUE_URL` and
/// `FANOUT_FAULTS_QUEUE_URL`, and opens the connections.
///
/// # Errors
/// [`StartError`] when a variable is missing.
pub async fn handler(services: &Services) -> Result<FanOut, StartError> {
    let store = Store::from_environment(&services.environment, services.aws.dynamodb.clone())?;
    let queue = FirstLane::from_services(services)?;
    let mails = MailQueue::from_services(services)?;
    let faults = Parking::from_services(services)?;
    store.warm_up().await;
    Ok(FanOut { store, queue, mails, faults, clock: services.clock.clone() })
}

impl FanOut {
    /// Fans a batch out. The answer names the record from which the stream is to be read again, if any.
    pub async fn handle(&self, batch: Event) -> DynamoDbEventResponse {
        let first = batch.records.first().and_then(|record| record.change.sequence_number.clone());
        let mut answer = DynamoDbEventResponse::default();
        if let Err(error) = self.fan_out(batch.records).await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(error = %error, cause, "a batch will be tried again");
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = first;
            answer.batch_item_failures.push(failure);
        }
        answer
    }

    async fn fan_out(&self, records: Vec<EventRecord>) -> Result<(), FanOutError> {
        let mut endpoints: HashMap<OrganizationId, Option<Vec<Endpoint>>> = HashMap::new();
        let (mut jobs, mut mails) = (Vec::new(), Vec::new());
        let now = self.clock.now();
        for record in records {
            let keys = format!("{:?}", record.change.keys);
            let event = match Outboxed::from_image(record.change.new_image) {
                Ok(Outboxed::Event(event)) => event,
                Ok(Outboxed::Mail(mail)) => {
                    mails.push(mail);
                    continue;
                }
                Err(error) => {
                    self.faults.park(&keys, &error).await.map_err(FanOutError::Park)?;
                    continue;
                }
            };
            let organization = event.organization_id;
            if let Entry::Vacant(unknown) = endpoints.entry(organization) {
                unknown.insert(match self.store.tenant_of_job(organization).all_endpoints().await {
                    Ok(known) => Some(known),
                    Err(error @ StoreError::Unavailable { .. }) => return Err(error.into()),
                    Err(error) => {
                        tracing::error!(error = %error, "a tenant's endpoints cannot be read");
                        None
                    }
                });
            }
            match endpoints.get(&organization) {
                Some(Some(known)) => {
                    let wanting = known.iter().filter(|endpoint| plan::wants(endpoint, &event));
                    let delivery = |endpoint: &Endpoint| NewDelivery::of(&event, endpoint.id, now);
                    jobs.extend(wanting.map(|endpoint| DeliveryJob::first(&event, delivery(endpoint))));
                }
                _ => {
                    let error = "the endpoints of its tenant cannot be read";
                    self.faults.park(&keys, &error).await.map_err(FanOutError::Park)?;
                }
            }
        }
        self.queue.send(&jobs).await?;
        self.mails.forward(mails).await?;
        Ok(())
    }

    /// Queues a job for every delivery that waits, and tells how many. For a queue whose jobs were lost; those of first
    /// tries come again with the stream.
    ///
    /// # Errors
    /// [`FanOutError`]; calling it again is safe.
    pub async fn requeue_waiting(&self, lane: &SlowLane) -> Result<usize, FanOutError> {
        let waiting = self.store.everything_waiting().await?;
        let again = |(organization, endpoint, delivery)| {
            (DeliveryJob::again(organization, endpoint, delivery), Duration::ZERO)
        };
        let jobs: Vec<_> = waiting.into_iter().map(again).collect();
        lane.send(&jobs).await?;
        Ok(jobs.len())
    }

    /// Queues every mail again that was written in the last day, sent or not, and tells how many. For a queue whose jobs
    /// were lost together with what became of them.
    ///
    /// # Errors
    /// [`FanOutError`].
    pub async fn requeue_mails(&self) -> Result<usize, FanOutError> {
        let since = self.clock.now() - DAY;
        let mails = self.store.mails_since(since).await?;
        let count = mails.len();
        self.mails.forward(mails).await?;
        Ok(count)
    }
}
