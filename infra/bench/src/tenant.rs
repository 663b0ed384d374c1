//! The tenant that is measured, set up through the API like any other.
//!
//! Its API keys have been in use for two hours: what a key costs depends on the history that its limit is judged by,
//! and a key without any would look cheaper than those of customers are.

use std::time::Duration;

use clock::Clock;
use serde_json::json;

use crate::client::{Call, CallError, Client, Token};
use crate::error::BenchError;
use crate::progress::{self, Counter};
use crate::rig::Rig;

/// What a key may be allowed at most.
const REQUESTS_PER_HOUR: u32 = 1_000_000;
/// How long keys have been in use: the limit looks back at two hours at most.
const MINUTES_IN_USE: u32 = if cfg!(test) { 3 } else { 120 };
const MINUTE: Duration = Duration::from_secs(60);
const EMAIL: &str = "admin@bench.example";
const PASSWORD: &str = "a password for measuring with";

/// An organization with its first administrator and API keys.
#[derive(Debug)]
pub(crate) struct Tenant {
    client: Client,
    session: Token,
    /// API keys with every permission.
    pub(crate) keys: Vec<Token>,
}

impl Tenant {
    /// Signs one up two hours ago, with `keys` API keys that have been used every minute since.
    ///
    /// # Errors
    /// [`BenchError`]
    pub(crate) async fn in_use(rig: &mut Rig, keys: u32) -> Result<Self, BenchError> {
        let (clock, hand) = Clock::manual(rig.now() - MINUTE * MINUTES_IN_USE);
        let mut past = Client::new(rig.at(clock).await?);
        let founder = token(&mut past, sign_up(EMAIL), "access_token").await?;
        // The first plan has room for ten endpoints.
        let upgrade = json!({"plan": "business"}).to_string();
        past.must(Call::patch("/api/admin/organization", upgrade).by(&founder)).await?;
        let mut made = Vec::new();
        for _ in 0..keys {
            made.push(
                token(&mut past, Call::post("/api/admin/api-keys", key_body()).by(&founder), "key").await?,
            );
        }
        let used = Counter::default();
        let total = u64::from(MINUTES_IN_USE) * u64::from(keys);
        let using = progress::show("Preparing keys with two hours of use", &used, total);
        for _ in 0..MINUTES_IN_USE {
            for key in &made {
                past.must(Call::get("/v1/whoami").by(key)).await?;
                used.add();
            }
            hand.advance(MINUTE);
        }
        drop(using);
        let mut client = Client::new(rig.address);
        let session = token(&mut client, Self::login(EMAIL), "access_token").await?;
        Ok(Self { client, session, keys: made })
    }

    /// A sign-in as an administrator.
    pub(crate) fn login(email: &str) -> Call {
        Call::post("/api/auth/login", json!({"email": email, "password": PASSWORD}).to_string())
    }

    /// The e-mail addresses of `number` more administrators, each of an organization of their own. They sign up two
    /// hours ago, too, so that no limit on sign-ups has a say.
    ///
    /// # Errors
    /// [`BenchError`]
    pub(crate) async fn others(&self, rig: &mut Rig, number: usize) -> Result<Vec<String>, BenchError> {
        let (clock, _) = Clock::manual(rig.now() - MINUTE * MINUTES_IN_USE * 2);
        let mut past = Client::new(rig.at(clock).await?);
        let emails: Vec<String> = (0..number).map(|number| format!("admin-{number}@bench.example")).collect();
        for email in &emails {
            past.must(sign_up(email)).await?;
        }
        Ok(emails)
    }

    /// Sessions of the administrator.
    ///
    /// # Errors
    /// [`CallError`]
    pub(crate) async fn sessions(&mut self, number: u32) -> Result<Vec<Token>, CallError> {
        let mut sessions = Vec::new();
        for _ in 0..number {
            sessions.push(token(&mut self.client, Self::login(EMAIL), "access_token").await?);
        }
        Ok(sessions)
    }

    /// A new endpoint for every event.
    ///
    /// # Errors
    /// [`CallError`]
    pub(crate) async fn endpoint(&mut self, url: &str) -> Result<(), CallError> {
        let body = json!({"url": url, "events": ["*"]}).to_string();
        self.client.must(Call::post("/api/admin/webhooks", body).by(&self.session)).await?;
        Ok(())
    }

    /// Posts `body` and gives the id of what was made.
    ///
    /// # Errors
    /// [`CallError`]
    pub(crate) async fn make(&mut self, path: &str, body: String) -> Result<String, CallError> {
        self.client.must_give(Call::post(path, body).by(&self.session), "id").await
    }
}

fn sign_up(email: &str) -> Call {
    let body = json!({
        "organization_name": "Bench",
        "name": "Administrator",
        "email": email,
        "password": PASSWORD,
    });
    Call::post("/api/auth/signup", body.to_string())
}

/// What a key that load is made with is asked for with.
fn key_body() -> String {
    json!({"name": "Bench", "rate_limit_per_hour": REQUESTS_PER_HOUR}).to_string()
}

async fn token(client: &mut Client, call: Call, field: &'static str) -> Result<Token, CallError> {
    let secret = client.must_give(call, field).await?;
    Token::bearer(&secret).ok_or(CallError::Incomplete { call: "a token".to_owned(), field })
}
