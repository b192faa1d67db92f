//! Doors for the conformance suite, which must do to a database what no caller may.

use crate::migrate;
use crate::sql::{Database, Pools, StoreError, sql};

/// Migrates once more.
pub async fn migrate_again(database: &Database) -> Result<(), StoreError> {
    migrate::migrate(database, 0).await
}

/// Records a migration that this release does not have.
pub async fn pretend_newer(database: &Database) -> Result<(), StoreError> {
    let mut tx = database.write().await?;
    tx.execute(sql("INSERT INTO migrations (number, applied_at) VALUES (999, 0)")).await?;
    tx.commit().await
}

/// Changes an audit row behind the log's back.
pub async fn change_audit_row(database: &Database, sequence: i64) -> Result<(), StoreError> {
    let mut tx = database.write().await?;
    tx.execute(sql("UPDATE audit SET actor = 'nobody' WHERE sequence = $1").bind(sequence)).await?;
    tx.commit().await
}

/// Table, column and nullability of everything, sorted.
pub async fn columns(database: &Database) -> Result<Vec<(String, String, bool)>, StoreError> {
    let text = match database.pools {
        Pools::Sqlite { .. } => {
            "SELECT m.name AS table_name, p.name AS column_name, p.\"notnull\" = 0 AND p.pk = 0 AS nullable FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table' ORDER BY 1, 2"
        }
        Pools::Postgres(_) => {
            "SELECT CAST(table_name AS TEXT) AS table_name, CAST(column_name AS TEXT) AS column_name, is_nullable = 'YES' AS nullable FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
        }
    };
    let rows = database.read().await?.rows(sql(text)).await?;
    rows.iter().map(|row| Ok((row.get("table_name")?, row.get("column_name")?, row.get("nullable")?))).collect()
}
