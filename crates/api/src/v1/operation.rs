//! Operations: requests for work on nodes.

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
    /// On which nodes, 1 to 1000 ids; an install takes 100.
    pub nodes: Vec<String>,
    /// What to install, for that kind: all that is missing when nothing is said.
    #[serde(default)]
    pub install: Option<InstallWish>,
}

/// What to install of what is missing, and what else may happen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallWish {
    /// Names of packages; `*` `?` `[…]` allowed; everything when empty.
    #[serde(default)]
    pub only: Vec<String>,
    /// `NONE`, `DEPENDENCIES` or `AS_PLANNED`; `DEPENDENCIES` when absent.
    #[serde(default)]
    pub allow: Option<String>,
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
    /// Install what is missing, in the exact versions that are known now.
    Install,
}

impl OperationKind {
    /// The spelling of the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Refresh => "refresh",
            Self::Report => "report",
            Self::Renew => "renew",
            Self::Install => "install",
        }
    }
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
    /// Each node's part.
    pub invocations: Vec<Invocation>,
}

/// One node's part of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invocation {
    /// The node's id.
    pub node_id: String,
    /// PENDING, RUNNING, SUCCEEDED or FAILED.
    pub state: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// What there is to say about it.
    pub message: Option<String>,
}
