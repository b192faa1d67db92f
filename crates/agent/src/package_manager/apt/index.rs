//! An index over the package lists: where in them each package stands.
//!
//! apt rebuilds a cache of everything in the lists after each refresh. A scan needs a few hundred
//! of their sixty thousand stanzas, so the index holds 16 bytes for each (hash of the name, list,
//! place, length) and the stanzas are read from the lists themselves. Compressed lists cannot be
//! read at a place; for those the index carries the few fields that decisions need.
//!
//! What a scan looked up is kept too, in a second file of the same form: an index narrowed to the
//! names that are installed, which holds those stanzas itself. It serves until a list changes or
//! a package comes or goes.
//!
//! Both files are caches and are never trusted: they are used only when their checksum holds and
//! the lists have the sizes and times (of the publisher and of the disk) that they were made from, and each stanza is checked to
//! begin with the name that was looked for. Anything else builds them anew.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::lists::{self, ListFile};
use super::stanza::{self, StanzaReader};
use super::status::is_package_name;
use crate::package_manager::cache;

const MAGIC: &[u8; 16] = b"fettle apt ix 3\n";
const CHECKSUM_BYTES: usize = 32;
const ENTRY_BYTES: usize = 16;
/// Set in an entry's list number when the index holds the stanza itself.
const INLINE: u32 = 1 << 31;

/// What an index is about: every package, or the names with this digest.
pub type Subject = [u8; 32];
/// Every package of the lists.
pub const EVERYTHING: Subject = [0; 32];

/// Fields kept of the stanzas of compressed lists.
const KEPT_FIELDS: [&[u8]; 7] = [b"Package", b"Version", b"Architecture", b"Source", b"Section", b"Priority", b"Phased-Update-Percentage"];

/// What was found while reading one list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListSummary {
    stamp: Stamp,
    /// How many bytes the list has once unpacked.
    pub n_bytes: u64,
    /// Stanzas without a valid name.
    pub n_malformed: u32,
    /// Stanzas longer than the limit.
    pub n_oversized: u32,
    /// Why reading ended early.
    pub error: Option<String>,
}

/// What tells one state of a file from another: its size, the time its publisher gave it, and the
/// time of its last change on this disk, which no program can set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified_ns: i64,
    changed_ns: i64,
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Ok(Self { size: metadata.len(), modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()), changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()) })
    }
}

/// An index in memory.
#[derive(Debug)]
pub struct Index {
    subject: Subject,
    /// What was found in each list, in the order they were given.
    pub lists: Vec<ListSummary>,
    bytes: Vec<u8>,
    entries_at: usize,
    n_entries: usize,
    inline_at: usize,
}

/// The index does not fit the lists; it has to be built anew.
#[derive(Debug)]
pub struct Damaged;

/// Where one stanza is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    hash: u32,
    list: u32,
    offset: u32,
    length: u32,
}

impl Index {
    /// Takes the index at `path` when it fits the lists and the subject.
    pub fn open(path: &Path, lists: &[ListFile], subject: &Subject) -> Option<Self> {
        let index = Self::decode(fs::read(path).ok()?)?;
        let fits = index.subject == *subject
            && index.lists.len() == lists.len()
            && index.lists.iter().zip(lists).all(|(summary, list)| Stamp::of(&list.path).is_ok_and(|stamp| stamp == summary.stamp));
        fits.then_some(index)
    }

    /// Reads every list.
    pub fn build(lists: &[ListFile]) -> Self {
        let mut summaries = Vec::new();
        let mut entries = Vec::new();
        let mut inline = Vec::new();
        for (at, list) in lists.iter().enumerate() {
            let mut summary = ListSummary::default();
            let number = u32::try_from(at).expect("nobody has four billion lists");
            if let Err(error) = read_list(list, number, &mut summary, &mut entries, &mut inline) {
                summary.error = Some(error.to_string());
            }
            summaries.push(summary);
        }
        Self::from_parts(&EVERYTHING, &summaries, entries, &inline)
    }

    /// The part of it that is about these names, with their stanzas inside. A name may come twice,
    /// as it does for a package of two architectures.
    pub fn narrow<'n>(&self, subject: &Subject, names: impl IntoIterator<Item = &'n str>, reader: &mut ListReader) -> Result<Self, Damaged> {
        let mut entries = Vec::new();
        let mut inline = Vec::new();
        let names: BTreeSet<&str> = names.into_iter().collect();
        for name in names {
            self.visit(name, reader, |list, stanza| {
                let start = inline.len();
                keep_fields(stanza, &mut inline);
                let number = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
                entries.push(Entry { hash: hash(name.as_bytes()), list: number(list) | INLINE, offset: number(start), length: number(inline.len() - start) });
            })?;
        }
        Ok(Self::from_parts(subject, &self.lists, entries, &inline))
    }

    fn from_parts(subject: &Subject, summaries: &[ListSummary], mut entries: Vec<Entry>, inline: &[u8]) -> Self {
        entries.sort_unstable();
        Self::decode(encode(subject, summaries, &entries, inline)).expect("what was just encoded decodes")
    }

    /// Writes the index beside its place and moves it there, so that a reader sees all or nothing.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        cache::save(path, &self.bytes)
    }

    /// How many stanzas it knows.
    pub fn n_stanzas(&self) -> usize {
        self.n_entries
    }

    /// Calls `visit` with every stanza of a package and the number of its list.
    pub fn visit(&self, name: &str, reader: &mut ListReader, mut visit: impl FnMut(usize, &[u8])) -> Result<(), Damaged> {
        let hash = hash(name.as_bytes());
        let mut at = self.first_entry_of(hash);
        while let Some(entry) = self.entry(at).filter(|entry| entry.hash == hash) {
            let list = (entry.list & !INLINE) as usize;
            let stanza = if entry.list & INLINE != 0 {
                let start = self.inline_at + entry.offset as usize;
                self.bytes.get(start..start + entry.length as usize).ok_or(Damaged)?
            } else {
                reader.read(list, entry.offset, entry.length)?
            };
            let found = name_of(stanza).ok_or(Damaged)?;
            if self::hash(found.as_bytes()) != hash {
                return Err(Damaged);
            }
            if found == name {
                visit(list, stanza);
            }
            at += 1;
        }
        Ok(())
    }

    fn first_entry_of(&self, hash: u32) -> usize {
        let (mut low, mut high) = (0, self.n_entries);
        while low < high {
            let middle = low.midpoint(high);
            if self.entry(middle).is_some_and(|entry| entry.hash < hash) { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn entry(&self, at: usize) -> Option<Entry> {
        if at >= self.n_entries {
            return None;
        }
        let start = self.entries_at + at * ENTRY_BYTES;
        let word = |number: usize| u32::from_le_bytes(self.bytes[start + number * 4..][..4].try_into().expect("four bytes"));
        Some(Entry { hash: word(0), list: word(1), offset: word(2), length: word(3) })
    }

    fn decode(bytes: Vec<u8>) -> Option<Self> {
        let body = bytes.get(..bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
        if !body.starts_with(MAGIC) || blake3::hash(body).as_bytes() != &bytes[body.len()..] {
            return None;
        }
        let subject = *body.get(MAGIC.len()..)?.first_chunk()?;
        let mut input = Input { bytes: body, at: MAGIC.len() + size_of::<Subject>() };
        let n_lists = input.number()?;
        let mut lists = Vec::new();
        for _ in 0..n_lists {
            let stamp = Stamp { size: input.number()?, modified_ns: input.number()?.cast_signed(), changed_ns: input.number()?.cast_signed() };
            let n_bytes = input.number()?;
            let (n_malformed, n_oversized) = (u32::try_from(input.number()?).ok()?, u32::try_from(input.number()?).ok()?);
            let error = input.text()?;
            lists.push(ListSummary { stamp, n_bytes, n_malformed, n_oversized, error: (!error.is_empty()).then_some(error) });
        }
        let n_entries = usize::try_from(input.number()?).ok()?;
        let entries_at = input.at;
        let inline_at = entries_at.checked_add(n_entries.checked_mul(ENTRY_BYTES)?)?;
        (inline_at <= body.len()).then_some(())?;
        Some(Self { subject, lists, bytes, entries_at, n_entries, inline_at })
    }
}

fn encode(subject: &Subject, summaries: &[ListSummary], entries: &[Entry], inline: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024 + entries.len() * ENTRY_BYTES + inline.len() + CHECKSUM_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(subject);
    let number = |bytes: &mut Vec<u8>, number: u64| bytes.extend_from_slice(&number.to_le_bytes());
    number(&mut bytes, summaries.len() as u64);
    for summary in summaries {
        for value in [
            summary.stamp.size,
            summary.stamp.modified_ns.cast_unsigned(),
            summary.stamp.changed_ns.cast_unsigned(),
            summary.n_bytes,
            u64::from(summary.n_malformed),
            u64::from(summary.n_oversized),
        ] {
            number(&mut bytes, value);
        }
        let error = summary.error.as_deref().unwrap_or_default();
        number(&mut bytes, error.len() as u64);
        bytes.extend_from_slice(error.as_bytes());
    }
    number(&mut bytes, entries.len() as u64);
    for entry in entries {
        for word in [entry.hash, entry.list, entry.offset, entry.length] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }
    bytes.extend_from_slice(inline);
    let checksum = blake3::hash(&bytes);
    bytes.extend_from_slice(checksum.as_bytes());
    bytes
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn number(&mut self) -> Option<u64> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(8)?)?;
        self.at += 8;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let bytes = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        String::from_utf8(bytes.to_vec()).ok()
    }
}

fn read_list(list: &ListFile, number: u32, summary: &mut ListSummary, entries: &mut Vec<Entry>, inline: &mut Vec<u8>) -> io::Result<()> {
    summary.stamp = Stamp::of(&list.path)?;
    let mut reader = StanzaReader::new(lists::open(list)?);
    let result = loop {
        match reader.next() {
            Ok(Some((offset, stanza))) => {
                let Some(name) = name_of(stanza) else {
                    summary.n_malformed += 1;
                    continue;
                };
                let hash = hash(name.as_bytes());
                let (list, offset, length) = if list.compressed {
                    let start = inline.len();
                    keep_fields(stanza, inline);
                    (number | INLINE, start as u64, inline.len() - start)
                } else {
                    (number, offset, stanza.len())
                };
                let (Ok(offset), Ok(length)) = (u32::try_from(offset), u32::try_from(length)) else {
                    break Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 GiB"));
                };
                entries.push(Entry { hash, list, offset, length });
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    summary.n_bytes = reader.n_bytes();
    summary.n_oversized = reader.n_oversized();
    result
}

fn keep_fields(stanza: &[u8], inline: &mut Vec<u8>) {
    for (name, value) in stanza::fields(stanza).flatten().filter(|(name, _)| KEPT_FIELDS.contains(name)) {
        inline.extend_from_slice(name);
        inline.extend_from_slice(b": ");
        inline.extend_from_slice(value);
        inline.push(b'\n');
    }
}

/// The package that a stanza is about. Real lists begin with the field.
fn name_of(stanza: &[u8]) -> Option<&str> {
    let value = match stanza.strip_prefix(b"Package: ") {
        Some(rest) => rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())].trim_ascii(),
        None => stanza::fields(stanza).flatten().find(|(name, _)| *name == b"Package")?.1,
    };
    std::str::from_utf8(value).ok().filter(|name| is_package_name(name))
}

/// FNV-1a: names are short, and a collision only costs one more stanza to read.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Reads stanzas at their places in plain lists; opens each at its first use.
pub struct ListReader<'a> {
    lists: &'a [ListFile],
    files: Vec<Option<File>>,
    buffer: Vec<u8>,
}

impl<'a> ListReader<'a> {
    /// A reader of these lists.
    pub fn new(lists: &'a [ListFile]) -> Self {
        Self { lists, files: lists.iter().map(|_| None).collect(), buffer: Vec::new() }
    }

    fn read(&mut self, list: usize, offset: u32, length: u32) -> Result<&[u8], Damaged> {
        let place = self.files.get_mut(list).ok_or(Damaged)?;
        let file = match place {
            Some(file) => file,
            None => place.insert(File::open(&self.lists[list].path).map_err(|_| Damaged)?),
        };
        let length = length as usize;
        if length > 2 * stanza::STANZA_BYTES_MAX {
            return Err(Damaged);
        }
        self.buffer.resize(length, 0);
        file.read_exact_at(&mut self.buffer, u64::from(offset)).map_err(|_| Damaged)?;
        Ok(&self.buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const LIST: &str = "Package: a1\nVersion: 1\n\nVersion: 9\n\nPackage: b1\nDescription: x\n more\nVersion: 2\n\nPackage: a1\nVersion: 3";

    fn versions(index: &Index, lists: &[ListFile], name: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut reader = ListReader::new(lists);
        index
            .visit(name, &mut reader, |_, stanza| {
                let version = stanza::fields(stanza).flatten().find(|(key, _)| *key == b"Version").unwrap().1;
                found.push(String::from_utf8(version.to_vec()).unwrap());
            })
            .unwrap();
        found
    }

    fn folder_with_lists() -> (tempfile::TempDir, Vec<ListFile>) {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("x_Packages");
        fs::write(&plain, LIST).unwrap();
        let packed = folder.path().join("y_Packages.zst");
        fs::write(&packed, zstd::bulk::compress(LIST.as_bytes(), 1).unwrap()).unwrap();
        (folder, vec![ListFile { path: plain, compressed: false }, ListFile { path: packed, compressed: true }])
    }

    #[test]
    fn every_stanza_of_a_name_is_found_in_plain_and_packed_lists() {
        let (_folder, lists) = folder_with_lists();
        let index = Index::build(&lists);
        assert_eq!(versions(&index, &lists, "a1"), ["1", "3", "1", "3"]);
        assert_eq!(versions(&index, &lists, "b1"), ["2", "2"]);
        assert_eq!(versions(&index, &lists, "zz"), [""; 0]);
        assert_eq!(index.lists[0].n_malformed, 1);
        assert_eq!(index.lists[0].n_bytes, LIST.len() as u64);
    }

    #[test]
    fn a_saved_index_is_taken_until_a_list_or_the_file_changes() {
        let (folder, lists) = folder_with_lists();
        let path = folder.path().join("cache/index");
        Index::build(&lists).save(&path).unwrap();
        assert_eq!(versions(&Index::open(&path, &lists, &EVERYTHING).unwrap(), &lists, "a1").len(), 4);
        assert!(Index::open(&path, &lists[..1], &EVERYTHING).is_none(), "other lists");

        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(Index::open(&path, &lists, &EVERYTHING).is_none(), "byte {at} changed");
            fs::write(&path, &good[..at]).unwrap();
            assert!(Index::open(&path, &lists, &EVERYTHING).is_none(), "cut at {at}");
        }

        fs::write(&path, &good).unwrap();
        fs::write(&lists[0].path, format!("{LIST}4")).unwrap();
        assert!(Index::open(&path, &lists, &EVERYTHING).is_none(), "a list has grown");
    }

    #[test]
    fn a_narrowed_index_serves_its_names_alone_and_needs_no_list() {
        let (_folder, lists) = folder_with_lists();
        let narrow = Index::build(&lists).narrow(&[7; 32], ["a1", "zz", "a1"], &mut ListReader::new(&lists)).unwrap();
        fs::remove_file(&lists[0].path).unwrap();
        assert_eq!(versions(&narrow, &lists, "a1"), ["1", "3", "1", "3"]);
        assert_eq!(versions(&narrow, &lists, "b1"), [""; 0]);
        assert_eq!((narrow.subject, narrow.lists[0].n_malformed), ([7; 32], 1));
    }

    #[test]
    fn a_list_swapped_behind_the_index_is_noticed() {
        let (_folder, lists) = folder_with_lists();
        let index = Index::build(&lists);
        fs::write(&lists[0].path, LIST.replace("a1", "q1")).unwrap();
        assert!(index.visit("a1", &mut ListReader::new(&lists), |_, _| ()).is_err());
    }

    #[test]
    fn a_bomb_and_garbage_end_with_an_error_and_keep_what_was_good() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x_Packages.gz");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(LIST.as_bytes()).unwrap();
        encoder.write_all(b"\n\n").unwrap();
        let zeros = vec![0; 1 << 20];
        for _ in 0..=lists::UNPACKED_BYTES_MAX >> 20 {
            encoder.write_all(&zeros).unwrap();
        }
        fs::write(&path, encoder.finish().unwrap()).unwrap();
        let bomb = [ListFile { path, compressed: true }];
        let index = Index::build(&bomb);
        assert_eq!(index.lists[0].error.as_deref(), Some("it unpacks to more than 536870912 bytes"));
        assert_eq!(versions(&index, &bomb, "a1"), ["1", "3"]);

        for suffix in ["gz", "xz", "lz4", "zst"] {
            let path = folder.path().join(format!("g_Packages.{suffix}"));
            fs::write(&path, b"\x00\xff garbage").unwrap();
            assert!(Index::build(&[ListFile { path, compressed: true }]).lists[0].error.is_some(), "{suffix}");
        }
    }
}
