//! Items are brought up to the present format.

use std::fmt::Write as _;

use clock::Timestamp;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use runtime::Services;
use serde::Serialize;
use store::{MigrateError, Migration, Store, data_level, migration_steps};

use crate::Verdict;
use crate::error::Error;
use crate::terminal::Terminal;

/// How a run is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub(crate) only_status: bool,
    pub(crate) again: bool,
    pub(crate) parallel: usize,
}

#[derive(Debug, Serialize)]
struct Status {
    /// The level of this program: how many steps it knows.
    level: u32,
    steps: Vec<&'static str>,
    /// The level that items are at, or are being brought to; null if they never were.
    level_of_data: Option<u32>,
    begun_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    looked_at: u64,
    upgraded: u64,
}

impl Status {
    fn of(run: Option<&Migration>) -> Self {
        let (looked_at, upgraded) = run.map(Migration::counts).unwrap_or_default();
        Self {
            level: data_level(),
            steps: migration_steps().collect(),
            level_of_data: run.map(|run| run.level),
            begun_at: run.map(|run| run.created_at),
            finished_at: run.and_then(|run| run.finished_at),
            looked_at,
            upgraded,
        }
    }

    fn is_current(&self) -> bool {
        self.level_of_data == Some(self.level) && self.finished_at.is_some()
    }

    fn words(&self) -> String {
        let mut text = format!("this program knows {} steps:\n", self.level);
        for (number, step) in (1..).zip(&self.steps) {
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "  {number}. {step}");
        }
        let state = match (self.level_of_data, self.finished_at) {
            (None, _) => {
                "items have not been brought up yet; functions read old ones as if they were".to_owned()
            }
            (Some(level), Some(at)) => format!("items are at level {level} since {at}"),
            (Some(level), None) => format!("items are on their way to level {level}"),
        };
        let _ = writeln!(text, "{state}: {} looked at, {} changed", self.looked_at, self.upgraded);
        text
    }
}

/// Brings items up, or says how far that is.
pub(crate) async fn run(services: &Services, how: How, terminal: &mut Terminal) -> Result<Verdict, Error> {
    let store = Store::from_environment(&services.environment, services.aws.dynamodb.clone())?;
    if how.only_status {
        let status = Status::of(store.migration().await?.as_ref());
        terminal.say(&status, &status.words())?;
        return Ok(if status.is_current() { Verdict::Fine } else { Verdict::Faulty });
    }
    let run = store.begin_migration(how.again, services.clock.now()).await?;
    let bar = terminal.progress(None, "items looked at");
    bar.set_position(run.counts().0);
    let parts = run.segments.iter().filter(|(_, segment)| !segment.done);
    stream::iter(parts)
        .map(|(name, segment)| {
            let (store, bar) = (&store, &bar);
            async move {
                let mut segment = segment.clone();
                while !segment.done {
                    let before = segment.looked_at;
                    segment = store.migrate(name, &segment, services.clock.now()).await?;
                    bar.inc(segment.looked_at - before);
                }
                Ok::<(), MigrateError>(())
            }
        })
        .buffer_unordered(how.parallel)
        .try_collect::<()>()
        .await?;
    bar.finish_and_clear();
    let ended = store.end_migration(services.clock.now()).await?;
    let status = Status::of(ended.as_ref());
    terminal.say(&status, &status.words())?;
    Ok(if status.is_current() { Verdict::Fine } else { Verdict::Faulty })
}
