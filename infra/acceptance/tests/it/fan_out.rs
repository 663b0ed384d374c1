//! Fan-out: what one tenant sends, or one partition does not serve, is nobody else's trouble.

use artisan_local::engines::Strike;
use queue::{Message, Queue};
use serde_json::json;
use testkit::{Actor, Receiver, TestApp};

use crate::delivering::{MINUTE, acme, leads, tenant};
use crate::delivery_faults::malform;
use crate::endpoints::signed_by;

const NEVER: &str =
    r#"{"Successful":[],"Failed":[{"Id":"0","SenderFault":true,"Code":"InvalidMessageContents"}]}"#;
const BROKEN: &str = r#"{"__type":"com.amazonaws.sqs#InternalError","message":"Internal"}"#;

async fn lead(actor: &Actor, notes: &str) {
    let lead = json!({"email": "a@example.com", "custom": {"notes": notes}});
    let _ = actor.post("/v1/leads", lead).await.expect(201);
}

#[tokio::test]
async fn characters_that_the_queue_does_not_take_reach_the_receiver_as_they_were() {
    const NOTES: &str = "a\u{FFFE}b\u{FFFF}c\\\u{FFFF}\"\u{1}\u{7F}\u{1F600}\u{10FFFF}";
    let app = TestApp::start().await;
    let (receiver, healthy) = (Receiver::start().await, Receiver::start().await);
    let (admin, other) = (acme(&app).await, acme(&app).await);
    let (_, secret) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    app.endpoint(&other, &healthy, json!({"events": ["lead.created"]})).await;
    lead(&admin, NOTES).await;
    leads(&other, 1).await;
    app.drain().await;
    assert_eq!(healthy.received().len(), 1);
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].json()["data"]["custom"]["notes"], NOTES);
    assert!(signed_by(&received[0], &secret, app.now().seconds()), "the bytes are those that are stored");
}

#[tokio::test]
async fn an_event_that_the_queue_will_never_take_is_parked_and_the_others_go_on() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = acme(&app).await;
    app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 3).await;
    // All are on the queue; but of the first one SQS says that it is not.
    app.engines().faults().order("SendMessageBatch", 0, 1, Strike::After, 200, NEVER);
    app.drain().await;
    let parked = app.platform().messages("FanoutFaultsQueue");
    assert_eq!(parked.len(), 1);
    assert!(parked[0].body.contains("InvalidMessageContents"), "{}", parked[0].body);
    app.advance(MINUTE);
    app.drain().await;
    assert_eq!(receiver.received().len(), 3, "nothing came again");
    assert_eq!(app.platform().messages("FanoutFaultsQueue").len(), 1);
    app.leaves_jobs();
}

#[tokio::test]
async fn a_throttled_tenant_holds_up_nobody_else_s_events() {
    let app = TestApp::start().await;
    let (receiver, healthy) = (Receiver::start().await, Receiver::start().await);
    let (admin, other) = (acme(&app).await, acme(&app).await);
    app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    app.endpoint(&other, &healthy, json!({"events": ["lead.created"]})).await;
    let organization = tenant(&app, &admin).await.organization_id();
    leads(&other, 1).await;
    leads(&admin, 2).await;
    leads(&other, 1).await;
    app.engines().faults().throttle(&format!("ORG#{organization}"));
    app.drain().await;
    assert_eq!((receiver.received().len(), healthy.received().len()), (0, 2));
    app.engines().faults().clear();
    for _ in 0..3 {
        app.advance(MINUTE);
        app.drain().await;
    }
    assert_eq!((receiver.received().len(), healthy.received().len()), (2, 2), "each once");
}

fn messages(count: usize, asked_for: &mut usize) -> impl Iterator<Item = Message> {
    (0..count).map(move |number| {
        *asked_for = number + 1;
        Message { body: number.to_string(), ..Message::default() }
    })
}

/// What is sent is made as it is sent, so a hundred events to a hundred endpoints are never in memory at once; and where the
/// queue is down, it is not asked for each.
#[tokio::test]
async fn few_of_many_messages_are_in_memory_at_once() {
    let app = TestApp::start().await;
    let services = app.platform().services_for("fanout").unwrap();
    let queue = Queue::from_services(&services, "WEBHOOK_JOBS_QUEUE_URL").unwrap();
    let mut asked_for = 0;
    app.engines().faults().order("SendMessageBatch", 0, 1000, Strike::Before, 500, BROKEN);
    let refused = queue.send(messages(1000, &mut asked_for)).await.unwrap_err();
    assert_eq!((refused.first, refused.refused), (0, 10));
    assert!((10..=100).contains(&asked_for), "{asked_for}");
    app.engines().faults().clear();
    assert_eq!(queue.send(messages(1000, &mut asked_for)).await.unwrap(), []);
    assert_eq!((asked_for, app.platform().messages("WebhookJobsQueue").len()), (1000, 1000));
    app.leaves_jobs();
}

/// The stream is read again from the first event that is not on the queue: not from one before, and from none after.
#[tokio::test]
async fn the_stream_goes_on_from_the_first_event_that_was_not_queued() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = acme(&app).await;
    app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 4).await;
    let failed = r#"{"Successful":[],"Failed":[{"Id":"2","SenderFault":false,"Code":"InternalError"}]}"#;
    app.engines().faults().order("SendMessageBatch", 0, 1, Strike::Before, 200, failed);
    app.drain().await;
    app.advance(MINUTE);
    app.drain().await;
    // Nothing was sent the first time, though of two it was said that they were.
    assert_eq!(receiver.received().len(), 2);
}

/// What is malformed is one endpoint's: the tenant's others are sent what they want, and a note says what is left to do.
#[tokio::test]
async fn a_malformed_endpoint_does_not_keep_events_from_the_others() {
    let app = TestApp::start().await;
    let (sick, well) = (Receiver::start().await, Receiver::start().await);
    let admin = acme(&app).await;
    let (malformed, _) = app.endpoint(&admin, &sick, json!({"events": ["lead.created"]})).await;
    app.endpoint(&admin, &well, json!({"events": ["lead.created"]})).await;
    malform(&app, &malformed).await;
    leads(&admin, 2).await;
    app.drain().await;
    assert_eq!((sick.received().len(), well.received().len()), (0, 2));
    assert_eq!(app.platform().messages("FanoutFaultsQueue").len(), 2);
    app.leaves_jobs();
}

/// That the store refuses a call (a permission, a table that is not there) says nothing of an event: it comes again.
#[tokio::test]
async fn what_the_store_refuses_is_not_parked() {
    const DENIED: &str = r#"{"__type":"com.amazon.coral.service#AccessDeniedException","message":"No"}"#;
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = acme(&app).await;
    app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 2).await;
    app.engines().faults().order("Query", 0, 1, Strike::Before, 400, DENIED);
    app.drain().await;
    assert!(app.platform().messages("FanoutFaultsQueue").is_empty());
    for _ in 0..3 {
        app.advance(MINUTE);
        app.drain().await;
    }
    assert_eq!(receiver.received().len(), 2);
}
