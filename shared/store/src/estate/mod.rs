//! An estate: everything an organization owns, wherever it lies.
//!
//! The tables have no list of a tenant's partitions; they follow from its workspaces and from the days it has existed. So
//! this is the one place that names them all, in one order, and both the export and the erasure walk it: what the one shows
//! the other removes. **A new kind of partition in [`keys`] gets its line in [`Part`]**, or neither will know of it.
//!
//! Empty partitions, most of the days of most tenants, cost one look each, many side by side.
//!
//! What is not part of an estate: the identities of people, who may belong to others too; sessions, remembered answers to
//! idempotency keys and counters, none of which says whose it is and all of which go away by themselves within 30 days,
//! the grace before an erasure.

mod about;
mod erase;
mod export;
mod forget;
mod person;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use clock::Timestamp;
use futures::future::try_join_all;
use ids::{OrganizationId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::item::{self, Item, text};
use crate::keys::{self, EndpointTag, Key, OfOrganization};
use crate::spread::all_months;
use crate::{Mode, Store, StoreError, Tenant, Workspace, WorkspaceScope};

pub use about::{PersonWalk, PersonsAccount, PersonsEvents, PersonsSession, PersonsSessions};
pub use erase::Erased;
pub use export::{Holding, Holdings};
pub use forget::Forgotten;
pub use person::Person;

/// Items of the directory looked at in one go, where nothing leads to what is looked for.
const SCANNED: i32 = 1_000;
/// How many partitions are looked into side by side.
const LOOKS_AT_ONCE: usize = 64;
const DAY: i64 = 24 * 60 * 60;

/// One partition of an estate. The order is that of the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    /// The organization's own items.
    Own,
    Campaigns {
        workspace: WorkspaceId,
        mode: Mode,
    },
    /// With the replies to each lead, which lie elsewhere and are found by the lead.
    Leads {
        workspace: WorkspaceId,
        mode: Mode,
        shard: usize,
    },
    Meetings {
        workspace: WorkspaceId,
        mode: Mode,
        shard: usize,
    },
    /// Of the month that begins with this day. Days are counted from 1970 on.
    Events {
        month: i64,
        shard: usize,
    },
    /// With the answers to their attempts.
    Deliveries {
        tag: u32,
        month: i64,
        shard: usize,
    },
    Notices {
        month: i64,
    },
    Replays,
    /// How endpoints do. It says where the deliveries to them are, so it comes after those.
    EndpointStates,
    /// What was sent to endpoints.
    Sent,
    /// Exports and erasures that were asked for.
    LongJobs,
    Mails {
        day: i64,
    },
    /// What audit records say of people.
    PersonalValues {
        month: i64,
        shard: usize,
    },
    Audit {
        month: i64,
        shard: usize,
    },
}

/// Where a walk over an estate goes on. As text it is opaque.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    part: Part,
    /// After this sort key; from the front when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// The lead at `after` has further replies, after this sort key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replies_after: Option<String>,
    /// When the walk began.
    until: Timestamp,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Position {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

fn day_of(at: Timestamp) -> i64 {
    at.seconds().div_euclid(DAY)
}

fn at_day(day: i64) -> Timestamp {
    Timestamp::from_seconds(day * DAY)
}

impl Part {
    fn partition(self, organization: OrganizationId) -> String {
        let nth = |mut shards: Box<dyn Iterator<Item = String>>, shard: usize| shards.nth(shard);
        match self {
            Self::Own => Some(keys::organization_partition(organization)),
            Self::Campaigns { workspace, mode } => {
                Some(keys::campaigns(&WorkspaceScope { organization, workspace, mode }))
            }
            Self::Leads { workspace, mode, shard } => {
                nth(Box::new(keys::lead_shards(&WorkspaceScope { organization, workspace, mode })), shard)
            }
            Self::Meetings { workspace, mode, shard } => {
                nth(Box::new(keys::meeting_shards(&WorkspaceScope { organization, workspace, mode })), shard)
            }
            Self::Events { month, shard } => {
                nth(Box::new(keys::events_of(organization, at_day(month))), shard)
            }
            Self::Deliveries { tag, month, shard } => {
                nth(Box::new(keys::deliveries_of(organization, EndpointTag(tag), at_day(month))), shard)
            }
            Self::Notices { month } => Some(keys::notices_of(organization, at_day(month))),
            Self::Replays => Some(keys::replays(organization)),
            Self::EndpointStates => Some(keys::endpoint_states(organization)),
            Self::Sent => Some(keys::sent_of(organization)),
            Self::LongJobs => Some(keys::long_jobs(organization)),
            Self::Mails { day } => Some(keys::mails_of(organization, at_day(day))),
            Self::PersonalValues { month, shard } => {
                nth(Box::new(keys::audit_personals(organization, at_day(month))), shard)
            }
            Self::Audit { month, shard } => {
                nth(Box::new(keys::audit_shards(organization, at_day(month))), shard)
            }
        }
        // A position is sealed, so it names no shard that there isn't; one of another version finds nothing.
        .unwrap_or_default()
    }

    fn table(self, store: &Store) -> &str {
        match self {
            Self::Own | Self::Campaigns { .. } | Self::Leads { .. } | Self::Meetings { .. } => {
                store.core_table()
            }
            Self::Events { .. }
            | Self::Deliveries { .. }
            | Self::Notices { .. }
            | Self::Replays
            | Self::EndpointStates
            | Self::Sent
            | Self::LongJobs
            | Self::Mails { .. }
            | Self::PersonalValues { .. } => store.activity_table(),
            Self::Audit { .. } => store.audit_table(),
        }
    }
}

fn of_workspace(organization: OrganizationId, workspace: WorkspaceId) -> Vec<Part> {
    let mut parts = Vec::new();
    for mode in [Mode::Live, Mode::Test] {
        let scope = WorkspaceScope { organization, workspace, mode };
        let (leads, meetings) = (keys::lead_shards(&scope).count(), keys::meeting_shards(&scope).count());
        parts.push(Part::Campaigns { workspace, mode });
        parts.extend((0..leads).map(|shard| Part::Leads { workspace, mode, shard }));
        parts.extend((0..meetings).map(|shard| Part::Meetings { workspace, mode, shard }));
    }
    parts
}

/// Events and what became of them, but for the states of endpoints. `tags` are those of all endpoints there were.
fn of_activity(
    organization: OrganizationId,
    tags: &BTreeSet<EndpointTag>,
    first: Timestamp,
    last: Timestamp,
) -> Vec<Part> {
    let mut parts = Vec::new();
    for month in all_months(first, last) {
        let shards = keys::events_of(organization, month).count();
        let month_at = day_of(month);
        parts.extend((0..shards).map(|shard| Part::Events { month: month_at, shard }));
        parts.push(Part::Notices { month: month_at });
        for tag in tags {
            let shards = keys::deliveries_of(organization, *tag, month).count();
            parts.extend((0..shards).map(|shard| Part::Deliveries { tag: tag.0, month: month_at, shard }));
        }
    }
    parts
}

fn of_mails(first: Timestamp, last: Timestamp) -> Vec<Part> {
    (day_of(first)..=day_of(last)).map(|day| Part::Mails { day }).collect()
}

fn of_personal_values(organization: OrganizationId, first: Timestamp, last: Timestamp) -> Vec<Part> {
    let shards = keys::audit_personals(organization, first).count();
    all_months(first, last)
        .into_iter()
        .flat_map(|month| (0..shards).map(move |shard| Part::PersonalValues { month: day_of(month), shard }))
        .collect()
}

fn of_audit(organization: OrganizationId, first: Timestamp, last: Timestamp) -> Vec<Part> {
    let shards = keys::audit_shards(organization, first).count();
    all_months(first, last)
        .into_iter()
        .flat_map(|month| (0..shards).map(move |shard| Part::Audit { month: day_of(month), shard }))
        .collect()
}

/// Some items of a partition.
struct Stretch {
    items: Vec<Item>,
    /// Go on after this sort key; the partition ends here when absent.
    next: Option<String>,
}

/// Which parts are known to hold anything: a walk looks into many at once and then goes to those that do.
#[derive(Default)]
struct Looks {
    first: usize,
    filled: Vec<bool>,
}

impl Looks {
    /// Whether the part at `index` holds anything, if that was looked for.
    fn at(&self, index: usize) -> Option<bool> {
        self.filled.get(index.checked_sub(self.first)?).copied()
    }
}

/// What of a partition is wanted.
#[derive(Clone, Copy, Default)]
struct Wanted<'a> {
    /// What lies after this sort key.
    after: Option<&'a str>,
    /// What belongs to this workspace.
    workspace: Option<WorkspaceId>,
    /// What has a sort key that begins so. Not together with `after`.
    prefix: Option<&'a str>,
}

/// Where a scan goes on, as text.
pub(crate) fn scanned_to(operation: &'static str, last: Option<&Item>) -> Result<Option<String>, StoreError> {
    let Some(Key { pk, sk }) = last.and_then(item::key) else { return Ok(None) };
    serde_json::to_string(&(pk, sk)).map(Some).map_err(|e| StoreError::malformed(operation, e))
}

/// The item after which it does; none, to begin at the front.
pub(crate) fn scanned_from(after: Option<&str>) -> Option<Item> {
    let (pk, sk) = serde_json::from_str(after?).ok()?;
    Some(item::primary(&Key { pk, sk }))
}

impl Tenant {
    /// All workspaces, deleted ones included.
    async fn every_workspace(&self) -> Result<Vec<Workspace>, StoreError> {
        let kind = OfOrganization::Workspaces;
        self.store.all_of_organization("every_workspace", self.organization, kind).await
    }

    /// The tags of all endpoints that there are deliveries to.
    async fn endpoint_tags(&self) -> Result<BTreeSet<EndpointTag>, StoreError> {
        let states = self.endpoint_states().await?;
        Ok(states.iter().map(|state| EndpointTag::of(state.endpoint_id)).collect())
    }

    /// One query: at most `limit` items.
    async fn stretch(
        &self,
        table: &str,
        partition: String,
        wanted: Wanted<'_>,
        limit: usize,
    ) -> Result<Stretch, StoreError> {
        let mut query = self
            .store
            .client
            .query()
            .table_name(table)
            .expression_attribute_values(":pk", text(partition))
            .consistent_read(true)
            .limit(i32::try_from(limit.max(1)).unwrap_or(i32::MAX));
        query = match (wanted.after, wanted.prefix) {
            (Some(after), _) => query
                .key_condition_expression("pk = :pk AND sk > :after")
                .expression_attribute_values(":after", text(after)),
            (None, Some(prefix)) => query
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":prefix", text(prefix)),
            (None, None) => query.key_condition_expression("pk = :pk"),
        };
        if let Some(workspace) = wanted.workspace {
            query = query
                .filter_expression("workspace_id = :workspace")
                .expression_attribute_values(":workspace", text(workspace.to_string()));
        }
        let answer = query.send().await.map_err(|e| StoreError::from_sdk("stretch", e))?;
        let next = answer.last_evaluated_key.as_ref().and_then(|key| item::get_text(key, keys::SK));
        Ok(Stretch { next: next.map(str::to_owned), items: answer.items.unwrap_or_default() })
    }

    /// Whether each of the first of `parts`, [`LOOKS_AT_ONCE`] at most, holds anything.
    async fn filled(&self, parts: &[Part]) -> Result<Vec<bool>, StoreError> {
        let looks = parts.iter().take(LOOKS_AT_ONCE).map(|part| {
            let table = part.table(&self.store);
            self.stretch(table, part.partition(self.organization), Wanted::default(), 1)
        });
        Ok(try_join_all(looks).await?.iter().map(|stretch| !stretch.items.is_empty()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Id;

    fn at() -> Timestamp {
        clock::utc(2026, 11, 22, 15, 4)
    }

    #[test]
    fn a_position_reads_back() {
        let workspace = Id::derived(at(), [1; 16]);
        for part in [
            Part::Own,
            Part::Leads { workspace, mode: Mode::Test, shard: 3 },
            Part::Deliveries { tag: 7, month: day_of(at()), shard: 3 },
            Part::Audit { month: day_of(at()), shard: 0 },
        ] {
            let position = Position {
                part,
                after: Some("x".to_owned()),
                replies_after: Some(String::new()),
                until: at(),
            };
            assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
        }
        assert!("nonsense".parse::<Position>().is_err());
    }

    #[test]
    fn times_are_walked_in_the_order_of_the_parts_and_each_once() {
        let organization = Id::derived(at(), [2; 16]);
        let tags = BTreeSet::from([EndpointTag(1), EndpointTag(2)]);
        let mut parts =
            of_activity(organization, &tags, at(), at() + std::time::Duration::from_secs(50 * 86_400));
        parts.extend(of_audit(organization, at(), at()));
        let partitions: std::collections::BTreeSet<String> =
            parts.iter().map(|part| part.partition(organization)).collect();
        assert_eq!(partitions.len(), parts.len());
        assert_eq!(partitions.len(), 3 * (8 + 1 + 2 * 8) + 4);
        assert!(partitions.iter().any(|partition| partition.ends_with("#EVT#2027-01#7")));
        assert_eq!(at_day(day_of(at())).day(), at().day());
    }
}
