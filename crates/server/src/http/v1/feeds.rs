//! Feeds.

use std::io::Write;

use api::error::ErrorCode;
use api::page::Page;
use api::v1::feed::{AddFeed, Feed};
use api::v1::node::Changed;
use axum::Json;
use axum::body::Body as RawBody;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use http_body_util::BodyExt;
use store::feeds::FeedRecord;

use crate::App;
use crate::actions::{ActionError, Caller, feeds};
use crate::feeds::{FILE_BYTES_MAX, FeedError};
use crate::http::ApiError;
use crate::http::extract::Body;

/// Every feed, by name.
#[utoipa::path(get, path = "/feeds", operation_id = "list_feeds", tag = "feeds", responses((status = 200, body = Page<Feed>), (status = "default", body = api::error::Problem)))]
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Page<Feed>>, ApiError> {
    let found = feeds::list(&app, &caller).await?;
    Ok(Json(Page { items: found.into_iter().map(convert).collect(), next_cursor: None }))
}

/// Adds a feed. It is fetched when its time comes, or when asked for.
#[utoipa::path(post, path = "/feeds", operation_id = "add_feed", tag = "feeds", request_body = AddFeed, responses((status = 200, body = Feed), (status = "default", body = api::error::Problem)))]
pub async fn add(State(app): State<App>, caller: Caller, Body(body): Body<AddFeed>) -> Result<Json<Feed>, ApiError> {
    Ok(Json(convert(feeds::add(&app, &caller, &body).await?)))
}

/// Removes a feed with everything that it said.
#[utoipa::path(post, path = "/feeds/{name}/remove", operation_id = "remove_feed", tag = "feeds", params(("name", description = "feed name")), responses((status = 200, body = Changed), (status = "default", body = api::error::Problem)))]
pub async fn remove(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Result<Json<Changed>, ApiError> {
    feeds::remove(&app, &caller, &name).await?;
    Ok(Json(Changed { n_changed: 1 }))
}

/// Looks at a feed now, and answers when it is imported.
#[utoipa::path(post, path = "/feeds/{name}/refresh", operation_id = "refresh_feed", tag = "feeds", params(("name", description = "feed name")), responses((status = 200, body = Feed), (status = "default", body = api::error::Problem)))]
pub async fn refresh(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Result<Json<Feed>, ApiError> {
    Ok(Json(convert(feeds::refresh(&app, &caller, &name).await?)))
}

/// Imports the file that is the body, and answers when that is done.
#[utoipa::path(post, path = "/feeds/{name}/import", operation_id = "import_feed", tag = "feeds", params(("name", description = "feed name")), request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses((status = 200, body = Feed), (status = "default", body = api::error::Problem)))]
pub async fn import(State(app): State<App>, caller: Caller, Path(name): Path<String>, body: RawBody) -> Result<Json<Feed>, ApiError> {
    feeds::find(&app, &caller, &name).await?;
    let folder = app.create_spool_folder().map_err(ActionError::from)?;
    let path = folder.path().join("feed");
    receive(body, &path).await?;
    Ok(Json(convert(feeds::import(&app, &caller, &name, &path).await?)))
}

/// Writes a body to a file.
async fn receive(mut body: RawBody, path: &std::path::Path) -> Result<(), ApiError> {
    let failed = |error| ApiError::from(ActionError::Feed(FeedError::File(error)));
    let mut file = std::fs::File::create(path).map_err(failed)?;
    let mut n_bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidBody, format!("the file did not arrive whole: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        n_bytes += data.len() as u64;
        if n_bytes > FILE_BYTES_MAX {
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::BodyTooLarge, format!("the file has more than {FILE_BYTES_MAX} bytes")));
        }
        file.write_all(&data).map_err(failed)?;
    }
    Ok(())
}

fn convert(record: FeedRecord) -> Feed {
    let FeedRecord { feed, state, .. } = record;
    Feed {
        name: feed.name,
        format: feed.format.code().to_owned(),
        url: feed.url,
        product: feed.product,
        every_hours: feed.every_hours,
        checked_at: state.checked_at.map(|at| at.to_string()),
        imported_at: state.imported_at.map(|at| at.to_string()),
        error: state.error,
        n_entries: state.n_entries,
        n_changed: state.last.n_changed,
        n_removed: state.last.n_removed,
        n_passed_over: state.last.n_passed_over,
        n_malformed: state.last.n_malformed,
        problems: state.last.problems,
    }
}
