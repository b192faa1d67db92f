//! Operations and their invocations: work that was asked for, node by node.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use domain::model::digest::Digest;
use domain::model::id::{NodeId, OperationId};
use domain::model::rollout::{Course, Rollout};
use domain::model::run::Progress;
use domain::model::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::dialect;
use crate::sql::{ReadTx, Row, StoreError, Value, WriteTx, sql};

/// So often a node is given an order that it does not take.
const UNDELIVERED_MAX: i64 = 3;

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
    /// How it goes over its nodes; all of them at once without it.
    pub rollout: Option<Rollout>,
    /// What happened to it as a whole.
    pub course: Course,
    /// Counts up with each change of the course.
    pub course_version: i64,
    /// The policy or window that it is of, and its version.
    pub policy: Option<String>,
    /// Digest of the request, to tell a repeated request from another one with the same key.
    pub request_digest: String,
}

/// A node's part of a new operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPart {
    /// The node.
    pub node_id: NodeId,
    /// Its ring.
    pub ring: u32,
    /// What is asked of it beyond what the operation's kind says; nodes that are asked the same share it.
    pub work: Option<Arc<str>>,
    /// Why it is left out from the start.
    pub left_out: Option<String>,
}

impl NewPart {
    /// A part that asks nothing more.
    pub fn new(node_id: NodeId) -> Self {
        Self { node_id, ring: 0, work: None, left_out: None }
    }
}

/// One node's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvocationRecord {
    /// The node.
    pub node_id: String,
    /// Its ring.
    pub ring: u32,
    /// How far it got.
    pub state: InvocationState,
    /// Since when the node may take it.
    pub released_at: Option<Timestamp>,
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
    /// Stores an operation with a pending invocation per node. Without a rollout each node may take its part at once.
    pub async fn insert_operation(&mut self, operation: &OperationRecord, idempotency_key: Option<&str>, parts: &[NewPart]) -> Result<(), StoreError> {
        let statement = sql("INSERT INTO operations (id, kind, requested_by, requested_at, idempotency_key, request_digest, rollout, course, policy) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(operation.id.as_str())
        .bind(&operation.kind)
        .bind(&operation.requested_by)
        .bind(operation.requested_at.as_millis())
        .bind(idempotency_key)
        .bind(&operation.request_digest)
        .bind(operation.rollout.as_ref().map(document))
        .bind(document(&operation.course))
        .bind(operation.policy.as_deref());
        self.execute(statement).await?;
        let mut digests = HashMap::<Arc<str>, String>::new();
        for work in parts.iter().filter_map(|part| part.work.as_ref()) {
            if !digests.contains_key(work) {
                let digest = Digest::of(work.as_bytes()).to_string();
                let statement = sql("INSERT INTO works (digest, work) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING").bind(&digest).bind(&**work);
                self.execute(statement).await?;
                digests.insert(work.clone(), digest);
            }
        }
        let released_at = operation.rollout.is_none().then_some(operation.requested_at.as_millis());
        let row = |part: &NewPart| -> [Value; 8] {
            let state = if part.left_out.is_some() { InvocationState::Cancelled } else { InvocationState::Pending };
            [
                operation.id.as_str().into(),
                part.node_id.as_str().into(),
                state.code().into(),
                i64::from(part.ring).into(),
                part.work.as_ref().and_then(|work| digests.get(work).cloned()).into(),
                released_at.into(),
                part.left_out.clone().into(),
                part.left_out.is_some().then_some(operation.requested_at.as_millis()).into(),
            ]
        };
        let columns = "operation_id, node_id, state, ring, work, released_at, message, finished_at";
        self.insert_rows(&format!("INSERT INTO invocations ({columns}) VALUES "), parts.iter().map(row), "").await
    }

    /// Takes the oldest invocation that a node may take, unless the node is in the middle of a run; what the node had taken
    /// before comes first. It goes out in the order with this generation.
    pub async fn claim_invocation(&mut self, node_id: &NodeId, generation: u32, now: Timestamp) -> Result<Option<Claimed>, StoreError> {
        let lock = dialect::claim_lock(self);
        let running = "SELECT 1 FROM invocations AS run WHERE run.node_id = $1 AND run.state = $3 AND run.work IS NOT NULL";
        let may_begin = format!("released_at IS NOT NULL AND NOT EXISTS ({running})");
        let statement =
            sql(format!("SELECT operation_id FROM invocations WHERE node_id = $1 AND state = $2 AND {may_begin} ORDER BY generation IS NULL, operation_id LIMIT 1{lock}"))
                .bind(node_id.as_str())
                .bind(InvocationState::Pending.code())
                .bind(InvocationState::Running.code());
        let Some(row) = self.optional(statement).await? else { return Ok(None) };
        let id = operation_id(&row, "operation_id")?;
        let statement = sql("UPDATE invocations SET state = $1, claimed_at = $2, generation = $3 WHERE operation_id = $4 AND node_id = $5")
            .bind(InvocationState::Running.code())
            .bind(now.as_millis())
            .bind(generation)
            .bind(id.as_str())
            .bind(node_id.as_str());
        self.execute(statement).await?;
        let work = self.find_work(&id, node_id.as_str()).await?;
        let kind = self.optional(sql("SELECT kind FROM operations WHERE id = $1").bind(id.as_str())).await?;
        kind.map(|row| Ok(Claimed { operation_id: id, kind: row.get("kind")?, work })).transpose()
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

    /// Writes what happened to an operation as a whole, unless someone else did since it was read.
    pub async fn save_course(&mut self, id: &OperationId, course_version: i64, course: &Course) -> Result<bool, StoreError> {
        let statement = sql("UPDATE operations SET course = $1, course_version = course_version + 1, ended_at = $2 WHERE id = $3 AND course_version = $4")
            .bind(document(course))
            .bind(course.ended_at.map(Timestamp::as_millis))
            .bind(id.as_str())
            .bind(course_version);
        Ok(self.execute(statement).await? == 1)
    }

    /// Lets nodes take their parts.
    pub async fn release_parts(&mut self, id: &OperationId, nodes: &[&str], now: Timestamp) -> Result<(), StoreError> {
        for node_id in nodes {
            let statement = sql("UPDATE invocations SET released_at = $1 WHERE operation_id = $2 AND node_id = $3 AND state = $4 AND released_at IS NULL")
                .bind(now.as_millis())
                .bind(id.as_str())
                .bind(*node_id)
                .bind(InvocationState::Pending.code());
            self.execute(statement).await?;
        }
        Ok(())
    }

    /// Takes parts back that nodes did not take in time; one that did not take it often is left out.
    pub async fn take_back_parts(&mut self, id: &OperationId, nodes: &[&str], now: Timestamp) -> Result<(), StoreError> {
        for node_id in nodes {
            let statement = sql("UPDATE invocations SET released_at = NULL, n_undelivered = n_undelivered + 1 WHERE operation_id = $1 AND node_id = $2 AND state = $3")
                .bind(id.as_str())
                .bind(*node_id)
                .bind(InvocationState::Pending.code());
            self.execute(statement).await?;
        }
        let message = format!("left out: it was given the order {UNDELIVERED_MAX} times and did not take it");
        let statement = sql("UPDATE invocations SET state = $1, finished_at = $2, message = $3 WHERE operation_id = $4 AND state = $5 AND n_undelivered >= $6")
            .bind(InvocationState::Cancelled.code())
            .bind(now.as_millis())
            .bind(message)
            .bind(id.as_str())
            .bind(InvocationState::Pending.code())
            .bind(UNDELIVERED_MAX);
        self.execute(statement).await.map(|_| ())
    }

    /// Takes all parts back that no node has taken: nothing is to begin.
    pub async fn hold_parts(&mut self, id: &OperationId) -> Result<(), StoreError> {
        let statement = sql("UPDATE invocations SET released_at = NULL WHERE operation_id = $1 AND state = $2").bind(id.as_str()).bind(InvocationState::Pending.code());
        self.execute(statement).await.map(|_| ())
    }

    /// Asks nodes that are at work to stop.
    pub async fn cancel_parts(&mut self, id: &OperationId, nodes: &[&str], now: Timestamp) -> Result<(), StoreError> {
        for node_id in nodes {
            let statement = sql("UPDATE invocations SET cancel_requested_at = $1 WHERE operation_id = $2 AND node_id = $3 AND state = $4 AND cancel_requested_at IS NULL")
                .bind(now.as_millis())
                .bind(id.as_str())
                .bind(*node_id)
                .bind(InvocationState::Running.code());
            self.execute(statement).await?;
        }
        Ok(())
    }

    /// Ends what no node has taken.
    pub async fn end_pending(&mut self, id: &OperationId, message: &str, now: Timestamp) -> Result<(), StoreError> {
        let statement = sql("UPDATE invocations SET state = $1, finished_at = $2, message = $3 WHERE operation_id = $4 AND state = $5")
            .bind(InvocationState::Cancelled.code())
            .bind(now.as_millis())
            .bind(message)
            .bind(id.as_str())
            .bind(InvocationState::Pending.code());
        self.execute(statement).await.map(|_| ())
    }

    /// Gives back what a node had taken when its process ended.
    pub async fn release_invocations(&mut self, node_id: &NodeId, now: Timestamp) -> Result<u64, StoreError> {
        let statement = sql("UPDATE invocations SET state = $1, claimed_at = NULL, cancel_sent_at = NULL, released_at = $4 WHERE node_id = $2 AND state = $3")
            .bind(InvocationState::Pending.code())
            .bind(node_id.as_str())
            .bind(InvocationState::Running.code())
            .bind(now.as_millis());
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
        let operations: Vec<_> = self.list(if let Some(before) = before { statement.bind(before) } else { statement }, operation).await?;
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

    /// Nodes that have an invocation in this state; of those that wait, only what they may take counts.
    pub async fn list_nodes_with_invocations(&mut self, state: InvocationState) -> Result<Vec<String>, StoreError> {
        let statement = sql("SELECT DISTINCT node_id FROM invocations WHERE state = $1 AND released_at IS NOT NULL").bind(state.code());
        self.list(statement, |row| row.get("node_id")).await
    }

    /// Nodes that are in the middle of a run, or about to begin one.
    pub async fn list_nodes_at_work(&mut self) -> Result<Vec<String>, StoreError> {
        let statement = sql("SELECT DISTINCT node_id FROM invocations WHERE state IN ($1, $2) AND work IS NOT NULL AND released_at IS NOT NULL ORDER BY node_id")
            .bind(InvocationState::Pending.code())
            .bind(InvocationState::Running.code());
        self.list(statement, |row| row.get("node_id")).await
    }

    /// Nodes that are in the middle of a run of another operation.
    pub async fn list_busy_nodes(&mut self, but_of: &OperationId) -> Result<BTreeSet<String>, StoreError> {
        let statement = sql("SELECT DISTINCT node_id FROM invocations WHERE state = $1 AND work IS NOT NULL AND operation_id <> $2")
            .bind(InvocationState::Running.code())
            .bind(but_of.as_str());
        self.list(statement, |row| row.get("node_id")).await
    }

    /// Operations with a rollout that have not ended, oldest first.
    pub async fn list_open_operations(&mut self) -> Result<Vec<OperationRecord>, StoreError> {
        self.list(sql("SELECT * FROM operations WHERE rollout IS NOT NULL AND ended_at IS NULL ORDER BY id"), operation).await
    }

    /// What is asked of a node.
    pub async fn find_work(&mut self, id: &OperationId, node_id: &str) -> Result<Option<String>, StoreError> {
        let text = "SELECT COALESCE(works.work, invocations.work) AS work FROM invocations LEFT JOIN works ON works.digest = invocations.work \
             WHERE operation_id = $1 AND node_id = $2";
        let row = self.optional(sql(text).bind(id.as_str()).bind(node_id)).await?;
        row.map_or(Ok(None), |row| row.get("work"))
    }

    /// Invocations of an operation, by node.
    pub async fn list_invocations(&mut self, id: &OperationId) -> Result<Vec<InvocationRecord>, StoreError> {
        let columns = "node_id, ring, state, released_at, claimed_at, finished_at, message, progress, cancel_requested_at";
        self.list(sql(format!("SELECT {columns} FROM invocations WHERE operation_id = $1 ORDER BY node_id")).bind(id.as_str()), invocation).await
    }
}

fn invocation(row: &Row) -> Result<InvocationRecord, StoreError> {
    let state: String = row.get("state")?;
    let state = InvocationState::ALL.into_iter().find(|known| known.code() == state).ok_or(StoreError::Damaged { what: "invocation state", detail: state })?;
    let at = |column: &'static str| Ok::<_, StoreError>(row.get::<Option<i64>>(column)?.map(Timestamp::from_millis));
    Ok(InvocationRecord {
        node_id: row.get("node_id")?,
        ring: row.count("ring")?,
        state,
        released_at: at("released_at")?,
        claimed_at: at("claimed_at")?,
        finished_at: at("finished_at")?,
        message: row.get("message")?,
        // One that does not read is only how far something was.
        progress: row.get::<Option<String>>("progress")?.and_then(|text| serde_json::from_str(&text).ok()),
        cancel_requested_at: at("cancel_requested_at")?,
    })
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
        rollout: row.get::<Option<String>>("rollout")?.map(|text| read_document("rollout", &text)).transpose()?,
        course: row.get::<Option<String>>("course")?.map(|text| read_document("course", &text)).transpose()?.unwrap_or_default(),
        course_version: row.get("course_version")?,
        policy: row.get("policy")?,
        request_digest: row.get("request_digest")?,
    })
}

fn document(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a document has text keys only")
}

fn read_document<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Damaged { what, detail: error.to_string() })
}
