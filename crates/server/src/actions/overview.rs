//! The fleet at a glance.

use store::nodes::FleetSummary;

use crate::App;
use crate::actions::{ActionError, Caller};

/// Sums over all nodes, as things stand today.
pub async fn summarize(app: &App, _caller: &Caller) -> Result<FleetSummary, ActionError> {
    let stale_before = app.stale_before(app.now());
    Ok(app.database().read().await?.summarize_fleet(stale_before).await?)
}

/// Whether the database answers.
pub async fn check_ready(app: &App) -> Result<(), ActionError> {
    app.database().read().await?.count_audit().await?;
    Ok(())
}
