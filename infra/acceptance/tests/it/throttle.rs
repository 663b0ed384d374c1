//! Guessing passwords: slowed, without locking out whose account it is, and without telling whose it is.

use std::collections::BTreeMap;

use serde_json::json;
use store::ATTEMPT_WINDOW;
use testkit::{Actor, PASSWORD, Response, TestApp};

const HOME: &str = "192.0.2.1";
const ATTACKER: &str = "203.0.113.66";

async fn sign_in(at: &Actor, email: &str, password: &str) -> Response {
    at.post("/api/auth/login", json!({"email": email, "password": password})).await
}

#[tokio::test]
async fn ten_wrong_passwords_and_no_more_are_heard_but_from_where_the_owner_was_before() {
    let app = TestApp::start().await;
    let ada = app.sign_up("Acme").await.text("/user/email");
    let home = app.stranger().at(HOME);
    let _ = sign_in(&home, &ada, PASSWORD).await.expect(200);
    for number in 0..10 {
        // From ten places: it is the account that is counted.
        let somewhere = app.stranger().at(&format!("203.0.113.{number}"));
        let _ =
            sign_in(&somewhere, &ada, "not the password").await.expect_problem(401, "invalid_credentials");
    }
    let elsewhere = app.stranger().at(ATTACKER);
    let refused = sign_in(&elsewhere, &ada, PASSWORD).await.expect_problem(429, "sign_in_throttled");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=ATTEMPT_WINDOW.as_secs()).contains(&wait), "{wait}");
    // The owner is not kept out, and may err as often as anybody.
    let _ = sign_in(&home, &ada, PASSWORD).await.expect(200);
    for _ in 0..10 {
        let _ = sign_in(&home, &ada, "not the password").await.expect_problem(401, "invalid_credentials");
    }
    let _ = sign_in(&home, &ada, PASSWORD).await.expect_problem(429, "sign_in_throttled");
    app.advance(ATTEMPT_WINDOW);
    let _ = sign_in(&elsewhere, &ada, PASSWORD).await.expect(200);
    let _ = sign_in(&home, &ada, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn of_one_place_so_many_sign_ups_are_heard_and_no_more() {
    let app = TestApp::start().await;
    let sign_up = |at: Actor, number: u32, password: &'static str| async move {
        let body = json!({"organization_name": "Acme", "name": "Ada",
            "email": format!("ada{number}@example.com"), "password": password});
        at.post("/api/auth/signup", body).await
    };
    // Whether or not they succeed.
    let _ = sign_up(app.stranger().at(ATTACKER), 0, PASSWORD).await.expect(201);
    for number in 1..20 {
        let _ = sign_up(app.stranger().at(ATTACKER), number, "short").await.expect_problem(422, "invalid");
    }
    let refused = sign_up(app.stranger().at(ATTACKER), 20, PASSWORD).await;
    let _ = refused.expect_problem(429, "sign_in_throttled");
    let _ = sign_up(app.stranger().at(HOME), 20, PASSWORD).await.expect(201);
    app.advance(ATTEMPT_WINDOW);
    let _ = sign_up(app.stranger().at(ATTACKER), 21, PASSWORD).await.expect(201);
}

/// Whether or not anything comes of it.
#[tokio::test]
async fn of_one_place_so_many_sign_ons_begin_and_no_more() {
    let app = TestApp::start().await;
    let start = |at: Actor| async move { at.get("/api/auth/sso/nobody.example.com/start").await };
    for _ in 0..300 {
        let _ = start(app.stranger().at(ATTACKER)).await.expect_problem(404, "not_found");
    }
    let _ = start(app.stranger().at(ATTACKER)).await.expect_problem(429, "sign_in_throttled");
    let _ = start(app.stranger().at(HOME)).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn an_address_that_tries_many_accounts_is_counted_by_itself() {
    let app = TestApp::start().await;
    let ada = app.sign_up("Acme").await.text("/user/email");
    for number in 0..10 {
        let at = app.stranger().at(&format!("2001:db8:1:2::{number}"));
        let email = format!("nobody{number}@example.com");
        let _ = sign_in(&at, &email, "a guess").await.expect_problem(401, "invalid_credentials");
    }
    let neighbour = app.stranger().at("2001:db8:1:2:ffff::1");
    let _ = sign_in(&neighbour, &ada, PASSWORD).await.expect_problem(429, "sign_in_throttled");
    let _ = sign_in(&app.stranger().at(HOME), &ada, PASSWORD).await.expect(200);
    // Successes are not counted.
    for _ in 0..12 {
        let _ = sign_in(&app.stranger().at(HOME), &ada, PASSWORD).await.expect(200);
    }
}

/// Parallel guesses don't slip past the count.
#[tokio::test]
async fn of_thirty_guesses_at_once_ten_are_heard() {
    let app = TestApp::start().await;
    let ada = app.sign_up("Acme").await.text("/user/email");
    let at = app.stranger().at(ATTACKER);
    let guesses = futures::future::join_all((0..30).map(|_| sign_in(&at, &ada, "not the password"))).await;
    let heard = guesses.iter().filter(|answer| answer.status == 401).count();
    assert_eq!((heard, guesses.iter().filter(|answer| answer.status == 429).count()), (10, 20));
}

/// What the store is asked to do, by operation: what timing could tell.
async fn asked(app: &TestApp, email: &str) -> (String, BTreeMap<String, u64>) {
    app.engines().meter().reset();
    let at = app.stranger().at(ATTACKER).with("x-request-id", "same");
    let answer = sign_in(&at, email, "not the password").await;
    let mut calls = BTreeMap::new();
    for measured in app.engines().meter().snapshot().measured() {
        let calls: &mut u64 = calls.entry(measured.operation.clone()).or_default();
        match measured.operation.as_str() {
            // One call, however many tables it is told of.
            "TransactWriteItems" => *calls = measured.calls,
            _ => *calls += measured.calls,
        }
    }
    (format!("{} {}", answer.status, answer.body), calls)
}

#[tokio::test]
async fn neither_answer_nor_calls_tell_whether_somebody_has_an_address() {
    let app = TestApp::start().await;
    let ada = app.sign_up("Acme").await.text("/user/email");
    for attempt in 0..12 {
        let (known, unknown) = (asked(&app, &ada).await, asked(&app, "nobody@example.com").await);
        assert_eq!(known, unknown, "attempt {attempt}");
        // The attempts of an address are counted together: half of them each.
        let throttled = known.0.contains("sign_in_throttled");
        assert_eq!(throttled, attempt >= 5, "attempt {attempt}: {}", known.0);
        assert!(!known.1.is_empty());
    }
}
