//! Activations: codes that let nodes enroll.

use api::v1::activation::CreateActivation;
use domain::model::activation::{Activation, LIFE_DAYS_MAX, NODE_LIMIT_MAX};
use domain::model::digest::Digest;
use domain::model::id::ActivationId;
use domain::model::node::check_tags;
use domain::model::organization;
use domain::model::time::DAY_MS;
use store::AuditEntry;

use crate::App;
use crate::actions::organization::{find_account, find_region};
use crate::actions::{ActionError, Caller};

const DESCRIPTION_LENGTH_MAX: usize = 200;
/// Half a day's work: whoever makes a code uses it soon.
const LIFE_DAYS_DEFAULT: u32 = 1;

/// Every activation, newest first.
pub async fn list(app: &App, _caller: &Caller) -> Result<Vec<Activation>, ActionError> {
    Ok(app.database().read().await?.list_activations().await?)
}

/// Makes an activation; its code is nowhere but in the answer.
pub async fn create(app: &App, caller: &Caller, body: &CreateActivation) -> Result<(Activation, String), ActionError> {
    let now = app.now();
    let node_limit = body.node_limit.unwrap_or(1);
    if !(1..=NODE_LIMIT_MAX).contains(&node_limit) {
        return Err(ActionError::invalid("node_limit", format!("{node_limit} nodes are not from 1 to {NODE_LIMIT_MAX}")));
    }
    let days = body.expires_days.unwrap_or(LIFE_DAYS_DEFAULT);
    if !(1..=LIFE_DAYS_MAX).contains(&days) {
        return Err(ActionError::invalid("expires_days", format!("{days} days are not from 1 to {LIFE_DAYS_MAX}")));
    }
    if body.description.len() > DESCRIPTION_LENGTH_MAX || body.description.contains(char::is_control) {
        return Err(ActionError::invalid("description", format!("the description must be plain and have at most {DESCRIPTION_LENGTH_MAX} bytes")));
    }
    check_tags(&body.tags).map_err(|error| ActionError::invalid("tags", error.to_string()))?;
    let given = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    let (account_id, region_id) = {
        let state = app.fleet().read();
        (find_account(&state.organization, given(&body.account).as_deref())?, find_region(&state.organization, given(&body.region).as_deref())?)
    };
    let activation = Activation {
        id: app.create_id(|ids| ActivationId::create(ids, now)),
        description: body.description.clone(),
        account_id: account_id.unwrap_or_else(organization::default_account),
        region_id: region_id.unwrap_or_else(organization::default_region),
        tags: body.tags.clone(),
        node_limit,
        n_enrolled: 0,
        created_by: caller.actor.clone(),
        created_at: now,
        expires_at: now.plus_millis(i64::from(days) * DAY_MS),
        revoked_at: None,
    };
    let secret = app.create_secret()[..SECRET_DIGITS].to_owned();
    let mut tx = app.database().write().await?;
    tx.insert_activation(&activation, &Digest::of(secret.as_bytes())).await?;
    let detail = format!("{node_limit} nodes, {days} days");
    tx.append_audit(&AuditEntry { at: now, actor: caller.actor.clone(), action: "activation.create".to_owned(), subject: activation.id.to_string(), detail }).await?;
    tx.commit().await?;
    Ok((activation, format!("{secret}.{}", app.keys().authority_fingerprint())))
}

/// 128 bits.
const SECRET_DIGITS: usize = 32;

/// Ends an activation. Nodes that came with it stay.
pub async fn revoke(app: &App, caller: &Caller, id: &str) -> Result<(), ActionError> {
    let not_found = || ActionError::not_found("activation", id);
    let activation_id: ActivationId = id.parse().map_err(|_| not_found())?;
    let now = app.now();
    let mut tx = app.database().write().await?;
    tx.find_activation(&activation_id).await?.ok_or_else(not_found)?;
    if tx.revoke_activation(&activation_id, now).await? {
        tx.append_audit(&AuditEntry { at: now, actor: caller.actor.clone(), action: "activation.revoke".to_owned(), subject: id.to_owned(), detail: String::new() }).await?;
        tx.commit().await?;
    }
    Ok(())
}
