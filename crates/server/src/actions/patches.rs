//! The catalog of patches, and the nodes that need them.

use api::page::Cursor;
use api::v1::node::ListPage;
use api::v1::patch::ListPatches;
use domain::model::compliance::PatchState;
use domain::model::id::PatchId;
use store::nodes::NodeRecord;
use store::patches::{PatchQuery, PatchRecord};

use crate::App;
use crate::actions::nodes::parse_classification;
use crate::actions::{ActionError, Caller, cut_page, decode_cursor, page_limit, search_text};

/// Lists patches that nodes need or are offered, those missing on most nodes first.
pub async fn list(app: &App, _caller: &Caller, query: &ListPatches) -> Result<(Vec<PatchRecord>, Option<String>), ActionError> {
    let limit = page_limit(query.limit)?;
    let list = format!("patches?{:?}&{:?}", query.q, query.classification);
    let cursor = decode_cursor(query.cursor.as_deref(), &list)?;
    let after = cursor.map(|cursor| Ok::<_, ActionError>((cursor.value.parse().map_err(|_| ActionError::InvalidCursor)?, cursor.id))).transpose()?;
    let classification = query.classification.as_deref().filter(|word| !word.is_empty()).map(parse_classification).transpose()?;
    let store_query = PatchQuery { text: search_text(query.q.as_deref())?, classification: classification.map(|known| known.word().to_owned()), after, limit: limit + 1 };
    let patches = app.database().read().await?.list_patches(&store_query).await?;
    Ok(cut_page(patches, limit, &list, |patch| Cursor { value: patch.n_missing.to_string(), id: patch.id.clone() }))
}

/// One patch.
pub async fn find(app: &App, _caller: &Caller, id: &str) -> Result<PatchRecord, ActionError> {
    let not_found = || ActionError::not_found("patch", id);
    let patch_id: PatchId = id.parse().map_err(|_| not_found())?;
    app.database().read().await?.find_patch(&patch_id).await?.ok_or_else(not_found)
}

/// A page of the nodes that a patch concerns, each with the patch's state there.
pub async fn list_nodes(app: &App, caller: &Caller, id: &str, query: &ListPage) -> Result<(Vec<(NodeRecord, PatchState)>, Option<String>), ActionError> {
    let limit = page_limit(query.limit)?;
    let list = format!("patch-nodes?{id}");
    let cursor = decode_cursor(query.cursor.as_deref(), &list)?;
    let patch = find(app, caller, id).await?;
    let rows = app.database().read().await?.list_nodes_of_patch(&patch.id, cursor.as_ref().map(|cursor| cursor.id.as_str()), limit + 1).await?;
    let rows = rows.into_iter().filter_map(|(node, state)| Some((node, PatchState::parse(&state)?))).collect();
    Ok(cut_page(rows, limit, &list, |(node, _): &(NodeRecord, PatchState)| Cursor { value: String::new(), id: node.id.to_string() }))
}
