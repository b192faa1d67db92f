//! All routes on one page.

use api::error::ErrorCode;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, Uri};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::http::{ApiError, agent_v1, fleetlock, guard, v1};
use crate::ui;

/// Largest body that is read; a baseline may have half of it.
pub const BODY_BYTES_MAX: usize = 512 * 1024;

#[derive(OpenApi)]
#[openapi(info(title = "Fettle", description = "Patch management for whole fleets: the control plane's API.", license(name = "MIT OR Apache-2.0")))]
struct Document;

/// The server as a service.
pub fn router(app: App) -> Router {
    let (v1, document) = v1_routes().split_for_parts();
    Router::new()
        .nest("/api/v1", v1.route("/openapi.json", get(|| async { Json(document) })).fallback(no_such_address).method_not_allowed_fallback(no_such_method))
        .merge(ui::routes())
        .route("/fleetlock/{secret}/v1/pre-reboot", post(fleetlock::pre_reboot))
        .route("/fleetlock/{secret}/v1/steady-state", post(fleetlock::steady_state))
        .route("/healthz", get(v1::health::live))
        .route("/readyz", get(v1::health::ready))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(guard::guard))
        .with_state(app)
}

/// What agents reach besides check-ins and reports, over their own protocol of TLS only. The connection's certificate comes as
/// an extension of each request.
pub fn agent_router(app: App) -> Router {
    Router::new()
        .route("/agent/v1/enroll", post(agent_v1::enroll))
        .route("/agent/v1/hello", post(agent_v1::hello))
        .route("/agent/v1/orders", get(agent_v1::orders).post(agent_v1::finish_order))
        .route("/agent/v1/progress", post(agent_v1::progress))
        .route("/agent/v1/renew", post(agent_v1::renew))
        .route("/agent/v1/split", post(agent_v1::split))
        .fallback(no_such_address)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(app)
}

/// The OpenAPI document of the API.
pub fn openapi() -> serde_json::Value {
    let mut document = v1_routes().split_for_parts().1;
    document.servers = Some(vec![utoipa::openapi::Server::new("/api/v1")]);
    serde_json::to_value(document).expect("the document has text keys only")
}

fn v1_routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(v1::summary::show))
        .routes(routes!(v1::nodes::list))
        .routes(routes!(v1::nodes::show))
        .routes(routes!(v1::nodes::list_patches))
        .routes(routes!(v1::nodes::edit_tags))
        .routes(routes!(v1::nodes::retire))
        .routes(routes!(v1::organization::move_nodes))
        .routes(routes!(v1::nodes::show_inventory))
        .routes(routes!(v1::nodes::list_reports))
        .routes(routes!(v1::nodes::list_changes))
        .routes(routes!(v1::nodes::list_events))
        .routes(routes!(v1::nodes::list_verdicts))
        .routes(routes!(v1::patches::list))
        .routes(routes!(v1::patches::show))
        .routes(routes!(v1::patches::list_nodes))
        .routes(routes!(v1::baselines::list, v1::baselines::create))
        .routes(routes!(v1::baselines::show, v1::baselines::save))
        .routes(routes!(v1::baselines::delete))
        .routes(routes!(v1::baselines::list_versions))
        .routes(routes!(v1::baselines::list_approvals))
        .routes(routes!(v1::baselines::preview))
        .routes(routes!(v1::baselines::assign))
        .routes(routes!(v1::baselines::list_assignments))
        .routes(routes!(v1::exceptions::list, v1::exceptions::grant))
        .routes(routes!(v1::exceptions::revoke))
        .routes(routes!(v1::feeds::list, v1::feeds::add))
        .routes(routes!(v1::feeds::remove))
        .routes(routes!(v1::feeds::refresh))
        .routes(routes!(v1::feeds::import))
        .routes(routes!(v1::documents::save))
        .routes(routes!(v1::documents::test_channel))
        .routes(routes!(v1::documents::list))
        .routes(routes!(v1::documents::show, v1::documents::delete))
        .routes(routes!(v1::documents::list_versions))
        .routes(routes!(v1::documents::calendar))
        .routes(routes!(v1::documents::list_notifications))
        .routes(routes!(v1::operations::create, v1::operations::list))
        .routes(routes!(v1::operations::show))
        .routes(routes!(v1::operations::cancel))
        .routes(routes!(v1::operations::pause))
        .routes(routes!(v1::operations::resume))
        .routes(routes!(v1::operations::approve))
        .routes(routes!(v1::operations::skip_ring))
        .routes(routes!(v1::operations::show_plan))
        .routes(routes!(v1::operations::show_receipt))
        .routes(routes!(v1::organization::show, v1::organization::create))
        .routes(routes!(v1::organization::move_member))
        .routes(routes!(v1::activations::list, v1::activations::create))
        .routes(routes!(v1::activations::revoke))
        .routes(routes!(v1::keys::rotate))
        .routes(routes!(v1::sign_in_links::create))
}

async fn no_such_address(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, format!("there is no address `{}`", uri.path())).with_hint("see /api/v1/openapi.json")
}

async fn no_such_method(uri: Uri) -> ApiError {
    let message = format!("`/api/v1{}` does not take this method", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::MethodNotAllowed, message).with_hint("see /api/v1/openapi.json")
}
