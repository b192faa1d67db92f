//! Vendors' feeds and their entries.

use std::collections::HashMap;

use domain::model::catalog::Entry;
use domain::model::feed::{Feed, FeedState};
use domain::model::time::Timestamp;
use serde::de::DeserializeOwned;

use crate::sql::{ReadTx, Row, StoreError, Value, WriteTx, sql};

/// A feed with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRecord {
    /// The feed.
    pub feed: Feed,
    /// The number of its last import.
    pub import: u32,
    /// What became of it.
    pub state: FeedState,
}

impl WriteTx {
    /// Adds a feed, or writes what became of it.
    pub async fn upsert_feed(&mut self, record: &FeedRecord) -> Result<(), StoreError> {
        let statement = sql("INSERT INTO feeds (name, document, import, state) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO UPDATE SET document = excluded.document, import = excluded.import, state = excluded.state")
        .bind(&record.feed.name)
        .bind(document(&record.feed))
        .bind(record.import)
        .bind(document(&record.state));
        self.execute(statement).await.map(|_| ())
    }

    /// Forgets a feed and its entries.
    pub async fn delete_feed(&mut self, name: &str) -> Result<bool, StoreError> {
        self.execute(sql("DELETE FROM catalog_entries WHERE feed = $1").bind(name)).await?;
        Ok(self.execute(sql("DELETE FROM feeds WHERE name = $1").bind(name)).await? > 0)
    }

    /// Forgets what an import left that did not end.
    pub async fn delete_unfinished_import(&mut self, feed: &str, import: u32) -> Result<(), StoreError> {
        self.execute(sql("DELETE FROM catalog_entries WHERE feed = $1 AND import > $2").bind(feed).bind(import)).await.map(|_| ())
    }

    /// Adds entries of an import. They count once the feed has its number.
    pub async fn insert_catalog_entries(&mut self, feed: &str, import: u32, entries: &[Entry]) -> Result<(), StoreError> {
        let rows = entries.iter().map(|entry| [feed.into(), Value::from(&entry.id), import.into(), entry.modified_at.as_millis().into(), document(entry).into()]);
        self.insert_rows("INSERT INTO catalog_entries (feed, id, import, modified_at, document) VALUES ", rows, "").await
    }

    /// Ends an import: what it wrote takes the place of what was there, and what is gone goes.
    pub async fn finish_import(&mut self, record: &FeedRecord, removed: &[String]) -> Result<(), StoreError> {
        let name = &record.feed.name;
        let replaced = "DELETE FROM catalog_entries WHERE feed = $1 AND import < $2 AND id IN (SELECT id FROM catalog_entries WHERE feed = $1 AND import = $2)";
        self.execute(sql(replaced).bind(name).bind(record.import)).await?;
        for id in removed {
            self.execute(sql("DELETE FROM catalog_entries WHERE feed = $1 AND id = $2").bind(name).bind(id)).await?;
        }
        self.upsert_feed(record).await
    }
}

impl ReadTx {
    /// Every feed, by name.
    pub async fn list_feeds(&mut self) -> Result<Vec<FeedRecord>, StoreError> {
        self.list(sql("SELECT * FROM feeds ORDER BY name"), |row| Ok(FeedRecord { feed: read(row, "document")?, import: row.count("import")?, state: read(row, "state")? })).await
    }

    /// When each entry of a feed last changed.
    pub async fn list_entry_times(&mut self, feed: &str) -> Result<HashMap<String, Timestamp>, StoreError> {
        let statement = sql("SELECT e.id, e.modified_at FROM catalog_entries e JOIN feeds f ON f.name = e.feed WHERE e.feed = $1 AND e.import <= f.import").bind(feed);
        self.list(statement, |row| Ok((row.get("id")?, Timestamp::from_millis(row.get("modified_at")?)))).await
    }

    /// A page of the entries of all feeds, by feed and id: those after a place.
    pub async fn list_catalog_entries(&mut self, after: Option<&(String, String)>, limit: u32) -> Result<Vec<(String, Entry)>, StoreError> {
        let mut statement = sql("SELECT e.feed, e.id, e.document FROM catalog_entries e JOIN feeds f ON f.name = e.feed WHERE e.import <= f.import");
        if let Some((feed, id)) = after {
            statement.push(" AND (e.feed > ?", feed);
            statement.push(" OR (e.feed = ?", feed);
            statement.push(" AND e.id > ?))", id);
        }
        statement.push(" ORDER BY e.feed, e.id LIMIT ?", limit);
        self.list(statement, |row| Ok((row.get("feed")?, read(row, "document")?))).await
    }
}

fn document(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("it has text keys only")
}

fn read<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, StoreError> {
    serde_json::from_str(&row.get::<String>(column)?).map_err(|error| StoreError::Damaged { what: "feed", detail: error.to_string() })
}
