//! The console: server-rendered pages over the same actions as the API. Every page has its own
//! address and reads without scripts.

mod activations;
mod assets;
mod baseline_editor;
mod baselines;
mod documents;
mod errors;
mod exceptions;
mod feeds;
mod layout;
mod node;
mod nodes;
mod operations;
mod organization;
mod overview;
mod parts;
mod patch_now;
mod patches;
mod receipt;
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
        .route("/nodes/tags", post(nodes::edit_tags))
        .route("/nodes/filters", post(nodes::save_filter))
        .route("/nodes/{id}", get(node::overview))
        .route("/nodes/{id}/patches", get(node::patches))
        .route("/nodes/{id}/packages", get(node::packages))
        .route("/nodes/{id}/repositories", get(node::repositories))
        .route("/nodes/{id}/changes", get(node::changes))
        .route("/nodes/{id}/agent", get(node::agent))
        .route("/nodes/{id}/scan", post(node::request_scan))
        .route("/nodes/{id}/install", get(patch_now::ask).post(patch_now::request))
        .route("/operations", get(operations::list).post(operations::create))
        .route("/operations/new", get(operations::new))
        .route("/operations/{id}", get(operations::show))
        .route("/operations/{id}/agree", post(operations::agree))
        .route("/operations/{id}/cancel", post(operations::cancel))
        .route("/operations/{id}/rollback", post(operations::roll_back))
        .route("/operations/{id}/{verb}", post(operations::act))
        .route("/operations/{id}/rings/{ring}/skip", post(operations::skip_ring))
        .route("/operations/{id}/receipts/{node}", get(operations::download))
        .route("/nodes/{id}/orders", post(node::request_order))
        .route("/nodes/{id}/retire", post(node::retire))
        .route("/activations", get(activations::list).post(activations::create))
        .route("/activations/{id}/revoke", post(activations::revoke))
        .route("/organization", get(organization::show).post(organization::create))
        .route("/organization/move", post(organization::move_member))
        .route("/patches", get(patches::list))
        .route("/patches/{id}", get(patches::show))
        .route("/exceptions", get(exceptions::list).post(exceptions::grant))
        .route("/exceptions/{id}/revoke", post(exceptions::revoke))
        .route("/feeds", get(feeds::list).post(feeds::add))
        .route("/feeds/{name}/refresh", post(feeds::refresh))
        .route("/feeds/{name}/remove", post(feeds::remove))
        .route("/calendar", get(documents::calendar))
        .route("/documents/channels/{name}/test", post(documents::test_channel))
        .route("/documents/{kind}", get(documents::list).post(documents::save))
        .route("/documents/{kind}/new", get(documents::new))
        .route("/documents/{kind}/{name}", get(documents::show))
        .route("/documents/{kind}/{name}/delete", post(documents::delete))
        .route("/baselines", get(baselines::list))
        .route("/baselines/new", get(baseline_editor::new).post(baseline_editor::create))
        .route("/baselines/assign", post(baselines::assign))
        .route("/baselines/{id}", get(baselines::show))
        .route("/baselines/{id}/edit", get(baseline_editor::edit).post(baseline_editor::save))
        .route("/baselines/{id}/delete", post(baselines::delete))
        .route("/sign-in", get(sign_in::show).post(sign_in::submit))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/assets/{name}", get(assets::serve))
        .fallback(errors::not_found)
}
