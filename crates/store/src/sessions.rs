//! Sign-in links, browser sessions and API tokens: three kinds of secret, kept as digests.

use domain::model::digest::Digest;
use domain::model::id::SessionId;
use domain::model::time::Timestamp;

use crate::sql::{ReadTx, StoreError, WriteTx, sql};

/// What a secret is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// Signing in once.
    Link,
    /// A browser that signed in.
    Browser,
    /// A program.
    Token,
}

impl SessionKind {
    fn code(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Browser => "browser",
            Self::Token => "token",
        }
    }
}

/// A secret's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub actor: String,
}

impl WriteTx {
    /// Records a secret by its digest.
    pub async fn insert_session(&mut self, session: &Session, kind: SessionKind, secret: &Digest, now: Timestamp, expires_at: Timestamp) -> Result<(), StoreError> {
        let statement = sql("INSERT INTO sessions (id, kind, actor, secret_digest, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(session.id.as_str())
            .bind(kind.code())
            .bind(&session.actor)
            .bind(secret.to_string())
            .bind(now.as_millis())
            .bind(expires_at.as_millis());
        self.execute(statement).await.map(|_| ())
    }

    /// Takes a secret away; whether it was there and still good.
    pub async fn end_session(&mut self, kind: SessionKind, secret: &Digest, now: Timestamp) -> Result<bool, StoreError> {
        let statement = sql("DELETE FROM sessions WHERE kind = $1 AND secret_digest = $2 AND expires_at > $3").bind(kind.code()).bind(secret.to_string()).bind(now.as_millis());
        Ok(self.execute(statement).await? > 0)
    }

    /// Forgets secrets of a kind, and all that have ended.
    pub async fn delete_sessions(&mut self, kind: SessionKind, now: Timestamp) -> Result<(), StoreError> {
        let statement = sql("DELETE FROM sessions WHERE kind = $1 OR expires_at <= $2").bind(kind.code()).bind(now.as_millis());
        self.execute(statement).await.map(|_| ())
    }
}

impl ReadTx {
    /// The session of a secret that is still good.
    pub async fn find_session(&mut self, kind: SessionKind, secret: &Digest, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let statement =
            sql("SELECT id, actor FROM sessions WHERE kind = $1 AND secret_digest = $2 AND expires_at > $3").bind(kind.code()).bind(secret.to_string()).bind(now.as_millis());
        let Some(row) = self.optional(statement).await? else { return Ok(None) };
        let id: String = row.get("id")?;
        let id = id.parse().map_err(|error: domain::model::id::IdError| StoreError::Damaged { what: "session id", detail: error.to_string() })?;
        Ok(Some(Session { id, actor: row.get("actor")? }))
    }
}
