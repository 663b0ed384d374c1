//! The log of events: what happened, for as long as it is kept, and what became of it.

use std::collections::BTreeSet;
use std::time::Duration;

use clock::Timestamp;
use serde_json::{Value, json};
use testkit::{Actor, Receiver, Response, TestApp};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const EVENTS: &str = "/api/admin/events";

fn ids(answer: &Response) -> Vec<String> {
    answer.json["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

async fn all(caller: &Actor, query: &str, limit: usize) -> Vec<String> {
    let separator = if query.is_empty() { '?' } else { '&' };
    let mut all = Vec::new();
    let mut next = format!("{EVENTS}{query}{separator}limit={limit}");
    for _ in 0..200 {
        let page = caller.get(&next).await.expect(200);
        all.extend(ids(&page));
        let Some(cursor) = page.json["next_cursor"].as_str() else { return all };
        next = format!("{EVENTS}{query}{separator}limit={limit}&cursor={cursor}");
    }
    panic!("{query} does not end");
}

async fn lead(caller: &Actor, number: usize) -> String {
    caller.post("/v1/leads", json!({"email": format!("l{number}@example.com")})).await.expect(201).text("/id")
}

#[tokio::test]
async fn every_event_is_listed_once_over_months_whether_anybody_wants_it_or_not() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let admin = app.key(&admin, json!({"rate_limit_per_hour": 10_000})).await;
    for month in 0..4 {
        for number in 0..13 {
            let id = lead(&admin, month * 100 + number).await;
            if number % 4 == 0 {
                let _ = admin
                    .post(&format!("/v1/leads/{id}/replies"), json!({"message": "Hi"}))
                    .await
                    .expect(201);
            }
            app.advance(Duration::from_millis(3));
        }
        app.drain().await;
        app.advance(20 * DAY);
    }
    let mut whole = Vec::new();
    for limit in [1, 9, 100] {
        whole = all(&admin, "", limit).await;
        assert_eq!(whole.len(), 4 * (13 + 4), "{limit}");
        assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), whole.len(), "none twice");
        assert!(whole.windows(2).all(|two| two[0] > two[1]), "newest first");
    }
    let replied = all(&admin, "?event=lead.replied", 5).await;
    assert_eq!(replied.len(), 16);
    assert!(replied.iter().all(|id| whole.contains(id)));
    assert!(all(&admin, "?event=meeting.booked", 5).await.is_empty());
    let cursor = admin.get(&format!("{EVENTS}?limit=3")).await.expect(200).text("/next_cursor");
    let elsewhere = format!("{EVENTS}?event=lead.created&cursor={cursor}");
    let _ = admin.get(&elsewhere).await.expect_problem(422, "invalid_cursor");
    for (query, pointer) in [
        ("event=lead.flown", "query:event"),
        ("workspace_id=x", "query:workspace_id"),
        ("mode=test", "query:mode"),
    ] {
        let refused = admin.get(&format!("{EVENTS}?{query}")).await.expect_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), pointer);
    }
}

#[tokio::test]
async fn an_event_is_shown_as_it_was_sent_with_what_became_of_it() {
    let app = TestApp::start().await;
    let (well, broken) = (Receiver::start().await, Receiver::answering(|_| 500).await);
    let admin = app.sign_up("Acme").await;
    let (takes, _) = app.endpoint(&admin, &well, json!({})).await;
    let (fails, _) = app.endpoint(&admin, &broken, json!({"max_retries": 0})).await;
    let (other, _) = app.endpoint(&admin, &well, json!({"events": ["meeting.booked"]})).await;
    lead(&admin, 0).await;
    app.drain().await;
    let sent = well.received()[0].json();
    let listed = admin.get(EVENTS).await.expect(200);
    let event = admin.get(&format!("{EVENTS}/{}", sent["id"].as_str().unwrap())).await.expect(200);
    for field in ["id", "event", "timestamp", "organization_id", "workspace_id", "data"] {
        assert_eq!(event.json[field], sent[field], "{field}");
        assert_eq!(listed.json["data"][0][field], sent[field], "{field}");
    }
    assert_eq!((&event.json["mode"], &event.json["only_for"]), (&json!("live"), &Value::Null));
    assert!(listed.json["data"][0].get("deliveries").is_none());
    let kept_until = Timestamp::parse(&event.text("/kept_until")).unwrap();
    assert_eq!(kept_until.since(app.now()), 90 * DAY, "as the plan has it");
    let deliveries = event.json["deliveries"].as_array().unwrap();
    let of = |endpoint: &str| deliveries.iter().find(|it| it["endpoint_id"] == endpoint);
    assert_eq!(of(&takes).unwrap()["status"], "succeeded");
    assert_eq!(
        (&of(&fails).unwrap()["status"], &of(&fails).unwrap()["attempt_count"]),
        (&json!("dead"), &json!(1))
    );
    assert_eq!(of(&other), None);
    let id = of(&takes).unwrap()["id"].as_str().unwrap();
    let delivery = admin.get(&format!("/api/admin/webhooks/deliveries/{id}")).await.expect(200);
    assert_eq!(delivery.text("/event_id"), event.text("/id"));
    // Every line of the list can be read by itself.
    for id in ids(&listed) {
        let _ = admin.get(&format!("{EVENTS}/{id}")).await.expect(200);
    }
}

#[tokio::test]
async fn what_a_request_caused_is_found_by_its_id() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 10_000})).await;
    lead(&key, 0).await;
    app.advance(Duration::from_secs(2 * 3600));
    let made = key.post("/v1/leads", json!({"email": "grace@example.com"})).await.expect(201);
    let request = made.header("x-request-id").unwrap().to_owned();
    assert!(request.starts_with("req_"), "{request}");
    let own = key.with("x-request-id", "batch:7").post("/v1/leads", json!({"email": "b@example.com"})).await;
    let own = own.expect(201).text("/id");
    app.advance(40 * DAY);
    lead(&key, 9).await;
    app.drain().await;
    let lead_of = async |query: &str| {
        let page = key.get(&format!("{EVENTS}?{query}")).await.expect(200);
        assert!(page.json["next_cursor"].is_null(), "{}", page.body);
        let data = page.json["data"].as_array().unwrap().clone();
        data.iter().map(|it| (it["data"]["id"].clone(), it["request_id"].clone())).collect::<Vec<_>>()
    };
    app.engines().meter().reset();
    assert_eq!(lead_of(&format!("request_id={request}")).await, [(json!(made.text("/id")), json!(request))]);
    // Whatever else happened, and when: what a request caused is in a list of its own, of four parts.
    let table = app.platform().table_name("ActivityTable").unwrap();
    let measured = app.engines().meter().snapshot().measured().to_vec();
    let queries = measured.iter().filter(|it| it.resource == table && it.operation == "Query");
    assert_eq!(queries.map(|it| it.calls).sum::<u64>(), 4);
    assert_eq!(lead_of("request_id=batch:7").await, [(json!(own), json!("batch:7"))]);
    assert!(lead_of("request_id=batch:8").await.is_empty());
    // A time that is given is the one that counts.
    assert!(lead_of(&format!("request_id={request}&from=2026-12-01T00:00:00Z")).await.is_empty());
    assert_eq!(lead_of(&format!("request_id={request}&to=2026-12-01T00:00:00Z")).await.len(), 1);
    assert_eq!(lead_of("from=2026-11-22T13:00:00Z&to=2026-12-01T00:00:00Z").await.len(), 2);
    assert_eq!(lead_of("to=2026-11-22T13:00:00Z").await.len(), 1);
    assert_eq!(lead_of("to=2020-11-22T13:00:00Z").await.len(), 0);
    for (query, pointer) in [
        ("request_id=", "query:request_id"),
        ("request_id=a%20b", "query:request_id"),
        ("from=x", "query:from"),
        ("from=2026-11-22T13:00:00Z&to=2026-11-22T13:00:00Z", "query:to"),
    ] {
        let refused = key.get(&format!("{EVENTS}?{query}")).await.expect_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), pointer);
    }
}

#[tokio::test]
async fn who_sees_which_events() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.upgrade(&admin, "business").await;
    let here = admin.text("/workspaces/0/id");
    let there = admin.post("/api/admin/workspaces", json!({"name": "There"})).await.expect(201).text("/id");
    let mut events = Vec::new();
    for (workspace, mode) in [(&here, "live"), (&there, "live"), (&here, "test")] {
        let key = app.key(&admin, json!({"mode": mode, "workspace_id": workspace})).await;
        lead(&key, 0).await;
        app.drain().await;
        app.advance(Duration::from_millis(5));
        let seen = all(&key, "", 100).await;
        assert_eq!(seen.len(), 1, "a key sees what happened in its workspace and mode");
        events.push((seen[0].clone(), key));
    }
    let [(live, key_here), (elsewhere, key_there), (test, key_test)] = &events[..] else { panic!("three") };
    for (own, key) in &events {
        for (id, _) in &events {
            let answer = key.get(&format!("{EVENTS}/{id}")).await;
            let _ = if id == own { answer.expect(200) } else { answer.expect_problem(404, "not_found") };
        }
    }
    // A person who reaches everything sees both modes; an organization's key its own.
    assert_eq!(all(&admin, "", 1).await, [test.clone(), elsewhere.clone(), live.clone()]);
    assert_eq!(all(&admin, &format!("?workspace_id={here}"), 1).await, [test.clone(), live.clone()]);
    let live_key = app.key(&admin, json!({})).await;
    assert_eq!(all(&live_key, "", 1).await, [elsewhere.clone(), live.clone()]);
    let test_key = app.key(&admin, json!({"mode": "test"})).await;
    assert_eq!(all(&test_key, "", 1).await, std::slice::from_ref(test));
    let _ = test_key.get(&format!("{EVENTS}/{live}")).await.expect_problem(404, "not_found");
    // Asking for a workspace does not open it.
    assert!(all(key_here, &format!("?workspace_id={there}"), 10).await.is_empty());
    assert!(all(key_there, &format!("?workspace_id={here}"), 10).await.is_empty());
    assert!(all(key_test, &format!("?workspace_id={there}"), 10).await.is_empty());
    let manager = json!({"role": "manager", "workspace_id": there});
    let manager = app.invite_and_join(&admin, manager).await;
    assert_eq!(all(&manager, "", 1).await, std::slice::from_ref(elsewhere));
    let _ = manager.get(&format!("{EVENTS}/{live}")).await.expect_problem(404, "not_found");
    let member = app.invite_and_join(&admin, json!({"role": "member", "workspace_id": here})).await;
    let _ = member.get(EVENTS).await.expect_problem(403, "forbidden");
    let _ = member.get(&format!("{EVENTS}/{live}")).await.expect_problem(403, "forbidden");
    let foreign = app.sign_up("Initech").await;
    assert!(all(&foreign, "", 100).await.is_empty());
    for id in [live, elsewhere, test] {
        let _ = foreign.get(&format!("{EVENTS}/{id}")).await.expect_problem(404, "not_found");
    }
    for id in ["x", "evt_01m81wjar3enmabzqqe9n44m8p", &here] {
        let _ = admin.get(&format!("{EVENTS}/{id}")).await.expect_problem(404, "not_found");
    }
}

/// A caller may call all of its requests alike.
#[tokio::test]
async fn events_of_requests_of_one_name_are_paged_and_held_against_what_else_is_asked_for() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 10_000})).await;
    let alike = key.with("x-request-id", "sync");
    let campaign = json!({"name": "Spring"});
    let campaign = alike.post("/v1/campaigns", campaign).await.expect(201).text("/id");
    let _ = alike.post(&format!("/v1/campaigns/{campaign}/start"), json!({})).await.expect(200);
    for number in 0..130 {
        let _ = alike.post("/v1/leads", json!({"email": format!("l{number}@example.com")})).await.expect(201);
    }
    let other = app.sign_up("Other").await;
    let _ = other.with("x-request-id", "sync").post("/v1/leads", json!({"email": "o@example.com"})).await;
    app.drain().await;
    let leads = all(&key, "?request_id=sync&event=lead.created", 7).await;
    assert_eq!(leads.len(), 130);
    let mut sorted = leads.clone();
    sorted.sort_by(|one, other| other.cmp(one));
    sorted.dedup();
    assert_eq!(leads, sorted, "each once, newest first");
    // The one that is not like the others comes on the first page, behind all of them.
    let started =
        key.get(&format!("{EVENTS}?request_id=sync&event=campaign.started&limit=1")).await.expect(200);
    assert_eq!(ids(&started).len(), 1, "{}", started.body);
    for size in [100, 50] {
        assert_eq!(all(&key, "?request_id=sync", size).await.len(), 132, "{size}");
    }
    assert_eq!(all(&other, "?request_id=sync", 10).await.len(), 1);
    // A key of test data sees none of it.
    let test_key = app.key(&admin, json!({"mode": "test"})).await;
    let none = test_key.get(&format!("{EVENTS}?request_id=sync&limit=1")).await.expect(200);
    assert_eq!((none.json["data"].clone(), none.json["next_cursor"].clone()), (json!([]), Value::Null));
}
