//! How an endpoint does: what those who send to it know of each other's attempts.
//!
//! Nothing is written here while all is well, so a delivery that succeeds at once costs nothing. What is kept:
//!
//! * **failures in a row**, and since when. So many of them open the breaker: nothing is sent before `not_before`, and then a
//!   single probe, until one succeeds;
//! * **`not_before`**, also set by a receiver that asks to be left alone (`Retry-After`);
//! * **`slow_until`**: it takes its time, so it is sent to by the slow lane only, by a few at once, each of whom holds one of
//!   its slots;
//! * **`rate_next`**: when the next attempt may begin, where the endpoint has a rate;
//! * that the sweep is to look at it (`by-attention`): something waits, or is to be told.
//!
//! The state outlives its endpoint for as long as deliveries to it are kept, as it names their partitions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use clock::Timestamp;
use ids::{DeliveryId, EndpointId, OrganizationId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, spread};
use crate::item::{self, Item, number, primary, text};
use crate::keys::{self, BY_ATTENTION, PK, SK};
use crate::write::Written;
use crate::{Endpoint, ErrorClass, Store, StoreError, Tenant};

/// How many may send to a slow endpoint at once.
pub const SLOTS: usize = 10;

/// A failed attempt, for people to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// What went wrong.
    pub error: ErrorClass,
    /// The status of the answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<u16>,
    /// At which delivery.
    pub delivery_id: DeliveryId,
}

/// How an endpoint does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState {
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// Failed attempts since the last success.
    #[serde(default)]
    pub failures: u32,
    /// When the first of them was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// How often in a row the breaker has opened; none when it is closed.
    #[serde(default)]
    pub opened: u32,
    /// Nothing is sent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Somebody is trying whether it is well again, until then at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_until: Option<Timestamp>,
    /// It is sent to by the slow lane until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_until: Option<Timestamp>,
    /// When the next attempt may begin, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_next: Option<i64>,
    /// It answered 410 to an attempt for which it was read then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
    /// Since when what happens to it counts: it was enabled then, or given another URL. What an attempt finds out for which it
    /// was read before is about another receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anew_at: Option<Timestamp>,
    /// The last failed attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// When it was sent to with success after it had failed, if it has not failed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered_at: Option<Timestamp>,
    /// Since when it is failing, as the customer was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_failing_since: Option<Timestamp>,
    /// Since when it is disabled, as the customer was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_disabled_at: Option<Timestamp>,
    /// Deliveries to it that became dead letters and that no mail has told of.
    #[serde(default)]
    pub exhausted: u32,
    /// When a mail last told of some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exhausted_told_at: Option<Timestamp>,
    /// Rises with each change.
    #[serde(default)]
    pub revision: u64,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether the sweep looks at it.
    #[serde(default, rename = "attention_pk", skip_serializing)]
    attention: Option<String>,
    /// The slots that are taken, and until when.
    #[serde(skip)]
    slots: BTreeMap<usize, Timestamp>,
}

/// An endpoint and how it does, as they were at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// The endpoint; `None` when it is deleted.
    pub endpoint: Option<Endpoint>,
    /// How it does.
    pub state: EndpointState,
}

/// What failed, for [`Tenant::note_failure`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotedFailure {
    /// When the endpoint was read, for the attempt.
    pub read_at: Timestamp,
    /// The attempt.
    pub error: LastError,
    /// Nothing is to be sent before.
    pub not_before: Option<Timestamp>,
    /// The breaker opens, or stays open: for the so many-th time in a row.
    pub opens: Option<u32>,
    /// The receiver answered 410.
    pub gone: bool,
    /// The delivery is a dead letter now.
    pub exhausted: bool,
}

/// What the sweep has told the customer, for [`Tenant::note_told`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// That it is failing.
    Failing(Timestamp),
    /// That it has recovered.
    Recovered,
    /// That it was disabled then.
    Disabled(Timestamp),
    /// Of so many dead letters.
    Exhausted(u32),
}

/// A slot was given, or none is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// This one, until then.
    Taken(usize, Timestamp),
    /// All are taken.
    None,
}

impl EndpointState {
    /// The state of an endpoint of which nothing is known.
    #[must_use]
    pub fn new(endpoint_id: EndpointId, now: Timestamp) -> Self {
        Self {
            endpoint_id,
            failures: 0,
            failing_since: None,
            opened: 0,
            not_before: None,
            probe_until: None,
            slow_until: None,
            rate_next: None,
            gone_at: None,
            anew_at: None,
            last_error: None,
            recovered_at: None,
            told_failing_since: None,
            told_disabled_at: None,
            exhausted: 0,
            exhausted_told_at: None,
            revision: 0,
            updated_at: now,
            created_at: now,
            attention: None,
            slots: BTreeMap::new(),
        }
    }

    /// Whether the sweep looks at it.
    #[must_use]
    pub fn has_attention(&self) -> bool {
        self.attention.is_some()
    }

    /// Whether an attempt that is taken is news: it had failed, or the customer was told so and not yet of a success since.
    #[must_use]
    pub fn awaits_success(&self) -> bool {
        let told = self.told_failing_since.is_some() && self.recovered_at.is_none();
        self.failures > 0 || self.opened > 0 || told
    }

    /// Whether it is left alone at `now`.
    #[must_use]
    pub fn is_left_alone(&self, now: Timestamp) -> bool {
        self.not_before.is_some_and(|until| until > now)
    }

    /// Whether it is sent to by the slow lane at `now`.
    #[must_use]
    pub fn is_slow(&self, now: Timestamp) -> bool {
        self.slow_until.is_some_and(|until| until > now)
    }

    pub(crate) fn item(&self, organization: OrganizationId) -> Result<Item, StoreError> {
        item::write("endpoint_state", &keys::endpoint_state(organization, self.endpoint_id), self)
    }

    fn read(operation: &'static str, item: Item) -> Result<Self, StoreError> {
        let slots = item.iter().filter_map(|(name, value)| {
            let slot = name.strip_prefix(SLOT)?.parse().ok()?;
            Some((slot, Timestamp::parse(value.as_s().ok()?)?))
        });
        let slots = slots.collect();
        let mut state: Self = item::read(operation, item)?;
        state.slots = slots;
        Ok(state)
    }

    fn change(organization: OrganizationId, id: EndpointId, now: Timestamp) -> Expression {
        Expression {
            key: primary(&keys::endpoint_state(organization, id)),
            update: "SET updated_at = :now, endpoint_id = :endpoint, created_at = if_not_exists(created_at, :now), \
                     v = if_not_exists(v, :one), revision = if_not_exists(revision, :zero) + :one"
                .to_owned(),
            condition: String::new(),
            names: Vec::new(),
            values: vec![
                (":now", text(now.to_string())),
                (":endpoint", text(id.to_string())),
                (":one", number(1)),
                (":zero", number(0)),
            ],
        }
    }

    /// The change that has the sweep look at it.
    pub(crate) fn flag(organization: OrganizationId, id: EndpointId, now: Timestamp) -> Expression {
        flagged(Self::change(organization, id, now), organization, id)
    }
}

impl EndpointState {
    /// The change that forgets its failures.
    pub(crate) fn anew(organization: OrganizationId, id: EndpointId, now: Timestamp) -> Expression {
        let mut change = Self::flag(organization, id, now);
        change.update.push_str(
            ", failures = :zero, opened = :zero, anew_at = :now \
             REMOVE failing_since, not_before, probe_until, slow_until, gone_at, recovered_at",
        );
        change
    }
}

fn flagged(mut change: Expression, organization: OrganizationId, id: EndpointId) -> Expression {
    change.update.push_str(", attention_pk = :attention, attention_sk = :own");
    change.values.push((":attention", text(keys::attention(organization))));
    change.values.push((":own", text(keys::endpoint_state(organization, id).sk)));
    change
}

/// Whether what has been found out about the endpoint as it was read at `:read` is about the receiver that there is now.
const COUNTS: &str = "(attribute_not_exists(anew_at) OR anew_at <= :read)";
/// One dead letter more of which no mail has told.
const EXHAUSTED: &str = ", exhausted = if_not_exists(exhausted, :zero) + :one";
/// What the names of the attributes begin with that say until when a slot is taken.
const SLOT: &str = "slot_";

impl Tenant {
    async fn change_state(
        &self,
        operation: &'static str,
        change: Expression,
    ) -> Result<Option<EndpointState>, StoreError> {
        match self.store.update(operation, Table::Activity, change).await? {
            Written::Yes(item) => EndpointState::read(operation, item).map(Some),
            Written::No(_) => Ok(None),
        }
    }

    /// How an endpoint does.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn endpoint_state(&self, id: EndpointId) -> Result<Option<EndpointState>, StoreError> {
        const OPERATION: &str = "endpoint_state";
        let key = keys::endpoint_state(self.organization, id);
        let item = self.store.item(Store::activity_table, OPERATION, &key).await?;
        item.map(|item| EndpointState::read(OPERATION, item)).transpose()
    }

    /// How some endpoints do, a hundred at most; of one that nothing was ever sent to there is nothing.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn states_of(
        &self,
        ids: &[EndpointId],
    ) -> Result<HashMap<EndpointId, EndpointState>, StoreError> {
        const OPERATION: &str = "states_of";
        let keys: Vec<_> = ids.iter().map(|id| keys::endpoint_state(self.organization, *id)).collect();
        let items = self.store.batch(OPERATION, [(Table::Activity, &*keys)]).await?;
        let states = items.into_iter().map(|item| EndpointState::read(OPERATION, item));
        states.map(|state| state.map(|state| (state.endpoint_id, state))).collect()
    }

    /// How all endpoints do that there were within the retention.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn endpoint_states(&self) -> Result<Vec<EndpointState>, StoreError> {
        const OPERATION: &str = "endpoint_states";
        let query = self
            .store
            .client
            .query()
            .table_name(self.store.activity_table())
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(keys::endpoint_states(self.organization)));
        let items = item::all(OPERATION, query).await?;
        items.into_iter().map(|item| EndpointState::read(OPERATION, item)).collect()
    }

    /// Has the sweep look at an endpoint.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn flag_endpoint(&self, id: EndpointId, now: Timestamp) -> Result<(), StoreError> {
        self.change_state("flag_endpoint", EndpointState::flag(self.organization, id, now)).await.map(drop)
    }

    /// Notes a failed attempt, and gives the state with it. A longer pause than this one stays. `None` for an attempt at
    /// what the endpoint was before it was begun anew: that does not count, but the sweep looks at the endpoint.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn note_failure(
        &self,
        id: EndpointId,
        failure: &NotedFailure,
        now: Timestamp,
    ) -> Result<Option<EndpointState>, StoreError> {
        const OPERATION: &str = "note_failure";
        if failure.not_before.is_some()
            && let Some(state) = self.change_state(OPERATION, self.failure(id, failure, now)?).await?
        {
            return Ok(Some(state));
        }
        let without = NotedFailure { not_before: None, ..failure.clone() };
        let noted = self.change_state(OPERATION, self.failure(id, &without, now)?).await?;
        if noted.is_none() {
            let mut change = EndpointState::flag(self.organization, id, now);
            if failure.exhausted {
                change.update.push_str(EXHAUSTED);
            }
            self.change_state(OPERATION, change).await?;
        }
        Ok(noted)
    }

    /// Opens the breaker of an endpoint for the first time in a row, unless somebody has.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn open_breaker(
        &self,
        id: EndpointId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut change = EndpointState::flag(self.organization, id, now);
        change.update.push_str(", opened = :one, not_before = :until REMOVE probe_until");
        change.condition = "attribute_not_exists(opened) OR opened = :zero".to_owned();
        change.values.push((":until", text(until.to_string())));
        self.change_state("open_breaker", change).await.map(drop)
    }

    fn failure(
        &self,
        id: EndpointId,
        failure: &NotedFailure,
        now: Timestamp,
    ) -> Result<Expression, StoreError> {
        const OPERATION: &str = "note_failure";
        let mut change = EndpointState::flag(self.organization, id, now);
        change.update.push_str(
            ", failures = if_not_exists(failures, :zero) + :one, failing_since = if_not_exists(failing_since, :now), \
             last_error = :error",
        );
        change.values.push((":error", item::value(OPERATION, &failure.error)?));
        COUNTS.clone_into(&mut change.condition);
        change.values.push((":read", text(failure.read_at.to_string())));
        if let Some(until) = failure.not_before {
            change.update.push_str(", not_before = :until");
            change.condition.push_str(" AND (attribute_not_exists(not_before) OR not_before < :until)");
            change.values.push((":until", text(until.to_string())));
        }
        if let Some(times) = failure.opens {
            change.update.push_str(", opened = :times");
            change.values.push((":times", number(i64::from(times))));
        }
        if failure.gone {
            change.update.push_str(", gone_at = if_not_exists(gone_at, :read)");
        }
        if failure.exhausted {
            change.update.push_str(EXHAUSTED);
        }
        change.update.push_str(" REMOVE recovered_at");
        if failure.opens.is_some() {
            change.update.push_str(", probe_until");
        }
        Ok(change)
    }

    /// Notes that an endpoint that had failed was sent to with success, by an attempt for which it was read
    /// at `read_at`: the breaker closes. A pause that was asked for while that attempt was made stays.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn note_recovery(
        &self,
        id: EndpointId,
        read_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut change = EndpointState::flag(self.organization, id, now);
        COUNTS.clone_into(&mut change.condition);
        change.values.push((":read", text(read_at.to_string())));
        change.update.push_str(
            ", failures = :zero, opened = :zero, recovered_at = :now REMOVE failing_since, probe_until",
        );
        self.change_state("note_recovery", change).await.map(drop)
    }

    /// Notes that an endpoint takes its time: it is sent to by the slow lane until `until`.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn note_slow(
        &self,
        id: EndpointId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut change = EndpointState::change(self.organization, id, now);
        change.update.push_str(", slow_until = :until");
        change.values.push((":until", text(until.to_string())));
        self.change_state("note_slow", change).await.map(drop)
    }

    /// Takes a slot of a slow endpoint for `lease`.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer; a slot may then be taken until the lease ends.
    pub async fn take_slot(
        &self,
        state: &EndpointState,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Slot, StoreError> {
        const NAMES: [&str; SLOTS] = [
            "slot_0", "slot_1", "slot_2", "slot_3", "slot_4", "slot_5", "slot_6", "slot_7", "slot_8",
            "slot_9",
        ];
        const TRIES: usize = 3;
        let until = now + lease;
        let free = |taken: &BTreeMap<usize, Timestamp>| -> Vec<usize> {
            (0..SLOTS).filter(|slot| taken.get(slot).is_none_or(|until| *until <= now)).collect()
        };
        // Each begins elsewhere, so that those who look at the same moment do not all want the same one.
        let random = usize::from(uuid::Uuid::new_v4().as_bytes()[0]);
        let free = free(&state.slots);
        for step in 0..TRIES.min(free.len()) {
            let Some(slot) = free.get((random + step) % free.len().max(1)).copied() else { break };
            let Some(name) = NAMES.get(slot).copied() else { break };
            let take = Expression {
                key: primary(&keys::endpoint_state(self.organization, state.endpoint_id)),
                update: "SET #slot = :until".to_owned(),
                condition: "attribute_exists(pk) AND (attribute_not_exists(#slot) OR #slot <= :now)"
                    .to_owned(),
                names: vec![("#slot", name)],
                values: vec![(":until", text(until.to_string())), (":now", text(now.to_string()))],
            };
            if let Written::Yes(_) = self.store.update("take_slot", Table::Activity, take).await? {
                return Ok(Slot::Taken(slot, until));
            }
        }
        Ok(Slot::None)
    }

    /// Gives a slot back, if it is still the one that was taken.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer; the slot is free when its lease ends.
    pub async fn give_slot_back(
        &self,
        id: EndpointId,
        slot: usize,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let update = self.store.client.update_item().table_name(self.store.activity_table());
        let call = update
            .set_key(Some(primary(&keys::endpoint_state(self.organization, id))))
            .update_expression("REMOVE #slot")
            .condition_expression("#slot = :until")
            .expression_attribute_names("#slot", format!("{SLOT}{slot}"))
            .expression_attribute_values(":until", text(until.to_string()));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(StoreError::from_sdk("give_slot_back", error)),
        }
    }

    /// Takes the right to try whether an endpoint is well again whose breaker is open, and tells until when it is the
    /// caller's; `None` when somebody else has it.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer; it may then be taken until the lease ends.
    pub async fn take_probe(
        &self,
        id: EndpointId,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let until = now + lease;
        let mut take = EndpointState::change(self.organization, id, now);
        take.update.push_str(", probe_until = :lease");
        take.condition = "attribute_not_exists(probe_until) OR probe_until <= :now".to_owned();
        take.values.push((":lease", text(until.to_string())));
        Ok(self.change_state("take_probe", take).await?.map(|_| until))
    }

    /// Gives the right back that [`Tenant::take_probe`] gave until `until`, unused; unless it is somebody else's by now.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer; it ends with its lease.
    pub async fn give_probe_back(
        &self,
        id: EndpointId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut give = EndpointState::change(self.organization, id, now);
        give.update.push_str(" REMOVE probe_until");
        give.condition = "probe_until = :own".to_owned();
        give.values.push((":own", text(until.to_string())));
        self.change_state("give_probe_back", give).await.map(drop)
    }

    /// Takes the right to make an attempt at an endpoint that takes so many a second. `None` when it was given, else from
    /// when on there may be one. `state` is what was known before; where it was out of date, it is read anew.
    ///
    /// A second's worth may be taken at once: the moments that are given lie evenly apart, and reach a second ahead at most
    /// (the generic cell rate algorithm).
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn take_rate(
        &self,
        state: &EndpointState,
        per_second: u32,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        const OPERATION: &str = "take_rate";
        const TRIES: usize = 8;
        const SECOND: u32 = 1_000_000;
        let interval = i64::from(SECOND.div_ceil(per_second.max(1)));
        let at = now.millis() * 1000;
        let ahead = at + i64::from(SECOND) - interval;
        let mut known = state.rate_next;
        for _ in 0..TRIES {
            if let Some(next) = known.filter(|next| *next > ahead.max(at)) {
                let micros = u64::try_from(next - ahead).unwrap_or_default();
                return Ok(Some(now + Duration::from_millis(micros.div_ceil(1000))));
            }
            let mut take = Expression {
                key: primary(&keys::endpoint_state(self.organization, state.endpoint_id)),
                values: vec![(":now", number(at)), (":interval", number(interval))],
                ..Expression::default()
            };
            if known.is_some_and(|next| next > at) {
                take.update = "SET rate_next = rate_next + :interval".to_owned();
                take.condition = "rate_next > :now AND rate_next <= :ahead".to_owned();
                take.values.push((":ahead", number(ahead)));
            } else {
                take.update = "SET rate_next = :now + :interval".to_owned();
                take.condition =
                    "attribute_exists(pk) AND (attribute_not_exists(rate_next) OR rate_next <= :now)"
                        .to_owned();
            }
            match self.store.update(OPERATION, Table::Activity, take).await? {
                Written::Yes(_) | Written::No(None) => return Ok(None),
                Written::No(Some(item)) => known = item::get_number(&item, "rate_next"),
            }
        }
        // Others took it all the time.
        Ok(Some(now + Duration::from_secs(1)))
    }

    /// Notes that the customer was told something.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer; they may be told again.
    pub async fn note_told(&self, id: EndpointId, told: &Told, now: Timestamp) -> Result<(), StoreError> {
        let mut change = EndpointState::change(self.organization, id, now);
        match told {
            Told::Failing(since) => {
                change.update.push_str(", told_failing_since = :since");
                change.values.push((":since", text(since.to_string())));
            }
            Told::Recovered => change.update.push_str(" REMOVE told_failing_since"),
            Told::Disabled(at) => {
                change.update.push_str(", told_disabled_at = :at");
                change.values.push((":at", text(at.to_string())));
            }
            Told::Exhausted(count) => {
                change.update.push_str(", exhausted = exhausted - :count, exhausted_told_at = :now");
                change.values.push((":count", number(i64::from(*count))));
            }
        }
        self.change_state("note_told", change).await.map(drop)
    }

    /// The sweep need not look at an endpoint any more, provided it is as it was read.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn unflag_endpoint(&self, state: &EndpointState) -> Result<(), StoreError> {
        let unflag = Expression {
            key: primary(&keys::endpoint_state(self.organization, state.endpoint_id)),
            update: "REMOVE attention_pk, attention_sk".to_owned(),
            condition: "revision = :read".to_owned(),
            names: Vec::new(),
            values: vec![(":read", number(i64::try_from(state.revision).unwrap_or(i64::MAX)))],
        };
        self.store.update("unflag_endpoint", Table::Activity, unflag).await.map(drop)
    }

    /// Has the state of a deleted endpoint end, and not before the last delivery to it, which is kept for `retention_days`: who
    /// looks for deliveries finds them by it.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn retire_state(
        &self,
        state: &EndpointState,
        retention_days: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        /// As long as any plan begins with: some deliveries may have been made under another one.
        const LEAST: u64 = 365;
        const MARGIN: u64 = 30;
        let days = retention_days.max(LEAST).saturating_add(MARGIN);
        let then = now + Duration::from_secs(days.saturating_mul(24 * 60 * 60));
        let retire = Expression {
            key: primary(&keys::endpoint_state(self.organization, state.endpoint_id)),
            update: "SET expires_at = if_not_exists(expires_at, :then)".to_owned(),
            condition: "attribute_exists(pk)".to_owned(),
            names: Vec::new(),
            values: vec![(":then", number(then.seconds()))],
        };
        self.store.update("retire_state", Table::Activity, retire).await.map(drop)
    }
}

/// How often a batch is asked for what is left of it, and how long the first wait in between is, about; each further one is
/// twice as long. What is left then is left to who wanted it.
const ROUNDS: usize = 4;
const FIRST_WAIT: Duration = Duration::from_millis(25);

/// What a batch read has brought.
struct Batch {
    found: Vec<Item>,
    /// The keys that the store did not get to.
    left: Vec<Item>,
}

fn unprocessed(operation: &'static str) -> StoreError {
    StoreError::Unavailable { operation, source: "DynamoDB left keys unprocessed".into() }
}

impl Store {
    /// Endpoints and how they do: one batch read, of two tables. The answer is in the order of `of`, and one that is
    /// malformed, or lies in a partition that is throttled, is so by itself.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn watched(
        &self,
        of: &[(OrganizationId, EndpointId)],
        now: Timestamp,
    ) -> Result<Vec<Result<Watched, StoreError>>, StoreError> {
        const OPERATION: &str = "watched";
        let endpoints: Vec<_> =
            of.iter().map(|(organization, id)| keys::endpoint(*organization, *id)).collect();
        let states: Vec<_> =
            of.iter().map(|(organization, id)| keys::endpoint_state(*organization, *id)).collect();
        let wanted: [(Table, &[keys::Key]); 2] = [(Table::Core, &endpoints), (Table::Activity, &states)];
        let Batch { found, left } = self.batch_in_part(OPERATION, wanted).await?;
        let name = |key: keys::Key| (key.pk, key.sk);
        let mut found: BTreeMap<(String, String), Item> =
            found.into_iter().filter_map(|item| item::key(&item).map(|key| (name(key), item))).collect();
        let left: BTreeSet<_> = left.iter().filter_map(item::key).map(name).collect();
        let mut take = |key: &keys::Key| {
            let key = name(key.clone());
            if left.contains(&key) { Err(unprocessed(OPERATION)) } else { Ok(found.remove(&key)) }
        };
        let watched = endpoints.iter().zip(&states).zip(of).map(|((endpoint, state), (_, id))| {
            let (endpoint, state) = (take(endpoint)?, take(state)?);
            let endpoint = endpoint.map(|item| item::read(OPERATION, item)).transpose()?;
            let state = state.map(|item| EndpointState::read(OPERATION, item)).transpose()?;
            Ok(Watched { endpoint, state: state.unwrap_or_else(|| EndpointState::new(*id, now)) })
        });
        Ok(watched.collect())
    }

    /// The items at these keys, of one table or several, in no particular order; ones that are not there are left out. A
    /// hundred keys at most, and none twice.
    pub(crate) async fn batch<const N: usize>(
        &self,
        operation: &'static str,
        wanted: [(Table, &[keys::Key]); N],
    ) -> Result<Vec<Item>, StoreError> {
        let Batch { found, left } = self.batch_in_part(operation, wanted).await?;
        if left.is_empty() { Ok(found) } else { Err(unprocessed(operation)) }
    }

    /// The same, as far as the store serves it: a partition that is throttled may keep its keys back.
    async fn batch_in_part<const N: usize>(
        &self,
        operation: &'static str,
        wanted: [(Table, &[keys::Key]); N],
    ) -> Result<Batch, StoreError> {
        use aws_sdk_dynamodb::types::KeysAndAttributes;
        let mut request = std::collections::HashMap::new();
        for (table, keys) in wanted {
            if keys.is_empty() {
                continue;
            }
            let keys = KeysAndAttributes::builder()
                .set_keys(Some(keys.iter().map(primary).collect()))
                .consistent_read(true)
                .build()
                .map_err(|e| StoreError::Refused { operation, source: Box::new(e) })?;
            request.insert(self.table_name(table).to_owned(), keys);
        }
        let mut found = Vec::new();
        let mut wait = FIRST_WAIT;
        for round in 1.. {
            if request.is_empty() {
                break;
            }
            let answer = self
                .client
                .batch_get_item()
                .set_request_items(Some(request.clone()))
                .send()
                .await
                .map_err(|e| StoreError::from_sdk(operation, e));
            let answer = match answer {
                Ok(answer) => answer,
                // Others' keys have been read by then.
                Err(StoreError::Unavailable { .. }) if round > 1 => break,
                Err(error) => return Err(error),
            };
            found.extend(answer.responses.unwrap_or_default().into_values().flatten());
            // DynamoDB may answer a part of a batch and hand back the rest.
            request = answer.unprocessed_keys.unwrap_or_default();
            if request.is_empty() || round == ROUNDS {
                break;
            }
            tokio::time::sleep(spread(wait)).await;
            wait *= 2;
        }
        Ok(Batch { found, left: request.into_values().flat_map(|rest| rest.keys).collect() })
    }

    /// What the sweep has to look at, of every tenant: endpoints, replays and long jobs. Reads an index as a whole that holds nothing
    /// else.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn needing_attention(&self) -> Result<NeedingAttention, StoreError> {
        let items = self
            .client
            .scan()
            .table_name(self.activity_table())
            .index_name(BY_ATTENTION)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(|e| StoreError::from_sdk("needing_attention", e))?;
        let mut found = NeedingAttention::default();
        for item in &items {
            let (Some(pk), Some(sk)) = (item::get_text(item, PK), item::get_text(item, SK)) else { continue };
            let Some(organization) = keys::parse_organization(pk) else { continue };
            if let Some(endpoint) = keys::parse_endpoint_state(sk) {
                found.endpoints.push((organization, endpoint));
            } else if let Some(replay) = keys::parse_replay(sk) {
                found.replays.push((organization, replay));
            } else if let Some(job) = keys::parse_long_job(sk) {
                found.long_jobs.push((organization, job));
            }
        }
        Ok(found)
    }
}

/// What the sweep has to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NeedingAttention {
    /// Endpoints: something waits for them, or is to be told of them.
    pub endpoints: Vec<(OrganizationId, EndpointId)>,
    /// Replays that run.
    pub replays: Vec<(OrganizationId, ids::ReplayId)>,
    /// Long jobs that are not finished.
    pub long_jobs: Vec<(OrganizationId, ids::ExportId)>,
}
