//! The node: what it has and what its package manager would do with it.
//!
//! Everything here reads one root folder, `/` or another, and never changes it; only
//! `package_manager::apt::refresh` starts a program, the package manager's own refresh.

pub mod inventory;
pub mod package_manager;
mod reboot;
pub mod root;
