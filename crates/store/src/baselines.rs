//! Baselines that people wrote, version by version, and what each was chosen for.

use domain::decide::assign::Assignments;
use domain::model::baseline::Baseline;
use domain::model::id::BaselineId;
use domain::model::platform::OperatingSystem;
use domain::model::time::Timestamp;

use crate::reports::damaged_id;
use crate::sql::{ReadTx, Row, StoreError, WriteTx, sql};

/// A version of a baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineVersion {
    /// Whose.
    pub baseline_id: BaselineId,
    /// From 1.
    pub version: u32,
    /// The baseline; none when this version deleted it.
    pub document: Option<Baseline>,
    /// Who made it.
    pub changed_by: String,
    /// When.
    pub changed_at: Timestamp,
    /// Why.
    pub reason: String,
}

impl WriteTx {
    /// Adds a version. Two of one number are an error of the database.
    pub async fn insert_baseline_version(&mut self, version: &BaselineVersion) -> Result<(), StoreError> {
        let document = version.document.as_ref().map(|document| serde_json::to_string(document).expect("a baseline has text keys only"));
        let statement = sql("INSERT INTO baseline_versions (baseline_id, version, document, changed_by, changed_at, reason) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(version.baseline_id.as_str())
            .bind(version.version)
            .bind(document)
            .bind(&version.changed_by)
            .bind(version.changed_at.as_millis())
            .bind(&version.reason);
        self.execute(statement).await.map(|_| ())
    }

    /// Chooses the baseline of a patch group, or of an operating system; none undoes the choice.
    pub async fn assign_baseline(&mut self, system: OperatingSystem, group: Option<&str>, id: Option<&BaselineId>) -> Result<(), StoreError> {
        let group = group.unwrap_or_default();
        let statement = match id {
            Some(id) => sql("INSERT INTO baseline_assignments (operating_system, patch_group, baseline_id) VALUES ($1, $2, $3) \
                 ON CONFLICT (operating_system, patch_group) DO UPDATE SET baseline_id = excluded.baseline_id")
            .bind(system.code())
            .bind(group)
            .bind(id.as_str()),
            None => sql("DELETE FROM baseline_assignments WHERE operating_system = $1 AND patch_group = $2").bind(system.code()).bind(group),
        };
        self.execute(statement).await.map(|_| ())
    }
}

impl ReadTx {
    /// The newest version of every baseline that was not deleted.
    pub async fn list_baselines(&mut self) -> Result<Vec<BaselineVersion>, StoreError> {
        let newest = "SELECT * FROM baseline_versions v WHERE document IS NOT NULL \
             AND version = (SELECT MAX(version) FROM baseline_versions WHERE baseline_id = v.baseline_id) ORDER BY baseline_id";
        self.list(sql(newest), version).await
    }

    /// Every version of a baseline, newest first.
    pub async fn list_baseline_versions(&mut self, id: &BaselineId) -> Result<Vec<BaselineVersion>, StoreError> {
        self.list(sql("SELECT * FROM baseline_versions WHERE baseline_id = $1 ORDER BY version DESC").bind(id.as_str()), version).await
    }

    /// What baselines were chosen for.
    pub async fn list_assignments(&mut self) -> Result<Assignments, StoreError> {
        let mut assignments = Assignments::default();
        for row in self.rows(sql("SELECT * FROM baseline_assignments")).await? {
            let (code, group): (String, String) = (row.get("operating_system")?, row.get("patch_group")?);
            let system = OperatingSystem::ALL.into_iter().find(|system| system.code() == code).ok_or(StoreError::Damaged { what: "operating system", detail: code })?;
            let id = id(&row)?;
            if group.is_empty() {
                assignments.defaults.insert(system, id)
            } else {
                assignments.groups.insert((system, group), id)
            };
        }
        Ok(assignments)
    }
}

fn id(row: &Row) -> Result<BaselineId, StoreError> {
    row.get::<String>("baseline_id")?.parse().map_err(|error| damaged_id(&error))
}

fn version(row: &Row) -> Result<BaselineVersion, StoreError> {
    let document: Option<String> = row.get("document")?;
    let document = document.map(|text| serde_json::from_str(&text)).transpose();
    Ok(BaselineVersion {
        baseline_id: id(row)?,
        version: row.count("version")?,
        document: document.map_err(|error| StoreError::Damaged { what: "baseline", detail: error.to_string() })?,
        changed_by: row.get("changed_by")?,
        changed_at: Timestamp::from_millis(row.get("changed_at")?),
        reason: row.get("reason")?,
    })
}
