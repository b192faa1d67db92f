//! Files of rpm nodes as they should not be: nothing panics, nothing is lost in silence.

use std::fs;

use agent::inventory::{self, CollectError};
use agent::root::Root;
use domain::model::inventory::Inventory;
use domain::model::problem::ProblemCode;
use domain::model::time::Timestamp;
use testkit::roots::Overlay;
use testkit::rpm::{Repository, configure, folder, node};

fn scan(node: &Overlay) -> Inventory {
    inventory::collect(&Root::new(node.path()), None, Timestamp::from_millis(0)).unwrap()
}

/// The folder where dnf keeps the metadata of the repository.
fn cached(node: &Overlay) -> std::path::PathBuf {
    let cache = node.path().join("var/cache/dnf");
    let found = fs::read_dir(cache).unwrap().flatten().find(|entry| entry.file_name().to_string_lossy().starts_with("base-") && entry.path().is_dir());
    found.unwrap().path().join("repodata")
}

fn repository(node: &Overlay, more: &str) {
    let base = Repository::default().package("tb-lib 0 1.1 1 x86_64").advisory("SA-1", "security", "Low", &["tb-lib 0 1.1 1 x86_64"]);
    base.write(node, &folder("base"));
    configure(node, "base", more);
    node.shell("rm -rf /var/cache/dnf; dnf -q makecache");
}

#[track_caller]
fn check_problem(node: &Overlay, code: ProblemCode, part: &str) {
    let inventory = scan(node);
    let found = inventory.problems.iter().any(|problem| problem.code == code && problem.message.contains(part));
    assert!(found, "{:?}", inventory.problems);
    assert_eq!((inventory.available.len(), inventory.repositories.len()), (0, 0), "nothing of it counts");
}

#[test]
fn metadata_that_is_absent_damaged_or_hostile_is_a_problem() {
    let node = node(&["fedora-release 0 41 1 noarch", "tb-lib 0 1.0 1 x86_64"]);
    repository(&node, "");
    assert_eq!(scan(&node).available.len(), 1);

    let primary = fs::read_dir(cached(&node)).unwrap().flatten().find(|entry| entry.file_name().to_string_lossy().contains("primary.xml")).unwrap().path();
    let whole = fs::read(&primary).unwrap();
    fs::write(&primary, [&whole[..], b"x"].concat()).unwrap();
    check_problem(&node, ProblemCode::FileUnreadable, "its checksum is ");
    fs::remove_file(&primary).unwrap();
    check_problem(&node, ProblemCode::FileUnreadable, "primary.xml");
    fs::write(&primary, &whole).unwrap();
    assert_eq!(scan(&node).available.len(), 1);

    let index = cached(&node).join("repomd.xml");
    let text = fs::read_to_string(&index).unwrap();
    for (damaged, part) in [
        (text.replace("type=\"primary\"", "type=\"other\""), "names no primary metadata"),
        (text.replace("type=\"sha256\"", "type=\"md5\""), "its checksum is `md5`, which proves nothing"),
        (text[..text.len() / 2].to_owned(), "the metadata of the repository `base` cannot be used"),
        (text.replace("<revision>", "<!DOCTYPE x [<!ENTITY a 'aa'>]><revision>&a;"), "uses the entity `a`"),
        (String::new(), "names no primary metadata"),
    ] {
        fs::write(&index, damaged).unwrap();
        check_problem(&node, ProblemCode::FileUnreadable, part);
    }
    fs::remove_dir_all(node.path().join("var/cache/dnf")).unwrap();
    check_problem(&node, ProblemCode::ListsMissing, "the metadata of the repository `base` is not on disk");
}

#[test]
fn metadata_without_its_signature_is_not_used_where_one_is_required() {
    let node = node(&["fedora-release 0 41 1 noarch", "tb-lib 0 1.0 1 x86_64"]);
    repository(&node, "");
    configure(&node, "base", "repo_gpgcheck=1");
    check_problem(&node, ProblemCode::FileUnreadable, "it must be signed");
}

#[test]
fn every_form_of_the_rpm_database_is_read_and_a_damaged_one_is_refused() {
    let node = node(&["fedora-release 0 41 1 noarch", "tb-lib 3 1.0 1 x86_64", "kernel 0 6.1 1 x86_64", "kernel 0 6.2 1 x86_64"]);
    let of_sqlite = scan(&node).packages;
    assert_eq!(of_sqlite.len(), 4);
    node.shell("rpm --define '_db_backend ndb' --rebuilddb 2>/dev/null; rm -f /var/lib/rpm/rpmdb.sqlite*; ls /var/lib/rpm/Packages.db");
    assert_eq!(scan(&node).packages, of_sqlite);

    let database = node.path().join("var/lib/rpm/Packages.db");
    let whole = fs::read(&database).unwrap();
    for length in [0, 3, 31, 40, 4095, 4096, 5000, whole.len() - 400] {
        fs::write(&database, &whole[..length]).unwrap();
        match inventory::collect(&Root::new(node.path()), None, Timestamp::from_millis(0)) {
            Ok(inventory) => assert!(inventory.packages.len() < 4 && !inventory.problems.is_empty(), "{length} bytes"),
            Err(CollectError::Database { .. } | CollectError::NoPackageManager { .. }) => {}
            Err(error) => panic!("{length} bytes: {error}"),
        }
    }
    fs::remove_file(&database).unwrap();
    node.write("var/lib/rpm/rpmdb.sqlite", "no database");
    let error = inventory::collect(&Root::new(node.path()), None, Timestamp::from_millis(0)).unwrap_err();
    assert!(matches!(error, CollectError::Database { .. }), "{error}");
}

/// As Fedora's dnf keeps it; Debian's fetches no zchunk files, so they are put where it would.
#[test]
fn metadata_in_chunks_is_read() {
    let node = node(&["fedora-release 0 41 1 noarch", "tb-lib 0 1.0 1 x86_64"]);
    let mut base = Repository::default().package("tb-lib 0 1.1 1 x86_64").advisory("SA-1", "security", "Low", &["tb-lib 0 1.1 1 x86_64"]);
    for number in 0..2000 {
        base = base.package(&format!("tb-other-{number} 0 1.0 1 noarch"));
    }
    base.in_chunks().write(&node, &folder("base"));
    configure(&node, "base", "");
    node.shell("rm -rf /var/cache/dnf; dnf -q makecache");
    let plain = scan(&node);
    node.shell("cd /var/cache/dnf/base-*/repodata; rm *.xml.*; cp /repositories/41/base/repodata/*.zck .; ls *primary.xml.zck *updateinfo.xml.zck");
    let in_chunks = scan(&node);
    assert_eq!((in_chunks.available, in_chunks.problems), (plain.available, vec![]));
    assert!(in_chunks.packages.iter().any(|package| package.name == "tb-lib"));

    let primary = fs::read_dir(cached(&node)).unwrap().flatten().find(|entry| entry.file_name().to_string_lossy().ends_with("primary.xml.zck")).unwrap().path();
    let whole = fs::read(&primary).unwrap();
    fs::write(&primary, &whole[..whole.len() - 1]).unwrap();
    check_problem(&node, ProblemCode::FileUnreadable, "its checksum is ");
}

/// As yum 3 keeps it on Amazon Linux 2. There is no yum 3 here, so its folder is laid out as it does that.
#[test]
fn metadata_of_yum_is_read_from_its_databases() {
    let node = node(&["system-release 0 2 1 noarch", "tb-lib 0 1.0 1 x86_64", "tb-old 0 1.0 1 noarch"]);
    node.write("etc/os-release", "ID=amzn\nVERSION_ID=2\nPRETTY_NAME=\"Amazon Linux 2\"\n");
    let base = Repository::default()
        .package("tb-lib 2 1.1 1 x86_64")
        .package_that("tb-new 0 3 1 noarch", "<rpm:obsoletes><rpm:entry name=\"tb-old\" flags=\"LT\" epoch=\"0\" ver=\"2\"/></rpm:obsoletes>")
        .advisory("ALAS-1", "security", "important", &["tb-lib 2 1.1 1 x86_64"]);
    base.write(&node, &folder("base"));
    configure(&node, "base", "");
    node.shell(
        "cd /repositories/41/base; sqliterepo_c -q .; mkdir -p /var/cache/yum/x86_64/41/base/gen; cp repodata/repomd.xml repodata/*updateinfo* /var/cache/yum/x86_64/41/base; \
         python3 -c 'import bz2, glob; open(\"/var/cache/yum/x86_64/41/base/gen/primary_db.sqlite\", \"wb\").write(bz2.open(glob.glob(\"repodata/*primary.sqlite.bz2\")[0]).read())'",
    );
    let inventory = scan(&node);
    assert_eq!(inventory.problems, []);
    let offered: Vec<_> =
        inventory.available.iter().map(|version| (version.name.as_str(), version.version.as_str(), version.offer.replacement().map(|other| other.name.as_str()))).collect();
    assert_eq!(offered, [("tb-lib", "2:1.1-1", None), ("tb-old", "3-1", Some("tb-new"))]);
    assert_eq!(inventory.available[0].advisory.as_ref().unwrap().ids, ["ALAS-1"]);

    let database = node.path().join("var/cache/yum/x86_64/41/base/gen/primary_db.sqlite");
    fs::write(&database, "SQLite format 3").unwrap();
    check_problem(&node, ProblemCode::FileUnreadable, "gen/primary_db.sqlite: its checksum is ");
}
