//! Organizations that somebody may join by themselves: those that own the domain of their address and let its people in.

use dns::Domain;
use edge::{Edge, Refused};
use store::{Account, AutoJoin, DomainClaim, Organization, OrganizationStatus, Tenant, Workspace};

use crate::app::invitation::admits;
use crate::app::joining::Seat;

/// An organization that lets the people of a domain in.
pub(crate) struct Open {
    pub(crate) tenant: Tenant,
    pub(crate) organization: Organization,
    pub(crate) workspaces: Vec<Workspace>,
    pub(crate) claim: DomainClaim,
    pub(crate) seat: Seat,
}

/// The organization that lets in who has this account, if there is one. Of no use to who has not confirmed their address,
/// nor to who belonged to it once: they come back by invitation.
pub(crate) async fn open_to(edge: &Edge, account: &Account) -> Result<Option<Open>, Refused> {
    let identity = &account.identity;
    let Some(domain) = Domain::of_email(&identity.email).ok().filter(|_| identity.email_verified) else {
        return Ok(None);
    };
    let store = edge.unscoped_store();
    let Some(owner) = store.domain_owner(domain.as_str()).await? else { return Ok(None) };
    let tenant = store.tenant_of_sign_in(owner.organization_id);
    let (claim, overview) = tokio::try_join!(tenant.domain(domain.as_str()), tenant.overview())?;
    let (Some(claim), Some(organization)) = (claim, overview.organization) else { return Ok(None) };
    let Some(AutoJoin { role, workspace_id }) = claim.auto_join.clone().filter(|_| claim.status.is_good())
    else {
        return Ok(None);
    };
    let seat = Seat { role, workspace: workspace_id };
    let is_open = organization.status == OrganizationStatus::Active
        && !account.left.contains(&organization.id)
        && admits(&organization, &identity.email).is_ok()
        && seat.check(&overview.workspaces).is_ok();
    let open = Open { tenant, organization, workspaces: overview.workspaces, claim, seat };
    Ok(is_open.then_some(open))
}
