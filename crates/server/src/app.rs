//! The parts that every request shares.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLockReadGuard};

use domain::model::id::{IdSource, NodeId};
use domain::model::node::QuietLimits;
use domain::model::time::{Clock, HOUR_MS, Timestamp};
use store::{Database, StoreError};
use tokio::sync::Semaphore;

use crate::actions::verdicts::{self, Recorded};
use crate::feeds::{self, FeedError};
use crate::fleet::{Fleet, Present, State};
use crate::keys::{GivenCertificate, KeyError, Keys};
use crate::reconcilers::progress::Told;
use crate::reconcilers::rollouts::Signals;

/// Hours after which a node that has not been scanned is unknown.
pub const STALE_AFTER_HOURS: i64 = 48;

/// How often nodes are to be heard of, and how long they may be quiet.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// Seconds between two inventories of a node.
    pub scan_seconds: u32,
    /// Seconds that the server holds a node's question for orders. Ordinary proxies end what is
    /// quiet for a minute.
    pub poll_seconds: u32,
    /// When a node is late and when it is silent.
    pub limits: QuietLimits,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self { scan_seconds: 3600, poll_seconds: 50, limits: QuietLimits { late_after_ms: 5 * 60 * 1000, silent_after_ms: 24 * HOUR_MS } }
    }
}

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
    rhythm: Rhythm,
    fleet: Arc<Fleet>,
    keys: Keys,
    given_certificate: Option<GivenCertificate>,
    names: Vec<String>,
    agent_url: String,
    report_room: Semaphore,
    spool: PathBuf,
    /// Held by whoever imports a feed: one at a time.
    import: tokio::sync::Mutex<()>,
    verdicts: tokio::sync::Mutex<Option<Recorded>>,
    rollouts: Signals,
    told: Told,
    secrets: PathBuf,
}

/// Reports that are read and checked at once. Twice a commit's worth keeps the writer busy; each
/// may take some megabytes for a moment.
const REPORTS_AT_ONCE: usize = 512;

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
    /// How often nodes are to be heard of.
    pub rhythm: Rhythm,
    /// The installation's keys.
    pub keys: Keys,
    /// Certificate and key for browsers, where the operator gave them.
    pub given_certificate: Option<GivenCertificate>,
    /// Names and addresses by which browsers and agents reach the server, the best first.
    pub names: Vec<String>,
    /// Where agents reach the server, such as `https://fettle.example:7300`.
    pub agent_url: String,
    /// A folder for files on their way, such as feeds.
    pub spool: PathBuf,
    /// The folder of the programs that gates may run.
    pub gates: PathBuf,
    /// The folder of the secrets that channels name.
    pub secrets: PathBuf,
}

impl App {
    /// Joins the parts, and reads the fleet.
    pub async fn open(config: AppConfig) -> Result<Self, StoreError> {
        let AppConfig { database, clock, ids, new_secret, behind_tls, rhythm, keys, given_certificate, names, agent_url, spool, gates, secrets } = config;
        let fleet = Fleet::load(&database, clock.clone()).await?;
        Ok(Self {
            parts: Arc::new(Parts {
                database,
                clock,
                ids: Mutex::new(ids),
                new_secret,
                behind_tls,
                rhythm,
                fleet,
                keys,
                given_certificate,
                names,
                agent_url,
                report_room: Semaphore::new(REPORTS_AT_ONCE),
                spool,
                import: tokio::sync::Mutex::default(),
                verdicts: tokio::sync::Mutex::default(),
                rollouts: Signals::new(gates),
                told: Told::default(),
                secrets,
            }),
        })
    }

    /// The present instant; read once per request.
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Now, and what is old by now.
    pub(crate) fn present(&self) -> Present {
        self.present_at(self.now())
    }

    pub(crate) fn present_at(&self, now: Timestamp) -> Present {
        Present { now, stale_before: now.plus_millis(-STALE_AFTER_HOURS * HOUR_MS), limits: self.parts.rhythm.limits }
    }

    /// What the loop that moves rollouts on knows.
    pub(crate) fn rollouts(&self) -> &Signals {
        &self.parts.rollouts
    }

    /// How far nodes said they are.
    pub(crate) fn told(&self) -> &Told {
        &self.parts.told
    }

    /// The folder of the secrets that channels name.
    pub(crate) fn secrets(&self) -> &std::path::Path {
        &self.parts.secrets
    }

    /// The installation's keys.
    pub fn keys(&self) -> &Keys {
        &self.parts.keys
    }

    /// Renews the certificates that the server shows; those that it has stay when it cannot.
    pub fn renew_server_certificates(&self) -> Result<(), KeyError> {
        self.parts.keys.renew_server_certificates(self.given_certificate(), self.names(), self.now())
    }

    pub(crate) fn given_certificate(&self) -> Option<&GivenCertificate> {
        self.parts.given_certificate.as_ref()
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.parts.names
    }

    /// Where agents reach the server.
    pub fn agent_url(&self) -> &str {
        &self.parts.agent_url
    }

    /// Room for reports to be read and checked in.
    pub(crate) fn report_room(&self) -> &Semaphore {
        &self.parts.report_room
    }

    /// How often nodes are to be heard of.
    pub fn rhythm(&self) -> Rhythm {
        self.parts.rhythm
    }

    /// The fleet.
    pub fn fleet(&self) -> &Fleet {
        &self.parts.fleet
    }

    /// What is known of the fleet, with every delay that passed by now.
    pub(crate) fn current_fleet(&self, now: Timestamp) -> RwLockReadGuard<'_, State> {
        if self.parts.fleet.read().needs_advance(now) {
            self.parts.fleet.write().index.advance(now);
        }
        self.parts.fleet.read()
    }

    /// Keeps everyone else from importing a feed while it is held.
    pub(crate) async fn begin_import(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.parts.import.lock().await
    }

    /// Which verdicts were written down last.
    pub(crate) async fn recorded_verdicts(&self) -> tokio::sync::MutexGuard<'_, Option<Recorded>> {
        self.parts.verdicts.lock().await
    }

    /// A folder that is gone when it is dropped.
    pub(crate) fn create_spool_folder(&self) -> Result<tempfile::TempDir, FeedError> {
        let create = || {
            std::fs::create_dir_all(&self.parts.spool)?;
            tempfile::tempdir_in(&self.parts.spool)
        };
        create().map_err(FeedError::File)
    }

    /// Reads the catalog from the store again, and judges what changed with it.
    pub(crate) async fn reload_catalog(&self) -> Result<(), StoreError> {
        let catalog = feeds::load(self.database()).await?;
        self.parts.fleet.write().index.set_catalog(catalog, self.now());
        Ok(())
    }

    /// Waits until there is work for a node.
    pub async fn work_requested(&self, id: &NodeId) {
        let number = self.parts.fleet.read().find(id).map(|node| node.record.number);
        match number {
            Some(number) => self.parts.fleet.waker(number).notified().await,
            None => std::future::pending().await,
        }
    }

    /// Writes down what only memory knows: when nodes were last heard of, and what they are judged to be.
    pub async fn save(&self) -> Result<usize, StoreError> {
        verdicts::record(self).await?;
        self.parts.fleet.save_states(&self.parts.database).await
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
