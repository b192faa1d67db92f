//! Signing in by a one-time link, and out.

use axum::Form;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use serde::Deserialize;

use crate::App;
use crate::actions::sessions;
use crate::http::{BrowserSession, SESSION_COOKIE};
use crate::ui::errors::{PageError, PageQuery, cross_site};
use crate::ui::layout;

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
pub async fn submit(State(app): State<App>, Form(form): Form<Link>) -> Result<Response, PageError> {
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
    Ok(([(header::SET_COOKIE, session_cookie(&app, &secret, 12 * 60 * 60))], Redirect::to("/")).into_response())
}

/// Form of pages whose only field is the token.
#[derive(Deserialize)]
pub struct TokenForm {
    #[serde(default)]
    pub form_token: String,
}

impl TokenForm {
    /// Whether the form was made for this session.
    pub fn belongs_to(&self, session: &BrowserSession) -> bool {
        self.form_token == sessions::form_token(&session.secret)
    }
}

/// Ends the session.
pub async fn sign_out(State(app): State<App>, session: BrowserSession, Form(form): Form<TokenForm>) -> Result<Response, PageError> {
    if !form.belongs_to(&session) {
        return Ok(cross_site());
    }
    sessions::sign_out(&app, &session.caller, &session.secret).await?;
    Ok(([(header::SET_COOKIE, session_cookie(&app, "", 0))], Redirect::to("/sign-in")).into_response())
}

fn session_cookie(app: &App, secret: &str, max_age_seconds: u32) -> String {
    let secure = if app.behind_tls() { "; Secure" } else { "" };
    format!("{SESSION_COOKIE}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_seconds}{secure}")
}
