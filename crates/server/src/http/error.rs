//! How errors reach clients: one envelope, one status for each kind.

use api::error::{ErrorCode, Problem};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::actions::ActionError;
use crate::fleet::ReportError;

/// When a client may come again that found the server busy. Agents spread this by half of it in
/// both directions.
const RETRY_AFTER_SECONDS: u32 = 20;

/// An error on its way to a client.
#[derive(Debug)]
pub struct ApiError {
    problem: Problem,
}

impl ApiError {
    /// An error of this kind.
    pub fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { problem: Problem { code, status: status.as_u16(), message: message.into(), hint: None, field: None, retry_after_seconds: None } }
    }

    /// The same with advice.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.problem.hint = Some(hint.into());
        self
    }

    /// Too much to do: come again later.
    pub fn busy() -> Self {
        let mut answer = Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Busy, "the server has too much to do at the moment").with_hint("come again later");
        answer.problem.retry_after_seconds = Some(RETRY_AFTER_SECONDS);
        answer
    }

    /// What is said to the client.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<ActionError> for ApiError {
    fn from(error: ActionError) -> Self {
        let message = error.to_string();
        match error {
            ActionError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message),
            ActionError::InvalidValue { field, hint, .. } => {
                let mut answer = Self::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::InvalidValue, message);
                answer.problem.field = Some(field.to_owned());
                answer.problem.hint = hint;
                answer
            }
            ActionError::InvalidCursor => Self::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::InvalidCursor, message).with_hint("begin again without a cursor"),
            ActionError::IdempotencyConflict { .. } => Self::new(StatusCode::CONFLICT, ErrorCode::IdempotencyConflict, message).with_hint("use a new key for a new request"),
            ActionError::CertificateRevoked => Self::new(StatusCode::UNAUTHORIZED, ErrorCode::CertificateRevoked, message).with_hint("enroll the node again with a new activation"),
            ActionError::IdentityCloned => Self::new(StatusCode::CONFLICT, ErrorCode::IdentityCloned, message).with_hint("the agent gets an identity of its own"),
            ActionError::ActivationRefused { .. } => {
                Self::new(StatusCode::FORBIDDEN, ErrorCode::ActivationRefused, message).with_hint("make another with `fettle activation create` on the server")
            }
            ActionError::Key(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, message).with_hint("the server's log says why"),
            ActionError::Feed(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::FeedFailed, message).with_hint("what was imported before stays as it is"),
            ActionError::Report(ReportError::Busy) => Self::busy(),
            ActionError::Report(error) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::InvalidBody, chain(&error)),
            ActionError::Store(error) => {
                // The chain is for the log; the client could do nothing with it.
                tracing::error!(error = %chain(&error), "a request failed in the store");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, "the server failed to answer").with_hint("its log says why")
            }
        }
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        chain = format!("{chain}: {error}");
        cause = error.source();
    }
    chain
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.problem).expect("a problem has text keys only");
        let mut response = (self.status(), [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(seconds) = self.problem.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
