//! Documents that say what operators want, version by version, and when what recurs is due.

use domain::model::intent::IntentKind;
use domain::model::time::Timestamp;

use crate::sql::{ReadTx, Row, StoreError, WriteTx, sql};

/// A version of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentVersion {
    /// Its kind.
    pub kind: IntentKind,
    /// Its name.
    pub name: String,
    /// From 1.
    pub version: u32,
    /// The document; none when this version deleted it.
    pub document: Option<String>,
    /// Who made it.
    pub changed_by: String,
    /// When.
    pub changed_at: Timestamp,
    /// Why.
    pub reason: String,
}

/// When something is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockRecord {
    /// What, such as `install production`.
    pub name: String,
    /// When.
    pub next_at: Timestamp,
    /// What became of the last time.
    pub last_note: Option<String>,
}

impl WriteTx {
    /// Adds a version. Two of one number are an error of the database.
    pub async fn insert_intent_version(&mut self, version: &IntentVersion) -> Result<(), StoreError> {
        let statement = sql("INSERT INTO intents (kind, name, version, document, changed_by, changed_at, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(version.kind.noun())
            .bind(&version.name)
            .bind(version.version)
            .bind(version.document.as_deref())
            .bind(&version.changed_by)
            .bind(version.changed_at.as_millis())
            .bind(&version.reason);
        self.execute(statement).await.map(|_| ())
    }

    /// Sets when something is due.
    pub async fn upsert_clock(&mut self, clock: &ClockRecord) -> Result<(), StoreError> {
        let statement = sql("INSERT INTO clocks (name, next_at, last_note) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET next_at = excluded.next_at, last_note = excluded.last_note")
        .bind(&clock.name)
        .bind(clock.next_at.as_millis())
        .bind(clock.last_note.as_deref());
        self.execute(statement).await.map(|_| ())
    }

    /// Forgets when something is due.
    pub async fn delete_clock(&mut self, name: &str) -> Result<(), StoreError> {
        self.execute(sql("DELETE FROM clocks WHERE name = $1").bind(name)).await.map(|_| ())
    }
}

impl ReadTx {
    /// The newest version of every document that was not deleted.
    pub async fn list_intents(&mut self) -> Result<Vec<IntentVersion>, StoreError> {
        let newest = "SELECT kind, name, MAX(version) AS version FROM intents GROUP BY kind, name";
        let text = format!(
            "SELECT i.* FROM intents i JOIN ({newest}) n ON n.kind = i.kind AND n.name = i.name AND n.version = i.version WHERE i.document IS NOT NULL ORDER BY i.kind, i.name"
        );
        self.list(sql(text), version).await
    }

    /// Every version of a document, newest first.
    pub async fn list_intent_versions(&mut self, kind: IntentKind, name: &str) -> Result<Vec<IntentVersion>, StoreError> {
        let statement = sql("SELECT * FROM intents WHERE kind = $1 AND name = $2 ORDER BY version DESC").bind(kind.noun()).bind(name);
        self.list(statement, version).await
    }

    /// When everything is due that recurs.
    pub async fn list_clocks(&mut self) -> Result<Vec<ClockRecord>, StoreError> {
        self.list(sql("SELECT * FROM clocks ORDER BY name"), |row| {
            Ok(ClockRecord { name: row.get("name")?, next_at: Timestamp::from_millis(row.get("next_at")?), last_note: row.get("last_note")? })
        })
        .await
    }
}

fn version(row: &Row) -> Result<IntentVersion, StoreError> {
    let kind: String = row.get("kind")?;
    Ok(IntentVersion {
        kind: IntentKind::parse(&kind).ok_or(StoreError::Damaged { what: "kind of document", detail: kind })?,
        name: row.get("name")?,
        version: row.count("version")?,
        document: row.get("document")?,
        changed_by: row.get("changed_by")?,
        changed_at: Timestamp::from_millis(row.get("changed_at")?),
        reason: row.get("reason")?,
    })
}
