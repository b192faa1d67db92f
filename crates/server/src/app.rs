//! The parts that every request shares.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use domain::model::id::IdSource;
use domain::model::time::{Clock, HOUR_MS, Timestamp};
use store::Database;
use tokio::sync::Notify;

/// Hours after which a node that has not been scanned is unknown.
pub const STALE_AFTER_HOURS: i64 = 48;

/// Everything a request needs, cheap to clone.
#[derive(Clone)]
pub struct App {
    parts: Arc<Parts>,
}

struct Parts {
    database: Database,
    clock: Arc<dyn Clock>,
    ids: Mutex<IdSource>,
    new_secret: Box<dyn Fn() -> [u8; 32] + Send + Sync>,
    behind_tls: bool,
    work_requested: Notify,
}

/// What an `App` is made of.
pub struct AppConfig {
    /// The store.
    pub database: Database,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: IdSource,
    /// Where secrets come from: bytes that nobody can guess.
    pub new_secret: Box<dyn Fn() -> [u8; 32] + Send + Sync>,
    /// Whether browsers reach the server through TLS, so that cookies may say so.
    pub behind_tls: bool,
}

impl App {
    /// Joins the parts.
    pub fn new(config: AppConfig) -> Self {
        let AppConfig { database, clock, ids, new_secret, behind_tls } = config;
        Self { parts: Arc::new(Parts { database, clock, ids: Mutex::new(ids), new_secret, behind_tls, work_requested: Notify::new() }) }
    }

    /// The present instant; read once per request.
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// The instant before which a scan is stale.
    pub fn stale_before(&self, now: Timestamp) -> Timestamp {
        now.plus_millis(-STALE_AFTER_HOURS * HOUR_MS)
    }

    /// Waits until an operation is requested.
    pub async fn work_requested(&self) {
        self.parts.work_requested.notified().await;
    }

    pub(crate) fn wake_nodes(&self) {
        self.parts.work_requested.notify_one();
    }

    pub(crate) fn database(&self) -> &Database {
        &self.parts.database
    }

    pub(crate) fn behind_tls(&self) -> bool {
        self.parts.behind_tls
    }

    /// Makes an id.
    pub(crate) fn create_id<T>(&self, create: impl FnOnce(&mut IdSource) -> T) -> T {
        create(&mut self.parts.ids.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A secret as 64 hexadecimal digits.
    pub(crate) fn create_secret(&self) -> String {
        (self.parts.new_secret)().iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
