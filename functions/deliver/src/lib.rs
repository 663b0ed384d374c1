//! Delivery: from the queues to the receivers.
//!
//! Each job of a batch is worked on by itself, side by side with the others; a panic in one is that one's failure. The
//! endpoints of a batch, and how they do, are read at once at its front: what was deleted or disabled before is not sent to.
//! A job is then
//!
//! * **admitted** or put off (`admit`): what its endpoint can't take now waits in the table and burns no attempt;
//! * **claimed**: a lease and a fencing token on the delivery's item, so that of all who have this job one sends;
//! * **attempted**: signed, sent, judged;
//! * **settled** under the token: success, the next attempt, or a dead letter.
//!
//! What is to happen within a minute or so is left to the slow lane's queue (message visibility, a delay); what lies further
//! ahead only stands in the table, and the sweep brings it back. A fault of ours leaves the job as it is: it comes back after
//! some seconds if the store may be well again by then, else when its visibility runs out, and ends, after many receives, in a
//! faults queue, which is alarmed and has nothing to do with the dead letters customers see.
//!
//! What was sent is counted for people to see (`store::Sending`): remembered, and written once a minute and endpoint at the end
//! of a batch.
//!
//! This function may read endpoints and write what is its own: deliveries, how endpoints do, what was sent, notices. It changes nothing of a
//! tenant's, and disables nothing.

mod admit;
mod attempt;
mod schedule;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use clock::Timestamp;
use egress::{Policy, Sender};
use futures::FutureExt as _;
use futures::future::join_all;
use ids::{EndpointId, Ids, OrganizationId};
use jobs::{DeliveryJob, FirstLane, FirstTry, QueueError, SlowLane};
use runtime::{Services, StartError};
use sealing::{MasterSecret, Purpose};
use store::{
    BoxError, Claim, Delivery, DeliveryStatus, Endpoint, EndpointNotice, LastError, NotedFailure, NoticeType,
    Sending, Settlement, Slot, Store, StoreError, Tenant, Watched,
};
use telemetry::metrics::Metrics;

use crate::admit::{Admission, Lane, SLOW_AFTER, SLOW_FOR, admit};
use crate::attempt::{Made, Verdict};

/// What is due within this time is left to the queue; what is due later, to the sweep.
const SHORT: Duration = Duration::from_secs(75);
/// The longest pause that is waited out in the slow lane. What is received there is in flight until it is settled, and a queue
/// has room for so much; what the first lane hands on is not, until its delay is over.
const SHORT_IN_SLOW_LANE: Duration = Duration::from_secs(5);
/// When the sweep sees to what was left to the queue and did not come.
const SAFETY: Duration = Duration::from_secs(5 * 60);
/// The sweep leaves an endpoint alone to which nothing has happened for five minutes; what is to wait for one that comes near
/// that flags it again, so that the two cannot miss each other.
const FLAG_AGAIN: Duration = Duration::from_secs(3 * 60);
/// How long a claim outlives the time that an attempt may take: four calls of the store, of up to 8 s each, lie within it.
const LEASE_MARGIN: Duration = Duration::from_secs(35);
/// A process that is woken so much later than it wanted to be is short of processor time.
const LATE: Duration = Duration::from_millis(50);
/// A job that was received so often without being admitted gives its place on the queue up, and waits in the table.
const PATIENCE: u32 = 12;
/// A job that met a fault of the store that passes comes back after so long, twice as long each further time, up to the
/// queue's visibility: an outage of hours does not use its receives up.
const AFTER_FAULT: Duration = Duration::from_secs(5);
const VISIBILITY: Duration = Duration::from_secs(360);

/// Why a delivery is cancelled that outlived its event.
const PAST_RETENTION: &str = "its event is past its retention";

/// Works on jobs. Cheap to clone.
#[derive(Clone)]
pub struct Deliver(Arc<Shared>);

struct Shared {
    store: Store,
    first_lane: FirstLane,
    slow_lane: SlowLane,
    sender: Sender,
    secrets: sealing::Key,
    retry_base: Duration,
    clock: clock::Clock,
    ids: Ids,
}

impl std::fmt::Debug for Deliver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Deliver")
    }
}

/// Builds the function from `CORE_TABLE`, `ACTIVITY_TABLE`, `WEBHOOK_JOBS_QUEUE_URL`, `WEBHOOK_RETRIES_QUEUE_URL`,
/// `WEBHOOK_SECRET_ID`, `WEBHOOK_RETRY_BASE_SECONDS` (60), `WEBHOOK_ALLOW_LOOPBACK` (false) and `DNS_RESOLVER`.
///
/// # Errors
/// [`StartError`] when a variable or the secret is missing.
pub async fn handler(services: &Services) -> Result<Deliver, StartError> {
    let environment = &services.environment;
    let store = Store::from_environment(environment, services.aws.dynamodb.clone())?;
    let (secret, ()) = tokio::join!(services.secret("WEBHOOK_SECRET_ID"), store.warm_up());
    let secrets = MasterSecret::new(secret?)
        .sealing_key(Purpose::WebhookSecrets)
        .map_err(|e| StartError::Client { what: "webhook secret key", source: Box::new(e) })?;
    let policy = Policy { allow_loopback: environment.parsed("WEBHOOK_ALLOW_LOOPBACK", false)? };
    let sender = Sender::with_dns(policy, environment.optional("DNS_RESOLVER"))
        .map_err(|source| StartError::Client { what: "webhook sender", source })?;
    Ok(Deliver(Arc::new(Shared {
        store,
        first_lane: FirstLane::from_services(services)?,
        slow_lane: SlowLane::from_services(services)?,
        sender,
        secrets,
        retry_base: Duration::from_secs(environment.parsed("WEBHOOK_RETRY_BASE_SECONDS", 60)?),
        clock: services.clock.clone(),
        ids: services.ids.clone(),
    })))
}

/// What becomes of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is taken off the queue.
    Done,
    /// It comes back at that time.
    Until(Timestamp),
}

/// A fault of ours: the job stays on the queue as it is.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the job cannot be read")]
    Job(#[source] serde_json::Error),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the endpoints of a batch could not be read")]
    Endpoints(#[source] Arc<StoreError>),
    #[error("the endpoint's secret cannot be opened")]
    Secret(#[source] BoxError),
    #[error("the job could not be hidden")]
    Hide(#[source] BoxError),
    #[error("the job could not be passed on to the slow lane")]
    PassOn(#[from] QueueError),
    #[error("it panicked")]
    Panic,
}

impl Fault {
    /// Whether it may be over in a moment.
    fn is_passing(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Unavailable { .. }),
            Self::Endpoints(error) => matches!(**error, StoreError::Unavailable { .. }),
            _ => false,
        }
    }
}

/// A job, where it came from, and what is known of its endpoint.
struct Work<'a> {
    job: &'a DeliveryJob,
    lane: Lane,
    /// How often it was received, this time included.
    receives: u32,
    tenant: Tenant,
    watched: &'a Watched,
    /// When that was read.
    read_at: Timestamp,
    /// Whether a success is to be noted of the endpoint.
    awaits_success: &'a AtomicBool,
}

/// An endpoint, as a batch found it.
struct Known {
    watched: Result<Watched, Arc<StoreError>>,
    read_at: Timestamp,
    /// Whether a success is news: by what was read, or as a job of the batch has failed. It is noted once.
    awaits_success: AtomicBool,
}

type Endpoints = BTreeMap<(OrganizationId, EndpointId), Known>;

impl Deliver {
    /// Works on a batch. The answer names the jobs that stay on the queue.
    pub async fn handle(&self, batch: SqsEvent) -> SqsBatchResponse {
        let jobs: Vec<_> = batch.records.iter().map(|message| (message, read(message))).collect();
        let endpoints = self.endpoints(jobs.iter().filter_map(|(_, job)| job.as_ref().ok())).await;
        let fates = join_all(jobs.iter().map(|(message, job)| async {
            let Ok(job) = job else { return (*message, None) };
            let work = AssertUnwindSafe(self.work(message, job, &endpoints)).catch_unwind().await;
            let fate = work.unwrap_or(Err(Fault::Panic));
            if fate.as_ref().is_err_and(Fault::is_passing) {
                self.show_again(message).await;
            }
            (*message, Some(fate))
        }))
        .await;
        self.0.store.write_sent(self.0.clock.now()).await;
        let unreadable = jobs.into_iter().filter_map(|(_, job)| job.err());
        let mut unreadable = unreadable.map(Fault::Job);
        let mut answer = SqsBatchResponse::default();
        for (message, fate) in fates {
            match fate {
                Some(Ok(Fate::Done)) => continue,
                Some(Ok(Fate::Until(_))) => {}
                Some(Err(fault)) => report(message, &fault),
                None => report(message, &unreadable.next().unwrap_or(Fault::Panic)),
            }
            answer.add_failure(message.message_id.clone().unwrap_or_default());
        }
        answer
    }

    /// Has a job come back soon that met a fault that passes.
    async fn show_again(&self, message: &SqsMessage) {
        let doublings = receives(message).saturating_sub(1).min(10);
        let seed = message.message_id.as_deref().unwrap_or_default();
        let wait = schedule::scattered(AFTER_FAULT.saturating_mul(1 << doublings), seed);
        if wait < VISIBILITY
            && let Err(fault) = self.hide(message, self.lane(message), self.0.clock.now() + wait).await
        {
            tracing::warn!(error = telemetry::chain(&fault), "a job comes back when its visibility runs out");
        }
    }

    /// The lane a job came by.
    fn lane(&self, message: &SqsMessage) -> Lane {
        let slow = message.event_source_arn.as_deref().is_some_and(|arn| self.0.slow_lane.is_source(arn));
        if slow { Lane::Slow } else { Lane::First }
    }

    /// The endpoints of these jobs, and how they do: one batch read. One that is malformed, or throttled, is the fault of its
    /// own jobs only.
    async fn endpoints(&self, jobs: impl Iterator<Item = &DeliveryJob>) -> Endpoints {
        let Shared { store, clock, .. } = &*self.0;
        let mut wanted: Vec<_> = jobs.map(|job| (job.organization_id, job.endpoint_id)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let read_at = clock.now();
        let known = |watched: Result<Watched, Arc<StoreError>>| {
            let news = watched.as_ref().is_ok_and(|watched| watched.state.awaits_success());
            Known { watched, read_at, awaits_success: AtomicBool::new(news) }
        };
        match store.watched(&wanted, read_at).await {
            Ok(found) => {
                wanted.into_iter().zip(found.into_iter().map(|one| known(one.map_err(Arc::new)))).collect()
            }
            Err(error) => {
                let error = Arc::new(error);
                wanted.into_iter().map(|key| (key, known(Err(Arc::clone(&error))))).collect()
            }
        }
    }

    async fn work(
        &self,
        message: &SqsMessage,
        job: &DeliveryJob,
        endpoints: &Endpoints,
    ) -> Result<Fate, Fault> {
        let known = endpoints.get(&(job.organization_id, job.endpoint_id)).ok_or(Fault::Panic)?;
        let work = Work {
            job,
            lane: self.lane(message),
            receives: receives(message),
            tenant: self.0.store.tenant_of_job(job.organization_id),
            watched: known.watched.as_ref().map_err(|error| Fault::Endpoints(Arc::clone(error)))?,
            read_at: known.read_at,
            awaits_success: &known.awaits_success,
        };
        let fate = self.deliver(&work).await?;
        if let Fate::Until(due) = fate {
            self.hide(message, work.lane, due).await?;
        }
        Ok(fate)
    }

    async fn deliver(&self, work: &Work<'_>) -> Result<Fate, Fault> {
        let now = self.0.clock.now();
        match admit(work.watched, work.lane, now) {
            Admission::Never(reason) => self.cancel(work, reason, now).await,
            // A short pause is left to the queue; an open breaker may last, and holds all that comes meanwhile.
            Admission::NotBefore(until)
                if until.since(now) <= short_in(work.lane) && work.watched.state.opened == 0 =>
            {
                self.put_off(work, until.since(now), now).await
            }
            Admission::NotBefore(until) => self.wait(work, until, now).await,
            Admission::BySlowLane => self.pass_on(work.job.clone(), Duration::ZERO).await,
            Admission::Now { endpoint, needs_probe, needs_slot, rate } => {
                let lease = Duration::from_secs(u64::from(endpoint.timeout_seconds)) + LEASE_MARGIN;
                let state = &work.watched.state;
                if let Some(rate) = rate {
                    // What there is nothing to send of takes no turn of others.
                    if let Some(fate) = self.settled(work, now).await? {
                        return Ok(fate);
                    }
                    if let Some(until) = work.tenant.take_rate(state, rate, now).await? {
                        return self.put_off(work, until.since(now), now).await;
                    }
                }
                if !needs_slot {
                    return self.claim_and_attempt(work, endpoint, lease, needs_probe).await;
                }
                match work.tenant.take_slot(state, lease, now).await? {
                    Slot::None => self.put_off(work, Duration::from_secs(1), now).await,
                    Slot::Taken(slot, until) => {
                        let fate = self.claim_and_attempt(work, endpoint, lease, needs_probe).await;
                        // If this fails, its lease gives the slot back.
                        let _ = work.tenant.give_slot_back(endpoint.id, slot, until).await;
                        fate
                    }
                }
            }
        }
    }

    /// Others are in the way just now: the job comes back a little later, and waits in the table once that has happened often.
    async fn put_off(&self, work: &Work<'_>, by: Duration, now: Timestamp) -> Result<Fate, Fault> {
        let spread = Duration::from_secs(u64::from(work.receives.min(10)));
        let by = by + schedule::jittered(spread / 2, work.job.delivery_id, work.receives);
        if work.receives > PATIENCE {
            return self.wait(work, now + by.max(Duration::from_secs(30)), now).await;
        }
        match work.lane {
            Lane::First => self.pass_on(work.job.clone(), by).await,
            Lane::Slow => Ok(Fate::Until(now + by)),
        }
    }

    /// The job goes on by the slow lane.
    async fn pass_on(&self, job: DeliveryJob, after: Duration) -> Result<Fate, Fault> {
        self.0.slow_lane.send(&[(job, after)]).await?;
        Ok(Fate::Done)
    }

    /// The delivery waits in the table until then, and the sweep brings it back.
    async fn wait(&self, work: &Work<'_>, until: Timestamp, now: Timestamp) -> Result<Fate, Fault> {
        let (tenant, job, state) = (&work.tenant, work.job, &work.watched.state);
        if !state.has_attention() || now.since(state.updated_at) >= FLAG_AGAIN {
            tenant.flag_endpoint(job.endpoint_id, now).await?;
        }
        let waits = match &job.first {
            Some(FirstTry { delivery, .. }) => tenant.wait_new(delivery, until, now).await?.is_none(),
            None => false,
        };
        if waits || tenant.wait(job.delivery_id, job.endpoint_id, until, now).await? {
            return Ok(Fate::Done);
        }
        self.look(work, now).await
    }

    async fn cancel(&self, work: &Work<'_>, reason: &str, now: Timestamp) -> Result<Fate, Fault> {
        let (tenant, job) = (&work.tenant, work.job);
        let cancelled = match &job.first {
            Some(FirstTry { delivery, .. }) => tenant.cancel_new(delivery, reason, now).await?.is_none(),
            None => false,
        };
        if cancelled || tenant.cancel(job.delivery_id, reason, now).await? {
            return Ok(Fate::Done);
        }
        self.look(work, now).await
    }

    /// What becomes of a job whose delivery can't be changed: it is settled, or somebody has it.
    async fn look(&self, work: &Work<'_>, now: Timestamp) -> Result<Fate, Fault> {
        let Some(delivery) = work.tenant.delivery(work.job.delivery_id).await? else { return Ok(Fate::Done) };
        let fate = self.settled_as(work, &delivery, now).await?;
        Ok(fate.unwrap_or(Fate::Until(now + Duration::from_secs(1))))
    }

    /// What becomes of a job of which there is nothing to be sent now, if that is so.
    async fn settled(&self, work: &Work<'_>, now: Timestamp) -> Result<Option<Fate>, Fault> {
        match work.tenant.delivery(work.job.delivery_id).await? {
            Some(delivery) => self.settled_as(work, &delivery, now).await,
            None => Ok(work.job.first.is_none().then_some(Fate::Done)),
        }
    }

    async fn settled_as(
        &self,
        work: &Work<'_>,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<Option<Fate>, Fault> {
        let Some(obstacle) = Claim::obstacle(delivery, now) else { return Ok(None) };
        if delivery.status == DeliveryStatus::Dead {
            // Whoever settled it may not have come to this.
            self.give_up(&work.tenant, delivery).await?;
        }
        Ok(Some(fate_of(&obstacle, now)))
    }

    async fn claim_and_attempt(
        &self,
        work: &Work<'_>,
        endpoint: &Endpoint,
        lease: Duration,
        needs_probe: bool,
    ) -> Result<Fate, Fault> {
        let now = self.0.clock.now();
        let mut probe = None;
        if needs_probe {
            probe = work.tenant.take_probe(endpoint.id, lease, now).await?;
            if probe.is_none() {
                return self.wait(work, now + lease, now).await;
            }
        }
        let claim = match &work.job.first {
            Some(first) => work.tenant.claim_new(&first.delivery, lease, now).await?,
            None => work.tenant.claim(work.job.delivery_id, lease, now).await?,
        };
        let fate = match claim {
            Claim::Held(delivery) => match self.body(work, &delivery).await? {
                Some(body) => return self.attempt(work, endpoint, &delivery, &body).await,
                None if work.tenant.cancel_claimed(&delivery, PAST_RETENTION, now).await? => Fate::Done,
                None => self.look(work, now).await?,
            },
            Claim::Settled(DeliveryStatus::Dead) => self.look(work, now).await?,
            obstacle => fate_of(&obstacle, now),
        };
        if let Some(until) = probe {
            work.tenant.give_probe_back(endpoint.id, until, now).await?;
        }
        Ok(fate)
    }

    /// What is to be sent; `None` when it is gone.
    async fn body(&self, work: &Work<'_>, delivery: &Delivery) -> Result<Option<Arc<str>>, Fault> {
        if let Some(first) = &work.job.first {
            return Ok(Some(Arc::clone(&first.body)));
        }
        Ok(work.tenant.event(delivery.event_id).await?.map(|event| event.body.into()))
    }

    async fn attempt(
        &self,
        work: &Work<'_>,
        endpoint: &Endpoint,
        delivery: &Delivery,
        body: &str,
    ) -> Result<Fate, Fault> {
        let Shared { retry_base, clock, .. } = &*self.0;
        let made = self.send(work, endpoint, delivery, body).await?;
        let (now, number) = (clock.now(), made.attempt.number);
        let retries = number.saturating_sub(delivery.begun_at_attempt + 1);
        let settlement = match made.verdict {
            Verdict::Delivered => Settlement::Succeeded,
            Verdict::Gone => Settlement::Dead,
            Verdict::Failed { .. } if retries >= endpoint.max_retries => Settlement::Dead,
            Verdict::Failed { retry_after } => {
                let wait = schedule::delay(*retry_base, delivery.id, retries + 1, retry_after);
                let due = now + wait;
                Settlement::Retry { due, look_at: if wait > SHORT { due } else { due + SAFETY } }
            }
        };
        if settlement != Settlement::Succeeded {
            // Before the delivery is settled: what waits is known to the sweep before it waits.
            self.note_failure(work, delivery, &made, settlement, now).await?;
        }
        let recorded = work.tenant.settle(delivery, &made.attempt, settlement, now).await?;
        tracing::info!(
            request_id = delivery.request_id,
            delivery.id = %delivery.id,
            endpoint.id = %endpoint.id,
            attempt = number,
            status = made.attempt.response_status,
            error = ?made.attempt.error,
            duration_ms = made.attempt.duration_ms,
            settlement = ?settlement,
            recorded,
            "attempted"
        );
        measure(delivery, &made, settlement, recorded, now);
        let is_dead = recorded && settlement == Settlement::Dead;
        let taken = if settlement == Settlement::Succeeded { Sending::Succeeded } else { Sending::Failed };
        for sending in [taken].into_iter().chain(is_dead.then_some(Sending::DeadLetter)) {
            work.tenant.count_sent(endpoint, delivery, sending, now);
        }
        if settlement == Settlement::Succeeded {
            self.note_success(work, now).await;
        }
        if !recorded {
            // The lease was not long enough, and somebody else has the delivery now.
            return self.look(work, now).await;
        }
        match settlement {
            Settlement::Succeeded => Ok(Fate::Done),
            Settlement::Dead => {
                let settled = Delivery { attempt_count: number, updated_at: now, ..delivery.clone() };
                self.give_up(&work.tenant, &settled).await?;
                Ok(Fate::Done)
            }
            Settlement::Retry { due, .. } if due.since(now) > SHORT => Ok(Fate::Done),
            Settlement::Retry { due, .. } if work.lane == Lane::Slow => Ok(Fate::Until(due)),
            Settlement::Retry { due, .. } => {
                let job = DeliveryJob::again(work.job.organization_id, endpoint.id, delivery.id);
                self.pass_on(job, due.since(now)).await
            }
        }
    }

    /// Makes the attempt. An endpoint that takes its time is noted as slow while it does, so that others find out before this
    /// attempt is over.
    async fn send(
        &self,
        work: &Work<'_>,
        endpoint: &Endpoint,
        delivery: &Delivery,
        body: &str,
    ) -> Result<Made, Fault> {
        let Shared { sender, secrets, clock, ids, .. } = &*self.0;
        let signed = attempt::Signed::new(secrets, work.job.organization_id, endpoint, clock.now())?;
        let number = delivery.attempt_count + 1;
        let making = attempt::make(sender, &signed, endpoint, delivery, body, number, clock, ids);
        let mut making = std::pin::pin!(making);
        loop {
            let since = Instant::now();
            if let Ok(made) = tokio::time::timeout(SLOW_AFTER, &mut making).await {
                return Ok(made);
            }
            // Who wakes late is too busy itself to tell whether others are slow.
            if since.elapsed() < SLOW_AFTER + LATE {
                break;
            }
        }
        let now = clock.now();
        let known_until = work.watched.state.slow_until.unwrap_or(now);
        if known_until.since(now) < SLOW_FOR / 2
            && let Err(error) = work.tenant.note_slow(endpoint.id, now + SLOW_FOR, now).await
        {
            tracing::warn!(error = telemetry::chain(&error), "an endpoint could not be noted as slow");
        }
        Ok(making.await)
    }

    /// Notes that an endpoint took a webhook, if that is news. If that fails, the next success is news still.
    async fn note_success(&self, work: &Work<'_>, now: Timestamp) {
        if !work.awaits_success.swap(false, Ordering::Relaxed) {
            return;
        }
        let endpoint = work.job.endpoint_id;
        if let Err(error) = work.tenant.note_recovery(endpoint, work.read_at, now).await {
            work.awaits_success.store(true, Ordering::Relaxed);
            tracing::error!(error = telemetry::chain(&error), endpoint.id = %endpoint, "a recovery could not be noted");
        }
    }

    /// Notes what a failed attempt says of its endpoint.
    async fn note_failure(
        &self,
        work: &Work<'_>,
        delivery: &Delivery,
        made: &Made,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let state = &work.watched.state;
        let asked_for = match made.verdict {
            Verdict::Failed { retry_after: Some(wait) } => Some(now + wait.min(schedule::LONGEST)),
            _ => None,
        };
        let since = state.failing_since.unwrap_or(now);
        let opens = admit::opens(state.failures + 1, since, state.opened, delivery.id, now);
        let failure = NotedFailure {
            read_at: work.read_at,
            error: LastError {
                at: now,
                error: made.attempt.error.unwrap_or(store::ErrorClass::Protocol),
                response_status: made.attempt.response_status,
                delivery_id: delivery.id,
            },
            not_before: asked_for.max(opens.map(|(until, _)| until)),
            opens: opens.map(|(_, times)| times),
            gone: made.verdict == Verdict::Gone,
            exhausted: settlement == Settlement::Dead,
        };
        let noted = work.tenant.note_failure(state.endpoint_id, &failure, now).await;
        work.awaits_success.store(true, Ordering::Relaxed);
        let Some(noted) = noted? else { return Ok(()) };
        // Others may have failed since it was looked at: the tenth opens the breaker, whoever counted the nine before.
        if failure.opens.is_none()
            && noted.opened == 0
            && let since = noted.failing_since.unwrap_or(now)
            && let Some((until, _)) = admit::opens(noted.failures, since, 0, delivery.id, now)
        {
            let until = noted.not_before.map_or(until, |asked_for| asked_for.max(until));
            work.tenant.open_breaker(state.endpoint_id, until, now).await?;
        }
        Ok(())
    }

    /// Tells the customer of a dead letter: once for each time that a delivery becomes one, however often it is told.
    async fn give_up(&self, tenant: &Tenant, dead: &Delivery) -> Result<(), Fault> {
        let notice = EndpointNotice {
            id: store::notice_id(dead.updated_at, *dead.id.as_bytes()),
            r#type: NoticeType::DeliveryExhausted,
            endpoint_id: dead.endpoint_id,
            delivery_id: Some(dead.id),
            detail: format!("{} was not taken; attempts made: {}", dead.event, dead.attempt_count),
            created_at: dead.updated_at,
        };
        Ok(tenant.give_notice(&notice).await?)
    }

    /// Hides a job until `due`. A visibility that runs out early is harmless: the delivery says when it is due.
    async fn hide(&self, message: &SqsMessage, lane: Lane, due: Timestamp) -> Result<(), Fault> {
        let Shared { first_lane, slow_lane, clock, .. } = &*self.0;
        let (handle, wait) = (message.receipt_handle.clone(), due.since(clock.now()));
        let hidden = match lane {
            Lane::First => first_lane.hide(handle, wait).await,
            Lane::Slow => slow_lane.hide(handle, wait).await,
        };
        hidden.map_err(Fault::Hide)
    }
}

/// The longest pause that is left to the queue by which a job came.
fn short_in(lane: Lane) -> Duration {
    match lane {
        Lane::First => SHORT,
        Lane::Slow => SHORT_IN_SLOW_LANE,
    }
}

fn read(message: &SqsMessage) -> Result<DeliveryJob, serde_json::Error> {
    serde_json::from_str(message.body.as_deref().unwrap_or_default())
}

/// How often a job was received, this time included.
fn receives(message: &SqsMessage) -> u32 {
    let count = message.attributes.get("ApproximateReceiveCount");
    count.and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// What becomes of a job whose delivery can't be claimed. What is due later waits in the table.
fn fate_of(obstacle: &Claim, now: Timestamp) -> Fate {
    match obstacle {
        Claim::Busy(until) => Fate::Until(*until),
        Claim::NotDue(due) if due.since(now) <= SHORT => Fate::Until(*due),
        Claim::NotDue(_) | Claim::Settled(_) | Claim::Missing | Claim::Held(_) => Fate::Done,
    }
}

/// Publishes what an attempt was and what it led to; and of a webhook that was taken, how long after its event. That counts the
/// time it waited, on a queue or in the table, but not where somebody began it anew, which may be months later.
fn measure(delivery: &Delivery, made: &Made, settlement: Settlement, recorded: bool, now: Timestamp) {
    let is_taken = settlement == Settlement::Succeeded;
    let mut metrics = Metrics::new()
        .count("Attempts", 1)
        .count("FailedAttempts", usize::from(!is_taken))
        .count("DeadLetters", usize::from(recorded && settlement == Settlement::Dead))
        .milliseconds("AttemptDuration", made.attempt.duration_ms);
    if is_taken && delivery.begun_at_attempt == 0 && delivery.replay_id.is_none() {
        let latency = now.since(delivery.event_id.time()).as_millis();
        metrics = metrics.milliseconds("PublishToReceipt", u64::try_from(latency).unwrap_or(u64::MAX));
    }
    if let Some(request_id) = &delivery.request_id {
        metrics = metrics.with("request_id", request_id);
    }
    metrics.with("delivery_id", delivery.id).publish();
}

/// Logs a fault with its causes, once.
fn report(message: &SqsMessage, fault: &Fault) {
    let error = telemetry::chain(fault);
    tracing::error!(message.id = message.message_id, error, "a job stays on the queue");
}
