//! Opening files as package managers keep them: plain, or packed in any of the usual ways.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::zchunk;

/// Memory that an xz decoder may use; `xz -9` needs 65 MiB.
const XZ_MEMORY_MAX: u64 = 128 * 1024 * 1024;

/// Opens a file and unpacks it on the way, up to a number of bytes.
pub fn open(path: &Path, bytes_max: u64) -> io::Result<Unpacked> {
    let file = File::open(path)?;
    let packed = BufReader::with_capacity(64 * 1024, file);
    unpack(packed, path.extension().and_then(|extension| extension.to_str()), bytes_max)
}

/// Opens a file whose name does not say how it is packed.
pub fn open_by_content(path: &Path, bytes_max: u64) -> io::Result<Unpacked> {
    let mut packed = BufReader::with_capacity(64 * 1024, File::open(path)?);
    let kind = match packed.fill_buf()? {
        [0x1f, 0x8b, ..] => Some("gz"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some("xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zst"),
        _ => None,
    };
    unpack(packed, kind, bytes_max)
}

fn unpack(packed: BufReader<File>, kind: Option<&str>, bytes_max: u64) -> io::Result<Unpacked> {
    let reader: Box<dyn Read> = match kind {
        Some("lz4") => Box::new(lz4_flex::frame::FrameDecoder::new(packed)),
        Some("gz") => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Some("xz") => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_MAX, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
        }
        Some("zst") => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
        Some("zck") => Box::new(zchunk::Unpacked::new(packed)?),
        _ => Box::new(packed),
    };
    Ok(Unpacked { reader, left: bytes_max, bytes_max })
}

/// A file being read; stops with an error where it grows past the limit.
pub struct Unpacked {
    reader: Box<dyn Read>,
    left: u64,
    bytes_max: u64,
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_read = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(n_read as u64).ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, format!("it unpacks to more than {} bytes", self.bytes_max)))?;
        Ok(n_read)
    }
}
