//! Stanzas of deb822 files: bounded reading from a stream, and fields by name.

use std::io::{self, Read};

use memchr::memmem;

/// Longest stanza that is kept. The longest real ones have about 100 kB.
pub const STANZA_BYTES_MAX: usize = 1024 * 1024;

/// Small enough to stay in the processor's cache.
const CHUNK_BYTES: usize = 64 * 1024;

/// Reads a stream stanza by stanza through a small buffer, so that memory does not grow with the
/// file. Stanzas end at an empty line.
pub struct StanzaReader<R> {
    source: R,
    buffer: Vec<u8>,
    /// Unread bytes are `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Place of `buffer[start]` in the stream.
    offset: u64,
    ended: bool,
    n_oversized: u32,
}

impl<R: Read> StanzaReader<R> {
    /// Reads `source` from its beginning.
    pub fn new(source: R) -> Self {
        Self { source, buffer: vec![0; CHUNK_BYTES], start: 0, end: 0, offset: 0, ended: false, n_oversized: 0 }
    }

    /// How many stanzas were longer than the limit and were passed over.
    pub fn n_oversized(&self) -> u32 {
        self.n_oversized
    }

    /// How many bytes of the stream were read.
    pub fn n_bytes(&self) -> u64 {
        self.offset
    }

    /// The next stanza and its place in the stream.
    pub fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        let mut searched = 0;
        loop {
            self.skip_empty_lines(&mut searched);
            let unread = &self.buffer[self.start..self.end];
            // One byte back: the two newlines may lie on both sides of the last chunk's end.
            let from = searched.saturating_sub(1);
            if let Some(at) = memmem::find(&unread[from..], b"\n\n") {
                return Ok(Some(self.take(from + at + 1)));
            }
            searched = unread.len();
            if self.ended {
                return Ok((searched > 0).then(|| self.take(searched)));
            }
            if searched > STANZA_BYTES_MAX {
                self.pass_over_stanza()?;
                searched = 0;
            } else {
                self.fill()?;
            }
        }
    }

    fn skip_empty_lines(&mut self, searched: &mut usize) {
        while self.start < self.end && self.buffer[self.start] == b'\n' {
            self.start += 1;
            self.offset += 1;
            *searched = 0;
        }
    }

    fn take(&mut self, length: usize) -> (u64, &[u8]) {
        let (offset, start) = (self.offset, self.start);
        self.start += length;
        self.offset += length as u64;
        (offset, &self.buffer[start..start + length])
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let n_read = loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.ended = n_read == 0;
        self.end += n_read;
        Ok(())
    }

    /// Drops bytes up to the next empty line.
    fn pass_over_stanza(&mut self) -> io::Result<()> {
        self.n_oversized += 1;
        loop {
            let unread = &self.buffer[self.start..self.end];
            let (length, found) = match memmem::find(unread, b"\n\n") {
                Some(at) => (at + 1, true),
                None => (unread.len().saturating_sub(1), false),
            };
            self.start += length;
            self.offset += length as u64;
            if found || self.ended {
                return Ok(());
            }
            self.fill()?;
        }
    }
}

/// The lines of a stanza as names and values; continuation lines are left out. A line that is
/// neither ends the iteration with an error that holds the line.
pub fn fields(stanza: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), &[u8]>> {
    let mut rest = stanza;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = &rest[..end];
            rest = &rest[(end + 1).min(rest.len())..];
            match line.first() {
                None | Some(b' ' | b'\t' | b'#') => {}
                Some(_) => {
                    return Some(match memchr::memchr(b':', line) {
                        Some(colon) => Ok((&line[..colon], line[colon + 1..].trim_ascii())),
                        None => Err(line),
                    });
                }
            }
        }
        None
    })
}

/// A value as text. Nearly all of them are UTF-8; bytes that are not are replaced.
pub fn text(value: &[u8]) -> String {
    String::from_utf8(value.to_vec()).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// A field that may go on over several lines, joined by spaces. For small files only.
pub fn folded_field(stanza: &str, name: &str) -> Option<String> {
    let mut lines = stanza.lines().filter(|line| !line.starts_with('#'));
    let first = lines.find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })?;
    let rest = lines.take_while(|line| line.starts_with([' ', '\t'])).map(str::trim);
    Some(std::iter::once(first).chain(rest).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "))
}

/// Splits a small text into stanzas.
pub fn split_text(text: &str) -> impl Iterator<Item = String> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let mut stanza = String::new();
        for line in lines.by_ref() {
            if !line.trim().is_empty() {
                stanza.push_str(line);
                stanza.push('\n');
            } else if !stanza.is_empty() {
                return Some(stanza);
            }
        }
        (!stanza.is_empty()).then_some(stanza)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &[u8]) -> (Vec<(u64, Vec<u8>)>, u32) {
        let mut reader = StanzaReader::new(text);
        let mut stanzas = Vec::new();
        while let Some((offset, stanza)) = reader.next().unwrap() {
            assert_eq!(&text[usize::try_from(offset).unwrap()..][..stanza.len()], stanza);
            stanzas.push((offset, stanza.to_vec()));
        }
        (stanzas, reader.n_oversized())
    }

    #[test]
    fn stanzas_are_split_at_empty_lines_with_their_places() {
        let (stanzas, _) = read_all(b"\n\nA: 1\nB: 2\n\n\nA: 3");
        assert_eq!(stanzas, [(2, b"A: 1\nB: 2\n".to_vec()), (14, b"A: 3".to_vec())]);
        assert_eq!(read_all(b"").0, []);
        assert_eq!(read_all(b"\n\n\n").0, []);
    }

    #[test]
    fn stanzas_over_chunk_borders_are_whole() {
        for pad in CHUNK_BYTES - 12..CHUNK_BYTES + 3 {
            let text = format!("A: {}\n\nB: 1\n\n", "x".repeat(pad));
            let (stanzas, _) = read_all(text.as_bytes());
            assert_eq!(stanzas.len(), 2, "pad {pad}");
            assert_eq!(stanzas[1].1, b"B: 1\n");
        }
    }

    #[test]
    fn an_absurd_stanza_is_passed_over_and_counted() {
        let text = format!("A: 1\n\nB: {}\n\nC: 3\n", "x".repeat(10 * STANZA_BYTES_MAX));
        let (stanzas, n_oversized) = read_all(text.as_bytes());
        assert_eq!((stanzas.len(), n_oversized), (2, 1));
        assert_eq!(stanzas[1].1, b"C: 3\n");
    }

    #[test]
    fn fields_skip_continuations_and_name_bad_lines() {
        let parsed: Vec<_> = fields(b"A:  1 \n more: x\n# no: y\nB:\nbad line\n").collect();
        assert_eq!(parsed, [Ok((&b"A"[..], &b"1"[..])), Ok((b"B", b"")), Err(&b"bad line"[..])]);
    }
}
