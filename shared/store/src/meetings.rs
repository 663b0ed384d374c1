//! Meetings with leads.

use std::cmp::Reverse;

use clock::Timestamp;
use futures::future::try_join_all;
use ids::{LeadId, MeetingId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::item::{self, primary, text};
use crate::{Change, Page, PageRequest, Refusal, Store, StoreError, WorkspaceScope, WorkspaceStore, keys};

/// Whether a meeting takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum MeetingStatus {
    /// It does.
    Booked,
    /// It does not.
    Cancelled,
}

/// A meeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meeting {
    /// Its id.
    pub id: MeetingId,
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// With whom.
    pub lead_id: LeadId,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// A place, or a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Whether it takes place.
    pub status: MeetingStatus,
    /// When it was booked.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Change {
    /// Books a meeting with a lead, which must exist.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn book_meeting(self, scope: WorkspaceScope, meeting: &Meeting) -> Result<Self, StoreError> {
        let item = item::write(self.operation(), &keys::meeting(&scope, meeting.id), meeting)?;
        Ok(self.requires_lead(scope, meeting.lead_id).step(
            Table::Core,
            Write::Create(item),
            Refusal::Exists("meeting"),
        ))
    }

    /// Cancels a meeting that takes place.
    pub fn cancel_meeting(self, scope: WorkspaceScope, meeting: &Meeting) -> Self {
        let update = Expression {
            key: primary(&keys::meeting(&scope, meeting.id)),
            update: "SET #status = :cancelled, updated_at = :now".to_owned(),
            condition: "#status = :booked".to_owned(),
            names: vec![("#status", "status")],
            values: vec![
                (":cancelled", text("cancelled")),
                (":booked", text("booked")),
                (":now", text(meeting.updated_at.to_string())),
            ],
        };
        self.step(Table::Core, Write::Update(update), Refusal::Rule("the meeting is cancelled already"))
    }
}

impl WorkspaceStore {
    /// A meeting.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn meeting(&self, id: MeetingId) -> Result<Option<Meeting>, StoreError> {
        self.store.get(Store::core_table, "meeting", &keys::meeting(&self.scope, id)).await
    }

    /// The workspace's meetings, those booked last first: one query a shard, side by side, then merged.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn meetings(&self, page: &PageRequest<MeetingId>) -> Result<Page<Meeting>, StoreError> {
        let shards = keys::meeting_shards(&self.scope).map(|pk| self.newest_first("meetings", pk, page));
        let items = try_join_all(shards).await?.into_iter().flatten().collect();
        let mut meetings: Vec<Meeting> = item::read_all("meetings", items)?;
        meetings.sort_unstable_by_key(|meeting| Reverse(meeting.id));
        Ok(Page::cut(meetings, page.limit))
    }
}
