//! Taking in what a node reports: judged, stored, and joined with what is known of it.

use domain::decide::judge::{self, LIST_AGE_DAYS_MAX};
use domain::model::baseline;
use domain::model::id::{NodeId, ScanId};
use domain::model::inventory::Inventory;
use domain::model::package::PackageSet;
use domain::model::scan_report::{BaselineSource, ScanReport};
use store::AuditEntry;
use store::nodes::{LastScan, NodeRecord};

use crate::App;
use crate::actions::ActionError;

/// What became of a report.
pub struct Recorded {
    /// The node that reported.
    pub node_id: NodeId,
    /// The judged report.
    pub report: ScanReport,
}

/// Records an inventory. A machine that was never seen becomes a node that can only be scanned.
pub async fn record(app: &App, mut inventory: Inventory) -> Result<Recorded, ActionError> {
    let now = app.now();
    let mut tx = app.database().write().await?;
    let known = match &inventory.machine {
        Some(machine) => tx.find_node_by_machine(machine).await?,
        None => None,
    };
    let node_id = known.as_ref().map_or_else(|| app.create_id(|ids| NodeId::create(ids, now)), |node| node.id.clone());
    if known.is_none() {
        let entry = AuditEntry { at: now, actor: "system".to_owned(), action: "node.enroll".to_owned(), subject: node_id.to_string(), detail: inventory.name.clone() };
        tx.append_audit(&entry).await?;
    }

    tx.fill_first_seen(&mut inventory.available, now).await?;
    let named = baseline::predefined().into_iter().find(|named| Some(named.baseline.operating_system) == inventory.platform.operating_system);
    let judgement = judge::judge(&inventory, named.as_ref().map(|named| &named.baseline), LIST_AGE_DAYS_MAX, now);
    let reference = named.as_ref().map(|named| (&named.baseline, Some(named.id.to_string()), BaselineSource::Predefined));
    let report = ScanReport::new(&inventory, reference, judgement);

    let scan_id = app.create_id(|ids| ScanId::create(ids, now));
    let judged = tx.insert_scan(&scan_id, &node_id, &report, &PackageSet::of(&inventory.packages), now).await?;
    let node = NodeRecord {
        id: node_id.clone(),
        name: inventory.name,
        machine: inventory.machine,
        allows: known.as_ref().map_or_else(|| "scan".to_owned(), |node| node.allows.clone()),
        platform: inventory.platform.name,
        product: inventory.platform.product,
        architecture: inventory.platform.architecture,
        kernel: inventory.kernel,
        enrolled_at: known.map_or(now, |node| node.enrolled_at),
        last_scan: Some(LastScan {
            id: scan_id.to_string(),
            at: report.scanned_at,
            judgement: judged.as_str().to_owned(),
            verdict: report.verdict,
            n_packages: report.node.n_packages,
            counts: report.counts,
        }),
    };
    tx.upsert_node(&node).await?;
    tx.commit().await?;
    Ok(Recorded { node_id, report })
}
