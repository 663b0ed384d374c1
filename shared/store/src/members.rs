//! Members: who belongs to an organization, in which roles.
//!
//! A membership begins, changes and ends through [`Change::membership`] alone, which moves the seat, the admin count and
//! the link from the person's e-mail address with it: no path can forget one of them.

use clock::Timestamp;
use ids::{OrganizationId, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::directory::IdentityMembership;
use crate::item::{self, primary, text};
use crate::keys::{self, OfOrganization};
use crate::tally::Tally;
use crate::{Change, Page, PageRequest, Refusal, Store, StoreError, Tenant, Workspace};

/// How many admins are told by mail of what concerns the whole organization. A transaction has room for their mails.
pub const MOST_NOTIFIED: usize = 25;

/// What a member may do. The matrix of permissions is the `access` crate's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, on the organization.
    Admin,
    /// Runs a workspace.
    Manager,
    /// Works in a workspace.
    Member,
    /// Looks on.
    ReadOnly,
}

/// Whether a member may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum MemberStatus {
    /// Yes; takes a seat.
    Active,
    /// Not at present.
    Deactivated,
}

/// A role in one workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceRole {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The role.
    pub role: Role,
}

/// A person's membership in an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The person.
    pub user_id: UserId,
    /// Their e-mail address.
    pub email: String,
    /// Their name.
    pub name: String,
    /// Role on the whole organization, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Roles in single workspaces.
    #[serde(default)]
    pub workspace_roles: Vec<WorkspaceRole>,
    /// Whether they may come in.
    pub status: MemberStatus,
    /// Whether the address was proved to be theirs by who is in here: nobody else is written to about the organization.
    #[serde(default)]
    pub address_proved: bool,
    /// Names this stretch of being let in: sessions of an earlier one are over. Another one begins when they join and when
    /// they are deactivated, so that nothing that was ended then comes back to life later.
    #[serde(default)]
    pub generation: u64,
    /// When they joined.
    pub created_at: Timestamp,
    /// When the membership was last changed.
    pub updated_at: Timestamp,
}

/// A name for a stretch of being let in that no other one of the same person bears.
#[must_use]
pub fn new_generation() -> u64 {
    // 48 bits are a whole number everywhere.
    u64::try_from(uuid::Uuid::new_v4().as_u128() >> 80).unwrap_or(0)
}

impl Member {
    /// The role held in one workspace itself, whatever is held on the organization.
    #[must_use]
    pub fn role_in(&self, workspace: WorkspaceId) -> Option<Role> {
        self.workspace_roles.iter().find(|held| held.workspace_id == workspace).map(|held| held.role)
    }

    /// Whether it takes a seat.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == MemberStatus::Active
    }

    /// The membership without the roles in workspaces that are not among `workspaces`: what is left of a role when its
    /// workspace is deleted means nothing.
    #[must_use]
    pub fn within(mut self, workspaces: &[Workspace]) -> Self {
        self.workspace_roles.retain(|held| workspaces.iter().any(|it| it.id == held.workspace_id));
        self
    }

    /// Whether any role is held anywhere.
    #[must_use]
    pub fn holds_a_role(&self) -> bool {
        self.role.is_some() || !self.workspace_roles.is_empty()
    }

    fn is_admin(&self) -> bool {
        self.is_active() && self.role == Some(Role::Admin)
    }

    fn weight(&self) -> Tally {
        Tally { seats: i64::from(self.is_active()), admins: i64::from(self.is_admin()), ..Tally::default() }
    }
}

impl Change {
    /// Turns a membership from what it was read as into what it is to be: `None` before makes one, `None` after ends it.
    /// Takes or frees the seat in the same transaction, and keeps at least one admin and the break-glass one.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when a record cannot be written as an item.
    pub fn membership(
        self,
        organization: OrganizationId,
        before: Option<&Member>,
        after: Option<&Member>,
    ) -> Result<Self, StoreError> {
        let operation = self.operation();
        let (was, is) =
            (before.map(Member::weight).unwrap_or_default(), after.map(Member::weight).unwrap_or_default());
        let resigns = before.filter(|old| old.is_admin() && !after.is_some_and(Member::is_admin));
        let tally = Tally {
            seats: is.seats - was.seats,
            admins: is.admins - was.admins,
            resigns: resigns.map(|admin| admin.user_id),
            ..Tally::default()
        };
        let change = self.tally(organization, tally);
        let link = |member: &Member| keys::identity_organization(&member.email, organization);
        Ok(match (before, after) {
            (None, None) => change,
            (None, Some(new)) => {
                let member = item::write(operation, &keys::member(organization, new.user_id), new)?;
                let membership =
                    IdentityMembership { organization_id: organization, created_at: new.created_at };
                let membership = item::write(operation, &link(new), &membership)?;
                let was_here = Expression {
                    key: primary(&keys::left(&new.email, organization)),
                    ..Expression::default()
                };
                change
                    .step(Table::Core, Write::Create(member), Refusal::Exists("member"))
                    .step(Table::Directory, Write::Create(membership), Refusal::Exists("membership"))
                    .step(Table::Directory, Write::Delete(was_here), Refusal::Raced)
            }
            (Some(old), Some(new)) => {
                change.replace(Table::Core, &keys::member(organization, old.user_id), new, old.updated_at)?
            }
            (Some(old), None) => {
                let delete = Expression {
                    key: primary(&keys::member(organization, old.user_id)),
                    condition: "updated_at = :read".to_owned(),
                    values: vec![(":read", text(old.updated_at.to_string()))],
                    ..Expression::default()
                };
                let unlink = Expression {
                    key: primary(&link(old)),
                    condition: "attribute_exists(pk)".to_owned(),
                    ..Expression::default()
                };
                // Who was removed does not come back by themselves. Who it was is kept with it: the account may be gone
                // before this organization has forgotten them.
                let now = old.updated_at.to_string();
                let was_here = Expression {
                    key: primary(&keys::left(&old.email, organization)),
                    update: "SET v = :v, created_at = :now, updated_at = :now, user_id = :user".to_owned(),
                    values: vec![
                        (":v", item::number(1)),
                        (":now", text(now)),
                        (":user", text(old.user_id.to_string())),
                    ],
                    ..Expression::default()
                };
                change
                    .step(Table::Core, Write::Delete(delete), Refusal::Raced)
                    .step(Table::Directory, Write::Delete(unlink), Refusal::Missing("membership"))
                    .step(Table::Directory, Write::Update(was_here), Refusal::Raced)
            }
        })
    }

    /// Goes ahead only if nobody with this address is a member, active or not.
    pub fn requires_no_member(self, organization: OrganizationId, email: &str) -> Self {
        let check = Expression {
            key: primary(&keys::identity_organization(email, organization)),
            condition: "attribute_not_exists(pk)".to_owned(),
            ..Expression::default()
        };
        let refusal = Refusal::Rule("somebody with this address is a member already");
        self.step(Table::Directory, Write::Check(check), refusal)
    }
}

impl Change {
    /// Goes ahead only if the person is an active admin of the organization.
    pub fn requires_admin(self, organization: OrganizationId, id: UserId) -> Self {
        let check = Expression {
            key: primary(&keys::member(organization, id)),
            condition: "#status = :active AND #role = :admin".to_owned(),
            names: vec![("#status", "status"), ("#role", "role")],
            values: vec![(":active", text("active")), (":admin", text("admin"))],
            ..Expression::default()
        };
        self.step(
            Table::Core,
            Write::Check(check),
            Refusal::Rule("the break-glass admin must be an active admin"),
        )
    }
}

impl Tenant {
    /// A member.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn member(&self, id: UserId) -> Result<Option<Member>, StoreError> {
        self.store.get(Store::core_table, "member", &keys::member(self.organization, id)).await
    }

    /// A page of the members, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn members(&self, page: &PageRequest<UserId>) -> Result<Page<Member>, StoreError> {
        let page = PageRequest { limit: page.limit, after: page.after.map(|id| id.to_string()) };
        self.store.page_of_organization("members", self.organization, OfOrganization::Members, &page).await
    }

    /// The admins who are told by mail of what concerns the whole organization: active ones whose address was proved, those
    /// who have been there longest, [`MOST_NOTIFIED`] at most. Anybody may sign up with somebody else's address, who is not
    /// to hear of it but once.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn notified_admins(&self) -> Result<Vec<Member>, StoreError> {
        let mut admins = self.all_members().await?;
        admins.retain(|member| member.is_admin() && member.address_proved);
        admins.sort_unstable_by_key(|member| (member.created_at, member.user_id));
        admins.truncate(MOST_NOTIFIED);
        Ok(admins)
    }

    /// All members, deactivated ones included; the plan bounds how many are active.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn all_members(&self) -> Result<Vec<Member>, StoreError> {
        self.store.all_of_organization("all_members", self.organization, OfOrganization::Members).await
    }
}
