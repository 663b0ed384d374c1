//! Campaigns.

use clock::Timestamp;
use ids::{CampaignId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::item::{self, primary, text};
use crate::organizations::first_of;
use crate::{Change, Page, PageRequest, Refusal, Store, StoreError, WorkspaceScope, WorkspaceStore, keys};

/// Where a campaign stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CampaignStatus {
    /// Not started.
    Draft,
    /// Reaching out.
    Running,
    /// Stopped for now.
    Paused,
    /// Over.
    Completed,
}

/// A campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// Its name.
    pub name: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// Where it stands.
    pub status: CampaignStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Change {
    /// Creates a campaign.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn create_campaign(self, scope: WorkspaceScope, campaign: &Campaign) -> Result<Self, StoreError> {
        let item = item::write(self.operation(), &keys::campaign(&scope, campaign.id), campaign)?;
        Ok(self.step(Table::Core, Write::Create(item), Refusal::Exists("campaign")))
    }

    /// Goes ahead only if the campaign exists.
    pub fn requires_campaign(self, scope: WorkspaceScope, id: CampaignId) -> Self {
        let check = Expression {
            key: primary(&keys::campaign(&scope, id)),
            condition: "attribute_exists(pk)".to_owned(),
            ..Expression::default()
        };
        self.step(Table::Core, Write::Check(check), Refusal::Missing("campaign"))
    }
}

impl WorkspaceStore {
    /// A campaign.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn campaign(&self, id: CampaignId) -> Result<Option<Campaign>, StoreError> {
        self.store.get(Store::core_table, "campaign", &keys::campaign(&self.scope, id)).await
    }

    /// The workspace's campaigns, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn campaigns(&self, page: &PageRequest<CampaignId>) -> Result<Page<Campaign>, StoreError> {
        let items = self.newest_first("campaigns", keys::campaigns(&self.scope), page).await?;
        Ok(Page::cut(item::read_all("campaigns", items)?, page.limit))
    }

    /// A page and one item more of a partition whose sort keys are ids, newest first.
    pub(crate) async fn newest_first<K: ids::Kind>(
        &self,
        operation: &'static str,
        pk: String,
        page: &PageRequest<ids::Id<K>>,
    ) -> Result<Vec<item::Item>, StoreError> {
        let query = self
            .store
            .client
            .query()
            .table_name(self.store.core_table())
            .expression_attribute_values(":pk", text(pk))
            .scan_index_forward(false);
        let query = match page.after {
            None => query.key_condition_expression("pk = :pk"),
            Some(after) => query
                .key_condition_expression("pk = :pk AND sk < :after")
                .expression_attribute_values(":after", text(after.to_string())),
        };
        first_of(operation, query, page.limit + 1).await
    }
}
