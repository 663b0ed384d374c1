//! Events, written with the change that caused them (transactional outbox). The table's stream carries them to
//! the fan-out; nothing else needs to be told.

use std::time::Duration;

use clock::Timestamp;
use events::{Envelope, EventType};
use ids::{EndpointId, EventId, OrganizationId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::item::{self, Item};
use crate::{Mode, Store, StoreError, WorkspaceScope, keys};

/// How long events and what became of them are kept.
pub(crate) const RETENTION: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// An event about to be written.
#[derive(Debug)]
pub struct Event(StoredEvent);

/// An event as it is stored, and as the stream carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Its id.
    pub id: EventId,
    /// What happened.
    pub event: EventType,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The workspace it happened in.
    pub workspace_id: WorkspaceId,
    /// Test or live.
    pub mode: Mode,
    /// When.
    pub created_at: Timestamp,
    /// The exact bytes that every attempt to every endpoint sends.
    pub body: String,
    /// Only for this endpoint, whatever it subscribes to: somebody tries it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_for: Option<EndpointId>,
    /// Unix seconds after which DynamoDB removes it.
    pub expires_at: i64,
}

impl Event {
    /// An event of `scope` about `data`, the resource as the API shows it.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when `data` can't be written as JSON.
    pub fn new<D: Serialize>(
        id: EventId,
        event: EventType,
        scope: WorkspaceScope,
        now: Timestamp,
        data: &D,
    ) -> Result<Self, StoreError> {
        let envelope = Envelope {
            id,
            event,
            timestamp: now,
            organization_id: scope.organization,
            workspace_id: scope.workspace,
            data,
        };
        let body = serde_json::to_string(&envelope).map_err(|e| StoreError::malformed("event", e))?;
        Ok(Self(StoredEvent {
            id,
            event,
            organization_id: scope.organization,
            workspace_id: scope.workspace,
            mode: scope.mode,
            created_at: now,
            body,
            only_for: None,
            expires_at: (now + RETENTION).seconds(),
        }))
    }

    /// The same for one endpoint alone, whatever it subscribes to: somebody tries it out.
    #[must_use]
    pub fn only_for(mut self, endpoint: EndpointId) -> Self {
        self.0.only_for = Some(endpoint);
        self
    }

    pub(crate) fn keep_for_days(&mut self, days: u64) {
        let kept = Duration::from_secs(days.saturating_mul(24 * 60 * 60));
        self.0.expires_at = (self.0.created_at + kept).seconds();
    }

    pub(crate) fn item(&self) -> Result<Item, StoreError> {
        item::write("event", &keys::event(self.0.organization_id, self.0.id), &self.0)
    }
}

impl StoredEvent {
    /// Reads the event in a stream record's new image.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when the image is not an event.
    pub fn from_image(image: serde_dynamo::Item) -> Result<Self, StoreError> {
        serde_dynamo::from_item(image).map_err(|e| StoreError::malformed("from_image", e))
    }
}

impl Store {
    /// An event of a tenant, for a delivery whose job was lost.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn event(
        &self,
        organization: OrganizationId,
        id: EventId,
    ) -> Result<Option<StoredEvent>, StoreError> {
        self.get(Self::activity_table, "event", &keys::event(organization, id)).await
    }
}
