//! The program as people run it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod agent;
mod baselines;
mod browser;
mod fleet;
mod harness;
mod install;
mod orders;
mod refresh;
mod rollouts_testbed;
mod runs_testbed;
mod scan;
mod simulate;
mod testbed;
mod up;
mod vm;
