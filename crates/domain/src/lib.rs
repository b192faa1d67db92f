//! Nouns and decisions of Fettle.
//!
//! `model` holds what things are, `decide` what follows from them. Nothing here reads a clock,
//! a file or a network: facts and `now` come in as values, and every answer carries its reasons.

pub mod decide;
pub mod fleet;
pub mod model;
