//! The daily look at a verified domain.

use clock::Timestamp;
use dns::Resolver;
use ids::Ids;
use mailing::{Letter, MailSeal};
use store::{
    AuditRecord, Change, CommitError, DomainClaim, DomainStatus, Due, FieldChange, Organization,
    OrganizationStatus, OutgoingMail, Store, StoreError, Task, Tenant,
};

use crate::proof::{self, GRACE};

/// What a re-check needs.
#[derive(Debug, Clone, Copy)]
pub struct Recheck<'a> {
    /// The tables.
    pub store: &'a Store,
    /// Whom to ask.
    pub resolver: &'a Resolver,
    /// Seals the mails to the admins.
    pub seal: &'a MailSeal,
    /// The source of ids.
    pub ids: &'a Ids,
    /// Who acts, for the audit record: the name of the function.
    pub actor: &'static str,
}

/// What a re-check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// There was nothing to check (any more), and the task is off the list; or the claim was changed at the same moment,
    /// and it is still there.
    Idle,
    /// The record is there.
    Found,
    /// It is not, and the grace runs.
    Failing,
    /// It is not, and the grace is over.
    Lapsed,
    /// Nobody could be asked. Asked again in an hour.
    Unknown,
}

/// Why a re-check was not carried out. The task is still on the list.
#[derive(Debug, thiserror::Error)]
pub enum RecheckError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What follows from it could not be committed.
    #[error("the result of a re-check was not committed")]
    Commit(#[source] CommitError),
}

/// Carries out a [`Task::CheckDomain`] that is due: looks for the record, writes down what follows, tells the admins when
/// the grace begins and when it is over, and puts the next look on the list. A deleted organization's claims are looked at
/// as well, since it may be brought back, but nobody is told. Running it twice for one task changes nothing the second
/// time. Does nothing about tasks of other kinds.
///
/// # Errors
/// [`RecheckError`]; the task stays on the list for the next sweep.
pub async fn recheck(with: &Recheck<'_>, due: &Due, now: Timestamp) -> Result<Checked, RecheckError> {
    let Task::CheckDomain { organization_id, domain } = &due.task else { return Ok(Checked::Idle) };
    let tenant = with.store.tenant_of_job(*organization_id);
    let (claim, organization) = (tenant.domain(domain).await?, tenant.organization().await?);
    // A task that failed was put off, so it may be due later than its claim says, but never sooner.
    let is_wanted = |at: Timestamp| at <= due.due_at;
    let subject = claim
        .zip(organization)
        .filter(|(claim, _)| claim.status.is_good() && claim.next_check_at.is_some_and(is_wanted));
    let Some((claim, organization)) = subject else {
        with.store.drop_task(due).await?;
        return Ok(Checked::Idle);
    };
    let (after, checked) = match proof::find(with.resolver, &claim).await {
        Ok(true) => (proof::verified(&claim, now), Checked::Found),
        Ok(false) => {
            let after = proof::missed(&claim, now);
            let lapsed = after.status == DomainStatus::Lapsed;
            (after, if lapsed { Checked::Lapsed } else { Checked::Failing })
        }
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "a domain could not be looked up");
            (proof::unknown(&claim, now), Checked::Unknown)
        }
    };
    let mut change = Change::audited(record(with, &organization, &claim, &after, checked, now))
        .change_domain(organization.id, &claim, &after)?
        .unschedule(due);
    if let Some(next) = after.check_due(organization.id) {
        change = change.schedule(&next)?;
    }
    for mail in mails(with, &tenant, &organization, &claim, &after, now).await? {
        change = change.mailing(mail);
    }
    match tenant.commit(change, None).await {
        Ok(()) => Ok(checked),
        // Somebody changed the claim at the same moment. The task is still on the list, and is looked at anew.
        Err(CommitError::Refused(_)) => Ok(Checked::Idle),
        Err(error) => Err(RecheckError::Commit(error)),
    }
}

/// What is told to the admins: the first time the record is missed, and the end of the grace.
async fn mails(
    with: &Recheck<'_>,
    tenant: &Tenant,
    organization: &Organization,
    before: &DomainClaim,
    after: &DomainClaim,
    now: Timestamp,
) -> Result<Vec<OutgoingMail>, StoreError> {
    let tells = before.status != after.status && after.status != DomainStatus::Verified;
    if !tells || organization.status == OrganizationStatus::Deleted {
        return Ok(Vec::new());
    }
    let letter = |to: String| {
        let (organization_name, domain) = (organization.name.clone(), after.domain.clone());
        match after.status {
            DomainStatus::Lapsed => Letter::DomainLapsed { to, organization_name, domain },
            _ => {
                let grace_until = after.failing_since.unwrap_or(now) + GRACE;
                Letter::DomainFailing { to, organization_name, domain, grace_until }
            }
        }
    };
    let admins = tenant.notified_admins().await?;
    let mails = admins
        .into_iter()
        .map(|admin| with.seal.outgoing(with.ids.next(), organization.id, letter(admin.email), now));
    mails.collect()
}

fn record(
    with: &Recheck<'_>,
    organization: &Organization,
    before: &DomainClaim,
    after: &DomainClaim,
    checked: Checked,
    now: Timestamp,
) -> AuditRecord {
    let name = |status| serde_json::to_value(status).unwrap_or_default();
    let moved = before.status != after.status;
    let change = moved.then(|| FieldChange {
        field: "status".to_owned(),
        before: name(before.status),
        after: name(after.status),
    });
    AuditRecord {
        success: checked != Checked::Unknown,
        error_code: (checked == Checked::Unknown).then(|| "unavailable".to_owned()),
        changes: change.into_iter().collect(),
        sensitive: false,
        compliance_relevant: moved,
        ..AuditRecord::by_system(
            with.actor,
            "domain.check",
            ("domain", Some(after.domain.clone())),
            organization.id,
            with.ids,
            now,
        )
    }
}
