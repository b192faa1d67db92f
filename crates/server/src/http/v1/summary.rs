//! The fleet in numbers.

use api::v1::summary::FleetSummary;
use axum::Json;
use axum::extract::State;

use crate::App;
use crate::actions::{Caller, overview};
use crate::http::ApiError;

/// Sums over the fleet.
#[utoipa::path(get, path = "/summary", operation_id = "get_summary", tag = "nodes", responses((status = 200, body = FleetSummary), (status = "default", body = api::error::Problem)))]
pub async fn show(State(app): State<App>, caller: Caller) -> Result<Json<FleetSummary>, ApiError> {
    let summary = overview::summarize(&app, &caller);
    Ok(Json(FleetSummary {
        n_nodes: summary.n_nodes,
        n_compliant: summary.n_compliant,
        n_non_compliant: summary.n_non_compliant,
        n_unknown: summary.n_unknown,
        n_unmanaged: summary.n_unmanaged,
        n_stale: summary.n_stale,
        n_late: summary.n_late,
        n_silent: summary.n_silent,
        counts: summary.counts.into(),
    }))
}
