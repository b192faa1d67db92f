//! The system clock and the system's source of chance.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
#[cfg(feature = "server")]
use domain::model::id::IdSource;
use domain::model::time::{Clock, Timestamp};

/// The clock of the machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A source of ids that no other process repeats.
#[cfg(feature = "server")]
pub fn ids() -> anyhow::Result<IdSource> {
    Ok(IdSource::seeded(u64::from_le_bytes(random()?)))
}

/// A key that tells one request from any other.
#[cfg(feature = "server")]
pub fn idempotency_key() -> anyhow::Result<String> {
    Ok(format!("cli-{:016x}", u64::from_le_bytes(random()?)))
}

/// Random bytes from the system, fit for secrets.
pub fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("failed to read random bytes from the system")?;
    Ok(bytes)
}
