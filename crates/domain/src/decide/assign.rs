//! Which baseline judges a node, and through what: the policy that acts on it, else its patch group, else the default of
//! its system.
//!
//! As in AWS Systems Manager, a node belongs to a patch group by a tag, and a group has at most one baseline for
//! each operating system.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::baseline::predefined_id;
use crate::model::id::BaselineId;
use crate::model::platform::OperatingSystem;

/// The keys of the tag that names a node's patch group.
pub const PATCH_GROUP_TAGS: [&str; 2] = ["PatchGroup", "Patch Group"];
/// Longest name of a patch group.
pub const PATCH_GROUP_LENGTH_MAX: usize = 256;

/// Which baselines were chosen, where not the predefined ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignments {
    /// The default of each operating system.
    pub defaults: BTreeMap<OperatingSystem, BaselineId>,
    /// Those of patch groups.
    pub groups: BTreeMap<(OperatingSystem, String), BaselineId>,
}

/// The document that says whom baselines judge. It says all of it: what it does not name goes back to the
/// default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignmentsDocument {
    /// `assignments/v1`.
    pub schema: AssignmentsSchema,
    /// The name of the default baseline of each operating system, where that is not the predefined one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub defaults: BTreeMap<OperatingSystem, String>,
    /// The baselines of patch groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patch_groups: Vec<GroupAssignment>,
}

impl AssignmentsDocument {
    /// The document as people write it.
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).expect("assignments have text keys only")
    }
}

/// The JSON schema of the document.
pub fn schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(AssignmentsDocument)).expect("a schema is plain JSON")
}

/// The version of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AssignmentsSchema {
    /// The first.
    #[serde(rename = "assignments/v1")]
    V1,
}

/// The baseline of a patch group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupAssignment {
    /// The group: the value of the tag `PatchGroup`.
    pub name: String,
    /// Of which operating system's nodes.
    pub operating_system: OperatingSystem,
    /// The name of the baseline.
    pub baseline: String,
}

/// What comes before the name of a policy where it stands for a patch group: no tag can begin with it.
const POLICY_MARK: char = '\u{1}';

/// The group of the nodes that a policy chooses the baselines of; patch groups do not count for them, as in AWS.
pub fn policy_group(policy: &str) -> String {
    format!("{POLICY_MARK}{policy}")
}

/// The policy that a group stands for.
pub fn policy_of(group: &str) -> Option<&str> {
    group.strip_prefix(POLICY_MARK)
}

/// A group, as part of a sentence.
pub fn group_words(group: &str) -> String {
    match policy_of(group) {
        Some(policy) => format!("the policy `{policy}`"),
        None => format!("the patch group `{group}`"),
    }
}

/// Through what a baseline applies to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Through {
    /// The policy that acts on it.
    Policy(String),
    /// Its patch group.
    PatchGroup(String),
    /// Somebody made it the default of the operating system.
    Default,
    /// Nobody chose another default.
    Predefined,
}

impl Through {
    /// As part of a sentence.
    pub fn words(&self) -> String {
        match self {
            Self::Policy(policy) => format!("the policy `{policy}`"),
            Self::PatchGroup(group) => format!("the patch group `{group}`"),
            Self::Default => "the default of its operating system".to_owned(),
            Self::Predefined => "the predefined default of its operating system".to_owned(),
        }
    }
}

impl Assignments {
    /// The baseline of a node with this system and patch group.
    pub fn assign(&self, system: OperatingSystem, group: Option<&str>) -> (BaselineId, Through) {
        let of_group = group.and_then(|group| {
            let through = policy_of(group).map_or_else(|| Through::PatchGroup(group.to_owned()), |policy| Through::Policy(policy.to_owned()));
            Some((self.groups.get(&(system, group.to_owned()))?, through))
        });
        let of_system = || self.defaults.get(&system).map(|id| (id, Through::Default));
        of_group.or_else(of_system).map_or_else(|| (predefined_id(system), Through::Predefined), |(id, through)| (id.clone(), through))
    }

    /// Everything that a baseline was chosen for, in words; it cannot be deleted before.
    pub fn uses(&self, id: &BaselineId) -> Vec<String> {
        let defaults = self.defaults.iter().filter(|(_, chosen)| *chosen == id).map(|(system, _)| format!("the default of {}", system.name()));
        let groups = self.groups.iter().filter(|(_, chosen)| *chosen == id).map(|((system, group), _)| format!("{} of {}", group_words(group), system.name()));
        defaults.chain(groups).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Assignments, Through};
    use crate::model::baseline::predefined_id;
    use crate::model::id::BaselineId;
    use crate::model::platform::OperatingSystem::{Debian, Ubuntu};

    #[test]
    fn a_group_comes_before_the_default_and_that_before_the_predefined() {
        let [chosen, other]: [BaselineId; 2] = ["pb-00000000000000aaa", "pb-00000000000000bbb"].map(|id| id.parse().unwrap());
        let assignments = Assignments { defaults: [(Debian, chosen.clone())].into(), groups: [((Debian, "web".to_owned()), other.clone())].into() };
        assert_eq!(assignments.assign(Debian, Some("web")), (other.clone(), Through::PatchGroup("web".to_owned())));
        assert_eq!(assignments.assign(Debian, Some("db")), (chosen.clone(), Through::Default));
        assert_eq!(assignments.assign(Debian, None), (chosen.clone(), Through::Default));
        assert_eq!(assignments.assign(Ubuntu, Some("web")), (predefined_id(Ubuntu), Through::Predefined));
        assert_eq!(assignments.uses(&other), ["the patch group `web` of Debian"]);
        assert_eq!(assignments.uses(&chosen), ["the default of Debian"]);
    }
}
