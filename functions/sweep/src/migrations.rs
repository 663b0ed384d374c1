//! Bringing items up to the present format, a little at a time (`store::Migration`).
//!
//! Not before an hour has passed since this version was first at work: until then functions of the version before may be, and
//! write items of theirs.

use std::time::{Duration, Instant};

use store::{MigrateError, StoreError};

use crate::Sweep;

/// How long after its first look it begins.
const SETTLED_AFTER: Duration = Duration::from_secs(60 * 60);
/// How long of each call it takes up another part.
const SHARE: Duration = Duration::from_secs(10);

impl Sweep {
    /// Goes on with the run, if there is one to be made; how many tasks failed: this one or none.
    pub(crate) async fn bring_items_up(&self, started: Instant) -> usize {
        match self.go_on(started).await {
            Ok(()) => 0,
            // An older version beside a newer one: the newer one sees to it.
            Err(MigrateError::Level { found, known }) => {
                tracing::info!(found, known, "items are brought up by a newer version");
                0
            }
            // There is no haste, and another call in a minute.
            Err(MigrateError::Store(error @ StoreError::Unavailable { .. })) => {
                tracing::warn!(error = telemetry::chain(&error), "items are brought up later");
                0
            }
            Err(error) => {
                tracing::error!(error = telemetry::chain(&error), "items are not brought up");
                1
            }
        }
    }

    async fn go_on(&self, started: Instant) -> Result<(), MigrateError> {
        let run = self.store.begin_migration(false, self.clock.now()).await?;
        if run.finished_at.is_some() || self.clock.now() < run.created_at + SETTLED_AFTER {
            return Ok(());
        }
        for name in run.unfinished() {
            let Some(mut segment) = run.segments.get(&name).cloned() else { continue };
            while !segment.done {
                if started.elapsed() >= SHARE {
                    return Ok(());
                }
                segment = self.store.migrate(&name, &segment, self.clock.now()).await?;
            }
        }
        if let Some(run) = self.store.end_migration(self.clock.now()).await? {
            let (looked_at, upgraded) = run.counts();
            tracing::info!(looked_at, upgraded, "items are brought up to the present format");
        }
        Ok(())
    }
}
