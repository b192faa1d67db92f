//! Reading repository metadata: XML that streams through a small window of memory.
//!
//! Entities that a document defines are never followed, only the five that XML has and characters by
//! number; so nothing can grow beyond what the file holds. Bytes that are not UTF-8 are replaced.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// Longest text of an element, or value of an attribute, that is kept. Descriptions are longer at times,
/// and nothing of them is needed.
const TEXT_BYTES_MAX: usize = 4096;
/// Deepest nesting; metadata has ten levels.
const DEPTH_MAX: usize = 64;
/// Longest single piece of a document, such as one description.
const PIECE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What comes next in a document.
pub enum Piece<'a> {
    /// An element begins, or is empty.
    Start(&'a BytesStart<'a>),
    /// An element ends: its local name, and its text.
    End(&'a str, &'a str),
}

/// Walks a document: `visit` gets every start and end.
pub fn walk(input: impl Read, mut visit: impl FnMut(Piece)) -> io::Result<()> {
    let n_bytes = Rc::new(Cell::new(0));
    let mut reader = Reader::from_reader(Window::new(input, n_bytes.clone()));
    let config = reader.config_mut();
    config.check_end_names = false;
    let (mut buffer, mut text) = (Vec::new(), String::new());
    let mut depth = 0_usize;
    loop {
        let event = reader.read_event_into(&mut buffer).map_err(|error| match error {
            quick_xml::Error::Io(error) => io::Error::new(error.kind(), error.to_string()),
            other => invalid(&other.to_string()),
        })?;
        match event {
            Event::Start(start) => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(invalid("elements are nested too deeply"));
                }
                text.clear();
                visit(Piece::Start(&start));
            }
            Event::Empty(start) => {
                text.clear();
                visit(Piece::Start(&start));
                visit(Piece::End(start.local_name().into_inner(), ""));
            }
            Event::End(end) => {
                depth = depth.checked_sub(1).ok_or_else(|| invalid("an element ends that did not begin"))?;
                visit(Piece::End(end.local_name().into_inner(), text.trim()));
                text.clear();
            }
            Event::Text(piece) => add(&mut text, &piece),
            Event::CData(piece) => add(&mut text, &piece),
            Event::GeneralRef(reference) => add_reference(&mut text, &reference)?,
            Event::Eof if depth == 0 => return Ok(()),
            Event::Eof => return Err(invalid("it ends in the middle")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
        n_bytes.set(0);
        buffer.clear();
    }
}

fn add(text: &mut String, piece: &str) {
    if text.len() < TEXT_BYTES_MAX {
        text.push_str(shorten(piece, TEXT_BYTES_MAX - text.len()));
    }
}

fn add_reference(text: &mut String, reference: &BytesRef) -> io::Result<()> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| invalid(&error.to_string()))? {
        text.push(character);
    } else {
        let name: &str = reference;
        text.push_str(resolve_predefined_entity(name).ok_or_else(|| invalid(&format!("it uses the entity `{name}`, which XML does not have")))?);
    }
    Ok(())
}

/// The value of an attribute, entities put in; empty when there is none.
pub fn attribute(start: &BytesStart, name: &str) -> String {
    let found = start.attributes().with_checks(false).flatten().find(|attribute| attribute.key.as_ref() == name);
    let Some(attribute) = found else { return String::new() };
    let raw = shorten(&attribute.value, TEXT_BYTES_MAX);
    if raw.contains('&') { quick_xml::escape::unescape(raw).map_or_else(|_| raw.to_owned(), std::borrow::Cow::into_owned) } else { raw.to_owned() }
}

/// The start of a text, up to a number of bytes.
fn shorten(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// What is read of a document, as UTF-8: foreign bytes are replaced. Reading on without an end of the
/// piece that was begun is an error at some point, so that no piece fills the memory.
struct Window<R> {
    input: R,
    bytes: Vec<u8>,
    /// From here on it is not consumed, and up to here it is UTF-8.
    ready: std::ops::Range<usize>,
    /// Up to here there is something.
    filled: usize,
    n_bytes: Rc<Cell<usize>>,
}

impl<R: Read> Window<R> {
    fn new(input: R, n_bytes: Rc<Cell<usize>>) -> Self {
        Self { input, bytes: vec![0; 64 * 1024], ready: 0..0, filled: 0, n_bytes }
    }
}

impl<R: Read> BufRead for Window<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.ready.is_empty() {
            // The start of a character may be left over.
            self.bytes.copy_within(self.ready.end..self.filled, 0);
            self.filled -= self.ready.end;
            let n_read = self.input.read(&mut self.bytes[self.filled..])?;
            self.n_bytes.set(self.n_bytes.get() + n_read);
            if self.n_bytes.get() > PIECE_BYTES_MAX {
                return Err(invalid("one piece of it is too large"));
            }
            self.filled += n_read;
            let mut end = 0;
            while let Err(error) = std::str::from_utf8(&self.bytes[end..self.filled]) {
                end += error.valid_up_to();
                let n_foreign = match error.error_len() {
                    Some(n_foreign) => n_foreign,
                    None if n_read == 0 => self.filled - end,
                    None => break,
                };
                self.bytes[end..end + n_foreign].fill(b'?');
            }
            let is_whole = std::str::from_utf8(&self.bytes[end..self.filled]).is_ok();
            self.ready = 0..if is_whole { self.filled } else { end };
            if self.ready.is_empty() && n_read > 0 {
                return self.fill_buf();
            }
        }
        Ok(&self.bytes[self.ready.clone()])
    }

    fn consume(&mut self, n: usize) {
        self.ready.start += n;
    }
}

impl<R: Read> Read for Window<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buffer)?;
        self.consume(n);
        Ok(n)
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(document: &[u8]) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        walk(document, |piece| match piece {
            Piece::Start(start) => found.extend(Some(attribute(start, "a")).filter(|value| !value.is_empty())),
            Piece::End(name, text) => found.push(format!("{name}={text}")),
        })?;
        Ok(found)
    }

    #[test]
    fn texts_attributes_and_references_are_read() {
        let document = b"<?xml version='1.0'?><x><n:y a='1 &amp; 2'/><z>a&lt;b&#65;<![CDATA[<c>]]></z></x>";
        assert_eq!(texts(document).unwrap(), ["1 & 2", "y=", "z=a<bA<c>", "x="]);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        assert_eq!(texts(b"<x>a\xff\xc3\xa9</x>").unwrap(), ["x=a?\u{e9}"]);
        let mut long = b"<x><!--".to_vec();
        long.resize(64 * 1024 - 4, b' ');
        long.extend("-->\u{e9}</x>".as_bytes());
        assert_eq!(texts(&long).unwrap(), ["x=\u{e9}"]);
    }

    #[test]
    fn bombs_and_broken_documents_are_refused() {
        let bomb = b"<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><x>&b;</x>";
        assert_eq!(texts(bomb).unwrap_err().to_string(), "it uses the entity `b`, which XML does not have");
        assert_eq!(texts("<x>".repeat(100).as_bytes()).unwrap_err().to_string(), "elements are nested too deeply");
        assert_eq!(texts(b"<x><y></y>").unwrap_err().to_string(), "it ends in the middle");
        assert!(texts(b"<x").is_err() && texts(b"</x>").is_err());
        let endless = io::Read::chain(&b"<x>"[..], io::repeat(b'a'));
        assert_eq!(walk(endless, |_| {}).unwrap_err().to_string(), "one piece of it is too large");
    }
}
