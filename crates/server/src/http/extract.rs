//! What handlers take: the caller, bodies and queries with our own errors.

use api::error::ErrorCode;
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::App;
use crate::actions::{Caller, sessions};
use crate::http::ApiError;

/// Name of the cookie with a browser's session.
pub const SESSION_COOKIE: &str = "fettle_session";

/// The value of a cookie.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|line| line.split(';'));
    cookies.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// A caller of the API: a program with a token, or a browser with a session.
impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let caller = match (bearer, cookie(&parts.headers, SESSION_COOKIE)) {
            (Some(token), _) => sessions::find_token(app, token).await?,
            (None, Some(secret)) => sessions::find_browser(app, secret).await?,
            (None, None) => None,
        };
        caller.ok_or_else(|| {
            ApiError::new(StatusCode::UNAUTHORIZED, ErrorCode::NotSignedIn, "the request carries no valid token or session")
                .with_hint("send `Authorization: Bearer TOKEN` with the token from the data folder's server.json")
        })
    }
}

/// A signed-in browser.
pub struct BrowserSession {
    /// Who.
    pub caller: Caller,
    /// The session's secret.
    pub secret: String,
}

impl FromRequestParts<App> for BrowserSession {
    type Rejection = crate::ui::SignInNeeded;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        let secret = cookie(&parts.headers, SESSION_COOKIE).map(str::to_owned);
        let found = match &secret {
            Some(secret) => sessions::find_browser(app, secret).await.unwrap_or_default(),
            None => None,
        };
        match (found, secret) {
            (Some(caller), Some(secret)) => Ok(Self { caller, secret }),
            _ => Err(crate::ui::SignInNeeded),
        }
    }
}

/// A JSON body with our own errors.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        match Json::from_request(request, app).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(refuse_body(&rejection)),
        }
    }
}

fn refuse_body(rejection: &JsonRejection) -> ApiError {
    let status = rejection.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::new(status, ErrorCode::BodyTooLarge, format!("the body is larger than {} bytes", super::router::BODY_BYTES_MAX));
    }
    // `body_text` names the line and column, and repeats nothing of the body but the wrong word.
    ApiError::new(status, ErrorCode::InvalidBody, rejection.body_text()).with_hint("see /api/v1/openapi.json for what this address takes")
}

/// Query parameters with our own errors.
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let parsed: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, app).await;
        let refuse = |rejection: QueryRejection| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::InvalidValue, rejection.body_text());
        parsed.map(|Query(query)| Self(query)).map_err(refuse)
    }
}
