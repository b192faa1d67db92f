//! Several servers on one PostgreSQL: one leads, the others stand by and take its place when it is gone. A lease in the
//! database says who leads; a server that can no longer renew it stops at once, before another may have it.

use std::time::Duration;

use domain::model::time::Clock;
use store::{Database, StoreError};
use tokio::sync::oneshot;

use crate::clock::SystemClock;
use crate::printer::Printer;

/// How long a lease lasts. The clocks of the servers may differ by a part of it.
const LEASE_MS: i64 = 10_000;
/// How often it is renewed, and how often those that stand by ask for it.
const PERIOD: Duration = Duration::from_secs(2);
/// A leader that has not renewed it for so long stops: another may have it after `LEASE_MS`.
const STOPS_AFTER: Duration = Duration::from_secs(6);
const NAME: &str = "leader";

/// Who this server is.
pub struct Lease {
    database: Database,
    holder: String,
}

impl Lease {
    /// A server that does not lead yet.
    pub fn new(database: Database, holder: String) -> Self {
        Self { database, holder }
    }

    /// Waits until this server leads.
    pub async fn wait(&self, printer: &Printer) -> Result<(), StoreError> {
        let mut is_told = false;
        while !self.take().await? {
            if !is_told {
                let leader = self.database.read().await?.find_lease(NAME).await?.map_or_else(String::new, |(holder, _)| format!(": {holder} leads"));
                printer.note(format!("standing by{leader}"));
                is_told = true;
            }
            tokio::time::sleep(PERIOD).await;
        }
        Ok(())
    }

    /// Renews the lease for as long as it can be renewed; the receiver hears of it when it cannot any more.
    pub fn keep(self) -> oneshot::Receiver<()> {
        let (lost, is_lost) = oneshot::channel();
        tokio::spawn(async move {
            let mut renewed = tokio::time::Instant::now();
            loop {
                tokio::time::sleep(PERIOD).await;
                let left = STOPS_AFTER.saturating_sub(renewed.elapsed());
                match tokio::time::timeout(left, self.take()).await {
                    Ok(Ok(true)) => renewed = tokio::time::Instant::now(),
                    // Another has it: it was thought to be gone.
                    Ok(Ok(false)) | Err(_) => break,
                    Ok(Err(error)) => tracing::warn!(%error, "the lease of the leader could not be renewed"),
                }
            }
            let _ = lost.send(());
        });
        is_lost
    }

    async fn take(&self) -> Result<bool, StoreError> {
        let now = SystemClock.now();
        let mut tx = self.database.write().await?;
        let taken = tx.take_lease(NAME, &self.holder, now, now.plus_millis(LEASE_MS)).await?;
        tx.commit().await?;
        Ok(taken)
    }

    /// Gives the lease back, so that another server need not wait for its end.
    pub async fn give_back(database: &Database, holder: &str) -> Result<(), StoreError> {
        let mut tx = database.write().await?;
        tx.give_lease_back(NAME, holder).await?;
        tx.commit().await
    }
}
