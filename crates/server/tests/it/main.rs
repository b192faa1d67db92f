//! The server as its clients see it: an app in this process, test time, seeded ids.
#![expect(clippy::unwrap_used, reason = "tests")]

mod api;
mod baselines;
mod console;
mod documents;
mod exceptions;
mod feeds;
mod harness;
mod keys;
mod notifications;
mod reports;
mod verdicts;
