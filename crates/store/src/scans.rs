//! Scans: what was found on a node at a time. Packages and judged patches are stored once per
//! distinct content, however many nodes and scans share them.

use domain::model::compliance::Verdict;
use domain::model::id::{NodeId, ScanId};
use domain::model::package::{Digest, PackageSet};
use domain::model::scan_report::{PatchRow, ScanReport};
use domain::model::time::Timestamp;

use crate::content::{pack, unpack};
use crate::sql::{ReadTx, StoreError, WriteTx, sql};

/// A scan in a node's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanRecord {
    /// Its id.
    pub id: String,
    /// When.
    pub scanned_at: Timestamp,
    /// Digest of the packages.
    pub package_set: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Missing patches.
    pub n_missing: u32,
    /// Those that are security patches.
    pub n_security_non_compliant: u32,
}

impl WriteTx {
    /// Stores a scan; returns the digest of its judged patches.
    pub async fn insert_scan(&mut self, id: &ScanId, node_id: &NodeId, report: &ScanReport, packages: &PackageSet, now: Timestamp) -> Result<Digest, StoreError> {
        let package_set = packages.digest();
        let n_packages = i64::try_from(packages.len()).unwrap_or(i64::MAX);
        self.execute(
            sql("INSERT INTO package_sets (digest, n_packages, content, first_seen_at) VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING")
                .bind(package_set.as_str())
                .bind(n_packages)
                .bind(pack(&packages.canonical_bytes()))
                .bind(now.as_millis()),
        )
        .await?;
        let judgement = self.insert_judgement(&report.patches, now).await?;
        let without_patches = ScanReport { patches: Vec::new(), ..report.clone() };
        let statement = sql("INSERT INTO scans (id, node_id, scanned_at, package_set, judgement, verdict, n_missing, n_security_non_compliant, document) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(id.as_str())
            .bind(node_id.as_str())
            .bind(report.scanned_at.as_millis())
            .bind(package_set.as_str())
            .bind(judgement.as_str())
            .bind(report.verdict.code())
            .bind(report.counts.missing)
            .bind(report.counts.security_non_compliant)
            .bind(encode(&without_patches));
        self.execute(statement).await?;
        Ok(judgement)
    }

    async fn insert_judgement(&mut self, patches: &[PatchRow], now: Timestamp) -> Result<Digest, StoreError> {
        let content = encode(&patches);
        let digest = Digest::of(content.as_bytes());
        let statement = sql("INSERT INTO judgements (digest, content, first_seen_at) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING")
            .bind(digest.as_str())
            .bind(pack(content.as_bytes()))
            .bind(now.as_millis());
        if self.execute(statement).await? > 0 {
            self.insert_judgement_patches(&digest, patches, now).await?;
        }
        Ok(digest)
    }
}

impl ReadTx {
    /// The report of a scan, with its patches.
    pub async fn find_scan_report(&mut self, scan_id: &str) -> Result<Option<ScanReport>, StoreError> {
        let statement = sql("SELECT scans.document, judgements.content FROM scans JOIN judgements ON judgements.digest = scans.judgement WHERE scans.id = $1").bind(scan_id);
        let Some(row) = self.optional(statement).await? else { return Ok(None) };
        let mut report: ScanReport = decode("scan document", row.get::<String>("document")?.as_bytes())?;
        report.patches = decode("judgement", &unpack("judgement", &row.get::<Vec<u8>>("content")?)?)?;
        Ok(Some(report))
    }

    /// Scans of a node, newest first.
    pub async fn list_scans(&mut self, node_id: &NodeId, before: Option<(Timestamp, &str)>, limit: u32) -> Result<Vec<ScanRecord>, StoreError> {
        let mut statement = sql("SELECT * FROM scans");
        statement.push(" WHERE node_id = ?", node_id.as_str());
        if let Some((at, id)) = before {
            statement.push(" AND (scanned_at, id) < (?, ", at.as_millis());
            statement.push("?)", id);
        }
        statement.push(" ORDER BY scanned_at DESC, id DESC LIMIT ?", limit);
        let rows = self.rows(statement).await?;
        rows.iter()
            .map(|row| {
                let verdict: String = row.get("verdict")?;
                Ok(ScanRecord {
                    id: row.get("id")?,
                    scanned_at: Timestamp::from_millis(row.get("scanned_at")?),
                    package_set: row.get("package_set")?,
                    verdict: Verdict::parse(&verdict).ok_or(StoreError::Damaged { what: "verdict", detail: verdict })?,
                    n_missing: row.count("n_missing")?,
                    n_security_non_compliant: row.count("n_security_non_compliant")?,
                })
            })
            .collect()
    }
}

fn encode(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("reports have text keys only")
}

fn decode<T: serde::de::DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Damaged { what, detail: error.to_string() })
}
