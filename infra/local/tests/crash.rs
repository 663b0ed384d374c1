//! The platform killed with SIGKILL between an accepted event and its delivery: nothing that was accepted is lost.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what cannot go on fails the test"
)]

#[path = "support/killed.rs"]
mod killed;
mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use artisan_local::{server, shutdown};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde_json::{Value, json};

use killed::{Api, Running};
use support::until;

const KILLS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn every_accepted_event_is_delivered_however_often_the_platform_is_killed() {
    let received: Arc<Mutex<Vec<String>>> = Arc::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = format!("http://{}/hook", listener.local_addr().unwrap());
    let router = Router::new()
        .route(
            "/hook",
            post(async |State(received): State<Arc<Mutex<Vec<String>>>>, body: String| {
                let event: Value = serde_json::from_str(&body).unwrap();
                received.lock().unwrap().push(event["data"]["id"].as_str().unwrap().to_owned());
            }),
        )
        .with_state(Arc::clone(&received));
    let (_stop, stopped) = shutdown::channel();
    tokio::spawn(server::serve(listener, router, stopped));

    let data = tempfile::tempdir().unwrap();
    let mut platform = Running::start(0, data.path()).await;
    let api = Api::of(&platform);
    let sign_up = json!({
        "organization_name": "Acme", "name": "Ada",
        "email": "ada@example.com", "password": "a kettle of seven herrings",
    });
    let (_, session) = api.post("/api/auth/signup", "", sign_up).await.unwrap();
    let token = session["access_token"].as_str().unwrap().to_owned();
    // What is being sent when the platform is killed is sent again once its lease has run out, ten seconds after this.
    let endpoint = json!({"url": hook, "events": ["lead.replied"], "timeout_seconds": 2});
    assert_eq!(api.post("/api/admin/webhooks", &token, endpoint).await.unwrap().0, 201);
    let (_, key) = api.post("/api/admin/api-keys", &token, json!({"name": "crash"})).await.unwrap();
    let key = key["key"].as_str().unwrap().to_owned();
    let (_, lead) = api.post("/v1/leads", &key, json!({"email": "lead@example.com"})).await.unwrap();
    let replies = format!("/v1/leads/{}/replies", lead["id"].as_str().unwrap());

    let mut accepted = BTreeSet::new();
    let mut killed_before_delivery = 0;
    // A fixed sequence, so that a failure can be seen again: kills fall 0 to 15 ms after the answer.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..KILLS {
        // A few events at once, so that the kill finds them at different places between table and receiver.
        for number in 0..3 {
            let reply = json!({"message": format!("reply {number}")});
            let (status, body) = api.post(&replies, &key, reply).await.expect("the platform is up");
            assert_eq!(status, 201, "{body}");
            accepted.insert(body["id"].as_str().unwrap().to_owned());
        }
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        tokio::time::sleep(Duration::from_micros(seed % 15_000)).await;
        platform.kill();
        let arrived: BTreeSet<String> = received.lock().unwrap().iter().cloned().collect();
        killed_before_delivery += usize::from(!accepted.is_subset(&arrived));
        platform = Running::start(platform.port, data.path()).await;
    }
    until("the delivery of every accepted event", async || {
        let arrived: BTreeSet<String> = received.lock().unwrap().iter().cloned().collect();
        accepted.is_subset(&arrived).then_some(())
    })
    .await;
    let arrived = received.lock().unwrap().clone();
    let distinct: BTreeSet<_> = arrived.iter().cloned().collect();
    assert_eq!(distinct, accepted, "nothing arrives that was not accepted");
    assert!(killed_before_delivery > 0, "no kill came before a delivery, so nothing was tested");
    println!(
        "{KILLS} kills, {killed_before_delivery} of them before a delivery: {} events accepted, {} delivered, {} again",
        accepted.len(),
        distinct.len(),
        arrived.len() - distinct.len(),
    );
}
