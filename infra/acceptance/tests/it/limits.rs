//! Admission: one call, and never one request more than the limit.

use std::collections::VecDeque;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use proptest::prelude::*;
use serde_json::json;
use testkit::{Actor, Installation, TestApp};

#[tokio::test]
async fn of_twelve_hundred_parallel_requests_a_thousand_are_not_429() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let answers = join_all((0..1200).map(|_| key.get("/v1/whoami"))).await;
    let admitted = answers.iter().filter(|answer| answer.status != 429).count();
    assert_eq!(admitted, 1000);
    assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 429)));
    let refused = answers.into_iter().find(|answer| answer.status == 429).unwrap();
    let refused = refused.expect_problem(429, "rate_limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3600..=3720).contains(&wait), "{wait}");
    assert_eq!(refused.json["violated-policies"], json!(["hourly"]));
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
}

#[tokio::test]
async fn a_junk_key_touches_no_table_and_a_good_one_costs_one_call() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let good = key.token().to_owned();
    let mut flipped = good.clone();
    let last = if flipped.pop() == Some('a') { 'b' } else { 'a' };
    flipped.push(last);
    let junk = [
        "sk_live_00000000000000000000000000000000",
        &flipped,
        &good.replace("sk_live_", "sk_test_"),
        &good[..good.len() - 1],
        "sk_live_",
        "sk_",
        "nonsense",
        "eyJhbGciOiJub25lIn0.e30.",
    ];
    app.engines().meter().reset();
    for junk in junk {
        let code = if junk.starts_with("sk_") { "key_unknown" } else { "unauthenticated" };
        let _ = key.with_token(junk).get("/v1/whoami").await.expect_problem(401, code);
    }
    let _ = app.stranger().get("/v1/whoami").await.expect_problem(401, "unauthenticated");
    assert_eq!(app.engines().meter().snapshot().calls(), 0);

    for _ in 0..5 {
        app.engines().meter().reset();
        let _ = key.get("/v1/whoami").await.expect(200);
        let calls = app.engines().meter().snapshot();
        assert_eq!((calls.calls(), calls.calls_of("UpdateItem")), (1, 1), "{calls:?}");
        app.advance(Duration::from_secs(5 * 60));
    }
}

/// A key in steady use costs one call a request, one more every seven minutes, and one each hour; and at most one a minute.
#[tokio::test]
async fn what_is_counted_is_folded_at_one_more_call_a_minute_at_most() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 100_000})).await;
    let mut more = 0;
    for minute in 0..180 {
        app.engines().meter().reset();
        for _ in 0..3 {
            let _ = key.get("/v1/whoami").await.expect(200);
        }
        let calls = app.engines().meter().snapshot();
        // The meter counts a transaction once for each table it names.
        let transactions = calls.calls_of("TransactWriteItems") / 2;
        let extra = calls.calls_of("UpdateItem") + transactions - 3;
        assert!(extra <= 1, "in minute {minute}: {calls:?}");
        assert_eq!(calls.calls(), calls.calls_of("UpdateItem") + 2 * transactions, "{calls:?}");
        more += extra;
        app.advance(Duration::from_secs(60));
    }
    assert!((20..=28).contains(&more), "{more}");
}

/// At most two round trips one after the other, which is the budget.
#[tokio::test]
async fn reads_and_creates_cost_two_calls() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let workspace = admin.text("/workspaces/0/id");
    let key = app.key(&admin, json!({"workspace_id": workspace})).await.with("idempotency-key", "k");
    let campaign = key.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201).text("/id");
    app.engines().meter().reset();
    let _ = key.get(&format!("/v1/campaigns/{campaign}")).await.expect(200);
    let calls = app.engines().meter().snapshot();
    assert_eq!(
        (calls.calls_of("UpdateItem"), calls.calls_of("GetItem"), calls.calls()),
        (1, 1, 2),
        "{calls:?}"
    );
    app.engines().meter().reset();
    let key = key.with("idempotency-key", "other");
    // One transaction over three tables: lead, audit record, event and remembered answer. (The meter counts a
    // transaction once for each table it names.)
    let created = app.key(&admin, json!({"workspace_id": workspace})).await;
    // What the function remembers of an organization for ten seconds is known by now.
    let _ = created.get("/v1/leads").await.expect(200);
    app.engines().meter().reset();
    let _ = created
        .with("idempotency-key", "x")
        .post("/v1/leads", json!({"email": "a@example.com"}))
        .await
        .expect(201);
    let calls = app.engines().meter().snapshot();
    let others = calls
        .measured()
        .iter()
        .filter(|m| !["UpdateItem", "TransactWriteItems"].contains(&m.operation.as_str()));
    assert_eq!(others.count(), 0, "{calls:?}");
    assert_eq!((calls.calls_of("UpdateItem"), calls.calls_of("TransactWriteItems")), (1, 3), "{calls:?}");
    drop(key);
    app.drain().await;
}

#[tokio::test]
async fn every_authenticated_answer_carries_the_quota() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 3, "scopes": ["leads:read"]})).await;
    for (path, status, remaining) in
        [("/v1/whoami", 200, 2), ("/v1/leads/nope", 404, 1), ("/v1/campaigns", 403, 0)]
    {
        let answer = key.get(path).await.expect(status);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"hourly\";q=3;w=3600"));
        let (limit, left) = (answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining"));
        assert_eq!((limit, left), (Some("3"), Some(remaining.to_string().as_str())), "{path}");
        assert!(answer.header("ratelimit").unwrap().starts_with(&format!("\"hourly\";r={remaining};t=")));
        assert!(answer.header("x-ratelimit-reset").unwrap().parse::<i64>().unwrap() >= app.now().seconds());
    }
    let _ = key.get("/v1/whoami").await.expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn an_idle_key_has_its_whole_budget_at_once_however_long_it_was_idle() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 5})).await;
    for hours in [0_u64, 2, 28, 30, 31, 32, 33, 64, 65, 500] {
        app.advance(Duration::from_secs(hours * 3600));
        assert_eq!(admitted(&key, 8).await, 5, "after {hours} hours");
        assert_eq!(admitted(&key, 2).await, 0, "after {hours} hours");
    }
}

async fn admitted(key: &Actor, requests: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..requests {
        admitted += usize::from(key.get("/v1/whoami").await.status == 200);
    }
    admitted
}

/// The promise, as an oracle: the admitted requests of the last 62 whole minutes.
struct Oracle {
    limit: usize,
    admitted: VecDeque<i64>,
}

impl Oracle {
    fn admits(&mut self, minute: i64) -> bool {
        self.admitted.retain(|at| *at >= minute - 61);
        let admits = self.admitted.len() < self.limit;
        if admits {
            self.admitted.push_back(minute);
        }
        admits
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: testkit::cases(24), ..ProptestConfig::default() })]

    /// Whatever the traffic looks like, each decision is exactly that of the oracle: never over the limit in any
    /// 60 minutes, and never a refusal that the window does not call for.
    #[test]
    fn every_decision_is_that_of_a_sliding_window(
        limit in 1_u64..12,
        steps in prop::collection::vec((prop_oneof![
            4 => 0_u64..3, 3 => 3_u64..70, 2 => 55_u64..65, 1 => 100_u64..400, 1 => 1600_u64..4000
        ], 1_usize..6), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let app = TestApp::start().await;
            let admin = app.sign_up("Acme").await;
            let key = app.key(&admin, json!({"rate_limit_per_hour": limit})).await;
            let mut oracle = Oracle { limit: usize::try_from(limit).unwrap(), admitted: VecDeque::new() };
            for (minutes, requests) in steps {
                app.advance(Duration::from_secs(minutes * 60));
                for _ in 0..requests {
                    let expected = oracle.admits(app.now().minute());
                    let answer = key.get("/v1/whoami").await;
                    prop_assert_eq!(answer.status == 200, expected, "{} at {}", answer.body, app.now());
                }
            }
            Ok(())
        })?;
    }
}

/// From 800 requests a second on, budget is taken in blocks: the store is written to far less, what is admitted is still the
/// limit and no more, and a revocation still counts at once.
#[tokio::test]
async fn a_key_in_heavy_use_takes_its_budget_in_blocks() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 9_000})).await;
    // The clock stands still, at the beginning of a minute: 4,000 requests in it are as many as in five seconds.
    app.advance(Duration::from_secs(60 - app.now().seconds().unsigned_abs() % 60));
    assert_eq!(admitted(&key, 4_000).await, 4_000);
    app.engines().meter().reset();
    assert_eq!(admitted(&key, 1_000).await, 1_000);
    let calls = app.engines().meter().snapshot();
    assert_eq!(calls.calls(), 1_000, "{calls:?}");
    assert!(calls.calls_of("UpdateItem") < 50, "{calls:?}");
    // So many at once as a busy machine answers in time.
    let rest = futures::stream::iter(0..4_500).map(|_| key.get("/v1/whoami"));
    let rest: Vec<_> = rest.buffer_unordered(256).collect().await;
    // A request that is refused while another one is taking a block may be one too many refused, never the other way round.
    let admitted = rest.iter().filter(|answer| answer.status == 200).count();
    assert!((3_900..=4_000).contains(&admitted), "{admitted}");
    assert!(rest.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 429)));
}
