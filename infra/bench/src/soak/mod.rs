//! `soak`: nothing is lost and next to nothing comes twice, whatever fails.
//!
//! Events are published to receivers of which every fifth answer is a failure, while the platform, a process of its
//! own, is killed again and again. It ends when every event has been received with a 2xx by every endpoint, or when
//! there has been no progress for too long. A delivery may come twice after a kill: the platform was killed between
//! the receiver's answer and writing it down. Only the public HTTP API is used.

mod child;
mod receiver;

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;

use crate::cli::Soak;
use crate::client::{Call, CallError, Client, Token};
use crate::error::BenchError;
use crate::pipeline::lead;
use crate::report::Circumstances;
use crate::rig::Workshop;
use crate::stats::{float, per_second, rounded};
use crate::table::{Table, number, whole};

use child::Platform;
use receiver::{Manner, Receiver, Record, mixed};

pub(crate) use child::ChildError;

const TELL: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);
/// A publisher that was not heard waits this long.
const AGAIN: Duration = Duration::from_millis(100);
/// When everything has arrived: what comes again within this time is seen.
const QUIET: Duration = Duration::from_secs(5);
/// A kill comes up to this many milliseconds after its time, so that it falls anywhere.
const MOST_LATE_MS: u64 = 200;
/// So many of what is missing are named.
const NAMED: usize = 20;
/// What an endpoint is told to take, so that no delivery ends as a dead letter.
const MAX_RETRIES: u32 = 12;

/// Everything found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    circumstances: Circumstances,
    settings: Settings,
    accepted_events: u32,
    deliveries: usize,
    missing_deliveries: usize,
    /// The first of them.
    missing: Vec<String>,
    attempts: u64,
    answered_with_500: u64,
    broken_off: u64,
    answered_with_429: u64,
    unreadable: u64,
    /// Deliveries that came again although they had been answered with a 2xx, shortly before a kill.
    duplicates_around_kills: usize,
    /// The same, with no kill to explain it.
    duplicates_otherwise: usize,
    kills: u32,
    longest_restart_s: f64,
    publishing_s: f64,
    in_all_s: f64,
    deliveries_per_s: f64,
}

#[derive(Debug, Serialize)]
struct Settings {
    events: u32,
    endpoints: u32,
    failing_per_cent: u32,
    kills: u32,
    seed: u64,
    window_s: u64,
    most_duplicates_per_cent: f64,
}

impl Report {
    /// What must not be.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.accepted_events < self.settings.events {
            let refused = self.settings.events - self.accepted_events;
            faults.push(format!("{refused} events were not accepted in time"));
        }
        if self.missing_deliveries > 0 {
            faults.push(format!(
                "{} deliveries are missing, among them {}",
                self.missing_deliveries,
                self.missing.join(", ")
            ));
        }
        let most = self.settings.most_duplicates_per_cent;
        let share = float(self.duplicates_otherwise as u64) * 100.0 / float(self.deliveries.max(1) as u64);
        if share > most {
            faults.push(format!(
                "{share:.2} % of the deliveries came twice without a kill, more than {most} %"
            ));
        }
        if self.kills < self.settings.kills {
            faults.push(format!("only {} of {} kills took place", self.kills, self.settings.kills));
        }
        faults
    }

    /// For people to read.
    pub(crate) fn tables(&self) -> String {
        let Settings { events, endpoints, failing_per_cent, .. } = self.settings;
        let title =
            format!("{events} events to {endpoints} endpoints, {failing_per_cent} % of attempts failing");
        let mut table = Table::new(title, 1, &["", "number"]);
        for (name, count) in [
            ("events accepted", u64::from(self.accepted_events)),
            ("deliveries", self.deliveries as u64),
            ("missing", self.missing_deliveries as u64),
            ("attempts", self.attempts),
            ("… answered with a 500", self.answered_with_500),
            ("… connection closed", self.broken_off),
            ("… answered with a 429", self.answered_with_429),
            ("… about nothing published", self.unreadable),
            ("kills", u64::from(self.kills)),
            ("duplicates around kills", self.duplicates_around_kills as u64),
            ("duplicates otherwise", self.duplicates_otherwise as u64),
        ] {
            table.row([name.to_owned(), whole(count)]);
        }
        for (name, value) in [
            ("deliveries/s", self.deliveries_per_s),
            ("publishing, s", self.publishing_s),
            ("in all, s", self.in_all_s),
            ("longest restart, s", self.longest_restart_s),
        ] {
            table.row([name.to_owned(), number(value)]);
        }
        let mut text = format!("Soak, {}\n", self.circumstances.line());
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{table}");
        text
    }
}

/// Publishes, kills and waits.
///
/// # Errors
/// [`BenchError`] when it can't be done.
pub(crate) async fn run(workshop: &Workshop, options: &Soak) -> Result<Report, BenchError> {
    let circumstances = Circumstances::of("soak");
    let program = match &options.platform {
        Some(path) => path.clone(),
        None => std::env::current_exe().map_err(BenchError::Runtime)?.with_file_name("artisan-local"),
    };
    let (_state, directory) = workshop.directory("soak")?;
    let manner = Manner {
        events: usize::try_from(options.events).unwrap_or(usize::MAX),
        endpoints: usize::try_from(options.endpoints).unwrap_or(usize::MAX),
        failing: options.failing.into(),
        seed: options.seed,
    };
    let receiver = Receiver::start(manner).await.map_err(BenchError::Sink)?;
    let mut platform = Platform::start(&program, workshop.template(), &directory).await?;
    let key = set_up(&platform, &receiver, manner.endpoints).await?;

    let began = Instant::now();
    let deadline = began + options.common.limit() * 10;
    let publishers = Publishers::start(&platform, &key, options, deadline);
    let soak = Course {
        options,
        receiver: &receiver,
        publishers: &publishers,
        deliveries: manner.events * manner.endpoints,
    };
    let run = soak.run(&mut platform, deadline).await?;
    let in_all = began.elapsed();
    if receiver.received() == soak.deliveries {
        tokio::time::sleep(QUIET).await;
    }
    let publishing_s = publishers.took(began);
    Ok(soak.report(circumstances, &run, &receiver.record(), in_all, publishing_s))
}

/// A tenant with its endpoints; gives an API key.
async fn set_up(platform: &Platform, receiver: &Receiver, endpoints: usize) -> Result<Token, BenchError> {
    let mut client = Client::new(platform.address);
    let sign_up = json!({
        "organization_name": "Soak",
        "name": "Administrator",
        "email": "soak@bench.example",
        "password": "a password for soaking with",
    });
    let secret =
        client.must_give(Call::post("/api/auth/signup", sign_up.to_string()), "access_token").await?;
    let session = bearer(&secret, "access_token")?;
    // The first plan has room for ten endpoints.
    let upgrade = json!({"plan": "business"}).to_string();
    client.must(Call::patch("/api/admin/organization", upgrade).by(&session)).await?;
    for endpoint in 0..endpoints {
        let body = json!({"url": receiver.url(endpoint), "events": ["*"], "max_retries": MAX_RETRIES});
        client.must(Call::post("/api/admin/webhooks", body.to_string()).by(&session)).await?;
    }
    let body = json!({"name": "Soak", "rate_limit_per_hour": 1_000_000}).to_string();
    let key = client.must_give(Call::post("/api/admin/api-keys", body).by(&session), "key").await?;
    Ok(bearer(&key, "key")?)
}

fn bearer(secret: &str, field: &'static str) -> Result<Token, CallError> {
    Token::bearer(secret).ok_or(CallError::Incomplete { call: "a token".to_owned(), field })
}

/// What publishes: each event until it has been accepted, under one `Idempotency-Key`.
struct Publishers {
    accepted: Arc<AtomicU32>,
    ended: Arc<std::sync::OnceLock<Instant>>,
    _tasks: JoinSet<()>,
}

impl Publishers {
    fn start(platform: &Platform, key: &Token, options: &Soak, deadline: Instant) -> Self {
        let (next, accepted) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let ended = Arc::new(std::sync::OnceLock::new());
        let (address, events) = (platform.address, options.events);
        let mut tasks = JoinSet::new();
        for _ in 0..options.common.concurrency() {
            let (next, accepted, ended) = (Arc::clone(&next), Arc::clone(&accepted), Arc::clone(&ended));
            let key = key.clone();
            tasks.spawn(async move {
                let mut client = Client::new(address);
                loop {
                    let event = next.fetch_add(1, Ordering::Relaxed);
                    if event >= events || !publish(&mut client, &key, event, deadline).await {
                        return;
                    }
                    if accepted.fetch_add(1, Ordering::Relaxed) + 1 == events {
                        let _ = ended.set(Instant::now());
                    }
                }
            });
        }
        Self { accepted, ended, _tasks: tasks }
    }

    fn accepted(&self) -> u32 {
        self.accepted.load(Ordering::Relaxed)
    }

    fn took(&self, began: Instant) -> Duration {
        self.ended.get().map_or_else(|| began.elapsed(), |ended| ended.saturating_duration_since(began))
    }
}

/// Publishes one event until it is accepted; whether that was before `deadline`.
async fn publish(client: &mut Client, key: &Token, event: u32, deadline: Instant) -> bool {
    while Instant::now() < deadline {
        let call = Call::post("/v1/leads", lead(event.into())).by(key).once(format!("soak-{event}"));
        match client.send(call).await {
            Ok(answer) if answer.status == StatusCode::CREATED => return true,
            // Down, being started, overloaded, or at work on the same request from before: it will not stay so.
            _ => tokio::time::sleep(AGAIN).await,
        }
    }
    false
}

/// From the first event to the last receipt.
struct Course<'a> {
    options: &'a Soak,
    receiver: &'a Receiver,
    publishers: &'a Publishers,
    deliveries: usize,
}

/// The kills: when each came, and when the platform answered again.
#[derive(Default)]
struct Kills(Vec<(Instant, Instant)>);

impl Kills {
    /// Whether an answer given at `at` may not have been written down because of a kill.
    fn explain(&self, at: Instant, window: Duration) -> bool {
        self.0.iter().any(|(killed, back)| at <= *back && at + window >= *killed)
    }

    fn longest(&self) -> Duration {
        let restarts = self.0.iter().map(|(killed, back)| back.saturating_duration_since(*killed));
        restarts.max().unwrap_or_default()
    }
}

impl Course<'_> {
    async fn run(&self, platform: &mut Platform, deadline: Instant) -> Result<Kills, ChildError> {
        let patience = Duration::from_secs(self.options.patience);
        let mut kills = Kills::default();
        let (mut received, mut accepted, mut changed) = (0, 0, Instant::now());
        let mut told = Instant::now();
        loop {
            let now = (self.receiver.received(), self.publishers.accepted());
            if now != (received, accepted) {
                (received, accepted) = now;
                changed = Instant::now();
            }
            if received == self.deliveries || changed.elapsed() >= patience || Instant::now() >= deadline {
                return Ok(kills);
            }
            platform.runs()?;
            if told.elapsed() >= TELL {
                told = Instant::now();
                say(&format!(
                    "  {accepted} of {} events accepted, {received} of {} deliveries received, {} kills",
                    self.options.events,
                    self.deliveries,
                    kills.0.len()
                ));
            }
            if self.kill_is_due(received, kills.0.len()) {
                let late = mixed(self.options.seed ^ mixed(kills.0.len() as u64)) % MOST_LATE_MS;
                tokio::time::sleep(Duration::from_millis(late)).await;
                let killed = Instant::now();
                platform.kill_and_restart().await?;
                kills.0.push((killed, Instant::now()));
                changed = Instant::now();
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Kills are spread evenly over the deliveries.
    fn kill_is_due(&self, received: usize, kills: usize) -> bool {
        let planned = usize::try_from(self.options.kills).unwrap_or(usize::MAX);
        kills < planned && received >= self.deliveries / (planned + 1) * (kills + 1)
    }

    fn report(
        &self,
        circumstances: Circumstances,
        kills: &Kills,
        record: &Record,
        in_all: Duration,
        publishing: Duration,
    ) -> Report {
        let Soak { events, endpoints, failing, seed, window, most_duplicates, .. } = *self.options;
        let seconds = |time: Duration| rounded(time.as_secs_f64());
        let explained = |at: &&Instant| kills.explain(**at, Duration::from_secs(window));
        let around = record.again.iter().filter(explained).count();
        let missing = record.missing(usize::try_from(endpoints).unwrap_or(usize::MAX));
        Report {
            circumstances,
            settings: Settings {
                events,
                endpoints,
                failing_per_cent: failing,
                kills: self.options.kills,
                seed,
                window_s: window,
                most_duplicates_per_cent: most_duplicates,
            },
            accepted_events: self.publishers.accepted(),
            deliveries: record.received,
            missing_deliveries: self.deliveries - record.received,
            missing: missing
                .take(NAMED)
                .map(|(event, endpoint, attempts)| {
                    format!("event {event} at endpoint {endpoint} (attempts: {attempts})")
                })
                .collect(),
            attempts: record.attempts,
            answered_with_500: record.errors,
            broken_off: record.broken_off,
            answered_with_429: record.told_to_wait,
            unreadable: record.unreadable,
            duplicates_around_kills: around,
            duplicates_otherwise: record.again.len() - around,
            kills: u32::try_from(kills.0.len()).unwrap_or(u32::MAX),
            longest_restart_s: seconds(kills.longest()),
            publishing_s: seconds(publishing),
            in_all_s: seconds(in_all),
            deliveries_per_s: per_second(record.received as u64, in_all),
        }
    }
}

/// Nobody may be listening, which is no reason to stop.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_explains_what_was_answered_shortly_before_it_and_until_the_platform_is_back() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let kills = Kills(vec![(at(20), at(22)), (at(60), at(61))]);
        let window = Duration::from_secs(5);
        let explained: Vec<u64> = (0..100).filter(|second| kills.explain(at(*second), window)).collect();
        assert_eq!(explained, [15, 16, 17, 18, 19, 20, 21, 22, 55, 56, 57, 58, 59, 60, 61]);
        assert_eq!(kills.longest(), Duration::from_secs(2));
    }
}
