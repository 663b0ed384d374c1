//! Deliveries: listed, looked at, sent again; dead letters, and redriving them.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use serde_json::{Value, json};
use testkit::{Actor, Receiver, Response, TestApp};

use crate::audit::records;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn lead(caller: &Actor, number: usize) -> String {
    caller.post("/v1/leads", json!({"email": format!("l{number}@example.com")})).await.expect(201).text("/id")
}

async fn deliveries(caller: &Actor, endpoint: &str, query: &str) -> Response {
    caller.get(&format!("/api/admin/webhooks/{endpoint}/deliveries{query}")).await.expect(200)
}

async fn delivery(caller: &Actor, id: &str) -> Response {
    caller.get(&format!("/api/admin/webhooks/deliveries/{id}")).await.expect(200)
}

async fn retry(caller: &Actor, id: &str) -> Response {
    caller.raw(http::Method::POST, &format!("/api/admin/webhooks/deliveries/{id}/retry"), "").await
}

fn ids(answer: &Response) -> Vec<String> {
    answer.json["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

/// Every page of a list, from first to last.
async fn pages(caller: &Actor, path: &str, limit: usize) -> Vec<Vec<String>> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let mut pages = Vec::new();
    let mut next = format!("{path}{separator}limit={limit}");
    loop {
        let page = caller.get(&next).await.expect(200);
        pages.push(ids(&page));
        let Some(cursor) = page.json["next_cursor"].as_str() else { return pages };
        assert!(pages.len() < 200, "{path} does not end");
        next = format!("{path}{separator}limit={limit}&cursor={cursor}");
    }
}

#[tokio::test]
async fn a_list_over_months_shows_each_delivery_once_and_the_newest_first() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let admin = app.key(&admin, json!({"rate_limit_per_hour": 10_000})).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"max_retries": 0})).await;
    let (other, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    for month in 0..4 {
        for number in 0..11 {
            let id = lead(&admin, month * 100 + number).await;
            if number % 3 == 0 {
                let reply = json!({"message": "Hi"});
                let _ = admin.post(&format!("/v1/leads/{id}/replies"), reply).await.expect(201);
            }
            app.advance(Duration::from_millis(3));
        }
        app.drain().await;
        app.advance(20 * DAY);
    }
    let path = format!("/api/admin/webhooks/{endpoint}/deliveries");
    let mut whole = Vec::new();
    for limit in [1, 7, 100] {
        let listed = pages(&admin, &path, limit).await;
        assert!(listed.iter().rev().skip(1).all(|page| page.len() == limit), "only the last one is short");
        let all: Vec<_> = listed.into_iter().flatten().collect();
        assert_eq!(all.len(), 4 * (11 + 4));
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "none twice");
        assert!(all.windows(2).all(|two| two[0] > two[1]), "newest first");
        whole = all;
    }
    let created: Vec<_> = pages(&admin, &format!("{path}?event=lead.created"), 5).await.concat();
    let replied: Vec<_> =
        pages(&admin, &format!("{path}?event=lead.replied&status=succeeded"), 5).await.concat();
    assert_eq!((created.len(), replied.len()), (44, 16));
    assert!(created.iter().chain(&replied).all(|id| whole.contains(id)));
    assert!(pages(&admin, &format!("{path}?status=dead"), 5).await.concat().is_empty());
    let others = pages(&admin, &format!("/api/admin/webhooks/{other}/deliveries"), 9).await.concat();
    assert_eq!(others.len(), 44);
    assert!(others.iter().all(|id| !whole.contains(id)));

    let cursor = deliveries(&admin, &endpoint, "?limit=2").await.text("/next_cursor");
    for elsewhere in [
        format!("{path}?cursor={cursor}&status=succeeded"),
        format!("{path}?cursor={cursor}&event=lead.created"),
        format!("/api/admin/webhooks/{other}/deliveries?cursor={cursor}"),
        format!("/api/admin/events?cursor={cursor}"),
    ] {
        let _ = admin.get(&elsewhere).await.expect_problem(422, "invalid_cursor");
    }
    for query in ["status=lost", "event=lead.flown", "endpoint=x", "status=dead&status=succeeded"] {
        let _ = admin.get(&format!("{path}?{query}")).await.expect_problem(422, "invalid");
    }
}

#[tokio::test]
async fn a_list_is_narrowed_by_every_status() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|number| if number == 0 { 200 } else { 500 }).await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"max_retries": 0})).await;
    for number in 0..2 {
        lead(&admin, number).await;
        app.drain().await;
        app.advance(Duration::from_secs(1));
    }
    let path = format!("/api/admin/webhooks/{endpoint}");
    let _ = admin.patch(&path, json!({"max_retries": 4})).await.expect(200);
    lead(&admin, 2).await;
    app.drain().await;
    let mut shown = Vec::new();
    for status in ["succeeded", "dead", "retrying", "cancelled", "pending"] {
        let listed = deliveries(&admin, &endpoint, &format!("?status={status}")).await;
        assert!(listed.json["data"].as_array().unwrap().iter().all(|it| it["status"] == status));
        assert!(listed.json["data"].as_array().unwrap().iter().all(|it| it.get("attempts").is_none()));
        shown.push(ids(&listed).len());
    }
    assert_eq!(shown, [1, 1, 1, 0, 0]);
    let retrying = deliveries(&admin, &endpoint, "?status=retrying").await;
    assert!(retrying.text("/data/0/next_attempt_at") > app.now().to_string());
    let dead = deliveries(&admin, &endpoint, "?status=dead").await;
    assert_eq!(dead.json["data"][0]["next_attempt_at"], Value::Null);
    let _ = admin.post(&format!("{path}/disable"), json!({})).await.expect(200);
    for _ in 0..2 {
        app.advance(Duration::from_secs(60));
        app.sweep().await;
    }
    assert_eq!(ids(&deliveries(&admin, &endpoint, "?status=cancelled").await).len(), 1);
    assert_eq!(ids(&deliveries(&admin, &endpoint, "?status=retrying").await).len(), 0);
}

#[tokio::test]
async fn what_a_receiver_answered_can_be_read_however_it_looks() {
    let app = TestApp::start().await;
    let bodies = [
        Bytes::from_static(b"no"),
        Bytes::from("ä".repeat(5_000)),
        Bytes::from((0..=255_u8).cycle().take(9_000).collect::<Vec<_>>()),
        Bytes::new(),
        Bytes::from("y".repeat(200)),
        Bytes::from("z".repeat(201)),
    ];
    let answers = bodies.clone();
    let receiver = Receiver::replying(move |number| {
        let body = answers.get(number).cloned().unwrap_or_default();
        async move { (http::StatusCode::INTERNAL_SERVER_ERROR, body) }
    })
    .await;
    let admin = app.sign_up("Acme").await;
    let admin = app.key(&admin, json!({})).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"max_retries": 5})).await;
    lead(&admin, 0).await;
    for _ in 0..50 {
        app.sweep().await;
        app.advance(Duration::from_secs(60));
    }
    let id = deliveries(&admin, &endpoint, "").await.text("/data/0/id");
    let delivery = delivery(&admin, &id).await;
    let attempts = delivery.json["attempts"].as_array().unwrap();
    assert_eq!((delivery.text("/status"), attempts.len()), ("dead".into(), bodies.len()));
    let text = |number: usize| attempts[number]["response_body"].as_str();
    assert_eq!((text(0), text(3)), (Some("no"), None));
    let long = text(1).unwrap();
    assert!(
        (4_090..=4_096).contains(&long.len()) && long.trim_end_matches('\u{fffd}').chars().all(|c| c == 'ä'),
        "{}",
        long.len()
    );
    assert!(!text(2).unwrap().is_empty());
    assert_eq!((text(4).unwrap(), text(5).unwrap()), (&*"y".repeat(200), &*"z".repeat(201)));
    for (number, attempt) in attempts.iter().enumerate() {
        assert_eq!(attempt["number"], number + 1);
        assert_eq!((&attempt["response_status"], &attempt["error"]), (&json!(500), &json!("status")));
        assert!(attempt["duration_ms"].is_u64() && attempt["started_at"].is_string());
    }
    // The list does not carry them, unless it is asked to, and then the short ones.
    assert!(!deliveries(&admin, &endpoint, "").await.body.contains("yyy"));
    let listed = deliveries(&admin, &endpoint, "?include=attempts").await;
    let short = listed.json["data"][0]["attempts"].as_array().unwrap();
    let text = |number: usize| short[number]["response_body"].as_str();
    assert_eq!((short.len(), text(0), text(1), text(5)), (bodies.len(), Some("no"), None, None));
    assert_eq!(text(4).unwrap(), "y".repeat(200));
    let path = format!("/api/admin/webhooks/{endpoint}/deliveries?include=everything");
    let refused = admin.get(&path).await.expect_problem(422, "invalid");
    assert_eq!(refused.text("/errors/0/pointer"), "query:include");
}

/// A list is read in small parts as long as there is much in them that is wanted.
#[tokio::test]
async fn what_is_rare_is_found_in_few_questions() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|_| 204).await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    for number in 0..300 {
        lead(&admin, number).await;
    }
    app.drain().await;
    let queries = async |query: &str| {
        app.engines().meter().reset();
        let listed = ids(&deliveries(&admin, &endpoint, query).await).len();
        let table = app.platform().table_name("ActivityTable").unwrap();
        let measured = app.engines().meter().snapshot().measured().to_vec();
        let queries = measured.iter().filter(|it| it.resource == table && it.operation == "Query");
        (listed, queries.map(|it| it.calls).sum::<u64>())
    };
    assert_eq!(queries("?limit=12").await.0, 12);
    let (dead, calls) = queries("?status=dead&limit=12").await;
    assert_eq!(dead, 0);
    // Eight partitions, of each of which 4, 8, 16 and 32 are read.
    assert!(calls <= 5 * 8, "{calls}");
}

#[tokio::test]
async fn a_delivery_can_be_sent_again_whatever_became_of_it() {
    let app = TestApp::start().await;
    // Fails four times, and takes everything from then on.
    let receiver = Receiver::answering(|number| if number < 4 { 500 } else { 204 }).await;
    let owner = app.sign_up("Acme").await;
    let admin = app.key(&owner, json!({})).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"max_retries": 1})).await;
    lead(&admin, 0).await;
    app.sweep().await;
    let id = deliveries(&admin, &endpoint, "").await.text("/data/0/id");
    let stands = async |status: &str, attempts: u64| {
        let delivery = delivery(&admin, &id).await;
        assert_eq!(
            (delivery.text("/status"), delivery.json["attempt_count"].as_u64()),
            (status.into(), Some(attempts))
        );
        assert_eq!(delivery.json["attempts"].as_array().unwrap().len() as u64, attempts);
        assert_eq!(receiver.received().len() as u64, attempts);
    };
    stands("retrying", 1).await;
    // One that waits need not wait.
    let again = retry(&admin, &id).await.expect(202);
    assert_eq!(
        (again.text("/status"), again.text("/next_attempt_at")),
        ("pending".into(), app.now().to_string())
    );
    app.drain().await;
    stands("retrying", 2).await;
    for _ in 0..3 {
        app.advance(Duration::from_secs(60));
        app.sweep().await;
    }
    stands("dead", 3).await;
    // It has all its retries before it.
    let _ = retry(&admin, &id).await.expect(202);
    assert_eq!(admin.get("/api/admin/webhooks/dead-letters").await.expect(200).json["data"], json!([]));
    app.drain().await;
    stands("retrying", 4).await;
    for _ in 0..3 {
        app.advance(Duration::from_secs(60));
        app.sweep().await;
    }
    stands("succeeded", 5).await;
    let _ = retry(&admin, &id).await.expect(202);
    app.sweep().await;
    stands("succeeded", 6).await;
    let received = receiver.received();
    assert!(received.iter().all(|it| it.header("webhook-id") == received[0].header("webhook-id")));
    assert!(received.iter().all(|it| it.body == received[0].body));
    let numbers: Vec<_> = (0..6).map(|n| n + 1).collect();
    let shown = delivery(&admin, &id).await;
    let shown: Vec<_> =
        shown.json["attempts"].as_array().unwrap().iter().map(|it| it["number"].as_i64().unwrap()).collect();
    assert_eq!(shown, numbers);
    let all = records(&app, &owner).await;
    let record = all.iter().find(|record| record["action"] == "delivery.retry").unwrap();
    assert_eq!(record["resource_id"].as_str(), Some(&*id));
    assert_eq!(all.iter().filter(|record| record["action"] == "delivery.retry").count(), 3);
}

#[tokio::test]
async fn asking_twice_sends_once() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    lead(&admin, 0).await;
    app.drain().await;
    let id = deliveries(&admin, &endpoint, "").await.text("/data/0/id");
    let once = admin.with("idempotency-key", "retry-1");
    let _ = retry(&once, &id).await.expect(202);
    let replayed = retry(&once, &id).await.expect(202);
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    // It is on its way, and that is on record already.
    let _ = retry(&admin, &id).await.expect_problem(409, "conflict");
    // Once it is late it may be asked for again; of several who do so one is heard.
    app.advance(Duration::from_secs(60));
    let answers = futures::future::join_all((0..6).map(|_| retry(&admin, &id))).await;
    assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 202 | 409)));
    let heard = answers.iter().filter(|answer| answer.status.as_u16() == 202).count();
    let all = records(&app, &admin).await;
    let on_record = all.iter().filter(|record| record["action"] == "delivery.retry").count();
    assert_eq!((heard, on_record), (1, 2));
    for _ in 0..15 {
        app.sweep().await;
        app.advance(Duration::from_secs(60));
    }
    assert_eq!(receiver.received().len(), 2);
}

/// The first answer is remembered for a day, whatever becomes of the endpoint.
#[tokio::test]
async fn a_repeated_request_has_its_first_answer_though_the_endpoint_was_disabled_since() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    lead(&admin, 0).await;
    app.drain().await;
    let id = deliveries(&admin, &endpoint, "").await.text("/data/0/id");
    let path = format!("/api/admin/webhooks/{endpoint}");
    let requests = [
        (format!("{path}/test"), json!({})),
        (format!("{path}/replay"), json!({})),
        (format!("/api/admin/webhooks/deliveries/{id}/retry"), json!({})),
    ];
    let keys = ["test-1", "replay-1", "retry-1"].map(|key| admin.with("idempotency-key", key));
    let mut answers = Vec::new();
    for (once, (path, body)) in keys.iter().zip(&requests) {
        answers.push(once.post(path, body.clone()).await.expect(202).body);
    }
    app.sweep().await;
    let _ = admin.post(&format!("{path}/disable"), json!({})).await.expect(200);
    for ((once, (path, body)), first) in keys.iter().zip(&requests).zip(&answers) {
        let again = once.post(path, body.clone()).await.expect(202);
        assert_eq!((again.header("idempotency-replayed"), &again.body), (Some("true"), first), "{path}");
        let _ = admin.post(path, body.clone()).await.expect_problem(409, "conflict");
    }
    // Its job was queued once more, and finds nothing to do.
    app.drain().await;
    assert_eq!(receiver.received().len(), 3);
}

#[tokio::test]
async fn one_whose_endpoint_is_disabled_or_gone_is_not_sent_again() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|number| if number == 0 { 500 } else { 204 }).await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    let path = format!("/api/admin/webhooks/{endpoint}");
    lead(&admin, 0).await;
    app.drain().await;
    let id = deliveries(&admin, &endpoint, "").await.text("/data/0/id");
    let _ = admin.post(&format!("{path}/disable"), json!({})).await.expect(200);
    let _ = retry(&admin, &id).await.expect_problem(409, "conflict");
    app.advance(Duration::from_secs(60));
    app.sweep().await;
    assert_eq!(delivery(&admin, &id).await.text("/status"), "cancelled");
    let _ = admin.post(&format!("{path}/enable"), json!({})).await.expect(200);
    let begun = retry(&admin, &id).await.expect(202);
    assert_eq!(begun.json["reason"], Value::Null);
    app.drain().await;
    let sent = delivery(&admin, &id).await;
    assert_eq!((sent.text("/status"), &sent.json["reason"]), ("succeeded".into(), &Value::Null));

    let _ = admin.delete(&path).await.expect(204);
    let _ = retry(&admin, &id).await.expect_problem(404, "not_found");
    let _ = retry(&admin, "dlv_01m81wjar3enmabzqqe9n44m8p").await.expect_problem(404, "not_found");
    // What became of it can still be read.
    assert_eq!(delivery(&admin, &id).await.text("/status"), "succeeded");
    app.advance(Duration::from_secs(60));
    app.sweep().await;
    assert_eq!(receiver.received().len(), 2);
}

/// Has a delivery be past its retention, though its item is still there.
async fn expire(app: &TestApp, delivery: &str) {
    let past = AttributeValue::N(app.now().seconds().to_string());
    set(app, delivery, "expires_at", past).await;
}

/// Changes one attribute of a delivery's item behind everybody's back.
async fn set(app: &TestApp, delivery: &str, name: &str, value: AttributeValue) {
    let client = app.platform().services_for("deliver").unwrap().aws.dynamodb;
    let table = app.platform().table_name("ActivityTable").unwrap();
    let items = client.scan().table_name(table).send().await.unwrap().items.unwrap_or_default();
    let sk = format!("DLV#{delivery}");
    let item = items.iter().find(|item| *item["sk"].as_s().unwrap() == sk).unwrap();
    let update = client.update_item().table_name(table).update_expression("SET #it = :value");
    let update = update.expression_attribute_names("#it", name).expression_attribute_values(":value", value);
    update.key("pk", item["pk"].clone()).key("sk", item["sk"].clone()).send().await.unwrap();
}

#[tokio::test]
async fn one_that_is_past_its_retention_is_not_sent_again() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|_| 500).await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"max_retries": 0})).await;
    lead(&admin, 0).await;
    app.drain().await;
    let id = deliveries(&admin, &endpoint, "").await.text("/data/0/id");
    expire(&app, &id).await;
    let refused = retry(&admin, &id).await.expect_problem(409, "conflict");
    assert!(refused.text("/detail").contains("retention"), "{}", refused.body);
    let body = json!({"delivery_ids": [&id]});
    let redriven = admin.post("/api/admin/webhooks/dead-letters/redrive", body).await.expect(202);
    assert_eq!((&redriven.json["delivery_ids"], &redriven.json["skipped"]), (&json!([]), &json!([&id])));
    app.advance(Duration::from_secs(1));
    let _ = admin.post(&format!("/api/admin/webhooks/{endpoint}/replay"), json!({})).await.expect(202);
    for _ in 0..3 {
        app.advance(Duration::from_secs(60));
        app.sweep().await;
    }
    assert_eq!(receiver.received().len(), 1);
}

/// An endpoint with so many dead letters, and their ids.
async fn dead_letters(
    app: &TestApp,
    admin: &Actor,
    receiver: &Receiver,
    count: usize,
) -> (String, Vec<String>) {
    let (endpoint, _) =
        app.endpoint(admin, receiver, json!({"events": ["lead.created"], "max_retries": 0})).await;
    for number in 0..count {
        lead(admin, number).await;
        app.drain().await;
        app.advance(Duration::from_secs(1));
    }
    for _ in 0..20 {
        let dead = ids(&deliveries(admin, &endpoint, "?status=dead&limit=100").await);
        if dead.len() == count {
            return (endpoint, dead);
        }
        app.advance(Duration::from_secs(60));
        app.sweep().await;
    }
    panic!("some are still alive");
}

const REDRIVE: &str = "/api/admin/webhooks/dead-letters/redrive";

#[tokio::test]
async fn dead_letters_are_listed_latest_first_and_redriven_by_their_ids() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|number| if number < 5 { 500 } else { 204 }).await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, dead) = dead_letters(&app, &admin, &receiver, 5).await;
    let path = "/api/admin/webhooks/dead-letters";
    for limit in [1, 2, 100] {
        assert_eq!(pages(&admin, path, limit).await.concat(), dead, "{limit}");
    }
    lead(&admin, 9).await;
    app.drain().await;
    let taken = deliveries(&admin, &endpoint, "?status=succeeded").await.text("/data/0/id");
    let unknown = "dlv_01m81wjar3enmabzqqe9n44m8p".to_owned();
    let named = [&dead[1], &taken, &dead[3], &unknown, &dead[1]];
    let once = admin.with("idempotency-key", "redrive-1");
    let redriven = once.post(REDRIVE, json!({"delivery_ids": named})).await.expect(202);
    let set = |pointer: &str| -> BTreeSet<String> {
        let ids = redriven.json.pointer(pointer).unwrap().as_array().unwrap();
        ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(set("/delivery_ids"), BTreeSet::from([dead[1].clone(), dead[3].clone()]));
    assert_eq!(set("/skipped"), BTreeSet::from([taken.clone(), unknown.clone()]));
    assert_eq!(redriven.json["replay"], Value::Null);
    let replayed = once.post(REDRIVE, json!({"delivery_ids": named})).await.expect(202);
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    assert_eq!(replayed.json, redriven.json);
    let left: Vec<_> = [0, 2, 4].map(|n| dead[n].clone()).into();
    assert_eq!(ids(&admin.get(path).await.expect(200)), left);
    app.sweep().await;
    assert_eq!(receiver.received().len(), 8);
    for id in [&dead[1], &dead[3]] {
        let delivery = delivery(&admin, id).await;
        assert_eq!(
            (delivery.text("/status"), &delivery.json["attempt_count"]),
            ("succeeded".into(), &json!(2))
        );
    }
    let all = records(&app, &admin).await;
    let record: Vec<_> = all.iter().filter(|record| record["action"] == "dead_letters.redrive").collect();
    assert_eq!(record.len(), 1);
    assert_eq!(record[0]["changes"].as_array().unwrap().len(), 2);
    assert_eq!(record[0]["resource_id"].as_str(), None, "it is about several");

    // Ones whose endpoint is disabled stay where they are.
    let _ = admin.post(&format!("/api/admin/webhooks/{endpoint}/disable"), json!({})).await.expect(200);
    let skipped = admin.post(REDRIVE, json!({"delivery_ids": left})).await.expect(202);
    assert_eq!(
        (&skipped.json["delivery_ids"], skipped.json["skipped"].as_array().unwrap().len()),
        (&json!([]), 3)
    );
    assert_eq!(ids(&admin.get(path).await.expect(200)), left);
    let whole = json!({"endpoint_id": endpoint});
    let _ = admin.post(REDRIVE, whole).await.expect_problem(409, "conflict");
}

/// The index lags: it still shows what was begun anew a moment ago.
#[tokio::test]
async fn what_was_redriven_is_no_dead_letter_though_the_index_says_so() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|_| 500).await;
    let admin = app.sign_up("Acme").await;
    let (_, dead) = dead_letters(&app, &admin, &receiver, 2).await;
    let pending = AttributeValue::S("pending".to_owned());
    set(&app, &dead[0], "status", pending).await;
    let path = "/api/admin/webhooks/dead-letters";
    assert_eq!(pages(&admin, path, 1).await.concat(), dead[1..]);
}

#[tokio::test]
async fn dead_letters_are_narrowed_by_endpoint_event_and_time() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|_| 500).await;
    let admin = app.sign_up("Acme").await;
    let (first, of_first) = dead_letters(&app, &admin, &receiver, 3).await;
    app.advance(Duration::from_secs(60));
    let between = app.now().to_string();
    let disabled = admin.post(&format!("/api/admin/webhooks/{first}/disable"), json!({})).await;
    let _ = disabled.expect(200);
    let (second, _) = app.endpoint(&admin, &receiver, json!({"max_retries": 0})).await;
    let _ = admin.post("/v1/campaigns", json!({"name": "Spring"})).await.expect(201);
    let late = lead(&admin, 7).await;
    app.drain().await;
    let path = "/api/admin/webhooks/dead-letters";
    let of = async |query: &str| pages(&admin, &format!("{path}?{query}"), 1).await.concat();
    assert_eq!(of(&format!("endpoint_id={first}")).await, of_first);
    let of_second = of(&format!("endpoint_id={second}")).await;
    assert!(!of_second.is_empty() && of_second.iter().all(|id| !of_first.contains(id)), "{late}");
    let leads = of(&format!("endpoint_id={second}&event=lead.created")).await;
    assert_eq!(leads.len(), 1);
    assert_eq!(of(&format!("until={between}")).await, of_first);
    assert_eq!(of(&format!("since={between}")).await, of_second);
    assert_eq!(of(&format!("endpoint_id={first}&since={between}")).await, Vec::<String>::new());
    // However many there are of others, and whatever of them may not be seen.
    app.engines().meter().reset();
    let page = admin.get(&format!("{path}?event=lead.replied&limit=1")).await.expect(200);
    assert_eq!((page.json["data"].clone(), page.json["next_cursor"].clone()), (json!([]), Value::Null));
    let table = app.platform().table_name("ActivityTable").unwrap();
    let measured = app.engines().meter().snapshot().measured().to_vec();
    let queries = measured.iter().filter(|it| it.resource == table && it.operation == "Query");
    assert!(queries.map(|it| it.calls).sum::<u64>() <= 4, "one look");
    let workspace = json!({"name": "Elsewhere"});
    let workspace = admin.post("/api/admin/workspaces", workspace).await.expect(201).text("/id");
    for confined in [json!({"workspace_id": workspace}), json!({"mode": "test"})] {
        let key = app.key(&admin, confined).await;
        let none = key.get(&format!("{path}?limit=1")).await.expect(200);
        assert_eq!((none.json["data"].clone(), none.json["next_cursor"].clone()), (json!([]), Value::Null));
    }
    let shown = admin.get(&format!("{path}?include=attempts&limit=1")).await.expect(200);
    assert_eq!(shown.json["data"][0]["attempts"][0]["response_status"], 500);
    for (wrong, pointer) in [
        ("endpoint_id=x", "endpoint_id"),
        ("event=lead.vanished", "event"),
        ("since=yesterday", "since"),
        ("since=2026-11-22T00:00:00Z&until=2026-11-21T00:00:00Z", "until"),
        ("include=all", "include"),
    ] {
        let refused = admin.get(&format!("{path}?{wrong}")).await.expect_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), format!("query:{pointer}"));
    }
}

#[tokio::test]
async fn all_dead_letters_of_an_endpoint_are_redriven_by_a_replay() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|number| if number < 6 { 500 } else { 204 }).await;
    let admin = app.sign_up("Acme").await;
    let (endpoint, dead) = dead_letters(&app, &admin, &receiver, 6).await;
    lead(&admin, 9).await;
    app.drain().await;
    app.advance(Duration::from_secs(1));
    assert_eq!(receiver.received().len(), 7);
    let body = json!({"endpoint_id": endpoint, "events": ["lead.created"]});
    let redriven = admin.post(REDRIVE, body).await.expect(202);
    assert_eq!((&redriven.json["delivery_ids"], &redriven.json["skipped"]), (&json!([]), &json!([])));
    assert_eq!(redriven.json["replay"]["statuses"], json!(["dead"]));
    app.sweep().await;
    app.advance(Duration::from_secs(60));
    app.sweep().await;
    let replay = format!("/api/admin/webhooks/replays/{}", redriven.text("/replay/id"));
    let replay = admin.get(&replay).await.expect(200);
    assert_eq!(replay.text("/status"), "completed");
    assert_eq!(
        (&replay.json["progress"]["sent"], &replay.json["progress"]["looked_at"]),
        (&json!(6), &json!(7))
    );
    assert_eq!(receiver.received().len(), 13, "and what the receiver has is not sent again");
    for id in &dead {
        assert_eq!(delivery(&admin, id).await.text("/status"), "succeeded");
    }
    assert_eq!(admin.get("/api/admin/webhooks/dead-letters").await.expect(200).json["data"], json!([]));
}

#[tokio::test]
async fn what_is_no_redrive_is_pointed_at() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let request = json!({"url": "https://example.com/", "events": ["*"]});
    let endpoint = admin.post("/api/admin/webhooks", request).await.expect(201).text("/id");
    let id = "dlv_01m81wjar3enmabzqqe9n44m8p";
    let many: Vec<_> = (0..46).map(|n| format!("dlv_01m81wjar3enmabzqqe9n44m{n:02}")).collect();
    app.advance(Duration::from_secs(1));
    for (body, pointer, code) in [
        (json!({}), "", "value"),
        (json!({"delivery_ids": [id], "endpoint_id": endpoint}), "", "value"),
        (json!({"delivery_ids": [id], "since": "2026-11-01T00:00:00Z"}), "", "value"),
        (json!({"delivery_ids": [id], "events": ["lead.created"]}), "", "value"),
        (json!({"since": "2026-11-01T00:00:00Z"}), "", "value"),
        (json!({"delivery_ids": []}), "/delivery_ids", "length"),
        (json!({"delivery_ids": many}), "/delivery_ids", "length"),
        (json!({"delivery_ids": ["x"]}), "/delivery_ids/0", "format"),
        (json!({"delivery_ids": id}), "/delivery_ids", "type"),
        (json!({"endpoint_id": id}), "/endpoint_id", "format"),
        (json!({"endpoint_id": endpoint, "events": ["lead.flown"]}), "/events/0", "value"),
        (json!({"endpoint_id": endpoint, "since": "soon"}), "/since", "format"),
        (json!({"endpoint_id": endpoint, "since": "2030-01-01T00:00:00Z"}), "/since", "range"),
        (
            json!({"endpoint_id": endpoint, "since": "2026-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z"}),
            "/until",
            "range",
        ),
        (json!({"endpoint_id": endpoint, "statuses": ["dead"]}), "/statuses", "unknown_field"),
    ] {
        let refused = admin.post(REDRIVE, body.clone()).await.expect_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), pointer, "{body}: {}", refused.body);
        assert_eq!(refused.text("/errors/0/code"), code, "{body}: {}", refused.body);
    }
    let gone = json!({"endpoint_id": "ep_01m81wjar3enmabzqqe9n44m8p"});
    let _ = admin.post(REDRIVE, gone).await.expect_problem(404, "not_found");
}
