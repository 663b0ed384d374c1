//! Long jobs: exports of the audit log, exports of what is held about a person, erasures.
//!
//! A message says which job to look at; the job is an item, held by a lease and a fence (`store::LongJob`). Exports are
//! written from their front each time they are begun, in parts, and nobody sees a file before it is whole. An erasure goes on
//! where it stopped. Memory does not grow with what is exported: a page of records and a part of a file are held at once,
//! and a bit for each leaf of the log.
//!
//! A fault of ours leaves the message on the queue: it comes back soon, and after as many receives as a job may be begun it
//! lies in a faults queue, which is alarmed; by then the job says that it was given up. What is not our fault is said in the
//! job and is no alarm.

mod audit_export;
mod erasure;
mod output;
mod personal_export;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::FutureExt as _;
use ids::Ids;
use jobs::{LongJobMessage, LongJobs};
use mailing::MailSeal;
use objects::{Bucket, ObjectError, Upload};
use runtime::{Services, StartError, host_of};
use sealing::MasterSecret;
use store::{CommitError, LongClaim, LongJob, LongTask, MOST_STARTS, Store, StoreError, Tenant};
use telemetry::chain;

/// What the function is called in records of what it does by itself.
pub(crate) const NAME: &str = "worker";
/// How long a job is held without a word from who holds it. The longest call of the object store takes a tenth of it.
const LEASE: Duration = Duration::from_secs(120);
/// The lease is renewed when it is so old.
const RENEWED_AFTER: Duration = Duration::from_secs(20);
/// Work ends by itself after this time. The template gives a call 900 s.
const BUDGET: Duration = Duration::from_secs(800);
/// The wait before a job is begun again, times how often it was.
const WAIT: Duration = Duration::from_secs(30);
/// When the sweep sees to a job whose message was to come back.
const SAFETY: Duration = Duration::from_secs(15 * 60);

/// Works on jobs. Cheap to clone.
#[derive(Clone)]
pub struct Worker(Arc<Shared>);

struct Shared {
    store: Store,
    queue: LongJobs,
    exports: Bucket,
    mail_seal: MailSeal,
    /// What the logs are named after.
    host: String,
    clock: clock::Clock,
    ids: Ids,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Worker")
    }
}

/// Builds the function from the four tables, `LONG_JOBS_QUEUE_URL`, `EXPORTS_BUCKET`, `SESSION_SECRET_ID` and `PUBLIC_URL`.
///
/// # Errors
/// [`StartError`] when a variable or the secret is missing.
pub async fn handler(services: &Services) -> Result<Worker, StartError> {
    const PUBLIC_URL: &str = "PUBLIC_URL";
    let environment = &services.environment;
    let store = Store::from_environment(environment, services.aws.dynamodb.clone())?;
    let client = objects::Client::from_services(services);
    let exports = Bucket::from_environment(environment, "EXPORTS_BUCKET", &client)?;
    let host =
        host_of(&environment.required(PUBLIC_URL)?).ok_or(StartError::Unreadable { name: PUBLIC_URL })?;
    let secret = services.secret("SESSION_SECRET_ID").await?;
    let mail_seal = MailSeal::new(&MasterSecret::new(secret))
        .map_err(|source| StartError::Client { what: "mail key", source: Box::new(source) })?;
    let queue = LongJobs::from_services(services)?;
    let (clock, ids) = (services.clock.clone(), services.ids.clone());
    Ok(Worker(Arc::new(Shared { store, queue, exports, mail_seal, host, clock, ids })))
}

/// Why a job was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// Somebody else has it.
    #[error("the job is in other hands")]
    Lost,
    /// It can't be done, and trying again would not help. In words for who asked.
    #[error("the job was given up: {0}")]
    GivenUp(String),
    /// What was read does not fit together yet.
    #[error("a record that is sealed was not among those that were listed")]
    Unsettled,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The object store failed.
    #[error("the object store failed")]
    Objects(#[from] ObjectError),
    /// The end could not be put on record.
    #[error("the end of the job could not be put on record")]
    Commit(#[from] CommitError),
    /// A line could not be written.
    #[error("a line could not be written")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It panicked.
    #[error("it panicked")]
    Panic,
}

impl JobError {
    pub(crate) fn write(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Write(source.into())
    }
}

/// How work on a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is done.
    Done,
    /// There is more of it than one call can do.
    Unfinished,
}

/// A job in hand.
pub(crate) struct Hold<'a> {
    pub(crate) tenant: Tenant,
    pub(crate) job: &'a mut LongJob,
    clock: &'a clock::Clock,
    begun: Instant,
}

impl Hold<'_> {
    /// Whether its time is up.
    pub(crate) fn is_late(&self) -> bool {
        self.begun.elapsed() >= BUDGET
    }

    /// Writes down how far it has come, and renews the lease.
    pub(crate) async fn note(&mut self) -> Result<(), JobError> {
        let now = self.clock.now();
        if self.tenant.note_long_job(self.job, LEASE, now).await? { Ok(()) } else { Err(JobError::Lost) }
    }

    /// An error once it has taken too long for an export, which can't be gone on with later.
    pub(crate) fn in_time(&self) -> Result<(), JobError> {
        if !self.is_late() {
            return Ok(());
        }
        let reason = match self.job.task {
            LongTask::AuditExport { .. } => {
                "There is more than can be exported in one go. Ask for a shorter time."
            }
            _ => "There is more about this person than can be exported in one go.",
        };
        Err(JobError::GivenUp(reason.to_owned()))
    }

    /// [`Hold::note`], if the last time was a while ago.
    pub(crate) async fn note_now_and_then(&mut self) -> Result<(), JobError> {
        if self.clock.now().since(self.job.updated_at) >= RENEWED_AFTER { self.note().await } else { Ok(()) }
    }
}

impl Worker {
    /// Works on a batch, which is a single job as a rule. The answer names the messages that stay on the queue.
    pub async fn handle(&self, batch: SqsEvent) -> SqsBatchResponse {
        let mut answer = SqsBatchResponse::default();
        for message in &batch.records {
            if let Err(wait) = self.look(message).await {
                if let Some(wait) = wait
                    && let Err(error) = self.0.queue.hide(message.receipt_handle.clone(), wait).await
                {
                    tracing::warn!(error = %error, "a message could not be hidden");
                }
                answer.add_failure(message.message_id.clone().unwrap_or_default());
            }
        }
        answer
    }

    /// Looks at the job that a message names. An error leaves the message on the queue, hidden for that long if it says so.
    async fn look(&self, message: &SqsMessage) -> Result<(), Option<Duration>> {
        let body = message.body.as_deref().unwrap_or_default();
        let Ok(LongJobMessage { organization_id, job_id, .. }) = serde_json::from_str(body) else {
            tracing::error!("a message cannot be read");
            return Err(None);
        };
        let tenant = self.0.store.tenant_of_job(organization_id);
        let claim = tenant.claim_long_job(job_id, LEASE, self.0.clock.now()).await;
        let mut job = match claim {
            Ok(LongClaim::Held(job)) => *job,
            Ok(LongClaim::Busy | LongClaim::Finished) => return Ok(()),
            Ok(LongClaim::Spent(job)) => {
                self.give_up(&tenant, &job, TOO_OFTEN).await;
                return Ok(());
            }
            Err(error) => {
                tracing::error!(error = chain(&error), job.id = %job_id, "a job could not be begun");
                return Err(Some(WAIT));
            }
        };
        let kind = job.kind().as_str();
        let begun = Instant::now();
        let work = AssertUnwindSafe(self.work(&tenant, &mut job)).catch_unwind().await;
        let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let error = match work.unwrap_or(Err(JobError::Panic)) {
            Ok(Outcome::Done) => {
                tracing::info!(job.id = %job_id, kind, records = job.records, duration_ms, "a job is done");
                return Ok(());
            }
            Ok(Outcome::Unfinished) => {
                tracing::info!(job.id = %job_id, kind, duration_ms, "a job goes on later");
                return Ok(());
            }
            Err(error) => error,
        };
        self.abandon(&mut job).await;
        match error {
            JobError::Lost => {
                tracing::info!(job.id = %job_id, kind, "a job is in other hands");
                Ok(())
            }
            JobError::GivenUp(reason) => {
                self.give_up(&tenant, &job, &reason).await;
                Ok(())
            }
            error => {
                tracing::error!(error = chain(&error), job.id = %job_id, kind, starts = job.starts, "a job failed");
                if job.starts >= MOST_STARTS {
                    self.give_up(&tenant, &job, TOO_OFTEN).await;
                } else if let Err(error) = tenant.release_long_job(&job, SAFETY, self.0.clock.now()).await {
                    // Its lease will run out.
                    tracing::error!(error = chain(&error), job.id = %job_id, "a job could not be let go of");
                }
                Err(Some(WAIT * job.starts))
            }
        }
    }

    async fn work(&self, tenant: &Tenant, job: &mut LongJob) -> Result<Outcome, JobError> {
        // What somebody has left behind.
        self.abandon(job).await;
        let task = job.task.clone();
        let mut hold = Hold { tenant: tenant.clone(), job, clock: &self.0.clock, begun: Instant::now() };
        match task {
            LongTask::AuditExport { format, filter } => {
                self.export_audit_log(&mut hold, format, &filter).await
            }
            LongTask::PersonalExport { about: Some(about), .. } => {
                self.export_person(&mut hold, &about).await
            }
            LongTask::Erasure { about: Some(about), .. } => self.erase(&mut hold, &about).await,
            LongTask::PersonalExport { about: None, .. } | LongTask::Erasure { about: None, .. } => {
                Err(JobError::GivenUp("It is not known any more whom it is about.".to_owned()))
            }
        }
    }

    /// Ends an export whose files are there. If it is in other hands by now, they are abandoned.
    pub(crate) async fn finish(&self, hold: &mut Hold<'_>) -> Result<Outcome, JobError> {
        hold.job.upload = None;
        let error = match hold.tenant.finish_long_job(hold.job, self.0.clock.now()).await {
            Ok(true) => return Ok(Outcome::Done),
            Ok(false) => JobError::Lost,
            Err(error) => error.into(),
        };
        // The answer may have been lost, and not the job.
        match hold.tenant.long_job(hold.job.id).await {
            Ok(Some(found)) if found.file == hold.job.file && found.is_finished() => Ok(Outcome::Done),
            Ok(_) => Err(error),
            Err(_) => {
                // Nobody knows. Files that are nobody's are better than a job without its files.
                (hold.job.file, hold.job.proofs) = (None, None);
                Err(error)
            }
        }
    }

    async fn give_up(&self, tenant: &Tenant, job: &LongJob, reason: &str) {
        tracing::warn!(job.id = %job.id, kind = job.kind().as_str(), "a job is given up");
        let now = self.0.clock.now();
        if let Err(error) = tenant.fail_long_job(job, reason, NAME, &self.0.ids, now).await {
            // The sweep does it.
            tracing::error!(error = chain(&error), job.id = %job.id, "a job could not be given up");
        }
    }

    /// Clears away what a start of a job has made that came to nothing. What can't be is cleared away by the bucket.
    async fn abandon(&self, job: &mut LongJob) {
        self.abandon_upload(job.upload.take()).await;
        for file in [job.file.take(), job.proofs.take()].into_iter().flatten() {
            if let Err(error) = self.0.exports.delete(&file.key).await {
                tracing::warn!(error = chain(&error), "a file could not be deleted");
            }
        }
    }

    async fn abandon_upload(&self, upload: Option<String>) {
        let Some(Ok(upload)) = upload.map(|upload| serde_json::from_str::<Upload>(&upload)) else { return };
        if let Err(error) = upload.abort(&self.0.exports).await {
            tracing::warn!(error = chain(&error), "an upload could not be given up");
        }
    }

    /// The key of a file that this start of a job makes. Another start makes another one.
    pub(crate) fn key_of(&self, job: &LongJob, tenant: &Tenant, name: &str) -> String {
        format!("{}/{}/{}/{name}", tenant.organization_id(), job.id, job.fence)
    }
}

/// Why a job was given up that failed again and again.
const TOO_OFTEN: &str = "It failed three times. We have been told; ask for it again later.";
