//! Events, written with the change that caused them (transactional outbox). The table's stream carries them to
//! the fan-out; nothing else needs to be told.

use std::time::Duration;

use clock::Timestamp;
use events::{Envelope, EventType, LARGEST_BODY};
use ids::{EndpointId, EventId, OrganizationId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::item::{self, Item, text};
use crate::spread::REQUEST_INDEX;
use crate::{BoxError, Mode, Store, StoreError, WorkspaceScope, keys};

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
    /// The request that caused it, by which logs are followed from there to each attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Only for this endpoint, whatever it subscribes to: somebody tries it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_for: Option<EndpointId>,
    /// Unix seconds after which DynamoDB removes it.
    pub expires_at: i64,
}

impl Event {
    /// An event of `scope` about `data`, the resource as the API shows it. What does not fit the schema of its type does not
    /// become an event, and so is never stored.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when `data` can't be written as JSON or does not fit its schema, and
    /// [`StoreError::TooLarge`] when the envelope has more than [`events::LARGEST_BODY`] bytes.
    pub fn new<D: Serialize>(
        id: EventId,
        event: EventType,
        scope: WorkspaceScope,
        now: Timestamp,
        data: &D,
    ) -> Result<Self, StoreError> {
        let malformed = |source: BoxError| StoreError::malformed("event", source);
        let value = serde_json::to_value(data).map_err(|e| malformed(e.into()))?;
        event.check(&value).map_err(|e| malformed(e.into()))?;
        let envelope = Envelope {
            id,
            event,
            timestamp: now,
            organization_id: scope.organization,
            workspace_id: scope.workspace,
            data,
        };
        let body = serde_json::to_string(&envelope).map_err(|e| malformed(e.into()))?;
        if body.len() > LARGEST_BODY {
            return Err(StoreError::TooLarge { operation: "event", bytes: body.len(), most: LARGEST_BODY });
        }
        Ok(Self(StoredEvent {
            id,
            event,
            organization_id: scope.organization,
            workspace_id: scope.workspace,
            mode: scope.mode,
            created_at: now,
            body,
            request_id: None,
            only_for: None,
            expires_at: (now + RETENTION).seconds(),
        }))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.0.id
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

    pub(crate) fn caused_by(&mut self, request_id: &str) {
        self.0.request_id = Some(request_id.to_owned());
    }

    pub(crate) fn item(&self) -> Result<Item, StoreError> {
        let StoredEvent { organization_id, id, ref request_id, .. } = self.0;
        let mut item = item::write("event", &keys::event(organization_id, id), &self.0)?;
        if let Some(request) = request_id {
            let list = keys::request(organization_id, request, id);
            item.insert(REQUEST_INDEX.partition.to_owned(), text(list));
        }
        Ok(item)
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn made(data: &Value) -> Result<Event, StoreError> {
        let now = clock::utc(2026, 11, 22, 15, 4);
        let ids = ids::Ids::new(clock::Clock::manual(now).0);
        let scope = WorkspaceScope { organization: ids.next(), workspace: ids.next(), mode: Mode::Live };
        Event::new(ids.next(), EventType::LeadCreated, scope, now, data)
    }

    #[test]
    fn what_does_not_fit_its_schema_does_not_become_an_event() {
        let lead = EventType::LeadCreated.example()["data"].take();
        assert!(made(&lead).is_ok());
        let mut mistaken = lead.clone();
        mistaken["company"] = json!(["Harbor & Pine"]);
        let error = made(&mistaken).unwrap_err();
        assert!(matches!(error, StoreError::Malformed { .. }));
        let said = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(said, "the data of lead.created does not fit its schema: `/company` against `type`");
    }

    #[test]
    fn an_event_has_room_for_so_much_and_no_more() {
        let mut lead = EventType::LeadCreated.example()["data"].take();
        let rest = made(&lead).unwrap().0.body.len();
        let sized = |lead: &mut Value, bytes: usize| {
            lead["custom"]["notes"] = json!("x".repeat(bytes));
            made(lead)
        };
        let taken = rest + r#","notes":"""#.len();
        assert_eq!(sized(&mut lead, LARGEST_BODY - taken).unwrap().0.body.len(), LARGEST_BODY);
        let error = sized(&mut lead, LARGEST_BODY - taken + 1).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { bytes, most, .. } if bytes == most + 1));
    }
}
