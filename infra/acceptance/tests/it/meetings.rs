//! Meetings: booked with a lead, listed, cancelled once.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Receiver, TestApp};

use crate::audit::records;

fn meeting(lead: &str) -> Value {
    json!({"lead_id": lead, "starts_at": "2026-11-24T11:00:00+01:00", "ends_at": "2026-11-24T10:30:00Z", "location": "Café Central"})
}

#[tokio::test]
async fn a_meeting_is_booked_and_cancelled_once() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let events = json!({"events": ["meeting.booked", "meeting.cancelled"]});
    app.endpoint(&admin, &receiver, events).await;
    let lead = admin.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201).text("/id");
    let booked = admin.post("/v1/meetings", meeting(&lead)).await.expect(201);
    assert_eq!(booked.text("/starts_at"), "2026-11-24T10:00:00.000Z");
    assert_eq!((booked.text("/status"), booked.text("/lead_id")), ("booked".into(), lead.clone()));
    let path = format!("/v1/meetings/{}", booked.text("/id"));
    assert_eq!(admin.get(&path).await.expect(200).json, booked.json);
    app.drain().await;
    app.advance(Duration::from_secs(60));
    let cancelled = admin.post(&format!("{path}/cancel"), json!({})).await.expect(200);
    assert_eq!(
        (cancelled.text("/status"), cancelled.text("/updated_at")),
        ("cancelled".into(), app.now().to_string())
    );
    assert_eq!(admin.get(&path).await.expect(200).json, cancelled.json);
    let _ = admin.post(&format!("{path}/cancel"), json!({})).await.expect_problem(409, "conflict");
    app.drain().await;
    let told: Vec<_> = receiver.received().iter().map(|webhook| webhook.json()).collect();
    assert_eq!(told.len(), 2);
    for (body, (event, shown)) in
        told.iter().zip([("meeting.booked", booked.json), ("meeting.cancelled", cancelled.json)])
    {
        assert_eq!((body["event"].as_str(), &body["data"]), (Some(event), &shown));
    }
    let mut all = records(&app, &admin).await;
    all.retain(|record| record["resource_type"] == "meeting");
    all.sort_by_key(|record| record["id"].as_str().map(str::to_owned));
    let actions: Vec<_> = all.iter().map(|record| record["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["meeting.create", "meeting.cancel"]);
}

#[tokio::test]
async fn a_meeting_is_with_a_lead_and_ends_after_it_begins() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let lead = admin.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201).text("/id");
    for (field, value, code) in [
        ("lead_id", json!("lead_1"), "format"),
        ("starts_at", json!("tomorrow"), "format"),
        ("ends_at", json!("2026-11-24T10:00:00Z"), "range"),
        ("ends_at", json!("2026-11-25T10:00:01Z"), "range"),
        ("location", json!(""), "length"),
        ("location", json!(5), "type"),
    ] {
        let mut body = meeting(&lead);
        body[field] = value;
        let refused = admin.post("/v1/meetings", body).await.expect_problem(422, "invalid");
        assert_eq!(
            (refused.text("/errors/0/pointer"), refused.text("/errors/0/code")),
            (format!("/{field}"), code.to_owned())
        );
    }
    let nobody: ids::LeadId = ids::Ids::new(app.platform().clock().clone()).next();
    let _ = admin.post("/v1/meetings", meeting(&nobody.to_string())).await.expect_problem(404, "not_found");
    // Test and live are different data.
    let test = app.key(&admin, json!({"mode": "test"})).await;
    let _ = test.post("/v1/meetings", meeting(&lead)).await.expect_problem(404, "not_found");
    let weak = app.key(&admin, json!({"scopes": ["meetings:read"]})).await;
    let refused = weak.post("/v1/meetings", meeting(&lead)).await.expect_problem(403, "forbidden");
    assert_eq!(refused.text("/permission"), "meetings:write");
    assert_eq!(weak.get("/v1/meetings").await.expect(200).json["data"], json!([]));
    app.drain().await;
}

#[tokio::test]
async fn meetings_are_listed_newest_first_page_by_page() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let lead = admin.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201).text("/id");
    let mut ids = Vec::new();
    for _ in 0..9 {
        app.advance(Duration::from_millis(1));
        ids.insert(0, admin.post("/api/meetings", meeting(&lead)).await.expect(201).text("/id"));
    }
    let (mut listed, mut path) = (Vec::new(), "/v1/meetings?limit=4".to_owned());
    loop {
        let page = admin.get(&path).await.expect(200);
        let data = page.json["data"].as_array().unwrap().iter();
        listed.extend(data.map(|it| it["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page.json["next_cursor"].as_str() else { break };
        path = format!("/v1/meetings?limit=4&cursor={cursor}");
    }
    assert_eq!(listed, ids);
    // A workspace that holds meetings is in use.
    app.drain().await;
}
