//! The one error envelope, `application/problem+json`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong, for programs (`code`) and people (`message`, `hint`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable code.
    pub code: ErrorCode,
    /// HTTP status.
    pub status: u16,
    /// What was attempted on what.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The field or parameter that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Seconds after which to come again, when the server is busy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// Stable codes of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// No valid token or session came with the request.
    NotSignedIn,
    /// The request came from another site, or without its form's token.
    CrossSite,
    /// There is no such thing.
    NotFound,
    /// The address has no such method.
    MethodNotAllowed,
    /// A parameter or a field has an impossible value.
    InvalidValue,
    /// The cursor was not given out by this list with these filters.
    InvalidCursor,
    /// The body is not what this address takes.
    InvalidBody,
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The idempotency key was used for another request.
    IdempotencyConflict,
    /// The node's certificate was revoked, or the node retired.
    CertificateRevoked,
    /// Another machine has the node's identity and had it first.
    IdentityCloned,
    /// The activation is unknown, expired, used up or revoked.
    ActivationRefused,
    /// A feed could not be fetched or does not read; nothing of it was imported.
    FeedFailed,
    /// The server has too much to do at the moment.
    Busy,
    /// The server failed; its log says why.
    Internal,
}
