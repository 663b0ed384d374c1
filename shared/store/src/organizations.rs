//! Organizations: profile, plan, settings, life.

use std::time::Duration;

use clock::Timestamp;
use ids::{OrganizationId, UserId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::item::{self, Item, number, primary, text, value};
use crate::keys::{self, Key, OfOrganization};
use crate::tally::{Limits, Usage};
use crate::{Change, Member, Refusal, Store, StoreError, Tenant, Workspace, WorkspaceStatus};

/// How long a deleted organization can still be brought back.
pub const GRACE_BEFORE_ERASURE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What an organization pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

impl Plan {
    /// What the plan allows. An enterprise's own figures stand on its item; these are what it begins with.
    #[must_use]
    pub const fn limits(self) -> Limits {
        let (seats, workspaces, api_keys, endpoints, retention_days, requests) = match self {
            Self::Starter => (5, 3, 20, 10, 90, 1_000_000),
            Self::Growth => (25, 10, 100, 50, 90, 2_000_000),
            Self::Business => (100, 50, 500, 100, 180, 10_000_000),
            Self::Enterprise => (1000, 200, 500, 100, 365, 100_000_000),
        };
        Limits {
            seat_limit: seats,
            workspace_limit: workspaces,
            api_key_limit: api_keys,
            endpoint_limit: endpoints,
            requests_per_hour_limit: requests,
            retention_days,
        }
    }
}

/// Whether an organization lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum OrganizationStatus {
    /// Yes.
    Active,
    /// It was deleted and waits to be erased.
    Deleted,
}

/// What becomes of an API key that was found where anybody can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum LeakedKeys {
    /// It is revoked at once.
    #[default]
    Revoke,
    /// It works on, and says that it has leaked.
    Flag,
}

/// What an organization asks of its people and allows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Sessions must have proved a second factor.
    pub require_mfa: bool,
    /// Sessions must have begun at the organization's identity provider.
    pub require_sso: bool,
    /// The one admin whom `require_sso`, `allowed_domains` and the networks do not bind, for the day they lock everybody out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass_user_id: Option<UserId>,
    /// The e-mail domains of its people; any when empty.
    pub allowed_domains: Vec<String>,
    /// How long a session lasts at most, from the sign-in on, in seconds; 30 days when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_max_age_seconds: Option<u64>,
    /// The web origins that may call the API from a browser; none when empty.
    pub cors_origins: Vec<String>,
    /// The networks from which it may be administered; any when empty.
    pub admin_allowed_cidrs: Vec<String>,
    /// What becomes of its API keys that leak.
    pub leaked_keys: LeakedKeys,
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
    /// Whether it lives.
    pub status: OrganizationStatus,
    /// When a deleted one is erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_after: Option<Timestamp>,
    /// What it asks and allows.
    #[serde(default)]
    pub settings: Settings,
    /// How much of each it has.
    #[serde(flatten)]
    pub usage: Usage,
    /// How much of each it may have.
    #[serde(flatten)]
    pub limits: Limits,
    /// When it signed up.
    pub created_at: Timestamp,
    /// When profile, plan, settings or status last changed; counts do not count.
    pub updated_at: Timestamp,
}

impl Organization {
    /// A new one, with its first workspace and its first admin counted.
    #[must_use]
    pub fn founded(id: OrganizationId, name: String, now: Timestamp) -> Self {
        Self {
            id,
            name,
            plan: Plan::Starter,
            status: OrganizationStatus::Active,
            erased_after: None,
            settings: Settings::default(),
            usage: Usage {
                seat_count: 1,
                admin_count: 1,
                workspace_count: 1,
                requests_per_hour_left: Plan::Starter.limits().requests_per_hour_limit,
                ..Usage::default()
            },
            limits: Plan::Starter.limits(),
            created_at: now,
            updated_at: now,
        }
    }
}

impl Change {
    /// Creates an organization with its first workspace and its first admin, whom its counts must already include.
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
        let membership = crate::IdentityMembership { organization_id: id, created_at: admin.created_at };
        let link_key = keys::identity_organization(&admin.email, id);
        let link = item::write(operation, &link_key, &membership)?;
        Ok(self
            .step(Table::Core, Write::Create(profile), Refusal::Exists("organization"))
            .step(Table::Core, Write::Create(first), Refusal::Exists("workspace"))
            .step(Table::Core, Write::Create(member), Refusal::Exists("member"))
            .step(Table::Directory, Write::Create(link), Refusal::Exists("membership")))
    }

    /// Changes name, plan, limits, settings and status of an organization that is still as it was read. Its counts are
    /// left as they are; limits that what is in use exceeds by then are refused.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when the settings cannot be written.
    pub fn change_organization(
        self,
        before: &Organization,
        after: &Organization,
    ) -> Result<Self, StoreError> {
        let operation = self.operation();
        let limits = [
            ("seat_count", "seat_limit", ":seats", after.limits.seat_limit, before.limits.seat_limit),
            (
                "workspace_count",
                "workspace_limit",
                ":workspaces",
                after.limits.workspace_limit,
                before.limits.workspace_limit,
            ),
            (
                "api_key_count",
                "api_key_limit",
                ":keys",
                after.limits.api_key_limit,
                before.limits.api_key_limit,
            ),
            (
                "endpoint_count",
                "endpoint_limit",
                ":endpoints",
                after.limits.endpoint_limit,
                before.limits.endpoint_limit,
            ),
        ];
        let mut update = "SET #name = :name, #plan = :plan, #status = :status, settings = :settings, \
                          retention_days = :days, updated_at = :now"
            .to_owned();
        let mut condition = "updated_at = :read".to_owned();
        let mut values = vec![
            (":name", text(after.name.clone())),
            (":plan", value(operation, &after.plan)?),
            (":status", value(operation, &after.status)?),
            (":settings", value(operation, &after.settings)?),
            (":days", count(after.limits.retention_days)),
            (":now", text(after.updated_at.to_string())),
            (":read", text(before.updated_at.to_string())),
        ];
        for (in_use, limit, name, allowed, was) in limits {
            update.push_str(&format!(", {limit} = {name}"));
            values.push((name, count(allowed)));
            if allowed < was {
                condition.push_str(&format!(" AND {in_use} <= {name}"));
            }
        }
        // The keys' limits together are bounded by what is left to give, which moves with what there is to give. Organizations that
        // have not been brought up have none in the table: they were read as if nothing had been given away.
        let (requests, were) = (after.limits.requests_per_hour_limit, before.limits.requests_per_hour_limit);
        if requests != were {
            update.push_str(", requests_per_hour_limit = :requests");
            values.push((":requests", count(requests)));
        }
        if requests > were {
            update
                .push_str(", requests_per_hour_left = if_not_exists(requests_per_hour_left, :were) + :gain");
            values.push((":were", count(were)));
            values.push((":gain", count(requests - were)));
        } else if requests < were {
            update
                .push_str(", requests_per_hour_left = if_not_exists(requests_per_hour_left, :were) - :loss");
            condition.push_str(
                " AND (attribute_not_exists(requests_per_hour_left) OR requests_per_hour_left >= :loss)",
            );
            values.push((":were", count(were)));
            values.push((":loss", count(were - requests)));
        }
        match after.erased_after {
            Some(at) => {
                update.push_str(", erased_after = :erased");
                values.push((":erased", text(at.to_string())));
            }
            None => update.push_str(" REMOVE erased_after"),
        }
        let write = Expression {
            key: primary(&keys::organization(before.id)),
            update,
            condition,
            names: vec![("#name", "name"), ("#plan", "plan"), ("#status", "status")],
            values,
        };
        Ok(self.step(Table::Core, Write::Update(write), Refusal::Raced))
    }

    /// Goes ahead only while the organization's profile, plan, settings and status are as they were read.
    pub fn while_unchanged(self, organization: &Organization) -> Self {
        let check = Expression {
            key: primary(&keys::organization(organization.id)),
            condition: "updated_at = :read".to_owned(),
            values: vec![(":read", text(organization.updated_at.to_string()))],
            ..Expression::default()
        };
        self.step(Table::Core, Write::Check(check), Refusal::Raced)
    }

    /// Goes ahead only while the organization is not being deleted.
    pub(crate) fn while_active(self, organization: OrganizationId) -> Self {
        let check = Expression {
            key: primary(&keys::organization(organization)),
            condition: "#status = :active".to_owned(),
            names: vec![("#status", "status")],
            values: vec![(":active", text("active"))],
            ..Expression::default()
        };
        self.step(Table::Core, Write::Check(check), Refusal::Rule("the organization is being deleted"))
    }

    /// Lists `origin` as one that the organization's pages come from, for the answer to a browser's preflight.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn list_origin(
        self,
        organization: OrganizationId,
        origin: &str,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        #[derive(Serialize)]
        struct Listed {
            created_at: Timestamp,
            updated_at: Timestamp,
        }
        let listed = Listed { created_at: now, updated_at: now };
        let item = item::write(self.operation(), &keys::origin(origin, organization), &listed)?;
        let put = Write::Put { item, condition: String::new(), values: Vec::new() };
        Ok(self.step(Table::Directory, put, Refusal::Raced))
    }

    /// Takes an origin off the list.
    pub fn unlist_origin(self, organization: OrganizationId, origin: &str) -> Self {
        let delete =
            Expression { key: primary(&keys::origin(origin, organization)), ..Expression::default() };
        self.step(Table::Directory, Write::Delete(delete), Refusal::Raced)
    }
}

fn count(value: u64) -> aws_sdk_dynamodb::types::AttributeValue {
    number(i64::try_from(value).unwrap_or(i64::MAX))
}

impl Store {
    /// One item of one table, read consistently.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        table: fn(&Self) -> &str,
        operation: &'static str,
        key: &Key,
    ) -> Result<Option<T>, StoreError> {
        let found = self.item(table, operation, key).await?;
        found.map(|found| item::read(operation, found)).transpose()
    }

    /// The same as it is stored.
    pub(crate) async fn item(
        &self,
        table: fn(&Self) -> &str,
        operation: &'static str,
        key: &Key,
    ) -> Result<Option<item::Item>, StoreError> {
        let read = self.client.get_item().table_name(table(self)).set_key(Some(item::primary(key)));
        let answer = read.consistent_read(true).send().await;
        Ok(answer.map_err(|e| StoreError::from_sdk(operation, e))?.item)
    }

    /// Everything of one kind in an organization's own partition: lists that the plan bounds.
    pub(crate) async fn all_of_organization<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        organization: OrganizationId,
        kind: OfOrganization,
    ) -> Result<Vec<T>, StoreError> {
        item::read_all(operation, self.items_of_organization(operation, organization, kind).await?)
    }

    /// The same, as items.
    pub(crate) async fn items_of_organization(
        &self,
        operation: &'static str,
        organization: OrganizationId,
        kind: OfOrganization,
    ) -> Result<Vec<Item>, StoreError> {
        let (pk, prefix) = keys::of_organization(organization, kind);
        let query = self
            .client
            .query()
            .table_name(self.core_table())
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":prefix", text(prefix))
            .consistent_read(true);
        item::all(operation, query).await
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

/// An organization and its workspaces, as one look at them finds.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// The organization; `None` once it is erased.
    pub organization: Option<Organization>,
    /// The workspaces that are not deleted, oldest first.
    pub workspaces: Vec<Workspace>,
}

impl Tenant {
    /// The organization.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn organization(&self) -> Result<Option<Organization>, StoreError> {
        self.store.get(Store::core_table, "organization", &keys::organization(self.organization)).await
    }

    /// The organization and its workspaces, in one query.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn overview(&self) -> Result<Overview, StoreError> {
        const OPERATION: &str = "overview";
        let profile = keys::organization(self.organization);
        let (pk, prefix) = keys::of_organization(self.organization, OfOrganization::Workspaces);
        let query = self
            .store
            .client
            .query()
            .table_name(self.store.core_table())
            // Nothing else sorts between the organization itself and its workspaces; `keys` holds a test to that.
            .key_condition_expression("pk = :pk AND sk BETWEEN :profile AND :last")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":profile", text(profile.sk.clone()))
            .expression_attribute_values(":last", text(format!("{prefix}~")))
            .consistent_read(true);
        let items = item::all(OPERATION, query).await?;
        let mut overview = Overview { organization: None, workspaces: Vec::new() };
        for found in items {
            if item::get_text(&found, keys::SK) == Some(&profile.sk) {
                overview.organization = Some(item::read(OPERATION, found)?);
            } else {
                let workspace: Workspace = item::read(OPERATION, found)?;
                if workspace.status != WorkspaceStatus::Deleted {
                    overview.workspaces.push(workspace);
                }
            }
        }
        Ok(overview)
    }
}

impl Store {
    /// Whether any organization lists this web origin.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn is_listed_origin(&self, origin: &str) -> Result<bool, StoreError> {
        let query = self
            .client
            .query()
            .table_name(self.directory_table())
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(keys::origins(origin)))
            .limit(1);
        let answer = query.send().await.map_err(|e| StoreError::from_sdk("is_listed_origin", e))?;
        Ok(answer.count > 0)
    }
}
