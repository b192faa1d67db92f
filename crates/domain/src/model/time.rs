//! Instants in UTC milliseconds, and the clock that shells hold.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One day in milliseconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;
/// One hour in milliseconds.
pub const HOUR_MS: i64 = 60 * 60 * 1000;

/// An instant: milliseconds since 1970-01-01T00:00:00Z. Its text form is RFC 3339 with seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String", extend("format" = "date-time"))]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The instant so many seconds after the start of 1970; `None` beyond what milliseconds can hold.
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        seconds.checked_mul(1000).map(Self::from_millis)
    }

    /// Milliseconds after the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This instant moved by `millis`; stays at the end of the range when it would leave it.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Reads RFC 3339, such as `2026-11-24T12:00:00Z`.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|instant| Self(instant.as_millisecond()))
    }

    /// Reads the date form of mail and of Debian's Release files, such as `Sat, 15 Nov 2025 09:30:00 UTC`.
    pub fn parse_rfc2822(text: &str) -> Option<Self> {
        let zone_as_offset = text.trim().strip_suffix("UTC").map(|date| format!("{date}+0000"));
        jiff::fmt::rfc2822::parse(zone_as_offset.as_deref().unwrap_or(text)).ok().map(|zoned| Self(zoned.timestamp().as_millisecond()))
    }

    /// The start of a day written `YYYY-MM-DD`, in UTC.
    pub fn parse_date(text: &str) -> Option<Self> {
        let date = text.parse::<jiff::civil::Date>().ok()?;
        let instant = jiff::tz::Offset::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight())).ok()?;
        (date.to_string() == text).then_some(Self(instant.as_millisecond()))
    }

    /// The last instant of a day written `YYYY-MM-DD`, in UTC.
    pub fn parse_end_of_date(text: &str) -> Option<Self> {
        Self::parse_date(text).map(|start| start.plus_millis(DAY_MS - 1))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0 - self.0.rem_euclid(1000)) {
            Ok(instant) => write!(f, "{instant}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_rfc3339(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not an RFC 3339 time such as 2026-11-24T12:00:00Z")))
    }
}

/// Where a shell gets `now` from. Decisions take the instant itself.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_are_read_and_written() {
        let instant = Timestamp::parse_rfc3339("2026-11-24T12:00:01.5Z").unwrap();
        assert_eq!(instant.to_string(), "2026-11-24T12:00:01Z");
        assert_eq!(Timestamp::parse_rfc2822("Tue, 24 Nov 2026 12:00:01 UTC").unwrap().to_string(), instant.to_string());
        assert_eq!(Timestamp::parse_date("2026-11-24").unwrap().to_string(), "2026-11-24T00:00:00Z");
        assert_eq!(Timestamp::parse_date("2026-13-24"), None);
        assert_eq!(Timestamp::parse_date("20261124"), None);
        assert_eq!(Timestamp::from_millis(i64::MAX).plus_millis(1).as_millis(), i64::MAX);
    }
}
