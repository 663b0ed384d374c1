//! Fan-out: from the outbox to the queues.
//!
//! The stream of the `activity` table brings new events; for each endpoint that wants one, a job is queued. Nothing is
//! written: the delivery's item comes with its first attempt. A batch may come twice and may have broken off anywhere: a
//! delivery's id follows from event and endpoint, so two jobs for one are two looks at one item, of which one is in vain.
//!
//! The same stream brings mails, whose text is sealed: they are put on the queue of mails as they are. They go last, as
//! nothing makes a mail that is queued twice one mail.
//!
//! What is broken for good (an event, a mail, or a tenant's endpoint that is malformed; what a queue will never take) is
//! parked in the faults queue, which is alarmed, and does not hold up what comes after it, nor the tenant's other
//! endpoints. Any other failure passes, or is mended: the stream is read again from the first record that it concerns,
//! once the others' events have been queued.

mod parking;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use futures::stream::{self, StreamExt as _};
use ids::OrganizationId;
use jobs::{DeliveryJob, FirstLane, QueueError, SlowLane};
use mailing::MailQueue;
use runtime::{Services, StartError};
use store::{BoxError, Endpoint, NewDelivery, Outboxed, OutgoingMail, Store, StoreError, StoredEvent};
use telemetry::metrics::Metrics;

use crate::parking::Parking;

/// Tenants whose endpoints are read at the same time.
const TENANTS_AT_ONCE: usize = 8;
/// As long as a mail is kept.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a batch could not be fanned out.
#[derive(Debug, thiserror::Error)]
pub enum FanOutError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A tenant's endpoints can't be read just now.
    #[error("a tenant's endpoints cannot be read just now")]
    Endpoints(#[source] Arc<StoreError>),
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

/// An event of a batch, and which record it came by.
struct Fresh {
    record: usize,
    event: StoredEvent,
    body: Arc<str>,
}

/// A tenant's endpoints, as far as they can be read.
#[derive(Debug)]
struct Known {
    endpoints: Vec<Endpoint>,
    /// There are others that can't be: they are malformed.
    unreadable: bool,
}

type Endpoints = BTreeMap<OrganizationId, Result<Known, Arc<StoreError>>>;

/// What became of a batch.
#[derive(Debug, Default)]
struct Outcome {
    /// The first record that has to come again, and why. What comes after it comes again, too.
    again: Option<(usize, FanOutError)>,
    /// Records that are broken for good, and how.
    broken: BTreeMap<usize, String>,
}

impl Outcome {
    fn again(&mut self, record: usize, error: FanOutError) {
        if self.is_through_with(record) {
            self.again = Some((record, error));
        }
    }

    /// Whether a record does not come again.
    fn is_through_with(&self, record: usize) -> bool {
        self.again.as_ref().is_none_or(|(first, _)| record < *first)
    }
}

impl Known {
    fn of(read: Vec<Result<Endpoint, StoreError>>) -> Self {
        let mut known = Self { endpoints: Vec::with_capacity(read.len()), unreadable: false };
        for endpoint in read {
            match endpoint {
                Ok(endpoint) => known.endpoints.push(endpoint),
                Err(error) => {
                    tracing::error!(error = telemetry::chain(&error), "an endpoint cannot be read");
                    known.unreadable = true;
                }
            }
        }
        known
    }
}

impl FanOut {
    /// Fans a batch out. The answer names the record from which the stream is to be read again, if any.
    pub async fn handle(&self, batch: Event) -> DynamoDbEventResponse {
        let numbers: Vec<_> =
            batch.records.iter().map(|record| record.change.sequence_number.clone()).collect();
        let mut answer = DynamoDbEventResponse::default();
        if let Some((first, error)) = self.fan_out(batch.records).await.again {
            let error = telemetry::chain(&error);
            tracing::warn!(error, record = first, of = numbers.len(), "a batch will be tried again");
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = numbers.into_iter().nth(first).flatten();
            answer.batch_item_failures.push(failure);
        }
        answer
    }

    async fn fan_out(&self, records: Vec<EventRecord>) -> Outcome {
        let mut outcome = Outcome::default();
        let keys: Vec<_> = records.iter().map(|record| format!("{:?}", record.change.keys)).collect();
        let (mut events, mut mails) = (Vec::new(), Vec::new());
        for (record, image) in records.into_iter().map(|record| record.change.new_image).enumerate() {
            match Outboxed::from_image(image) {
                Ok(Outboxed::Event(mut event)) => {
                    let body = std::mem::take(&mut event.body).into();
                    events.push(Fresh { record, event, body });
                }
                Ok(Outboxed::Mail(mail)) => mails.push((record, mail)),
                Err(error) => drop(outcome.broken.insert(record, error.to_string())),
            }
        }
        self.queue_jobs(&events, &mut outcome).await;
        self.park(&keys, &mut outcome).await;
        self.forward(mails, &keys, &mut outcome).await;
        outcome
    }

    /// Queues a job for each endpoint that wants an event, of all tenants whose endpoints can be read.
    async fn queue_jobs(&self, events: &[Fresh], outcome: &mut Outcome) {
        let endpoints = self.endpoints(events).await;
        let now = self.clock.now();
        let mut wanted = Vec::new();
        for fresh in events {
            match endpoints.get(&fresh.event.organization_id) {
                Some(Ok(known)) => {
                    if known.unreadable {
                        let error = "an endpoint of its tenant cannot be read";
                        outcome.broken.insert(fresh.record, error.to_owned());
                    }
                    let wanting =
                        known.endpoints.iter().filter(|endpoint| plan::wants(endpoint, &fresh.event));
                    wanted.extend(wanting.map(|endpoint| (fresh, endpoint.id)));
                }
                Some(Err(error)) => {
                    outcome.again(fresh.record, FanOutError::Endpoints(Arc::clone(error)));
                }
                None => drop(outcome.broken.insert(fresh.record, "its tenant was not looked up".to_owned())),
            }
        }
        // Jobs of one endpoint side by side: a batch lasts as long as its slowest job, so an endpoint that hangs is to be in few.
        wanted.sort_by_key(|(_, endpoint)| *endpoint);
        let record = |index: usize| wanted.get(index).map_or(0, |(fresh, _)| fresh.record);
        // Made as they are sent: all of a batch's jobs at once could be more than there is memory.
        let mut made = 0..wanted.len();
        let jobs = std::iter::from_fn(|| {
            let (Fresh { event, body, .. }, endpoint) = wanted.get(made.next()?)?;
            let delivery = NewDelivery::of(event, *endpoint, now);
            Some(DeliveryJob::first(event.organization_id, delivery, Arc::clone(body)))
        });
        let sent = self.queue.send(jobs).await;
        if let Some(oldest) = events.iter().map(|fresh| fresh.event.created_at).min() {
            let lag = u64::try_from(self.clock.now().since(oldest).as_millis()).unwrap_or(u64::MAX);
            let metrics = Metrics::new().count("Events", events.len()).milliseconds("FanOutLag", lag);
            metrics.count("Jobs", if sent.is_ok() { wanted.len() } else { 0 }).publish();
        }
        match sent {
            Ok(unsendable) => {
                outcome.broken.extend(unsendable.into_iter().map(|it| (record(it.index), it.to_string())));
            }
            Err(error) => {
                let first = if let QueueError::Refused(refused) = &error { refused.first } else { 0 };
                let unsent = wanted.iter().skip(first).map(|(fresh, _)| fresh.record);
                outcome.again(unsent.min().unwrap_or(0), error.into());
            }
        }
    }

    /// The endpoints of the tenants of these events: one query a tenant.
    async fn endpoints(&self, events: &[Fresh]) -> Endpoints {
        let tenants: BTreeSet<_> = events.iter().map(|fresh| fresh.event.organization_id).collect();
        let read = |organization| async move {
            let read = self.store.tenant_of_job(organization).each_endpoint().await;
            (organization, read.map(Known::of).map_err(Arc::new))
        };
        let reads: Vec<_> = tenants.into_iter().map(read).collect();
        stream::iter(reads).buffer_unordered(TENANTS_AT_ONCE).collect().await
    }

    /// Parks what is broken for good and does not come again.
    async fn park(&self, keys: &[String], outcome: &mut Outcome) {
        for (record, error) in std::mem::take(&mut outcome.broken) {
            if !outcome.is_through_with(record) {
                break;
            }
            let keys = keys.get(record).map(String::as_str).unwrap_or_default();
            if let Err(error) = self.faults.park(keys, &error).await {
                outcome.again(record, FanOutError::Park(error));
            }
        }
    }

    /// Queues the mails that do not come again.
    async fn forward(&self, mails: Vec<(usize, OutgoingMail)>, keys: &[String], outcome: &mut Outcome) {
        let (records, mails): (Vec<_>, Vec<_>) =
            mails.into_iter().filter(|(record, _)| outcome.is_through_with(*record)).unzip();
        let record = |index: usize| records.get(index).copied().unwrap_or(0);
        match self.mails.forward(mails).await {
            Ok(unsendable) => {
                outcome.broken.extend(unsendable.into_iter().map(|it| (record(it.index), it.to_string())));
                self.park(keys, outcome).await;
            }
            Err(error) => {
                let first =
                    if let mailing::QueueError::Refused(refused) = &error { refused.first } else { 0 };
                outcome.again(record(first), error.into());
            }
        }
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
        match self.mails.forward(mails).await?.into_iter().next() {
            None => Ok(count),
            Some(unsendable) => Err(FanOutError::Mails(unsendable.into())),
        }
    }
}
