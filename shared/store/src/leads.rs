//! Leads and their replies.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use clock::Timestamp;
use futures::future::try_join_all;
use ids::{CampaignId, LeadId, ReplyId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::item::{self, primary, text};
use crate::{Change, Page, PageRequest, Refusal, Store, StoreError, WorkspaceScope, WorkspaceStore, keys};

/// Where a lead stands. It only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeadStatus {
    /// Nothing has been sent.
    New,
    /// Something has been sent.
    Contacted,
    /// The lead has answered.
    Replied,
    /// Worth a salesperson's time.
    Qualified,
}

/// A lead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lead {
    /// Its id.
    pub id: LeadId,
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// E-mail address.
    pub email: String,
    /// First name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// Job title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The campaign it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<CampaignId>,
    /// The customer's own fields.
    #[serde(default)]
    pub custom: BTreeMap<String, serde_json::Value>,
    /// Where it stands.
    pub status: LeadStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a lead answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Its id.
    pub id: ReplyId,
    /// The lead.
    pub lead_id: LeadId,
    /// The text.
    pub message: String,
    /// How it came: `email`, `phone`…
    pub channel: String,
    /// When it was recorded.
    pub created_at: Timestamp,
}

impl Change {
    /// Creates a lead.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn create_lead(self, scope: WorkspaceScope, lead: &Lead) -> Result<Self, StoreError> {
        let item = item::write(self.operation(), &keys::lead(&scope, lead.id), lead)?;
        Ok(self.step(Table::Core, Write::Create(item), Refusal::Exists("lead")))
    }

    /// Records a reply and moves the lead to `lead.status`. Replies do not stand in each other's way: all that may
    /// not have happened since the lead was `read` is that it moved further than this would move it.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn record_reply(
        self,
        scope: WorkspaceScope,
        read: &Lead,
        lead: &Lead,
        reply: &Reply,
    ) -> Result<Self, StoreError> {
        let item = item::write(self.operation(), &keys::reply(&scope, lead.id, reply.id), reply)?;
        let mut update = Expression {
            key: primary(&keys::lead(&scope, lead.id)),
            update: "SET #status = :status, updated_at = :now".to_owned(),
            condition: "#status IN (:was, :status)".to_owned(),
            names: vec![("#status", "status")],
            values: vec![
                (":status", status(lead.status)),
                (":was", status(read.status)),
                (":now", text(lead.updated_at.to_string())),
            ],
        };
        if read.status == lead.status {
            update.condition = "#status = :status".to_owned();
            update.values.retain(|(name, _)| *name != ":was");
        }
        Ok(self
            .step(
                Table::Core,
                Write::Update(update),
                Refusal::Rule("the lead was changed at the same moment"),
            )
            .step(Table::Core, Write::Create(item), Refusal::Exists("reply")))
    }
}

fn status(status: LeadStatus) -> aws_sdk_dynamodb::types::AttributeValue {
    text(match status {
        LeadStatus::New => "new",
        LeadStatus::Contacted => "contacted",
        LeadStatus::Replied => "replied",
        LeadStatus::Qualified => "qualified",
    })
}

impl WorkspaceStore {
    /// A lead.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn lead(&self, id: LeadId) -> Result<Option<Lead>, StoreError> {
        self.store.get(Store::core_table, "lead", &keys::lead(&self.scope, id)).await
    }

    /// The workspace's leads, newest first: one query a shard, side by side, then merged. The cost does not
    /// depend on how many leads there are.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn leads(&self, page: &PageRequest<LeadId>) -> Result<Page<Lead>, StoreError> {
        let shards = keys::lead_shards(&self.scope).map(|pk| self.newest_first("leads", pk, page));
        let items = try_join_all(shards).await?.into_iter().flatten().collect();
        let mut leads: Vec<Lead> = item::read_all("leads", items)?;
        leads.sort_unstable_by_key(|lead| Reverse(lead.id));
        Ok(Page::cut(leads, page.limit))
    }
}
