//! Documents that say what operators want, and what follows from them.

use api::v1::document::{CalendarEntry, DocumentToday, DocumentVersion, SaveDocument, SavedDocument, SentNotification};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::model::intent::IntentKind;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::App;
use crate::actions::{ActionError, Caller, documents};
use crate::http::ApiError;
use crate::http::extract::{Body, Parameters};

fn kind_of(word: &str) -> Result<IntentKind, ApiError> {
    IntentKind::parse(word).ok_or_else(|| {
        let known: Vec<_> = IntentKind::ALL.into_iter().map(IntentKind::plural).collect();
        ActionError::invalid("kind", format!("`{}` is none of {}", word.chars().take(40).collect::<String>(), known.join(", "))).into()
    })
}

/// Documents of a kind: `policies`, `windows`, `freezes`, `reboot-groups` or `channels`.
#[utoipa::path(get, path = "/documents/{kind}", operation_id = "list_documents", tag = "documents", params(("kind", description = "`policies`, `windows`, `freezes`, `reboot-groups` or `channels`")), responses((status = 200, body = Vec<DocumentToday>), (status = "default", body = api::error::Problem)))]
pub async fn list(State(app): State<App>, caller: Caller, Path(kind): Path<String>) -> Result<Json<Vec<DocumentToday>>, ApiError> {
    Ok(Json(documents::list(&app, &caller, kind_of(&kind)?).await?))
}

/// Makes a document, or a new version of one: its kind and name are in it. The same again makes none. With `preview` it only says
/// what would change.
#[utoipa::path(post, path = "/documents", operation_id = "save_document", tag = "documents", request_body = SaveDocument, responses((status = 200, body = SavedDocument), (status = "default", body = api::error::Problem)))]
pub async fn save(State(app): State<App>, caller: Caller, Body(body): Body<SaveDocument>) -> Result<Json<SavedDocument>, ApiError> {
    Ok(Json(documents::save(&app, &caller, &body).await?))
}

/// One document.
#[utoipa::path(get, path = "/documents/{kind}/{name}", operation_id = "get_document", tag = "documents", params(("kind", description = "kind"), ("name", description = "name")), responses((status = 200, body = DocumentToday), (status = "default", body = api::error::Problem)))]
pub async fn show(State(app): State<App>, caller: Caller, Path((kind, name)): Path<(String, String)>) -> Result<Json<DocumentToday>, ApiError> {
    Ok(Json(documents::find(&app, &caller, kind_of(&kind)?, &name).await?))
}

/// Takes a document out of force. Its versions stay.
#[utoipa::path(delete, path = "/documents/{kind}/{name}", operation_id = "delete_document", tag = "documents", params(("kind", description = "kind"), ("name", description = "name")), responses((status = 204), (status = "default", body = api::error::Problem)))]
pub async fn delete(State(app): State<App>, caller: Caller, Path((kind, name)): Path<(String, String)>) -> Result<StatusCode, ApiError> {
    documents::delete(&app, &caller, kind_of(&kind)?, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Every version of a document, newest first.
#[utoipa::path(get, path = "/documents/{kind}/{name}/versions", operation_id = "list_document_versions", tag = "documents", params(("kind", description = "kind"), ("name", description = "name")), responses((status = 200, body = Vec<DocumentVersion>), (status = "default", body = api::error::Problem)))]
pub async fn list_versions(State(app): State<App>, caller: Caller, Path((kind, name)): Path<(String, String)>) -> Result<Json<Vec<DocumentVersion>>, ApiError> {
    let versions = documents::list_versions(&app, &caller, kind_of(&kind)?, &name).await?;
    let shown = versions.into_iter().map(|version| DocumentVersion {
        version: version.version,
        document: version.document,
        changed_by: version.changed_by,
        changed_at: version.changed_at.to_string(),
        reason: version.reason,
    });
    Ok(Json(shown.collect()))
}

/// What lies ahead.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct CalendarQuery {
    /// How many days ahead; 30 when absent.
    #[serde(default)]
    days: Option<u32>,
}

/// The fleet's calendar: windows, freezes, scans and installs of policies, in order.
#[utoipa::path(get, path = "/calendar", operation_id = "show_calendar", tag = "documents", params(CalendarQuery), responses((status = 200, body = Vec<CalendarEntry>), (status = "default", body = api::error::Problem)))]
pub async fn calendar(State(app): State<App>, caller: Caller, Parameters(query): Parameters<CalendarQuery>) -> Result<Json<Vec<CalendarEntry>>, ApiError> {
    Ok(Json(documents::calendar(&app, &caller, query.days)?))
}

/// Sends a channel something to try it.
#[utoipa::path(post, path = "/documents/channels/{name}/test", operation_id = "test_channel", tag = "documents", params(("name", description = "name of the channel")), responses((status = 200, body = SentNotification), (status = "default", body = api::error::Problem)))]
pub async fn test_channel(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Result<Json<SentNotification>, ApiError> {
    Ok(Json(documents::test_channel(&app, &caller, &name).await?))
}

/// The last notifications, newest first.
#[utoipa::path(get, path = "/notifications", operation_id = "list_notifications", tag = "documents", responses((status = 200, body = Vec<SentNotification>), (status = "default", body = api::error::Problem)))]
pub async fn list_notifications(State(app): State<App>, caller: Caller) -> Result<Json<Vec<SentNotification>>, ApiError> {
    Ok(Json(documents::list_notifications(&app, &caller).await?))
}
