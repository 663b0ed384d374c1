//! `isolation`: what endpoints that hang cost those that answer.
//!
//! The same load is offered to platforms whose endpoints all answer and to platforms where some accept every request
//! and stay silent; only endpoints that answer in both are looked at. Runs alternate, each on a fresh platform, and
//! the samples of all runs of a kind are judged together, so that what happens on the machine meanwhile meets both.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::figures::publish_to_receipt;
use super::stage::{Setting, Stage};
use super::{CALLERS_AT_RATE, SHORT_WARM_UP};
use crate::cli::Isolation;
use crate::error::BenchError;
use crate::load::Amount;
use crate::progress;
use crate::report::Circumstances;
use crate::rig::{Kind, Workshop};
use crate::stats::{Latency, float, per_second, rounded};
use crate::table::{Table, maybe, number, whole};

/// Events with which the most that is delivered is found out.
const AT_FULL_LOAD: u64 = 1500;

/// Everything measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    circumstances: Circumstances,
    settings: Settings,
    all_answering: Measured,
    some_hanging: Measured,
    /// The healthy p99 with some hanging, as a multiple of that with none.
    p99_ratio: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Settings {
    endpoints: u32,
    hanging: u32,
    events_per_s: f64,
    seconds: u64,
    rounds: u32,
    most_p99_ratio: f64,
}

/// Endpoints that answer, in all runs of one kind.
#[derive(Debug, Default, Serialize)]
struct Measured {
    deliveries: u64,
    /// Still on their way when the time limit was reached. The latency knows nothing of them.
    undelivered_in_time: u64,
    refused_requests: u64,
    publish_to_receipt: Option<Latency>,
    #[serde(skip)]
    samples: Vec<Duration>,
}

impl Report {
    /// Whether endpoints that answer were delayed by no more than is allowed, and got everything.
    pub(crate) fn is_isolated(&self) -> bool {
        self.some_hanging.undelivered_in_time == 0
            && self.p99_ratio.is_some_and(|ratio| ratio <= self.settings.most_p99_ratio)
    }

    /// For people to read.
    pub(crate) fn tables(&self) -> String {
        let Settings { endpoints, hanging, events_per_s, seconds, rounds, most_p99_ratio } = self.settings;
        let title = format!(
            "Endpoints that answer, of {endpoints}, {} events/s for {seconds} s, {rounds} runs of each kind",
            number(events_per_s)
        );
        let heading =
            ["hanging", "deliveries", "p50 ms", "p99 ms", "max ms", "undelivered in time", "refused"];
        let mut table = Table::new(title, 1, &heading);
        for (hanging, it) in [(0, &self.all_answering), (hanging, &self.some_hanging)] {
            table.row([
                hanging.to_string(),
                whole(it.deliveries),
                maybe(it.publish_to_receipt.map(|latency| latency.p50_ms)),
                maybe(it.publish_to_receipt.map(|latency| latency.p99_ms)),
                maybe(it.publish_to_receipt.map(|latency| latency.max_ms)),
                whole(it.undelivered_in_time),
                whole(it.refused_requests),
            ]);
        }
        let mut text = format!("Isolation, {}\n\n{table}", self.circumstances.line());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n  p99 ratio {}, at most {most_p99_ratio}", maybe(self.p99_ratio));
        text
    }
}

/// Measures.
///
/// # Errors
/// [`BenchError`] when it can't be done.
pub(crate) async fn run(workshop: &Workshop, options: &Isolation) -> Result<Report, BenchError> {
    let Isolation { endpoints, hanging, seconds, rounds, most_p99_ratio, .. } = *options;
    let hanging = hanging.unwrap_or(endpoints.div_ceil(10));
    if hanging >= endpoints {
        return Err(BenchError::Options("--hanging must leave endpoints that answer"));
    }
    let circumstances = Circumstances::of("isolation");
    let bench = Bench { workshop, options, healthy: endpoints - hanging };
    let events_per_s = match options.rate {
        Some(rate) => rate,
        None => bench.half_of_the_most().await?,
    };
    let (mut all_answering, mut some_hanging) = (Measured::default(), Measured::default());
    for round in 1..=rounds {
        bench.measure(&format!("isolation-{round}"), 0, events_per_s, &mut all_answering).await?;
        bench
            .measure(&format!("isolation-{round}-hanging"), hanging, events_per_s, &mut some_hanging)
            .await?;
    }
    for measured in [&mut all_answering, &mut some_hanging] {
        measured.publish_to_receipt = Latency::of(std::mem::take(&mut measured.samples));
    }
    let both = some_hanging.publish_to_receipt.zip(all_answering.publish_to_receipt);
    let p99_ratio = both.map(|(with, without)| rounded(with.p99_ms / without.p99_ms));
    let settings = Settings { endpoints, hanging, events_per_s, seconds, rounds, most_p99_ratio };
    Ok(Report { circumstances, settings, all_answering, some_hanging, p99_ratio })
}

struct Bench<'a> {
    workshop: &'a Workshop,
    options: &'a Isolation,
    /// Endpoints that answer in every run.
    healthy: u32,
}

impl Bench<'_> {
    async fn stage(&self, name: &str, hanging: u32) -> Result<Stage, BenchError> {
        let kind = Kind { name, metering: false, event_sources: true };
        let setting = Setting { endpoints: self.options.endpoints, hanging, keys: self.options.keys };
        Stage::set(self.workshop, kind, setting).await
    }

    fn amount(&self, count: u64) -> Amount {
        let common = &self.options.common;
        Amount { count, concurrency: common.concurrency(), limit: common.limit() }
    }

    async fn half_of_the_most(&self) -> Result<f64, BenchError> {
        let stage = self.stage("isolation-full-load", 0).await?;
        stage.warm_up(self.amount(SHORT_WARM_UP)).await;
        let publishing = progress::show(stage.label("publishing"), &stage.load.answered, AT_FULL_LOAD);
        let outcome = stage.load.at_full_speed(self.amount(AT_FULL_LOAD)).await;
        drop(publishing);
        let arrivals = stage.arrivals(&outcome, self.options.common.limit()).await;
        stage.rig.stop().await;
        let first = outcome.answered.iter().map(|it| it.due).min();
        let last = arrivals.first.values().max().copied();
        let took =
            first.zip(last).map_or(Duration::ZERO, |(first, last)| last.saturating_duration_since(first));
        Ok(rounded((per_second(outcome.count(), took) / 2.0).max(0.1)))
    }

    async fn measure(
        &self,
        name: &str,
        hanging: u32,
        rate: f64,
        measured: &mut Measured,
    ) -> Result<(), BenchError> {
        let stage = self.stage(name, hanging).await?;
        stage.warm_up(self.amount(SHORT_WARM_UP)).await;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "both are positive and small"
        )]
        let count = (rate * float(self.options.seconds)).ceil() as u64;
        let label = stage.label(&format!("{hanging} hanging, {} events a second", number(rate)));
        let publishing = progress::show(label, &stage.load.answered, count);
        let limit = Duration::from_secs(self.options.seconds * 2) + self.options.common.limit();
        let amount = Amount { count, concurrency: CALLERS_AT_RATE, limit };
        let outcome = stage.load.at_rate(amount, rate).await;
        drop(publishing);
        let arrivals = stage.arrivals(&outcome, self.options.common.limit()).await;
        stage.rig.stop().await;
        let samples = publish_to_receipt(&outcome, &arrivals, self.healthy);
        let expected = outcome.count() * u64::from(self.healthy);
        let delivered = u64::try_from(samples.len()).unwrap_or(u64::MAX);
        measured.deliveries += delivered;
        measured.undelivered_in_time += expected.saturating_sub(delivered);
        measured.refused_requests += outcome.refused.values().sum::<u64>();
        measured.samples.extend(samples);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn endpoints_that_answer_are_set_against_those_of_a_platform_without_hanging_ones() {
        let given =
            "bench isolation --endpoints 3 --rate 20 --seconds 1 --rounds 1 --keys 1 --most-p99-ratio 1000";
        let Command::Isolation(options) = Cli::parse_from(given.split(' ')).command else { panic!() };
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
        let workshop = Workshop::open(template, None).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let report = runtime.block_on(run(&workshop, &options)).unwrap();
        workshop.close();
        assert!(report.is_isolated(), "{}", report.tables());
        assert_eq!((report.all_answering.deliveries, report.some_hanging.deliveries), (40, 40));
        assert!(report.tables().contains("p99 ratio"));
    }
}
