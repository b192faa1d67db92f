//! Operations and their invocations: work that was asked for, node by node.

use std::collections::BTreeMap;

use domain::model::digest::Digest;
use domain::model::id::{NodeId, OperationId};
use domain::model::rate::Rate;
use domain::model::run::Progress;
use domain::model::time::Timestamp;

use crate::dialect;
use crate::sql::{ReadTx, Row, StoreError, WriteTx, sql};

/// How far one node's part of an operation got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvocationState {
    /// The node has not taken it.
    Pending,
    /// The node works on it.
    Running,
    /// Done.
    Succeeded,
    /// Not done.
    Failed,
    /// Someone stopped it.
    Cancelled,
}

impl InvocationState {
    const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The spelling of the wire.
    pub fn code(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationRecord {
    /// Its id.
    pub id: OperationId,
    /// What is to be done: `scan`.
    pub kind: String,
    /// Who asked.
    pub requested_by: String,
    /// When.
    pub requested_at: Timestamp,
    /// How many nodes are at work at once, and how many may fail; all of them without it.
    pub rate: Option<Rate>,
    /// When too many had failed for another to begin.
    pub halted_at: Option<Timestamp>,
    /// Digest of the request, to tell a repeated request from another one with the same key.
    pub request_digest: String,
}

/// One node's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvocationRecord {
    /// The node.
    pub node_id: String,
    /// How far it got.
    pub state: InvocationState,
    /// When the node took it.
    pub claimed_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What there is to say about it.
    pub message: Option<String>,
    /// How far the node is.
    pub progress: Option<Progress>,
    /// When someone asked it to stop.
    pub cancel_requested_at: Option<Timestamp>,
}

/// A piece of work that a node took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The operation.
    pub operation_id: OperationId,
    /// Its kind.
    pub kind: String,
    /// What it asks of this node beyond that.
    pub work: Option<String>,
}

impl WriteTx {
    /// Stores an operation with a pending invocation per node.
    pub async fn insert_operation(&mut self, operation: &OperationRecord, idempotency_key: Option<&str>, nodes: &[NodeId]) -> Result<(), StoreError> {
        let statement =
            sql("INSERT INTO operations (id, kind, requested_by, requested_at, idempotency_key, request_digest, concurrency, errors) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
                .bind(operation.id.as_str())
                .bind(&operation.kind)
                .bind(&operation.requested_by)
                .bind(operation.requested_at.as_millis())
                .bind(idempotency_key)
                .bind(&operation.request_digest)
                .bind(operation.rate.map(|rate| i64::from(rate.concurrency)))
                .bind(operation.rate.map(|rate| i64::from(rate.errors)));
        self.execute(statement).await?;
        for node_id in nodes {
            let statement = sql("INSERT INTO invocations (operation_id, node_id, state) VALUES ($1, $2, $3)")
                .bind(operation.id.as_str())
                .bind(node_id.as_str())
                .bind(InvocationState::Pending.code());
            self.execute(statement).await?;
        }
        Ok(())
    }

    /// Says what an operation asks of one node, beyond what its kind says.
    pub async fn set_work(&mut self, id: &OperationId, node_id: &NodeId, work: &str) -> Result<(), StoreError> {
        let statement = sql("UPDATE invocations SET work = $1 WHERE operation_id = $2 AND node_id = $3").bind(work).bind(id.as_str()).bind(node_id.as_str());
        self.execute(statement).await.map(|_| ())
    }

    /// Takes the oldest pending invocation of a node, unless the node is in the middle of a run, or as many nodes as may be
    /// are at work on it. It goes out in the order with this generation.
    pub async fn claim_invocation(&mut self, node_id: &NodeId, generation: u32, now: Timestamp) -> Result<Option<Claimed>, StoreError> {
        let lock = dialect::claim_lock(self);
        let running = "SELECT 1 FROM invocations AS run WHERE run.node_id = $1 AND run.state = $3 AND run.work IS NOT NULL";
        let n_at_work = "SELECT COUNT(*) FROM invocations AS other WHERE other.operation_id = invocations.operation_id AND other.state = $3";
        let limit = "SELECT COALESCE(concurrency, 2147483647) FROM operations WHERE operations.id = invocations.operation_id";
        let may_begin = format!("NOT EXISTS ({running}) AND ({n_at_work}) < ({limit})");
        let statement = sql(format!("SELECT operation_id, work FROM invocations WHERE node_id = $1 AND state = $2 AND {may_begin} ORDER BY operation_id LIMIT 1{lock}"))
            .bind(node_id.as_str())
            .bind(InvocationState::Pending.code())
            .bind(InvocationState::Running.code());
        let Some(row) = self.optional(statement).await? else { return Ok(None) };
        let id = operation_id(&row, "operation_id")?;
        let operation = self.lock_operation(&id).await?;
        if let Some(rate) = operation.as_ref().and_then(|operation| operation.rate)
            && self.count_invocations(&id, InvocationState::Running).await? >= rate.concurrency
        {
            // Another node took the place while this one waited for the lock.
            return Ok(None);
        }
        let statement = sql("UPDATE invocations SET state = $1, claimed_at = $2, generation = $3 WHERE operation_id = $4 AND node_id = $5")
            .bind(InvocationState::Running.code())
            .bind(now.as_millis())
            .bind(generation)
            .bind(id.as_str())
            .bind(node_id.as_str());
        self.execute(statement).await?;
        let work = row.get("work")?;
        Ok(operation.map(|operation| Claimed { operation_id: id, kind: operation.kind, work }))
    }

    /// Notes how far a node is with what it took.
    pub async fn set_progress(&mut self, id: &OperationId, node_id: &NodeId, progress: &Progress) -> Result<(), StoreError> {
        let text = serde_json::to_string(progress).expect("progress has text keys only");
        let statement = sql("UPDATE invocations SET progress = $1 WHERE operation_id = $2 AND node_id = $3 AND state = $4")
            .bind(text)
            .bind(id.as_str())
            .bind(node_id.as_str())
            .bind(InvocationState::Running.code());
        self.execute(statement).await.map(|_| ())
    }

    /// Ends what no node has taken, and asks the others to stop.
    pub async fn cancel_invocations(&mut self, id: &OperationId, message: &str, now: Timestamp) -> Result<(), StoreError> {
        self.end_pending(id, message, now).await?;
        let statement = sql("UPDATE invocations SET cancel_requested_at = $1 WHERE operation_id = $2 AND state = $3 AND cancel_requested_at IS NULL")
            .bind(now.as_millis())
            .bind(id.as_str())
            .bind(InvocationState::Running.code());
        self.execute(statement).await.map(|_| ())
    }

    /// Takes the request to stop what a node is in the middle of, once.
    pub async fn claim_cancel(&mut self, node_id: &NodeId, now: Timestamp) -> Result<Option<OperationId>, StoreError> {
        let lock = dialect::claim_lock(self);
        let unsent = "cancel_requested_at IS NOT NULL AND cancel_sent_at IS NULL";
        let statement = sql(format!("SELECT operation_id FROM invocations WHERE node_id = $1 AND state = $2 AND {unsent} ORDER BY operation_id LIMIT 1{lock}"))
            .bind(node_id.as_str())
            .bind(InvocationState::Running.code());
        let Some(row) = self.optional(statement).await? else { return Ok(None) };
        let id = operation_id(&row, "operation_id")?;
        let statement = sql("UPDATE invocations SET cancel_sent_at = $1 WHERE operation_id = $2 AND node_id = $3").bind(now.as_millis()).bind(id.as_str()).bind(node_id.as_str());
        self.execute(statement).await?;
        Ok(Some(id))
    }

    /// Ends an invocation.
    pub async fn finish_invocation(&mut self, id: &OperationId, node_id: &NodeId, state: InvocationState, message: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
        let statement = sql("UPDATE invocations SET state = $1, finished_at = $2, message = $3 WHERE operation_id = $4 AND node_id = $5")
            .bind(state.code())
            .bind(now.as_millis())
            .bind(message)
            .bind(id.as_str())
            .bind(node_id.as_str());
        self.execute(statement).await.map(|_| ())
    }

    /// Lets the next nodes of an operation begin after one has ended: those that may, or none any more when too many failed.
    pub async fn move_on(&mut self, id: &OperationId, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let Some(rate) = self.lock_operation(id).await?.and_then(|operation| operation.rate) else { return Ok(Vec::new()) };
        let n_failed = self.count_invocations(id, InvocationState::Failed).await?;
        if rate.is_exceeded(n_failed) {
            let statement = sql("UPDATE operations SET halted_at = $1 WHERE id = $2 AND halted_at IS NULL").bind(now.as_millis()).bind(id.as_str());
            self.execute(statement).await?;
            let message = format!("not begun: {n_failed} nodes failed, and {} may", rate.errors);
            self.end_pending(id, &message, now).await?;
            return Ok(Vec::new());
        }
        let statement = sql("SELECT node_id FROM invocations WHERE operation_id = $1 AND state = $2").bind(id.as_str()).bind(InvocationState::Pending.code());
        self.rows(statement).await?.iter().map(|row| row.get("node_id")).collect()
    }

    async fn lock_operation(&mut self, id: &OperationId) -> Result<Option<OperationRecord>, StoreError> {
        let lock = dialect::row_lock(self);
        self.optional(sql(format!("SELECT * FROM operations WHERE id = $1{lock}")).bind(id.as_str())).await?.as_ref().map(operation).transpose()
    }

    async fn count_invocations(&mut self, id: &OperationId, state: InvocationState) -> Result<u32, StoreError> {
        let statement = sql("SELECT COUNT(*) AS n FROM invocations WHERE operation_id = $1 AND state = $2").bind(id.as_str()).bind(state.code());
        let n: i64 = self.optional(statement).await?.map_or(Ok(0), |row| row.get("n"))?;
        Ok(u32::try_from(n).unwrap_or(u32::MAX))
    }

    /// Ends what no node has taken.
    async fn end_pending(&mut self, id: &OperationId, message: &str, now: Timestamp) -> Result<(), StoreError> {
        let statement = sql("UPDATE invocations SET state = $1, finished_at = $2, message = $3 WHERE operation_id = $4 AND state = $5")
            .bind(InvocationState::Cancelled.code())
            .bind(now.as_millis())
            .bind(message)
            .bind(id.as_str())
            .bind(InvocationState::Pending.code());
        self.execute(statement).await.map(|_| ())
    }

    /// Gives back what a node had taken when its process ended.
    pub async fn release_invocations(&mut self, node_id: &NodeId) -> Result<u64, StoreError> {
        let statement = sql("UPDATE invocations SET state = $1, claimed_at = NULL, cancel_sent_at = NULL WHERE node_id = $2 AND state = $3")
            .bind(InvocationState::Pending.code())
            .bind(node_id.as_str())
            .bind(InvocationState::Running.code());
        self.execute(statement).await
    }
}

impl ReadTx {
    /// An operation by id.
    pub async fn find_operation(&mut self, id: &OperationId) -> Result<Option<OperationRecord>, StoreError> {
        self.optional(sql("SELECT * FROM operations WHERE id = $1").bind(id.as_str())).await?.as_ref().map(operation).transpose()
    }

    /// The operation that was requested with a key.
    pub async fn find_operation_by_key(&mut self, idempotency_key: &str) -> Result<Option<OperationRecord>, StoreError> {
        self.optional(sql("SELECT * FROM operations WHERE idempotency_key = $1").bind(idempotency_key)).await?.as_ref().map(operation).transpose()
    }

    /// Operations, newest first, that came before this one, with how many nodes are in each state.
    pub async fn list_operations(&mut self, before: Option<&str>, limit: u32) -> Result<Vec<(OperationRecord, BTreeMap<String, u32>)>, StoreError> {
        // Ids sort by the time of their request.
        let filter = if before.is_some() { "WHERE id < $2" } else { "" };
        let statement = sql(format!("SELECT * FROM operations {filter} ORDER BY id DESC LIMIT $1")).bind(limit);
        let rows = self.rows(if let Some(before) = before { statement.bind(before) } else { statement }).await?;
        let operations: Vec<_> = rows.iter().map(operation).collect::<Result<_, _>>()?;
        let (Some(newest), Some(oldest)) = (operations.first(), operations.last()) else { return Ok(Vec::new()) };
        let between = "operation_id <= $1 AND operation_id >= $2";
        let statement = sql(format!("SELECT operation_id, state, COUNT(*) AS n FROM invocations WHERE {between} GROUP BY operation_id, state"));
        let rows = self.rows(statement.bind(newest.id.as_str()).bind(oldest.id.as_str())).await?;
        let mut counts = BTreeMap::<String, BTreeMap<String, u32>>::new();
        for row in &rows {
            let n: i64 = row.get("n")?;
            counts.entry(row.get("operation_id")?).or_default().insert(row.get("state")?, u32::try_from(n).unwrap_or(u32::MAX));
        }
        Ok(operations.into_iter().map(|operation| (operation.clone(), counts.remove(operation.id.as_str()).unwrap_or_default())).collect())
    }

    /// Nodes with an invocation in this state.
    pub async fn list_nodes_with_invocations(&mut self, state: InvocationState) -> Result<Vec<String>, StoreError> {
        let rows = self.rows(sql("SELECT DISTINCT node_id FROM invocations WHERE state = $1").bind(state.code())).await?;
        rows.iter().map(|row| row.get("node_id")).collect()
    }

    /// Invocations of an operation, by node.
    pub async fn list_invocations(&mut self, id: &OperationId) -> Result<Vec<InvocationRecord>, StoreError> {
        let rows = self.rows(sql("SELECT * FROM invocations WHERE operation_id = $1 ORDER BY node_id").bind(id.as_str())).await?;
        rows.iter()
            .map(|row| {
                let state: String = row.get("state")?;
                let state = InvocationState::ALL.into_iter().find(|known| known.code() == state).ok_or(StoreError::Damaged { what: "invocation state", detail: state })?;
                let at = |column: &'static str| Ok::<_, StoreError>(row.get::<Option<i64>>(column)?.map(Timestamp::from_millis));
                Ok(InvocationRecord {
                    node_id: row.get("node_id")?,
                    state,
                    claimed_at: at("claimed_at")?,
                    finished_at: at("finished_at")?,
                    message: row.get("message")?,
                    // One that does not read is only how far something was.
                    progress: row.get::<Option<String>>("progress")?.and_then(|text| serde_json::from_str(&text).ok()),
                    cancel_requested_at: at("cancel_requested_at")?,
                })
            })
            .collect()
    }
}

/// The digest that tells requests apart.
pub fn request_digest(kind: &str, nodes: &[NodeId]) -> Digest {
    let ids: Vec<_> = nodes.iter().map(NodeId::as_str).collect();
    Digest::of(format!("{kind}\n{}", ids.join("\n")).as_bytes())
}

fn operation_id(row: &Row, column: &str) -> Result<OperationId, StoreError> {
    let id: String = row.get(column)?;
    id.parse().map_err(|error: domain::model::id::IdError| StoreError::Damaged { what: "operation id", detail: error.to_string() })
}

fn operation(row: &Row) -> Result<OperationRecord, StoreError> {
    Ok(OperationRecord {
        id: operation_id(row, "id")?,
        kind: row.get("kind")?,
        requested_by: row.get("requested_by")?,
        requested_at: Timestamp::from_millis(row.get("requested_at")?),
        rate: row.get::<Option<i64>>("concurrency")?.zip(row.get::<Option<i64>>("errors")?).map(|(concurrency, errors)| {
            let count = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
            Rate { concurrency: count(concurrency), errors: count(errors) }
        }),
        halted_at: row.get::<Option<i64>>("halted_at")?.map(Timestamp::from_millis),
        request_digest: row.get("request_digest")?,
    })
}
