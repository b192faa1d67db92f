//! What can be done, one file per resource: authorise, load, decide, save, record in audit.

pub mod activations;
pub mod agents;
pub mod baselines;
pub mod documents;
pub mod exceptions;
pub mod feeds;
pub mod filters;
pub mod inventories;
pub mod keys;
pub mod nodes;
pub mod operations;
pub mod organization;
pub mod overview;
pub mod patches;
pub mod reboot_locks;
pub mod reports;
pub mod sessions;
pub mod verdicts;
pub(crate) mod works;

use domain::model::id::SessionId;
use domain::model::query::Query;
use domain::model::time::Timestamp;
use store::StoreError;

use crate::feeds::FeedError;
use crate::fleet::ReportError;
use crate::keys::KeyError;

/// Who asks. Every action takes one, so that none can be reached without signing in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The session or token.
    pub session: SessionId,
    /// Whose it is.
    pub actor: String,
}

impl Caller {
    /// The server itself, on behalf of someone who wrote down what is wanted.
    pub(crate) fn of(actor: &str) -> Self {
        Self { session: "se-00000000000000000".parse().expect("the id is well formed"), actor: actor.to_owned() }
    }
}

/// Why an action did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// There is no such thing.
    #[error("there is no {noun} `{id}`")]
    NotFound {
        /// What kind of thing.
        noun: &'static str,
        /// The id that was given.
        id: String,
    },
    /// A value is impossible.
    #[error("{message}")]
    InvalidValue {
        /// The field or parameter.
        field: &'static str,
        /// What is wrong with it.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The cursor belongs to another list.
    #[error("the cursor was not given out by this list with these filters")]
    InvalidCursor,
    /// The key was used for another request.
    #[error("the idempotency key `{key}` was used for another request")]
    IdempotencyConflict {
        /// The key.
        key: String,
    },
    /// The node's certificate was revoked, or the node retired.
    #[error("the certificate of this node is not good any more")]
    CertificateRevoked,
    /// Another machine has the node's identity and had it first.
    #[error("another machine has this identity and had it first")]
    IdentityCloned,
    /// The activation lets nobody in.
    #[error("{message}")]
    ActivationRefused {
        /// Why.
        message: String,
    },
    /// A key cannot be used.
    #[error("a key of the installation cannot be used")]
    Key(#[source] KeyError),
    /// A report cannot be taken.
    #[error("the report cannot be taken")]
    Report(#[source] ReportError),
    /// A feed brought nothing.
    #[error(transparent)]
    Feed(FeedError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl From<FeedError> for ActionError {
    fn from(error: FeedError) -> Self {
        if let FeedError::Store(error) = error { Self::Store(error) } else { Self::Feed(error) }
    }
}

impl From<ReportError> for ActionError {
    fn from(error: ReportError) -> Self {
        if let ReportError::Store(error) = error { Self::Store(error) } else { Self::Report(error) }
    }
}

impl ActionError {
    fn not_found(noun: &'static str, id: &str) -> Self {
        // A foreign text is shown, in part, so that a person sees the slip.
        Self::NotFound { noun, id: id.chars().take(60).collect() }
    }

    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::InvalidValue { field, message: message.into(), hint: None }
    }
}

/// How many rows of a page: the wanted number within bounds, else the default.
fn page_limit(wanted: Option<u32>) -> Result<u32, ActionError> {
    match wanted {
        None => Ok(api::page::LIMIT_DEFAULT),
        Some(limit @ 1..=api::page::LIMIT_MAX) => Ok(limit),
        Some(other) => Err(ActionError::invalid("limit", format!("limit {other} is not from 1 to {}", api::page::LIMIT_MAX))),
    }
}

/// Longest search text.
const SEARCH_LENGTH_MAX: usize = 200;

fn search_text(text: Option<&str>) -> Result<Option<String>, ActionError> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    if text.is_some_and(|text| text.len() > SEARCH_LENGTH_MAX || text.contains('\0')) {
        return Err(ActionError::invalid("q", format!("the search text must be plain and have at most {SEARCH_LENGTH_MAX} bytes")));
    }
    Ok(text.map(str::to_owned))
}

/// A query over nodes that a person wrote; none when there is nothing in it.
pub(crate) fn parse_node_query(text: &str) -> Result<Option<Query>, ActionError> {
    let text = Some(text).filter(|text| !text.trim().is_empty());
    text.map(Query::parse).transpose().map_err(|error| ActionError::invalid("query", error.to_string()))
}

/// The last instant of a day that a person wrote.
fn end_of_day(field: &'static str, day: &str) -> Result<Timestamp, ActionError> {
    Timestamp::parse_end_of_date(day).ok_or_else(|| ActionError::invalid(field, format!("`{day}` is not a day such as 2026-11-24")))
}

/// A page from one row more than it may have: the rows, and the cursor when more follow.
fn cut_page<T>(mut rows: Vec<T>, limit: u32, list: &str, cursor: impl Fn(&T) -> api::page::Cursor) -> (Vec<T>, Option<String>) {
    let limit = limit as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| cursor(last).encode(list));
    (rows, next)
}

fn decode_cursor(cursor: Option<&str>, list: &str) -> Result<Option<api::page::Cursor>, ActionError> {
    cursor.map(|cursor| api::page::Cursor::decode(cursor, list).ok_or(ActionError::InvalidCursor)).transpose()
}
