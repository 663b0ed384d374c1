//! The main job: from sign-up to a signed webhook at the receiver, and what happens when the receiver fails.

use std::time::Duration;

use serde_json::json;
use signing::SigningSecret;
use testkit::{Actor, Installation, Receiver, TestApp, Webhook};

/// A lead of `key`'s workspace that has replied; gives the lead's id.
async fn replied_lead(key: &Actor) -> String {
    let campaign = key.post("/v1/campaigns", json!({"name": "Autumn"})).await.expect(201).text("/id");
    let lead = json!({"email": "grace@example.com", "campaign_id": campaign});
    let lead = key.post("/v1/leads", lead).await.expect(201).text("/id");
    let reply = json!({"message": "Tell me more.", "channel": "email"});
    let reply = key.post(&format!("/v1/leads/{lead}/replies"), reply).await.expect(201);
    assert_eq!(reply.text("/lead/status"), "replied");
    lead
}

fn verifies(webhook: &Webhook, secret: &SigningSecret, now: i64) -> bool {
    let timestamp = webhook.header("webhook-timestamp").parse().unwrap();
    let signature = webhook.header("webhook-signature");
    secret.verifies_standard(webhook.header("webhook-id"), timestamp, now, signature, &webhook.body)
        && webhook.header("x-artisan-signature") == secret.artisan(&webhook.body)
}

#[tokio::test]
async fn a_reply_reaches_the_receiver_signed() {
    let app = Installation::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, secret) = app.endpoint(&admin, &receiver, json!({"events": ["lead.replied"]})).await;
    let key = app.key(&admin, json!({"scopes": ["campaigns:write", "leads:write"]})).await;
    let lead = replied_lead(&key).await;
    app.drain().await;

    let received = receiver.received();
    assert_eq!(received.len(), 1, "only the event that was asked for");
    let webhook = &received[0];
    assert!(verifies(webhook, &SigningSecret::parse(&secret).unwrap(), app.now().seconds()));
    assert_eq!(webhook.header("x-artisan-event"), "lead.replied");
    assert_eq!(webhook.header("content-type"), "application/json");
    assert!(webhook.header("user-agent").starts_with("Artisan-Webhooks/"));
    let body = webhook.json();
    assert_eq!(body["event"], "lead.replied");
    assert_eq!(body["id"], webhook.header("webhook-id"));
    assert_eq!(body["organization_id"].as_str(), Some(admin.text("/organization/id").as_str()));
    assert_eq!(body["workspace_id"].as_str(), Some(admin.text("/workspaces/0/id").as_str()));
    assert_eq!(body["data"]["lead_id"].as_str(), Some(lead.as_str()));
    assert_eq!(body["data"]["message"], "Tell me more.");
    assert!(body["timestamp"].as_str().unwrap().ends_with("Z"));
    let members: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members.len(), 6, "{members:?}");

    let deliveries = admin.get(&format!("/api/admin/webhooks/{endpoint}/deliveries")).await.expect(200);
    assert_eq!(deliveries.text("/data/0/status"), "succeeded");
    let id = deliveries.text("/data/0/id");
    let delivery = admin.get(&format!("/api/admin/webhooks/deliveries/{id}")).await.expect(200);
    assert_eq!(delivery.json["attempt_count"], 1);
    assert_eq!(delivery.json["attempts"][0]["response_status"], 204);
    assert_eq!(delivery.json["next_attempt_at"], serde_json::Value::Null);
}

#[tokio::test]
async fn the_aliases_are_the_same_routes() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    let campaign = admin.post("/api/campaigns", json!({"name": "Autumn"})).await.expect(201).text("/id");
    assert_eq!(admin.get(&format!("/v1/campaigns/{campaign}")).await.expect(200).text("/status"), "draft");
    let lead = admin.post("/api/leads", json!({"email": "a@example.com"})).await.expect(201).text("/id");
    let _ = admin.get(&format!("/v1/leads/{lead}")).await.expect(200);
    assert_eq!(admin.get("/api/leads").await.expect(200).text("/data/0/id"), lead);
    app.drain().await;
}

#[tokio::test]
async fn a_receiver_that_fails_twice_gets_three_attempts_sixty_and_a_hundred_and_twenty_seconds_apart() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|number| if number < 2 { 500 } else { 200 }).await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.replied"]})).await;
    replied_lead(&admin).await;

    // Attempts happen when they are due and not a second before: the clock is moved in steps of one.
    let mut at = Vec::new();
    for second in 0..400 {
        // Schedules come once a minute.
        if second % 60 == 0 {
            app.sweep().await
        } else {
            app.drain().await
        }
        while at.len() < receiver.received().len() {
            at.push(second);
        }
        app.advance(Duration::from_secs(1));
    }
    let [first, second, third] = at[..] else { panic!("{at:?}") };
    assert_eq!(first, 0);
    assert!((54..=67).contains(&(second - first)), "{at:?}");
    assert!((108..=133).contains(&(third - second)), "{at:?}");
    let received = receiver.received();
    let ids: Vec<_> = received.iter().map(|webhook| webhook.header("webhook-id")).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert!(received.iter().all(|webhook| webhook.body == received[0].body));

    let deliveries = admin.get(&format!("/api/admin/webhooks/{endpoint}/deliveries")).await.expect(200);
    let id = deliveries.text("/data/0/id");
    let delivery = admin.get(&format!("/api/admin/webhooks/deliveries/{id}")).await.expect(200);
    assert_eq!(delivery.text("/status"), "succeeded");
    let statuses: Vec<_> =
        (0..3).map(|n| delivery.json["attempts"][n]["response_status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [500, 500, 200]);
    let numbers: Vec<_> = (0..3).map(|n| delivery.json["attempts"][n]["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[tokio::test]
async fn a_receiver_that_always_fails_ends_in_the_dead_letters_after_max_retries() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|_| 503).await;
    let admin = app.sign_up("Acme").await;
    // A session would be over by the end; a key is not.
    let admin = app.key(&admin, json!({})).await;
    let request = json!({"events": ["lead.replied"], "max_retries": 3});
    let (endpoint, _) = app.endpoint(&admin, &receiver, request).await;
    replied_lead(&admin).await;
    for _ in 0..40 {
        app.sweep().await;
        app.advance(Duration::from_secs(60));
    }
    assert_eq!(receiver.received().len(), 4, "the first attempt and three retries");
    let dead = admin.get("/api/admin/webhooks/dead-letters").await.expect(200);
    assert_eq!(dead.json["data"].as_array().unwrap().len(), 1);
    assert_eq!((dead.text("/data/0/status"), dead.text("/data/0/endpoint_id")), ("dead".into(), endpoint));
    assert_eq!(dead.json["data"][0]["attempt_count"], 4);
    assert_eq!(
        app.platform().depth("WebhookFaultsQueue").unwrap().total(),
        0,
        "a customer's failure is no fault of ours"
    );
}

#[tokio::test]
async fn a_retry_schedule_of_days_outlives_the_twelve_hours_sqs_can_hide_a_message() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|_| 500).await;
    let admin = app.sign_up("Acme").await;
    let admin = app.key(&admin, json!({})).await;
    app.endpoint(&admin, &receiver, json!({"events": ["lead.replied"], "max_retries": 12})).await;
    replied_lead(&admin).await;
    for _ in 0..(45 * 12) {
        app.sweep().await;
        app.advance(Duration::from_secs(300));
    }
    assert_eq!(receiver.received().len(), 13);
    let dead = admin.get("/api/admin/webhooks/dead-letters").await.expect(200);
    assert_eq!(dead.json["data"][0]["attempt_count"], 13);
}

#[tokio::test]
async fn gone_disables_the_endpoint_and_is_on_record() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|_| 410).await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    replied_lead(&admin).await;
    app.sweep().await;
    let endpoint = admin.get(&format!("/api/admin/webhooks/{endpoint}")).await.expect(200);
    assert_eq!(endpoint.text("/status"), "disabled");
    assert!(endpoint.text("/disabled_reason").contains("410"));
    let received = receiver.received().len();
    replied_lead(&admin).await;
    app.sweep().await;
    assert_eq!(receiver.received().len(), received, "nothing is sent to a disabled endpoint");
}

#[tokio::test]
async fn retry_after_is_heeded() {
    let app = TestApp::start().await;
    // The receiver names no time here; that it is heeded when it does is tested with the schedule. What is seen
    // here is that 429 counts as a failure and is tried again.
    let receiver = Receiver::answering(|number| if number == 0 { 429 } else { 200 }).await;
    let admin = app.sign_up("Acme").await;
    app.endpoint(&admin, &receiver, json!({"events": ["lead.replied"]})).await;
    replied_lead(&admin).await;
    for _ in 0..3 {
        app.drain().await;
        app.advance(Duration::from_secs(60));
    }
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn an_endpoint_deleted_with_jobs_in_flight_is_not_sent_to_again() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|_| 500).await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.replied"]})).await;
    replied_lead(&admin).await;
    app.sweep().await;
    let deliveries = admin.get(&format!("/api/admin/webhooks/{endpoint}/deliveries")).await.expect(200);
    let id = deliveries.text("/data/0/id");
    let _ = admin.delete(&format!("/api/admin/webhooks/{endpoint}")).await.expect(204);
    for _ in 0..5 {
        app.advance(Duration::from_secs(60));
        app.sweep().await;
    }
    assert_eq!(receiver.received().len(), 1);
    let delivery = admin.get(&format!("/api/admin/webhooks/deliveries/{id}")).await.expect(200);
    assert_eq!(delivery.text("/status"), "cancelled");
}

#[tokio::test]
async fn test_data_stays_with_test_endpoints() {
    let app = Installation::start().await;
    let (live, test) = (Receiver::start().await, Receiver::start().await);
    let admin = app.sign_up("Acme").await;
    app.endpoint(&admin, &live, json!({"events": ["lead.replied"]})).await;
    app.endpoint(&admin, &test, json!({"events": ["lead.replied"], "mode": "test"})).await;
    let key = app.key(&admin, json!({"mode": "test"})).await;
    let lead = replied_lead(&key).await;
    app.drain().await;
    assert_eq!((live.received().len(), test.received().len()), (0, 1));
    let _ = admin.get(&format!("/v1/leads/{lead}")).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn one_event_reaches_every_endpoint_that_wants_it() {
    let app = Installation::start().await;
    let admin = app.sign_up("Acme").await;
    app.upgrade(&admin, "business").await;
    let mut receivers = Vec::new();
    for _ in 0..12 {
        let receiver = Receiver::start().await;
        app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
        receivers.push(receiver);
    }
    for number in 0..30 {
        let lead = json!({"email": format!("lead{number}@example.com")});
        let _ = admin.post("/v1/leads", lead).await.expect(201);
    }
    app.drain().await;
    for receiver in receivers {
        assert_eq!(receiver.received().len(), 30);
    }
}

#[tokio::test]
async fn replies_at_the_same_moment_are_all_recorded_and_delivered() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    app.endpoint(&admin, &receiver, json!({"events": ["lead.replied"]})).await;
    let lead = admin.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201).text("/id");
    let path = format!("/v1/leads/{lead}/replies");
    let replies = (0..20).map(|number| admin.post(&path, json!({"message": format!("reply {number}")})));
    for reply in futures::future::join_all(replies).await {
        let _ = reply.expect(201);
    }
    app.drain().await;
    assert_eq!(receiver.received().len(), 20);
    assert_eq!(admin.get(&format!("/v1/leads/{lead}")).await.expect(200).text("/status"), "replied");
}

/// Items of 15 KB, so that a page of them is more than the megabyte DynamoDB reads at a time.
#[tokio::test]
async fn a_page_is_whole_however_large_its_items_are() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.upgrade(&admin, "business").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 10_000})).await;
    let custom = json!({"notes": "x".repeat(15_000)});
    for number in 0..90 {
        let lead = json!({"email": format!("l{number}@example.com"), "custom": custom});
        let _ = key.post("/v1/leads", lead).await.expect(201);
    }
    let headers: serde_json::Map<String, serde_json::Value> =
        (0..20).map(|number| (format!("x-{number:0>60}"), json!("v".repeat(204)))).collect();
    let url = format!("https://example.com/{}", "p".repeat(2000));
    let description = "\u{1F600}".repeat(500);
    for _ in 0..80 {
        let endpoint = json!({
            "url": url, "events": ["meeting.booked"], "headers": headers, "description": description,
            "signatures": ["v1", "v1a"],
        });
        let _ = key.post("/api/admin/webhooks", endpoint).await.expect(201);
    }
    for (path, expected) in [("/v1/leads", 90), ("/api/admin/webhooks", 80)] {
        let page = key.get(&format!("{path}?limit=100")).await.expect(200);
        assert_eq!(page.json["data"].as_array().unwrap().len(), expected, "{path}");
        assert_eq!(page.json["next_cursor"], serde_json::Value::Null);
    }
    app.drain().await;
}
