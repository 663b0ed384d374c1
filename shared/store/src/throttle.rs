//! Failed attempts, counted: what slows the guessing of passwords and codes.
//!
//! Attempts at one thing (an account, an address) are counted in windows of [`WINDOW`]. An attempt is counted before it is
//! judged, so that parallel guesses can't slip past, and forgiven when it succeeds. Windows pass by themselves: nobody
//! is locked out for good.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use clock::Timestamp;

use crate::item::{get_number, number, primary, text};
use crate::{Store, StoreError, keys};

/// How long attempts are counted together.
pub const WINDOW: Duration = Duration::from_secs(10 * 60);

/// How many attempts the present window has seen, this one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// How many.
    pub count: u64,
    /// When the window ends.
    pub window_ends_at: Timestamp,
}

fn window(now: Timestamp) -> i64 {
    now.seconds().div_euclid(i64::try_from(WINDOW.as_secs()).unwrap_or(i64::MAX))
}

impl Store {
    /// Counts an attempt at what `digest` names; a digest, as the table is not to tell what it is.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be counted.
    pub async fn count_attempt(&self, digest: &str, now: Timestamp) -> Result<Attempts, StoreError> {
        let window = window(now);
        let ends_at = Timestamp::from_seconds((window + 1) * i64::try_from(WINDOW.as_secs()).unwrap_or(600));
        let answer = self
            .client
            .update_item()
            .table_name(self.directory_table())
            .set_key(Some(primary(&keys::attempts(digest, window))))
            .update_expression(
                "SET expires_at = :expiry, v = :v, created_at = if_not_exists(created_at, :now), \
                 updated_at = :now ADD n :one",
            )
            .expression_attribute_values(":expiry", number(ends_at.seconds()))
            .expression_attribute_values(":v", number(1))
            .expression_attribute_values(":now", text(now.to_string()))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("count_attempt", e))?;
        let count = answer.attributes.and_then(|item| get_number(&item, "n")).unwrap_or(0);
        Ok(Attempts { count: u64::try_from(count).unwrap_or(0), window_ends_at: ends_at })
    }

    /// Takes back an attempt that succeeded, counted at `now`.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be taken back.
    pub async fn forgive_attempt(&self, digest: &str, now: Timestamp) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(self.directory_table())
            .set_key(Some(primary(&keys::attempts(digest, window(now)))))
            .update_expression("ADD n :less")
            .expression_attribute_values(":less", number(-1))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("forgive_attempt", e))?;
        Ok(())
    }
}
