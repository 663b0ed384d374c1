//! What API keys were used for, as the pages of a key and the overview draw it.

use clock::Timestamp;
use maud::Markup;
use serde::Deserialize;

use crate::view::{Bar, Chart, Series, day, exact};

/// Requests of some time, bucket by bucket.
#[derive(Debug, Deserialize)]
pub(super) struct Requests {
    data: Vec<Bucket>,
    pub(super) total: Counts,
}

#[derive(Debug, Deserialize)]
struct Bucket {
    start: Timestamp,
    #[serde(flatten)]
    counts: Counts,
}

/// How many there were, and what came of them.
#[derive(Debug, Deserialize)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) rate_limited: u64,
    by_status: ByStatus,
}

#[derive(Debug, Deserialize)]
struct ByStatus {
    #[serde(rename = "2xx")]
    good: u64,
    #[serde(rename = "4xx")]
    client_errors: u64,
    #[serde(rename = "5xx")]
    server_errors: u64,
}

const SERIES: &[Series] = &[
    Series { name: "succeeded", class: "good" },
    Series { name: "refused (4xx)", class: "wary" },
    Series { name: "failed (5xx)", class: "bad" },
    Series { name: "over the limit", class: "quiet" },
];

impl Requests {
    /// Whether there was none, not even one that was refused.
    pub(super) fn are_none(&self) -> bool {
        self.total.requests + self.total.rate_limited == 0
    }

    pub(super) fn draw(&self, by_hour: bool) -> Markup {
        let bars = self.data.iter().map(|bucket| {
            let Counts { rate_limited, by_status, .. } = &bucket.counts;
            let values =
                vec![by_status.good, by_status.client_errors, by_status.server_errors, *rate_limited];
            Bar { label: label(bucket.start, by_hour), values }
        });
        Chart { title: "Requests", series: SERIES, bars: bars.collect() }.draw()
    }
}

/// What stands below the bar of an hour, or of a day.
pub(super) fn label(at: Timestamp, by_hour: bool) -> String {
    let (text, part) = if by_hour { (exact(at), 11..16) } else { (day(at), 5..10) };
    text.get(part).unwrap_or_default().to_owned()
}
