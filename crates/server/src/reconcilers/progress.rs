//! How far runs are, written down together: a fleet at work tells it far more often than a disk likes to sync.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::model::id::{NodeId, OperationId};
use domain::model::run::Progress;
use store::StoreError;
use tokio::sync::Notify;

use crate::App;

/// Between two writes.
const PAUSE: Duration = Duration::from_millis(500);

/// What nodes told last and is not written yet; a node tells of one run.
#[derive(Default)]
pub(crate) struct Told {
    waiting: Mutex<HashMap<NodeId, (OperationId, Progress)>>,
    is_new: Notify,
    /// Held while it is written, so that nothing older comes after something newer.
    writing: tokio::sync::Mutex<()>,
}

impl Told {
    /// Takes what a node told, in place of what it told before.
    pub fn put(&self, node_id: &NodeId, operation_id: OperationId, progress: Progress) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(node_id.clone(), (operation_id, progress));
        self.is_new.notify_one();
    }
}

/// Writes down what nodes tell, for as long as the server runs.
pub async fn run(app: App) {
    loop {
        app.told().is_new.notified().await;
        if let Err(error) = write_down(&app).await {
            tracing::warn!(%error, "how far runs are could not be written down");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Writes down what is waiting.
pub async fn write_down(app: &App) -> Result<(), StoreError> {
    let _writing = app.told().writing.lock().await;
    let waiting = std::mem::take(&mut *app.told().waiting.lock().unwrap_or_else(PoisonError::into_inner));
    let mut tx = app.database().write().await?;
    for (node_id, (operation_id, progress)) in &waiting {
        tx.set_progress(operation_id, node_id, progress).await?;
    }
    tx.commit().await
}
