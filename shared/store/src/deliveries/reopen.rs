//! Beginning a delivery anew: a dead letter is redriven, an event is replayed.

use std::time::Duration;

use clock::Timestamp;
use ids::{OrganizationId, ReplayId};

use super::{Delivery, DeliveryStatus, NewDelivery, insert_waiting, write};
use crate::change::{Expression, Table, Write};
use crate::item::{self, number, primary, text};
use crate::write::Written;
use crate::{Change, Refusal, StoreError, Tenant, keys};

/// A job that was queued and did not come is queued again by the sweep after this time.
pub const SAFETY: Duration = Duration::from_secs(10 * 60);

/// How a delivery is begun anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reopening {
    /// Only if it stands at one of these.
    pub from: Vec<DeliveryStatus>,
    /// The replay that does it; one replay begins a delivery anew once.
    pub replay: Option<ReplayId>,
    /// When the sweep is to see to it, should the job that follows be lost.
    pub look_at: Timestamp,
}

impl Reopening {
    fn expression(&self, organization: OrganizationId, delivery: &Delivery, now: Timestamp) -> Expression {
        const STATUSES: [&str; 5] = [":s0", ":s1", ":s2", ":s3", ":s4"];
        let from: Vec<_> = STATUSES.into_iter().zip(&self.from).collect();
        let placeholders: Vec<_> = from.iter().map(|(name, _)| *name).collect();
        let mut reopen = Expression {
            key: primary(&keys::delivery(organization, delivery.id)),
            update: "SET #status = :open, begun_at_attempt = attempt_count, next_attempt_at = :now, \
                     state_pk = :state, state_sk = :since, updated_at = :now, \
                     fence = if_not_exists(fence, :none) + :one"
                .to_owned(),
            condition: format!(
                "#status IN ({}) AND expires_at > :seconds \
                 AND (attribute_not_exists(lease_until) OR lease_until <= :now)",
                placeholders.join(", ")
            ),
            names: vec![("#status", "status")],
            values: vec![
                (":open", text(DeliveryStatus::Pending.as_str())),
                (":now", text(now.to_string())),
                (":seconds", number(now.seconds())),
                (":state", text(keys::waiting(organization, delivery.endpoint_id, delivery.id))),
                (":since", text(keys::state_since(self.look_at, delivery.id))),
                (":none", number(0)),
                (":one", number(1)),
            ],
        };
        reopen.values.extend(from.iter().map(|(name, status)| (*name, text(status.as_str()))));
        if let Some(replay) = self.replay {
            reopen.update.push_str(", replay_id = :replay");
            reopen.condition.push_str(" AND (attribute_not_exists(replay_id) OR replay_id <> :replay)");
            reopen.values.push((":replay", text(replay.to_string())));
        }
        reopen.update.push_str(" REMOVE reason, lease_until");
        reopen
    }
}

impl Change {
    /// Begins a delivery anew: it is due at once and has all its retries before it, and its attempts go on being counted. One
    /// that is past its retention is not, and of several who have read it and do so at the same moment one does.
    pub fn reopen(
        self,
        organization: OrganizationId,
        delivery: &Delivery,
        reopening: &Reopening,
        now: Timestamp,
    ) -> Self {
        let mut reopen = reopening.expression(organization, delivery, now);
        reopen.condition.push_str(" AND (fence = :read OR (attribute_not_exists(fence) AND :read = :none))");
        reopen.values.push((":read", number(i64::from(delivery.fence))));
        let rule = "the delivery is being sent at this moment, or was changed since it was looked at";
        self.step(Table::Activity, Write::Update(reopen), Refusal::Rule(rule))
    }
}

impl Tenant {
    /// The same without a change of its own, for a replay, whose start is on record. `None` when the delivery doesn't stand
    /// where it should, unless that is because this replay has begun it already: the answer to that was lost on the way.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn reopen(
        &self,
        delivery: &Delivery,
        reopening: &Reopening,
        now: Timestamp,
    ) -> Result<Option<Delivery>, StoreError> {
        const OPERATION: &str = "reopen";
        let reopen = reopening.expression(self.organization, delivery, now);
        match self.store.update(OPERATION, Table::Activity, reopen).await? {
            Written::Yes(item) => item::read(OPERATION, item).map(Some),
            Written::No(Some(item)) => {
                let found: Delivery = item::read(OPERATION, item)?;
                Ok(Some(found).filter(|found| found.was_begun_by(reopening.replay)))
            }
            Written::No(None) => Ok(None),
        }
    }

    /// Begins a delivery that there was not: the endpoint was not sent the event when it happened. `false` when there is one
    /// that this replay did not begin.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn open(
        &self,
        new: &NewDelivery,
        replay: Option<ReplayId>,
        look_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const OPERATION: &str = "open";
        let mut delivery = new.begin(DeliveryStatus::Pending, now);
        delivery.next_attempt_at = Some(now);
        delivery.replay_id = replay;
        let mut item = write(self.organization, &delivery)?;
        insert_waiting(&mut item, self.organization, &delivery, look_at);
        match self.store.create(OPERATION, Table::Activity, item).await? {
            Written::Yes(_) => Ok(true),
            Written::No(Some(item)) => Ok(item::read::<Delivery>(OPERATION, item)?.was_begun_by(replay)),
            Written::No(None) => Ok(false),
        }
    }
}

impl Delivery {
    /// Whether it is owed because this replay has begun it.
    fn was_begun_by(&self, replay: Option<ReplayId>) -> bool {
        replay.is_some() && self.replay_id == replay && self.status.is_owed()
    }
}
