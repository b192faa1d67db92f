//! One-time sign-in links.

use api::v1::sign_in_link::{SignInLink, SignInLinkQuery};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::App;
use crate::actions::{Caller, sessions};
use crate::http::ApiError;
use crate::http::extract::Parameters;

/// Makes a one-time sign-in link, for the operator or for another person by name: whoever uses it is that person.
#[utoipa::path(post, path = "/sign-in-links", operation_id = "create_sign_in_link", tag = "sessions", params(SignInLinkQuery), responses((status = 201, body = SignInLink), (status = "default", body = api::error::Problem)))]
pub async fn create(State(app): State<App>, caller: Caller, Parameters(query): Parameters<SignInLinkQuery>) -> Result<(StatusCode, Json<SignInLink>), ApiError> {
    let (secret, expires_at) = sessions::create_link(&app, &caller, query.person.as_deref()).await?;
    Ok((StatusCode::CREATED, Json(SignInLink { path: crate::ui::sign_in_path(&secret), expires_at: expires_at.to_string() })))
}
