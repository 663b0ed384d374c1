//! The log of events: what happened, to be read back for as long as it is kept.

use std::time::Duration;

use clock::Timestamp;
use events::EventType;
use ids::{EventId, WorkspaceId};

use crate::change::Table;
use crate::item::{self, Item};
use crate::keys;
use crate::spread::{Fetched, Listed, REQUEST_INDEX, Spread, months};
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
    /// Caused by the request with this id.
    pub request_id: Option<String>,
    /// From this instant on.
    pub from: Option<Timestamp>,
    /// Before this instant.
    pub to: Option<Timestamp>,
}

/// The time in an id and the one that its event says are no further apart than this: no request takes longer.
const APART: Duration = Duration::from_secs(60);

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
        let of_request = self.request_id.as_ref().is_none_or(|id| id == text("request_id"));
        let at = Timestamp::parse(text("created_at"));
        let in_time =
            at.is_none_or(|at| self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to));
        of_type && in_workspace && in_mode && of_request && in_time
    }

    /// Between which times the ids are made of the events that are wanted.
    fn ids(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        (self.from.map(|from| from - APART), self.to.map(|to| to + APART))
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
        // The smallest id of an instant, which nothing has.
        let smallest = |at: Timestamp| keys::event_sk(EventId::derived(at, [0; 16]));
        let (from, to) = filter.ids();
        let last = page.after.map_or(to.map_or(now, |to| to.min(now)), |id| id.time());
        let first = from.map_or(self.organization.time(), |from| from.max(self.organization.time()));
        let low = from.map_or_else(|| keys::EVENT_PREFIX.to_owned(), smallest);
        let high = page.after.map_or_else(|| to.map_or_else(keys::event_sk_end, smallest), keys::event_sk);
        if low >= high {
            return Ok(Listed { items: Vec::new(), next: None, looked_at: 0 });
        }
        let between = (low, high);
        if let Some(request) = &filter.request_id {
            return self.events_of_request(request, filter, between, page.limit).await;
        }
        let mut months = months(first, last);
        months.reverse();
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

    /// What a request caused lies together, however much happened at the same time.
    async fn events_of_request(
        &self,
        request: &str,
        filter: &EventFilter,
        between: (String, String),
        limit: usize,
    ) -> Result<Listed<StoredEvent>, StoreError> {
        const OPERATION: &str = "events_of_request";
        let list = Spread {
            table: self.store.activity_table(),
            index: Some(REQUEST_INDEX),
            forward: false,
            levels: vec![keys::request_shards(self.organization, request)],
            between,
        };
        let from = Fetched { table: Table::Activity, list, limit, keys_decide: false };
        let keep = |item: Item| filter.keeps(&item).then(|| item::read(OPERATION, item)).transpose();
        self.fetched(OPERATION, from, |_| true, keep).await
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
