//! Workspaces: the walls inside an organization.

use clock::Timestamp;
use ids::{OrganizationId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::item;
use crate::keys::{self, OfOrganization};
use crate::tally::Tally;
use crate::{Change, Refusal, Store, StoreError, Tenant};

/// Whether a workspace can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
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
        let check = Expression {
            key: item::primary(&keys::workspace(organization, id)),
            condition: "attribute_exists(pk) AND (attribute_not_exists(#status) OR #status = :active)"
                .to_owned(),
            names: vec![("#status", "status")],
            values: vec![(":active", item::text("active"))],
            ..Expression::default()
        };
        self.step(Table::Core, Write::Check(check), Refusal::Missing("workspace"))
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

    /// Whether anything was ever put into a workspace, in either mode, and is still there: campaigns or leads.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn workspace_holds_data(&self, id: WorkspaceId) -> Result<bool, StoreError> {
        let partitions = [crate::Mode::Live, crate::Mode::Test].into_iter().flat_map(|mode| {
            let scope = self.workspace(id, mode).scope();
            std::iter::once(keys::campaigns(&scope)).chain(keys::lead_shards(&scope))
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
