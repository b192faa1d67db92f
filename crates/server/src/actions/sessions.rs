//! Signing in: one-time links, browser sessions, tokens for programs.

use domain::model::digest::Digest;
use domain::model::id::SessionId;
use domain::model::time::{DAY_MS, HOUR_MS, Timestamp};
use store::sessions::{Session, SessionKind};
use store::{AuditEntry, WriteTx};

use crate::App;
use crate::actions::{ActionError, Caller};

const LINK_LASTS_MS: i64 = HOUR_MS;
const BROWSER_LASTS_MS: i64 = 12 * HOUR_MS;
const TOKEN_LASTS_MS: i64 = 365 * DAY_MS;

/// The person who runs the server. Whoever holds a sign-in link that was made for another name is that person; accounts of
/// people come later.
const OPERATOR: &str = "operator";
/// Longest name of a person.
const PERSON_LENGTH_MAX: usize = 64;

/// A new one-time link, for a person of this name or for the operator: its secret and its end.
pub async fn create_link(app: &App, caller: &Caller, person: Option<&str>) -> Result<(String, Timestamp), ActionError> {
    let person = person.unwrap_or(OPERATOR);
    if !(1..=PERSON_LENGTH_MAX).contains(&person.len()) || !person.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@')) {
        return Err(ActionError::invalid("person", format!("a name has 1 to {PERSON_LENGTH_MAX} letters, digits, `.`, `-`, `_` and `@`")));
    }
    let now = app.now();
    let mut tx = app.database().write().await?;
    let (secret, _) = create(app, &mut tx, SessionKind::Link, person, now, LINK_LASTS_MS).await?;
    tx.append_audit(&entry(now, &caller.actor, "sign_in_link.create", person)).await?;
    tx.commit().await?;
    Ok((secret, now.plus_millis(LINK_LASTS_MS)))
}

/// Ends the tokens of former starts, makes one for this start, and the caller that has it.
pub async fn create_start_token(app: &App) -> Result<(String, Caller), ActionError> {
    let now = app.now();
    let mut tx = app.database().write().await?;
    tx.delete_sessions(SessionKind::Token, now).await?;
    tx.delete_sessions(SessionKind::Link, now).await?;
    let (secret, session) = create(app, &mut tx, SessionKind::Token, OPERATOR, now, TOKEN_LASTS_MS).await?;
    tx.append_audit(&entry(now, "system", "token.create", OPERATOR)).await?;
    tx.commit().await?;
    Ok((secret, Caller { session: session.id, actor: session.actor }))
}

/// Uses a link up: the secret of the browser's session, or nothing when the link is not good.
pub async fn sign_in(app: &App, link: &str) -> Result<Option<String>, ActionError> {
    let now = app.now();
    let mut tx = app.database().write().await?;
    let found = tx.find_session(SessionKind::Link, &digest(link), now).await?;
    let Some(person) = found.map(|session| session.actor) else { return Ok(None) };
    if !tx.end_session(SessionKind::Link, &digest(link), now).await? {
        return Ok(None);
    }
    let (secret, session) = create(app, &mut tx, SessionKind::Browser, &person, now, BROWSER_LASTS_MS).await?;
    tx.append_audit(&entry(now, &session.actor, "session.sign_in", session.id.as_str())).await?;
    tx.commit().await?;
    Ok(Some(secret))
}

/// Ends a browser's session.
pub async fn sign_out(app: &App, caller: &Caller, secret: &str) -> Result<(), ActionError> {
    let now = app.now();
    let mut tx = app.database().write().await?;
    tx.end_session(SessionKind::Browser, &digest(secret), now).await?;
    tx.append_audit(&entry(now, &caller.actor, "session.sign_out", caller.session.as_str())).await?;
    tx.commit().await?;
    Ok(())
}

/// Who has this browser session.
pub async fn find_browser(app: &App, secret: &str) -> Result<Option<Caller>, ActionError> {
    find(app, SessionKind::Browser, secret).await
}

/// Who has this token.
pub async fn find_token(app: &App, secret: &str) -> Result<Option<Caller>, ActionError> {
    find(app, SessionKind::Token, secret).await
}

/// The token that a browser's forms carry; follows from the session, so that nothing is stored.
pub fn form_token(session_secret: &str) -> String {
    Digest::of(format!("form {session_secret}").as_bytes()).short(32)
}

async fn find(app: &App, kind: SessionKind, secret: &str) -> Result<Option<Caller>, ActionError> {
    let session = app.database().read().await?.find_session(kind, &digest(secret), app.now()).await?;
    Ok(session.map(|session| Caller { session: session.id, actor: session.actor }))
}

async fn create(app: &App, tx: &mut WriteTx, kind: SessionKind, actor: &str, now: Timestamp, lasts_ms: i64) -> Result<(String, Session), ActionError> {
    let secret = app.create_secret();
    let session = Session { id: app.create_id(|ids| SessionId::create(ids, now)), actor: actor.to_owned() };
    tx.insert_session(&session, kind, &digest(&secret), now, now.plus_millis(lasts_ms)).await?;
    Ok((secret, session))
}

fn digest(secret: &str) -> Digest {
    Digest::of(secret.as_bytes())
}

fn entry(at: Timestamp, actor: &str, action: &str, subject: &str) -> AuditEntry {
    AuditEntry { at, actor: actor.to_owned(), action: action.to_owned(), subject: subject.to_owned(), detail: String::new() }
}
