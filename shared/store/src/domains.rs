//! Domains: claimed by any number of organizations, verified by one.

use clock::Timestamp;
use ids::{OrganizationId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::item::{self, primary, text};
use crate::keys::{self, OfOrganization};
use crate::{Change, Refusal, Role, Store, StoreError, Tenant};

/// How far an organization has proved that it controls a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum DomainStatus {
    /// Claimed; the challenge has not been seen yet.
    Pending,
    /// The challenge was seen.
    Verified,
    /// Verified, but the challenge was not there when it was looked for again; still good for a time of grace.
    Failing,
    /// The grace is over: as if it had never been verified.
    Lapsed,
}

impl DomainStatus {
    /// Whether the domain counts as the organization's own.
    #[must_use]
    pub fn is_good(self) -> bool {
        matches!(self, Self::Verified | Self::Failing)
    }
}

/// What people of a domain get who join by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoJoin {
    /// The role.
    pub role: Role,
    /// Where: in this workspace, or on the organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<WorkspaceId>,
}

/// An organization's claim to a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainClaim {
    /// The domain, in lower case and ASCII.
    pub domain: String,
    /// How far it is proved.
    pub status: DomainStatus,
    /// What the TXT record must say.
    pub challenge: String,
    /// What its people get who join by themselves; they can't when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_join: Option<AutoJoin>,
    /// When the challenge was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// When it was last looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Timestamp>,
    /// Since when it has not been there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// When it is looked for next; the due time of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_check_at: Option<Timestamp>,
    /// When it was claimed.
    pub created_at: Timestamp,
    /// When the claim was last changed.
    pub updated_at: Timestamp,
}

/// Whose a verified domain is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainOwner {
    /// The organization.
    pub organization_id: OrganizationId,
    /// Since when.
    pub created_at: Timestamp,
    /// When that was last confirmed.
    pub updated_at: Timestamp,
}

impl Change {
    /// Claims a domain.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn claim_domain(self, organization: OrganizationId, claim: &DomainClaim) -> Result<Self, StoreError> {
        let item = item::write(self.operation(), &keys::domain_claim(organization, &claim.domain), claim)?;
        Ok(self.step(Table::Core, Write::Create(item), Refusal::Exists("domain")))
    }

    /// Changes a claim that is still as it was read. While its status is good the domain is this organization's and
    /// nobody else's; when it is no longer, the domain is free.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when a record cannot be written as an item.
    pub fn change_domain(
        self,
        organization: OrganizationId,
        before: &DomainClaim,
        after: &DomainClaim,
    ) -> Result<Self, StoreError> {
        let change = match (before.status.is_good(), after.status.is_good()) {
            (false, true) => self.own_domain(organization, &after.domain, after.updated_at)?,
            (true, false) => self.free_domain(organization, &before.domain),
            _ => self,
        };
        let key = keys::domain_claim(organization, &before.domain);
        change.replace(Table::Core, &key, after, before.updated_at)
    }

    /// Goes ahead only if a claim is still as it was read.
    pub fn requires_claim(self, organization: OrganizationId, claim: &DomainClaim) -> Self {
        let check = Expression {
            key: primary(&keys::domain_claim(organization, &claim.domain)),
            condition: "updated_at = :read".to_owned(),
            values: vec![(":read", text(claim.updated_at.to_string()))],
            ..Expression::default()
        };
        self.step(Table::Core, Write::Check(check), Refusal::Raced)
    }

    /// Goes ahead only while the domain is verified as the organization's own.
    pub fn requires_domain(self, organization: OrganizationId, domain: &str) -> Self {
        let check = Expression {
            key: primary(&keys::domain_claim(organization, domain)),
            condition: "#status IN (:verified, :failing)".to_owned(),
            names: vec![("#status", "status")],
            values: vec![(":verified", text("verified")), (":failing", text("failing"))],
            ..Expression::default()
        };
        self.step(Table::Core, Write::Check(check), Refusal::Raced)
    }

    /// Gives a claim up.
    pub fn drop_domain(self, organization: OrganizationId, claim: &DomainClaim) -> Self {
        let delete = Expression {
            key: primary(&keys::domain_claim(organization, &claim.domain)),
            condition: "updated_at = :read".to_owned(),
            values: vec![(":read", text(claim.updated_at.to_string()))],
            ..Expression::default()
        };
        let change = self.step(Table::Core, Write::Delete(delete), Refusal::Raced);
        if claim.status.is_good() { change.free_domain(organization, &claim.domain) } else { change }
    }

    fn own_domain(
        self,
        organization: OrganizationId,
        domain: &str,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let owner = DomainOwner { organization_id: organization, created_at: now, updated_at: now };
        let put = Write::Put {
            item: item::write(self.operation(), &keys::domain(domain), &owner)?,
            condition: "attribute_not_exists(pk) OR organization_id = :organization".to_owned(),
            values: vec![(":organization", text(organization.to_string()))],
        };
        Ok(self.step(Table::Directory, put, Refusal::Taken))
    }

    fn free_domain(self, organization: OrganizationId, domain: &str) -> Self {
        let delete = Expression {
            key: primary(&keys::domain(domain)),
            condition: "attribute_not_exists(pk) OR organization_id = :organization".to_owned(),
            values: vec![(":organization", text(organization.to_string()))],
            ..Expression::default()
        };
        self.step(Table::Directory, Write::Delete(delete), Refusal::Raced)
    }
}

impl Store {
    /// Whose a domain is; `None` when nobody has verified it.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn domain_owner(&self, domain: &str) -> Result<Option<DomainOwner>, StoreError> {
        self.get(Self::directory_table, "domain_owner", &keys::domain(domain)).await
    }
}

impl Tenant {
    /// A claim.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn domain(&self, domain: &str) -> Result<Option<DomainClaim>, StoreError> {
        self.store.get(Store::core_table, "domain", &keys::domain_claim(self.organization, domain)).await
    }

    /// All claims, by name.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn domains(&self) -> Result<Vec<DomainClaim>, StoreError> {
        self.store.all_of_organization("domains", self.organization, OfOrganization::Domains).await
    }
}
