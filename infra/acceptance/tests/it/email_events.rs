//! What happened to e-mails: recorded all of it, once, and however often it is sent.

use std::collections::BTreeSet;

use artisan_local::engines::Strike;
use serde_json::{Value, json};
use testkit::{Actor, Receiver, TestApp};

use crate::audit::records;

const THROTTLED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
    "Message":"Transaction cancelled, please refer cancellation reasons for specific reasons [ThrottlingError]",
    "CancellationReasons":[{"Code":"ThrottlingError","Message":"Throughput exceeds the current capacity"},{"Code":"None"}]}"#;

async fn new_leads(caller: &Actor, number: usize) -> Vec<String> {
    let mut leads = Vec::new();
    for number in 0..number {
        let lead = json!({"email": format!("l{number}@example.com")});
        leads.push(caller.post("/v1/leads", lead).await.expect(201).text("/id"));
    }
    leads
}

fn sent_to(leads: &[String]) -> Value {
    let events: Vec<_> = leads.iter().map(|lead| json!({"type": "sent", "lead_id": lead})).collect();
    json!({"events": events})
}

async fn status(caller: &Actor, lead: &str) -> String {
    caller.get(&format!("/v1/leads/{lead}")).await.expect(200).text("/status")
}

fn ids(answer: &Value) -> Vec<String> {
    let data = answer["data"].as_array().unwrap().iter();
    data.map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_is_sent_moves_a_new_lead_on_and_nothing_moves_it_back() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let leads = new_leads(&admin, 3).await;
    let _ =
        admin.post(&format!("/v1/leads/{}/replies", leads[1]), json!({"message": "Hi"})).await.expect(201);
    app.drain().await;
    app.endpoint(&admin, &receiver, json!({})).await;
    let seen = records(&app, &admin).await.len();
    let at = app.now().to_string();
    let events = json!({"events": [
        {"type": "sent", "lead_id": leads[0], "message_id": "<1@example.com>"},
        {"type": "sent", "lead_id": leads[0]},
        {"type": "sent", "lead_id": leads[1], "occurred_at": "2026-11-21T12:00:00+02:00"},
        {"type": "opened", "lead_id": leads[2]},
        {"type": "bounced", "lead_id": leads[2]},
    ]});
    let answer = admin.post("/v1/email-events", events).await.expect(201);
    let data = answer.json["data"].as_array().unwrap();
    assert_eq!(data.len(), 5);
    assert_eq!(
        (data[0]["message_id"].as_str(), data[1]["message_id"].as_str()),
        (Some("<1@example.com>"), None)
    );
    assert_eq!(data[1]["occurred_at"].as_str(), Some(at.as_str()));
    assert_eq!(data[2]["occurred_at"], "2026-11-21T10:00:00.000Z");
    let statuses =
        [status(&admin, &leads[0]).await, status(&admin, &leads[1]).await, status(&admin, &leads[2]).await];
    assert_eq!(statuses, ["contacted", "replied", "new"]);
    app.drain().await;
    let mut told: Vec<_> = receiver.received().iter().map(|webhook| webhook.json()).collect();
    told.sort_by_key(|body| body["id"].as_str().map(str::to_owned));
    let mut shown = data.clone();
    shown.sort_by_key(|it| it["id"].as_str().map(str::to_owned));
    assert_eq!(told.iter().map(|body| body["data"].clone()).collect::<Vec<_>>(), shown);
    assert!(told.iter().all(|body| body["id"] == body["data"]["id"]));
    let all = records(&app, &admin).await;
    assert_eq!(all.len(), seen + 1);
    let record = all.iter().find(|record| record["action"] == "email_event.create").unwrap();
    assert_eq!(record["changes"][0], json!({"field": "recorded", "before": null, "after": 5}));
    let moved = json!({"field": format!("{}/status", leads[0]), "before": "new", "after": "contacted"});
    assert_eq!(record["changes"][1], moved);
}

#[tokio::test]
async fn every_fault_is_pointed_at_and_nothing_is_recorded() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    app.endpoint(&admin, &receiver, json!({"events": ["email.sent"]})).await;
    let lead = new_leads(&admin, 1).await.remove(0);
    let other = app.sign_up("Initech").await;
    let foreign = new_leads(&other, 1).await.remove(0);
    let pointers = |answer: testkit::Response| {
        let errors = answer.expect_problem(422, "invalid").json["errors"].as_array().unwrap().clone();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let faulty = json!({"events": [
        {"type": "sent", "lead_id": lead},
        {"type": "read", "lead_id": "lead_1"},
        {"type": "sent", "lead_id": lead, "occurred_at": "2027-01-01T00:00:00Z"},
        {"type": "sent", "lead_id": lead, "occurred_at": "2026-01-01T00:00:00Z", "message_id": ""},
    ]});
    let found = pointers(admin.post("/v1/email-events", faulty).await);
    let expected = [
        "/events/1/type",
        "/events/1/lead_id",
        "/events/2/occurred_at",
        "/events/3/occurred_at",
        "/events/3/message_id",
    ];
    assert_eq!(found, expected);
    let nobody: ids::LeadId = ids::Ids::new(app.platform().clock().clone()).next();
    let unknown = [lead.clone(), nobody.to_string(), lead.clone(), foreign.clone()];
    assert_eq!(
        pointers(admin.post("/v1/email-events", sent_to(&unknown)).await),
        ["/events/1/lead_id", "/events/3/lead_id"]
    );
    for (body, pointer) in [
        (json!({"events": []}), "/events"),
        (sent_to(&vec![lead.clone(); 101]), "/events"),
        (json!({}), "/events"),
        (json!({"events": [{"type": "sent"}]}), "/events/0/lead_id"),
        (json!({"events": [{"type": "sent", "lead_id": lead, "subject": "Hi"}]}), "/events/0/subject"),
    ] {
        assert_eq!(pointers(admin.post("/v1/email-events", body).await), [pointer]);
    }
    let weak = app.key(&admin, json!({"scopes": ["leads:read"]})).await;
    let _ = weak
        .post("/v1/email-events", sent_to(std::slice::from_ref(&lead)))
        .await
        .expect_problem(403, "forbidden");
    assert_eq!(status(&admin, &lead).await, "new");
    app.drain().await;
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn a_hundred_to_a_hundred_leads_are_recorded_and_once_with_a_key() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let leads = new_leads(&admin, 100).await;
    app.drain().await;
    app.endpoint(&admin, &receiver, json!({})).await;
    let seen = records(&app, &admin).await.len();
    let once = admin.with("idempotency-key", "one");
    let first = once.post("/v1/email-events", sent_to(&leads)).await.expect(201);
    assert_eq!(ids(&first.json).iter().collect::<BTreeSet<_>>().len(), 100);
    let again = once.post("/v1/email-events", sent_to(&leads)).await.expect(201);
    assert_eq!((&again.body, again.header("idempotency-replayed")), (&first.body, Some("true")));
    let _ = once
        .post("/v1/email-events", sent_to(&leads[..1]))
        .await
        .expect_problem(422, "idempotency_key_reused");
    for lead in &leads {
        assert_eq!(status(&admin, lead).await, "contacted");
    }
    assert_eq!(records(&app, &admin).await.len(), seen + 3, "one for each part");
    app.drain().await;
    let told: BTreeSet<_> = receiver.received().iter().map(|it| it.header("webhook-id").to_owned()).collect();
    assert_eq!((receiver.received().len(), told), (100, ids(&first.json).into_iter().collect()));
}

/// The store fails between the parts: what is sent again goes on where it ended.
#[tokio::test]
async fn a_request_that_was_cut_off_is_taken_up_again() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let leads = new_leads(&admin, 100).await;
    app.drain().await;
    app.endpoint(&admin, &receiver, json!({})).await;
    let once = admin.with("idempotency-key", "one");
    for passes in [1, 2] {
        // A replay of the first part, and of each that is done, is a transaction, too.
        app.engines().faults().order("TransactWriteItems", passes, 1, Strike::Before, 400, THROTTLED);
        let cut = once.post("/v1/email-events", sent_to(&leads)).await;
        let _ = cut.expect_problem(503, "unavailable");
        app.advance(std::time::Duration::from_secs(30));
    }
    assert_eq!(
        (status(&admin, &leads[95]).await, status(&admin, &leads[96]).await),
        ("contacted".into(), "new".into())
    );
    // Somebody moves a lead on meanwhile.
    let _ =
        admin.post(&format!("/v1/leads/{}/replies", leads[99]), json!({"message": "Hi"})).await.expect(201);
    let whole = once.post("/v1/email-events", sent_to(&leads)).await.expect(201);
    assert_eq!(whole.header("idempotency-replayed"), Some("true"));
    assert_eq!(status(&admin, &leads[96]).await, "contacted");
    assert_eq!(status(&admin, &leads[99]).await, "replied");
    app.drain().await;
    let mut told = receiver.received();
    told.retain(|webhook| webhook.header("x-artisan-event") == "email.sent");
    let distinct: BTreeSet<_> = told.iter().map(|it| it.header("webhook-id").to_owned()).collect();
    assert_eq!((told.len(), distinct), (100, ids(&whole.json).into_iter().collect()));
    let recorded = records(&app, &admin).await;
    assert_eq!(recorded.iter().filter(|it| it["action"] == "email_event.create").count(), 3);
}
