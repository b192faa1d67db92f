//! Installs what the tests need. Adds Debian packages; never upgrades one.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;

use crate::sh;

/// A file that shows that a package is there, and the package.
const PACKAGES: [(&str, &str); 9] = [
    ("/usr/lib/postgresql", "postgresql"),
    ("/usr/sbin/debootstrap", "debootstrap"),
    ("/usr/bin/chromium", "chromium"),
    ("/usr/bin/chromedriver", "chromium-driver"),
    ("/usr/bin/lz4", "lz4"),
    ("/usr/bin/zstd", "zstd"),
    ("/usr/bin/xz", "xz-utils"),
    ("/usr/lib/python3/dist-packages/apt_pkg.cpython-311-x86_64-linux-gnu.so", "python3-apt"),
    ("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "fonts-dejavu-core"),
];

/// Installs what is missing.
pub fn prepare() -> anyhow::Result<()> {
    let missing: Vec<_> = PACKAGES.iter().filter(|(file, package)| !Path::new(file).exists() && !is_installed(package)).map(|(_, package)| *package).collect();
    let is_root = sh::output(Command::new("id").arg("-u"))?.stdout == b"0\n";
    ensure!(is_root, "the tests make package roots and overlays: run them as root, such as in a container");
    if missing.is_empty() {
        return Ok(());
    }
    sh::run("apt-get", &["update", "-qq"])?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-upgrade", "--no-install-recommends"]).args(missing).env("DEBIAN_FRONTEND", "noninteractive");
    sh::run_with(&mut install)
}

fn is_installed(package: &str) -> bool {
    let output = sh::output(Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]));
    output.is_ok_and(|output| output.stdout == b"installed")
}
