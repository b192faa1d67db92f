//! Sections of a report: an inventory as contents that equal nodes share, and back.
//!
//! What differs from node to node by nature (times, the host name) is in the heading, so that the
//! sections of a thousand equal nodes are the same ten contents.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::advisory::Advisory;
use crate::model::content::Content;
use crate::model::digest::Digest;
use crate::model::host::{Hardware, Host, Interface, Service, StaleProcess};
use crate::model::inventory::{Inventory, Reboot};
use crate::model::package::{InstallState, InstalledPackage};
use crate::model::patch::AvailableVersion;
use crate::model::platform::{OperatingSystem, Platform};
use crate::model::problem::{Problem, ProblemCode};
use crate::model::repository::Repository;
use crate::model::time::{DAY_MS, Timestamp};
use crate::model::version::Scheme;

/// Most packages of one node.
pub const PACKAGES_MAX: usize = 30_000;

/// The sections of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// Platform and kernels.
    System,
    /// Installed packages by name, architecture and version.
    Packages,
    /// On which day each was installed.
    Installed,
    /// Newer versions, and the repositories that offer them.
    Available,
    /// When each repository was published, and until when it vouches for that.
    Repositories,
    /// Hardware.
    Hardware,
    /// Network interfaces.
    Network,
    /// Services.
    Services,
    /// Pending reboot, programs on replaced files, problems.
    Condition,
    /// Custom inventory and tags that follow from facts.
    Custom,
}

impl Section {
    /// How many there are.
    pub const COUNT: usize = 10;
    /// Every section, in the order of their digests in a report.
    pub const ALL: [Self; Self::COUNT] =
        [Self::System, Self::Packages, Self::Installed, Self::Available, Self::Repositories, Self::Hardware, Self::Network, Self::Services, Self::Condition, Self::Custom];

    /// The spelling of the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Packages => "packages",
            Self::Installed => "installed",
            Self::Available => "available",
            Self::Repositories => "repositories",
            Self::Hardware => "hardware",
            Self::Network => "network",
            Self::Services => "services",
            Self::Condition => "condition",
            Self::Custom => "custom",
        }
    }

    /// The section with this spelling.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.word() == word)
    }
}

/// A value for each section.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PerSection<T>(pub [T; Section::COUNT]);

impl<T> std::ops::Index<Section> for PerSection<T> {
    type Output = T;

    fn index(&self, section: Section) -> &T {
        &self.0[section as usize]
    }
}

impl<T> std::ops::IndexMut<Section> for PerSection<T> {
    fn index_mut(&mut self, section: Section) -> &mut T {
        &mut self.0[section as usize]
    }
}

impl PerSection<Content> {
    /// The digests of the contents.
    pub fn digests(&self) -> PerSection<Digest> {
        PerSection(Section::ALL.map(|section| self[section].digest()))
    }
}

/// Names a whole report: 16 bytes of the digest over its sections' digests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ReportDigest(pub [u8; 16]);

impl ReportDigest {
    /// The digest of a report with these sections.
    pub fn of(sections: &PerSection<Digest>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for digest in &sections.0 {
            hasher.update(digest.as_bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(bytes)
    }
}

impl fmt::Display for ReportDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a report says besides its sections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// Host name.
    pub name: String,
    /// When the inventory was collected.
    pub collected_at: Timestamp,
    /// When the package lists were last brought up to date.
    pub lists_refreshed_at: Option<Timestamp>,
    /// When the node booted.
    pub booted_at: Option<Timestamp>,
}

/// Splits an inventory into its heading and its sections.
pub fn write(inventory: &Inventory) -> (Heading, PerSection<Content>) {
    let heading =
        Heading { name: inventory.name.clone(), collected_at: inventory.collected_at, lists_refreshed_at: inventory.lists_refreshed_at, booted_at: inventory.host.booted_at };
    let mut sections = PerSection::<Content>::default();
    let host = &inventory.host;
    let (packages, problems) = write_packages(inventory);
    sections[Section::System] = json_lines([System { platform: inventory.platform.clone(), kernel: inventory.kernel.clone(), kernels: host.kernels.clone() }]);
    sections[Section::Packages] = packages;
    sections[Section::Installed] = write_installed(inventory);
    sections[Section::Available] = json_lines(available_lines(inventory));
    let dates = inventory.repositories.iter().enumerate().map(|(at, repository)| (at, repository.released_at, repository.valid_until));
    sections[Section::Repositories] = json_lines(dates.filter(|(_, released_at, valid_until)| released_at.is_some() || valid_until.is_some()));
    sections[Section::Hardware] = json_lines(&host.hardware);
    sections[Section::Network] = json_lines(&host.interfaces);
    sections[Section::Services] = json_lines(&host.services);
    let reboot = std::iter::once(ConditionLine::Reboot(inventory.reboot.clone()));
    let processes = host.stale_processes.iter().cloned().map(ConditionLine::Process);
    sections[Section::Condition] = json_lines(reboot.chain(processes).chain(inventory.problems.iter().chain(&problems).cloned().map(ConditionLine::Problem)));
    let custom = host.custom.iter().map(|(name, value)| CustomLine::File(name.clone(), value.clone()));
    sections[Section::Custom] = json_lines(custom.chain(host.tags.iter().map(|(key, value)| CustomLine::Tag(key.clone(), value.clone()))));
    (heading, sections)
}

/// Why sections are no inventory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    /// A line does not read.
    #[error("line {line} of the section {} does not read: {detail}", section.word())]
    Line {
        /// The section.
        section: Section,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// There are too many packages.
    #[error("{n} packages are more than {PACKAGES_MAX}")]
    TooManyPackages {
        /// How many.
        n: usize,
    },
    /// A row names a repository that is not there.
    #[error("the section available names repository {number}, and there are {n}")]
    NoSuchRepository {
        /// The number.
        number: usize,
        /// How many there are.
        n: usize,
    },
}

/// Joins sections to an inventory. `facts` gives what is known of a package besides its line.
pub fn read(heading: &Heading, sections: &PerSection<Content>, machine: Option<String>, facts: impl Fn(&PackageLine) -> PackageFacts) -> Result<Inventory, SectionError> {
    let system: System = read_system(&sections[Section::System])?;
    let mut packages = read_packages(&sections[Section::Packages])?.iter().map(|line| line.package(facts(line))).collect::<Vec<_>>();
    read_installed(&sections[Section::Installed], &mut packages)?;
    let available = read_available(&sections[Section::Available])?;
    available.place_origins(&mut packages);
    let mut repositories = available.repositories;
    for (at, line) in sections[Section::Repositories].lines().enumerate() {
        let (number, released_at, valid_until): (usize, _, _) = read_json(Section::Repositories, at, line)?;
        let n = repositories.len();
        let repository = repositories.get_mut(number).ok_or(SectionError::NoSuchRepository { number, n })?;
        (repository.released_at, repository.valid_until) = (released_at, valid_until);
    }
    let mut inventory = Inventory {
        collected_at: heading.collected_at,
        name: heading.name.clone(),
        machine,
        platform: system.platform,
        kernel: system.kernel,
        packages,
        available: available.versions,
        repositories,
        lists_refreshed_at: heading.lists_refreshed_at,
        reboot: Reboot::Unknown,
        host: Host {
            booted_at: heading.booted_at,
            kernels: system.kernels,
            hardware: read_lines::<Hardware>(Section::Hardware, &sections[Section::Hardware])?.pop(),
            interfaces: read_lines::<Interface>(Section::Network, &sections[Section::Network])?,
            services: read_lines::<Service>(Section::Services, &sections[Section::Services])?,
            ..Host::default()
        },
        problems: Vec::new(),
        has_feed: false,
    };
    for line in read_lines(Section::Condition, &sections[Section::Condition])? {
        match line {
            ConditionLine::Reboot(reboot) => inventory.reboot = reboot,
            ConditionLine::Process(process) => inventory.host.stale_processes.push(process),
            ConditionLine::Problem(problem) => inventory.problems.push(problem),
        }
    }
    for line in read_lines(Section::Custom, &sections[Section::Custom])? {
        match line {
            CustomLine::File(name, value) => drop(inventory.host.custom.insert(name, value)),
            CustomLine::Tag(key, value) => drop(inventory.host.tags.insert(key, value)),
        }
    }
    Ok(inventory)
}

/// Checks that a section reads, as it must before it is stored.
pub fn check(section: Section, content: &Content) -> Result<(), SectionError> {
    match section {
        Section::System => read_system(content).map(drop),
        Section::Packages => read_packages(content).map(drop),
        Section::Installed => read_installed(content, &mut []),
        Section::Available => read_available(content).map(drop),
        Section::Repositories => read_lines::<(usize, Option<Timestamp>, Option<Timestamp>)>(section, content).map(drop),
        Section::Hardware => read_lines::<Hardware>(section, content).map(drop),
        Section::Network => read_lines::<Interface>(section, content).map(drop),
        Section::Services => read_lines::<Service>(section, content).map(drop),
        Section::Condition => read_lines::<ConditionLine>(section, content).map(drop),
        Section::Custom => read_lines::<CustomLine>(section, content).map(drop),
    }
}

/// Whether a reboot is pending, as the section `condition` says.
pub fn read_reboot(content: &Content) -> Result<Reboot, SectionError> {
    let lines = read_lines(Section::Condition, content)?;
    Ok(lines.into_iter().find_map(|line| if let ConditionLine::Reboot(reboot) = line { Some(reboot) } else { None }).unwrap_or(Reboot::Unknown))
}

/// What a tag that stands for a value of the custom inventory begins with: `custom:rack.row` is the
/// field `row` of `rack.json`.
pub const CUSTOM_TAG_PREFIX: &str = "custom:";
/// Most values of the custom inventory that nodes can be asked for, and the longest of them.
const CUSTOM_TAGS_MAX: usize = 200;
const CUSTOM_VALUE_LENGTH_MAX: usize = 128;

/// The tags that follow from facts, as the section `custom` says; values of the custom inventory are
/// among them, so that nodes can be asked for by them.
pub fn read_tags(content: &Content) -> Result<BTreeMap<String, String>, SectionError> {
    let mut tags = BTreeMap::new();
    for line in read_lines(Section::Custom, content)? {
        match line {
            CustomLine::Tag(key, value) => drop(tags.insert(key, value)),
            CustomLine::File(name, value) => add_values(&mut tags, format!("{CUSTOM_TAG_PREFIX}{name}"), &value),
        }
    }
    Ok(tags)
}

fn add_values(tags: &mut BTreeMap<String, String>, key: String, value: &serde_json::Value) {
    use serde_json::Value;
    let text = match value {
        _ if tags.len() >= CUSTOM_TAGS_MAX => return,
        Value::Object(fields) => return fields.iter().for_each(|(name, value)| add_values(tags, format!("{key}.{name}"), value)),
        Value::Array(items) => return items.iter().enumerate().for_each(|(at, value)| add_values(tags, format!("{key}.{at}"), value)),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    if text.len() <= CUSTOM_VALUE_LENGTH_MAX {
        tags.insert(key, text);
    }
}

/// Until when the vendor's repositories vouch for their lists: the start of time when there are
/// none, the end of it when they do not say.
pub fn vouched_until(repositories: &[Repository], dates: &Content, system: Option<OperatingSystem>) -> Result<Timestamp, SectionError> {
    let is_vendor = |repository: &Repository| system.is_some_and(|system| system.is_vendor_origin(repository.origin.as_deref().unwrap_or_default()));
    if !repositories.iter().any(is_vendor) {
        return Ok(Timestamp::from_millis(i64::MIN));
    }
    let dates: Vec<(usize, Option<Timestamp>, Option<Timestamp>)> = read_lines(Section::Repositories, dates)?;
    let of_vendor = dates.into_iter().filter(|(number, _, _)| repositories.get(*number).is_some_and(is_vendor));
    Ok(of_vendor.filter_map(|(_, _, until)| until).min().unwrap_or(Timestamp::from_millis(i64::MAX)))
}

/// What the section `system` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// What the node runs.
    pub platform: Platform,
    /// The running kernel's release.
    pub kernel: Option<String>,
    /// Releases of the installed kernels.
    pub kernels: Vec<String>,
}

/// Reads the section `system`.
pub fn read_system(content: &Content) -> Result<System, SectionError> {
    let missing = SectionError::Line { section: Section::System, line: 1, detail: "there must be exactly one".to_owned() };
    let mut lines = read_lines(Section::System, content)?;
    if lines.len() == 1 { lines.pop().ok_or(missing) } else { Err(missing) }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ConditionLine {
    Reboot(Reboot),
    Process(StaleProcess),
    Problem(Problem),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CustomLine {
    File(String, serde_json::Value),
    Tag(String, String),
}

fn json_lines<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Content {
    Content::of_lines(rows.into_iter().map(|row| serde_json::to_string(&row).expect("rows of sections have text keys only")))
}

fn read_lines<T: for<'de> Deserialize<'de>>(section: Section, content: &Content) -> Result<Vec<T>, SectionError> {
    content.lines().enumerate().map(|(at, line)| read_json(section, at, line)).collect()
}

fn read_json<'de, T: Deserialize<'de>>(section: Section, at: usize, line: &'de str) -> Result<T, SectionError> {
    serde_json::from_str(line).map_err(|error| SectionError::Line { section, line: at + 1, detail: error.to_string() })
}

/// A package as its line says: what makes two package sets differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PackageLine<'a> {
    /// Package name.
    pub name: &'a str,
    /// Package architecture.
    pub architecture: &'a str,
    /// The installed version.
    pub version: &'a str,
    /// Its state and marks.
    pub flags: PackageFlags,
}

/// State and marks of an installed package in one byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PackageFlags(pub u8);

const STATE_BITS: u8 = 0b111;
/// The marks with the letter of each.
const MARKS: [(u8, char); 4] = [(1 << 3, 'h'), (1 << 4, 'a'), (1 << 5, 'r'), (1 << 6, 'o')];
/// A letter for each state of `InstallState::ALL`; plain installed has none.
const STATE_LETTERS: [char; 6] = [' ', 'H', 'U', 'F', 'W', 'T'];

impl PackageFlags {
    /// The flags of a package.
    pub fn of(package: &InstalledPackage) -> Self {
        let mark = |set: bool, at: usize| if set { MARKS[at].0 } else { 0 };
        Self(package.state as u8 | mark(package.held, 0) | mark(package.automatic, 1) | mark(package.reboot_pending, 2) | mark(package.older_of_several, 3))
    }

    /// How far the installation got.
    pub fn state(self) -> InstallState {
        InstallState::ALL.get(usize::from(self.0 & STATE_BITS)).copied().unwrap_or(InstallState::HalfInstalled)
    }

    /// An operator's hold is on it.
    pub fn held(self) -> bool {
        self.0 & MARKS[0].0 != 0
    }

    /// It came as a dependency.
    pub fn automatic(self) -> bool {
        self.0 & MARKS[1].0 != 0
    }

    /// It waits for a reboot.
    pub fn reboot_pending(self) -> bool {
        self.0 & MARKS[2].0 != 0
    }

    /// A newer version is installed beside it.
    pub fn older_of_several(self) -> bool {
        self.0 & MARKS[3].0 != 0
    }

    /// Adds the end of a line that has these flags.
    pub fn write_to(self, text: &mut String) {
        if self != Self::default() {
            text.push('\t');
            text.extend(self.letters());
        }
    }

    fn letters(self) -> impl Iterator<Item = char> {
        let state = STATE_LETTERS[usize::from(self.0 & STATE_BITS).min(STATE_LETTERS.len() - 1)];
        let marks = MARKS.into_iter().filter(move |(bit, _)| self.0 & bit != 0).map(|(_, letter)| letter);
        Some(state).filter(|state| *state != ' ').into_iter().chain(marks)
    }

    fn parse(letters: &str) -> Option<Self> {
        letters.chars().try_fold(Self::default(), |flags, letter| {
            let state = STATE_LETTERS.iter().position(|known| *known == letter && letter != ' ').and_then(|at| u8::try_from(at).ok());
            let mark = MARKS.into_iter().find(|(_, known)| *known == letter).map(|(bit, _)| bit);
            state.or(mark).map(|bits| Self(flags.0 | bits))
        })
    }
}

impl<'a> PackageLine<'a> {
    /// Reads a line.
    pub fn parse(line: &'a str) -> Option<Self> {
        let split = |text: &'a str| memchr::memchr(b'\t', text.as_bytes()).map(|at| (&text[..at], &text[at + 1..]));
        let (name, rest) = split(line)?;
        let (architecture, rest) = split(rest)?;
        let (version, letters) = split(rest).unwrap_or((rest, ""));
        let flags = PackageFlags::parse(letters)?;
        (![name, architecture, version].contains(&"")).then_some(Self { name, architecture, version, flags })
    }

    /// What facts of the version go by: the line without flags.
    pub fn key(&self) -> String {
        Self { flags: PackageFlags::default(), ..*self }.write()
    }

    /// The line.
    pub fn write(&self) -> String {
        let mut line = String::with_capacity(self.name.len() + self.architecture.len() + self.version.len() + 6);
        self.write_to(&mut line);
        line
    }

    /// Adds the line to a text, without its end.
    pub fn write_to(&self, text: &mut String) {
        text.push_str(self.name);
        text.push('\t');
        text.push_str(self.architecture);
        text.push('\t');
        text.push_str(self.version);
        self.flags.write_to(text);
    }

    fn package(&self, facts: PackageFacts) -> InstalledPackage {
        InstalledPackage {
            name: self.name.to_owned(),
            architecture: self.architecture.to_owned(),
            version: self.version.to_owned(),
            source: facts.source.unwrap_or_else(|| self.name.to_owned()),
            source_version: facts.source_version,
            section: facts.section,
            priority: facts.priority,
            state: self.flags.state(),
            held: self.flags.held(),
            automatic: self.flags.automatic(),
            older_of_several: self.flags.older_of_several(),
            multi_arch: facts.multi_arch,
            reboot_pending: self.flags.reboot_pending(),
            repositories: Vec::new(),
            advisory: None,
            installed_at: None,
        }
    }
}

/// What is the same wherever a version of a package is installed; sent once per version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PackageFacts {
    /// Source package, where its name differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Version of the source package, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<String>,
    /// Archive section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Archive priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// `Multi-Arch` value, where it is not `no`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_arch: Option<String>,
}

impl PackageFacts {
    /// The facts of every installed package, by the keys of their lines.
    pub fn of_all(inventory: &Inventory) -> BTreeMap<String, Self> {
        inventory.packages.iter().map(|package| (package_line(package).key(), Self::of(package))).collect()
    }

    /// The facts of an installed package.
    pub fn of(package: &InstalledPackage) -> Self {
        Self {
            source: Some(package.source.clone()).filter(|source| *source != package.name),
            source_version: package.source_version.clone(),
            section: package.section.clone(),
            priority: package.priority.clone(),
            multi_arch: package.multi_arch.clone(),
        }
    }
}

/// Whether a package can be written as a line.
fn is_plain(package: &InstalledPackage) -> bool {
    [&package.name, &package.architecture, &package.version].iter().all(|text| !text.is_empty() && !text.contains(char::is_control))
}

fn write_packages(inventory: &Inventory) -> (Content, Option<Problem>) {
    let strange = inventory.packages.iter().filter(|package| !is_plain(package)).count();
    let message = format!("{strange} packages were left out: their names or versions hold control characters");
    let problem = (strange > 0).then(|| Problem::new(ProblemCode::Malformed, "package database", message));
    (Content::of_lines(inventory.packages.iter().filter(|package| is_plain(package)).map(|package| package_line(package).write())), problem)
}

/// The line of a package.
pub fn package_line(package: &InstalledPackage) -> PackageLine<'_> {
    PackageLine { name: &package.name, architecture: &package.architecture, version: &package.version, flags: PackageFlags::of(package) }
}

/// Reads the section `packages`.
pub fn read_packages(content: &Content) -> Result<Vec<PackageLine<'_>>, SectionError> {
    let lines: Result<Vec<_>, _> = content
        .lines()
        .enumerate()
        .map(|(at, line)| {
            let detail = || "it is not a name, an architecture, a version and flags between tabs".to_owned();
            PackageLine::parse(line).ok_or_else(|| SectionError::Line { section: Section::Packages, line: at + 1, detail: detail() })
        })
        .collect();
    let lines = lines?;
    if lines.len() > PACKAGES_MAX { Err(SectionError::TooManyPackages { n: lines.len() }) } else { Ok(lines) }
}

/// What stands for a day that is not known, and for all packages that no line names.
const UNKNOWN_DAY: &str = "?";
const ALL_OTHERS: &str = "*";

/// A line for each day: machines of one image that are patched together have the same few. The day
/// on which most were installed does not name them.
fn write_installed(inventory: &Inventory) -> Content {
    let mut by_day = BTreeMap::<Option<i64>, Vec<&InstalledPackage>>::new();
    for package in inventory.packages.iter().filter(|package| is_plain(package)) {
        by_day.entry(package.installed_at.map(|at| at.as_millis().div_euclid(DAY_MS))).or_default().push(package);
    }
    let usual = by_day.iter().max_by_key(|(_, packages)| packages.len()).map(|(day, _)| *day);
    Content::of_lines(by_day.iter().map(|(day, packages)| {
        let mut line = day.map_or_else(|| UNKNOWN_DAY.to_owned(), |day| day.to_string());
        if usual == Some(*day) {
            return line + "\t" + ALL_OTHERS;
        }
        for package in packages {
            line.extend(["\t", &package.name, ":", &package.architecture]);
        }
        line
    }))
}

fn read_installed(content: &Content, packages: &mut [InstalledPackage]) -> Result<(), SectionError> {
    let mut days = HashMap::new();
    for (at, line) in content.lines().enumerate() {
        let (day, named) = line.split_once('\t').unwrap_or((line, ""));
        let day = if day == UNKNOWN_DAY { Some(None) } else { day.parse().ok().map(|day: i64| Some(Timestamp::from_millis(day.saturating_mul(DAY_MS)))) };
        let Some(day) = day.filter(|_| !named.is_empty()) else {
            return Err(SectionError::Line { section: Section::Installed, line: at + 1, detail: "it is not a day and the packages that were installed on it".to_owned() });
        };
        days.extend(named.split('\t').map(|package| (package.rsplit_once(':').unwrap_or((package, "")), day)));
    }
    let usual = days.get(&(ALL_OTHERS, "")).copied().flatten();
    for package in packages {
        package.installed_at = days.get(&(package.name.as_str(), package.architecture.as_str())).copied().unwrap_or(usual);
    }
    Ok(())
}

/// A line of the section `available`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AvailableLine {
    /// What the vendor's advisories say of the installed version of a package.
    Advisory(String, String, Arc<Advisory>),
    /// Repositories that offer the installed version of a package, where they are not the usual ones.
    Origin(String, String, Vec<usize>),
    /// A repository without its dates. Repositories are numbered in the order of these lines.
    Repository(u16, Repository),
    /// Whose rules order the versions, where those are not dpkg's.
    Scheme(Scheme),
    /// The repositories that offer most installed versions.
    UsualOrigin(Vec<usize>),
    /// A newer version.
    Version(AvailableVersion),
}

fn available_lines(inventory: &Inventory) -> Vec<AvailableLine> {
    let mut times = BTreeMap::<&[usize], usize>::new();
    for package in &inventory.packages {
        *times.entry(&package.repositories).or_default() += 1;
    }
    let usual = times.into_iter().max_by_key(|(_, n)| *n).map(|(origin, _)| origin).unwrap_or_default();
    let unusual = inventory.packages.iter().filter(|package| package.repositories != usual);
    let mut lines: Vec<_> = unusual.map(|package| AvailableLine::Origin(package.name.clone(), package.architecture.clone(), package.repositories.clone())).collect();
    lines.push(AvailableLine::UsualOrigin(usual.to_vec()));
    let advised = inventory.packages.iter().filter_map(|package| Some((package, package.advisory.clone()?)));
    lines.extend(advised.map(|(package, advisory)| AvailableLine::Advisory(package.name.clone(), package.architecture.clone(), advisory)));
    lines.extend(inventory.platform.operating_system.map(OperatingSystem::scheme).filter(|scheme| !scheme.is_deb()).map(AvailableLine::Scheme));
    let numbered = inventory.repositories.iter().zip(0..);
    lines.extend(numbered.map(|(repository, number)| AvailableLine::Repository(number, Repository { released_at: None, valid_until: None, ..repository.clone() })));
    lines.extend(inventory.available.iter().map(|version| AvailableLine::Version(AvailableVersion { first_seen_at: None, ..version.clone() })));
    lines
}

/// The section `available`, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AvailableSet {
    /// Repositories without their dates.
    pub repositories: Vec<Repository>,
    /// The numbers of those that offer most installed versions.
    pub usual_origin: Vec<usize>,
    /// The numbers of those that offer the installed version of other packages, by name and architecture.
    pub origins: HashMap<(String, String), Vec<usize>>,
    /// What advisories say of installed versions, by name and architecture.
    pub advisories: HashMap<(String, String), Arc<Advisory>>,
    /// Newer versions, by name and architecture, newest first.
    pub versions: Vec<AvailableVersion>,
}

/// Reads the section `available`. Versions of one package keep the order of their offers: the
/// candidate, what it supersedes, and the rest, each newest first.
pub fn read_available(content: &Content) -> Result<AvailableSet, SectionError> {
    let mut set = AvailableSet::default();
    let mut numbered = BTreeMap::new();
    let mut scheme = Scheme::default();
    for line in read_lines(Section::Available, content)? {
        match line {
            AvailableLine::Origin(name, architecture, origin) => drop(set.origins.insert((name, architecture), origin)),
            AvailableLine::Advisory(name, architecture, advisory) => drop(set.advisories.insert((name, architecture), advisory)),
            AvailableLine::Scheme(of_system) => scheme = of_system,
            AvailableLine::Repository(number, repository) => drop(numbered.insert(number, repository)),
            AvailableLine::UsualOrigin(origin) => set.usual_origin = origin,
            AvailableLine::Version(version) => set.versions.push(version),
        }
    }
    set.repositories = numbered.into_values().collect();
    let named = set.versions.iter().flat_map(|version| &version.repositories).chain(&set.usual_origin).chain(set.origins.values().flatten());
    if let Some(&number) = named.copied().filter(|number| *number >= set.repositories.len()).max().as_ref() {
        return Err(SectionError::NoSuchRepository { number, n: set.repositories.len() });
    }
    set.versions.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)).then_with(|| scheme.compare(&b.version, &a.version)));
    Ok(set)
}

impl AvailableSet {
    fn place_origins(&self, packages: &mut [InstalledPackage]) {
        for package in packages {
            let key = (package.name.clone(), package.architecture.clone());
            self.origins.get(&key).unwrap_or(&self.usual_origin).clone_into(&mut package.repositories);
            package.advisory = self.advisories.get(&key).cloned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_custom_inventory_can_be_asked_for_like_tags() {
        let content = json_lines([
            CustomLine::File("rack".to_owned(), serde_json::json!({ "row": 7, "power": ["a", "b"], "note": "x".repeat(200), "ok": true })),
            CustomLine::Tag("cloud".to_owned(), "aws".to_owned()),
        ]);
        let tags: Vec<String> = read_tags(&content).unwrap().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(tags, ["cloud=aws", "custom:rack.ok=true", "custom:rack.power.0=a", "custom:rack.power.1=b", "custom:rack.row=7"]);
        let many = json_lines([CustomLine::File("many".to_owned(), (0..1000).collect())]);
        assert_eq!(read_tags(&many).unwrap().len(), CUSTOM_TAGS_MAX);
    }

    #[test]
    fn package_lines_read_as_they_are_written() {
        for line in ["curl\tamd64\t7.88-1", "libc6\tamd64\t2.36\tFhar", "x\tall\t1\ta"] {
            assert_eq!(PackageLine::parse(line).unwrap().write(), line);
        }
        for line in ["", "curl", "curl\tamd64", "curl\t\t1", "curl\tamd64\t1\tz", "curl\tamd64\t1\t\tx"] {
            assert_eq!(PackageLine::parse(line), None, "{line:?}");
        }
    }
}
