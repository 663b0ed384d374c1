//! Whether an endpoint is sent to now: what is known of it, against the clock.
//!
//! One endpoint's trouble is to be nobody else's. So a slow one is sent to by the slow lane only, by a few at once; one that
//! fails again and again is left alone (the breaker opens) and then tried with a single delivery; one that asks for a pause
//! has it. What is put off burns no attempt.

use std::time::Duration;

use clock::Timestamp;
use ids::DeliveryId;
use store::{Endpoint, EndpointStatus, Watched};

/// After so many failures in a row the breaker opens,
pub(crate) const OPENS_AFTER: u32 = 10;
/// but not before they have gone on for so long: in a burst, whoever read the state before the first of them does not know
/// that there is a row to end, so its success ends none.
pub(crate) const OPENS_NOT_WITHIN: Duration = Duration::from_secs(3);
/// How long it stays open the first time; twice as long each further time.
const FIRST_OPEN: Duration = Duration::from_secs(30);
/// And no longer than this: the time in which an endpoint that is well again is found out.
const LONGEST_OPEN: Duration = Duration::from_secs(5 * 60);
/// An endpoint that takes longer than this is slow.
pub(crate) const SLOW_AFTER: Duration = Duration::from_secs(1);
/// For so long after it took so long.
pub(crate) const SLOW_FOR: Duration = Duration::from_secs(60);

/// By which queue a job came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    First,
    Slow,
}

/// Whether, and how, an endpoint is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission<'a> {
    /// Never: for this reason.
    Never(&'static str),
    /// Not before then.
    NotBefore(Timestamp),
    /// Now, but not by this lane.
    BySlowLane,
    /// Now, once it has what it takes.
    Now {
        endpoint: &'a Endpoint,
        /// The breaker is half open: only one may try.
        needs_probe: bool,
        /// It is slow: only a few may send at once.
        needs_slot: bool,
        /// It takes so many a second.
        rate: Option<u32>,
    },
}

pub(crate) fn admit(watched: &Watched, lane: Lane, now: Timestamp) -> Admission<'_> {
    let Some(endpoint) = &watched.endpoint else { return Admission::Never("the endpoint was deleted") };
    if endpoint.status == EndpointStatus::Disabled {
        return Admission::Never("the endpoint is disabled");
    }
    let state = &watched.state;
    if state.gone_at.is_some_and(|gone| gone >= endpoint.enabled_at()) {
        return Admission::Never("the receiver answered 410 Gone");
    }
    if let Some(until) = state.not_before.filter(|until| *until > now) {
        return Admission::NotBefore(until);
    }
    let needs_probe = state.opened > 0;
    if let Some(until) = state.probe_until.filter(|until| needs_probe && *until > now) {
        return Admission::NotBefore(until);
    }
    let needs_slot = state.is_slow(now);
    if needs_slot && lane == Lane::First {
        return Admission::BySlowLane;
    }
    Admission::Now { endpoint, needs_probe, needs_slot, rate: endpoint.rate_limit_per_second }
}

/// Until when the breaker is open after so many failures in a row, the first of them at `since`, and for the how many-th time
/// in a row when it was opened so often before; `None` when it stays closed.
pub(crate) fn opens(
    failures: u32,
    since: Timestamp,
    opened: u32,
    delivery: DeliveryId,
    now: Timestamp,
) -> Option<(Timestamp, u32)> {
    if opened == 0 && (failures < OPENS_AFTER || now.since(since) < OPENS_NOT_WITHIN) {
        return None;
    }
    let open = FIRST_OPEN.saturating_mul(1 << opened.min(10)).min(LONGEST_OPEN);
    // Endpoints that failed together are not tried together.
    Some((now + crate::schedule::jittered(open, delivery, opened), opened + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{EndpointId, Ids};
    use store::EndpointState;

    fn at(seconds: u64) -> Timestamp {
        clock::utc(2026, 11, 22, 15, 0) + Duration::from_secs(seconds)
    }

    fn watched() -> Watched {
        let id: EndpointId = Ids::new(clock::Clock::system()).next();
        let endpoint = Endpoint::new(id, "https://example.com/".to_owned(), String::new(), at(0));
        Watched { endpoint: Some(endpoint), state: EndpointState::new(id, at(0)) }
    }

    fn told(watched: &Watched, lane: Lane, now: Timestamp) -> String {
        match admit(watched, lane, now) {
            Admission::Never(reason) => reason.to_owned(),
            Admission::NotBefore(until) => format!("+{}", until.since(at(0)).as_secs()),
            Admission::BySlowLane => "slow lane".to_owned(),
            Admission::Now { needs_probe, needs_slot, rate, .. } => {
                format!("now probe={needs_probe} slot={needs_slot} rate={rate:?}")
            }
        }
    }

    #[test]
    fn an_endpoint_that_is_well_is_sent_to_at_once() {
        for lane in [Lane::First, Lane::Slow] {
            assert_eq!(told(&watched(), lane, at(1)), "now probe=false slot=false rate=None");
        }
    }

    #[test]
    fn one_that_is_gone_or_disabled_never_is() {
        let mut it = watched();
        it.state.gone_at = Some(at(1));
        assert_eq!(told(&it, Lane::First, at(2)), "the receiver answered 410 Gone");
        if let Some(endpoint) = &mut it.endpoint {
            endpoint.enabled_at = Some(at(2));
        }
        assert!(told(&it, Lane::First, at(3)).starts_with("now"), "it was enabled again since");
        if let Some(endpoint) = &mut it.endpoint {
            endpoint.status = EndpointStatus::Disabled;
        }
        assert_eq!(told(&it, Lane::First, at(3)), "the endpoint is disabled");
        it.endpoint = None;
        assert_eq!(told(&it, Lane::Slow, at(3)), "the endpoint was deleted");
    }

    #[test]
    fn a_pause_and_an_open_breaker_hold_and_then_one_may_try() {
        let mut it = watched();
        it.state.not_before = Some(at(10));
        assert_eq!(told(&it, Lane::First, at(9)), "+10");
        assert_eq!(told(&it, Lane::First, at(10)), "now probe=false slot=false rate=None");
        it.state.opened = 1;
        assert_eq!(told(&it, Lane::First, at(10)), "now probe=true slot=false rate=None");
        it.state.probe_until = Some(at(20));
        assert_eq!(told(&it, Lane::Slow, at(11)), "+20");
    }

    #[test]
    fn a_slow_one_is_sent_to_by_the_slow_lane() {
        let mut it = watched();
        it.state.slow_until = Some(at(10));
        assert_eq!(told(&it, Lane::First, at(9)), "slow lane");
        assert_eq!(told(&it, Lane::Slow, at(9)), "now probe=false slot=true rate=None");
        assert_eq!(told(&it, Lane::First, at(10)), "now probe=false slot=false rate=None");
    }

    #[test]
    fn the_breaker_opens_after_ten_failures_for_ever_longer_but_not_long() {
        let id = DeliveryId::derived(at(0), [7; 16]);
        let (long, short) = (OPENS_NOT_WITHIN, OPENS_NOT_WITHIN / 2);
        assert_eq!(opens(OPENS_AFTER - 1, at(0), 0, id, at(0) + long), None);
        assert_eq!(
            opens(1000, at(0), 0, id, at(0) + short),
            None,
            "a burst whose successes do not count yet"
        );
        assert!(opens(OPENS_AFTER, at(0), 0, id, at(0) + long).is_some());
        let mut before = Duration::ZERO;
        for opened in 0..12 {
            let Some((until, times)) = opens(OPENS_AFTER, at(0) - long, opened, id, at(0)) else {
                panic!("it stays closed")
            };
            let open = until.since(at(0));
            assert_eq!(times, opened + 1);
            assert!(open.as_secs_f64() >= before.as_secs_f64() * 0.8);
            assert!((27.0..=330.0).contains(&open.as_secs_f64()), "{open:?}");
            before = open;
        }
        assert!(opens(1, at(0), 1, id, at(0)).is_some(), "a probe that fails opens it again");
    }
}
