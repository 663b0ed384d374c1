//! Time as a value.
//!
//! [`Timestamp`] is a UTC instant with millisecond precision, the resolution of every time Artisan stores or
//! shows. [`Clock`] is where "now" comes from: rules never ask the operating system, so a test moves time
//! instead of waiting for it.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A UTC instant with millisecond precision, written as RFC 3339 (`2026-11-22T15:04:05.123Z`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// The last instant that fits the four-digit years of RFC 3339; where out-of-range arithmetic ends up.
    pub const MAX: Self = Self::from_valid_millis(253_402_300_799_999);
    /// The Unix epoch.
    pub const EPOCH: Self = Self::from_valid_millis(0);

    const fn from_valid_millis(millis: i64) -> Self {
        match DateTime::from_timestamp_millis(millis) {
            Some(instant) => Self(instant),
            None => Self(DateTime::<Utc>::MAX_UTC),
        }
    }

    /// The instant `millis` milliseconds after the Unix epoch; values outside the years 1970 to 9999 are
    /// brought to the nearest end.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self::from_valid_millis(millis.clamp(0, Self::MAX.millis()))
    }

    /// The instant `seconds` seconds after the Unix epoch, clamped like [`Timestamp::from_millis`].
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Self {
        Self::from_millis(seconds.saturating_mul(1000))
    }

    /// Reads an RFC 3339 time with any offset; `None` when it isn't one or lies before 1970.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let instant = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
        let millis = instant.timestamp_millis();
        (0..=Self::MAX.millis()).contains(&millis).then(|| Self::from_millis(millis))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0.timestamp_millis()
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.timestamp()
    }

    /// Whole minutes since the Unix epoch.
    #[must_use]
    pub fn minute(self) -> i64 {
        self.seconds().div_euclid(60)
    }

    /// The UTC day, `2026-11-22`.
    #[must_use]
    pub fn day(self) -> String {
        self.0.format("%Y-%m-%d").to_string()
    }

    /// The UTC month, `2026-11`.
    #[must_use]
    pub fn month(self) -> String {
        self.0.format("%Y-%m").to_string()
    }

    /// How long after `earlier` this is; zero when it isn't after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.millis() - earlier.millis()).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, after: Duration) -> Self {
        Self::from_millis(self.millis().saturating_add(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, before: Duration) -> Self {
        Self::from_millis(self.millis().saturating_sub(i64::try_from(before.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom("expected an RFC 3339 time such as 2026-11-22T15:04:05Z"))
    }
}

/// Where "now" comes from.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
    Ahead(Arc<AtomicI64>),
}

impl Clock {
    /// The operating system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until its [`ManualClock`] moves it.
    #[must_use]
    pub fn manual(start: Timestamp) -> (Self, ManualClock) {
        let millis = Arc::new(AtomicI64::new(start.millis()));
        (Self(Source::Manual(Arc::clone(&millis))), ManualClock(millis))
    }

    /// A clock that goes as the operating system's does, and ahead of it by as much as its [`LeadingClock`] was moved.
    #[must_use]
    pub fn ahead() -> (Self, LeadingClock) {
        let millis = Arc::new(AtomicI64::new(0));
        (Self(Source::Ahead(Arc::clone(&millis))), LeadingClock(millis))
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let system = || Utc::now().timestamp_millis();
        Timestamp::from_millis(match &self.0 {
            Source::System => system(),
            Source::Manual(millis) => millis.load(Ordering::SeqCst),
            Source::Ahead(millis) => system().saturating_add(millis.load(Ordering::SeqCst)),
        })
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Clock(system)",
            Source::Manual(_) => "Clock(manual)",
            Source::Ahead(_) => "Clock(ahead)",
        })
    }
}

/// The hand on a manual [`Clock`].
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Moves time forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Sets the present instant; going back is allowed, as clocks of different machines do disagree.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.millis(), Ordering::SeqCst);
    }
}

/// The hand on a [`Clock`] that goes by itself. It only ever moves forward: what has happened stays in the past.
#[derive(Clone, Debug)]
pub struct LeadingClock(Arc<AtomicI64>);

impl LeadingClock {
    /// Moves time forward.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        // Saturates, as all arithmetic with times does. The closure never declines.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |lead| Some(lead.saturating_add(by)));
    }

    /// How far the clock is ahead of the operating system's.
    #[must_use]
    pub fn lead(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.load(Ordering::SeqCst)).unwrap_or(0))
    }
}

/// A convenience for building fixed instants, chiefly in tests; out-of-range parts give the epoch.
#[must_use]
pub fn utc(year: i32, month: u32, day: u32, hour: u32, minute: u32) -> Timestamp {
    Utc.with_ymd_and_hms(year, month, day, hour, minute, 0)
        .single()
        .map_or(Timestamp::EPOCH, |instant| Timestamp::from_millis(instant.timestamp_millis()))
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        let text = ObjectBuilder::new().schema_type(Type::String);
        let text = text.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        let text = text.pattern(Some("^(19[7-9]|[2-9][0-9]{2})[0-9]-"));
        text.description(Some("RFC 3339, from 1970 on; answers have UTC and milliseconds.")).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Timestamp {
    fn name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_utc_with_milliseconds() {
        let parsed = Timestamp::parse("2026-11-22T16:04:05.1239+01:00").unwrap();
        assert_eq!(parsed.to_string(), "2026-11-22T15:04:05.123Z");
        assert_eq!(serde_json_roundtrip(parsed), parsed);
        assert_eq!(Timestamp::parse("1969-12-31T23:59:59Z"), None);
        assert_eq!(Timestamp::parse("2026-11-22"), None);
    }

    fn serde_json_roundtrip(time: Timestamp) -> Timestamp {
        Timestamp::parse(&time.to_string()).unwrap()
    }

    #[test]
    fn arithmetic_saturates_instead_of_overflowing() {
        assert_eq!(Timestamp::MAX + Duration::from_secs(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::EPOCH - Duration::from_secs(1), Timestamp::EPOCH);
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let (clock, hand) = Clock::manual(utc(2026, 1, 1, 0, 0));
        let before = clock.now();
        hand.advance(Duration::from_secs(60));
        assert_eq!(clock.now().since(before), Duration::from_secs(60));
        assert_eq!(before.since(clock.now()), Duration::ZERO);
    }

    #[test]
    fn a_leading_clock_goes_by_itself_ahead_of_the_systems() {
        let (clock, hand) = Clock::ahead();
        let day = Duration::from_secs(86_400);
        hand.advance(day);
        hand.advance(day);
        assert_eq!(hand.lead(), day * 2);
        let before = Clock::system().now() + day * 2;
        let now = clock.now();
        assert!(before <= now && now <= Clock::system().now() + day * 2, "{now}");
        hand.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
