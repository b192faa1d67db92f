//! Whether the server lives and can answer; for load balancers.

use axum::extract::State;

use crate::App;
use crate::actions::overview;
use crate::http::ApiError;

/// The process answers.
pub async fn live() -> &'static str {
    "ok\n"
}

/// The database answers too.
pub async fn ready(State(app): State<App>) -> Result<&'static str, ApiError> {
    overview::check_ready(&app).await?;
    Ok("ok\n")
}
