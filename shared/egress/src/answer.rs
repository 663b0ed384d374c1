//! What is taken from an answer.
//!
//! **The threat.** Every byte of it is the receiver's choice: a body without end, one that is no text, one with a NUL
//! that no database takes or an escape sequence that rewrites somebody's terminal, a `Retry-After` in the year 9999.
//!
//! **The answer.** What is kept of a body is text, at most 4 KiB of it, with neither control characters (but line
//! breaks and tabs) nor half a character. A pause is twelve hours at most, or none.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

use crate::Failure;

/// How much of a body is kept, in bytes of text.
pub(crate) const KEPT: usize = 4096;
/// The longest pause that a receiver is given.
const LONGEST_PAUSE: Duration = Duration::from_secs(12 * 60 * 60);

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The beginning of the body as text, 4 KiB at most: what is not UTF-8 and control characters other than line
    /// breaks and tabs are replaced by U+FFFD.
    pub body: String,
    /// Why the body was not read to its end: [`ResponseTooLarge`](Failure::ResponseTooLarge),
    /// [`Reset`](Failure::Reset), [`Protocol`](Failure::Protocol) or [`Tls`](Failure::Tls). The status counts all the
    /// same.
    pub cut_short: Option<Failure>,
    /// How long the receiver asks to be left alone, twelve hours at most.
    pub retry_after: Option<Duration>,
}

/// The text of a body's beginning, cut at the end of a character.
pub(crate) fn text(bytes: &[u8]) -> String {
    let replaced = |c: char| if c.is_control() && !matches!(c, '\n' | '\r' | '\t') { '\u{fffd}' } else { c };
    let mut text: String = String::from_utf8_lossy(bytes).chars().map(replaced).collect();
    text.truncate(text.floor_char_boundary(KEPT));
    text
}

/// The pause that `Retry-After` asks for (RFC 9110, section 10.2.3): seconds, or a date, which is compared with the
/// receiver's own clock where the answer tells it, and with `now` where it does not.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let date = |text| httpdate::parse_http_date(text).ok();
    let wanted = text(header::RETRY_AFTER)?;
    let pause = if !wanted.is_empty() && wanted.bytes().all(|b| b.is_ascii_digit()) {
        wanted.parse().map_or(LONGEST_PAUSE, Duration::from_secs)
    } else {
        let now = text(header::DATE).and_then(date).unwrap_or(now);
        date(wanted)?.duration_since(now).unwrap_or_default()
    };
    Some(pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    #[test]
    fn what_would_break_a_record_is_replaced() {
        for (bytes, kept) in [
            (&b"plain\r\n\ttext"[..], "plain\r\n\ttext"),
            ("grüße, 世界".as_bytes(), "grüße, 世界"),
            (b"a\0b", "a\u{fffd}b"),
            (b"\x1b[2Jgone", "\u{fffd}[2Jgone"),
            (b"\x7f", "\u{fffd}"),
            ("\u{85}".as_bytes(), "\u{fffd}"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
            (b"", ""),
        ] {
            assert_eq!(text(bytes), kept, "{bytes:?}");
        }
    }

    #[test]
    fn no_character_is_cut_in_two() {
        assert_eq!(text("ü".repeat(3000).as_bytes()), "ü".repeat(2048));
        assert_eq!(text("世".repeat(2000).as_bytes()), "世".repeat(1365));
        assert_eq!(text(&[0; 4096]).len(), 4095);
    }

    fn asked(wanted: &[u8], date: Option<&'static str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_bytes(wanted).unwrap());
        if let Some(date) = date {
            headers.insert(header::DATE, HeaderValue::from_static(date));
        }
        let now = httpdate::parse_http_date("Thu, 26 Nov 2026 12:00:00 GMT").unwrap();
        retry_after(&headers, now).map(|pause| pause.as_secs())
    }

    #[test]
    fn a_pause_is_seconds_or_a_date_and_has_an_end() {
        const HALF_A_DAY: u64 = 43200;
        for (wanted, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("007", Some(7)),
            ("86400", Some(HALF_A_DAY)),
            ("99999999999999999999999", Some(HALF_A_DAY)),
            ("Thu, 26 Nov 2026 12:01:30 GMT", Some(90)),
            ("Thursday, 26-Nov-26 12:01:30 GMT", Some(90)),
            ("Thu Nov 26 12:01:30 2026", Some(90)),
            ("Thu, 26 Nov 2026 11:00:00 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(HALF_A_DAY)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1e3", None),
            ("soon", None),
            ("2026-11-26T12:01:30Z", None),
            ("Thu, 32 Nov 2026 12:01:30 GMT", None),
        ] {
            assert_eq!(asked(wanted.as_bytes(), None), seconds, "{wanted}");
        }
        assert_eq!(asked("\u{ff17}".as_bytes(), None), None);
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::now()), None);
    }

    #[test]
    fn a_receiver_whose_clock_is_wrong_gets_the_pause_it_means() {
        let wrong = Some("Thu, 01 Jan 2015 00:00:00 GMT");
        assert_eq!(asked(b"Thu, 01 Jan 2015 00:02:00 GMT", wrong), Some(120));
        assert_eq!(asked(b"Thu, 26 Nov 2026 12:02:00 GMT", Some("yesterday")), Some(120));
    }

    proptest! {
        #[test]
        fn any_bytes_become_text_that_any_record_takes(bytes in prop::collection::vec(any::<u8>(), 0..6000)) {
            let text = text(&bytes);
            prop_assert!(text.len() <= KEPT);
            prop_assert!(text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')));
        }
    }
}
