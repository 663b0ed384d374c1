//! Sign-up, sign-in, refresh, sign-out.

use std::time::Duration;

use serde_json::json;
use testkit::{PASSWORD, TestApp};

#[tokio::test]
async fn signing_up_gives_a_session_an_organization_and_a_workspace() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let about = admin.json();
    assert_eq!(about["token_type"], "Bearer");
    assert_eq!(about["expires_in"], 900);
    assert_eq!(about["organization"]["name"], "Acme");
    assert_eq!(about["organization"]["plan"], "starter");
    assert_eq!(about["workspaces"][0]["role"], "admin");
    let me = admin.get("/api/auth/me").await.expect(200);
    assert_eq!(me.json["user"], about["user"]);
    assert_eq!(me.json["workspaces"], about["workspaces"]);
    let taken =
        json!({"organization_name": "B", "name": "B", "email": "ADMIN0@example.com", "password": PASSWORD});
    let _ = app.stranger().post("/api/auth/signup", taken).await.expect_problem(409, "account_exists");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_the_same_to_the_caller() {
    let app = TestApp::start().await;
    app.sign_up("Acme").await;
    let sign_in = |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        let stranger = app.stranger().with("x-request-id", "same");
        async move { stranger.post("/api/auth/login", body).await }
    };
    let wrong =
        sign_in("admin0@example.com", "not the password").await.expect_problem(401, "invalid_credentials");
    let unknown =
        sign_in("nobody@example.com", "not the password").await.expect_problem(401, "invalid_credentials");
    let nonsense = sign_in("not an address", PASSWORD).await.expect_problem(401, "invalid_credentials");
    assert_eq!(wrong.body, unknown.body);
    assert_eq!(wrong.body, nonsense.body);
    let _ = sign_in(" Admin0@Example.com", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_access_token_lasts_fifteen_minutes_and_is_refreshed() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.advance(Duration::from_secs(900));
    let _ = admin.get("/api/auth/me").await.expect_problem(401, "session_expired");
    let body = json!({"refresh_token": admin.text("/refresh_token")});
    let fresh = app.stranger().post("/api/auth/refresh", body.clone()).await.expect(200);
    let again = admin.with_token(&fresh.text("/access_token"));
    let _ = again.get("/api/auth/me").await.expect(200);
    // The old refresh token was used: whoever sends it has a copy, so the session ends, for everybody.
    let _ = app.stranger().post("/api/auth/refresh", body).await.expect_problem(401, "session_expired");
    let _ = again.get("/api/auth/me").await.expect_problem(401, "session_expired");
    let body = json!({"refresh_token": fresh.text("/refresh_token")});
    let _ = app.stranger().post("/api/auth/refresh", body).await.expect_problem(401, "session_expired");
    // Knowing a session's id is not enough to end it.
    let other = app.sign_up("Initech").await;
    let genuine = other.text("/refresh_token");
    let invented = format!("{}.{}", genuine.split_once('.').unwrap().0, "A".repeat(86));
    let body = json!({"refresh_token": invented});
    let _ = app.stranger().post("/api/auth/refresh", body).await.expect_problem(401, "session_expired");
    let _ = other.get("/api/auth/me").await.expect(200);
    let junk = json!({"refresh_token": "rt_junk"});
    let _ = app.stranger().post("/api/auth/refresh", junk).await.expect_problem(401, "session_expired");
}

#[tokio::test]
async fn signing_out_ends_the_session_at_once() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let _ = admin.raw(http::Method::POST, "/api/auth/logout", "").await.expect(204);
    let _ = admin.get("/api/auth/me").await.expect_problem(401, "session_expired");
    let key_route = app.stranger().get("/api/auth/me").await;
    let _ = key_route.expect_problem(401, "unauthenticated");
}
