//! Saved filters of the list of nodes.

use api::v1::node::ListNodes;
use domain::model::id::FilterId;
use store::AuditEntry;
use store::saved_filters::SavedFilter;

use crate::App;
use crate::actions::{ActionError, Caller};

/// Longest name and query of a filter.
const NAME_LENGTH_MAX: usize = 64;
const QUERY_LENGTH_MAX: usize = 1000;
/// Most saved filters.
const FILTERS_MAX: usize = 200;

/// Every saved filter, by name.
pub async fn list(app: &App, _caller: &Caller) -> Result<Vec<SavedFilter>, ActionError> {
    Ok(app.database().read().await?.list_filters().await?)
}

/// Saves a filter: the query part of the list's address.
pub async fn create(app: &App, caller: &Caller, name: &str, query: &str) -> Result<SavedFilter, ActionError> {
    let name = name.trim();
    if name.is_empty() || name.len() > NAME_LENGTH_MAX || name.contains(char::is_control) {
        return Err(ActionError::invalid("name", format!("a filter's name has 1 to {NAME_LENGTH_MAX} plain characters")));
    }
    if query.len() > QUERY_LENGTH_MAX {
        return Err(ActionError::invalid("query", format!("the filter is longer than {QUERY_LENGTH_MAX} bytes")));
    }
    let uri = format!("/nodes?{query}").parse().map_err(|_| ActionError::invalid("query", "the filter is not the query part of an address"))?;
    axum::extract::Query::<ListNodes>::try_from_uri(&uri).map_err(|error| ActionError::invalid("query", error.body_text()))?;
    let now = app.now();
    let filter = SavedFilter { id: app.create_id(|ids| FilterId::create(ids, now)), owner: caller.actor.clone(), name: name.to_owned(), query: query.to_owned(), created_at: now };
    let mut tx = app.database().write().await?;
    if tx.list_filters().await?.len() >= FILTERS_MAX {
        return Err(ActionError::invalid("name", format!("there are {FILTERS_MAX} saved filters already")));
    }
    tx.insert_filter(&filter).await?;
    tx.append_audit(&AuditEntry { at: now, actor: caller.actor.clone(), action: "filter.create".to_owned(), subject: filter.id.to_string(), detail: name.to_owned() }).await?;
    tx.commit().await?;
    Ok(filter)
}

/// Forgets a filter.
pub async fn delete(app: &App, caller: &Caller, id: &str) -> Result<(), ActionError> {
    let not_found = || ActionError::not_found("filter", id);
    let filter_id: FilterId = id.parse().map_err(|_| not_found())?;
    let mut tx = app.database().write().await?;
    if !tx.delete_filter(&filter_id).await? {
        return Err(not_found());
    }
    tx.append_audit(&AuditEntry { at: app.now(), actor: caller.actor.clone(), action: "filter.delete".to_owned(), subject: id.to_owned(), detail: String::new() }).await?;
    tx.commit().await?;
    Ok(())
}
