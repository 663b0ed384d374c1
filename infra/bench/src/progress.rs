//! One line on the terminal that says what is going on. Silent when standard error is not a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::stats::per_second;
use crate::table::number;

const EVERY: Duration = Duration::from_millis(200);
/// Returns to the beginning of the line and clears it.
const CLEAR: &str = "\r\x1b[K";

/// A count that grows while something is under way. Clones are the same count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Counter {
    /// One more.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// None again.
    pub(crate) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Shown while it is alive.
#[derive(Debug)]
pub(crate) struct Progress(Option<JoinHandle<()>>);

/// Shows `phase`, and how far `counter` has come on its way to `total`.
pub(crate) fn show(phase: impl Into<String>, counter: &Counter, total: u64) -> Progress {
    if !std::io::stderr().is_terminal() {
        return Progress(None);
    }
    let (phase, counter, began, from) = (phase.into(), counter.clone(), Instant::now(), counter.get());
    Progress(Some(tokio::spawn(async move {
        loop {
            let count = counter.get();
            let rate = per_second(count.saturating_sub(from), began.elapsed());
            say(&format!("{CLEAR}  {phase}: {count} of {total}, {} a second", number(rate)));
            tokio::time::sleep(EVERY).await;
        }
    })))
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
            say(CLEAR);
        }
    }
}

/// A terminal that has gone away is no reason to stop measuring.
fn say(text: &str) {
    let mut terminal = std::io::stderr().lock();
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}
