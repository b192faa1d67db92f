//! Checking a report where it arrives: what is new in it, what the server would need, what is wrong.

use std::collections::{BTreeMap, HashMap};

use domain::fleet::{PackageRow, VersionKey};
use domain::model::content::{Content, ContentError};
use domain::model::digest::Digest;
use domain::model::section::{self, Heading, PackageFacts, PackageLine, PerSection, Section, SectionError};
use store::contents::ContentBody;
use store::{Database, StoreError};

use crate::fleet::{Fleet, State};

/// A report as it arrived.
#[derive(Debug, Clone)]
pub struct IncomingReport {
    /// The node's number.
    pub node_number: u32,
    /// Times and the host name.
    pub heading: Heading,
    /// Which boot it comes from.
    pub boot: Option<String>,
    /// The digests of its sections.
    pub digests: PerSection<Digest>,
    /// Contents that came along.
    pub contents: HashMap<Digest, IncomingContent>,
    /// What is known of packages that the server had not seen.
    pub facts: Vec<PackageFactsRow>,
}

/// A content that came along.
#[derive(Debug, Clone)]
pub enum IncomingContent {
    /// The whole text.
    Whole(String),
    /// An edit of a content that the server has.
    Edit {
        /// The digest of the other.
        of: Digest,
        /// Removed and added lines.
        edit: String,
    },
}

/// What is known of a version of a package, by its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFactsRow {
    /// Name, architecture and version between tabs.
    pub package: String,
    /// What is known of it.
    pub facts: PackageFacts,
}

/// What the server lacks to take a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Contents.
    pub contents: Vec<Digest>,
    /// Packages whose facts it has not seen, as lines without flags.
    pub packages: Vec<String>,
}

/// Why a report cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A content is not what its digest says.
    #[error("the content of the section {} does not have the digest {digest}", section.word())]
    WrongDigest {
        /// The section.
        section: Section,
        /// What was said.
        digest: Digest,
    },
    /// A content is not canonical, or an edit does not fit.
    #[error("the content of the section {} does not read", section.word())]
    Content {
        /// The section.
        section: Section,
        /// What is wrong.
        #[source]
        source: ContentError,
    },
    /// Sections do not read.
    #[error(transparent)]
    Section(#[from] SectionError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many reports wait.
    #[error("too many reports wait to be written")]
    Busy,
}

/// A report that only has to be written.
pub struct Prepared {
    pub node_number: u32,
    pub heading: Heading,
    pub boot: Option<String>,
    pub digests: PerSection<Digest>,
    /// Texts of the sections that are new, or that the server has to read again.
    pub texts: BTreeMap<Section, Content>,
    /// How the new ones came.
    pub edits: BTreeMap<Section, (u32, String)>,
    pub facts: HashMap<String, PackageFacts>,
}

/// Sections that the state is computed from; the others are only kept.
const READ: [Section; 6] = [Section::System, Section::Packages, Section::Available, Section::Repositories, Section::Condition, Section::Custom];

/// Checks a report; `Err(Ok(_))` says what the server lacks.
pub async fn prepare(fleet: &Fleet, database: &Database, report: IncomingReport) -> Result<Prepared, Result<Lacking, ReportError>> {
    let mut prepared = Prepared {
        node_number: report.node_number,
        heading: report.heading,
        boot: report.boot,
        digests: report.digests,
        texts: BTreeMap::new(),
        edits: BTreeMap::new(),
        facts: report.facts.into_iter().map(|row| (row.package, row.facts)).collect(),
    };
    let mut lacking = Lacking::default();
    for section in Section::ALL {
        let digest = report.digests[section];
        if fleet.read().number_of(&digest).is_some() {
            continue;
        }
        let content = match report.contents.get(&digest) {
            None => None,
            Some(IncomingContent::Whole(text)) => Some(Content::parse(text.clone())),
            Some(IncomingContent::Edit { of, edit }) => match find_text(fleet, database, report.node_number, section, of).await.map_err(Err)? {
                None => None,
                Some((number, base)) => {
                    prepared.edits.insert(section, (number, edit.clone()));
                    Some(base.apply(edit))
                }
            },
        };
        match content {
            None => lacking.contents.push(digest),
            Some(Err(source)) => return Err(Err(ReportError::Content { section, source })),
            Some(Ok(content)) if content.digest() != digest => return Err(Err(ReportError::WrongDigest { section, digest })),
            Some(Ok(content)) => drop(prepared.texts.insert(section, content)),
        }
    }
    if lacking.contents.is_empty() {
        read_again(fleet, database, &mut prepared).await.map_err(Err)?;
        check_sections(&prepared).map_err(|error| Err(error.into()))?;
        lacking.packages = fleet.read().unknown_packages(&prepared);
    }
    if lacking == Lacking::default() { Ok(prepared) } else { Err(Ok(lacking)) }
}

/// The text of a content that the server has. A node's present packages come from the index.
async fn find_text(fleet: &Fleet, database: &Database, node_number: u32, section: Section, digest: &Digest) -> Result<Option<(u32, Content)>, ReportError> {
    let (number, in_index) = {
        let state = fleet.read();
        let Some(number) = state.number_of(digest) else { return Ok(None) };
        (number, (section == Section::Packages).then(|| state.packages_text(node_number, number)).flatten())
    };
    let content = match in_index {
        Some(content) => content,
        None => fleet.begin_read(database, &[number]).await?.find_content(number).await?,
    };
    Ok(Some((number, content)))
}

/// Reads the texts of known contents that the state was not computed from yet.
async fn read_again(fleet: &Fleet, database: &Database, prepared: &mut Prepared) -> Result<(), ReportError> {
    let wanted: Vec<_> = {
        let state = fleet.read();
        let wanted = |section: &Section| !prepared.texts.contains_key(section) && state.must_read(*section, &prepared.digests);
        READ.into_iter().filter(wanted).filter_map(|section| Some((section, state.number_of(&prepared.digests[section])?))).collect()
    };
    for (section, number) in wanted {
        let content = fleet.begin_read(database, &[number]).await?.find_content(number).await?;
        prepared.texts.insert(section, content);
    }
    Ok(())
}

/// Refuses what would not read later, when a person asks for it.
fn check_sections(prepared: &Prepared) -> Result<(), SectionError> {
    for (section, content) in &prepared.texts {
        section::check(*section, content)?;
    }
    Ok(())
}

impl State {
    /// Whether the text of a known section is needed to take a report with these sections.
    fn must_read(&self, section: Section, digests: &PerSection<Digest>) -> bool {
        let number = |section: Section| self.number_of(&digests[section]);
        let context = number(Section::System).and_then(|system| self.systems.get(&system)).and_then(|system| self.index.find_context(&system.platform));
        match (section, number(section)) {
            (Section::System, Some(number)) => !self.systems.contains_key(&number),
            (Section::Condition, Some(number)) => !self.reboots.contains_key(&number),
            (Section::Custom, Some(number)) => !self.fact_tags.contains_key(&number),
            (Section::Packages, Some(packages)) => context.is_none_or(|context| !self.list_of_packages.contains_key(&(context, packages))),
            (Section::Available, Some(available)) => {
                let vouched = number(Section::Repositories).is_some_and(|repositories| self.vouched.contains_key(&(available, repositories)));
                !vouched || context.is_none_or(|context| !self.available.contains_key(&(context, available)))
            }
            (Section::Repositories, Some(repositories)) => number(Section::Available).is_none_or(|available| !self.vouched.contains_key(&(available, repositories))),
            _ => false,
        }
    }

    /// Packages of a report whose facts neither the server nor the report has.
    fn unknown_packages(&self, prepared: &Prepared) -> Vec<String> {
        let Some(packages) = prepared.texts.get(&Section::Packages) else { return Vec::new() };
        let Some(ecosystem) = self.ecosystem(prepared) else { return Vec::new() };
        let unknown = |line: &PackageLine| {
            let key = VersionKey { ecosystem: &ecosystem, name: line.name, architecture: line.architecture, version: line.version };
            if self.index.versions.find(&key).is_some() {
                return None;
            }
            let package = format!("{}\t{}\t{}", line.name, line.architecture, line.version);
            (!prepared.facts.contains_key(&package)).then_some(package)
        };
        packages.lines().filter_map(PackageLine::parse).filter_map(|line| unknown(&line)).collect()
    }

    /// The system's id of a report.
    pub(super) fn ecosystem(&self, prepared: &Prepared) -> Option<String> {
        if let Some(content) = prepared.texts.get(&Section::System) {
            return section::read_system(content).ok().map(|system| system.platform.id);
        }
        let number = self.number_of(&prepared.digests[Section::System])?;
        self.systems.get(&number).map(|system| system.platform.id.clone())
    }

    /// The text of a node's present packages, when that is what is asked for.
    fn packages_text(&self, node_number: u32, content: u32) -> Option<Content> {
        let report = self.nodes.get(node_number as usize)?.report.as_ref()?;
        (report.sections[Section::Packages] == content).then(|| self.text_of_rows(&self.index.packages(report.list)))
    }

    /// The section `packages` of these rows.
    pub(super) fn text_of_rows(&self, rows: &[PackageRow]) -> Content {
        let mut text = String::with_capacity(rows.len() * 40);
        for row in rows {
            let key = self.index.versions.key(row.version);
            PackageLine { name: key.name, architecture: key.architecture, version: key.version, flags: row.flags }.write_to(&mut text);
            text.push('\n');
        }
        Content::of_canonical(text)
    }
}

/// How a new content is stored: as it came, as an edit of a similar report's, or whole.
pub(super) fn store_as(text: &Content, came_as: Option<(u32, String)>, similar: Option<&(u32, std::sync::Arc<Content>)>, depth: impl Fn(u32) -> u8) -> (ContentBody, u8) {
    if let Some((of, edit)) = came_as
        && depth(of) < EDITS_MAX
        && is_worth_it(&edit, text)
    {
        return (ContentBody::Edit { of, edit }, depth(of) + 1);
    }
    if let Some((of, similar)) = similar
        && depth(*of) < EDITS_MAX
    {
        let edit = similar.edit_to(text);
        if is_worth_it(&edit, text) {
            return (ContentBody::Edit { of: *of, edit }, depth(*of) + 1);
        }
    }
    (ContentBody::Whole(text.text().to_owned()), 0)
}

/// Most edits between a content and a whole one: reading it costs as many look-ups.
const EDITS_MAX: u8 = 16;

fn is_worth_it(edit: &str, text: &Content) -> bool {
    edit.len() * 2 < text.text().len()
}
