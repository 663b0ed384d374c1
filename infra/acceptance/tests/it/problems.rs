//! Bad input gets its problem, never a 500.

use http::Method;
use proptest::prelude::*;
use serde_json::json;
use testkit::{Installation, TestApp};

const POSTS: &[&str] = &[
    "/api/auth/signup",
    "/api/auth/login",
    "/api/auth/refresh",
    "/api/admin/api-keys",
    "/api/admin/audit-logs/exports",
    "/api/admin/domains",
    "/api/admin/organization/export",
    "/api/admin/privacy/erasures",
    "/api/admin/privacy/exports",
    "/api/admin/webhooks",
    "/api/admin/webhooks/dead-letters/redrive",
    "/api/admin/workspaces",
    "/api/admin/invitations",
    "/v1/campaigns",
    "/v1/leads",
    "/v1/meetings",
    "/v1/email-events",
];

#[tokio::test]
async fn what_is_not_json_is_malformed() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    for path in POSTS {
        for body in ["", "{", "nonsense", "{\"name\":}", "[1,", "\u{0}", "{} {}"] {
            let _ = admin.raw(Method::POST, path, body).await.expect_problem(400, "malformed_request");
        }
        for body in ["[]", "5", "null", "\"x\"", "true"] {
            let _ = admin.raw(Method::POST, path, body).await.expect_problem(422, "invalid");
        }
        let _ = admin
            .raw(Method::POST, path, vec![0xff, 0xfe, 0x00])
            .await
            .expect_problem(400, "malformed_request");
        let unknown = admin.post(path, json!({"no_such_field": 1})).await.expect_problem(422, "invalid");
        assert_eq!(unknown.text("/errors/0/code"), "unknown_field", "{}", unknown.body);
        assert_eq!(unknown.text("/errors/0/pointer"), "/no_such_field");
        let _ = admin.with("content-type", "text/plain").raw(Method::POST, path, "{}").await;
    }
}

#[tokio::test]
async fn oversized_bodies_are_refused() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(256 * 1024));
    for path in POSTS {
        let _ = admin.raw(Method::POST, path, huge.clone()).await.expect_problem(413, "payload_too_large");
        // Without a Content-Length the size shows only as the body comes in.
        let chunks = vec![bytes::Bytes::from(vec![b' '; 64 * 1024]); 5];
        let stream = futures::stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
        let body = axum::body::Body::from_stream(stream);
        let _ = admin.raw(Method::POST, path, body).await.expect_problem(413, "payload_too_large");
    }
}

fn nested(levels: usize) -> serde_json::Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

#[tokio::test]
async fn wrong_types_and_values_are_pointed_at() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let cases = [
        ("/v1/campaigns", json!({"name": 5}), "/name", "type"),
        ("/v1/campaigns", json!({}), "/name", "required"),
        ("/v1/campaigns", json!({"name": "x".repeat(201)}), "/name", "length"),
        ("/v1/leads", json!({"email": "nobody"}), "/email", "format"),
        ("/v1/leads", json!({"email": "a@example.com", "campaign_id": "camp_1"}), "/campaign_id", "format"),
        ("/v1/leads", json!({"email": "a@example.com", "custom": []}), "/custom", "type"),
        ("/v1/leads", json!({"email": "a@example.com", "custom": {"a": {"": 1}}}), "/custom", "value"),
        ("/v1/leads", json!({"email": "a@example.com", "custom": {"a": nested(40)}}), "/custom", "range"),
        (
            "/v1/leads",
            json!({"email": "a@example.com", "custom": {"$serde_json::private::RawValue": "x"}}),
            "/custom",
            "value",
        ),
        ("/api/admin/api-keys", json!({"name": "x", "scopes": ["leads:fly"]}), "/scopes/0", "value"),
        ("/api/admin/api-keys", json!({"name": "x", "mode": "prod"}), "/mode", "type"),
        (
            "/api/admin/api-keys",
            json!({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}),
            "/expires_at",
            "range",
        ),
        ("/api/admin/api-keys", json!({"name": "x", "expires_at": "soon"}), "/expires_at", "format"),
        (
            "/api/admin/api-keys",
            json!({"name": "x", "allowed_cidrs": ["10.0.0.0/40"]}),
            "/allowed_cidrs/0",
            "format",
        ),
        (
            "/api/admin/api-keys",
            json!({"name": "x", "rate_limit_per_hour": 0}),
            "/rate_limit_per_hour",
            "range",
        ),
        (
            "/api/admin/api-keys",
            json!({"name": "x", "rate_limit_per_hour": -1}),
            "/rate_limit_per_hour",
            "type",
        ),
        ("/api/admin/webhooks", json!({"url": "http://example.com", "events": ["*"]}), "/url", "value"),
        ("/api/admin/webhooks", json!({"url": "https://169.254.169.254/", "events": ["*"]}), "/url", "value"),
        (
            "/api/admin/webhooks",
            json!({"url": "https://example.com", "events": ["lead.*"]}),
            "/events/0",
            "value",
        ),
        ("/api/admin/webhooks", json!({"url": "https://example.com", "events": []}), "/events", "length"),
        (
            "/api/admin/webhooks",
            json!({"url": "https://example.com", "events": ["*"], "max_retries": 13}),
            "/max_retries",
            "range",
        ),
    ];
    for (path, body, pointer, code) in cases {
        let answer = admin.post(path, body.clone()).await.expect_problem(422, "invalid");
        assert_eq!(answer.text("/errors/0/pointer"), pointer, "{body}");
        assert_eq!(answer.text("/errors/0/code"), code, "{body}: {}", answer.body);
    }
    let several = json!({"organization_name": "", "name": "", "email": "x", "password": "hunter2hunt"});
    let answer = app.stranger().post("/api/auth/signup", several).await.expect_problem(422, "invalid");
    assert_eq!(answer.json["errors"].as_array().unwrap().len(), 4);
    assert!(!answer.body.contains("hunter2hunt"), "a secret is echoed");
}

#[tokio::test]
async fn bad_ids_routes_methods_and_queries() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    for id in [
        "nope",
        "camp_",
        "camp_01KAQ8ZR3Y7E2R4M8N5P6Q7S8T",
        "lead_01kaq8zr3yfe2r4m8n5p6q7s8t",
        "%00",
        "%F0%28",
    ] {
        let _ = admin.get(&format!("/v1/campaigns/{id}")).await.expect_problem(404, "not_found");
    }
    let _ = admin.get("/v1/nothing").await.expect_problem(404, "route_not_found");
    let _ = admin.get("/").await.expect_problem(404, "route_not_found");
    for path in ["/v1/campaigns", "/api/campaigns"] {
        let answer = admin.raw(Method::PUT, path, "{}").await.expect_problem(405, "method_not_allowed");
        assert_eq!(answer.headers["allow"], "GET, POST");
    }
    for query in ["limit=0", "limit=101", "limit=x", "limit=-1", "offset=3", "limit=1&limit=0"] {
        let _ = admin.get(&format!("/v1/campaigns?{query}")).await.expect_problem(422, "invalid");
    }
    let _ = admin.with("x-workspace-id", "nonsense").get("/v1/leads").await.expect_problem(404, "not_found");
    for key in ["", " ", "with space", "ü", &"x".repeat(256)] {
        let answer = admin.with("idempotency-key", key).post("/v1/campaigns", json!({"name": "x"})).await;
        let _ = answer.expect_problem(422, "invalid");
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_the_request_id() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    for answer in [
        admin.get("/v1/campaigns").await,
        app.stranger().get("/v1/campaigns").await,
        app.stranger().get("/health").await,
        app.stranger().get("/nothing").await,
    ] {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{}", answer.request);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.header("strict-transport-security").is_some());
        assert!(answer.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
        assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
        assert!(answer.header("access-control-allow-origin").is_none());
    }
    let answer = admin.with("x-request-id", "mine-1").get("/v1/nothing").await;
    assert_eq!(
        (answer.header("x-request-id"), answer.text("/request_id")),
        (Some("mine-1"), "mine-1".into())
    );
    let forged = admin.with("x-request-id", "a b").get("/v1/campaigns").await;
    assert!(forged.header("x-request-id").unwrap().starts_with("req_"));
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<f64>().prop_map(|n| json!(n)),
        any::<i64>().prop_map(|n| json!(n)),
        "\\PC{0,20}".prop_map(|s| json!(s)),
        Just(json!("a@example.com")),
        Just(json!("https://example.com/")),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let name = prop_oneof![
            Just("name".to_owned()),
            Just("email".to_owned()),
            Just("custom".to_owned()),
            Just("url".to_owned()),
            Just("events".to_owned()),
            Just("scopes".to_owned()),
            Just("headers".to_owned()),
            "[a-z]{1,8}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| json!(v)),
            prop::collection::btree_map(name, inner, 0..5).prop_map(|m| json!(m)),
        ]
    })
}

#[test]
fn no_document_makes_a_500() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (app, admin) = runtime.block_on(async {
        let app = TestApp::start().await;
        let admin = app.sign_up("Acme").await;
        (app, admin)
    });
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 300, ..Default::default() });
    let strategy = (prop::sample::select(POSTS.to_vec()), any_json());
    runner
        .run(&strategy, |(path, body)| {
            let answer = runtime.block_on(admin.post(path, body));
            prop_assert!(answer.status.as_u16() < 500, "{}: {}", answer.request, answer.body);
            Ok(())
        })
        .unwrap();
    runtime.block_on(app.drain());
}
