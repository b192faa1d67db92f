//! When something recurs: AWS's `cron(…)`, `rate(…)` and `at(…)`, and plain words for the usual ones, in a time zone.
//!
//! Two rules for the days on which clocks change. A local time that is skipped runs at the first instant after the gap;
//! one that comes twice runs once, the first time. Rates are lengths of time, which no clock changes.

use std::borrow::Cow;
use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, ToSpan};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::time::{DAY_MS, HOUR_MS, Timestamp};

/// Nothing recurs faster, as in AWS's maintenance windows.
pub const PERIOD_MIN_MS: i64 = 5 * 60 * 1000;
/// Longest rate.
const RATE_MAX_MS: i64 = 366 * DAY_MS;
/// Longest text.
const TEXT_LENGTH_MAX: usize = 256;
/// Days that a run may come after the day that its cron names, as in AWS.
pub const OFFSET_DAYS_MAX: u8 = 6;
/// How many local times are looked at for one that lies ahead: those of an hour that comes twice do not.
const TRIES_MAX: usize = 100;

/// When something recurs, in local time.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(with = "String")]
pub struct Schedule {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Cron(Box<Cron>),
    Rate(i64),
    At(DateTime),
}

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// None of the forms.
    #[error("`{text}` is no schedule: write `daily 02:00`, `weekly SUN 02:00`, `monthly TUE#2 02:00`, `cron(0 2 ? * SUN *)`, `rate(7 days)`, or `at(2026-12-01T02:00:00)`")]
    Unknown {
        /// The text.
        text: String,
    },
    /// A cron expression that does not read.
    #[error("`{text}` does not read: {detail}; the fields are minute, hour, day of month, month, day of week, year, and one of the two days is `?`")]
    Cron {
        /// The text.
        text: String,
        /// What is wrong.
        detail: String,
    },
    /// It recurs too fast.
    #[error("`{text}` recurs faster than every 5 minutes")]
    TooFast {
        /// The text.
        text: String,
    },
    /// It never comes.
    #[error("`{text}` never comes")]
    Never {
        /// The text.
        text: String,
    },
    /// An unknown time zone.
    #[error("`{name}` is no time zone such as `Europe/Berlin` or `UTC`")]
    Zone {
        /// The name.
        name: String,
    },
    /// An offset that is too long, or that belongs to no cron.
    #[error("an offset is from 1 to {OFFSET_DAYS_MAX} days after the day of a cron expression, not {days}")]
    Offset {
        /// The days.
        days: u8,
    },
}

impl Schedule {
    /// Reads a schedule.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let text = text.trim();
        let unknown = || ScheduleError::Unknown { text: text.chars().take(60).collect() };
        if text.len() > TEXT_LENGTH_MAX {
            return Err(unknown());
        }
        let inside = |word: &str| text.strip_prefix(word)?.strip_prefix('(')?.strip_suffix(')').map(str::trim);
        let kind = if let Some(expression) = inside("cron") {
            cron(text, expression)?
        } else if let Some(rate) = inside("rate") {
            Kind::Rate(rate_millis(rate).ok_or_else(unknown)?)
        } else if let Some(at) = inside("at") {
            Kind::At(at.parse().map_err(|_| unknown())?)
        } else {
            cron(text, &plain(text).ok_or_else(unknown)?)?
        };
        let schedule = Self { text: text.to_owned(), kind };
        if schedule.is_too_fast() {
            return Err(ScheduleError::TooFast { text: schedule.text });
        }
        Ok(schedule)
    }

    /// Whether it is one by days of the calendar, which an offset can follow.
    pub fn is_cron(&self) -> bool {
        matches!(self.kind, Kind::Cron(_))
    }

    /// In an English sentence.
    pub fn words(&self) -> String {
        match &self.kind {
            Kind::Cron(cron) => {
                let words = cron.describe();
                words.strip_suffix('.').unwrap_or(&words).to_owned()
            }
            Kind::Rate(_) => format!("every {}", self.text.trim_start_matches("rate(").trim_end_matches(')')),
            Kind::At(at) => format!("once, at {at}"),
        }
    }

    fn is_too_fast(&self) -> bool {
        match &self.kind {
            Kind::At(_) => false,
            Kind::Rate(millis) => *millis < PERIOD_MIN_MS,
            Kind::Cron(cron) => {
                let start = DateTime::constant(2027, 1, 1, 0, 0, 0, 0);
                let times: Vec<_> = cron.iter_after(start).take(24).collect();
                times.windows(2).any(|pair| pair[1].duration_since(pair[0]) < SignedDuration::from_millis(PERIOD_MIN_MS))
            }
        }
    }
}

/// Six fields, or seven that begin with seconds.
fn cron(text: &str, expression: &str) -> Result<Kind, ScheduleError> {
    let wrong = |detail: &dyn fmt::Display| ScheduleError::Cron { text: text.to_owned(), detail: detail.to_string() };
    let fields: Vec<_> = expression.split_whitespace().collect();
    let expression: Cow<'_, str> = match fields.len() {
        6 => format!("0 {expression}").into(),
        7 => expression.into(),
        n => return Err(wrong(&format!("{n} fields are not 6"))),
    };
    let fields: Vec<_> = expression.split_whitespace().collect();
    if (fields[3] == "?") == (fields[5] == "?") {
        return Err(wrong(&"one of the day of month and the day of week must be `?`, and the other not"));
    }
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Required).alternative_weekdays(true).sloppy_ranges(true).build();
    let cron = parser.parse(&expression).map_err(|error| wrong(&error))?;
    Ok(Kind::Cron(Box::new(cron)))
}

/// `daily 02:00`, `weekly SUN 02:00`, `monthly TUE#2 02:00`, as a cron expression.
fn plain(text: &str) -> Option<String> {
    let words: Vec<_> = text.split_whitespace().collect();
    let (day, time) = match words.as_slice() {
        ["daily", time] => ("* * ?".to_owned(), time),
        ["weekly", day, time] if day.chars().all(|c| c.is_ascii_alphabetic() || c == ',') => (format!("? * {day}"), time),
        ["monthly", day, time] if day.contains('#') || day.ends_with('L') => (format!("? * {day}"), time),
        ["monthly", day, time] => (format!("{day} * ?"), time),
        _ => return None,
    };
    let (hour, minute) = time.split_once(':')?;
    let (hour, minute): (u8, u8) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then(|| format!("{minute} {hour} {day} *"))
}

fn rate_millis(text: &str) -> Option<i64> {
    let (number, unit) = text.split_once(' ')?;
    let number: i64 = number.parse().ok().filter(|number| *number > 0)?;
    let of_unit = match (number, unit.trim()) {
        (1, "minute") | (2.., "minutes") => 60_000,
        (1, "hour") | (2.., "hours") => HOUR_MS,
        (1, "day") | (2.., "days") => DAY_MS,
        _ => return None,
    };
    number.checked_mul(of_unit).filter(|millis| *millis <= RATE_MAX_MS)
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Schedule {}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A time zone by its IANA name.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of this name.
    pub fn find(name: &str) -> Result<Self, ScheduleError> {
        TimeZone::get(name).map(Self).map_err(|_| ScheduleError::Zone { name: name.chars().take(60).collect() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// An instant as people there write it: `2026-12-06 02:00 Europe/Berlin`.
    pub fn words(&self, at: Timestamp) -> String {
        format!("{} {}", self.local(at).strftime("%Y-%m-%d %H:%M"), self.name())
    }

    fn local(&self, at: Timestamp) -> DateTime {
        let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
        self.0.to_datetime(instant)
    }

    /// The instant of a local time, by the rules above.
    fn instant(&self, local: DateTime) -> Option<Timestamp> {
        let ambiguous = self.0.to_ambiguous_timestamp(local);
        let instant = match ambiguous.offset() {
            AmbiguousOffset::Gap { .. } => self.0.preceding(ambiguous.later().ok()?).next()?.timestamp(),
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok()?,
        };
        Some(Timestamp::from_millis(instant.as_millisecond()))
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::find(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// When something recurs, as instants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recurrence {
    /// When, in local time.
    pub schedule: Schedule,
    /// Whose local time; `UTC` when absent.
    #[serde(default)]
    pub zone: Zone,
    /// Days after the day that a cron names: the second Tuesday and 4 days.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset_days: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(days: &u8) -> bool {
    *days == 0
}

impl Recurrence {
    /// Checks what the parts do not say alone.
    pub fn check(&self) -> Result<(), ScheduleError> {
        if self.offset_days > OFFSET_DAYS_MAX || (self.offset_days > 0 && !self.schedule.is_cron()) {
            return Err(ScheduleError::Offset { days: self.offset_days });
        }
        let never = || ScheduleError::Never { text: self.schedule.text.clone() };
        let start = Timestamp::from_millis(0);
        self.next_after(start, start).map(|_| ()).ok_or_else(never)
    }

    /// The first instant after this one. What began at `anchor` recurs from then on: rates count from it, and an offset
    /// follows no day that had passed by then.
    pub fn next_after(&self, after: Timestamp, anchor: Timestamp) -> Option<Timestamp> {
        match &self.schedule.kind {
            Kind::Rate(millis) => {
                let n = (after.as_millis() - anchor.as_millis()).div_euclid(*millis) + 1;
                Some(anchor.plus_millis(n.max(1).checked_mul(*millis)?))
            }
            Kind::At(at) => self.zone.instant(*at).filter(|at| *at > after),
            Kind::Cron(cron) => {
                let offset = i64::from(self.offset_days).days();
                let anchor = self.zone.local(anchor);
                let mut day = self.zone.local(after).checked_sub(offset).ok()?;
                for _ in 0..TRIES_MAX {
                    day = cron.find_next_occurrence(&day, false).ok()?;
                    if self.offset_days > 0 && day <= anchor {
                        continue;
                    }
                    let at = self.zone.instant(day.checked_add(offset).ok()?)?;
                    if at > after {
                        return Some(at);
                    }
                }
                None
            }
        }
    }

    /// In an English sentence.
    pub fn words(&self) -> String {
        let offset = match self.offset_days {
            0 => String::new(),
            1 => ", and 1 day".to_owned(),
            days => format!(", and {days} days"),
        };
        format!("{}{offset}, {}", self.schedule.words(), self.zone.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recurrence(schedule: &str, zone: &str, offset_days: u8) -> Recurrence {
        Recurrence { schedule: Schedule::parse(schedule).unwrap(), zone: Zone::find(zone).unwrap(), offset_days }
    }

    /// The next instants after one, in UTC.
    fn next(recurrence: &Recurrence, after: &str, n: usize) -> Vec<String> {
        let after = Timestamp::parse_rfc3339(after).unwrap();
        let times = std::iter::successors(Some(after), |at| recurrence.next_after(*at, after));
        times.skip(1).take(n).map(|at| at.to_string()).collect()
    }

    #[test]
    fn awss_grammar_and_plain_words_are_read() {
        let cases = [
            ("cron(0 2 ? * TUE#2 *)", "2026-12-08T02:00:00Z"),
            ("cron(0 16 ? * 3 *)", "2026-12-01T16:00:00Z"),
            ("cron(0/15 * * * ? *)", "2026-11-26T16:15:00Z"),
            ("cron(0 3 L * ? *)", "2026-11-30T03:00:00Z"),
            ("cron(0 9 15W * ? *)", "2026-12-15T09:00:00Z"),
            ("cron(0 18 ? * 6L 2027)", "2027-01-29T18:00:00Z"),
            ("cron(30 0 2 ? * SUN *)", "2026-11-29T02:00:30Z"),
            ("rate(30 minutes)", "2026-11-26T16:30:00Z"),
            ("rate(1 day)", "2026-11-27T16:00:00Z"),
            ("at(2026-12-24T06:00:00)", "2026-12-24T06:00:00Z"),
            ("daily 01:00", "2026-11-27T01:00:00Z"),
            ("weekly SUN 02:30", "2026-11-29T02:30:00Z"),
            ("weekly MON,WED 02:30", "2026-11-30T02:30:00Z"),
            ("monthly TUE#2 02:00", "2026-12-08T02:00:00Z"),
            ("monthly 1 02:00", "2026-12-01T02:00:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(next(&recurrence(text, "UTC", 0), "2026-11-26T16:00:00Z", 1), [expected], "{text}");
        }
    }

    #[test]
    fn what_is_no_schedule_says_why() {
        let why = |text: &str| Schedule::parse(text).unwrap_err().to_string();
        assert!(why("sometimes").starts_with("`sometimes` is no schedule: write `daily 02:00`"), "{}", why("sometimes"));
        assert!(why("daily 25:00").contains("is no schedule"));
        assert!(why("rate(1 days)").contains("is no schedule"));
        assert!(why("cron(0 2 * * SUN *)").contains("must be `?`"), "{}", why("cron(0 2 * * SUN *)"));
        assert!(why("cron(0 2 * *)").contains("4 fields are not 6"));
        assert!(why("cron(61 2 ? * SUN *)").contains("does not read"));
        assert_eq!(why("cron(* * * * ? *)"), "`cron(* * * * ? *)` recurs faster than every 5 minutes");
        assert_eq!(why("rate(4 minutes)"), "`rate(4 minutes)` recurs faster than every 5 minutes");
        assert_eq!(recurrence("cron(0 0 30 2 ? *)", "UTC", 0).check().unwrap_err().to_string(), "`cron(0 0 30 2 ? *)` never comes");
        assert!(recurrence("rate(1 day)", "UTC", 2).check().is_err() && recurrence("daily 01:00", "UTC", 7).check().is_err());
        assert_eq!(Zone::find("Europe/Atlantis").unwrap_err().to_string(), "`Europe/Atlantis` is no time zone such as `Europe/Berlin` or `UTC`");
    }

    #[test]
    fn a_skipped_time_runs_after_the_gap_and_a_repeated_one_once() {
        // 02:00 to 03:00 is skipped in spring and repeated in autumn; in Lord Howe it is half an hour.
        let cases = [
            ("Europe/Berlin", "2027-03-27T12:00:00Z", ["2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]),
            ("Europe/Berlin", "2027-10-30T12:00:00Z", ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]),
            ("America/New_York", "2027-03-13T12:00:00Z", ["2027-03-14T07:00:00Z", "2027-03-15T06:30:00Z"]),
            ("America/New_York", "2027-11-06T18:00:00Z", ["2027-11-07T07:30:00Z", "2027-11-08T07:30:00Z"]),
            ("Australia/Lord_Howe", "2026-10-03T10:00:00Z", ["2026-10-03T15:30:00Z", "2026-10-04T15:30:00Z"]),
        ];
        for (zone, after, expected) in cases {
            assert_eq!(next(&recurrence("daily 02:30", zone, 0), after, 2), expected, "{zone} {after}");
        }
        let often = next(&recurrence("cron(0/30 * * * ? *)", "Europe/Berlin", 0), "2027-10-31T00:00:00Z", 4);
        assert_eq!(often, ["2027-10-31T00:30:00Z", "2027-10-31T02:00:00Z", "2027-10-31T02:30:00Z", "2027-10-31T03:00:00Z"], "the hour that comes twice runs once");
    }

    #[test]
    fn an_offset_follows_the_day_and_no_day_that_had_passed() {
        let patch_tuesday = recurrence("cron(0 2 ? * TUE#2 *)", "UTC", 4);
        assert_eq!(next(&patch_tuesday, "2026-12-01T00:00:00Z", 2), ["2026-12-12T02:00:00Z", "2027-01-16T02:00:00Z"]);
        // Made on the Wednesday after it: the run on Saturday is left out.
        assert_eq!(next(&patch_tuesday, "2026-12-09T00:00:00Z", 1), ["2027-01-16T02:00:00Z"]);
    }

    #[test]
    fn words_are_for_people() {
        assert_eq!(recurrence("weekly SUN 02:00", "Europe/Berlin", 0).words(), "At 02:00, on Sunday, Europe/Berlin");
        assert_eq!(recurrence("cron(0 2 ? * TUE#2 *)", "UTC", 4).words(), "At 02:00, on the 2nd Tuesday of the month, and 4 days, UTC");
        let zone = Zone::find("Europe/Berlin").unwrap();
        assert_eq!(zone.words(Timestamp::parse_rfc3339("2026-12-06T01:00:00Z").unwrap()), "2026-12-06 02:00 Europe/Berlin");
    }
}
