//! Exceptions that are for some nodes.

use domain::model::exception::GrantedException;

use crate::sql::{ReadTx, StoreError, WriteTx, sql};

impl WriteTx {
    /// Writes an exception, new or revoked.
    pub async fn upsert_exception(&mut self, number: u32, granted: &GrantedException) -> Result<(), StoreError> {
        let statement = sql("INSERT INTO exceptions (number, document) VALUES ($1, $2) ON CONFLICT (number) DO UPDATE SET document = excluded.document")
            .bind(number)
            .bind(serde_json::to_string(granted).expect("an exception has text keys only"));
        self.execute(statement).await.map(|_| ())
    }
}

impl ReadTx {
    /// Every exception that was ever granted, by number.
    pub async fn list_exceptions(&mut self) -> Result<Vec<(u32, GrantedException)>, StoreError> {
        let rows = self.rows(sql("SELECT * FROM exceptions ORDER BY number")).await?;
        let read = |text: String| serde_json::from_str(&text).map_err(|error| StoreError::Damaged { what: "exception", detail: error.to_string() });
        rows.iter().map(|row| Ok((row.count("number")?, read(row.get("document")?)?))).collect()
    }
}
