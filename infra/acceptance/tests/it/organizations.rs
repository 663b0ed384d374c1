//! An organization: profile, plan, settings, its end and its return.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use ids::{Ids, UserId};
use serde_json::{Value, json};
use store::{Actor as Who, AuditRecord, Change, Member, MemberStatus, Role, Store, Tenant};
use testkit::{Actor, Installation, Response, TestApp};

const PATH: &str = "/api/admin/organization";

pub(crate) fn store(app: &TestApp) -> Store {
    let services = app.platform().services_for("organizations").unwrap();
    Store::from_environment(&services.environment, services.aws.dynamodb).unwrap()
}

/// What is due until then, but for the looks at whether an organization's log is silent, which there always are.
pub(crate) async fn tasks(store: &Store, until: clock::Timestamp) -> Vec<store::Due> {
    let mut due = store.due(until, 100).await.unwrap();
    due.retain(|due| !matches!(due.task, store::Task::WitnessLog { .. }));
    due
}

pub(crate) fn tenant(app: &TestApp, admin: &Actor) -> Tenant {
    store(app).tenant_of_job(admin.text("/organization/id").parse().unwrap())
}

fn ids(app: &TestApp) -> Ids {
    Ids::new(app.platform().clock().clone())
}

pub(crate) fn record(app: &TestApp, tenant: &Tenant, action: &'static str) -> AuditRecord {
    AuditRecord {
        id: ids(app).next(),
        action,
        actor: Who { r#type: "system".to_owned(), id: "test".to_owned(), email: None },
        resource_type: "organization".to_owned(),
        resource_id: None,
        organization_id: tenant.organization_id(),
        workspace_id: None,
        ip_address: String::new(),
        user_agent: None,
        request_id: "test".to_owned(),
        timestamp: app.now(),
        success: true,
        error_code: None,
        changes: Vec::new(),
        pii_accessed: false,
        sensitive: false,
        compliance_relevant: false,
    }
}

/// Makes the session of `admin` one that has proved these.
async fn prove(app: &TestApp, admin: &Actor, amr: &[&str]) {
    let claims = admin.token().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let session = claims["sid"].as_str().unwrap().parse().unwrap();
    let amr: Vec<String> = amr.iter().map(|it| (*it).to_owned()).collect();
    let tenant = tenant(app, admin);
    let change = Change::audited(record(app, &tenant, "test.prove")).session_proved(session, &amr, app.now());
    tenant.commit(change, None).await.unwrap();
}

/// A further member of the organization of `admin`.
pub(crate) async fn add_member(app: &TestApp, admin: &Actor, email: &str, role: Role) -> UserId {
    let tenant = tenant(app, admin);
    let member = Member {
        user_id: ids(app).next(),
        email: email.to_owned(),
        name: "Bea".to_owned(),
        role: Some(role),
        workspace_roles: Vec::new(),
        status: MemberStatus::Active,
        address_proved: true,
        generation: 0,
        created_at: app.now(),
        updated_at: app.now(),
    };
    let change = Change::audited(record(app, &tenant, "test.join"));
    let change = change.membership(tenant.organization_id(), None, Some(&member)).unwrap();
    tenant.commit(change, None).await.unwrap();
    member.user_id
}

pub(crate) async fn delete(admin: &Actor, name: &str) -> Response {
    admin.raw(Method::DELETE, PATH, json!({"confirm": name}).to_string()).await
}

/// What was found wrong with settings, by pointer.
async fn faults(admin: &Actor, settings: Value) -> Vec<String> {
    let refused = admin.patch(PATH, json!({"settings": settings})).await.expect_problem(422, "invalid");
    let errors = refused.json["errors"].as_array().unwrap();
    errors.iter().map(|error| error["pointer"].as_str().unwrap().replace("/settings/", "")).collect()
}

#[tokio::test]
async fn an_organization_shows_what_is_in_use_beside_what_its_plan_allows() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let shown = admin.get(PATH).await.expect(200);
    assert_eq!(shown.text("/id"), admin.text("/organization/id"));
    assert_eq!((shown.text("/plan"), shown.text("/status")), ("starter".to_owned(), "active".to_owned()));
    assert_eq!(
        shown.json["usage"],
        json!({
            "seats": {"used": 1, "limit": 5}, "workspaces": {"used": 1, "limit": 3},
            "api_keys": {"used": 0, "limit": 20}, "endpoints": {"used": 0, "limit": 10},
            "requests_per_hour": {"used": 0, "limit": 1_000_000},
            "retention_days": 90,
        })
    );
    let _ = app.key(&admin, json!({})).await;
    let after = admin.get(PATH).await.expect(200);
    assert_eq!(after.json["usage"]["api_keys"], json!({"used": 1, "limit": 20}));
    assert_eq!(after.json["usage"]["requests_per_hour"], json!({"used": 1000, "limit": 1_000_000}));
    assert_eq!(after.header("etag"), shown.header("etag"), "counts are no change of the profile");
}

#[tokio::test]
async fn name_and_plan_are_changed_by_who_knows_the_present_version() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let first = admin.get(PATH).await.expect(200);
    let tag = first.header("etag").unwrap().to_owned();
    let renamed =
        admin.with("if-match", tag.clone()).patch(PATH, json!({"name": " Acme AG "})).await.expect(200);
    assert_eq!((renamed.text("/name"), renamed.text("/plan")), ("Acme AG".to_owned(), "starter".to_owned()));
    let stale = admin.with("if-match", tag.clone());
    let _ = stale.patch(PATH, json!({"name": "x"})).await.expect_problem(412, "precondition_failed");
    let unchanged = admin.patch(PATH, json!({})).await.expect(200);
    assert_eq!(unchanged.header("etag"), renamed.header("etag"));
    let grown = admin.patch(PATH, json!({"plan": "growth"})).await.expect(200);
    assert_eq!(grown.json["usage"]["seats"]["limit"], 25);
    for (body, pointer, code) in [
        (json!({"plan": "enterprise"}), "/plan", "value"),
        (json!({"plan": "gold"}), "/plan", "type"),
        (json!({"plan": null}), "/plan", "required"),
        (json!({"name": ""}), "/name", "length"),
        (json!({"name": null}), "/name", "required"),
        (json!({"settings": null}), "/settings", "required"),
        (json!({"status": "deleted"}), "/status", "unknown_field"),
        (json!({"settings": {"require_mfa": "yes"}}), "/settings/require_mfa", "type"),
        (json!({"settings": {"colour": "red"}}), "/settings/colour", "unknown_field"),
    ] {
        let refused = admin.patch(PATH, body).await.expect_problem(422, "invalid");
        assert_eq!(
            (refused.text("/errors/0/pointer"), refused.text("/errors/0/code")),
            (pointer.into(), code.into())
        );
    }
}

#[tokio::test]
async fn a_plan_that_is_too_small_says_what_to_free() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    app.upgrade(&admin, "growth").await;
    let mut last = String::new();
    for _ in 0..11 {
        let endpoint = json!({"url": "https://example.com/", "events": ["*"]});
        last = admin.post("/api/admin/webhooks", endpoint).await.expect(201).text("/id");
    }
    let refused = admin.patch(PATH, json!({"plan": "starter"})).await.expect_problem(409, "plan_too_small");
    assert_eq!(refused.json["excess"], json!([{"resource": "endpoints", "used": 11, "limit": 10}]));
    let _ = admin.delete(&format!("/api/admin/webhooks/{last}")).await.expect(204);
    let _ = admin.patch(PATH, json!({"plan": "starter"})).await.expect(200);
    let full = json!({"url": "https://example.com/", "events": ["*"]});
    let _ = admin.post("/api/admin/webhooks", full).await.expect_problem(409, "limit_reached");
}

/// Whoever comes first: the plan always holds what is in use.
#[tokio::test]
async fn a_downgrade_and_an_addition_at_the_same_moment_do_not_both_happen() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    for round in 0..5 {
        app.upgrade(&admin, "growth").await;
        let keys = admin.get(PATH).await.expect(200).json["usage"]["api_keys"]["used"].as_u64().unwrap();
        for _ in keys..20 {
            let _ = app.key(&admin, json!({})).await;
        }
        let (down, key) = tokio::join!(
            admin.patch(PATH, json!({"plan": "starter"})),
            admin.post("/api/admin/api-keys", json!({"name": "one more"}))
        );
        let shown = admin.get(PATH).await.expect(200).json["usage"]["api_keys"].clone();
        assert!(shown["used"].as_u64() <= shown["limit"].as_u64(), "{round}: {shown}");
        assert!(
            matches!((down.status.as_u16(), key.status.as_u16()), (200, 409) | (409, 201)),
            "{}",
            down.body
        );
        if key.status == 201 {
            let path = format!("/api/admin/api-keys/{}", key.text("/id"));
            let _ = admin.delete(&path).await.expect(204);
        }
    }
}

#[tokio::test]
async fn nobody_locks_themselves_out() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    assert_eq!(faults(&admin, json!({"require_mfa": true})).await, ["require_mfa"]);
    assert_eq!(faults(&key, json!({"require_mfa": true})).await, ["require_mfa"]);
    assert_eq!(faults(&admin, json!({"require_sso": true})).await, ["require_sso", "require_sso"]);
    assert_eq!(
        faults(&admin, json!({"admin_allowed_cidrs": ["203.0.113.0/24"]})).await,
        ["admin_allowed_cidrs"]
    );
    assert_eq!(faults(&admin, json!({"allowed_domains": ["example.com"]})).await, ["allowed_domains/0"]);
    assert_eq!(faults(&admin, json!({"session_max_age_seconds": 899})).await, ["session_max_age_seconds"]);
    assert_eq!(faults(&admin, json!({"cors_origins": ["https://x.example/"]})).await, ["cors_origins/0"]);
    let nobody = ids(&app).next::<ids::kind::User>().to_string();
    assert_eq!(faults(&admin, json!({"break_glass_user_id": nobody})).await, ["break_glass_user_id"]);
    let looker = add_member(&app, &admin, "bea@example.com", Role::ReadOnly).await.to_string();
    assert_eq!(faults(&admin, json!({"break_glass_user_id": looker})).await, ["break_glass_user_id"]);

    prove(&app, &admin, &["pwd", "otp"]).await;
    let on = admin.patch(PATH, json!({"settings": {"require_mfa": true}})).await.expect(200);
    assert_eq!(on.json["settings"]["require_mfa"], true);
    let again = app.sign_in_again(&admin).await;
    let _ = again.get(PATH).await.expect_problem(403, "mfa_required");
    let _ = key.get(PATH).await.expect(200);
    assert_eq!(faults(&key, json!({"require_mfa": false})).await, ["require_mfa"]);
    let off = admin.patch(PATH, json!({"settings": {"require_mfa": null}})).await.expect(200);
    assert_eq!(off.json["settings"]["require_mfa"], false);
    let _ = again.get(PATH).await.expect(200);
}

#[tokio::test]
async fn single_sign_on_is_required_where_somebody_can_come_in() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let _ = admin.get("/api/admin/sso").await.expect_problem(404, "not_found");
    let sso = json!({"issuer": "https://login.example.com/acme", "client_id": "artisan", "client_secret": "hush-hush", "default_role": "read_only"});
    let set = admin.put("/api/admin/sso", sso.clone()).await.expect(200);
    assert!(!set.body.contains("hush") && !set.body.contains("secret"), "{}", set.body);
    let shown = admin.get("/api/admin/sso").await.expect(200);
    assert_eq!((shown.body.clone(), shown.header("etag")), (set.body.clone(), set.header("etag")));
    for (field, value, pointer) in [
        ("issuer", json!("http://login.example.com"), "/issuer"),
        ("issuer", json!("https://169.254.169.254/"), "/issuer"),
        ("client_id", json!(""), "/client_id"),
        ("client_secret", json!(""), "/client_secret"),
        ("default_role", json!("admin"), "/default_role"),
        ("default_role", json!("member"), "/default_workspace_id"),
    ] {
        let mut sent = sso.clone();
        sent[field] = value;
        let refused = admin.put("/api/admin/sso", sent).await.expect_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), pointer);
    }
    let mut elsewhere = sso.clone();
    elsewhere["default_workspace_id"] = json!(app.sign_up("Initech").await.text("/workspaces/0/id"));
    let _ = admin.put("/api/admin/sso", elsewhere).await.expect_problem(404, "not_found");
    let weak = app.key(&admin, json!({"scopes": ["sso:write", "campaigns:read"]})).await;
    let mut worker = sso.clone();
    worker["default_role"] = json!("member");
    worker["default_workspace_id"] = json!(admin.text("/workspaces/0/id"));
    let refused = weak.put("/api/admin/sso", worker.clone()).await.expect_problem(403, "forbidden");
    assert_eq!(refused.text("/permission"), "campaigns:write");
    worker.as_object_mut().unwrap().remove("client_secret");
    let stale = admin.with("if-match", "\"1\"");
    let _ = stale.put("/api/admin/sso", worker.clone()).await.expect_problem(412, "precondition_failed");
    let _ = admin.put("/api/admin/sso", worker.clone()).await.expect(200);
    // A secret is never sent to another provider than the one it was given for.
    worker["issuer"] = json!("https://login.example.org");
    let refused = admin.put("/api/admin/sso", worker).await.expect_problem(422, "invalid");
    assert_eq!(refused.text("/errors/0/pointer"), "/client_secret");

    assert_eq!(faults(&admin, json!({"require_sso": true})).await, ["require_sso"]);
    prove(&app, &admin, &["sso"]).await;
    let _ = admin.patch(PATH, json!({"settings": {"require_sso": true}})).await.expect(200);
    let password = app.sign_in_again(&admin).await;
    let _ = password.get(PATH).await.expect_problem(403, "sso_required");
    let _ = admin.delete("/api/admin/sso").await.expect_problem(409, "conflict");
    // The break-glass admin comes in all the same.
    let me = admin.text("/user/id");
    let _ = admin.patch(PATH, json!({"settings": {"break_glass_user_id": me}})).await.expect(200);
    let _ = password.get(PATH).await.expect(200);
    assert_eq!(faults(&password, json!({"break_glass_user_id": null})).await, ["break_glass_user_id"]);
    let _ = admin.patch(PATH, json!({"settings": {"require_sso": false}})).await.expect(200);
    let _ = admin.delete("/api/admin/sso").await.expect(204);
    let _ = admin.delete("/api/admin/sso").await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_change_of_settings_is_on_record_field_by_field() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.advance(Duration::from_millis(5));
    let body = json!({"plan": "growth", "settings": {
        "session_max_age_seconds": 900, "admin_allowed_cidrs": ["127.0.0.1/8"], "cors_origins": [],
    }});
    let _ = admin.patch(PATH, body).await.expect(200);
    let all = tenant(&app, &admin).every_audit_record(app.now()).await.unwrap();
    let updates: Vec<_> = all.iter().filter(|it| it["action"] == "organization.update").collect();
    assert_eq!(updates.len(), 1);
    let update = updates[0];
    assert_eq!(
        update["changes"],
        json!([
            {"field": "plan", "before": "starter", "after": "growth"},
            {"field": "settings.session_max_age_seconds", "before": null, "after": 900},
            {"field": "settings.admin_allowed_cidrs", "before": [], "after": ["127.0.0.0/8"]},
        ])
    );
    assert_eq!((&update["sensitive"], &update["compliance_relevant"]), (&json!(true), &json!(true)));
    let _ = admin.patch(PATH, json!({})).await.expect(200);
    assert_eq!(tenant(&app, &admin).every_audit_record(app.now()).await.unwrap().len(), all.len());
    // The session is as old as it may be.
    app.advance(Duration::from_secs(899));
    let body = json!({"refresh_token": admin.text("/refresh_token")});
    let fresh = app.stranger().post("/api/auth/refresh", body).await.expect(200);
    app.advance(Duration::from_secs(1));
    let old = admin.with_token(&fresh.text("/access_token"));
    let _ = old.get(PATH).await.expect_problem(401, "session_expired");
}

#[tokio::test]
async fn an_organization_is_administered_from_its_networks_only() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let office = admin.at("203.0.113.7");
    let networks = json!({"settings": {"admin_allowed_cidrs": ["203.0.113.9/24", "2001:db8::1/32"]}});
    let set = office.patch(PATH, networks).await.expect(200);
    assert_eq!(set.json["settings"]["admin_allowed_cidrs"], json!(["2001:db8::/32", "203.0.113.0/24"]));
    let _ = admin.get(PATH).await.expect_problem(403, "ip_not_allowed");
    let _ =
        admin.with("x-forwarded-for", "203.0.113.7").get(PATH).await.expect_problem(403, "ip_not_allowed");
    let _ = office.get(PATH).await.expect(200);
    let _ = admin.at("2001:db8::7").get(PATH).await.expect(200);
    let _ = admin.at("203.0.114.7").get("/api/admin/api-keys").await.expect_problem(403, "ip_not_allowed");
    let _ = admin.get("/v1/campaigns").await.expect(200);
    let _ = admin.get("/api/auth/me").await.expect(200);
    // Keys learn of it within seconds.
    app.advance(Duration::from_secs(11));
    let _ = key.get(PATH).await.expect_problem(403, "ip_not_allowed");
    let _ = key.at("203.0.113.8").get(PATH).await.expect(200);
    let _ = key.get("/v1/campaigns").await.expect(200);
    let _ = office.patch(PATH, json!({"settings": {"admin_allowed_cidrs": null}})).await.expect(200);
    let _ = admin.get(PATH).await.expect(200);
}

fn preflight(app: &TestApp, origin: &str) -> Actor {
    app.stranger().with("origin", origin).with("access-control-request-method", "POST")
}

#[tokio::test]
async fn pages_of_listed_origins_may_call_and_others_may_not() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let other = app.sign_up("Initech").await;
    let origin = "https://app.example.com";
    let ask = async |path: &str| preflight(&app, origin).raw(Method::OPTIONS, path, "").await;
    let _ = ask("/v1/leads").await.expect_problem(405, "method_not_allowed");
    let origins = json!({"settings": {"cors_origins": ["http://localhost:3000", origin]}});
    let _ = admin.patch(PATH, origins).await.expect(200);
    for path in ["/v1/leads", "/api/admin/organization", "/v1/leads/x/replies", "/health", "/nothing"] {
        let allowed = ask(path).await.expect(204);
        assert_eq!(allowed.header("access-control-allow-origin"), Some(origin), "{path}");
        assert_eq!(allowed.header("access-control-max-age"), Some("600"));
        assert!(allowed.header("access-control-allow-methods").unwrap().contains("PATCH"));
        let headers = allowed.header("access-control-allow-headers").unwrap();
        for name in ["authorization", "content-type", "idempotency-key", "if-match", "x-workspace-id"] {
            assert!(headers.contains(name), "{name}");
        }
        assert!(allowed.headers.get_all("vary").iter().any(|vary| vary == "Origin"));
        assert!(allowed.header("x-request-id").is_some() && allowed.header("x-frame-options").is_some());
        assert_eq!(allowed.header("access-control-allow-credentials"), None);
    }
    for foreign in
        ["https://evil.example", "https://app.example.com.evil.example", "null", "http://app.example.com"]
    {
        let refused = preflight(&app, foreign).raw(Method::OPTIONS, "/v1/leads", "").await;
        assert_eq!(
            refused.expect_problem(405, "method_not_allowed").header("access-control-allow-origin"),
            None
        );
    }
    // Without the headers of a preflight it is none.
    let _ =
        app.stranger().raw(Method::OPTIONS, "/v1/leads", "").await.expect_problem(405, "method_not_allowed");
    let _ =
        app.stranger().raw(Method::OPTIONS, "/health", "").await.expect_problem(405, "method_not_allowed");

    let from_page = |actor: &Actor| actor.with("origin", origin);
    let read = from_page(&admin).get("/v1/leads").await.expect(200);
    assert_eq!(read.header("access-control-allow-origin"), Some(origin));
    let foreign = from_page(&other).get("/v1/leads").await.expect(200);
    assert_eq!(foreign.header("access-control-allow-origin"), None, "another organization lists it");
    // Two organizations list it; one takes it off.
    let both = json!({"settings": {"cors_origins": [origin]}});
    let _ = other.patch(PATH, both).await.expect(200);
    let _ = admin.patch(PATH, json!({"settings": {"cors_origins": null}})).await.expect(200);
    let _ = ask("/v1/leads").await.expect(204);
    let _ = other.patch(PATH, json!({"settings": {"cors_origins": []}})).await.expect(200);
    let _ = ask("/v1/leads").await.expect_problem(405, "method_not_allowed");
}

#[tokio::test]
async fn a_deleted_organization_stops_people_and_keys_at_once_and_comes_back_whole() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.prove(&admin).await;
    // Records of the same millisecond would sort at random.
    app.advance(Duration::from_millis(1));
    let _ = add_member(&app, &admin, "second@example.com", Role::Admin).await;
    let _ = add_member(&app, &admin, "reader@example.com", Role::ReadOnly).await;
    let neighbour = app.sign_up("Initech").await;
    let live = app.key(&admin, json!({})).await;
    let test = app.key(&admin, json!({"mode": "test"})).await;
    let revoked = app.key(&admin, json!({})).await;
    let _ = admin.delete(&format!("/api/admin/api-keys/{}", revoked.text("/id"))).await.expect(204);
    let _ = live.get("/v1/leads").await.expect(200);
    for wrong in ["", "acme", "Initech"] {
        let refused = delete(&admin, wrong).await.expect_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), "/confirm");
    }
    let nothing = admin.raw(Method::DELETE, PATH, "{}").await.expect_problem(422, "invalid");
    assert_eq!(nothing.text("/errors/0/pointer"), "/confirm");
    let weak = app.key(&admin, json!({"scopes": ["organization:write"]})).await;
    let _ = delete(&weak, "Acme").await.expect_problem(403, "forbidden");

    let erased_after = (app.now() + Duration::from_secs(30 * 24 * 60 * 60)).to_string();
    for _ in 0..2 {
        let gone = delete(&admin, "Acme").await.expect(202);
        assert_eq!(gone.json, json!({"status": "deleted", "erased_after": erased_after}));
        app.advance(Duration::from_secs(1));
    }
    for key in [&live, &test, &weak] {
        for path in ["/v1/leads", "/v1/whoami", PATH] {
            let _ = key.get(path).await.expect_problem(403, "organization_deleted");
        }
    }
    let _ = revoked.get("/v1/leads").await.expect_problem(401, "key_revoked");
    for path in [PATH, "/v1/leads", "/api/auth/me"] {
        let _ = admin.get(path).await.expect_problem(403, "organization_deleted");
    }
    let more = json!({"name": "x"});
    let _ = admin.post("/api/admin/api-keys", more).await.expect_problem(403, "organization_deleted");
    let _ = neighbour.get(PATH).await.expect(200);
    app.drain().await;
    for told in [admin.text("/user/email"), "second@example.com".to_owned()] {
        let about = app.mails_to(&told).into_iter().filter(|mail| mail.subject.contains("Acme"));
        assert_eq!(about.count(), 1, "{told}");
    }
    assert!(app.mails_to("reader@example.com").is_empty());
    let due = tasks(&store(&app), app.now() + Duration::from_secs(31 * 24 * 60 * 60)).await;
    assert_eq!(due.len(), 1, "{due:?}");

    let restore = format!("{PATH}/restore");
    let _ = live.post(&restore, json!({})).await.expect_problem(403, "organization_deleted");
    for _ in 0..2 {
        let back = admin.post(&restore, json!({})).await.expect(200);
        assert_eq!((back.text("/status"), &back.json["erased_after"]), ("active".to_owned(), &Value::Null));
    }
    let _ = live.get("/v1/leads").await.expect(200);
    let _ = test.get("/v1/leads").await.expect(200);
    let _ = revoked.get("/v1/leads").await.expect_problem(401, "key_revoked");
    let _ = admin.get("/v1/leads").await.expect(200);
    assert!(tasks(&store(&app), app.now() + Duration::from_secs(31 * 24 * 60 * 60)).await.is_empty());
    let actions: Vec<_> = tenant(&app, &admin)
        .every_audit_record(app.now())
        .await
        .unwrap()
        .iter()
        .filter_map(|it| it["action"].as_str().map(str::to_owned))
        .filter(|action| action.starts_with("organization."))
        .collect();
    assert_eq!(actions, ["organization.create", "organization.delete", "organization.restore"]);
}

/// Whatever a deletion and a restoration at the same moment come to, keys are as their organization is.
#[tokio::test]
async fn keys_go_with_their_organization_whoever_is_first() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let mut keys = Vec::new();
    for _ in 0..5 {
        keys.push(app.key(&admin, json!({})).await);
    }
    let restore = format!("{PATH}/restore");
    for _ in 0..6 {
        let (gone, back) = tokio::join!(delete(&admin, "Acme"), admin.post(&restore, json!({})));
        assert!(matches!(gone.status.as_u16(), 202 | 409), "{}", gone.body);
        assert!(matches!(back.status.as_u16(), 200 | 409), "{}", back.body);
        let active = admin.get(PATH).await.status == 200;
        for key in &keys {
            let answer = key.get("/v1/whoami").await;
            assert_eq!(answer.status == 200, active, "{}", answer.body);
        }
        app.advance(Duration::from_millis(1));
    }
    let _ = admin.post(&restore, json!({})).await.expect(200);
    for key in &keys {
        let _ = key.get("/v1/whoami").await.expect(200);
    }
    app.drain().await;
}
