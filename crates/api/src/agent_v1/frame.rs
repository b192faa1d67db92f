//! A report on the wire: its head as a line of JSON, then contents one after another, all packed.

use std::cell::RefCell;

use domain::model::digest::Digest;
use serde::{Deserialize, Serialize};
use zstd::bulk::{Compressor, Decompressor};

use crate::agent_v1::Report;

/// Most bytes of an unpacked frame.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Smaller on the wire by a tenth than the default, for a millisecond of the node.
const LEVEL: i32 = 6;

thread_local! {
    // Making these costs more than most frames do.
    static PACKING: RefCell<Compressor<'static>> = RefCell::new(Compressor::new(LEVEL).expect("the level is one of zstd's"));
    static UNPACKING: RefCell<Decompressor<'static>> = RefCell::new(Decompressor::new().expect("only memory could be missing"));
}

/// A report with the contents that go along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFrame {
    /// The head.
    pub report: Report,
    /// Contents: the digest, the digest of what it is an edit of, and the text or edit.
    pub contents: Vec<(Digest, Option<Digest>, String)>,
}

/// Why bytes are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// They cannot be unpacked.
    #[error("the body is not packed with zstd, or unpacks to more than {FRAME_BYTES_MAX} bytes")]
    Unpack,
    /// The head does not read.
    #[error("the head of the report does not read: {detail}")]
    Head {
        /// What is wrong.
        detail: String,
    },
    /// The contents are shorter or longer than the head says, or not UTF-8.
    #[error("the contents are not as long as the head says, or not UTF-8")]
    Contents,
}

#[derive(Serialize, Deserialize)]
struct Head {
    report: Report,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    contents: Vec<(Digest, Option<Digest>, usize)>,
}

impl ReportFrame {
    /// The bytes.
    pub fn pack(&self) -> Vec<u8> {
        let contents = self.contents.iter().map(|(digest, of, text)| (*digest, *of, text.len())).collect();
        let mut bytes = serde_json::to_vec(&Head { report: self.report.clone(), contents }).expect("a report has text keys only");
        bytes.push(b'\n');
        for (_, _, text) in &self.contents {
            bytes.extend_from_slice(text.as_bytes());
        }
        PACKING.with_borrow_mut(|packing| packing.compress(&bytes)).expect("compressing into memory fails only without memory")
    }

    /// Reads bytes.
    pub fn unpack(packed: &[u8]) -> Result<Self, FrameError> {
        // A frame says how long it is, so that one that is too long takes no memory.
        let length = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten().and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| *length <= FRAME_BYTES_MAX).ok_or(FrameError::Unpack)?;
        let bytes = UNPACKING.with_borrow_mut(|unpacking| unpacking.decompress(packed, length)).map_err(|_| FrameError::Unpack)?;
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| FrameError::Head { detail: "it has no end".to_owned() })?;
        let head: Head = serde_json::from_slice(&bytes[..end]).map_err(|error| FrameError::Head { detail: error.to_string() })?;
        let mut rest = std::str::from_utf8(&bytes[end + 1..]).map_err(|_| FrameError::Contents)?;
        let mut contents = Vec::with_capacity(head.contents.len().min(64));
        for (digest, of, length) in head.contents {
            let (text, after) = rest.split_at_checked(length).ok_or(FrameError::Contents)?;
            contents.push((digest, of, text.to_owned()));
            rest = after;
        }
        if rest.is_empty() { Ok(Self { report: head.report, contents }) } else { Err(FrameError::Contents) }
    }
}

#[cfg(test)]
mod tests {
    use domain::model::section::{Heading, PerSection, Section};
    use domain::model::time::Timestamp;

    use super::*;

    fn frame() -> ReportFrame {
        let heading = Heading { name: "n".to_owned(), collected_at: Timestamp::from_millis(0), lists_refreshed_at: None, booted_at: None };
        let sections = PerSection([Digest::of(b"x"); Section::COUNT]);
        let report = Report { heading, boot: "b".to_owned(), sections, packages: [("a\tall\t1".to_owned(), domain::model::section::PackageFacts::default())].into() };
        ReportFrame { report, contents: vec![(Digest::of(b"a"), None, "a\nb\n".to_owned()), (Digest::of(b"c"), Some(Digest::of(b"a")), "-a\n".to_owned())] }
    }

    #[test]
    fn a_frame_reads_as_it_was_written() {
        assert_eq!(ReportFrame::unpack(&frame().pack()), Ok(frame()));
    }

    #[test]
    fn bad_frames_are_refused_by_name() {
        let pack = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).unwrap();
        assert_eq!(ReportFrame::unpack(b"plain"), Err(FrameError::Unpack));
        assert_eq!(ReportFrame::unpack(&pack(&vec![b'x'; FRAME_BYTES_MAX + 1])), Err(FrameError::Unpack), "a bomb");
        assert!(matches!(ReportFrame::unpack(&pack(b"{}\n")), Err(FrameError::Head { .. })));
        let whole = zstd::bulk::decompress(&frame().pack(), FRAME_BYTES_MAX).unwrap();
        assert_eq!(ReportFrame::unpack(&pack(&whole[..whole.len() - 1])), Err(FrameError::Contents));
        assert_eq!(ReportFrame::unpack(&pack(&[&whole[..], b"more"].concat())), Err(FrameError::Contents));
        assert_eq!(ReportFrame::unpack(&pack(&[&whole[..whole.len() - 1], b"\xff"].concat())), Err(FrameError::Contents));
    }
}
