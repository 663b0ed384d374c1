//! The rules of its end: deleted at once, brought back for 30 days, then erased.

use clock::Timestamp;
use ids::Ids;
use mailing::{Letter, MailSeal};
use problem::Problem;
use store::{
    AuditRecord, Change, Due, GRACE_BEFORE_ERASURE, Member, Organization, OrganizationStatus, StoreError,
    Task,
};

use super::note;

/// Checks that whoever deletes an organization means this one.
///
/// # Errors
/// 422 when the name is another one.
pub(crate) fn confirm(organization: &Organization, confirmation: &str) -> Result<(), Problem> {
    if confirmation.trim() == organization.name {
        return Ok(());
    }
    Err(Problem::invalid("/confirm", "value", "must be the name of the organization"))
}

/// The organization, deleted at `now`.
pub(crate) fn deleted(before: &Organization, now: Timestamp) -> Organization {
    Organization {
        status: OrganizationStatus::Deleted,
        erased_after: Some(now + GRACE_BEFORE_ERASURE),
        updated_at: store::touched(before.updated_at, now),
        ..before.clone()
    }
}

/// The erasure that a deleted organization waits for.
fn erasure(organization: &Organization) -> Option<Due> {
    let task = Task::EraseOrganization { organization_id: organization.id };
    organization.erased_after.map(|due_at| Due { task, due_at })
}

/// The change that deletes an organization, puts its erasure on the list and tells `admins`.
///
/// # Errors
/// [`StoreError::Malformed`] when something of it cannot be written as an item.
pub(crate) fn delete(
    before: &Organization,
    after: &Organization,
    admins: &[Member],
    mut record: AuditRecord,
    seal: &MailSeal,
    ids: &Ids,
) -> Result<Change, StoreError> {
    note(&mut record, "status", &before.status, &after.status);
    note(&mut record, "erased_after", &before.erased_after, &after.erased_after);
    record.sensitive = true;
    record.compliance_relevant = true;
    let mut change = Change::audited(record).change_organization(before, after)?;
    let Some(due) = erasure(after) else { return Ok(change) };
    change = change.schedule(&due)?;
    for admin in admins {
        let letter = Letter::OrganizationDeleted {
            to: admin.email.clone(),
            organization_name: before.name.clone(),
            erased_at: due.due_at,
        };
        change = change.mailing(seal.outgoing(ids.next(), before.id, letter, after.updated_at)?);
    }
    Ok(change)
}

/// The organization, brought back at `now`.
///
/// # Errors
/// 409 when the time of grace is over: its erasure may have begun.
pub(crate) fn restored(before: &Organization, now: Timestamp) -> Result<Organization, Problem> {
    if before.erased_after.is_some_and(|at| at <= now) {
        let detail = "The time in which it could be brought back is over; it is being erased.".to_owned();
        return Err(Problem::Conflict { detail });
    }
    Ok(Organization {
        status: OrganizationStatus::Active,
        erased_after: None,
        updated_at: store::touched(before.updated_at, now),
        ..before.clone()
    })
}

/// The change that brings a deleted organization back and takes its erasure off the list.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written.
pub(crate) fn restore(
    before: &Organization,
    after: &Organization,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    note(&mut record, "status", &before.status, &after.status);
    note(&mut record, "erased_after", &before.erased_after, &after.erased_after);
    record.sensitive = true;
    record.compliance_relevant = true;
    let change = Change::audited(record).change_organization(before, after)?;
    Ok(match erasure(before) {
        Some(due) => change.unschedule(&due),
        None => change,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::settings::tests::organization;
    use std::time::Duration;

    #[test]
    fn a_deleted_organization_comes_back_until_its_erasure_is_due() {
        let before = organization();
        let now = before.updated_at + Duration::from_secs(5);
        let gone = deleted(&before, now);
        assert_eq!(gone.erased_after, Some(now + Duration::from_secs(30 * 24 * 60 * 60)));
        let last = now + GRACE_BEFORE_ERASURE - Duration::from_millis(1);
        let back = restored(&gone, last).unwrap();
        assert_eq!(Organization { updated_at: before.updated_at, ..back }, before);
        assert!(matches!(restored(&gone, now + GRACE_BEFORE_ERASURE), Err(Problem::Conflict { .. })));
    }

    #[test]
    fn only_its_name_confirms_a_deletion() {
        let organization = organization();
        assert!(confirm(&organization, "Acme").is_ok() && confirm(&organization, " Acme ").is_ok());
        for other in ["", "acme", "Acme 2", "delete"] {
            assert!(confirm(&organization, other).is_err(), "{other}");
        }
    }
}
