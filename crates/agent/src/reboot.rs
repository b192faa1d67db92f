//! Whether a node waits for a reboot: what packages asked for, and the kernel that runs.

use domain::model::advisory::Suggestion;
use domain::model::inventory::Reboot;
use domain::model::package::InstalledPackage;
use domain::model::problem::Problem;
use domain::model::time::Timestamp;
use domain::model::version::{deb, rpm};

use crate::root::Root;

/// Looks for causes and marks the packages that are among them.
pub fn find(root: &Root, packages: &mut [InstalledPackage], problems: &mut Vec<Problem>) -> Reboot {
    let mut causes = Vec::new();
    // /var/run is the same folder on a system that is up, and perhaps the only one in a folder.
    if let Some(run) = ["/run", "/var/run"].into_iter().find(|run| root.join(&format!("{run}/reboot-required")).exists()) {
        let asked = root.read_text(&format!("{run}/reboot-required.pkgs"), problems).unwrap_or_default();
        let mut names: Vec<_> = asked.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names.dedup();
        for package in packages.iter_mut().filter(|package| names.contains(&package.name.as_str())) {
            package.reboot_pending = true;
        }
        causes.push(if names.is_empty() { format!("{run}/reboot-required is there") } else { format!("asked for by {}", names.join(", ")) });
    }
    if root.is_running_system() {
        let kernel = Kernel { release: read_line(root, "/proc/sys/kernel/osrelease"), build: read_line(root, "/proc/version") };
        causes.extend(kernel.newer_installed(packages).or_else(|| kernel.newer_rpm(packages)));
        causes.extend(kernel.without_modules(&root.list_names("/lib/modules", problems), packages));
        if let Some(booted_at) = booted_at(&root.read_text("/proc/stat", problems).unwrap_or_default()) {
            causes.extend(installed_since(booted_at, packages));
        }
    } else if causes.is_empty() {
        return Reboot::Unknown;
    }
    if causes.is_empty() { Reboot::NotPending } else { Reboot::Pending { causes } }
}

/// The running kernel's release.
pub fn running_kernel(root: &Root) -> Option<String> {
    root.is_running_system().then(|| read_line(root, "/proc/sys/kernel/osrelease")).filter(|release| !release.is_empty())
}

fn read_line(root: &Root, path: &str) -> String {
    std::fs::read_to_string(root.join(path)).unwrap_or_default().trim().to_owned()
}

/// When the system booted, as the kernel's statistics say.
fn booted_at(statistics: &str) -> Option<Timestamp> {
    let seconds: i64 = statistics.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Timestamp::from_seconds(seconds)
}

/// What takes effect only after a boot on rpm systems: the list of dnf's own `needs-restarting`.
const NEED_REBOOT: [&str; 10] = ["kernel", "kernel-core", "kernel-rt", "glibc", "linux-firmware", "systemd", "dbus", "dbus-broker", "dbus-daemon", "microcode_ctl"];

/// Whether a package is in effect only after a boot, by its name.
pub fn needs_boot(name: &str) -> bool {
    let is_of_a_flavour = ["linux-image-", "kernel-default"].iter().any(|start| name.starts_with(start));
    NEED_REBOOT.contains(&name) || RPM_KERNELS.contains(&name) || is_of_a_flavour || takes_modules_along(name) || name == "libc6"
}

/// The kernels of Alpine and Arch: an upgrade takes the modules of the running one away.
fn takes_modules_along(name: &str) -> bool {
    name == "linux" || ["linux-lts", "linux-virt", "linux-zen"].iter().any(|start| name.starts_with(start))
}

/// Packages that were installed after the boot and need one: those of the list, and those whose advisory
/// suggests it. Marks them. dpkg and apk say of no package when it was installed, so this is for rpm and pacman.
fn installed_since(booted_at: Timestamp, packages: &mut [InstalledPackage]) -> Option<String> {
    let mut names = Vec::new();
    for package in packages.iter_mut().filter(|package| package.installed_at.is_some_and(|at| at > booted_at)) {
        let suggested = package.advisory.as_ref().is_some_and(|advisory| advisory.suggestion == Suggestion::Reboot);
        if suggested || NEED_REBOOT.contains(&package.name.as_str()) {
            package.reboot_pending = true;
            names.push(package.name.as_str());
        }
    }
    names.dedup();
    (!names.is_empty()).then(|| format!("installed since the boot, and in effect after the next: {}", names.join(", ")))
}

/// Packages of rpm kernels, by the flavour at the end of a release.
const RPM_KERNELS: [&str; 8] = ["kernel", "kernel-core", "kernel-default", "kernel-uek", "kernel-uek-core", "kernel-rt", "kernel-rt-core", "kernel-azure"];

struct Kernel {
    release: String,
    build: String,
}

impl Kernel {
    /// The newest installed package of the running kernel, when it is another. Releases are
    /// `version-release.arch` of the package; SUSE's leave the last number out and have the flavour at the end.
    fn newer_rpm(&self, packages: &[InstalledPackage]) -> Option<String> {
        let version = |package: &InstalledPackage| package.version.split_once(':').map_or(package.version.clone(), |(_, rest)| rest.to_owned());
        let runs = |package: &InstalledPackage| {
            let version = version(package);
            let of_suse = package.name.strip_prefix("kernel-").and_then(|flavour| self.release.strip_suffix(flavour)?.strip_suffix('-'));
            self.release == format!("{version}.{}", package.architecture)
                || of_suse.is_some_and(|release| version == release || version.rsplit_once('.').is_some_and(|(start, _)| start == release))
        };
        let kernels = || packages.iter().filter(|package| RPM_KERNELS.contains(&package.name.as_str()));
        let running = kernels().find(|package| runs(package))?;
        let newest = kernels().filter(|package| package.name == running.name).max_by(|a, b| rpm::compare(&a.version, &b.version))?;
        (newest.version != running.version).then(|| format!("kernel {} runs, {} is installed", self.release, version(newest)))
    }

    /// A kernel whose modules an upgrade took away.
    fn without_modules(&self, modules: &[String], packages: &[InstalledPackage]) -> Option<String> {
        let kernel = packages.iter().find(|package| takes_modules_along(&package.name))?;
        let is_gone = !modules.is_empty() && !modules.contains(&self.release);
        // Elsewhere, as in a container, the kernel is another machine's.
        let is_kin = modules.iter().any(|module| flavour(module) == flavour(&self.release));
        (is_gone && is_kin).then(|| format!("kernel {} runs, and {} {} has taken its place", self.release, kernel.name, kernel.version))
    }

    /// The newest installed kernel image of the running one's flavour, when it is another. Nothing
    /// is said on machines whose kernel is not one of their packages, such as containers.
    fn newer_installed(&self, packages: &[InstalledPackage]) -> Option<String> {
        let images = || {
            packages
                .iter()
                .filter_map(|package| Some((package, package.name.strip_prefix("linux-image-")?)))
                .filter(|(_, release)| release.starts_with(|c: char| c.is_ascii_digit()))
        };
        let (running, _) = images().find(|(_, release)| *release == self.release)?;
        let (newest, newest_release) = images().filter(|(_, release)| flavour(release) == flavour(&self.release)).max_by(|(_, a), (_, b)| deb::compare(a, b))?;
        if newest_release != self.release && deb::compare(newest_release, &self.release).is_gt() {
            return Some(format!("kernel {} runs, {newest_release} is installed", self.release));
        }
        // Debian's kernels name their package version: `#1 SMP PREEMPT_DYNAMIC Debian 6.1.147-1 (2025-08-02)`.
        let (_, after) = self.build.split_once(" Debian ")?;
        let built = after.split_whitespace().next()?;
        (newest.name == running.name && built != running.version).then(|| format!("kernel {} runs in build {built}, build {} is installed", self.release, running.version))
    }
}

/// The words at the end of a release, such as `-cloud-amd64`.
fn flavour(release: &str) -> Option<&str> {
    let at = release.as_bytes().windows(2).position(|pair| pair[0] == b'-' && pair[1].is_ascii_alphabetic())?;
    Some(&release[at..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::model::package::InstallState;

    fn image(release: &str, version: &str) -> InstalledPackage {
        InstalledPackage {
            name: format!("linux-image-{release}"),
            architecture: "amd64".into(),
            version: version.into(),
            source: "linux".into(),
            source_version: None,
            section: None,
            priority: None,
            state: InstallState::Installed,
            held: false,
            automatic: false,
            older_of_several: false,
            multi_arch: None,
            reboot_pending: false,
            repositories: vec![],
            advisory: None,
            installed_at: None,
        }
    }

    fn check(running: &str, build: &str, expected: Option<&str>) {
        let packages = [image("6.1.0-9-amd64", "6.1.27-1"), image("6.1.0-10-amd64", "6.1.38-1"), image("6.1.0-50-cloud-amd64", "6.1.99-1")];
        let kernel = Kernel { release: running.into(), build: build.into() };
        assert_eq!(kernel.newer_installed(&packages).as_deref(), expected);
    }

    #[test]
    fn an_older_kernel_of_the_same_flavour_waits_for_a_reboot() {
        check("6.1.0-9-amd64", "", Some("kernel 6.1.0-9-amd64 runs, 6.1.0-10-amd64 is installed"));
        check("6.1.0-10-amd64", "#1 SMP Debian 6.1.38-1 (2023)", None);
    }

    #[test]
    fn an_older_build_of_the_same_kernel_waits_too() {
        check("6.1.0-10-amd64", "Linux #1 SMP Debian 6.1.37-1 (2023)", Some("kernel 6.1.0-10-amd64 runs in build 6.1.37-1, build 6.1.38-1 is installed"));
    }

    #[test]
    fn a_kernel_that_is_no_package_says_nothing() {
        check("6.18.0", "Linux Debian 9", None);
    }

    #[test]
    fn an_older_rpm_kernel_waits_for_a_reboot() {
        let kernel = |name: &str, version: &str| InstalledPackage { name: name.into(), architecture: "x86_64".into(), ..image("", version) };
        let packages = [
            kernel("kernel-core", "5.14.0-503.el9"),
            kernel("kernel-core", "5.14.0-9.el9"),
            kernel("kernel-default", "6.4.0-150600.23.25.1"),
            kernel("kernel-default", "6.4.0-150600.23.30.1"),
        ];
        let waits = |release: &str| Kernel { release: release.into(), build: String::new() }.newer_rpm(&packages);
        assert_eq!(waits("5.14.0-9.el9.x86_64").as_deref(), Some("kernel 5.14.0-9.el9.x86_64 runs, 5.14.0-503.el9 is installed"));
        assert_eq!(waits("6.4.0-150600.23.25-default").as_deref(), Some("kernel 6.4.0-150600.23.25-default runs, 6.4.0-150600.23.30.1 is installed"));
        assert_eq!([waits("5.14.0-503.el9.x86_64"), waits("6.4.0-150600.23.30-default"), waits("6.18.0")], [None, None, None]);
    }

    #[test]
    fn a_kernel_whose_modules_are_gone_waits_for_a_reboot() {
        let packages = [InstalledPackage { name: "linux-virt".into(), ..image("", "6.12.9-r0") }];
        let waits = |release: &str, modules: &[&str]| {
            let modules: Vec<_> = modules.iter().map(|module| (*module).to_owned()).collect();
            Kernel { release: release.into(), build: String::new() }.without_modules(&modules, &packages)
        };
        assert_eq!(waits("6.12.8-0-virt", &["6.12.9-0-virt"]).as_deref(), Some("kernel 6.12.8-0-virt runs, and linux-virt 6.12.9-r0 has taken its place"));
        assert_eq!([waits("6.12.9-0-virt", &["6.12.9-0-virt"]), waits("6.1.0-9-amd64", &["6.12.9-0-virt"]), waits("6.12.8-0-virt", &[])], [None, None, None]);
    }

    #[test]
    fn what_needs_a_boot_and_was_installed_since_is_marked() {
        let at = |seconds: i64| Some(Timestamp::from_millis(seconds * 1000));
        let package = |name: &str, installed_at| InstalledPackage { name: name.into(), installed_at, ..image("", "1") };
        let mut packages = [package("glibc", at(200)), package("systemd", at(50)), package("bash", at(200)), package("glibc", None)];
        let booted_at = booted_at("cpu 1\nbtime 100\nctxt 7\n").unwrap();
        assert_eq!(installed_since(booted_at, &mut packages).as_deref(), Some("installed since the boot, and in effect after the next: glibc"));
        assert_eq!(packages.map(|package| package.reboot_pending), [true, false, false, false]);
    }
}
