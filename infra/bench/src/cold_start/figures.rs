//! What starts came to.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::report::Circumstances;
use crate::stats::{milliseconds, percentile, rounded};
use crate::table::{Table, number};

/// Times of the same thing, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// Half of them took no longer.
    pub(crate) p50_ms: f64,
    /// Nine of ten took no longer.
    pub(crate) p90_ms: f64,
}

impl Spread {
    /// That of `samples`; zero when there are none.
    pub(crate) fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        let at = |percent| milliseconds(percentile(&samples, percent).unwrap_or_default());
        Self { p50_ms: at(50), p90_ms: at(90) }
    }
}

/// What one function takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// Its name.
    pub(crate) function: String,
    /// From the start of its process to its first request for an event.
    pub(crate) init: Spread,
    /// The processor time in that.
    pub(crate) init_processor: Spread,
    /// How many times the median of the empty function that is.
    pub(crate) init_ratio: f64,
    /// The most memory that was resident by then.
    pub(crate) init_peak_mib: f64,
    /// From its first event to the answer.
    pub(crate) first: Spread,
    /// The processor time in that.
    pub(crate) first_processor: Spread,
    /// The same of the events that follow.
    pub(crate) warm: Spread,
    /// The processor time of each of them.
    pub(crate) warm_processor: Spread,
    /// The most memory that was ever resident.
    pub(crate) peak_mib: f64,
    /// Calls of the store in init and first event.
    pub(crate) store_calls: f64,
    /// The same times with the processor that comes with some sizes of memory.
    pub(crate) by_memory: Vec<UnderQuota>,
}

/// What a function takes with the processor that comes with some size of memory.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct UnderQuota {
    /// The size of memory, in MB.
    pub(crate) memory_mb: u32,
    /// From the start of its process to its first request for an event.
    pub(crate) init: Spread,
    /// From its first event to the answer.
    pub(crate) first: Spread,
    /// The same of the events that follow.
    pub(crate) warm: Spread,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// On what.
    pub(crate) circumstances: Circumstances,
    /// How long each answer of AWS was held back.
    pub(crate) distance_ms: f64,
    /// How often each function was started.
    pub(crate) runs: u32,
    /// How many events each was sent after the first.
    pub(crate) warm_events: u32,
    /// What the init of a function may be multiplied by, against the empty one.
    pub(crate) most_init_ratio: f64,
    /// The empty function, and then all others.
    pub(crate) functions: Vec<Figures>,
}

/// The same with what each init is against that of the first.
pub(crate) fn against_the_first(mut functions: Vec<Figures>) -> Vec<Figures> {
    let empty = functions.first().map_or(0.0, |empty| empty.init.p50_ms);
    for it in &mut functions {
        it.init_ratio = if empty > 0.0 { rounded(it.init.p50_ms / empty) } else { 0.0 };
    }
    functions
}

impl Report {
    /// Functions whose start takes more than it may.
    pub(crate) fn slow(&self) -> Vec<&str> {
        let slow = self.functions.iter().filter(|it| it.init_ratio > self.most_init_ratio);
        slow.map(|it| it.function.as_str()).collect()
    }

    /// For people.
    pub(crate) fn tables(&self) -> String {
        let heading = [
            "function", "init ms", "p90", "× empty", "CPU ms", "MiB", "first ms", "p90", "CPU ms", "warm ms",
            "p90", "CPU ms", "MiB", "calls",
        ];
        let mut whole = Table::new("With a processor of its own", 1, &heading);
        for it in &self.functions {
            whole.row([
                it.function.clone(),
                number(it.init.p50_ms),
                number(it.init.p90_ms),
                number(it.init_ratio),
                number(it.init_processor.p50_ms),
                number(it.init_peak_mib),
                number(it.first.p50_ms),
                number(it.first.p90_ms),
                number(it.first_processor.p50_ms),
                number(it.warm.p50_ms),
                number(it.warm.p90_ms),
                number(it.warm_processor.p50_ms),
                number(it.peak_mib),
                number(it.store_calls),
            ]);
        }
        let mut shares = Table::new(
            "With the share of a processor that comes with memory",
            1,
            &["function", "MB", "init ms", "p90", "first ms", "p90", "warm ms", "p90"],
        );
        for it in &self.functions {
            for under in &it.by_memory {
                shares.row([
                    it.function.clone(),
                    under.memory_mb.to_string(),
                    number(under.init.p50_ms),
                    number(under.init.p90_ms),
                    number(under.first.p50_ms),
                    number(under.first.p90_ms),
                    number(under.warm.p50_ms),
                    number(under.warm.p90_ms),
                ]);
            }
        }
        let mut text = format!(
            "Cold starts, {}, {} starts each, AWS {} ms away\n\n{whole}",
            self.circumstances.line(),
            self.runs,
            number(self.distance_ms)
        );
        if self.functions.iter().any(|it| !it.by_memory.is_empty()) {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{shares}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_held_against_that_of_the_empty_function() {
        let figures = |function: &str, init| {
            let spread = Spread::of(vec![Duration::from_millis(init)]);
            Figures {
                function: function.to_owned(),
                init: spread,
                init_processor: spread,
                init_ratio: 1.0,
                init_peak_mib: 1.0,
                first: spread,
                first_processor: spread,
                warm: spread,
                warm_processor: spread,
                peak_mib: 1.0,
                store_calls: 1.0,
                by_memory: vec![UnderQuota { memory_mb: 128, init: spread, first: spread, warm: spread }],
            }
        };
        let functions = vec![figures("empty", 10), figures("quick", 15), figures("slow", 16)];
        let report = Report {
            circumstances: Circumstances::of("cold-start"),
            distance_ms: 0.0,
            runs: 1,
            warm_events: 1,
            most_init_ratio: 1.5,
            functions: against_the_first(functions),
        };
        assert_eq!(report.slow(), ["slow"]);
        assert!(report.tables().contains("128"));
    }

    #[test]
    fn a_spread_is_of_samples_in_any_order() {
        let spread = Spread::of((1..=10).rev().map(Duration::from_millis).collect());
        assert_eq!((spread.p50_ms, spread.p90_ms), (5.0, 9.0));
        assert_eq!(Spread::of(vec![]).p90_ms, 0.0);
    }
}
