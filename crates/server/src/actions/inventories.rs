//! What a node has, had on a day, and what changed between two.

use api::page::Cursor;
use api::v1::node::ListPage;
use domain::fleet::VersionKey;
use domain::model::content::{Content, Side, for_each_difference};
use domain::model::id::NodeId;
use domain::model::inventory::Inventory;
use domain::model::section::{self, Heading, PackageFacts, PackageLine, PerSection, Section};
use domain::model::time::Timestamp;
use store::reports::ReportRecord;
use store::{ReadTx, StoreError};

use crate::App;
use crate::actions::nodes::{find_number, parse_id};
use crate::actions::{ActionError, Caller, cut_page, decode_cursor, end_of_day, page_limit};

/// What a node has now, as far as it reported.
pub(crate) async fn read_current(app: &App, id: &NodeId) -> Result<Option<Inventory>, ActionError> {
    let (heading, machine, sections) = {
        let state = app.fleet().read();
        let Some((node, report)) = state.find(id).and_then(|node| Some((node, node.report.as_ref()?))) else { return Ok(None) };
        let heading = Heading {
            name: node.name.clone(),
            collected_at: node.collected_at().unwrap_or(node.record.enrolled_at),
            lists_refreshed_at: node.lists_refreshed_at(),
            booted_at: node.booted_at,
        };
        (heading, node.record.machine.clone(), report.sections)
    };
    read(app, &heading, machine, &sections).await.map(Some)
}

/// What a node has, or had at the end of a day, with the time that it was collected.
pub async fn find(app: &App, _caller: &Caller, id: &str, day: Option<&str>) -> Result<Option<Inventory>, ActionError> {
    let node_id = parse_id(id)?;
    let number = find_number(app, id)?;
    let Some(day) = day.filter(|day| !day.is_empty()) else { return read_current(app, &node_id).await };
    let end = end_of_day("day", day)?;
    let report = app.database().read().await?.find_report_at(number, end).await?;
    let Some(report) = report else { return Ok(None) };
    let (name, machine) = {
        let state = app.fleet().read();
        let node = &state.nodes[number as usize];
        (node.name.clone(), node.record.machine.clone())
    };
    let heading = Heading { name, collected_at: report.collected_at, lists_refreshed_at: None, booted_at: None };
    read(app, &heading, machine, &report.sections).await.map(Some)
}

async fn read(app: &App, heading: &Heading, machine: Option<String>, numbers: &PerSection<u32>) -> Result<Inventory, ActionError> {
    let sections = read_sections(&mut app.fleet().begin_read(app.database(), &numbers.0).await?, numbers).await?;
    let ecosystem = section::read_system(&sections[Section::System]).map(|system| system.platform.id).unwrap_or_default();
    let state = app.fleet().read();
    let find = |name: &str, architecture: &str, version: &str| state.index.versions.find(&VersionKey { ecosystem: &ecosystem, name, architecture, version });
    let facts = |line: &PackageLine| find(line.name, line.architecture, line.version).map_or_else(PackageFacts::default, |number| state.version(number).facts.clone());
    let mut inventory = section::read(heading, &sections, machine, facts).map_err(|error| StoreError::Damaged { what: "report", detail: error.to_string() })?;
    for version in &mut inventory.available {
        version.first_seen_at = find(&version.name, &version.architecture, &version.version).map(|number| state.first_seen_at(number));
    }
    state.index.catalog().advise(&mut inventory);
    Ok(inventory)
}

async fn read_sections(tx: &mut ReadTx, numbers: &PerSection<u32>) -> Result<PerSection<Content>, StoreError> {
    let mut sections = PerSection::default();
    for section in Section::ALL {
        sections[section] = tx.find_content(numbers[section]).await?;
    }
    Ok(sections)
}

/// One line of a section that came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which section.
    pub section: Section,
    /// The line before, when it was another.
    pub before: Option<String>,
    /// The line after, when there is one.
    pub after: Option<String>,
}

/// A report that said something new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedReport {
    /// Its number.
    pub number: u32,
    /// When it was collected.
    pub collected_at: Timestamp,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The sections that differ from the report before.
    pub changed: Vec<Section>,
}

/// Reports of a node that said something new, newest first.
pub async fn list_reports(app: &App, _caller: &Caller, id: &str, query: &ListPage) -> Result<(Vec<ChangedReport>, Option<String>), ActionError> {
    let limit = page_limit(query.limit)?;
    let list = format!("reports?{id}");
    let before = decode_cursor(query.cursor.as_deref(), &list)?.map(|cursor| cursor.id.parse().map_err(|_| ActionError::InvalidCursor)).transpose()?;
    let number = find_number(app, id)?;
    let reports = app.database().read().await?.list_reports(number, before, limit + 1).await?;
    let changed = reports.iter().enumerate().map(|(at, report)| ChangedReport {
        number: report.number,
        collected_at: report.collected_at,
        received_at: report.received_at,
        changed: reports.get(at + 1).map_or_else(Vec::new, |earlier| changed_sections(earlier, report)),
    });
    Ok(cut_page(changed.collect(), limit, &list, |report: &ChangedReport| Cursor { value: String::new(), id: report.number.to_string() }))
}

fn changed_sections(earlier: &ReportRecord, later: &ReportRecord) -> Vec<Section> {
    // The day of a package's installation changes with the package, which says it already.
    Section::ALL.into_iter().filter(|section| *section != Section::Installed && earlier.sections[*section] != later.sections[*section]).collect()
}

/// What changed on a node between the ends of two days.
pub async fn list_changes(app: &App, _caller: &Caller, id: &str, from: &str, to: &str) -> Result<Vec<Change>, ActionError> {
    let (from, to) = (end_of_day("from", from)?, end_of_day("to", to)?);
    let number = find_number(app, id)?;
    let mut tx = app.database().read().await?;
    let Some(later) = tx.find_report_at(number, to).await? else { return Ok(Vec::new()) };
    let Some(earlier) = tx.find_report_at(number, from).await? else {
        return Err(ActionError::invalid("from", "the node had not reported anything by the end of that day"));
    };
    changes_between(&mut tx, &earlier, &later).await
}

/// What a report said that the one before it had not.
pub async fn list_changes_of_report(app: &App, _caller: &Caller, id: &str, report_number: u32) -> Result<Vec<Change>, ActionError> {
    let number = find_number(app, id)?;
    let mut tx = app.database().read().await?;
    let reports = tx.list_reports(number, report_number.checked_add(1), 2).await?;
    match reports.as_slice() {
        [later, earlier] if later.number == report_number => changes_between(&mut tx, earlier, later).await,
        [first, ..] if first.number == report_number => Ok(Vec::new()),
        _ => Err(ActionError::not_found("report", &report_number.to_string())),
    }
}

async fn changes_between(tx: &mut ReadTx, earlier: &ReportRecord, later: &ReportRecord) -> Result<Vec<Change>, ActionError> {
    let mut changes = Vec::new();
    for section in changed_sections(earlier, later) {
        let old = tx.find_content(earlier.sections[section]).await?;
        let new = tx.find_content(later.sections[section]).await?;
        for_each_difference(&old, &new, |line, side| match side {
            Side::Old => changes.push(Change { section, before: Some(line.to_owned()), after: None }),
            Side::New => join_change(&mut changes, section, line),
        });
    }
    Ok(changes)
}

/// Lines about the same thing are one change: those that begin with the same two fields.
fn join_change(changes: &mut Vec<Change>, section: Section, line: &str) {
    let subject = |line: &str| line.split(['\t', ',']).take(2).map(str::to_owned).collect::<Vec<_>>();
    let same = changes.iter_mut().rev().take_while(|change| change.section == section).find(|change| {
        let tabular = matches!(section, Section::Packages | Section::Services);
        change.after.is_none() && change.before.as_deref().is_some_and(|before| tabular && subject(before) == subject(line))
    });
    match same {
        Some(change) => change.after = Some(line.to_owned()),
        None => changes.push(Change { section, before: None, after: Some(line.to_owned()) }),
    }
}
