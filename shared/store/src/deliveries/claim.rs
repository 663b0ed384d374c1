//! Claiming a delivery, and settling it.

use std::time::Duration;

use clock::Timestamp;
use ids::{DeliveryId, EndpointId};

use super::{
    ATTEMPTS_KEPT, Attempt, Delivery, DeliveryStatus, NewDelivery, SHORT_ANSWER, insert_waiting, write,
};
use crate::change::{Expression, Table};
use crate::item::{self, Item, number, primary, text};
use crate::write::Written;
use crate::{StoreError, Tenant, keys};

/// What came of an attempt to claim a delivery, or of a look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It is the caller's until its lease ends.
    Held(Box<Delivery>),
    /// Somebody else has it until then.
    Busy(Timestamp),
    /// It is not due before then.
    NotDue(Timestamp),
    /// There is nothing to be done about it any more.
    Settled(DeliveryStatus),
    /// There is no such delivery, or it is past its retention.
    Missing,
}

/// What an attempt made of its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It is done.
    Succeeded,
    /// Another attempt is due.
    Retry {
        /// When.
        due: Timestamp,
        /// When the sweep is to see that it is queued.
        look_at: Timestamp,
    },
    /// That was the last one.
    Dead,
}

impl Claim {
    /// What stands in the way of claiming this delivery, if anything.
    #[must_use]
    pub fn obstacle(delivery: &Delivery, now: Timestamp) -> Option<Self> {
        if !delivery.status.is_owed() {
            return Some(Self::Settled(delivery.status));
        }
        if let Some(until) = delivery.lease_until.filter(|until| *until > now) {
            return Some(Self::Busy(until));
        }
        delivery.next_attempt_at.filter(|due| *due > now).map(Self::NotDue)
    }
}

const OWED: &str = "#status IN (:pending, :retrying)";

/// An update of a delivery that is still owed, as far as all such updates are alike.
fn of_owed(key: Item, now: Timestamp) -> Expression {
    Expression {
        key,
        update: "SET updated_at = :now".to_owned(),
        condition: OWED.to_owned(),
        names: vec![("#status", "status")],
        values: vec![
            (":now", text(now.to_string())),
            (":pending", text(DeliveryStatus::Pending.as_str())),
            (":retrying", text(DeliveryStatus::Retrying.as_str())),
        ],
    }
}

impl Tenant {
    /// Claims a delivery for its first attempt: makes its item, unless somebody has. Then it is claimed as
    /// [any other](Tenant::claim).
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer; it may be claimed then, until the lease ends.
    pub async fn claim_new(
        &self,
        new: &NewDelivery,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        let mut delivery = new.begin(DeliveryStatus::Pending, now);
        delivery.fence = 1;
        delivery.lease_until = Some(now + lease);
        match self.create_delivery(&delivery, None).await? {
            None => Ok(Claim::Held(Box::new(delivery))),
            Some(found) => match Claim::obstacle(&found, now) {
                Some(obstacle) => Ok(obstacle),
                None => self.claim(new.id, lease, now).await,
            },
        }
    }

    /// Claims a delivery that is owed, due, and not claimed by anybody else: no other can claim it for as long as `lease`.
    /// Its fencing token is a new one.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer; it may be claimed then, until the lease ends.
    pub async fn claim(&self, id: DeliveryId, lease: Duration, now: Timestamp) -> Result<Claim, StoreError> {
        const OPERATION: &str = "claim";
        let mut claim = of_owed(primary(&keys::delivery(self.organization, id)), now);
        claim.update.push_str(", lease_until = :lease, fence = if_not_exists(fence, :none) + :one");
        claim.condition.push_str(
            " AND (attribute_not_exists(lease_until) OR lease_until <= :now) \
             AND (attribute_not_exists(next_attempt_at) OR next_attempt_at <= :now)",
        );
        let lease = text((now + lease).to_string());
        claim.values.extend([(":lease", lease), (":none", number(0)), (":one", number(1))]);
        match self.store.update(OPERATION, Table::Activity, claim).await? {
            Written::Yes(item) => Ok(Claim::Held(Box::new(item::read(OPERATION, item)?))),
            Written::No(None) => Ok(Claim::Missing),
            Written::No(Some(item)) => {
                let found: Delivery = item::read(OPERATION, item)?;
                // Who looks again a second later finds out what happened in between.
                let moved = Claim::Busy(now + Duration::from_secs(1));
                Ok(Claim::obstacle(&found, now).unwrap_or(moved))
            }
        }
    }

    /// Records an attempt at a claimed delivery and what it made of it. Returns whether the claim still held; when it did
    /// not, somebody else has the delivery now and nothing was written.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer; whether it was written is then not known.
    pub async fn settle(
        &self,
        claimed: &Delivery,
        attempt: &Attempt,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const OPERATION: &str = "settle";
        let mut attempt = attempt.clone();
        if attempt.response_body.as_ref().is_some_and(|body| body.len() > SHORT_ANSWER) {
            // Before the attempt that points to it. Left alone it does no harm.
            self.keep_answer(claimed, &attempt).await?;
            attempt.response_body = None;
            attempt.answer_apart = true;
        }
        let number_of_it = attempt.number;
        let mut attempts = claimed.attempts.clone();
        attempts.push(attempt);
        let surplus = attempts.len().saturating_sub(ATTEMPTS_KEPT);
        attempts.drain(..surplus);

        let mut settle = of_owed(primary(&keys::delivery(self.organization, claimed.id)), now);
        settle.update.push_str(", #status = :status, attempts = :attempts, attempt_count = :count");
        settle.condition.push_str(" AND fence = :fence");
        // Of one whose lease ran out others may have seen to it that it waits, so it leaves the index wherever it stood.
        let mut remove = vec!["lease_until"];
        let status = match settlement {
            Settlement::Succeeded => {
                remove.extend(["next_attempt_at", "state_pk", "state_sk"]);
                DeliveryStatus::Succeeded
            }
            Settlement::Retry { due, look_at } => {
                settle.update.push_str(", next_attempt_at = :due, state_pk = :state, state_sk = :since");
                settle.values.extend([
                    (":due", text(due.to_string())),
                    (":state", text(keys::waiting(self.organization, claimed.endpoint_id, claimed.id))),
                    (":since", text(keys::state_since(look_at, claimed.id))),
                ]);
                DeliveryStatus::Retrying
            }
            Settlement::Dead => {
                remove.push("next_attempt_at");
                settle.update.push_str(", state_pk = :state, state_sk = :since");
                settle.values.extend([
                    (":state", text(keys::dead(self.organization, claimed.id))),
                    (":since", text(keys::state_since(now, claimed.id))),
                ]);
                DeliveryStatus::Dead
            }
        };
        settle.update.push_str(" REMOVE ");
        settle.update.push_str(&remove.join(", "));
        settle.values.extend([
            (":status", text(status.as_str())),
            (":attempts", item::value(OPERATION, &attempts)?),
            (":count", number(i64::from(number_of_it))),
            (":fence", number(i64::from(claimed.fence))),
        ]);
        Ok(matches!(self.store.update(OPERATION, Table::Activity, settle).await?, Written::Yes(_)))
    }

    async fn keep_answer(&self, delivery: &Delivery, attempt: &Attempt) -> Result<(), StoreError> {
        const OPERATION: &str = "keep_answer";
        let key = keys::attempt(self.organization, delivery.id, attempt.number);
        let mut item = item::write(OPERATION, &key, attempt)?;
        // So that who erases a workspace finds it.
        item.insert("workspace_id".to_owned(), text(delivery.workspace_id.to_string()));
        item.insert("expires_at".to_owned(), number(delivery.expires_at));
        let put = self.store.client.put_item().table_name(self.store.activity_table());
        put.set_item(Some(item)).send().await.map_err(|e| StoreError::from_sdk(OPERATION, e))?;
        Ok(())
    }

    /// Has a delivery wait whose endpoint is left alone until `until`, without an attempt. What it is if it can't wait: it
    /// has an item, and may be settled or somebody else's.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn wait_new(
        &self,
        new: &NewDelivery,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Delivery>, StoreError> {
        let mut delivery = new.begin(DeliveryStatus::Pending, now);
        delivery.next_attempt_at = Some(until);
        self.create_delivery(&delivery, Some(until)).await
    }

    /// The same for a delivery that has an item; whether it waits now. One that is not due before `until` waits as it is.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn wait(
        &self,
        id: DeliveryId,
        endpoint: EndpointId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut wait = of_owed(primary(&keys::delivery(self.organization, id)), now);
        wait.update.push_str(", next_attempt_at = :until, state_pk = :state, state_sk = :since");
        wait.condition.push_str(
            " AND (attribute_not_exists(lease_until) OR lease_until <= :now) \
             AND (attribute_not_exists(next_attempt_at) OR next_attempt_at <= :until)",
        );
        wait.values.extend([
            (":until", text(until.to_string())),
            (":state", text(keys::waiting(self.organization, endpoint, id))),
            (":since", text(keys::state_since(until, id))),
        ]);
        Ok(matches!(self.store.update("wait", Table::Activity, wait).await?, Written::Yes(_)))
    }

    /// Records that a delivery is not to be sent at all, and why. One that is being sent at this moment is left to who
    /// sends it. What it is if it can't be cancelled.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn cancel_new(
        &self,
        new: &NewDelivery,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<Delivery>, StoreError> {
        let mut delivery = new.begin(DeliveryStatus::Cancelled, now);
        delivery.reason = Some(reason.to_owned());
        self.create_delivery(&delivery, None).await
    }

    /// The same for a delivery that has an item; whether it was cancelled.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn cancel(&self, id: DeliveryId, reason: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut cancel = self.cancellation(id, reason, now);
        cancel.condition.push_str(" AND (attribute_not_exists(lease_until) OR lease_until <= :now)");
        Ok(matches!(self.store.update("cancel", Table::Activity, cancel).await?, Written::Yes(_)))
    }

    /// The same by who has claimed it and finds that it can't be sent at all; whether the claim still held.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn cancel_claimed(
        &self,
        claimed: &Delivery,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut cancel = self.cancellation(claimed.id, reason, now);
        cancel.condition.push_str(" AND fence = :fence");
        cancel.values.push((":fence", number(i64::from(claimed.fence))));
        Ok(matches!(self.store.update("cancel_claimed", Table::Activity, cancel).await?, Written::Yes(_)))
    }

    fn cancellation(&self, id: DeliveryId, reason: &str, now: Timestamp) -> Expression {
        let mut cancel = of_owed(primary(&keys::delivery(self.organization, id)), now);
        cancel.update.push_str(
            ", #status = :cancelled, reason = :reason REMOVE next_attempt_at, lease_until, state_pk, state_sk",
        );
        cancel
            .values
            .extend([(":cancelled", text(DeliveryStatus::Cancelled.as_str())), (":reason", text(reason))]);
        cancel
    }

    /// Makes a delivery's item; what is there, if there is one.
    async fn create_delivery(
        &self,
        delivery: &Delivery,
        look_at: Option<Timestamp>,
    ) -> Result<Option<Delivery>, StoreError> {
        const OPERATION: &str = "create_delivery";
        let mut item = write(self.organization, delivery)?;
        if let Some(look_at) = look_at {
            insert_waiting(&mut item, self.organization, delivery, look_at);
        }
        match self.store.create(OPERATION, Table::Activity, item).await? {
            Written::Yes(_) => Ok(None),
            Written::No(Some(found)) => item::read(OPERATION, found).map(Some),
            Written::No(None) => {
                Err(StoreError::malformed(OPERATION, "the item that is in the way was not shown"))
            }
        }
    }
}
