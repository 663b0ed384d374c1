//! Percentiles, computed from every sample and not from buckets.

use std::time::Duration;

use serde::Serialize;

/// How long something took, over all samples, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Latency {
    /// How many samples there were.
    pub(crate) samples: usize,
    /// Half of them took no longer.
    pub(crate) p50_ms: f64,
    /// 99 of 100 took no longer.
    pub(crate) p99_ms: f64,
    /// The longest.
    pub(crate) max_ms: f64,
}

impl Latency {
    /// The latency that `samples` show; `None` when there are none.
    pub(crate) fn of(mut samples: Vec<Duration>) -> Option<Self> {
        samples.sort_unstable();
        Some(Self {
            samples: samples.len(),
            p50_ms: milliseconds(percentile(&samples, 50)?),
            p99_ms: milliseconds(percentile(&samples, 99)?),
            max_ms: milliseconds(*samples.last()?),
        })
    }
}

/// The smallest of the ascending `sorted` that at least `percent` in a hundred of them do not exceed (nearest rank);
/// `None` when there are none.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent.min(100)).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// A duration in milliseconds, to the microsecond.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1000.0)
}

/// `count` in `time`, per second; 0 when no time passed.
pub(crate) fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { rounded(float(count) / time.as_secs_f64()) }
}

/// `amount` for each of `count`; 0 when there are none.
pub(crate) fn per(amount: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { rounded(amount / float(count)) }
}

/// To three decimals: more would only look exact.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below the 53 bits of an f64")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(samples: impl IntoIterator<Item = u64>) -> Vec<Duration> {
        samples.into_iter().map(Duration::from_millis).collect()
    }

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let hundred = ms(1..=100);
        for (percent, expected) in [(0, 1), (1, 1), (50, 50), (99, 99), (100, 100), (200, 100)] {
            assert_eq!(percentile(&hundred, percent), Some(Duration::from_millis(expected)), "p{percent}");
        }
        let three = ms([1, 2, 30]);
        assert_eq!(percentile(&three, 50), Some(Duration::from_millis(2)));
        assert_eq!(percentile(&three, 66), Some(Duration::from_millis(2)));
        assert_eq!(percentile(&three, 67), Some(Duration::from_millis(30)));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn latency_is_of_all_samples_in_whatever_order() {
        let latency = Latency::of(ms((1..=1000).rev())).unwrap();
        assert_eq!(latency, Latency { samples: 1000, p50_ms: 500.0, p99_ms: 990.0, max_ms: 1000.0 });
        let one = Latency::of(vec![Duration::from_micros(1234)]).unwrap();
        assert_eq!((one.p50_ms, one.p99_ms, one.max_ms), (1.234, 1.234, 1.234));
        assert_eq!(Latency::of(vec![]), None);
    }

    #[test]
    fn a_percentile_is_never_below_its_share_of_the_samples() {
        for count in 1..=250_usize {
            let samples = ms(0..u64::try_from(count).unwrap());
            for percent in 1..=100 {
                let found = percentile(&samples, percent).unwrap();
                let within = samples.iter().filter(|sample| **sample <= found).count();
                let below = samples.iter().filter(|sample| **sample < found).count();
                assert!(within * 100 >= count * percent, "p{percent} of {count}");
                assert!(below * 100 < count * percent, "p{percent} of {count}");
            }
        }
    }

    #[test]
    fn rates_of_nothing_are_zero() {
        assert_eq!(per_second(10, Duration::ZERO), 0.0);
        assert_eq!(per_second(10, Duration::from_secs(4)), 2.5);
        assert_eq!(per(10.0, 0), 0.0);
        assert_eq!(per(1.0, 3), 0.333);
    }
}
