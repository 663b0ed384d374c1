//! Load on the platform: as much as it takes, or so much a second.
//!
//! The number of requests and the time they may take are bounded, whatever the platform does. No request is made
//! twice: one whose fate is not known is counted as refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::client::{Call, Client};
use crate::progress::Counter;
use crate::stats::Latency;

/// Which request is to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Its number; never the same one twice.
    pub(crate) number: u64,
    /// Who makes it: a number below the concurrency, and one request at a time each.
    pub(crate) caller: usize,
}

/// What requests are made, and where.
#[derive(Clone)]
pub(crate) struct Load {
    address: SocketAddr,
    expected: StatusCode,
    make: Arc<dyn Fn(Turn) -> Call + Send + Sync>,
    /// The number of the next request.
    next: Arc<AtomicU64>,
    /// Requests answered as expected so far.
    pub(crate) answered: Counter,
}

/// How much, and for how long at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    /// Requests to be answered as expected.
    pub(crate) count: u64,
    /// In progress at once.
    pub(crate) concurrency: usize,
    /// No request is begun after this time.
    pub(crate) limit: Duration,
}

/// A request that was answered as expected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered {
    /// Its number.
    pub(crate) number: u64,
    /// When it was due: the moment it was sent, or should have been.
    pub(crate) due: Instant,
    /// When the whole answer was there.
    pub(crate) at: Instant,
}

/// What became of a load.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Requests answered as expected, in no particular order.
    pub(crate) answered: Vec<Answered>,
    /// All others, by the status they were answered with or `none`.
    pub(crate) refused: BTreeMap<String, u64>,
}

impl Outcome {
    /// How many were answered as expected.
    pub(crate) fn count(&self) -> u64 {
        u64::try_from(self.answered.len()).unwrap_or(u64::MAX)
    }

    /// From the first request to the last answer.
    pub(crate) fn duration(&self) -> Duration {
        let first = self.answered.iter().map(|it| it.due).min();
        let last = self.answered.iter().map(|it| it.at).max();
        first.zip(last).map_or(Duration::ZERO, |(first, last)| last.saturating_duration_since(first))
    }

    /// From when a request was due to its answer.
    pub(crate) fn latency(&self) -> Option<Latency> {
        Latency::of(self.answered.iter().map(|it| it.at.saturating_duration_since(it.due)).collect())
    }

    fn add(&mut self, part: Self) {
        self.answered.extend(part.answered);
        for (status, count) in part.refused {
            *self.refused.entry(status).or_default() += count;
        }
    }
}

impl Load {
    /// A load of the requests that `make` makes, each to be answered with `expected`.
    pub(crate) fn new(
        address: SocketAddr,
        expected: StatusCode,
        make: impl Fn(Turn) -> Call + Send + Sync + 'static,
    ) -> Self {
        let (next, answered) = (Arc::default(), Counter::default());
        Self { address, expected, make: Arc::new(make), next, answered }
    }

    /// As fast as the platform answers. A refused request is made up for by another one, within reason.
    pub(crate) async fn at_full_speed(&self, amount: Amount) -> Outcome {
        let tickets = Arc::new(AtomicU64::new(amount.count));
        let spare = Arc::new(AtomicU64::new(amount.count / 2 + 20));
        let deadline = Instant::now() + amount.limit;
        let mut callers = JoinSet::new();
        for caller in 0..amount.concurrency.max(1) {
            let (load, tickets, spare) = (self.clone(), Arc::clone(&tickets), Arc::clone(&spare));
            callers.spawn(async move {
                let (mut client, mut outcome) = (Client::new(load.address), Outcome::default());
                while Instant::now() < deadline && take(&tickets) {
                    let made = load.request(&mut client, caller, None, &mut outcome).await;
                    if !made && take(&spare) {
                        tickets.fetch_add(1, Ordering::Relaxed);
                    }
                }
                outcome
            });
        }
        gather(callers).await
    }

    /// `per_second` requests a second, evenly spaced, whether or not the platform keeps up. Latency counts from when
    /// a request was due, so that a platform that stalls is not spared the requests that could not be made meanwhile.
    pub(crate) async fn at_rate(&self, amount: Amount, per_second: f64) -> Outcome {
        let (turns, turn) = mpsc::unbounded_channel();
        let turn = Arc::new(Mutex::new(turn));
        let began = Instant::now();
        let deadline = began + amount.limit;
        // A thread of its own: the timer of the runtime rounds up to milliseconds.
        let pacer = std::thread::Builder::new().name("pacer".to_owned()).spawn(move || {
            let mut due = began;
            let interval = Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(Duration::MAX);
            for number in 0..amount.count {
                let now = Instant::now();
                if now >= deadline {
                    break;
                }
                if due > now {
                    std::thread::sleep(due.min(deadline) - now);
                }
                if turns.send(due).is_err() {
                    break;
                }
                let after = interval.saturating_mul(u32::try_from(number + 1).unwrap_or(u32::MAX));
                due = began.checked_add(after).unwrap_or(deadline);
            }
        });
        if pacer.is_err() {
            return Outcome::default();
        }
        let mut callers = JoinSet::new();
        for caller in 0..amount.concurrency.max(1) {
            let (load, turn) = (self.clone(), Arc::clone(&turn));
            callers.spawn(async move {
                let (mut client, mut outcome) = (Client::new(load.address), Outcome::default());
                while Instant::now() < deadline {
                    let Some(due) = turn.lock().await.recv().await else { break };
                    load.request(&mut client, caller, Some(due), &mut outcome).await;
                }
                outcome
            });
        }
        gather(callers).await
    }

    /// Makes the next request; whether it was answered as expected.
    async fn request(
        &self,
        client: &mut Client,
        caller: usize,
        due: Option<Instant>,
        outcome: &mut Outcome,
    ) -> bool {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let call = (self.make)(Turn { number, caller });
        let due = due.unwrap_or_else(Instant::now);
        let status = match client.send(call).await {
            Ok(answer) if answer.status == self.expected => {
                outcome.answered.push(Answered { number, due, at: Instant::now() });
                self.answered.add();
                return true;
            }
            Ok(answer) => answer.status.as_u16().to_string(),
            Err(_) => "none".to_owned(),
        };
        *outcome.refused.entry(status).or_default() += 1;
        false
    }
}

/// Takes one of what is left; whether there was one.
fn take(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

async fn gather(mut callers: JoinSet<Outcome>) -> Outcome {
    let mut outcome = Outcome::default();
    // A caller that panicked has made nothing; what it had begun shows up as missing.
    while let Some(part) = callers.join_next().await {
        outcome.add(part.unwrap_or_default());
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{Sink, email};

    fn body(number: u64) -> String {
        format!(r#"{{"data":{{"email":"{}"}}}}"#, email(number))
    }

    fn load(sink: &Sink, path: &'static str, expected: StatusCode) -> Load {
        let address = sink.url(1).trim_start_matches("http://").split('/').next().unwrap().parse().unwrap();
        Load::new(address, expected, move |turn| Call::post(path, body(turn.number)))
    }

    const AMOUNT: Amount = Amount { count: 100, concurrency: 4, limit: Duration::from_secs(30) };

    #[tokio::test]
    async fn at_full_speed_every_request_is_made_once() {
        let sink = Sink::start().await.unwrap();
        let load = load(&sink, "/receive/1", StatusCode::NO_CONTENT);
        let outcome = load.at_full_speed(AMOUNT).await;
        assert_eq!((outcome.count(), outcome.refused.len()), (100, 0));
        assert_eq!(load.answered.get(), 100);
        assert_eq!(load.at_full_speed(AMOUNT).await.count(), 100);
        let arrivals = sink.take();
        assert_eq!((arrivals.first.len(), arrivals.duplicates), (200, 0), "numbers go on");
    }

    #[tokio::test]
    async fn refusals_are_counted_and_do_not_go_on_for_ever() {
        let sink = Sink::start().await.unwrap();
        let outcome = load(&sink, "/nowhere", StatusCode::NO_CONTENT).at_full_speed(AMOUNT).await;
        assert_eq!(outcome.count(), 0);
        assert_eq!(outcome.refused, BTreeMap::from([("404".to_owned(), 170)]));
        assert_eq!(outcome.latency(), None);
    }

    #[tokio::test]
    async fn at_a_rate_requests_are_spaced_from_the_first_one_on() {
        let sink = Sink::start().await.unwrap();
        let outcome = load(&sink, "/receive/1", StatusCode::NO_CONTENT).at_rate(AMOUNT, 1000.0).await;
        assert_eq!(outcome.count(), 100);
        let mut due: Vec<Instant> = outcome.answered.iter().map(|it| it.due).collect();
        due.sort_unstable();
        assert_eq!(due[99] - due[0], Duration::from_millis(99));
    }

    #[tokio::test]
    async fn what_hangs_is_not_waited_for_beyond_the_limit() {
        let sink = Sink::start().await.unwrap();
        let load = load(&sink, "/receive/1", StatusCode::NO_CONTENT);
        let amount = Amount { count: 1_000_000, concurrency: 1, limit: Duration::from_millis(50) };
        let began = Instant::now();
        assert!(load.at_rate(amount, 100.0).await.count() <= 6);
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}
