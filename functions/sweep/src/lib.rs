//! The sweep: what time alone must bring about.
//!
//! Called once a minute, it looks at webhook endpoints that need it (`endpoints`), carries replays on (`replays`), queues long
//! jobs again that nobody looks after (`long_jobs`), and takes the tasks that are due from the list (`store::Due`) and
//! carries them out, the longest overdue first, until none is left or its own time is. Beside that it brings items up to the
//! present format (`migrations`). A task may come up twice or after
//! what made it necessary is gone, so each looks first. One that fails is put off by a quarter of an hour, so that it can't
//! hold up the others, and the whole call counts as failed, which raises an alarm. It is called by nobody but the clock and
//! takes no input.

mod endpoints;
mod erase;
mod expiry;
mod long_jobs;
mod migrations;
mod replays;
mod witness;

use std::time::{Duration, Instant};

use clock::Clock;
use dns::Resolver;
use domains::Recheck;
use ids::{Ids, OrganizationId};
use jobs::{LongJobs, SlowLane};
use mailing::MailSeal;
use runtime::{Services, StartError};
use sealing::MasterSecret;
use store::{AuditRecord, CommitError, Due, Store, StoreError, Task};

/// How long one call goes on taking up tasks. The template gives it a minute in all.
const BUDGET: Duration = Duration::from_secs(40);
/// How many tasks are taken from each part of the list at a time.
const AT_A_TIME: u32 = 10;
/// How long a task that failed is put off.
const PUT_OFF: Duration = Duration::from_secs(15 * 60);

/// Carries out what is due.
#[derive(Debug, Clone)]
pub struct Sweep {
    store: Store,
    /// `None` where DNS is not set up; nothing can be looked up there.
    resolver: Option<Resolver>,
    mail_seal: MailSeal,
    lane: SlowLane,
    long_jobs: LongJobs,
    clock: Clock,
    ids: Ids,
}

/// Why the sweep did not get through.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The list of tasks can't be read or kept.
    #[error("the list of tasks cannot be read or kept")]
    List(#[source] StoreError),
    /// What needs attention can't be found.
    #[error("what needs attention cannot be found")]
    Attention(#[source] StoreError),
    /// Some tasks failed; each is in the log, and put off, or comes up again with the next call.
    #[error("{0} tasks failed and come up again")]
    Tasks(usize),
}

/// Why a task was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The change was refused.
    #[error("the change was refused")]
    Commit(#[from] CommitError),
    /// A domain could not be looked at again.
    #[error("a domain could not be looked at again")]
    Recheck(#[from] domains::RecheckError),
    /// Jobs could not be queued.
    #[error("jobs could not be queued")]
    Queue(#[from] jobs::QueueError),
}

/// What became of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is done and off the list.
    Done,
    /// There is more of it than one call can do; it stays on the list.
    Unfinished,
}

/// Builds the sweep from the tables, `SESSION_SECRET_ID`, `WEBHOOK_RETRIES_QUEUE_URL`, `LONG_JOBS_QUEUE_URL` and
/// `DNS_RESOLVER`, and opens the connections.
///
/// # Errors
/// [`StartError`] when a variable or the secret is missing.
pub async fn handler(services: &Services) -> Result<Sweep, StartError> {
    let store = Store::from_environment(&services.environment, services.aws.dynamodb.clone())?;
    let (secret, ()) = tokio::join!(services.secret("SESSION_SECRET_ID"), store.warm_up());
    let mail_seal = MailSeal::new(&MasterSecret::new(secret?))
        .map_err(|source| StartError::Client { what: "mail key", source: Box::new(source) })?;
    let resolver = resolver(services)?;
    let lane = SlowLane::from_services(services)?;
    let long_jobs = LongJobs::from_services(services)?;
    Ok(Sweep {
        store,
        resolver,
        mail_seal,
        lane,
        long_jobs,
        clock: services.clock.clone(),
        ids: services.ids.clone(),
    })
}

impl Sweep {
    /// Carries out what is due.
    ///
    /// # Errors
    /// [`SweepError`]; what was not done comes up again.
    pub async fn run(&self) -> Result<(), SweepError> {
        let started = Instant::now();
        // Side by side: an erasure that takes its time holds up no webhook.
        let (attended, tasks, items) =
            tokio::join!(self.attend(started), self.run_tasks(started), self.bring_items_up(started));
        match attended? + tasks? + items {
            0 => Ok(()),
            failed => Err(SweepError::Tasks(failed)),
        }
    }

    /// Looks at the endpoints, replays and long jobs that need it; how many could not be looked at.
    async fn attend(&self, started: Instant) -> Result<usize, SweepError> {
        let found = self.store.needing_attention().await.map_err(SweepError::Attention)?;
        let (mut endpoints, mut replays) = (found.endpoints, found.replays);
        // Elsewhere each time: whatever a call does not get to, another one begins with.
        let minute = usize::try_from(self.clock.now().minute()).unwrap_or(0);
        let rotated = |length: usize| minute.wrapping_mul(7919) % length.max(1);
        let (first_endpoint, first_replay) = (rotated(endpoints.len()), rotated(replays.len()));
        endpoints.rotate_left(first_endpoint);
        replays.rotate_left(first_replay);
        let (endpoints, replays, long_jobs) = tokio::join!(
            self.look_at_endpoints(endpoints, started),
            self.carry_replays_on(replays, started),
            self.look_at_long_jobs(found.long_jobs, started),
        );
        Ok(endpoints + replays + long_jobs)
    }

    /// Carries out the tasks that are due; how many failed.
    async fn run_tasks(&self, started: Instant) -> Result<usize, SweepError> {
        let (mut done, mut failed) = (0_usize, 0_usize);
        while started.elapsed() < BUDGET {
            let due = self.store.due(self.clock.now(), AT_A_TIME).await.map_err(SweepError::List)?;
            if due.is_empty() {
                break;
            }
            let mut unfinished = false;
            for due in due {
                if started.elapsed() >= BUDGET {
                    unfinished = true;
                    break;
                }
                match self.carry_out(&due, BUDGET.saturating_sub(started.elapsed())).await {
                    Ok(Outcome::Done) => done += 1,
                    Ok(Outcome::Unfinished) => unfinished = true,
                    Err(error) => {
                        failed += 1;
                        tracing::error!(error = telemetry::chain(&error), "a task is put off");
                        let until = self.clock.now() + PUT_OFF;
                        self.store.postpone(&due, until).await.map_err(SweepError::List)?;
                    }
                }
            }
            if unfinished {
                break;
            }
        }
        tracing::info!(done, failed, "swept");
        Ok(failed)
    }

    async fn carry_out(&self, due: &Due, budget: Duration) -> Result<Outcome, TaskError> {
        match &due.task {
            Task::CheckDomain { .. } => {
                let Some(resolver) = &self.resolver else {
                    self.store.postpone(due, self.clock.now() + PUT_OFF).await?;
                    return Ok(Outcome::Done);
                };
                let with = Recheck {
                    store: &self.store,
                    resolver,
                    seal: &self.mail_seal,
                    ids: &self.ids,
                    actor: "sweep",
                };
                domains::recheck(&with, due, self.clock.now()).await?;
                Ok(Outcome::Done)
            }
            Task::WarnOfExpiry { organization_id, key_id, expires_at } => {
                self.warn_of_expiry(due, *organization_id, *key_id, *expires_at).await?;
                Ok(Outcome::Done)
            }
            Task::EraseWorkspace { organization_id, workspace_id } => {
                self.erase_workspace(due, *organization_id, *workspace_id, budget).await
            }
            Task::WitnessLog { organization_id } => {
                self.witness(due, *organization_id).await?;
                Ok(Outcome::Done)
            }
            Task::EraseOrganization { organization_id } => {
                self.erase_organization(due, *organization_id, budget).await
            }
        }
    }

    /// The audit record of something the sweep does.
    fn record(
        &self,
        organization: OrganizationId,
        action: &'static str,
        resource: (&str, String),
    ) -> AuditRecord {
        let (name, id) = resource;
        AuditRecord::by_system("sweep", action, (name, Some(id)), organization, &self.ids, self.clock.now())
    }
}

/// The resolver at `DNS_RESOLVER`, or the system's. A machine without DNS can do everything else.
fn resolver(services: &Services) -> Result<Option<Resolver>, StartError> {
    const NAME: &str = "DNS_RESOLVER";
    let given = services.environment.optional(NAME);
    match Resolver::new(given) {
        Ok(resolver) => Ok(Some(resolver)),
        Err(_) if given.is_some() => Err(StartError::Unreadable { name: NAME }),
        Err(error) => {
            tracing::warn!(%error, "domains cannot be looked at again");
            Ok(None)
        }
    }
}
