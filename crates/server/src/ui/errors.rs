//! Pages for what went wrong, each with a way on.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use maud::html;
use serde::de::DeserializeOwned;

use crate::App;
use crate::actions::ActionError;
use crate::http::ApiError;
use crate::ui::layout;

/// A page was requested without being signed in.
pub struct SignInNeeded;

impl IntoResponse for SignInNeeded {
    fn into_response(self) -> Response {
        (StatusCode::SEE_OTHER, [(header::LOCATION, "/sign-in")]).into_response()
    }
}

/// An action did not do what a page wanted.
pub struct PageError(pub ActionError);

impl<E: Into<ActionError>> From<E> for PageError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let error = ApiError::from(self.0);
        let problem = error.problem();
        page(error.status(), &problem.message, problem.hint.as_deref())
    }
}

/// Parameters of a page's address.
pub struct PageQuery<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for PageQuery<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let parsed: Result<Query<T>, _> = Query::from_request_parts(parts, app).await;
        parsed
            .map(|Query(query)| Self(query))
            .map_err(|rejection| page(StatusCode::UNPROCESSABLE_ENTITY, &rejection.body_text(), Some("open the page from its link in the navigation")))
    }
}

/// Any other address.
pub async fn not_found(uri: Uri) -> Response {
    page(StatusCode::NOT_FOUND, &format!("there is no page `{}`", uri.path().chars().take(100).collect::<String>()), None)
}

/// A form came without its token.
pub fn cross_site() -> Response {
    page(StatusCode::FORBIDDEN, "the form did not come from this console", Some("open the page again and send the form from there"))
}

/// A form's fields do not read.
pub fn unreadable_form() -> Response {
    page(StatusCode::UNPROCESSABLE_ENTITY, "the form does not read", Some("open the page again and send the form from there"))
}

fn page(status: StatusCode, message: &str, hint: Option<&str>) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = html! {
        div.card.narrow {
            p.quiet { (status.as_u16()) }
            h1 { (title) }
            p { (message) }
            @if let Some(hint) = hint { p.quiet { (hint) } }
            a.button href="/" { "Go to the overview" }
        }
    };
    (status, layout::plain_page(title, &body)).into_response()
}
