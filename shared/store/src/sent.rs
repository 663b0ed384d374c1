//! What was sent to endpoints: how many attempts succeeded and failed, and how many deliveries became dead letters, hour by
//! hour. One item an endpoint and day.
//!
//! No attempt costs a write for this. The process that made it remembers what came of it, and writes what it remembers of an
//! endpoint once a minute: the first one at once, the rest with the first batch of a later minute. What a process remembers
//! when it ends is lost: a minute of an endpoint at most, unless the store did not take it before. A write that may or may not
//! have been made is made again, so that such a minute may be counted twice. It is for looking at, and nothing is decided by
//! it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clock::Timestamp;
use futures::future::join_all;
use ids::{EndpointId, OrganizationId, WorkspaceId};
use serde::Deserialize;

use crate::item::{self, Item, number, primary, text};
use crate::{Delivery, Endpoint, Mode, Store, StoreError, Tenant, keys};

const OPERATION: &str = "count_sent";
const DAY: i64 = 24 * 60 * 60;
/// How many items a batch writes at most; a process that has sent to more endpoints in a minute leaves the rest to its next
/// batches.
const WRITTEN_AT_ONCE: usize = 25;

/// What is counted of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sending {
    /// An attempt that the receiver took.
    Succeeded,
    /// An attempt that it did not.
    Failed,
    /// A delivery that became a dead letter.
    DeadLetter,
}

impl Sending {
    /// All that is counted.
    pub const ALL: [Self; 3] = [Self::Succeeded, Self::Failed, Self::DeadLetter];

    /// What stands for it in the name of a count: part of the data format.
    fn code(self) -> char {
        match self {
            Self::Succeeded => 's',
            Self::Failed => 'f',
            Self::DeadLetter => 'd',
        }
    }

    fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| code.chars().eq([it.code()]))
    }
}

/// So much was sent in one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentCount {
    /// The hour: Unix time in hours.
    pub hour: i64,
    /// What is counted.
    pub sending: Sending,
    /// How many.
    pub count: u64,
}

/// What was sent to one endpoint on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentDay {
    /// The endpoint. It may be deleted by now.
    pub endpoint_id: EndpointId,
    /// The workspace whose events it gets, if it is for one.
    pub workspace_id: Option<WorkspaceId>,
    /// Test or live.
    pub mode: Mode,
    /// The counts, in no order.
    pub counts: Vec<SentCount>,
}

/// Whose an item is, as it says itself.
#[derive(Deserialize)]
struct Owner {
    endpoint_id: EndpointId,
    #[serde(default)]
    workspace_id: Option<WorkspaceId>,
    mode: Mode,
}

/// Which item counts belong to: the day is Unix time in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    organization: OrganizationId,
    endpoint: EndpointId,
    day: i64,
}

/// Counts of one item that are not written yet.
#[derive(Debug, Clone)]
struct Waiting {
    workspace: Option<WorkspaceId>,
    mode: Mode,
    /// When the item may go: Unix seconds.
    expires_at: i64,
    /// By hour of the day.
    counts: BTreeMap<(i64, Sending), i64>,
}

/// What a process remembers.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// The minute that `written` is about.
    minute: i64,
    /// What was written in that minute.
    written: HashSet<Place>,
    /// What may be written.
    due: HashMap<Place, Waiting>,
    /// What is to wait for another minute.
    held: HashMap<Place, Waiting>,
}

impl Remembered {
    /// In another minute everything may be written again.
    fn turn(&mut self, now: Timestamp) {
        if self.minute != now.minute() {
            self.minute = now.minute();
            self.written.clear();
            for (place, waiting) in std::mem::take(&mut self.held) {
                add(&mut self.due, place, waiting);
            }
        }
    }
}

fn add(to: &mut HashMap<Place, Waiting>, place: Place, waiting: Waiting) {
    match to.get_mut(&place) {
        Some(there) => {
            there.expires_at = there.expires_at.max(waiting.expires_at);
            for (what, count) in waiting.counts {
                *there.counts.entry(what).or_default() += count;
            }
        }
        None => {
            to.insert(place, waiting);
        }
    }
}

impl Memory {
    fn all(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, place: Place, waiting: Waiting, now: Timestamp) {
        let mut all = self.all();
        all.turn(now);
        let is_written = all.written.contains(&place);
        add(if is_written { &mut all.held } else { &mut all.due }, place, waiting);
    }

    /// What is to be written now, so many items at most.
    fn take(&self, most: usize, now: Timestamp) -> Vec<(Place, Waiting)> {
        let mut all = self.all();
        all.turn(now);
        let places: Vec<Place> = all.due.keys().take(most).copied().collect();
        all.written.extend(&places);
        places.into_iter().filter_map(|place| all.due.remove_entry(&place)).collect()
    }

    /// What could not be written waits for another minute.
    fn give_back(&self, place: Place, waiting: Waiting) {
        add(&mut self.all().held, place, waiting);
    }
}

impl Tenant {
    /// Remembers what came of an attempt at a delivery to an endpoint. [`Store::write_sent`] writes it.
    pub fn count_sent(&self, endpoint: &Endpoint, delivery: &Delivery, sending: Sending, now: Timestamp) {
        let day = now.seconds().div_euclid(DAY);
        let place = Place { organization: self.organization, endpoint: endpoint.id, day };
        // As long as the plan keeps what happened: so long as this delivery's event.
        let kept = (delivery.expires_at - delivery.event_id.time().seconds()).max(0);
        let waiting = Waiting {
            workspace: endpoint.workspace_id,
            mode: endpoint.mode,
            expires_at: (day + 1) * DAY + kept,
            counts: BTreeMap::from([((now.seconds().rem_euclid(DAY) / 3600, sending), 1)]),
        };
        self.store.sent.note(place, waiting, now);
    }

    /// What was sent in the hours from `from` on and before `to` (Unix time in hours): to one endpoint, or to all that there
    /// are or were. In no order.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn sent(
        &self,
        endpoint: Option<EndpointId>,
        from: i64,
        to: i64,
    ) -> Result<Vec<SentDay>, StoreError> {
        const OPERATION: &str = "sent";
        let day = |hour: i64| Timestamp::from_seconds(hour * 3600);
        let (first, last) = keys::sent_between(day(from), day(to));
        let query = self
            .store
            .client
            .query()
            .table_name(self.store.activity_table())
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(keys::sent_of(self.organization)))
            .expression_attribute_values(":first", text(first))
            .expression_attribute_values(":last", text(last));
        let items = item::all(OPERATION, query).await?;
        let mut days = Vec::with_capacity(items.len());
        for found in items {
            let Some(day) = item::get_text(&found, keys::SK).and_then(keys::parse_sent) else { continue };
            let counts = counts(&found, day).filter(|count| (from..to).contains(&count.hour)).collect();
            let Owner { endpoint_id, workspace_id, mode } = item::read(OPERATION, found)?;
            if endpoint.is_none_or(|wanted| wanted == endpoint_id) {
                days.push(SentDay { endpoint_id, workspace_id, mode, counts });
            }
        }
        Ok(days)
    }
}

/// What an item of `day` (Unix time in days) has counted.
fn counts(item: &Item, day: i64) -> impl Iterator<Item = SentCount> + '_ {
    item.iter().filter_map(move |(name, value)| {
        let (hour, code) = name.strip_prefix('h')?.split_at_checked(2)?;
        let sending = Sending::of_code(code)?;
        let hour = day * 24 + hour.parse::<i64>().ok()?;
        Some(SentCount { hour, sending, count: value.as_n().ok()?.parse().ok()? })
    })
}

impl Store {
    /// Writes what is due of what this process remembers of sending. What the store does not take waits for another minute.
    pub async fn write_sent(&self, now: Timestamp) {
        let due = self.sent.take(WRITTEN_AT_ONCE, now);
        join_all(due.into_iter().map(|(place, waiting)| async move {
            if let Err(error) = self.add_sent(place, &waiting, now).await {
                tracing::warn!(error = telemetry::chain(&error), "what was sent waits to be counted");
                self.sent.give_back(place, waiting);
            }
        }))
        .await;
    }

    async fn add_sent(&self, place: Place, waiting: &Waiting, now: Timestamp) -> Result<(), StoreError> {
        let day = Timestamp::from_seconds(place.day * DAY);
        let mut update = "SET v = :v, created_at = if_not_exists(created_at, :now), updated_at = :now, \
                          expires_at = :expires, endpoint_id = :endpoint, #mode = :mode"
            .to_owned();
        let mut call = self
            .client
            .update_item()
            .table_name(self.activity_table())
            .set_key(Some(primary(&keys::sent(place.organization, day, place.endpoint))))
            .expression_attribute_names("#mode", "mode")
            .expression_attribute_values(":v", number(1))
            .expression_attribute_values(":now", text(now.to_string()))
            .expression_attribute_values(":expires", number(waiting.expires_at))
            .expression_attribute_values(":endpoint", text(place.endpoint.to_string()))
            .expression_attribute_values(":mode", item::value(OPERATION, &waiting.mode)?);
        if let Some(workspace) = waiting.workspace {
            update.push_str(", workspace_id = :workspace");
            call = call.expression_attribute_values(":workspace", text(workspace.to_string()));
        }
        for (index, ((hour, sending), count)) in waiting.counts.iter().enumerate() {
            let separator = if index == 0 { " ADD" } else { "," };
            // Writing to a `String` cannot fail.
            let _ = write!(update, "{separator} h{hour:02}{} :c{index}", sending.code());
            call = call.expression_attribute_values(format!(":c{index}"), number(*count));
        }
        let sent = call.update_expression(update).send().await;
        sent.map(drop).map_err(|error| StoreError::from_sdk(OPERATION, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn place(seed: u8) -> Place {
        let id = |seed| ids::Id::derived(clock::utc(2026, 11, 22, 15, 4), [seed; 16]);
        Place {
            organization: ids::Id::derived(clock::utc(2026, 11, 22, 15, 4), [9; 16]),
            endpoint: id(seed),
            day: 20_779,
        }
    }

    fn one(sending: Sending) -> Waiting {
        Waiting {
            workspace: None,
            mode: Mode::Live,
            expires_at: 7,
            counts: BTreeMap::from([((15, sending), 1)]),
        }
    }

    fn taken(memory: &Memory, now: Timestamp) -> Vec<(Place, Vec<i64>)> {
        let taken = memory.take(WRITTEN_AT_ONCE, now).into_iter();
        taken.map(|(place, waiting)| (place, waiting.counts.into_values().collect())).collect()
    }

    #[test]
    fn the_first_count_of_a_minute_is_written_at_once_and_the_others_in_a_later_one() {
        let (memory, now) = (Memory::default(), clock::utc(2026, 11, 22, 15, 4));
        assert!(taken(&memory, now).is_empty());
        memory.note(place(1), one(Sending::Succeeded), now);
        memory.note(place(1), one(Sending::Succeeded), now);
        memory.note(place(1), one(Sending::Failed), now);
        assert_eq!(taken(&memory, now), [(place(1), vec![2, 1])]);
        for _ in 0..1000 {
            memory.note(place(1), one(Sending::Succeeded), now);
        }
        assert!(taken(&memory, now + Duration::from_secs(59)).is_empty());
        memory.note(place(2), one(Sending::DeadLetter), now + Duration::from_secs(59));
        assert_eq!(taken(&memory, now + Duration::from_secs(59)), [(place(2), vec![1])]);
        assert_eq!(taken(&memory, now + Duration::from_secs(60)), [(place(1), vec![1000])]);
        // Now that it was written, the next one of this minute waits.
        memory.note(place(1), one(Sending::Succeeded), now + Duration::from_secs(61));
        assert!(taken(&memory, now + Duration::from_secs(62)).is_empty());
    }

    #[test]
    fn what_could_not_be_written_waits_and_no_more_than_so_many_are_written_at_once() {
        let (memory, now) = (Memory::default(), clock::utc(2026, 11, 22, 15, 4));
        for seed in 0..60 {
            memory.note(place(seed), one(Sending::Failed), now);
        }
        let first = memory.take(WRITTEN_AT_ONCE, now);
        assert_eq!(first.len(), WRITTEN_AT_ONCE);
        for (place, waiting) in first {
            memory.give_back(place, waiting);
        }
        assert_eq!(
            (taken(&memory, now).len(), taken(&memory, now).len(), taken(&memory, now).len()),
            (25, 10, 0)
        );
        assert_eq!(taken(&memory, now + Duration::from_secs(60)).len(), WRITTEN_AT_ONCE);
    }

    #[test]
    fn counts_read_back_and_nothing_else_is_one() {
        let mut item = Item::new();
        for (name, count) in
            [("h15s", 5), ("h00f", 2), ("h23d", 1), ("h", 1), ("h15x", 1), ("hours", 1), ("v", 1)]
        {
            item.insert(name.to_owned(), number(count));
        }
        let mut read: Vec<_> = counts(&item, 2).map(|it| (it.hour, it.sending, it.count)).collect();
        read.sort_unstable();
        assert_eq!(
            read,
            [(48, Sending::Failed, 2), (63, Sending::Succeeded, 5), (71, Sending::DeadLetter, 1)]
        );
    }
}
