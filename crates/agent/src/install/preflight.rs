//! What stands in the way of a run, looked for before anything changes.

use std::fs::{self, OpenOptions};
use std::time::Duration;

use domain::model::package::InstalledPackage;
use domain::model::receipt::Hold;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::host;
use crate::package_manager::PackageManager;
use crate::root::Root;

/// Free room that every run needs on the file system of the packages.
const NEEDED_MIB: u64 = 128;
/// Between two looks at a lock.
const PAUSE: Duration = Duration::from_millis(500);
/// Most packages that a hold names.
const NAMED_MAX: usize = 20;

/// Files that package managers lock while they change something.
const LOCKS: [&str; 7] = [
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/cache/apt/archives/lock",
    "/var/lib/rpm/.rpm.lock",
    "/usr/lib/sysimage/rpm/.rpm.lock",
    "/lib/apk/db/lock",
    "/usr/lib/apk/db/lock",
];
/// Files that hold the number of the process while it changes something; pacman's is empty.
const PID_FILES: [&str; 4] = ["/run/zypp.pid", "/var/cache/dnf/metadata_lock.pid", "/var/run/yum.pid", PACMAN_LOCK];
const PACMAN_LOCK: &str = "/var/lib/pacman/db.lck";

/// Waits for another program that changes packages; the hold when it does not end in time.
pub fn wait_for_lock(root: &Root, wait: Duration) -> Option<Hold> {
    let mut n_looks = wait.as_millis() / PAUSE.as_millis();
    let mut lock = find_lock(root);
    while lock.is_some() && n_looks > 0 {
        std::thread::sleep(PAUSE);
        lock = find_lock(root);
        n_looks -= 1;
    }
    lock
}

/// What else stands in the way.
pub fn find_hold(root: &Root, manager: &PackageManager, packages: &[InstalledPackage]) -> Option<Hold> {
    find_broken(root, manager, packages).or_else(|| find_full(root)).or_else(|| find_weak_battery(root))
}

fn find_lock(root: &Root) -> Option<Hold> {
    let locked = LOCKS.into_iter().find_map(|file| Some((file, lock_holder(root, file)?)));
    if let Some((file, pid)) = locked {
        return Some(Hold::Locked { file: file.to_owned(), holder: name_of(pid) });
    }
    PID_FILES.into_iter().find_map(|file| {
        let text = fs::read_to_string(root.join(file)).ok()?;
        let pid = text.trim().parse::<i32>().ok();
        // One that is left over from a process that is gone holds nothing; pacman's says nothing, and holds.
        let holds = pid.map_or(file == PACMAN_LOCK, |pid| name_of(pid).is_some());
        holds.then(|| Hold::Locked { file: file.to_owned(), holder: pid.and_then(name_of) })
    })
}

/// The process that has a lock on a file.
fn lock_holder(root: &Root, file: &str) -> Option<i32> {
    let file = OpenOptions::new().read(true).write(true).open(root.join(file)).ok()?;
    let mut lock = libc::flock { l_type: short(libc::F_WRLCK), l_whence: short(libc::SEEK_SET), l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock)).ok()?;
    (lock.l_type != short(libc::F_UNLCK)).then_some(lock.l_pid)
}

fn short(value: i32) -> i16 {
    i16::try_from(value).expect("the kernel's constants are small")
}

fn name_of(pid: i32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} (process {pid})", name.trim()))
}

/// Packages that an installation of before left half done, and dpkg's journal of one that was interrupted.
fn find_broken(root: &Root, manager: &PackageManager, packages: &[InstalledPackage]) -> Option<Hold> {
    let broken: Vec<_> = packages.iter().filter(|package| package.state.is_broken()).map(|package| package.name.clone()).take(NAMED_MAX).collect();
    let has_journal = *manager == PackageManager::Apt && !root.list_names("/var/lib/dpkg/updates", &mut Vec::new()).is_empty();
    match (broken.is_empty(), has_journal) {
        (false, _) => Some(Hold::Interrupted { packages: broken }),
        (true, true) => Some(Hold::Interrupted { packages: vec!["what dpkg was doing".to_owned()] }),
        (true, false) => None,
    }
}

/// A machine on battery may lose its power in the middle.
fn find_weak_battery(root: &Root) -> Option<Hold> {
    const PERCENT_MIN: u8 = 30;
    const FOLDER: &str = "/sys/class/power_supply";
    let supplies = if root.is_running_system() { root.list_names(FOLDER, &mut Vec::new()) } else { Vec::new() };
    let read = |supply: &String, name: &str| fs::read_to_string(root.join(&format!("{FOLDER}/{supply}/{name}"))).map(|text| text.trim().to_owned()).unwrap_or_default();
    if supplies.iter().any(|supply| read(supply, "online") == "1") {
        return None;
    }
    let batteries = supplies.iter().filter(|supply| read(supply, "type") == "Battery" && read(supply, "scope") != "Device");
    let weakest = batteries.filter(|supply| read(supply, "status") == "Discharging").filter_map(|supply| read(supply, "capacity").parse().ok()).min();
    weakest.filter(|percent| *percent < PERCENT_MIN).map(|percent| Hold::OnBattery { percent })
}

/// Room that is missing.
pub fn find_full(root: &Root) -> Option<Hold> {
    ["/", "/var", "/usr", "/boot"].into_iter().find_map(|path| {
        let free_mib = host::free_mib(root, path)?;
        let needed_mib = if path == "/boot" { 0 } else { NEEDED_MIB };
        (free_mib < needed_mib).then(|| Hold::DiskFull { path: path.to_owned(), free_mib, needed_mib })
    })
}
