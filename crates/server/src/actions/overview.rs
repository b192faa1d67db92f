//! The fleet at a glance.

use crate::App;
use crate::actions::{ActionError, Caller};
use crate::fleet::FleetSummary;

/// Sums over all nodes, as things stand today.
pub fn summarize(app: &App, _caller: &Caller) -> FleetSummary {
    let present = app.present();
    app.current_fleet(present.now).summarize(&present)
}

/// Whether the database answers.
pub async fn check_ready(app: &App) -> Result<(), ActionError> {
    app.database().read().await?.count_audit().await?;
    Ok(())
}
