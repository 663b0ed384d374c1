//! Endpoints: changed, given another secret, disabled and enabled, tried out.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use signing::{SigningSecret, VerifyingKey};
use testkit::{Actor, Installation, Receiver, Response, TestApp, Webhook};
use tokio::sync::Semaphore;

use crate::audit::records;

fn path(endpoint: &str) -> String {
    format!("/api/admin/webhooks/{endpoint}")
}

async fn lead(caller: &Actor, number: usize) -> Response {
    caller.post("/v1/leads", json!({"email": format!("l{number}@example.com")})).await.expect(201)
}

pub(crate) fn signed_by(webhook: &Webhook, secret: &str, now: i64) -> bool {
    let secret = SigningSecret::parse(secret).unwrap();
    let timestamp = webhook.header("webhook-timestamp").parse().unwrap();
    let (id, signature) = (webhook.header("webhook-id"), webhook.header("webhook-signature"));
    secret.verifies_standard(id, timestamp, now, signature, &webhook.body)
}

fn signed_with(webhook: &Webhook, key: &str, now: i64) -> bool {
    let key: VerifyingKey = key.parse().unwrap();
    let timestamp = webhook.header("webhook-timestamp").parse().unwrap();
    let (id, signature) = (webhook.header("webhook-id"), webhook.header("webhook-signature"));
    key.verifies_standard(id, timestamp, now, signature, &webhook.body)
}

fn signatures(webhook: &Webhook) -> usize {
    webhook.header("webhook-signature").split(' ').count()
}

#[tokio::test]
async fn each_field_can_be_left_changed_and_brought_back_to_its_default() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let request = json!({
        "url": "https://example.com/a", "events": ["lead.created"], "description": "CRM",
        "timeout_seconds": 5, "max_retries": 2, "rate_limit_per_second": 7,
    });
    let created = admin.post("/api/admin/webhooks", request).await.expect(201);
    let path = path(&created.text("/id"));
    let fields = |answer: &Response| {
        let names =
            ["url", "events", "description", "timeout_seconds", "max_retries", "rate_limit_per_second"];
        names.map(|name| answer.json[name].clone())
    };
    let steps = [
        (json!({"url": "https://example.org/b"}), 0, json!("https://example.org/b")),
        (json!({"events": ["meeting.booked", "lead.replied"]}), 1, Value::Null),
        (json!({"events": ["*"]}), 1, json!(["*"])),
        (json!({"description": "  another  "}), 2, json!("another")),
        (json!({"description": null}), 2, Value::Null),
        (json!({"timeout_seconds": 1}), 3, json!(1)),
        (json!({"timeout_seconds": null}), 3, json!(30)),
        (json!({"max_retries": 0}), 4, json!(0)),
        (json!({"max_retries": null}), 4, json!(4)),
        (json!({"rate_limit_per_second": 1000}), 5, json!(1000)),
        (json!({"rate_limit_per_second": null}), 5, Value::Null),
    ];
    let mut known = fields(&created);
    for (body, field, value) in steps {
        app.advance(Duration::from_millis(1));
        let changed = admin.patch(&path, body.clone()).await.expect(200);
        let mut expected = known.clone();
        expected[field] = if body["events"].as_array().is_some_and(|events| events.len() == 2) {
            let mut events = changed.json["events"].clone();
            events.as_array_mut().unwrap().sort_by_key(|event| event.to_string());
            assert_eq!(events, json!(["lead.replied", "meeting.booked"]));
            changed.json["events"].clone()
        } else {
            value
        };
        known = fields(&changed);
        assert_eq!(known, expected, "{body}");
        assert!(changed.json.get("secret").is_none(), "{body}");
        let read = admin.get(&path).await.expect(200);
        assert_eq!(fields(&read), known, "{body}");
        assert_eq!(read.header("etag"), changed.header("etag"), "{body}");
    }
}

#[tokio::test]
async fn headers_are_merged_by_name_and_their_values_are_nowhere_to_be_read() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let request = json!({"headers": {"X-Team": "sales-7241", "Authorization": "Bearer t-7241"}});
    let (endpoint, _) = app.endpoint(&admin, &receiver, request).await;
    let path = path(&endpoint);
    let change = json!({"headers": {"x-TEAM": "support-7241", "AUTHORIZATION": null, "x-new": "new-7241"}});
    let changed = admin.patch(&path, change).await.expect(200);
    assert_eq!(changed.json["headers"], json!(["x-new", "x-team"]));
    lead(&admin, 0).await;
    app.drain().await;
    let received = receiver.received();
    assert_eq!((received[0].header("x-team"), received[0].header("x-new")), ("support-7241", "new-7241"));
    assert_eq!(received[0].header("authorization"), "");

    for (body, names) in [
        (json!({"headers": {"x-not-there": null}}), json!(["x-new", "x-team"])),
        (json!({"headers": {}}), json!(["x-new", "x-team"])),
        (json!({"headers": null}), json!([])),
    ] {
        assert_eq!(admin.patch(&path, body).await.expect(200).json["headers"], names);
    }
    let twenty: serde_json::Map<_, _> = (0..20).map(|n| (format!("x-{n}"), json!("v"))).collect();
    let _ = admin.patch(&path, json!({"headers": twenty})).await.expect(200);
    let refused =
        admin.patch(&path, json!({"headers": {"x-one-more": "v"}})).await.expect_problem(422, "invalid");
    assert_eq!(refused.text("/errors/0/pointer"), "/headers");
    let swapped = admin.patch(&path, json!({"headers": {"x-0": null, "x-one-more": "v"}})).await.expect(200);
    assert_eq!(swapped.json["headers"].as_array().unwrap().len(), 20);
    // Of the nineteen that stay each has a byte.
    let long = |bytes: usize| {
        json!({"headers": {
            "x-1": "v".repeat(1024), "x-2": "v".repeat(1024), "x-3": "v".repeat(1024), "x-4": "v".repeat(bytes),
        }})
    };
    let refused = admin.patch(&path, long(1024 - 15)).await.expect_problem(422, "invalid");
    assert_eq!(refused.text("/errors/0/pointer"), "/headers");
    let _ = admin.patch(&path, long(1024 - 16)).await.expect(200);

    let listed = admin.get("/api/admin/webhooks").await.expect(200);
    for text in [changed.body, listed.body, json!(records(&app, &admin).await).to_string()] {
        assert!(!text.contains("7241"), "{text}");
    }
}

/// The values of headers are nobody's to see. Who may name another URL could otherwise have them sent there.
#[tokio::test]
async fn headers_do_not_follow_a_url_to_another_origin() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let request = json!({
        "url": "https://example.com/hooks", "events": ["*"], "headers": {"authorization": "Bearer t", "x-team": "sales"},
    });
    let endpoint = admin.post("/api/admin/webhooks", request).await.expect(201).text("/id");
    let path = path(&endpoint);
    for (body, follows) in [
        (json!({"url": "https://example.com/other?q=1"}), true),
        (json!({"url": "https://EXAMPLE.com:443/hooks"}), true),
        (json!({"url": "https://example.com:8443/hooks"}), false),
        (json!({"url": "https://hooks.example.com/hooks"}), false),
        (json!({"url": "https://example.org/hooks"}), false),
        (json!({"url": "https://example.org/hooks", "headers": {}}), false),
        (json!({"url": "https://example.org/hooks", "headers": {"X-Team": "sales"}}), false),
        (
            json!({"url": "https://example.org/hooks", "headers": {"X-Team": "sales", "Authorization": null}}),
            true,
        ),
        (json!({"url": "https://example.net/hooks", "headers": {"x-team": "support"}}), true),
        (json!({"url": "https://example.org/hooks", "headers": null}), true),
        (json!({"url": "https://example.net/hooks"}), true),
    ] {
        let answer = admin.patch(&path, body.clone()).await;
        if follows {
            let _ = answer.expect(200);
        } else {
            let refused = answer.expect_problem(422, "invalid");
            assert_eq!(refused.text("/errors/0/pointer"), "/headers", "{body}");
            assert!(refused.text("/errors/0/message").contains("another origin"), "{}", refused.body);
        }
    }
    // A URL that is refused is the only thing to say.
    let _ = admin.patch(&path, json!({"headers": {"x-team": "sales"}})).await.expect(200);
    let refused =
        admin.patch(&path, json!({"url": "ftp://example.com"})).await.expect_problem(422, "invalid");
    assert_eq!(refused.json["errors"].as_array().unwrap().len(), 1, "{}", refused.body);
}

#[tokio::test]
async fn a_change_is_on_record_and_one_that_changes_nothing_is_none() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let request =
        json!({"url": "https://example.com/", "events": ["lead.created"], "headers": {"x-a": "one"}});
    let endpoint = admin.post("/api/admin/webhooks", request).await.expect(201).text("/id");
    let path = path(&endpoint);
    let before = admin.get(&path).await.expect(200);
    let seen = records(&app, &admin).await.len();
    app.advance(Duration::from_secs(1));
    for nothing in [
        json!({}),
        json!({"url": "https://example.com", "events": ["lead.created"], "max_retries": null}),
        json!({"headers": {"X-A": "one"}, "signatures": ["v1"]}),
    ] {
        let same = admin.patch(&path, nothing.clone()).await.expect(200);
        assert_eq!(same.header("etag"), before.header("etag"), "{nothing}");
    }
    assert_eq!(records(&app, &admin).await.len(), seen);

    let change = json!({"url": "https://example.org/x", "max_retries": 9, "headers": {"x-a": "two"}});
    let _ = admin.patch(&path, change).await.expect(200);
    let all = records(&app, &admin).await;
    assert_eq!(all.len(), seen + 1);
    let record = all.iter().find(|record| record["action"] == "endpoint.update").unwrap();
    assert_eq!(record["resource_id"].as_str(), Some(&*endpoint));
    assert_eq!(record["compliance_relevant"], true);
    let changes = record["changes"].as_array().unwrap();
    let of = |field: &str| changes.iter().find(|change| change["field"] == field).unwrap();
    assert_eq!(
        *of("url"),
        json!({"field": "url", "before": "https://example.com/", "after": "https://example.org/x"})
    );
    assert_eq!(*of("max_retries"), json!({"field": "max_retries", "before": 4, "after": 9}));
    assert_eq!(of("headers")["before"], "not shown");
    assert_eq!(changes.len(), 3, "{changes:?}");
}

#[tokio::test]
async fn a_change_meant_for_another_version_is_stale() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let request = json!({"url": "https://example.com/", "events": ["*"]});
    let endpoint = admin.post("/api/admin/webhooks", request).await.expect(201).text("/id");
    let path = path(&endpoint);
    let first = admin.get(&path).await.expect(200).header("etag").unwrap().to_owned();
    app.advance(Duration::from_millis(1));
    let changed = admin.with("if-match", &*first).patch(&path, json!({"max_retries": 1})).await.expect(200);
    let stale = admin.with("if-match", &*first);
    let _ = stale.patch(&path, json!({"max_retries": 2})).await.expect_problem(412, "precondition_failed");
    let _ = stale.delete(&path).await.expect_problem(412, "precondition_failed");
    let current = changed.header("etag").unwrap().to_owned();
    let _ = admin.with("if-match", &*current).patch(&path, json!({"max_retries": 3})).await.expect(200);
    // Of many at the same moment that mean the same version, one gets through.
    let etag = admin.get(&path).await.expect(200).header("etag").unwrap().to_owned();
    let racers = (0..8_u32).map(|n| {
        let admin = admin.with("if-match", &*etag);
        let path = path.clone();
        async move { admin.patch(&path, json!({"timeout_seconds": n + 1})).await.status.as_u16() }
    });
    let answers = futures::future::join_all(racers).await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 200 | 412)), "{answers:?}");
}

const BAD_URLS: &[&str] = &[
    "",
    " ",
    "example.com",
    "//example.com/",
    "https://",
    "https:///x",
    "https://exa mple.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "http://example.com/",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://example.com:25/",
    "https://example.com:22/",
    "https://example.com:99999/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://0x0a000001/",
    "https://0xa.0.0.1/",
    "https://012.0.0.1/",
    "https://167772161/",
    "https://10.1/",
    "https://１０.0.0.1/",
    "https://10。0。0。1/",
    "https://[::]/",
    "https://[fd00::1]/",
    "https://[fe80::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[::ffff:a00:1]/",
    "https://[64:ff9b::a00:1]/",
    "https://[2002:a00:1::]/",
    "https://[ff02::1]/",
    "https://metadata.google.internal/",
];

#[tokio::test]
async fn every_bad_value_is_pointed_at() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 10_000})).await;
    let request = json!({"url": "https://example.com/", "events": ["*"]});
    let endpoint = key.post("/api/admin/webhooks", request).await.expect(201).text("/id");
    let path = path(&endpoint);
    let etag = key.get(&path).await.expect(200).header("etag").unwrap().to_owned();
    app.advance(Duration::from_secs(1));
    let refused = async |body: Value, pointer: &str, code: &str| {
        let answer = key.patch(&path, body.clone()).await.expect_problem(422, "invalid");
        assert_eq!(answer.text("/errors/0/pointer"), pointer, "{body}: {}", answer.body);
        assert_eq!(answer.text("/errors/0/code"), code, "{body}: {}", answer.body);
    };
    for url in BAD_URLS {
        refused(json!({"url": url}), "/url", "value").await;
        let create = json!({"url": url, "events": ["*"]});
        let created = key.post("/api/admin/webhooks", create).await.expect_problem(422, "invalid");
        assert_eq!(created.text("/errors/0/pointer"), "/url", "{url}");
    }
    for field in ["url", "events", "signatures"] {
        refused(json!({field: null}), &format!("/{field}"), "required").await;
    }
    for (field, bad) in [
        ("timeout_seconds", json!(0)),
        ("timeout_seconds", json!(31)),
        ("max_retries", json!(13)),
        ("rate_limit_per_second", json!(0)),
        ("rate_limit_per_second", json!(1001)),
    ] {
        refused(json!({field: bad}), &format!("/{field}"), "range").await;
    }
    for (field, bad) in [
        ("url", json!(5)),
        ("events", json!("*")),
        ("description", json!([])),
        ("headers", json!([])),
        ("timeout_seconds", json!("5")),
        ("timeout_seconds", json!(-1)),
        ("timeout_seconds", json!(1.5)),
        ("max_retries", json!(-1)),
        ("signatures", json!("v1")),
    ] {
        refused(json!({field: bad}), &format!("/{field}"), "type").await;
    }
    refused(json!({"headers": {"x-a": 1}}), "/headers/x-a", "type").await;
    refused(json!({"events": []}), "/events", "length").await;
    refused(json!({"events": ["lead.created", "lead.flown"]}), "/events/1", "value").await;
    refused(json!({"events": ["lead.created", "*"]}), "/events/1", "value").await;
    refused(json!({"description": "x".repeat(501)}), "/description", "length").await;
    refused(json!({"description": "a\u{0}b"}), "/description", "characters").await;
    for bad in [json!([]), json!(["v1a"]), json!(["v2"]), json!(["v1", "v3"])] {
        refused(json!({"signatures": bad}), "/signatures", "value").await;
    }
    for name in ["host", "Content-Type", "webhook-id", "X-Artisan-Event", "User-Agent"] {
        let pointer = format!("/headers/{}", name.to_ascii_lowercase());
        refused(json!({"headers": {name: "v"}}), &pointer, "value").await;
    }
    refused(json!({"headers": {"a b": "v"}}), "/headers", "format").await;
    refused(json!({"headers": {"x-a": "v\r\nx-b: w"}}), "/headers/x-a", "format").await;
    for (field, value) in [
        ("secret", json!("whsec_x")),
        ("status", json!("disabled")),
        ("workspace_id", json!("ws_01m81wjar3enmabzqqe9n44m8p")),
        ("mode", json!("test")),
        ("id", json!("ep_01m81wjar3enmabzqqe9n44m8p")),
    ] {
        refused(json!({field: value}), &format!("/{field}"), "unknown_field").await;
    }
    let several = json!({"url": "x", "events": [], "timeout_seconds": 99, "max_retries": 99});
    let answer = key.patch(&path, several).await.expect_problem(422, "invalid");
    assert_eq!(answer.json["errors"].as_array().unwrap().len(), 4, "{}", answer.body);
    assert_eq!(key.get(&path).await.expect(200).header("etag"), Some(&*etag), "nothing was changed");
}

#[tokio::test]
async fn another_url_forgets_the_failures_of_the_one_before() {
    let app = TestApp::start().await;
    let (broken, well) = (Receiver::answering(|_| 500).await, Receiver::start().await);
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &broken, json!({})).await;
    let path = path(&endpoint);
    for number in 0..12 {
        lead(&admin, number).await;
    }
    app.drain().await;
    let sick = admin.get(&path).await.expect(200);
    assert_eq!(sick.text("/health/state"), "failing");
    assert!(sick.json["health"]["failures_in_a_row"].as_u64().unwrap() >= 10, "{}", sick.body);
    // What says nothing of where it sends leaves that as it is.
    let _ = admin.patch(&path, json!({"description": "x"})).await.expect(200);
    assert_eq!(admin.get(&path).await.expect(200).text("/health/state"), "failing");

    let _ = admin.patch(&path, json!({"url": well.url()})).await.expect(200);
    let anew = admin.get(&path).await.expect(200);
    assert_eq!(
        (anew.text("/health/state"), &anew.json["health"]["failures_in_a_row"]),
        ("healthy".into(), &json!(0))
    );
    // What waits goes to the new address, and what happens now goes there at once.
    lead(&admin, 12).await;
    app.drain().await;
    assert_eq!(well.received().len(), 1);
    for _ in 0..4 {
        app.advance(Duration::from_secs(60));
        app.sweep().await;
    }
    assert_eq!(well.received().len(), 13);
}

/// What the receiver before says while the endpoint is given another URL is not said of the one it has now.
#[tokio::test]
async fn a_late_answer_of_the_receiver_before_does_not_count() {
    for status in [410, 429, 500] {
        let app = TestApp::start().await;
        let (asked, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (tell, wait) = (Arc::clone(&asked), Arc::clone(&go));
        let before = Receiver::replying(move |_| {
            tell.add_permits(1);
            let wait = Arc::clone(&wait);
            async move {
                let _go = wait.acquire().await.unwrap();
                (StatusCode::from_u16(status).unwrap(), [("retry-after", "3600")])
            }
        })
        .await;
        let well = Receiver::start().await;
        let admin = app.sign_up("Acme").await;
        let (endpoint, _) =
            app.endpoint(&admin, &before, json!({"events": ["lead.created"], "max_retries": 0})).await;
        lead(&admin, 0).await;
        tokio::join!(app.drain(), async {
            let _ = asked.acquire().await.unwrap();
            app.advance(Duration::from_secs(1));
            let _ = admin.patch(&path(&endpoint), json!({"url": well.url()})).await.expect(200);
            go.add_permits(1);
        });
        assert_eq!(before.received().len(), 1);
        lead(&admin, 1).await;
        app.sweep().await;
        assert_eq!(well.received().len(), 1, "{status}");
        let shown = admin.get(&path(&endpoint)).await.expect(200);
        assert_eq!(shown.text("/status"), "enabled");
        assert_eq!(shown.json["health"]["failures_in_a_row"], 0, "{status}");
        // A dead letter it is all the same, and is told of.
        let feed = admin.get("/api/admin/webhooks/operational-events").await.expect(200);
        assert_eq!(feed.text("/data/0/type"), "delivery.exhausted", "{status}");
        app.advance(Duration::from_secs(600));
        app.sweep().await;
    }
}

#[tokio::test]
async fn the_plan_bounds_how_many_endpoints_there_are() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let request = json!({"url": "https://example.com/", "events": ["*"]});
    let mut last = String::new();
    for _ in 0..10 {
        last = admin.post("/api/admin/webhooks", request.clone()).await.expect(201).text("/id");
    }
    let _ = admin.post("/api/admin/webhooks", request.clone()).await.expect_problem(409, "limit_reached");
    // One that is disabled has its place all the same; one that is deleted has not.
    let _ = admin.post(&format!("{}/disable", path(&last)), json!({})).await.expect(200);
    let _ = admin.post("/api/admin/webhooks", request.clone()).await.expect_problem(409, "limit_reached");
    let _ = admin.delete(&path(&last)).await.expect(204);
    let _ = admin.post("/api/admin/webhooks", request.clone()).await.expect(201);
    let _ = admin.post("/api/admin/webhooks", request).await.expect_problem(409, "limit_reached");
}

/// What changes endpoints, replays and deliveries, with ids of one organization.
fn changes(endpoint: &str, delivery: &str, replay: &str) -> Vec<(String, Value)> {
    let of = |rest: &str, body: Value| (format!("/api/admin/webhooks/{rest}"), body);
    vec![
        of(&format!("{endpoint}/rotate-secret"), json!({})),
        of(&format!("{endpoint}/test"), json!({})),
        of(&format!("{endpoint}/enable"), json!({})),
        of(&format!("{endpoint}/disable"), json!({})),
        of(&format!("{endpoint}/replay"), json!({})),
        of(&format!("{endpoint}/replay"), json!({"dry_run": true})),
        of(&format!("replays/{replay}/pause"), json!({})),
        of(&format!("replays/{replay}/resume"), json!({})),
        of(&format!("replays/{replay}/cancel"), json!({})),
        of(&format!("deliveries/{delivery}/retry"), json!({})),
        of("dead-letters/redrive", json!({"endpoint_id": endpoint})),
    ]
}

#[tokio::test]
async fn who_may_not_change_endpoints_changes_nothing() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    app.upgrade(&admin, "business").await;
    let workspace = admin.text("/workspaces/0/id");
    let other = admin.post("/api/admin/workspaces", json!({"name": "Other"})).await.expect(201).text("/id");
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"workspace_id": workspace})).await;
    let in_workspace = admin.with("x-workspace-id", workspace.clone());
    lead(&in_workspace, 0).await;
    app.drain().await;
    app.advance(Duration::from_millis(5));
    let replay = admin.post(&format!("{}/replay", path(&endpoint)), json!({})).await.expect(202).text("/id");
    let deliveries = admin.get(&format!("{}/deliveries", path(&endpoint))).await.expect(200);
    let delivery = deliveries.text("/data/0/id");
    let event = deliveries.text("/data/0/event_id");

    let mut refused = Vec::new();
    for role in ["manager", "member", "read_only"] {
        refused.push(app.invite_and_join(&admin, json!({"role": role, "workspace_id": workspace})).await);
    }
    refused.push(app.invite_and_join(&admin, json!({"role": "read_only"})).await);
    refused.push(app.key(&admin, json!({"scopes": ["webhooks:read", "leads:write"]})).await);
    for actor in &refused {
        let _ =
            actor.patch(&path(&endpoint), json!({"max_retries": 1})).await.expect_problem(403, "forbidden");
        let denied = actor.delete(&path(&endpoint)).await.expect_problem(403, "forbidden");
        assert_eq!(denied.text("/permission"), "webhooks:delete");
        for (path, body) in changes(&endpoint, &delivery, &replay) {
            let denied = actor.post(&path, body).await.expect_problem(403, "forbidden");
            assert_eq!(denied.text("/permission"), "webhooks:write", "{path}");
        }
    }
    let foreign = app.sign_up("Initech").await;
    // Keys that act elsewhere: in another workspace, on other data.
    let confined = app.key(&admin, json!({"workspace_id": other})).await;
    let test = app.key(&admin, json!({"mode": "test"})).await;
    for actor in [&foreign, &confined, &test] {
        let _ =
            actor.patch(&path(&endpoint), json!({"max_retries": 1})).await.expect_problem(404, "not_found");
        let _ = actor.delete(&path(&endpoint)).await.expect_problem(404, "not_found");
        for (path, body) in changes(&endpoint, &delivery, &replay) {
            let _ = actor.post(&path, body).await.expect_problem(404, "not_found");
        }
        let by_id = json!({"delivery_ids": [delivery]});
        let redriven = actor.post("/api/admin/webhooks/dead-letters/redrive", by_id).await.expect(202);
        assert_eq!(
            (&redriven.json["delivery_ids"], &redriven.json["skipped"]),
            (&json!([]), &json!([delivery]))
        );
        for read in [
            path(&endpoint),
            format!("{}/deliveries", path(&endpoint)),
            format!("{}/replays", path(&endpoint)),
            format!("/api/admin/webhooks/replays/{replay}"),
            format!("/api/admin/webhooks/deliveries/{delivery}"),
            format!("/api/admin/events/{event}"),
        ] {
            let _ = actor.get(&read).await.expect_problem(404, "not_found");
        }
        for list in [
            "/api/admin/webhooks",
            "/api/admin/events",
            "/api/admin/webhooks/operational-events",
            "/api/admin/webhooks/dead-letters",
        ] {
            assert_eq!(actor.get(list).await.expect(200).json["data"], json!([]), "{list}");
        }
    }
    let unchanged = admin.get(&path(&endpoint)).await.expect(200);
    assert_eq!((unchanged.text("/status"), &unchanged.json["max_retries"]), ("enabled".into(), &json!(4)));
    app.drain().await;
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_new_secret_signs_beside_the_old_one_until_the_overlap_is_over() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let admin = app.key(&admin, json!({})).await;
    let (endpoint, first) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    let rotate = format!("{}/rotate-secret", path(&endpoint));
    let once = admin.with("idempotency-key", "rotation");
    let rotated = once.post(&rotate, json!({"overlap_seconds": 3600})).await.expect(200);
    let second = rotated.text("/secret");
    assert_ne!(first, second);
    assert_eq!(rotated.text("/previous_secret_until"), (app.now() + Duration::from_secs(3600)).to_string());
    let replayed = once.post(&rotate, json!({"overlap_seconds": 3600})).await.expect(200);
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    assert!(replayed.json.get("secret").is_none() && !replayed.body.contains("whsec_"));

    let now = || app.now().seconds();
    let mut sent = 0;
    let mut send = async || {
        lead(&admin, sent).await;
        app.drain().await;
        sent += 1;
        let received = receiver.received();
        assert_eq!(received.len(), sent);
        received.last().unwrap().clone()
    };
    let webhook = send().await;
    assert_eq!(signatures(&webhook), 2);
    assert!(signed_by(&webhook, &first, now()) && signed_by(&webhook, &second, now()));
    let artisan = |secret: &str| SigningSecret::parse(secret).unwrap().artisan(&webhook.body);
    assert_eq!(webhook.header("x-artisan-signature"), artisan(&second));
    app.advance(Duration::from_secs(3599));
    assert_eq!(signatures(&send().await), 2);
    app.advance(Duration::from_secs(1));
    let webhook = send().await;
    assert_eq!(signatures(&webhook), 1);
    assert!(!signed_by(&webhook, &first, now()) && signed_by(&webhook, &second, now()));
    let shown = admin.get(&path(&endpoint)).await.expect(200);
    assert_eq!(shown.json["previous_secret_until"], Value::Null, "it is over");

    let third = admin.post(&rotate, json!({})).await.expect(200);
    assert_eq!(third.text("/previous_secret_until"), (app.now() + Duration::from_secs(86_400)).to_string());
    // One that somebody else may know is worth nothing at once, and neither is the one before.
    let fourth = admin.post(&rotate, json!({"overlap_seconds": 0})).await.expect(200);
    assert_eq!(fourth.json["previous_secret_until"], Value::Null);
    let webhook = send().await;
    assert_eq!(signatures(&webhook), 1);
    assert!(signed_by(&webhook, &fourth.text("/secret"), now()));
    assert!(!signed_by(&webhook, &third.text("/secret"), now()) && !signed_by(&webhook, &second, now()));
    for (body, code) in [
        (json!({"overlap_seconds": 604_801}), "range"),
        (json!({"overlap_seconds": -1}), "type"),
        (json!({"overlap_seconds": "1"}), "type"),
    ] {
        let refused = admin.post(&rotate, body).await.expect_problem(422, "invalid");
        assert_eq!(
            (refused.text("/errors/0/pointer"), refused.text("/errors/0/code")),
            ("/overlap_seconds".into(), code.into())
        );
    }
}

#[tokio::test]
async fn a_rotation_is_on_record_without_any_secret() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let request = json!({"url": "https://example.com/", "events": ["*"], "signatures": ["v1", "v1a"]});
    let endpoint = admin.post("/api/admin/webhooks", request).await.expect(201).text("/id");
    let rotated = admin.post(&format!("{}/rotate-secret", path(&endpoint)), json!({})).await.expect(200);
    let all = records(&app, &admin).await;
    let record = all.iter().find(|record| record["action"] == "endpoint.rotate_secret").unwrap();
    assert_eq!((&record["sensitive"], &record["compliance_relevant"]), (&json!(true), &json!(true)));
    let fields: Vec<_> =
        record["changes"].as_array().unwrap().iter().map(|change| &change["field"]).collect();
    assert_eq!(fields, ["secret", "public_key"]);
    assert!(!json!(all).to_string().contains(&rotated.text("/secret")[6..]));
}

#[tokio::test]
async fn whoever_has_the_public_key_can_verify_and_it_is_replaced_with_the_secret() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let admin = app.key(&admin, json!({})).await;
    let request = json!({"events": ["lead.created"], "signatures": ["v1a", "v1"]});
    let (endpoint, secret) = app.endpoint(&admin, &receiver, request).await;
    let path = path(&endpoint);
    let shown = admin.get(&path).await.expect(200);
    assert_eq!(shown.json["signatures"], json!(["v1", "v1a"]));
    let first = shown.text("/public_key");
    let now = || app.now().seconds();
    let mut sent = 0;
    let mut send = async || {
        lead(&admin, sent).await;
        app.drain().await;
        sent += 1;
        receiver.received().last().unwrap().clone()
    };
    let webhook = send().await;
    assert!(signed_with(&webhook, &first, now()) && signed_by(&webhook, &secret, now()));
    assert_eq!(signatures(&webhook), 2);

    let rotated =
        admin.post(&format!("{path}/rotate-secret"), json!({"overlap_seconds": 60})).await.expect(200);
    let second = rotated.text("/public_key");
    assert_ne!(first, second);
    assert_eq!(rotated.text("/previous_public_key"), first);
    let webhook = send().await;
    assert_eq!(signatures(&webhook), 4);
    for key in [&first, &second] {
        assert!(signed_with(&webhook, key, now()));
    }
    app.advance(Duration::from_secs(60));
    let webhook = send().await;
    assert_eq!(signatures(&webhook), 2);
    assert!(!signed_with(&webhook, &first, now()) && signed_with(&webhook, &second, now()));
    assert_eq!(admin.get(&path).await.expect(200).json["previous_public_key"], Value::Null, "it is over");

    let without = admin.patch(&path, json!({"signatures": ["v1"]})).await.expect(200);
    assert_eq!((&without.json["signatures"], &without.json["public_key"]), (&json!(["v1"]), &Value::Null));
    let webhook = send().await;
    assert_eq!(signatures(&webhook), 1);
    assert!(signed_by(&webhook, &rotated.text("/secret"), now()));
    let with = admin.patch(&path, json!({"signatures": ["v1", "v1a"]})).await.expect(200);
    let third = with.text("/public_key");
    assert!(third != first && third != second, "a key that was given up is not taken up again");
    let webhook = send().await;
    assert!(signed_with(&webhook, &third, now()) && !signed_with(&webhook, &second, now()));
    // Asking for what is there already makes no new one.
    let same = admin.patch(&path, json!({"signatures": ["v1", "v1a"]})).await.expect(200);
    assert_eq!(same.text("/public_key"), third);
}

#[tokio::test]
async fn while_disabled_nothing_is_sent_and_nothing_is_lost() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|number| if number == 0 { 500 } else { 204 }).await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    let path = path(&endpoint);
    let _ = admin.post(&format!("{path}/enable"), json!({})).await.expect_problem(409, "conflict");
    lead(&admin, 0).await;
    app.drain().await;
    assert_eq!(receiver.received().len(), 1, "it failed, and waits for its next attempt");

    app.advance(Duration::from_secs(1));
    let once = admin.with("idempotency-key", "disable-1");
    let reason = json!({"reason": " moving to another host "});
    let disabled = once.post(&format!("{path}/disable"), reason.clone()).await.expect(200);
    assert_eq!(
        (disabled.text("/status"), disabled.text("/disabled_reason")),
        ("disabled".into(), "moving to another host".into())
    );
    assert_eq!(disabled.text("/disabled_at"), app.now().to_string());
    let again = once.post(&format!("{path}/disable"), reason).await.expect(200);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let _ = admin.post(&format!("{path}/disable"), json!({})).await.expect_problem(409, "conflict");
    let bad = json!({"reason": "x".repeat(501)});
    let bad = admin.post(&format!("{path}/disable"), bad).await.expect_problem(422, "invalid");
    assert_eq!(bad.text("/errors/0/pointer"), "/reason");
    assert_eq!(admin.get(&path).await.expect(200).text("/health/state"), "disabled");

    for number in 1..4 {
        app.advance(Duration::from_secs(60));
        lead(&admin, number).await;
        app.sweep().await;
    }
    app.advance(Duration::from_millis(1));
    assert_eq!(receiver.received().len(), 1);
    let events = admin.get("/api/admin/events").await.expect(200);
    assert_eq!(events.json["data"].as_array().unwrap().len(), 4, "they are kept");
    let deliveries = admin.get(&format!("{path}/deliveries?status=cancelled")).await.expect(200);
    assert_eq!(deliveries.json["data"].as_array().unwrap().len(), 1, "what waited");
    assert!(deliveries.text("/data/0/reason").contains("disabled"));
    let _ = admin.post(&format!("{path}/replay"), json!({})).await.expect_problem(409, "conflict");
    let dry = admin.post(&format!("{path}/replay"), json!({"dry_run": true})).await.expect(200);
    assert_eq!(dry.json, json!({"count": 4, "looked_at": 4, "complete": true}));

    app.advance(Duration::from_secs(60));
    let enabled = admin.post(&format!("{path}/enable"), json!({})).await.expect(200);
    assert_eq!((enabled.text("/status"), &enabled.json["disabled_reason"]), ("enabled".into(), &Value::Null));
    let offer = enabled.json["replay_offer"].clone();
    app.sweep().await;
    assert_eq!(receiver.received().len(), 1, "not unless it is asked for");
    // The offer is a body for a replay, and covers what waited as well as what happened meanwhile.
    let replay = admin.post(&format!("{path}/replay"), offer).await.expect(202).text("/id");
    app.sweep().await;
    for _ in 0..3 {
        app.advance(Duration::from_secs(60));
        app.sweep().await;
    }
    let mut ids: Vec<_> =
        receiver.received()[1..].iter().map(|webhook| webhook.json()["data"]["email"].to_string()).collect();
    ids.sort();
    assert_eq!(ids, (0..4).map(|n| format!("\"l{n}@example.com\"")).collect::<Vec<_>>());
    let replay = admin.get(&format!("/api/admin/webhooks/replays/{replay}")).await.expect(200);
    assert_eq!((replay.text("/status"), &replay.json["progress"]["sent"]), ("completed".into(), &json!(4)));
    lead(&admin, 4).await;
    app.drain().await;
    assert_eq!(receiver.received().len(), 6, "and what happens now is sent at once");
}

#[tokio::test]
async fn what_happens_after_enabling_before_the_sweep_came_is_sent_as_ever() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|number| if number == 0 { 500 } else { 204 }).await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    lead(&admin, 0).await;
    app.drain().await;
    let _ = admin.post(&format!("{}/disable", path(&endpoint)), json!({})).await.expect(200);
    app.advance(Duration::from_secs(1));
    let _ = admin.post(&format!("{}/enable", path(&endpoint)), json!({})).await.expect(200);
    for _ in 0..3 {
        app.advance(Duration::from_secs(60));
        app.sweep().await;
    }
    assert_eq!(receiver.received().len(), 2, "what waited was not cancelled");
}

#[tokio::test]
async fn a_test_event_of_every_type_reaches_that_endpoint_alone_and_signed() {
    let app = TestApp::start().await;
    let (tried, other) = (Receiver::start().await, Receiver::start().await);
    let admin = app.sign_up("Acme").await;
    let (endpoint, secret) = app.endpoint(&admin, &tried, json!({"events": ["meeting.cancelled"]})).await;
    app.endpoint(&admin, &other, json!({})).await;
    let test = format!("{}/test", path(&endpoint));
    for (number, event) in events::EventType::ALL.iter().enumerate() {
        let sent = admin.post(&test, json!({"event": event.as_str()})).await.expect(202);
        app.drain().await;
        let received = tried.received();
        assert_eq!(received.len(), number + 1, "{event}");
        let webhook = &received[number];
        assert!(signed_by(webhook, &secret, app.now().seconds()), "{event}");
        assert_eq!(webhook.header("x-artisan-event"), event.as_str());
        assert_eq!(webhook.header("webhook-id"), sent.text("/event_id"));
        let (body, example) = (webhook.json(), event.example());
        assert_eq!((&body["event"], &body["data"]), (&json!(event.as_str()), &example["data"]), "{event}");
        let delivery = format!("/api/admin/webhooks/deliveries/{}", sent.text("/delivery_id"));
        assert_eq!(admin.get(&delivery).await.expect(200).text("/status"), "succeeded", "{event}");
        let event = format!("/api/admin/events/{}", sent.text("/event_id"));
        assert_eq!(admin.get(&event).await.expect(200).text("/only_for"), endpoint);
    }
    assert!(other.received().is_empty());
    assert_eq!(admin.post(&test, json!({})).await.expect(202).text("/event"), "lead.created");
    let refused = admin.post(&test, json!({"event": "lead.flown"})).await.expect_problem(422, "invalid");
    assert_eq!(refused.text("/errors/0/pointer"), "/event");
    app.drain().await;
    // A replay is about what happened, and that did not.
    app.advance(Duration::from_secs(1));
    let all = json!({"dry_run": true, "statuses": ["missing", "dead", "cancelled", "succeeded"]});
    let dry = admin.post(&format!("{}/replay", path(&endpoint)), all).await.expect(200);
    assert_eq!(dry.json["count"], 0);

    let _ = admin.post(&format!("{}/disable", path(&endpoint)), json!({})).await.expect(200);
    let _ = admin.post(&test, json!({})).await.expect_problem(409, "conflict");
    let actions: Vec<_> =
        records(&app, &admin).await.iter().map(|record| record["action"].to_string()).collect();
    assert_eq!(actions.iter().filter(|action| *action == "\"endpoint.test\"").count(), 14);
}

#[tokio::test]
async fn how_an_endpoint_does_is_told_in_figures() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|number| if number < 3 { 204 } else { 500 }).await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    let path = path(&endpoint);
    let health = async || admin.get(&path).await.expect(200).json["health"].clone();
    let unknown = health().await;
    assert_eq!((&unknown["state"], &unknown["success_rate"]), (&json!("healthy"), &Value::Null));
    assert_eq!((&unknown["sample"], &unknown["last_error"]), (&json!(0), &Value::Null));
    for number in 0..3 {
        lead(&admin, number).await;
    }
    app.drain().await;
    let last_success = app.now().to_string();
    let well = health().await;
    assert_eq!(
        (&well["success_rate"], &well["sample"], &well["waiting"]),
        (&json!(1.0), &json!(3), &json!(0))
    );
    assert_eq!(well["last_success_at"], json!(last_success));
    assert!(well["p95_latency_ms"].is_u64());

    let _ = admin.patch(&path, json!({"max_retries": 0})).await.expect(200);
    lead(&admin, 3).await;
    app.drain().await;
    let _ = admin.patch(&path, json!({"max_retries": 4})).await.expect(200);
    app.advance(Duration::from_secs(1));
    let since = app.now();
    lead(&admin, 4).await;
    app.drain().await;
    app.advance(Duration::from_secs(20));
    let sick = health().await;
    assert_eq!((&sick["state"], &sick["failures_in_a_row"]), (&json!("failing"), &json!(2)));
    assert_eq!((&sick["success_rate"], &sick["sample"]), (&json!(0.75), &json!(4)));
    assert_eq!((&sick["waiting"], &sick["waiting_more"]), (&json!(1), &json!(false)));
    assert_eq!(sick["oldest_undelivered_at"], json!(since.to_string()));
    assert_eq!(sick["oldest_undelivered_seconds"], 20);
    assert_eq!(sick["last_success_at"], json!(last_success));
    let error = &sick["last_error"];
    assert_eq!((&error["error"], &error["response_status"]), (&json!("status"), &json!(500)));
    assert!(error["delivery_id"].as_str().unwrap().starts_with("dlv_"));
    app.leaves_jobs();
}

/// Where every field may be left out, so may the body.
#[tokio::test]
async fn switches_need_no_body() {
    let app = Installation::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, secret) = app.endpoint(&admin, &receiver, json!({})).await;
    let path = path(&endpoint);
    let rotated = admin.post_nothing(&format!("{path}/rotate-secret")).await.expect(200);
    assert_ne!(rotated.text("/secret"), secret);
    let _ = admin.post_nothing(&format!("{path}/test")).await.expect(202);
    app.drain().await;
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(admin.post_nothing(&format!("{path}/disable")).await.expect(200).text("/status"), "disabled");
    assert_eq!(admin.post_nothing(&format!("{path}/enable")).await.expect(200).text("/status"), "enabled");
    let _ = admin.post_nothing("/v1/leads").await.expect_problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_list_tells_how_each_endpoint_does() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let well = Receiver::answering(|_| 204).await;
    let ill = Receiver::answering(|_| 503).await;
    let (failing, _) = app.endpoint(&admin, &ill, json!({"max_retries": 0})).await;
    let (healthy, _) = app.endpoint(&admin, &well, json!({})).await;
    let unused = json!({"url": "https://example.com/hooks", "events": ["meeting.booked"]});
    let unused = admin.post("/api/admin/webhooks", unused).await.expect(201).text("/id");
    let _ = admin.post(&format!("/api/admin/webhooks/{unused}/disable"), json!({})).await.expect(200);
    let _ = admin.post("/v1/leads", json!({"email": "ada@example.com"})).await.expect(201);
    app.drain().await;
    let plain = admin.get("/api/admin/webhooks").await.expect(200);
    assert!(plain.json["data"].as_array().unwrap().iter().all(|it| it.get("health").is_none()));
    let found = admin.get("/api/admin/webhooks?search=EXAMPLE.com").await.expect(200);
    assert_eq!((found.text("/data/0/id"), found.json["data"].as_array().unwrap().len()), (unused.clone(), 1));
    let described = json!({"description": "Takes what is never booked"});
    let _ = admin.patch(&format!("/api/admin/webhooks/{unused}"), described).await.expect(200);
    let found = admin.get("/api/admin/webhooks?search=NEVER&limit=1").await.expect(200);
    assert_eq!((found.text("/data/0/id"), &found.json["next_cursor"]), (unused.clone(), &Value::Null));
    let trial = app.key(&admin, json!({"mode": "test"})).await;
    let found = trial.get("/api/admin/webhooks?search=127.0.0.1&limit=1").await.expect(200);
    assert_eq!(found.json, json!({"data": [], "next_cursor": null}));
    app.engines().meter().reset();
    let listed = admin.get("/api/admin/webhooks?include=health").await.expect(200);
    let measured = app.engines().meter().snapshot().measured().to_vec();
    let looks =
        measured.iter().filter(|it| it.operation == "BatchGetItem" && it.resource.contains("Activity"));
    assert_eq!(looks.map(|it| it.calls).sum::<u64>(), 1, "one look for all of them");
    let health = |id: &str| {
        let data = listed.json["data"].as_array().unwrap();
        data.iter().find(|it| it["id"] == id).unwrap()["health"].clone()
    };
    for (id, state) in [(&failing, "failing"), (&healthy, "healthy"), (&unused, "disabled")] {
        assert_eq!(health(id)["state"], state);
        // The same as the endpoint itself tells.
        let whole = admin.get(&format!("/api/admin/webhooks/{id}")).await.expect(200);
        for (name, value) in health(id).as_object().unwrap() {
            assert_eq!(whole.json["health"][name], *value, "{name}");
        }
    }
    assert_eq!(health(&failing)["last_error"]["response_status"], 503);
    let refused = admin.get("/api/admin/webhooks?include=all").await.expect_problem(422, "invalid");
    assert_eq!(refused.text("/errors/0/pointer"), "query:include");
}
