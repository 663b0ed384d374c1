//! Keys that are changed and rotated.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::{Actor, Installation, Response, TestApp};

fn path(key: &Actor) -> String {
    format!("/api/admin/api-keys/{}", key.text("/id"))
}

async fn rotate(admin: &Actor, key: &Actor, body: Value) -> Response {
    admin.post(&format!("{}/rotate", path(key)), body).await
}

/// Routes of several functions.
const EVERYWHERE: [&str; 5] =
    ["/v1/whoami", "/v1/leads", "/v1/campaigns", "/api/admin/webhooks", "/api/admin/api-keys"];

async fn used(key: &Actor, times: usize) -> usize {
    let answers = join_all((0..times).map(|_| key.get("/v1/whoami"))).await;
    answers.iter().filter(|answer| answer.status == 200).count()
}

#[tokio::test]
async fn what_a_key_is_changed_to_holds_from_the_next_request_on_everywhere() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    for route in EVERYWHERE {
        let _ = key.get(route).await.expect(200);
    }
    let etag = admin.get(&path(&key)).await.expect(200).header("etag").unwrap().to_owned();
    let changed =
        admin.patch(&path(&key), json!({"name": "CRM", "scopes": ["leads:read"]})).await.expect(200);
    assert_eq!((changed.text("/name"), &changed.json["scopes"]), ("CRM".to_owned(), &json!(["leads:read"])));
    assert_eq!(changed.text("/last_used_at"), app.now().to_string());
    let stale = admin.with("if-match", etag).patch(&path(&key), json!({"name": "x"})).await;
    let _ = stale.expect_problem(412, "precondition_failed");
    for route in &EVERYWHERE[2..] {
        let _ = key.get(route).await.expect_problem(403, "forbidden");
    }
    let _ = key.get("/v1/leads").await.expect(200);
    // An expiry is good to the second, and can be taken away again.
    let soon = (app.now() + Duration::from_secs(60)).to_string();
    let _ = admin.patch(&path(&key), json!({"expires_at": soon})).await.expect(200);
    let _ = key.get("/v1/leads").await.expect(200);
    let _ = admin.patch(&path(&key), json!({"expires_at": null})).await.expect(200);
    app.advance(Duration::from_secs(61));
    let _ = key.get("/v1/leads").await.expect(200);
    let soon = (app.now() + Duration::from_secs(60)).to_string();
    let _ = admin.patch(&path(&key), json!({"expires_at": soon})).await.expect(200);
    app.advance(Duration::from_secs(60));
    for route in EVERYWHERE {
        let _ = key.get(route).await.expect_problem(401, "key_expired");
    }
    // What is over is over.
    assert_eq!(admin.get(&path(&key)).await.expect(200).text("/status"), "expired");
    let _ = admin.patch(&path(&key), json!({"expires_at": null})).await.expect_problem(409, "conflict");
    let _ = rotate(&admin, &key, json!({})).await.expect_problem(409, "conflict");
}

#[tokio::test]
async fn a_limit_is_changed_at_once_and_what_was_used_stays_used() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 10})).await;
    assert_eq!(used(&key, 12).await, 10);
    let limit = async |limit: Value| {
        let admin = app.sign_in_again(&admin).await;
        let _ = admin.patch(&path(&key), json!({"rate_limit_per_hour": limit})).await.expect(200);
    };
    limit(json!(13)).await;
    assert_eq!(used(&key, 5).await, 3);
    limit(json!(4)).await;
    app.advance(Duration::from_secs(62 * 60));
    assert_eq!(used(&key, 8).await, 4);
    limit(json!(null)).await;
    assert_eq!(key.get("/v1/whoami").await.expect(200).header("x-ratelimit-limit"), Some("1000"));
}

#[tokio::test]
async fn nobody_makes_a_key_more_than_they_are() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let strong = app.key(&admin, json!({})).await;
    let expires_at = (app.now() + Duration::from_secs(3600)).to_string();
    let maker = json!({
        "scopes": ["api_keys:read", "api_keys:write", "leads:read"], "expires_at": expires_at,
        "allowed_cidrs": ["127.0.0.0/8"], "rate_limit_per_hour": 20
    });
    let maker = app.key(&admin, maker).await;
    let weak = maker.post("/api/admin/api-keys", json!({"name": "weak", "scopes": ["leads:read"]})).await;
    let weak = maker.with_token(&weak.expect(201).text("/key"));
    let own = format!("/api/admin/api-keys/{}", weak.get("/v1/whoami").await.expect(200).text("/id"));
    for wider in [
        json!({"expires_at": null}),
        json!({"expires_at": (app.now() + Duration::from_secs(3601)).to_string()}),
        json!({"rate_limit_per_hour": 21}),
        json!({"allowed_cidrs": ["0.0.0.0/0"]}),
    ] {
        let _ = maker.patch(&own, wider).await.expect_problem(422, "invalid");
    }
    let _ = maker.patch(&own, json!({"scopes": ["leads:write"]})).await.expect_problem(403, "forbidden");
    // The name of a stronger one is all that may be changed of it, and it is not to be had by rotation.
    let _ = maker.patch(&path(&strong), json!({"name": "renamed"})).await.expect(200);
    let _ =
        maker.patch(&path(&strong), json!({"rate_limit_per_hour": 5})).await.expect_problem(403, "forbidden");
    let _ = rotate(&maker, &strong, json!({})).await.expect_problem(409, "conflict");
    let person = app.invite_and_join(&admin, json!({"role": "read_only"})).await;
    let _ = rotate(&person, &strong, json!({})).await.expect_problem(403, "forbidden");
    let other = app.sign_up("Initech").await;
    let _ = other.patch(&path(&strong), json!({"name": "x"})).await.expect_problem(404, "not_found");
    let _ = rotate(&other, &strong, json!({})).await.expect_problem(404, "not_found");
    let test = app.key(&admin, json!({"mode": "test"})).await;
    let _ = rotate(&test, &strong, json!({})).await.expect_problem(404, "not_found");
    for bad in [
        json!({"scopes": []}),
        json!({"scopes": null}),
        json!({"name": ""}),
        json!({"rate_limit_per_hour": 0}),
        json!({"mode": "test"}),
        json!({"expires_at": app.now().to_string()}),
        json!({"allowed_cidrs": vec!["10.0.0.0/8"; 31]}),
        json!({"allowed_cidrs": vec!["2001:db8::/32"; 11]}),
    ] {
        let _ = admin.patch(&path(&strong), bad).await.expect_problem(422, "invalid");
    }
}

#[tokio::test]
async fn a_rotated_key_works_until_the_grace_is_over_and_both_have_one_budget() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let body = json!({"name": "CRM", "rate_limit_per_hour": 20, "scopes": ["leads:read", "leads:write"]});
    let old = app.key(&admin, body).await;
    assert_eq!(used(&old, 6).await, 6);
    app.advance(Duration::from_secs(130));
    let made =
        rotate(&admin, &old, json!({"grace_seconds": 3600, "scopes": ["leads:read"]})).await.expect(201);
    let new = admin.with_token(&made.text("/key"));
    assert_ne!(made.text("/id"), old.text("/id"));
    assert_eq!((made.text("/rotated_from"), made.text("/name")), (old.text("/id"), "CRM".to_owned()));
    assert_eq!(made.json["rate_limit_per_hour"], 20);
    let shown = admin.get(&path(&old)).await.expect(200);
    assert_eq!((shown.text("/status"), shown.text("/rotated_to")), ("rotated".to_owned(), made.text("/id")));
    assert_eq!(shown.text("/expires_at"), (app.now() + Duration::from_secs(3600)).to_string());
    // Each has its own rights, and both one budget: 6 are used, so are these.
    let _ = old.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201);
    let _ = new.post("/v1/leads", json!({"email": "b@example.com"})).await.expect_problem(403, "forbidden");
    assert_eq!(new.get("/v1/leads").await.expect(200).header("x-ratelimit-remaining"), Some("11"));
    assert_eq!(used(&old, 5).await, 5);
    assert_eq!(used(&new, 10).await, 6);
    // Who still uses the old one is to be seen.
    let shown = admin.get(&path(&old)).await.expect(200);
    assert_eq!(shown.text("/last_used_at"), app.now().to_string());
    let counted = async |id: &str| {
        let usage = admin.get(&format!("/api/admin/api-keys/{id}/usage")).await.expect(200);
        usage.json["total"]["requests"].as_u64().unwrap()
    };
    assert_eq!((counted(&old.text("/id")).await, counted(&made.text("/id")).await), (6 + 1 + 5, 2 + 6));
    let _ = old.get("/v1/leads").await.expect_problem(429, "rate_limited");
    // A rotated key is on its way out.
    let _ = admin.patch(&path(&old), json!({"name": "x"})).await.expect_problem(409, "conflict");
    let _ = rotate(&admin, &old, json!({})).await.expect_problem(409, "conflict");
    // The budget returns for both alike, that of the time before the rotation too, and after the grace the old one is dead.
    app.advance(Duration::from_secs(3599));
    assert_eq!((used(&new, 3).await, used(&old, 8).await), (3, 3));
    app.advance(Duration::from_secs(1));
    let admin = app.sign_in_again(&admin).await;
    let _ = old.get("/v1/whoami").await.expect_problem(401, "key_revoked");
    assert_eq!(admin.get(&path(&old)).await.expect(200).text("/status"), "revoked");
    app.advance(Duration::from_secs(130));
    assert_eq!(used(&new, 21).await, 14);
    let usage = admin.get("/api/admin/organization").await.expect(200).json["usage"].clone();
    assert_eq!((&usage["api_keys"]["used"], &usage["requests_per_hour"]["used"]), (&json!(1), &json!(20)));
    app.drain().await;
}

#[tokio::test]
async fn a_rotation_without_grace_ends_the_old_key_at_once_and_is_shown_once() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let expires_at = (app.now() + Duration::from_secs(86_400 * 30)).to_string();
    let old = app.key(&admin, json!({"expires_at": expires_at})).await;
    for wider in [
        json!({"grace_seconds": 604_801}),
        json!({"scopes": []}),
        json!({"scopes": ["leads:fly"]}),
        json!({"expires_at": (app.now() + Duration::from_secs(86_400 * 31)).to_string()}),
        json!({"name": "x"}),
    ] {
        let _ = rotate(&admin, &old, wider).await.expect_problem(422, "invalid");
    }
    let once = admin.with("idempotency-key", "rotation");
    let made = rotate(&once, &old, json!({})).await.expect(201);
    assert_eq!(made.text("/expires_at"), expires_at);
    for route in EVERYWHERE {
        let _ = old.get(route).await.expect_problem(401, "key_revoked");
        let _ = admin.with_token(&made.text("/key")).get(route).await.expect(200);
    }
    let again = rotate(&once, &old, json!({})).await.expect(201);
    assert_eq!((again.header("idempotency-replayed"), again.json.get("key")), (Some("true"), None));
    assert_eq!(again.text("/id"), made.text("/id"));
    let other = rotate(&once, &old, json!({"grace_seconds": 1})).await;
    let _ = other.expect_problem(422, "idempotency_key_reused");
    // One that narrowed cannot be widened by another rotation.
    let narrow = json!({"scopes": ["leads:read"]});
    let new = admin.with_token(&made.text("/key"));
    let id = made.text("/id");
    let narrowed = admin.post(&format!("/api/admin/api-keys/{id}/rotate"), narrow).await.expect(201);
    let wide = json!({"scopes": ["leads:read", "leads:write"]});
    let path = format!("/api/admin/api-keys/{}/rotate", narrowed.text("/id"));
    let _ = admin.post(&path, wide).await.expect_problem(422, "invalid");
    let _ = new.get("/v1/whoami").await.expect_problem(401, "key_revoked");
}

#[tokio::test]
async fn a_second_rotation_or_a_revocation_ends_the_grace_of_the_first() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let grace = json!({"grace_seconds": 604_800});
    let first = app.key(&admin, json!({})).await;
    let made = rotate(&admin, &first, grace.clone()).await.expect(201);
    let (second, second_path) =
        (admin.with_token(&made.text("/key")), format!("/api/admin/api-keys/{}", made.text("/id")));
    let _ = first.get("/v1/whoami").await.expect(200);
    let made = admin.post(&format!("{second_path}/rotate"), grace).await.expect(201);
    let (third, third_path) =
        (admin.with_token(&made.text("/key")), format!("/api/admin/api-keys/{}", made.text("/id")));
    let _ = first.get("/v1/whoami").await.expect_problem(401, "key_revoked");
    assert_eq!(admin.get(&path(&first)).await.expect(200).text("/status"), "revoked");
    let (_, _) = (second.get("/v1/whoami").await.expect(200), third.get("/v1/whoami").await.expect(200));
    let _ = admin.delete(&third_path).await.expect(204);
    let _ = third.get("/v1/whoami").await.expect_problem(401, "key_revoked");
    let _ = second.get("/v1/whoami").await.expect_problem(401, "key_revoked");
    assert_eq!(admin.get(&second_path).await.expect(200).text("/status"), "revoked");
    let usage = admin.get("/api/admin/organization").await.expect(200).json["usage"].clone();
    assert_eq!((&usage["api_keys"]["used"], &usage["requests_per_hour"]["used"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn of_rotations_at_one_moment_one_succeeds() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let answers = join_all((0..8).map(|_| rotate(&admin, &key, json!({"grace_seconds": 60})))).await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(made.len(), 1);
    assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 201 | 409)));
    let listed = admin.get("/api/admin/api-keys").await.expect(200);
    assert_eq!(listed.json["data"].as_array().unwrap().len(), 2);
}

/// A key that is rotated while it is used as hard as it can be is not admitted more often for it.
#[tokio::test]
async fn a_rotation_in_the_middle_of_traffic_does_not_double_the_budget() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 300})).await;
    let traffic = join_all((0..300).map(|_| key.get("/v1/whoami")));
    let rotation = async {
        tokio::task::yield_now().await;
        for _ in 0..20 {
            let made = rotate(&admin, &key, json!({"grace_seconds": 600})).await;
            if made.status == 201 {
                return Some(made.text("/key"));
            }
            let _ = made.expect_problem(409, "conflict");
        }
        None
    };
    let (answers, new) = tokio::join!(traffic, rotation);
    let before = answers.iter().filter(|answer| answer.status == 200).count();
    let new = admin.with_token(&new.expect("is rotated"));
    let after = used(&new, 320).await + used(&key, 20).await;
    assert!(before + after <= 300, "{before} and {after}");
    assert!(before + after >= 250, "{before} and {after}");
}

#[tokio::test]
async fn all_keys_together_have_a_ceiling() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let large = app.key(&admin, json!({"rate_limit_per_hour": 999_000})).await;
    let _ = app.key(&admin, json!({})).await;
    let full = admin.post("/api/admin/api-keys", json!({"name": "x", "rate_limit_per_hour": 1})).await;
    let full = full.expect_problem(409, "limit_reached");
    assert!(full.text("/detail").contains("1000000 requests an hour"), "{}", full.body);
    let more = json!({"rate_limit_per_hour": 999_001});
    let _ = admin.patch(&path(&large), more).await.expect_problem(409, "limit_reached");
    let _ = admin.patch(&path(&large), json!({"rate_limit_per_hour": 998_999})).await.expect(200);
    let last = app.key(&admin, json!({"rate_limit_per_hour": 1})).await;
    // What a key had is free again once it is revoked, and a rotation takes nothing.
    let _ = rotate(&admin, &large, json!({"grace_seconds": 60})).await.expect(201);
    let _ = admin.delete(&path(&last)).await.expect(204);
    let racers = join_all(
        (0..6).map(|_| admin.post("/api/admin/api-keys", json!({"name": "x", "rate_limit_per_hour": 1}))),
    )
    .await;
    assert_eq!(racers.iter().filter(|answer| answer.status == 201).count(), 1);
    // A smaller plan must hold it.
    app.upgrade(&admin, "growth").await;
    let _ = app.key(&admin, json!({"rate_limit_per_hour": 500_000})).await;
    let smaller = admin.patch("/api/admin/organization", json!({"plan": "starter"})).await;
    let smaller = smaller.expect_problem(409, "plan_too_small");
    assert_eq!(
        smaller.json["excess"],
        json!([{"resource": "requests_per_hour", "used": 1_500_000, "limit": 1_000_000}])
    );
}

/// What a key in its grace is used for is its own, failures included.
#[tokio::test]
async fn the_failures_of_a_key_in_its_grace_are_counted() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let old = app.key(&admin, json!({"scopes": ["leads:read"]})).await;
    let _ = rotate(&admin, &old, json!({"grace_seconds": 7200})).await.expect(201);
    for _ in 0..3 {
        for _ in 0..4 {
            let _ = old.get("/v1/leads/nope").await.expect(404);
        }
        app.advance(Duration::from_secs(60));
    }
    let _ = old.get("/v1/leads").await.expect(200);
    let usage = admin.get(&format!("{}/usage", path(&old))).await.expect(200).json["total"].clone();
    assert_eq!((&usage["requests"], &usage["by_status"]["4xx"]), (&json!(13), &json!(12)), "{usage}");
    // What its hours have counted goes to the history while it is still in use.
    app.advance(Duration::from_secs(3600));
    let _ = old.get("/v1/leads").await.expect(200);
    let admin = app.sign_in_again(&admin).await;
    let usage = admin.get(&format!("{}/usage", path(&old))).await.expect(200).json["total"].clone();
    assert_eq!((&usage["requests"], &usage["by_status"]["4xx"]), (&json!(14), &json!(12)), "{usage}");
}
