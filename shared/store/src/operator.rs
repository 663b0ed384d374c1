//! What an operator asks that no request does: about all tenants at once. Reads whole tables, so it is not for functions.

use crate::estate::{scanned_from, scanned_to};
use crate::item::{self, text};
use crate::{Organization, Store, StoreError, keys};

/// A stretch of a table, and what was looked for in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scanned<T> {
    /// What was found.
    pub items: Vec<T>,
    /// How many items were looked at.
    pub looked_at: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

impl Store {
    /// Organizations, in no order, found in the next megabyte of the table of tenants' items. May be none although there
    /// are more.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn organizations(&self, after: Option<&str>) -> Result<Scanned<Organization>, StoreError> {
        const OPERATION: &str = "organizations";
        let answer = self
            .client
            .scan()
            .table_name(self.core_table())
            .filter_expression("sk = :organization")
            .expression_attribute_values(":organization", text(keys::ORGANIZATION))
            .set_exclusive_start_key(scanned_from(after))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk(OPERATION, e))?;
        Ok(Scanned {
            looked_at: u64::try_from(answer.scanned_count).unwrap_or(0),
            next: scanned_to(OPERATION, answer.last_evaluated_key.as_ref())?,
            items: item::read_all(OPERATION, answer.items.unwrap_or_default())?,
        })
    }
}
