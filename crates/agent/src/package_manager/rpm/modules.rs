//! Module streams: which of several parallel branches of a package a node follows.
//!
//! Of each module one stream is active: the one that the node enabled, else the default of the repository,
//! unless the node disabled the module. Packages of other streams are hidden, and so are packages outside
//! modules that have the name of one in an active stream, as in dnf.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read};

use domain::model::problem::Problem;
use domain::model::version::rpm;
use serde::Deserialize;

use super::summary::{Line, ListedPackage, SummaryWriter};
use super::{Source, config};
use crate::root::Root;

const DOCUMENTS_BYTES_MAX: u64 = 256 * 1024 * 1024;
const CONFIG_FOLDER: &str = "/etc/dnf/modules.d";

/// A document of `modules.yaml`; of its many fields the few that matter.
#[derive(Deserialize)]
struct Document {
    document: String,
    data: Data,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    name: Option<Word>,
    module: Option<Word>,
    stream: Option<Word>,
    artifacts: Artifacts,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Artifacts {
    rpms: Vec<String>,
}

/// A word; a stream such as 1.10 may look like a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Integer(i64),
    Number(f64),
}

impl Word {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Integer(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// Reads every module and every default. Documents are read one by one, so that a strange one costs only itself.
pub fn read(input: impl Read, summary: &mut SummaryWriter) -> io::Result<()> {
    let mut text = Vec::new();
    input.take(DOCUMENTS_BYTES_MAX).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    for document in text.split("\n---").map(|document| document.split("\n...").next().unwrap_or_default().trim_start_matches("---")) {
        let Ok(Document { document, data }) = serde_saphyr::from_str::<Document>(document) else { continue };
        match (document.as_str(), data.name, data.module, data.stream) {
            ("modulemd", Some(name), _, Some(stream)) => summary.add_module(&name.text(), &stream.text(), &data.artifacts.rpms),
            ("modulemd-defaults", _, Some(module), Some(stream)) => summary.add_default(&module.text(), &stream.text()),
            _ => {}
        }
    }
    Ok(())
}

/// Streams by the configuration of the node; `None` for a module that is disabled.
pub fn configured(root: &Root, problems: &mut Vec<Problem>) -> BTreeMap<String, Option<String>> {
    let mut streams = BTreeMap::new();
    for name in root.list_names(CONFIG_FOLDER, problems).into_iter().filter(|name| name.strip_suffix(".module").is_some()) {
        let path = format!("{CONFIG_FOLDER}/{name}");
        for (module, section) in config::parse(&root.read_text(&path, problems).unwrap_or_default(), &path, problems) {
            let stream = section.get("stream").filter(|stream| !stream.is_empty()).cloned();
            match section.get("state").map(String::as_str) {
                Some("enabled" | "1") => drop(streams.insert(module, stream)),
                Some("disabled") => drop(streams.insert(module, None)),
                _ => {}
            }
        }
    }
    streams
}

/// Which packages the active streams hide.
#[derive(Debug, Default)]
pub struct Modules<'a> {
    /// Packages of active streams by name, epoch, version, release and architecture, and their names.
    active: HashSet<&'a str>,
    active_names: HashMap<&'a str, &'a str>,
    /// Packages of other streams, with the module and stream of each.
    others: HashMap<&'a str, (&'a str, &'a str)>,
}

impl<'a> Modules<'a> {
    /// The modules of all repositories.
    pub fn of(sources: &'a [Source], configured: &'a BTreeMap<String, Option<String>>) -> Self {
        let mut defaults = HashMap::new();
        for line in sources.iter().flat_map(|source| source.summary.lines()) {
            if let Line::Default([module, stream]) = line {
                defaults.insert(module, stream);
            }
        }
        let mut modules = Self::default();
        for source in sources {
            let mut current = ("", "");
            for line in source.summary.lines() {
                match line {
                    Line::Module([module, stream]) => current = (module, stream),
                    Line::Artifact(artifact) => {
                        let (module, stream) = current;
                        let active = configured.get(module).map_or_else(|| defaults.get(module).copied(), Option::as_deref);
                        if active == Some(stream) {
                            modules.active.insert(artifact);
                            modules.active_names.extend(name_of(artifact).map(|name| (name, module)));
                        } else {
                            modules.others.insert(artifact, current);
                        }
                    }
                    _ => {}
                }
            }
        }
        modules
    }

    /// What hides a package, in words.
    pub fn hides(&self, listed: &ListedPackage, is_hotfix: bool) -> Option<String> {
        if self.active.is_empty() && self.others.is_empty() {
            return None;
        }
        let parts = rpm::split(listed.version.as_bytes());
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        let epoch = if parts.epoch.is_empty() { "0" } else { text(parts.epoch) };
        let artifact = format!("{}-{epoch}:{}-{}.{}", listed.name, text(parts.version), text(parts.release), listed.architecture);
        if is_hotfix || self.active.contains(artifact.as_str()) {
            return None;
        }
        if let Some((module, stream)) = self.others.get(artifact.as_str()) {
            return Some(format!("it belongs to the module stream `{module}:{stream}`, which is not active"));
        }
        self.active_names.get(listed.name).map(|module| format!("the active stream of the module `{module}` has this package"))
    }
}

/// The name in `name-epoch:version-release.architecture`.
fn name_of(artifact: &str) -> Option<&str> {
    artifact.rmatch_indices('-').nth(1).map(|(at, _)| &artifact[..at])
}
