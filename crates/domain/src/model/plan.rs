//! What shall be done to one node: a plan is made before anything changes.

use serde::{Deserialize, Serialize};

use crate::model::time::Timestamp;
use crate::model::transaction::{Change, Transaction};

/// The version of plans and receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlanSchema {
    /// The first.
    #[serde(rename = "plan/v1")]
    V1,
}

/// What shall be done to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The version of the document.
    pub schema: PlanSchema,
    /// The exact versions that are asked for.
    pub changes: Vec<Change>,
    /// How it is carried out.
    #[serde(flatten)]
    pub terms: Terms,
    /// What the package manager said that it would do, when the plan was made.
    pub transaction: Transaction,
    /// What would follow from it.
    #[serde(default)]
    pub foreseen: Foreseen,
    /// When it was made.
    pub made_at: Timestamp,
}

/// What would follow from a transaction, as far as that can be told beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreseen {
    /// KiB to download, where the package manager says it.
    #[serde(default)]
    pub download_kib: Option<u64>,
    /// Services that run code of what is replaced.
    #[serde(default)]
    pub services: Vec<String>,
    /// Packages that are in effect only after a reboot.
    #[serde(default)]
    pub reboot: Vec<String>,
}

/// How a plan is carried out, beside what it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// What else may happen.
    pub extra: Extra,
    /// Whether the node boots afterwards.
    #[serde(default)]
    pub reboot: RebootRule,
    /// What becomes of services that still run replaced code.
    #[serde(default)]
    pub services: ServiceRule,
    /// Programs that the node runs before, after and at the end.
    #[serde(default)]
    pub hooks: Hooks,
    /// What becomes of configuration files that an owner changed.
    #[serde(default)]
    pub config_files: ConfigFiles,
    /// What becomes of the rest when a package fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Whether an installation of before that did not end is finished first.
    #[serde(default)]
    pub recover: bool,
    /// Whether other updaters stand still meanwhile.
    #[serde(default)]
    pub pause_updaters: bool,
    /// Nothing changes before this; what is needed is downloaded before.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// Nothing is begun that would not end by then.
    #[serde(default)]
    pub ends_by: Option<Timestamp>,
}

/// What may happen beside what is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Extra {
    /// Nothing.
    None,
    /// Packages that are needed come in, and others that are needed newer are upgraded; nothing goes.
    #[default]
    Dependencies,
    /// All that the plan shows, packages that go included.
    AsPlanned,
}

/// Whether a node boots when the work is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RebootRule {
    /// It does not.
    #[default]
    Never,
    /// When something is in effect only after a boot.
    IfNeeded,
    /// In any case.
    Always,
    /// At this time, when something is in effect only after a boot.
    At(Timestamp),
}

/// What becomes of services that still run replaced code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceRule {
    /// They are listed.
    #[default]
    Leave,
    /// They are restarted, but for those that others cannot do without.
    Restart,
}

/// What becomes of configuration files that an owner changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConfigFiles {
    /// They stay; the new versions are put beside them.
    #[default]
    Keep,
    /// The new versions take their place; those of the owner are put beside them.
    Replace,
}

/// What becomes of the rest when a package fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OnFailure {
    /// It is not begun.
    #[default]
    Stop,
    /// It is tried, one by one.
    GoOn,
}

/// Names of programs that the node's own configuration allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    /// Before anything changes; its failure keeps the node as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// When everything is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At the end, whatever came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_exit: Option<String>,
}

impl Hooks {
    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [&self.before, &self.after, &self.at_exit].into_iter().flatten().map(String::as_str)
    }
}
