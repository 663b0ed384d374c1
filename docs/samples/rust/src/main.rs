//! Uses an Artisan API key: asks whose it is, creates a lead in a way that can be repeated, reads all leads page by page.
//!
//! ```sh
//! ARTISAN_URL=https://api.example.com ARTISAN_API_KEY=sk_test_… cargo run -p sample-leads -- grace@example.com
//! ```
#![allow(clippy::indexing_slicing, reason = "what a JSON value does not have reads as null")]

use std::error::Error;
use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, StatusCode, Url, redirect};
use serde_json::{Value, json};

const TRIES: u32 = 5;
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(35);

type BoxError = Box<dyn Error + Send + Sync>;

/// A refusal: application/problem+json, RFC 9457.
#[derive(Debug)]
struct Problem {
    status: StatusCode,
    body: Value,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or("unknown").to_owned();
        // `code` never changes and is what a program looks at; `request_id` is what support asks for.
        writeln!(f, "{} {}: {}", self.status.as_u16(), text(&self.body, "code"), text(&self.body, "detail"))?;
        for fault in self.body["errors"].as_array().into_iter().flatten() {
            writeln!(
                f,
                "  {} ({}): {}",
                text(fault, "pointer"),
                text(fault, "code"),
                text(fault, "message")
            )?;
        }
        if let Some(scope) = self.body["permission"].as_str() {
            writeln!(f, "  the key lacks the scope {scope}")?;
        }
        write!(f, "  request {}", text(&self.body, "request_id"))
    }
}

impl Error for Problem {}

struct Answer {
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn text(&self, name: &str) -> Result<&str, BoxError> {
        Ok(self.body[name].as_str().ok_or_else(|| format!("no {name} in the answer"))?)
    }
}

struct Artisan {
    http: Client,
    url: String,
    key: String,
}

impl Artisan {
    fn from_environment() -> Result<Self, BoxError> {
        let set = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
        let url = set("ARTISAN_URL")?.trim_end_matches('/').to_owned();
        // The API never redirects, and whoever did would be sent the key.
        let http = Client::builder().redirect(redirect::Policy::none()).timeout(TIMEOUT).build()?;
        Ok(Self { http, url, key: set("ARTISAN_API_KEY")? })
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, BoxError> {
        let url = Url::parse_with_params(&format!("{}{path}", self.url), query)?;
        self.call(|| self.http.get(url.clone())).await
    }

    async fn post(&self, path: &str, body: &Value, idempotency_key: &str) -> Result<Answer, BoxError> {
        self.call(|| {
            let request = self.http.post(format!("{}{path}", self.url)).body(body.to_string());
            request.header(CONTENT_TYPE, "application/json").header("Idempotency-Key", idempotency_key)
        })
        .await
    }

    /// The answer, or [`Problem`].
    ///
    /// Sends the request again after the time that the answer asks for, and when there was no answer. That is safe for a
    /// GET and for a POST with an `Idempotency-Key`, so there is no other way to POST here.
    async fn call(&self, request: impl Fn() -> RequestBuilder) -> Result<Answer, BoxError> {
        let mut attempt = 1;
        loop {
            let mut wait = Duration::from_secs(2_u64.pow(attempt));
            match request().bearer_auth(&self.key).send().await {
                Ok(answer) => {
                    let (status, headers) = (answer.status(), answer.headers().clone());
                    // A proxy on the way may answer with something else than JSON.
                    let body = serde_json::from_str(&answer.text().await?).unwrap_or_default();
                    if status.is_success() {
                        return Ok(Answer { headers, body });
                    }
                    // 429, 503, and 409 while the first request with this Idempotency-Key is still running.
                    let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                    let overload = matches!(status.as_u16(), 429 | 503);
                    wait = asked.map_or(wait, Duration::from_secs);
                    if (asked.is_none() && !overload) || attempt == TRIES || wait > LONGEST_WAIT {
                        return Err(Problem { status, body }.into());
                    }
                }
                Err(error) if attempt == TRIES => return Err(error.into()),
                Err(_) => {}
            }
            // Up to a second more, so that programs that were sent away together do not come back together.
            tokio::time::sleep(wait + up_to_a_second()).await;
            attempt += 1;
        }
    }
}

/// The fraction of the present second: random enough for this, and no crate is needed.
fn up_to_a_second() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::from_nanos(now.subsec_nanos().into())
}

async fn run(email: &str) -> Result<(), BoxError> {
    let artisan = Artisan::from_environment()?;

    let me = artisan.get("/v1/whoami", &[]).await?;
    let scopes: Vec<_> =
        me.body["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (id, organization, mode) = (me.text("id")?, me.text("organization_id")?, me.text("mode")?);
    println!("{id} acts for {organization}, mode {mode}, scopes {}", scopes.join(" "));

    // The key is named after what the request is about, so that a program that crashed and starts over sends the same
    // one. A random one does as well if it is stored before the request is sent. It is remembered for 24 hours.
    let lead = json!({"email": email, "custom": {"source": "import"}});
    let created = artisan.post("/v1/leads", &lead, &format!("import-{email}")).await?;
    println!("lead {}", created.text("id")?);
    // Once more, as a program does that does not know whether the first request arrived.
    let again = artisan.post("/v1/leads", &lead, &format!("import-{email}")).await?;
    let replayed = again.header("idempotency-replayed").unwrap_or("false");
    println!("again {}, replayed: {replayed}", again.text("id")?);

    // A page of three shows how paging works; 100 is the most, and what a program should ask for.
    let (mut leads, mut pages) = (Vec::new(), 1);
    let mut page = artisan.get("/v1/leads", &[("limit", "3")]).await?;
    loop {
        leads.extend(page.body["data"].as_array().into_iter().flatten().cloned());
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        page = artisan.get("/v1/leads", &[("limit", "3"), ("cursor", cursor)]).await?;
        pages += 1;
    }
    println!("{} leads on {pages} pages", leads.len());

    // "hourly";r=42;t=3540: 42 requests are left, and in 3540 seconds there are more again.
    let limit = page.header("ratelimit").unwrap_or_default();
    if let Some((left, seconds)) = limit.split_once(";r=").and_then(|(_, rest)| rest.split_once(";t=")) {
        println!("{left} requests left, more in {seconds} s");
    }

    // And this is what a refusal looks like.
    match artisan.post("/v1/leads", &json!({"email": "not an address"}), &format!("refused-{email}")).await {
        Ok(_) => {}
        Err(error) if error.is::<Problem>() => println!("{error}"),
        Err(error) => return Err(error),
    }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let email = std::env::args().nth(1).unwrap_or_else(|| "grace@example.com".to_owned());
    match run(&email).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
