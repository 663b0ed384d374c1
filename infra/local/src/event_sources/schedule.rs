//! Functions that are called by the time alone.

use std::time::Duration;

use clock::Clock;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use super::invoke;
use crate::registry::ScheduleHandler;
use crate::shutdown::Shutdown;
use crate::template::{ACCOUNT, Function, REGION, ScheduleSource};

/// The first call comes this long after the start, when everything else is up; EventBridge waits for a whole period.
const SOON: Duration = Duration::from_secs(5);

/// A scheduled function did not do what it is there for.
#[derive(Debug, thiserror::Error)]
#[error("the scheduled function {function} failed")]
pub struct ScheduleError {
    /// Its logical id.
    pub function: String,
    /// What it said, or that it panicked or took too long.
    #[source]
    pub source: store::BoxError,
}

/// Calls one function at one rate.
pub(crate) struct ScheduleRunner {
    function: String,
    rule: String,
    first: Duration,
    every: Duration,
    limit: Duration,
    handler: ScheduleHandler,
    clock: Clock,
    /// Held during a call: the same function is never called twice at once.
    calling: Mutex<()>,
}

impl ScheduleRunner {
    pub(super) fn new(
        function: &Function,
        source: &ScheduleSource,
        handler: ScheduleHandler,
        clock: &Clock,
    ) -> Self {
        Self {
            function: function.logical_id.clone(),
            rule: format!("{}{}", function.logical_id, source.id),
            first: SOON,
            every: source.every,
            limit: Duration::from_secs(function.timeout.into()),
            handler,
            clock: clock.clone(),
            calling: Mutex::new(()),
        }
    }

    /// Calls the function once, after the call in progress if there is one.
    pub(super) async fn call(&self) -> Result<(), ScheduleError> {
        let _calling = self.calling.lock().await;
        let event = self.event();
        let answer = invoke(self.limit, async { (self.handler)(event).await }).await;
        let failed = |source| ScheduleError { function: self.function.clone(), source };
        answer.map_err(|error| failed(error.into()))?.map_err(failed)
    }

    /// Calls the function soon and then at its rate until `shutdown`. A call that takes longer than the rate is followed
    /// by the next one at once, and by no more than that.
    pub(super) async fn run(&self, mut shutdown: Shutdown) {
        let mut due = Instant::now() + self.first;
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => return,
                () = tokio::time::sleep_until(due) => {}
            }
            due = Instant::now() + self.every;
            if let Err(error) = self.call().await {
                tracing::error!(error = crate::cli::one_line(&error), "a scheduled call failed");
            }
        }
    }

    /// What EventBridge sends.
    /// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html>
    fn event(&self) -> Value {
        json!({
            "version": "0",
            "id": Uuid::new_v4().to_string(),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": ACCOUNT,
            "time": self.clock.now(),
            "region": REGION,
            "resources": [format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{}", self.rule)],
            "detail": {},
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const SHORT: Duration = Duration::from_millis(1);

    fn runner(handler: ScheduleHandler, every: Duration) -> Arc<ScheduleRunner> {
        Arc::new(ScheduleRunner {
            function: "Sweep".to_owned(),
            rule: "SweepHourly".to_owned(),
            first: SHORT,
            every,
            limit: Duration::from_secs(5),
            handler,
            clock: Clock::system(),
            calling: Mutex::new(()),
        })
    }

    async fn until(condition: impl Fn() -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            while !condition() {
                tokio::time::sleep(SHORT).await;
            }
        });
        waited.await.unwrap();
    }

    #[tokio::test]
    async fn it_calls_soon_and_goes_on_whatever_the_function_says() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let handler: ScheduleHandler = Arc::new(move |_| {
            let number = counter.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                match number {
                    0 => Err("no".into()),
                    1 => panic!("a bug"),
                    _ => Ok(()),
                }
            })
        });
        let (trigger, shutdown) = crate::shutdown::channel();
        let runner = runner(handler, SHORT);
        let running = tokio::spawn(async move { runner.run(shutdown).await });
        until(|| calls.load(Ordering::SeqCst) >= 3).await;
        trigger.request();
        running.await.unwrap();
    }

    #[tokio::test]
    async fn one_call_ends_before_the_next_begins() {
        let (inside, most, calls) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counters = (Arc::clone(&inside), Arc::clone(&most), Arc::clone(&calls));
        let handler: ScheduleHandler = Arc::new(move |_| {
            let (inside, most, calls) = counters.clone();
            Box::pin(async move {
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(SHORT * 3).await;
                inside.fetch_sub(1, Ordering::SeqCst);
                calls.fetch_add(1, Ordering::SeqCst);
                Ok(())
            })
        });
        let (trigger, shutdown) = crate::shutdown::channel();
        let runner = runner(handler, SHORT);
        let background = Arc::clone(&runner);
        let running = tokio::spawn(async move { background.run(shutdown).await });
        for _ in 0..5 {
            runner.call().await.unwrap();
        }
        until(|| calls.load(Ordering::SeqCst) >= 8).await;
        trigger.request();
        running.await.unwrap();
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }
}
