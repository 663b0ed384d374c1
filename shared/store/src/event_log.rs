//! The log of events: what happened, to be read back for as long as it is kept.

use clock::Timestamp;
use events::EventType;
use ids::{EventId, WorkspaceId};

use crate::item::{self, Item};
use crate::keys;
use crate::spread::{Listed, Spread, months};
use crate::{Mode, PageRequest, StoreError, StoredEvent, Tenant};

/// Which events are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of these types; of all when empty.
    pub events: Vec<EventType>,
    /// Of these workspaces.
    pub workspaces: Option<Vec<WorkspaceId>>,
    /// Of this mode.
    pub mode: Option<Mode>,
}

impl EventFilter {
    fn keeps(&self, item: &Item) -> bool {
        let text = |name| item::get_text(item, name).unwrap_or_default();
        let of_type = self.events.is_empty() || self.events.iter().any(|it| it.as_str() == text("event"));
        let in_workspace = self
            .workspaces
            .as_ref()
            .is_none_or(|workspaces| workspaces.iter().any(|id| id.to_string() == text("workspace_id")));
        let in_mode = self.mode.is_none_or(|mode| match mode {
            Mode::Live => text("mode") == "live",
            Mode::Test => text("mode") == "test",
        });
        of_type && in_workspace && in_mode
    }
}

impl Tenant {
    /// An event.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn event(&self, id: EventId) -> Result<Option<StoredEvent>, StoreError> {
        self.store.event(self.organization, id).await
    }

    /// The events, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn events(
        &self,
        filter: &EventFilter,
        page: &PageRequest<EventId>,
        now: Timestamp,
    ) -> Result<Listed<StoredEvent>, StoreError> {
        let last = page.after.map_or(now, |id| id.time());
        let mut months = months(self.organization.time(), last);
        months.reverse();
        let high = page.after.map_or_else(keys::event_sk_end, keys::event_sk);
        let between = (keys::EVENT_PREFIX.to_owned(), high);
        self.walk_events("events", filter, months, between, false, page.limit).await
    }

    /// The events from `since` on, oldest first, or after the one that was last seen.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn events_since(
        &self,
        since: Timestamp,
        filter: &EventFilter,
        page: &PageRequest<EventId>,
        now: Timestamp,
    ) -> Result<Listed<StoredEvent>, StoreError> {
        let first = page.after.map_or(since, |id| id.time());
        // The smallest id of that instant, which nothing has: its random part is all zeros.
        let low = page.after.unwrap_or_else(|| EventId::derived(since, [0; 16]));
        let between = (keys::event_sk(low), keys::event_sk_end());
        self.walk_events("events_since", filter, months(first, now), between, true, page.limit).await
    }

    async fn walk_events(
        &self,
        operation: &'static str,
        filter: &EventFilter,
        months: Vec<Timestamp>,
        between: (String, String),
        forward: bool,
        limit: usize,
    ) -> Result<Listed<StoredEvent>, StoreError> {
        let list = Spread {
            table: self.store.activity_table(),
            index: None,
            forward,
            levels: months
                .into_iter()
                .map(|month| keys::events_of(self.organization, month).collect())
                .collect(),
            between,
        };
        let listed = self.store.spread(operation, list, limit, |item| filter.keeps(item)).await?;
        listed.map(|items| item::read_all(operation, items))
    }
}

/// The event at a position in the log.
#[must_use]
pub fn event_at(position: &str) -> Option<EventId> {
    position.strip_prefix(keys::EVENT_PREFIX)?.parse().ok()
}
