//! Handlers of `/api/v1`, one file per resource.

pub mod activations;
pub mod baselines;
pub mod documents;
pub mod exceptions;
pub mod feeds;
pub mod health;
pub mod keys;
pub mod nodes;
pub mod operations;
pub mod organization;
pub mod patches;
pub mod sign_in_links;
pub mod summary;
