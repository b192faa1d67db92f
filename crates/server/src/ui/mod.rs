//! The console: server-rendered pages over the same actions as the API. Every page has its own
//! address and reads without scripts.

mod assets;
mod baselines;
mod errors;
mod layout;
mod nodes;
mod overview;
mod parts;
mod patches;
mod sign_in;

use axum::Router;
use axum::routing::{get, post};

use crate::App;

pub(crate) use errors::SignInNeeded;
pub(crate) use sign_in::sign_in_path;

/// Routes of the console.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/", get(overview::show))
        .route("/nodes", get(nodes::list))
        .route("/nodes/{id}", get(nodes::show))
        .route("/nodes/{id}/scan", post(nodes::request_scan))
        .route("/patches", get(patches::list))
        .route("/patches/{id}", get(patches::show))
        .route("/baselines", get(baselines::list))
        .route("/baselines/{id}", get(baselines::show))
        .route("/sign-in", get(sign_in::show).post(sign_in::submit))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/assets/{name}", get(assets::serve))
        .fallback(errors::not_found)
}
