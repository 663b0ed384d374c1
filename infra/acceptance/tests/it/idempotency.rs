//! `Idempotency-Key`: the same request is carried out once.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use testkit::{Installation, PASSWORD, Receiver, TestApp};

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_and_changes_nothing() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let once = admin.with("idempotency-key", "one");
    let first = once.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201);
    assert_eq!(first.header("idempotency-replayed"), None);
    app.advance(Duration::from_secs(14 * 60));
    let again = once.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201);
    assert_eq!((again.header("idempotency-replayed"), &again.body), (Some("true"), &first.body));
    let list = admin.get("/v1/campaigns").await.expect(200);
    assert_eq!(list.json["data"].as_array().unwrap().len(), 1);
    app.drain().await;
}

#[tokio::test]
async fn a_key_belongs_to_one_request_and_one_caller_for_a_day() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let once = admin.with("idempotency-key", "one");
    let _ = once.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201);
    for (path, body) in [
        ("/v1/campaigns", json!({"name": "Winter"})),
        ("/api/campaigns", json!({"name": "Autumn"})),
        ("/v1/leads", json!({"email": "a@example.com"})),
    ] {
        let _ = once.post(path, body).await.expect_problem(422, "idempotency_key_reused");
    }
    let key = app.key(&admin, json!({})).await.with("idempotency-key", "one");
    let _ = key.post("/v1/campaigns", json!({"name": "Winter"})).await.expect(201);
    app.advance(Duration::from_secs(14 * 60));
    let _ = once
        .post("/v1/campaigns", json!({"name": "Winter"}))
        .await
        .expect_problem(422, "idempotency_key_reused");
    app.advance(Duration::from_secs(24 * 3600));
    let sign_in = json!({"email": "admin0@example.com", "password": PASSWORD});
    let token = app.stranger().post("/api/auth/login", sign_in).await.expect(200).text("/access_token");
    let _ = once.with_token(&token).post("/v1/campaigns", json!({"name": "Winter"})).await.expect(201);
    app.drain().await;
}

#[tokio::test]
async fn of_many_at_once_one_is_carried_out() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    app.endpoint(&admin, &receiver, json!({})).await;
    let once = admin.with("idempotency-key", "one");
    let answers = join_all((0..20).map(|_| once.post("/v1/leads", json!({"email": "a@example.com"})))).await;
    let ids: std::collections::BTreeSet<_> =
        answers.into_iter().map(|answer| answer.expect(201).text("/id")).collect();
    assert_eq!(ids.len(), 1);
    app.drain().await;
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_secret_shown_once_is_not_shown_again() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await.with("idempotency-key", "one");
    let key = json!({"name": "CRM"});
    let first = admin.post("/api/admin/api-keys", key.clone()).await.expect(201);
    let again = admin.post("/api/admin/api-keys", key).await.expect(201);
    assert!(again.json.get("key").is_none() && first.json.get("key").is_some());
    assert_eq!(first.text("/id"), again.text("/id"));

    let admin = admin.with("idempotency-key", "two");
    // The later header wins only if the earlier is not sent; two of them are refused.
    let _ = admin.post("/api/admin/api-keys", json!({"name": "x"})).await.expect_problem(422, "invalid");

    let body = json!({"organization_name": "X", "name": "Y", "email": "y@example.com", "password": PASSWORD});
    let stranger = app.stranger().with("idempotency-key", "sign-up");
    let first = stranger.post("/api/auth/signup", body.clone()).await.expect(201);
    let again = stranger.post("/api/auth/signup", body).await.expect(201);
    assert_eq!(first.text("/organization/id"), again.text("/organization/id"));
    assert!(again.json.get("access_token").is_none() && again.json.get("refresh_token").is_none());
}
