//! What a delivery costs the store: calls and capacity units, by the local engine's own account.

use artisan_local::engines::Measured;
use http::StatusCode;
use serde_json::json;
use testkit::{Receiver, TestApp};

use crate::delivering::{acme, deliveries, leads, pass};

const WRITES: [&str; 5] = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"];

/// What was asked of the tables.
struct Bill(Vec<Measured>);

impl Bill {
    fn of(app: &TestApp) -> Self {
        let measured = app.engines().meter().snapshot().measured().to_vec();
        let tables = ["CoreTable", "ActivityTable", "DirectoryTable", "AuditTable"];
        let tables: Vec<_> = tables.iter().filter_map(|table| app.platform().table_name(table)).collect();
        let of_tables = measured.into_iter().filter(|it| tables.contains(&it.resource.as_str()));
        Self(of_tables.filter(|it| !is_sealing(app, it)).collect())
    }

    fn writes(&self) -> (u64, f64) {
        self.sum(|operation| WRITES.contains(&operation))
    }

    fn reads(&self, operation: &str) -> (u64, f64) {
        self.sum(|it| it == operation)
    }

    fn sum(&self, of: impl Fn(&str) -> bool) -> (u64, f64) {
        let of_it = self.0.iter().filter(|it| of(&it.operation));
        of_it.fold((0, 0.0), |(calls, units), it| (calls + it.calls, units + it.capacity_units))
    }

    fn print(&self, of: &str) {
        println!("{of}");
        for Measured { operation, resource, calls, capacity_units } in &self.0 {
            println!("  {operation:20} {resource:24} {calls:4} calls {capacity_units:7.1} units");
        }
    }
}

/// Whether it is a part of what sealing does with the records of the leads, at the same time. `fanout` and `deliver` have
/// nothing to do with the audit log, and may not write to `core`.
fn is_sealing(app: &TestApp, it: &Measured) -> bool {
    let table = |name| app.platform().table_name(name) == Some(it.resource.as_str());
    table("AuditTable")
        || table("CoreTable")
            && ["GetItem", "UpdateItem", "TransactWriteItems"].contains(&it.operation.as_str())
}

/// The bill of one event to one endpoint, from the stream to the receiver's answer.
async fn delivered(status: u16, answer: String, retries: u32) -> Bill {
    let app = TestApp::start().await;
    let receiver = Receiver::replying(move |_| {
        let answer = answer.clone();
        async move { (StatusCode::from_u16(status).unwrap(), answer) }
    })
    .await;
    let admin = acme(&app).await;
    let request = json!({"events": ["lead.created"], "max_retries": retries});
    let (endpoint, _) = app.endpoint(&admin, &receiver, request).await;
    leads(&admin, 1).await;
    app.engines().meter().reset();
    app.drain().await;
    let bill = Bill::of(&app);
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(deliveries(&admin, &endpoint).await[0]["attempt_count"], 1);
    pass(&app, 20).await;
    bill
}

#[tokio::test]
async fn a_delivery_that_succeeds_at_once_is_two_writes_and_one_read_of_its_endpoint() {
    for answer in [0, 100, 200] {
        let bill = delivered(200, "x".repeat(answer), 4).await;
        bill.print(&format!("a delivery that is answered 200 with {answer} bytes"));
        let (calls, units) = bill.writes();
        assert_eq!(calls, 3, "the claim, the settlement, and once a minute what was sent");
        assert!(units <= 4.0, "{units}");
        // Of both tables it counts once for each.
        assert_eq!(bill.reads("BatchGetItem").0, 2);
        assert_eq!((bill.reads("GetItem").0, bill.reads("Scan").0), (0, 0));
        assert_eq!(bill.reads("Query").0, 1, "fan-out: the tenant's endpoints");
    }
    let bill = delivered(200, "x".repeat(4096), 4).await;
    bill.print("one that is answered 200 with 4096 bytes");
    assert_eq!(bill.writes().0, 4, "a long answer has an item of its own");
}

#[tokio::test]
async fn a_batch_reads_its_endpoints_once_and_fan_out_writes_nothing() {
    const EVENTS: usize = 10;
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let admin = acme(&app).await;
    app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, EVENTS).await;
    app.engines().meter().reset();
    app.drain().await;
    assert_eq!(receiver.received().len(), EVENTS);
    let bill = Bill::of(&app);
    bill.print("ten events to one endpoint");
    let (calls, units) = bill.writes();
    // And once a minute what was sent.
    assert_eq!(calls, 2 * 10 + 1);
    assert!(units <= 3.0 * 10.0 + 1.0, "{units}");
    assert_eq!((bill.reads("BatchGetItem").0, bill.reads("Query").0), (2, 1));
    let queues = app.engines().meter().snapshot();
    assert_eq!(queues.calls_of("SendMessageBatch"), 1, "ten jobs to a call");
}

#[tokio::test]
async fn a_failure_costs_what_is_noted_of_its_endpoint_besides() {
    for (retries, of) in [(4, "an attempt that fails, and is tried again"), (0, "one that fails for good")] {
        let bill = delivered(500, String::new(), retries).await;
        bill.print(of);
        let (calls, units) = bill.writes();
        // The claim, the state of the endpoint, the settlement, what was sent; and the notice of a dead letter.
        assert_eq!(calls, if retries == 0 { 5 } else { 4 });
        assert!(units <= 10.0, "{units}");
    }
}

#[tokio::test]
async fn what_is_put_off_costs_its_place_in_the_index() {
    let app = TestApp::start().await;
    let receiver = Receiver::replying(|number| async move {
        let status = if number == 0 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT };
        (status, [("retry-after", "300")])
    })
    .await;
    let admin = acme(&app).await;
    app.endpoint(&admin, &receiver, json!({"events": ["lead.created"]})).await;
    leads(&admin, 1).await;
    app.sweep().await;
    leads(&admin, 1).await;
    app.engines().meter().reset();
    app.drain().await;
    let bill = Bill::of(&app);
    bill.print("one that is put off");
    assert_eq!(bill.writes(), (1, 2.0));
    app.advance(std::time::Duration::from_secs(290));
    app.engines().meter().reset();
    app.sweep().await;
    Bill::of(&app).print("a sweep that brings two back");
    app.advance(std::time::Duration::from_secs(60));
    app.engines().meter().reset();
    app.drain().await;
    let bill = Bill::of(&app);
    bill.print("two that come back, and succeed");
    assert_eq!(receiver.received().len(), 3);
    // Each is claimed and settled, and the first notes that the endpoint is well again, and what was sent.
    assert_eq!(bill.writes().0, 6);
}

#[tokio::test]
async fn a_batch_notes_once_that_an_endpoint_is_well_again() {
    let app = TestApp::start().await;
    let receiver = Receiver::answering(|number| if number == 0 { 500 } else { 204 }).await;
    let admin = acme(&app).await;
    let request = json!({"events": ["lead.created"], "max_retries": 0});
    app.endpoint(&admin, &receiver, request).await;
    leads(&admin, 1).await;
    app.drain().await;
    leads(&admin, 5).await;
    app.engines().meter().reset();
    app.drain().await;
    assert_eq!(receiver.received().len(), 6);
    assert_eq!(Bill::of(&app).writes().0, 5 * 2 + 1);
}
