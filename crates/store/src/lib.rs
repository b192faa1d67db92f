//! SQLite and PostgreSQL behind one SQL text.
//!
//! `Database::read` and `Database::write` open transactions; the methods of each aggregate are in
//! its own file, written once. `dialect` is the only file that knows which database it talks to.

mod audit;
pub mod baselines;
#[doc(hidden)]
pub mod conformance;
pub mod contents;
mod dialect;
pub mod exceptions;
pub mod feeds;
pub mod intents;
mod locks;
mod migrate;
pub mod nodes;
pub mod notifications;
pub mod operations;
pub mod organization;
pub mod receipts;
pub mod reports;
pub mod saved_filters;
pub mod sessions;
mod sql;
pub mod verdicts;
pub mod versions;

pub use audit::{AuditEntry, AuditError};
pub use migrate::NEWEST_MIGRATION;
pub use sql::{Database, ReadTx, StoreError, WriteTx};
