//! The wire contract: types of requests and answers, error codes, cursors, and a typed client.

pub mod agent_v1;
#[cfg(feature = "client")]
pub mod client;
pub mod error;
pub mod page;
pub mod v1;
