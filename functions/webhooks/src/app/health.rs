//! How an endpoint does, in figures: from its last deliveries, what waits for it, and its state.

use clock::Timestamp;
use store::{Backlog, Delivery, DeliveryStatus, Endpoint, EndpointState, EndpointStatus, LastError};

/// How many deliveries the figures are taken from.
pub(crate) const SAMPLE: usize = 100;

/// In a word, how an endpoint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Healthy,
    Slow,
    Failing,
    Paused,
    Disabled,
}

impl Condition {
    pub(crate) fn of(endpoint: &Endpoint, state: &EndpointState, now: Timestamp) -> Self {
        match endpoint.status {
            EndpointStatus::Disabled => Self::Disabled,
            EndpointStatus::Enabled if state.opened > 0 => Self::Failing,
            EndpointStatus::Enabled if state.is_left_alone(now) => Self::Paused,
            EndpointStatus::Enabled if state.failures > 0 => Self::Failing,
            EndpointStatus::Enabled if state.is_slow(now) => Self::Slow,
            EndpointStatus::Enabled => Self::Healthy,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Slow => "slow",
            Self::Failing => "failing",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Health {
    pub(crate) condition: Condition,
    /// Deliveries that the rates are of: the last ones that are settled.
    pub(crate) sample: usize,
    /// Of those, how many were taken.
    pub(crate) success_rate: Option<f64>,
    /// Nineteen of twenty attempts took no longer.
    pub(crate) p95_latency_ms: Option<u64>,
    pub(crate) failures_in_a_row: u32,
    pub(crate) failing_since: Option<Timestamp>,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) backlog: Backlog,
    pub(crate) last_success_at: Option<Timestamp>,
    pub(crate) last_error: Option<LastError>,
}

impl Health {
    pub(crate) fn of(
        endpoint: &Endpoint,
        state: EndpointState,
        last: &[Delivery],
        backlog: Backlog,
        now: Timestamp,
    ) -> Self {
        let settled = last.iter().filter(|delivery| !delivery.status.is_owed());
        let settled: Vec<_> =
            settled.filter(|delivery| delivery.status != DeliveryStatus::Cancelled).collect();
        let taken = settled.iter().filter(|delivery| delivery.status == DeliveryStatus::Succeeded).count();
        #[expect(clippy::cast_precision_loss, reason = "they are a hundred at most")]
        let success_rate = (!settled.is_empty()).then(|| taken as f64 / settled.len() as f64);
        let attempts = || last.iter().flat_map(|delivery| &delivery.attempts);
        let mut latencies: Vec<u64> = attempts().map(|attempt| attempt.duration_ms).collect();
        latencies.sort_unstable();
        let succeeded = attempts().filter(|attempt| attempt.response_status.is_some_and(|it| it / 100 == 2));
        Self {
            condition: Condition::of(endpoint, &state, now),
            sample: settled.len(),
            success_rate,
            p95_latency_ms: latencies.get((latencies.len() * 95).div_ceil(100).saturating_sub(1)).copied(),
            failures_in_a_row: state.failures,
            failing_since: state.failing_since,
            not_before: state.not_before.filter(|_| state.is_left_alone(now)),
            backlog,
            last_success_at: succeeded.map(|attempt| attempt.started_at).max(),
            last_error: state.last_error,
        }
    }
}
