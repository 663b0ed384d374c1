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
        let (operation, id) = (self.operation(), organization.id);
        let profile = item::write(operation, &keys::organization(id), organization)?;
        let first = item::write(operation, &keys::workspace(id, workspace.id), workspace)?;
        let member = item::write(operation, &keys::member(id, admin.user_id), admin)?;
        Ok(self
            .step(Table::Core, Write::Create(profile), Refusal::Exists("organization"))
            .step(Table::Core, Write::Create(first), Refusal::Exists("workspace"))
            .step(Table::Core, Write::Create(member), Refusal::Exists("member")))
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

/// Things an organization may have only so many of, counted on its own item in the transaction that makes or ends one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    Endpoints,
    ApiKeys,
}

impl Counted {
    fn attribute(self) -> &'static str {
        match self {
            Self::Endpoints => "endpoint_count",
            Self::ApiKeys => "api_key_count",
        }
    }

    /// How many, on every plan: what keeps a fan-out and a listing bounded.
    fn most(self) -> (i64, &'static str) {
        match self {
            Self::Endpoints => (100, "100 endpoints"),
            Self::ApiKeys => (500, "500 active API keys"),
        }
    }
}

impl Change {
    /// Counts one more, if there is room.
    pub(crate) fn joins(self, organization: OrganizationId, counted: Counted) -> Self {
        let (most, limit) = counted.most();
        let join = Expression {
            key: item::primary(&keys::organization(organization)),
            update: "SET #count = if_not_exists(#count, :none) + :one".to_owned(),
            condition: "attribute_exists(pk) AND (attribute_not_exists(#count) OR #count < :most)".to_owned(),
            names: vec![("#count", counted.attribute())],
            values: vec![
                (":none", item::number(0)),
                (":one", item::number(1)),
                (":most", item::number(most)),
            ],
        };
        self.step(Table::Core, Write::Update(join), Refusal::Full(limit))
    }

    /// Counts one less.
    pub(crate) fn leaves(self, organization: OrganizationId, counted: Counted) -> Self {
        let leave = Expression {
            key: item::primary(&keys::organization(organization)),
            update: "SET #count = #count - :one".to_owned(),
            condition: "#count > :none".to_owned(),
            names: vec![("#count", counted.attribute())],
            values: vec![(":none", item::number(0)), (":one", item::number(1))],
        };
        self.step(Table::Core, Write::Update(leave), Refusal::Rule("it was not counted"))
    }
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
        let after = page.after.as_ref().map(|id| format!("{prefix}{id}"));
        let before = after.clone().unwrap_or_else(|| format!("{prefix}~"));
        let query = self
            .client
            .query()
            .table_name(self.core_table())
            .key_condition_expression("pk = :pk AND sk BETWEEN :prefix AND :before")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":prefix", text(prefix))
            .expression_attribute_values(":before", text(before))
            .scan_index_forward(false);
        // BETWEEN includes the position itself, if what was there still is.
        let mut items = first_of(operation, query, page.limit + 2).await?;
        items.retain(|item| item::get_text(item, keys::SK).map(str::to_owned) != after);
        Ok(crate::Page::cut(item::read_all(operation, items)?, page.limit))
    }
}

/// The first `count` items of a query, however many of DynamoDB's own pages (1 MB at most) they take.
pub(crate) async fn first_of(
    operation: &'static str,
    query: aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder,
    count: usize,
) -> Result<Vec<item::Item>, StoreError> {
    let mut found: Vec<item::Item> = Vec::with_capacity(count);
    let mut from = None;
    loop {
        let wanted = i32::try_from(count - found.len()).unwrap_or(i32::MAX);
        let page = query.clone().limit(wanted).set_exclusive_start_key(from).send();
        let answer = page.await.map_err(|e| StoreError::from_sdk(operation, e))?;
        found.extend(answer.items.unwrap_or_default());
        from = answer.last_evaluated_key;
        if from.is_none() || found.len() >= count {
            return Ok(found);
        }
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
