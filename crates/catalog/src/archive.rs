//! Files of many entries: an archive as OSV publishes one for each ecosystem, or a single entry.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::osv::ENTRY_BYTES_MAX;

/// Most files of one archive.
const FILES_MAX: usize = 2_000_000;

/// Calls `visit` with every entry of a file: its name and its bytes. Checksums of an archive are verified; one
/// that is cut has no table of contents, and nothing of it is read.
pub fn read<E: From<io::Error>>(path: &Path, mut visit: impl FnMut(&str, &[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut begin = [0; 2];
    let is_archive = File::open(path)?.read(&mut begin)? == 2 && &begin == b"PK";
    let mut bytes = Vec::new();
    if !is_archive {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        read_limited(&name, File::open(path)?, &mut bytes)?;
        return visit(&name, &bytes);
    }
    let broken = |error: zip::result::ZipError| E::from(io::Error::new(io::ErrorKind::InvalidData, error.to_string()));
    let mut archive = zip::ZipArchive::new(BufReader::new(File::open(path)?)).map_err(broken)?;
    if archive.len() > FILES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has {} files, more than the limit of {FILES_MAX}", archive.len())).into());
    }
    for number in 0..archive.len() {
        let file = archive.by_index(number).map_err(broken)?;
        if !file.is_file() || Path::new(file.name()).extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("json")) {
            continue;
        }
        let name = file.name().to_owned();
        bytes.clear();
        read_limited(&name, file, &mut bytes)?;
        visit(&name, &bytes)?;
    }
    Ok(())
}

fn read_limited(name: &str, input: impl Read, bytes: &mut Vec<u8>) -> io::Result<()> {
    input.take(ENTRY_BYTES_MAX as u64 + 1).read_to_end(bytes).map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    Ok(())
}
