//! The index of a repository's metadata: which files there are, each with its checksum.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256, Sha512};

use crate::unpack;
use crate::xml::{self, Piece};

/// Most bytes that one file may unpack to.
const UNPACKED_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
const YUM_PRIMARY_DATABASE: &str = "gen/primary_db.sqlite";
const INDEX_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A repository's metadata on disk.
#[derive(Debug)]
pub struct Metadata {
    /// The folder with `repomd.xml` in it.
    folder: PathBuf,
    /// Names this state of the repository.
    pub digest: String,
    /// What the publisher says of its age: seconds since 1970 in nearly every repository.
    pub revision: Option<i64>,
    files: Vec<MetadataFile>,
}

#[derive(Debug, Default)]
struct MetadataFile {
    kind: String,
    location: String,
    checksum: Checksum,
    /// That of the unpacked file.
    open_checksum: Checksum,
}

#[derive(Debug, Default)]
struct Checksum {
    kind: String,
    digits: String,
}

impl Metadata {
    /// Reads the index in a folder.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        File::open(folder.join("repomd.xml"))?.take(INDEX_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > INDEX_BYTES_MAX {
            return Err(invalid("repomd.xml is too large"));
        }
        let mut metadata = Self { folder: folder.to_owned(), digest: hex(&Sha256::digest(&bytes)), revision: None, files: Vec::new() };
        xml::walk(bytes.as_slice(), |piece| match piece {
            Piece::Start(start) => match (start.local_name().into_inner(), metadata.files.last_mut()) {
                ("data", _) => metadata.files.push(MetadataFile { kind: xml::attribute(start, "type"), ..MetadataFile::default() }),
                ("location", Some(file)) => file.location = xml::attribute(start, "href"),
                ("checksum", Some(file)) => file.checksum.kind = xml::attribute(start, "type"),
                ("open-checksum", Some(file)) => file.open_checksum.kind = xml::attribute(start, "type"),
                _ => {}
            },
            Piece::End("revision", text) => metadata.revision = text.parse().ok(),
            Piece::End(name @ ("checksum" | "open-checksum"), text) => {
                if let Some(file) = metadata.files.last_mut() {
                    let checksum = if name == "checksum" { &mut file.checksum } else { &mut file.open_checksum };
                    text.clone_into(&mut checksum.digits);
                }
            }
            Piece::End(..) => {}
        })?;
        if !metadata.files.iter().any(|file| file.is_of("primary")) {
            return Err(invalid("repomd.xml names no primary metadata"));
        }
        Ok(metadata)
    }

    /// Where a file of a kind is, relative to the folder above that of the index.
    pub fn location(&self, kind: &str) -> Option<&str> {
        self.files.iter().find(|file| file.is_of(kind)).map(|file| file.location.as_str())
    }

    /// Opens a file of a kind and unpacks it on the way; `None` when the repository has none. Its checksum
    /// is compared first: what the index does not promise is not read.
    pub fn read(&self, kind: &str) -> io::Result<Option<impl Read + use<>>> {
        // A repository may have it packed in two ways, of which the native tool fetches one.
        let mut files = self.files.iter().filter(|file| file.is_of(kind));
        let Some(first) = files.next() else { return Ok(None) };
        let file = std::iter::once(first).chain(files).find(|file| self.folder.join(file.name()).exists()).unwrap_or(first);
        let name = file.name();
        let path = self.folder.join(name);
        let damaged = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
        file.checksum.verify(File::open(&path).map_err(damaged)?).map_err(damaged)?;
        let unpacked = unpack::open(&path, UNPACKED_BYTES_MAX).map_err(damaged)?;
        Ok(Some(unpacked))
    }

    /// The database of packages that yum unpacks beside its index, where it has one.
    pub fn primary_database(&self) -> io::Result<Option<PathBuf>> {
        let path = self.folder.join(YUM_PRIMARY_DATABASE);
        let (Some(file), Ok(database)) = (self.files.iter().find(|file| file.kind == "primary_db"), File::open(&path)) else { return Ok(None) };
        file.open_checksum.verify(database).map_err(|error| io::Error::new(error.kind(), format!("{YUM_PRIMARY_DATABASE}: {error}")))?;
        Ok(Some(path))
    }
}

impl MetadataFile {
    /// Whether it is of a kind, packed in any way.
    fn is_of(&self, kind: &str) -> bool {
        self.kind.strip_suffix("_zck").unwrap_or(&self.kind) == kind
    }

    /// The metadata of yum lies beside its index, all others' in the folder that the index says.
    fn name(&self) -> &str {
        self.location.rsplit('/').next().unwrap_or_default()
    }
}

impl Checksum {
    fn verify(&self, file: File) -> io::Result<()> {
        let found = match self.kind.as_str() {
            "sha256" => digest::<Sha256>(file)?,
            "sha512" => digest::<Sha512>(file)?,
            "" => return Err(invalid("repomd.xml gives no checksum for it")),
            other => return Err(invalid(&format!("its checksum is `{other}`, which proves nothing"))),
        };
        if found.eq_ignore_ascii_case(&self.digits) { Ok(()) } else { Err(invalid(&format!("its checksum is {found}, and repomd.xml says {}", self.digits))) }
    }
}

fn digest<D: Digest>(file: File) -> io::Result<String> {
    let (mut hasher, mut reader, mut buffer) = (D::new(), BufReader::new(file), vec![0; 256 * 1024]);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}
