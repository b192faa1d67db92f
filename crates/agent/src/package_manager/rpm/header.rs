//! The header of an rpm package, as the database keeps it.
//!
//! Four bytes each, big-endian: the number of entries, the length of the data; then entries of a tag,
//! a type, an offset into the data and a count; then the data.

/// Tags of rpmtag(7) that we read.
pub mod tag {
    pub const NAME: u32 = 1000;
    pub const VERSION: u32 = 1001;
    pub const RELEASE: u32 = 1002;
    pub const EPOCH: u32 = 1003;
    pub const INSTALL_TIME: u32 = 1008;
    pub const ARCHITECTURE: u32 = 1022;
    pub const SOURCE_RPM: u32 = 1044;
    pub const PROVIDES: u32 = 1047;
    pub const PROVIDES_VERSIONS: u32 = 1113;
}

const TYPE_INT32: u32 = 4;
const TYPES_OF_TEXT: [u32; 3] = [6, 8, 9];
const ENTRY_BYTES: usize = 16;

/// A header, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    entries: &'a [u8],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the lengths; `None` where they go beyond the bytes.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (n_entries, data_length) = (number_at(bytes, 0)? as usize, number_at(bytes, 4)? as usize);
        let rest = bytes.get(8..)?;
        let entries = rest.get(..n_entries.checked_mul(ENTRY_BYTES)?)?;
        let data = rest.get(entries.len()..)?.get(..data_length)?;
        Some(Self { entries, data })
    }

    /// The first text of a tag. Bytes that are not UTF-8 are replaced.
    pub fn text(&self, tag: u32) -> Option<String> {
        self.texts(tag).next()
    }

    /// Every text of a tag.
    pub fn texts(&self, tag: u32) -> impl Iterator<Item = String> + 'a {
        let (n, data) = self.find(tag).filter(|(kind, ..)| TYPES_OF_TEXT.contains(kind)).map_or((0, &self.data[..0]), |(_, n, data)| (n, data));
        data.split(|&byte| byte == 0).take(n).map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// The first number of a tag.
    pub fn number(&self, tag: u32) -> Option<u32> {
        let (kind, n, data) = self.find(tag)?;
        if kind == TYPE_INT32 && n > 0 { number_at(data, 0) } else { None }
    }

    fn find(&self, tag: u32) -> Option<(u32, usize, &'a [u8])> {
        let entry = self.entries.chunks_exact(ENTRY_BYTES).find(|entry| number_at(entry, 0) == Some(tag))?;
        Some((number_at(entry, 4)?, number_at(entry, 12)? as usize, self.data.get(number_at(entry, 8)? as usize..)?))
    }
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A header with a name and an epoch.
    pub fn sample() -> Vec<u8> {
        let words: [u32; 10] = [2, 10, tag::NAME, 6, 0, 1, tag::EPOCH, TYPE_INT32, 5, 1];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.extend(b"bash\0\0\0\0\x07\0");
        bytes
    }

    #[test]
    fn tags_are_found_and_types_are_minded() {
        let bytes = sample();
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.text(tag::NAME), header.number(tag::EPOCH)), (Some("bash".into()), Some(7)));
        assert_eq!((header.text(tag::EPOCH), header.number(tag::NAME), header.text(tag::VERSION)), (None, None, None));
    }

    proptest! {
        #[test]
        fn foreign_bytes_do_no_harm(at in 0..50_usize, byte: u8, length in 0..60_usize) {
            let mut bytes = sample();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(length);
            if let Some(header) = Header::parse(&bytes) {
                let _ = (header.text(tag::NAME), header.number(tag::EPOCH), header.texts(tag::NAME).count());
            }
        }
    }
}
