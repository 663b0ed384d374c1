//! Deliveries that wait for their endpoint: the sweep brings them back to the queue when they are due.

use clock::Timestamp;
use ids::{DeliveryId, EndpointId, OrganizationId};

use super::DeliveryStatus;
use crate::change::{Expression, Table};
use crate::item::{self, primary, text};
use crate::keys::{self, PK, SK};
use crate::spread::{STATE_INDEX, Spread};
use crate::write::Written;
use crate::{Store, StoreError, Tenant};

/// How many waiting deliveries are looked at to tell how old the oldest one is.
const MOST_COUNTED: usize = 1_000;

/// A delivery that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The delivery.
    pub id: DeliveryId,
    /// When it was to be looked at.
    pub look_at: Timestamp,
}

/// What waits for an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// How many deliveries.
    pub count: usize,
    /// Whether there are more than were counted.
    pub more: bool,
    /// The time of the oldest event among those that were counted.
    pub oldest: Option<Timestamp>,
}

impl Tenant {
    /// What waits for an endpoint and is to be looked at before `until`, the longest overdue first; `limit` at most.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn waiting(
        &self,
        endpoint: EndpointId,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Waiting>, StoreError> {
        let list = Spread {
            table: self.store.activity_table(),
            index: Some(STATE_INDEX),
            forward: true,
            levels: vec![keys::all_waiting(self.organization, endpoint).collect()],
            // `~` sorts after what follows the time in a key of this very millisecond.
            between: (String::from("0"), format!("{until}~")),
        };
        let listed = self.store.spread("waiting", list, limit, |_| true).await?;
        let waiting = listed.items.iter().filter_map(|item| {
            let (look_at, _) = item::get_text(item, "state_sk")?.split_once('#')?;
            let id = keys::parse_delivery(item::get_text(item, SK)?)?;
            Some(Waiting { id, look_at: Timestamp::parse(look_at)? })
        });
        Ok(waiting.collect())
    }

    /// How much waits for an endpoint, and since when.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn backlog(&self, endpoint: EndpointId) -> Result<Backlog, StoreError> {
        let waiting = self.waiting(endpoint, Timestamp::MAX, MOST_COUNTED + 1).await?;
        let counted = waiting.iter().take(MOST_COUNTED);
        Ok(Backlog {
            count: waiting.len().min(MOST_COUNTED),
            more: waiting.len() > MOST_COUNTED,
            oldest: counted.map(|waiting| waiting.id.time()).min(),
        })
    }

    /// Notes that a waiting delivery is being queued and need not be looked at before `look_at`. Returns whether nobody else
    /// did so first, and it is still owed.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn note_queued(&self, waiting: &Waiting, look_at: Timestamp) -> Result<bool, StoreError> {
        let note = Expression {
            key: primary(&keys::delivery(self.organization, waiting.id)),
            update: "SET state_sk = :later".to_owned(),
            condition: "state_sk = :seen AND #status IN (:pending, :retrying)".to_owned(),
            names: vec![("#status", "status")],
            values: vec![
                (":later", text(keys::state_since(look_at, waiting.id))),
                (":seen", text(keys::state_since(waiting.look_at, waiting.id))),
                (":pending", text(DeliveryStatus::Pending.as_str())),
                (":retrying", text(DeliveryStatus::Retrying.as_str())),
            ],
        };
        Ok(matches!(self.store.update("note_queued", Table::Activity, note).await?, Written::Yes(_)))
    }
}

impl Store {
    /// Every delivery that waits, of every tenant, in no particular order. For a queue that was lost; reads an index as a
    /// whole and belongs on no request path.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn everything_waiting(
        &self,
    ) -> Result<Vec<(OrganizationId, EndpointId, DeliveryId)>, StoreError> {
        let items = self.all_by_state("everything_waiting").await?;
        let waiting = items.iter().filter_map(|item| {
            let (organization, endpoint) = keys::parse_waiting(item::get_text(item, "state_pk")?)?;
            debug_assert!(item.contains_key(PK));
            Some((organization, endpoint, keys::parse_delivery(item::get_text(item, SK)?)?))
        });
        Ok(waiting.collect())
    }

    /// Everything in the index by state, of every tenant: what waits, dead letters, and mails.
    pub(crate) async fn all_by_state(&self, operation: &'static str) -> Result<Vec<item::Item>, StoreError> {
        self.client
            .scan()
            .table_name(self.activity_table())
            .index_name(keys::BY_STATE)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(|e| StoreError::from_sdk(operation, e))
    }
}
