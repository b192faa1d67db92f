//! One-time sign-in links to the console.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A link that signs one browser in, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInLink {
    /// Path and query, to be put behind the server's address.
    pub path: String,
    /// Until when it is good.
    pub expires_at: String,
}

/// Whom a link is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SignInLinkQuery {
    /// Their name; the operator when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
}
