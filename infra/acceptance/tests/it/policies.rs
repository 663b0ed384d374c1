//! Policies of an organization: judged by what each session proved, with every request, from the moment they are set.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Actor, Authenticator, Installation, PASSWORD, TestApp};

/// What somebody may do whose session has not proved enough: get the proof, and leave. The contract's list; everything
/// else in the OpenAPI document is expected to refuse.
const WAYS_OUT: [(&str, &str); 8] = [
    ("POST", "/api/auth/email/confirm"),
    ("POST", "/api/auth/mfa/enroll"),
    ("POST", "/api/auth/mfa/activate"),
    ("POST", "/api/auth/mfa/verify"),
    ("POST", "/api/auth/mfa/recovery-codes"),
    ("POST", "/api/auth/logout"),
    ("POST", "/api/auth/switch"),
    ("DELETE", "/api/auth/mfa"),
];

async fn settings(admin: &Actor, settings: Value) -> testkit::Response {
    admin.patch("/api/admin/organization", json!({"settings": settings})).await
}

/// Enrolls a second factor in the session of `person`, and proves it there.
async fn prove(app: &TestApp, person: &Actor) -> Authenticator {
    let password = json!({"password": PASSWORD});
    let enrolled = person.post("/api/auth/mfa/enroll", password).await.expect(200);
    let authenticator = Authenticator::new(&enrolled.text("/secret"));
    let code = json!({"code": authenticator.code(app.now())});
    let _ = person.post("/api/auth/mfa/activate", code).await.expect(200);
    app.advance(Duration::from_secs(30));
    authenticator
}

#[tokio::test]
async fn without_a_second_factor_everything_but_enrolment_is_refused_at_once() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let other = app.invite_and_join(&admin, json!({"role": "admin"})).await;
    let key = app.key(&admin, json!({})).await;
    let document = app.stranger().get("/openapi.json").await.expect(200).json;
    let _ = other.get("/api/admin/organization").await.expect(200);

    let _ = prove(&app, &admin).await;
    let _ = settings(&admin, json!({"require_mfa": true})).await.expect(200);
    // The session that was there all along is bound from the next request on, in every operation.
    let mut refused = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase();
            let needs = operation["x-permission"].as_str();
            if needs.is_none() || WAYS_OUT.contains(&(method.as_str(), path.as_str())) {
                continue;
            }
            let path = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
            let path = path.collect::<Vec<_>>().join("/");
            let answer = other.raw(method.parse().unwrap(), &path, "{}").await;
            let _ = answer.expect_problem(403, "mfa_required");
            refused += 1;
        }
    }
    assert!(refused > 50, "only {refused} operations were found");
    // Keys are not people, and what the session proved is enough for who proved it.
    let _ = key.get("/v1/whoami").await.expect(200);
    let _ = admin.get("/api/admin/organization").await.expect(200);
    // A factor that is merely configured opens nothing; the session that used it is open.
    let second = app.sign_in_again(&other).await;
    let _ = prove(&app, &other).await;
    let _ = other.get("/api/admin/organization").await.expect(200);
    let _ = second.get("/api/admin/organization").await.expect_problem(403, "mfa_required");
    // Loosened, it is loosened at once, too.
    let _ = settings(&admin, json!({"require_mfa": false})).await.expect(200);
    let _ = second.get("/api/admin/organization").await.expect(200);
}

#[tokio::test]
async fn sessions_grow_as_old_as_the_organization_lets_them() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let other = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
    let refresh = other.text("/refresh_token");
    app.advance(Duration::from_secs(600));
    let _ = settings(&admin, json!({"session_max_age_seconds": 900})).await.expect(200);
    let _ = other.get("/api/admin/organization").await.expect(200);
    app.advance(Duration::from_secs(300));
    let over = other.get("/api/admin/organization").await;
    let _ = over.expect_problem(401, "session_expired");
    let refreshed = app.stranger().post("/api/auth/refresh", json!({"refresh_token": refresh})).await;
    let _ = refreshed.expect_problem(401, "session_expired");
}

#[tokio::test]
async fn the_plane_of_administration_is_open_to_the_listed_networks_only() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await.at("203.0.113.7");
    let key = app.key(&admin, json!({})).await;
    let elsewhere = json!({"admin_allowed_cidrs": ["198.51.100.0/24"]});
    let _ = settings(&admin, elsewhere).await.expect_problem(422, "invalid");
    let _ = settings(&admin, json!({"admin_allowed_cidrs": ["203.0.113.0/24"]})).await.expect(200);
    let _ = admin.get("/api/admin/organization").await.expect(200);
    let away = admin.at("198.51.100.9");
    let _ = away.get("/api/admin/organization").await.expect_problem(403, "ip_not_allowed");
    // What is not administration is not bound by it.
    let _ = away.get("/v1/campaigns").await.expect(200);
    let _ = away.get("/api/auth/me").await.expect(200);
    // Keys learn of it within ten seconds.
    app.advance(Duration::from_secs(10));
    let _ = key.at("198.51.100.9").get("/api/admin/webhooks").await.expect_problem(403, "ip_not_allowed");
    let _ = key.at("203.0.113.9").get("/api/admin/webhooks").await.expect(200);
    let _ = key.at("198.51.100.9").get("/v1/campaigns").await.expect(200);
}

#[tokio::test]
async fn a_deleted_organization_is_closed_to_people_and_keys_at_once_and_comes_back_whole() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let member = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
    let key = app.key(&admin, json!({})).await;
    let _ = key.get("/v1/campaigns").await.expect(200);
    let wrong = admin.raw(Method::DELETE, "/api/admin/organization", r#"{"confirm":"Initech"}"#).await;
    let _ = wrong.expect_problem(422, "invalid");
    let gone =
        admin.raw(Method::DELETE, "/api/admin/organization", r#"{"confirm":"Acme"}"#).await.expect(202);
    assert_eq!(gone.text("/status"), "deleted");
    for caller in [&admin, &member, &key] {
        let _ = caller.get("/v1/campaigns").await.expect_problem(403, "organization_deleted");
    }
    // The way out stays open: signing out, and other organizations.
    let body = json!({
        "email": member.text("/user/email"),
        "password": testkit::PASSWORD,
        "organization_id": admin.text("/organization/id"),
    });
    let again = app.stranger().post("/api/auth/login", body).await.expect(200);
    let again = member.with_token(&again.text("/access_token"));
    let _ = again.get("/v1/campaigns").await.expect_problem(403, "organization_deleted");
    let _ = again.raw(Method::POST, "/api/auth/logout", "").await.expect(204);
    let _ = member
        .raw(Method::POST, "/api/admin/organization/restore", "{}")
        .await
        .expect_problem(403, "forbidden");
    let _ = admin.raw(Method::POST, "/api/admin/organization/restore", "{}").await.expect(200);
    for caller in [&admin, &member, &key] {
        let _ = caller.get("/v1/campaigns").await.expect(200);
    }
    app.drain().await;
}
