//! The deployed template with its own functions: from a request to a webhook in the inbox, and across a restart.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot go on fails the test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use artisan_local::cli::environment_file;
use artisan_local::{Data, Options, Platform, server, shutdown};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use clock::{Clock, ManualClock, utc};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use testkit::ClosedPort;
use tower::ServiceExt;

async fn start(data: Data) -> (Platform, ManualClock) {
    let (clock, hand) = Clock::manual(utc(2026, 11, 22, 12, 0));
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
    (Platform::start(Options { data, clock, ..Options::new(template) }).await.unwrap(), hand)
}

async fn post(platform: &Platform, path: &str, token: Option<&str>, body: Value) -> Value {
    let mut request = Request::post(path).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = platform.router().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&bytes));
    serde_json::from_slice(&bytes).unwrap()
}

/// Signs up, creates an endpoint for `url` and a lead; returns the access token.
async fn one_event(platform: &Platform, url: &str) -> String {
    let sign_up = json!({
        "organization_name": "Harbor & Pine",
        "name": "Ada",
        "email": "ada@example.com",
        "password": "a kettle of seven herrings",
    });
    let session = post(platform, "/api/auth/signup", None, sign_up).await;
    let token = session["access_token"].as_str().unwrap().to_owned();
    post(platform, "/api/admin/webhooks", Some(&token), json!({"url": url, "events": ["*"]})).await;
    post(platform, "/v1/leads", Some(&token), json!({"email": "lead@example.com"})).await;
    token
}

#[tokio::test]
async fn an_event_arrives_in_the_inbox_signed() {
    let (platform, _) = start(Data::Memory).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let inbox = format!("http://{}/_local/inbox", listener.local_addr().unwrap());
    let (_trigger, shutdown) = shutdown::channel();
    tokio::spawn(server::serve(listener, platform.router(), shutdown));

    one_event(&platform, &inbox).await;
    platform.drain().await;
    let received = platform.inbox().received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].verified, Some(true));
    let body: Value = serde_json::from_str(&received[0].body).unwrap();
    assert_eq!(body["event"], "lead.created");
    assert_eq!(platform.depth("WebhookJobsQueue").unwrap().total(), 0);

    let tampered = Request::post("/_local/inbox")
        .header("webhook-id", "evt_1")
        .header("webhook-timestamp", "1")
        .header("webhook-signature", "v1,AAAA")
        .header("x-artisan-signature", "sha256=00")
        .body(Body::from(received[0].body.clone()))
        .unwrap();
    assert_eq!(platform.router().oneshot(tampered).await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(platform.inbox().received()[0].verified, Some(false));
}

#[tokio::test]
async fn what_is_owed_survives_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let data = || Data::Directory(PathBuf::from(directory.path()));
    let (platform, _) = start(data()).await;
    let nobody = ClosedPort::any();
    one_event(&platform, &nobody.url()).await;
    platform.drain().await;
    let slow_lane = |platform: &Platform| platform.depth("WebhookRetriesQueue").unwrap();
    assert_eq!(slow_lane(&platform).delayed, 1, "it waits for its retry");
    drop(platform);

    let (platform, hand) = start(data()).await;
    assert_eq!(slow_lane(&platform).visible, 1, "queued again");
    assert!(platform.drain().await > 0);
    assert_eq!(slow_lane(&platform).in_flight, 1, "its time has not come");
    hand.advance(Duration::from_secs(90));
    platform.drain().await;
    // The next wait is longer than what is left to the queue: it waits in the table.
    assert_eq!(slow_lane(&platform).total(), 0, "tried again, and still owed");
    drop(platform);
    let (platform, _) = start(data()).await;
    assert_eq!(slow_lane(&platform).visible, 1, "queued again");
}

/// By which a function runs in a process of its own, beside a platform on the usual port.
#[tokio::test]
async fn the_committed_environment_is_what_the_platform_gives() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (clock, hand) = Clock::ahead();
    let options =
        Options { clock, hand: Some(hand), data: Data::Memory, ..Options::new(root.join("template.yaml")) };
    let platform = Platform::start(options).await.unwrap();
    let given = environment_file(&platform.variables(), 8000);
    let committed = std::fs::read_to_string(root.join("docs/local.env")).unwrap();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(lines(&committed), lines(&given));
}

#[tokio::test]
async fn junk_keys_touch_no_table() {
    let (platform, _) = start(Data::Memory).await;
    let request =
        Request::get("/v1/leads").header("authorization", "Bearer sk_live_junk").body(Body::empty());
    let before = platform.engines().meter().snapshot().calls();
    let response = platform.router().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(platform.engines().meter().snapshot().calls(), before);
}
