//! Opening files as package managers keep them: plain, or packed in any of the usual ways.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Memory that an xz decoder may use; `xz -9` needs 65 MiB.
const XZ_MEMORY_MAX: u64 = 128 * 1024 * 1024;

/// Opens a file and unpacks it on the way, up to a number of bytes.
pub fn open(path: &Path, bytes_max: u64) -> io::Result<Unpacked> {
    let file = File::open(path)?;
    let packed = BufReader::with_capacity(64 * 1024, file);
    let reader: Box<dyn Read> = match path.extension().and_then(|extension| extension.to_str()) {
        Some("lz4") => Box::new(lz4_flex::frame::FrameDecoder::new(packed)),
        Some("gz") => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Some("xz") => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_MAX, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
        }
        Some("zst") => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
        _ => Box::new(packed.into_inner()),
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
