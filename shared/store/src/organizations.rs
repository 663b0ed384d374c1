//! Organizations, their workspaces and their members.

use clock::Timestamp;
use ids::{OrganizationId, UserId, WorkspaceId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::item::{self, text};
use crate::keys::{self, Key, OfOrganization};
use crate::{Change, Refusal, Store, StoreError, Tenant};

/// What an organization pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plan {
    /// 5 seats.
    Starter,
    /// 25 seats.
    Growth,
    /// 100 seats.
    Business,
    /// As agreed.
    Enterprise,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// Its plan.
    pub plan: Plan,
    /// When it signed up.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a member may do. The matrix of permissions is the `access` crate's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
#[serde(rename_all = "lowercase")]
pub enum MemberStatus {
    /// Yes.
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
    /// When they joined.
    pub created_at: Timestamp,
    /// When the membership was last changed.
    pub updated_at: Timestamp,
}

impl Change {
    /// Creates an organization with its first workspace and its first admin.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when a record cannot be written as an item.
    pub fn found_organization(
        self,
        organization: &Organization,
        workspace: &Workspace,
        admin: &Member,
    ) -> Result<Self, StoreError> {
        let operation = self.operation();
        let create = |key: &Key, record| item::write(operation, key, record).map(Write::Create);
        let id = organization.id;
        Ok(self
            .step(
                Table::Core,
                create(&keys::organization(id), &serde_value(organization)?)?,
                Refusal::Exists("organization"),
            )
            .step(
                Table::Core,
                create(&keys::workspace(id, workspace.id), &serde_value(workspace)?)?,
                Refusal::Exists("workspace"),
            )
            .step(
                Table::Core,
                create(&keys::member(id, admin.user_id), &serde_value(admin)?)?,
                Refusal::Exists("member"),
            ))
    }
}

impl Change {
    /// Goes ahead only if the workspace exists.
    pub fn requires_workspace(self, organization: OrganizationId, id: WorkspaceId) -> Self {
        let check = Expression {
            key: item::primary(&keys::workspace(organization, id)),
            condition: "attribute_exists(pk)".to_owned(),
            ..Expression::default()
        };
        self.step(Table::Core, Write::Check(check), Refusal::Missing("workspace"))
    }
}

/// A record as generic JSON, so that records of several types go through one closure.
fn serde_value<T: Serialize>(record: &T) -> Result<serde_json::Value, StoreError> {
    serde_json::to_value(record).map_err(|e| StoreError::malformed("record", e))
}

impl Store {
    /// One item of one table, read consistently.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        table: fn(&Self) -> &str,
        operation: &'static str,
        key: &Key,
    ) -> Result<Option<T>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(table(self))
            .set_key(Some(item::primary(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk(operation, e))?;
        answer.item.map(|item| item::read(operation, item)).transpose()
    }

    /// Everything of one kind in an organization's own partition: lists that the plan bounds.
    pub(crate) async fn all_of_organization<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        organization: OrganizationId,
        kind: OfOrganization,
    ) -> Result<Vec<T>, StoreError> {
        let (pk, prefix) = keys::of_organization(organization, kind);
        let items = self
            .client
            .query()
            .table_name(self.core_table())
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":prefix", text(prefix))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(|e| StoreError::from_sdk(operation, e))?;
        item::read_all(operation, items)
    }

    /// One page of everything of one kind in an organization's own partition, newest first.
    pub(crate) async fn page_of_organization<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        organization: OrganizationId,
        kind: OfOrganization,
        page: &crate::PageRequest<String>,
    ) -> Result<crate::Page<T>, StoreError> {
        let (pk, prefix) = keys::of_organization(organization, kind);
        // `~` sorts after every character of an id; the prefix alone before them all.
        let before = page.after.as_ref().map_or_else(|| format!("{prefix}~"), |id| format!("{prefix}{id}"));
        let items = self
            .client
            .query()
            .table_name(self.core_table())
            .key_condition_expression("pk = :pk AND sk BETWEEN :prefix AND :before")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":prefix", text(prefix))
            .expression_attribute_values(":before", text(before))
            .scan_index_forward(false)
            .limit(limit_with_look_ahead(page.limit + usize::from(page.after.is_some())))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk(operation, e))?
            .items
            .unwrap_or_default();
        // BETWEEN includes the position itself.
        let skip = usize::from(page.after.is_some());
        let items = items.into_iter().skip(skip).collect();
        Ok(crate::Page::cut(item::read_all(operation, items)?, page.limit))
    }
}

/// One more than asked for tells whether there is a next page.
pub(crate) fn limit_with_look_ahead(limit: usize) -> i32 {
    i32::try_from(limit.saturating_add(1)).unwrap_or(i32::MAX)
}

impl Tenant {
    /// The organization.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn organization(&self) -> Result<Option<Organization>, StoreError> {
        self.store.get(Store::core_table, "organization", &keys::organization(self.organization)).await
    }

    /// Its workspaces, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn workspaces(&self) -> Result<Vec<Workspace>, StoreError> {
        self.store.all_of_organization("workspaces", self.organization, OfOrganization::Workspaces).await
    }

    /// A member.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn member(&self, id: UserId) -> Result<Option<Member>, StoreError> {
        self.store.get(Store::core_table, "member", &keys::member(self.organization, id)).await
    }
}
