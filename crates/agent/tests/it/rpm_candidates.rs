//! What the rpm family offers, against dnf itself on the same roots.

use std::collections::BTreeSet;

use agent::inventory;
use agent::root::Root;
use domain::model::inventory::Inventory;
use domain::model::patch::{AvailableVersion, Classification, Offer};
use domain::model::time::Timestamp;
use domain::model::version::rpm;
use testkit::roots::Overlay;
use testkit::rpm::{Repository, configure, folder, node};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

const INSTALLED: &[&str] = &[
    "fedora-release 0 41 1 noarch",
    "tb-lib 0 1.0 1 x86_64",
    "tb-svc 0 1.0 1 noarch",
    "tb-epoch 0 9.0 1 x86_64",
    "tb-old 0 1.0 1 noarch",
    "tb-multi 0 1.0 1 x86_64",
    "tb-multi 0 1.0 1 i686",
    "tb-moved 0 1.0 1 noarch",
    "tb-mod 0 1.0 1 x86_64",
    "kernel 0 6.1.0 1 x86_64",
    "kernel 0 6.1.5 1 x86_64",
];

const CHANGES_ARCHITECTURE: &str = "from no architecture to one";

const COSTS: &str = "costs";

const ENABLES_A_STREAM: &str = "a module stream that the node enabled";

fn scan(node: &Overlay) -> Inventory {
    inventory::collect(&Root::new(node.path()), None, NOW).unwrap()
}

/// `name-[epoch:]version-release.arch` without an epoch of zero.
fn nevra(name: &str, version: &str, architecture: &str) -> String {
    format!("{name}-{}.{architecture}", version.strip_prefix("0:").unwrap_or(version))
}

/// What an upgrade would bring, as `dnf upgrade --assumeno` prints it.
fn dnf_transaction(node: &Overlay, command: &str) -> BTreeSet<String> {
    let printed = node.shell(&format!("COLUMNS=200 dnf {command} --assumeno 2>/dev/null || true"));
    let mut found = BTreeSet::new();
    let mut counts = false;
    for line in printed.lines() {
        if line.ends_with(':') && !line.starts_with(' ') {
            counts = line.starts_with("Upgrading") || (line.starts_with("Installing:") && !line.contains("dependencies"));
            continue;
        }
        let words: Vec<_> = line.split_whitespace().collect();
        if let (true, true, [name, architecture, version, _, ..]) = (counts, line.starts_with(' '), words.as_slice()) {
            found.insert(nevra(name, version, architecture));
        }
    }
    found
}

/// Advisories that are newer than what is installed, as `dnf updateinfo list` prints them.
fn dnf_advisories(node: &Overlay, flags: &str) -> BTreeSet<(String, String)> {
    let printed = node.shell(&format!("dnf -q updateinfo list {flags}"));
    printed.lines().filter_map(|line| Some((line.split_whitespace().next()?.to_owned(), line.split_whitespace().last()?.to_owned()))).collect()
}

fn candidates(inventory: &Inventory) -> BTreeSet<String> {
    let available = inventory.available.iter().filter(|version| version.offer.is_next());
    available.map(listed).collect()
}

/// The version as its repository lists it: of another package, when it takes the place of the installed one.
fn listed(version: &AvailableVersion) -> String {
    let (name, architecture) = version.offer.replacement().map_or((&version.name, &version.architecture), |other| (&other.name, &other.architecture));
    nevra(name, &version.version, architecture)
}

const DEFAULT: &str = "---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: tb\n  stream: \"1\"\n  profiles:\n    \"1\": [common]\n...\n";

/// A repository with two streams of a module, and the same package outside of them.
fn modular(defaults: &str) -> Repository {
    let stream = |stream: &str, artifact: &str| {
        format!(
            "---\ndocument: modulemd\nversion: 2\ndata:\n  name: tb\n  stream: \"{stream}\"\n  version: 1\n  context: c0ffee\n  arch: x86_64\n  summary: s\n  description: d\n  license:\n    module: [MIT]\n  profiles:\n    common:\n      rpms: [tb-mod]\n  artifacts:\n    rpms:\n    - {artifact}\n...\n"
        )
    };
    Repository::default()
        .package("tb-mod 0 1.1 1 x86_64")
        .package("tb-mod 0 2.0 1 x86_64")
        .package("tb-mod 0 3.0 1 x86_64")
        .package("tb-svc 0 1.1 1 noarch")
        .modules(&stream("1", "tb-mod-0:1.1-1.x86_64"))
        .modules(&stream("2", "tb-mod-0:2.0-1.x86_64"))
        .modules(defaults)
}

/// Its name, what more there is in the main configuration, and repositories with what more there is in
/// theirs.
type Case = (&'static str, &'static str, Vec<(&'static str, &'static str, Repository)>);

fn cases() -> Vec<Case> {
    let repository = Repository::default;
    let obsoletes = |entry: &str| format!("<rpm:obsoletes><rpm:entry name=\"{entry}\"/></rpm:obsoletes>");
    let replacing = || repository().package("tb-old 0 1.1 1 noarch").package_that("tb-new 0 3 1 noarch", &obsoletes("tb-old"));
    let plain = || {
        repository().package("tb-lib 0 1.1 1 x86_64").package("tb-lib 0 1.2 1 x86_64").advisory("SA-1", "security", "Critical", &["tb-lib 0 1.1 1 x86_64"]).advisory(
            "BA-2",
            "bugfix",
            "None",
            &["tb-lib 0 1.2 1 x86_64"],
        )
    };
    vec![
        ("nothing newer", "", vec![("base", "", repository().package("tb-lib 0 1.0 1 x86_64").package("tb-svc 0 0.9 1 noarch"))]),
        ("a fix and a later version", "", vec![("base", "", plain())]),
        (
            "epochs",
            "",
            vec![("base", "", repository().package("tb-epoch 2 1.0 1 x86_64").package("tb-epoch 0 10 1 x86_64").advisory("SA-1", "security", "Low", &["tb-epoch 2 1.0 1 x86_64"]))],
        ),
        ("a tilde and a caret", "", vec![("base", "", repository().package("tb-lib 0 1.0~rc1 1 x86_64").package("tb-lib 0 1.0^git1 1 x86_64").package("tb-svc 0 1.0~1 1 noarch"))]),
        ("an advisory without severity", "", vec![("base", "", repository().package("tb-svc 0 1.1 1 noarch").advisory("SA-1", "security", "", &["tb-svc 0 1.1 1 noarch"]))]),
        (
            "one advisory twice with different content",
            "",
            vec![
                ("base", "", repository().package("tb-lib 0 1.1 1 x86_64").advisory("SA-1", "security", "Low", &["tb-lib 0 1.1 1 x86_64"])),
                ("updates", "", repository().package("tb-svc 0 1.1 1 noarch").advisory("SA-1", "security", "Critical", &["tb-lib 0 1.1 1 x86_64", "tb-svc 0 1.1 1 noarch"])),
            ],
        ),
        ("an exclude of the main configuration", "exclude=tb-l*", vec![("base", "", plain().package("tb-svc 0 1.1 1 noarch"))]),
        ("an exclude of a repository", "", vec![("base", "excludepkgs=tb-lib-1.2-1.x86_64", plain()), ("other", "", repository().package("tb-svc 0 1.1 1 noarch"))]),
        ("includes of a repository", "", vec![("base", "includepkgs=tb-svc tb-epoch.x86_64", plain().package("tb-svc 0 1.1 1 noarch").package("tb-epoch 1 1 1 x86_64"))]),
        (
            "priorities",
            "",
            vec![
                ("base", "priority=10", repository().package("tb-lib 0 1.1 1 x86_64")),
                ("updates", "", repository().package("tb-lib 0 1.2 1 x86_64").package("tb-svc 0 1.1 1 noarch")),
            ],
        ),
        ("one version in several repositories", "", vec![("base", "", plain()), ("mirror", "", plain())]),
        (
            "two architectures of one package",
            "",
            vec![(
                "base",
                "",
                repository().package("tb-multi 0 1.1 1 x86_64").package("tb-multi 0 1.1 1 i686").package("tb-lib 0 1.5 1 i686").advisory(
                    "SA-1",
                    "security",
                    "Moderate",
                    &["tb-multi 0 1.1 1 x86_64", "tb-multi 0 1.1 1 i686", "tb-lib 0 1.5 1 i686"],
                ),
            )],
        ),
        (
            "kernels side by side",
            "",
            vec![(
                "base",
                "",
                repository()
                    .package("kernel 0 6.1.3 1 x86_64")
                    .package("kernel 0 6.1.9 1 x86_64")
                    .advisory("SA-1", "security", "Important", &["kernel 0 6.1.9 1 x86_64"])
                    .suggesting("reboot"),
            )],
        ),
        ("a disabled repository", "", vec![("base", "", plain()), ("off", "enabled=0", repository().package("tb-svc 0 7 1 noarch"))]),
        (CHANGES_ARCHITECTURE, "", vec![("base", "", repository().package("tb-moved 0 1.1 1 x86_64").package("tb-svc 0 1.1 1 i686"))]),
        ("module streams by default", "", vec![("base", "", modular(DEFAULT))]),
        ("modules without a default", "", vec![("base", "", modular(""))]),
        (ENABLES_A_STREAM, "", vec![("base", "", modular(DEFAULT))]),
        ("hotfixes of modules", "", vec![("base", "", modular(DEFAULT)), ("hot", "module_hotfixes=1", repository().package("tb-mod 0 4.0 1 x86_64"))]),
        (
            "what takes the place of others",
            "",
            vec![(
                "base",
                "",
                repository()
                    .package("tb-old 0 1.1 1 noarch")
                    .package_that("tb-new 0 0.3 1 noarch", &obsoletes("tb-old"))
                    .package_that("tb-newer 0 3 1 x86_64", &obsoletes("tb-svc\" flags=\"LT\" epoch=\"0\" ver=\"1.0"))
                    .package_that("tb-newest 0 3 1 x86_64", &obsoletes("tb-lib\" flags=\"LE\" epoch=\"0\" ver=\"1.0"))
                    .package_that("tb-foreign 0 3 1 i686", &obsoletes("tb-epoch"))
                    .package_that("tb-moved 0 1.1 1 noarch", &obsoletes("tb-moved\" flags=\"LT\" epoch=\"0\" ver=\"1.1"))
                    .advisory("SA-1", "security", "Low", &["tb-new 0 0.3 1 noarch"]),
            )],
        ),
        ("what would take the place of others, excluded", "exclude=tb-new", vec![("base", "", replacing())]),
        ("what would take the place of others, switched off", "obsoletes=0", vec![("base", "", replacing())]),
        (COSTS, "", vec![("costly", "cost=2000", plain()), ("usual", "", plain()), ("cheap", "cost=500", plain())]),
        ("a repository with variables", "", vec![("base", "name=$releasever $basearch", plain())]),
    ]
}

#[test]
fn candidates_and_advisories_are_those_of_dnf() {
    let node = node(INSTALLED);
    let main = std::fs::read_to_string(node.path().join("etc/dnf/dnf.conf")).unwrap();
    for (name, more, repositories) in cases() {
        node.shell("rm -rf /etc/yum.repos.d/* /var/cache/dnf /repositories /etc/dnf/modules.d");
        if name == ENABLES_A_STREAM {
            node.write("etc/dnf/modules.d/tb.module", "[tb]\nname=tb\nstream=2\nprofiles=\nstate=enabled\n");
        }
        node.write("etc/dnf/dnf.conf", &format!("{main}{more}\n"));
        for (id, more, repository) in &repositories {
            repository.write(&node, &folder(id));
            configure(&node, id, more);
        }
        node.shell("dnf -q makecache");
        let inventory = scan(&node);
        assert_eq!(inventory.problems, [], "{name}");
        assert!(inventory.repositories.iter().all(|repository| repository.uri.starts_with("file:///repositories/41/")), "{name}: {:?}", inventory.repositories);
        // A patch goes by the architecture of what is installed, also where it brings another.
        let plain =
            |nevras: BTreeSet<String>| if name == CHANGES_ARCHITECTURE { nevras.iter().map(|nevra| nevra.rsplit_once('.').unwrap().0.to_owned()).collect() } else { nevras };
        if name == COSTS {
            let chosen = inventory.available.iter().map(|version| inventory.repositories[version.repositories[0]].label.as_deref().unwrap());
            let printed = node.shell("dnf upgrade --assumeno 2>/dev/null || true");
            assert!(chosen.clone().count() > 0 && chosen.into_iter().all(|chosen| chosen == "cheap" && printed.contains(" cheap ")), "{printed}");
        }
        assert_eq!(plain(candidates(&inventory)), plain(dnf_transaction(&node, "upgrade")), "{name}: what an upgrade brings");

        // `dnf updateinfo` lists what is newer even where an exclude or the priority of a repository keeps an
        // upgrade from bringing it; an exclude of the main configuration hides the installed package too. What
        // takes the place of another package is none of its business.
        let unlisted = |offer: &Offer| offer.replacement().is_some() || matches!(offer, Offer::Excluded { by } if by.starts_with("the main configuration"));
        let ours = |wanted: &dyn Fn(&Offer, Classification) -> bool| -> BTreeSet<(String, String)> {
            let advised = inventory.available.iter().filter_map(|version| Some((version, version.advisory.as_deref()?)));
            let wanted = advised.filter(|(version, advisory)| wanted(&version.offer, advisory.classification));
            wanted.flat_map(|(version, advisory)| advisory.ids.iter().map(|id| (id.clone(), listed(version)))).collect()
        };
        assert_eq!(ours(&|offer, _| !unlisted(offer)), dnf_advisories(&node, ""), "{name}: advisories");
        let security = ours(&|offer, classification| !unlisted(offer) && classification == Classification::Security);
        assert_eq!(security, dnf_advisories(&node, "--security"), "{name}: security advisories");
        let names = |nevras: BTreeSet<String>| nevras.iter().map(|nevra| nevra.rsplitn(3, '-').nth(2).unwrap_or_default().to_owned()).collect::<BTreeSet<_>>();
        let installable = ours(&|offer, classification| offer.is_installable() && classification == Classification::Security);
        let minimal = dnf_transaction(&node, "upgrade-minimal --security");
        assert_eq!(names(installable.into_iter().map(|(_, nevra)| nevra).collect()), names(minimal), "{name}: packages with a security update");
    }
}

#[test]
fn installed_packages_are_those_of_rpm() {
    let node = node(INSTALLED);
    let inventory = scan(&node);
    let printed = node.shell("rpm -qa --qf '%{NAME} %{EPOCH}:%{VERSION}-%{RELEASE} %{ARCH} %{INSTALLTIME}\\n'");
    let mut native: Vec<_> = printed.lines().map(|line| line.replace(" 0:", " ")).collect();
    let seconds = |at: Option<Timestamp>| at.unwrap().as_millis() / 1000;
    let mut ours: Vec<_> =
        inventory.packages.iter().map(|package| format!("{} {} {} {}", package.name, package.version, package.architecture, seconds(package.installed_at))).collect();
    native.sort();
    ours.sort();
    assert_eq!(ours, native);
    let kernels: Vec<_> = inventory.packages.iter().filter(|package| package.name == "kernel").map(|package| (package.version.as_str(), package.older_of_several)).collect();
    assert_eq!(kernels, [("6.1.5-1", false), ("6.1.0-1", true)]);
    assert_eq!((inventory.platform.product.as_str(), inventory.platform.architecture.as_str()), ("Fedora41", "x86_64"));
    assert!(rpm::compare("1-1", "1-2").is_lt());
}

#[test]
fn needed_patches_are_those_of_zypper() {
    let node = node(INSTALLED);
    node.write("etc/os-release", "ID=opensuse-leap\nVERSION_ID=15.6\nPRETTY_NAME=\"openSUSE Leap 15.6\"\n");
    let repository = Repository::default()
        .package("tb-lib 0 1.1 1 x86_64")
        .package("tb-svc 0 1.1 1 noarch")
        .package("tb-epoch 1 1 1 x86_64")
        .package("kernel 0 6.1.9 1 x86_64")
        .package("tb-absent 0 2 1 noarch")
        .advisory("SUSE-1", "security", "important", &["tb-lib 0 1.1 1 x86_64", "tb-svc 0 1.1 1 noarch"])
        .advisory("SUSE-2", "recommended", "moderate", &["tb-epoch 1 1 1 x86_64"])
        .advisory("SUSE-3", "optional", "low", &["tb-absent 0 2 1 noarch"])
        .advisory("SUSE-4", "security", "critical", &["kernel 0 6.1.9 1 x86_64"])
        .suggesting("reboot")
        .advisory("SUSE-5", "feature", "low", &["tb-svc 0 1.0 1 noarch"]);
    repository.write(&node, &folder("base"));
    node.write("etc/zypp/repos.d/base.repo", "[base]\nname=base\nbaseurl=dir:/repositories/41/base\nenabled=1\ngpgcheck=0\nautorefresh=0\n");
    node.shell("zypper --non-interactive --no-gpg-checks --quiet refresh");
    let inventory = scan(&node);
    assert_eq!(inventory.problems, []);
    assert_eq!(inventory.platform.product, "OpenSuse15.6");
    let advised = inventory.available.iter().filter_map(|version| version.advisory.as_deref());
    let ours: BTreeSet<(String, String, String)> =
        advised.map(|advisory| (advisory.ids.join(" "), advisory.classification.word().to_lowercase(), advisory.severity.word().to_lowercase())).collect();
    let printed = node.shell("zypper --non-interactive --xmlout list-patches");
    let field = |line: &str, name: &str| line.split_once(&format!(" {name}=\"")).map(|(_, rest)| rest.split('"').next().unwrap_or_default().to_owned()).unwrap_or_default();
    let updates = printed.split("<update").filter(|update| update.contains(" kind=\"patch\""));
    let native: BTreeSet<_> = updates.map(|line| (field(line, "name"), field(line, "category"), field(line, "severity"))).collect();
    assert_eq!(ours, native, "{printed}");
}
