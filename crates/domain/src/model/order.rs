//! Orders: what the server asks of a node, as documents that are signed and expire.

use serde::{Deserialize, Serialize};

use crate::model::baseline::Source;
use crate::model::id::IdError;
use crate::model::plan::Terms;
use crate::model::time::Timestamp;
use crate::model::transaction::{Change, Transaction};

/// What a node is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// Collect the inventory and report it.
    Scan,
    /// Refresh the package lists first.
    Refresh,
    /// Report again what the server may have lost.
    Report,
    /// Have the certificate renewed.
    Renew,
    /// Stop for good.
    Retire,
    /// Say what installing these versions would do.
    Plan(InstallWork),
    /// Install these versions.
    Install(InstallWork),
    /// Stop the run of this operation, at the end of the step that it is in.
    Cancel,
    /// Trust other keys from now on.
    Trust {
        /// Keys that orders may be signed with, in hexadecimal digits.
        order_keys: Vec<String>,
        /// Certificates that the server may show, in PEM.
        authorities: String,
    },
}

/// What an install asks of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallWork {
    /// The exact versions.
    pub changes: Vec<Change>,
    /// The operation that is taken back: then the versions are those that the node had before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_back: Option<String>,
    /// How it is done.
    #[serde(flatten)]
    pub terms: Terms,
    /// What the package manager said that it would do, when someone agreed to it; without it the node asks again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Transaction>,
}

impl Task {
    /// The word shown to people and programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Refresh => "refresh",
            Self::Report => "report",
            Self::Renew => "renew",
            Self::Retire => "retire",
            Self::Plan(_) => "plan",
            Self::Install(_) => "install",
            Self::Cancel => "cancel",
            Self::Trust { .. } => "trust",
        }
    }

    /// The task with this word that needs nothing else said.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Scan, Self::Refresh, Self::Report, Self::Renew, Self::Retire].into_iter().find(|task| task.word() == word)
    }
}

/// One order. The bytes of its JSON are what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The operation that it is part of.
    pub operation_id: String,
    /// The node that it is for.
    pub node_id: String,
    /// Higher than that of every order before it.
    pub generation: u32,
    /// When it was made.
    pub issued_at: Timestamp,
    /// Until when it may be begun.
    pub expires_at: Timestamp,
    /// What to do.
    pub task: Task,
    /// Repositories that from now on take the place of the node's own while it is scanned and patched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// Repositories that are the node's only ones for good, as its policy says; those that it had come back without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<Source>,
}

/// Why a node refuses an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The signature is none of a key that the node trusts.
    #[error("the order is not signed by a key that this node trusts")]
    Forged,
    /// The signed bytes are no order.
    #[error("the signed bytes are no order: {detail}")]
    Unreadable {
        /// What is wrong.
        detail: String,
    },
    /// It is for another node.
    #[error("the order is for node {node_id}")]
    Foreign {
        /// The other node.
        node_id: String,
    },
    /// It was seen before, or one that came later was.
    #[error("the order has generation {generation}, and generation {seen} was seen")]
    Replayed {
        /// Its generation.
        generation: u32,
        /// The highest that was seen.
        seen: u32,
    },
    /// Its time is over.
    #[error("the order expired at {expires_at}")]
    Expired {
        /// When.
        expires_at: Timestamp,
    },
    /// The node's own configuration does not allow it.
    #[error("this node does not allow `{task}`")]
    NotAllowed {
        /// What was asked.
        task: String,
    },
    /// The id of its operation is none.
    #[error("the order names no operation")]
    NoOperation(#[from] IdError),
}

/// Whether a node takes an order that is signed by a key it trusts.
pub fn check(order: &Order, node_id: &str, seen: u32, now: Timestamp) -> Result<(), OrderError> {
    if order.node_id != node_id {
        return Err(OrderError::Foreign { node_id: order.node_id.chars().take(40).collect() });
    }
    if order.generation <= seen {
        return Err(OrderError::Replayed { generation: order.generation, seen });
    }
    if now >= order.expires_at {
        return Err(OrderError::Expired { expires_at: order.expires_at });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_replayed_and_expired_orders_are_refused() {
        let at = Timestamp::from_millis;
        let order = Order {
            operation_id: "op-1".into(),
            node_id: "mi-1".into(),
            generation: 5,
            issued_at: at(0),
            expires_at: at(100),
            task: Task::Scan,
            sources: Vec::new(),
            repositories: Vec::new(),
        };
        assert_eq!(check(&order, "mi-1", 4, at(99)), Ok(()));
        assert_eq!(check(&order, "mi-2", 4, at(99)), Err(OrderError::Foreign { node_id: "mi-1".into() }));
        assert_eq!(check(&order, "mi-1", 5, at(99)), Err(OrderError::Replayed { generation: 5, seen: 5 }));
        assert_eq!(check(&order, "mi-1", 4, at(100)), Err(OrderError::Expired { expires_at: at(100) }));
    }
}
