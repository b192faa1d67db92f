//! The way back of apt: package files of installed versions, from apt's cache, from a repository that still has them, or built anew from
//! what is installed; and what installs them again.

use std::path::PathBuf;
use std::time::Duration;

use domain::model::package::InstalledPackage;
use domain::model::transaction::Change;

use super::install::{ARGUMENTS, KEEP, keep_automatic};
use super::simulate::{name_of, wish};
use crate::command::{self, CommandError, Output, Watch};
use crate::package_manager::{Back, keep_file};
use crate::root::Root;

/// Where apt keeps what it downloaded.
pub const ARCHIVES: &str = "/var/cache/apt/archives";
/// How long downloading or building may take.
const PATIENCE: Duration = Duration::from_mins(30);

/// Builds packages from what is installed, each given as NAME and FILE. What dpkg knows of it becomes its control
/// files; files that an owner changed go in as they are. The folders of old are links on merged systems and are left out.
const BUILD: &str = r#"
out=$1; shift
while [ $# -gt 1 ]; do
    name=$1 file=$2; shift 2
    tree=$(mktemp -d "$out/build-XXXXXX") || exit 1
    mkdir "$tree/DEBIAN"
    known=/var/lib/dpkg/info/$name
    [ -e "$known.list" ] || known=/var/lib/dpkg/info/${name%:*}
    while IFS= read -r path; do
        case $path in /bin | /sbin | /lib | /lib32 | /lib64 | /libx32) [ -L "$path" ] && continue ;; esac
        if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\n' "$path"; fi
    done < "$known.list" | tar --create --no-recursion --directory=/ --files-from=- 2>/dev/null | tar --extract --preserve-permissions --directory="$tree"
    status=$(dpkg-query --status "$name")
    printf '%s\n' "$status" | sed -e '/^Status:/d' -e '/^Config-Version:/d' -e '/^Conffiles:/,/^[^ C]/{/^Conffiles:/d;/^ /d}' > "$tree/DEBIAN/control"
    printf '%s\n' "$status" | sed -n '/^Conffiles:/,/^[^ C]/s/^ \(.*\) [0-9a-f]\{32\}$/\1/p' | while IFS= read -r path; do
        [ -e "$tree$path" ] && printf '%s\n' "$path"
    done > "$tree/DEBIAN/conffiles"
    for part in preinst postinst prerm postrm triggers templates config shlibs symbols; do
        [ -e "$known.$part" ] && cp -p "$known.$part" "$tree/DEBIAN/$part"
    done
    chmod 0755 "$tree" "$tree/DEBIAN"
    dpkg-deb -Znone --build "$tree" "$out/$file" >/dev/null || rm -f "$out/$file"
    rm -rf "$tree"
done
"#;

/// Puts the files of these versions into a folder, as far as they are to be had.
pub fn keep(root: &Root, old: &[&InstalledPackage], folder: &str, watch: Watch<'_>) {
    for change in old.iter().map(|package| Change::of(package)) {
        keep_file(root, &format!("{ARCHIVES}/{}", file_name(&change)), folder);
    }
    let is_lacking = |package: &&&InstalledPackage| find_kept(root, folder, &Change::of(package)).is_none();
    let offered: Vec<_> = old.iter().filter(|package| !package.repositories.is_empty()).filter(is_lacking).map(|package| Change::of(package)).collect();
    if !offered.is_empty() {
        let wished: Vec<_> = offered.iter().map(wish).collect();
        let script = "cd \"$0\" && exec apt-get --quiet --option=APT::Sandbox::User=root --option=Acquire::Retries=0 download \"$@\"";
        let arguments: Vec<_> = ["-c", script, folder].into_iter().chain(wished.iter().map(String::as_str)).collect();
        // What does not come is built below.
        let _ = command::change(root, "sh", &arguments, PATIENCE, watch);
    }
    let lacking: Vec<_> = old.iter().filter(is_lacking).map(|package| Change::of(package)).collect();
    if !lacking.is_empty() {
        let named: Vec<_> = lacking.iter().flat_map(|change| [name_of(change), file_name(change)]).collect();
        let arguments: Vec<_> = ["-c", BUILD, "build", folder].into_iter().chain(named.iter().map(String::as_str)).collect();
        // What cannot be built is told as lost.
        let _ = command::change(root, "sh", &arguments, PATIENCE, watch);
    }
}

/// The file of a version.
pub fn find_kept(root: &Root, folder: &str, change: &Change) -> Option<PathBuf> {
    let path = root.join(&format!("{folder}/{}", file_name(change)));
    path.is_file().then_some(path)
}

/// As apt names it: a colon is no part of a file's name.
fn file_name(change: &Change) -> String {
    format!("{}_{}_{}.deb", change.name, change.version.replace(':', "%3a"), change.architecture)
}

/// Installs older versions from files, and takes packages away.
pub fn go_back(root: &Root, back: &Back<'_>, is_dry: bool, patience: Duration, watch: Watch<'_>) -> Result<Output, CommandError> {
    let gone: Vec<_> = back.goes.iter().map(|change| format!("{}-", name_of(change))).collect();
    let dry = is_dry.then_some("--simulate");
    let arguments = ARGUMENTS.into_iter().chain([KEEP, "--allow-downgrades", "--allow-change-held-packages"]).chain(dry).chain(["install"]);
    let arguments: Vec<_> = arguments.chain(back.files.iter().map(String::as_str)).chain(gone.iter().map(String::as_str)).collect();
    let mut output = command::change(root, "apt-get", &arguments, patience, watch)?;
    if !is_dry {
        keep_automatic(root, &back.now.packages, &[], patience, &mut output)?;
    }
    Ok(output)
}
