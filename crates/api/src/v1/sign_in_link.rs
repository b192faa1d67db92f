//! One-time sign-in links to the console.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A link that signs one browser in, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInLink {
    /// Path and query, to be put behind the server's address.
    pub path: String,
    /// Until when it is good.
    pub expires_at: String,
}
