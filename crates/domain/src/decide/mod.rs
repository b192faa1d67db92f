//! Decisions: pure functions from facts, intent and `now` to answers with reasons.

pub mod assign;
pub mod check_plan;
pub mod choose;
pub mod enroll;
pub mod entries;
pub mod judge;
pub mod next_step;
pub mod plan_batch;
pub mod select;
