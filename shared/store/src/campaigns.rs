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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

    /// Changes a campaign that is still as it was read.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn change_campaign(
        self,
        scope: WorkspaceScope,
        read: &Campaign,
        campaign: &Campaign,
    ) -> Result<Self, StoreError> {
        self.replace(Table::Core, &keys::campaign(&scope, campaign.id), campaign, read.updated_at)
    }

    /// Moves a campaign to `campaign.status`, provided it stands where it can be moved from and nobody has changed it since
    /// it was read. Otherwise `rule` stands in the way.
    pub fn move_campaign(
        self,
        scope: WorkspaceScope,
        read: &Campaign,
        campaign: &Campaign,
        from: &[CampaignStatus],
        rule: &'static str,
    ) -> Self {
        const FROM: [&str; 4] = [":from0", ":from1", ":from2", ":from3"];
        let mut update = Expression {
            key: primary(&keys::campaign(&scope, campaign.id)),
            update: "SET #status = :status, updated_at = :now".to_owned(),
            condition: String::new(),
            names: vec![("#status", "status")],
            values: vec![
                (":status", status(campaign.status)),
                (":now", text(campaign.updated_at.to_string())),
                (":read", text(read.updated_at.to_string())),
            ],
        };
        let from: Vec<_> = FROM.into_iter().zip(from).map(|(name, it)| (name, status(*it))).collect();
        let names: Vec<_> = from.iter().map(|(name, _)| *name).collect();
        update.condition = format!("updated_at = :read AND #status IN ({})", names.join(", "));
        update.values.extend(from);
        self.step(Table::Core, Write::Update(update), Refusal::Rule(rule))
    }

    /// Deletes a campaign that is still as it was read.
    pub fn delete_campaign(self, scope: WorkspaceScope, read: &Campaign) -> Self {
        let delete = Expression {
            key: primary(&keys::campaign(&scope, read.id)),
            condition: "updated_at = :read".to_owned(),
            values: vec![(":read", text(read.updated_at.to_string()))],
            ..Expression::default()
        };
        self.step(Table::Core, Write::Delete(delete), Refusal::Raced)
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

fn status(status: CampaignStatus) -> aws_sdk_dynamodb::types::AttributeValue {
    text(match status {
        CampaignStatus::Draft => "draft",
        CampaignStatus::Running => "running",
        CampaignStatus::Paused => "paused",
        CampaignStatus::Completed => "completed",
    })
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
