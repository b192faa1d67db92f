//! A run of a plan on its node, as it is kept between its steps: whatever ends the agent or the machine, the next
//! agent knows what was done.

use serde::{Deserialize, Serialize};

use crate::model::order::InstallWork;
use crate::model::package::InstalledPackage;
use crate::model::plan::Plan;
use crate::model::receipt::{HookRun, Outcome, ServiceRestart, WayBack};
use crate::model::time::Timestamp;

/// What is done one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Look for what stands in the way, and ask the package manager what it would do.
    Check,
    /// The hook before.
    HookBefore,
    /// Download.
    Download,
    /// Keep what is needed to go back.
    KeepWayBack,
    /// Install.
    Apply,
    /// The hook after.
    HookAfter,
    /// Restart services that run replaced code.
    RestartServices,
    /// Boot.
    Reboot,
    /// Read what is installed and what runs.
    Prove,
    /// The hook at the end.
    HookAtExit,
}

impl Step {
    /// In their order.
    pub const ALL: [Self; 10] =
        [Self::Check, Self::HookBefore, Self::Download, Self::KeepWayBack, Self::Apply, Self::HookAfter, Self::RestartServices, Self::Reboot, Self::Prove, Self::HookAtExit];

    /// For programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::HookBefore => "hook_before",
            Self::Download => "download",
            Self::KeepWayBack => "keep_way_back",
            Self::Apply => "apply",
            Self::HookAfter => "hook_after",
            Self::RestartServices => "restart_services",
            Self::Reboot => "reboot",
            Self::Prove => "prove",
            Self::HookAtExit => "hook_at_exit",
        }
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Check => "looking for what stands in the way",
            Self::HookBefore => "running the hook before",
            Self::Download => "downloading",
            Self::KeepWayBack => "keeping what is needed to go back",
            Self::Apply => "installing",
            Self::HookAfter => "running the hook after",
            Self::RestartServices => "restarting services",
            Self::Reboot => "rebooting",
            Self::Prove => "reading what is installed and what runs",
            Self::HookAtExit => "running the hook at the end",
        }
    }
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Which.
    pub step: Step,
    /// When it began, the first time.
    pub started_at: Timestamp,
    /// When it ended; nothing while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How long it took in all, in milliseconds.
    #[serde(default)]
    pub took_ms: i64,
    /// How often it was begun: more than once when the agent or the machine ended in the middle.
    pub n_attempts: u32,
    /// Why it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// How far a run is, for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// When that was said.
    pub at: Timestamp,
    /// How much of it is done, when that can be told.
    #[serde(default)]
    pub percent: Option<u8>,
    /// The last lines that the package manager or a hook printed.
    #[serde(default)]
    pub lines: Vec<String>,
    /// It is not begun before this.
    #[serde(default)]
    pub waits_until: Option<Timestamp>,
    /// The node is down, and expected back by this.
    #[serde(default)]
    pub back_by: Option<Timestamp>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The operation that it is part of.
    pub operation_id: String,
    /// What was ordered.
    pub work: InstallWork,
    /// When it began.
    pub started_at: Timestamp,
    /// The plan, once there is one.
    #[serde(default)]
    pub plan: Option<Plan>,
    /// What was installed before anything changed.
    #[serde(default)]
    pub before: Vec<InstalledPackage>,
    /// How many of the changes were not there at the start.
    #[serde(default)]
    pub n_open: usize,
    /// Its steps so far.
    #[serde(default)]
    pub steps: Vec<StepRecord>,
    /// What ended it before its time.
    #[serde(default)]
    pub stopped: Option<Outcome>,
    /// Whether someone asked it to stop.
    #[serde(default)]
    pub cancelled: bool,
    /// The boot in which a reboot was asked for.
    #[serde(default)]
    pub left_boot: Option<String>,
    /// Units of other updaters that stand still.
    #[serde(default)]
    pub paused: Vec<String>,
    /// New versions of configuration files that lay beside changed ones before.
    #[serde(default)]
    pub config_files: Vec<String>,
    /// What hooks said.
    #[serde(default)]
    pub hooks: Vec<HookRun>,
    /// Services that were restarted.
    #[serde(default)]
    pub services: Vec<ServiceRestart>,
    /// What leads back.
    #[serde(default)]
    pub way_back: WayBack,
    /// The package manager's words.
    #[serde(default)]
    pub log: String,
    /// Whether its last call failed, by its own account.
    #[serde(default)]
    pub tool_failed: bool,
}

impl Run {
    /// One that is about to begin.
    pub fn new(operation_id: String, work: InstallWork, now: Timestamp) -> Self {
        Self {
            operation_id,
            work,
            started_at: now,
            plan: None,
            before: Vec::new(),
            n_open: 0,
            steps: Vec::new(),
            stopped: None,
            cancelled: false,
            left_boot: None,
            paused: Vec::new(),
            config_files: Vec::new(),
            hooks: Vec::new(),
            services: Vec::new(),
            way_back: WayBack::default(),
            log: String::new(),
            tool_failed: false,
        }
    }

    /// The record of a step.
    pub fn record(&self, step: Step) -> Option<&StepRecord> {
        self.steps.iter().find(|record| record.step == step)
    }

    /// Whether a step was begun.
    pub fn has_begun(&self, step: Step) -> bool {
        self.record(step).is_some_and(|record| record.skipped.is_none())
    }

    /// Whether a step has ended, or was left out.
    pub fn has_ended(&self, step: Step) -> bool {
        self.record(step).is_some_and(|record| record.ended_at.is_some())
    }

    /// Begins a step, perhaps once more.
    pub fn begin(&mut self, step: Step, now: Timestamp) {
        match self.steps.iter_mut().find(|record| record.step == step) {
            Some(record) => record.n_attempts += 1,
            None => self.steps.push(StepRecord { step, started_at: now, ended_at: None, took_ms: 0, n_attempts: 1, skipped: None }),
        }
    }

    /// Ends the step that goes on.
    pub fn end(&mut self, now: Timestamp) {
        if let Some(record) = self.steps.last_mut() {
            record.took_ms = now.as_millis() - record.started_at.as_millis();
            record.ended_at = Some(now);
        }
    }

    /// Leaves a step out.
    pub fn skip(&mut self, step: Step, why: String, now: Timestamp) {
        self.begin(step, now);
        if let Some(record) = self.steps.iter_mut().find(|record| record.step == step) {
            (record.ended_at, record.skipped) = (Some(now), Some(why));
        }
    }
}
