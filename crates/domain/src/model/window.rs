//! Maintenance windows: recurring times in which change is allowed, and tasks that begin when they open. Names and
//! meaning are those of AWS Systems Manager.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::intent::check_text;
use crate::model::schedule::{Recurrence, Schedule, Zone};
use crate::model::selector::Selector;
use crate::model::time::{HOUR_MS, Timestamp};

/// The version of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WindowSchema {
    /// The first.
    #[serde(rename = "window/v1")]
    V1,
}

/// A maintenance window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// `window/v1`.
    pub schema: WindowSchema,
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// When it opens.
    pub schedule: Schedule,
    /// Whose local time; `UTC` when absent.
    #[serde(default)]
    pub zone: Zone,
    /// Days after the day that the schedule names, 1 to 6.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset_days: u8,
    /// How long it is open, 1 to 24.
    pub duration_hours: u8,
    /// How long before its end nothing more begins.
    #[serde(default)]
    pub cutoff_hours: u8,
    /// It does not open before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// It does not open after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// Whether it opens at all.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
    /// What becomes of an opening that nobody attended, because no server ran.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// What begins when it opens; policies may use a window without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<WindowTask>,
}

/// What begins when a window opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowTask {
    /// Its name.
    pub name: String,
    /// What is done.
    pub kind: TaskKind,
    /// On which nodes.
    pub targets: Selector,
    /// 0 comes first; equal ones begin together, higher ones when those before them have ended.
    #[serde(default)]
    pub priority: u8,
    /// How many nodes are at work at once: a number or a share such as `10%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<String>,
    /// How many nodes may fail before no more begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<String>,
    /// What becomes of work that runs at the cutoff.
    #[serde(default)]
    pub cutoff: CutoffBehavior,
}

/// What a task of a window does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskKind {
    /// Nodes report what they have.
    Scan,
    /// Nodes install what they lack.
    Install,
}

/// What becomes of work that runs when nothing more may begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CutoffBehavior {
    /// It goes on, past the end too.
    #[default]
    ContinueTask,
    /// It stops at the end of its step.
    CancelTask,
}

/// What becomes of a time that nobody attended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CatchUp {
    /// It is left out.
    #[default]
    Skip,
    /// It comes at once, as long as it would have been.
    RunAtOnce,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_yes(enabled: &bool) -> bool {
    *enabled
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(days: &u8) -> bool {
    *days == 0
}

/// One opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Opening {
    /// Since when it is open.
    pub opens_at: Timestamp,
    /// From then on nothing begins.
    pub begins_until: Timestamp,
    /// Its end.
    pub closes_at: Timestamp,
}

impl Opening {
    /// Whether something may begin.
    pub fn lets_begin(&self, now: Timestamp) -> bool {
        self.opens_at <= now && now < self.begins_until
    }
}

impl Window {
    /// When it opens.
    pub fn recurrence(&self) -> Recurrence {
        Recurrence { schedule: self.schedule.clone(), zone: self.zone.clone(), offset_days: self.offset_days }
    }

    /// The opening that begins at this instant.
    pub fn opening_at(&self, opens_at: Timestamp) -> Opening {
        let closes_at = opens_at.plus_millis(i64::from(self.duration_hours) * HOUR_MS);
        Opening { opens_at, begins_until: closes_at.plus_millis(-i64::from(self.cutoff_hours) * HOUR_MS), closes_at }
    }

    /// The first time after an instant at which it opens. It was made at `made_at`: rates count from there, or from the
    /// start that it was given when that is later, as in AWS.
    pub fn next_after(&self, after: Timestamp, made_at: Timestamp) -> Option<Timestamp> {
        let anchor = self.starts_at.map_or(made_at, |starts_at| starts_at.max(made_at));
        let after = self.starts_at.map_or(after, |starts_at| after.max(starts_at.plus_millis(-1)));
        let next = self.recurrence().next_after(after, anchor)?;
        (self.enabled && self.ends_at.is_none_or(|ends_at| next <= ends_at)).then_some(next)
    }

    /// The opening that lets something begin now, else the next one.
    pub fn current_or_next(&self, now: Timestamp, made_at: Timestamp) -> Option<Opening> {
        let open_for = i64::from(self.duration_hours - self.cutoff_hours.min(self.duration_hours)) * HOUR_MS;
        // The latest opening that is not over: windows may open again before they close.
        let mut found = None;
        let mut after = now.plus_millis(-open_for);
        while let Some(opens_at) = self.next_after(after, made_at) {
            if opens_at > now {
                return found.or(Some(opens_at)).map(|opens_at| self.opening_at(opens_at));
            }
            found = Some(opens_at);
            after = opens_at;
        }
        found.map(|opens_at| self.opening_at(opens_at))
    }

    /// What is not possible in it, a sentence each.
    pub fn check(&self, wrong: &mut Vec<String>) {
        if let Err(error) = self.recurrence().check() {
            wrong.push(format!("schedule: {error}"));
        }
        if !(1..=24).contains(&self.duration_hours) {
            wrong.push(format!("duration_hours {} is not from 1 to 24", self.duration_hours));
        }
        if self.cutoff_hours >= self.duration_hours {
            wrong.push(format!("cutoff_hours {} leaves none of the {} hours to begin anything", self.cutoff_hours, self.duration_hours));
        }
        if self.starts_at.zip(self.ends_at).is_some_and(|(starts_at, ends_at)| ends_at <= starts_at) {
            wrong.push("ends_at is not after starts_at".to_owned());
        }
        if self.tasks.len() > TASKS_MAX {
            wrong.push(format!("{} tasks are more than {TASKS_MAX}", self.tasks.len()));
        }
        for (at, task) in self.tasks.iter().enumerate() {
            check_text(&format!("tasks[{at}].name"), &task.name, 1, wrong);
            task.targets.check(&format!("tasks[{at}].targets"), wrong);
            crate::model::rollout::check_limits(&format!("tasks[{at}]"), task.concurrency.as_deref(), task.errors.as_deref(), wrong);
        }
    }
}

/// Most tasks of a window, as in AWS.
const TASKS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str) -> Window {
        serde_saphyr::from_str(&format!("schema: window/v1\nname: w\n{text}")).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_window_across_midnight_lets_work_begin_until_its_cutoff() {
        let window = window("schedule: daily 22:00\nzone: Europe/Berlin\nduration_hours: 6\ncutoff_hours: 1\n");
        let opening = |now: &str| window.current_or_next(at(now), at("2026-01-01T00:00:00Z")).unwrap();
        let night = opening("2026-11-27T01:00:00Z");
        assert_eq!((night.opens_at, night.begins_until, night.closes_at), (at("2026-11-26T21:00:00Z"), at("2026-11-27T02:00:00Z"), at("2026-11-27T03:00:00Z")));
        assert!(night.lets_begin(at("2026-11-27T01:59:59Z")) && !night.lets_begin(at("2026-11-27T02:00:00Z")));
        assert_eq!(opening("2026-11-27T02:00:00Z").opens_at, at("2026-11-27T21:00:00Z"));
        assert_eq!(opening("2026-11-26T21:00:00Z").opens_at, at("2026-11-26T21:00:00Z"));
    }

    #[test]
    fn dates_bound_it_and_a_rate_counts_from_its_start() {
        let made_at = at("2026-11-01T00:00:00Z");
        let bounded = window("schedule: rate(7 days)\nduration_hours: 2\nstarts_at: 2026-11-10T03:00:00Z\nends_at: 2026-11-30T00:00:00Z\n");
        assert_eq!(bounded.next_after(made_at, made_at), Some(at("2026-11-17T03:00:00Z")));
        assert_eq!(bounded.next_after(at("2026-11-24T03:00:00Z"), made_at), None);
        let off = window("schedule: daily 02:00\nduration_hours: 2\nenabled: false\n");
        assert_eq!(off.next_after(made_at, made_at), None);
    }

    #[test]
    fn what_is_impossible_is_named() {
        let mut wrong = Vec::new();
        window("schedule: daily 02:00\nduration_hours: 2\ncutoff_hours: 2\noffset_days: 9\nends_at: 2026-11-01T00:00:00Z\nstarts_at: 2026-12-01T00:00:00Z\n").check(&mut wrong);
        assert_eq!(
            wrong,
            [
                "schedule: an offset is from 1 to 6 days after the day of a cron expression, not 9",
                "cutoff_hours 2 leaves none of the 2 hours to begin anything",
                "ends_at is not after starts_at"
            ]
        );
    }
}
