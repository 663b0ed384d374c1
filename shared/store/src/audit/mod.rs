//! Audit records: who did what to which thing, from where, and whether it succeeded.
//!
//! Append only. A record is written in the same transaction as the change it tells of; the refusals, which change
//! nothing, are written alone. What is written is an *entry*, a text that never changes and that the log commits to
//! ([`log`](self::log)); where it tells of a person it holds commitments, and the values lie apart, where they can be erased.

mod image;
mod log;
mod search;

use std::convert::Infallible;

use audit_format::{KEPT_FOR, Personal, Salt, SealedEntry};
use aws_sdk_dynamodb::types::TransactWriteItem;
use clock::Timestamp;
use ids::{AuditId, Ids, OrganizationId, WorkspaceId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::change::{Table, Write};
use crate::item::{self, Item};
use crate::{StoreError, Tenant, keys};

pub use image::Image;
pub use log::{Leaf, LogHead, MOST_SEALED, SealedLeaf, Sealing, SealingOutcome, TileHash};
pub use search::{AuditFilter, Outcome, audit_at};

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

/// One audit record.
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

/// What changes of these fields show is a person's: kind of thing, field.
const PERSONAL_FIELDS: [(&str, &str); 6] = [
    ("user", "name"),
    ("user", "email"),
    ("invitation", "email"),
    ("lead", "email"),
    ("personal_export", "email"),
    ("erasure", "email"),
];

/// Marks that are searched for, as bits: a record is in the index of marks under the sum of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Failed = 1,
    Personal = 2,
    Sensitive = 4,
    Compliance = 8,
}

impl AuditRecord {
    /// What no request asked for: a part of the system did it, or an operator. It was carried out, matters to auditors, and
    /// shows nobody's data unless its maker says otherwise.
    #[must_use]
    pub fn by_system(
        by: &str,
        action: &'static str,
        resource: (&str, Option<String>),
        organization_id: OrganizationId,
        ids: &Ids,
        now: Timestamp,
    ) -> Self {
        Self {
            id: ids.next(),
            action,
            actor: Actor { r#type: "system".to_owned(), id: by.to_owned(), email: None },
            resource_type: resource.0.to_owned(),
            resource_id: resource.1,
            organization_id,
            workspace_id: None,
            ip_address: String::new(),
            user_agent: None,
            request_id: ids.next::<ids::kind::Request>().to_string(),
            timestamp: now,
            success: true,
            error_code: None,
            changes: Vec::new(),
            pii_accessed: false,
            sensitive: true,
            compliance_relevant: true,
        }
    }

    fn marks(&self) -> u8 {
        let marks = [
            (!self.success, Mark::Failed),
            (self.pii_accessed, Mark::Personal),
            (self.sensitive, Mark::Sensitive),
            (self.compliance_relevant, Mark::Compliance),
        ];
        marks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| mark as u8).sum()
    }

    /// Where in the entry it tells of a person. What an API key or we ourselves do comes from a machine.
    fn personal(&self) -> Vec<String> {
        let mut pointers = Vec::new();
        if self.actor.r#type == "user" {
            pointers.extend(["/actor/email", "/ip_address", "/user_agent"].map(str::to_owned));
        }
        for (index, change) in self.changes.iter().enumerate() {
            if PERSONAL_FIELDS.contains(&(self.resource_type.as_str(), change.field.as_str())) {
                pointers.push(format!("/changes/{index}/before"));
                pointers.push(format!("/changes/{index}/after"));
            }
        }
        pointers
    }

    /// What is written: the record, and its personal values where there are any.
    pub(crate) fn items(&self) -> Result<(Item, Option<Item>), StoreError> {
        const OPERATION: &str = "audit";
        let record = serde_json::to_value(self).map_err(|e| StoreError::malformed(OPERATION, e))?;
        let Ok(SealedEntry { entry, personal }) =
            audit_format::seal(&record, &self.personal(), || Ok::<_, Infallible>(salt()));
        let (organization, id) = (self.organization_id, self.id);
        let expires_at = (self.timestamp + KEPT_FOR).seconds();
        let stored = Stored {
            entry,
            created_at: self.timestamp,
            actor_pk: keys::audit_actor(organization, &self.actor.id, id),
            resource_pk: self.resource_id.as_deref().map(|id| keys::audit_resource(organization, id)),
            action_pk: keys::audit_action(organization, self.action, id),
            place_pk: self.workspace_id.map(|workspace| keys::audit_workspace(organization, workspace, id)),
            mark_pk: Some(self.marks())
                .filter(|marks| *marks > 0)
                .map(|marks| keys::audit_marks(organization, marks, id)),
            request_pk: Some(keys::request(organization, &self.request_id, id)),
            expires_at,
        };
        let personal = match personal.is_empty() {
            true => None,
            false => {
                let personal = personal.to_json().map_err(|e| StoreError::malformed(OPERATION, e))?;
                let apart = StoredPersonal { id, personal, created_at: self.timestamp, expires_at };
                Some(item::write(OPERATION, &keys::audit_personal(organization, id), &apart)?)
            }
        };
        Ok((item::write(OPERATION, &keys::audit(organization, id), &stored)?, personal))
    }
}

/// Sixteen bytes that nobody can guess.
fn salt() -> Salt {
    // A version 4 UUID holds 122 bits of the system's randomness; the six that are fixed take nothing away from them.
    Salt::from_bytes(uuid::Uuid::new_v4().into_bytes())
}

/// A record as it is stored. What is not the entry is only there to find it by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Stored {
    entry: String,
    created_at: Timestamp,
    actor_pk: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource_pk: Option<String>,
    action_pk: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place_pk: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mark_pk: Option<String>,
    /// Nothing in those of the first days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_pk: Option<String>,
    expires_at: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StoredPersonal {
    id: AuditId,
    /// As `Personal` writes itself: its bytes are what was committed to.
    personal: String,
    created_at: Timestamp,
    expires_at: i64,
}

/// A record as it is read back.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditId,
    /// The text that the log commits to.
    pub entry: String,
    /// What of its personal values has not been erased.
    pub personal: Personal,
    /// Where it stands in the log; `None` as long as it isn't sealed.
    pub leaf_index: Option<u64>,
}

impl AuditEntry {
    /// The record, with its personal values, or `[erased]` in their places.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when the entry is not one.
    pub fn record(&self) -> Result<Value, StoreError> {
        let entry =
            serde_json::from_str(&self.entry).map_err(|e| StoreError::malformed("audit_record", e))?;
        Ok(audit_format::resolve(&entry, &self.personal))
    }
}

impl Tenant {
    /// Records something that changed nothing: a refusal, a read of personal data.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub async fn record(&self, record: &AuditRecord) -> Result<(), StoreError> {
        const OPERATION: &str = "record";
        let (item, personal) = record.items()?;
        let Some(personal) = personal else {
            return self.store.create(OPERATION, Table::Audit, item).await.map(drop);
        };
        let write = |table, item| {
            let write = self.store.write(table, Write::Create(item));
            write.map_err(|e| StoreError::Refused { operation: OPERATION, source: Box::new(e) })
        };
        let writes: Vec<TransactWriteItem> =
            vec![write(Table::Audit, item)?, write(Table::Activity, personal)?];
        let call = self.store.client.transact_write_items().set_transact_items(Some(writes));
        call.send().await.map(drop).map_err(|e| StoreError::from_sdk(OPERATION, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> AuditRecord {
        let at = clock::utc(2026, 11, 22, 15, 4);
        AuditRecord {
            id: AuditId::derived(at, [7; 16]),
            action: "profile.update",
            actor: Actor {
                r#type: "user".to_owned(),
                id: "usr_1".to_owned(),
                email: Some("ada@example.com".to_owned()),
            },
            resource_type: "user".to_owned(),
            resource_id: Some("usr_1".to_owned()),
            organization_id: ids::Id::derived(at, [1; 16]),
            workspace_id: None,
            ip_address: "192.0.2.7".to_owned(),
            user_agent: Some("curl/8".to_owned()),
            request_id: "req_1".to_owned(),
            timestamp: at,
            success: true,
            error_code: None,
            changes: vec![FieldChange { field: "name".to_owned(), before: Value::Null, after: "Ada".into() }],
            pii_accessed: true,
            sensitive: false,
            compliance_relevant: true,
        }
    }

    #[test]
    fn what_tells_of_a_person_lies_apart_from_the_record() {
        let (item, personal) = record().items().unwrap();
        let entry = item::get_text(&item, "entry").unwrap();
        for value in ["ada@example.com", "192.0.2.7", "curl/8", "\"Ada\""] {
            assert!(!entry.contains(value), "{entry}");
        }
        let apart: StoredPersonal = item::read("test", personal.unwrap()).unwrap();
        let read = AuditEntry {
            id: record().id,
            entry: entry.to_owned(),
            personal: Personal::from_json(&apart.personal).unwrap(),
            leaf_index: None,
        };
        assert_eq!(read.record().unwrap(), serde_json::to_value(record()).unwrap());
        let erased = AuditEntry { personal: Personal::default(), ..read }.record().unwrap();
        assert_eq!(erased["actor"]["email"], "[erased]");
        assert_eq!(erased["changes"][0]["after"], "[erased]");
        assert_eq!(erased["changes"][0]["before"], Value::Null, "that there was nothing is nobody's");
        assert_eq!(erased["resource_id"], "usr_1");
    }

    #[test]
    fn a_machine_has_nothing_to_erase() {
        let mut record = record();
        record.actor = Actor { r#type: "api_key".to_owned(), id: "key_1".to_owned(), email: None };
        record.changes.clear();
        let (item, personal) = record.items().unwrap();
        assert!(personal.is_none());
        assert!(item::get_text(&item, "entry").unwrap().contains("192.0.2.7"));
        // The last byte of the id says which of the four partitions.
        assert!(item::get_text(&item, "mark_pk").unwrap().ends_with("#MARK#10#3"));
    }
}
