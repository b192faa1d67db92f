//! Rotating the installation's keys.

use api::v1::key::KeyKind;
use domain::model::id::{NodeId, OperationId};
use domain::model::rollout::Course;
use store::AuditEntry;
use store::operations::{NewPart, OperationRecord, request_digest};

use crate::App;
use crate::actions::{ActionError, Caller};

/// Makes a new key, and tells every node to trust it: the name of the key, and how many nodes.
pub async fn rotate(app: &App, caller: &Caller, kind: KeyKind) -> Result<(String, usize), ActionError> {
    let now = app.now();
    let key = match kind {
        KeyKind::Orders => app.keys().rotate_order_key(),
        KeyKind::Authority => app.keys().rotate_authority(app.given_certificate(), app.names(), now),
    };
    let key = key.map_err(|error| {
        tracing::error!(error = %crate::http::chain(&error), "a key could not be rotated");
        ActionError::Key(error)
    })?;
    let nodes: Vec<(NodeId, u32)> = {
        let state = app.fleet().read();
        let has_agent = |node: &&crate::fleet::Node| node.record.retired_at.is_none() && node.record.certificate.is_some();
        state.nodes.iter().filter(has_agent).map(|node| (node.record.id.clone(), node.record.number)).collect()
    };
    let ids: Vec<_> = nodes.iter().map(|(id, _)| id.clone()).collect();
    let operation = OperationRecord {
        id: app.create_id(|ids| OperationId::create(ids, now)),
        kind: "trust".to_owned(),
        requested_by: caller.actor.clone(),
        requested_at: now,
        rollout: None,
        course: Course::default(),
        course_version: 0,
        policy: None,
        request_digest: request_digest("trust", &ids).to_string(),
    };
    let mut tx = app.database().write().await?;
    let parts: Vec<_> = ids.iter().cloned().map(NewPart::new).collect();
    tx.insert_operation(&operation, None, &parts).await?;
    tx.append_audit(&AuditEntry { at: now, actor: caller.actor.clone(), action: "key.rotate".to_owned(), subject: format!("{kind:?}").to_lowercase(), detail: key.clone() })
        .await?;
    tx.commit().await?;
    for (_, number) in &nodes {
        app.fleet().wake(*number);
    }
    Ok((key, nodes.len()))
}
