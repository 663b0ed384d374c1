//! What keys were used for, hour by hour or day by day.

use std::collections::BTreeMap;

use clock::Timestamp;
use input::Range;
use store::{ApiKey, Counted, HourCount, KeyStatus, RouteGroup};

/// Requests, by what came of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) client_errors: u64,
    pub(crate) server_errors: u64,
    pub(crate) rate_limited: u64,
}

/// The counts of one bucket, and how many requests were about what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) all: Counts,
    pub(crate) by_group: BTreeMap<RouteGroup, u64>,
}

/// The buckets of `range` with when each begins, oldest first; those without a request, too.
pub(crate) fn buckets(range: &Range, counts: &[HourCount]) -> Vec<(Timestamp, Bucket)> {
    range.buckets(counts.iter().map(|count| (count.hour, count)), Bucket::add)
}

/// Whether a key can have been used since the beginning of `range`.
pub(crate) fn may_have_been_used(key: &ApiKey, range: &Range) -> bool {
    let (from, _) = range.bounds();
    let ended = match key.status {
        KeyStatus::Revoked => Some(key.updated_at),
        _ => key.expires_at,
    };
    ended.is_none_or(|ended| ended >= from)
}

impl Bucket {
    fn add(&mut self, count: &HourCount) {
        self.all.add(count);
        if let Counted::Admitted(group) = count.counted {
            *self.by_group.entry(group).or_default() += many(count);
        }
    }
}

impl Counts {
    /// All of them together.
    pub(crate) fn of(counts: &[HourCount]) -> Self {
        let mut total = Self::default();
        counts.iter().for_each(|count| total.add(count));
        total
    }

    fn add(&mut self, count: &HourCount) {
        let many = many(count);
        match count.counted {
            Counted::Admitted(_) => self.requests += many,
            Counted::ClientError => self.client_errors += many,
            Counted::ServerError => self.server_errors += many,
            Counted::RateLimited => self.rate_limited += many,
        }
    }

    /// Those that did not fail, or whose failure is not counted yet.
    pub(crate) fn successes(&self) -> u64 {
        self.requests.saturating_sub(self.client_errors + self.server_errors)
    }
}

fn many(count: &HourCount) -> u64 {
    u64::try_from(count.count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> Range {
        let from = Some("2026-11-22T13:00:00Z".to_owned());
        let draft = input::RangeDraft { from, ..input::RangeDraft::default() };
        draft.check(clock::utc(2026, 11, 22, 15, 4), 90).unwrap()
    }

    #[test]
    fn every_count_is_in_its_bucket_and_no_bucket_is_missing() {
        let range = range();
        let count = |hour, counted, count| HourCount { hour, counted, count };
        let (leads, other) = (RouteGroup::Leads, RouteGroup::Other);
        let buckets = buckets(
            &range,
            &[
                count(range.from, Counted::Admitted(leads), 5),
                count(range.from, Counted::Admitted(other), 2),
                count(range.from, Counted::ClientError, 1),
                count(range.from + 2, Counted::RateLimited, 9),
                count(range.to, Counted::Admitted(leads), 100),
            ],
        );
        let all: Vec<_> = buckets.iter().map(|(_, bucket)| bucket.all).collect();
        assert_eq!(all.len(), 3);
        assert_eq!((all[0].requests, all[0].successes(), all[0].client_errors), (7, 6, 1));
        assert_eq!(all[1], Counts::default());
        assert_eq!((all[2].requests, all[2].rate_limited), (0, 9));
        assert_eq!(buckets[0].1.by_group[&leads], 5);
    }
}
