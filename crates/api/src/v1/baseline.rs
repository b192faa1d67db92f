//! Baselines.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A baseline as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Baseline {
    /// Its id, `pb-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The operating system, such as DEBIAN.
    pub operating_system: String,
    /// Whether it ships with Fettle and cannot be edited.
    pub predefined: bool,
}

/// A baseline with its rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BaselineDetail {
    /// The baseline.
    #[serde(flatten)]
    pub baseline: Baseline,
    /// Its rules in sentences.
    pub explanation: Vec<String>,
    /// The document, as `fettle scan --baseline` reads it.
    #[schema(value_type = Object)]
    pub document: serde_json::Value,
}
