//! Nouns: what a node is and has, what can be installed, what operators want, what is true.

pub mod activation;
pub mod advisory;
pub mod baseline;
pub mod chance;
pub mod compliance;
pub mod content;
pub mod digest;
pub mod glob;
pub mod host;
pub mod id;
pub mod inventory;
pub mod nevra;
pub mod node;
pub mod order;
pub mod organization;
pub mod package;
pub mod patch;
pub mod platform;
pub mod problem;
pub mod repository;
pub mod scan_report;
pub mod section;
pub mod time;
pub mod transaction;
pub mod version;
