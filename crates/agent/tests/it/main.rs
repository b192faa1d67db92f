//! Tests of the agent against real package managers in real roots.
#![expect(clippy::unwrap_used, reason = "tests")]

mod apk_candidates;
mod apt_candidates;
mod apt_files;
mod installs;
mod native_versions;
mod pacman_candidates;
mod rpm_candidates;
mod rpm_files;
mod simulations;
