//! Deliveries: one event owed to one endpoint, and the attempts at it.
//!
//! **The item is the truth about a delivery**; a queued job only says "look at it". It comes into being with the first
//! attempt: whoever makes it [claims](Tenant::claim_new) the delivery, which takes a lease and a new fencing token, and
//! [settles](Tenant::settle) it under that token. Of several who have the same job one gets the claim, and who lost its lease
//! can't settle. Two writes of one item are all that a delivery costs that succeeds at once.
//!
//! A delivery that has to wait (for its next attempt, or because its endpoint is left alone for now) stands in the index
//! `by-state` under its endpoint, by the time at which it is to be looked at. One whose attempts are exhausted moves to the
//! dead letters there, which is the dead-letter queue that customers see.

mod claim;
mod reopen;
mod waiting;

use clock::Timestamp;
use events::EventType;
use ids::{AttemptId, DeliveryId, EndpointId, EventId, OrganizationId, ReplayId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::change::Table;
use crate::item::{self, Item, text};
use crate::keys::{self, EndpointTag};
use crate::spread::{Fetched, Listed, STATE_INDEX, Spread, months};
use crate::{PageRequest, Store, StoreError, Tenant};

pub use claim::{Claim, Settlement};
pub use reopen::{Reopening, SAFETY};
pub use waiting::{Backlog, Waiting};

/// How many attempts a delivery tells of, the last ones.
const ATTEMPTS_KEPT: usize = 50;
/// An answer of up to so many bytes stands in the delivery's item; a longer one has an item of its own.
const SHORT_ANSWER: usize = 200;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    /// Nothing has been sent.
    Pending,
    /// An attempt failed; there will be another.
    Retrying,
    /// The receiver has it.
    Succeeded,
    /// Every attempt failed: a dead letter.
    Dead,
    /// It could not be sent any more: the endpoint was deleted or disabled, or the event is past its retention.
    Cancelled,
}

impl DeliveryStatus {
    /// Every status, as they are documented.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Retrying, Self::Succeeded, Self::Dead, Self::Cancelled];

    /// Whether there is still something to be done.
    #[must_use]
    pub fn is_owed(self) -> bool {
        match self {
            Self::Pending | Self::Retrying => true,
            Self::Succeeded | Self::Dead | Self::Cancelled => false,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The event.
    pub event_id: EventId,
    /// The event's type.
    pub event: EventType,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// The workspace the event happened in.
    pub workspace_id: WorkspaceId,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// How many attempts were made.
    pub attempt_count: u32,
    /// How many of them belong to a time before it was begun anew: retries are counted from there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub begun_at_attempt: u32,
    /// When the next one is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// The last attempts, first to last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Rises with each claim: who claimed it settles it under this token.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fence: u32,
    /// Until when it is claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The replay that last began it anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_id: Option<ReplayId>,
    /// The request that caused the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// When the event was fanned out.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How long it is kept, as its event is: Unix seconds.
    pub expires_at: i64,
}

impl Delivery {
    /// Whether it is past its retention at `now`, as its event is: there is nothing left to send.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now.seconds()
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A delivery that has no item yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewDelivery {
    /// Its id, which follows from event and endpoint.
    pub id: DeliveryId,
    /// The event.
    pub event_id: EventId,
    /// The event's type.
    pub event: EventType,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// The workspace the event happened in.
    pub workspace_id: WorkspaceId,
    /// The request that caused the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// When the event was fanned out.
    pub created_at: Timestamp,
    /// How long it is kept, as its event is: Unix seconds.
    pub expires_at: i64,
}

impl NewDelivery {
    /// The delivery of an event to an endpoint.
    #[must_use]
    pub fn of(event: &crate::StoredEvent, endpoint: EndpointId, now: Timestamp) -> Self {
        Self {
            id: keys::delivery_id(event.id, endpoint),
            event_id: event.id,
            event: event.event,
            endpoint_id: endpoint,
            workspace_id: event.workspace_id,
            request_id: event.request_id.clone(),
            created_at: now,
            expires_at: event.expires_at,
        }
    }

    fn begin(&self, status: DeliveryStatus, now: Timestamp) -> Delivery {
        Delivery {
            id: self.id,
            event_id: self.event_id,
            event: self.event,
            endpoint_id: self.endpoint_id,
            workspace_id: self.workspace_id,
            status,
            attempt_count: 0,
            begun_at_attempt: 0,
            next_attempt_at: None,
            attempts: Vec::new(),
            fence: 0,
            lease_until: None,
            reason: None,
            replay_id: None,
            request_id: self.request_id.clone(),
            created_at: self.created_at,
            updated_at: now,
            expires_at: self.expires_at,
        }
    }
}

/// Why an attempt failed, or what was odd about the answer to one that did not. A closed set: customers filter and alert on
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The answer was neither 2xx nor 3xx.
    Status,
    /// The answer was a redirect, which is not followed.
    Redirect,
    /// No whole answer within the endpoint's `timeout_seconds`.
    Timeout,
    /// The name could not be resolved.
    Dns,
    /// The name or address is one we never send to.
    ForbiddenAddress,
    /// No connection could be made.
    Connect,
    /// TLS failed: certificate, name or protocol.
    Tls,
    /// The connection broke before the answer was whole.
    Reset,
    /// The answer is longer than is read of one.
    ResponseTooLarge,
    /// What came was not HTTP.
    Protocol,
}

/// One attempt at a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// 1 for the first.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
    /// The status of the answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<u16>,
    /// What went wrong, if something did. An answer of 2xx whose body was not as it should be is a success all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorClass>,
    /// The first 4 KiB of the answer, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_body: Option<String>,
    /// Whether the answer has an item of its own, which [`Tenant::delivery_detail`] reads. The store's to set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answer_apart: bool,
}

/// What is shown of deliveries in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Of this status.
    pub status: Option<DeliveryStatus>,
    /// Of events of this type.
    pub event: Option<EventType>,
    /// Of events of that month and later ones.
    pub since_month_of: Option<Timestamp>,
}

impl DeliveryFilter {
    fn keeps(&self, item: &Item) -> bool {
        let is = |name: &str, wanted: Option<&str>| {
            wanted.is_none_or(|wanted| item::get_text(item, name) == Some(wanted))
        };
        is("status", self.status.map(DeliveryStatus::as_str))
            && is("event", self.event.map(EventType::as_str))
    }
}

/// Which dead letters are shown. What is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// Owed to this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Of events of this type.
    pub event: Option<EventType>,
    /// Of events that happened from then on.
    pub since: Option<Timestamp>,
    /// Of events that happened before then.
    pub until: Option<Timestamp>,
}

impl DeadLetterFilter {
    /// What the key tells: the id of a delivery bears the time of its event, and its endpoint's tag.
    fn may_keep(&self, key: &Item) -> bool {
        item::get_text(key, keys::SK).and_then(keys::parse_delivery).is_some_and(|id| {
            self.endpoint.is_none_or(|endpoint| EndpointTag::in_id(id) == EndpointTag::of(endpoint))
                && self.since.is_none_or(|since| id.time() >= since)
                && self.until.is_none_or(|until| id.time() < until)
        })
    }

    fn keeps(&self, delivery: &Delivery) -> bool {
        // The index may still show what was begun anew a moment ago.
        delivery.status == DeliveryStatus::Dead
            && self.endpoint.is_none_or(|endpoint| delivery.endpoint_id == endpoint)
            && self.event.is_none_or(|event| delivery.event == event)
    }
}

fn write(organization: OrganizationId, delivery: &Delivery) -> Result<Item, StoreError> {
    item::write("delivery", &keys::delivery(organization, delivery.id), delivery)
}

/// Puts a delivery's item into the index: it waits for its endpoint, and is to be looked at then.
fn insert_waiting(item: &mut Item, organization: OrganizationId, delivery: &Delivery, look_at: Timestamp) {
    let waiting = keys::waiting(organization, delivery.endpoint_id, delivery.id);
    item.insert("state_pk".to_owned(), text(waiting));
    item.insert("state_sk".to_owned(), text(keys::state_since(look_at, delivery.id)));
}

impl Tenant {
    /// A delivery, read consistently. Of its attempts it has what is in its item.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        self.store.get(Store::activity_table, "delivery", &keys::delivery(self.organization, id)).await
    }

    /// A delivery and all that is kept of its attempts: one read, and a query if answers have items of their own.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn delivery_detail(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        const OPERATION: &str = "delivery_detail";
        let Some(mut delivery) = self.delivery(id).await? else { return Ok(None) };
        if !delivery.attempts.iter().any(|attempt| attempt.answer_apart) {
            return Ok(Some(delivery));
        }
        let query = self
            .store
            .client
            .query()
            .table_name(self.store.activity_table())
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", text(keys::delivery(self.organization, id).pk))
            .expression_attribute_values(":sk", text(keys::attempts_at(id)));
        let items = item::all(OPERATION, query).await?;
        for attempt in delivery.attempts.iter_mut().filter(|attempt| attempt.answer_apart) {
            let of_it = |item: &&Item| item::get_number(item, "number") == Some(i64::from(attempt.number));
            let answer = items.iter().find(of_it).and_then(|item| item::get_text(item, "response_body"));
            attempt.response_body = answer.map(str::to_owned);
        }
        Ok(Some(delivery))
    }

    /// The deliveries of events to an endpoint, where there are any.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn deliveries_of_events(
        &self,
        endpoint: EndpointId,
        events: &[EventId],
    ) -> Result<Vec<Delivery>, StoreError> {
        let order: Vec<_> = events
            .iter()
            .map(|event| keys::delivery(self.organization, keys::delivery_id(*event, endpoint)))
            .collect();
        self.batch("deliveries_of_events", &order).await
    }

    /// Deliveries by their ids, a hundred at most; ones that are not there are left out.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn deliveries(&self, ids: &[DeliveryId]) -> Result<Vec<Delivery>, StoreError> {
        let order: Vec<_> = ids.iter().map(|id| keys::delivery(self.organization, *id)).collect();
        self.batch("deliveries", &order).await
    }

    /// The deliveries of one event to these endpoints, a hundred at most, where there are any.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn deliveries_of(
        &self,
        event: EventId,
        endpoints: &[EndpointId],
    ) -> Result<Vec<Delivery>, StoreError> {
        let ids: Vec<_> = endpoints.iter().map(|endpoint| keys::delivery_id(event, *endpoint)).collect();
        self.deliveries(&ids).await
    }

    /// The deliveries to an endpoint, newest event first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn deliveries_to(
        &self,
        endpoint: EndpointId,
        filter: &DeliveryFilter,
        page: &PageRequest<String>,
        now: Timestamp,
    ) -> Result<Listed<Delivery>, StoreError> {
        const OPERATION: &str = "deliveries_to";
        let tag = EndpointTag::of(endpoint);
        let after = page.after.as_deref().and_then(keys::parse_delivery);
        let first = filter.since_month_of.unwrap_or(self.organization.time());
        let mut months = months(first, after.map_or(now, |id| id.time()));
        months.reverse();
        let high = after.map_or_else(keys::delivery_sk_end, keys::delivery_sk);
        let list = Spread {
            table: self.store.activity_table(),
            index: None,
            forward: false,
            levels: months
                .into_iter()
                .map(|month| keys::deliveries_of(self.organization, tag, month).collect())
                .collect(),
            between: (keys::delivery_sk_start(), high),
        };
        let endpoint = endpoint.to_string();
        let keep = |item: &Item| {
            item::get_text(item, "endpoint_id") == Some(endpoint.as_str()) && filter.keeps(item)
        };
        let listed = self.store.spread(OPERATION, list, page.limit, keep).await?;
        listed.map(|items| item::read_all(OPERATION, items))
    }

    /// The dead letters, latest first; only those that `sees` lets through, if it is given. A page of some of them may be short,
    /// or empty, and still not be the last.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        sees: Option<&(dyn Fn(&Delivery) -> bool + Sync)>,
        page: &PageRequest<String>,
    ) -> Result<Listed<Delivery>, StoreError> {
        const OPERATION: &str = "dead_letters";
        let list = Spread {
            table: self.store.activity_table(),
            index: Some(STATE_INDEX),
            forward: false,
            levels: vec![keys::all_dead(self.organization).collect()],
            // Times begin with a digit, and `~` sorts after all.
            between: (String::from("0"), page.after.clone().unwrap_or_else(|| "~".to_owned())),
        };
        let keys_decide = filter.event.is_none() && sees.is_none();
        let from = Fetched { table: Table::Activity, list, limit: page.limit, keys_decide };
        let keep = |item: Item| {
            let delivery: Delivery = item::read(OPERATION, item)?;
            let is_wanted = filter.keeps(&delivery) && sees.is_none_or(|sees| sees(&delivery));
            Ok(is_wanted.then_some(delivery))
        };
        self.fetched(OPERATION, from, |key| filter.may_keep(key), keep).await
    }

    /// The deliveries at `order`, in that order; ones that are not there are left out.
    async fn batch(&self, operation: &'static str, order: &[keys::Key]) -> Result<Vec<Delivery>, StoreError> {
        item::read_all(operation, self.in_order(operation, Table::Activity, order).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_by_its_name() {
        for status in DeliveryStatus::ALL {
            assert_eq!(DeliveryStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(DeliveryStatus::parse("lost"), None);
    }
}
