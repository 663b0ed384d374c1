//! One endpoint's trouble is nobody else's: breaker, slow lane, rate, and the end of an endpoint that only ever fails.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use store::{EndpointState, ErrorClass, LastError, NotedFailure, Slot};
use testkit::{Actor, Receiver, TestApp};

use crate::delivering::{MINUTE, acme, batch, deliveries, held_back, leads, pass, tenant};

/// Longer than it takes to be slow, three times over: a sender that woke late waits once more before it says so.
const SLOW: Duration = Duration::from_millis(3500);
/// Far more looks, ten milliseconds apart, than anything that is waited for takes.
const LOOKS: usize = 6_000;
/// So long a row of failures lasts before it opens the breaker.
const ROW: Duration = Duration::from_secs(3);

/// A receiver that is down until it is told otherwise.
async fn down() -> (Receiver, Arc<AtomicBool>) {
    let up = Arc::new(AtomicBool::new(false));
    let is_up = Arc::clone(&up);
    (Receiver::answering(move |_| if is_up.load(Ordering::SeqCst) { 204 } else { 500 }).await, up)
}

async fn state(app: &TestApp, actor: &Actor, endpoint: &str) -> EndpointState {
    tenant(app, actor).await.endpoint_state(endpoint.parse().unwrap()).await.unwrap().unwrap()
}

fn attempts(deliveries: &[Value]) -> usize {
    let counts = deliveries.iter().map(|delivery| delivery["attempt_count"].as_u64().unwrap());
    usize::try_from(counts.sum::<u64>()).unwrap()
}

fn are_all(deliveries: &[Value], status: &str) -> bool {
    deliveries.iter().all(|delivery| delivery["status"] == status)
}

#[tokio::test]
async fn an_endpoint_that_is_down_for_three_hours_gets_everything_afterwards_and_little_before() {
    let app = TestApp::start().await;
    let ((receiver, up), healthy) = (down().await, Receiver::start().await);
    let admin = acme(&app).await;
    let request = json!({"events": ["lead.created"], "max_retries": 12});
    let (failing, _) = app.endpoint(&admin, &receiver, request.clone()).await;
    let (well, _) = app.endpoint(&admin, &healthy, request).await;
    leads(&admin, 10).await;
    app.drain().await;
    app.advance(ROW);
    leads(&admin, 1).await;
    app.drain().await;
    leads(&admin, 39).await;
    app.drain().await;
    assert_eq!(
        receiver.received().len(),
        11,
        "ten failures in a row, and one some seconds on, open the breaker"
    );
    assert_eq!(healthy.received().len(), 50, "which is no other endpoint's concern");
    assert!(are_all(&deliveries(&admin, &well).await, "succeeded"));
    let all = deliveries(&admin, &failing).await;
    assert_eq!((all.len(), attempts(&all)), (50, 11), "what is put off burns no attempt");

    pass(&app, 180).await;
    let probes = receiver.received().len() - 11;
    assert!((30..=50).contains(&probes), "a probe every five minutes: {probes}");
    let all = deliveries(&admin, &failing).await;
    assert_eq!((all.len(), attempts(&all)), (50, 11 + probes));
    assert!(all.iter().all(|it| it["status"] == "pending" || it["status"] == "retrying"), "{all:?}");
    // By the schedule alone each would have made eight.
    assert!(attempts(&all) < 50 * 2);

    up.store(true, Ordering::SeqCst);
    // Those that were probes are due by their own schedule.
    pass(&app, 8 * 60).await;
    let all = deliveries(&admin, &failing).await;
    assert!(are_all(&all, "succeeded"), "{all:?}");
    assert_eq!((attempts(&all), receiver.received().len()), (61 + probes, 61 + probes), "each came once");
    let state = state(&app, &admin, &failing).await;
    assert_eq!((state.failures, state.opened, state.failing_since), (0, 0, None));
    assert_eq!(healthy.received().len(), 50);
}

#[tokio::test]
async fn a_half_open_breaker_lets_one_through_and_closes_when_that_one_is_taken() {
    let app = TestApp::start().await;
    let (receiver, up) = down().await;
    let admin = acme(&app).await;
    let request = json!({"events": ["lead.created"], "max_retries": 12});
    let (endpoint, _) = app.endpoint(&admin, &receiver, request).await;
    leads(&admin, 100).await;
    app.drain().await;
    let burst = state(&app, &admin, &endpoint).await;
    assert_eq!(
        (burst.failures, burst.opened),
        (100, 0),
        "in a burst nobody knows yet of what succeeds beside it"
    );
    app.advance(ROW);
    leads(&admin, 1).await;
    app.drain().await;
    let opened = state(&app, &admin, &endpoint).await;
    assert_eq!((opened.failures, opened.opened), (101, 1));
    let until = opened.not_before.unwrap().since(app.now());
    assert!((27..=33).contains(&until.as_secs()), "{until:?}");

    app.advance(until);
    leads(&admin, 5).await;
    assert_eq!(held_back(&app, "WebhookJobsQueue", 1).await.len(), 5);
    app.advance(6 * MINUTE);
    // First tries, and all that waits with them.
    app.sweep().await;
    assert_eq!(receiver.received().len(), 102, "one of all those may try");
    let opened = state(&app, &admin, &endpoint).await;
    assert_eq!((opened.failures, opened.opened, opened.probe_until), (102, 2, None));
    let until = opened.not_before.unwrap().since(app.now());
    assert!((54..=66).contains(&until.as_secs()), "{until:?}");
    app.advance(Duration::from_secs(50));
    app.sweep().await;
    assert_eq!(receiver.received().len(), 102);

    up.store(true, Ordering::SeqCst);
    pass(&app, 2).await;
    let closed = state(&app, &admin, &endpoint).await;
    assert_eq!((closed.failures, closed.opened), (0, 0));
    pass(&app, 10).await;
    let all = deliveries(&admin, &endpoint).await;
    assert!(are_all(&all, "succeeded"), "{all:?}");
    assert_eq!(receiver.received().len(), 102 + 106);
}

/// A pause that was asked for while the breaker opened is not cut short by it.
#[tokio::test]
async fn the_longer_of_two_pauses_holds() {
    let app = TestApp::start().await;
    let receiver = Receiver::replying(|number| async move {
        let pause = if number == 13 { "1800" } else { "" };
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", pause)])
    })
    .await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 9).await;
    app.drain().await;
    app.advance(ROW);
    leads(&admin, 5).await;
    app.drain().await;
    let state = state(&app, &admin, &endpoint).await;
    assert_eq!((state.failures, state.opened), (14, 1));
    assert_eq!(state.not_before.unwrap().since(app.now()).as_secs(), 1800);
    app.leaves_jobs();
}

// ---- the slow lane

#[tokio::test]
async fn an_endpoint_that_takes_its_time_is_sent_to_by_the_slow_lane() {
    let app = TestApp::start().await;
    let receiver = Receiver::replying(|_| async {
        tokio::time::sleep(SLOW).await;
        StatusCode::NO_CONTENT
    })
    .await;
    let healthy = Receiver::start().await;
    let admin = acme(&app).await;
    let (slow, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    app.endpoint(&admin, &healthy, json!({"events": ["lead.created"]})).await;
    let retries = app.platform().template().queue("WebhookRetriesQueue").unwrap().name.clone();
    let passed_on = || app.engines().meter().snapshot().calls_on(&retries);
    leads(&admin, 1).await;
    app.drain().await;
    assert!(state(&app, &admin, &slow).await.is_slow(app.now()));
    let before = passed_on();
    leads(&admin, 1).await;
    app.drain().await;
    assert_eq!(passed_on() - before, 1, "its next first try, and nobody else's");
    assert_eq!((receiver.received().len(), healthy.received().len()), (2, 2));
    // A minute later it may show that it is quick again.
    app.advance(Duration::from_secs(61));
    assert!(!state(&app, &admin, &slow).await.is_slow(app.now()));
    assert!(are_all(&deliveries(&admin, &slow).await, "succeeded"));
}

#[tokio::test]
async fn ten_at_most_are_sent_to_a_slow_endpoint_at_once() {
    let app = TestApp::start().await;
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (Arc::clone(&inside), Arc::clone(&most));
    let receiver = Receiver::replying(move |_| {
        let (inside, most) = counters.clone();
        async move {
            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(SLOW).await;
            inside.fetch_sub(1, Ordering::SeqCst);
            StatusCode::NO_CONTENT
        }
    })
    .await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 1).await;
    app.drain().await;
    leads(&admin, 15).await;
    let bodies = held_back(&app, "WebhookJobsQueue", 2).await;
    assert_eq!(bodies.len(), 15);
    let services = app.platform().services_for("deliver").unwrap();
    let deliver = fn_deliver::handler(&services).await.unwrap();
    let queue = app.platform().template().queue("WebhookRetriesQueue").unwrap().name.clone();
    let (one, other) = bodies.split_at(8);
    tokio::join!(deliver.handle(batch(one, &queue)), deliver.handle(batch(other, &queue)));
    assert!((8..=10).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    app.advance(7 * MINUTE);
    app.sweep().await;
    pass(&app, 2).await;
    assert!(are_all(&deliveries(&admin, &endpoint).await, "succeeded"));
    assert_eq!(receiver.received().len(), 16);
}

#[tokio::test]
async fn slots_are_ten_and_come_back_with_their_lease() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    let (tenant, lease, now) = (tenant(&app, &admin).await, Duration::from_secs(45), app.now());
    let mut taken = BTreeMap::new();
    for _ in 0..30 {
        let state = state(&app, &admin, &endpoint).await;
        if let Slot::Taken(slot, until) = tenant.take_slot(&state, lease, now).await.unwrap() {
            assert_eq!(taken.insert(slot, until), None, "slot {slot} was given twice");
        }
    }
    assert_eq!(taken.len(), store::SLOTS);
    let id = endpoint.parse().unwrap();
    // A lease that is over is not given back in another's place.
    tenant.give_slot_back(id, 3, now).await.unwrap();
    let known = state(&app, &admin, &endpoint).await;
    assert_eq!(tenant.take_slot(&known, lease, now).await.unwrap(), Slot::None);
    tenant.give_slot_back(id, 3, taken[&3]).await.unwrap();
    let known = state(&app, &admin, &endpoint).await;
    assert_eq!(tenant.take_slot(&known, lease, now).await.unwrap(), Slot::Taken(3, now + lease));
    let known = state(&app, &admin, &endpoint).await;
    assert!(matches!(tenant.take_slot(&known, lease, now + lease).await.unwrap(), Slot::Taken(..)));
}

/// Who held the probe until its lease was over does not give back what is another's by then.
#[tokio::test]
async fn a_probe_is_given_back_by_whose_it_is() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    let (tenant, lease, now) = (tenant(&app, &admin).await, Duration::from_secs(45), app.now());
    let id = endpoint.parse().unwrap();
    let late = tenant.take_probe(id, lease, now).await.unwrap().unwrap();
    assert_eq!(tenant.take_probe(id, lease, now).await.unwrap(), None);
    let own = tenant.take_probe(id, lease, late).await.unwrap().unwrap();
    tenant.give_probe_back(id, late, late).await.unwrap();
    assert_eq!(state(&app, &admin, &endpoint).await.probe_until, Some(own));
    tenant.give_probe_back(id, own, late).await.unwrap();
    assert_eq!(state(&app, &admin, &endpoint).await.probe_until, None);
}

#[tokio::test]
async fn first_tries_do_not_stand_behind_retries() {
    let app = TestApp::start().await;
    let (failing, healthy) = (Receiver::answering(|_| 500).await, Receiver::start().await);
    let admin = acme(&app).await;
    let (bad, _) = app.endpoint(&admin, &failing, json!({"events": ["lead.created"]})).await;
    leads(&admin, 5).await;
    app.drain().await;
    let retries = app.platform().messages("WebhookRetriesQueue");
    assert_eq!(retries.len(), 5);
    assert!(retries.iter().all(|message| message.body.contains(&bad)));
    assert!(app.platform().messages("WebhookJobsQueue").is_empty(), "nothing but first tries ever lies here");
    app.endpoint(&admin, &healthy, json!({"events": ["lead.created"]})).await;
    leads(&admin, 5).await;
    app.drain().await;
    assert_eq!(healthy.received().len(), 5);
    assert!(app.platform().messages("WebhookJobsQueue").is_empty());
    app.leaves_jobs();
}

// ---- rates

#[tokio::test]
async fn an_endpoint_with_a_rate_is_sent_no_more_than_that() {
    const RATE: usize = 2;
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = acme(&app).await;
    let request = json!({"events": ["lead.created"], "rate_limit_per_second": RATE});
    let (endpoint, _) = app.endpoint(&admin, &receiver, request).await;
    leads(&admin, 20).await;
    let mut at: Vec<i64> = Vec::new();
    for step in 0..4 * 240 {
        if step % 240 == 0 {
            app.sweep().await
        } else {
            app.drain().await
        }
        at.resize(receiver.received().len(), app.now().millis());
        if at.len() == 20 {
            break;
        }
        app.advance(Duration::from_millis(250));
    }
    assert_eq!(at.len(), 20, "all of them in the end");
    for from in &at {
        let within = at.iter().filter(|time| (*from..from + 1000).contains(*time)).count();
        // A second's worth may come at once, and the next are evenly apart.
        assert!(within < 2 * RATE, "{within} within a second: {at:?}");
        let within = at.iter().filter(|time| (*from..from + 5000).contains(*time)).count();
        assert!(within <= 6 * RATE, "{within} within five seconds: {at:?}");
    }
    let all = deliveries(&admin, &endpoint).await;
    assert!(are_all(&all, "succeeded"));
    assert_eq!(attempts(&all), 20, "what is put off burns no attempt");
}

/// A job that comes twice takes no turn of what is still to be sent.
#[tokio::test]
async fn what_there_is_nothing_to_send_of_takes_nothing_of_a_rate() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = acme(&app).await;
    let request = json!({"events": ["lead.created"], "rate_limit_per_second": 1});
    let (endpoint, _) = app.endpoint(&admin, &receiver, request).await;
    leads(&admin, 1).await;
    let bodies = held_back(&app, "WebhookJobsQueue", 1).await;
    app.advance(MINUTE);
    app.drain().await;
    let before = state(&app, &admin, &endpoint).await.rate_next;
    assert!(before.is_some() && receiver.received().len() == 1);
    app.advance(MINUTE);
    let services = app.platform().services_for("deliver").unwrap();
    let deliver = fn_deliver::handler(&services).await.unwrap();
    assert!(deliver.handle(batch(&bodies, "WebhookJobsQueue")).await.batch_item_failures.is_empty());
    assert_eq!(state(&app, &admin, &endpoint).await.rate_next, before);
    assert_eq!(receiver.received().len(), 1);
}

#[test]
fn whoever_asks_and_when_no_more_is_given_than_the_rate_and_a_second_s_worth_at_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let app = runtime.block_on(TestApp::start());
    let receiver = runtime.block_on(Receiver::start());
    let admin = runtime.block_on(acme(&app));
    let tenant = runtime.block_on(tenant(&app, &admin));
    let begins = Cell::new(app.now());
    let (endpoint, _) = runtime.block_on(app.endpoint(&admin, &receiver, json!({})));
    let mut runner =
        TestRunner::new(Config { cases: testkit::cases(48), failure_persistence: None, ..Config::default() });
    let asked = prop::collection::vec((0_u64..400, any::<bool>()), 1..60);
    let law = runner.run(&(prop_oneof![1_u32..30, 1_u32..=1000], asked), |(rate, asked)| {
        // What was given before is past.
        begins.set(begins.get() + Duration::from_secs(3600));
        let (mut now, mut given) = (begins.get(), Vec::new());
        let mut stale = runtime.block_on(state(&app, &admin, &endpoint));
        for (pause, look) in asked {
            now = now + Duration::from_millis(pause);
            if look {
                stale = runtime.block_on(state(&app, &admin, &endpoint));
            }
            match runtime.block_on(tenant.take_rate(&stale, rate, now)).unwrap() {
                None => given.push(now.millis()),
                Some(until) => {
                    prop_assert!(
                        until > now && until.since(now) <= Duration::from_secs(1),
                        "{until} at {now}"
                    );
                    now = until;
                    let known = runtime.block_on(state(&app, &admin, &endpoint));
                    prop_assert_eq!(runtime.block_on(tenant.take_rate(&known, rate, now)).unwrap(), None);
                    given.push(now.millis());
                }
            }
        }
        for (first, from) in given.iter().enumerate() {
            for (last, to) in given.iter().enumerate().skip(first) {
                let most = (to - from) * i64::from(rate) / 1000 + i64::from(rate);
                let count = i64::try_from(last - first + 1).unwrap();
                prop_assert!(count <= most, "{count} within {} ms at {rate} a second", to - from);
            }
        }
        Ok(())
    });
    law.unwrap();
}

/// In whole milliseconds each rate above 500 would be one of 500.
#[tokio::test]
async fn a_rate_of_hundreds_is_what_it_says() {
    const RATE: u32 = 900;
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    let (tenant, from) = (tenant(&app, &admin).await, app.now());
    let mut given = Vec::new();
    for after in [0, 100] {
        let now = from + Duration::from_millis(after);
        let mut count = 0;
        while tenant.take_rate(&state(&app, &admin, &endpoint).await, RATE, now).await.unwrap().is_none() {
            count += 1;
        }
        given.push(count);
    }
    assert!((890..=900).contains(&given[0]) && (88..=90).contains(&given[1]), "{given:?}");
}

// ---- pauses

/// What the slow lane has received is in flight for as long as it is hidden, and of that there is only so much.
#[tokio::test]
async fn a_pause_is_waited_out_in_the_table_by_what_the_slow_lane_has_received() {
    for (pause, in_flight) in [("60", 0), ("4", 3)] {
        let app = TestApp::start().await;
        let receiver = Receiver::replying(move |number| async move {
            match number {
                0 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", pause)]),
                _ => (StatusCode::NO_CONTENT, [("retry-after", "")]),
            }
        })
        .await;
        let admin = acme(&app).await;
        let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
        leads(&admin, 1).await;
        app.drain().await;
        leads(&admin, 3).await;
        app.drain().await;
        // A first try is handed on with a delay, and is not in flight.
        let jobs: Vec<_> = app.platform().messages("WebhookRetriesQueue");
        let bodies: Vec<_> =
            jobs.iter().map(|job| job.body.to_string()).filter(|it| it.contains("body")).collect();
        assert_eq!((jobs.len(), bodies.len()), (4, 3));
        let services = app.platform().services_for("deliver").unwrap();
        let deliver = fn_deliver::handler(&services).await.unwrap();
        let queue = app.platform().template().queue("WebhookRetriesQueue").unwrap().name.clone();
        let stay = deliver.handle(batch(&bodies, &queue)).await.batch_item_failures.len();
        assert_eq!(stay, in_flight, "{pause}");
        let id = endpoint.parse().unwrap();
        assert_eq!(tenant(&app, &admin).await.backlog(id).await.unwrap().count, 1 + 3 - in_flight);
        pass(&app, 8).await;
        assert!(are_all(&deliveries(&admin, &endpoint).await, "succeeded"));
        assert_eq!(receiver.received().len(), 5);
    }
}

// ---- endpoints that only ever fail

/// The success was there after the batch had read how the endpoint does, and so was the failure before it.
#[tokio::test]
async fn a_success_ends_a_row_that_began_in_its_own_batch() {
    let app = TestApp::start().await;
    let (noted, is_noted) = tokio::sync::watch::channel(false);
    let receiver = Receiver::replying(move |number| {
        let mut is_noted = is_noted.clone();
        async move {
            if number == 0 {
                return StatusCode::INTERNAL_SERVER_ERROR;
            }
            let _ = is_noted.wait_for(|is_noted| *is_noted).await;
            StatusCode::NO_CONTENT
        }
    })
    .await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 2).await;
    let failure = async {
        let (tenant, id) = (tenant(&app, &admin).await, endpoint.parse().unwrap());
        for _ in 0..LOOKS {
            if tenant.endpoint_state(id).await.unwrap().is_some_and(|state| state.failures > 0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let _ = noted.send(true);
    };
    tokio::join!(app.drain(), failure);
    assert_eq!(receiver.received().len(), 2);
    let state = state(&app, &admin, &endpoint).await;
    assert_eq!((state.failures, state.failing_since), (0, None));
    assert!(state.last_error.is_some());
    pass(&app, 8).await;
}

/// It was to be disabled by how it did, and at that moment took a webhook.
#[tokio::test]
async fn an_endpoint_that_recovers_at_that_moment_is_not_disabled() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({})).await;
    let (tenant, id) = (tenant(&app, &admin).await, endpoint.parse().unwrap());
    for _ in 0..2 {
        let now = app.now();
        let delivery_id = store::delivery_id(crate::people::ids(&app).next(), id);
        let error = LastError { at: now, error: ErrorClass::Timeout, response_status: None, delivery_id };
        let failure = NotedFailure {
            read_at: now,
            error,
            not_before: None,
            opens: None,
            gone: false,
            exhausted: false,
        };
        assert!(tenant.note_failure(id, &failure, now).await.unwrap().is_some());
        app.advance(Duration::from_secs(6 * 24 * 3600));
    }
    let about_to = app.engines().faults().hold("TransactWriteItems", "endpoint.disable");
    tokio::join!(app.sweep(), async {
        about_to.arrived().await;
        tenant.note_recovery(id, app.now(), app.now()).await.unwrap();
        drop(about_to);
    });
    pass(&app, 1).await;
    let shown = admin.get(&format!("/api/admin/webhooks/{endpoint}")).await.expect(200);
    assert_eq!((shown.text("/status"), shown.text("/health/state")), ("enabled".into(), "healthy".into()));
}

/// A lead every six hours for `days`; when the endpoint was disabled, in hours.
async fn disabled_after(app: &TestApp, admin: &Actor, endpoint: &str, days: usize) -> Option<usize> {
    for hours in (0..days * 24).step_by(6) {
        leads(admin, 1).await;
        app.sweep().await;
        pass(app, 2).await;
        let shown = admin.get(&format!("/api/admin/webhooks/{endpoint}")).await.expect(200);
        if shown.text("/status") == "disabled" {
            assert!(shown.text("/disabled_reason").contains("five days"));
            return Some(hours);
        }
        app.advance(Duration::from_secs(6 * 3600) - 2 * MINUTE);
    }
    None
}

#[tokio::test]
async fn five_days_of_nothing_but_failures_disable_an_endpoint_and_it_begins_anew() {
    let app = TestApp::start().await;
    let (receiver, up) = down().await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    let hours = disabled_after(&app, &admin, &endpoint, 7).await;
    assert!(hours.is_some_and(|hours| (114..=126).contains(&hours)), "{hours:?}");
    let sent = receiver.received().len();
    leads(&admin, 1).await;
    pass(&app, 20).await;
    assert_eq!(receiver.received().len(), sent);

    let path = format!("/api/admin/webhooks/{endpoint}");
    let _ = admin.post(&format!("{path}/enable"), json!({})).await.expect(200);
    let anew = state(&app, &admin, &endpoint).await;
    assert_eq!((anew.failures, anew.opened, anew.failing_since, anew.not_before), (0, 0, None, None));
    pass(&app, 2).await;
    assert_eq!(admin.get(&path).await.expect(200).text("/status"), "enabled");
    up.store(true, Ordering::SeqCst);
    leads(&admin, 1).await;
    app.drain().await;
    assert_eq!(receiver.received().len(), sent + 1);
    pass(&app, 10).await;
}

#[tokio::test]
async fn one_success_among_five_days_of_failures_keeps_an_endpoint_enabled() {
    let app = TestApp::start().await;
    let (receiver, up) = down().await;
    let admin = acme(&app).await;
    let request = json!({"events": ["lead.created"], "max_retries": 0});
    let (endpoint, _) = app.endpoint(&admin, &receiver, request).await;
    assert_eq!(disabled_after(&app, &admin, &endpoint, 3).await, None);
    up.store(true, Ordering::SeqCst);
    leads(&admin, 1).await;
    app.sweep().await;
    pass(&app, 6).await;
    up.store(false, Ordering::SeqCst);
    assert_eq!(disabled_after(&app, &admin, &endpoint, 4).await, None, "seven days in all, and four since");
    pass(&app, 10).await;
}

/// A quarter of an hour of failures and then silence is not five days of failures.
#[tokio::test]
async fn an_endpoint_that_is_sent_nothing_does_not_fail() {
    let app = TestApp::start().await;
    let (receiver, _up) = down().await;
    let admin = acme(&app).await;
    let (endpoint, _) = app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 1).await;
    app.sweep().await;
    pass(&app, 30).await;
    app.advance(Duration::from_secs(6 * 24 * 3600));
    pass(&app, 2).await;
    let shown = admin.get(&format!("/api/admin/webhooks/{endpoint}")).await.expect(200);
    assert_eq!(shown.text("/status"), "enabled");
    assert_eq!(receiver.received().len(), 5);
}
