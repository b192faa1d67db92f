//! Decisions: pure functions from facts, intent and `now` to answers with reasons.

pub mod assign;
pub mod check_plan;
pub mod enroll;
pub mod entries;
pub mod judge;
pub mod select;
