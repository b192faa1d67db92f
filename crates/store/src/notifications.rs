//! Notifications: news for channels, kept until they are sent.

use domain::model::time::Timestamp;

use crate::sql::{ReadTx, Row, StoreError, WriteTx, sql};

/// News for a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its id.
    pub id: String,
    /// The name of the channel.
    pub channel: String,
    /// The event, in a word.
    pub event: String,
    /// What tells it from other news: the same goes to a channel once.
    pub news: String,
    /// In a line.
    pub subject: String,
    /// In a few more.
    pub detail: String,
    /// When it happened.
    pub created_at: Timestamp,
    /// When it is tried next; nothing when that is over.
    pub next_at: Option<Timestamp>,
    /// How often it was tried.
    pub n_attempts: u32,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// Why it was not.
    pub failure: Option<String>,
}

impl WriteTx {
    /// Adds news, unless the channel has them.
    pub async fn insert_notification(&mut self, notification: &Notification) -> Result<(), StoreError> {
        let statement = sql("INSERT INTO notifications (id, channel, event, news, subject, detail, created_at, next_at, n_attempts) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0) ON CONFLICT (channel, news) DO NOTHING")
        .bind(&notification.id)
        .bind(&notification.channel)
        .bind(&notification.event)
        .bind(&notification.news)
        .bind(&notification.subject)
        .bind(&notification.detail)
        .bind(notification.created_at.as_millis())
        .bind(notification.next_at.map(Timestamp::as_millis));
        self.execute(statement).await.map(|_| ())
    }

    /// Notes how an attempt to send went.
    pub async fn note_attempt(&mut self, id: &str, sent_at: Option<Timestamp>, failure: Option<&str>, next_at: Option<Timestamp>) -> Result<(), StoreError> {
        let statement = sql("UPDATE notifications SET n_attempts = n_attempts + 1, sent_at = $1, failure = $2, next_at = $3 WHERE id = $4")
            .bind(sent_at.map(Timestamp::as_millis))
            .bind(failure)
            .bind(next_at.map(Timestamp::as_millis))
            .bind(id);
        self.execute(statement).await.map(|_| ())
    }

    /// Forgets news that are older, whatever became of them.
    pub async fn delete_notifications_before(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        self.execute(sql("DELETE FROM notifications WHERE created_at < $1").bind(before.as_millis())).await
    }
}

impl ReadTx {
    /// News whose time has come, oldest first.
    pub async fn list_due_notifications(&mut self, now: Timestamp, limit: u32) -> Result<Vec<Notification>, StoreError> {
        let statement = sql("SELECT * FROM notifications WHERE next_at <= $1 ORDER BY next_at, id LIMIT $2").bind(now.as_millis()).bind(limit);
        self.list(statement, notification).await
    }

    /// The last news, newest first.
    pub async fn list_notifications(&mut self, limit: u32) -> Result<Vec<Notification>, StoreError> {
        self.list(sql("SELECT * FROM notifications ORDER BY id DESC LIMIT $1").bind(limit), notification).await
    }
}

fn notification(row: &Row) -> Result<Notification, StoreError> {
    let at = |column: &'static str| Ok::<_, StoreError>(row.get::<Option<i64>>(column)?.map(Timestamp::from_millis));
    Ok(Notification {
        id: row.get("id")?,
        channel: row.get("channel")?,
        event: row.get("event")?,
        news: row.get("news")?,
        subject: row.get("subject")?,
        detail: row.get("detail")?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
        next_at: at("next_at")?,
        n_attempts: row.count("n_attempts")?,
        sent_at: at("sent_at")?,
        failure: row.get("failure")?,
    })
}
