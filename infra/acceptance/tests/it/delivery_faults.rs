//! When the store or the queue fails at some step of a delivery: nothing is lost, and the others of its batch are settled.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use artisan_local::engines::Strike;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use testkit::{Actor, Receiver, TestApp};

use crate::delivering::{MINUTE, acme, deliveries, held_back, leads, pass, tenant};

const THROTTLED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
    "message":"The level of configured provisioned throughput for the table was exceeded"}"#;
const NOT_ALL_SENT: &str =
    r#"{"Successful":[],"Failed":[{"Id":"0","SenderFault":false,"Code":"InternalError"}]}"#;
/// The SDK tries each call so often.
const TRIES: usize = 3;

/// Has so many calls fail. Of four jobs side by side, ten make two or three fail for good.
fn fail(app: &TestApp, operation: &str, strike: Strike, times: usize) {
    app.engines().faults().order(operation, 0, times, strike, 400, THROTTLED);
}

/// How often each webhook came.
fn copies(receiver: &Receiver) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for webhook in receiver.received() {
        *copies.entry(webhook.header("webhook-id").to_owned()).or_default() += 1;
    }
    copies
}

async fn all_settled_once(actor: &Actor, endpoint: &str, count: usize) {
    let all = deliveries(actor, endpoint).await;
    assert_eq!(all.len(), count);
    let well = |it: &Value| it["status"] == "succeeded" && it["attempt_count"] == 1;
    assert!(all.iter().all(well), "{all:?}");
}

#[tokio::test]
async fn endpoints_that_cannot_be_read_leave_the_batch_on_its_queue() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 3).await;
    assert_eq!(held_back(&app, "WebhookJobsQueue", 1).await.len(), 3);
    assert!(receiver.received().is_empty() && deliveries(&admin, &endpoint).await.is_empty());
    pass(&app, 7).await;
    assert_eq!(copies(&receiver).into_values().collect::<Vec<_>>(), [1; 3]);
    all_settled_once(&admin, &endpoint, 3).await;
}

/// Nobody waits for the queue's visibility because the store was throttled for a moment.
#[tokio::test]
async fn a_job_that_met_a_throttled_store_comes_back_within_seconds() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 3).await;
    assert_eq!(held_back(&app, "WebhookJobsQueue", 1).await.len(), 3);
    let from = app.now();
    let waits: Vec<_> =
        app.platform().messages("WebhookJobsQueue").iter().map(|it| it.visible_at.since(from)).collect();
    assert!(waits.iter().all(|wait| (2..=8).contains(&wait.as_secs())), "{waits:?}");
    app.advance(Duration::from_secs(8));
    app.drain().await;
    assert_eq!(receiver.received().len(), 3);
    all_settled_once(&admin, &endpoint, 3).await;
}

#[tokio::test]
async fn a_throttled_partition_is_nobody_else_s_trouble() {
    let app = TestApp::start().await;
    let (throttled, healthy) = (Receiver::start().await, Receiver::start().await);
    let (one, other) = (acme(&app).await, acme(&app).await);
    let (hot, _) = app.endpoint(&one, &throttled, json!({"events": ["lead.created"]})).await;
    let (well, _) = app.endpoint(&other, &healthy, json!({"events": ["lead.created"]})).await;
    let organization = tenant(&app, &one).await.organization_id();
    leads(&one, 2).await;
    leads(&other, 2).await;
    assert_eq!(held_back(&app, "WebhookJobsQueue", 1).await.len(), 4);
    app.advance(Duration::from_secs(8));
    app.engines().faults().throttle(&format!("ORG#{organization}"));
    app.drain().await;
    assert_eq!((throttled.received().len(), healthy.received().len()), (0, 2));
    all_settled_once(&other, &well, 2).await;
    assert_eq!(app.platform().messages("WebhookJobsQueue").len(), 2, "they stay");
    app.engines().faults().clear();
    app.advance(Duration::from_secs(16));
    app.drain().await;
    all_settled_once(&one, &hot, 2).await;
}

/// The event's item, out of its table: it is past its retention, and its delivery's is not yet.
async fn forget(app: &TestApp, key: &str) {
    let client = app.platform().services_for("deliver").unwrap().aws.dynamodb;
    let table = app.platform().table_name("ActivityTable").unwrap();
    let items = client.scan().table_name(table).send().await.unwrap().items.unwrap_or_default();
    let item = items.iter().find(|item| item["sk"].as_s().unwrap() == key).unwrap();
    let delete = client.delete_item().table_name(table);
    delete.key("pk", item["pk"].clone()).key("sk", item["sk"].clone()).send().await.unwrap();
}

#[tokio::test]
async fn a_delivery_whose_event_is_gone_is_cancelled_and_says_so() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|_| 500).await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 1).await;
    app.drain().await;
    let event = receiver.received()[0].header("webhook-id").to_owned();
    forget(&app, &format!("EVT#{event}")).await;
    pass(&app, 3).await;
    let gone = &deliveries(&admin, &endpoint).await[0];
    assert_eq!(
        (&gone["status"], &gone["reason"]),
        (&json!("cancelled"), &json!("its event is past its retention"))
    );
    assert_eq!((&gone["attempt_count"], receiver.received().len()), (&json!(1), 1));
}

#[tokio::test]
async fn a_claim_that_fails_is_that_job_s_only() {
    for strike in [Strike::Before, Strike::After] {
        let app = TestApp::start().await;
        let receiver = Receiver::start().await;
        let admin = acme(&app).await;
        let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
        leads(&admin, 4).await;
        assert_eq!(held_back(&app, "WebhookJobsQueue", 1).await.len(), 4);
        app.advance(6 * MINUTE);
        fail(&app, "PutItem", strike, 10);
        app.drain().await;
        let sent = receiver.received().len();
        assert!(sent < 4 && (sent > 0 || strike == Strike::After), "{sent}, {strike:?}");
        app.engines().faults().clear();
        pass(&app, 8).await;
        assert_eq!(copies(&receiver).into_values().collect::<Vec<_>>(), [1; 4], "{strike:?}");
        all_settled_once(&admin, &endpoint, 4).await;
    }
}

/// It was sent and that could not be written down: it is sent again, under the same id, and counts once. The others of its
/// batch are none the worse.
#[tokio::test]
async fn a_settlement_that_fails_is_that_job_s_only() {
    for strike in [Strike::Before, Strike::After] {
        let app = TestApp::start().await;
        let receiver = Receiver::start().await;
        let admin = acme(&app).await;
        let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
        leads(&admin, 4).await;
        fail(&app, "UpdateItem", strike, 10);
        app.drain().await;
        app.engines().faults().clear();
        pass(&app, 8).await;
        let copies: Vec<_> = copies(&receiver).into_values().collect();
        assert_eq!(copies.len(), 4);
        assert!(copies.iter().all(|times| *times <= 2), "{copies:?}");
        all_settled_once(&admin, &endpoint, 4).await;
    }
}

#[tokio::test]
async fn a_failure_that_could_not_be_noted_is_made_again() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|number| if number == 0 { 500 } else { 204 }).await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 1).await;
    // What follows a failed attempt is first noted of its endpoint.
    fail(&app, "UpdateItem", Strike::Before, TRIES);
    app.drain().await;
    assert_eq!(receiver.received().len(), 1);
    pass(&app, 8).await;
    assert_eq!(copies(&receiver).into_values().collect::<Vec<_>>(), [2]);
    all_settled_once(&admin, &endpoint, 1).await;
}

#[tokio::test]
async fn a_sweep_that_cannot_read_what_waits_reads_it_the_next_time() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|number| if number < 2 { 500 } else { 204 }).await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 1).await;
    app.sweep().await;
    pass(&app, 2).await;
    assert_eq!(receiver.received().len(), 2, "the second retry waits in the table");
    app.engines().faults().order("Query", 0, 500, Strike::Before, 400, THROTTLED);
    for _ in 0..3 {
        app.advance(MINUTE);
        assert_eq!(app.platform().run_schedules().await.len(), 1, "which raises an alarm");
    }
    app.engines().faults().clear();
    assert_eq!(receiver.received().len(), 2);
    pass(&app, 2).await;
    assert_eq!(receiver.received().len(), 3);
    assert_eq!(deliveries(&admin, &endpoint).await[0]["status"], "succeeded");
}

#[tokio::test]
async fn a_retry_that_could_not_be_queued_comes_all_the_same() {
    for strike in [Strike::Before, Strike::After] {
        let app = TestApp::start().await;
        let receiver = Receiver::answering(|number| if number == 0 { 500 } else { 204 }).await;
        let admin = acme(&app).await;
        let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
        leads(&admin, 1).await;
        assert_eq!(held_back(&app, "WebhookJobsQueue", 1).await.len(), 1);
        app.advance(6 * MINUTE);
        app.engines().faults().order("SendMessageBatch", 0, 1, strike, 200, NOT_ALL_SENT);
        app.drain().await;
        assert_eq!(receiver.received().len(), 1);
        pass(&app, 16).await;
        assert_eq!(receiver.received().len(), 2, "{strike:?}: once more, and no more than that");
        assert_eq!(deliveries(&admin, &endpoint).await[0]["status"], "succeeded");
    }
}

#[tokio::test]
async fn a_poisoned_job_ends_in_the_faults_queue_and_the_nine_beside_it_are_settled() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    let services = app.platform().services_for("fanout").unwrap();
    let url = services.environment.required("WEBHOOK_JOBS_QUEUE_URL").unwrap();
    services.aws.sqs.send_message().queue_url(url).message_body(r#"{"v":2}"#).send().await.unwrap();
    leads(&admin, 9).await;
    app.drain().await;
    all_settled_once(&admin, &endpoint, 9).await;
    assert_eq!(receiver.received().len(), 9);
    for _ in 0..51 {
        app.advance(6 * MINUTE);
        app.drain().await;
    }
    assert_eq!(app.platform().depth("WebhookJobsQueue").unwrap().total(), 0);
    assert_eq!(app.platform().depth("WebhookFaultsQueue").unwrap().total(), 1);
    app.leaves_jobs();
}

/// Takes an endpoint's URL out of its item, or puts it back.
pub(crate) async fn malform(app: &TestApp, endpoint: &str) {
    let client = app.platform().services_for("deliver").unwrap().aws.dynamodb;
    let table = app.platform().table_name("CoreTable").unwrap();
    let items = client.scan().table_name(table).send().await.unwrap().items.unwrap_or_default();
    let of_it = |item: &&HashMap<String, AttributeValue>| item["sk"].as_s().unwrap().contains(endpoint);
    let item = items.iter().find(of_it).unwrap();
    let update = client.update_item().table_name(table).update_expression("REMOVE #url");
    let update = update.expression_attribute_names("#url", "url");
    update.key("pk", item["pk"].clone()).key("sk", item["sk"].clone()).send().await.unwrap();
}

#[tokio::test]
async fn a_malformed_endpoint_is_nobody_else_s_trouble() {
    let app = TestApp::start().await;
    let (sick, well) =
        (Receiver::answering(|_| 500).await, Receiver::answering(|n| if n < 3 { 500 } else { 204 }).await);
    let (one, other) = (acme(&app).await, acme(&app).await);
    let (malformed, _) = app.endpoint(&one, &sick, json!({"events": ["lead.created"]})).await;
    let (healthy, _) = app.endpoint(&other, &well, json!({"events": ["lead.created"]})).await;
    leads(&one, 1).await;
    app.sweep().await;
    leads(&one, 1).await;
    leads(&other, 1).await;
    assert!(held_back(&app, "WebhookJobsQueue", 1).await.len() >= 2);
    malform(&app, &malformed).await;
    let sent = sick.received().len();
    for _ in 0..20 {
        app.advance(MINUTE);
        app.drain().await;
        // The malformed one raises an alarm each time.
        assert_eq!(app.platform().run_schedules().await.len(), 1);
        app.drain().await;
    }
    assert_eq!(sick.received().len(), sent);
    assert_eq!(well.received().len(), 4, "in the batch, and by the sweep");
    assert_eq!(deliveries(&other, &healthy).await[0]["status"], "succeeded");
    let left = app.platform().messages("WebhookJobsQueue").len();
    assert_eq!(left, 1, "its own job stays");
    app.leaves_jobs();
    app.advance(Duration::from_secs(1));
}

/// It has the webhook, and what that says of the endpoint could not be written down: it is not sent again for that.
#[tokio::test]
async fn a_success_whose_recovery_could_not_be_noted_is_sent_once() {
    let app = TestApp::start().await;
    let admin = acme(&app).await;
    let states = format!("ORG#{}#EPS", tenant(&app, &admin).await.organization_id());
    let engines = app.engines().clone();
    let receiver = Receiver::answering(move |number| {
        if number == 1 {
            engines.faults().throttle(&states);
        }
        if number == 0 { 500 } else { 204 }
    })
    .await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 1).await;
    app.drain().await;
    app.advance(Duration::from_secs(70));
    app.drain().await;
    assert_eq!(deliveries(&admin, &endpoint).await[0]["status"], "succeeded");
    app.engines().faults().clear();
    let failures = async || {
        let state = tenant(&app, &admin).await.endpoint_state(endpoint.parse().unwrap()).await.unwrap();
        state.unwrap().failures
    };
    assert_eq!(failures().await, 1);
    pass(&app, 8).await;
    assert_eq!(copies(&receiver).into_values().collect::<Vec<_>>(), [2]);
    leads(&admin, 1).await;
    app.drain().await;
    assert_eq!((failures().await, receiver.received().len()), (0, 3), "the next one is news still");
}
