//! Receipts of installs, packed.

use domain::model::id::{NodeId, OperationId};
use domain::model::plan::Receipt;

use crate::sql::{ReadTx, StoreError, Value, WriteTx, sql};

/// Most bytes that a receipt may unpack to.
const RECEIPT_BYTES_MAX: usize = 16 * 1024 * 1024;
const LEVEL: i32 = 3;

impl WriteTx {
    /// Keeps a receipt; one that comes again takes the place of the first.
    pub async fn upsert_receipt(&mut self, id: &OperationId, node_id: &NodeId, receipt: &Receipt) -> Result<(), StoreError> {
        let text = serde_json::to_vec(receipt).expect("a receipt has text keys only");
        let packed = zstd::bulk::compress(&text, LEVEL).expect("compressing into memory fails only without memory");
        let statement = sql("INSERT INTO receipts (operation_id, node_id, receipt) VALUES ($1, $2, $3) \
             ON CONFLICT (operation_id, node_id) DO UPDATE SET receipt = excluded.receipt")
        .bind(id.as_str())
        .bind(node_id.as_str())
        .bind(Value::from(packed));
        self.execute(statement).await.map(|_| ())
    }
}

impl ReadTx {
    /// The receipt of a node's part of an operation.
    pub async fn find_receipt(&mut self, id: &OperationId, node_id: &str) -> Result<Option<Receipt>, StoreError> {
        let row = self.optional(sql("SELECT receipt FROM receipts WHERE operation_id = $1 AND node_id = $2").bind(id.as_str()).bind(node_id)).await?;
        let Some(row) = row else { return Ok(None) };
        let damaged = |detail: String| StoreError::Damaged { what: "receipt", detail };
        let text = zstd::bulk::decompress(&row.get::<Vec<u8>>("receipt")?, RECEIPT_BYTES_MAX).map_err(|error| damaged(error.to_string()))?;
        serde_json::from_slice(&text).map(Some).map_err(|error| damaged(error.to_string()))
    }
}
