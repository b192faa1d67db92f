//! The catalog of patches that nodes were offered, and which nodes still need them.

use std::collections::HashMap;

use domain::model::id::PatchId;
use domain::model::package::Digest;
use domain::model::patch::AvailableVersion;
use domain::model::scan_report::PatchRow;
use domain::model::time::Timestamp;

use crate::sql::{ReadTx, Row, StoreError, WriteTx, contains, sql};

/// A patch with the number of nodes that it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchRecord {
    /// Its id.
    pub id: String,
    /// Package name.
    pub name: String,
    /// Package architecture.
    pub architecture: String,
    /// The newer version.
    pub version: String,
    /// Source package.
    pub source: String,
    /// Vendor's classification.
    pub classification: String,
    /// Vendor's severity.
    pub severity: String,
    /// Archive section.
    pub section: Option<String>,
    /// Archive priority.
    pub priority: Option<String>,
    /// Short name of its repository.
    pub repository: Option<String>,
    /// When a node was first offered it.
    pub first_seen_at: Timestamp,
    /// Nodes on which it is missing.
    pub n_missing: u32,
    /// Nodes on which it is known and not counted as missing.
    pub n_other: u32,
}

/// Which patches are wanted.
#[derive(Debug, Clone, Default)]
pub struct PatchQuery {
    /// Part of the package's or the source's name.
    pub text: Option<String>,
    /// Vendor's classification.
    pub classification: Option<String>,
    /// The last patch of the page before: its number of nodes, and its id.
    pub after: Option<(i64, String)>,
    /// Most patches of the page.
    pub limit: u32,
}

/// Rows written by one statement; both databases limit how many values it may bind.
const ROWS_PER_STATEMENT: usize = 500;

impl WriteTx {
    /// Fills in since when each version is known: what the catalog says, else `now`.
    pub async fn fill_first_seen(&mut self, available: &mut [AvailableVersion], now: Timestamp) -> Result<(), StoreError> {
        let ids: Vec<_> = available.iter().map(|version| PatchId::of(&version.name, &version.architecture, &version.version)).collect();
        let mut known = HashMap::new();
        for chunk in ids.chunks(ROWS_PER_STATEMENT) {
            let mut statement = sql("SELECT id, first_seen_at FROM patches WHERE id IN (''");
            for id in chunk {
                statement.push(", ?", id.as_str());
            }
            statement.push_text(")");
            for row in self.rows(statement).await? {
                known.insert(row.get::<String>("id")?, row.get::<i64>("first_seen_at")?);
            }
        }
        for (version, id) in available.iter_mut().zip(&ids) {
            version.first_seen_at = Some(known.get(id.as_str()).map_or(now, |&millis| Timestamp::from_millis(millis)));
        }
        Ok(())
    }

    /// Stores what a judgement found wanting, and the patches that the catalog has not seen.
    pub(crate) async fn insert_judgement_patches(&mut self, judgement: &Digest, patches: &[PatchRow], now: Timestamp) -> Result<(), StoreError> {
        let offered: Vec<_> = patches.iter().filter_map(|patch| Some((patch, patch.available_version.as_deref()?))).collect();
        for chunk in offered.chunks(ROWS_PER_STATEMENT) {
            let mut catalog = sql("INSERT INTO patches (id, name, architecture, version, source, classification, severity, section, priority, repository, first_seen_at) VALUES ");
            let mut wanting = sql("INSERT INTO judgement_patches (judgement, patch_id, state, installed_version) VALUES ");
            for (at, (patch, version)) in chunk.iter().enumerate() {
                let id = PatchId::of(&patch.name, &patch.architecture, version);
                let start = if at == 0 { "(?" } else { ", (?" };
                catalog.push(start, id.as_str());
                catalog.push(", ?", &patch.name);
                catalog.push(", ?", &patch.architecture);
                catalog.push(", ?", *version);
                catalog.push(", ?", &patch.source);
                catalog.push(", ?", patch.classification.word());
                catalog.push(", ?", patch.severity.word());
                catalog.push(", ?", patch.section.clone());
                catalog.push(", ?", patch.priority.clone());
                catalog.push(", ?", patch.repository.as_ref().and_then(|repository| repository.label.clone().or_else(|| repository.origin.clone())));
                catalog.push(", ?)", patch.first_seen_at.unwrap_or(now).as_millis());
                wanting.push(start, judgement.as_str());
                wanting.push(", ?", id.as_str());
                wanting.push(", ?", patch.state.code());
                wanting.push(", ?)", &patch.installed_version);
            }
            catalog.push_text(" ON CONFLICT (id) DO NOTHING");
            wanting.push_text(" ON CONFLICT (judgement, patch_id) DO NOTHING");
            self.execute(catalog).await?;
            self.execute(wanting).await?;
        }
        Ok(())
    }
}

/// Patches with their numbers of nodes. Nodes are counted per judgement first, so the cost grows
/// with distinct judgements and not with nodes.
const COUNTED_PATCHES: &str = "WITH groups AS (SELECT judgement, COUNT(*) AS n_nodes FROM nodes WHERE judgement IS NOT NULL GROUP BY judgement), \
     counted AS (SELECT patch_id, CAST(SUM(CASE WHEN state = 'MISSING' THEN n_nodes ELSE 0 END) AS BIGINT) AS n_missing, CAST(SUM(CASE WHEN state = 'MISSING' THEN 0 ELSE n_nodes END) AS BIGINT) AS n_other \
     FROM judgement_patches JOIN groups ON groups.judgement = judgement_patches.judgement GROUP BY patch_id) \
     SELECT patches.*, counted.n_missing, counted.n_other FROM counted JOIN patches ON patches.id = counted.patch_id WHERE 1 = 1";

impl ReadTx {
    /// A page of patches that nodes need or are offered, those missing on most nodes first.
    pub async fn list_patches(&mut self, query: &PatchQuery) -> Result<Vec<PatchRecord>, StoreError> {
        let mut statement = sql(COUNTED_PATCHES);
        if let Some(text) = &query.text {
            let pattern = contains(text);
            statement.push(" AND (LOWER(patches.name) LIKE ? ESCAPE '\\'", pattern.clone());
            statement.push(" OR LOWER(patches.source) LIKE ? ESCAPE '\\')", pattern);
        }
        if let Some(classification) = &query.classification {
            statement.push(" AND patches.classification = ?", classification);
        }
        if let Some((n_missing, id)) = &query.after {
            statement.push(" AND (counted.n_missing, patches.id) < (?, ", *n_missing);
            statement.push("?)", id);
        }
        statement.push(" ORDER BY counted.n_missing DESC, patches.id DESC LIMIT ?", query.limit);
        self.rows(statement).await?.iter().map(patch).collect()
    }

    /// A patch of the catalog.
    pub async fn find_patch(&mut self, id: &PatchId) -> Result<Option<PatchRecord>, StoreError> {
        let mut statement = sql(COUNTED_PATCHES);
        statement.push(" AND patches.id = ?", id.as_str());
        if let Some(row) = self.optional(statement).await? {
            return patch(&row).map(Some);
        }
        let unneeded = sql("SELECT patches.*, CAST(0 AS BIGINT) AS n_missing, CAST(0 AS BIGINT) AS n_other FROM patches WHERE id = $1").bind(id.as_str());
        self.optional(unneeded).await?.as_ref().map(patch).transpose()
    }
}

fn patch(row: &Row) -> Result<PatchRecord, StoreError> {
    Ok(PatchRecord {
        id: row.get("id")?,
        name: row.get("name")?,
        architecture: row.get("architecture")?,
        version: row.get("version")?,
        source: row.get("source")?,
        classification: row.get("classification")?,
        severity: row.get("severity")?,
        section: row.get("section")?,
        priority: row.get("priority")?,
        repository: row.get("repository")?,
        first_seen_at: Timestamp::from_millis(row.get("first_seen_at")?),
        n_missing: row.count("n_missing")?,
        n_other: row.count("n_other")?,
    })
}
