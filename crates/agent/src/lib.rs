//! The node: what it has, what its package manager would do with it, and its talk with the server.
//!
//! A scan reads one root folder, `/` or another, and never changes it. `run` is the life of an
//! agent: everything goes out from it, and its own configuration says what it may be asked.

mod active_run;
mod certificate;
mod cloud;
mod command;
pub mod config;
pub mod enroll;
pub mod host;
pub mod install;
pub mod inventory;
pub mod package_manager;
mod reboot;
pub mod root;
pub mod run;
pub mod state;
pub mod transport;
pub mod unit;
