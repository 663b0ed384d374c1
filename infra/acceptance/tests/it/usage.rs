//! What keys are used for, and what is on record of those that are turned away.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Actor, TestApp};

use crate::people::{organization, store};

async fn usage(admin: &Actor, key: &Actor, query: &str) -> Value {
    let path = format!("/api/admin/api-keys/{}/usage{query}", key.text("/id"));
    admin.get(&path).await.expect(200).json
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn requests_are_told_by_hour_and_day_by_what_came_of_them_and_what_they_were_about() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 10, "scopes": ["leads:read"]})).await;
    let agent = key.with("user-agent", "crm-sync/1.2").at("203.0.113.7");
    for _ in 0..4 {
        let _ = agent.get("/v1/leads").await.expect(200);
    }
    let _ = agent.get("/v1/leads/nope").await.expect(404);
    let _ = agent.get("/v1/campaigns").await.expect(403);
    let seen = usage(&admin, &key, "").await;
    assert_eq!(
        seen["total"],
        json!({"requests": 6, "by_status": {"2xx": 4, "4xx": 2, "5xx": 0}, "rate_limited": 0})
    );
    assert_eq!(seen["data"].as_array().unwrap().len(), 24);
    let last = &seen["data"][23];
    assert_eq!(last["requests"], 6);
    assert_eq!(last["by_group"], json!({"leads": 5, "campaigns": 1}));
    // One minute later, so that the counts of other failures are written.
    app.advance(Duration::from_secs(60));
    for _ in 0..4 {
        let _ = agent.get("/v1/leads").await.expect(200);
    }
    for _ in 0..3 {
        let _ = agent.get("/v1/leads").await.expect_problem(429, "rate_limited");
    }
    app.advance(Duration::from_secs(60));
    let _ = agent.get("/v1/leads").await.expect_problem(429, "rate_limited");
    let seen = usage(&admin, &key, "").await;
    assert_eq!((&seen["total"]["requests"], &seen["total"]["rate_limited"]), (&json!(10), &json!(4)));

    // Hours that are over go to the history, and nothing is lost or counted twice on the way.
    for _ in 0..30 {
        app.advance(HOUR);
        let _ = agent.get("/v1/leads").await;
    }
    let admin = app.sign_in_again(&admin).await;
    let days = usage(&admin, &key, "?granularity=day").await;
    assert_eq!(days["granularity"], "day");
    assert_eq!(
        days["total"],
        json!({"requests": 40, "by_status": {"2xx": 38, "4xx": 2, "5xx": 0}, "rate_limited": 4})
    );
    let begins = app.now().day();
    let today = days["data"].as_array().unwrap().last().unwrap();
    assert!(today["start"].as_str().unwrap().starts_with(&begins), "{today}");
    let hours = usage(&admin, &key, "").await;
    assert_eq!(hours["total"]["requests"], 24);
    assert!(hours["data"].as_array().unwrap().iter().all(|hour| hour["requests"] == 1), "{hours}");

    let shown = admin.get(&format!("/api/admin/api-keys/{}", key.text("/id"))).await.expect(200);
    assert_eq!(shown.text("/last_used_ip"), "203.0.113.7");
    assert_eq!(shown.text("/last_used_user_agent"), "crm-sync/1.2");
    assert_eq!(shown.text("/last_used_at"), app.now().to_string());
    app.drain().await;
}

#[tokio::test]
async fn usage_is_kept_as_the_plan_says_and_shown_to_who_may_see_the_key() {
    if testkit::embedded_only(testkit::EXPIRES) {
        return;
    }
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.upgrade(&admin, "business").await;
    let key = app.key(&admin, json!({})).await;
    let path = format!("/api/admin/api-keys/{}/usage", key.text("/id"));
    let _ = key.get("/v1/whoami").await.expect(200);
    app.advance(2 * HOUR);
    let _ = key.get("/v1/whoami").await.expect(200);
    let admin = app.sign_in_again(&admin).await;
    let before = usage(&admin, &key, "?granularity=day").await;
    assert_eq!(before["total"]["requests"], 2);
    let days = |days: u32| HOUR * 24 * days;
    app.advance(days(179));
    let _ = app.engines().dynamodb().sweep().unwrap();
    let admin = app.sign_in_again(&admin).await;
    let since = "?granularity=day&from=2026-09-01T00:00:00Z";
    assert_eq!(usage(&admin, &key, since).await["total"]["requests"], 2);
    app.advance(days(3));
    let _ = app.engines().dynamodb().sweep().unwrap();
    let admin = app.sign_in_again(&admin).await;
    let left = usage(&admin, &key, since).await;
    assert_eq!(
        left["total"]["requests"], 0,
        "what the credential itself still counts is too old to be shown, too"
    );

    for bad in ["?granularity=week", "?from=x", "?limit=3", "?from=2030-01-01T00:00:00Z"] {
        let _ = admin.get(&format!("{path}{bad}")).await.expect_problem(422, "invalid");
    }
    let other = app.sign_up("Initech").await;
    let _ = other.get(&path).await.expect_problem(404, "not_found");
    let _ = key.get(&path).await.expect(200);
    let narrow = app.key(&admin, json!({"scopes": ["leads:read"]})).await;
    let _ = narrow.get(&path).await.expect_problem(403, "forbidden");
    let test = app.key(&admin, json!({"mode": "test"})).await;
    let _ = test.get(&path).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn the_usage_of_all_keys_is_told_in_sum_and_by_key() {
    const ALL: &str = "/api/admin/api-keys/usage";
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let (first, second, idle) = (
        app.key(&admin, json!({})).await,
        app.key(&admin, json!({})).await,
        app.key(&admin, json!({})).await,
    );
    let test = app.key(&admin, json!({"mode": "test"})).await;
    for (key, times) in [(&first, 3), (&second, 1), (&test, 2)] {
        for _ in 0..times {
            let _ = key.get("/v1/leads").await.expect(200);
        }
    }
    app.advance(HOUR);
    let _ = first.get("/v1/leads/nope").await.expect(404);
    let admin = app.sign_in_again(&admin).await;
    let _ = admin.delete(&format!("/api/admin/api-keys/{}", second.text("/id"))).await.expect(204);
    let seen = admin.get(ALL).await.expect(200).json;
    let counts = |requests, failed| json!({"requests": requests, "by_status": {"2xx": requests - failed, "4xx": failed, "5xx": 0}, "rate_limited": 0});
    assert_eq!((&seen["complete"], &seen["total"]), (&json!(true), &counts(7, 1)));
    assert_eq!(
        (&seen["data"][22]["requests"], &seen["data"][23]["by_group"]),
        (&json!(6), &json!({"leads": 1}))
    );
    // Those without a request are not there. Keys of one millisecond have no order.
    let keys = seen["keys"].as_array().unwrap();
    let by_key: BTreeSet<_> = keys.iter().map(|it| it["id"].as_str().unwrap()).collect();
    let ids = [&test, &second, &first].map(|key| key.text("/id"));
    assert_eq!(by_key, ids.iter().map(String::as_str).collect());
    let of_first = keys.iter().find(|it| it["id"] == first.text("/id")).unwrap();
    assert_eq!(of_first["total"], counts(4, 1));
    let alone = usage(&admin, &first, "").await;
    let requests: Vec<_> =
        alone["data"].as_array().unwrap().iter().map(|it| it["requests"].clone()).collect();
    assert_eq!((&of_first["requests"], requests.len()), (&json!(requests), 24));
    let days = admin.get(&format!("{ALL}?granularity=day")).await.expect(200).json;
    assert_eq!((&days["total"], days["keys"][0]["requests"].as_array().unwrap().len()), (&counts(7, 1), 30));
    // A key sees those of its mode; this request is one of them.
    let seen = idle.get(ALL).await.expect(200).json;
    assert_eq!(seen["total"]["requests"], 6);
    let other = app.sign_up("Initech").await;
    assert_eq!(other.get(ALL).await.expect(200).json["keys"], json!([]));
    let narrow = app.key(&admin, json!({"scopes": ["leads:read"]})).await;
    let _ = narrow.get(ALL).await.expect_problem(403, "forbidden");
    let _ = admin.get(&format!("{ALL}?limit=3")).await.expect_problem(422, "invalid");
    // What was revoked before the time that is asked for costs no look.
    app.advance(2 * HOUR);
    let from = app.now().to_string();
    let admin = app.sign_in_again(&admin).await;
    app.engines().meter().reset();
    let _ = admin.get(&format!("{ALL}?from={from}")).await.expect(200);
    // The keys, and the history of the four that may have been used.
    assert_eq!(app.engines().meter().snapshot().calls_of("Query"), 1 + 4);
    app.drain().await;
}

/// Each way to be turned away is told and on record; a flood of them is on record once a minute.
#[tokio::test]
async fn who_is_turned_away_is_on_record_once_a_minute_for_each_reason_and_address() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let tenant = store(&app).tenant_of_job(organization(&admin));
    let records = async |code: &str| {
        let records = tenant.every_audit_record(app.now()).await.unwrap();
        records.into_iter().filter(|record| record["error_code"] == code).count()
    };
    let soon = (app.now() + Duration::from_secs(30)).to_string();
    let expired = app.key(&admin, json!({"expires_at": soon})).await;
    let limited = app.key(&admin, json!({"rate_limit_per_hour": 1})).await;
    let _ = limited.get("/v1/whoami").await.expect(200);
    let elsewhere = app.key(&admin, json!({"allowed_cidrs": ["203.0.113.0/24"]})).await;
    let revoked = app.key(&admin, json!({})).await;
    let _ = admin.delete(&format!("/api/admin/api-keys/{}", revoked.text("/id"))).await.expect(204);
    app.advance(Duration::from_secs(60));
    for (key, status, code) in [
        (&expired, 401, "key_expired"),
        (&limited, 429, "rate_limited"),
        (&elsewhere, 403, "ip_not_allowed"),
        (&revoked, 401, "key_revoked"),
    ] {
        for _ in 0..10 {
            let _ = key.get("/v1/whoami").await.expect_problem(status, code);
        }
        assert_eq!(records(code).await, 1, "{code}");
        let _ = key.at("192.0.2.1").get("/v1/whoami").await.expect_problem(status, code);
        assert_eq!(records(code).await, 2, "{code} from another address");
        app.advance(Duration::from_secs(60));
        let _ = key.get("/v1/whoami").await.expect_problem(status, code);
        assert_eq!(records(code).await, 3, "{code} in another minute");
    }
    let unknown = app.stranger().with_token("sk_live_000000000000000000000000003CdOEy");
    let _ = unknown.get("/v1/whoami").await.expect_problem(401, "key_unknown");
    assert_eq!(records("key_unknown").await, 0, "nobody's record");
}
