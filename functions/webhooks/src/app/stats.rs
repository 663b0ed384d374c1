//! What was sent to endpoints, hour by hour or day by day.

use std::collections::BTreeMap;

use clock::Timestamp;
use ids::EndpointId;
use input::Range;
use store::{Sending, SentCount, SentDay};

/// What was sent in some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Attempts that the receiver took.
    pub(crate) succeeded: u64,
    /// Attempts that it did not.
    pub(crate) failed: u64,
    /// Deliveries that became dead letters.
    pub(crate) dead_letters: u64,
}

impl Sent {
    /// All of it together.
    pub(crate) fn of(counts: &[SentCount]) -> Self {
        let mut total = Self::default();
        counts.iter().for_each(|count| total.add(count));
        total
    }

    fn add(&mut self, count: &SentCount) {
        match count.sending {
            Sending::Succeeded => self.succeeded += count.count,
            Sending::Failed => self.failed += count.count,
            Sending::DeadLetter => self.dead_letters += count.count,
        }
    }
}

/// The buckets of `range` with when each begins, oldest first; those in which nothing was sent, too.
pub(crate) fn buckets(range: &Range, counts: &[SentCount]) -> Vec<(Timestamp, Sent)> {
    range.buckets(counts.iter().map(|count| (count.hour, count)), Sent::add)
}

/// The counts of each endpoint.
pub(crate) fn by_endpoint(days: Vec<SentDay>) -> BTreeMap<EndpointId, Vec<SentCount>> {
    let mut by_endpoint: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for day in days.into_iter().filter(|day| !day.counts.is_empty()) {
        by_endpoint.entry(day.endpoint_id).or_default().extend(day.counts);
    }
    by_endpoint
}
