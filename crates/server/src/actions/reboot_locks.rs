//! Locks of reboot groups, for clients of `FleetLock`.

use domain::model::digest::Digest;
use domain::model::intent::{Intent, IntentKind};
use domain::model::reboot_group::{RebootGroup, RebootLock, may_lock};
use store::AuditEntry;

use crate::App;
use crate::actions::ActionError;

/// Longest name of a holder.
const HOLDER_LENGTH_MAX: usize = 255;

/// What became of a request for a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locked {
    /// The holder may go down.
    Yes,
    /// It may not yet: others hold all locks.
    Held {
        /// They.
        by: Vec<String>,
    },
}

/// A group whose clients show this secret; another secret and no such group are not told apart.
fn find_group(app: &App, name: &str, secret: &str) -> Result<RebootGroup, ActionError> {
    let group = match app.fleet().read().intents.find(IntentKind::RebootGroup, name).map(|named| &named.intent) {
        Some(Intent::RebootGroup(group)) => Some(group.clone()),
        _ => None,
    };
    let is_known = |group: &RebootGroup| {
        let known = group.clients_secret.as_ref().and_then(|name| std::fs::read_to_string(app.secrets().join(name)).ok());
        // Digests take the same time to compare, whatever they are of.
        known.is_some_and(|known| !known.trim().is_empty() && Digest::of(known.trim().as_bytes()) == Digest::of(secret.as_bytes()))
    };
    group.filter(is_known).ok_or_else(|| ActionError::not_found("reboot-group", name))
}

fn check_holder(holder: &str) -> Result<(), ActionError> {
    let is_plain = (1..=HOLDER_LENGTH_MAX).contains(&holder.len()) && !holder.contains(char::is_control);
    if is_plain { Ok(()) } else { Err(ActionError::invalid("id", format!("an id has 1 to {HOLDER_LENGTH_MAX} plain bytes"))) }
}

/// Gives a holder a lock, if one is free. A holder that has one gets it again.
pub async fn lock(app: &App, secret: &str, group: &str, holder: &str) -> Result<Locked, ActionError> {
    check_holder(holder)?;
    let group = find_group(app, group, secret)?;
    let now = app.now();
    // A rollout that looks at the locks meanwhile would let more nodes go down.
    let _alone = app.rollouts().look().await;
    let mut tx = app.database().write().await?;
    tx.begin_reboot_locks().await?;
    let held: Vec<_> = tx.list_reboot_locks().await?.into_iter().filter(|(name, lock)| *name == group.name && lock.expires_at > now).map(|(_, lock)| lock).collect();
    let at_work = members(app, &group, &tx.list_nodes_at_work().await?);
    if !may_lock(&group, &held, at_work.len(), holder, now) {
        return Ok(Locked::Held { by: held.into_iter().map(|lock| lock.holder).chain(at_work).collect() });
    }
    let lock = RebootLock { holder: holder.to_owned(), taken_at: now, expires_at: now.plus_millis(i64::from(group.lock_minutes) * 60_000) };
    tx.upsert_reboot_lock(&group.name, &lock).await?;
    let detail = format!("{holder}, until {}", lock.expires_at);
    tx.append_audit(&AuditEntry { at: now, actor: "fleetlock".to_owned(), action: "reboot_lock.take".to_owned(), subject: group.name, detail }).await?;
    tx.commit().await?;
    Ok(Locked::Yes)
}

/// The names of those nodes that are members of a group.
fn members(app: &App, group: &RebootGroup, ids: &[String]) -> Vec<String> {
    let state = app.fleet().read();
    let nodes = ids.iter().filter_map(|id| state.find(&id.parse().ok()?));
    nodes.filter(|node| group.members.selects(&state.placed(node))).map(|node| format!("{}, which is being patched", node.name)).collect()
}

/// Takes a holder's lock back; one that has none loses nothing.
pub async fn unlock(app: &App, secret: &str, group: &str, holder: &str) -> Result<(), ActionError> {
    check_holder(holder)?;
    let group = find_group(app, group, secret)?;
    let now = app.now();
    let mut tx = app.database().write().await?;
    if tx.delete_reboot_lock(&group.name, holder).await? {
        tx.append_audit(&AuditEntry { at: now, actor: "fleetlock".to_owned(), action: "reboot_lock.give_back".to_owned(), subject: group.name, detail: holder.to_owned() }).await?;
        tx.commit().await?;
    }
    Ok(())
}
