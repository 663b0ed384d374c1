//! Campaigns: changed, deleted, and moved from draft to completed.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::{Receiver, TestApp};

use crate::audit::records;

#[tokio::test]
async fn a_campaign_moves_only_as_it_may() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let campaign = admin.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201).text("/id");
    app.drain().await;
    app.endpoint(&admin, &receiver, json!({})).await;
    let mut took = Vec::new();
    for (step, status) in [
        ("pause", None),
        ("complete", None),
        ("start", Some("running")),
        ("start", None),
        ("pause", Some("paused")),
        ("pause", None),
        ("start", Some("running")),
        ("complete", Some("completed")),
        ("complete", None),
        ("start", None),
        ("pause", None),
    ] {
        app.advance(Duration::from_millis(1));
        let answer = admin.post(&format!("/v1/campaigns/{campaign}/{step}"), json!({})).await;
        match status {
            Some(status) => {
                let answer = answer.expect(200);
                assert_eq!(answer.text("/status"), status);
                took.push((step, answer.json));
            }
            None => {
                let _ = answer.expect_problem(409, "conflict");
            }
        }
        app.drain().await;
    }
    let told: Vec<Value> = receiver.received().iter().map(|webhook| webhook.json()).collect();
    let names: Vec<_> = told.iter().map(|body| body["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["campaign.started", "campaign.paused", "campaign.started", "campaign.completed"]);
    for (body, (_, shown)) in told.iter().zip(&took) {
        assert_eq!(body["data"], *shown);
    }
    let mut all = records(&app, &admin).await;
    all.retain(|record| record["resource_type"] == "campaign");
    all.sort_by_key(|record| record["id"].as_str().map(str::to_owned));
    let actions: Vec<_> = all.iter().map(|record| record["action"].as_str().unwrap()).collect();
    let expected =
        ["campaign.create", "campaign.start", "campaign.pause", "campaign.start", "campaign.complete"];
    assert_eq!(actions, expected);
    assert_eq!(all[1]["changes"][0], json!({"field": "status", "before": "draft", "after": "running"}));
}

#[tokio::test]
async fn a_step_is_taken_once_however_many_take_it() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    app.endpoint(&admin, &receiver, json!({"events": ["campaign.started"]})).await;
    let campaign = admin.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201).text("/id");
    let path = format!("/api/campaigns/{campaign}/start");
    let answers = join_all((0..10).map(|_| admin.post(&path, json!({})))).await;
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(won == 1 && answers.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 409)));
    // The same request again is answered as it was, though a running campaign can't be started.
    let other = admin.post("/v1/campaigns", json!({"name": "Winter"})).await.expect(201).text("/id");
    let (once, path) = (admin.with("idempotency-key", "one"), format!("/v1/campaigns/{other}/start"));
    let first = once.post(&path, json!({})).await.expect(200);
    let again = once.post(&path, json!({})).await.expect(200);
    assert_eq!((&again.body, again.header("idempotency-replayed")), (&first.body, Some("true")));
    app.drain().await;
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn a_campaign_is_changed_and_deleted_as_its_version_is_known() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let new = json!({"name": "Autumn", "description": "All of it", "goal": "20 meetings"});
    let campaign = admin.post("/v1/campaigns", new).await.expect(201).text("/id");
    let path = format!("/v1/campaigns/{campaign}");
    let lead = json!({"email": "a@example.com", "campaign_id": campaign});
    let lead = admin.post("/v1/leads", lead).await.expect(201).text("/id");
    app.advance(Duration::from_millis(1));

    let changed = admin.patch(&path, json!({"goal": null, "name": "Winter"})).await.expect(200);
    let read = admin.get(&path).await.expect(200);
    assert_eq!((&changed.json, changed.header("etag")), (&read.json, read.header("etag")));
    assert_eq!((changed.text("/name"), &changed.json["goal"]), ("Winter".to_owned(), &Value::Null));
    assert_eq!(changed.text("/description"), "All of it");
    let same = admin.patch(&path, json!({"name": "Winter"})).await.expect(200);
    assert_eq!(same.header("etag"), read.header("etag"));
    let mut all = records(&app, &admin).await;
    all.retain(|record| record["action"] == "campaign.update");
    let [record] = &all[..] else { panic!("{all:?}") };
    assert_eq!(record["changes"][0], json!({"field": "name", "before": "Autumn", "after": "Winter"}));
    for (body, pointer) in [(json!({"name": null}), "/name"), (json!({"status": "running"}), "/status")] {
        let refused = admin.patch(&path, body).await.expect_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), pointer);
    }
    let stale = admin.with("if-match", "\"1\"");
    let _ = stale.patch(&path, json!({"name": "Spring"})).await.expect_problem(412, "precondition_failed");
    let _ = stale.delete(&path).await.expect_problem(412, "precondition_failed");

    let _ = admin.post(&format!("{path}/start"), json!({})).await.expect(200);
    let _ = admin.delete(&path).await.expect_problem(409, "conflict");
    let _ = admin.post(&format!("{path}/pause"), json!({})).await.expect(200);
    let member = json!({"role": "member", "workspace_id": admin.text("/workspaces/0/id")});
    let member = app.invite_and_join(&admin, member).await;
    let refused = member.delete(&path).await.expect_problem(403, "forbidden");
    assert_eq!(refused.text("/permission"), "campaigns:delete");
    let _ = admin.delete(&path).await.expect(204);
    let _ = admin.get(&path).await.expect_problem(404, "not_found");
    // Its leads stay, and can be changed.
    let lead = format!("/v1/leads/{lead}");
    let left = admin.patch(&lead, json!({"title": "Captain"})).await.expect(200);
    assert_eq!(left.text("/campaign_id"), campaign);
    let _ = admin.patch(&lead, json!({"campaign_id": null})).await.expect(200);
    let _ = admin.patch(&lead, json!({"campaign_id": campaign})).await.expect_problem(404, "not_found");
    app.drain().await;
}
