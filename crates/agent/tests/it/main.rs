//! Tests of the agent against real package managers in real roots.
#![expect(clippy::unwrap_used, reason = "tests")]

mod apt_candidates;
mod apt_files;
mod deb_versions;
mod rpm_candidates;
