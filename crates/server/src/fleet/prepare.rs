//! Checking a report where it arrives: what is new in it, what the server would need, what is wrong.

use std::collections::{BTreeMap, HashMap};

use domain::fleet::{PackageRow, VersionKey};
use domain::model::content::{self, CONTENT_BYTES_MAX, Content, ContentError, Side};
use domain::model::digest::Digest;
use domain::model::section::{self, Heading, PACKAGES_MAX, PackageFacts, PackageLine, PerSection, Section, SectionError};
use store::contents::ContentBody;
use store::{Database, StoreError};

use crate::fleet::{Fleet, Node, State};

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
    /// Which reading of the store its numbers belong to.
    pub n_reloads: u32,
    pub node_number: u32,
    pub heading: Heading,
    pub boot: Option<String>,
    pub digests: PerSection<Digest>,
    /// Texts of the sections that are new, or that the server has to read again.
    pub texts: BTreeMap<Section, Content>,
    /// How the new ones came.
    pub edits: BTreeMap<Section, (u32, String)>,
    /// The rows of the packages, when every version of them is known.
    pub rows: Option<Vec<PackageRow>>,
    pub facts: HashMap<String, PackageFacts>,
}

/// Sections that the state is computed from; the others are only kept.
pub(super) const READ: [Section; 6] = [Section::System, Section::Packages, Section::Available, Section::Repositories, Section::Condition, Section::Custom];

/// Checks a report; `Err(Ok(_))` says what the server lacks.
pub async fn prepare(fleet: &Fleet, database: &Database, report: IncomingReport) -> Result<Prepared, Result<Lacking, ReportError>> {
    let mut prepared = Prepared {
        n_reloads: fleet.read().n_reloads,
        node_number: report.node_number,
        heading: report.heading,
        boot: report.boot,
        digests: report.digests,
        texts: BTreeMap::new(),
        edits: BTreeMap::new(),
        rows: None,
        facts: report.facts.into_iter().map(|row| (row.package, row.facts)).collect(),
    };
    let mut lacking = Lacking::default();
    let known = fleet.read().numbers(&report.digests);
    for section in Section::ALL.into_iter().filter(|section| known[*section].is_none()) {
        let digest = report.digests[section];
        let content = match report.contents.get(&digest) {
            None => None,
            Some(IncomingContent::Whole(text)) => Some(Content::parse(text.clone())),
            Some(IncomingContent::Edit { of, edit }) => match apply_edit(fleet, database, &prepared, section, of, edit).await.map_err(Err)? {
                None => None,
                Some(edited) => {
                    if section == Section::Packages {
                        prepared.rows = edited.rows;
                    }
                    prepared.edits.insert(section, (edited.of, edit.clone()));
                    Some(edited.text)
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
        read_again(fleet, database, &mut prepared, &known).await.map_err(Err)?;
        check_sections(&prepared).map_err(|error| Err(error.into()))?;
        if prepared.rows.is_none() {
            let rows = fleet.read().find_rows(&prepared).map_err(|error| Err(error.into()))?;
            match rows {
                Rows::Known(rows) => prepared.rows = rows,
                Rows::Lacking(packages) => lacking.packages = packages,
            }
        }
    }
    if lacking == Lacking::default() { Ok(prepared) } else { Err(Ok(lacking)) }
}

/// What is known of a report's packages.
enum Rows {
    /// Everything that the report does not say itself; their rows, when it says nothing.
    Known(Option<Vec<PackageRow>>),
    /// Packages whose facts neither the server nor the report has.
    Lacking(Vec<String>),
}

/// What an edit made.
struct Edited {
    /// The number of what was edited.
    of: u32,
    text: Result<Content, ContentError>,
    /// The rows of packages, when the text was made of them.
    rows: Option<Vec<PackageRow>>,
}

/// Applies an edit of a content that the server has. A node's present packages come from the index.
async fn apply_edit(fleet: &Fleet, database: &Database, prepared: &Prepared, section: Section, of: &Digest, edit: &str) -> Result<Option<Edited>, ReportError> {
    let of = {
        let state = fleet.read();
        let Some(of) = state.number_of(of) else { return Ok(None) };
        if section == Section::Packages
            && let Some(present) = state.present_rows(prepared.node_number, of)
        {
            return Ok(Some(state.edit_packages(prepared, of, present, edit)));
        }
        of
    };
    // Seldom needed, and large: what most reports need not is not moved about with them.
    let base = Box::pin(async { fleet.begin_read(database, &[of]).await?.find_content(of).await }).await?;
    Ok(Some(Edited { of, text: base.apply(edit), rows: None }))
}

/// Reads the texts of known contents that the state was not computed from yet.
async fn read_again(fleet: &Fleet, database: &Database, prepared: &mut Prepared, known: &PerSection<Option<u32>>) -> Result<(), ReportError> {
    let wanted: Vec<_> = {
        let state = fleet.read();
        let wanted = |section: &Section| !prepared.texts.contains_key(section) && state.must_read(prepared.node_number, *section, known);
        READ.into_iter().filter(wanted).filter_map(|section| Some((section, known[section]?))).collect()
    };
    if wanted.is_empty() {
        return Ok(());
    }
    Box::pin(async {
        let mut tx = fleet.begin_read(database, &wanted.iter().map(|(_, number)| *number).collect::<Vec<_>>()).await?;
        for (section, number) in wanted {
            prepared.texts.insert(section, tx.find_content(number).await?);
        }
        Ok(())
    })
    .await
}

/// Refuses what would not read later, when a person asks for it.
fn check_sections(prepared: &Prepared) -> Result<(), SectionError> {
    // Packages are read when their rows are looked up.
    for (section, content) in prepared.texts.iter().filter(|(section, _)| **section != Section::Packages) {
        section::check(*section, content)?;
    }
    Ok(())
}

impl State {
    /// The numbers of a report's contents, as far as they are known.
    fn numbers(&self, digests: &PerSection<Digest>) -> PerSection<Option<u32>> {
        PerSection(digests.0.map(|digest| self.number_of(&digest)))
    }

    /// Whether the text of a known section is needed to take a report of a node with these sections.
    pub(super) fn must_read(&self, node_number: u32, section: Section, known: &PerSection<Option<u32>>) -> bool {
        let number = |section: Section| known[section];
        let cohort = self.nodes.get(node_number as usize).map(|node| &node.cohort);
        let context =
            || number(Section::System).and_then(|system| self.systems.get(&system)).zip(cohort).and_then(|(system, cohort)| self.index.find_context(&system.platform, cohort));
        match (section, number(section)) {
            (Section::System, Some(number)) => !self.systems.contains_key(&number),
            (Section::Condition, Some(number)) => !self.reboots.contains_key(&number),
            (Section::Custom, Some(number)) => !self.fact_tags.contains_key(&number),
            (Section::Packages, Some(packages)) => context().is_none_or(|context| !self.list_of_packages.contains_key(&(context, packages))),
            (Section::Available, Some(available)) => {
                let vouched = number(Section::Repositories).is_some_and(|repositories| self.vouched.contains_key(&(available, repositories)));
                !vouched || context().is_none_or(|context| !self.available.contains_key(&(context, available)))
            }
            (Section::Repositories, Some(repositories)) => number(Section::Available).is_none_or(|available| !self.vouched.contains_key(&(available, repositories))),
            _ => false,
        }
    }

    /// Looks up the packages of a report.
    fn find_rows(&self, prepared: &Prepared) -> Result<Rows, SectionError> {
        let Some(packages) = prepared.texts.get(&Section::Packages) else { return Ok(Rows::Known(None)) };
        let Some(ecosystem) = self.ecosystem(prepared.texts.get(&Section::System), &prepared.digests) else { return Ok(Rows::Known(None)) };
        let lines = section::read_packages(packages)?;
        let mut rows = Vec::with_capacity(lines.len());
        let mut lacking = Vec::new();
        for line in &lines {
            if let Some(row) = self.find_row(&ecosystem, line) {
                rows.push(row);
            } else {
                let package = line.key();
                lacking.extend((!prepared.facts.contains_key(&package)).then_some(package));
            }
        }
        let all_known = rows.len() == lines.len();
        Ok(if lacking.is_empty() { Rows::Known(all_known.then_some(rows)) } else { Rows::Lacking(lacking) })
    }

    pub(super) fn find_row(&self, ecosystem: &str, line: &PackageLine) -> Option<PackageRow> {
        let key = VersionKey { ecosystem, name: line.name, architecture: line.architecture, version: line.version };
        self.index.versions.find(&key).map(|version| PackageRow { version, flags: line.flags })
    }

    /// What an edit makes of the packages that the node has now.
    fn edit_packages(&self, prepared: &Prepared, of: u32, present: Vec<PackageRow>, edit: &str) -> Edited {
        if let Some(rows) = self.edit_rows(prepared, present, edit) {
            let text = self.text_of_rows_like(prepared.node_number, &rows);
            if text.text().len() <= CONTENT_BYTES_MAX {
                return Edited { of, text: Ok(text), rows: Some(rows) };
            }
        }
        let present = self.present_rows(prepared.node_number, of).unwrap_or_default();
        Edited { of, text: self.text_of_rows(&present).apply(edit), rows: None }
    }

    /// The rows that an edit makes, when all versions are known and the node's system is the same.
    fn edit_rows(&self, prepared: &Prepared, mut rows: Vec<PackageRow>, edit: &str) -> Option<Vec<PackageRow>> {
        let before = self.nodes.get(prepared.node_number as usize)?.report.as_ref()?;
        let system = self.number_of(&prepared.digests[Section::System]).filter(|system| *system == before.sections[Section::System])?;
        self.apply_to_rows(&mut rows, &self.systems.get(&system)?.platform.id, edit)?;
        (rows.len() <= PACKAGES_MAX).then_some(rows)
    }

    /// Applies an edit of a text to its rows; `None` when a version is not known, or only the text can
    /// tell whether the edit fits.
    pub(super) fn apply_to_rows(&self, rows: &mut Vec<PackageRow>, ecosystem: &str, edit: &str) -> Option<()> {
        let (mut last, mut written) = (None, String::new());
        for change in content::changed_lines(edit) {
            let (side, changed) = change.filter(|(_, changed)| last.is_none_or(|last| last < *changed))?;
            last = Some(changed);
            let line = PackageLine::parse(changed)?;
            let row = self.find_row(ecosystem, &line)?;
            written.clear();
            self.write_row(&row, &mut written);
            if written != changed {
                return None;
            }
            // Rows are in the order of their lines.
            let order = |other: &PackageRow| {
                let key = self.index.versions.key(other.version);
                (key.name, key.architecture, key.version).cmp(&(line.name, line.architecture, line.version))
            };
            match (side, rows.binary_search_by(order)) {
                (Side::Old, Ok(at)) if rows[at] == row => drop(rows.remove(at)),
                (Side::New, Err(at)) => rows.insert(at, row),
                // Marks changed: the line of before may be there.
                _ => return None,
            }
        }
        Some(())
    }

    /// The system's id of a report, from the text of its section `system` when that came along.
    pub(super) fn ecosystem(&self, system: Option<&Content>, digests: &PerSection<Digest>) -> Option<String> {
        if let Some(content) = system {
            return section::read_system(content).ok().map(|system| system.platform.id);
        }
        let number = self.number_of(&digests[Section::System])?;
        self.systems.get(&number).map(|system| system.platform.id.clone())
    }

    /// The rows of a node's present packages, when that is what is asked for.
    fn present_rows(&self, node_number: u32, content: u32) -> Option<Vec<PackageRow>> {
        let report = self.nodes.get(node_number as usize)?.report.as_ref()?;
        (report.sections[Section::Packages] == content).then(|| self.index.packages(report.list))
    }

    /// The section `packages` of these rows.
    pub(super) fn text_of_rows(&self, rows: &[PackageRow]) -> Content {
        let mut text = String::with_capacity(rows.len() * 40);
        for row in rows {
            self.write_row(row, &mut text);
            text.push('\n');
        }
        Content::of_canonical(text)
    }

    /// The same, where the node's image has most of the lines: those lie beside each other in its text, while those of
    /// versions lie wherever memory was.
    fn text_of_rows_like(&self, node_number: u32, rows: &[PackageRow]) -> Content {
        let image = self.nodes.get(node_number as usize).and_then(Node::list).map(|list| self.index.whole_of(list));
        let example = image.and_then(|image| self.examples.get(&image));
        let Some((example, (_, lines))) = example.and_then(|example| Some((&example.rows, example.contents[Section::Packages].as_ref()?))) else { return self.text_of_rows(rows) };
        let begin_of = |at: usize| at.checked_sub(1).map_or(0, |before| example[before].1 as usize);
        let between = |from: usize, to: usize| &lines.text()[begin_of(from)..begin_of(to)];
        let mut text = String::with_capacity(lines.text().len() + 256);
        // Lines from `begin` up to `at` are the node's too, and not written yet.
        let (mut begin, mut at) = (0, 0);
        for row in rows {
            // Few lines of an image are gone on a node.
            let ahead = example[at..].iter().take(LOOK_AHEAD).position(|(known, _)| known == row);
            if ahead != Some(0) {
                text.push_str(between(begin, at));
                begin = at + ahead.unwrap_or(0);
            }
            if let Some(ahead) = ahead {
                at += ahead + 1;
            } else {
                self.write_row(row, &mut text);
                text.push('\n');
            }
        }
        text.push_str(between(begin, at));
        debug_assert_eq!(text, self.text_of_rows(rows).text(), "lines of an image are those of its rows");
        Content::of_canonical(text)
    }

    fn write_row(&self, row: &PackageRow, text: &mut String) {
        text.push_str(self.index.versions.line(row.version));
        row.flags.write_to(text);
    }
}

/// How many lines of an image are looked at for the next one of a node.
const LOOK_AHEAD: usize = 8;

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
