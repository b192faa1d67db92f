//! Whether a node waits for a reboot: what packages asked for, and the kernel that runs.

use domain::model::inventory::Reboot;
use domain::model::package::InstalledPackage;
use domain::model::problem::Problem;
use domain::model::version::deb;

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
        causes.extend(kernel.newer_installed(packages));
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

struct Kernel {
    release: String,
    build: String,
}

impl Kernel {
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
        let flavour = |release: &str| {
            let at = release.as_bytes().windows(2).position(|pair| pair[0] == b'-' && pair[1].is_ascii_alphabetic())?;
            Some(release[at..].to_owned())
        };
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
}
