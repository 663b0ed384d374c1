//! What was sent to endpoints, as it is counted for people to look at.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Actor, Receiver, TestApp};

use crate::delivering::{MINUTE, acme, leads, pass, tenant};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn stats(caller: &Actor, query: &str) -> Value {
    caller.get(&format!("/api/admin/webhooks/stats{query}")).await.expect(200).json
}

fn sent(succeeded: u64, failed: u64, dead_letters: u64) -> Value {
    json!({"succeeded": succeeded, "failed": failed, "dead_letters": dead_letters})
}

/// The buckets in which anything was sent, without when they begin.
fn filled(of: &Value) -> Vec<Value> {
    let buckets = of["data"].as_array().unwrap().iter().cloned().map(|mut bucket| {
        bucket.as_object_mut().unwrap().remove("start");
        bucket
    });
    buckets.filter(|bucket| *bucket != sent(0, 0, 0)).collect()
}

#[tokio::test]
async fn what_was_sent_is_told_by_hour_and_day_in_sum_and_by_endpoint() {
    let app = TestApp::start().await;
    let admin = acme(&app).await;
    let (good, bad) = (Receiver::start().await, Receiver::answering(|_| 500).await);
    let events = json!({"events": ["lead.created"], "max_retries": 1});
    let (taking, _) = app.endpoint(&admin, &good, events.clone()).await;
    let (failing, _) = app.endpoint(&admin, &bad, events).await;
    assert_eq!(
        (&stats(&admin, "").await["total"], stats(&admin, "").await["endpoints"].clone()),
        (&sent(0, 0, 0), json!([]))
    );
    // The first are there at once.
    leads(&admin, 1).await;
    app.drain().await;
    assert_eq!(stats(&admin, "").await["total"], sent(1, 1, 0));
    leads(&admin, 2).await;
    pass(&app, 20).await;
    assert_eq!((good.received().len(), bad.received().len()), (3, 6));
    app.advance(Duration::from_secs(3600));
    leads(&admin, 1).await;
    app.drain().await;
    let seen = stats(&admin, "").await;
    assert_eq!((&seen["granularity"], seen["data"].as_array().unwrap().len()), (&json!("hour"), 24));
    assert_eq!((&seen["total"], filled(&seen)), (&sent(4, 7, 3), vec![sent(3, 6, 3), sent(1, 1, 0)]));
    let of = |seen: &Value, endpoint: &str| {
        let mut all = seen["endpoints"].as_array().unwrap().iter();
        all.find(|it| it["endpoint_id"] == *endpoint).unwrap_or(&Value::Null).clone()
    };
    let (of_taking, of_failing) = (of(&seen, &taking), of(&seen, &failing));
    assert_eq!(
        (&of_taking["total"], filled(&of_taking)),
        (&sent(4, 0, 0), vec![sent(3, 0, 0), sent(1, 0, 0)])
    );
    assert_eq!((&of_failing["total"], of_failing["data"].as_array().unwrap().len()), (&sent(0, 7, 3), 24));
    let narrowed = stats(&admin, &format!("?endpoint_id={failing}")).await;
    assert_eq!((&narrowed["total"], &of(&narrowed, &taking)), (&sent(0, 7, 3), &Value::Null));
    // Days, also when the endpoint is gone.
    app.drain().await;
    pass(&app, 5).await;
    app.advance(DAY);
    let _ = admin.delete(&format!("/api/admin/webhooks/{failing}")).await.expect(204);
    let days = stats(&admin, "?granularity=day").await;
    assert_eq!((days["data"].as_array().unwrap().len(), filled(&days)), (30, vec![sent(4, 8, 4)]));
    assert_eq!(of(&days, &failing)["total"], sent(0, 8, 4));
    let before = stats(&admin, "?from=2026-11-22T13:00:00Z&to=2026-11-22T14:00:00Z").await;
    assert_eq!((&before["total"], filled(&before).len()), (&sent(1, 2, 1), 1));
    for bad in ["?granularity=week", "?from=x", "?limit=3", "?endpoint_id=x", "?to=2026-11-22T13:00:00Z&to=x"]
    {
        let answer = admin.get(&format!("/api/admin/webhooks/stats{bad}")).await;
        let _ = answer.expect_problem(422, "invalid");
    }
}

#[tokio::test]
async fn what_was_sent_is_shown_to_who_sees_the_endpoint() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.upgrade(&admin, "business").await;
    let first = admin.text("/workspaces/0/id");
    let second = admin.post("/api/admin/workspaces", json!({"name": "Second"})).await.expect(201).text("/id");
    let manager = app.invite_and_join(&admin, json!({"role": "manager", "workspace_id": second})).await;
    let receiver = Receiver::start().await;
    let (everywhere, _) = app.endpoint(&admin, &receiver, json!({})).await;
    let (there, _) = app.endpoint(&admin, &receiver, json!({"workspace_id": second})).await;
    leads(&admin.with("x-workspace-id", &*second), 1).await;
    app.drain().await;
    pass(&app, 1).await;
    leads(&admin.with("x-workspace-id", &*first), 1).await;
    app.drain().await;
    let endpoints = |seen: Value| {
        let all = seen["endpoints"].as_array().unwrap().iter();
        all.map(|it| it["endpoint_id"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let seen = stats(&admin, "").await;
    assert_eq!(
        (&seen["total"], endpoints(seen.clone())),
        (&sent(3, 0, 0), BTreeSet::from([everywhere.clone(), there.clone()]))
    );
    let seen = stats(&manager, "").await;
    assert_eq!((&seen["total"], endpoints(seen.clone())), (&sent(1, 0, 0), BTreeSet::from([there])));
    assert_eq!(stats(&manager, &format!("?endpoint_id={everywhere}")).await["total"], sent(0, 0, 0));
    let test = app.key(&admin, json!({"mode": "test"})).await;
    let other = app.sign_up("Initech").await;
    for stranger in [&test, &other] {
        assert_eq!(stats(stranger, "").await["total"], sent(0, 0, 0));
        assert_eq!(stats(stranger, &format!("?endpoint_id={everywhere}")).await["total"], sent(0, 0, 0));
    }
    let narrow = app.key(&admin, json!({"scopes": ["leads:read"]})).await;
    let _ = narrow.get("/api/admin/webhooks/stats").await.expect_problem(403, "forbidden");
}

/// However much is sent, a minute of an endpoint is one write, and what waits is not lost while the process lives.
#[tokio::test]
async fn a_minute_of_an_endpoint_is_one_write_and_goes_when_the_plan_says() {
    let app = TestApp::start().await;
    let admin = acme(&app).await;
    let receiver = Receiver::start().await;
    app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    let updates = || {
        let measured = app.engines().meter().snapshot().measured().to_vec();
        let table = app.platform().table_name("ActivityTable").unwrap().to_owned();
        let of_it = measured.into_iter().filter(|it| it.resource == table && it.operation == "UpdateItem");
        of_it.map(|it| it.calls).sum::<u64>()
    };
    app.engines().meter().reset();
    for _ in 0..5 {
        leads(&admin, 6).await;
        app.drain().await;
    }
    assert_eq!(receiver.received().len(), 30);
    // Each delivery is settled by one update; one more counts those of the first batch.
    assert_eq!(updates(), 31);
    let waiting = stats(&admin, "").await["total"]["succeeded"].as_u64().unwrap();
    assert!((1..30).contains(&waiting), "{waiting}");
    app.advance(MINUTE);
    leads(&admin, 1).await;
    app.drain().await;
    assert_eq!((updates(), stats(&admin, "").await["total"].clone()), (33, sent(31, 0, 0)));
    if testkit::embedded_only(testkit::EXPIRES) {
        return;
    }
    let (tenant, hour) = (tenant(&app, &admin).await, app.now().seconds() / 3600);
    let there = async || tenant.sent(None, hour - 24, hour + 24).await.unwrap().len();
    app.advance(90 * DAY);
    let _ = app.engines().dynamodb().sweep().unwrap();
    assert_eq!(there().await, 1);
    app.advance(2 * DAY);
    let _ = app.engines().dynamodb().sweep().unwrap();
    assert_eq!(there().await, 0);
}
