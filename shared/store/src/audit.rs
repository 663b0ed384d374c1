//! Audit records: who did what to which thing, from where, and whether it succeeded.
//!
//! Append only. A record is written in the same transaction as the change it tells of; the refusals, which change
//! nothing, are written alone.

use clock::Timestamp;
use futures::future::try_join_all;
use ids::{AuditId, OrganizationId, WorkspaceId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::item::{self, Item};
use crate::{StoreError, Tenant, keys};

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `user`, `api_key` or `system`.
    pub r#type: String,
    /// The user's or key's id.
    pub id: String,
    /// The user's e-mail address at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// One field that a change altered. Secrets are named, never shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The field.
    pub field: String,
    /// Its value before; null when it had none.
    pub before: Value,
    /// Its value after; null when it has none.
    pub after: Value,
}

/// One audit record, as DESIGN §7 lists its fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditRecord {
    /// Its id.
    pub id: AuditId,
    /// What was done: `campaign.create`.
    pub action: &'static str,
    /// Who did it.
    pub actor: Actor,
    /// The kind of thing it was done to.
    pub resource_type: String,
    /// The thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The workspace, where it happened in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<WorkspaceId>,
    /// The address the request came from, as the gateway saw it.
    pub ip_address: String,
    /// The `User-Agent` header, cut to 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The request.
    pub request_id: String,
    /// When.
    pub timestamp: Timestamp,
    /// Whether it was carried out.
    pub success: bool,
    /// The problem's code, where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// What it altered.
    pub changes: Vec<FieldChange>,
    /// Whether personal data was read or written.
    pub pii_accessed: bool,
    /// Whether it touched credentials or permissions.
    pub sensitive: bool,
    /// Whether an auditor of the customer will want to see it.
    pub compliance_relevant: bool,
}

impl AuditRecord {
    pub(crate) fn item(&self) -> Result<Item, StoreError> {
        item::write("audit", &keys::audit(self.organization_id, self.id), self)
    }
}

impl Tenant {
    /// Records something that changed nothing: a refusal, a read of personal data.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub async fn record(&self, record: &AuditRecord) -> Result<(), StoreError> {
        self.store
            .client
            .put_item()
            .table_name(self.store.audit_table())
            .set_item(Some(record.item()?))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("record", e))?;
        Ok(())
    }

    /// The audit records of one UTC day, oldest first, as JSON.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn audit_day(&self, day: Timestamp) -> Result<Vec<Value>, StoreError> {
        let shards = keys::audit_shards(self.organization, day).map(|pk| {
            let query = self.store.client.query().table_name(self.store.audit_table());
            let query =
                query.key_condition_expression("pk = :pk").expression_attribute_values(":pk", item::text(pk));
            query.into_paginator().items().send().collect::<Result<Vec<_>, _>>()
        });
        let items = try_join_all(shards).await.map_err(|e| StoreError::from_sdk("audit_day", e))?;
        let mut records: Vec<Value> = item::read_all("audit_day", items.into_iter().flatten().collect())?;
        records.sort_by_key(|record| record.get("id").map(ToString::to_string));
        Ok(records)
    }
}
