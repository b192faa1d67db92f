//! What the store promises, whichever database is below it.

use std::collections::BTreeSet;

use domain::decide::judge::{self, LIST_AGE_DAYS_MAX};
use domain::model::baseline;
use domain::model::compliance::{Counts, Verdict};
use domain::model::id::{IdSource, NodeId, OperationId, PatchId, ScanId, SessionId};
use domain::model::inventory::Inventory;
use domain::model::package::{Digest, PackageSet};
use domain::model::scan_report::{BaselineSource, ScanReport};
use domain::model::time::Timestamp;
use store::nodes::{LastScan, NodeQuery, NodeRecord, NodeSort, PagePlace, PageValue};
use store::operations::{InvocationState, OperationRecord, request_digest};
use store::patches::PatchQuery;
use store::sessions::{Session, SessionKind};
use store::{AuditEntry, Database};
use testkit::clock::START;
use testkit::inventories;

fn node(number: u32, ids: &mut IdSource) -> NodeRecord {
    let counts = Counts { missing: number % 7, security_non_compliant: number % 3, installed: 100, ..Counts::default() };
    NodeRecord {
        id: NodeId::create(ids, START),
        name: format!("node-{:03}", (number * 37) % 101),
        machine: Some(format!("machine-{number}")),
        allows: "scan".into(),
        platform: "Debian".into(),
        product: "Debian12".into(),
        architecture: "amd64".into(),
        kernel: None,
        enrolled_at: START,
        last_scan: Some(LastScan {
            id: format!("sc-{number}"),
            at: START.plus_millis(i64::from(number)),
            judgement: format!("judgement-{}", number % 7),
            verdict: if number.is_multiple_of(7) { Verdict::Compliant } else { Verdict::NonCompliant },
            n_packages: 100 + number,
            counts,
        }),
    }
}

async fn insert(database: &Database, nodes: &[NodeRecord]) {
    let mut tx = database.write().await.unwrap();
    for node in nodes {
        tx.upsert_node(node).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn fleet(n: u32) -> Vec<NodeRecord> {
    let mut ids = IdSource::seeded(7);
    (0..n).map(|number| node(number, &mut ids)).collect()
}

fn all(sort: NodeSort) -> NodeQuery {
    NodeQuery { text: None, verdict: None, sort, after: None, limit: 10, stale_before: Timestamp::from_millis(0) }
}

fn report(inventory: &Inventory) -> ScanReport {
    let named = &baseline::predefined()[0];
    let judgement = judge::judge(inventory, Some(&named.baseline), LIST_AGE_DAYS_MAX, START);
    ScanReport::new(inventory, Some((&named.baseline, Some(named.id.to_string()), BaselineSource::Predefined)), judgement)
}

/// Stores a scan of a node as the server does.
async fn store_scan(database: &Database, mut node: NodeRecord, inventory: &Inventory, ids: &mut IdSource) -> NodeRecord {
    let report = report(inventory);
    let mut tx = database.write().await.unwrap();
    let id = ScanId::create(ids, START);
    let judgement = tx.insert_scan(&id, &node.id, &report, &PackageSet::of(&inventory.packages), START).await.unwrap();
    node.last_scan = Some(LastScan {
        id: id.to_string(),
        at: report.scanned_at,
        judgement: judgement.as_str().into(),
        verdict: report.verdict,
        n_packages: report.node.n_packages,
        counts: report.counts,
    });
    tx.upsert_node(&node).await.unwrap();
    tx.commit().await.unwrap();
    node
}

pub async fn a_node_reads_back_and_is_replaced(database: Database) {
    let mut first = node(3, &mut IdSource::seeded(1));
    insert(&database, &[first.clone()]).await;
    assert_eq!(database.read().await.unwrap().find_node(&first.id).await.unwrap().as_ref(), Some(&first));
    first.name = "renamed".into();
    first.last_scan = None;
    insert(&database, &[first.clone()]).await;
    let mut tx = database.read().await.unwrap();
    assert_eq!(tx.find_node_by_machine("machine-3").await.unwrap(), Some(first));
    assert_eq!(tx.count_nodes(&all(NodeSort::Name)).await.unwrap(), 1);
    assert_eq!(tx.find_node_by_machine("other").await.unwrap(), None);
}

pub async fn pages_visit_every_node_once_in_order(database: Database) {
    let nodes = fleet(95);
    insert(&database, &nodes).await;
    for sort in [NodeSort::Missing, NodeSort::Name, NodeSort::LastScan] {
        let place = |node: &NodeRecord| {
            let scan = node.last_scan.as_ref().unwrap();
            let value = match sort {
                NodeSort::Missing => PageValue::Number(i64::from(scan.counts.missing)),
                NodeSort::Name => PageValue::Text(node.name.clone()),
                NodeSort::LastScan => PageValue::Number(scan.at.as_millis()),
            };
            PagePlace { value, id: node.id.to_string() }
        };
        let mut seen: Vec<NodeRecord> = Vec::new();
        loop {
            let query = NodeQuery { after: seen.last().map(place), ..all(sort) };
            let page = database.read().await.unwrap().list_nodes(&query).await.unwrap();
            let full = page.len() == 10;
            seen.extend(page);
            if !full {
                break;
            }
        }
        assert_eq!(seen.len(), 95);
        assert_eq!(seen.iter().map(|node| &node.id).collect::<BTreeSet<_>>().len(), 95);
        let sorted = match sort {
            NodeSort::Missing => seen.is_sorted_by_key(|node| std::cmp::Reverse(node.last_scan.as_ref().unwrap().counts.missing)),
            NodeSort::Name => seen.is_sorted_by_key(|node| node.name.clone()),
            NodeSort::LastScan => seen.is_sorted_by_key(|node| node.last_scan.as_ref().unwrap().at),
        };
        assert!(sorted, "{sort:?}");
    }
}

pub async fn nodes_are_found_by_name_and_by_the_verdict_of_today(database: Database) {
    insert(&database, &fleet(30)).await;
    let mut tx = database.read().await.unwrap();
    let count = |text: Option<&str>, verdict, stale_before| NodeQuery { text: text.map(str::to_owned), verdict, stale_before, ..all(NodeSort::Name) };
    assert_eq!(tx.count_nodes(&count(Some("NODE-00"), None, START)).await.unwrap(), u32::try_from(fleet(30).iter().filter(|node| node.name.contains("node-00")).count()).unwrap());
    assert_eq!(tx.count_nodes(&count(Some("%"), None, START)).await.unwrap(), 0, "a pattern sign is plain text");
    assert_eq!(tx.count_nodes(&count(None, Some(Verdict::Compliant), START)).await.unwrap(), 5);
    let later = START.plus_millis(15);
    assert_eq!(tx.count_nodes(&count(None, Some(Verdict::Unknown), later)).await.unwrap(), 15, "scans before that are stale");
    assert_eq!(tx.count_nodes(&count(None, Some(Verdict::Compliant), later)).await.unwrap(), 2);
}

pub async fn the_fleet_summary_is_the_sum_of_its_nodes(database: Database) {
    assert_eq!(database.read().await.unwrap().summarize_fleet(START).await.unwrap(), store::nodes::FleetSummary::default());
    let mut nodes = fleet(50);
    nodes[0].last_scan = None;
    insert(&database, &nodes).await;
    let summary = database.read().await.unwrap().summarize_fleet(START.plus_millis(10)).await.unwrap();
    let missing: u32 = nodes.iter().filter_map(|node| node.last_scan.as_ref()).map(|scan| scan.counts.missing).sum();
    assert_eq!((summary.n_nodes, summary.n_unknown, summary.n_stale, summary.counts.missing), (50, 10, 10, missing));
    assert_eq!(summary.n_compliant + summary.n_non_compliant + summary.n_unknown, summary.n_nodes);
}

pub async fn equal_scans_are_stored_once(database: Database) {
    let mut ids = IdSource::seeded(1);
    let inventory = inventories::debian("a", 30, 5, START);
    let a = store_scan(&database, node(1, &mut ids), &inventory, &mut ids).await;
    let b = store_scan(&database, node(2, &mut ids), &inventories::debian("b", 30, 5, START), &mut ids).await;
    let (scan_a, scan_b) = (a.last_scan.unwrap(), b.last_scan.unwrap());
    assert_eq!(scan_a.judgement, scan_b.judgement);
    assert_ne!(scan_a.id, scan_b.id);
    let mut tx = database.read().await.unwrap();
    assert_eq!(tx.find_scan_report(&scan_a.id).await.unwrap(), Some(report(&inventory)));
    let history = tx.list_scans(&a.id, None, 10).await.unwrap();
    assert_eq!((history.len(), history[0].n_missing), (1, 5));
    assert_eq!(tx.list_scans(&a.id, Some((history[0].scanned_at, &history[0].id)), 10).await.unwrap(), []);
    assert_eq!(tx.find_scan_report("sc-none").await.unwrap(), None);
}

pub async fn patches_are_counted_over_the_nodes_that_share_a_judgement(database: Database) {
    let mut ids = IdSource::seeded(1);
    for number in 0..6 {
        let inventory = inventories::debian(&format!("n{number}"), 30, if number < 4 { 3 } else { 1 }, START);
        store_scan(&database, node(number, &mut ids), &inventory, &mut ids).await;
    }
    let mut tx = database.read().await.unwrap();
    let patches = tx.list_patches(&PatchQuery { limit: 10, ..PatchQuery::default() }).await.unwrap();
    assert_eq!(patches.iter().map(|patch| (patch.name.as_str(), patch.n_missing)).collect::<BTreeSet<_>>(), [("pkg-0000", 6), ("pkg-0001", 4), ("pkg-0002", 4)].into());
    assert_eq!(patches[0].name, "pkg-0000", "the one missing on most nodes comes first");
    let rest = tx.list_patches(&PatchQuery { after: Some((6, patches[0].id.clone())), limit: 10, ..PatchQuery::default() }).await.unwrap();
    assert_eq!(rest, patches[1..]);
    let found = tx.list_patches(&PatchQuery { text: Some("0002".into()), classification: Some("Security".into()), limit: 10, after: None }).await.unwrap();
    assert_eq!(found.len(), 1);
    let id: PatchId = patches[0].id.parse().unwrap();
    assert_eq!(tx.find_patch(&id).await.unwrap().as_ref(), Some(&patches[0]));
    let nodes = tx.list_nodes_of_patch(id.as_str(), None, 4).await.unwrap();
    let rest = tx.list_nodes_of_patch(id.as_str(), Some(nodes[3].0.id.as_str()), 4).await.unwrap();
    assert_eq!((nodes.len(), rest.len(), nodes[0].1.as_str()), (4, 2, "MISSING"));
}

pub async fn a_version_keeps_the_time_it_was_first_seen(database: Database) {
    let mut ids = IdSource::seeded(1);
    for (days, expected) in [(0, 0), (3, 0)] {
        let now = START.plus_millis(days * 86_400_000);
        let mut inventory = inventories::debian("n", 10, 2, now);
        let mut tx = database.write().await.unwrap();
        tx.fill_first_seen(&mut inventory.available, now).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(inventory.available[0].first_seen_at, Some(START.plus_millis(expected)));
        store_scan(&database, node(1, &mut IdSource::seeded(5)), &inventory, &mut ids).await;
    }
}

pub async fn two_claims_never_take_the_same_invocation(database: Database) {
    let mut ids = IdSource::seeded(1);
    let node_id = NodeId::create(&mut ids, START);
    for number in 0..20 {
        let operation = operation(&mut ids, number);
        let mut tx = database.write().await.unwrap();
        tx.insert_operation(&operation, None, std::slice::from_ref(&node_id)).await.unwrap();
        tx.commit().await.unwrap();
    }
    let claim = |database: Database, node_id: NodeId| async move {
        let mut claimed = Vec::new();
        loop {
            let mut tx = database.write().await.unwrap();
            let id = tx.claim_invocation(&node_id, START).await.unwrap();
            tx.commit().await.unwrap();
            match id {
                Some(id) => claimed.push(id),
                None => return claimed,
            }
        }
    };
    let workers: Vec<_> = (0..4).map(|_| tokio::spawn(claim(database.clone(), node_id.clone()))).collect();
    let mut claimed = Vec::new();
    for worker in workers {
        claimed.extend(worker.await.unwrap());
    }
    assert_eq!(claimed.len(), 20);
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), 20);
    let mut tx = database.write().await.unwrap();
    tx.finish_invocation(&claimed[0], &node_id, InvocationState::Failed, Some("no"), START).await.unwrap();
    assert_eq!(tx.release_invocations(&node_id).await.unwrap(), 19);
    let ended = tx.list_invocations(&claimed[0]).await.unwrap();
    assert_eq!((ended[0].state, ended[0].message.as_deref(), ended[0].finished_at), (InvocationState::Failed, Some("no"), Some(START)));
}

fn operation(ids: &mut IdSource, number: i64) -> OperationRecord {
    OperationRecord {
        id: OperationId::create(ids, START.plus_millis(number)),
        kind: "scan".into(),
        requested_by: "ada".into(),
        requested_at: START,
        request_digest: request_digest("scan", &[]).as_str().into(),
    }
}

pub async fn an_idempotency_key_belongs_to_one_operation(database: Database) {
    let mut ids = IdSource::seeded(1);
    let (first, second) = (operation(&mut ids, 1), operation(&mut ids, 2));
    let mut tx = database.write().await.unwrap();
    tx.insert_operation(&first, Some("key"), &[]).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = database.write().await.unwrap();
    assert_eq!(tx.find_operation_by_key("key").await.unwrap().as_ref(), Some(&first));
    assert_eq!(tx.find_operation(&first.id).await.unwrap(), Some(first));
    assert!(tx.insert_operation(&second, Some("key"), &[]).await.is_err());
    drop(tx);
    assert_eq!(database.read().await.unwrap().find_operation(&second.id).await.unwrap(), None);
}

pub async fn secrets_end_and_expire(database: Database) {
    let mut ids = IdSource::seeded(1);
    let session = Session { id: SessionId::create(&mut ids, START), actor: "ada".into() };
    let secret = Digest::of(b"secret");
    let later = START.plus_millis(1000);
    let mut tx = database.write().await.unwrap();
    tx.insert_session(&session, SessionKind::Link, &secret, START, later).await.unwrap();
    assert_eq!(tx.find_session(SessionKind::Browser, &secret, START).await.unwrap(), None, "a link is no session");
    assert_eq!(tx.find_session(SessionKind::Link, &secret, later).await.unwrap(), None, "it has expired");
    assert_eq!(tx.find_session(SessionKind::Link, &secret, START).await.unwrap(), Some(session));
    assert!(!tx.end_session(SessionKind::Link, &secret, later).await.unwrap());
    assert!(tx.end_session(SessionKind::Link, &secret, START).await.unwrap());
    assert!(!tx.end_session(SessionKind::Link, &secret, START).await.unwrap(), "it is good once");
    tx.commit().await.unwrap();
}

pub async fn the_audit_chain_holds_under_concurrent_writers(database: Database) {
    let write = |database: Database, number: u32| async move {
        for _ in 0..5 {
            let entry = AuditEntry { at: START, actor: format!("writer {number}"), action: "test".into(), subject: "s".into(), detail: String::new() };
            let mut tx = database.write().await.unwrap();
            tx.append_audit(&entry).await.unwrap();
            tx.commit().await.unwrap();
        }
    };
    let writers: Vec<_> = (0..4).map(|number| tokio::spawn(write(database.clone(), number))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let mut tx = database.read().await.unwrap();
    assert_eq!(tx.check_audit().await.unwrap(), Ok(20));
    assert_eq!(tx.list_audit(100).await.unwrap().len(), 20);
    drop(tx);
    store::conformance::change_audit_row(&database, 7).await.unwrap();
    assert_eq!(database.read().await.unwrap().check_audit().await.unwrap().unwrap_err().sequence, 7);
}

pub async fn the_audit_chain_holds_for_two(first: &Database, second: &Database) {
    let write = |database: Database| async move {
        for _ in 0..25 {
            let entry = AuditEntry { at: START, actor: "process".into(), action: "test".into(), subject: "s".into(), detail: String::new() };
            let mut tx = database.write().await.unwrap();
            tx.append_audit(&entry).await.unwrap();
            tx.commit().await.unwrap();
        }
    };
    let writers = [tokio::spawn(write(first.clone())), tokio::spawn(write(second.clone()))];
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(first.read().await.unwrap().check_audit().await.unwrap(), Ok(50));
}

pub async fn nothing_of_a_dropped_transaction_stays(database: Database) {
    let first = node(3, &mut IdSource::seeded(1));
    let mut tx = database.write().await.unwrap();
    tx.upsert_node(&first).await.unwrap();
    drop(tx);
    assert_eq!(database.read().await.unwrap().find_node(&first.id).await.unwrap(), None);
}

pub async fn opening_again_changes_nothing(database: Database) {
    insert(&database, &fleet(3)).await;
    store::conformance::migrate_again(&database).await.unwrap();
    assert_eq!(database.read().await.unwrap().count_nodes(&all(NodeSort::Name)).await.unwrap(), 3);
}

pub async fn data_of_a_newer_release_is_refused(database: Database) {
    store::conformance::pretend_newer(&database).await.unwrap();
    let error = store::conformance::migrate_again(&database).await.unwrap_err();
    assert_eq!(error.to_string(), format!("the data was written by a newer release of Fettle: it has schema 999, this release knows up to {}", store::NEWEST_MIGRATION));
}
