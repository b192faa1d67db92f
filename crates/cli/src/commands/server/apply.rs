//! `fettle apply` and `fettle export`: baselines, whom they judge, and what else operators want, as files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use api::client::{Client, ClientError};
use api::v1::baseline::{AssignBaseline, Assignment, SaveBaseline};
use api::v1::document::SaveDocument;
use domain::decide::assign::{AssignmentsDocument, AssignmentsSchema, GroupAssignment};
use domain::model::baseline::{Baseline, DOCUMENT_BYTES_MAX, parse_document};
use domain::model::intent::{Intent, IntentKind};
use domain::model::platform::OperatingSystem;

use super::baseline::{parse, print_difference};
use super::remote::Remote;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::{Format, Printer};

/// The file of assignments that an export writes.
const ASSIGNMENTS_FILE: &str = "assignments.yaml";
/// Most files that are read.
const FILES_MAX: usize = 2000;

/// Arguments of `fettle apply`.
#[derive(clap::Args)]
pub struct ApplyArguments {
    /// A folder of YAML documents, or one of them
    #[arg(long, short, value_name = "DIR")]
    file: PathBuf,
    /// Say what would change, and change nothing; ends with 2 when something would
    #[arg(long)]
    plan: bool,
    /// Why, for those who read the versions later
    #[arg(long, default_value = "applied from files")]
    reason: String,
    #[command(flatten)]
    remote: Remote,
}

/// Arguments of `fettle export`.
#[derive(clap::Args)]
pub struct ExportArguments {
    /// Folder for the documents
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

/// What files say.
#[derive(Default)]
struct Wanted {
    /// By name, so that the order of files does not matter.
    baselines: BTreeMap<String, Baseline>,
    assignments: Option<AssignmentsDocument>,
    /// Policies, windows and their kin.
    intents: BTreeMap<(IntentKind, String), Intent>,
}

/// What a server has.
struct Present {
    /// By name.
    baselines: BTreeMap<String, PresentBaseline>,
    assignments: BTreeSet<Choice>,
    intents: BTreeMap<(IntentKind, String), Intent>,
}

struct PresentBaseline {
    id: String,
    predefined: bool,
    document: Baseline,
}

/// An operating system, a patch group, and the name of the baseline that was chosen for them.
type Choice = (String, Option<String>, String);

/// One thing to do.
#[derive(serde::Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Change {
    Create { name: String },
    Update { name: String },
    Assign { operating_system: String, patch_group: Option<String>, baseline: Option<String> },
    Save { document: IntentKind, name: String },
}

/// Kinds of documents, those that others name first.
const KINDS: [IntentKind; 5] = [IntentKind::Channel, IntentKind::Window, IntentKind::RebootGroup, IntentKind::Freeze, IntentKind::Policy];

/// Brings a server to what files say. What they do not name stays, but for assignments, which one document
/// says all of.
pub fn apply(arguments: &ApplyArguments, printer: &Printer) -> anyhow::Result<Exit> {
    let wanted = Wanted::read(&arguments.file)?;
    let present = Present::read(&arguments.remote)?;
    let changes = plan(&wanted, &present)?;
    match arguments.remote.format {
        Format::Json => printer.json(&changes)?,
        Format::Table => print(&changes, &wanted, &present, printer),
    }
    if arguments.plan {
        return Ok(if changes.is_empty() { Exit::Success } else { Exit::Changes });
    }
    arguments.remote.ask(async |client| carry_out(&client, &changes, &wanted, &present, &arguments.reason).await)?;
    if !changes.is_empty() {
        printer.note(format!("{} applied", if changes.len() == 1 { "1 change".to_owned() } else { format!("{} changes", changes.len()) }));
    }
    Ok(Exit::Success)
}

fn plan(wanted: &Wanted, present: &Present) -> anyhow::Result<Vec<Change>> {
    let mut changes = Vec::new();
    for (name, baseline) in &wanted.baselines {
        match present.baselines.get(name) {
            None => changes.push(Change::Create { name: name.clone() }),
            Some(known) if known.document == *baseline => {}
            Some(known) if known.predefined => {
                return Err(Failure::new(format!("the baseline `{name}` ships with Fettle and cannot be edited"), "give the document another name").into());
            }
            Some(_) => changes.push(Change::Update { name: name.clone() }),
        }
    }
    plan_assignments(wanted, present, &mut changes)?;
    for kind in KINDS {
        let of_kind = wanted.intents.iter().filter(|((of, _), intent)| *of == kind && present.intents.get(&(kind, intent.name().to_owned())) != Some(intent));
        changes.extend(of_kind.map(|((document, name), _)| Change::Save { document: *document, name: name.clone() }));
    }
    Ok(changes)
}

fn plan_assignments(wanted: &Wanted, present: &Present, changes: &mut Vec<Change>) -> anyhow::Result<()> {
    let Some(document) = &wanted.assignments else { return Ok(()) };
    let of_all = document.defaults.iter().map(|(system, name)| (system.code().to_owned(), None, name.clone()));
    let of_groups = document.patch_groups.iter().map(|group| (group.operating_system.code().to_owned(), Some(group.name.clone()), group.baseline.clone()));
    let chosen: BTreeSet<Choice> = of_all.chain(of_groups).collect();
    if let Some((_, _, unknown)) = chosen.iter().find(|(_, _, name)| !wanted.baselines.contains_key(name) && !present.baselines.contains_key(name)) {
        return Err(Failure::new(format!("the assignments name the baseline `{unknown}`, which is neither in the files nor on the server"), "give its document too").into());
    }
    let is_chosen = |system: &str, group: &Option<String>| chosen.iter().any(|(other, named, _)| other == system && named == group);
    let undone = present.assignments.iter().filter(|(system, group, _)| !is_chosen(system, group));
    changes.extend(undone.map(|(system, group, _)| Change::Assign { operating_system: system.clone(), patch_group: group.clone(), baseline: None }));
    let new = chosen.difference(&present.assignments).cloned();
    changes.extend(new.map(|(operating_system, patch_group, baseline)| Change::Assign { operating_system, patch_group, baseline: Some(baseline) }));
    Ok(())
}

async fn carry_out(client: &Client, changes: &[Change], wanted: &Wanted, present: &Present, reason: &str) -> Result<(), ClientError> {
    for change in changes {
        match change {
            Change::Create { name } | Change::Update { name } => {
                let save = SaveBaseline { document: wanted.baselines[name].to_yaml(), reason: reason.to_owned(), edited_version: None };
                client.save_baseline(present.baselines.get(name).map(|known| known.id.as_str()), &save).await?;
            }
            Change::Assign { operating_system, patch_group, baseline } => {
                let assign = AssignBaseline { operating_system: operating_system.clone(), patch_group: patch_group.clone(), baseline: baseline.clone() };
                client.assign_baseline(&assign).await?;
            }
            Change::Save { document, name } => {
                let document = wanted.intents[&(*document, name.clone())].to_yaml();
                client.save_document(&SaveDocument { document, reason: reason.to_owned(), preview: false }).await?;
            }
        }
    }
    Ok(())
}

fn print(changes: &[Change], wanted: &Wanted, present: &Present, printer: &Printer) {
    if changes.is_empty() {
        printer.line("nothing to do");
    }
    for change in changes {
        match change {
            Change::Create { name } | Change::Update { name } => {
                let old = present.baselines.get(name).map(|known| &known.document);
                printer.line(format!("{} the baseline {}", if old.is_some() { "change" } else { "make" }, printer.bold(name)));
                print_difference(old, wanted.baselines.get(name), printer);
            }
            Change::Assign { operating_system, patch_group, baseline } => {
                let whom = patch_group.as_ref().map_or_else(|| format!("{operating_system}, by default"), |group| format!("the patch group {group} of {operating_system}"));
                printer.line(format!("let {} judge {whom}", baseline.as_deref().unwrap_or("the default")));
            }
            Change::Save { document, name } => {
                let key = (*document, name.clone());
                let text = |intents: &BTreeMap<_, Intent>| intents.get(&key).map(Intent::to_yaml);
                let (old, new) = (text(&present.intents), text(&wanted.intents).unwrap_or_default());
                printer.line(format!("{} the {} {}", if old.is_some() { "change" } else { "make" }, document.noun(), printer.bold(name)));
                let old = old.unwrap_or_default();
                let is_in = |text: &str, line: &str| text.lines().any(|known| known == line);
                old.lines().filter(|line| !is_in(&new, line)).for_each(|line| printer.line(format!("  - {line}")));
                new.lines().filter(|line| !is_in(&old, line)).for_each(|line| printer.line(format!("  + {line}")));
            }
        }
    }
}

impl Wanted {
    /// Reads every YAML and JSON file of a folder, or one file. A file that does not read is an error, and then
    /// nothing is applied.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let mut files = vec![path.to_owned()];
        if path.is_dir() {
            let listed = fs::read_dir(path).with_context(|| format!("failed to list `{}`", path.display()))?;
            let is_document = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json");
            files = listed.filter_map(|entry| Some(entry.ok()?.path())).filter(is_document).collect();
            files.sort();
        }
        if files.is_empty() || files.len() > FILES_MAX {
            return Err(Failure::new(format!("`{}` holds {} documents", path.display(), files.len()), format!("give a folder with 1 to {FILES_MAX} YAML files")).into());
        }
        let mut wanted = Self::default();
        for file in files {
            wanted.add(&file)?;
        }
        Ok(wanted)
    }

    fn add(&mut self, file: &Path) -> anyhow::Result<()> {
        let place = file.display();
        let text = fs::read_to_string(file).with_context(|| Failure::new(format!("failed to read `{place}`"), "give the path of a YAML or JSON file"))?;
        let schema = text.lines().find_map(|line| line.trim_start_matches(['{', ' ', '"']).strip_prefix("schema")).unwrap_or_default();
        if text.len() <= DOCUMENT_BYTES_MAX && IntentKind::ALL.iter().any(|kind| schema.contains(&format!("{}/v", kind.noun()))) {
            return self.add_intent(&text, file);
        }
        if text.len() > DOCUMENT_BYTES_MAX || !schema.contains("assignments/") {
            let baseline = parse(&text, file)?;
            let name = baseline.name.clone();
            return match self.baselines.insert(name.clone(), baseline) {
                None => Ok(()),
                Some(_) => Err(Failure::new(format!("`{place}`: the baseline `{name}` is in another file too"), "leave one of them").into()),
            };
        }
        let document = parse_document(&text).map_err(|error| {
            let hint = error.hint().unwrap_or("see docs/guide/baselines.md").to_owned();
            anyhow::Error::new(error).context(Failure::new(format!("`{place}` cannot be used"), hint))
        })?;
        match self.assignments.replace(document) {
            None => Ok(()),
            Some(_) => Err(Failure::new(format!("`{place}`: assignments are in another file too"), "one document says all of them").into()),
        }
    }

    fn add_intent(&mut self, text: &str, file: &Path) -> anyhow::Result<()> {
        let place = file.display();
        let intent = Intent::parse(text).map_err(|error| {
            let hint = error.hint().unwrap_or("see docs/guide/rollouts.md").to_owned();
            anyhow::Error::new(error).context(Failure::new(format!("`{place}` cannot be used"), hint))
        })?;
        let (kind, name) = (intent.kind(), intent.name().to_owned());
        match self.intents.insert((kind, name.clone()), intent) {
            None => Ok(()),
            Some(_) => Err(Failure::new(format!("`{place}`: the {} `{name}` is in another file too", kind.noun()), "leave one of them").into()),
        }
    }
}

impl Present {
    fn read(remote: &Remote) -> anyhow::Result<Self> {
        let (details, assignments, documents) = remote.ask(async |client| {
            let mut details = Vec::new();
            for baseline in client.list_baselines().await?.items {
                details.push(client.baseline(&baseline.id).await?);
            }
            let mut documents = Vec::new();
            for kind in KINDS {
                documents.extend(client.list_documents(kind.plural()).await?);
            }
            Ok((details, client.list_assignments().await?, documents))
        })?;
        let mut baselines = BTreeMap::new();
        for detail in details {
            let document = serde_json::from_value(detail.document).context("the server's answer does not read")?;
            baselines.insert(detail.baseline.name, PresentBaseline { id: detail.baseline.id, predefined: detail.baseline.predefined, document });
        }
        let assignments = assignments.into_iter().map(|Assignment { operating_system, patch_group, baseline }| (operating_system, patch_group, baseline)).collect();
        let intents = documents.into_iter().map(|document| Intent::parse(&document.document).map(|intent| ((intent.kind(), document.name), intent)));
        let intents = intents.collect::<Result<_, _>>().context("the server's answer does not read")?;
        Ok(Self { baselines, assignments, intents })
    }
}

/// Writes what a server has as files that `fettle apply` takes.
pub fn export(arguments: &ExportArguments, printer: &Printer) -> anyhow::Result<Exit> {
    let present = Present::read(&arguments.remote)?;
    let failed = || Failure::new(format!("failed to write into `{}`", arguments.to.display()), "give a folder that can be written");
    fs::create_dir_all(&arguments.to).with_context(failed)?;
    let write = |name: &str, text: String| fs::write(arguments.to.join(name), text).with_context(failed);
    let mut n_written = 1;
    for (name, known) in present.baselines.iter().filter(|(_, known)| !known.predefined) {
        write(&format!("{name}.yaml"), known.document.to_yaml())?;
        n_written += 1;
    }
    for ((kind, name), intent) in &present.intents {
        write(&format!("{}-{name}.yaml", kind.noun()), intent.to_yaml())?;
        n_written += 1;
    }
    let mut document = AssignmentsDocument { schema: AssignmentsSchema::V1, defaults: BTreeMap::new(), patch_groups: Vec::new() };
    for (code, group, baseline) in present.assignments {
        let operating_system = OperatingSystem::ALL.into_iter().find(|system| system.code() == code).with_context(|| format!("the server knows a system `{code}`"))?;
        match group {
            None => drop(document.defaults.insert(operating_system, baseline)),
            Some(name) => document.patch_groups.push(GroupAssignment { name, operating_system, baseline }),
        }
    }
    write(ASSIGNMENTS_FILE, document.to_yaml())?;
    printer.line(format!("{n_written} documents are in {}", arguments.to.display()));
    Ok(Exit::Success)
}
