//! The program as people run it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod agent;
mod baselines;
mod browser;
mod harness;
mod install;
mod orders;
mod refresh;
mod scan;
mod simulate;
mod testbed;
mod up;
