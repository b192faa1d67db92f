//! A clock that moves only when told to.

use std::sync::atomic::{AtomicI64, Ordering};

use domain::model::time::{Clock, Timestamp};

/// Where test time begins.
pub const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// A clock for tests.
#[derive(Debug)]
pub struct TestClock {
    millis: AtomicI64,
}

impl Default for TestClock {
    fn default() -> Self {
        Self { millis: AtomicI64::new(START.as_millis()) }
    }
}

impl TestClock {
    /// Moves time on.
    pub fn advance_millis(&self, millis: i64) {
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }
}
