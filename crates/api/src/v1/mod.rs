//! Version 1 of the API, one file per resource. Paths begin with `/api/v1`.

pub mod activation;
pub mod baseline;
pub mod document;
pub mod exception;
pub mod feed;
pub mod key;
pub mod node;
pub mod operation;
pub mod organization;
pub mod patch;
pub mod sign_in_link;
pub mod summary;
