//! The organization: units, accounts and regions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The whole tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Organization {
    /// Units; the root has no parent.
    pub units: Vec<Member>,
    /// Accounts, each in a unit.
    pub accounts: Vec<Member>,
    /// Regions.
    pub regions: Vec<Member>,
}

/// A unit, an account or a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Id of the unit that holds it.
    pub unit_id: Option<String>,
    /// Nodes of an account that are not retired.
    pub n_nodes: Option<u32>,
}

/// Kinds of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberKind {
    /// A unit.
    Unit,
    /// An account.
    Account,
    /// A region.
    Region,
}

/// A unit, an account or a region to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateMember {
    /// What it is.
    pub kind: MemberKind,
    /// Its name.
    pub name: String,
    /// Name or id of the unit that holds it; the root when absent. Regions have none.
    #[serde(default)]
    pub unit: Option<String>,
}

/// A unit or an account to move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveMember {
    /// Name or id of the unit or account.
    pub member: String,
    /// Name or id of the unit that is to hold it.
    pub unit: String,
}

/// Nodes to move into another account or region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveNodes {
    /// Ids of the nodes.
    pub nodes: Vec<String>,
    /// Name or id of the account; absent when it stays.
    #[serde(default)]
    pub account: Option<String>,
    /// Name or id of the region; absent when it stays.
    #[serde(default)]
    pub region: Option<String>,
}
