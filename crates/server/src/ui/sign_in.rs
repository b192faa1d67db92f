//! Signing in by a one-time link, and out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use maud::html;
use serde::Deserialize;

use crate::App;
use crate::actions::sessions;
use crate::http::{BrowserSession, Connection, SESSION_COOKIE};
use crate::ui::errors::{PageError, PageQuery, cross_site};
use crate::ui::layout;
use crate::ui::parts::FormPairs;

/// Path and query of a link.
pub fn sign_in_path(secret: &str) -> String {
    format!("/sign-in?link={secret}")
}

#[derive(Deserialize)]
pub struct Link {
    #[serde(default)]
    link: String,
}

/// The page that a link leads to. Opening it changes nothing, so that a preview of the link does
/// not use it up; the button does.
pub async fn show(PageQuery(query): PageQuery<Link>) -> Response {
    let body = html! {
        div.card.narrow {
            h1 { "Sign in" }
            @if query.link.is_empty() {
                p { "Open the sign-in link that the server printed when it started, or ask for a new one on the server:" }
                pre { "fettle sign-in" }
            } @else {
                p { "This link signs this browser in, once." }
                form method="post" action="/sign-in" {
                    input type="hidden" name="link" value=(query.link);
                    button.primary autofocus { "Sign in" }
                }
            }
        }
    };
    layout::plain_page("Sign in", &body).into_response()
}

/// Uses the link up.
pub async fn submit(State(app): State<App>, connection: Option<Extension<Arc<Connection>>>, Form(form): Form<Link>) -> Result<Response, PageError> {
    let Some(secret) = sessions::sign_in(&app, &form.link).await? else {
        let body = html! {
            div.card.narrow {
                h1 { "This link is not good any more" }
                p { "A link signs in one browser, within an hour. Ask for a new one on the server:" }
                pre { "fettle sign-in" }
            }
        };
        return Ok((StatusCode::FORBIDDEN, layout::plain_page("Sign in", &body)).into_response());
    };
    Ok(([(header::SET_COOKIE, session_cookie(connection.as_ref(), &secret, 12 * 60 * 60))], Redirect::to("/")).into_response())
}

/// Ends the session.
pub async fn sign_out(State(app): State<App>, connection: Option<Extension<Arc<Connection>>>, session: BrowserSession, form: FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    sessions::sign_out(&app, &session.caller, &session.secret).await?;
    Ok(([(header::SET_COOKIE, session_cookie(connection.as_ref(), "", 0))], Redirect::to("/sign-in")).into_response())
}

fn session_cookie(connection: Option<&Extension<Arc<Connection>>>, secret: &str, max_age_seconds: u32) -> String {
    let secure = if connection.is_some_and(|connection| connection.secure) { "; Secure" } else { "" };
    format!("{SESSION_COOKIE}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_seconds}{secure}")
}
