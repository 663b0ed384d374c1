//! The thirteen types of events: described, caused by real routes, and never other than described.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use events::EventType;
use serde_json::{Value, json};
use store::Store;
use testkit::{Actor, Installation, Receiver, TestApp};

use crate::audit::records;

/// Does whatever causes an event, once.
async fn cause_all(caller: &Actor) {
    let post = async |path: String, body: Value| {
        let answer = caller.post(&path, body).await;
        assert!(answer.status.is_success(), "{}: {}", answer.request, answer.body);
        answer
    };
    let campaign = post("/v1/campaigns".into(), json!({"name": "Autumn"})).await.text("/id");
    for step in ["start", "pause", "complete"] {
        post(format!("/v1/campaigns/{campaign}/{step}"), json!({})).await;
    }
    let lead =
        json!({"email": "ü@exämple.de", "first_name": "Grace", "campaign_id": campaign, "custom": {"n": 1}});
    let lead = post("/v1/leads".into(), lead).await.text("/id");
    let _ = caller.patch(&format!("/v1/leads/{lead}"), json!({"company": "Harbor & Pine"})).await.expect(200);
    let emails = json!([{"type": "sent", "lead_id": lead}, {"type": "opened", "lead_id": lead}, {"type": "bounced", "lead_id": lead, "message_id": "<1>"}]);
    post("/v1/email-events".into(), json!({"events": emails})).await;
    post(format!("/v1/leads/{lead}/replies"), json!({"message": "Tell me more."})).await;
    post(format!("/v1/leads/{lead}/qualify"), json!({})).await;
    let meeting =
        json!({"lead_id": lead, "starts_at": "2026-11-24T10:00:00Z", "ends_at": "2026-11-24T11:00:00+00:00"});
    let meeting = post("/v1/meetings".into(), meeting).await.text("/id");
    post(format!("/v1/meetings/{meeting}/cancel"), json!({})).await;
}

#[tokio::test]
async fn each_of_the_thirteen_is_caused_by_a_route_and_is_as_its_schema_says() {
    let app = Installation::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    app.endpoint(&admin, &receiver, json!({})).await;
    cause_all(&admin).await;
    app.drain().await;
    let mut seen = BTreeMap::new();
    for webhook in receiver.received() {
        let body = webhook.json();
        let event = EventType::parse(body["event"].as_str().unwrap()).unwrap();
        assert_eq!(event.check(&body["data"]), Ok(()), "{body}");
        *seen.entry(event).or_insert(0) += 1;
    }
    let expected: BTreeMap<EventType, i32> = EventType::ALL.iter().map(|event| (*event, 1)).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_types_are_listed_with_schema_and_example() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"scopes": ["webhooks:read"]})).await;
    let list = key.get("/api/admin/webhooks/event-types").await.expect(200);
    let listed = list.json["data"].as_array().unwrap();
    let names: BTreeSet<_> = listed.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, EventType::ALL.iter().map(|event| event.as_str()).collect());
    for it in listed {
        let event = EventType::parse(it["name"].as_str().unwrap()).unwrap();
        assert_eq!((&it["schema"], &it["example"]), (&event.schema(), &event.example()));
        assert_eq!(it["version"], 1);
        assert!(!it["description"].as_str().unwrap().is_empty());
    }
}

/// A lead that is stored otherwise than any request could have made it: what would tell of it is not let out.
#[tokio::test]
async fn an_event_that_does_not_fit_is_a_fault_of_ours_and_nothing_is_stored() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let lead = admin.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201).text("/id");
    let services = app.platform().services_for("leads").unwrap();
    let table = services.environment.required("CORE_TABLE").unwrap();
    let scan = services.aws.dynamodb.scan().table_name(&table).send().await.unwrap();
    let is_it = |item: &std::collections::HashMap<String, AttributeValue>| {
        item.get("sk") == Some(&AttributeValue::S(lead.clone()))
    };
    let mut item = scan.items().iter().find(|item| is_it(item)).unwrap().clone();
    item.insert("company".to_owned(), AttributeValue::S("x".repeat(201)));
    services.aws.dynamodb.put_item().table_name(table).set_item(Some(item)).send().await.unwrap();
    app.drain().await;
    app.endpoint(&admin, &receiver, json!({})).await;
    let (before, seen) =
        (admin.get(&format!("/v1/leads/{lead}")).await.expect(200), records(&app, &admin).await.len());

    for path in [format!("/v1/leads/{lead}/qualify"), format!("/v1/leads/{lead}/replies")] {
        let _ = admin.post(&path, json!({"message": "Hi"})).await.expect_problem(500, "internal");
    }
    let changed = admin.patch(&format!("/v1/leads/{lead}"), json!({"title": "Captain"})).await;
    let _ = changed.expect_problem(500, "internal");
    assert_eq!(admin.get(&format!("/v1/leads/{lead}")).await.expect(200).json, before.json);
    assert_eq!(records(&app, &admin).await.len(), seen);
    app.drain().await;
    assert!(receiver.received().is_empty());
    // Once it is what it should be, all is well.
    let mended = json!({"company": "Harbor & Pine"});
    let _ = admin.patch(&format!("/v1/leads/{lead}"), mended).await.expect(200);
    app.drain().await;
    assert_eq!(receiver.received().len(), 1);
}

/// The store that functions get, for looking behind the API.
pub(crate) fn store(app: &TestApp) -> Store {
    let services = app.platform().services_for("leads").unwrap();
    Store::from_environment(&services.environment, services.aws.dynamodb).unwrap()
}
