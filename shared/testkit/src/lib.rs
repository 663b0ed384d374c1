//! The test harness.
//!
//! A [`TestApp`] is a whole platform of its own: every function, with the permissions of its role and no others, real
//! engines in memory, and a clock that only the test moves. [`Actor`]s call it over its router as strangers, people and API keys do; a [`Receiver`] is a real HTTP
//! server that webhooks are sent to; [`DnsServer`] and [`IdentityProvider`] stand in for more of what lies outside.
//! Every answer they get is held to `docs/openapi.json`.
//!
//! An [`Installation`] is less: Artisan wherever it runs, in this process or deployed. A test that begins with one is a
//! scenario, and runs against both.
//!
//! When the app is dropped, jobs that nobody accounted for fail the test.
//!
//! Nothing here waits for time to pass.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a harness stops the test at the first thing that is not as it should be"
)]

mod actor;
mod authenticator;
mod callers;
mod contract;
mod installation;
mod receiver;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use artisan_local::engines::{Engines, Used};
use artisan_local::mailbox::Received;
use artisan_local::{Data, Options, Platform};
use clock::{Clock, ManualClock, Timestamp};
use http::Uri;

use actor::Door;
pub use actor::{Actor, Response};
pub use authenticator::Authenticator;
pub use callers::{Callers, PASSWORD};
pub use installation::{Deployment, Installation};
pub use receiver::{ClosedPort, Receiver, Webhook};
pub use standins::{Algorithm, DnsServer, IdentityProvider, Person, Quirk, SecretScanner, SignedReport};

/// When every test begins.
#[must_use]
pub fn noon() -> Timestamp {
    clock::utc(2026, 11, 22, 12, 0)
}

/// A platform of its own for one test.
pub struct TestApp {
    platform: Platform,
    callers: Callers,
    clock: ManualClock,
    leaves_jobs: AtomicBool,
}

/// Where another DynamoDB is than the one that the platform has in itself: `ARTISAN_TEST_DYNAMODB=http://127.0.0.1:8000` has
/// every [`TestApp`] keep its tables there, as `.ci/checks/second-engine.sh` does.
fn second_engine() -> Option<Uri> {
    let address = std::env::var("ARTISAN_TEST_DYNAMODB").ok()?;
    Some(address.parse().expect("ARTISAN_TEST_DYNAMODB is an address"))
}

/// Whether a test ends here, since tables are kept by the second engine and it is for the embedded one alone. Says so, and
/// why, on standard error.
#[must_use]
pub fn embedded_only(why: &str) -> bool {
    let ends = second_engine().is_some();
    if ends {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        // Past the capture of what tests print, which nobody sees of those that pass.
        let mut uncaptured = std::io::stderr();
        writeln!(uncaptured, "not on the second engine: {test}: {why}").unwrap();
    }
    ends
}

/// Why tests of times to live are for the embedded engine: the other one has a clock of its own.
pub const EXPIRES: &str = "items expire there by the time of day, not by the test's clock";
/// Why some tests of great numbers are: nothing in them is up to the engine, and it takes minutes.
pub const THOUSANDS: &str = "it takes thousands of requests to count what the engine has no say in";

/// How many cases a property is tried on, of as many on the embedded engine: elsewhere each takes several times as long.
#[must_use]
pub fn cases(embedded: u32) -> u32 {
    if second_engine().is_some() { embedded.div_ceil(4) } else { embedded }
}

/// The token of the link in a mail.
fn token_in(text: &str) -> String {
    let (_, token) = text.rsplit_once("token=").unwrap_or_else(|| panic!("no token in: {text}"));
    token.split(|c: char| c.is_whitespace() || c == '&').next().unwrap_or_default().to_owned()
}

/// The template that is deployed, and tested.
#[must_use]
pub fn template() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml"))
}

impl TestApp {
    /// A platform in memory.
    pub async fn start() -> Self {
        Self::with(BTreeMap::new()).await
    }

    /// A platform in memory whose functions are given these variables over their own.
    pub async fn with(environment: BTreeMap<String, String>) -> Self {
        let (clock, hand) = Clock::manual(noon());
        let options = Options {
            data: second_engine().map_or(Data::Memory, Data::DynamoDbAt),
            clock,
            environment,
            metering: true,
            permissions: true,
            ..Options::new(template())
        };
        let platform = Platform::start(options).await.expect("the platform starts");
        let callers = Callers::new(Door::Router(platform.router()), "example.com");
        Self { platform, callers, clock: hand, leaves_jobs: AtomicBool::new(false) }
    }

    /// The platform.
    #[must_use]
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Its engines, with their counters.
    #[must_use]
    pub fn engines(&self) -> &Engines {
        self.platform.engines()
    }

    /// Has DynamoDB do something behind the API's back.
    pub async fn dynamodb(&self, operation: &str, request: &serde_json::Value) {
        let target = format!("DynamoDB_20120810.{operation}");
        let answer = self.engines().dispatch(&target, request.to_string().into()).await;
        assert_eq!(answer.status, 200, "{operation}: {:?}", answer.body);
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.platform.clock().now()
    }

    /// Moves the clock.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Does everything that streams and queues hold for the present instant.
    pub async fn drain(&self) {
        self.platform.drain().await;
    }

    /// The same, and the schedules, by which what has waited for more than a minute comes back; and what follows from that.
    pub async fn sweep(&self) {
        self.drain().await;
        let errors = self.platform.run_schedules().await;
        assert!(errors.is_empty(), "{errors:?}");
        self.drain().await;
    }

    /// The mails that were sent, newest first.
    #[must_use]
    pub fn mails(&self) -> Vec<Received> {
        self.platform.mailbox().received()
    }

    /// The mails that were sent to one address, newest first.
    #[must_use]
    pub fn mails_to(&self, address: &str) -> Vec<Received> {
        self.mails().into_iter().filter(|mail| mail.to == address).collect()
    }

    /// The token in the newest mail to one address, after everything that is due has been done.
    pub async fn token_mailed_to(&self, address: &str) -> String {
        self.drain().await;
        let mails = self.mails_to(address);
        token_in(&mails.first().unwrap_or_else(|| panic!("no mail to {address}")).text)
    }

    /// This test ends with jobs on the queue, on purpose.
    pub fn leaves_jobs(&self) {
        self.leaves_jobs.store(true, Ordering::Relaxed);
    }

    /// Confirms the address that somebody has signed up with.
    pub async fn prove(&self, person: &Actor) {
        self.confirm(person, self.token_mailed_to(&person.text("/user/email")).await).await;
    }

    /// Invites somebody new to what `request` names, and accepts for them: the newcomer, in a session.
    pub async fn invite_and_join(&self, admin: &Actor, request: serde_json::Value) -> Actor {
        let address = self.invite(admin, request).await;
        self.join(self.token_mailed_to(&address).await).await
    }
}

impl Deref for TestApp {
    type Target = Callers;

    fn deref(&self) -> &Callers {
        &self.callers
    }
}

/// `GRANTS_SEEN=<file>` has whatever a role's statement allowed appended to a file when it is seen first.
fn note_grants(used: Vec<Used>) {
    static SEEN: Mutex<BTreeSet<Used>> = Mutex::new(BTreeSet::new());
    let Some(file) = std::env::var_os("GRANTS_SEEN") else { return };
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    for it in used {
        if seen.insert(it.clone()) {
            let mut file = OpenOptions::new().create(true).append(true).open(&file).unwrap();
            writeln!(file, "{} {} {} {}", it.policy, it.sid, it.action, it.resource).unwrap();
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let refused = self.engines().ledger().refused();
        if std::thread::panicking() {
            refused.iter().for_each(|why| eprintln!("{why}"));
            return;
        }
        assert!(refused.is_empty(), "{refused:#?}");
        note_grants(self.engines().ledger().used());
        if self.leaves_jobs.load(Ordering::Relaxed) {
            return;
        }
        for queue in [
            "WebhookJobsQueue",
            "WebhookRetriesQueue",
            "WebhookFaultsQueue",
            "FanoutFaultsQueue",
            "MailQueue",
            "MailFaultsQueue",
            "LongJobsQueue",
            "LongJobsFaultsQueue",
        ] {
            let left = self.platform.depth(queue).map_or(0, |depth| depth.total());
            assert!(left == 0, "{left} messages were left in {queue}");
        }
    }
}
