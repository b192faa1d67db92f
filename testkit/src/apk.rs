//! Alpine's own updates without its mirror: packages that differ between two Alpines, made anew from their files.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::roots::Overlay;

/// Too large for what they would show.
const LEFT_OUT: &str = "linux-virt";

/// Offers an Alpine the packages that a newer one has in other versions, and its own, as a mirror does.
pub fn offer_updates(older: &Overlay, newer: &Overlay) {
    let (before, after) = (installed(&older.path()), installed(&newer.path()));
    let is_newer = |package: &&Package| before.get(package.field("P")).is_some_and(|older| older.version() != package.version());
    for (node, packages) in [(older, before.values().collect::<Vec<_>>()), (newer, after.values().filter(is_newer).collect())] {
        node.shell("mkdir -p /updates/x86_64 /build");
        packages.into_iter().filter(|package| package.field("P") != LEFT_OUT).for_each(|package| package.make_anew(node));
    }
    let made = newer.path().join("updates/x86_64");
    for entry in fs::read_dir(&made).expect("packages were made").flatten() {
        fs::copy(entry.path(), older.path().join("updates/x86_64").join(entry.file_name())).expect("a package can be copied");
    }
    older.write("etc/apk/config", "allow-untrusted\n").write("etc/apk/repositories", "/updates\n");
    older.shell("rm -r /build; cd /updates/x86_64; apk mkndx --allow-untrusted -o APKINDEX.tar.gz *.apk 2>/dev/null; apk update >/dev/null");
}

/// A record of apk's database: fields are a letter, a colon, and the value.
struct Package(String);

fn installed(root: &Path) -> BTreeMap<String, Package> {
    let text = fs::read_to_string(root.join("lib/apk/db/installed")).expect("an Alpine has apk's database");
    let records = text.split("\n\n").filter(|record| !record.trim().is_empty()).map(|record| Package(record.to_owned()));
    records.map(|package| (package.field("P").to_owned(), package)).collect()
}

impl Package {
    fn fields<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.lines().filter_map(|line| line.split_once(':')).filter(move |(name, _)| *name == key).map(|(_, value)| value)
    }

    fn field<'a>(&'a self, key: &'a str) -> &'a str {
        self.fields(key).next().unwrap_or_default()
    }

    fn version(&self) -> &str {
        self.field("V")
    }

    fn make_anew(&self, node: &Overlay) {
        let (name, version) = (self.field("P"), self.version());
        let mut info = format!("-I name:{name} -I version:{version} -I arch:x86_64 -I origin:{} -I license:{}", self.field("o"), quoted(self.field("L")));
        for (key, field) in [("D", "depends"), ("p", "provides"), ("r", "replaces"), ("i", "install-if"), ("k", "provider-priority")] {
            if self.field(key).is_empty() {
                continue;
            }
            let _ = write!(info, " -I {field}:{}", quoted(self.field(key)));
        }
        let mut folder = String::new();
        let mut files = String::new();
        for (key, value) in self.0.lines().filter_map(|line| line.split_once(':')) {
            match key {
                "F" => value.clone_into(&mut folder),
                "R" => writeln!(files, "{folder}/{value}").expect("a text takes lines"),
                _ => {}
            }
        }
        node.write(&format!("build/{name}.files"), &files);
        // Scripts are kept as `NAME-VERSION.CHECKSUM.SCRIPT`.
        node.shell(&format!(
            "mkdir -p /build/{name} /build/scripts; cd /; while read -r file; do [ -e \"${{file#/}}\" ] || [ -L \"${{file#/}}\" ] || continue; \
             mkdir -p \"/build/{name}/$(dirname \"$file\")\"; cp -a \"/${{file#/}}\" \"/build/{name}/$file\"; done < /build/{name}.files; \
             tar -xzf /lib/apk/db/scripts.tar.gz -C /build/scripts; scripts=; \
             for script in pre-install post-install pre-upgrade post-upgrade pre-deinstall post-deinstall; do \
             for file in /build/scripts/{name}-{version}.*.$script; do [ -f \"$file\" ] && scripts=\"$scripts --script $script:$file\"; done; done; \
             apk mkpkg {info} $scripts --files /build/{name} -o /updates/x86_64/{name}-{version}.apk"
        ));
    }
}

fn quoted(word: &str) -> String {
    format!("'{word}'")
}
