//! The platform killed with SIGKILL while it is being changed: every change that was acknowledged has its record, and every
//! record one place in a log that verifies, record by record and as a whole.

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

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use artisan_verify::{Scope, Trust, verify_export};
use serde_json::{Value, json};
use tlog::{Checkpoint, Proof, VerifierKey};

use killed::{Api, Running};
use support::until;

const KILLS: usize = 20;
const CHANGES: usize = 5_000;
const WRITERS: usize = 8;
/// A lead that is refused so often, over a minute and a half, is not refused because the platform is just starting.
const TRIES: usize = 9_000;
const LOG: &str = "/api/admin/audit-logs";

async fn get(api: &Api, path: &str, token: &str) -> Option<String> {
    let answer = api.http.get(format!("{}{path}", api.base)).bearer_auth(token).send().await.ok()?;
    answer.status().is_success().then_some(())?;
    answer.text().await.ok()
}

/// Every record there is.
async fn records(api: &Api, token: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(api, &format!("{LOG}?limit=100{cursor}"), token).await.expect("the platform is up");
        let page: Value = serde_json::from_str(&page).unwrap();
        all.extend(page["data"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// The whole log, exported and read back.
async fn exported(api: &Api, token: &str) -> Vec<u8> {
    let wanted = json!({"format": "ndjson"});
    let (status, job) = api.post(&format!("{LOG}/exports"), token, wanted).await.unwrap();
    assert_eq!(status, 202, "{job}");
    let path = format!("{LOG}/exports/{}", job["id"].as_str().unwrap());
    let link = until("the export", async || {
        let job: Value = serde_json::from_str(&get(api, &path, token).await?).unwrap();
        assert_ne!(job["status"], "failed", "{job}");
        job["links"]["file"].as_str().map(str::to_owned)
    })
    .await;
    api.http.get(link).send().await.unwrap().bytes().await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_change_is_on_record_and_every_record_is_sealed_once() {
    let data = tempfile::tempdir().unwrap();
    let mut platform = Running::start(0, data.path()).await;
    let api = Api::of(&platform);
    let sign_up = json!({
        "organization_name": "Acme", "name": "Ada",
        "email": "ada@example.com", "password": "a kettle of seven herrings",
    });
    let (_, session) = api.post("/api/auth/signup", "", sign_up).await.unwrap();
    let token = session["access_token"].as_str().unwrap().to_owned();
    let body = json!({"name": "crash", "rate_limit_per_hour": 1_000_000});
    let (_, key) = api.post("/api/admin/api-keys", &token, body).await.unwrap();
    let key = key["key"].as_str().unwrap().to_owned();

    let (next, acknowledged) = (Arc::new(AtomicUsize::new(0)), Arc::<Mutex<BTreeSet<String>>>::default());
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (api, key) = (api.clone(), key.clone());
        let (next, acknowledged) = (Arc::clone(&next), Arc::clone(&acknowledged));
        writers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= CHANGES {
                    return;
                }
                let lead = json!({"email": format!("lead{number}@example.com")});
                // Without an answer nobody knows; it is asked for again, as another lead.
                let mut refused = 0;
                let id = loop {
                    let (status, body) = api.post("/v1/leads", &key, lead.clone()).await.unwrap_or_default();
                    if status == 201 {
                        break body["id"].as_str().unwrap().to_owned();
                    }
                    refused += 1;
                    assert!(refused < TRIES, "lead {number} was refused again and again: {status} {body}");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                };
                acknowledged.lock().unwrap().insert(id);
            }
        });
    }
    for kill in 1..=KILLS {
        let enough = CHANGES / (KILLS + 1) * kill;
        until("progress between two kills", async || {
            (acknowledged.lock().unwrap().len() >= enough).then_some(())
        })
        .await;
        platform.kill();
        platform = Running::start(platform.port, data.path()).await;
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert_eq!(acknowledged.len(), CHANGES);

    let all = until("the sealing of every record", async || {
        let all = records(&api, &token).await;
        all.iter().all(|record| record["leaf_index"].is_u64()).then_some(all)
    })
    .await;
    let mut created = BTreeMap::<&str, usize>::new();
    for record in all.iter().filter(|record| record["action"] == "lead.create") {
        *created.entry(record["resource_id"].as_str().unwrap()).or_default() += 1;
    }
    for lead in &acknowledged {
        assert_eq!(created.get(lead.as_str()), Some(&1), "{lead} has one record");
    }
    let places: BTreeSet<u64> = all.iter().map(|record| record["leaf_index"].as_u64().unwrap()).collect();
    assert_eq!(places, (0..all.len() as u64).collect(), "each record has a place, and each place one record");

    let keys = get(&api, &format!("{LOG}/checkpoint/keys"), &token).await.unwrap();
    let keys: Vec<VerifierKey> = keys.lines().map(|key| key.parse().unwrap()).collect();
    let note = get(&api, &format!("{LOG}/checkpoint"), &token).await.unwrap();
    assert_eq!(Checkpoint::open(&note, &keys).unwrap().size, all.len() as u64);
    for record in all.iter().step_by(211) {
        let path = format!("{LOG}/{}", record["id"].as_str().unwrap());
        let entry = get(&api, &format!("{path}/entry"), &token).await.unwrap();
        let proof: Proof = get(&api, &format!("{path}/proof"), &token).await.unwrap().parse().unwrap();
        proof.verify(entry.as_bytes(), &keys).unwrap();
    }
    let export = exported(&api, &token).await;
    let report = verify_export(Cursor::new(export), &Trust { keys, kept: None }).unwrap();
    assert!(report.intact, "{report}");
    assert_eq!(report.scope, Scope::WholeLog);
    // The request for the export is on record, too, and may have been sealed in time to be in it.
    assert!(report.sealed >= all.len() as u64, "{report}");
    println!("{KILLS} kills, {CHANGES} changes acknowledged, {} records sealed", all.len());
}
