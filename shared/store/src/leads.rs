//! Leads and their replies.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use clock::Timestamp;
use futures::future::try_join_all;
use ids::{CampaignId, LeadId, ReplyId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::item::{self, primary, text};
use crate::{
    Change, Page, PageRequest, Refusal, Store, StoreError, WorkspaceScope, WorkspaceStore, keys, touched,
};

/// Where a lead stands. It only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    /// How many replies were recorded. Replies of one millisecond leave the same `updated_at`; this tells them apart.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replies: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
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

/// Where a lead stands, without what it says of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct LeadStanding {
    /// The lead.
    pub id: LeadId,
    /// Where it stands.
    pub status: LeadStatus,
    /// When it was last changed.
    pub updated_at: Timestamp,
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
            update: "SET #status = :status, updated_at = :now ADD #replies :one".to_owned(),
            condition: "#status IN (:was, :status)".to_owned(),
            names: vec![("#status", "status"), ("#replies", "replies")],
            values: vec![
                (":status", status(lead.status)),
                (":was", status(read.status)),
                (":now", text(lead.updated_at.to_string())),
                (":one", AttributeValue::N("1".to_owned())),
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

impl Change {
    /// Changes fields of a lead that is still as it was read. Where it stands is not among them.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when they cannot be written as attributes.
    pub fn change_lead(self, scope: WorkspaceScope, read: &Lead, lead: &Lead) -> Result<Self, StoreError> {
        let campaign = lead.campaign_id.map(|id| id.to_string());
        // Each by a placeholder: which words DynamoDB reserves is a list that grows.
        let fields = [
            ("#email", "email", ":email", Some(lead.email.clone())),
            ("#first_name", "first_name", ":first_name", lead.first_name.clone()),
            ("#last_name", "last_name", ":last_name", lead.last_name.clone()),
            ("#company", "company", ":company", lead.company.clone()),
            ("#title", "title", ":title", lead.title.clone()),
            ("#campaign_id", "campaign_id", ":campaign_id", campaign),
        ];
        let mut update = Expression {
            key: primary(&keys::lead(&scope, lead.id)),
            update: String::new(),
            condition: "updated_at = :read".to_owned(),
            names: vec![("#custom", "custom")],
            values: vec![
                (":now", text(lead.updated_at.to_string())),
                (":read", text(read.updated_at.to_string())),
                (":custom", item::value(self.operation(), &lead.custom)?),
            ],
        };
        let (mut set, mut remove) = (vec!["updated_at = :now, #custom = :custom".to_owned()], Vec::new());
        for (placeholder, name, value_placeholder, value) in fields {
            update.names.push((placeholder, name));
            match value {
                Some(value) => {
                    set.push(format!("{placeholder} = {value_placeholder}"));
                    update.values.push((value_placeholder, text(value)));
                }
                None => remove.push(placeholder),
            }
        }
        update.update = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            update.update = format!("{} REMOVE {}", update.update, remove.join(", "));
        }
        Ok(self.step(Table::Core, Write::Update(update), Refusal::Raced))
    }

    /// Qualifies a lead that isn't qualified yet, provided nobody has changed it since it was read.
    pub fn qualify_lead(self, scope: WorkspaceScope, read: &Lead, lead: &Lead) -> Self {
        let update = Expression {
            key: primary(&keys::lead(&scope, lead.id)),
            update: "SET #status = :status, updated_at = :now".to_owned(),
            condition: "updated_at = :read AND #status <> :status".to_owned(),
            names: vec![("#status", "status")],
            values: vec![
                (":status", status(lead.status)),
                (":now", text(lead.updated_at.to_string())),
                (":read", text(read.updated_at.to_string())),
            ],
        };
        let refusal = Refusal::Rule("the lead is qualified already, or was changed at the same moment");
        self.step(Table::Core, Write::Update(update), refusal)
    }

    /// Notes that something was sent to a lead to which nothing had been.
    pub fn contact_lead(self, scope: WorkspaceScope, read: &LeadStanding, now: Timestamp) -> Self {
        let update = Expression {
            key: primary(&keys::lead(&scope, read.id)),
            update: "SET #status = :status, updated_at = :now".to_owned(),
            condition: "#status = :new".to_owned(),
            names: vec![("#status", "status")],
            values: vec![
                (":status", status(LeadStatus::Contacted)),
                (":new", status(LeadStatus::New)),
                (":now", text(touched(read.updated_at, now).to_string())),
            ],
        };
        self.step(Table::Core, Write::Update(update), Refusal::Raced)
    }

    /// Deletes a lead that is still as it was read. Its replies are to be gone before.
    pub fn delete_lead(self, scope: WorkspaceScope, read: &Lead) -> Self {
        let mut delete = Expression {
            key: primary(&keys::lead(&scope, read.id)),
            condition: "updated_at = :read AND attribute_not_exists(#replies)".to_owned(),
            names: vec![("#replies", "replies")],
            values: vec![(":read", text(read.updated_at.to_string()))],
            ..Expression::default()
        };
        if read.replies > 0 {
            delete.condition = "updated_at = :read AND #replies = :replies".to_owned();
            delete.values.push((":replies", AttributeValue::N(read.replies.to_string())));
        }
        self.step(Table::Core, Write::Delete(delete), Refusal::Raced)
    }

    /// Goes ahead only if the lead exists.
    pub fn requires_lead(self, scope: WorkspaceScope, id: LeadId) -> Self {
        let check = Expression {
            key: primary(&keys::lead(&scope, id)),
            condition: "attribute_exists(pk)".to_owned(),
            ..Expression::default()
        };
        self.step(Table::Core, Write::Check(check), Refusal::Missing("lead"))
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

    /// Where each of at most a hundred leads stands, in one consistent batch; those that do not exist are left out.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read as a whole.
    pub async fn lead_standings(
        &self,
        ids: &BTreeSet<LeadId>,
    ) -> Result<BTreeMap<LeadId, LeadStanding>, StoreError> {
        const OPERATION: &str = "lead_standings";
        let mut standings = BTreeMap::new();
        if ids.is_empty() {
            return Ok(standings);
        }
        let keys = ids.iter().map(|id| primary(&keys::lead(&self.scope, *id))).collect();
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .projection_expression("id, #status, updated_at")
            .expression_attribute_names("#status", "status")
            .consistent_read(true)
            .build()
            .map_err(|source| StoreError::Refused { operation: OPERATION, source: Box::new(source) })?;
        let table = self.store.core_table();
        let call = self.store.client.batch_get_item().request_items(table, keys);
        let answer = call.send().await.map_err(|e| StoreError::from_sdk(OPERATION, e))?;
        if answer.unprocessed_keys.is_some_and(|keys| !keys.is_empty()) {
            // Throttled in part; whoever is not among those found would be told not to exist.
            return Err(StoreError::Unavailable {
                operation: OPERATION,
                source: "DynamoDB left keys unprocessed".into(),
            });
        }
        for item in answer.responses.unwrap_or_default().remove(table).unwrap_or_default() {
            let standing: LeadStanding = item::read(OPERATION, item)?;
            standings.insert(standing.id, standing);
        }
        Ok(standings)
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
