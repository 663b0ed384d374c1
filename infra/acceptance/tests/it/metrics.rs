//! Metrics and logs: what is measured, and that it leads from a request to what came of it.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use artisan_local::engines::Strike;
use serde_json::{Value, json};
use testkit::{Receiver, TestApp};

use crate::delivering::{MINUTE, acme};

/// What all tests of this process published.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// From now on, what is published is kept.
fn keep_what_is_published() {
    telemetry::metrics::publish_to("Artisan/test", "function-of-this-test", |line| {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    });
}

/// The lines that have this field, oldest first.
fn published(field: &str, value: &str) -> Vec<Value> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let parsed = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    parsed.filter(|line| line[field] == *value).collect()
}

/// The greatest value of a metric, whoever published it.
fn greatest(metric: &str) -> Option<u64> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).unwrap()[metric].as_u64()).max()
}

/// Names and units of the metrics that a line declares.
fn declared(line: &Value) -> Vec<(&str, &str)> {
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
    let metrics = directives.iter().flat_map(|it| it["Metrics"].as_array().unwrap());
    metrics.map(|it| (it["Name"].as_str().unwrap(), it["Unit"].as_str().unwrap())).collect()
}

/// The lines that are logged of one request.
struct LinesOf(&'static str);

static LOGGED: Mutex<Vec<Value>> = Mutex::new(Vec::new());

impl io::Write for LinesOf {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Those of all other tests are only looked through.
        if str::from_utf8(line).is_ok_and(|line| line.contains(self.0)) {
            LOGGED.lock().unwrap().push(serde_json::from_slice(line)?);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_line_of_a_request_says_which_and_one_what_the_gateway_calls_it() {
    const ID: &str = "follow-me-to-the-store";
    telemetry::init_to(|| LinesOf(ID)).unwrap();
    let app = TestApp::start().await;
    let admin = acme(&app).await;
    let full = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"busy"}"#;
    app.engines().faults().order("TransactWriteItems", 0, 10, Strike::Before, 400, full);
    let lead = json!({"email": "a@example.com"});
    let _ = admin.with("x-request-id", ID).post("/v1/leads", lead).await.expect_problem(503, "unavailable");
    let lines = LOGGED.lock().unwrap().clone();
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["store unavailable", "served"]);
    assert!(lines.iter().all(|line| line["span"]["request_id"] == ID), "{lines:?}");
    let served = &lines[1];
    assert_eq!((&served["request_id"], &served["status"]), (&json!(ID), &json!(503)), "{served}");
    assert!(served["gateway_request_id"].as_str().is_some_and(|gateway| gateway != ID), "{served}");
}

#[tokio::test]
async fn a_request_is_followed_from_the_api_to_the_attempt() {
    keep_what_is_published();
    let app = TestApp::start().await;
    // Takes the third attempt.
    let receiver = Receiver::answering(|before| if before < 2 { 500 } else { 204 }).await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    let id = "follow-me-to-the-third-attempt";
    let _ =
        admin.with("x-request-id", id).post("/v1/leads", json!({"email": "a@example.com"})).await.expect(201);
    app.drain().await;
    for _ in 0..3 {
        app.advance(3 * MINUTE);
        app.sweep().await;
        app.drain().await;
    }
    assert_eq!(receiver.received().len(), 3);

    let lines = published("request_id", id);
    let (requests, attempts): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["Requests"].is_number());
    assert_eq!((requests.len(), attempts.len()), (1, 3));
    assert_eq!(requests[0]["FunctionName"], "function-of-this-test");
    assert_eq!(
        declared(requests[0]),
        [("Requests", "Count"), ("RequestDuration", "Milliseconds"), ("LimitRefusals", "Count")]
    );
    let failed: Vec<_> = attempts.iter().map(|line| line["FailedAttempts"].as_u64().unwrap()).collect();
    assert_eq!(failed, [1, 1, 0]);
    assert!(attempts[..2].iter().all(|line| line["PublishToReceipt"].is_null()));
    // The event waited for both retries, on the queue and in the table.
    assert!(attempts[2]["PublishToReceipt"].as_u64().unwrap() >= 180_000, "{}", attempts[2]);
    assert!(declared(attempts[2]).contains(&("PublishToReceipt", "Milliseconds")));
    assert!(attempts.iter().all(|line| line["DeadLetters"] == 0 && line["Attempts"] == 1));
    assert!(greatest("Published") >= Some(1), "what nobody reads afterwards is noticed by it");
    // No tenant, endpoint or path is a dimension, and none stands in a line.
    for line in &lines {
        assert!(!line.to_string().contains(&endpoint) && !line.to_string().contains("org_"), "{line}");
    }
    // Begun anew long after, it says nothing of how fast we are.
    let delivery = attempts[2]["delivery_id"].as_str().unwrap().to_owned();
    app.advance(60 * MINUTE);
    let _ = admin.post_nothing(&format!("/api/admin/webhooks/deliveries/{delivery}/retry")).await.expect(202);
    app.drain().await;
    let again = published("delivery_id", &delivery);
    assert_eq!((again.len(), receiver.received().len()), (4, 4));
    assert!(again[3]["PublishToReceipt"].is_null() && again[3]["request_id"] == id);
}

#[tokio::test]
async fn problems_are_told_apart_by_code_and_refusals_for_a_limit_are_counted() {
    keep_what_is_published();
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 1})).await;
    let _ = key.get("/v1/whoami").await.expect(200);
    let refused = key.with("x-request-id", "refused-for-its-limit").get("/v1/whoami").await;
    let _ = refused.expect_problem(429, "rate_limited");
    let stranger = app.stranger().with("x-request-id", "refused-for-another-reason");
    let _ = stranger.get("/v1/whoami").await.expect_problem(401, "unauthenticated");
    for (id, code, limits) in
        [("refused-for-its-limit", "rate_limited", 1), ("refused-for-another-reason", "unauthenticated", 0)]
    {
        let lines = published("request_id", id);
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(
            (&line["Code"], &line["Problems"], &line["LimitRefusals"]),
            (&json!(code), &json!(1), &json!(limits))
        );
        assert_eq!(line["_aws"]["CloudWatchMetrics"][1]["Dimensions"], json!([["Code"]]));
    }
}

#[tokio::test]
async fn what_is_not_taken_is_dead_in_the_end_and_until_then_its_age_is_known() {
    keep_what_is_published();
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|_| 500).await;
    let admin = acme(&app).await;
    let (_, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"], "max_retries": 4})).await;
    let id = "never-taken";
    let _ =
        admin.with("x-request-id", id).post("/v1/leads", json!({"email": "b@example.com"})).await.expect(201);
    app.drain().await;
    for _ in 0..6 {
        app.advance(5 * MINUTE);
        app.sweep().await;
        app.drain().await;
    }
    let dead: u64 = published("request_id", id).iter().filter_map(|line| line["DeadLetters"].as_u64()).sum();
    assert_eq!(dead, 1);
    let least = Duration::from_secs(5 * 60).as_secs();
    assert!(greatest("OldestUndelivered").is_some_and(|age| age >= least));
    // Beside these, what led there: the event to jobs, the records to their log.
    for metric in ["Events", "Jobs", "FanOutLag", "SealedRecords", "SealLag"] {
        assert!(greatest(metric).is_some(), "{metric}");
    }
}
