//! Replays: past events sent to an endpoint again, or for the first time.
//!
//! A replay is an item that says what is to be replayed and how far it has come. The sweep carries it on, a stretch at a
//! time; what it does to a delivery it does once, so a stretch that broke off can be walked again.
//!
//! Replays that run or are paused are *open*. One item of the organization names them all: it is written with each one that
//! begins or ends, so that there is one to an endpoint and [`MOST_OPEN`] in all, however many are asked for at once.

use aws_sdk_dynamodb::types::AttributeValue;
use clock::Timestamp;
use events::EventType;
use ids::{EndpointId, EventId, OrganizationId, ReplayId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Meaning, Table, Write};
use crate::item::{self, Item, number, primary, text};
use crate::outbox::RETENTION;
use crate::write::Written;
use crate::{Change, DeliveryStatus, Listed, Mode, PageRequest, Refusal, Store, StoreError, Tenant, keys};

/// How many replays of an organization may be open.
const MOST_OPEN: usize = 5;

/// What of an event's delivery has a replay send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Replayed {
    /// There is none: the endpoint did not exist yet, was disabled, or did not want the event then.
    Missing,
    /// It is a dead letter.
    Dead,
    /// It was cancelled.
    Cancelled,
    /// The receiver has it.
    Succeeded,
}

impl Replayed {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Missing, Self::Dead, Self::Cancelled, Self::Succeeded];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Succeeded => "succeeded",
        }
    }

    /// The one that a delivery's status is, or that there is none; `None` for what is under way.
    #[must_use]
    pub fn of(status: Option<DeliveryStatus>) -> Option<Self> {
        match status {
            None => Some(Self::Missing),
            Some(DeliveryStatus::Dead) => Some(Self::Dead),
            Some(DeliveryStatus::Cancelled) => Some(Self::Cancelled),
            Some(DeliveryStatus::Succeeded) => Some(Self::Succeeded),
            Some(DeliveryStatus::Pending | DeliveryStatus::Retrying) => None,
        }
    }
}

/// Where a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ReplayStatus {
    /// The sweep carries it on.
    Running,
    /// It waits until it is resumed.
    Paused,
    /// It is through.
    Completed,
    /// It was given up.
    Cancelled,
}

impl ReplayStatus {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Its id.
    pub id: ReplayId,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// The endpoint's mode: whose the replay is does not end with the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The endpoint's workspace, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<WorkspaceId>,
    /// Events from then on.
    pub since: Timestamp,
    /// Events before then.
    pub until: Timestamp,
    /// Events of these types; of all that the endpoint wants when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventType>,
    /// Events whose delivery is one of these.
    pub statuses: Vec<Replayed>,
    /// So many a second, at most.
    pub rate_per_second: u32,
    /// Where it stands.
    pub status: ReplayStatus,
    /// The last event it has seen to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<EventId>,
    /// How many events it has looked at that the endpoint wants.
    #[serde(default)]
    pub looked_at: u64,
    /// How many of them it had sent.
    #[serde(default)]
    pub sent: u64,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was through, or given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl Replay {
    /// How it stands among the open ones.
    fn entry(&self) -> String {
        format!("{} {}", self.endpoint_id, self.id)
    }

    /// The change that names it among the open ones, or takes it from them.
    fn open(&self, organization: OrganizationId, opens: bool, now: Timestamp) -> Expression {
        let set = |entry: String| AttributeValue::Ss(vec![entry]);
        let mut change = Expression {
            key: primary(&keys::open_replays(organization)),
            update: format!(
                "SET v = :v, created_at = if_not_exists(created_at, :now), updated_at = :now \
                 {} endpoints :endpoint, replays :entry",
                if opens { "ADD" } else { "DELETE" }
            ),
            condition: String::new(),
            names: Vec::new(),
            values: vec![
                (":v", number(1)),
                (":now", text(now.to_string())),
                (":endpoint", set(self.endpoint_id.to_string())),
                (":entry", set(self.entry())),
            ],
        };
        if opens {
            change.condition = "(attribute_not_exists(endpoints) OR NOT contains(endpoints, :own)) AND \
                                (attribute_not_exists(replays) OR size(replays) < :most)"
                .to_owned();
            change.values.push((":own", text(self.endpoint_id.to_string())));
            change.values.push((":most", number(i64::try_from(MOST_OPEN).unwrap_or(i64::MAX))));
        }
        change
    }
}

/// Why another replay was refused, by the open ones as they stood.
pub(crate) fn refusal(open: Option<&Item>, endpoint: EndpointId) -> Refusal {
    let replays = open.and_then(|item| item.get("replays")?.as_ss().ok());
    let own = replays
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.split_once(' '))
        .find_map(|(of, id)| (of.parse() == Ok(endpoint)).then(|| id.parse().ok()).flatten());
    own.map_or(
        Refusal::Rule(
            "five replays of the organization run or are paused; wait for one of them, or cancel it",
        ),
        Refusal::Replaying,
    )
}

impl Change {
    /// Starts a replay, unless one to the same endpoint is open, or as many of the organization as may be.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn start_replay(self, organization: OrganizationId, replay: &Replay) -> Result<Self, StoreError> {
        let key = keys::replay(organization, replay.id);
        let mut item = item::write(self.operation(), &key, replay)?;
        item.insert("attention_pk".to_owned(), text(keys::attention(organization)));
        item.insert("attention_sk".to_owned(), text(key.sk));
        let open = Write::Update(replay.open(organization, true, replay.created_at));
        Ok(self.step(Table::Activity, Write::Create(item), Refusal::Exists("replay")).judged_step(
            Table::Activity,
            open,
            Meaning::Replays(replay.endpoint_id),
        ))
    }

    /// Moves a replay to another status, from one of these.
    pub fn move_replay(
        self,
        organization: OrganizationId,
        replay: &Replay,
        from: &[ReplayStatus],
        to: ReplayStatus,
        now: Timestamp,
    ) -> Self {
        const STATUSES: [&str; 4] = [":s0", ":s1", ":s2", ":s3"];
        let key = keys::replay(organization, replay.id);
        let mut update = "SET #status = :to, updated_at = :now".to_owned();
        let mut values = vec![(":to", text(to.as_str())), (":now", text(now.to_string()))];
        let from = STATUSES.into_iter().zip(from).map(|(name, status)| (name, text(status.as_str())));
        let from: Vec<_> = from.collect();
        let names: Vec<_> = from.iter().map(|(name, _)| *name).collect();
        values.extend(from.iter().cloned());
        match to {
            ReplayStatus::Running => {
                update.push_str(", attention_pk = :attention, attention_sk = :own");
                values.push((":attention", text(keys::attention(organization))));
                values.push((":own", text(&key.sk)));
            }
            ReplayStatus::Paused => update.push_str(" REMOVE attention_pk, attention_sk"),
            ReplayStatus::Completed | ReplayStatus::Cancelled => {
                update.push_str(
                    ", finished_at = :now, expires_at = :expires REMOVE attention_pk, attention_sk",
                );
                values.push((":expires", number((now + RETENTION).seconds())));
            }
        }
        let step = Expression {
            key: primary(&key),
            update,
            condition: format!("#status IN ({})", names.join(", ")),
            names: vec![("#status", "status")],
            values,
        };
        let change = self.step(
            Table::Activity,
            Write::Update(step),
            Refusal::Rule("the replay does not stand where it can be moved from"),
        );
        match to {
            ReplayStatus::Running | ReplayStatus::Paused => change,
            ReplayStatus::Completed | ReplayStatus::Cancelled => {
                let ended = Write::Update(replay.open(organization, false, now));
                change.step(Table::Activity, ended, Refusal::Raced)
            }
        }
    }
}

impl Tenant {
    /// A replay.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn replay(&self, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        self.store.get(Store::activity_table, "replay", &keys::replay(self.organization, id)).await
    }

    /// The replays to an endpoint, latest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn replays(
        &self,
        endpoint: EndpointId,
        page: &PageRequest<ReplayId>,
    ) -> Result<Listed<Replay>, StoreError> {
        const OPERATION: &str = "replays";
        let end = page.after.map_or_else(|| "RPL#~".to_owned(), |id| keys::replay(self.organization, id).sk);
        let list = crate::spread::Spread {
            table: self.store.activity_table(),
            index: None,
            forward: false,
            levels: vec![vec![keys::replays(self.organization)]],
            between: ("RPL#".to_owned(), end),
        };
        let endpoint = endpoint.to_string();
        let keep = |item: &item::Item| item::get_text(item, "endpoint_id") == Some(endpoint.as_str());
        let listed = self.store.spread(OPERATION, list, page.limit, keep).await?;
        listed.map(|items| item::read_all(OPERATION, items))
    }

    /// Notes how far a running replay has come, and where it `ends` if it does. Whether it is still running, and nobody else
    /// carried it on.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn carry_replay_on(
        &self,
        read: &Replay,
        replay: &Replay,
        ends: Option<ReplayStatus>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const OPERATION: &str = "carry_replay_on";
        let mut update = "SET looked_at = :looked, sent = :sent, updated_at = :now".to_owned();
        let mut values = vec![
            (":looked", number(i64::try_from(replay.looked_at).unwrap_or(i64::MAX))),
            (":sent", number(i64::try_from(replay.sent).unwrap_or(i64::MAX))),
            (":now", text(now.to_string())),
            (":running", text(ReplayStatus::Running.as_str())),
            (":read", text(read.updated_at.to_string())),
        ];
        if let Some(position) = replay.position {
            update.push_str(", #position = :position");
            values.push((":position", text(position.to_string())));
        }
        let mut names = vec![("#status", "status")];
        if replay.position.is_some() {
            names.push(("#position", "position"));
        }
        if let Some(end) = ends {
            update.push_str(
                ", #status = :end, finished_at = :now, expires_at = :expires REMOVE attention_pk, attention_sk",
            );
            values.push((":end", text(end.as_str())));
            values.push((":expires", number((now + RETENTION).seconds())));
        }
        let carry_on = Expression {
            key: primary(&keys::replay(self.organization, read.id)),
            update,
            condition: "#status = :running AND updated_at = :read".to_owned(),
            names,
            values,
        };
        if ends.is_none() {
            return Ok(matches!(
                self.store.update(OPERATION, Table::Activity, carry_on).await?,
                Written::Yes(_)
            ));
        }
        let ended = replay.open(self.organization, false, now);
        let writes = [carry_on, ended].map(|write| (Table::Activity, Write::Update(write)));
        self.store.all_or_none(OPERATION, writes.into()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Id;

    #[test]
    fn a_refusal_names_the_replay_to_the_endpoint() {
        let now = clock::utc(2026, 11, 22, 15, 4);
        let (endpoint, other) = (Id::derived(now, [1; 16]), Id::derived(now, [2; 16]));
        let replay: ReplayId = Id::derived(now, [3; 16]);
        let replays = vec![format!("{endpoint} {replay}"), "nonsense".to_owned()];
        let item = Item::from([("replays".to_owned(), AttributeValue::Ss(replays))]);
        assert_eq!(refusal(Some(&item), endpoint), Refusal::Replaying(replay));
        assert!(matches!(refusal(Some(&item), other), Refusal::Rule(_)));
        assert!(matches!(refusal(None, endpoint), Refusal::Rule(_)));
    }
}
