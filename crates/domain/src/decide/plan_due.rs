//! What has become due: windows that open, policies whose time has come. Each keeps its next time, which is compared with
//! now, never matched by equality, so that a time at which no server ran is seen.

use crate::model::time::Timestamp;
use crate::model::window::CatchUp;

/// Something that recurs.
#[derive(Debug, Clone, Copy)]
pub struct Clockwork {
    /// Its next time, as it was kept.
    pub next_at: Timestamp,
    /// How long after its time it may still begin; after that it was missed.
    pub grace_ms: i64,
    /// What becomes of a missed time.
    pub catch_up: CatchUp,
    /// Whether what it began before goes on.
    pub is_running: bool,
}

/// What becomes of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// It has not come.
    NotYet,
    /// It begins, for its time.
    Begin(Timestamp),
    /// It begins now, though its time was missed.
    CatchUp(Timestamp),
    /// It was missed, and is left out.
    Missed(Timestamp),
    /// What began before still goes on: it is left out, as AWS's `SKIPPED_OVERLAPPING`.
    Overlaps(Timestamp),
}

/// What is due, and the time after it. `next_after` gives the first time after an instant; of several that were missed only
/// the last one counts.
pub fn plan_due(clockwork: &Clockwork, now: Timestamp, next_after: impl Fn(Timestamp) -> Option<Timestamp>) -> (Due, Option<Timestamp>) {
    if now < clockwork.next_at {
        return (Due::NotYet, Some(clockwork.next_at));
    }
    let mut last = clockwork.next_at;
    let next = loop {
        match next_after(last) {
            Some(next) if next <= now => last = next,
            next => break next,
        }
    };
    let due = if clockwork.is_running {
        Due::Overlaps(last)
    } else if now.as_millis() - last.as_millis() < clockwork.grace_ms {
        Due::Begin(last)
    } else if clockwork.catch_up == CatchUp::RunAtOnce {
        Due::CatchUp(last)
    } else {
        Due::Missed(last)
    };
    (due, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::schedule::{Recurrence, Schedule, Zone};
    use crate::model::time::HOUR_MS;

    #[test]
    fn late_missed_and_overlapping_times_are_told_apart() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
        let daily = Recurrence { schedule: Schedule::parse("daily 02:00").unwrap(), zone: Zone::default(), offset_days: 0 };
        let plan = |now: &str, catch_up: CatchUp, is_running: bool| {
            let clockwork = Clockwork { next_at: at("2026-12-01T02:00:00Z"), grace_ms: 3 * HOUR_MS, catch_up, is_running };
            plan_due(&clockwork, at(now), |after| daily.next_after(after, at("2026-11-01T00:00:00Z")))
        };
        let first = at("2026-12-01T02:00:00Z");
        let third = at("2026-12-03T02:00:00Z");
        assert_eq!(plan("2026-12-01T01:59:59Z", CatchUp::Skip, false), (Due::NotYet, Some(first)));
        assert_eq!(plan("2026-12-01T02:00:00Z", CatchUp::Skip, false), (Due::Begin(first), Some(at("2026-12-02T02:00:00Z"))));
        assert_eq!(plan("2026-12-01T04:59:59Z", CatchUp::Skip, false), (Due::Begin(first), Some(at("2026-12-02T02:00:00Z"))));
        // The server was away for two days: only the last time counts, once.
        assert_eq!(plan("2026-12-03T09:00:00Z", CatchUp::Skip, false), (Due::Missed(third), Some(at("2026-12-04T02:00:00Z"))));
        assert_eq!(plan("2026-12-03T09:00:00Z", CatchUp::RunAtOnce, false), (Due::CatchUp(third), Some(at("2026-12-04T02:00:00Z"))));
        assert_eq!(plan("2026-12-01T02:00:00Z", CatchUp::Skip, true), (Due::Overlaps(first), Some(at("2026-12-02T02:00:00Z"))));
    }
}
