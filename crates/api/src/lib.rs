//! The wire contract: types of requests and answers, error codes, cursors, and a typed client.

#[cfg(feature = "client")]
pub mod client;
pub mod error;
pub mod page;
pub mod v1;
