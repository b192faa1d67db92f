//! Every difference between the databases, each a named function.

use crate::sql::{Database, Pools, StoreError, TxInner, WriteTx, sql};

/// Begins a transaction that reads.
pub(crate) async fn begin_read(pools: &Pools) -> Result<TxInner, sqlx::Error> {
    match pools {
        Pools::Sqlite { read, .. } => read.begin().await.map(TxInner::Sqlite),
        Pools::Postgres(pool) => pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map(TxInner::Postgres),
    }
}

/// Begins a transaction that writes. A deferred one would find the database locked when it
/// reads before it writes on SQLite.
pub(crate) async fn begin_write(pools: &Pools) -> Result<TxInner, sqlx::Error> {
    match pools {
        Pools::Sqlite { write, .. } => write.begin_with("BEGIN IMMEDIATE").await.map(TxInner::Sqlite),
        Pools::Postgres(pool) => pool.begin().await.map(TxInner::Postgres),
    }
}

/// What makes a claiming `SELECT` pass over rows that another claim holds. SQLite has one writer.
pub(crate) fn claim_lock(tx: &WriteTx) -> &'static str {
    match tx.inner {
        TxInner::Sqlite(_) => "",
        TxInner::Postgres(_) => " FOR UPDATE SKIP LOCKED",
    }
}

/// Adds the placeholder of the value with this number, from 1. SQLite looks each numbered one up among
/// all others when it is bound, so the values of many rows are bound in their order there.
pub(crate) fn push_placeholder(text: &mut String, tx: &TxInner, number: usize) {
    match tx {
        TxInner::Sqlite(_) => text.push('?'),
        TxInner::Postgres(_) => text.extend(["$", &number.to_string()]),
    }
}

/// Lets one transaction at a time append to a table whose rows depend on the last one.
pub(crate) async fn lock_for_append(tx: &mut WriteTx, table: &'static str) -> Result<(), StoreError> {
    match tx.inner {
        TxInner::Sqlite(_) => Ok(()),
        TxInner::Postgres(_) => tx.execute(sql(format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))).await.map(|_| ()),
    }
}

/// The text of a migration. SQLite keeps a table in the order of its key, without an index beside it,
/// only when the key's type is spelled `INTEGER`, which PostgreSQL has four bytes for.
pub(crate) fn of_schema(text: &str, tx: &WriteTx) -> String {
    match tx.inner {
        TxInner::Sqlite(_) => text.replace("BIGINT PRIMARY KEY", "INTEGER PRIMARY KEY"),
        TxInner::Postgres(_) => text.to_owned(),
    }
}

/// Keeps servers that start at once from migrating at once.
pub(crate) async fn lock_for_migration(tx: &mut WriteTx) -> Result<(), StoreError> {
    match tx.inner {
        TxInner::Sqlite(_) => Ok(()),
        TxInner::Postgres(_) => tx.rows(sql("SELECT pg_advisory_xact_lock(4711)")).await.map(|_| ()),
    }
}

/// Pages are cut by comparing text, so both databases must sort it by bytes, as SQLite does.
pub(crate) async fn check_collation(database: &Database) -> Result<(), StoreError> {
    let Pools::Postgres(_) = database.pools else { return Ok(()) };
    let row = database.read().await?.optional(sql("SELECT 'B' < 'a' AND 'a-1' < 'a1' AS by_bytes")).await?;
    let by_bytes = row.map_or(Ok(false), |row| row.get("by_bytes"))?;
    if by_bytes { Ok(()) } else { Err(StoreError::Collation) }
}
