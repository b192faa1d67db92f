//! Freezes: periods of the calendar in which nothing changes. Each has an owner, a reason and an end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::intent::check_text;
use crate::model::selector::Selector;
use crate::model::time::Timestamp;

/// The version of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FreezeSchema {
    /// The first.
    #[serde(rename = "freeze/v1")]
    V1,
}

/// A period in which nothing changes on some nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// `freeze/v1`.
    pub schema: FreezeSchema,
    /// Its name.
    pub name: String,
    /// For which nodes.
    pub targets: Selector,
    /// Its start.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// Whose decision it is.
    pub owner: String,
    /// Why.
    pub reason: String,
}

impl Freeze {
    /// Whether it holds.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }

    /// What is not possible in it, a sentence each.
    pub fn check(&self, wrong: &mut Vec<String>) {
        self.targets.check("targets", wrong);
        check_text("owner", &self.owner, 1, wrong);
        check_text("reason", &self.reason, 1, wrong);
        if self.until <= self.from {
            wrong.push("until is not after from".to_owned());
        }
    }
}
