//! Workspaces: the walls inside an organization.

use clock::Timestamp;
use ids::{OrganizationId, WorkspaceId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Meaning, Table, Write};
use crate::item::{self, Item};
use crate::keys::{self, OfOrganization};
use crate::tally::Tally;
use crate::{ApiKey, Change, Endpoint, Invitation, Page, PageRequest, Refusal, Store, StoreError, Tenant};

/// Whether a workspace can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum WorkspaceStatus {
    /// Yes.
    #[default]
    Active,
    /// Not until it is made active again.
    Archived,
    /// Never again; what was in it waits to be erased.
    Deleted,
}

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name.
    pub name: String,
    /// Whether it can be used.
    #[serde(default)]
    pub status: WorkspaceStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Change {
    /// Creates a workspace, if the plan has room for it.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn create_workspace(
        self,
        organization: OrganizationId,
        workspace: &Workspace,
    ) -> Result<Self, StoreError> {
        let item = item::write(self.operation(), &keys::workspace(organization, workspace.id), workspace)?;
        Ok(self
            .step(Table::Core, Write::Create(item), Refusal::Exists("workspace"))
            .tally(organization, Tally { workspaces: 1, ..Tally::default() }))
    }

    /// Changes a workspace that is still as it was read; one that becomes deleted is no longer counted.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn change_workspace(
        self,
        organization: OrganizationId,
        before: &Workspace,
        after: &Workspace,
    ) -> Result<Self, StoreError> {
        let counts = |workspace: &Workspace| i64::from(workspace.status != WorkspaceStatus::Deleted);
        let tally = Tally { workspaces: counts(after) - counts(before), ..Tally::default() };
        self.tally(organization, tally).replace(
            Table::Core,
            &keys::workspace(organization, before.id),
            after,
            before.updated_at,
        )
    }

    /// Goes ahead only if the workspace exists and can be used.
    pub fn requires_workspace(self, organization: OrganizationId, id: WorkspaceId) -> Self {
        let check = usable(organization, id);
        self.judged_step(Table::Core, Write::Check(check), Meaning::Unusable)
    }

    /// Goes ahead only if `other`, which was read as a workspace that can be used, still is one: so that of an
    /// organization's workspaces one always is.
    pub fn leaves_usable(self, organization: OrganizationId, other: WorkspaceId) -> Self {
        let check = usable(organization, other);
        self.step(Table::Core, Write::Check(check), Refusal::Raced)
    }
}

fn usable(organization: OrganizationId, id: WorkspaceId) -> Expression {
    Expression {
        key: item::primary(&keys::workspace(organization, id)),
        condition: "attribute_exists(pk) AND (attribute_not_exists(#status) OR #status = :active)".to_owned(),
        names: vec![("#status", "status")],
        values: vec![(":active", item::text("active"))],
        ..Expression::default()
    }
}

/// Why a workspace can't be used, by its item.
pub(crate) fn unusable(workspace: Option<&Item>) -> Refusal {
    match workspace.and_then(|found| item::get_text(found, "status")) {
        Some("archived") => Refusal::Archived,
        _ => Refusal::Missing("workspace"),
    }
}

/// What is for one workspace alone, and ends with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Keys that work.
    pub api_keys: Vec<ApiKey>,
    /// Endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Invitations that were neither accepted nor withdrawn.
    pub invitations: Vec<Invitation>,
}

impl Bound {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.api_keys.is_empty() && self.endpoints.is_empty() && self.invitations.is_empty()
    }
}

impl Tenant {
    /// A workspace, deleted ones included.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn workspace_record(&self, id: WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        self.store.get(Store::core_table, "workspace", &keys::workspace(self.organization, id)).await
    }

    /// The workspaces that are not deleted, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn workspaces(&self) -> Result<Vec<Workspace>, StoreError> {
        let mut all: Vec<Workspace> = self
            .store
            .all_of_organization("workspaces", self.organization, OfOrganization::Workspaces)
            .await?;
        all.retain(|workspace| workspace.status != WorkspaceStatus::Deleted);
        Ok(all)
    }

    /// A page of the workspaces, newest first, deleted ones included.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn workspace_page(
        &self,
        page: &PageRequest<WorkspaceId>,
    ) -> Result<Page<Workspace>, StoreError> {
        let page = PageRequest { limit: page.limit, after: page.after.map(|id| id.to_string()) };
        self.store
            .page_of_organization("workspace_page", self.organization, OfOrganization::Workspaces, &page)
            .await
    }

    /// What is bound to a workspace.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn bound_to(&self, id: WorkspaceId) -> Result<Bound, StoreError> {
        let (api_keys, endpoints, invitations) = tokio::try_join!(
            self.bound(OfOrganization::ApiKeys, id, &["active", "rotated"]),
            self.bound(OfOrganization::Endpoints, id, &[]),
            self.bound(OfOrganization::Invitations, id, &["pending"]),
        )?;
        Ok(Bound { api_keys, endpoints, invitations })
    }

    /// Everything of one kind that is for this workspace alone and, if any are named, in one of these states. Most of a kind
    /// may be over and done with, so DynamoDB leaves out what is not asked for.
    async fn bound<T: DeserializeOwned>(
        &self,
        kind: OfOrganization,
        workspace: WorkspaceId,
        states: &[&str],
    ) -> Result<Vec<T>, StoreError> {
        const OPERATION: &str = "bound_to";
        let (pk, prefix) = keys::of_organization(self.organization, kind);
        let mut query = self
            .store
            .client
            .query()
            .table_name(self.store.core_table())
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", item::text(pk))
            .expression_attribute_values(":prefix", item::text(prefix))
            .expression_attribute_values(":workspace", item::text(workspace.to_string()))
            .consistent_read(true);
        let mut filter = "workspace_id = :workspace".to_owned();
        if !states.is_empty() {
            let names: Vec<_> = (0..states.len()).map(|index| format!(":state{index}")).collect();
            filter.push_str(&format!(" AND #status IN ({})", names.join(", ")));
            query = query.expression_attribute_names("#status", "status");
            for (name, state) in names.into_iter().zip(states) {
                query = query.expression_attribute_values(name, item::text(*state));
            }
        }
        query = query.filter_expression(filter);
        item::read_all(OPERATION, item::all(OPERATION, query).await?)
    }

    /// Whether anything was ever put into a workspace, in either mode, and is still there: campaigns,
    /// leads or meetings.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn workspace_holds_data(&self, id: WorkspaceId) -> Result<bool, StoreError> {
        let partitions = [crate::Mode::Live, crate::Mode::Test].into_iter().flat_map(|mode| {
            let scope = self.workspace(id, mode).scope();
            std::iter::once(keys::campaigns(&scope))
                .chain(keys::lead_shards(&scope))
                .chain(keys::meeting_shards(&scope))
        });
        let looks = partitions.map(|pk| async move {
            let query = self
                .store
                .client
                .query()
                .table_name(self.store.core_table())
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", item::text(pk))
                .consistent_read(true)
                .limit(1);
            let answer = query.send().await.map_err(|e| StoreError::from_sdk("workspace_holds_data", e))?;
            Ok::<_, StoreError>(answer.count > 0)
        });
        Ok(futures::future::try_join_all(looks).await?.contains(&true))
    }
}
