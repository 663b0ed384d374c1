//! The figures of the pipeline, and how they are shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::load::Outcome;
use crate::report::{Circumstances, add_store_lines};
use crate::sink::Arrivals;
use crate::stats::{Latency, float, per};
use crate::store::StoreRatios;
use crate::table::{Table, maybe, number, whole};

/// Everything measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    pub(super) circumstances: Circumstances,
    pub(super) settings: Settings,
    pub(super) results: Vec<Measured>,
}

#[derive(Debug, Serialize)]
pub(super) struct Settings {
    pub(super) events: u64,
    pub(super) concurrency: u32,
    pub(super) keys: u32,
}

/// With one number of endpoints.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) endpoints: u32,
    pub(super) full_load: FullLoad,
    pub(super) at_rate: AtRate,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) with_hanging: Option<WithHanging>,
    pub(super) store: StoreFigures,
}

#[derive(Debug, Serialize)]
pub(super) struct FullLoad {
    #[serde(flatten)]
    pub(super) tally: Tally,
    pub(super) accepted_events_per_s: f64,
    pub(super) delivered_webhooks_per_s: f64,
    pub(super) publishing_s: f64,
    /// From the first publish to the last receipt.
    pub(super) delivering_s: f64,
    pub(super) publish_request: Option<Latency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) platform_cpu_ms_per_event: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) load_and_receiver_cpu_ms_per_event: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct AtRate {
    #[serde(flatten)]
    pub(super) tally: Tally,
    pub(super) offered_events_per_s: f64,
    /// From when an event was due to be published to its receipt, over all endpoints that answer.
    pub(super) publish_to_receipt: Option<Latency>,
    pub(super) publish_request: Option<Latency>,
}

/// While some endpoints never answer; everything is about those that do.
#[derive(Debug, Serialize)]
pub(super) struct WithHanging {
    pub(super) hanging_endpoints: u32,
    pub(super) offered_events_per_s: f64,
    pub(super) accepted_events: u64,
    pub(super) delivered_webhooks: u64,
    /// Still on their way when the time limit was reached. The latency below knows nothing of them.
    pub(super) undelivered_in_time: u64,
    pub(super) publish_to_receipt: Option<Latency>,
    pub(super) publish_request: Option<Latency>,
    /// The p99 of publish to receipt, as a multiple of the p99 with none hanging.
    pub(super) p99_ratio: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct StoreFigures {
    pub(super) events: u64,
    pub(super) deliveries: u64,
    /// Everything an event causes.
    pub(super) per_event: StoreRatios,
    /// The part of it that is the request.
    pub(super) request: StoreRatios,
    /// The rest, for each delivery.
    pub(super) per_delivery: StoreRatios,
}

/// What became of the events that were accepted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Tally {
    pub(super) accepted_events: u64,
    pub(super) delivered_webhooks: u64,
    pub(super) deliveries_per_event: f64,
    pub(super) lost_deliveries: u64,
    pub(super) duplicate_deliveries: u64,
    pub(super) unreadable_deliveries: u64,
    pub(super) refused_requests: BTreeMap<String, u64>,
}

impl Report {
    /// Whether an accepted event did not reach an endpoint that answers, all of them answering.
    pub(crate) fn lost_any(&self) -> bool {
        self.results
            .iter()
            .any(|it| it.full_load.tally.lost_deliveries + it.at_rate.tally.lost_deliveries > 0)
    }
}

impl Tally {
    pub(super) fn of(outcome: &Outcome, arrivals: &Arrivals, answering: u32) -> Self {
        let mut lost = 0;
        for event in &outcome.answered {
            for endpoint in 0..answering {
                lost += u64::from(!arrivals.first.contains_key(&(endpoint, event.number)));
            }
        }
        let accepted_events = outcome.count();
        let delivered_webhooks = accepted_events * u64::from(answering) - lost;
        Self {
            accepted_events,
            delivered_webhooks,
            deliveries_per_event: per(float(delivered_webhooks), accepted_events),
            lost_deliveries: lost,
            duplicate_deliveries: arrivals.duplicates,
            unreadable_deliveries: arrivals.unreadable,
            refused_requests: outcome.refused.clone(),
        }
    }

    fn refused(&self) -> u64 {
        self.refused_requests.values().sum()
    }
}

/// From when each event was due to each receipt of it.
pub(super) fn publish_to_receipt(outcome: &Outcome, arrivals: &Arrivals, answering: u32) -> Vec<Duration> {
    let mut samples = Vec::new();
    for event in &outcome.answered {
        for endpoint in 0..answering {
            if let Some(at) = arrivals.first.get(&(endpoint, event.number)) {
                samples.push(at.saturating_duration_since(event.due));
            }
        }
    }
    samples
}

impl Report {
    /// For people to read.
    pub(crate) fn tables(&self) -> String {
        let mut text = format!("Webhook pipeline, {}\n", self.circumstances.line());
        let hanging = self.results.iter().any(|it| it.with_hanging.is_some()).then(|| self.with_hanging());
        let tables = [
            Some(self.full_load()),
            Some(self.at_rate()),
            hanging,
            Some(self.store()),
            Some(self.operations()),
        ];
        for table in tables.into_iter().flatten() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{table}");
        }
        text
    }

    fn full_load(&self) -> Table {
        let heading = "endpoints, events, accepted/s, delivered/s, deliveries/event, request p50 ms, p99 ms, platform CPU \
             ms/event, load and receiver, lost, duplicate, refused";
        let mut table = Table::new("At full load", 1, &columns(heading));
        for it in &self.results {
            let load = &it.full_load;
            table.row([
                it.endpoints.to_string(),
                whole(load.tally.accepted_events),
                number(load.accepted_events_per_s),
                number(load.delivered_webhooks_per_s),
                number(load.tally.deliveries_per_event),
                maybe(load.publish_request.map(|latency| latency.p50_ms)),
                maybe(load.publish_request.map(|latency| latency.p99_ms)),
                maybe(load.platform_cpu_ms_per_event),
                maybe(load.load_and_receiver_cpu_ms_per_event),
                whole(load.tally.lost_deliveries),
                whole(load.tally.duplicate_deliveries),
                whole(load.tally.refused()),
            ]);
        }
        table
    }

    fn at_rate(&self) -> Table {
        let heading =
            "endpoints, events/s, p50 ms, p99 ms, max ms, request p50 ms, p99 ms, lost, duplicate, refused";
        let mut table = Table::new("At a steady rate, publish to receipt", 1, &columns(heading));
        for it in &self.results {
            let AtRate { tally, offered_events_per_s, publish_to_receipt, publish_request } = &it.at_rate;
            table.row([
                it.endpoints.to_string(),
                number(*offered_events_per_s),
                maybe(publish_to_receipt.map(|latency| latency.p50_ms)),
                maybe(publish_to_receipt.map(|latency| latency.p99_ms)),
                maybe(publish_to_receipt.map(|latency| latency.max_ms)),
                maybe(publish_request.map(|latency| latency.p50_ms)),
                maybe(publish_request.map(|latency| latency.p99_ms)),
                whole(tally.lost_deliveries),
                whole(tally.duplicate_deliveries),
                whole(tally.refused()),
            ]);
        }
        table
    }

    fn with_hanging(&self) -> Table {
        let heading =
            "endpoints, hanging, events/s, p50 ms, p99 ms, max ms, p99 ratio, delivered, undelivered in time";
        let title = "The same for endpoints that answer while others hang";
        let mut table = Table::new(title, 1, &columns(heading));
        for (endpoints, it) in
            self.results.iter().filter_map(|it| Some((it.endpoints, it.with_hanging.as_ref()?)))
        {
            table.row([
                endpoints.to_string(),
                it.hanging_endpoints.to_string(),
                number(it.offered_events_per_s),
                maybe(it.publish_to_receipt.map(|latency| latency.p50_ms)),
                maybe(it.publish_to_receipt.map(|latency| latency.p99_ms)),
                maybe(it.publish_to_receipt.map(|latency| latency.max_ms)),
                maybe(it.p99_ratio),
                whole(it.delivered_webhooks),
                whole(it.undelivered_in_time),
            ]);
        }
        table
    }

    fn store(&self) -> Table {
        let heading = "endpoints, for each, round trips, read units, write units";
        let mut table = Table::new("Calls of the store", 2, &columns(heading));
        for it in &self.results {
            let of = &it.store;
            let rows =
                [("event", &of.per_event), ("… its request", &of.request), ("delivery", &of.per_delivery)];
            for (each, ratios) in rows {
                table.row([
                    it.endpoints.to_string(),
                    each.to_owned(),
                    number(ratios.round_trips),
                    number(ratios.read_capacity_units),
                    number(ratios.write_capacity_units),
                ]);
            }
        }
        table
    }

    fn operations(&self) -> Table {
        let heading = "endpoints, operation, on, calls, capacity units";
        let mut table = Table::new("… for each delivery, by operation", 3, &columns(heading));
        for it in &self.results {
            add_store_lines(&mut table, &it.endpoints.to_string(), &it.store.per_delivery);
        }
        table
    }
}

fn columns(heading: &str) -> Vec<&str> {
    heading.split(", ").collect()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::load::Answered;

    fn outcome(began: Instant, numbers: &[u64]) -> Outcome {
        let at = began + Duration::from_millis(1);
        let answered = numbers.iter().map(|&number| Answered { number, due: began, at }).collect();
        Outcome { answered, refused: BTreeMap::from([("503".to_owned(), 2)]) }
    }

    #[test]
    fn what_was_accepted_and_did_not_arrive_is_lost() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let first = [((0, 1), at(5)), ((1, 1), at(9)), ((0, 2), at(7)), ((0, 99), at(8))].into();
        let arrivals = Arrivals { first, duplicates: 3, unreadable: 0 };
        let outcome = outcome(began, &[1, 2]);
        let tally = Tally::of(&outcome, &arrivals, 2);
        assert_eq!((tally.accepted_events, tally.delivered_webhooks, tally.lost_deliveries), (2, 3, 1));
        assert_eq!((tally.deliveries_per_event, tally.duplicate_deliveries, tally.refused()), (1.5, 3, 2));
        let mut samples = publish_to_receipt(&outcome, &arrivals, 2);
        samples.sort_unstable();
        assert_eq!(samples, [5, 7, 9].map(Duration::from_millis));
    }
}
