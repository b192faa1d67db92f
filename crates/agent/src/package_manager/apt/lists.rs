//! Package lists on disk: plain, or compressed as apt keeps them.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Most bytes that one list may unpack to. Debian's largest has 53 MB.
pub const UNPACKED_BYTES_MAX: u64 = 512 * 1024 * 1024;

const SUFFIXES: [&str; 5] = ["", ".lz4", ".gz", ".xz", ".zst"];
/// Memory that an xz decoder may use; `xz -9` needs 65 MiB.
const XZ_MEMORY_MAX: u64 = 128 * 1024 * 1024;

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
    let file = File::open(&list.path)?;
    let packed = BufReader::with_capacity(64 * 1024, file);
    let reader: Box<dyn Read> = match list.path.extension().and_then(|extension| extension.to_str()) {
        Some("lz4") => Box::new(lz4_flex::frame::FrameDecoder::new(packed)),
        Some("gz") => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Some("xz") => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_MAX, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
        }
        Some("zst") => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
        _ => Box::new(packed.into_inner()),
    };
    Ok(Unpacked { reader, left: UNPACKED_BYTES_MAX })
}

/// A list being read; stops with an error where it grows past the limit.
pub struct Unpacked {
    reader: Box<dyn Read>,
    left: u64,
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_read = self.reader.read(buffer)?;
        self.left =
            self.left.checked_sub(n_read as u64).ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, format!("it unpacks to more than {UNPACKED_BYTES_MAX} bytes")))?;
        Ok(n_read)
    }
}
