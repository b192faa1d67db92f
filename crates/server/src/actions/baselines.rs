//! Baselines: for the present the predefined ones, which nobody can edit.

use domain::model::baseline::{self, NamedBaseline};

use crate::actions::{ActionError, Caller};

/// Every baseline.
pub fn list(_caller: &Caller) -> Vec<NamedBaseline> {
    baseline::predefined()
}

/// One baseline.
pub fn find(_caller: &Caller, id: &str) -> Result<NamedBaseline, ActionError> {
    let found = baseline::predefined().into_iter().find(|named| named.id.as_str() == id);
    found.ok_or_else(|| ActionError::not_found("baseline", id))
}
