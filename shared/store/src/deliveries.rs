//! Deliveries: one event owed to one endpoint, and the attempts at it.
//!
//! The item is the truth about a delivery; the queued job only says "look at it". While it is owed it stands in the
//! `by-state` index under `OWED`, so that a lost queue can be rebuilt; when its attempts are exhausted it moves to
//! `DEAD`, which is the dead-letter queue the customer sees.

use std::collections::HashSet;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{KeysAndAttributes, Put, TransactWriteItem, Update};
use clock::Timestamp;
use events::EventType;
use ids::{AttemptId, DeliveryId, EndpointId, EventId, OrganizationId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::error::is_passing;
use crate::item::{self, Item, number, primary, text};
use crate::keys::{self, BY_ENDPOINT, BY_STATE, Key};
use crate::organizations::limit_with_look_ahead;
use crate::outbox::RETENTION;
use crate::{Page, PageRequest, Store, StoreError, Tenant};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// The endpoint was deleted or disabled before it could be sent.
    Cancelled,
}

impl DeliveryStatus {
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
    /// When the next one is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// When the event was fanned out.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A delivery to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The delivery, pending.
    pub delivery: Delivery,
    /// How long it is kept, as its event is: Unix seconds.
    pub kept_until_seconds: i64,
}

/// Why an attempt failed, or what was odd about the answer to one that did not. A closed set: customers filter and
/// alert on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The answer was not 2xx.
    Status,
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
    /// Why it failed, if it did; or why the body of a 2xx was not read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorClass>,
    /// The first 4 KiB of the answer, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_body: Option<String>,
}

/// A delivery and all its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryDetail {
    /// The delivery.
    pub delivery: Delivery,
    /// Its attempts, first to last.
    pub attempts: Vec<Attempt>,
}

/// A page of deliveries from an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedPage {
    /// Its deliveries. Ones that have expired meanwhile are left out.
    pub items: Vec<Delivery>,
    /// Where to go on, if there is more.
    pub next: Option<String>,
}

/// What an attempt made of its delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// It is done.
    Succeeded,
    /// Another attempt is due then.
    Retry(Timestamp),
    /// That was the last one.
    Dead,
    /// It is not to be sent at all.
    Cancelled,
}

fn new_item(new: &NewDelivery) -> Result<Item, StoreError> {
    let NewDelivery { organization_id: organization, delivery, kept_until_seconds } = new;
    let organization = *organization;
    let mut item = item::write("create_deliveries", &keys::delivery(organization, delivery.id), delivery)?;
    let due = delivery.next_attempt_at.unwrap_or(delivery.created_at);
    item.insert("state_pk".to_owned(), text(keys::owed(organization, delivery.id)));
    item.insert("state_sk".to_owned(), text(keys::state_since(due, delivery.id)));
    item.insert("endpoint_pk".to_owned(), text(keys::deliveries_to(organization, delivery.endpoint_id)));
    item.insert("endpoint_sk".to_owned(), text(delivery.id.to_string()));
    item.insert("expires_at".to_owned(), number(*kept_until_seconds));
    Ok(item)
}

/// How many writes one transaction takes.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
const TRANSACTION_LIMIT: usize = 100;

impl Store {
    /// Creates those of `deliveries` that do not exist, and tells which those were. Running it twice changes nothing:
    /// a delivery that is already under way is left as it is.
    ///
    /// # Errors
    /// [`StoreError`]; some may then have been created, and the call can be repeated.
    pub async fn create_deliveries(
        &self,
        deliveries: &[NewDelivery],
    ) -> Result<HashSet<DeliveryId>, StoreError> {
        let mut created = HashSet::with_capacity(deliveries.len());
        for chunk in deliveries.chunks(TRANSACTION_LIMIT) {
            let mut writes = chunk
                .iter()
                .map(|new| Ok((new.delivery.id, self.create_delivery(new)?)))
                .collect::<Result<Vec<_>, StoreError>>()?;
            // Each round leaves out what exists, so it ends after as many rounds as there are writes at most; in
            // practice the first one goes through, and the second after a repeated batch.
            while !writes.is_empty() {
                let (ids, transaction): (Vec<_>, Vec<_>) = writes.into_iter().unzip();
                let missing = self.create_or_skip(transaction.clone()).await?;
                let Some(missing) = missing else {
                    created.extend(ids);
                    break;
                };
                let kept = ids.into_iter().zip(transaction).zip(missing);
                writes = kept.filter(|(_, missing)| *missing).map(|(write, _)| write).collect();
            }
        }
        Ok(created)
    }

    fn create_delivery(&self, new: &NewDelivery) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(self.activity_table())
            .set_item(Some(new_item(new)?))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map_err(|e| StoreError::Refused { operation: "create_deliveries", source: Box::new(e) })?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// One transaction. If it failed because some of it exists: for each write, whether it is still worth trying.
    async fn create_or_skip(&self, writes: Vec<TransactWriteItem>) -> Result<Option<Vec<bool>>, StoreError> {
        const OPERATION: &str = "create_deliveries";
        let call = self.client.transact_write_items().set_transact_items(Some(writes));
        let error = match call.send().await {
            Ok(_) => return Ok(None),
            Err(error) => error,
        };
        let reasons = match &error {
            SdkError::ServiceError(context) => match context.err() {
                TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                    cancelled.cancellation_reasons()
                }
                _ => return Err(StoreError::from_sdk(OPERATION, error)),
            },
            _ => return Err(StoreError::from_sdk(OPERATION, error)),
        };
        let exists = |code: Option<&str>| code == Some("ConditionalCheckFailed");
        if !reasons.iter().any(|reason| exists(reason.code())) {
            let passing = reasons.iter().filter_map(|reason| reason.code()).any(is_passing);
            let source = Box::new(error);
            return Err(if passing {
                StoreError::Unavailable { operation: OPERATION, source }
            } else {
                StoreError::Refused { operation: OPERATION, source }
            });
        }
        Ok(Some(reasons.iter().map(|reason| !exists(reason.code())).collect()))
    }

    /// Everything in the index by state, of every tenant: what is still to be done about something, and dead letters.
    pub(crate) async fn all_by_state(&self, operation: &'static str) -> Result<Vec<Item>, StoreError> {
        self.client
            .scan()
            .table_name(self.activity_table())
            .index_name(BY_STATE)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(|e| StoreError::from_sdk(operation, e))
    }

    /// Every delivery that is still owed, of every tenant, in no particular order. For rebuilding a lost queue
    /// and for the sweep; reads an index that holds nothing else than owed deliveries and dead letters.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn owed_deliveries(&self) -> Result<Vec<(OrganizationId, DeliveryId)>, StoreError> {
        let items = self.all_by_state("owed_deliveries").await?;
        Ok(items
            .iter()
            .filter(|item| item::get_text(item, "state_pk").is_some_and(keys::is_owed))
            .filter_map(|item| {
                keys::parse_delivery(item::get_text(item, keys::PK)?, item::get_text(item, keys::SK)?)
            })
            .collect())
    }
}

impl Tenant {
    /// Records attempt number `attempt.number` and what it made of the delivery, provided the attempt before it is
    /// the last one recorded and the delivery is still owed. Returns whether that was so; when it was not,
    /// somebody else got there first and nothing was written. The attempt is kept as long as its event.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer; whether it was written is then not known.
    pub async fn settle(
        &self,
        id: DeliveryId,
        attempt: &Attempt,
        settlement: &Settlement,
        kept_until_seconds: Option<i64>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const OPERATION: &str = "settle";
        let fault = |e| StoreError::Refused { operation: OPERATION, source: Box::new(e) };
        let mut record =
            item::write(OPERATION, &keys::attempt(self.organization, id, attempt.number), attempt)?;
        record.insert(
            "expires_at".to_owned(),
            number(kept_until_seconds.unwrap_or_else(|| (id.time() + RETENTION).seconds())),
        );
        let put = Put::builder()
            .table_name(self.store.activity_table())
            .set_item(Some(record))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map_err(fault)?;
        let update = self.settlement(id, Some(attempt.number), settlement, now).map_err(fault)?;
        let writes = vec![
            TransactWriteItem::builder().update(update).build(),
            TransactWriteItem::builder().put(put).build(),
        ];
        self.transact_settlement(OPERATION, writes).await
    }

    /// Cancels a delivery that is still owed, without an attempt. Returns whether it was.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer.
    pub async fn cancel(&self, id: DeliveryId, now: Timestamp) -> Result<bool, StoreError> {
        const OPERATION: &str = "cancel";
        let update = self
            .settlement(id, None, &Settlement::Cancelled, now)
            .map_err(|e| StoreError::Refused { operation: OPERATION, source: Box::new(e) })?;
        self.transact_settlement(OPERATION, vec![TransactWriteItem::builder().update(update).build()]).await
    }

    async fn transact_settlement(
        &self,
        operation: &'static str,
        writes: Vec<TransactWriteItem>,
    ) -> Result<bool, StoreError> {
        let error =
            match self.store.client.transact_write_items().set_transact_items(Some(writes)).send().await {
                Ok(_) => return Ok(true),
                Err(error) => error,
            };
        if let SdkError::ServiceError(context) = &error
            && let TransactWriteItemsError::TransactionCanceledException(cancelled) = context.err()
        {
            let codes = || cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
            if codes().any(|code| code == "ConditionalCheckFailed") {
                return Ok(false);
            }
            if codes().any(is_passing) {
                return Err(StoreError::Unavailable { operation, source: Box::new(error) });
            }
        }
        Err(StoreError::from_sdk(operation, error))
    }

    fn settlement(
        &self,
        id: DeliveryId,
        number_of_attempt: Option<u32>,
        settlement: &Settlement,
        now: Timestamp,
    ) -> Result<Update, aws_sdk_dynamodb::error::BuildError> {
        let (status, due) = match settlement {
            Settlement::Succeeded => (DeliveryStatus::Succeeded, None),
            Settlement::Retry(at) => (DeliveryStatus::Retrying, Some(*at)),
            Settlement::Dead => (DeliveryStatus::Dead, None),
            Settlement::Cancelled => (DeliveryStatus::Cancelled, None),
        };
        let mut set = "SET #status = :status, updated_at = :now".to_owned();
        let mut remove = Vec::new();
        let mut condition = "#status IN (:pending, :retrying)".to_owned();
        let mut update = Update::builder()
            .table_name(self.store.activity_table())
            .set_key(Some(primary(&keys::delivery(self.organization, id))))
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":status", text(status.as_str()))
            .expression_attribute_values(":now", text(now.to_string()))
            .expression_attribute_values(":pending", text(DeliveryStatus::Pending.as_str()))
            .expression_attribute_values(":retrying", text(DeliveryStatus::Retrying.as_str()));
        if let Some(attempt) = number_of_attempt {
            set.push_str(", attempt_count = :attempt");
            condition.push_str(" AND attempt_count = :before");
            update = update
                .expression_attribute_values(":attempt", number(i64::from(attempt)))
                .expression_attribute_values(":before", number(i64::from(attempt.saturating_sub(1))));
        }
        match due {
            Some(due) => {
                set.push_str(", next_attempt_at = :due, state_sk = :since");
                update = update
                    .expression_attribute_values(":due", text(due.to_string()))
                    .expression_attribute_values(":since", text(keys::state_since(due, id)));
            }
            None => remove.push("next_attempt_at"),
        }
        match settlement {
            Settlement::Dead => {
                set.push_str(", state_pk = :dead, state_sk = :since");
                update = update
                    .expression_attribute_values(":dead", text(keys::dead(self.organization)))
                    .expression_attribute_values(":since", text(keys::state_since(now, id)));
            }
            Settlement::Succeeded | Settlement::Cancelled => remove.extend(["state_pk", "state_sk"]),
            Settlement::Retry(_) => {}
        }
        if !remove.is_empty() {
            set.push_str(" REMOVE ");
            set.push_str(&remove.join(", "));
        }
        update.update_expression(set).condition_expression(condition).build()
    }

    /// A delivery, read consistently.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        self.store.get(Store::activity_table, "delivery", &keys::delivery(self.organization, id)).await
    }

    /// A delivery with its attempts: one query.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn delivery_detail(&self, id: DeliveryId) -> Result<Option<DeliveryDetail>, StoreError> {
        const OPERATION: &str = "delivery_detail";
        let key = keys::delivery(self.organization, id);
        let mut items = self
            .store
            .client
            .query()
            .table_name(self.store.activity_table())
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", text(key.pk))
            .expression_attribute_values(":sk", text(key.sk))
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .map_err(|e| StoreError::from_sdk(OPERATION, e))?
            .into_iter();
        let Some(delivery) = items.next() else { return Ok(None) };
        Ok(Some(DeliveryDetail {
            delivery: item::read(OPERATION, delivery)?,
            attempts: item::read_all(OPERATION, items.collect())?,
        }))
    }

    /// The deliveries to an endpoint, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn deliveries_to(
        &self,
        endpoint: EndpointId,
        page: &PageRequest<String>,
    ) -> Result<IndexedPage, StoreError> {
        self.indexed(BY_ENDPOINT, "endpoint", keys::deliveries_to(self.organization, endpoint), page).await
    }

    /// The dead letters, latest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn dead_letters(&self, page: &PageRequest<String>) -> Result<IndexedPage, StoreError> {
        self.indexed(BY_STATE, "state", keys::dead(self.organization), page).await
    }

    /// A page of deliveries from an index that projects keys only: a query, then one batch read.
    async fn indexed(
        &self,
        index: &'static str,
        attribute: &'static str,
        pk: String,
        page: &PageRequest<String>,
    ) -> Result<IndexedPage, StoreError> {
        let mut query = self
            .store
            .client
            .query()
            .table_name(self.store.activity_table())
            .index_name(index)
            .expression_attribute_values(":pk", text(pk))
            .scan_index_forward(false)
            .limit(limit_with_look_ahead(page.limit));
        query = match &page.after {
            None => query.key_condition_expression(format!("{attribute}_pk = :pk")),
            Some(after) => query
                .key_condition_expression(format!("{attribute}_pk = :pk AND {attribute}_sk < :after"))
                .expression_attribute_values(":after", text(after)),
        };
        let answer = query.send().await.map_err(|e| StoreError::from_sdk(index, e))?;
        // Keys are small: a page of them never reaches the megabyte at which DynamoDB breaks off.
        let keys = Page::cut(answer.items.unwrap_or_default(), page.limit);
        let position = format!("{attribute}_sk");
        let last = keys.items.last().and_then(|item| item::get_text(item, &position)).map(str::to_owned);
        let order: Vec<Key> = keys
            .items
            .iter()
            .filter_map(|item| {
                Some(Key {
                    pk: item::get_text(item, keys::PK)?.to_owned(),
                    sk: item::get_text(item, keys::SK)?.to_owned(),
                })
            })
            .collect();
        Ok(IndexedPage { items: self.batch(index, &order).await?, next: last.filter(|_| keys.more) })
    }

    /// The deliveries at `order`, in that order; ones that have gone meanwhile are left out.
    async fn batch(&self, operation: &'static str, order: &[Key]) -> Result<Vec<Delivery>, StoreError> {
        let mut wanted: Vec<Item> = order.iter().map(primary).collect();
        let mut found = Vec::with_capacity(wanted.len());
        // DynamoDB may answer a part of a batch and hand back the rest.
        for _ in 0..5 {
            if wanted.is_empty() {
                break;
            }
            let keys = KeysAndAttributes::builder()
                .set_keys(Some(std::mem::take(&mut wanted)))
                .consistent_read(true)
                .build()
                .map_err(|e| StoreError::Refused { operation, source: Box::new(e) })?;
            let answer = self
                .store
                .client
                .batch_get_item()
                .request_items(self.store.activity_table(), keys)
                .send()
                .await
                .map_err(|e| StoreError::from_sdk(operation, e))?;
            found.extend(answer.responses.unwrap_or_default().into_values().flatten());
            wanted = answer
                .unprocessed_keys
                .unwrap_or_default()
                .into_values()
                .flat_map(|keys| keys.keys)
                .collect();
        }
        if !wanted.is_empty() {
            return Err(StoreError::Unavailable { operation, source: "unprocessed keys remain".into() });
        }
        let mut deliveries: Vec<Delivery> = item::read_all(operation, found)?;
        let position = |delivery: &Delivery| {
            let key = keys::delivery(self.organization, delivery.id);
            order.iter().position(|wanted| *wanted == key)
        };
        deliveries.sort_by_key(position);
        Ok(deliveries)
    }
}
