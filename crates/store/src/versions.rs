//! The catalog: versions of packages, each with what is known of it.

use domain::model::patch::Classification;
use domain::model::section::PackageFacts;
use domain::model::time::Timestamp;

use crate::sql::{ReadTx, StoreError, Value, WriteTx, sql};

/// A version as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRecord {
    /// Its number.
    pub number: u32,
    /// The system's id, such as `debian`.
    pub ecosystem: String,
    /// Package name.
    pub name: String,
    /// Package architecture.
    pub architecture: String,
    /// The version.
    pub version: String,
    /// What packages say of themselves.
    pub facts: PackageFacts,
    /// The best classification that any repository gave it.
    pub classification: Classification,
    /// Short name of a repository that offers it.
    pub repository: Option<String>,
    /// When any node first had it or was offered it.
    pub first_seen_at: Timestamp,
}

impl WriteTx {
    /// Stores versions.
    pub async fn insert_versions(&mut self, versions: &[VersionRecord]) -> Result<(), StoreError> {
        let rows = versions.iter().map(|version| {
            [
                version.number.into(),
                Value::from(&version.ecosystem),
                Value::from(&version.name),
                Value::from(&version.architecture),
                Value::from(&version.version),
                serde_json::to_string(&version.facts).expect("facts have text keys only").into(),
                version.classification.word().into(),
                version.repository.clone().into(),
                version.first_seen_at.as_millis().into(),
            ]
        });
        let head = "INSERT INTO versions (number, ecosystem, name, architecture, version, facts, classification, repository, first_seen_at) VALUES ";
        self.insert_rows(head, rows, " ON CONFLICT (number) DO UPDATE SET classification = excluded.classification, repository = excluded.repository").await
    }
}

impl ReadTx {
    /// Every version, by number.
    pub async fn list_versions(&mut self) -> Result<Vec<VersionRecord>, StoreError> {
        self.list(sql("SELECT * FROM versions ORDER BY number"), |row| {
            let facts: String = row.get("facts")?;
            let classification: String = row.get("classification")?;
            Ok(VersionRecord {
                number: row.count("number")?,
                ecosystem: row.get("ecosystem")?,
                name: row.get("name")?,
                architecture: row.get("architecture")?,
                version: row.get("version")?,
                facts: serde_json::from_str(&facts).map_err(|error| StoreError::Damaged { what: "version", detail: error.to_string() })?,
                classification: Classification::parse(&classification).unwrap_or(Classification::Other),
                repository: row.get("repository")?,
                first_seen_at: Timestamp::from_millis(row.get("first_seen_at")?),
            })
        })
        .await
    }
}
