//! Package lists on disk: plain, or compressed as apt keeps them.

use std::io;
use std::path::{Path, PathBuf};

use catalog::unpack::{self, Unpacked};

/// Most bytes that one list may unpack to. Debian's largest has 53 MB.
pub const UNPACKED_BYTES_MAX: u64 = 512 * 1024 * 1024;

const SUFFIXES: [&str; 5] = ["", ".lz4", ".gz", ".xz", ".zst"];
/// One package list that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it has to be unpacked, so that its bytes cannot be read at a place.
    pub compressed: bool,
}

/// The file of a list under any suffix.
pub fn find(folder: &Path, name: &str) -> Option<ListFile> {
    SUFFIXES.iter().find_map(|suffix| {
        let path = folder.join(format!("{name}{suffix}"));
        path.is_file().then_some(ListFile { path, compressed: !suffix.is_empty() })
    })
}

/// Opens a list and unpacks it on the way, up to the limit.
pub fn open(list: &ListFile) -> io::Result<Unpacked> {
    unpack::open(&list.path, UNPACKED_BYTES_MAX)
}
