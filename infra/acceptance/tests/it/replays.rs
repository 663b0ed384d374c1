//! Replays: what a dry run counts, what is sent and how fast, and what stops it.

use std::collections::BTreeMap;
use std::time::Duration;

use artisan_local::engines::Strike;
use clock::Timestamp;
use events::EventType;
use futures::future::join_all;
use serde_json::{Value, json};
use store::{Change, Event, Mode, WorkspaceScope};
use testkit::{Actor, Receiver, Response, TestApp};

use crate::audit::records;
use crate::people::{ids, organization, record, store};

const BROKEN: &str =
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"Internal"}"#;
const SQS_BROKEN: &str =
    r#"{"__type":"com.amazonaws.sqs#InvalidAddress","message":"The queue is not to be reached"}"#;
const MINUTE: Duration = Duration::from_secs(60);

fn replay_path(endpoint: &str) -> String {
    format!("/api/admin/webhooks/{endpoint}/replay")
}

/// Leads that were made, each at its own time, before anybody is there to be told.
async fn leads(app: &TestApp, caller: &Actor, numbers: std::ops::Range<usize>) -> Vec<Timestamp> {
    let mut times = Vec::new();
    for number in numbers {
        let lead = json!({"email": format!("l{number}@example.com")});
        let _ = caller.post("/v1/leads", lead).await.expect(201);
        times.push(app.now());
        app.advance(Duration::from_millis(10));
    }
    app.drain().await;
    times
}

async fn shown(caller: &Actor, replay: &str) -> Response {
    caller.get(&format!("/api/admin/webhooks/replays/{replay}")).await.expect(200)
}

async fn act(caller: &Actor, replay: &str, action: &str) -> Response {
    let path = format!("/api/admin/webhooks/replays/{replay}/{action}");
    caller.raw(http::Method::POST, &path, "").await
}

/// Events of one type in the log, as many as no test makes one by one.
async fn fill_log(app: &TestApp, admin: &Actor, event: EventType, count: usize) {
    let organization = organization(admin);
    let workspace = admin.text("/workspaces/0/id").parse().unwrap();
    let scope = WorkspaceScope { organization, workspace, mode: Mode::Live };
    let (tenant, ids) = (store(app).tenant_of_job(organization), ids(app));
    let data = event.example()["data"].clone();
    let numbers: Vec<usize> = (0..count).collect();
    for some in numbers.chunks(90) {
        let change = some.iter().fold(Change::audited(record(app, organization)), |change, _| {
            change.causing(Event::new(ids.next(), event, scope, app.now(), &data).unwrap())
        });
        tenant.commit(change, None).await.unwrap();
    }
    app.drain().await;
}

/// How often each event came in.
fn times_received(receiver: &Receiver) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for webhook in receiver.received() {
        *times.entry(webhook.header("webhook-id").to_owned()).or_default() += 1;
    }
    times
}

async fn pass(app: &TestApp, minutes: usize) {
    for _ in 0..minutes {
        app.advance(MINUTE);
        app.sweep().await;
    }
}

#[tokio::test]
async fn a_dry_run_counts_by_status_and_type_and_sends_nothing() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|number| if number < 2 { 204 } else { 500 }).await;
    let admin = app.sign_up("Acme").await;
    // Before there is an endpoint: missing.
    leads(&app, &admin, 0..3).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"max_retries": 0})).await;
    // Two that are taken, and one dead letter.
    leads(&app, &admin, 3..6).await;
    app.drain().await;
    let reply = admin.get("/v1/leads?limit=1").await.expect(200).text("/data/0/id");
    let _ =
        admin.patch(&format!("/api/admin/webhooks/{endpoint}"), json!({"max_retries": 4})).await.expect(200);
    let _ = admin.post(&format!("/v1/leads/{reply}/replies"), json!({"message": "Hi"})).await.expect(201);
    app.drain().await;
    app.advance(Duration::from_secs(1));
    // One more is on its way.
    for (body, count, looked_at) in [
        (json!({}), 4, 7),
        (json!({"statuses": ["missing"]}), 3, 7),
        (json!({"statuses": ["dead"]}), 1, 7),
        (json!({"statuses": ["succeeded"]}), 2, 7),
        (json!({"statuses": ["cancelled"]}), 0, 7),
        (json!({"statuses": ["missing", "dead", "cancelled", "succeeded"]}), 6, 7),
        (json!({"events": ["lead.created"]}), 4, 6),
        (json!({"events": ["lead.replied"]}), 0, 1),
        (json!({"events": ["meeting.booked", "lead.created"], "statuses": ["dead", "dead"]}), 1, 6),
        (json!({"events": ["meeting.booked"]}), 0, 0),
    ] {
        let mut asked = body.clone();
        asked["dry_run"] = json!(true);
        let dry = admin.post(&replay_path(&endpoint), asked).await.expect(200);
        assert_eq!(dry.json, json!({"count": count, "looked_at": looked_at, "complete": true}), "{body}");
    }
    assert_eq!(receiver.received().len(), 4);
    let listed = admin.get(&format!("/api/admin/webhooks/{endpoint}/replays")).await.expect(200);
    assert_eq!(listed.json["data"], json!([]), "a dry run is none");
    app.leaves_jobs();
}

#[tokio::test]
async fn since_and_until_are_honoured_to_the_millisecond() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let times = leads(&app, &admin, 0..6).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    app.advance(Duration::from_secs(1));
    let millisecond = Duration::from_millis(1);
    let path = replay_path(&endpoint);
    for (since, until, expected) in [
        (times[1], times[4], 3),
        (times[1] + millisecond, times[4], 2),
        (times[1], times[4] + millisecond, 4),
        (times[0], times[0] + millisecond, 1),
        (times[5], app.now(), 1),
        (times[5] + millisecond, app.now(), 0),
    ] {
        let body = json!({"since": since.to_string(), "until": until.to_string(), "dry_run": true});
        assert_eq!(admin.post(&path, body.clone()).await.expect(200).json["count"], expected, "{body}");
    }
    let body = json!({"since": times[1].to_string(), "until": times[4].to_string()});
    let replay = admin.post(&path, body).await.expect(202);
    assert_eq!((replay.text("/since"), replay.text("/until")), (times[1].to_string(), times[4].to_string()));
    app.sweep().await;
    let done = shown(&admin, &replay.text("/id")).await;
    assert_eq!((done.text("/status"), &done.json["progress"]["sent"]), ("completed".into(), &json!(3)));
    assert_eq!(done.json["progress"]["looked_at"], 3);
    assert_eq!(done.json["progress"]["fraction"], 1.0);
    let sent: Vec<_> = receiver.received().iter().map(|it| it.json()["data"]["email"].to_string()).collect();
    assert_eq!(sent.len(), 3);
    assert!((1..4).all(|n| sent.contains(&format!("\"l{n}@example.com\""))), "{sent:?}");
    // What the future holds is not waited for; what happens at this very moment has happened.
    let _ = admin.post("/v1/leads", json!({"email": "now@example.com"})).await.expect(201);
    let body = json!({"since": app.now().to_string(), "dry_run": true});
    assert_eq!(admin.post(&path, body).await.expect(200).json["looked_at"], 1);
    let body = json!({"until": (app.now() + MINUTE).to_string()});
    let replay = admin.post(&path, body).await.expect(202);
    assert_eq!(replay.text("/until"), (app.now() + millisecond).to_string());
    app.sweep().await;
}

#[tokio::test]
async fn what_is_no_replay_is_pointed_at() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let request = json!({"url": "https://example.com/", "events": ["*"]});
    let endpoint = admin.post("/api/admin/webhooks", request).await.expect(201).text("/id");
    app.advance(Duration::from_secs(1));
    for (body, pointer, code) in [
        (json!({"since": "yesterday"}), "/since", "format"),
        (json!({"since": 5}), "/since", "type"),
        (json!({"since": (app.now() + MINUTE).to_string()}), "/since", "range"),
        (json!({"since": "2026-11-02T00:00:00Z", "until": "2026-11-02T00:00:00Z"}), "/until", "range"),
        (json!({"events": ["lead.created", "lead.flown"]}), "/events/1", "value"),
        (json!({"events": ["*", "lead.created"]}), "/events/0", "value"),
        (json!({"statuses": []}), "/statuses", "length"),
        (json!({"statuses": ["dead", "pending"]}), "/statuses/1", "value"),
        (json!({"rate_per_second": 0}), "/rate_per_second", "range"),
        (json!({"rate_per_second": 501}), "/rate_per_second", "range"),
        (json!({"rate_per_second": -1}), "/rate_per_second", "type"),
        (json!({"dry_run": "yes"}), "/dry_run", "type"),
        (json!({"status": "dead"}), "/status", "unknown_field"),
    ] {
        for dry_run in [false, true] {
            let mut body = body.clone();
            if body.get("dry_run").is_none() {
                body["dry_run"] = json!(dry_run);
            }
            let refused =
                admin.post(&replay_path(&endpoint), body.clone()).await.expect_problem(422, "invalid");
            assert_eq!(refused.text("/errors/0/pointer"), pointer, "{body}: {}", refused.body);
            assert_eq!(refused.text("/errors/0/code"), code, "{body}: {}", refused.body);
        }
    }
    for replay in ["rpl_01m81wjar3enmabzqqe9n44m8p", "x", &endpoint] {
        let _ = admin
            .get(&format!("/api/admin/webhooks/replays/{replay}"))
            .await
            .expect_problem(404, "not_found");
        for action in ["pause", "resume", "cancel"] {
            let _ = act(&admin, replay, action).await.expect_problem(404, "not_found");
        }
    }
}

#[tokio::test]
async fn no_more_are_sent_than_a_minute_has_seconds() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let admin = app.key(&admin, json!({})).await;
    leads(&app, &admin, 0..150).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    app.advance(Duration::from_secs(1));
    let body = json!({"rate_per_second": 1});
    let replay = admin.post(&replay_path(&endpoint), body).await.expect(202).text("/id");
    let mut sent = Vec::new();
    for second in 0..240 {
        if second % 60 == 0 {
            app.sweep().await
        } else {
            app.drain().await
        }
        sent.push(receiver.received().len());
        app.advance(Duration::from_secs(1));
        if second == 70 {
            let progress = shown(&admin, &replay).await;
            assert_eq!(
                (progress.text("/status"), &progress.json["progress"]["sent"]),
                ("running".into(), &json!(120))
            );
            assert_eq!(progress.json["progress"]["looked_at"], 120);
            let fraction = progress.json["progress"]["fraction"].as_f64().unwrap();
            assert!((0.1..1.0).contains(&fraction), "{fraction}");
        }
    }
    assert!(sent.windows(61).all(|minute| minute[60] - minute[0] <= 61), "{sent:?}");
    assert!(sent[59] >= 50, "{sent:?}");
    assert_eq!(sent.last(), Some(&150));
    assert_eq!(shown(&admin, &replay).await.text("/status"), "completed");
    assert!(times_received(&receiver).values().all(|times| *times == 1));
}

#[tokio::test]
async fn a_replay_is_paused_resumed_and_cancelled() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let owner = app.sign_up("Acme").await;
    let admin = app.key(&owner, json!({})).await;
    leads(&app, &admin, 0..200).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    app.advance(Duration::from_secs(1));
    let start = admin.with("idempotency-key", "replay-1");
    let body = json!({"rate_per_second": 1});
    let replay = start.post(&replay_path(&endpoint), body.clone()).await.expect(202).text("/id");
    let again = start.post(&replay_path(&endpoint), body).await.expect(202);
    assert_eq!((again.header("idempotency-replayed"), again.text("/id")), (Some("true"), replay.clone()));
    let _ = act(&admin, &replay, "resume").await.expect_problem(409, "conflict");
    app.sweep().await;
    pass(&app, 1).await;
    let paused = act(&admin, &replay, "pause").await.expect(200);
    assert_eq!(paused.text("/status"), "paused");
    let _ = act(&admin, &replay, "pause").await.expect_problem(409, "conflict");
    pass(&app, 3).await;
    assert_eq!(shown(&admin, &replay).await.json["progress"]["sent"], 120);
    assert_eq!(receiver.received().len(), 120, "what was queued is sent, and nothing else");
    let resumed = act(&admin, &replay, "resume").await.expect(200);
    assert_eq!(resumed.text("/status"), "running");
    app.sweep().await;
    assert_eq!(shown(&admin, &replay).await.json["progress"]["sent"], 180);
    let cancelled = act(&admin, &replay, "cancel").await.expect(200);
    assert_eq!(cancelled.text("/status"), "cancelled");
    assert_eq!(cancelled.text("/finished_at"), shown(&admin, &replay).await.text("/finished_at"));
    for action in ["pause", "resume", "cancel"] {
        let _ = act(&admin, &replay, action).await.expect_problem(409, "conflict");
    }
    pass(&app, 4).await;
    assert_eq!(receiver.received().len(), 180);
    assert!(times_received(&receiver).values().all(|times| *times == 1));

    // What is left is another's to send: by default, what is still missing.
    let rest = admin.post(&replay_path(&endpoint), json!({})).await.expect(202).text("/id");
    app.sweep().await;
    pass(&app, 2).await;
    let rest = shown(&admin, &rest).await;
    assert_eq!((rest.text("/status"), &rest.json["progress"]["sent"]), ("completed".into(), &json!(20)));
    assert_eq!(times_received(&receiver).len(), 200);
    assert!(times_received(&receiver).values().all(|times| *times == 1));

    let listed = admin.get(&format!("/api/admin/webhooks/{endpoint}/replays?limit=1")).await.expect(200);
    assert_eq!(listed.text("/data/0/id"), rest.text("/id"));
    let cursor = listed.text("/next_cursor");
    let path = format!("/api/admin/webhooks/{endpoint}/replays?limit=1&cursor={cursor}");
    let next = admin.get(&path).await.expect(200);
    assert_eq!(next.text("/data/0/id"), replay);
    let all = records(&app, &owner).await;
    for (action, times) in
        [("endpoint.replay", 2), ("replay.pause", 1), ("replay.resume", 1), ("replay.cancel", 1)]
    {
        let of: Vec<_> =
            all.iter().filter(|record| record["action"] == action && record["success"] == true).collect();
        assert_eq!(of.len(), times, "{action}");
        assert_eq!(of[0]["resource_type"], "replay");
    }
    let pause = all.iter().find(|record| record["action"] == "replay.pause").unwrap();
    assert_eq!(pause["changes"], json!([{"field": "status", "before": "running", "after": "paused"}]));
}

#[tokio::test]
async fn whatever_fails_in_the_middle_each_event_is_sent_once() {
    for (operation, passes, times, strike, status, body) in [
        ("PutItem", 4, 3, Strike::Before, 500, BROKEN),
        ("PutItem", 4, 3, Strike::After, 500, BROKEN),
        ("UpdateItem", 0, 3, Strike::Before, 500, BROKEN),
        ("UpdateItem", 1, 3, Strike::Before, 500, BROKEN),
        ("UpdateItem", 1, 3, Strike::After, 500, BROKEN),
        ("BatchGetItem", 0, 3, Strike::Before, 500, BROKEN),
        ("Query", 2, 3, Strike::Before, 500, BROKEN),
        ("SendMessageBatch", 0, 3, Strike::Before, 400, SQS_BROKEN),
        ("SendMessageBatch", 1, 3, Strike::After, 400, SQS_BROKEN),
    ] {
        let case = format!("{operation} after {passes}, {strike:?}");
        let app = TestApp::start().await;
        let receiver = Receiver::start().await;
        let admin = app.sign_up("Acme").await;
        let admin = app.key(&admin, json!({})).await;
        leads(&app, &admin, 0..30).await;
        let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
        app.drain().await;
        app.advance(Duration::from_secs(1));
        let replay = admin.post(&replay_path(&endpoint), json!({})).await.expect(202).text("/id");
        app.engines().faults().order(operation, passes, times, strike, status, body);
        let _ = app.platform().run_schedules().await;
        app.engines().faults().clear();
        app.sweep().await;
        // What no job was queued for comes back after a while.
        pass(&app, 13).await;
        let done = shown(&admin, &replay).await;
        assert_eq!(done.text("/status"), "completed", "{case}");
        assert_eq!(
            (&done.json["progress"]["sent"], &done.json["progress"]["looked_at"]),
            (&json!(30), &json!(30)),
            "{case}"
        );
        let received = times_received(&receiver);
        assert_eq!(received.len(), 30, "{case}");
        assert!(received.values().all(|times| *times == 1), "{case}: {received:?}");
    }
}

#[tokio::test]
async fn a_replay_to_an_endpoint_that_is_gone_ends_and_to_a_disabled_one_waits() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let admin = app.key(&admin, json!({})).await;
    leads(&app, &admin, 0..250).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    app.advance(Duration::from_secs(1));
    let body = json!({"rate_per_second": 1});
    let replay = admin.post(&replay_path(&endpoint), body).await.expect(202).text("/id");
    app.sweep().await;
    pass(&app, 1).await;
    let received = receiver.received().len();
    assert!((60..250).contains(&received), "{received}");
    let path = format!("/api/admin/webhooks/{endpoint}");
    let _ = admin.post(&format!("{path}/disable"), json!({})).await.expect(200);
    pass(&app, 3).await;
    assert_eq!(receiver.received().len(), received);
    assert_eq!(shown(&admin, &replay).await.text("/status"), "running");
    let _ = admin.delete(&path).await.expect(204);
    pass(&app, 2).await;
    let ended = shown(&admin, &replay).await;
    assert_eq!(ended.text("/status"), "cancelled", "it is not through");
    assert!(
        ended.json["progress"]["fraction"].as_f64().unwrap() <= 1.0
            && ended.json["finished_at"] != Value::Null
    );
    let _ = admin.get(&format!("{path}/replays")).await.expect_problem(404, "not_found");
    let _ = act(&admin, &replay, "resume").await.expect_problem(409, "conflict");
    assert_eq!(receiver.received().len(), received);
}

#[tokio::test]
async fn what_is_replayed_is_what_the_endpoint_subscribes_to() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    app.upgrade(&admin, "business").await;
    let here = admin.text("/workspaces/0/id");
    let there = admin.post("/api/admin/workspaces", json!({"name": "There"})).await.expect(201).text("/id");
    for (workspace, mode) in [(&here, "live"), (&there, "live"), (&here, "test")] {
        let key = app.key(&admin, json!({"mode": mode, "workspace_id": workspace})).await;
        let lead = key.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201).text("/id");
        let _ = key.post(&format!("/v1/leads/{lead}/replies"), json!({"message": "Hi"})).await.expect(201);
    }
    app.drain().await;
    app.advance(Duration::from_secs(1));
    for (request, expected) in [
        (json!({}), 4),
        (json!({"workspace_id": here}), 2),
        (json!({"workspace_id": here, "events": ["lead.replied"]}), 1),
        (json!({"mode": "test"}), 2),
        (json!({"mode": "test", "workspace_id": there}), 0),
    ] {
        let (endpoint, _) = app.endpoint(&admin, &receiver, request.clone()).await;
        let dry = admin.post(&replay_path(&endpoint), json!({"dry_run": true})).await.expect(200);
        assert_eq!(dry.json["count"], expected, "{request}");
        let before = receiver.received().len();
        let _ = admin.post(&replay_path(&endpoint), json!({})).await.expect(202);
        app.sweep().await;
        assert_eq!(receiver.received().len() - before, expected, "{request}");
    }
}

#[tokio::test]
async fn one_replay_to_an_endpoint_and_five_to_an_organization_are_open_at_a_time() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    app.upgrade(&admin, "business").await;
    let mut endpoints = Vec::new();
    for _ in 0..6 {
        endpoints.push(app.endpoint(&admin, &receiver, json!({})).await.0);
    }
    app.advance(Duration::from_secs(1));
    let start = async |endpoint: &str| admin.post(&replay_path(endpoint), json!({})).await;
    // However many ask at the same moment.
    let answers = join_all((0..6).map(|_| start(&endpoints[0]))).await;
    let (begun, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status.as_u16() == 202);
    assert_eq!(begun.len(), 1);
    let first = begun[0].text("/id");
    for refused in refused {
        let refused = refused.expect_problem(409, "conflict");
        assert!(refused.text("/detail").contains(&first), "{}", refused.body);
    }
    let redrive = json!({"endpoint_id": endpoints[0]});
    let redrive = admin.post("/api/admin/webhooks/dead-letters/redrive", redrive).await;
    assert!(redrive.expect_problem(409, "conflict").text("/detail").contains(&first));
    let answers = join_all(endpoints[1..].iter().map(|endpoint| start(endpoint))).await;
    let (begun, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status.as_u16() == 202);
    assert_eq!((begun.len(), refused.len()), (4, 1));
    let full = refused.into_iter().next().unwrap().expect_problem(409, "conflict");
    assert!(full.text("/detail").contains("five"), "{}", full.body);

    // A paused one stands in the way as well; one that has ended does not, however it did.
    let _ = act(&admin, &first, "pause").await.expect(200);
    app.sweep().await;
    let _ = start(&endpoints[0]).await.expect_problem(409, "conflict");
    let second = start(&endpoints[1]).await.expect(202).text("/id");
    let _ = act(&admin, &first, "cancel").await.expect(200);
    let _ = act(&admin, &second, "cancel").await.expect(200);
    for endpoint in &endpoints[..5] {
        let _ = start(endpoint).await.expect(202);
    }
    let _ = start(&endpoints[5]).await.expect_problem(409, "conflict");
    let _ = admin.delete(&format!("/api/admin/webhooks/{}", endpoints[0])).await.expect(204);
    app.sweep().await;
    let _ = start(&endpoints[5]).await.expect(202);
    app.sweep().await;
}

#[tokio::test]
async fn what_is_looked_at_is_bounded_also_where_none_of_it_is_wanted() {
    if testkit::embedded_only(testkit::THOUSANDS) {
        return;
    }
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    leads(&app, &admin, 0..1).await;
    fill_log(&app, &admin, EventType::LeadReplied, 8_500).await;
    app.advance(Duration::from_secs(1));
    let middle = app.now();
    leads(&app, &admin, 1..2).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    app.advance(Duration::from_secs(1));
    let path = replay_path(&endpoint);
    let dry = admin.post(&path, json!({"dry_run": true})).await.expect(200);
    assert_eq!(dry.json, json!({"count": 1, "looked_at": 1, "complete": false}));
    let body = json!({"dry_run": true, "since": middle.to_string()});
    let dry = admin.post(&path, body).await.expect(200);
    assert_eq!(dry.json, json!({"count": 1, "looked_at": 1, "complete": true}));

    let replay = admin.post(&path, json!({})).await.expect(202).text("/id");
    app.sweep().await;
    let halfway = shown(&admin, &replay).await;
    assert_eq!((halfway.text("/status"), &halfway.json["progress"]["sent"]), ("running".into(), &json!(1)));
    app.advance(MINUTE);
    app.sweep().await;
    let done = shown(&admin, &replay).await;
    assert_eq!((done.text("/status"), &done.json["progress"]["sent"]), ("completed".into(), &json!(2)));
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn events_are_named_as_an_endpoint_names_them() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    app.advance(Duration::from_secs(1));
    for (events, kept) in
        [(vec!["lead.created"; 5_000], json!(["lead.created"])), (vec!["*"], json!([])), (vec![], json!([]))]
    {
        let replay = admin.post(&replay_path(&endpoint), json!({"events": events})).await.expect(202);
        assert_eq!(replay.json["events"], kept);
        app.sweep().await;
    }
}

/// Whose a replay is does not end with its endpoint.
#[tokio::test]
async fn a_replay_to_a_deleted_endpoint_has_the_walls_that_the_endpoint_had() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    app.upgrade(&admin, "business").await;
    let here = admin.text("/workspaces/0/id");
    let there = admin.post("/api/admin/workspaces", json!({"name": "There"})).await.expect(201).text("/id");
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"workspace_id": here})).await;
    let inside = app.key(&admin, json!({"workspace_id": here})).await;
    let outside = app.key(&admin, json!({"workspace_id": there})).await;
    let (live, test) = (app.key(&admin, json!({})).await, app.key(&admin, json!({"mode": "test"})).await);
    app.advance(Duration::from_secs(1));
    let replay = admin.post(&replay_path(&endpoint), json!({})).await.expect(202).text("/id");
    for deleted in [false, true] {
        if deleted {
            let _ = admin.delete(&format!("/api/admin/webhooks/{endpoint}")).await.expect(204);
        }
        for seen_by in [&admin, &live, &inside] {
            let _ = shown(seen_by, &replay).await;
        }
        for other in [&test, &outside] {
            let path = format!("/api/admin/webhooks/replays/{replay}");
            let _ = other.get(&path).await.expect_problem(404, "not_found");
            let _ = act(other, &replay, "cancel").await.expect_problem(404, "not_found");
        }
    }
    let _ = act(&inside, &replay, "cancel").await.expect(200);
}
