//! Files as they should not be: nothing panics, nothing is lost in silence.

use std::fs;
use std::path::Path;

use agent::inventory::{self, CollectError};
use agent::root::Root;
use domain::model::inventory::Inventory;
use domain::model::problem::ProblemCode;
use domain::model::time::Timestamp;
use proptest::prelude::*;

const STATUS: &str =
    "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12\n\nPackage: curl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 7.88\n";
const LIST: &str = "Package: curl\nVersion: 7.89\nArchitecture: amd64\n";

/// A small system: two packages, one repository, one update.
fn system() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "var/lib/dpkg/status", STATUS);
    write(root.path(), "etc/os-release", "ID=debian\nVERSION_ID=12\n");
    write(root.path(), "etc/apt/sources.list", "deb http://deb.example/debian bookworm main\n");
    write(root.path(), "var/lib/apt/lists/deb.example_debian_dists_bookworm_InRelease", "-----BEGIN PGP SIGNED MESSAGE-----\n\nOrigin: Debian\nLabel: Debian\n");
    write(root.path(), "var/lib/apt/lists/deb.example_debian_dists_bookworm_main_binary-amd64_Packages", LIST);
    root
}

fn write(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn write_list(root: &Path, bytes: impl AsRef<[u8]>) {
    write(root, "var/lib/apt/lists/deb.example_debian_dists_bookworm_main_binary-amd64_Packages", bytes);
}

fn collect(root: &Path) -> Inventory {
    inventory::collect(&Root::new(root), None, Timestamp::from_millis(0)).unwrap()
}

#[track_caller]
fn check_problem(inventory: &Inventory, code: ProblemCode, part: &str) {
    assert!(inventory.problems.iter().any(|problem| problem.code == code && problem.message.contains(part)), "{:?}", inventory.problems);
}

#[test]
fn a_small_system_has_its_update_and_no_problem() {
    let root = system();
    let inventory = collect(root.path());
    assert_eq!((inventory.packages.len(), inventory.available.len()), (2, 1));
    assert_eq!(inventory.problems, []);
}

#[test]
fn a_folder_without_a_system_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let error = inventory::collect(&Root::new(empty.path()), None, Timestamp::from_millis(0)).unwrap_err();
    assert!(matches!(error, CollectError::NoPackageManager { .. }));
    let error = inventory::collect(&Root::new(empty.path().join("absent")), None, Timestamp::from_millis(0)).unwrap_err();
    assert!(matches!(error, CollectError::Root { .. }));
}

#[test]
fn a_package_without_a_version_is_a_problem_and_the_others_stay() {
    let root = system();
    write(root.path(), "var/lib/dpkg/status", STATUS.replace("Version: 12\n", ""));
    let inventory = collect(root.path());
    assert_eq!(inventory.packages.len(), 1);
    check_problem(&inventory, ProblemCode::Malformed, "package `base-files` has no Version field (stanza at byte 0)");
}

#[test]
fn an_absurd_field_is_left_out_and_said() {
    let root = system();
    write(
        root.path(),
        "var/lib/dpkg/status",
        format!("{STATUS}\nPackage: big\nDescription: {}\n\nPackage: last\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n", "x".repeat(10 << 20)),
    );
    let inventory = collect(root.path());
    assert_eq!(inventory.packages.len(), 3);
    check_problem(&inventory, ProblemCode::LimitReached, "1 stanzas of /var/lib/dpkg/status are longer than");
}

#[test]
fn a_list_that_is_cut_off_is_noticed_by_its_release_file() {
    let root = system();
    let release = format!("-----BEGIN PGP SIGNED MESSAGE-----\n\nOrigin: Debian\nSHA256:\n aa {} main/binary-amd64/Packages\n", LIST.len());
    write(root.path(), "var/lib/apt/lists/deb.example_debian_dists_bookworm_InRelease", release);
    assert_eq!(collect(root.path()).problems, []);
    write_list(root.path(), &LIST[..20]);
    check_problem(&collect(root.path()), ProblemCode::Malformed, "it is cut off or was changed");
}

#[test]
fn binary_lists_and_wrong_encodings_are_problems() {
    let root = system();
    let mut bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    bytes.extend_from_slice(b"\n\n");
    bytes.extend_from_slice(LIST.as_bytes());
    write_list(root.path(), bytes);
    let inventory = collect(root.path());
    assert_eq!(inventory.available.len(), 1, "the good stanza after the bad ones is used");
    check_problem(&inventory, ProblemCode::Malformed, "were not understood");
    write(root.path(), "var/lib/dpkg/status", b"Package: \xff\xfe\nStatus: install ok installed\n\n\0\0\0".as_slice());
    check_problem(&collect(root.path()), ProblemCode::Malformed, "no valid Package field");
}

#[test]
fn a_list_entry_with_an_impossible_version_is_left_out_and_counted() {
    let root = system();
    write_list(root.path(), "Package: curl\nVersion: not a version\nArchitecture: amd64\n");
    let inventory = collect(root.path());
    assert_eq!(inventory.available, []);
    check_problem(&inventory, ProblemCode::Malformed, "1 stanzas of");
}

#[test]
fn absent_lists_and_bad_sources_are_problems() {
    let root = system();
    write(root.path(), "etc/apt/sources.list.d/other.list", "deb http://other.example/ x main\ndeb broken\n");
    write(root.path(), "etc/apt/preferences", "Package: curl\nPin: nonsense\nPin-Priority: 1\n");
    let inventory = collect(root.path());
    check_problem(&inventory, ProblemCode::ListsMissing, "other.example");
    check_problem(&inventory, ProblemCode::Malformed, "/etc/apt/sources.list.d/other.list:2: the distribution is missing");
    check_problem(&inventory, ProblemCode::Malformed, "the pin `nonsense` is not understood");
}

#[test]
fn passwords_in_sources_are_not_reported() {
    let root = system();
    write(root.path(), "etc/apt/sources.list", "deb http://user:secret@deb.example/debian bookworm main\n");
    let inventory = collect(root.path());
    assert_eq!(inventory.available.len(), 1);
    assert!(!serde_json::to_string(&inventory).unwrap().contains("secret"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Every file that a scan reads, filled with what is almost right or not at all.
    #[test]
    fn foreign_bytes_never_panic_and_never_hide_a_good_package(
        file in prop::sample::select(vec![
            "var/lib/dpkg/status",
            "var/lib/dpkg/arch",
            "var/lib/apt/extended_states",
            "var/lib/apt/lists/deb.example_debian_dists_bookworm_InRelease",
            "var/lib/apt/lists/deb.example_debian_dists_bookworm_main_binary-amd64_Packages",
            "etc/apt/sources.list",
            "etc/apt/sources.list.d/x.sources",
            "etc/apt/preferences",
            "etc/apt/apt.conf",
            "etc/os-release",
            "etc/machine-id",
        ]),
        lines in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "(Package|Version|Architecture|Status|Source|Pin|Pin-Priority|Types|URIs|Suites|Components|Phased-Update-Percentage|SHA256): ?[ -~]{0,20}".prop_map(String::into_bytes),
            "(deb( \\[[ -~]{0,10}\\])? [ -~]{0,20}|APT::[A-Za-z:]{0,10} \\{? ?\"[ -~]{0,8}\"?;?\\}?|[ \\t]?[ -~]{0,10}|)".prop_map(String::into_bytes),
        ], 0..30),
    ) {
        let root = system();
        write(root.path(), file, lines.join(&b'\n'));
        let inventory = collect(root.path());
        if file != "var/lib/dpkg/status" {
            prop_assert_eq!(inventory.packages.len(), 2);
        }
    }
}
