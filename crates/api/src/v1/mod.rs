//! Version 1 of the API, one file per resource. Paths begin with `/api/v1`.

pub mod baseline;
pub mod node;
pub mod operation;
pub mod patch;
pub mod sign_in_link;
pub mod summary;
