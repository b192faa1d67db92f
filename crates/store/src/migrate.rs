//! Migrations: numbered SQL files, forward only, each applied once.

use crate::dialect;
use crate::sql::{Database, ReadTx, StoreError, sql};

const MIGRATIONS: [(i64, &str); 9] = [
    (1, include_str!("../migrations/0001_nodes.sql")),
    (2, include_str!("../migrations/0002_fleet.sql")),
    (3, include_str!("../migrations/0003_baselines.sql")),
    (4, include_str!("../migrations/0004_catalog.sql")),
    (5, include_str!("../migrations/0005_compliance.sql")),
    (6, include_str!("../migrations/0006_runs.sql")),
    (7, include_str!("../migrations/0007_progress.sql")),
    (8, include_str!("../migrations/0008_rate.sql")),
    (9, include_str!("../migrations/0009_rollouts.sql")),
];

/// The schema that this release writes.
pub const NEWEST_MIGRATION: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Brings the schema up to date; refuses data of a newer release without touching it.
pub(crate) async fn migrate(database: &Database, now_ms: i64) -> Result<(), StoreError> {
    let mut tx = database.write().await?;
    dialect::lock_for_migration(&mut tx).await?;
    tx.execute(sql("CREATE TABLE IF NOT EXISTS migrations (number BIGINT PRIMARY KEY, applied_at BIGINT NOT NULL)")).await?;
    let applied = tx.schema().await?;
    for (number, text) in MIGRATIONS.into_iter().filter(|(number, _)| *number > applied) {
        tx.script(dialect::of_schema(text, &tx)).await?;
        tx.execute(sql("INSERT INTO migrations (number, applied_at) VALUES ($1, $2)").bind(number).bind(now_ms)).await?;
    }
    tx.commit().await
}

impl ReadTx {
    /// The schema of the data; one of a newer release is an error.
    pub async fn schema(&mut self) -> Result<i64, StoreError> {
        let row = self.optional(sql("SELECT COALESCE(MAX(number), 0) AS newest FROM migrations")).await?;
        let found: i64 = row.map_or(Ok(0), |row| row.get("newest"))?;
        if found > NEWEST_MIGRATION { Err(StoreError::Newer { found, known: NEWEST_MIGRATION }) } else { Ok(found) }
    }
}
