//! What calls functions by themselves: Lambda's event source mappings for queues and for table streams, and
//! EventBridge's schedules.
//!
//! Promises Lambda's contract: at least once; a message is deleted and a stream position is moved on only after the
//! function has succeeded with it; what a function reports as failed, and what a panicking or overdue function was
//! given, comes again. `EventSources::run` polls until shutdown and is woken by writes, so that nothing waits for
//! a timer; `EventSources::drain` does the same work in line and in a fixed order for tests with a manual clock.
//! Schedules go by real time and not by the clock; `EventSources::run_schedules` calls each of them once.

mod checkpoint;
pub mod filter;
mod queue;
mod schedule;
mod stream;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use futures::FutureExt;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::data_directory::{DataError, Keep};
use crate::engines::Engines;
use crate::registry::Hosted;
use crate::shutdown::Shutdown;
use crate::template::Function;

pub(crate) use queue::QueuePoller;
pub use schedule::ScheduleError;
pub(crate) use schedule::ScheduleRunner;
pub(crate) use stream::StreamPoller;

/// Pollers look again after this time even when nothing woke them: a clock may have been moved by hand.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why an event source cannot be polled.
#[derive(Debug, thiserror::Error)]
pub enum EventSourceError {
    /// The table's stream cannot be read.
    #[error("the stream of the table {table} cannot be read")]
    Stream {
        /// The table.
        table: String,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The position in a stream cannot be read or saved.
    #[error("the position in a stream cannot be kept")]
    Checkpoint(#[from] DataError),
}

/// Why an invocation counts as failed.
#[derive(Debug, thiserror::Error)]
enum InvocationError {
    #[error("the function panicked")]
    Panic,
    #[error("the function did not finish within its timeout")]
    Timeout,
}

/// Calls a function as Lambda does: a panic or an overdue answer is a failed invocation and nothing more.
async fn invoke<T>(limit: Duration, call: impl Future<Output = T>) -> Result<T, InvocationError> {
    match AssertUnwindSafe(tokio::time::timeout(limit, call)).catch_unwind().await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(InvocationError::Timeout),
        Err(_) => Err(InvocationError::Panic),
    }
}

/// Every event source of a template.
pub(crate) struct EventSources {
    queues: Vec<Arc<QueuePoller>>,
    streams: Vec<Arc<Mutex<StreamPoller>>>,
    schedules: Vec<Arc<ScheduleRunner>>,
}

impl EventSources {
    /// Connects the functions to their sources. Positions in streams are read, nothing is polled yet.
    pub(crate) async fn connect<'f>(
        functions: impl IntoIterator<Item = (&'f Function, &'f Hosted)>,
        engines: &Engines,
        clock: &Clock,
        keep: &Arc<Keep>,
    ) -> Result<Self, EventSourceError> {
        let mut sources = Self { queues: vec![], streams: vec![], schedules: vec![] };
        let functions: Vec<_> = functions.into_iter().collect();
        let consumed = functions.iter().flat_map(|(function, _)| &function.queues);
        let consumed: Arc<[String]> = consumed.map(|source| source.queue.clone()).collect();
        for (function, hosted) in functions {
            match hosted {
                Hosted::Http(_) => {}
                Hosted::Queue(handler) => sources.queues.extend(function.queues.iter().map(|source| {
                    Arc::new(QueuePoller::new(function, source, handler.clone(), engines, clock))
                })),
                Hosted::Schedule(handler) => {
                    sources.schedules.extend(function.schedules.iter().map(|source| {
                        Arc::new(ScheduleRunner::new(function, source, handler.clone(), clock))
                    }));
                }
                Hosted::Stream(handler) => {
                    for source in &function.streams {
                        let poller = StreamPoller::new(
                            function,
                            source,
                            handler.clone(),
                            engines,
                            clock,
                            Arc::clone(keep),
                            Arc::clone(&consumed),
                        )
                        .await?;
                        sources.streams.push(Arc::new(Mutex::new(poller)));
                    }
                }
            }
        }
        Ok(sources)
    }

    /// Polls every source until `shutdown`, then returns when the batches in progress are done.
    pub(crate) async fn run(&self, shutdown: Shutdown) {
        let mut pollers = JoinSet::new();
        for poller in &self.streams {
            let (poller, shutdown) = (Arc::clone(poller), shutdown.clone());
            pollers.spawn(async move { stream::run(&poller, shutdown).await });
        }
        for poller in &self.queues {
            let (poller, shutdown) = (Arc::clone(poller), shutdown.clone());
            pollers.spawn(async move { poller.run(shutdown).await });
        }
        for runner in &self.schedules {
            let (runner, shutdown) = (Arc::clone(runner), shutdown.clone());
            pollers.spawn(async move { runner.run(shutdown).await });
        }
        while pollers.join_next().await.is_some() {}
        for poller in &self.streams {
            poller.lock().await.save(true);
        }
    }

    /// Hands out, in line, everything that can be handed out at the present instant, and what comes of it; returns
    /// how many invocations that took. What waits for a later instant stays.
    pub(crate) async fn drain(&self) -> usize {
        let mut invocations = 0;
        loop {
            let mut round = 0;
            for poller in &self.streams {
                round += poller.lock().await.step(None).await;
            }
            for poller in &self.queues {
                round += poller.step().await;
            }
            if round == 0 {
                return invocations;
            }
            invocations += round;
        }
    }

    /// Calls every scheduled function once, one after the other; what went wrong.
    pub(crate) async fn run_schedules(&self) -> Vec<ScheduleError> {
        let mut errors = Vec::new();
        for runner in &self.schedules {
            errors.extend(runner.call().await.err());
        }
        errors
    }

    /// The sequence number up to which no reader of `table`'s stream will ever read again. `None` when nobody reads it.
    pub(crate) async fn read_up_to(&self, table: &str) -> Option<String> {
        let mut least: Option<String> = None;
        for poller in &self.streams {
            let poller = poller.lock().await;
            if poller.table() == table {
                let saved = poller.saved().unwrap_or_default().to_owned();
                least = Some(match least {
                    Some(least) => least.min(saved),
                    None => saved,
                });
            }
        }
        least
    }
}
