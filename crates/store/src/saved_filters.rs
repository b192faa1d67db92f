//! Filters of the list of nodes that people saved under a name.

use domain::model::id::FilterId;
use domain::model::time::Timestamp;

use crate::reports::damaged_id;
use crate::sql::{ReadTx, StoreError, WriteTx, sql};

/// A saved filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedFilter {
    /// Its id.
    pub id: FilterId,
    /// Who saved it.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// The query part of the list's address.
    pub query: String,
    /// When it was saved.
    pub created_at: Timestamp,
}

impl WriteTx {
    /// Adds a filter.
    pub async fn insert_filter(&mut self, filter: &SavedFilter) -> Result<(), StoreError> {
        let statement = sql("INSERT INTO saved_filters (id, owner, name, query, created_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(filter.id.as_str())
            .bind(&filter.owner)
            .bind(&filter.name)
            .bind(&filter.query)
            .bind(filter.created_at.as_millis());
        self.execute(statement).await.map(|_| ())
    }

    /// Forgets a filter; whether there was one.
    pub async fn delete_filter(&mut self, id: &FilterId) -> Result<bool, StoreError> {
        Ok(self.execute(sql("DELETE FROM saved_filters WHERE id = $1").bind(id.as_str())).await? == 1)
    }
}

impl ReadTx {
    /// Every saved filter, by name.
    pub async fn list_filters(&mut self) -> Result<Vec<SavedFilter>, StoreError> {
        self.list(sql("SELECT * FROM saved_filters ORDER BY name, id"), |row| {
            Ok(SavedFilter {
                id: row.get::<String>("id")?.parse().map_err(|error| damaged_id(&error))?,
                owner: row.get("owner")?,
                name: row.get("name")?,
                query: row.get("query")?,
                created_at: Timestamp::from_millis(row.get("created_at")?),
            })
        })
        .await
    }
}
