//! The audit log: who changed what, when; a chain of digests shows any later change to it.

use domain::model::digest::Digest;
use domain::model::time::Timestamp;

use crate::dialect;
use crate::sql::{ReadTx, StoreError, WriteTx, sql};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who: a person, a program, or `system`.
    pub actor: String,
    /// What was done, such as `operation.request`.
    pub action: String,
    /// On what: an id.
    pub subject: String,
    /// More about it; never a secret.
    pub detail: String,
}

/// The first row that does not fit the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("audit entry {sequence} was changed or its predecessor is gone")]
pub struct AuditError {
    /// Its number.
    pub sequence: i64,
}

impl AuditEntry {
    fn digest(&self, sequence: i64, previous: &str) -> Digest {
        let parts = [previous, &sequence.to_string(), &self.at.as_millis().to_string(), &self.actor, &self.action, &self.subject, &self.detail];
        Digest::of(parts.map(|part| format!("{}:{part}", part.len())).concat().as_bytes())
    }
}

impl WriteTx {
    /// Records a change, in the transaction that makes it.
    pub async fn append_audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        dialect::lock_for_append(self, "audit").await?;
        let last = self.optional(sql("SELECT sequence, digest FROM audit ORDER BY sequence DESC LIMIT 1")).await?;
        let (last, previous) = last.map_or(Ok((0, String::new())), |row| Ok((row.get::<i64>("sequence")?, row.get::<String>("digest")?)))?;
        let sequence = last + 1;
        let statement = sql("INSERT INTO audit (sequence, at, actor, action, subject, detail, digest) VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(sequence)
            .bind(entry.at.as_millis())
            .bind(&entry.actor)
            .bind(&entry.action)
            .bind(&entry.subject)
            .bind(&entry.detail)
            .bind(entry.digest(sequence, &previous).to_string());
        self.execute(statement).await.map(|_| ())
    }
}

/// Entries read at once while checking.
const PAGE: i64 = 1000;

impl ReadTx {
    /// The newest entries, newest first.
    pub async fn list_audit(&mut self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.list(sql("SELECT * FROM audit ORDER BY sequence DESC LIMIT $1").bind(limit), entry).await
    }

    /// How many entries there are.
    pub async fn count_audit(&mut self) -> Result<i64, StoreError> {
        let row = self.optional(sql("SELECT COALESCE(MAX(sequence), 0) AS n FROM audit")).await?;
        row.map_or(Ok(0), |row| row.get("n"))
    }

    /// Recomputes the whole chain.
    pub async fn check_audit(&mut self) -> Result<Result<i64, AuditError>, StoreError> {
        let (mut last, mut previous) = (0, String::new());
        loop {
            let rows = self.rows(sql("SELECT * FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2").bind(last).bind(PAGE)).await?;
            for row in &rows {
                let (sequence, digest): (i64, String) = (row.get("sequence")?, row.get("digest")?);
                if sequence != last + 1 || entry(row)?.digest(sequence, &previous).to_string() != digest {
                    return Ok(Err(AuditError { sequence }));
                }
                (last, previous) = (sequence, digest);
            }
            if rows.is_empty() {
                return Ok(Ok(last));
            }
        }
    }
}

fn entry(row: &crate::sql::Row) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry { at: Timestamp::from_millis(row.get("at")?), actor: row.get("actor")?, action: row.get("action")?, subject: row.get("subject")?, detail: row.get("detail")? })
}
