//! Nodes as they stand today.

use api::page::Cursor;
use api::v1::node::{ListNodePatches, ListNodes, ListPage};
use domain::model::compliance::{PatchState, Reason, ReasonCode, Verdict};
use domain::model::id::NodeId;
use domain::model::patch::Classification;
use domain::model::scan_report::{PatchRow, ScanReport};
use domain::model::time::Timestamp;
use store::nodes::{NodeQuery, NodeRecord, NodeSort, PagePlace, PageValue};
use store::scans::ScanRecord;

use crate::App;
use crate::actions::{ActionError, Caller, cut_page, decode_cursor, page_limit, search_text};

/// A node with its verdict of today.
#[derive(Debug, Clone)]
pub struct NodeToday {
    /// The node.
    pub node: NodeRecord,
    /// The verdict; unknown when the last scan is stale.
    pub verdict: Verdict,
    /// Whether the last scan is too old to prove anything.
    pub stale: bool,
}

/// A page of nodes.
pub struct NodePage {
    /// The nodes.
    pub nodes: Vec<NodeToday>,
    /// Cursor of the next page.
    pub next_cursor: Option<String>,
    /// Nodes on all pages.
    pub n_found: u32,
}

/// Lists nodes.
pub async fn list(app: &App, _caller: &Caller, query: &ListNodes) -> Result<NodePage, ActionError> {
    let stale_before = app.stale_before(app.now());
    let limit = page_limit(query.limit)?;
    let (sort, sort_name) = parse_sort(query.sort.as_deref())?;
    let list = format!("nodes?{sort_name}&{:?}&{:?}", query.q, query.verdict);
    let cursor = decode_cursor(query.cursor.as_deref(), &list)?;
    let store_query = NodeQuery {
        text: search_text(query.q.as_deref())?,
        verdict: query.verdict.as_deref().filter(|verdict| !verdict.is_empty()).map(parse_verdict).transpose()?,
        sort,
        after: cursor.map(|cursor| page_place(sort, cursor)).transpose()?,
        limit: limit + 1,
        stale_before,
    };
    let mut tx = app.database().read().await?;
    let found = tx.list_nodes(&store_query).await?;
    let n_found = tx.count_nodes(&store_query).await?;
    let (nodes, next_cursor) = cut_page(found, limit, &list, |node| node_cursor(sort, node));
    let nodes = nodes.into_iter().map(|node| NodeToday::new(node, stale_before)).collect();
    Ok(NodePage { nodes, next_cursor, n_found })
}

/// One node with its last scan.
pub async fn find(app: &App, _caller: &Caller, id: &str) -> Result<(NodeToday, Option<ScanReport>), ActionError> {
    let stale_before = app.stale_before(app.now());
    let mut tx = app.database().read().await?;
    let node = tx.find_node(&parse_id(id)?).await?.ok_or_else(|| ActionError::not_found("node", id))?;
    let mut report = match &node.last_scan {
        Some(scan) => tx.find_scan_report(&scan.id).await?,
        None => None,
    };
    let node = NodeToday::new(node, stale_before);
    if let (true, Some(report)) = (node.stale, &mut report) {
        let text = format!("the last scan was on {}, too long ago to say anything", report.scanned_at);
        report.reasons.insert(0, Reason::new(ReasonCode::ScanStale, text));
    }
    Ok((node, report))
}

/// A page of a node's patches.
pub struct NodePatchPage {
    /// The rows.
    pub patches: Vec<PatchRow>,
    /// Cursor of the next page.
    pub next_cursor: Option<String>,
    /// Rows on all pages.
    pub n_found: usize,
}

/// Lists the patches of a node's last scan, most urgent first.
pub async fn list_patches(app: &App, caller: &Caller, id: &str, query: &ListNodePatches) -> Result<NodePatchPage, ActionError> {
    let limit = page_limit(query.limit)?;
    let text = search_text(query.q.as_deref())?;
    let state = query.state.as_deref().filter(|state| !state.is_empty()).map(parse_state).transpose()?;
    let classification = query.classification.as_deref().filter(|word| !word.is_empty()).map(parse_classification).transpose()?;
    let list = format!("node-patches?{id}&{:?}&{:?}&{:?}", query.q, query.state, query.classification);
    let cursor = decode_cursor(query.cursor.as_deref(), &list)?;

    let (_, report) = find(app, caller, id).await?;
    let mut rows = report.map(|report| report.patches).unwrap_or_default();
    rows.retain(|row| {
        text.as_ref().is_none_or(|text| row.name.contains(text.as_str()))
            && state.is_none_or(|state| row.state == state)
            && classification.is_none_or(|classification| row.classification == classification)
    });
    rows.sort_by(|a, b| (a.state, &a.name, &a.architecture).cmp(&(b.state, &b.name, &b.architecture)));
    let n_found = rows.len();
    if let Some(cursor) = cursor {
        let start = rows.partition_point(|row| row_key(row) <= (cursor.value.clone(), cursor.id.clone()));
        rows.drain(..start);
    }
    rows.truncate(limit as usize + 1);
    let (patches, next_cursor) = cut_page(rows, limit, &list, |row| {
        let (value, id) = row_key(row);
        Cursor { value, id }
    });
    Ok(NodePatchPage { patches, next_cursor, n_found })
}

/// Place of a row in the list: states by urgency, then names.
fn row_key(row: &PatchRow) -> (String, String) {
    (format!("{}{}", row.state as u8, row.name), row.architecture.clone())
}

/// Lists the scans of a node, newest first.
pub async fn list_scans(app: &App, _caller: &Caller, id: &str, query: &ListPage) -> Result<(Vec<ScanRecord>, Option<String>), ActionError> {
    let limit = page_limit(query.limit)?;
    let list = format!("scans?{id}");
    let cursor = decode_cursor(query.cursor.as_deref(), &list)?;
    let before = cursor.as_ref().map(|cursor| Ok::<_, ActionError>((Timestamp::from_millis(parse_number(&cursor.value)?), cursor.id.as_str()))).transpose()?;
    let mut tx = app.database().read().await?;
    let node = tx.find_node(&parse_id(id)?).await?.ok_or_else(|| ActionError::not_found("node", id))?;
    let scans = tx.list_scans(&node.id, before, limit + 1).await?;
    Ok(cut_page(scans, limit, &list, |scan| Cursor { value: scan.scanned_at.as_millis().to_string(), id: scan.id.clone() }))
}

impl NodeToday {
    /// Judges by the age of the last scan too.
    pub fn new(node: NodeRecord, stale_before: Timestamp) -> Self {
        let stale = node.last_scan.as_ref().is_some_and(|scan| scan.at < stale_before);
        let verdict = node.last_scan.as_ref().filter(|_| !stale).map_or(Verdict::Unknown, |scan| scan.verdict);
        Self { node, verdict, stale }
    }
}

/// An id that is malformed belongs to no node.
fn parse_id(id: &str) -> Result<NodeId, ActionError> {
    id.parse().map_err(|_| ActionError::not_found("node", id))
}

fn parse_sort(sort: Option<&str>) -> Result<(NodeSort, &'static str), ActionError> {
    match sort.unwrap_or_default() {
        "" | "missing" => Ok((NodeSort::Missing, "missing")),
        "name" => Ok((NodeSort::Name, "name")),
        "last_scan" => Ok((NodeSort::LastScan, "last_scan")),
        other => Err(ActionError::invalid("sort", format!("sort `{other}` is none of missing, name, last_scan"))),
    }
}

fn parse_verdict(text: &str) -> Result<Verdict, ActionError> {
    Verdict::parse(text).ok_or_else(|| ActionError::invalid("verdict", format!("verdict `{text}` is none of COMPLIANT, NON_COMPLIANT, UNKNOWN")))
}

fn parse_state(text: &str) -> Result<PatchState, ActionError> {
    PatchState::parse(text).ok_or_else(|| ActionError::invalid("state", format!("state `{text}` is none of {}", PatchState::ALL.map(PatchState::code).join(", "))))
}

/// Reads a classification.
pub fn parse_classification(text: &str) -> Result<Classification, ActionError> {
    let known = [Classification::Security, Classification::Other];
    known
        .into_iter()
        .find(|known| known.word().eq_ignore_ascii_case(text))
        .ok_or_else(|| ActionError::invalid("classification", format!("classification `{text}` is none of Security, Other")))
}

fn parse_number(text: &str) -> Result<i64, ActionError> {
    text.parse().map_err(|_| ActionError::InvalidCursor)
}

fn page_place(sort: NodeSort, cursor: Cursor) -> Result<PagePlace, ActionError> {
    let value = match sort {
        NodeSort::Name => PageValue::Text(cursor.value),
        NodeSort::Missing | NodeSort::LastScan => PageValue::Number(parse_number(&cursor.value)?),
    };
    Ok(PagePlace { value, id: cursor.id })
}

fn node_cursor(sort: NodeSort, node: &NodeRecord) -> Cursor {
    let scan = node.last_scan.as_ref();
    let value = match sort {
        NodeSort::Missing => scan.map_or(0, |scan| scan.counts.missing).to_string(),
        NodeSort::Name => node.name.clone(),
        NodeSort::LastScan => scan.map_or(0, |scan| scan.at.as_millis()).to_string(),
    };
    Cursor { value, id: node.id.to_string() }
}
