//! Plans of installs and their receipts, packed.

use domain::model::id::{NodeId, OperationId};
use domain::model::plan::Plan;
use domain::model::receipt::Receipt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sql::{ReadTx, StoreError, Value, WriteTx, sql};

/// Most bytes that one may unpack to.
const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
const LEVEL: i32 = 3;

impl WriteTx {
    /// Keeps a receipt; one that comes again takes the place of the first.
    pub async fn upsert_receipt(&mut self, id: &OperationId, node_id: &NodeId, receipt: &Receipt) -> Result<(), StoreError> {
        self.upsert_document("receipt", id, node_id, receipt).await
    }

    /// Keeps a plan; one that comes again takes the place of the first.
    pub async fn upsert_plan(&mut self, id: &OperationId, node_id: &NodeId, plan: &Plan) -> Result<(), StoreError> {
        self.upsert_document("plan", id, node_id, plan).await
    }

    async fn upsert_document(&mut self, name: &'static str, id: &OperationId, node_id: &NodeId, document: &(impl Serialize + Sync)) -> Result<(), StoreError> {
        let text = serde_json::to_vec(document).expect("plans and receipts have text keys only");
        let packed = zstd::bulk::compress(&text, LEVEL).expect("compressing into memory fails only without memory");
        let statement =
            sql(format!("INSERT INTO {name}s (operation_id, node_id, {name}) VALUES ($1, $2, $3) ON CONFLICT (operation_id, node_id) DO UPDATE SET {name} = excluded.{name}"))
                .bind(id.as_str())
                .bind(node_id.as_str())
                .bind(Value::from(packed));
        self.execute(statement).await.map(|_| ())
    }
}

impl ReadTx {
    /// The receipt of a node's part of an operation.
    pub async fn find_receipt(&mut self, id: &OperationId, node_id: &str) -> Result<Option<Receipt>, StoreError> {
        self.find_document("receipt", id, node_id).await
    }

    /// The plan for a node.
    pub async fn find_plan(&mut self, id: &OperationId, node_id: &str) -> Result<Option<Plan>, StoreError> {
        self.find_document("plan", id, node_id).await
    }

    async fn find_document<T: DeserializeOwned>(&mut self, name: &'static str, id: &OperationId, node_id: &str) -> Result<Option<T>, StoreError> {
        let statement = sql(format!("SELECT {name} FROM {name}s WHERE operation_id = $1 AND node_id = $2")).bind(id.as_str()).bind(node_id);
        let Some(row) = self.optional(statement).await? else { return Ok(None) };
        let damaged = |detail: String| StoreError::Damaged { what: name, detail };
        let text = zstd::bulk::decompress(&row.get::<Vec<u8>>(name)?, DOCUMENT_BYTES_MAX).map_err(|error| damaged(error.to_string()))?;
        serde_json::from_slice(&text).map(Some).map_err(|error| damaged(error.to_string()))
    }
}
