//! Activations: codes that let nodes enroll into one account and region.

use std::collections::BTreeMap;

use crate::model::id::{AccountId, ActivationId, RegionId};
use crate::model::time::Timestamp;

/// A code that lets nodes enroll. The code itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// Its id.
    pub id: ActivationId,
    /// What it is for.
    pub description: String,
    /// Where nodes enroll.
    pub account_id: AccountId,
    /// In which region.
    pub region_id: RegionId,
    /// Tags that enrolled nodes get.
    pub tags: BTreeMap<String, String>,
    /// How many nodes it lets in.
    pub node_limit: u32,
    /// How many came.
    pub n_enrolled: u32,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Most nodes of one activation.
pub const NODE_LIMIT_MAX: u32 = 1_000_000;
/// Longest life of an activation, in days.
pub const LIFE_DAYS_MAX: u32 = 365;

/// Whether an activation lets nodes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivationState {
    /// It does.
    Open,
    /// Its time is over.
    Expired,
    /// As many nodes came as it lets in.
    UsedUp,
    /// Somebody ended it.
    Revoked,
}

impl ActivationState {
    /// The word shown to people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Expired => "expired",
            Self::UsedUp => "used up",
            Self::Revoked => "revoked",
        }
    }
}

impl Activation {
    /// Whether it lets nodes in at `now`.
    pub fn state(&self, now: Timestamp) -> ActivationState {
        if self.revoked_at.is_some() {
            ActivationState::Revoked
        } else if now >= self.expires_at {
            ActivationState::Expired
        } else if self.n_enrolled >= self.node_limit {
            ActivationState::UsedUp
        } else {
            ActivationState::Open
        }
    }
}
