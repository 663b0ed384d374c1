//! Folding: what an item has counted one by one is put together, so that it stays small.
//!
//! One request in a minute does it, and only when there is enough to fold. A fold goes ahead only if what it folds is
//! still as it was seen, so nothing is ever folded twice or lost; one that comes too late is left to the next minute.

use std::fmt::Write as _;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use clock::Timestamp;

use super::FLOOR;
use super::window::{FOLDED, floor, folded, mark, marks};
use crate::item::{Item, get_number, number, primary};
use crate::keys::Key;
use crate::usage::{self, HourCount, Owner};
use crate::{Store, StoreError};

/// With so many minutes counted one by one, they are folded.
const MOST_MARKS: usize = 8;
/// How long after an hour its counts are taken to the history: what was noted elsewhere has come in by then.
const SETTLED_AFTER_MINUTES: i64 = 6;

const OPERATION: &str = "fold";

impl Store {
    /// Folds what can be folded, if it is worth a call.
    pub(super) async fn fold(&self, key: &Key, item: &Item, now: Timestamp) -> Result<(), StoreError> {
        let minute = now.minute();
        let past: Vec<HourCount> = usage::counts(item)
            .filter(|count| (count.hour + 1) * 60 + SETTLED_AFTER_MINUTES <= minute)
            .collect();
        let over: Vec<(i64, i64)> = marks(item).filter(|(stamped, _)| *stamped < minute).collect();
        if past.is_empty() && over.len() < MOST_MARKS {
            return Ok(());
        }
        let refused =
            |source: BuildError| StoreError::Refused { operation: OPERATION, source: Box::new(source) };
        let update = self.folding(key, item, minute, &over, &past).map_err(refused)?;
        let mut writes = vec![TransactWriteItem::builder().update(update).build()];
        if !past.is_empty() {
            let owner: Owner = crate::item::read(OPERATION, item.clone())?;
            for history in usage::history_updates(self.activity_table(), &owner, &past, now) {
                writes.push(TransactWriteItem::builder().update(history.map_err(refused)?).build());
            }
        }
        // A single write is half the price of a transaction of one.
        let Some(history) = writes.get(1..).filter(|rest| !rest.is_empty()) else {
            return self.fold_alone(writes).await;
        };
        tracing::trace!(hours = history.len(), "counts go to the history");
        let call = self.client.transact_write_items().set_transact_items(Some(writes));
        call.send().await.map_err(|e| StoreError::from_sdk(OPERATION, e))?;
        Ok(())
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
        call.send().await.map_err(|e| StoreError::from_sdk(OPERATION, e))?;
        Ok(())
    }

    /// The update of the credential's own item.
    fn folding(
        &self,
        key: &Key,
        item: &Item,
        minute: i64,
        over: &[(i64, i64)],
        past: &[HourCount],
    ) -> Result<Update, BuildError> {
        let floor = floor(item, minute).max(get_number(item, FLOOR).unwrap_or(0));
        let mut update = format!("SET {FLOOR} = :floor");
        let mut remove = Vec::new();
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
        match folded(item, minute) {
            Some(packed) => {
                let _ = write!(update, ", {FOLDED} = :folded");
                call = call.expression_attribute_values(":folded", packed);
            }
            None => remove.push(FOLDED.to_owned()),
        }
        let counted = over.iter().map(|(stamped, count)| (mark(*stamped), *count));
        for (index, (name, count)) in
            counted.chain(past.iter().map(|count| (count.name(), count.count))).enumerate()
        {
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
