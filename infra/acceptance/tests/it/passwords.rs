//! Passwords that may be set, forgotten ones, changed ones, and confirmed addresses.

use std::time::Duration;

use artisan_local::engines::Strike;
use serde_json::json;
use store::ATTEMPT_WINDOW;
use testkit::{Installation, PASSWORD, TestApp};

use crate::people::{organization, records, sign_in, signed_in, store};

const NEW: &str = "an orchard under four moons";
const SQS_BROKEN: &str =
    r#"{"__type":"com.amazonaws.sqs#InvalidAddress","message":"The queue is not to be reached"}"#;

#[tokio::test]
async fn a_password_that_could_be_guessed_is_refused() {
    let app = Installation::start().await;
    for weak in
        ["correct horse battery staple", "password123456", "ada.lovelace@example.com", "AnalyticalEngines"]
    {
        let body = json!({"organization_name": "Analytical Engines", "name": "Ada Lovelace",
            "email": "ada.lovelace@example.com", "password": weak});
        let refused = app.stranger().post("/api/auth/signup", body).await.expect_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/code"), "compromised", "{weak}");
        assert_eq!(refused.text("/errors/0/pointer"), "/password");
        assert!(!refused.body.contains(weak));
    }
}

#[tokio::test]
async fn a_forgotten_password_is_reset_and_every_session_ends() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let (email, acme) = (admin.text("/user/email"), organization(&admin));
    let confirmation = json!({"token": app.token_mailed_to(&email).await});
    let _ = admin.post("/api/auth/email/confirm", confirmation).await.expect(204);
    // Somebody tries too often, also the owner.
    for _ in 0..10 {
        let _ = sign_in(&app, &email, "not the password").await.expect_problem(401, "invalid_credentials");
    }
    let _ = sign_in(&app, &email, PASSWORD).await.expect_problem(429, "sign_in_throttled");
    let forgot = |email: &str| {
        let body = json!({"email": email});
        let stranger = app.stranger();
        async move { stranger.post("/api/auth/password/forgot", body).await }
    };
    let known = forgot(&email).await.expect(202);
    let unknown = forgot("nobody@example.com").await.expect(202);
    assert_eq!(known.body, unknown.body);
    let token = app.token_mailed_to(&email).await;
    assert!(app.mails_to("nobody@example.com").is_empty());
    let reset = |token: &str, password: &str| {
        let body = json!({"token": token, "password": password});
        let stranger = app.stranger();
        async move { stranger.post("/api/auth/password/reset", body).await }
    };
    let _ = reset("pt_junk", NEW).await.expect_problem(422, "token_invalid");
    let weak = reset(&token, "password123456").await.expect_problem(422, "invalid");
    assert_eq!(weak.text("/errors/0/code"), "compromised");
    app.advance(Duration::from_millis(1));
    let both = futures::future::join_all([reset(&token, NEW), reset(&token, NEW)]).await;
    let mut statuses: Vec<_> = both.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 410]);
    let _ = reset(&token, NEW).await.expect_problem(410, "token_spent");
    let _ = admin.get("/api/auth/me").await.expect_problem(401, "session_expired");
    let refresh = json!({"refresh_token": admin.text("/refresh_token")});
    let _ = app.stranger().post("/api/auth/refresh", refresh).await.expect_problem(401, "session_expired");
    // The throttle is lifted.
    let _ = sign_in(&app, &email, PASSWORD).await.expect_problem(401, "invalid_credentials");
    let _ = sign_in(&app, &email, NEW).await.expect(200);
    app.drain().await;
    assert!(app.mails_to(&email)[0].subject.contains("was changed"), "{:?}", app.mails_to(&email)[0]);
    let resets = records(&app, acme).await.into_iter().filter(|it| it["action"] == "password.reset");
    assert_eq!(resets.count(), 1);
}

/// Somebody signs up with an address that isn't theirs; its owner takes the account over, and is led where they belong.
#[tokio::test]
async fn who_resets_the_password_of_an_unproved_account_takes_it_over() {
    let app = TestApp::start().await;
    let hijacker = app.sign_up("Trap").await;
    let email = hijacker.text("/user/email");
    app.drain().await;
    app.advance(Duration::from_secs(1));
    let _ = app.stranger().post("/api/auth/password/forgot", json!({"email": email})).await.expect(202);
    let body = json!({"token": app.token_mailed_to(&email).await, "password": NEW});
    let _ = app.stranger().post("/api/auth/password/reset", body).await.expect(204);
    assert!(store(&app).account(&email).await.unwrap().unwrap().identity.email_verified);
    let _ = hijacker.get("/api/auth/me").await.expect_problem(401, "session_expired");
    // Who did sign up themselves, and never confirmed it, is not locked out of what they founded.
    let founded = sign_in(&app, &email, NEW).await.expect(200);
    assert_eq!(founded.text("/organization/name"), "Trap");
    // Who belongs elsewhere since does not meet who waits there.
    let acme = app.sign_up("Acme").await;
    let invitation = json!({"email": email, "role": "read_only"});
    let _ = acme.post("/api/admin/invitations", invitation).await.expect(201);
    let accept = json!({"token": app.token_mailed_to(&email).await});
    let _ = app.stranger().post("/api/auth/invitations/accept", accept).await.expect(200);
    assert_eq!(sign_in(&app, &email, NEW).await.expect(200).text("/organization/name"), "Acme");
}

#[tokio::test]
async fn a_reset_lasts_an_hour_and_three_are_mailed_at_most() {
    let app = TestApp::start().await;
    let email = app.sign_up("Acme").await.text("/user/email");
    app.drain().await;
    let before = app.mails_to(&email).len();
    let forgot = || {
        let (stranger, body) = (app.stranger(), json!({"email": email}));
        async move { stranger.post("/api/auth/password/forgot", body).await }
    };
    for _ in 0..5 {
        let _ = forgot().await.expect(202);
    }
    let token = app.token_mailed_to(&email).await;
    assert_eq!(app.mails_to(&email).len() - before, 3);
    for _ in 0..5 {
        let _ = forgot().await.expect(202);
    }
    let _ = forgot().await.expect_problem(429, "sign_in_throttled");
    app.drain().await;
    app.advance(Duration::from_secs(3600));
    let body = json!({"token": token, "password": NEW});
    let _ = app.stranger().post("/api/auth/password/reset", body).await.expect_problem(410, "token_expired");
    app.advance(ATTEMPT_WINDOW);
    app.engines().faults().order("SendMessageBatch", 0, 1, Strike::Before, 400, SQS_BROKEN);
    let _ = forgot().await.expect_problem(503, "unavailable");
    let _ = app.stranger().post("/api/auth/password/forgot", json!({"email": "x"})).await.expect(422);
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions_and_this_one_goes_on() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let email = admin.text("/user/email");
    let other = signed_in(&app, &sign_in(&app, &email, PASSWORD).await.expect(200));
    let change = |current: &str, new: &str| {
        let (body, admin) = (json!({"current_password": current, "new_password": new}), admin.clone());
        async move { admin.post("/api/auth/password/change", body).await }
    };
    let _ = change("not the password", NEW).await.expect_problem(401, "invalid_credentials");
    let _ = change(PASSWORD, "password123456").await.expect_problem(422, "invalid");
    let changed = change(PASSWORD, NEW).await.expect(200);
    for over in [&admin, &other] {
        let _ = over.get("/api/auth/me").await.expect_problem(401, "session_expired");
    }
    let _ = signed_in(&app, &changed).get("/api/auth/me").await.expect(200);
    let _ = sign_in(&app, &email, PASSWORD).await.expect_problem(401, "invalid_credentials");
    let _ = sign_in(&app, &email, NEW).await.expect(200);
}

#[tokio::test]
async fn an_address_is_confirmed_by_what_was_mailed_to_it() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let email = admin.text("/user/email");
    assert_eq!(admin.get("/api/auth/me").await.expect(200).json["email_verified"], false);
    let first = app.token_mailed_to(&email).await;
    app.advance(Duration::from_secs(1));
    let _ = admin.post("/api/auth/email/resend", json!({})).await.expect(202);
    let token = app.token_mailed_to(&email).await;
    assert_ne!(first, token);
    let confirm = |token: &str| {
        let (admin, body) = (admin.clone(), json!({"token": token}));
        async move { admin.post("/api/auth/email/confirm", body).await }
    };
    // A link alone vouches for nobody: whose address it is may click on what somebody else signed up with.
    let other = app.sign_up("Other").await;
    let body = json!({"token": token});
    let _ = app
        .stranger()
        .post("/api/auth/email/confirm", body.clone())
        .await
        .expect_problem(401, "unauthenticated");
    let _ = other.post("/api/auth/email/confirm", body).await.expect_problem(422, "token_invalid");
    let _ = confirm("ct_junk").await.expect_problem(422, "token_invalid");
    let _ = confirm(&token).await.expect(204);
    let _ = confirm(&token).await.expect_problem(410, "token_spent");
    assert_eq!(admin.get("/api/auth/me").await.expect(200).json["email_verified"], true);
    let _ = admin.post("/api/auth/email/resend", json!({})).await.expect_problem(409, "conflict");
    // A link that somebody else clicks confirms nothing.
    let body = json!({"token": first});
    let clicked = app.stranger().post("/api/auth/email/confirm", body.clone()).await;
    let _ = clicked.expect_problem(401, "unauthenticated");
    app.advance(Duration::from_secs(3 * 24 * 3600));
    let later = signed_in(&app, &sign_in(&app, &email, PASSWORD).await.expect(200));
    let late = later.post("/api/auth/email/confirm", body).await;
    let _ = late.expect_problem(410, "token_expired");
}

#[tokio::test]
async fn a_name_is_changed_by_its_owner() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let _ = admin.patch("/api/auth/me", json!({"name": " "})).await.expect_problem(422, "invalid");
    let renamed = admin.patch("/api/auth/me", json!({"name": "Augusta"})).await.expect(200);
    assert_eq!(renamed.text("/user/name"), "Augusta");
    assert_eq!(admin.get("/api/auth/me").await.expect(200).text("/user/name"), "Augusta");
}
