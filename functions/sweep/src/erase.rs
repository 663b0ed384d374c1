//! Erasing what was deleted a while ago.

use std::collections::BTreeMap;
use std::time::Duration;

use ids::{OrganizationId, WorkspaceId};
use mailing::Letter;
use store::{Change, Due, FieldChange, OrganizationStatus, Task, WorkspaceStatus};

use crate::{Outcome, Sweep, TaskError};

impl Sweep {
    /// Erases a deleted workspace's data. One that is in use again is left alone.
    pub(crate) async fn erase_workspace(
        &self,
        due: &Due,
        organization: OrganizationId,
        workspace: WorkspaceId,
        budget: Duration,
    ) -> Result<Outcome, TaskError> {
        let tenant = self.store.tenant_of_job(organization);
        let record = tenant.workspace_record(workspace).await?;
        if record.is_none_or(|record| record.status != WorkspaceStatus::Deleted) {
            self.store.drop_task(due).await?;
            return Ok(Outcome::Done);
        }
        let erased = tenant.erase_workspace(workspace, budget).await?;
        if !erased.done {
            return Ok(Outcome::Unfinished);
        }
        let mut record = self.record(organization, "workspace.erase", ("workspace", workspace.to_string()));
        record.workspace_id = Some(workspace);
        record.changes = counted(&erased.counts);
        tenant.commit(Change::audited(record).unschedule(due), None).await?;
        Ok(Outcome::Done)
    }

    /// Erases a deleted organization, and sends the receipt. One that was brought back is left alone.
    pub(crate) async fn erase_organization(
        &self,
        due: &Due,
        organization: OrganizationId,
        budget: Duration,
    ) -> Result<Outcome, TaskError> {
        let mut task = due.task.clone();
        let Task::EraseOrganization { organization_name: name, receipt_to, erased: counts, .. } = &mut task
        else {
            return Ok(Outcome::Done);
        };
        let tenant = self.store.tenant_of_job(organization);
        let now = self.clock.now();
        // Without the organization's item the erasure was finished before, but the receipt was not written.
        if let Some(found) = tenant.organization().await? {
            let may =
                found.status == OrganizationStatus::Deleted && found.erased_after.is_some_and(|at| at <= now);
            if !may {
                self.store.drop_task(due).await?;
                return Ok(Outcome::Done);
            }
            let erased = tenant.erase(&found, now, budget).await?;
            for (kind, count) in erased.counts {
                *counts.entry(kind.to_owned()).or_default() += count;
            }
            if !erased.done {
                self.store.keep_task(&Due { task, due_at: due.due_at }).await?;
                return Ok(Outcome::Unfinished);
            }
        }
        let mut record =
            self.record(organization, "organization.erase", ("organization", organization.to_string()));
        record.changes = counted(counts);
        let mut receipt = vec![
            format!("Organization: {name} ({organization})"),
            format!("Erased at: {now}"),
            format!("Audit record: {} (the audit log is kept for 7 years)", record.id),
        ];
        receipt.extend(counts.iter().map(|(kind, count)| format!("{kind}: {count}")));
        let mut change = Change::audited(record).unschedule(due);
        for to in receipt_to.iter() {
            let letter = Letter::OrganizationErased {
                to: to.clone(),
                organization_name: name.clone(),
                receipt: receipt.clone(),
            };
            change = change.mailing(self.mail_seal.outgoing(self.ids.next(), organization, letter, now)?);
        }
        tenant.commit(change, None).await?;
        tracing::info!(%organization, "an organization is erased");
        Ok(Outcome::Done)
    }
}

/// How many of each kind there were, as an audit record tells it.
fn counted<K: AsRef<str>>(counts: &BTreeMap<K, u64>) -> Vec<FieldChange> {
    let change = |(kind, count): (&K, &u64)| FieldChange {
        field: kind.as_ref().to_owned(),
        before: (*count).into(),
        after: 0.into(),
    };
    counts.iter().map(change).collect()
}
