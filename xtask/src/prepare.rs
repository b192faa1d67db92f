//! Installs what the tests need. Adds Debian packages; never upgrades one.

use std::path::Path;
use std::process::Command;

use crate::sh;

/// A file that shows that a package is there, and the package.
const PACKAGES: [(&str, &str); 15] = [
    ("/usr/lib/postgresql", "postgresql"),
    ("/usr/sbin/debootstrap", "debootstrap"),
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/sbin/ethtool", "ethtool"),
    ("/usr/bin/chromium", "chromium"),
    ("/usr/bin/chromedriver", "chromium-driver"),
    ("/usr/bin/musl-gcc", "musl-tools"),
    ("/usr/bin/pip", "python3-pip"),
    ("/usr/bin/qemu-img", "qemu-utils"),
    ("/usr/bin/lz4", "lz4"),
    ("/usr/bin/zstd", "zstd"),
    ("/usr/bin/xz", "xz-utils"),
    ("/usr/bin/gpg", "gnupg"),
    ("/usr/lib/python3/dist-packages/apt_pkg.cpython-311-x86_64-linux-gnu.so", "python3-apt"),
    ("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "fonts-dejavu-core"),
];

/// What some tests cannot do without: what it is, a file that shows it, and parts of their names.
const CAPABILITIES: [(&str, &str, &[&str]); 6] = [
    (
        "the rights of root",
        "",
        &["testbed::", "apt_candidates::", "refresh::", "native_versions::", "rpm_candidates::", "rpm_files::", "apk_candidates::", "pacman_candidates::", "postgres"],
    ),
    ("debootstrap", "/usr/sbin/debootstrap", &["testbed::", "apt_candidates::", "refresh::", "native_versions::", "rpm_candidates::", "rpm_files::", "pacman_candidates::"]),
    ("qemu-img", "/usr/bin/qemu-img", &["apk_candidates::", "native_versions::"]),
    ("iproute2", "/usr/sbin/ip", &["testbed::"]),
    ("PostgreSQL", "/usr/lib/postgresql", &["postgres"]),
    ("Chromium", "/usr/bin/chromedriver", &["browser::"]),
];

/// Installs what is missing, where that is possible.
pub fn prepare() -> anyhow::Result<()> {
    let missing: Vec<_> = PACKAGES.iter().filter(|(file, package)| !Path::new(file).exists() && !is_installed(package)).map(|(_, package)| *package).collect();
    if missing.is_empty() || !is_root()? || !sh::has("apt-get") {
        return Ok(());
    }
    sh::run("apt-get", &["update", "-qq"])?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-upgrade", "--no-install-recommends"]).args(missing).env("DEBIAN_FRONTEND", "noninteractive");
    sh::run_with(&mut install)
}

/// What this machine lacks, with parts of the names of the tests that need it.
pub fn missing_capabilities() -> anyhow::Result<Vec<(&'static str, &'static [&'static str])>> {
    let is_root = is_root()?;
    let is_missing = |file: &str| if file.is_empty() { !is_root } else { !Path::new(file).exists() };
    Ok(CAPABILITIES.into_iter().filter(|(_, file, _)| is_missing(file)).map(|(what, _, tests)| (what, tests)).collect())
}

fn is_root() -> anyhow::Result<bool> {
    Ok(sh::output(Command::new("id").arg("-u"))?.stdout == b"0\n")
}

fn is_installed(package: &str) -> bool {
    let output = sh::output(Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]));
    output.is_ok_and(|output| output.stdout == b"installed")
}
