//! Vendor formats: bytes in, values and problems out. Knows no network and no database.
//!
//! The metadata of rpm repositories is read on nodes and from feeds alike; `osv` and `archive` are for feeds
//! of whole vendors.

#[cfg(feature = "feeds")]
pub mod archive;
#[cfg(feature = "feeds")]
pub mod feed;
#[cfg(feature = "feeds")]
pub mod osv;
pub mod repomd;
pub mod unpack;
pub mod updateinfo;
pub mod xml;
mod zchunk;
