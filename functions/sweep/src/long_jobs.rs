//! Long jobs that nobody looks after: queued again, or given up.

use std::time::Instant;

use ids::{ExportId, OrganizationId};
use store::MOST_STARTS;

use crate::{BUDGET, Sweep, TaskError};

/// Why a job was given up that was begun again and again.
const TOO_OFTEN: &str = "It broke off three times. We have been told; ask for it again later.";

impl Sweep {
    /// Looks at the long jobs that are not finished; how many could not be looked at, or were given up.
    pub(crate) async fn look_at_long_jobs(
        &self,
        jobs: Vec<(OrganizationId, ExportId)>,
        started: Instant,
    ) -> usize {
        let mut failed = 0;
        for (organization, job) in jobs {
            if started.elapsed() >= BUDGET {
                break;
            }
            match self.look_at_long_job(organization, job).await {
                Ok(true) => {}
                Ok(false) => {
                    failed += 1;
                    tracing::error!(job.id = %job, "a long job was given up");
                }
                Err(error) => {
                    failed += 1;
                    tracing::error!(error = telemetry::chain(&error), job.id = %job, "a long job could not be looked at");
                }
            }
        }
        failed
    }

    /// Whether the job is looked after, by now.
    async fn look_at_long_job(&self, organization: OrganizationId, id: ExportId) -> Result<bool, TaskError> {
        let tenant = self.store.tenant_of_job(organization);
        let now = self.clock.now();
        let found = tenant.long_job(id).await?;
        let Some(job) = found.filter(|job| !job.is_finished() && job.look_at <= now) else { return Ok(true) };
        if job.starts >= MOST_STARTS {
            return Ok(!tenant.fail_long_job(&job, TOO_OFTEN, "sweep", &self.ids, now).await?);
        }
        if tenant.requeue_long_job(&job, now).await? {
            self.long_jobs.send(organization, id).await?;
        }
        Ok(true)
    }
}
