//! New versions of configuration files that lie beside those that an owner changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::entries;
use crate::root::Root;

/// How dpkg, rpm, apk and pacman name them.
const ENDINGS: [&str; 6] = [".dpkg-dist", ".dpkg-new", ".ucf-dist", ".rpmnew", ".apk-new", ".pacnew"];
const DEPTH_MAX: usize = 12;
const FILES_MAX: usize = 200_000;

/// Every such file below `/etc`, as a path of the system.
pub fn find(root: &Root) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<(PathBuf, usize)> = vec![(root.join("/etc"), 0)];
    let mut n_files = 0;
    while let Some((folder, depth)) = folders.pop() {
        for entry in entries(&folder) {
            n_files += 1;
            if n_files > FILES_MAX {
                return found;
            }
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && depth < DEPTH_MAX {
                folders.push((entry.path(), depth + 1));
            } else if kind.is_file() && entry.file_name().to_str().is_some_and(|name| ENDINGS.iter().any(|ending| name.ends_with(ending))) {
                found.extend(in_system(root, &entry.path()));
            }
        }
    }
    found
}

fn in_system(root: &Root, path: &Path) -> Option<String> {
    Some(format!("/{}", path.strip_prefix(root.path()).ok()?.to_str()?))
}
