//! Who else changes this machine's packages, and what takes the place of a reboot: other updaters, images,
//! patches of the running kernel.

use std::collections::BTreeMap;

use domain::model::problem::{Problem, ProblemCode};

use crate::root::Root;

/// Units of other updaters, and what each belongs to.
pub const UPDATERS: [(&str, &str); 9] = [
    ("apt-daily-upgrade.timer", "unattended-upgrades"),
    ("dnf-automatic.timer", "dnf-automatic"),
    ("dnf-automatic-install.timer", "dnf-automatic"),
    ("dnf5-automatic.timer", "dnf-automatic"),
    ("yum-cron.service", "yum-cron"),
    ("transactional-update.timer", "transactional-update"),
    ("os-update.timer", "os-update"),
    ("rpm-ostreed-automatic.timer", "rpm-ostree"),
    ("bootc-fetch-apply-updates.timer", "bootc"),
];
const WANTS: [&str; 3] = ["/etc/systemd/system/timers.target.wants", "/etc/systemd/system/multi-user.target.wants", "/usr/lib/systemd/system/timers.target.wants"];
/// Patches of the running kernel by kpatch, kGraft and livepatch are all listed here.
const LIVE_PATCHES: &str = "/sys/kernel/livepatch";

/// Tags that say so.
pub fn tags(root: &Root) -> BTreeMap<String, String> {
    let is_enabled = |unit: &str| WANTS.iter().any(|folder| root.join(&format!("{folder}/{unit}")).symlink_metadata().is_ok());
    let mut updaters: Vec<_> = UPDATERS.iter().filter(|(unit, _)| is_enabled(unit)).map(|(_, name)| *name).collect();
    updaters.dedup();
    let live_patches = if root.is_running_system() { root.list_names(LIVE_PATCHES, &mut Vec::new()) } else { Vec::new() };
    let found = [("updater", updaters.join(",")), ("live-patch", live_patches.join(",")), ("image", image(root).unwrap_or_default().to_owned())];
    found.into_iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A root that is replaced as a whole cannot be patched in place.
pub fn image_problem(root: &Root) -> Option<Problem> {
    let kind = image(root)?;
    let problem = Problem::new(ProblemCode::ImageBased, "/", format!("the root is an image of {kind}: it must be replaced by a newer one, not patched in place"));
    Some(problem.with_hint(format!("update the image with {kind}, and reboot into it")))
}

/// What the root is an image of.
fn image(root: &Root) -> Option<&'static str> {
    let exists = |path: &str| root.join(path).exists();
    if exists("/run/ostree-booted") || (exists("/ostree/repo") && exists("/sysroot")) {
        return Some("ostree");
    }
    (exists("/usr/sbin/transactional-update") && is_read_only(&root.read_text("/etc/fstab", &mut Vec::new())?)).then_some("transactional-update")
}

/// Whether a table of file systems mounts the root read-only.
fn is_read_only(table: &str) -> bool {
    let roots = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|fields| fields.get(1) == Some(&"/"));
    roots.filter_map(|fields| fields.get(3).copied()).any(|options| options.split(',').any(|option| option == "ro"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_updaters_and_images_are_recognised() {
        let folder = testkit::folder();
        let root = Root::new(folder.path());
        assert_eq!((tags(&root), image_problem(&root)), (BTreeMap::new(), None));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("/etc/systemd/system/timers.target.wants/dnf-automatic.timer", "");
        write("/etc/systemd/system/timers.target.wants/dnf-automatic-install.timer", "");
        write("/usr/sbin/transactional-update", "");
        write("/etc/fstab", "# root\nUUID=1 / btrfs rw 0 0\n");
        assert_eq!(tags(&root), BTreeMap::from([("updater".into(), "dnf-automatic".into())]));
        write("/etc/fstab", "UUID=1 / btrfs ro,noatime 0 0\n");
        assert!(image_problem(&root).unwrap().message.contains("transactional-update"));
        write("/run/ostree-booted", "");
        assert_eq!(tags(&root).get("image").map(String::as_str), Some("ostree"));
    }
}
