//! HTTP: routes, extractors, errors; `v1` has the handlers of the API.

mod error;
mod extract;
mod guard;
mod router;
mod v1;

pub use router::{openapi, router};

pub(crate) use error::ApiError;
pub(crate) use extract::{BrowserSession, SESSION_COOKIE};
