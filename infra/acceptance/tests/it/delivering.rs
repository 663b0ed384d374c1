//! Deliveries: who may send, when the next attempt is due, and what becomes of jobs whose endpoint is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use artisan_local::engines::Strike;
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use aws_sdk_dynamodb::types::AttributeValue;
use clock::Timestamp;
use events::EventType;
use futures::future::join_all;
use http::StatusCode;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use store::{Attempt, Claim, Delivery, DeliveryStatus, NewDelivery, Reopening, Settlement, Tenant};
use testkit::{Actor, Receiver, TestApp};
use tokio::sync::Semaphore;

use crate::people::{ids, organization, store};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
const BROKEN: &str =
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"Internal"}"#;

/// An organization whose key does not run out, whatever the clock does.
pub(crate) async fn acme(app: &TestApp) -> Actor {
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": 10_000})).await;
    app.drain().await;
    key
}

/// What is the organization's of whoever this is.
pub(crate) async fn tenant(app: &TestApp, actor: &Actor) -> Tenant {
    let organization = actor.get("/api/admin/organization").await.expect(200).text("/id");
    store(app).tenant_of_job(organization.parse().unwrap())
}

/// Creates leads: an event each.
pub(crate) async fn leads(actor: &Actor, count: usize) {
    for number in 0..count {
        let lead = json!({"email": format!("lead{number}@example.com")});
        let _ = actor.post("/v1/leads", lead).await.expect(201);
    }
}

/// The deliveries to an endpoint, newest first.
pub(crate) async fn deliveries(actor: &Actor, endpoint: &str) -> Vec<Value> {
    let path = format!("/api/admin/webhooks/{endpoint}/deliveries?limit=100");
    actor.get(&path).await.expect(200).json["data"].as_array().unwrap().clone()
}

/// A delivery with its attempts.
pub(crate) async fn detail(actor: &Actor, delivery: &Value) -> Value {
    let id = delivery["id"].as_str().unwrap();
    actor.get(&format!("/api/admin/webhooks/deliveries/{id}")).await.expect(200).json
}

/// Lets `minutes` go by, with what happens in them.
pub(crate) async fn pass(app: &TestApp, minutes: usize) {
    for _ in 0..minutes {
        app.advance(MINUTE);
        app.sweep().await;
    }
}

/// Stops the next `batches` of jobs at the very first step, so that they stay on their queue; gives the bodies of all that lie
/// there.
pub(crate) async fn held_back(app: &TestApp, queue: &str, batches: usize) -> Vec<String> {
    // The SDK tries each call three times.
    app.engines().faults().order("BatchGetItem", 0, 3 * batches, Strike::Before, 500, BROKEN);
    app.drain().await;
    app.engines().faults().clear();
    app.platform().messages(queue).iter().map(|message| message.body.to_string()).collect()
}

/// What Lambda hands over when it received these.
pub(crate) fn batch(bodies: &[String], queue: &str) -> SqsEvent {
    let mut event = SqsEvent::default();
    for (number, body) in bodies.iter().enumerate() {
        let mut message = SqsMessage::default();
        message.message_id = Some(number.to_string());
        message.body = Some(body.clone());
        message.event_source_arn = Some(format!("arn:aws:sqs:eu-central-1:000000000000:{queue}"));
        event.records.push(message);
    }
    event
}

// ---- claims

fn attempt(number: u32, at: Timestamp) -> Attempt {
    Attempt {
        id: ids::Ids::new(clock::Clock::system()).next(),
        number,
        started_at: at,
        duration_ms: 5,
        response_status: Some(500),
        error: None,
        response_body: None,
        answer_apart: false,
    }
}

const LEASE: Duration = Duration::from_secs(45);

/// What somebody does at some moment, to one delivery.
#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Claim { who: usize, new: bool },
    Settle { who: usize, how: usize },
    Wait { seconds: u64, new: bool },
    Cancel { new: bool },
    Reopen,
    Requeue,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![0_u64..3, 44_u64..48, 100_u64..400].prop_map(Step::Pass),
        4 => (0_usize..2, any::<bool>()).prop_map(|(who, new)| Step::Claim { who, new }),
        4 => (0_usize..2, 0_usize..3).prop_map(|(who, how)| Step::Settle { who, how }),
        3 => (1_u64..100, any::<bool>()).prop_map(|(seconds, new)| Step::Wait { seconds, new }),
        1 => any::<bool>().prop_map(|new| Step::Cancel { new }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Requeue),
    ]
}

/// One delivery, and what the laws need to know of what happened to it.
struct Trial {
    tenant: Tenant,
    new: NewDelivery,
    now: Timestamp,
    held: [Option<Delivery>; 2],
    holder: Option<(usize, Timestamp)>,
    fence: u32,
    last: Option<Delivery>,
}

impl Trial {
    async fn item(&self) -> Option<Delivery> {
        self.tenant.delivery(self.new.id).await.unwrap()
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Pass(seconds) => self.now = self.now + Duration::from_secs(seconds),
            Step::Claim { who, new } => {
                let claim = match new {
                    true => self.tenant.claim_new(&self.new, LEASE, self.now).await.unwrap(),
                    false => self.tenant.claim(self.new.id, LEASE, self.now).await.unwrap(),
                };
                if let Claim::Held(delivery) = claim {
                    assert!(self.holder.is_none_or(|(_, until)| until <= self.now), "two hold it at once");
                    assert!(delivery.fence > self.fence, "a token was given twice");
                    let due = self.last.as_ref().and_then(|last| last.next_attempt_at);
                    assert!(due.is_none_or(|due| due <= self.now), "it was not due");
                    self.fence = delivery.fence;
                    self.holder = Some((who, self.now + LEASE));
                    self.held[who] = Some(*delivery);
                }
            }
            Step::Settle { who, how } => {
                let Some(held) = self.held[who].take() else { return };
                let before = self.item().await.unwrap();
                let due = self.now + MINUTE;
                let settlement = match how {
                    0 => Settlement::Succeeded,
                    1 => Settlement::Dead,
                    _ => Settlement::Retry { due, look_at: due },
                };
                let made = attempt(held.attempt_count + 1, self.now);
                let settled = self.tenant.settle(&held, &made, settlement, self.now).await.unwrap();
                assert_eq!(settled, held.fence == before.fence && before.status.is_owed());
                if settled {
                    self.holder = None;
                    assert_eq!(self.item().await.unwrap().attempt_count, before.attempt_count + 1);
                } else {
                    assert_eq!(self.item().await.unwrap(), before, "nothing was written");
                }
            }
            Step::Wait { seconds, new } => {
                let until = self.now + Duration::from_secs(seconds);
                if !new || self.tenant.wait_new(&self.new, until, self.now).await.unwrap().is_some() {
                    let endpoint = self.new.endpoint_id;
                    let _ = self.tenant.wait(self.new.id, endpoint, until, self.now).await.unwrap();
                }
            }
            Step::Cancel { new } => {
                if !new
                    || self.tenant.cancel_new(&self.new, "it was deleted", self.now).await.unwrap().is_some()
                {
                    let cancelled =
                        self.tenant.cancel(self.new.id, "it was deleted", self.now).await.unwrap();
                    assert!(!cancelled || self.holder.is_none_or(|(_, until)| until <= self.now));
                }
            }
            Step::Reopen => {
                let Some(item) = self.item().await else { return };
                let from = vec![DeliveryStatus::Succeeded, DeliveryStatus::Dead, DeliveryStatus::Cancelled];
                let reopening = Reopening { from, replay: None, look_at: self.now };
                let reopened = self.tenant.reopen(&item, &reopening, self.now).await.unwrap();
                assert_eq!(reopened.is_some(), !item.status.is_owed());
                if let Some(reopened) = reopened {
                    assert!(reopened.fence > self.fence);
                    self.fence = reopened.fence;
                    self.holder = None;
                    self.last = Some(reopened);
                }
            }
            Step::Requeue => {
                for waiting in self.tenant.waiting(self.new.endpoint_id, self.now, 10).await.unwrap() {
                    let noted = self.tenant.note_queued(&waiting, self.now + 10 * MINUTE).await.unwrap();
                    assert!(noted, "what is in the index is owed, and nobody else notes it");
                }
            }
        }
    }

    /// What holds after every step.
    async fn check(&mut self) {
        let item = self.item().await;
        let waiting = self.tenant.waiting(self.new.endpoint_id, Timestamp::MAX, 10).await.unwrap();
        let waits = waiting.iter().any(|waiting| waiting.id == self.new.id);
        let Some(item) = item else {
            assert!(self.last.is_none() && !waits);
            return;
        };
        if item.status.is_owed() {
            assert!(waits || item.lease_until.is_some(), "it is owed, and nobody would know: {item:?}");
        } else {
            assert!(!waits, "it is settled, and waits: {item:?}");
            assert_eq!((item.lease_until, item.next_attempt_at), (None, None));
        }
        let numbers: Vec<_> = item.attempts.iter().map(|attempt| attempt.number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert_eq!(numbers.last().copied().unwrap_or(0), item.attempt_count);
        if let Some(last) = &self.last {
            assert!(item.attempt_count >= last.attempt_count && item.fence >= last.fence);
            assert!(last.status.is_owed() || item.status == last.status, "settled is settled");
        }
        self.last = Some(item);
    }
}

#[test]
fn whatever_several_do_to_a_delivery_one_holds_it_and_it_is_not_lost() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let app = runtime.block_on(TestApp::start());
    let admin = runtime.block_on(app.sign_up("Acme"));
    runtime.block_on(app.drain());
    let tenant = store(&app).tenant_of_job(organization(&admin));
    let mut runner = TestRunner::new(Config {
        cases: testkit::cases(160),
        failure_persistence: None,
        ..Config::default()
    });
    let law = runner.run(&prop::collection::vec(step(), 1..30), |steps| {
        let new = some_delivery(&app);
        let (tenant, now) = (tenant.clone(), app.now());
        let mut trial =
            Trial { tenant, new, now, held: Default::default(), holder: None, fence: 0, last: None };
        runtime.block_on(async {
            for step in &steps {
                trial.take(step).await;
                trial.check().await;
            }
        });
        Ok(())
    });
    law.unwrap();
}

/// A delivery of an event that nobody has seen.
fn some_delivery(app: &TestApp) -> NewDelivery {
    let ids = ids(app);
    let (event_id, endpoint_id) = (ids.next(), ids.next());
    NewDelivery {
        id: store::delivery_id(event_id, endpoint_id),
        event_id,
        event: EventType::LeadCreated,
        endpoint_id,
        workspace_id: ids.next(),
        request_id: None,
        created_at: app.now(),
        expires_at: app.now().seconds() + 1_000_000,
    }
}

/// Its holder took longer than its lease, and others had it wait meanwhile: it was sent, and waits no more.
#[tokio::test]
async fn what_was_sent_after_all_leaves_the_index() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.drain().await;
    let (tenant, now) = (store(&app).tenant_of_job(organization(&admin)), app.now());
    let new = some_delivery(&app);
    let Claim::Held(held) = tenant.claim_new(&new, LEASE, now).await.unwrap() else { panic!("it is new") };
    let later = now + LEASE;
    assert!(tenant.wait(new.id, new.endpoint_id, later + MINUTE, later).await.unwrap());
    assert_eq!(tenant.waiting(new.endpoint_id, Timestamp::MAX, 10).await.unwrap().len(), 1);
    assert!(tenant.settle(&held, &attempt(1, now), Settlement::Succeeded, later).await.unwrap());
    assert!(tenant.waiting(new.endpoint_id, Timestamp::MAX, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn of_many_who_claim_at_once_one_does() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.drain().await;
    let (tenant, now) = (store(&app).tenant_of_job(organization(&admin)), app.now());
    let held = |claims: Vec<Result<Claim, store::StoreError>>| {
        claims.into_iter().filter(|claim| matches!(claim.as_ref().unwrap(), Claim::Held(_))).count()
    };
    for _ in 0..20 {
        let new = some_delivery(&app);
        assert_eq!(held(join_all((0..10).map(|_| tenant.claim_new(&new, LEASE, now))).await), 1);
        assert_eq!(held(join_all((0..10).map(|_| tenant.claim(new.id, LEASE, now))).await), 0);
        let later = now + LEASE;
        assert_eq!(held(join_all((0..10).map(|_| tenant.claim(new.id, LEASE, later))).await), 1);
    }
}

#[tokio::test]
async fn one_message_received_several_times_at_once_is_sent_once() {
    let app = TestApp::start().await;
    // It answers once all of them have tried to claim the delivery: one that came later would find it settled.
    let (gate, is_open) = tokio::sync::watch::channel(false);
    let receiver = Receiver::replying(move |_| {
        let mut is_open = is_open.clone();
        async move {
            let _ = is_open.wait_for(|is_open| *is_open).await;
            (StatusCode::NO_CONTENT, "")
        }
    })
    .await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 1).await;
    let bodies = held_back(&app, "WebhookJobsQueue", 1).await;
    assert_eq!(bodies.len(), 1);
    let services = app.platform().services_for("deliver").unwrap();
    let deliver = fn_deliver::handler(&services).await.unwrap();
    // Two consumers, and each has it twice in its batch.
    let twice = [bodies.clone(), bodies].concat();
    app.engines().meter().reset();
    let all_have_tried = async {
        let table = app.platform().table_name("ActivityTable").unwrap();
        for _ in 0..500 {
            let measured = app.engines().meter().snapshot().measured().to_vec();
            let claims = measured.iter().filter(|it| it.resource == table && it.operation == "PutItem");
            if claims.map(|it| it.calls).sum::<u64>() >= 4 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let _ = gate.send(true);
    };
    let (one, other, ()) = tokio::join!(
        deliver.handle(batch(&twice, "WebhookJobsQueue")),
        deliver.handle(batch(&twice, "WebhookJobsQueue")),
        all_have_tried
    );
    assert_eq!(receiver.received().len(), 1);
    let stay = one.batch_item_failures.len() + other.batch_item_failures.len();
    // Who lost looks again when the lease is over; who came when it was settled, on a slow engine, has nothing to look for.
    assert!(stay <= 3, "{stay}");
    pass(&app, 8).await;
    assert_eq!(receiver.received().len(), 1);
    let delivery = detail(&admin, &deliveries(&admin, &endpoint).await[0]).await;
    assert_eq!(
        (delivery["status"].as_str(), delivery["attempt_count"].as_u64()),
        (Some("succeeded"), Some(1))
    );
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_attempt_that_died_on_the_way_is_made_again_after_its_lease() {
    let app = TestApp::start().await;
    let asked = Arc::new(Semaphore::new(0));
    let told = Arc::clone(&asked);
    let receiver = Receiver::replying(move |number| {
        told.add_permits(1);
        async move {
            if number == 0 {
                std::future::pending::<()>().await;
            }
            StatusCode::NO_CONTENT
        }
    })
    .await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 1).await;
    let bodies = held_back(&app, "WebhookJobsQueue", 1).await;
    let services = app.platform().services_for("deliver").unwrap();
    let deliver = fn_deliver::handler(&services).await.unwrap();
    tokio::select! {
        _ = deliver.handle(batch(&bodies, "WebhookJobsQueue")) => panic!("nobody answered"),
        _ = asked.acquire() => {}
    }
    // It is nobody else's for as long as the attempt could have taken, and the calls of the store before and after it.
    app.advance(Duration::from_secs(30 + 4 * 8));
    assert_eq!(deliver.handle(batch(&bodies, "WebhookJobsQueue")).await.batch_item_failures.len(), 1);
    assert_eq!(receiver.received().len(), 1);
    app.advance(Duration::from_secs(8));
    assert!(deliver.handle(batch(&bodies, "WebhookJobsQueue")).await.batch_item_failures.is_empty());
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    let delivery = detail(&admin, &deliveries(&admin, &endpoint).await[0]).await;
    assert_eq!(
        (delivery["status"].as_str(), delivery["attempt_count"].as_u64()),
        (Some("succeeded"), Some(1))
    );
    pass(&app, 8).await;
}

// ---- the schedule

#[tokio::test]
async fn thirteen_attempts_double_their_distance_up_to_twelve_hours() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|_| 500).await;
    let admin = acme(&app).await;
    let request = json!({"events": ["lead.created"], "max_retries": 12});
    let (endpoint, _) = app.endpoint(&admin, &receiver, request).await;
    leads(&admin, 1).await;
    app.sweep().await;
    for made in 1..=12_u32 {
        assert_eq!(receiver.received().len(), usize::try_from(made).unwrap());
        let delivery = detail(&admin, &deliveries(&admin, &endpoint).await[0]).await;
        let time = |value: &Value| Timestamp::parse(value.as_str().unwrap()).unwrap();
        let last = time(&delivery["attempts"].as_array().unwrap().last().unwrap()["started_at"]);
        let due = time(&delivery["next_attempt_at"]);
        let plain = (60.0 * f64::from(1 << (made - 1))).min(43_200.0);
        let wait = due.since(last).as_secs_f64();
        assert!(wait >= plain * 0.9 - 1.0 && wait <= (plain * 1.1 + 1.0).min(43_200.0), "{made}: {wait}");
        let early = due.since(app.now()).saturating_sub(Duration::from_secs(1));
        app.advance(early);
        app.sweep().await;
        assert_eq!(receiver.received().len(), usize::try_from(made).unwrap(), "not a second early");
        // The breaker may hold the last ones for five minutes more.
        let mut passed = 0;
        while receiver.received().len() == usize::try_from(made).unwrap() {
            assert!(passed < 8, "attempt {} does not come", made + 1);
            pass(&app, 1).await;
            passed += 1;
        }
    }
    pass(&app, 3).await;
    app.advance(Duration::from_secs(13 * 3600));
    pass(&app, 3).await;
    assert_eq!(receiver.received().len(), 13);
    let delivery = detail(&admin, &deliveries(&admin, &endpoint).await[0]).await;
    assert_eq!((delivery["status"].as_str(), delivery["attempt_count"].as_u64()), (Some("dead"), Some(13)));
}

async fn pauses(status: u16, headers: &'static [(&'static str, &'static str)]) {
    let app = TestApp::start().await;
    let receiver = Receiver::replying(move |number| async move {
        let status = StatusCode::from_u16(if number == 0 { status } else { 204 }).unwrap();
        let mut answer = http::HeaderMap::new();
        for (name, value) in headers.iter().filter(|_| number == 0) {
            answer.insert(*name, value.parse().unwrap());
        }
        (status, answer)
    })
    .await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 1).await;
    app.sweep().await;
    assert_eq!(receiver.received().len(), 1);
    app.advance(Duration::from_secs(10));
    leads(&admin, 3).await;
    pass(&app, 9).await;
    assert_eq!(receiver.received().len(), 1, "it asked to be left alone for ten minutes");
    let counts = |deliveries: Vec<Value>| -> Vec<u64> {
        deliveries.iter().map(|delivery| delivery["attempt_count"].as_u64().unwrap()).collect()
    };
    assert_eq!(counts(deliveries(&admin, &endpoint).await), [0, 0, 0, 1], "and that burns no attempt");
    pass(&app, 3).await;
    assert_eq!(receiver.received().len(), 5);
    let all = deliveries(&admin, &endpoint).await;
    assert!(all.iter().all(|delivery| delivery["status"] == "succeeded"), "{all:?}");
    assert_eq!(counts(all), [1, 1, 1, 2]);
}

#[tokio::test]
async fn a_receiver_that_asks_for_ten_minutes_has_them() {
    pauses(429, &[("retry-after", "600")]).await;
}

#[tokio::test]
async fn or_until_a_date() {
    const HEADERS: [(&str, &str); 2] =
        [("date", "Sun, 22 Nov 2026 12:00:00 GMT"), ("retry-after", "Sun, 22 Nov 2026 12:10:00 GMT")];
    pauses(503, &HEADERS).await;
}

// ---- endpoints that are gone

#[tokio::test]
async fn an_endpoint_that_is_deleted_or_disabled_has_all_its_jobs_cancelled() {
    for disable in [false, true] {
        let app = TestApp::start().await;
        let receiver = Receiver::answering(|_| 500).await;
        let admin = acme(&app).await;
        let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
        // One is hidden on the slow lane, three wait in the table, two are first tries that are still queued.
        leads(&admin, 3).await;
        app.sweep().await;
        pass(&app, 2).await;
        leads(&admin, 1).await;
        app.drain().await;
        leads(&admin, 2).await;
        assert_eq!(held_back(&app, "WebhookJobsQueue", 1).await.len(), 2);
        assert!(!app.platform().messages("WebhookRetriesQueue").is_empty());
        let path = format!("/api/admin/webhooks/{endpoint}");
        if disable {
            let _ = admin.post(&format!("{path}/disable"), json!({})).await.expect(200);
        } else {
            let _ = admin.delete(&path).await.expect(204);
        }
        let sent = receiver.received().len();
        pass(&app, 15).await;
        assert_eq!(receiver.received().len(), sent, "nothing is sent afterwards");
        let tenant = tenant(&app, &admin).await;
        let id = endpoint.parse().unwrap();
        let page = store::PageRequest { limit: 100, after: None };
        let all = tenant.deliveries_to(id, &Default::default(), &page, app.now()).await.unwrap().items;
        assert_eq!(all.len(), 6);
        assert!(all.iter().all(|delivery| delivery.status == DeliveryStatus::Cancelled), "{all:?}");
        assert!(all.iter().all(|delivery| delivery.reason.is_some()));
        assert!(tenant.waiting(id, Timestamp::MAX, 10).await.unwrap().is_empty());
    }
}

/// Others come first, at some time: a call cancels so many of each endpoint.
#[tokio::test]
async fn what_waits_for_a_disabled_endpoint_is_cancelled_two_thousand_at_a_time() {
    if testkit::embedded_only(testkit::THOUSANDS) {
        return;
    }
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    let created_at = app.now();
    app.advance(60 * MINUTE);
    let (tenant, ids, now) = (tenant(&app, &admin).await, ids(&app), app.now());
    let endpoint_id = endpoint.parse().unwrap();
    let opened = (0..2_100).map(|_| {
        let event_id = ids.next();
        let new = NewDelivery {
            id: store::delivery_id(event_id, endpoint_id),
            event_id,
            event: EventType::LeadCreated,
            endpoint_id,
            workspace_id: ids.next(),
            request_id: None,
            created_at: now,
            expires_at: (now + 60 * MINUTE).seconds(),
        };
        let tenant = &tenant;
        async move { tenant.open(&new, None, now + 60 * MINUTE, now).await.unwrap() }
    });
    assert!(join_all(opened).await.into_iter().all(|opened| opened));
    let _ = admin.post(&format!("/api/admin/webhooks/{endpoint}/disable"), json!({})).await.expect(200);
    for left in [100, 0] {
        app.sweep().await;
        assert_eq!(tenant.backlog(endpoint_id).await.unwrap().count, left);
    }
    // Not all of them were looked at, so the offer leaves out none that there may be.
    let enabled = admin.post(&format!("/api/admin/webhooks/{endpoint}/enable"), json!({})).await.expect(200);
    assert_eq!(enabled.text("/replay_offer/since"), created_at.to_string());
}

/// The sweep had read that it is disabled, and was about to cancel what waits.
#[tokio::test]
async fn what_waits_for_an_endpoint_that_is_enabled_meanwhile_is_sent() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|number| if number < 3 { 500 } else { 204 }).await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 3).await;
    app.drain().await;
    let path = format!("/api/admin/webhooks/{endpoint}");
    let _ = admin.post(&format!("{path}/disable"), json!({})).await.expect(200);
    let about_to = app.engines().faults().hold("Query", &format!("WAIT#{endpoint}"));
    tokio::join!(app.sweep(), async {
        about_to.arrived().await;
        app.advance(Duration::from_secs(1));
        let _ = admin.post(&format!("{path}/enable"), json!({})).await.expect(200);
        drop(about_to);
    });
    pass(&app, 8).await;
    let all = deliveries(&admin, &endpoint).await;
    assert!(all.len() == 3 && all.iter().all(|it| it["status"] == "succeeded"), "{all:?}");
}

/// By their partitions its deliveries are found, for an export or an erasure, and those follow from its state.
#[tokio::test]
async fn the_state_of_a_deleted_endpoint_outlives_its_deliveries() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = app.sign_up("Acme").await;
    let organization = organization(&admin);
    let client = app.platform().services_for("auth").unwrap().aws.dynamodb;
    let agreed = client.update_item().table_name(app.platform().table_name("CoreTable").unwrap());
    let agreed = agreed.update_expression("SET retention_days = :days");
    let agreed = agreed.expression_attribute_values(":days", AttributeValue::N("500".to_owned()));
    let agreed = agreed.key("pk", AttributeValue::S(format!("ORG#{organization}")));
    agreed.key("sk", AttributeValue::S("ORG".to_owned())).send().await.unwrap();
    app.advance(Duration::from_secs(11));
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 1).await;
    app.drain().await;
    let _ = admin.delete(&format!("/api/admin/webhooks/{endpoint}")).await.expect(204);
    app.sweep().await;
    let table = app.platform().table_name("ActivityTable").unwrap();
    let items = client.scan().table_name(table).send().await.unwrap().items.unwrap_or_default();
    let expires = |prefix: &str| -> i64 {
        let item = items.iter().find(|item| item["sk"].as_s().unwrap().starts_with(prefix)).unwrap();
        item["expires_at"].as_n().unwrap().parse().unwrap()
    };
    assert!(expires("DLV#") >= (app.now() + 499 * DAY).seconds());
    assert!(expires("EPS#") > expires("DLV#"));
}

#[tokio::test]
async fn an_attempt_under_way_when_its_endpoint_is_deleted_is_recorded_and_is_the_last() {
    let app = TestApp::start().await;
    let (asked, go, answers) =
        (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (tell, wait, count) = (Arc::clone(&asked), Arc::clone(&go), Arc::clone(&answers));
    let receiver = Receiver::replying(move |_| {
        tell.add_permits(1);
        let (wait, count) = (Arc::clone(&wait), Arc::clone(&count));
        async move {
            let _go = wait.acquire().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            StatusCode::INTERNAL_SERVER_ERROR
        }
    })
    .await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 1).await;
    tokio::join!(app.drain(), async {
        let _ = asked.acquire().await.unwrap();
        let _ = admin.delete(&format!("/api/admin/webhooks/{endpoint}")).await.expect(204);
        go.add_permits(1);
    });
    pass(&app, 10).await;
    assert_eq!((receiver.received().len(), answers.load(Ordering::SeqCst)), (1, 1));
    let event = receiver.received()[0].header("webhook-id").parse().unwrap();
    let id = store::delivery_id(event, endpoint.parse().unwrap());
    let delivery = tenant(&app, &admin).await.delivery_detail(id).await.unwrap().unwrap();
    assert_eq!(delivery.status, DeliveryStatus::Cancelled);
    let statuses: Vec<_> = delivery.attempts.iter().map(|attempt| attempt.response_status).collect();
    assert_eq!(statuses, [Some(500)]);
}
