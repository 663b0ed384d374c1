//! `pipeline`: from the publishing of an event to its receipt at every endpoint.
//!
//! For each number of endpoints: publish as fast as the platform accepts and wait for everything to arrive; then
//! publish at about half that rate and take the time of each delivery; then, on a platform that meters, count what
//! the store was asked for. An accepted event that does not reach an endpoint within the time limit is lost.

mod figures;
pub(crate) mod isolation;
mod stage;

use std::time::Duration;

use crate::cli::Pipeline;
use crate::cpu::CpuTime;
use crate::error::BenchError;
use crate::load::Amount;
use crate::progress;
use crate::report::Circumstances;
use crate::rig::{Kind, Workshop};
use crate::stats::{Latency, milliseconds, per, per_second, rounded};
use crate::table::number;

pub(crate) use figures::Report;
pub(crate) use stage::lead;

use figures::{AtRate, FullLoad, Measured, Settings, StoreFigures, Tally, WithHanging, publish_to_receipt};
use stage::{Setting, Stage};

/// Events before anything is measured: connections, caches, code.
const WARM_UP: u64 = 200;
/// The same where some endpoints hang and each event leaves one delivery behind.
const SHORT_WARM_UP: u64 = 20;
/// Events of the metered phase, at most: ratios need no more.
const METERED: u64 = 500;
/// Events of its first part.
const METERED_ALONE: u64 = 50;
/// So many endpoints are sent all events; where there are more, there are fewer events, so that as many deliveries are made.
const ALL_EVENTS_UP_TO: u64 = 10;
/// Callers while events are offered at a rate: enough that none has to wait for one.
const CALLERS_AT_RATE: usize = 64;

/// Measures.
///
/// # Errors
/// [`BenchError`] when it can't be done; what was measured by then is lost.
pub(crate) async fn run(workshop: &Workshop, options: &Pipeline) -> Result<Report, BenchError> {
    if options.hanging > 0 && options.endpoints.iter().any(|endpoints| *endpoints <= options.hanging) {
        return Err(BenchError::Options("--hanging must leave endpoints that answer"));
    }
    let circumstances = Circumstances::of("pipeline");
    let mut results = Vec::new();
    for &endpoints in &options.endpoints {
        let bench = Bench { workshop, options, endpoints, events: events_for(options.events, endpoints) };
        let (full_load, at_rate) = bench.timed().await?;
        let with_hanging = match options.hanging {
            0 => None,
            hanging => Some(bench.with_hanging(hanging, &at_rate).await?),
        };
        let store = bench.metered().await?;
        results.push(Measured { endpoints, full_load, at_rate, with_hanging, store });
    }
    let Pipeline { events, keys, .. } = *options;
    let settings = Settings { events, keys, concurrency: options.common.concurrency };
    Ok(Report { circumstances, settings, results })
}

/// The measurement with one number of endpoints.
struct Bench<'a> {
    workshop: &'a Workshop,
    options: &'a Pipeline,
    endpoints: u32,
    events: u64,
}

/// How many of the events are published when there are so many endpoints.
fn events_for(events: u64, endpoints: u32) -> u64 {
    (events * ALL_EVENTS_UP_TO / u64::from(endpoints).max(ALL_EVENTS_UP_TO)).max(1)
}

impl Bench<'_> {
    fn at_full_speed(&self, count: u64) -> Amount {
        let common = &self.options.common;
        Amount { count, concurrency: common.concurrency(), limit: common.limit() }
    }

    async fn timed(&self) -> Result<(FullLoad, AtRate), BenchError> {
        let stage = self.stage(false, 0).await?;
        stage.warm_up(self.at_full_speed(events_for(WARM_UP, self.endpoints))).await;
        let full_load = self.full_load(&stage).await;
        let sustained = full_load.delivered_webhooks_per_s / f64::from(self.endpoints);
        let rate = self.options.rate.unwrap_or(rounded((sustained / 2.0).max(0.1)));
        let at_rate = self.at_rate(&stage, rate).await;
        stage.rig.stop().await;
        Ok((full_load, at_rate))
    }

    async fn full_load(&self, stage: &Stage) -> FullLoad {
        let cpu = CpuTime::now();
        let publishing = progress::show(stage.label("publishing"), &stage.load.answered, self.events);
        let outcome = stage.load.at_full_speed(self.at_full_speed(self.events)).await;
        drop(publishing);
        let arrivals = stage.arrivals(&outcome, self.options.common.limit()).await;
        let cpu = CpuTime::now().zip(cpu).map(|(now, before)| now.since(before));
        let events = outcome.count();
        let each =
            |time: fn(&CpuTime) -> Duration| cpu.as_ref().map(|it| per(milliseconds(time(it)), events));
        let tally = Tally::of(&outcome, &arrivals, stage.answering());
        let first = outcome.answered.iter().map(|it| it.due).min();
        let last = arrivals.first.values().max().copied();
        let delivering =
            first.zip(last).map_or(Duration::ZERO, |(first, last)| last.saturating_duration_since(first));
        FullLoad {
            accepted_events_per_s: per_second(events, outcome.duration()),
            delivered_webhooks_per_s: per_second(tally.delivered_webhooks, delivering),
            publishing_s: rounded(outcome.duration().as_secs_f64()),
            delivering_s: rounded(delivering.as_secs_f64()),
            publish_request: outcome.latency(),
            platform_cpu_ms_per_event: each(|it| it.platform),
            load_and_receiver_cpu_ms_per_event: each(|it| it.load_and_receiver),
            tally,
        }
    }

    async fn at_rate(&self, stage: &Stage, rate: f64) -> AtRate {
        let label = stage.label(&format!("publishing at {} events a second", number(rate)));
        let publishing = progress::show(label, &stage.load.answered, self.events);
        let amount = Amount { concurrency: CALLERS_AT_RATE, ..self.at_full_speed(self.events) };
        let outcome = stage.load.at_rate(amount, rate).await;
        drop(publishing);
        let arrivals = stage.arrivals(&outcome, self.options.common.limit()).await;
        AtRate {
            tally: Tally::of(&outcome, &arrivals, stage.answering()),
            offered_events_per_s: rate,
            publish_to_receipt: Latency::of(publish_to_receipt(&outcome, &arrivals, stage.answering())),
            publish_request: outcome.latency(),
        }
    }

    async fn with_hanging(&self, hanging: u32, healthy: &AtRate) -> Result<WithHanging, BenchError> {
        let stage = self.stage(false, hanging).await?;
        stage.warm_up(self.at_full_speed(SHORT_WARM_UP)).await;
        let at_rate = self.at_rate(&stage, healthy.offered_events_per_s).await;
        stage.rig.stop().await;
        let AtRate { tally, offered_events_per_s, publish_to_receipt, publish_request } = at_rate;
        let ratio = |with: Latency, without: Latency| rounded(with.p99_ms / without.p99_ms);
        Ok(WithHanging {
            hanging_endpoints: hanging,
            offered_events_per_s,
            accepted_events: tally.accepted_events,
            delivered_webhooks: tally.delivered_webhooks,
            undelivered_in_time: tally.lost_deliveries,
            p99_ratio: publish_to_receipt.zip(healthy.publish_to_receipt).map(|(it, all)| ratio(it, all)),
            publish_to_receipt,
            publish_request,
        })
    }

    /// First the requests alone, on a platform that does not poll; then with everything that follows from them. What
    /// the first does not explain is what delivering costs.
    async fn metered(&self) -> Result<StoreFigures, BenchError> {
        let mut stage = self.stage(true, 0).await?;
        stage.rig.reset_meter();
        let alone =
            stage.load.at_full_speed(self.at_full_speed(events_for(METERED_ALONE, self.endpoints))).await;
        let request = stage.rig.store_use().per(alone.count());
        stage.rig.poll();
        stage.arrivals(&alone, self.options.common.limit()).await;
        stage.rig.reset_meter();
        let count = self.events.min(events_for(METERED, self.endpoints));
        let counting =
            progress::show(stage.label("counting calls of the store"), &stage.load.answered, count);
        let outcome = stage.load.at_full_speed(self.at_full_speed(count)).await;
        drop(counting);
        let arrivals = stage.arrivals(&outcome, self.options.common.limit()).await;
        let store = stage.rig.store_use();
        let tally = Tally::of(&outcome, &arrivals, stage.answering());
        stage.rig.stop().await;
        Ok(StoreFigures {
            events: tally.accepted_events,
            deliveries: tally.delivered_webhooks,
            per_delivery: store.per(tally.accepted_events).less(&request, u64::from(self.endpoints)),
            per_event: store.per(tally.accepted_events),
            request,
        })
    }

    async fn stage(&self, metering: bool, hanging: u32) -> Result<Stage, BenchError> {
        let what = match (metering, hanging) {
            (true, _) => "-metered",
            (false, 0) => "",
            (false, _) => "-hanging",
        };
        let name = format!("pipeline-{}{what}", self.endpoints);
        let kind = Kind { name: &name, metering, event_sources: !metering };
        let setting = Setting { endpoints: self.endpoints, hanging, keys: self.options.keys };
        Stage::set(self.workshop, kind, setting).await
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn many_endpoints_get_fewer_events_and_as_many_deliveries() {
        assert_eq!([1, 10, 20, 100].map(|endpoints| events_for(3000, endpoints)), [3000, 3000, 1500, 300]);
        assert_eq!(events_for(5, 100), 1);
    }

    #[test]
    fn the_pipeline_delivers_a_few_events_to_two_endpoints_and_tells_all() {
        let given = "bench pipeline --events 5 --endpoints 2 --rate 50 --keys 2 --hanging 1".split(' ');
        let Command::Pipeline(options) = Cli::parse_from(given).command else { panic!() };
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
        let workshop = Workshop::open(template, None).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let report = runtime.block_on(run(&workshop, &options)).unwrap();
        workshop.close();
        assert!(!report.lost_any());
        let figures = serde_json::to_value(&report).unwrap();
        let result = &figures["results"][0];
        for phase in ["full_load", "at_rate"] {
            assert_eq!(result[phase]["accepted_events"], 5, "{result}");
            assert_eq!(result[phase]["delivered_webhooks"], 10, "{result}");
            assert_eq!(result[phase]["lost_deliveries"], 0, "{result}");
            assert_eq!(result[phase]["duplicate_deliveries"], 0, "{result}");
        }
        assert_eq!(result["at_rate"]["publish_to_receipt"]["samples"], 10, "{result}");
        assert_eq!(result["with_hanging"]["delivered_webhooks"], 5, "{result}");
        let units = |of: &str| result["store"][of]["write_capacity_units"].as_f64().unwrap();
        assert!(units("request") > 1.0 && units("per_delivery") > 0.0, "{result}");
        assert!(units("per_event") > units("request"), "{result}");
        assert!(report.tables().contains("… its request"));
    }
}
