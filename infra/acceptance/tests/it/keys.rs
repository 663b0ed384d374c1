//! API keys: made, used, confined, revoked.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Installation, TestApp};

#[tokio::test]
async fn a_key_is_shown_once_and_listed_without_its_secret() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key =
        app.key(&admin, json!({"name": "CRM", "scopes": ["leads:read"], "rate_limit_per_hour": 50})).await;
    assert!(key.token().starts_with("sk_live_") && key.token().len() == 40);
    let _ = key.get("/v1/leads").await.expect(200);
    let listed = admin.get("/api/admin/api-keys").await.expect(200);
    assert!(!listed.body.contains(key.token()));
    assert_eq!(listed.text("/data/0/name"), "CRM");
    assert_eq!(listed.text("/data/0/last_four"), &key.token()[36..]);
    assert_eq!(listed.text("/data/0/prefix"), "sk_live_");
    assert_eq!(listed.json["data"][0]["rate_limit_per_hour"], 50);
    assert_eq!(listed.text("/data/0/last_used_at"), app.now().to_string());
    let one = admin.get(&format!("/api/admin/api-keys/{}", key.text("/id"))).await.expect(200);
    assert_eq!(one.json["scopes"], json!(["leads:read"]));
    assert!(one.header("etag").is_some());
}

#[tokio::test]
async fn keys_are_found_by_name_and_by_their_last_characters() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    for name in ["CRM sync", "Billing", "Old crm"] {
        app.advance(Duration::from_millis(1));
        let _ = app.key(&admin, json!({"name": name})).await;
    }
    let path = "/api/admin/api-keys";
    let page = async |query: &str| admin.get(&format!("{path}?{query}")).await.expect(200);
    let both = page("search=CRM").await;
    assert_eq!((both.text("/data/0/name"), both.text("/data/1/name")), ("Old crm".into(), "CRM sync".into()));
    assert_eq!((both.json["data"].as_array().unwrap().len(), &both.json["next_cursor"]), (2, &Value::Null));
    // Page by page it is the same.
    let first = page("search=crm&limit=1").await;
    let cursor = first.text("/next_cursor");
    let second = page(&format!("search=crm&limit=1&cursor={cursor}")).await;
    assert_eq!(
        (first.text("/data/0/name"), second.text("/data/0/name")),
        ("Old crm".into(), "CRM sync".into())
    );
    assert_eq!(second.json["next_cursor"], Value::Null);
    let other = admin.get(&format!("{path}?search=billing&limit=1&cursor={cursor}")).await;
    let _ = other.expect_problem(422, "invalid_cursor");
    let last_four = both.text("/data/1/last_four");
    assert_eq!(page(&format!("search={last_four}")).await.text("/data/0/name"), "CRM sync");
    assert_eq!(page("search=nobody").await.json, json!({"data": [], "next_cursor": null}));
    let refused = admin.get(&format!("{path}?search=%20")).await.expect_problem(422, "invalid");
    assert_eq!(refused.text("/errors/0/pointer"), "query:search");
    let capital = last_four
        .chars()
        .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() });
    let capital: String = capital.collect();
    if capital != last_four {
        let other = page(&format!("search={capital}")).await;
        assert!(
            other.json["data"].as_array().unwrap().iter().all(|it| it["name"] != "CRM sync"),
            "{}",
            other.json
        );
    }
    // A key that makes test keys, or is confined to a workspace, finds none of these.
    let workspace = admin.text("/workspaces/0/id");
    for confined in [json!({"mode": "test"}), json!({"workspace_id": workspace})] {
        let confined = app.key(&admin, confined).await;
        let found = confined.get(&format!("{path}?search=crm&limit=1")).await.expect(200);
        assert_eq!(found.json, json!({"data": [], "next_cursor": null}));
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_from_the_next_request_on_everywhere() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let _ = key.get("/v1/leads").await.expect(200);
    let path = format!("/api/admin/api-keys/{}", key.text("/id"));
    let _ = admin.with("if-match", "\"1\"").delete(&path).await.expect_problem(412, "precondition_failed");
    let _ = admin.delete(&path).await.expect(204);
    for route in ["/v1/leads", "/v1/campaigns", "/v1/whoami", "/api/admin/webhooks", "/api/admin/api-keys"] {
        let _ = key.get(route).await.expect_problem(401, "key_revoked");
    }
    assert_eq!(admin.get(&path).await.expect(200).text("/status"), "revoked");
    let _ = admin.delete(&path).await.expect_problem(409, "conflict");
}

#[tokio::test]
async fn an_expired_key_and_one_from_elsewhere_are_told_why() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let expires_at = (app.now() + Duration::from_secs(60)).to_string();
    let key = app.key(&admin, json!({"expires_at": expires_at})).await;
    let _ = key.get("/v1/whoami").await.expect(200);
    app.advance(Duration::from_secs(60));
    let _ = key.get("/v1/whoami").await.expect_problem(401, "key_expired");
    let elsewhere = app.key(&admin, json!({"allowed_cidrs": ["203.0.113.0/24"]})).await;
    let _ = elsewhere.get("/v1/whoami").await.expect_problem(403, "ip_not_allowed");
    // A header that a client can forge changes nothing.
    let forged = elsewhere.with("x-forwarded-for", "203.0.113.7");
    let _ = forged.get("/v1/whoami").await.expect_problem(403, "ip_not_allowed");
}

#[tokio::test]
async fn nobody_gives_what_they_do_not_hold() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let maker = app.key(&admin, json!({"scopes": ["api_keys:write", "leads:read"]})).await;
    let wider = json!({"name": "x", "scopes": ["leads:read", "leads:write"]});
    let refused = maker.post("/api/admin/api-keys", wider).await.expect_problem(403, "forbidden");
    assert_eq!(refused.text("/permission"), "leads:write");
    let same = maker.post("/api/admin/api-keys", json!({"name": "x"})).await.expect(201);
    assert_eq!(same.json["scopes"], json!(["api_keys:write", "leads:read"]));
    let refused = maker.get("/v1/campaigns").await.expect_problem(403, "forbidden");
    assert_eq!(refused.text("/permission"), "campaigns:read");
    // Nor does a key outlive its maker, reach further, or have a larger budget.
    let expires_at = (app.now() + Duration::from_secs(3600)).to_string();
    let bound =
        json!({"expires_at": expires_at, "allowed_cidrs": ["127.0.0.0/8"], "rate_limit_per_hour": 20});
    let bound = app.key(&admin, bound).await;
    let made = bound.post("/api/admin/api-keys", json!({"name": "x"})).await.expect(201);
    assert_eq!(
        (made.text("/expires_at"), made.text("/allowed_cidrs/0")),
        (expires_at, "127.0.0.0/8".to_owned())
    );
    assert_eq!(made.json["rate_limit_per_hour"], 20);
    for wider in [
        json!({"name": "x", "expires_at": (app.now() + Duration::from_secs(3601)).to_string()}),
        json!({"name": "x", "allowed_cidrs": ["0.0.0.0/0"]}),
        json!({"name": "x", "rate_limit_per_hour": 21}),
    ] {
        let _ = bound.post("/api/admin/api-keys", wider).await.expect_problem(422, "invalid");
    }
    // A test key makes test keys.
    let test = app.key(&admin, json!({"mode": "test"})).await;
    let live = json!({"name": "x", "mode": "live"});
    let _ = test.post("/api/admin/api-keys", live).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn there_is_room_for_so_many_endpoints_and_no_more() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.upgrade(&admin, "business").await;
    let endpoint = json!({"url": "https://example.com/", "events": ["*"]});
    let mut last = String::new();
    for _ in 0..100 {
        last = admin.post("/api/admin/webhooks", endpoint.clone()).await.expect(201).text("/id");
    }
    let full = admin.post("/api/admin/webhooks", endpoint.clone()).await.expect_problem(409, "limit_reached");
    assert!(full.text("/detail").contains("100 endpoints"));
    let _ = admin.delete(&format!("/api/admin/webhooks/{last}")).await.expect(204);
    let _ = admin.post("/api/admin/webhooks", endpoint).await.expect(201);

    // A page goes on where it was left, also when what stood there has been deleted.
    let first = admin.get("/api/admin/webhooks?limit=40").await.expect(200);
    let (shown, cursor) = (first.json["data"].as_array().unwrap().clone(), first.text("/next_cursor"));
    let _ =
        admin.delete(&format!("/api/admin/webhooks/{}", shown[39]["id"].as_str().unwrap())).await.expect(204);
    let second = admin.get(&format!("/api/admin/webhooks?limit=100&cursor={cursor}")).await.expect(200);
    assert_eq!(second.json["data"].as_array().unwrap().len(), 60);
    assert_eq!(second.json["next_cursor"], serde_json::Value::Null);
}
