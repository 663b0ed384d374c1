//! When a dependency fails: 503 that may be retried, never a 500; nothing half done, nothing lost, nothing doubled.

use std::time::Duration;

use artisan_local::engines::Strike;
use serde_json::json;
use testkit::{Receiver, TestApp};

const THROTTLED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
    "Message":"Transaction cancelled, please refer cancellation reasons for specific reasons [ThrottlingError]",
    "CancellationReasons":[{"Code":"ThrottlingError","Message":"Throughput exceeds the current capacity"},{"Code":"None"}]}"#;
/// The same of a call that is no transaction.
const EXCEEDED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
    "message":"The level of configured provisioned throughput for the table was exceeded"}"#;
const CONFLICT: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
    "Message":"Transaction cancelled, please refer cancellation reasons for specific reasons [TransactionConflict]",
    "CancellationReasons":[{"Code":"TransactionConflict","Message":"Transaction is ongoing for the item"},{"Code":"None"}]}"#;
const BROKEN: &str =
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"Internal"}"#;
const NOT_ALL_SENT: &str =
    r#"{"Successful":[],"Failed":[{"Id":"0","SenderFault":false,"Code":"InternalError"}]}"#;
const SQS_BROKEN: &str =
    r#"{"__type":"com.amazonaws.sqs#InvalidAddress","message":"The queue is not to be reached"}"#;

#[tokio::test]
async fn a_throttled_store_is_503_with_a_time_to_come_back() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let faults = app.engines().faults();
    faults.order("TransactWriteItems", 0, 1, Strike::Before, 400, THROTTLED);
    let lead = json!({"email": "a@example.com"});
    let answer = admin.post("/v1/leads", lead.clone()).await.expect_problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(admin.get("/v1/leads").await.expect(200).json["data"], json!([]));
    // At the gate, too. The SDK tries three times.
    faults.order("UpdateItem", 0, 3, Strike::Before, 500, BROKEN);
    let _ = admin.get("/v1/leads").await.expect_problem(503, "unavailable");
    let _ = admin.post("/v1/leads", lead).await.expect(201);
    app.drain().await;
}

#[tokio::test]
async fn a_transaction_that_meets_another_is_tried_again() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let faults = app.engines().faults();
    faults.order("TransactWriteItems", 0, 3, Strike::Before, 400, CONFLICT);
    let _ = admin.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201);
    faults.order("TransactWriteItems", 0, 9, Strike::Before, 400, CONFLICT);
    let _ =
        admin.post("/v1/leads", json!({"email": "b@example.com"})).await.expect_problem(503, "unavailable");
    faults.order("TransactWriteItems", 0, 9, Strike::Before, 400, CONFLICT);
    let once = admin.with("idempotency-key", "one");
    let answer = once.post("/v1/leads", json!({"email": "c@example.com"})).await;
    let _ = answer.expect_problem(409, "idempotency_in_progress");
    app.drain().await;
}

/// The write went through, the answer was lost on the way: the SDK asks again with the same client token.
#[tokio::test]
async fn an_answer_lost_on_the_way_doubles_nothing() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    app.endpoint(&admin, &receiver, json!({})).await;
    app.engines().faults().order("TransactWriteItems", 0, 1, Strike::After, 500, BROKEN);
    let _ = admin.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201);
    assert_eq!(admin.get("/v1/leads").await.expect(200).json["data"].as_array().unwrap().len(), 1);
    app.drain().await;
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_queue_that_takes_only_part_of_a_batch_loses_nothing() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    for strike in [Strike::Before, Strike::After] {
        app.engines().faults().order("SendMessageBatch", 0, 1, strike, 200, NOT_ALL_SENT);
        let _ = admin.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201);
        for _ in 0..5 {
            app.drain().await;
            app.advance(Duration::from_secs(60));
        }
    }
    let ids: std::collections::BTreeSet<_> =
        receiver.received().iter().map(|webhook| webhook.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), 2);
    let deliveries = admin.get(&format!("/api/admin/webhooks/{endpoint}/deliveries")).await.expect(200);
    assert!(
        deliveries.json["data"].as_array().unwrap().iter().all(|delivery| delivery["status"] == "succeeded")
    );
}

#[tokio::test]
async fn a_fan_out_that_cannot_reach_the_store_is_made_up_for() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    app.endpoint(&admin, &receiver, json!({})).await;
    let _ = admin.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201);
    // The first query from here on is the fan-out's, for the tenant's endpoints.
    app.engines().faults().order("Query", 0, 4, Strike::Before, 400, EXCEEDED);
    for _ in 0..5 {
        app.drain().await;
        app.advance(Duration::from_secs(60));
    }
    assert_eq!(receiver.received().len(), 1);
}

/// The receiver has it, but the store could not be told: the job comes back, the receiver gets it again under the
/// same id, and the attempt counts once.
#[tokio::test]
async fn an_attempt_that_could_not_be_recorded_is_made_again() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    let _ = admin.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201);
    // The first update of an item is the settlement's; the SDK tries it three times.
    app.engines().faults().order("UpdateItem", 0, 3, Strike::Before, 400, EXCEEDED);
    for _ in 0..8 {
        app.drain().await;
        app.advance(Duration::from_secs(60));
    }
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    let deliveries = key.get(&format!("/api/admin/webhooks/{endpoint}/deliveries")).await.expect(200);
    assert_eq!(deliveries.text("/data/0/status"), "succeeded");
    assert_eq!(deliveries.json["data"][0]["attempt_count"], 1);
}

/// A job that could not be hidden comes back too early; the delivery says when it is due.
#[tokio::test]
async fn a_job_that_comes_back_early_waits_for_its_time() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|_| 500).await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"max_retries": 4})).await;
    let _ = admin.post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201);
    app.engines().faults().order("ChangeMessageVisibility", 0, 1, Strike::Before, 400, SQS_BROKEN);
    for _ in 0..60 {
        app.sweep().await;
        app.advance(Duration::from_secs(60));
    }
    let deliveries = key.get(&format!("/api/admin/webhooks/{endpoint}/deliveries")).await.expect(200);
    assert_eq!((deliveries.text("/data/0/status").as_str(), receiver.received().len()), ("dead", 5));
    assert_eq!(deliveries.json["data"][0]["attempt_count"], 5);
}

#[tokio::test]
async fn health_says_what_is_down() {
    let app = TestApp::start().await;
    app.engines().faults().order("GetQueueAttributes", 0, 1, Strike::Before, 400, SQS_BROKEN);
    let health = app.stranger().get("/health").await.expect(503);
    assert_eq!(health.text("/status"), "down");
    let down: Vec<_> =
        health.json["dependencies"].as_array().unwrap().iter().filter(|d| d["status"] == "down").collect();
    assert_eq!(down.len(), 1);
    assert_eq!(down[0]["name"], "sqs");
}
