//! Operations: requests for work on nodes.

use std::collections::BTreeMap;

use domain::model::rollout::Rollout;
use domain::model::selector::Selector;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most nodes of one request.
pub const NODES_MAX: usize = 1000;

/// A request for work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOperation {
    /// What is to be done.
    pub kind: OperationKind,
    /// On which nodes, 1 to 1000 ids. Of a rollback all that the operation was for, when empty.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// Or on all that these say: units, accounts, regions, tags, operating systems, as in a policy. Nodes that lack nothing or
    /// do not allow it are left out.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub targets: Option<Selector>,
    /// What to install, and how: for a plan and an install. All that is missing when nothing is said.
    #[serde(default)]
    pub install: Option<InstallWish>,
    /// The operation that a rollback takes back.
    #[serde(default)]
    pub rollback_of: Option<String>,
    /// How many nodes are at work at once, as a number or a share such as `10%`. Without it, for an install and a rollback: 1 of
    /// fewer than 25 nodes, 5 % of up to 100, as AWS's Patch now; for other kinds all.
    #[serde(default)]
    pub concurrency: Option<String>,
    /// How many nodes may fail, as a number or a share; one more, and no further node begins. Without it, for an install and a
    /// rollback: 1 of fewer than 25 nodes, 5 of up to 100.
    #[serde(default)]
    pub errors: Option<String>,
    /// How an install or a rollback goes over its nodes: rings, soaks, gates, as in a policy.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub rollout: Option<Rollout>,
    /// Soaks are short, and freezes are overridden when a second person agrees.
    #[serde(default)]
    pub emergency: bool,
    /// Nothing begins before a second person agrees.
    #[serde(default)]
    pub needs_approval: bool,
    /// Names of the windows inside which alone nodes begin.
    #[serde(default)]
    pub windows: Vec<String>,
    /// Minutes after which nothing more begins; a day when absent.
    #[serde(default)]
    pub within_minutes: Option<u32>,
}

impl CreateOperation {
    /// Work of a kind that needs nothing else said.
    pub fn new(kind: OperationKind, nodes: Vec<String>) -> Self {
        Self {
            kind,
            nodes,
            targets: None,
            install: None,
            rollback_of: None,
            concurrency: None,
            errors: None,
            rollout: None,
            emergency: false,
            needs_approval: false,
            windows: Vec::new(),
            within_minutes: None,
        }
    }
}

/// What to install, what else may happen, and how it is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallWish {
    /// Packages, advisories or CVEs, as in the lists of a baseline: of what is missing only these; everything when empty.
    #[serde(default)]
    pub only: Vec<String>,
    /// An install override list of AWS Patch Manager, in YAML: these versions, whatever the baseline says.
    #[serde(default)]
    pub override_list: Option<String>,
    /// The plan operation that was agreed to: exactly that is done, by the nodes that it was made for.
    #[serde(default)]
    pub plan: Option<String>,
    /// `NONE`, `DEPENDENCIES` or `AS_PLANNED`; `DEPENDENCIES` when absent.
    #[serde(default)]
    pub allow: Option<String>,
    /// `IF_NEEDED`, `NEVER`, `ALWAYS`, or a time such as `2026-12-01T02:00:00Z`, at which nodes boot that need it; `IF_NEEDED` when
    /// absent.
    #[serde(default)]
    pub reboot: Option<String>,
    /// `RESTART` or `LEAVE`: what becomes of services that still run replaced code; `RESTART` when absent.
    #[serde(default)]
    pub services: Option<String>,
    /// Names of hooks in the configuration of the nodes.
    #[serde(default)]
    pub hooks: HookNames,
    /// `KEEP` or `REPLACE`: what becomes of configuration files that an owner changed, where the package manager can be told;
    /// `KEEP` when absent.
    #[serde(default)]
    pub config_files: Option<String>,
    /// `STOP` or `GO_ON`: what becomes of the rest when a package fails; `STOP` when absent.
    #[serde(default)]
    pub on_failure: Option<String>,
    /// Whether an installation of before that did not end is finished first.
    #[serde(default)]
    pub recover: bool,
    /// Whether other updaters stand still meanwhile.
    #[serde(default)]
    pub pause_updaters: bool,
    /// Nothing changes before this time; packages are downloaded before.
    #[serde(default)]
    pub not_before: Option<String>,
    /// Nothing is begun that would not end by this time.
    #[serde(default)]
    pub ends_by: Option<String>,
}

/// Hooks by when they run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HookNames {
    /// Before anything changes; its failure keeps the node as it is.
    #[serde(default)]
    pub before: Option<String>,
    /// When everything is installed.
    #[serde(default)]
    pub after: Option<String>,
    /// At the end, whatever came of it.
    #[serde(default)]
    pub at_exit: Option<String>,
}

/// Kinds of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Report the inventory and judge it.
    Scan,
    /// Refresh the package lists first, then the same.
    Refresh,
    /// Report everything again.
    Report,
    /// Have the node's certificate renewed.
    Renew,
    /// Say what an install would do on each node.
    Plan,
    /// Install what is missing, in the exact versions that are known now.
    Install,
    /// Bring back the versions of before an install, and hold those of it back from coming again.
    Rollback,
}

impl OperationKind {
    /// The spelling of the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Refresh => "refresh",
            Self::Report => "report",
            Self::Renew => "renew",
            Self::Plan => "plan",
            Self::Install => "install",
            Self::Rollback => "rollback",
        }
    }
}

/// An operation in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListedOperation {
    /// Its id, `op-…`.
    pub id: String,
    /// What is to be done.
    pub kind: String,
    /// Who asked.
    pub requested_by: String,
    /// When.
    pub requested_at: String,
    /// The policy or window that it is of.
    pub policy: Option<String>,
    /// `RUNNING`, `PAUSED`, `HALTED`, `WAITING_FOR_APPROVAL` or `ENDED`.
    pub state: String,
    /// How many nodes are in each state.
    pub nodes: BTreeMap<String, u32>,
}

/// An operation with its part on each node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Its id, `op-…`.
    pub id: String,
    /// What is to be done.
    pub kind: String,
    /// Who asked.
    pub requested_by: String,
    /// When.
    pub requested_at: String,
    /// The policy or window that it is of, and its version.
    pub policy: Option<String>,
    /// `RUNNING`, `PAUSED`, `HALTED`, `WAITING_FOR_APPROVAL` or `ENDED`.
    pub state: String,
    /// Why it halted itself, and what to do.
    pub halted: Option<HaltedOperation>,
    /// After this nothing begins.
    pub ends_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Its rings, in order; none when every node may begin at once.
    pub rings: Vec<RingToday>,
    /// Each node's part.
    pub invocations: Vec<Invocation>,
}

/// Why an operation halted itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HaltedOperation {
    /// When.
    pub at: String,
    /// Why.
    pub reason: String,
    /// What to do.
    pub mend: String,
}

/// A ring of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RingToday {
    /// Its name.
    pub name: String,
    /// `WAITING`, `RUNNING`, `SOAKING`, `AT_GATE`, `PASSED` or `SKIPPED`.
    pub state: String,
    /// The same in words, with what it waits for.
    pub words: String,
    /// How many nodes are at work at once.
    pub concurrency: u32,
    /// How many may fail.
    pub errors: u32,
    /// What its gate showed.
    pub gate: Option<String>,
    /// How many nodes it has.
    pub nodes: u32,
    /// How many are at work.
    pub at_work: u32,
    /// How many did what was asked.
    pub succeeded: u32,
    /// How many did not, those that are lost included.
    pub failed: u32,
    /// How many wait.
    pub waiting: u32,
}

/// Why a node waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    /// `APPROVAL`, `PAUSED`, `HALTED`, `OVER`, `RING`, `FROZEN`, `OUTSIDE_WINDOW`, `TOO_LATE`, `SILENT`, `BUSY`, `SPREAD`, `CONCURRENCY`,
    /// `FIRST_NODES` or `REBOOT_GROUP`.
    pub code: String,
    /// In words.
    pub words: String,
    /// When it ends by itself.
    pub ends_at: Option<String>,
}

/// One node's part of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invocation {
    /// The node's id.
    pub node_id: String,
    /// PENDING, RUNNING, SUCCEEDED, FAILED or CANCELLED.
    pub state: String,
    /// Its ring.
    pub ring: Option<String>,
    /// Why it waits, while it is PENDING and may not begin.
    pub hold: Option<Hold>,
    /// What the node is doing, in words, while it is RUNNING.
    pub doing: Option<String>,
    /// How far it is.
    pub progress: Option<Progress>,
    /// When the node took it.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// What there is to say about it.
    pub message: Option<String>,
}

/// How far a node is with a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// `check`, `hook_before`, `download`, `keep_way_back`, `apply`, `hook_after`, `restart_services`, `reboot`, `prove` or `hook_at_exit`.
    pub step: String,
    /// When it said so.
    pub at: String,
    /// How much of the step is done, when that can be told.
    pub percent: Option<u8>,
    /// The last lines that were printed.
    pub lines: Vec<String>,
    /// It is not begun before this.
    pub waits_until: Option<String>,
    /// The node is down for a boot, and expected back by this.
    pub back_by: Option<String>,
}
