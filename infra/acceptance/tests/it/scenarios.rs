//! What must work wherever Artisan runs, beside the scenarios among the other tests: see [`testkit::Installation`].

use std::collections::BTreeSet;
use std::io::Cursor;
use std::time::Duration;

use artisan_verify::{Scope, Trust, verify_export, verify_proof};
use serde_json::{Value, json};
use testkit::{Actor, Installation, Receiver};
use tlog::VerifierKey;

const LOG: &str = "/api/admin/audit-logs";
const DEAD_LETTERS: &str = "/api/admin/webhooks/dead-letters";

async fn lead(caller: &Actor) -> String {
    caller.post("/v1/leads", json!({"email": "grace@example.com"})).await.expect(201).text("/id")
}

#[tokio::test]
async fn a_key_lives_from_its_making_to_its_end() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"scopes": ["leads:read"]})).await;
    let _ = key.get("/v1/leads").await.expect(200);
    let refused = key.post("/v1/leads", json!({"email": "a@example.com"})).await;
    assert_eq!(refused.expect_problem(403, "forbidden").text("/permission"), "leads:write");
    let path = format!("/api/admin/api-keys/{}", key.text("/id"));
    let rotated = admin.post(&format!("{path}/rotate"), json!({"grace_seconds": 3600})).await.expect(201);
    let successor = key.with_token(&rotated.text("/key"));
    for either in [&key, &successor] {
        let _ = either.get("/v1/leads").await.expect(200);
    }
    for (key, path) in [(&key, path), (&successor, format!("/api/admin/api-keys/{}", rotated.text("/id")))] {
        let _ = admin.delete(&path).await.expect(204);
        let _ = key.get("/v1/leads").await.expect_problem(401, "key_revoked");
    }
    app.drain().await;
}

#[tokio::test]
async fn requests_beyond_a_limit_are_refused() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 5})).await;
    for left in (0..5).rev() {
        let answer = key.get("/v1/whoami").await.expect(200);
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(&*left.to_string()));
    }
    let refused = key.get("/v1/whoami").await.expect_problem(429, "rate_limited");
    assert!(refused.header("retry-after").is_some());
    // Whoever is refused costs the others nothing.
    let other = app.key(&admin, json!({})).await;
    let _ = other.get("/v1/whoami").await.expect(200);
    app.drain().await;
}

#[tokio::test]
async fn what_no_receiver_took_is_a_dead_letter_and_is_taken_when_it_is_redriven() {
    let app = Installation::start().await;
    let receiver = Receiver::answering(|number| if number == 0 { 503 } else { 200 }).await;
    let admin = app.sign_up("Acme").await;
    let request = json!({"events": ["lead.created"], "max_retries": 0});
    let (endpoint, _) = app.endpoint(&admin, &receiver, request).await;
    lead(&admin).await;
    app.drain().await;

    let dead = admin.get(DEAD_LETTERS).await.expect(200);
    let id = dead.text("/data/0/id");
    assert_eq!((dead.text("/data/0/endpoint_id"), dead.text("/data/0/status")), (endpoint, "dead".into()));
    assert_eq!(dead.json["data"].as_array().unwrap().len(), 1);
    let redriven = admin.post(&format!("{DEAD_LETTERS}/redrive"), json!({"delivery_ids": [id]})).await;
    assert_eq!(redriven.expect(202).json["delivery_ids"], json!([id]));
    app.drain().await;

    let delivery = admin.get(&format!("/api/admin/webhooks/deliveries/{id}")).await.expect(200);
    assert_eq!(delivery.text("/status"), "succeeded");
    let answers: Vec<_> =
        delivery.json["attempts"].as_array().unwrap().iter().map(|it| &it["response_status"]).collect();
    assert_eq!(answers, [&json!(503), &json!(200)]);
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!(admin.get(DEAD_LETTERS).await.expect(200).json["data"], json!([]));
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again() {
    let app = Installation::start().await;
    let receiver = Receiver::answering(|number| if number == 0 { 500 } else { 200 }).await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    lead(&admin).await;
    let path = format!("/api/admin/webhooks/{endpoint}/deliveries");
    let mut delivery = Value::Null;
    // Two minutes here, where the first retry is due after one; less where it is due after a second.
    for _ in 0..120 {
        app.drain().await;
        delivery = admin.get(&path).await.expect(200).json["data"][0].clone();
        if delivery["status"] == "succeeded" {
            break;
        }
        app.pass(Duration::from_secs(1)).await;
    }
    assert_eq!((&delivery["status"], &delivery["attempt_count"]), (&json!("succeeded"), &json!(2)));
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn an_audit_record_is_proved_to_whoever_has_the_key_of_the_log() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    lead(&admin).await;
    app.drain().await;

    let keys = admin.get(&format!("{LOG}/checkpoint/keys")).await.expect(200).body;
    let keys: Vec<VerifierKey> = keys.lines().map(|key| key.parse().unwrap()).collect();
    let records = admin.get(LOG).await.expect(200);
    let records = records.json["data"].as_array().unwrap();
    let actions: BTreeSet<_> = records.iter().map(|record| record["action"].as_str().unwrap()).collect();
    assert_eq!(actions, BTreeSet::from(["lead.create", "organization.create"]));
    for record in records {
        let path = format!("{LOG}/{}", record["id"].as_str().unwrap());
        let entry = admin.get(&format!("{path}/entry")).await.expect(200).body;
        let proof = admin.get(&format!("{path}/proof")).await.expect(200).body;
        let report = verify_proof(&proof, entry.as_bytes(), &keys).unwrap();
        assert!(report.intact && report.scope == Scope::SingleRecord, "{report:?}");
        let checkpoint = report.checkpoint.unwrap();
        assert_eq!(checkpoint.size, 2);
        let altered = entry.replace("create", "delete");
        assert!(!verify_proof(&proof, altered.as_bytes(), &keys).unwrap().intact);
    }
}

#[tokio::test]
async fn somebody_invited_joins_and_may_what_the_invitation_says() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    app.prove(&admin).await;
    let newcomer = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
    assert_eq!(newcomer.text("/organization/id"), admin.text("/organization/id"));
    let _ = newcomer.get("/v1/leads").await.expect(200);
    let _ =
        newcomer.post("/v1/leads", json!({"email": "a@example.com"})).await.expect_problem(403, "forbidden");
    let user = format!("/api/admin/users/{}", newcomer.text("/user/id"));
    let _ = admin.post(&format!("{user}/deactivate"), json!({})).await.expect(200);
    let refused = newcomer.get("/v1/leads").await;
    assert!(matches!(refused.status.as_u16(), 401 | 403), "{}", refused.body);
    app.drain().await;
}

#[tokio::test]
async fn an_export_of_the_audit_log_verifies() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    lead(&admin).await;
    app.drain().await;
    let job =
        admin.post(&format!("{LOG}/exports"), json!({"format": "ndjson"})).await.expect(202).text("/id");
    app.drain().await;
    let job = admin.get(&format!("{LOG}/exports/{job}")).await.expect(200);
    assert_eq!(job.text("/status"), "done");
    let file = app.download(&job.text("/links/file")).await;
    let keys = admin.get(&format!("{LOG}/checkpoint/keys")).await.expect(200).body;
    let trust = Trust { keys: keys.lines().map(|key| key.parse().unwrap()).collect(), kept: None };
    let report = verify_export(Cursor::new(&file), &trust).unwrap();
    assert!(report.intact && report.sealed >= 2, "{report:?}");
}
