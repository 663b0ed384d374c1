//! Putting on record that nothing was.
//!
//! A log that was cut off at its end looks like one in which nothing happened since. So an organization's log never is silent
//! for longer than a day: a checkpoint that is older shows that something is missing.

use audit_format::LONGEST_SILENCE;
use ids::OrganizationId;
use store::{Change, CommitError, Due};

use crate::{Sweep, TaskError};

impl Sweep {
    /// Puts a record into the log if there was none for a day, and sees to the next look.
    pub(crate) async fn witness(&self, due: &Due, organization: OrganizationId) -> Result<(), TaskError> {
        let tenant = self.store.tenant_of_job(organization);
        let (found, head) = (tenant.organization().await?, tenant.log_head().await?);
        if found.is_none() {
            return Ok(self.store.drop_task(due).await?);
        }
        let now = self.clock.now();
        // A head that claims to be of the future is not believed.
        let last = head.map_or(organization.time(), |head| head.updated_at).min(now);
        if now.since(last) < LONGEST_SILENCE {
            return Ok(self.store.postpone(due, last + LONGEST_SILENCE).await?);
        }
        let mut record =
            self.record(organization, "audit_log.witness", ("audit_log", organization.to_string()));
        (record.sensitive, record.compliance_relevant) = (false, false);
        let change = Change::audited(record).unschedule(due).schedule(&Due::witness(organization, now))?;
        match tenant.commit(change, None).await {
            Ok(()) | Err(CommitError::Refused(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
