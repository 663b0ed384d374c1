//! Folding: what an item has counted one by one is put together, so that it stays small.
//!
//! One request in a minute does it, and only when there is enough to fold. A fold goes ahead only if what it folds is
//! still as it was seen, so nothing is ever folded twice or lost; one that comes too late is left to the next minute.

use std::fmt::Write as _;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use clock::Timestamp;

use super::window::{FOLDED, floor, folded, mark, marks};
use super::{FLOOR, WINDOW};
use crate::item::{Item, get_number, number, primary};
use crate::keys::Key;
use crate::usage::{self, HourCount, Owner};
use crate::{Store, StoreError};

/// With so many minutes counted one by one, they are folded; at most so many at a time.
const MOST_MARKS: usize = 7;
const AT_A_TIME: usize = 40;
/// A minute is folded when the next one is over, too: what came late has come in by then.
const LATE_MINUTES: i64 = 1;
/// So long after an hour its counts are taken to the history, for the same reason.
const SETTLED_AFTER_MINUTES: i64 = 2;

const OPERATION: &str = "fold";

/// What is to be folded of an item.
struct Foldable {
    /// Minutes that are over, with their counts: they go into the packed attribute.
    over: Vec<(i64, i64)>,
    /// Minutes that have left the window: nothing depends on them any more.
    gone: Vec<i64>,
    /// Counts of hours that are over: they go to the history.
    past: Vec<HourCount>,
}

impl Foldable {
    fn of(item: &Item, minute: i64) -> Self {
        let (mut over, mut gone) = (Vec::new(), Vec::new());
        for (stamped, count) in marks(item) {
            if stamped <= minute - WINDOW {
                gone.push(stamped);
            } else if stamped < minute - LATE_MINUTES {
                over.push((stamped, count));
            }
        }
        over.truncate(AT_A_TIME);
        gone.truncate(AT_A_TIME);
        let settled = |count: &HourCount| (count.hour + 1) * 60 + SETTLED_AFTER_MINUTES <= minute;
        Self { over, gone, past: usage::counts(item).filter(settled).take(AT_A_TIME).collect() }
    }

    fn is_worth_a_call(&self) -> bool {
        !self.past.is_empty() || self.over.len() + self.gone.len() >= MOST_MARKS
    }
}

impl Store {
    /// Folds what can be folded, if it is worth a call.
    pub(super) async fn fold(&self, key: &Key, item: &Item, now: Timestamp) -> Result<(), StoreError> {
        let foldable = Foldable::of(item, now.minute());
        if !foldable.is_worth_a_call() {
            return Ok(());
        }
        let refused =
            |source: BuildError| StoreError::Refused { operation: OPERATION, source: Box::new(source) };
        let update = self.folding(key, item, now.minute(), &foldable).map_err(refused)?;
        let mut writes = vec![TransactWriteItem::builder().update(update).build()];
        if !foldable.past.is_empty() {
            let owner: Owner = crate::item::read(OPERATION, item.clone())?;
            for history in usage::history_updates(self.activity_table(), &owner, &foldable.past, now) {
                writes.push(TransactWriteItem::builder().update(history.map_err(refused)?).build());
            }
        }
        // A single write is half the price of a transaction of one.
        if writes.len() == 1 {
            return self.fold_alone(writes).await;
        }
        let call = self.client.transact_write_items().set_transact_items(Some(writes));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) if has_changed(error.as_service_error()) => Ok(()),
            Err(error) => Err(StoreError::from_sdk(OPERATION, error)),
        }
    }

    async fn fold_alone(&self, writes: Vec<TransactWriteItem>) -> Result<(), StoreError> {
        let Some(update) = writes.into_iter().next().and_then(|write| write.update) else { return Ok(()) };
        let call = self
            .client
            .update_item()
            .table_name(update.table_name)
            .set_key(Some(update.key))
            .update_expression(update.update_expression)
            .set_condition_expression(update.condition_expression)
            .set_expression_attribute_values(update.expression_attribute_values);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(StoreError::from_sdk(OPERATION, error)),
        }
    }

    /// The update of the credential's own item.
    fn folding(
        &self,
        key: &Key,
        item: &Item,
        minute: i64,
        foldable: &Foldable,
    ) -> Result<Update, BuildError> {
        let floor = floor(item, minute).max(get_number(item, FLOOR).unwrap_or(0));
        let mut update = format!("SET {FLOOR} = :floor");
        let mut remove: Vec<_> = foldable.gone.iter().copied().map(mark).collect();
        let mut condition = match item.get(FOLDED) {
            Some(_) => format!("{FOLDED} = :was"),
            None => format!("attribute_not_exists({FOLDED})"),
        };
        let mut call = Update::builder()
            .table_name(self.directory_table())
            .set_key(Some(primary(key)))
            .expression_attribute_values(":floor", number(floor));
        if let Some(was) = item.get(FOLDED) {
            call = call.expression_attribute_values(":was", was.clone());
        }
        match folded(item, minute, &foldable.over) {
            Some(packed) => {
                let _ = write!(update, ", {FOLDED} = :folded");
                call = call.expression_attribute_values(":folded", packed);
            }
            None if item.contains_key(FOLDED) => remove.push(FOLDED.to_owned()),
            None => {}
        }
        let over = foldable.over.iter().map(|(stamped, count)| (mark(*stamped), *count));
        let past = foldable.past.iter().map(|count| (count.name(), count.count));
        for (index, (name, count)) in over.chain(past).enumerate() {
            // Writing to a `String` cannot fail.
            let _ = write!(condition, " AND {name} = :seen{index}");
            call = call.expression_attribute_values(format!(":seen{index}"), number(count));
            remove.push(name);
        }
        if !remove.is_empty() {
            let _ = write!(update, " REMOVE {}", remove.join(", "));
        }
        call.update_expression(update).condition_expression(condition).build()
    }
}

/// Whether a fold did not go ahead as what it would have folded is no longer as it was seen, or is being changed.
fn has_changed(error: Option<&TransactWriteItemsError>) -> bool {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error else { return false };
    let reasons = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
    reasons
        .filter(|code| *code != "None")
        .all(|code| matches!(code, "ConditionalCheckFailed" | "TransactionConflict"))
}
