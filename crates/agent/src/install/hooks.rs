//! Programs that a node's administrator lets runs call by name: to drain a node, to test it, to tell someone.

use std::time::Duration;

use domain::model::receipt::HookRun;
use domain::model::run::{Run, Step};
use serde::{Deserialize, Serialize};

use super::{Event, Surroundings};
use crate::command::{self, CommandError};

/// Longest output that is kept, in bytes: the end of it.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;

/// A program and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Its path and its arguments.
    pub program: Vec<String>,
    /// Seconds until it is ended.
    #[serde(default = "ten_minutes")]
    pub timeout_seconds: u32,
}

fn ten_minutes() -> u32 {
    600
}

/// Runs the hook of a step. What describes the run is in its environment: `FETTLE_OPERATION`, `FETTLE_STEP`,
/// `FETTLE_ATTEMPT` (more than 1 when the agent ended in the middle), `FETTLE_OUTCOME` (so far), `FETTLE_PACKAGES`.
pub fn run(run: &Run, step: Step, name: &str, around: &Surroundings<'_>) -> HookRun {
    let outcome = match &run.stopped {
        None => "good".to_owned(),
        Some(outcome) => outcome.words().unwrap_or_else(|| "good".to_owned()),
    };
    let packages = run.plan.iter().flat_map(|plan| &plan.changes).map(|change| format!("{}={}", change.name, change.version)).collect::<Vec<_>>().join(" ");
    let environment = [
        ("FETTLE_OPERATION", run.operation_id.clone()),
        ("FETTLE_STEP", step.word().to_owned()),
        ("FETTLE_ATTEMPT", run.record(step).map_or(1, |record| record.n_attempts).to_string()),
        ("FETTLE_OUTCOME", outcome),
        ("FETTLE_PACKAGES", packages),
    ];
    let Some(hook) = around.hooks.get(name).filter(|_| around.allows.hooks) else {
        return HookRun { hook: name.to_owned(), step, code: None, output: "this node's configuration has no such hook, or allows none".to_owned() };
    };
    let patience = Duration::from_secs(hook.timeout_seconds.into());
    let ran = command::hook(&hook.program, &environment, patience, &mut |line| (around.watch)(Event::Line(line.to_owned(), None)));
    let (code, output) = match ran {
        Ok(output) => (output.code, super::receipt::end_of(&output.stdout, OUTPUT_BYTES_MAX).to_owned()),
        Err(error) => (None, describe(&error)),
    };
    HookRun { hook: name.to_owned(), step, code, output }
}

fn describe(error: &CommandError) -> String {
    match error {
        CommandError::TimedOut { seconds, .. } => format!("it did not end within {seconds} s and was ended"),
        error => error.to_string(),
    }
}
