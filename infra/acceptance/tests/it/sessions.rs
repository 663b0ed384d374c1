//! Sign-up, sign-in, refresh, sign-out.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use testkit::{Actor, Installation, PASSWORD, Response, TestApp};

use crate::people::{organization, records};

async fn refresh(app: &TestApp, token: &str) -> Response {
    app.stranger().post("/api/auth/refresh", json!({"refresh_token": token})).await
}

/// What went on record of sessions that were refreshed: `session.refresh` and `session.reuse`, in no order.
async fn refreshes(app: &TestApp, admin: &Actor) -> (usize, usize) {
    let records = records(app, organization(admin)).await;
    let times = |action| records.iter().filter(|it| it["action"] == action).count();
    (times("session.refresh"), times("session.reuse"))
}

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
    assert_eq!(me.json["workspaces"][0]["id"], about["workspaces"][0]["id"]);
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
    let first = admin.text("/refresh_token");
    let fresh = refresh(&app, &first).await.expect(200);
    let again = admin.with_token(&fresh.text("/access_token"));
    let _ = again.get("/api/auth/me").await.expect(200);
    // The old refresh token was used: whoever sends it has a copy, so the session ends, for everybody.
    app.advance(Duration::from_secs(10));
    let _ = refresh(&app, &first).await.expect_problem(401, "session_expired");
    let _ = again.get("/api/auth/me").await.expect_problem(401, "session_expired");
    let _ = refresh(&app, &fresh.text("/refresh_token")).await.expect_problem(401, "session_expired");
    assert_eq!(refreshes(&app, &admin).await, (1, 1));
    // Knowing a session's id is not enough to end it.
    let other = app.sign_up("Initech").await;
    let genuine = other.text("/refresh_token");
    let invented = format!("{}.{}", genuine.split_once('.').unwrap().0, "A".repeat(86));
    let _ = refresh(&app, &invented).await.expect_problem(401, "session_expired");
    let _ = other.get("/api/auth/me").await.expect(200);
    let _ = refresh(&app, "rt_junk").await.expect_problem(401, "session_expired");
}

#[tokio::test]
async fn who_refreshes_at_the_same_moment_or_asks_again_for_a_lost_answer_goes_on() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let first = admin.text("/refresh_token");
    let answers = join_all((0..5).map(|_| refresh(&app, &first))).await;
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect(200)).collect();
    let second = answers[0].text("/refresh_token");
    assert_ne!(second, first);
    for answer in &answers {
        assert_eq!(answer.text("/refresh_token"), second);
        let _ = admin.with_token(&answer.text("/access_token")).get("/api/auth/me").await.expect(200);
    }
    app.advance(Duration::from_millis(9_999));
    assert_eq!(refresh(&app, &first).await.expect(200).text("/refresh_token"), second);
    // Each is on record.
    assert_eq!(refreshes(&app, &admin).await, (6, 0));
    let third = refresh(&app, &second).await.expect(200).text("/refresh_token");
    assert_eq!(refresh(&app, &second).await.expect(200).text("/refresh_token"), third);
    // Only what was replaced last may come again: what was replaced before that was used, and so was its successor.
    let _ = refresh(&app, &first).await.expect_problem(401, "session_expired");
    let _ = refresh(&app, &third).await.expect_problem(401, "session_expired");
    let _ = admin.get("/api/auth/me").await.expect_problem(401, "session_expired");
    assert_eq!(refreshes(&app, &admin).await, (8, 1));
}

/// Somebody who stole a refresh token and uses it within the leeway has what they would have had by being first; whichever of
/// the two refreshes last ends it for both.
#[tokio::test]
async fn a_thief_within_the_leeway_is_found_out_by_the_next_refresh() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let stolen = admin.text("/refresh_token");
    let own = refresh(&app, &stolen).await.expect(200).text("/refresh_token");
    let theirs = refresh(&app, &stolen).await.expect(200).text("/refresh_token");
    app.advance(Duration::from_secs(900));
    let thief = refresh(&app, &theirs).await.expect(200);
    app.advance(Duration::from_secs(900));
    let _ = refresh(&app, &own).await.expect_problem(401, "session_expired");
    let _ = refresh(&app, &thief.text("/refresh_token")).await.expect_problem(401, "session_expired");
    assert_eq!(refreshes(&app, &admin).await, (3, 1));
}

/// A session that the version before has refreshed, or that was never refreshed, goes on in this one; and as that version does
/// not know the leeway, its tokens have none.
#[tokio::test]
async fn sessions_as_the_version_before_left_them_go_on() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let (first, table) = (admin.text("/refresh_token"), app.platform().table_name("DirectoryTable").unwrap());
    let second = refresh(&app, &first).await.expect(200).text("/refresh_token");
    let session = first.strip_prefix("rt_").unwrap().split_once('.').unwrap().0;
    let forget = json!({
        "TableName": table,
        "Key": {"pk": {"S": format!("SES#{session}")}, "sk": {"S": "SES"}},
        "UpdateExpression": "REMOVE replaced_digest, replaced_at",
    });
    app.dynamodb("UpdateItem", &forget).await;
    let third = refresh(&app, &second).await.expect(200).text("/refresh_token");
    assert_eq!(refresh(&app, &second).await.expect(200).text("/refresh_token"), third);
    app.dynamodb("UpdateItem", &forget).await;
    let _ = refresh(&app, &second).await.expect_problem(401, "session_expired");
    let _ = refresh(&app, &third).await.expect_problem(401, "session_expired");
}

#[tokio::test]
async fn signing_out_ends_the_session_at_once() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let _ = admin.raw(http::Method::POST, "/api/auth/logout", "").await.expect(204);
    let _ = admin.get("/api/auth/me").await.expect_problem(401, "session_expired");
    let key_route = app.stranger().get("/api/auth/me").await;
    let _ = key_route.expect_problem(401, "unauthenticated");
}
