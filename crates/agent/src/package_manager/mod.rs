//! Package managers, one folder or file each.

pub mod apt;
