//! The control plane: HTTP API, console, actions.
//!
//! `http` and `ui` parse a request, call one action and show the answer. `actions` authorise,
//! load, decide, save and record; they are the only callers of the store.

pub mod actions;
pub mod app;
pub mod http;
mod ui;

pub use app::App;

use std::future::Future;

use tokio::net::TcpListener;

/// Serves until `stop` is ready, then lets open requests end.
pub async fn serve(listener: TcpListener, app: App, stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    axum::serve(listener, http::router(app)).with_graceful_shutdown(stop).await
}
