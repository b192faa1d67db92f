//! The adapter: one statement, one row and one transaction type over two drivers.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Column, ColumnIndex, Decode, Postgres, Sqlite, SqlitePool, Transaction, Type};

use crate::{dialect, migrate};

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be opened.
    #[error("failed to open the database {place}")]
    Open {
        /// Which one, without secrets.
        place: String,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// A statement failed.
    #[error("failed to run `{statement}`")]
    Statement {
        /// Its beginning.
        statement: String,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// The database was made by a newer release.
    #[error("the data was written by a newer release of Fettle: it has schema {found}, this release knows up to {known}")]
    Newer {
        /// Schema of the data.
        found: i64,
        /// Newest schema of this program.
        known: i64,
    },
    /// PostgreSQL sorts text by a language's rules.
    #[error("the PostgreSQL database sorts text by a language; Fettle needs the collation `C`")]
    Collation,
    /// A stored value does not read back.
    #[error("a stored {what} is damaged: {detail}")]
    Damaged {
        /// What it is.
        what: &'static str,
        /// How it is damaged.
        detail: String,
    },
}

/// The database: SQLite in a file, or PostgreSQL.
#[derive(Debug, Clone)]
pub struct Database {
    pub(crate) pools: Pools,
}

#[derive(Debug, Clone)]
pub(crate) enum Pools {
    /// SQLite has one writer at a time, so writing has a pool of one.
    Sqlite {
        read: SqlitePool,
        write: SqlitePool,
    },
    Postgres(sqlx::PgPool),
}

/// Readers of SQLite, and connections to PostgreSQL.
const CONNECTIONS_MAX: u32 = 16;
/// Both databases limit how many values a statement may bind.
const ROWS_PER_STATEMENT: [usize; 5] = [256, 64, 16, 4, 1];
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

impl Database {
    /// Opens the SQLite file at `path` and brings its schema up to date.
    pub async fn open_sqlite(path: &Path, now_ms: i64) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { place: path.display().to_string(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let write = PoolOptions::new().max_connections(1).connect_with(options.clone()).await.map_err(failed)?;
        let read = PoolOptions::new().max_connections(CONNECTIONS_MAX).connect_with(options).await.map_err(failed)?;
        Self { pools: Pools::Sqlite { read, write } }.prepared(now_ms).await
    }

    /// Opens the SQLite file at `path` for reading, as it is.
    pub async fn inspect_sqlite(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { place: path.display().to_string(), source };
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT);
        let read = PoolOptions::new().max_connections(1).connect_with(options).await.map_err(failed)?;
        Ok(Self { pools: Pools::Sqlite { write: read.clone(), read } })
    }

    /// Opens the PostgreSQL database at `url` and brings its schema up to date.
    pub async fn open_postgres(url: &str, now_ms: i64) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { place: "PostgreSQL".to_owned(), source };
        let pool = PoolOptions::new().max_connections(CONNECTIONS_MAX).connect(url).await.map_err(failed)?;
        Self { pools: Pools::Postgres(pool) }.prepared(now_ms).await
    }

    async fn prepared(self, now_ms: i64) -> Result<Self, StoreError> {
        dialect::check_collation(&self).await?;
        migrate::migrate(&self, now_ms).await?;
        Ok(self)
    }

    /// Begins reading: one consistent view.
    pub async fn read(&self) -> Result<ReadTx, StoreError> {
        dialect::begin_read(&self.pools).await.map(|inner| ReadTx { inner }).map_err(|source| StoreError::Statement { statement: "BEGIN".to_owned(), source })
    }

    /// Begins writing. On SQLite the write lock is taken at once, so that what was read still holds.
    pub async fn write(&self) -> Result<WriteTx, StoreError> {
        let inner = dialect::begin_write(&self.pools).await.map_err(|source| StoreError::Statement { statement: "BEGIN".to_owned(), source })?;
        Ok(WriteTx { tx: ReadTx { inner } })
    }

    /// Waits for running statements and closes every connection.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}

pub(crate) enum TxInner {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// A transaction that reads.
pub struct ReadTx {
    pub(crate) inner: TxInner,
}

/// A transaction that writes; without `commit` nothing of it stays.
pub struct WriteTx {
    tx: ReadTx,
}

impl Deref for WriteTx {
    type Target = ReadTx;

    fn deref(&self) -> &ReadTx {
        &self.tx
    }
}

impl DerefMut for WriteTx {
    fn deref_mut(&mut self) -> &mut ReadTx {
        &mut self.tx
    }
}

macro_rules! on_transaction {
    ($inner:expr, |$connection:ident| $body:expr) => {
        match $inner {
            TxInner::Sqlite(transaction) => {
                let $connection = &mut **transaction;
                $body
            }
            TxInner::Postgres(transaction) => {
                let $connection = &mut **transaction;
                $body
            }
        }
    };
}

macro_rules! bound {
    ($statement:expr) => {{
        let mut query = sqlx::query(AssertSqlSafe($statement.text));
        for value in $statement.values {
            query = match value {
                Value::Text(value) => query.bind(value),
                Value::Integer(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }};
}

impl ReadTx {
    /// Every row of the answer.
    pub(crate) async fn rows(&mut self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        let failed = statement.failed();
        let result = match &mut self.inner {
            TxInner::Sqlite(transaction) => bound!(statement).fetch_all(&mut **transaction).await.map(|rows| rows.into_iter().map(Row::Sqlite).collect()),
            TxInner::Postgres(transaction) => bound!(statement).fetch_all(&mut **transaction).await.map(|rows| rows.into_iter().map(Row::Postgres).collect()),
        };
        result.map_err(failed)
    }

    /// What is read of every row, one after the other: large answers are never in memory as rows.
    pub(crate) async fn list<T, C: Default + Extend<T>>(&mut self, statement: Statement, mut read: impl FnMut(&Row) -> Result<T, StoreError>) -> Result<C, StoreError> {
        let failed = statement.failed();
        let mut rows = match &mut self.inner {
            TxInner::Sqlite(transaction) => bound!(statement).fetch(&mut **transaction).map_ok(Row::Sqlite).boxed(),
            TxInner::Postgres(transaction) => bound!(statement).fetch(&mut **transaction).map_ok(Row::Postgres).boxed(),
        };
        let mut all = C::default();
        loop {
            match rows.try_next().await {
                Ok(Some(row)) => all.extend(Some(read(&row)?)),
                Ok(None) => return Ok(all),
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// The first row of the answer, if any.
    pub(crate) async fn optional(&mut self, statement: Statement) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(statement).await?.into_iter().next())
    }
}

impl WriteTx {
    /// Runs a statement; how many rows it changed.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let failed = statement.failed();
        let result = on_transaction!(&mut self.tx.inner, |connection| bound!(statement).execute(connection).await.map(|done| done.rows_affected()));
        result.map_err(failed)
    }

    /// Inserts rows, many with each statement. The numbers of rows are few, so that the database
    /// knows nearly every statement already.
    pub(crate) async fn insert_rows<const N: usize>(&mut self, head: &str, rows: impl Iterator<Item = [Value; N]>, tail: &str) -> Result<(), StoreError> {
        let mut rest: Vec<_> = rows.collect();
        while !rest.is_empty() {
            let n = ROWS_PER_STATEMENT.into_iter().find(|n| *n <= rest.len()).unwrap_or(1);
            let mut text = String::with_capacity(head.len() + n * N * 6 + tail.len());
            text.push_str(head);
            for row in 0..n {
                text.push_str(if row == 0 { "(" } else { ", (" });
                for column in 1..=N {
                    text.push_str(if column == 1 { "" } else { ", " });
                    dialect::push_placeholder(&mut text, &self.tx.inner, row * N + column);
                }
                text.push(')');
            }
            text.push_str(tail);
            self.execute(Statement { text, values: rest.drain(..n).flatten().collect() }).await?;
        }
        Ok(())
    }

    /// Runs a script of several statements.
    pub(crate) async fn script(&mut self, text: String) -> Result<(), StoreError> {
        let statement = text.lines().next().unwrap_or_default().to_owned();
        let result = on_transaction!(&mut self.tx.inner, |connection| sqlx::raw_sql(AssertSqlSafe(text)).execute(connection).await.map(|_| ()));
        result.map_err(|source| StoreError::Statement { statement, source })
    }

    /// Makes everything of this transaction last.
    pub async fn commit(self) -> Result<(), StoreError> {
        let result = match self.tx.inner {
            TxInner::Sqlite(transaction) => transaction.commit().await,
            TxInner::Postgres(transaction) => transaction.commit().await,
        };
        result.map_err(|source| StoreError::Statement { statement: "COMMIT".to_owned(), source })
    }
}

/// A value bound to a statement.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(Option<String>),
    Integer(Option<i64>),
    Bytes(Option<Vec<u8>>),
}

macro_rules! values {
    ($($from:ty => $variant:ident |$value:ident| $convert:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                Self::$variant($convert)
            }
        }
    )*};
}

values! {
    &str => Text |value| Some(value.to_owned());
    &String => Text |value| Some(value.clone());
    String => Text |value| Some(value);
    Option<&str> => Text |value| value.map(str::to_owned);
    Option<String> => Text |value| value;
    i64 => Integer |value| Some(value);
    u32 => Integer |value| Some(i64::from(value));
    Option<i64> => Integer |value| value;
    Vec<u8> => Bytes |value| Some(value);
}

/// A statement with its bound values.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    text: String,
    values: Vec<Value>,
}

/// Begins a statement; values are written `$1`, `$2`, … in its text.
pub(crate) fn sql(text: impl Into<String>) -> Statement {
    Statement { text: text.into(), values: Vec::new() }
}

impl Statement {
    /// Binds the next value.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Adds to the text, with `?` standing for the value that is bound by it.
    pub(crate) fn push(&mut self, text: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        self.text.push_str(&text.replace('?', &format!("${}", self.values.len())));
    }

    /// The error of this statement, named by its first words.
    fn failed(&self) -> impl FnOnce(sqlx::Error) -> StoreError + use<> {
        let end = self.text.match_indices(' ').nth(7).map_or(self.text.len(), |(at, _)| at);
        let statement = self.text[..end].to_owned();
        move |source| StoreError::Statement { statement, source }
    }
}

/// One row of an answer.
pub(crate) enum Row {
    Sqlite(sqlx::sqlite::SqliteRow),
    Postgres(sqlx::postgres::PgRow),
}

/// A type that both databases read.
pub(crate) trait Readable: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres> {}
impl<T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>> Readable for T {}

impl Row {
    /// The value of a column.
    pub(crate) fn get<T: Readable>(&self, column: &str) -> Result<T, StoreError> {
        let result = match self {
            Self::Sqlite(row) => get(row, column),
            Self::Postgres(row) => get(row, column),
        };
        result.map_err(|source| StoreError::Damaged { what: "column", detail: format!("{column}: {source}") })
    }

    /// A count.
    pub(crate) fn count(&self, column: &str) -> Result<u32, StoreError> {
        let number: i64 = self.get(column)?;
        u32::try_from(number).map_err(|_| StoreError::Damaged { what: "count", detail: format!("{column} is {number}") })
    }
}

fn get<'r, R, T>(row: &'r R, column: &str) -> Result<T, sqlx::Error>
where
    R: sqlx::Row,
    T: Decode<'r, R::Database> + Type<R::Database>,
    for<'c> &'c str: ColumnIndex<R>,
{
    debug_assert!(row.columns().iter().any(|known| known.name() == column), "column {column} was not selected");
    row.try_get(column)
}
