//! Taking in what a node reports.

use std::collections::HashMap;

use domain::model::id::NodeId;
use domain::model::inventory::Inventory;
use domain::model::section::{self, PackageFacts, Section};
use store::AuditEntry;
use store::nodes::NodeRecord;

use crate::App;
use crate::actions::ActionError;
use crate::fleet::{IncomingContent, IncomingReport, Node, Outcome, PackageFactsRow};

/// Records the inventory of the machine that runs the server: it needs no activation, because
/// whoever runs the server owns it. It can only be scanned.
pub async fn record_own(app: &App, inventory: &Inventory) -> Result<NodeId, ActionError> {
    let (number, id) = find_or_enroll(app, inventory).await?;
    let (heading, sections) = section::write(inventory);
    let contents = Section::ALL.into_iter().map(|section| (sections[section].digest(), IncomingContent::Whole(sections[section].text().to_owned())));
    let facts = PackageFacts::of_all(inventory).into_iter().map(|(package, facts)| PackageFactsRow { package, facts });
    let report = IncomingReport { node_number: number, heading, boot: None, digests: sections.digests(), contents: contents.collect::<HashMap<_, _>>(), facts: facts.collect() };
    match app.fleet().record(app.database(), report).await? {
        Outcome::Recorded => Ok(id),
        Outcome::Lacking(lacking) => Err(ActionError::invalid("report", format!("the report lacks {} contents", lacking.contents.len()))),
    }
}

async fn find_or_enroll(app: &App, inventory: &Inventory) -> Result<(u32, NodeId), ActionError> {
    let now = app.now();
    let _change = app.fleet().begin_change().await;
    let (known, number) = {
        let state = app.fleet().read();
        let same = |node: &&Node| node.record.identity.is_none() && node.record.retired_at.is_none();
        let known = state.find_machine("", inventory.machine.as_deref()).find(same).map(|node| (node.record.number, node.record.id.clone()));
        (known, state.next_number())
    };
    if let Some(known) = known {
        return Ok(known);
    }
    let record = NodeRecord { machine: inventory.machine.clone(), ..NodeRecord::new(number, app.create_id(|ids| NodeId::create(ids, now)), now) };
    let node = Node::new(record, inventory.name.clone());
    let mut tx = app.database().write().await?;
    tx.upsert_node(&node.record).await?;
    tx.upsert_node_states(&[node.state()]).await?;
    let entry = AuditEntry { at: now, actor: "system".to_owned(), action: "node.enroll".to_owned(), subject: node.record.id.to_string(), detail: node.name.clone() };
    tx.append_audit(&entry).await?;
    tx.commit().await?;
    let id = node.record.id.clone();
    app.fleet().write().insert(node);
    Ok((number, id))
}
