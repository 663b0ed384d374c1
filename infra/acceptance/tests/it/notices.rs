//! What customers are told of their endpoints: in the feed of operational events, and by mail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use artisan_local::engines::Strike;
use serde_json::{Value, json};
use testkit::{Actor, Receiver, TestApp};

const FEED: &str = "/api/admin/webhooks/operational-events";
const MINUTE: Duration = Duration::from_secs(60);
const THROTTLED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
    "message":"The level of configured provisioned throughput for the table was exceeded"}"#;

/// A receiver that can be broken and mended.
async fn fickle() -> (Receiver, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&broken);
    let receiver = Receiver::answering(move |_| if state.load(Ordering::Relaxed) { 500 } else { 204 }).await;
    (receiver, broken)
}

async fn lead(caller: &Actor, number: usize) {
    let _ = caller.post("/v1/leads", json!({"email": format!("l{number}@example.com")})).await.expect(201);
}

/// The whole feed, latest first.
async fn feed(caller: &Actor) -> Vec<Value> {
    let mut all = Vec::new();
    let mut next = format!("{FEED}?limit=7");
    for _ in 0..100 {
        let page = caller.get(&next).await.expect(200);
        all.extend(page.json["data"].as_array().unwrap().clone());
        let Some(cursor) = page.json["next_cursor"].as_str() else { return all };
        next = format!("{FEED}?limit=7&cursor={cursor}");
    }
    panic!("it does not end");
}

fn of<'a>(feed: &'a [Value], r#type: &str) -> Vec<&'a Value> {
    feed.iter().filter(|notice| notice["type"] == r#type).collect()
}

/// How many mails about endpoints an address has that say this.
fn mails(app: &TestApp, address: &str, words: &str) -> usize {
    app.mails_to(address).iter().filter(|mail| mail.subject.contains(words)).count()
}

async fn pass(app: &TestApp, minutes: usize) {
    for _ in 0..minutes {
        app.advance(MINUTE);
        app.sweep().await;
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_and_recovers_is_told_of_once_each_time() {
    let app = TestApp::start().await;
    let (receiver, broken) = fickle().await;
    let owner = app.sign_up("Acme").await;
    app.prove(&owner).await;
    let address = owner.text("/user/email");
    let admin = app.key(&owner, json!({})).await;
    let (endpoint, _) =
        app.endpoint(&admin, &receiver, json!({"events": ["lead.created"], "max_retries": 12})).await;
    for number in 0..4 {
        lead(&admin, number).await;
    }
    app.sweep().await;
    assert_eq!(feed(&admin).await, Vec::<Value>::new(), "a few failures are no news");
    for episode in 1..=2 {
        for number in 0..12 {
            lead(&admin, episode * 100 + number).await;
        }
        app.sweep().await;
        pass(&app, 30).await;
        let told = feed(&admin).await;
        assert_eq!(of(&told, "endpoint.failing").len(), episode, "{told:#?}");
        assert_eq!(of(&told, "endpoint.recovered").len(), episode - 1);
        assert_eq!(mails(&app, &address, FAILING), episode);
        let failing = of(&told, "endpoint.failing")[0];
        assert_eq!(failing["endpoint_id"], json!(endpoint));
        assert!(failing["detail"].as_str().unwrap().contains("status 500"), "{failing}");
        broken.store(false, Ordering::Relaxed);
        pass(&app, 60).await;
        let told = feed(&admin).await;
        assert_eq!(of(&told, "endpoint.recovered").len(), episode, "{told:#?}");
        assert_eq!(mails(&app, &address, RECOVERED), episode);
        assert_eq!(
            admin.get(&format!("/api/admin/webhooks/{endpoint}")).await.expect(200).text("/health/state"),
            "healthy"
        );
        broken.store(true, Ordering::Relaxed);
    }
    let told = feed(&admin).await;
    assert_eq!(told.len(), 4, "{told:#?}");
    let ids: Vec<_> = told.iter().map(|notice| notice["id"].to_string()).collect();
    assert!(ids.windows(2).all(|two| two[0] > two[1]), "latest first");
    app.leaves_jobs();
}

/// Who mends what was failing is told that it is mended, however they did it.
#[tokio::test]
async fn a_recovery_is_told_though_the_endpoint_was_begun_anew() {
    for by_url in [true, false] {
        let app = TestApp::start().await;
        let ((receiver, broken), well) = (fickle().await, Receiver::start().await);
        let owner = app.sign_up("Acme").await;
        let admin = app.key(&owner, json!({})).await;
        let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
        let path = format!("/api/admin/webhooks/{endpoint}");
        for number in 0..10 {
            lead(&admin, number).await;
        }
        app.sweep().await;
        pass(&app, 3).await;
        let told = feed(&admin).await;
        assert_eq!(of(&told, "endpoint.failing").len(), 1, "{told:#?}");
        if by_url {
            let _ = admin.patch(&path, json!({"url": well.url()})).await.expect(200);
        } else {
            let _ = admin.post(&format!("{path}/disable"), json!({})).await.expect(200);
            app.sweep().await;
            let _ = admin.post(&format!("{path}/enable"), json!({})).await.expect(200);
        }
        broken.store(false, Ordering::Relaxed);
        pass(&app, 10).await;
        lead(&admin, 10).await;
        app.sweep().await;
        pass(&app, 1).await;
        let told = feed(&admin).await;
        assert_eq!(of(&told, "endpoint.recovered").len(), 1, "{told:#?}");
        // And of what follows as of anything.
        broken.store(true, Ordering::Relaxed);
        let _ = admin.patch(&path, json!({"url": receiver.url()})).await.expect(200);
        for number in 20..30 {
            lead(&admin, number).await;
        }
        app.sweep().await;
        let told = feed(&admin).await;
        let of_each = ["endpoint.failing", "endpoint.recovered"].map(|it| of(&told, it).len());
        assert_eq!(of_each, [2, 1], "{told:#?}");
        pass(&app, 5).await;
        app.leaves_jobs();
    }
}

/// The delivery is a dead letter, and that could not be told: whoever has its job again tells it.
#[tokio::test]
async fn a_dead_letter_is_told_of_though_it_could_not_be_at_once() {
    let app = TestApp::start().await;
    let (receiver, _) = fickle().await;
    let admin = app.sign_up("Acme").await;
    app.endpoint(&admin, &receiver, json!({"events": ["lead.created"], "max_retries": 0})).await;
    lead(&admin, 0).await;
    // The first is the claim; the SDK tries each three times.
    app.engines().faults().order("PutItem", 1, 3, Strike::Before, 400, THROTTLED);
    app.drain().await;
    assert_eq!(feed(&admin).await, Vec::<Value>::new());
    pass(&app, 8).await;
    assert_eq!(of(&feed(&admin).await, "delivery.exhausted").len(), 1);
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn dead_letters_are_in_the_feed_one_by_one_and_in_a_mail_an_hour() {
    let app = TestApp::start().await;
    let (receiver, _) = fickle().await;
    let owner = app.sign_up("Acme").await;
    app.prove(&owner).await;
    let address = owner.text("/user/email");
    let admin = app.key(&owner, json!({})).await;
    let (endpoint, _) =
        app.endpoint(&admin, &receiver, json!({"events": ["lead.created"], "max_retries": 0})).await;
    // No more than nine failures in all: after ten in a row it would be left alone.
    for number in 0..4 {
        lead(&admin, number).await;
    }
    app.sweep().await;
    let told = feed(&admin).await;
    let exhausted = of(&told, "delivery.exhausted");
    assert_eq!(exhausted.len(), 4);
    let dead = admin.get("/api/admin/webhooks/dead-letters").await.expect(200);
    for letter in dead.json["data"].as_array().unwrap() {
        assert!(exhausted.iter().any(|notice| notice["delivery_id"] == letter["id"]));
    }
    assert_eq!(mails(&app, &address, EXHAUSTED), 1);
    // More of them in the same hour wait for the next mail.
    for number in 4..7 {
        pass(&app, 10).await;
        lead(&admin, number).await;
        app.sweep().await;
    }
    assert_eq!(of(&feed(&admin).await, "delivery.exhausted").len(), 7);
    assert_eq!(mails(&app, &address, EXHAUSTED), 1);
    pass(&app, 31).await;
    assert_eq!(mails(&app, &address, EXHAUSTED), 2);
    let newest = app.mails_to(&address).into_iter().find(|mail| mail.subject.contains(EXHAUSTED)).unwrap();
    assert!(newest.text.contains('3'), "{}", newest.text);
    // Nothing new, no mail; and ones of an endpoint that was disabled meanwhile are not forgotten.
    pass(&app, 70).await;
    assert_eq!(mails(&app, &address, EXHAUSTED), 2);
    lead(&admin, 20).await;
    app.sweep().await;
    assert_eq!(mails(&app, &address, EXHAUSTED), 3);
    lead(&admin, 21).await;
    app.sweep().await;
    let _ = admin.post(&format!("/api/admin/webhooks/{endpoint}/disable"), json!({})).await.expect(200);
    pass(&app, 62).await;
    assert_eq!(mails(&app, &address, EXHAUSTED), 4);
}

#[tokio::test]
async fn whoever_disables_an_endpoint_it_is_in_the_feed_once() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|_| 410).await;
    let admin = app.sign_up("Acme").await;
    app.prove(&admin).await;
    let second = app.invite_and_join(&admin, json!({"role": "admin"})).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    let path = format!("/api/admin/webhooks/{endpoint}");
    let once = admin.with("idempotency-key", "disable-1");
    for _ in 0..3 {
        let _ = once.post(&format!("{path}/disable"), json!({"reason": "moving"})).await.expect(200);
        app.advance(Duration::from_secs(1));
        app.sweep().await;
    }
    let told = feed(&admin).await;
    assert_eq!(
        (told.len(), &told[0]["type"], &told[0]["detail"]),
        (1, &json!("endpoint.disabled"), &json!("moving"))
    );
    let _ = admin.post(&format!("{path}/disable"), json!({})).await.expect_problem(409, "conflict");
    assert_eq!(feed(&admin).await.len(), 1, "a refusal is no news");

    let _ = admin.post(&format!("{path}/enable"), json!({})).await.expect(200);
    lead(&admin, 0).await;
    app.sweep().await;
    app.sweep().await;
    let told = feed(&admin).await;
    let disabled = of(&told, "endpoint.disabled");
    assert_eq!(disabled.len(), 2);
    assert!(disabled[0]["detail"].as_str().unwrap().contains("410"));
    for person in [&admin, &second] {
        assert_eq!(mails(&app, &person.text("/user/email"), DISABLED), 2);
    }
}

/// Whoever signs up with a stranger's address could otherwise write to them as often as they like, and what.
#[tokio::test]
async fn nobody_is_written_to_whose_address_was_not_proved_nor_more_than_once_an_hour() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let owner = app.sign_up("Acme").await;
    let address = owner.text("/user/email");
    let admin = app.key(&owner, json!({})).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    let path = format!("/api/admin/webhooks/{endpoint}");
    let disable_and_enable = async || {
        let reason = json!({"reason": "buy at shop.example"});
        let _ = admin.post(&format!("{path}/disable"), reason).await.expect(200);
        app.sweep().await;
        let _ = admin.post(&format!("{path}/enable"), json!({})).await.expect(200);
        app.advance(MINUTE);
    };
    disable_and_enable().await;
    assert_eq!(mails(&app, &address, DISABLED), 0);
    app.prove(&owner).await;
    app.advance(60 * MINUTE);
    for _ in 0..5 {
        disable_and_enable().await;
    }
    assert_eq!(mails(&app, &address, DISABLED), 1);
    app.advance(60 * MINUTE);
    disable_and_enable().await;
    assert_eq!(mails(&app, &address, DISABLED), 2);
    assert_eq!(of(&feed(&admin).await, "endpoint.disabled").len(), 7, "the feed has all of it");
    assert!(app.mails_to(&address).iter().all(|mail| !mail.text.contains("shop.example")));
    // A reset password proves the address as well, as soon as it is used to come in here.
    let other = app.sign_up("Initech").await;
    let address = other.text("/user/email");
    let (endpoint, _) = app.endpoint(&other, &receiver, json!({})).await;
    let _ = app.stranger().post("/api/auth/password/forgot", json!({"email": address})).await.expect(202);
    let token = app.token_mailed_to(&address).await;
    let reset = json!({"token": token, "password": testkit::PASSWORD});
    let _ = app.stranger().post("/api/auth/password/reset", reset).await.expect(204);
    let sign_in = json!({
        "email": address, "password": testkit::PASSWORD, "organization_id": other.text("/organization/id"),
    });
    let back = app.stranger().post("/api/auth/login", sign_in).await.expect(200);
    let other = other.with_token(&back.text("/access_token"));
    let _ = other.post(&format!("/api/admin/webhooks/{endpoint}/disable"), json!({})).await.expect(200);
    app.sweep().await;
    assert_eq!(mails(&app, &address, DISABLED), 1);
}

#[tokio::test]
async fn five_days_of_nothing_but_failures_disable_an_endpoint() {
    let app = TestApp::start().await;
    let (receiver, broken) = fickle().await;
    let owner = app.sign_up("Acme").await;
    app.prove(&owner).await;
    let admin = app.key(&owner, json!({})).await;
    let request = json!({"events": ["lead.created"], "max_retries": 12});
    let (endpoint, _) = app.endpoint(&admin, &receiver, request).await;
    let path = format!("/api/admin/webhooks/{endpoint}");
    lead(&admin, 0).await;
    for hour in 0..(5 * 24 - 1) {
        if hour % 12 == 0 {
            lead(&admin, hour + 1).await;
        }
        app.sweep().await;
        app.advance(60 * MINUTE);
    }
    assert_eq!(admin.get(&path).await.expect(200).text("/status"), "enabled");
    for _ in 0..20 {
        app.advance(60 * MINUTE);
        app.sweep().await;
    }
    let disabled = admin.get(&path).await.expect(200);
    assert_eq!(disabled.text("/status"), "disabled");
    assert!(disabled.text("/disabled_reason").contains("five days"));
    app.sweep().await;
    assert_eq!(of(&feed(&admin).await, "endpoint.disabled").len(), 1);
    assert_eq!(mails(&app, &owner.text("/user/email"), DISABLED), 1);
    broken.store(false, Ordering::Relaxed);
    let before = receiver.received().len();
    let enabled = admin.post(&format!("{path}/enable"), json!({})).await.expect(200);
    // What waited when it was disabled is days old, and in the offer.
    let offer = enabled.json["replay_offer"].clone();
    let _ = admin.post(&format!("{path}/replay"), offer).await.expect(202);
    app.sweep().await;
    pass(&app, 2).await;
    assert!(receiver.received().len() > before);
    let mut counts = Vec::new();
    for status in ["cancelled", "retrying", "pending"] {
        let path = format!("{path}/deliveries?status={status}");
        counts.push(admin.get(&path).await.expect(200).json["data"].as_array().unwrap().len());
    }
    assert_eq!(counts, [0, 0, 0]);
}

#[tokio::test]
async fn the_feed_has_walls() {
    let app = TestApp::start().await;
    let (receiver, _) = fickle().await;
    let admin = app.sign_up("Acme").await;
    app.prove(&admin).await;
    app.upgrade(&admin, "business").await;
    let here = admin.text("/workspaces/0/id");
    let there = admin.post("/api/admin/workspaces", json!({"name": "There"})).await.expect(201).text("/id");
    let request = json!({"workspace_id": here, "max_retries": 0});
    app.endpoint(&admin, &receiver, request).await;
    lead(&admin.with("x-workspace-id", here.clone()), 0).await;
    app.sweep().await;
    let inside = app.key(&admin, json!({"workspace_id": here})).await;
    let outside = app.key(&admin, json!({"workspace_id": there})).await;
    let test = app.key(&admin, json!({"mode": "test"})).await;
    let foreign = app.sign_up("Initech").await;
    assert_eq!(feed(&admin).await.len(), 1);
    assert_eq!(feed(&inside).await.len(), 1);
    for other in [&outside, &test, &foreign] {
        assert_eq!(feed(other).await, Vec::<Value>::new());
    }
}

const FAILING: &str = "failing";
const RECOVERED: &str = "well again";
const DISABLED: &str = "disabled";
const EXHAUSTED: &str = "given up";
