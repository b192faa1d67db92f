//! Activations: codes that let nodes enroll.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An activation, without its code: that is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Activation {
    /// Its id, `av-…`.
    pub id: String,
    /// What it is for.
    pub description: String,
    /// Name of the account that nodes enroll into.
    pub account: String,
    /// Name of the region.
    pub region: String,
    /// Tags that nodes get.
    pub tags: BTreeMap<String, String>,
    /// How many nodes it lets in.
    pub node_limit: u32,
    /// How many came.
    pub n_enrolled: u32,
    /// open, expired, used up or revoked.
    pub state: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: String,
    /// Until when it is good.
    pub expires_at: String,
}

/// An activation to make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateActivation {
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Name or id of the account; the default one when absent.
    #[serde(default)]
    pub account: Option<String>,
    /// Name or id of the region; the default one when absent.
    #[serde(default)]
    pub region: Option<String>,
    /// Tags that nodes get.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// How many nodes it lets in; 1 when absent.
    #[serde(default)]
    pub node_limit: Option<u32>,
    /// For how many days it is good, 1 to 365; 1 when absent.
    #[serde(default)]
    pub expires_days: Option<u32>,
}

/// A made activation with its code, which is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedActivation {
    /// The activation.
    #[serde(flatten)]
    pub activation: Activation,
    /// The code for `fettle agent enroll --activation`.
    pub code: String,
    /// The whole command for a node.
    pub command: String,
}
