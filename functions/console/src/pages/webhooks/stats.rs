//! What was sent, over time.

use clock::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::{PATH, READ};
use crate::api::{Caller, Request};
use crate::view::{Bar, Call, Chart, Series, as_code, day, exact, section_with, tabs};
use crate::visit::{Params, Visit};

/// What was sent to endpoints.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Stats {
    data: Vec<Bucket>,
    #[serde(default)]
    endpoints: Vec<ToEndpoint>,
}

#[derive(Debug, Deserialize)]
struct Bucket {
    start: Timestamp,
    succeeded: u64,
    failed: u64,
    #[serde(default, alias = "dead")]
    dead_letters: u64,
}

#[derive(Debug, Deserialize)]
struct ToEndpoint {
    endpoint_id: String,
    #[serde(default)]
    data: Vec<Bucket>,
}

impl Stats {
    /// What there is of them: without figures a page has no chart, and is a page all the same.
    pub(super) async fn of(api: &Caller, by: &str, endpoint: &str) -> Option<Self> {
        let asked = Request::get(format!("{PATH}/stats")).query("granularity", by);
        api.ask(asked.query("endpoint_id", endpoint)).await.ok()
    }

    /// The attempts at one endpoint, if there were any.
    pub(super) fn sent_to(&self, endpoint: &str) -> Option<Sent> {
        let own = self.endpoints.iter().find(|own| own.endpoint_id == endpoint)?;
        Some(Sent {
            taken: own.data.iter().map(|bucket| bucket.succeeded).sum(),
            by_bucket: own.data.iter().map(|bucket| bucket.succeeded + bucket.failed).collect(),
        })
    }
}

/// The attempts at an endpoint.
pub(super) struct Sent {
    taken: u64,
    /// All of them, bucket by bucket.
    pub(super) by_bucket: Vec<u64>,
}

impl Sent {
    pub(super) fn all(&self) -> u64 {
        self.by_bucket.iter().sum()
    }

    /// The share that was taken, if there was any.
    pub(super) fn share(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a share is shown to a tenth of a per cent")]
        (self.all() > 0).then(|| self.taken as f64 / self.all() as f64)
    }
}

/// What was sent to an endpoint: a section with a chart.
pub(super) fn sent(visit: &Visit, endpoint: &str, params: &Params, stats: &Stats) -> Markup {
    const SERIES: &[Series] = &[
        Series { name: "succeeded", class: "good" },
        Series { name: "failed", class: "bad" },
        Series { name: "dead letters", class: "quiet" },
    ];
    let by_day = params.get("by") == "day";
    let label = |at: Timestamp| {
        let (text, part) = if by_day { (day(at), 5..10) } else { (exact(at), 11..16) };
        text.get(part).unwrap_or_default().to_owned()
    };
    let bars = stats.data.iter().map(|bucket| Bar {
        label: label(bucket.start),
        values: vec![bucket.succeeded, bucket.failed, bucket.dead_letters],
    });
    let bars: Vec<Bar> = bars.collect();
    let here = format!("/console/webhooks/{endpoint}");
    let path =
        format!("{PATH}/stats?granularity={}&endpoint_id={endpoint}", if by_day { "day" } else { "hour" });
    section_with(
        "Sent",
        tabs(
            "Time",
            [
                ("24 hours", params.href(&here, &[("by", "")]), !by_day),
                ("30 days", params.href(&here, &[("by", "day")]), by_day),
            ],
        ),
        html! {
            @if bars.iter().all(|bar| bar.values.iter().all(|value| *value == 0)) {
                p class="hint" { "Nothing was sent in this time. Times are in UTC." }
            } @else {
                (Chart { title: "Attempts", series: SERIES, bars }.draw())
            }
            (as_code(visit, &Call::new("GET", path, READ)))
        },
    )
}
