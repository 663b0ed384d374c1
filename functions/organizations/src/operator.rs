//! What an operator does to an organization from the command line: by the rules of the routes, and on record as they are.

use clock::Timestamp;
use ids::Ids;
use mailing::MailSeal;
use store::{
    AuditRecord, CommitError, Holdings, Organization, OrganizationStatus, PageRequest, Position, Refusal,
    StoreError, Tenant,
};

use crate::app::end;

/// Deletes an organization, as `DELETE /api/admin/organization` does: people and keys are refused from now on, the admins are
/// told, and after the time of grace everything is erased. Can be repeated. `record` is the record of it.
///
/// # Errors
/// [`CommitError`]: it is not there, was changed at the same moment, or the store failed.
pub async fn delete(
    tenant: &Tenant,
    record: AuditRecord,
    seal: &MailSeal,
    ids: &Ids,
) -> Result<Organization, CommitError> {
    let now = record.timestamp;
    let missing = CommitError::Refused(Refusal::Missing("organization"));
    let mut organization = tenant.organization().await?.ok_or(missing)?;
    if organization.status == OrganizationStatus::Active {
        let after = end::deleted(&organization, now);
        let admins = tenant.notified_admins().await?;
        tenant.commit(end::delete(&organization, &after, &admins, record, seal, ids)?, None).await?;
        organization = after;
    }
    // From here on only keys are left, and repeating it goes on with them.
    tenant.align_api_keys(now).await?;
    Ok(organization)
}

/// A page of everything an organization owns, as `POST /api/admin/organization/export` gives it; each is on record.
///
/// # Errors
/// [`StoreError`] when it can't be read, or not be put on record.
pub async fn export(
    tenant: &Tenant,
    page: &PageRequest<Position>,
    mut record: AuditRecord,
    now: Timestamp,
) -> Result<Holdings, StoreError> {
    let holdings = tenant.holdings(page, now).await?;
    record.pii_accessed = true;
    record.sensitive = true;
    record.compliance_relevant = true;
    tenant.record(&record).await?;
    Ok(holdings)
}
