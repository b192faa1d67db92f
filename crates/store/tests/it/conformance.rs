//! What the store promises, whichever database is below it.

use std::collections::{BTreeMap, BTreeSet};

use domain::decide::assign::Assignments;
use domain::model::activation::Activation;
use domain::model::advisory::Suggestion;
use domain::model::baseline::{self, Baseline};
use domain::model::catalog::{Entry, Fix};
use domain::model::compliance::{Counts, Verdict};
use domain::model::digest::Digest;
use domain::model::feed::{Feed, FeedFormat, FeedState};
use domain::model::id::{ActivationId, BaselineId, FilterId, IdSource, NodeId, OperationId, SessionId};
use domain::model::intent::IntentKind;
use domain::model::node::{Allows, TagSource};
use domain::model::organization::{self, Organization};
use domain::model::patch::{Classification, Severity};
use domain::model::plan::{Foreseen, Plan, PlanSchema, Terms};
use domain::model::platform::OperatingSystem;
use domain::model::reboot_group::RebootLock;
use domain::model::receipt::{Effect, Outcome, Receipt, WayBack};
use domain::model::rollout::{Course, Rollout};
use domain::model::run::{Progress, Step};
use domain::model::section::{PackageFacts, PerSection, Section};
use domain::model::time::DAY_MS;
use domain::model::transaction::Transaction;
use store::baselines::BaselineVersion;
use store::contents::{ContentBody, NewContent};
use store::feeds::FeedRecord;
use store::intents::{ClockRecord, IntentVersion};
use store::nodes::{NodeEvent, NodeRecord, NodeState, TagRecord};
use store::notifications::Notification;
use store::operations::{Claimed, InvocationRecord, InvocationState, NewPart, OperationRecord, request_digest};
use store::reports::{CheckIn, ReportRecord};
use store::saved_filters::SavedFilter;
use store::sessions::{Session, SessionKind};
use store::verdicts::{VerdictAssignment, VerdictRecord};
use store::versions::VersionRecord;
use store::{AuditEntry, Database, StoreError};
use testkit::clock::START;

fn node(number: u32, ids: &mut IdSource) -> NodeRecord {
    NodeRecord {
        machine: Some(format!("machine-{number}")),
        allows: Allows { install: true, ..Allows::SCAN },
        agent_version: Some("0.1.0".into()),
        certificate: Some(format!("serial-{number}")),
        certificate_expires_at: Some(START),
        identity: Some("identity".into()),
        generation: 7,
        ..NodeRecord::new(number, NodeId::create(ids, START), START)
    }
}

fn state(number: u32) -> NodeState {
    NodeState {
        node_number: number,
        name: format!("node-{number}"),
        boot: None,
        seen_at: Some(START),
        report_number: Some(number),
        collected_at: Some(START),
        lists_refreshed_at: None,
        booted_at: Some(START),
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

pub async fn a_node_reads_back_and_is_replaced(database: Database) {
    let mut nodes = fleet(2);
    insert(&database, &nodes).await;
    assert_eq!(database.read().await.unwrap().list_nodes().await.unwrap(), nodes);
    nodes[1].retired_at = Some(START);
    nodes[1].certificate = None;
    nodes[1].clone_of = Some(nodes[0].id.clone());
    insert(&database, &nodes[1..]).await;
    assert_eq!(database.read().await.unwrap().list_nodes().await.unwrap(), nodes);
}

pub async fn states_of_many_nodes_are_written_at_once_and_replaced(database: Database) {
    let mut states: Vec<_> = (0..600).map(state).collect();
    for change in 0..2 {
        states[599].name = format!("changed {change}");
        let mut tx = database.write().await.unwrap();
        tx.upsert_node_states(&states).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(database.read().await.unwrap().list_node_states().await.unwrap(), states);
    }
}

pub async fn tags_of_one_source_leave_those_of_others(database: Database) {
    let tags = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>();
    let mut tx = database.write().await.unwrap();
    tx.replace_tags(1, TagSource::Activation, &tags(&[("env", "prod"), ("team", "web")])).await.unwrap();
    tx.replace_tags(1, TagSource::Operator, &tags(&[("env", "test")])).await.unwrap();
    tx.replace_tags(2, TagSource::Operator, &tags(&[("env", "dev")])).await.unwrap();
    tx.replace_tags(1, TagSource::Operator, &tags(&[])).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = database.read().await.unwrap();
    let words = |tags: Vec<TagRecord>| tags.into_iter().map(|tag| format!("{} {}={} {}", tag.node_number, tag.key, tag.value, tag.source.word())).collect::<Vec<_>>();
    assert_eq!(words(tx.list_tags().await.unwrap()), ["1 env=prod activation", "1 team=web activation", "2 env=dev operator"]);
    assert_eq!(words(tx.list_tags_of(&[2]).await.unwrap()), ["2 env=dev operator"]);
}

fn content(number: u32, body: ContentBody) -> NewContent {
    NewContent { number, digest: Digest::of(&number.to_le_bytes()), body, first_seen_at: START }
}

pub async fn contents_read_back_through_their_edits(database: Database) {
    let whole = (0..300).map(|number| format!("line {number:03}\n")).collect::<String>();
    let edit = |of, edit: &str| ContentBody::Edit { of, edit: edit.to_owned() };
    let contents =
        [content(0, ContentBody::Whole(whole.clone())), content(1, edit(0, "-line 007\n")), content(2, edit(1, "+line 0065\n")), content(3, ContentBody::Whole(String::new()))];
    let mut tx = database.write().await.unwrap();
    tx.insert_contents(&contents).await.unwrap();
    assert!(tx.find_content(4).await.is_err());
    tx.insert_contents(&[content(4, edit(5, "")), content(5, edit(0, "-no such line\n"))]).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = database.read().await.unwrap();
    assert_eq!(tx.find_content(0).await.unwrap().text(), whole);
    assert_eq!(tx.find_content(2).await.unwrap().text(), whole.replace("line 007\n", "").replace("line 007", "").replace("line 006\n", "line 006\nline 0065\n"));
    assert_eq!(tx.find_content(3).await.unwrap().text(), "");
    for damaged in [4, 5] {
        assert!(matches!(tx.find_content(damaged).await, Err(StoreError::Damaged { .. })));
    }
    let listed = tx.list_contents().await.unwrap();
    assert_eq!((listed.len(), listed[2]), (6, (2, Digest::of(&2_u32.to_le_bytes()), Some(1))));
    assert_eq!(tx.list_bodies().await.unwrap()[&1], edit(0, "-line 007\n"));
}

pub async fn a_report_is_found_by_the_day_it_was_collected(database: Database) {
    let report = |number: u32, node_number: u32, days: i64| ReportRecord {
        number,
        node_number,
        collected_at: START.plus_millis(days * DAY_MS),
        received_at: START.plus_millis(days * DAY_MS + 1),
        sections: PerSection(std::array::from_fn(|at| number * 100 + u32::try_from(at).unwrap())),
    };
    let reports = [report(0, 1, 0), report(1, 2, 0), report(2, 1, 3)];
    let mut tx = database.write().await.unwrap();
    tx.insert_reports(&reports).await.unwrap();
    tx.upsert_node_states(&[NodeState { report_number: Some(2), ..state(1) }, NodeState { report_number: Some(1), ..state(2) }]).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = database.read().await.unwrap();
    assert_eq!(tx.next_report_number().await.unwrap(), 3);
    let mut current = tx.list_current_reports().await.unwrap();
    current.sort_by_key(|report| report.number);
    assert_eq!(current, reports[1..]);
    for (days, expected) in [(-1, None), (0, Some(&reports[0])), (2, Some(&reports[0])), (3, Some(&reports[2])), (9, Some(&reports[2]))] {
        assert_eq!(tx.find_report_at(1, START.plus_millis(days * DAY_MS)).await.unwrap().as_ref(), expected, "on day {days}");
    }
    assert_eq!(tx.list_reports(1, None, 10).await.unwrap(), [reports[2].clone(), reports[0].clone()]);
    assert_eq!(tx.list_reports(1, Some(2), 10).await.unwrap(), reports[..1]);
}

pub async fn check_ins_are_kept_until_they_are_folded(database: Database) {
    let check_in =
        |node_number: u32| CheckIn { node_number, collected_at: START.plus_millis(i64::from(node_number)), lists_refreshed_at: node_number.is_multiple_of(2).then_some(START) };
    let mut tx = database.write().await.unwrap();
    tx.append_check_ins(1, 0, &[check_in(5), check_in(6)]).await.unwrap();
    tx.append_check_ins(2, 0, &[check_in(7)]).await.unwrap();
    assert_eq!(tx.list_check_ins().await.unwrap(), (2, vec![check_in(5), check_in(6), check_in(7)]));
    tx.delete_check_ins(1).await.unwrap();
    assert_eq!(tx.list_check_ins().await.unwrap(), (2, vec![check_in(7)]));
    tx.commit().await.unwrap();
}

pub async fn the_last_report_of_a_node_counts_before_its_state_is_written(database: Database) {
    let report = |number: u32, node_number: u32| ReportRecord { number, node_number, collected_at: START, received_at: START, sections: PerSection([number; Section::COUNT]) };
    let mut tx = database.write().await.unwrap();
    tx.insert_reports(&[report(0, 1), report(1, 2), report(2, 1), report(3, 3)]).await.unwrap();
    tx.upsert_node_states(&[NodeState { report_number: Some(0), ..state(1) }, NodeState { report_number: Some(1), ..state(2) }]).await.unwrap();
    assert_eq!(tx.list_current_reports().await.unwrap(), [report(0, 1), report(1, 2)], "states say so when nothing came since");
    tx.append_check_ins(1, 2, &[]).await.unwrap();
    assert_eq!(tx.list_current_reports().await.unwrap(), [report(2, 1), report(1, 2), report(3, 3)]);
}

pub async fn versions_read_back_in_the_order_of_their_numbers(database: Database) {
    let version = |number: u32| VersionRecord {
        number,
        ecosystem: "debian".into(),
        name: format!("package-{number}"),
        architecture: "amd64".into(),
        version: "1.0-1".into(),
        facts: PackageFacts { section: Some("libs".into()), ..PackageFacts::default() },
        classification: Classification::Other,
        repository: None,
        first_seen_at: START,
    };
    let mut versions: Vec<_> = (0..300).map(version).collect();
    let mut tx = database.write().await.unwrap();
    tx.insert_versions(&versions).await.unwrap();
    versions[7].classification = Classification::Security;
    versions[7].repository = Some("Debian-Security bookworm-security".into());
    let later = VersionRecord { first_seen_at: START.plus_millis(5), ..versions[7].clone() };
    tx.insert_versions(&[later]).await.unwrap();
    assert_eq!(tx.list_versions().await.unwrap(), versions, "what is known may grow; when it was first seen stays");
    tx.commit().await.unwrap();
}

fn activation(ids: &mut IdSource, node_limit: u32) -> Activation {
    Activation {
        id: ActivationId::create(ids, START),
        description: "web servers".into(),
        account_id: organization::default_account(),
        region_id: organization::default_region(),
        tags: BTreeMap::from([("env".to_owned(), "prod".to_owned())]),
        node_limit,
        n_enrolled: 0,
        created_by: "ada".into(),
        created_at: START,
        expires_at: START.plus_millis(DAY_MS),
        revoked_at: None,
    }
}

pub async fn an_activation_lets_in_no_more_nodes_than_its_limit(database: Database) {
    let activation = activation(&mut IdSource::seeded(1), 10);
    let secret = Digest::of(b"secret");
    let mut tx = database.write().await.unwrap();
    tx.insert_activation(&activation, &secret).await.unwrap();
    tx.commit().await.unwrap();
    let enroll = |database: Database, id: ActivationId| async move {
        let mut n_let_in = 0;
        for _ in 0..5 {
            let mut tx = database.write().await.unwrap();
            n_let_in += u32::from(tx.use_activation(&id).await.unwrap());
            tx.commit().await.unwrap();
        }
        n_let_in
    };
    let workers: Vec<_> = (0..4).map(|_| tokio::spawn(enroll(database.clone(), activation.id.clone()))).collect();
    let mut n_let_in = 0;
    for worker in workers {
        n_let_in += worker.await.unwrap();
    }
    assert_eq!(n_let_in, 10);
    let mut tx = database.write().await.unwrap();
    let full = Activation { n_enrolled: 10, ..activation.clone() };
    assert_eq!(tx.find_activation_by_secret(&secret).await.unwrap(), Some(full.clone()));
    assert_eq!(tx.find_activation_by_secret(&Digest::of(b"other")).await.unwrap(), None);
    assert!(tx.revoke_activation(&activation.id, START).await.unwrap());
    assert!(!tx.revoke_activation(&activation.id, START.plus_millis(1000)).await.unwrap(), "it is revoked once");
    assert_eq!(tx.list_activations().await.unwrap(), [Activation { revoked_at: Some(START), ..full }]);
    tx.commit().await.unwrap();
}

pub async fn the_organization_reads_back(database: Database) {
    let organization = organization::initial();
    let mut tx = database.write().await.unwrap();
    for _ in 0..2 {
        tx.upsert_unit(&organization.units[0]).await.unwrap();
        tx.upsert_account(&organization.accounts[0]).await.unwrap();
        tx.upsert_region(&organization.regions[0]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = database.read().await.unwrap();
    let found = Organization { units: tx.list_units().await.unwrap(), accounts: tx.list_accounts().await.unwrap(), regions: tx.list_regions().await.unwrap() };
    assert_eq!(found, organization);
}

pub async fn events_and_filters_are_listed_and_forgotten(database: Database) {
    let event = |number: i64| NodeEvent { node_number: 1, at: START.plus_millis(number), kind: "clone_detected".into(), detail: format!("{number}") };
    let filter = SavedFilter { id: FilterId::create(&mut IdSource::seeded(1), START), owner: "ada".into(), name: "late".into(), query: "presence=late".into(), created_at: START };
    let mut tx = database.write().await.unwrap();
    for number in 0..3 {
        tx.append_node_event(&event(number)).await.unwrap();
    }
    tx.append_node_event(&NodeEvent { node_number: 2, ..event(9) }).await.unwrap();
    tx.insert_filter(&filter).await.unwrap();
    assert_eq!(tx.list_node_events(1, 2).await.unwrap(), [event(2), event(1)]);
    assert_eq!(tx.list_filters().await.unwrap(), std::slice::from_ref(&filter));
    assert!(tx.delete_filter(&filter.id).await.unwrap());
    assert!(!tx.delete_filter(&filter.id).await.unwrap());
    tx.commit().await.unwrap();
}

pub async fn baselines_keep_their_versions_and_what_they_are_for(database: Database) {
    let mut ids = IdSource::seeded(1);
    let [first, second] = [(); 2].map(|()| BaselineId::create(&mut ids, START));
    let document = baseline::predefined().remove(0).baseline;
    let version = |id: &BaselineId, version, document: Option<&Baseline>| BaselineVersion {
        baseline_id: id.clone(),
        version,
        document: document.cloned(),
        changed_by: "ada".into(),
        changed_at: START,
        reason: "because".into(),
    };
    let renamed = Baseline { name: "other".into(), ..document.clone() };
    let all = [version(&first, 1, Some(&document)), version(&first, 2, Some(&renamed)), version(&second, 1, Some(&document)), version(&second, 2, None)];
    let mut tx = database.write().await.unwrap();
    for version in &all {
        tx.insert_baseline_version(version).await.unwrap();
    }
    assert_eq!(tx.list_baselines().await.unwrap(), [all[1].clone()]);
    assert_eq!(tx.list_baseline_versions(&second).await.unwrap(), [all[3].clone(), all[2].clone()]);
    tx.assign_baseline(OperatingSystem::Debian, None, Some(&second)).await.unwrap();
    tx.assign_baseline(OperatingSystem::Debian, None, Some(&first)).await.unwrap();
    tx.assign_baseline(OperatingSystem::Debian, Some("web"), Some(&second)).await.unwrap();
    tx.assign_baseline(OperatingSystem::Ubuntu, Some("web"), Some(&second)).await.unwrap();
    tx.assign_baseline(OperatingSystem::Ubuntu, Some("web"), None).await.unwrap();
    let chosen = tx.list_assignments().await.unwrap();
    assert_eq!(chosen, Assignments { defaults: [(OperatingSystem::Debian, first.clone())].into(), groups: [((OperatingSystem::Debian, "web".to_owned()), second)].into() });
    tx.commit().await.unwrap();
    let mut tx = database.write().await.unwrap();
    assert!(tx.insert_baseline_version(&all[0]).await.is_err(), "a version is written once");
}

pub async fn two_claims_never_take_the_same_invocation(database: Database) {
    let mut ids = IdSource::seeded(1);
    let node_id = NodeId::create(&mut ids, START);
    for number in 0..20 {
        let operation = operation(&mut ids, number);
        let mut tx = database.write().await.unwrap();
        tx.insert_operation(&operation, None, &[NewPart::new(node_id.clone())]).await.unwrap();
        tx.commit().await.unwrap();
    }
    let claim = |database: Database, node_id: NodeId| async move {
        let mut claimed = Vec::new();
        loop {
            let mut tx = database.write().await.unwrap();
            let id = tx.claim_invocation(&node_id, 3, START).await.unwrap();
            tx.commit().await.unwrap();
            match id {
                Some(taken) => claimed.push(taken.operation_id),
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
    assert_eq!(tx.list_nodes_with_invocations(InvocationState::Pending).await.unwrap(), Vec::<String>::new());
    tx.finish_invocation(&claimed[0], &node_id, InvocationState::Failed, Some("no"), START).await.unwrap();
    assert_eq!(tx.release_invocations(&node_id, START).await.unwrap(), 19);
    assert_eq!(tx.list_nodes_with_invocations(InvocationState::Pending).await.unwrap(), [node_id.to_string()]);
    let ended = tx.list_invocations(&claimed[0]).await.unwrap();
    assert_eq!((ended[0].state, ended[0].message.as_deref(), ended[0].finished_at), (InvocationState::Failed, Some("no"), Some(START)));
}

fn operation(ids: &mut IdSource, number: i64) -> OperationRecord {
    OperationRecord {
        id: OperationId::create(ids, START.plus_millis(number)),
        kind: "scan".into(),
        requested_by: "ada".into(),
        requested_at: START,
        rollout: None,
        course: Course::default(),
        course_version: 0,
        policy: None,
        request_digest: request_digest("scan", &[]).to_string(),
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
    assert_eq!(database.read().await.unwrap().list_nodes().await.unwrap(), []);
}

pub async fn opening_again_changes_nothing(database: Database) {
    insert(&database, &fleet(3)).await;
    store::conformance::migrate_again(&database).await.unwrap();
    assert_eq!(database.read().await.unwrap().list_nodes().await.unwrap().len(), 3);
}

pub async fn data_of_a_newer_release_is_refused(database: Database) {
    store::conformance::pretend_newer(&database).await.unwrap();
    let error = store::conformance::migrate_again(&database).await.unwrap_err();
    assert_eq!(error.to_string(), format!("the data was written by a newer release of Fettle: it has schema 999, this release knows up to {}", store::NEWEST_MIGRATION));
}

pub async fn an_import_counts_all_at_once(database: Database) {
    let feed = Feed { name: "debian".into(), format: FeedFormat::Osv, url: None, product: None, every_hours: 6 };
    let record = |import, n_entries| FeedRecord { feed: feed.clone(), import, state: FeedState { n_entries, ..FeedState::default() } };
    let entry = |id: &str, at: i64| Entry {
        id: id.into(),
        classification: None,
        severity: Severity::Low,
        cves: vec!["CVE-1".into()],
        bugs: Vec::new(),
        published_at: None,
        modified_at: START.plus_millis(at * 1000),
        withdrawn_at: None,
        suggestion: Suggestion::Nothing,
        fixes: vec![Fix { product: "Debian12".into(), package: "curl".into(), version: "1".into(), introduced: None }],
    };
    let mut tx = database.write().await.unwrap();
    tx.upsert_feed(&record(0, 0)).await.unwrap();
    tx.insert_catalog_entries("debian", 1, &[entry("A", 1), entry("B", 1), entry("C", 1)]).await.unwrap();
    assert_eq!(tx.list_catalog_entries(None, 10).await.unwrap(), [], "the import has not ended");
    tx.finish_import(&record(1, 3), &[]).await.unwrap();
    tx.insert_catalog_entries("debian", 2, &[entry("B", 2), entry("D", 2)]).await.unwrap();
    let listed = async |tx: &mut store::WriteTx| tx.list_catalog_entries(None, 10).await.unwrap().into_iter().map(|(_, entry)| entry).collect::<Vec<_>>();
    assert_eq!(listed(&mut tx).await, [entry("A", 1), entry("B", 1), entry("C", 1)]);
    tx.finish_import(&record(2, 3), &["C".to_owned()]).await.unwrap();
    assert_eq!(listed(&mut tx).await, [entry("A", 1), entry("B", 2), entry("D", 2)]);
    assert_eq!(tx.list_catalog_entries(Some(&("debian".into(), "A".into())), 1).await.unwrap(), [("debian".into(), entry("B", 2))]);
    tx.insert_catalog_entries("debian", 3, &[entry("E", 3)]).await.unwrap();
    tx.delete_unfinished_import("debian", 2).await.unwrap();
    let times = tx.list_entry_times("debian").await.unwrap();
    assert_eq!(times, [("A".into(), START.plus_millis(1000)), ("B".into(), START.plus_millis(2000)), ("D".into(), START.plus_millis(2000))].into());
    tx.commit().await.unwrap();
    let mut tx = database.write().await.unwrap();
    assert_eq!(tx.list_feeds().await.unwrap(), [record(2, 3)]);
    assert!(tx.delete_feed("debian").await.unwrap() && !tx.delete_feed("debian").await.unwrap());
    assert_eq!((tx.list_feeds().await.unwrap(), listed(&mut tx).await), (Vec::new(), Vec::new()));
}

pub async fn verdicts_are_found_by_node_and_minute(database: Database) {
    let record = |node_number, minute, missing| VerdictRecord {
        node_number,
        minute,
        assignment: 0,
        verdict: Verdict::NonCompliant,
        counts: Counts { missing, installed_other: 441, ..Counts::default() },
    };
    let assignment = VerdictAssignment { baseline_id: "pb-1".into(), version: 3, through: "the default".into() };
    let mut tx = database.write().await.unwrap();
    tx.insert_verdict_assignment(0, &assignment).await.unwrap();
    tx.upsert_verdicts(&[record(0, 100, 1), record(1, 100, 2), record(1, 200, 3), record(u32::MAX / 2, 1, 4)]).await.unwrap();
    tx.upsert_verdicts(&[record(1, 200, 5)]).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = database.read().await.unwrap();
    assert_eq!(tx.list_verdict_assignments().await.unwrap(), [assignment]);
    assert_eq!(tx.list_verdicts(1, 250, 10).await.unwrap(), [record(1, 200, 5), record(1, 100, 2)]);
    assert_eq!(tx.list_verdicts(1, 199, 10).await.unwrap(), [record(1, 100, 2)]);
    assert_eq!(tx.list_verdicts(2, u32::MAX, 10).await.unwrap(), []);
    let mut last = tx.list_last_verdicts().await.unwrap();
    last.sort_by_key(|record| record.node_number);
    assert_eq!(last, [record(0, 100, 1), record(1, 200, 5), record(u32::MAX / 2, 1, 4)]);
}

pub async fn work_and_receipts_read_back(database: Database) {
    let mut ids = IdSource::seeded(1);
    let node_id = NodeId::create(&mut ids, START);
    let operation = OperationRecord { kind: "install".into(), ..operation(&mut ids, 0) };
    let id = operation.id.clone();
    let plan = Plan { schema: PlanSchema::V1, changes: Vec::new(), terms: Terms::default(), transaction: Transaction::default(), foreseen: Foreseen::default(), made_at: START };
    let receipt = |log: &str| Receipt {
        plan: plan.clone(),
        started_at: START,
        ended_at: START,
        outcome: Outcome::Installed,
        done: Transaction::default(),
        packages: Vec::new(),
        config_files: Vec::new(),
        log: log.into(),
        steps: Vec::new(),
        hooks: Vec::new(),
        services: Vec::new(),
        effect: Effect::InEffect,
        way_back: WayBack::default(),
        history: None,
    };
    let mut tx = database.write().await.unwrap();
    tx.insert_operation(&operation, None, &[NewPart { work: Some("all of it".into()), ..NewPart::new(node_id.clone()) }]).await.unwrap();
    assert_eq!(tx.find_work(&id, node_id.as_str()).await.unwrap().as_deref(), Some("all of it"));
    let claimed = tx.claim_invocation(&node_id, 1, START).await.unwrap();
    assert_eq!(claimed, Some(Claimed { operation_id: id.clone(), kind: "install".into(), work: Some("all of it".into()) }));
    assert_eq!(tx.find_receipt(&id, node_id.as_str()).await.unwrap(), None);
    tx.upsert_plan(&id, &node_id, &plan).await.unwrap();
    assert_eq!((tx.find_plan(&id, node_id.as_str()).await.unwrap(), tx.find_plan(&id, "mi-0").await.unwrap()), (Some(plan.clone()), None));
    tx.upsert_receipt(&id, &node_id, &receipt("first")).await.unwrap();
    tx.upsert_receipt(&id, &node_id, &receipt("second")).await.unwrap();
    assert_eq!(tx.find_receipt(&id, node_id.as_str()).await.unwrap(), Some(receipt("second")));
}

pub async fn a_cancel_ends_what_waits_and_reaches_what_goes_on_once(database: Database) {
    let mut ids = IdSource::seeded(1);
    let (busy, idle) = (NodeId::create(&mut ids, START), NodeId::create(&mut ids, START));
    let [older, first, second] = [0, 1, 2].map(|n| operation(&mut ids, n));
    let mut tx = database.write().await.unwrap();
    let with_work = NewPart { work: Some("all of it".into()), ..NewPart::new(busy.clone()) };
    tx.insert_operation(&first, None, &[with_work, NewPart::new(idle.clone())]).await.unwrap();
    tx.insert_operation(&second, None, &[NewPart::new(busy.clone())]).await.unwrap();
    tx.claim_invocation(&busy, 1, START).await.unwrap().unwrap();
    assert_eq!(tx.claim_invocation(&busy, 2, START).await.unwrap(), None, "it is in the middle of a run");
    let progress = Progress { step: Step::Apply, at: START, percent: Some(40), lines: vec!["Setting up".into()], waits_until: None, back_by: None };
    tx.set_progress(&first.id, &busy, &progress).await.unwrap();
    tx.set_progress(&first.id, &idle, &progress).await.unwrap();
    assert_eq!(tx.claim_cancel(&busy, START).await.unwrap(), None);
    tx.cancel_invocations(&first.id, "ada stopped it", START).await.unwrap();
    let counts = |counts: &[(&str, u32)]| counts.iter().map(|(state, n)| ((*state).to_owned(), *n)).collect::<BTreeMap<_, _>>();
    assert_eq!(tx.list_operations(None, 10).await.unwrap(), [(second.clone(), counts(&[("PENDING", 1)])), (first.clone(), counts(&[("CANCELLED", 1), ("RUNNING", 1)]))]);
    assert_eq!(tx.list_operations(Some(second.id.as_str()), 1).await.unwrap().len(), 1);
    assert_eq!(tx.list_operations(Some(first.id.as_str()), 1).await.unwrap(), []);
    let told = |invocations: Vec<InvocationRecord>| {
        let mut told: Vec<_> = invocations.into_iter().map(|one| (one.state, one.message, one.progress, one.cancel_requested_at, one.claimed_at)).collect();
        told.sort_by_key(|one| one.0.code());
        told
    };
    let stopped = (InvocationState::Cancelled, Some("ada stopped it".to_owned()), None, None, None);
    let going_on = (InvocationState::Running, None, Some(progress), Some(START), Some(START));
    assert_eq!(told(tx.list_invocations(&first.id).await.unwrap()), [stopped, going_on]);
    assert_eq!(tx.claim_cancel(&busy, START).await.unwrap(), Some(first.id.clone()));
    assert_eq!((tx.claim_cancel(&busy, START).await.unwrap(), tx.claim_cancel(&idle, START).await.unwrap()), (None, None));
    // The agent ended without a word: it gets the order again, before any other, and the request to stop after it.
    tx.insert_operation(&older, None, &[NewPart::new(busy.clone())]).await.unwrap();
    tx.release_invocations(&busy, START).await.unwrap();
    assert_eq!(tx.claim_invocation(&busy, 3, START).await.unwrap().map(|claimed| claimed.operation_id), Some(first.id.clone()));
    assert_eq!(tx.claim_cancel(&busy, START).await.unwrap(), Some(first.id.clone()));
    tx.finish_invocation(&first.id, &busy, InvocationState::Cancelled, None, START).await.unwrap();
    assert_eq!(tx.claim_invocation(&busy, 4, START).await.unwrap().map(|claimed| claimed.operation_id), Some(older.id));
}

pub async fn a_node_takes_a_part_of_a_rollout_only_when_it_was_released(database: Database) {
    let mut ids = IdSource::seeded(1);
    let nodes: Vec<_> = (0..3).map(|_| NodeId::create(&mut ids, START)).collect();
    let rollout: Rollout = serde_json::from_str(r#"{"rings":[{"name":"first"},{"name":"rest"}],"start":"RAMP"}"#).unwrap();
    let operation = OperationRecord { rollout: Some(rollout), policy: Some("production, version 3".into()), ..operation(&mut ids, 0) };
    let id = &operation.id;
    let parts: Vec<_> = nodes.iter().zip(0..).map(|(node_id, ring)| NewPart { node_id: node_id.clone(), ring, work: Some("{}".into()), left_out: None }).collect();
    let mut tx = database.write().await.unwrap();
    tx.insert_operation(&operation, None, &parts).await.unwrap();
    assert_eq!(tx.find_operation(id).await.unwrap().as_ref(), Some(&operation));
    assert_eq!(tx.list_open_operations().await.unwrap(), std::slice::from_ref(&operation));
    assert_eq!(tx.claim_invocation(&nodes[0], 1, START).await.unwrap(), None);
    tx.release_parts(id, &[nodes[0].as_str(), nodes[1].as_str()], START).await.unwrap();
    let mut released = tx.list_nodes_with_invocations(InvocationState::Pending).await.unwrap();
    released.sort_unstable();
    assert_eq!(released, [nodes[0].to_string(), nodes[1].to_string()]);
    assert!(tx.claim_invocation(&nodes[0], 1, START).await.unwrap().is_some());
    let mut at_work = tx.list_nodes_at_work().await.unwrap();
    at_work.sort_unstable();
    assert_eq!(at_work, released, "one has taken its part, one may");
    let (other, this) = (OperationId::create(&mut ids, START), id);
    assert_eq!((tx.list_busy_nodes(&other).await.unwrap().len(), tx.list_busy_nodes(this).await.unwrap().len()), (1, 0));
    // What was taken is not taken back; what was not taken three times is left out.
    for _ in 0..3 {
        tx.release_parts(id, &[nodes[1].as_str()], START).await.unwrap();
        tx.take_back_parts(id, &[nodes[0].as_str(), nodes[1].as_str()], START).await.unwrap();
    }
    tx.release_parts(id, &[nodes[2].as_str()], START).await.unwrap();
    tx.hold_parts(id).await.unwrap();
    let parts: Vec<_> = tx.list_invocations(id).await.unwrap().into_iter().map(|part| (part.ring, part.state.code(), part.released_at)).collect();
    assert_eq!(parts, [(0, "RUNNING", Some(START)), (1, "CANCELLED", None), (2, "PENDING", None)]);
    tx.cancel_parts(id, &[nodes[0].as_str(), nodes[2].as_str()], START).await.unwrap();
    let asked: Vec<_> = tx.list_invocations(id).await.unwrap().into_iter().map(|part| part.cancel_requested_at).collect();
    assert_eq!(asked, [Some(START), None, None]);
}

pub async fn a_course_is_written_by_one_of_those_who_read_it(database: Database) {
    let mut ids = IdSource::seeded(1);
    let operation = OperationRecord { rollout: Some(Rollout::default()), ..operation(&mut ids, 0) };
    let mut tx = database.write().await.unwrap();
    tx.insert_operation(&operation, None, &[]).await.unwrap();
    tx.commit().await.unwrap();
    let ended = Course { ended_at: Some(START), ..Course::default() };
    let save = |database: Database, id: OperationId, course: Course| async move {
        let mut tx = database.write().await.unwrap();
        let saved = tx.save_course(&id, 0, &course).await.unwrap();
        tx.commit().await.unwrap();
        saved
    };
    let saving: Vec<_> = (0..4).map(|_| tokio::spawn(save(database.clone(), operation.id.clone(), ended.clone()))).collect();
    let mut n_saved = 0;
    for saved in saving {
        n_saved += u32::from(saved.await.unwrap());
    }
    assert_eq!(n_saved, 1);
    let mut tx = database.read().await.unwrap();
    let found = tx.find_operation(&operation.id).await.unwrap().unwrap();
    assert_eq!((found.course, found.course_version), (ended, 1));
    assert_eq!(tx.list_open_operations().await.unwrap(), []);
}

pub async fn documents_keep_their_versions_and_clocks_their_times(database: Database) {
    let version = |name: &str, version: u32, document: Option<&str>| IntentVersion {
        kind: IntentKind::Window,
        name: name.into(),
        version,
        document: document.map(str::to_owned),
        changed_by: "ada".into(),
        changed_at: START,
        reason: "new".into(),
    };
    let mut tx = database.write().await.unwrap();
    for one in [version("night", 1, Some("a")), version("night", 2, Some("b")), version("gone", 1, Some("c")), version("gone", 2, None)] {
        tx.insert_intent_version(&one).await.unwrap();
    }
    assert_eq!(tx.list_intents().await.unwrap(), [version("night", 2, Some("b"))]);
    assert_eq!(tx.list_intent_versions(IntentKind::Window, "gone").await.unwrap(), [version("gone", 2, None), version("gone", 1, Some("c"))]);
    let clock = |next: i64, note: Option<&str>| ClockRecord { name: "install night".into(), next_at: START.plus_millis(next), last_note: note.map(str::to_owned) };
    tx.upsert_clock(&clock(1, None)).await.unwrap();
    tx.upsert_clock(&clock(2, Some("begun"))).await.unwrap();
    assert_eq!(tx.list_clocks().await.unwrap(), [clock(2, Some("begun"))]);
    tx.delete_clock("install night").await.unwrap();
    assert_eq!(tx.list_clocks().await.unwrap(), []);
}

pub async fn a_lease_has_one_holder_and_locks_expire(database: Database) {
    let at = |millis: i64| START.plus_millis(millis);
    let take = |database: Database, holder: String| async move {
        let mut tx = database.write().await.unwrap();
        let taken = tx.take_lease("leader", &holder, START, START.plus_millis(10)).await.unwrap();
        tx.commit().await.unwrap();
        taken.then_some(holder)
    };
    let taking: Vec<_> = (0..4).map(|number| tokio::spawn(take(database.clone(), format!("server-{number}")))).collect();
    let mut holders = Vec::new();
    for taken in taking {
        holders.extend(taken.await.unwrap());
    }
    assert_eq!(holders.len(), 1);
    let mut tx = database.write().await.unwrap();
    assert_eq!(tx.find_lease("leader").await.unwrap(), Some((holders[0].clone(), at(10))));
    assert!(tx.take_lease("leader", &holders[0], at(5), at(15)).await.unwrap(), "its own lasts longer");
    assert!(!tx.take_lease("leader", "another", at(14), at(24)).await.unwrap());
    assert!(tx.take_lease("leader", "another", at(15), at(25)).await.unwrap(), "it expired");
    tx.give_lease_back("leader", "another").await.unwrap();
    assert_eq!(tx.find_lease("leader").await.unwrap(), None);

    let lock = |holder: &str, from: i64, until: i64| RebootLock { holder: holder.into(), taken_at: at(from), expires_at: at(until) };
    tx.begin_reboot_locks().await.unwrap();
    tx.upsert_reboot_lock("etcd", &lock("a", 0, 10)).await.unwrap();
    tx.upsert_reboot_lock("etcd", &lock("a", 5, 15)).await.unwrap();
    assert_eq!(tx.list_reboot_locks().await.unwrap(), [("etcd".to_owned(), lock("a", 0, 15))]);
    tx.upsert_reboot_lock("etcd", &lock("b", 20, 30)).await.unwrap();
    assert_eq!(tx.list_reboot_locks().await.unwrap(), [("etcd".to_owned(), lock("b", 20, 30))]);
    assert!(tx.delete_reboot_lock("etcd", "b").await.unwrap() && !tx.delete_reboot_lock("etcd", "b").await.unwrap());
}

pub async fn the_same_news_go_to_a_channel_once(database: Database) {
    let news = |id: &str, channel: &str| Notification {
        id: id.into(),
        channel: channel.into(),
        event: "HALTED".into(),
        news: "op-1 halted".into(),
        subject: "it halted".into(),
        detail: "two nodes failed".into(),
        created_at: START,
        next_at: Some(START),
        n_attempts: 0,
        sent_at: None,
        failure: None,
    };
    let mut tx = database.write().await.unwrap();
    for one in [news("1", "ops"), news("2", "ops"), news("3", "mail")] {
        tx.insert_notification(&one).await.unwrap();
    }
    assert_eq!(tx.list_due_notifications(START, 10).await.unwrap(), [news("1", "ops"), news("3", "mail")]);
    tx.note_attempt("1", None, Some("no answer"), Some(START.plus_millis(5))).await.unwrap();
    tx.note_attempt("3", Some(START), None, None).await.unwrap();
    assert_eq!(tx.list_due_notifications(START, 10).await.unwrap(), []);
    let tried = tx.list_due_notifications(START.plus_millis(5), 10).await.unwrap();
    assert_eq!((tried.len(), tried[0].n_attempts, tried[0].failure.as_deref()), (1, 1, Some("no answer")));
    assert_eq!(tx.list_notifications(10).await.unwrap()[0].sent_at, Some(START));
    assert_eq!(tx.delete_notifications_before(START.plus_millis(1)).await.unwrap(), 2);
}
