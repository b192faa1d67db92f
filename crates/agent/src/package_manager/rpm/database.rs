//! What is installed, straight from the rpm database: sqlite (rpm 4.16 and later) and ndb (SUSE) are
//! read here, Berkeley DB (before that) by the node's own `rpm`.

use std::io;
use std::path::{Path, PathBuf};

use domain::model::package::InstalledPackage;
use domain::model::problem::{Problem, ProblemCode};
use domain::model::time::Timestamp;
use domain::model::version::rpm;

use super::header::{Header, tag};
use crate::command;
use crate::root::Root;

/// What a package provides that says the system's release; the first counts most, as in dnf.
const RELEASES: [&str; 6] = ["system-release(releasever)", "system-release", "distribution-release(releasever)", "distribution-release", "redhat-release", "suse-release"];
/// Where databases are: of SUSE and Fedora today, of old, of ostree.
const FOLDERS: [&str; 3] = ["/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm"];
const FORMATS: [(&str, Format); 3] = [("rpmdb.sqlite", Format::Sqlite), ("Packages.db", Format::Ndb), ("Packages", Format::BerkeleyDb)];
/// Largest header that is read; a kernel's has a few megabytes.
const HEADER_BYTES_MAX: usize = 64 * 1024 * 1024;
const NDB_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Keys are kept among the packages.
const KEY_PACKAGE: &str = "gpg-pubkey";

/// How a database is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Sqlite,
    Ndb,
    BerkeleyDb,
}

/// A package with what only this family knows.
#[derive(Debug, Clone)]
pub struct RpmPackage {
    /// The package.
    pub package: InstalledPackage,
    /// What `$releasever` is by this package: how much it counts (the lowest most), and the release.
    pub release: Option<(usize, String)>,
}

/// The database below a root.
pub fn find(root: &Root) -> Option<PathBuf> {
    FOLDERS.iter().flat_map(|folder| FORMATS.map(|(name, _)| root.join(&format!("{folder}/{name}")))).find(|path| std::fs::metadata(path).is_ok_and(|file| file.len() > 0))
}

/// Every package, by name and architecture, and of one package the newest first.
pub fn read(root: &Root, path: &Path, problems: &mut Vec<Problem>) -> io::Result<Vec<RpmPackage>> {
    let name = path.file_name().unwrap_or_default();
    let format = FORMATS.into_iter().find(|(known, _)| name == *known).map_or(Format::Sqlite, |(_, format)| format);
    let mut packages = Vec::new();
    let mut n_damaged = 0;
    let mut add = |blob: &[u8]| match Header::parse(blob).and_then(|header| package(&header)) {
        Some(package) if package.package.name == KEY_PACKAGE => {}
        Some(package) => packages.push(package),
        None => n_damaged += 1,
    };
    match format {
        Format::Sqlite => read_sqlite(path, &mut add)?,
        Format::Ndb => read_ndb(path, &mut add)?,
        Format::BerkeleyDb => packages = query(root)?,
    }
    if n_damaged > 0 {
        let message = format!("{n_damaged} packages of {} cannot be read and were left out", path.display());
        problems.push(Problem::new(ProblemCode::Malformed, "rpm database", message).with_hint("run `rpm --rebuilddb` on the node"));
    }
    packages.sort_by(|a, b| {
        let key = |package: &RpmPackage| (package.package.name.clone(), package.package.architecture.clone());
        key(a).cmp(&key(b)).then_with(|| rpm::compare(&b.package.version, &a.package.version))
    });
    for at in 1..packages.len() {
        let (before, rest) = packages.split_at_mut(at);
        let (newer, package) = (&before[at - 1].package, &mut rest[0].package);
        package.older_of_several = newer.name == package.name && newer.architecture == package.architecture;
    }
    Ok(packages)
}

fn read_sqlite(path: &Path, add: &mut impl FnMut(&[u8])) -> io::Result<()> {
    use rusqlite::{Connection, OpenFlags};
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = |parameter: &str| {
        let connection = Connection::open_with_flags(format!("file:{}?{parameter}", escape(path)), flags)?;
        connection.query_row("SELECT count(*) FROM Packages", [], |row| row.get::<_, i64>(0))?;
        Ok::<_, rusqlite::Error>(connection)
    };
    // A database that nobody has open cannot be read where its folder cannot be written, unless it is
    // promised that nobody changes it.
    let connection = open("mode=ro").or_else(|_| open("immutable=1")).map_err(io::Error::other)?;
    let mut statement = connection.prepare("SELECT blob FROM Packages").map_err(io::Error::other)?;
    let mut rows = statement.query([]).map_err(io::Error::other)?;
    while let Some(row) = rows.next().map_err(io::Error::other)? {
        add(row.get_ref(0).ok().and_then(|value| value.as_blob().ok()).unwrap_or_default());
    }
    Ok(())
}

/// A path in a URI.
pub fn escape(path: &Path) -> String {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(|&byte| if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) { (byte as char).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// ndb: a page of 4 KiB begins with the file's head, and has slots of 16 bytes as the pages after it
/// have, as many pages as the head says; a slot names a package and the block of 16 bytes at which its
/// head and header stand. Numbers are little-endian.
fn read_ndb(path: &Path, add: &mut impl FnMut(&[u8])) -> io::Result<()> {
    const PAGE: usize = 4096;
    const SLOT: usize = 16;
    const BLOCK: usize = 16;
    const FILE_MAGIC: u32 = u32::from_le_bytes(*b"RpmP");
    const SLOT_MAGIC: u32 = u32::from_le_bytes(*b"Slot");
    const BLOB_MAGIC: u32 = u32::from_le_bytes(*b"BlbS");
    let malformed = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("it is no ndb database: {what}"));
    if std::fs::metadata(path)?.len() > NDB_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {NDB_BYTES_MAX} bytes")));
    }
    let bytes = std::fs::read(path)?;
    let number = |at: usize| bytes.get(at..at + 4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes were taken")));
    if number(0) != Some(FILE_MAGIC) {
        return Err(malformed("its head is another"));
    }
    let n_pages = number(12).map_or(0, |n| n as usize);
    if n_pages == 0 || n_pages > bytes.len() / PAGE {
        return Err(malformed("it ends early"));
    }
    // The head takes the room of two slots.
    for slot in (2 * SLOT..n_pages * PAGE).step_by(SLOT) {
        let (Some(SLOT_MAGIC), Some(index), Some(block)) = (number(slot), number(slot + 4), number(slot + 8)) else {
            return Err(malformed("a slot is missing"));
        };
        if index == 0 {
            continue;
        }
        let at = block as usize * BLOCK;
        let length = number(at + 12).map_or(0, |length| length as usize);
        if number(at) != Some(BLOB_MAGIC) || number(at + 4) != Some(index) || length > HEADER_BYTES_MAX {
            add(&[]);
            continue;
        }
        add(bytes.get(at + BLOCK..at + BLOCK + length).unwrap_or_default());
    }
    Ok(())
}

fn package(header: &Header) -> Option<RpmPackage> {
    let text = |tag| header.text(tag).filter(|text: &String| !text.is_empty());
    let epoch = header.number(tag::EPOCH).map(|epoch| epoch.to_string()).unwrap_or_default();
    let fields = Fields {
        name: text(tag::NAME)?,
        // Keys have none.
        architecture: text(tag::ARCHITECTURE).unwrap_or_else(|| "noarch".to_owned()),
        version: rpm::join(&epoch, &text(tag::VERSION)?, &text(tag::RELEASE)?),
        source_rpm: text(tag::SOURCE_RPM),
        installed_at: header.number(tag::INSTALL_TIME),
    };
    let provided = header.texts(tag::PROVIDES).zip(header.texts(tag::PROVIDES_VERSIONS));
    let ranked = provided.filter_map(|(name, version)| Some((RELEASES.iter().position(|known| *known == name)?, version)));
    let release = ranked.min().map(|(rank, version)| {
        let version = if version.is_empty() { &fields.version } else { &version };
        (rank, String::from_utf8_lossy(rpm::split(version.as_bytes()).version).into_owned())
    });
    Some(RpmPackage { release, ..fields.package() })
}

struct Fields {
    name: String,
    architecture: String,
    version: String,
    source_rpm: Option<String>,
    installed_at: Option<u32>,
}

impl Fields {
    fn package(self) -> RpmPackage {
        let source = self.source_rpm.as_deref().and_then(split_source);
        let without_epoch = self.version.split_once(':').map_or(self.version.clone(), |(_, rest)| rest.to_owned());
        let package = InstalledPackage {
            source: source.map_or_else(|| self.name.clone(), |(name, _)| name.to_owned()),
            source_version: source.map(|(_, version)| version.to_owned()).filter(|version| *version != without_epoch),
            installed_at: self.installed_at.and_then(|seconds| Timestamp::from_seconds(seconds.into())),
            ..InstalledPackage::new(self.name, self.architecture, self.version)
        };
        RpmPackage { package, release: None }
    }
}

/// Name and version of `bash-5.1.8-9.el9.src.rpm`.
pub fn split_source(file: &str) -> Option<(&str, &str)> {
    let stem = file.strip_suffix(".rpm")?;
    let stem = stem.strip_suffix(".src").or_else(|| stem.strip_suffix(".nosrc"))?;
    let hyphen = stem.rmatch_indices('-').nth(1)?.0;
    Some((&stem[..hyphen], &stem[hyphen + 1..]))
}

/// Asks the `rpm` of the node, or this machine's for another root.
fn query(root: &Root) -> io::Result<Vec<RpmPackage>> {
    const FORMAT: &str = "%{NAME}\\t%{ARCH}\\t%|EPOCH?{%{EPOCH}}:{0}|\\t%{VERSION}\\t%{RELEASE}\\t%{SOURCERPM}\\t%{INSTALLTIME}\\n";
    let path = root.path().display().to_string();
    let mut arguments = vec!["-qa", "--qf", FORMAT];
    if !root.is_running_system() {
        arguments.extend(["--root", &path]);
    }
    let output = command::run("rpm", &arguments).map_err(io::Error::other)?;
    Ok(output.lines().filter_map(parse_queried).filter(|package| package.package.name != KEY_PACKAGE).collect())
}

fn parse_queried(line: &str) -> Option<RpmPackage> {
    let fields: Vec<_> = line.split('\t').collect();
    let &[name, architecture, epoch, version, release, source, installed_at] = fields.as_slice() else { return None };
    let given = |text: &str| (text != "(none)").then(|| text.to_owned());
    let fields = Fields {
        name: name.to_owned(),
        architecture: given(architecture).unwrap_or_else(|| "noarch".to_owned()),
        version: rpm::join(epoch, version, release),
        source_rpm: given(source),
        installed_at: installed_at.parse().ok(),
    };
    Some(fields.package())
}
