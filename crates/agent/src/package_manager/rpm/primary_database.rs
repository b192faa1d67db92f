//! Packages of a repository as yum 3 keeps them: `primary_db.sqlite`.

use std::io;
use std::path::Path;

use domain::model::version::rpm;
use rusqlite::{Connection, OpenFlags, Row};

use super::database::escape;
use super::summary::{ListedPackage, Obsoletes, SummaryWriter};

const PACKAGES: &str = "SELECT epoch, version, release, name, arch, rpm_vendor, rpm_sourcerpm, time_build, pkgKey FROM packages WHERE arch NOT IN ('src', 'nosrc')";
const OBSOLETES: &str = "SELECT epoch, version, release, name, flags FROM obsoletes WHERE pkgKey = ?1";

/// Reads every package.
pub fn read(path: &Path, summary: &mut SummaryWriter) -> io::Result<()> {
    read_packages(path, summary).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("it is no database of yum: {error}")))
}

fn read_packages(path: &Path, summary: &mut SummaryWriter) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("file:{}?immutable=1", escape(path)), flags)?;
    let (mut packages, mut obsoletes) = (connection.prepare(PACKAGES)?, connection.prepare(OBSOLETES)?);
    let mut rows = packages.query([])?;
    while let Some(row) = rows.next()? {
        let [name, architecture, vendor, source_rpm] = [3, 4, 5, 6].map(|column| text(row, column));
        let listed = ListedPackage { name: &name, architecture: &architecture, version: &version(row), built_at: row.get(7)?, source_rpm: &source_rpm };
        summary.add_package(&listed, &vendor);
        let mut others = obsoletes.query([row.get::<_, i64>(8)?])?;
        while let Some(row) = others.next()? {
            summary.add_obsoletes(&Obsoletes { name: &text(row, 3), flags: &text(row, 4), version: &version(row) });
        }
    }
    Ok(())
}

/// The version, which the first three columns hold.
fn version(row: &Row) -> String {
    let [epoch, version, release] = [0, 1, 2].map(|column| text(row, column));
    rpm::join(&epoch, &version, &release)
}

fn text(row: &Row, column: usize) -> String {
    row.get_ref(column).ok().and_then(|value| value.as_bytes_or_null().ok().flatten()).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}
