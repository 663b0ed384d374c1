//! Leads: changed, qualified, deleted.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use store::{Mode, PageRequest};
use testkit::{Actor, Installation, Receiver, TestApp};

use crate::audit::records;
use crate::event_types::store;

async fn new_lead(caller: &Actor) -> String {
    let lead = json!({"email": "grace@example.com", "company": "Acme", "custom": {"seats": 3}});
    caller.post("/v1/leads", lead).await.expect(201).text("/id")
}

/// What a receiver got, by event type.
fn told(receiver: &Receiver) -> Vec<(String, Value)> {
    let webhooks = receiver.received().into_iter().map(|webhook| webhook.json());
    webhooks.map(|body| (body["event"].as_str().unwrap().to_owned(), body["data"].clone())).collect()
}

#[tokio::test]
async fn a_change_says_what_it_changed_and_names_nobody() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let campaign = admin.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201).text("/id");
    let lead = new_lead(&admin).await;
    let path = format!("/v1/leads/{lead}");
    app.drain().await;
    app.endpoint(&admin, &receiver, json!({})).await;
    app.advance(Duration::from_millis(5));
    let seen = records(&app, &admin).await.len();

    let change =
        json!({"title": " Admiral ", "company": null, "campaign_id": campaign, "custom": {"seats": 4}});
    let changed = admin.patch(&path, change.clone()).await.expect(200);
    let read = admin.get(&path).await.expect(200);
    assert_eq!(changed.json, read.json);
    assert_eq!(changed.header("etag"), read.header("etag"));
    assert_eq!((changed.text("/title").as_str(), &changed.json["company"]), ("Admiral", &Value::Null));
    assert_eq!(
        (changed.text("/email").as_str(), &changed.json["custom"]),
        ("grace@example.com", &json!({"seats": 4}))
    );
    assert_eq!(changed.text("/status"), "new");

    // The same again changes nothing, causes nothing and leaves no record.
    let same = admin.patch(&path, change).await.expect(200);
    assert_eq!((&same.json, same.header("etag")), (&read.json, read.header("etag")));
    app.drain().await;
    let told = told(&receiver);
    let [(event, data)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(event, "lead.updated");
    assert_eq!(data["changed"], json!(["company", "title", "campaign_id", "custom"]));
    assert_eq!(data["title"], "Admiral");
    let all = records(&app, &admin).await;
    assert_eq!(all.len(), seen + 1);
    let record = all.iter().find(|record| record["action"] == "lead.update").unwrap();
    assert_eq!(record["pii_accessed"], true);
    let fields: Vec<_> =
        record["changes"].as_array().unwrap().iter().map(|it| it["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["company", "title", "campaign_id", "custom"]);
    assert!(!record.to_string().contains("Admiral") && record.to_string().contains(&campaign));
}

#[tokio::test]
async fn a_change_is_checked_and_meant_for_one_version() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let lead = new_lead(&admin).await;
    let path = format!("/v1/leads/{lead}");
    for (body, pointer) in [
        (json!({"email": "nobody"}), "/email"),
        (json!({"email": null}), "/email"),
        (json!({"title": "x".repeat(201)}), "/title"),
        (json!({"custom": {"": 1}}), "/custom"),
        (json!({"status": "qualified"}), "/status"),
        (json!({"campaign_id": "camp_1"}), "/campaign_id"),
    ] {
        let refused = admin.patch(&path, body).await.expect_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), pointer);
    }
    let nowhere: ids::CampaignId = ids::Ids::new(app.platform().clock().clone()).next();
    let nowhere = json!({"campaign_id": nowhere.to_string()});
    let _ = admin.patch(&path, nowhere).await.expect_problem(404, "not_found");
    let tag = admin.get(&path).await.expect(200).header("etag").unwrap().to_owned();
    let informed = admin.with("if-match", tag);
    let _ = informed.patch(&path, json!({"title": "Captain"})).await.expect(200);
    let _ =
        informed.patch(&path, json!({"title": "Admiral"})).await.expect_problem(412, "precondition_failed");
    let _ = informed.delete(&path).await.expect_problem(412, "precondition_failed");
    // Of many that know the same version one gets through.
    let tag = admin.get(&path).await.expect(200).header("etag").unwrap().to_owned();
    let informed = admin.with("if-match", tag);
    let answers =
        join_all((0..8).map(|number| informed.patch(&path, json!({"title": format!("No. {number}")})))).await;
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(won == 1 && answers.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 412)));
    app.drain().await;
}

#[tokio::test]
async fn a_lead_is_qualified_once() {
    let app = Installation::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    app.endpoint(&admin, &receiver, json!({"events": ["lead.qualified"]})).await;
    let lead = new_lead(&admin).await;
    let path = format!("/v1/leads/{lead}/qualify");
    let once = admin.with("idempotency-key", "one");
    let first = once.post(&path, json!({})).await.expect(200);
    assert_eq!(first.text("/status"), "qualified");
    let again = once.post(&path, json!({})).await.expect(200);
    assert_eq!((&again.body, again.header("idempotency-replayed")), (&first.body, Some("true")));
    let _ = admin.post(&path, json!({})).await.expect_problem(409, "conflict");
    let _ = admin
        .post("/api/leads/lead_01kaq8zr3yfe2r4m8n5p6q7s8t/qualify", json!({}))
        .await
        .expect_problem(404, "not_found");
    // A reply does not move it back.
    let reply = admin.post(&format!("/v1/leads/{lead}/replies"), json!({"message": "Hi"})).await.expect(201);
    assert_eq!(reply.text("/lead/status"), "qualified");
    app.drain().await;
    let told = told(&receiver);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1, first.json);
}

#[tokio::test]
async fn a_deleted_lead_takes_its_replies_along() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let (lead, other) = (new_lead(&admin).await, new_lead(&admin).await);
    for id in [&lead, &other] {
        for _ in 0..3 {
            let reply = json!({"message": "Hi"});
            let _ = admin.post(&format!("/v1/leads/{id}/replies"), reply).await.expect(201);
        }
    }
    let member = json!({"role": "member", "workspace_id": admin.text("/workspaces/0/id")});
    let member = app.invite_and_join(&admin, member).await;
    let refused = member.delete(&format!("/v1/leads/{lead}")).await.expect_problem(403, "forbidden");
    assert_eq!(refused.text("/permission"), "leads:delete");

    let _ = admin.delete(&format!("/v1/leads/{lead}")).await.expect(204);
    let _ = admin.get(&format!("/v1/leads/{lead}")).await.expect_problem(404, "not_found");
    let _ = admin.delete(&format!("/v1/leads/{lead}")).await.expect_problem(404, "not_found");
    let reply = json!({"message": "Hi"});
    let _ = admin.post(&format!("/v1/leads/{lead}/replies"), reply).await.expect_problem(404, "not_found");
    let all = records(&app, &admin).await;
    assert_eq!(all.iter().filter(|record| record["action"] == "lead.delete").count(), 1);

    // Behind the API: nothing of it is left, and all of the other.
    let export = admin.post("/api/admin/organization/export", json!({"limit": 1000})).await.expect(200);
    let held = |kind: &str| {
        let records = export.json["data"].as_array().unwrap().iter();
        records.filter(|it| it["type"] == kind).map(|it| it["record"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(held("lead").len(), 1);
    assert_eq!(held("reply").len(), 3);
    let services = app.platform().services_for("leads").unwrap();
    let table = services.environment.required("CORE_TABLE").unwrap();
    let scan = services.aws.dynamodb.scan().table_name(table).send().await.unwrap();
    assert!(!scan.items().iter().any(|item| format!("{item:?}").contains(&lead)));
    app.drain().await;
}

/// A reply that comes in while a lead is being deleted is refused or deleted with it, and never left behind.
#[tokio::test]
async fn no_reply_outlives_its_lead() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let organization = admin.text("/organization/id").parse().unwrap();
    let workspace = store(&app)
        .tenant_of_job(organization)
        .workspace(admin.text("/workspaces/0/id").parse().unwrap(), Mode::Live);
    for _ in 0..5 {
        let lead = new_lead(&admin).await;
        let (path, reply) = (format!("/v1/leads/{lead}/replies"), json!({"message": "Hi"}));
        let replies = join_all((0..6).map(|_| admin.post(&path, reply.clone())));
        let lead_path = format!("/v1/leads/{lead}");
        let (deleted, replies) = futures::future::join(admin.delete(&lead_path), replies).await;
        assert!(replies.iter().all(|it| matches!(it.status.as_u16(), 201 | 404 | 409)), "{replies:?}");
        if deleted.status != 204 {
            let _ = admin.delete(&lead_path).await.expect(204);
        }
        assert!(workspace.delete_replies(lead.parse().unwrap(), 1).await.unwrap());
        let page = PageRequest { limit: 1, after: None };
        assert!(workspace.leads(&page).await.unwrap().items.is_empty());
    }
    let services = app.platform().services_for("leads").unwrap();
    let table = services.environment.required("CORE_TABLE").unwrap();
    let scan = services.aws.dynamodb.scan().table_name(table).send().await.unwrap();
    let replies = scan.items().iter().filter(|item| format!("{:?}", item.get("pk")).contains("#REPLY#"));
    assert_eq!(replies.count(), 0);
    app.drain().await;
}
