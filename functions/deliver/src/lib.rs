//! Delivery: from the queue to the receiver.
//!
//! Each job of a batch is worked on by itself, side by side with the others; a panic in one is that one's failure.
//! A job is done, or it stays on the queue:
//!
//! * after a failed attempt it is hidden until the next one is due (message visibility, never a re-send: Lambda
//!   stops a function that keeps writing to its own queue);
//! * after a fault of ours it is left as it is. It comes back when its visibility runs out and ends, after many
//!   receives, in the faults queue, which is alarmed and has nothing to do with the dead letters customers see.
//!
//! The delivery's item is the truth. An attempt is recorded only if the one before it is the last one recorded, so
//! a job that is received twice can't count one twice.

mod attempt;
mod schedule;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use clock::Timestamp;
use egress::{Policy, Sender};
use futures::FutureExt as _;
use futures::future::join_all;
use ids::Ids;
use jobs::{DeliveryJob, JobQueue};
use runtime::{Services, StartError};
use sealing::{MasterSecret, Purpose};
use store::{BoxError, DeliveryStatus, Endpoint, EndpointStatus, Settlement, Store, StoreError, Tenant};

/// SQS hides a message for twelve hours at most, counted from when it was received; a minute is kept in hand.
const LONGEST_HIDING: Duration = Duration::from_secs(12 * 60 * 60 - 60);

/// Works on jobs. Cheap to clone.
#[derive(Clone)]
pub struct Deliver(Arc<Shared>);

struct Shared {
    store: Store,
    queue: JobQueue,
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

/// Builds the function from `CORE_TABLE`, `ACTIVITY_TABLE`, `AUDIT_TABLE`, `WEBHOOK_JOBS_QUEUE_URL`,
/// `WEBHOOK_SECRET_ID`, `WEBHOOK_RETRY_BASE_SECONDS` (60) and `WEBHOOK_ALLOW_LOOPBACK` (false).
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
    let sender =
        Sender::new(policy).map_err(|source| StartError::Client { what: "webhook sender", source })?;
    Ok(Deliver(Arc::new(Shared {
        store,
        queue: JobQueue::from_services(services)?,
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
    #[error("the endpoint's secret cannot be opened")]
    Secret(#[source] BoxError),
    #[error("the job could not be hidden")]
    Hide(#[source] BoxError),
    #[error("it panicked")]
    Panic,
}

impl Deliver {
    /// Works on a batch. The answer names the jobs that stay on the queue.
    pub async fn handle(&self, batch: SqsEvent) -> SqsBatchResponse {
        let fates = join_all(batch.records.iter().map(|message| async move {
            let work = AssertUnwindSafe(self.work(message)).catch_unwind().await;
            (message, work.unwrap_or(Err(Fault::Panic)))
        }))
        .await;
        let mut answer = SqsBatchResponse::default();
        for (message, fate) in fates {
            match fate {
                Ok(Fate::Done) => continue,
                Ok(Fate::Until(_)) => {}
                Err(fault) => report(message, &fault),
            }
            answer.add_failure(message.message_id.clone().unwrap_or_default());
        }
        answer
    }

    async fn work(&self, message: &SqsMessage) -> Result<Fate, Fault> {
        let job: DeliveryJob =
            serde_json::from_str(message.body.as_deref().unwrap_or_default()).map_err(Fault::Job)?;
        let received_before =
            message.attributes.get("ApproximateReceiveCount").is_some_and(|count| count != "1");
        let fate = self.deliver(&job, received_before).await?;
        if let Fate::Until(due) = fate {
            self.hide(message, due).await?;
        }
        Ok(fate)
    }

    async fn deliver(&self, job: &DeliveryJob, received_before: bool) -> Result<Fate, Fault> {
        let Shared { store, clock, .. } = &*self.0;
        let tenant = store.tenant_of_job(job.organization_id);
        // A job straight from the fan-out needs no look at its delivery: nothing can have happened to it that
        // recording the attempt would not notice.
        let number = if job.fresh && !received_before {
            1
        } else {
            match look(&tenant, job, clock.now()).await? {
                Look::Due { number } => number,
                Look::Fate(fate) => return Ok(fate),
            }
        };
        let endpoint = tenant.endpoint(job.endpoint_id).await?;
        let Some(endpoint) = endpoint.filter(|endpoint| endpoint.status == EndpointStatus::Enabled) else {
            tenant.cancel(job.delivery_id, clock.now()).await?;
            return Ok(Fate::Done);
        };
        self.attempt(&tenant, job, &endpoint, number).await
    }

    async fn attempt(
        &self,
        tenant: &Tenant,
        job: &DeliveryJob,
        endpoint: &Endpoint,
        number: u32,
    ) -> Result<Fate, Fault> {
        let Shared { sender, secrets, clock, ids, retry_base, .. } = &*self.0;
        let made = attempt::make(sender, secrets, endpoint, job, number, clock, ids).await?;
        let now = clock.now();
        let settlement = match made.outcome {
            attempt::Verdict::Delivered => Settlement::Succeeded,
            attempt::Verdict::Gone => Settlement::Dead,
            attempt::Verdict::Failed { .. } if number > endpoint.max_retries => Settlement::Dead,
            attempt::Verdict::Failed { retry_after } => {
                Settlement::Retry(now + schedule::delay(*retry_base, job.delivery_id, number, retry_after))
            }
        };
        // Before the delivery is settled: if this fails the job comes back, and the receiver says so again.
        if made.outcome == attempt::Verdict::Gone {
            attempt::disable(tenant, endpoint, now, ids).await?;
        }
        let recorded =
            tenant.settle(job.delivery_id, &made.attempt, &settlement, job.kept_until_seconds, now).await?;
        tracing::info!(
            delivery.id = %job.delivery_id,
            endpoint.id = %job.endpoint_id,
            attempt = number,
            status = made.attempt.response_status,
            duration_ms = made.attempt.duration_ms,
            settlement = ?settlement,
            recorded,
            "attempted"
        );
        if !recorded {
            // Another function has this delivery too and was faster.
            return Ok(match look(tenant, job, now).await? {
                Look::Due { .. } => Fate::Until(now + Duration::from_secs(1)),
                Look::Fate(fate) => fate,
            });
        }
        Ok(match settlement {
            Settlement::Retry(due) => Fate::Until(due),
            Settlement::Succeeded | Settlement::Dead | Settlement::Cancelled => Fate::Done,
        })
    }

    /// Hides a job until `due`. A visibility that runs out early is harmless: the delivery says when it is due.
    async fn hide(&self, message: &SqsMessage, due: Timestamp) -> Result<(), Fault> {
        let wait = due.since(self.0.clock.now()).min(LONGEST_HIDING);
        self.0.queue.hide(message.receipt_handle.clone(), wait).await.map_err(Fault::Hide)
    }
}

enum Look {
    /// Attempt `number` is due.
    Due { number: u32 },
    /// There is nothing to attempt now.
    Fate(Fate),
}

/// Where a delivery stands, by its item.
async fn look(tenant: &Tenant, job: &DeliveryJob, now: Timestamp) -> Result<Look, Fault> {
    let Some(delivery) = tenant.delivery(job.delivery_id).await? else {
        // Past its retention.
        return Ok(Look::Fate(Fate::Done));
    };
    Ok(match (delivery.status, delivery.next_attempt_at) {
        (DeliveryStatus::Succeeded | DeliveryStatus::Dead | DeliveryStatus::Cancelled, _) => {
            Look::Fate(Fate::Done)
        }
        (DeliveryStatus::Retrying, Some(due)) if due > now => Look::Fate(Fate::Until(due)),
        (DeliveryStatus::Pending | DeliveryStatus::Retrying, _) => {
            Look::Due { number: delivery.attempt_count + 1 }
        }
    })
}

/// Logs a fault with its causes, once.
fn report(message: &SqsMessage, fault: &Fault) {
    let error = telemetry::chain(fault);
    tracing::error!(message.id = message.message_id, error, "a job stays on the queue");
}
