//! Nodes with a copy of their last scan's counts, so that lists and sums read one table.

use domain::model::compliance::{Counts, Verdict};
use domain::model::id::NodeId;
use domain::model::time::Timestamp;

use crate::sql::{ReadTx, Row, Statement, StoreError, WriteTx, contains, sql};

/// A node as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its id.
    pub id: NodeId,
    /// Host name.
    pub name: String,
    /// Identity of the installation.
    pub machine: Option<String>,
    /// What the node lets be done to it: `scan`.
    pub allows: String,
    /// Name of its operating system.
    pub platform: String,
    /// Product such as `Debian12`.
    pub product: String,
    /// Native architecture.
    pub architecture: String,
    /// Running kernel.
    pub kernel: Option<String>,
    /// When it joined.
    pub enrolled_at: Timestamp,
    /// Its last scan, when there was one.
    pub last_scan: Option<LastScan>,
}

/// What lists show of a node's last scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastScan {
    /// The scan.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Digest of the judged patches.
    pub judgement: String,
    /// The verdict then.
    pub verdict: Verdict,
    /// How many packages were installed.
    pub n_packages: u32,
    /// Patches by state.
    pub counts: Counts,
}

/// Which nodes are wanted, in which order.
#[derive(Debug, Clone)]
pub struct NodeQuery {
    /// Part of the name or the id.
    pub text: Option<String>,
    /// Verdict as it stands today.
    pub verdict: Option<Verdict>,
    /// Order.
    pub sort: NodeSort,
    /// The last node of the page before.
    pub after: Option<PagePlace>,
    /// Most nodes of the page.
    pub limit: u32,
    /// Scans before this instant are stale: such nodes are unknown.
    pub stale_before: Timestamp,
}

/// Orders of nodes; each ends with the id, so that it is total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NodeSort {
    /// Most missing patches first.
    #[default]
    Missing,
    /// By name.
    Name,
    /// Longest without a scan first.
    LastScan,
}

/// Where a page ends: the sort column's value and the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagePlace {
    /// The value, a number or a text.
    pub value: PageValue,
    /// The id.
    pub id: String,
}

/// A sort column's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageValue {
    /// Counts and times.
    Number(i64),
    /// Names.
    Text(String),
}

/// Sums over all nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FleetSummary {
    /// All nodes.
    pub n_nodes: u32,
    /// Compliant ones.
    pub n_compliant: u32,
    /// Those that are not.
    pub n_non_compliant: u32,
    /// Those of which it cannot be said.
    pub n_unknown: u32,
    /// Of the unknown, those whose last scan is too old.
    pub n_stale: u32,
    /// Patches by state, summed.
    pub counts: Counts,
}

/// The verdict of today: a stale scan proves nothing. `?` is the instant before which it is stale.
const VERDICT_TODAY: &str = "CASE WHEN last_scan_at IS NULL OR last_scan_at < ? THEN 'UNKNOWN' ELSE verdict END";

impl WriteTx {
    /// Adds a node, or replaces what is known of it.
    pub async fn upsert_node(&mut self, node: &NodeRecord) -> Result<(), StoreError> {
        let scan = node.last_scan.as_ref();
        let counts = scan.map(|scan| scan.counts).unwrap_or_default();
        let statement = sql("INSERT INTO nodes (id, name, machine, allows, platform, product, architecture, kernel, enrolled_at, last_scan_id, last_scan_at, judgement, verdict, n_packages, \
             n_missing, n_failed, n_installed_pending_reboot, n_installed_rejected, n_available_security_update, n_installed, n_installed_other, n_security_non_compliant, n_critical_non_compliant) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23) \
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, machine = excluded.machine, allows = excluded.allows, platform = excluded.platform, product = excluded.product, \
             architecture = excluded.architecture, kernel = excluded.kernel, last_scan_id = excluded.last_scan_id, last_scan_at = excluded.last_scan_at, judgement = excluded.judgement, \
             verdict = excluded.verdict, n_packages = excluded.n_packages, n_missing = excluded.n_missing, n_failed = excluded.n_failed, \
             n_installed_pending_reboot = excluded.n_installed_pending_reboot, n_installed_rejected = excluded.n_installed_rejected, \
             n_available_security_update = excluded.n_available_security_update, n_installed = excluded.n_installed, n_installed_other = excluded.n_installed_other, \
             n_security_non_compliant = excluded.n_security_non_compliant, n_critical_non_compliant = excluded.n_critical_non_compliant")
        .bind(node.id.as_str())
        .bind(&node.name)
        .bind(node.machine.clone())
        .bind(&node.allows)
        .bind(&node.platform)
        .bind(&node.product)
        .bind(&node.architecture)
        .bind(node.kernel.clone())
        .bind(node.enrolled_at.as_millis())
        .bind(scan.map(|scan| scan.id.clone()))
        .bind(scan.map(|scan| scan.at.as_millis()))
        .bind(scan.map(|scan| scan.judgement.clone()))
        .bind(scan.map_or(Verdict::Unknown, |scan| scan.verdict).code())
        .bind(scan.map_or(0, |scan| scan.n_packages))
        .bind(counts.missing)
        .bind(counts.failed)
        .bind(counts.installed_pending_reboot)
        .bind(counts.installed_rejected)
        .bind(counts.available_security_update)
        .bind(counts.installed)
        .bind(counts.installed_other)
        .bind(counts.security_non_compliant)
        .bind(counts.critical_non_compliant);
        self.execute(statement).await.map(|_| ())
    }
}

impl ReadTx {
    /// A node by id.
    pub async fn find_node(&mut self, id: &NodeId) -> Result<Option<NodeRecord>, StoreError> {
        self.optional(sql("SELECT * FROM nodes WHERE id = $1").bind(id.as_str())).await?.as_ref().map(node).transpose()
    }

    /// The node of an installation.
    pub async fn find_node_by_machine(&mut self, machine: &str) -> Result<Option<NodeRecord>, StoreError> {
        self.optional(sql("SELECT * FROM nodes WHERE machine = $1").bind(machine)).await?.as_ref().map(node).transpose()
    }

    /// A page of nodes.
    pub async fn list_nodes(&mut self, query: &NodeQuery) -> Result<Vec<NodeRecord>, StoreError> {
        let mut statement = sql("SELECT * FROM nodes WHERE 1 = 1");
        query.filter(&mut statement);
        let (column, direction, comparison) = match query.sort {
            NodeSort::Missing => ("n_missing", "DESC", "<"),
            NodeSort::Name => ("name", "ASC", ">"),
            NodeSort::LastScan => ("COALESCE(last_scan_at, 0)", "ASC", ">"),
        };
        if let Some(after) = &query.after {
            match &after.value {
                PageValue::Number(number) => statement.push(&format!(" AND ({column}, id) {comparison} (?, "), *number),
                PageValue::Text(text) => statement.push(&format!(" AND ({column}, id) {comparison} (?, "), text),
            }
            statement.push("?)", &after.id);
        }
        statement.push(&format!(" ORDER BY {column} {direction}, id {direction} LIMIT ?"), query.limit);
        self.rows(statement).await?.iter().map(node).collect()
    }

    /// How many nodes a query finds, on all pages.
    pub async fn count_nodes(&mut self, query: &NodeQuery) -> Result<u32, StoreError> {
        let mut statement = sql("SELECT COUNT(*) AS n FROM nodes WHERE 1 = 1");
        query.filter(&mut statement);
        self.optional(statement).await?.map_or(Ok(0), |row| row.count("n"))
    }

    /// Nodes that were offered a patch and have not installed it.
    pub async fn list_nodes_of_patch(&mut self, patch_id: &str, after: Option<&str>, limit: u32) -> Result<Vec<(NodeRecord, String)>, StoreError> {
        let statement = sql("SELECT nodes.*, judgement_patches.state AS patch_state FROM judgement_patches JOIN nodes ON nodes.judgement = judgement_patches.judgement \
             WHERE judgement_patches.patch_id = $1 AND nodes.id > $2 ORDER BY nodes.id LIMIT $3")
        .bind(patch_id)
        .bind(after.unwrap_or_default())
        .bind(limit);
        self.rows(statement).await?.iter().map(|row| Ok((node(row)?, row.get("patch_state")?))).collect()
    }

    /// Sums over all nodes, as things stand today.
    pub async fn summarize_fleet(&mut self, stale_before: Timestamp) -> Result<FleetSummary, StoreError> {
        let mut statement = sql("SELECT ");
        statement.push(VERDICT_TODAY, stale_before.as_millis());
        statement.push_text(" AS verdict_today, COUNT(*) AS n, ");
        statement.push("CAST(SUM(CASE WHEN last_scan_at IS NULL OR last_scan_at < ? THEN 1 ELSE 0 END) AS BIGINT) AS n_stale", stale_before.as_millis());
        for column in COUNT_COLUMNS {
            statement.push_text(&format!(", CAST(SUM({column}) AS BIGINT) AS {column}"));
        }
        statement.push_text(" FROM nodes GROUP BY 1");
        let mut summary = FleetSummary::default();
        for row in self.rows(statement).await? {
            let n = row.count("n")?;
            summary.n_nodes += n;
            summary.n_stale += row.count("n_stale")?;
            match Verdict::parse(&row.get::<String>("verdict_today")?) {
                Some(Verdict::Compliant) => summary.n_compliant += n,
                Some(Verdict::NonCompliant) => summary.n_non_compliant += n,
                _ => summary.n_unknown += n,
            }
            summary.counts = add(summary.counts, counts(&row)?);
        }
        Ok(summary)
    }
}

impl NodeQuery {
    fn filter(&self, statement: &mut Statement) {
        if let Some(text) = &self.text {
            let pattern = contains(text);
            statement.push(" AND (LOWER(name) LIKE ? ESCAPE '\\'", pattern.clone());
            statement.push(" OR id LIKE ? ESCAPE '\\')", pattern);
        }
        if let Some(verdict) = self.verdict {
            statement.push(&format!(" AND {VERDICT_TODAY}"), self.stale_before.as_millis());
            statement.push(" = ?", verdict.code());
        }
    }
}

const COUNT_COLUMNS: [&str; 9] = [
    "n_missing",
    "n_failed",
    "n_installed_pending_reboot",
    "n_installed_rejected",
    "n_available_security_update",
    "n_installed",
    "n_installed_other",
    "n_security_non_compliant",
    "n_critical_non_compliant",
];

fn counts(row: &Row) -> Result<Counts, StoreError> {
    let [missing, failed, pending, rejected, available, installed, other, security, critical] = COUNT_COLUMNS;
    Ok(Counts {
        missing: row.count(missing)?,
        failed: row.count(failed)?,
        installed_pending_reboot: row.count(pending)?,
        installed_rejected: row.count(rejected)?,
        available_security_update: row.count(available)?,
        installed: row.count(installed)?,
        installed_other: row.count(other)?,
        security_non_compliant: row.count(security)?,
        critical_non_compliant: row.count(critical)?,
    })
}

fn add(a: Counts, b: Counts) -> Counts {
    Counts {
        missing: a.missing + b.missing,
        failed: a.failed + b.failed,
        installed_pending_reboot: a.installed_pending_reboot + b.installed_pending_reboot,
        installed_rejected: a.installed_rejected + b.installed_rejected,
        available_security_update: a.available_security_update + b.available_security_update,
        installed: a.installed + b.installed,
        installed_other: a.installed_other + b.installed_other,
        security_non_compliant: a.security_non_compliant + b.security_non_compliant,
        critical_non_compliant: a.critical_non_compliant + b.critical_non_compliant,
    }
}

fn node(row: &Row) -> Result<NodeRecord, StoreError> {
    let id: String = row.get("id")?;
    let last_scan = match (row.get::<Option<String>>("last_scan_id")?, row.get::<Option<i64>>("last_scan_at")?, row.get::<Option<String>>("judgement")?) {
        (Some(id), Some(at), Some(judgement)) => {
            let verdict: String = row.get("verdict")?;
            let verdict = Verdict::parse(&verdict).ok_or(StoreError::Damaged { what: "verdict", detail: verdict })?;
            Some(LastScan { id, at: Timestamp::from_millis(at), judgement, verdict, n_packages: row.count("n_packages")?, counts: counts(row)? })
        }
        _ => None,
    };
    Ok(NodeRecord {
        id: id.parse().map_err(|error: domain::model::id::IdError| StoreError::Damaged { what: "node id", detail: error.to_string() })?,
        name: row.get("name")?,
        machine: row.get("machine")?,
        allows: row.get("allows")?,
        platform: row.get("platform")?,
        product: row.get("product")?,
        architecture: row.get("architecture")?,
        kernel: row.get("kernel")?,
        enrolled_at: Timestamp::from_millis(row.get("enrolled_at")?),
        last_scan,
    })
}
