//! Keys of the installation.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Keys that can be rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// The key that signs orders.
    Orders,
    /// The authority that issues certificates.
    Authority,
}

/// A key to rotate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// Which.
    pub kind: KeyKind,
}

/// What became of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RotatedKey {
    /// Name of the new key.
    pub key: String,
    /// Nodes that are told to trust it.
    pub n_nodes: usize,
}
