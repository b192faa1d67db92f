//! HTTP: routes, extractors, errors; `v1` has the handlers of the API, `agent_v1` those of agents.

mod agent_v1;
mod error;
mod extract;
mod fleetlock;
mod guard;
mod router;
mod v1;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use axum::response::Response;
use domain::model::id::NodeId;

pub(crate) use agent_v1::answer_agent;
pub(crate) use error::{ApiError, chain};
pub(crate) use extract::{BrowserSession, SESSION_COOKIE};
pub use router::{agent_router, openapi, router};
pub(crate) use v1::activations::enroll_command;

/// An answer in the making. It is on the heap, for a connection waits far longer than it is answered.
pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send + 'a>>;

/// What is known of a connection; each of its requests carries it.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// Whether nobody can listen in.
    pub secure: bool,
    /// The node and the serial number of the certificate that it showed.
    pub certificate: Option<(NodeId, Arc<str>)>,
}
