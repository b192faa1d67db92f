//! Reboot groups: nodes of which only so many may be down at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::intent::is_secret_name;
use crate::model::selector::Selector;
use crate::model::time::Timestamp;

/// The version of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RebootGroupSchema {
    /// The first.
    #[serde(rename = "reboot-group/v1")]
    V1,
}

/// Nodes of which only so many may be down at once. Clients of `FleetLock` use it by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RebootGroup {
    /// `reboot-group/v1`.
    pub schema: RebootGroupSchema,
    /// Its name.
    pub name: String,
    /// Its nodes; nobody when only clients of `FleetLock` use it.
    #[serde(default)]
    pub members: Selector,
    /// How many may be at work, down, or failed at once.
    pub max_down: u32,
    /// How long a lock is held when nobody gives it back.
    #[serde(default = "usual_minutes")]
    pub lock_minutes: u32,
    /// The name of the secret, `secrets/NAME` in the server's data folder, that clients of `FleetLock` show in their address;
    /// none may ask when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients_secret: Option<String>,
}

fn usual_minutes() -> u32 {
    60
}

/// Longest lock: a week.
const LOCK_MINUTES_MAX: u32 = 7 * 24 * 60;

impl RebootGroup {
    /// What is not possible in it, a sentence each.
    pub fn check(&self, wrong: &mut Vec<String>) {
        if self.members != Selector::default() {
            self.members.check("members", wrong);
        }
        if self.clients_secret.as_ref().is_some_and(|name| !is_secret_name(name)) {
            wrong.push("clients_secret is the name of a file in `secrets`: 1 to 64 letters, digits, `-` and `_`".to_owned());
        }
        if self.max_down == 0 {
            wrong.push("max_down 0 would let no node boot".to_owned());
        }
        if !(1..=LOCK_MINUTES_MAX).contains(&self.lock_minutes) {
            wrong.push(format!("lock_minutes {} is not from 1 to {LOCK_MINUTES_MAX}", self.lock_minutes));
        }
    }
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebootLock {
    /// The holder, as it names itself.
    pub holder: String,
    /// Since when.
    pub taken_at: Timestamp,
    /// Until when, if it is not given back.
    pub expires_at: Timestamp,
}

/// Whether a holder may have a lock of a group, given those that are held and how many members are at work otherwise. One that
/// has it gets it again.
pub fn may_lock(group: &RebootGroup, held: &[RebootLock], n_at_work: usize, holder: &str, now: Timestamp) -> bool {
    let held = held.iter().filter(|lock| lock.expires_at > now);
    held.clone().any(|lock| lock.holder == holder) || held.count() + n_at_work < group.max_down as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_hold_it_and_what_expired_counts_no_more() {
        let group: RebootGroup = serde_saphyr::from_str("{schema: reboot-group/v1, name: etcd, max_down: 1}").unwrap();
        let at = Timestamp::from_millis;
        let lock = |holder: &str, until: i64| RebootLock { holder: holder.to_owned(), taken_at: at(0), expires_at: at(until) };
        assert!(may_lock(&group, &[], 0, "a", at(5)));
        assert!(may_lock(&group, &[lock("a", 10)], 1, "a", at(5)), "its own");
        assert!(!may_lock(&group, &[lock("a", 10)], 0, "b", at(5)));
        assert!(may_lock(&group, &[lock("a", 10)], 0, "b", at(10)), "a node that died holding it");
        assert!(!may_lock(&group, &[lock("a", 10)], 1, "b", at(10)), "a member is patched");
    }
}
