//! A feed as a file: its entries, one after the other, in whatever format it is written.

use std::io;
use std::path::Path;

use domain::model::catalog::{Entry, Fix};
use domain::model::feed::FeedFormat;
use domain::model::time::Timestamp;

use crate::osv::{self, Parsed};
use crate::repomd::Metadata;
use crate::unpack;
use crate::{archive, updateinfo};

/// Most bytes that a file of advisories may unpack to.
const UNPACKED_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// What comes next in a feed.
pub enum Item {
    /// An entry that is new, or has changed.
    Entry(Box<Entry>),
    /// An entry that has not changed.
    Unchanged(String),
    /// An entry that concerns no product.
    PassedOver,
    /// An entry that does not read: what is wrong with it.
    Malformed(String),
}

/// Why a feed cannot be read on.
#[derive(Debug)]
pub enum ReadError {
    /// The file is broken, cut or foreign.
    File(io::Error),
    /// Nobody wants to hear more.
    Stopped,
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// Walks a feed. `path` is a file, and of a repository the folder with its `repomd.xml`; `known` says when an
/// entry last changed; `visit` gets each item, and ends the walk when it returns false.
pub fn read(format: FeedFormat, product: Option<&str>, path: &Path, known: impl Fn(&str) -> Option<Timestamp>, mut visit: impl FnMut(Item) -> bool) -> Result<(), ReadError> {
    let mut visit = |item| if visit(item) { Ok(()) } else { Err(ReadError::Stopped) };
    let product = product.unwrap_or_default();
    match format {
        FeedFormat::Osv => archive::read(path, |name, bytes| visit(read_osv(name, bytes, &known))),
        FeedFormat::Updateinfo => read_updateinfo(unpack::open_by_content(path, UNPACKED_BYTES_MAX)?, product, &known, visit),
        FeedFormat::Repository => {
            let input = Metadata::open(path)?.read("updateinfo")?;
            let input = input.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the repository has no advisories (no updateinfo in its repomd.xml)"))?;
            read_updateinfo(input, product, &known, visit)
        }
    }
}

fn read_osv(name: &str, bytes: &[u8], known: impl Fn(&str) -> Option<Timestamp>) -> Item {
    match osv::parse_heading(bytes) {
        Some((id, modified_at)) if known(&id) == Some(modified_at) => return Item::Unchanged(id),
        _ => {}
    }
    match osv::parse(bytes) {
        Ok(Parsed::Entry(entry)) => Item::Entry(entry),
        Ok(Parsed::PassedOver) => Item::PassedOver,
        Err(problem) => Item::Malformed(format!("{name}: {problem}")),
    }
}

fn read_updateinfo(input: impl io::Read, product: &str, known: impl Fn(&str) -> Option<Timestamp>, mut visit: impl FnMut(Item) -> Result<(), ReadError>) -> Result<(), ReadError> {
    let mut stopped = None;
    updateinfo::read(input, |advisory, packages| {
        if stopped.is_some() {
            return;
        }
        let item = match (advisory.ids.first(), advisory.released_at) {
            (None, _) => Item::Malformed("an advisory has no id".to_owned()),
            (Some(id), None) => Item::Malformed(format!("{id}: it has no date")),
            (Some(id), Some(at)) if known(id) == Some(at) => Item::Unchanged(id.clone()),
            (Some(id), Some(modified_at)) => {
                let fix =
                    |package: &updateinfo::AdvisedPackage| Fix { product: product.to_owned(), package: package.name.clone(), version: package.version.clone(), introduced: None };
                let mut fixes: Vec<_> = packages.iter().map(fix).collect();
                fixes.sort_unstable();
                fixes.dedup();
                Item::Entry(Box::new(Entry {
                    id: id.clone(),
                    classification: Some(advisory.classification),
                    severity: advisory.severity,
                    cves: advisory.cves.clone(),
                    bugs: advisory.bugs.clone(),
                    published_at: Some(modified_at),
                    modified_at,
                    withdrawn_at: None,
                    suggestion: advisory.suggestion,
                    fixes,
                }))
            }
        };
        stopped = visit(item).err();
    })?;
    stopped.map_or(Ok(()), Err)
}
