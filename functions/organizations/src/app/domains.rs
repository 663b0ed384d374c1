//! The rules of its domains. How a claim is proved is the `domains` crate's.

use clock::Timestamp;
use dns::Domain;
use ids::OrganizationId;
use input::{Fault, Faults};
use problem::Problem;
use store::{AuditRecord, AutoJoin, Change, DomainClaim, DomainStatus, Organization, StoreError};

use super::note;
use super::placement::Placement;

const MOST_CLAIMS: usize = 50;

/// Checks that a domain can be claimed by an organization that has claimed `claimed` others.
///
/// # Errors
/// 422 when it is none, or belongs to a provider of mailboxes; 409 when there are too many.
pub(crate) fn check(name: &str, claimed: usize) -> Result<Domain, Problem> {
    let mut faults = Faults::default();
    let domain = Domain::parse(name).map_err(|fault| Fault::new("format", fault.to_string()));
    let domain = faults.take("/domain", domain.and_then(not_consumer));
    let domain = faults.finish(domain)?;
    if claimed >= MOST_CLAIMS {
        let detail = format!("An organization claims {MOST_CLAIMS} domains at most.");
        return Err(Problem::Conflict { detail });
    }
    Ok(domain)
}

fn not_consumer(domain: Domain) -> Result<Domain, Fault> {
    if domain.is_consumer() {
        let message = "must not be a provider of mailboxes: the people there are nobody's";
        return Err(Fault::new("value", message));
    }
    Ok(domain)
}

/// A new claim.
pub(crate) fn claim(domain: &Domain, challenge: String, now: Timestamp) -> DomainClaim {
    DomainClaim {
        domain: domain.as_str().to_owned(),
        status: DomainStatus::Pending,
        challenge,
        auto_join: None,
        verified_at: None,
        checked_at: None,
        failing_since: None,
        next_check_at: None,
        created_at: now,
        updated_at: now,
    }
}

/// The change that makes a claim.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn make(
    claim: &DomainClaim,
    organization: OrganizationId,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    note(&mut record, "status", &None, &Some(claim.status));
    record.compliance_relevant = true;
    Change::audited(record).claim_domain(organization, claim)
}

/// What is told when the record that proves a claim was not found.
pub(crate) fn not_found(claim: &DomainClaim) -> Problem {
    let name = domains::record_name(&claim.domain);
    let detail = format!("No TXT record of {name} says {}.", claim.challenge);
    Problem::DomainChallengeFailed { detail }
}

/// The change that verifies a claim, or verifies it again, and puts the next look on the list.
///
/// # Errors
/// [`StoreError::Malformed`] when something of it cannot be written as an item.
pub(crate) fn verify(
    before: &DomainClaim,
    after: &DomainClaim,
    organization: OrganizationId,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    note(&mut record, "status", &before.status, &after.status);
    record.sensitive = true;
    record.compliance_relevant = true;
    let mut change = Change::audited(record).change_domain(organization, before, after)?;
    let (old, new) = (before.check_due(organization), after.check_due(organization));
    // A transaction touches a task once.
    if old != new {
        if let Some(due) = old {
            change = change.unschedule(&due);
        }
        if let Some(due) = new {
            change = change.schedule(&due)?;
        }
    }
    Ok(change)
}

/// The claim with another way to join by it.
///
/// # Errors
/// 422 with every fault.
pub(crate) fn with_auto_join(
    before: &DomainClaim,
    placement: Option<Placement>,
    now: Timestamp,
) -> Result<DomainClaim, Problem> {
    let mut faults = Faults::default();
    if let Some(placement) = &placement {
        placement.check("/auto_join/role", "/auto_join/workspace_id", &mut faults);
    }
    faults.finish(Some(()))?;
    let auto_join = placement.map(|it| AutoJoin { role: it.role, workspace_id: it.workspace_id });
    Ok(DomainClaim { auto_join, updated_at: store::touched(before.updated_at, now), ..before.clone() })
}

/// The change of who joins by a domain. A workspace they join must exist.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn change(
    before: &DomainClaim,
    after: &DomainClaim,
    organization: OrganizationId,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    note(&mut record, "auto_join", &before.auto_join, &after.auto_join);
    record.sensitive = true;
    record.compliance_relevant = true;
    let change = Change::audited(record).change_domain(organization, before, after)?;
    let workspace = after.auto_join.as_ref().and_then(|auto_join| auto_join.workspace_id);
    Ok(match workspace {
        Some(workspace) => change.requires_workspace(organization, workspace),
        None => change,
    })
}

/// The change that gives a claim up, provided the organization does not rely on it by then.
///
/// # Errors
/// 409 while its people are those of that domain.
pub(crate) fn give_up(
    claim: &DomainClaim,
    organization: &Organization,
    mut record: AuditRecord,
) -> Result<Change, Problem> {
    if organization.settings.allowed_domains.contains(&claim.domain) {
        let detail = "The organization's `allowed_domains` name it. Take it off there first.".to_owned();
        return Err(Problem::Conflict { detail });
    }
    let settings = &organization.settings;
    if claim.status.is_good() && settings.require_sso && settings.break_glass_user_id.is_none() {
        let detail = "Its people could not sign on any more, and everybody has to. Name a break-glass admin first, or switch \
                      `require_sso` off.";
        return Err(Problem::Conflict { detail: detail.to_owned() });
    }
    note(&mut record, "status", &Some(claim.status), &None);
    record.sensitive = claim.status.is_good();
    record.compliance_relevant = true;
    let change = Change::audited(record).drop_domain(organization.id, claim).while_unchanged(organization);
    Ok(match claim.check_due(organization.id) {
        Some(due) => change.unschedule(&due),
        None => change,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str) -> bool {
        matches!(check(name, 0), Err(Problem::Invalid { .. }))
    }

    #[test]
    fn only_a_domain_that_somebody_can_speak_for_is_claimed() {
        assert_eq!(check("Example.COM", 49).unwrap().as_str(), "example.com");
        assert_eq!(check("mail.exämple.de", 0).unwrap().as_str(), "mail.xn--exmple-cua.de");
        for name in ["", "com", "co.uk", "gmail.com", "x.outlook.com", "127.0.0.1", "a b.com", "example.com."]
        {
            assert!(refused(name), "{name}");
        }
        assert!(matches!(check("example.com", 50), Err(Problem::Conflict { .. })));
    }
}
