//! Handlers of `/api/v1`, one file per resource.

pub mod baselines;
pub mod health;
pub mod nodes;
pub mod operations;
pub mod patches;
pub mod sign_in_links;
pub mod summary;
