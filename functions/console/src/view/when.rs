//! Times, as people read them: how long ago, with the exact time to hover over, in UTC.

use std::time::Duration;

use clock::Timestamp;
use maud::{Markup, html};

use super::{Icon, icon};
use crate::visit::{Visit, href};

/// A length of time in its largest unit: "3 minutes".
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        86_400..5_184_000 => (seconds / 86_400, "day"),
        5_184_000..63_072_000 => (seconds / 2_592_000, "month"),
        _ => (seconds / 31_536_000, "year"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// "3 minutes ago", "in 2 days".
pub(crate) fn ago(now: Timestamp, then: Timestamp) -> String {
    if now.seconds() == then.seconds() {
        "just now".to_owned()
    } else if then < now {
        format!("{} ago", span(now.since(then)))
    } else {
        format!("in {}", span(then.since(now)))
    }
}

/// "2026-11-27 14:05:09 UTC".
pub(crate) fn exact(then: Timestamp) -> String {
    let text = then.to_string();
    let text = text.replacen('T', " ", 1);
    format!("{} UTC", text.get(..19).unwrap_or(&text))
}

/// "2026-11-27 14:05:09.123 UTC": where milliseconds matter.
pub(crate) fn precise(then: Timestamp) -> String {
    then.to_string().replacen('T', " ", 1).replacen('Z', " UTC", 1)
}

/// How long something took, as exactly as it is worth: "40 ms", "1.2 s", "3 minutes".
pub(crate) fn took(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        millis @ 1000..60_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        _ => span(duration),
    }
}

/// The day, as ISO 8601 has it.
pub(crate) fn day(then: Timestamp) -> String {
    then.to_string().get(..10).unwrap_or_default().to_owned()
}

/// A time in a page.
pub(crate) fn moment(now: Timestamp, then: Timestamp) -> Markup {
    html! { time datetime=(then) title=(exact(then)) { (ago(now, then)) } }
}

/// The same to the second, for logs and for what is kept fresh: it does not change by itself.
pub(crate) fn stamp(then: Timestamp) -> Markup {
    html! { time class="stamp" datetime=(then) { (exact(then)) } }
}

/// The way to a time that is still to come, where the clock can be moved; it leads back to `here`.
pub(crate) fn way_to(visit: &Visit, here: &str, then: Timestamp) -> Markup {
    let clock = visit.site().clock.as_deref().filter(|_| then > visit.now());
    html! {
        @if let Some(clock) = clock {
            " " a class="tool" href=(href(clock, [("to", then.to_string().as_str()), ("back", here)])) {
                (icon(Icon::Clock)) "Move the clock there"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_from_now_in_its_largest_unit() {
        let now = clock::utc(2026, 11, 22, 15, 0);
        let of = |seconds| Duration::from_secs(seconds);
        assert_eq!(ago(now, now), "just now");
        assert_eq!(ago(now, now - of(1)), "1 second ago");
        assert_eq!(ago(now, now - of(3 * 3600 + 59 * 60)), "3 hours ago");
        assert_eq!(ago(now, now + of(2 * 86_400)), "in 2 days");
        assert_eq!(ago(now, now - of(400 * 86_400)), "13 months ago");
        assert_eq!(exact(now), "2026-11-22 15:00:00 UTC");
        assert_eq!(precise(now + Duration::from_millis(7)), "2026-11-22 15:00:00.007 UTC");
    }

    #[test]
    fn what_took_longer_is_told_less_exactly() {
        for (millis, said) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1.0 s"),
            (59_999, "59.9 s"),
            (60_000, "1 minute"),
            (7_200_000, "2 hours"),
        ] {
            assert_eq!(took(Duration::from_millis(millis)), said);
        }
    }
}
