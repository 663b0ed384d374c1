//! Stretches of time in whole hours or days, as statistics are asked for.

use std::collections::BTreeMap;

use clock::Timestamp;
use problem::{FieldError, Problem};

const SECONDS_AN_HOUR: i64 = 60 * 60;
const HOURS_A_DAY: i64 = 24;

/// How long a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// An hour.
    Hour,
    /// A day (UTC).
    Day,
}

/// A stretch of time in whole hours (Unix time in hours): from the first on, before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// How long its buckets are.
    pub granularity: Granularity,
    /// The first hour.
    pub from: i64,
    /// The hour after the last.
    pub to: i64,
}

/// What was sent of a range, before it is checked.
#[derive(Debug, Clone, Default)]
pub struct RangeDraft {
    /// `hour` or `day`.
    pub granularity: Option<String>,
    /// A time.
    pub from: Option<String>,
    /// A time.
    pub to: Option<String>,
}

impl Granularity {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    fn hours(self) -> i64 {
        match self {
            Self::Hour => 1,
            Self::Day => HOURS_A_DAY,
        }
    }

    /// How many buckets there are unless somebody says otherwise, and at most.
    fn buckets(self) -> (i64, i64) {
        match self {
            Self::Hour => (24, 31 * HOURS_A_DAY),
            Self::Day => (30, 366),
        }
    }
}

impl RangeDraft {
    /// Checks what was sent. Without a range it is the last 24 hours or 30 days, the present one included; nothing is shown
    /// from before `kept_days` ago.
    ///
    /// # Errors
    /// 422 with every fault.
    pub fn check(&self, now: Timestamp, kept_days: u64) -> Result<Range, Problem> {
        let mut errors = Vec::new();
        let granularity = match self.granularity.as_deref() {
            None | Some("hour") => Granularity::Hour,
            Some("day") => Granularity::Day,
            Some(_) => {
                errors.push(FieldError::new("query:granularity", "value", "must be `hour` or `day`"));
                Granularity::Hour
            }
        };
        let step = granularity.hours();
        let mut time = |name: &'static str, text: Option<&str>| {
            let parsed = text.map(Timestamp::parse);
            if parsed == Some(None) {
                let message = "must be a time such as 2026-11-22T15:00:00Z";
                errors.push(FieldError::new(format!("query:{name}"), "format", message));
            }
            parsed.flatten()
        };
        let (given_from, given_to) = (time("from", self.from.as_deref()), time("to", self.to.as_deref()));
        let hour = |at: Timestamp| at.seconds().div_euclid(SECONDS_AN_HOUR);
        // A bucket that is begun is shown whole.
        let end = |at: Timestamp| {
            let hours = (at.seconds() + SECONDS_AN_HOUR - 1).div_euclid(SECONDS_AN_HOUR);
            (hours + step - 1).div_euclid(step) * step
        };
        let next = (hour(now).div_euclid(step) + 1) * step;
        let to = given_to.map_or(next, end).min(next);
        let (usual, most) = granularity.buckets();
        let from = given_from.map_or(to - usual * step, |at| hour(at).div_euclid(step) * step);
        if given_from.is_some() && from >= to {
            errors.push(FieldError::new("query:from", "range", "must be earlier than `to`, and than now"));
        } else if to - from > most * step {
            let message = format!("must be at most {most} {}s before `to`", granularity.name());
            errors.push(FieldError::new("query:from", "range", message));
        }
        if !errors.is_empty() {
            return Err(Problem::Invalid { errors });
        }
        let kept = i64::try_from(kept_days).unwrap_or(0) * HOURS_A_DAY;
        let oldest = (next - kept).div_euclid(step) * step;
        Ok(Range { granularity, from: from.clamp(oldest, oldest.max(to)), to: to.max(oldest) })
    }
}

impl Range {
    /// When its first bucket begins, and when its last one ends.
    #[must_use]
    pub fn bounds(&self) -> (Timestamp, Timestamp) {
        (begins(self.from), begins(self.to))
    }

    /// Its buckets with when each begins, oldest first, filled from `counts` of hours; those that nothing is in, too.
    pub fn buckets<B: Default, C>(
        &self,
        counts: impl IntoIterator<Item = (i64, C)>,
        add: impl Fn(&mut B, C),
    ) -> Vec<(Timestamp, B)> {
        let step = self.granularity.hours();
        let mut buckets: BTreeMap<i64, B> = BTreeMap::new();
        let mut hour = self.from;
        while hour < self.to {
            buckets.insert(hour, B::default());
            hour += step;
        }
        for (hour, count) in counts {
            if let Some(bucket) = buckets.get_mut(&(hour.div_euclid(step) * step)) {
                add(bucket, count);
            }
        }
        buckets.into_iter().map(|(hour, bucket)| (begins(hour), bucket)).collect()
    }
}

fn begins(hour: i64) -> Timestamp {
    Timestamp::from_seconds(hour * SECONDS_AN_HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        clock::utc(2026, 11, 22, 15, 4)
    }

    fn draft(granularity: &str, from: &str, to: &str) -> RangeDraft {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        RangeDraft { granularity: given(granularity), from: given(from), to: given(to) }
    }

    fn at(hour: i64) -> String {
        Timestamp::from_seconds(hour * SECONDS_AN_HOUR).to_string()
    }

    #[test]
    fn a_range_is_whole_buckets_and_ends_with_the_present_one() {
        let shown = |draft: RangeDraft| {
            let range = draft.check(now(), 90).unwrap();
            (at(range.from), at(range.to))
        };
        let times = |from: &str, to: &str| (format!("{from}:00:00.000Z"), format!("{to}:00:00.000Z"));
        assert_eq!(shown(draft("", "", "")), times("2026-11-21T16", "2026-11-22T16"));
        assert_eq!(shown(draft("day", "", "")), times("2026-10-24T00", "2026-11-23T00"));
        let part = draft("hour", "2026-11-22T03:20:00Z", "2026-11-22T05:01:00Z");
        assert_eq!(shown(part), times("2026-11-22T03", "2026-11-22T06"));
        let future = draft("day", "2026-11-21T00:00:00Z", "2027-01-01T00:00:00Z");
        assert_eq!(shown(future), times("2026-11-21T00", "2026-11-23T00"));
        // What the plan does not keep is not shown.
        let old = draft("day", "2026-01-01T00:00:00Z", "");
        assert_eq!(shown(old), times("2026-08-25T00", "2026-11-23T00"));
        let gone = draft("day", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z").check(now(), 90).unwrap();
        assert!(gone.buckets([(0, 1)], |sum: &mut i32, count| *sum += count).is_empty());
    }

    #[test]
    fn a_range_that_makes_no_sense_is_refused() {
        for (granularity, from, to) in [
            ("week", "", ""),
            ("hour", "yesterday", ""),
            ("hour", "2026-11-22T05:00:00Z", "2026-11-22T05:00:00Z"),
            ("hour", "2026-12-01T00:00:00Z", ""),
            ("hour", "2026-01-01T00:00:00Z", ""),
            ("day", "2020-01-01T00:00:00Z", ""),
        ] {
            let refused = draft(granularity, from, to).check(now(), 90);
            assert!(matches!(refused, Err(Problem::Invalid { .. })), "{granularity} {from} {to}");
        }
    }

    #[test]
    fn every_count_is_in_its_bucket_and_no_bucket_is_missing() {
        let range = draft("day", "2026-11-20T13:00:00Z", "").check(now(), 90).unwrap();
        let counts = [
            (range.from, 1),
            (range.from + 23, 2),
            (range.from + 48, 4),
            (range.to, 8),
            (range.from - 1, 16),
        ];
        let filled = range.buckets(counts, |sum: &mut i32, count| *sum += count);
        let day = |day| clock::utc(2026, 11, day, 0, 0);
        assert_eq!(filled, [(day(20), 3), (day(21), 0), (day(22), 4)]);
        assert_eq!(range.bounds(), (day(20), day(23)));
    }
}
