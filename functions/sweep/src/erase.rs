//! Erasing what was deleted a while ago.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ids::{OrganizationId, WorkspaceId};
use mailing::Letter;
use store::{Change, Due, FieldChange, OrganizationStatus, Position, Tenant, WorkspaceStatus};

use crate::{Outcome, Sweep, TaskError};

/// About how many items are erased between two looks at the time.
const STRIDE: usize = 500;

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
        // One that is gone was erased before, but that is not on record yet.
        let found = tenant.workspace_record(workspace).await?;
        if found.is_some_and(|found| found.status != WorkspaceStatus::Deleted) {
            self.store.drop_task(due).await?;
            return Ok(Outcome::Done);
        }
        let (counts, done) = self.erase(&tenant, Some(workspace), budget).await?;
        if !done {
            return Ok(Outcome::Unfinished);
        }
        let mut record = self.record(organization, "workspace.erase", ("workspace", workspace.to_string()));
        record.workspace_id = Some(workspace);
        record.changes = counted(&counts);
        tenant.commit(Change::audited(record).unschedule(due), None).await?;
        Ok(Outcome::Done)
    }

    /// Erases a deleted organization, and sends its admins the receipt. One that was brought back is left alone.
    pub(crate) async fn erase_organization(
        &self,
        due: &Due,
        organization: OrganizationId,
        budget: Duration,
    ) -> Result<Outcome, TaskError> {
        let tenant = self.store.tenant_of_job(organization);
        let now = self.clock.now();
        let found = tenant.organization().await?.filter(|found| {
            found.status == OrganizationStatus::Deleted && found.erased_after.is_some_and(|at| at <= now)
        });
        let Some(found) = found else {
            self.store.drop_task(due).await?;
            return Ok(Outcome::Done);
        };
        let admins = tenant.notified_admins().await?;
        let (counts, done) = self.erase(&tenant, None, budget).await?;
        if !done {
            return Ok(Outcome::Unfinished);
        }
        let mut record =
            self.record(organization, "organization.erase", ("organization", organization.to_string()));
        record.changes = counted(&counts);
        let mut receipt = vec![
            format!("Organization: {} ({organization})", found.name),
            format!("Erased at: {now}"),
            format!("Audit record: {} (the audit log is kept for 7 years)", record.id),
        ];
        receipt.extend(counts.iter().map(|(kind, count)| format!("{kind}: {count}")));
        let mut change = Change::audited(record).erase_organization(&found, &admins).unschedule(due);
        for admin in admins {
            let letter = Letter::OrganizationErased {
                to: admin.email,
                organization_name: found.name.clone(),
                receipt: receipt.clone(),
            };
            change = change.mailing(self.mail_seal.outgoing(self.ids.next(), organization, letter, now)?);
        }
        tenant.commit(change, None).await?;
        tracing::info!(%organization, "an organization is erased");
        Ok(Outcome::Done)
    }

    /// Erases, stride by stride, until nothing is left or the budget is spent: how many of each kind, and whether all.
    async fn erase(
        &self,
        tenant: &Tenant,
        workspace: Option<WorkspaceId>,
        budget: Duration,
    ) -> Result<(BTreeMap<String, u64>, bool), TaskError> {
        let started = Instant::now();
        let mut counts = BTreeMap::new();
        let mut from: Option<Position> = None;
        loop {
            let erased = tenant.erase(workspace, self.clock.now(), STRIDE, from).await?;
            match workspace {
                // Of an organization the counts are those of all calls so far.
                None => counts = erased.counts,
                Some(_) => {
                    for (kind, count) in erased.counts {
                        *counts.entry(kind).or_default() += count;
                    }
                }
            }
            if erased.done || started.elapsed() >= budget {
                return Ok((counts, erased.done));
            }
            from = erased.next;
        }
    }
}

/// How many of each kind there were, as an audit record tells it.
fn counted(counts: &BTreeMap<String, u64>) -> Vec<FieldChange> {
    let change = |(kind, count): (&String, &u64)| FieldChange {
        field: kind.clone(),
        before: (*count).into(),
        after: 0.into(),
    };
    counts.iter().map(change).collect()
}
