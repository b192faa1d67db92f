//! Package managers, one folder or file each.

pub mod apt;
pub mod rpm;
mod unpack;
