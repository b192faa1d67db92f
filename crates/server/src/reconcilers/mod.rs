//! Loops that close the gap between what is wanted and what is: rollouts move on, what is due begins, news are sent. Each
//! reads what is true, so that a second look at the same state does nothing, and what was missed is made up.

pub mod due;
mod gates;
pub mod notify;
pub mod progress;
pub mod rollouts;

use crate::App;

/// Starts them all.
pub fn start(app: &App) {
    tokio::spawn(rollouts::run(app.clone()));
    tokio::spawn(due::run(app.clone()));
    tokio::spawn(notify::run(app.clone()));
    tokio::spawn(progress::run(app.clone()));
}
