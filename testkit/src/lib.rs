//! What tests share: a clock that stands still, package roots made for the test, throw-away
//! databases. Depended on by tests only.

pub mod apk;
pub mod apt;
pub mod apt_repository;
pub mod clock;
pub mod feeds;
pub mod inventories;
pub mod postgres;
pub mod roots;
pub mod rpm;
pub mod testbed;
pub mod vm;

/// A folder that is gone when dropped.
#[must_use]
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder can be made")
}
