//! Decisions: pure functions from facts, intent and `now` to answers with reasons.

pub mod assign;
pub mod check_plan;
pub mod check_rollout;
pub mod choose;
pub mod enroll;
pub mod entries;
pub mod judge;
pub mod next_step;
pub mod plan_batch;
pub mod plan_due;
pub mod plan_rollout;
pub mod select;
