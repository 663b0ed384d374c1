//! Artisan, wherever it runs.
//!
//! What a scenario may ask for is what a deployment can give: the API, the mails that were sent, and that everything that is
//! due has been done. There is no clock to move and nothing to look into, so that what begins with an [`Installation`] runs
//! unchanged on the platform in this process and, with `ARTISAN_E2E_URL` set, on what is deployed there.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use artisan_local::engines::ADDRESS;
use axum::body::Body;
use clock::{Clock, Timestamp};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use reqwest::redirect::Policy;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::actor::Door;
use crate::{Actor, Callers, TestApp, token_in};

/// How many seconds a deployment may take to do what is due; `ARTISAN_E2E_PATIENCE_SECONDS` sets another bound.
const PATIENCE: u64 = 120;
/// How often it is asked, and for how long it must have been quiet.
const PAUSE: Duration = Duration::from_millis(100);

/// Artisan for one scenario.
pub enum Installation {
    /// A platform of its own, in this process.
    Here(Box<TestApp>),
    /// What is deployed; other scenarios run there at the same time.
    Deployed(Deployment),
}

/// Artisan as it is deployed on an emulator of AWS, by `.ci/checks/e2e.sh`.
pub struct Deployment {
    callers: Callers,
    client: reqwest::Client,
    emulator: String,
    patience: Duration,
}

impl Installation {
    /// What `ARTISAN_E2E_URL` leads to (the emulator under it is at `ARTISAN_E2E_EMULATOR`), or a platform in memory.
    pub async fn start() -> Self {
        match std::env::var("ARTISAN_E2E_URL") {
            Ok(url) => Self::Deployed(Deployment::at(url)),
            Err(_) => Self::Here(Box::new(TestApp::start().await)),
        }
    }

    /// Has everything done that streams and queues hold for the present instant.
    pub async fn drain(&self) {
        match self {
            Self::Here(app) => app.drain().await,
            Self::Deployed(deployment) => deployment.drain().await,
        }
    }

    /// Lets time pass: not to wait for something, but because something is to be later.
    pub async fn pass(&self, by: Duration) {
        match self {
            Self::Here(app) => app.advance(by),
            Self::Deployed(_) => tokio::time::sleep(by).await,
        }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::Here(app) => app.now(),
            Self::Deployed(_) => Clock::system().now(),
        }
    }

    /// The token in the newest mail to one address, after everything that is due has been done.
    pub async fn token_mailed_to(&self, address: &str) -> String {
        match self {
            Self::Here(app) => app.token_mailed_to(address).await,
            Self::Deployed(deployment) => deployment.token_mailed_to(address).await,
        }
    }

    /// What is behind a link to a file.
    pub async fn download(&self, link: &str) -> Vec<u8> {
        match self {
            Self::Here(app) => {
                let path = link.strip_prefix(ADDRESS).expect("it leads to the platform");
                let request = Request::get(path).header(header::HOST, "127.0.0.1").body(Body::empty());
                let answer = app.engines().endpoint().oneshot(request.expect("a request")).await;
                let answer = answer.expect("the platform answers");
                assert_eq!(answer.status(), StatusCode::OK, "{link}");
                Body::new(answer.into_body()).collect().await.expect("the file can be read").to_bytes().into()
            }
            Self::Deployed(deployment) => {
                let answer = deployment.client.get(link).send().await.expect("the emulator answers");
                assert_eq!(answer.status(), StatusCode::OK, "{link}");
                answer.bytes().await.expect("the file can be read").into()
            }
        }
    }

    /// Confirms the address that somebody has signed up with.
    pub async fn prove(&self, person: &Actor) {
        self.confirm(person, self.token_mailed_to(&person.text("/user/email")).await).await;
    }

    /// Invites somebody new to what `request` names, and accepts for them: the newcomer, in a session.
    pub async fn invite_and_join(&self, admin: &Actor, request: Value) -> Actor {
        let address = self.invite(admin, request).await;
        self.join(self.token_mailed_to(&address).await).await
    }
}

impl Deref for Installation {
    type Target = Callers;

    fn deref(&self) -> &Callers {
        match self {
            Self::Here(app) => app,
            Self::Deployed(deployment) => &deployment.callers,
        }
    }
}

impl Deployment {
    fn at(url: String) -> Self {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let emulator = std::env::var("ARTISAN_E2E_EMULATOR").expect("ARTISAN_E2E_EMULATOR is set");
        let patience =
            std::env::var("ARTISAN_E2E_PATIENCE_SECONDS").map_or(PATIENCE, |it| it.parse().expect("seconds"));
        let patience = Duration::from_secs(patience);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let [.., high, low] = number.to_be_bytes();
        // Connections belong to the runtime of one test, and come from a place of its own, as sign-ups from one place are
        // limited. What hangs is the test's failure.
        let client = reqwest::Client::builder()
            .local_address(IpAddr::from([127, 8, high, low]))
            .redirect(Policy::none())
            .timeout(patience)
            .build();
        let client = client.expect("there is a client");
        // Nobody there has an address in this domain, whatever ran before.
        let since = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970").as_nanos();
        let domain = format!("e{since}n{number}.example.com");
        Self { callers: Callers::new(Door::Url(client.clone(), url), domain), client, emulator, patience }
    }

    async fn ask(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}{path}", self.emulator)).send().await;
        let body = answer.expect("the emulator answers").bytes().await.expect("its answer can be read");
        serde_json::from_slice(&body).expect("it answers with JSON")
    }

    async fn drain(&self) {
        let began = Instant::now();
        let mut quiet = 0;
        while quiet < 2 {
            let busy = self.ask("/_e2e/busy").await;
            quiet = if busy == Value::Array(Vec::new()) { quiet + 1 } else { 0 };
            assert!(began.elapsed() < self.patience, "still busy after {:?}: {busy}", self.patience);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn token_mailed_to(&self, address: &str) -> String {
        self.drain().await;
        let sent = self.ask("/_ministack/ses/messages").await;
        let accounts = sent["messages"].as_object().expect("mails by account").values();
        // In the order in which they were sent.
        let mails: Vec<_> = accounts.flat_map(|mails| mails.as_array().into_iter().flatten()).collect();
        let newest = mails.iter().rev().find(|mail| mail["To"][0] == address);
        let text = newest.unwrap_or_else(|| panic!("no mail to {address}"))["BodyText"].as_str();
        token_in(text.expect("a mail has a text"))
    }
}
