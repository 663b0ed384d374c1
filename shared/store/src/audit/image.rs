//! What a stream tells of an item of the `audit` table.

use ids::{AuditId, OrganizationId};
use serde::Deserialize;

use crate::keys;

/// The attributes of an item that matter to whoever watches the table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Image {
    #[serde(default)]
    pk: String,
    #[serde(default)]
    sk: String,
    #[serde(default)]
    entry: Option<String>,
}

impl Image {
    /// Reads an image, or the keys, of a stream record. What isn't as our items are has nothing in it.
    #[must_use]
    pub fn of(image: serde_dynamo::Item) -> Self {
        serde_dynamo::from_item(image).unwrap_or_default()
    }

    /// Whose item it is.
    #[must_use]
    pub fn organization(&self) -> Option<OrganizationId> {
        keys::parse_owner(&self.pk)
    }

    /// Whether it lies among the records.
    #[must_use]
    pub fn is_audit_record(&self) -> bool {
        self.sk.starts_with(keys::AUDIT_PREFIX)
    }

    /// The record that it is, if it is one.
    #[must_use]
    pub fn audit_record(&self) -> Option<AuditId> {
        keys::parse_audit(&self.pk, &self.sk).map(|(_, id)| id)
    }

    /// The sort key.
    #[must_use]
    pub fn sort_key(&self) -> Option<&str> {
        Some(self.sk.as_str()).filter(|sk| !sk.is_empty())
    }

    /// The text of the record.
    #[must_use]
    pub fn entry(&self) -> Option<&str> {
        self.entry.as_deref()
    }
}
