//! The control plane: HTTP API, console, actions.
//!
//! `http` and `ui` parse a request, call one action and show the answer. `actions` authorise,
//! load, decide, save and record. `reconcilers` are loops that close the gap between what is wanted and what is. Both
//! alone call the store.

pub mod actions;
pub mod app;
mod feeds;
mod fleet;
pub mod http;
pub mod keys;
mod listen;
pub mod reconcilers;
mod ui;

pub use app::App;
pub use listen::serve;
