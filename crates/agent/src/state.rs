//! What an agent keeps on its node: its identity and keys, what the server has of it, and reports
//! that wait. Every file is written whole or not at all, so a crash leaves the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use api::agent_v1::OrderResult;
use domain::model::baseline::Source;
use domain::model::content::Content;
use domain::model::digest::Digest;
use domain::model::run::Run;
use domain::model::section::{Heading, PackageFacts, PerSection, ReportDigest, Section};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Reports that are kept while the server is away; of more, the oldest go.
pub const KEPT_REPORTS_MAX: usize = 200;
/// Results of orders that are kept.
const KEPT_RESULTS_MAX: usize = 100;

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file cannot be read or written.
    #[error("failed to use `{path}`")]
    File {
        /// Which.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file does not read.
    #[error("`{path}` is damaged: {detail}")]
    Damaged {
        /// Which.
        path: String,
        /// What is wrong.
        detail: String,
    },
}

/// Who this node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Known to this agent and the server only, so that the node is known again.
    pub identity: String,
    /// The machine that this was made on.
    pub machine: Option<String>,
    /// The node's id.
    pub node_id: String,
    /// Keys that orders may be signed with.
    pub order_keys: Vec<String>,
    /// The highest generation of an order that was seen.
    pub generation: u32,
    /// When the certificate expires, in UTC milliseconds.
    pub certificate_expires_at: i64,
    /// What the clock of this machine is behind the server's, in milliseconds.
    #[serde(default)]
    pub clock_behind_ms: i64,
}

/// A report that waits to be sent, or the one that the server has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptReport {
    /// Times and the host name.
    pub heading: Heading,
    /// The digests of its sections.
    pub sections: PerSection<Digest>,
}

impl KeptReport {
    /// Its digest.
    pub fn digest(&self) -> ReportDigest {
        ReportDigest::of(&self.sections)
    }
}

/// The folder.
#[derive(Debug, Clone)]
pub struct StateFolder {
    path: PathBuf,
}

impl StateFolder {
    /// Opens the folder, and makes it where it is missing.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        for folder in [path.to_owned(), path.join("contents"), path.join("outbox")] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|source| file_error(&folder, source))?;
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Who this node is, when it has enrolled.
    pub fn identity(&self) -> Result<Option<Identity>, StateError> {
        self.read_json("identity.json")
    }

    /// Remembers who this node is.
    pub fn set_identity(&self, identity: &Identity) -> Result<(), StateError> {
        self.write_json("identity.json", identity)
    }

    /// The key, the certificate and the authorities, in PEM.
    pub fn credentials(&self) -> Result<Option<(String, String, String)>, StateError> {
        let (key, certificate, authorities) = (self.read("key.pem")?, self.read("certificate.pem")?, self.read("authorities.pem")?);
        Ok(key.zip(certificate).zip(authorities).map(|((key, certificate), authorities)| (key, certificate, authorities)))
    }

    /// Remembers a new key and its certificate. The key goes first: an old certificate with a new
    /// key cannot be used, so both are in one file and the others are for people.
    pub fn set_credentials(&self, key: &str, certificate: &str, authorities: &str) -> Result<(), StateError> {
        self.write("key.pem", key)?;
        self.write("certificate.pem", certificate)?;
        self.write("authorities.pem", authorities)
    }

    /// Remembers which authorities to trust.
    pub fn set_authorities(&self, authorities: &str) -> Result<(), StateError> {
        self.write("authorities.pem", authorities)
    }

    /// Forgets the key: this node has left.
    pub fn forget_credentials(&self) -> Result<(), StateError> {
        for name in ["key.pem", "certificate.pem", "identity.json", "acknowledged.json"] {
            self.remove(name)?;
        }
        Ok(())
    }

    /// The report that the server has.
    pub fn acknowledged(&self) -> Result<Option<KeptReport>, StateError> {
        self.read_json("acknowledged.json")
    }

    /// The server has this report.
    pub fn set_acknowledged(&self, report: &KeptReport) -> Result<(), StateError> {
        self.write_json("acknowledged.json", report)
    }

    /// The server may have lost what it had.
    pub fn forget_acknowledged(&self) -> Result<(), StateError> {
        self.remove("acknowledged.json")
    }

    /// Puts a report behind those that wait; how many had to go for it.
    pub fn push(&self, report: &KeptReport, sections: &PerSection<Content>, facts: &BTreeMap<String, PackageFacts>) -> Result<usize, StateError> {
        for section in Section::ALL {
            let name = format!("contents/{}", report.sections[section]);
            if self.read(&name)?.is_none() {
                self.write(&name, sections[section].text())?;
            }
        }
        self.write_json(&format!("contents/{}.facts", report.sections[Section::Packages]), facts)?;
        let waiting = self.waiting()?;
        let number = waiting.last().map_or(1, |(number, _)| number + 1);
        self.write_json(&format!("outbox/{number:08}.json"), report)?;
        // The newest says what the node has; the oldest only what it had.
        let too_many = (waiting.len() + 1).saturating_sub(KEPT_REPORTS_MAX);
        for (number, _) in waiting.iter().take(too_many) {
            self.remove(&format!("outbox/{number:08}.json"))?;
        }
        Ok(too_many)
    }

    /// Reports that wait, oldest first. One that does not read is left out: a disk that was full
    /// may have cut it off.
    pub fn waiting(&self) -> Result<Vec<(u32, KeptReport)>, StateError> {
        let folder = self.path.join("outbox");
        let entries = fs::read_dir(&folder).map_err(|source| file_error(&folder, source))?;
        let number = |name: &str| name.strip_suffix(".json")?.parse::<u32>().ok();
        let mut numbers: Vec<_> = entries.filter_map(|entry| number(entry.ok()?.file_name().to_str()?)).collect();
        numbers.sort_unstable();
        Ok(numbers.into_iter().filter_map(|number| Some((number, self.read_json(&format!("outbox/{number:08}.json")).ok()??))).collect())
    }

    /// A report was sent.
    pub fn remove_waiting(&self, number: u32) -> Result<(), StateError> {
        self.remove(&format!("outbox/{number:08}.json"))
    }

    /// The text of a content that some report refers to.
    pub fn content(&self, digest: &Digest) -> Result<Option<Content>, StateError> {
        let Some(text) = self.read(&format!("contents/{digest}"))? else { return Ok(None) };
        // What was cut off is as good as not there.
        Ok(Content::parse(text).ok().filter(|content| content.digest() == *digest))
    }

    /// What is known of the packages of a report.
    pub fn facts(&self, packages: &Digest) -> Result<BTreeMap<String, PackageFacts>, StateError> {
        Ok(self.read_json(&format!("contents/{packages}.facts"))?.unwrap_or_default())
    }

    /// Removes contents that no report refers to.
    pub fn tidy(&self) -> Result<(), StateError> {
        let mut used = BTreeSet::new();
        let reports = self.waiting()?.into_iter().map(|(_, report)| report).chain(self.acknowledged()?);
        for report in reports {
            used.extend(report.sections.0.iter().map(ToString::to_string));
            used.insert(format!("{}.facts", report.sections[Section::Packages]));
        }
        let folder = self.path.join("contents");
        for entry in fs::read_dir(&folder).map_err(|source| file_error(&folder, source))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !used.contains(&name) {
                self.remove(&format!("contents/{name}"))?;
            }
        }
        Ok(())
    }

    /// The run that was begun, and whose result is not kept.
    pub fn run(&self) -> Result<Option<Run>, StateError> {
        self.read_json("run.json")
    }

    /// How far a run is.
    pub fn set_run(&self, run: &Run) -> Result<(), StateError> {
        self.write_json("run.json", run)
    }

    /// It has ended with this: the result is kept, and then the run is forgotten.
    pub fn end_run(&self, result: &OrderResult) -> Result<(), StateError> {
        self.keep_result(result)?;
        self.write_json("last-run.json", result)?;
        self.remove("run.json")
    }

    /// How the last run ended, for a server that asks for it once more.
    pub fn last_run(&self) -> Result<Option<OrderResult>, StateError> {
        self.read_json("last-run.json")
    }

    /// The folder for what leads back from runs.
    pub fn way_back(&self) -> String {
        self.path.join("way-back").display().to_string()
    }

    /// Repositories that take the place of the node's own, as the last order said.
    pub fn sources(&self) -> Result<Vec<Source>, StateError> {
        Ok(self.read_json("sources.json")?.unwrap_or_default())
    }

    /// An order says which they are.
    pub fn set_sources(&self, sources: &[Source]) -> Result<(), StateError> {
        if sources.is_empty() { self.remove("sources.json") } else { self.write_json("sources.json", sources) }
    }

    /// Results of orders that the server has not got.
    pub fn results(&self) -> Result<Vec<OrderResult>, StateError> {
        Ok(self.read_json("results.json")?.unwrap_or_default())
    }

    /// Puts one behind them.
    pub fn keep_result(&self, result: &OrderResult) -> Result<(), StateError> {
        let mut results = self.results()?;
        results.push(result.clone());
        self.set_results(&results)
    }

    /// Replaces them; of too many, the oldest go.
    pub fn set_results(&self, results: &[OrderResult]) -> Result<(), StateError> {
        self.write_json("results.json", &results[results.len().saturating_sub(KEPT_RESULTS_MAX)..])
    }

    fn read(&self, name: &str) -> Result<Option<String>, StateError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|error| StateError::Damaged { path: path.display().to_string(), detail: error.to_string() }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error(&path, error)),
        }
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let Some(text) = self.read(name)? else { return Ok(None) };
        let damaged = |error: serde_json::Error| StateError::Damaged { path: self.path.join(name).display().to_string(), detail: error.to_string() };
        serde_json::from_str(&text).map(Some).map_err(damaged)
    }

    fn write_json(&self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), StateError> {
        self.write(name, &serde_json::to_string(value).expect("state has text keys only"))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), StateError> {
        let path = self.path.join(name);
        let unfinished = self.path.join(format!("{name}.new"));
        let write = || {
            let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)
        };
        write().map_err(|source| {
            // Room that half a file takes would be missing for a whole one.
            let _ = fs::remove_file(&unfinished);
            file_error(&path, source)
        })
    }

    fn remove(&self, name: &str) -> Result<(), StateError> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(file_error(&path, error)),
            _ => Ok(()),
        }
    }
}

fn file_error(path: &Path, source: std::io::Error) -> StateError {
    StateError::File { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use domain::model::section;
    use testkit::clock::START;
    use testkit::inventories;

    use super::*;

    fn kept(n_packages: usize) -> (KeptReport, PerSection<Content>) {
        let (heading, sections) = section::write(&inventories::debian("n", n_packages, 1, START));
        (KeptReport { heading, sections: sections.digests() }, sections)
    }

    #[test]
    fn reports_wait_in_order_and_the_oldest_go_when_there_are_too_many() {
        let folder = testkit::folder();
        let state = StateFolder::open(folder.path()).unwrap();
        for n_packages in 0..KEPT_REPORTS_MAX + 3 {
            let (report, sections) = kept(n_packages);
            assert_eq!(state.push(&report, &sections, &BTreeMap::new()).unwrap(), usize::from(n_packages >= KEPT_REPORTS_MAX));
        }
        let waiting = state.waiting().unwrap();
        assert_eq!(waiting.len(), KEPT_REPORTS_MAX);
        assert_eq!((&waiting[0].1, &waiting.last().unwrap().1), (&kept(3).0, &kept(KEPT_REPORTS_MAX + 2).0));
        for (number, _) in &waiting[1..] {
            state.remove_waiting(*number).unwrap();
        }
        state.tidy().unwrap();
        let (oldest, sections) = kept(3);
        assert_eq!(state.content(&oldest.sections[Section::Packages]).unwrap(), Some(sections[Section::Packages].clone()));
        assert_eq!(state.content(&kept(50).0.sections[Section::Packages]).unwrap(), None, "nothing refers to it");
    }

    #[test]
    fn files_that_were_cut_off_are_not_believed() {
        let folder = testkit::folder();
        let state = StateFolder::open(folder.path()).unwrap();
        let (report, sections) = kept(20);
        state.push(&report, &sections, &BTreeMap::new()).unwrap();
        let content = folder.path().join(format!("contents/{}", report.sections[Section::Packages]));
        fs::write(&content, &fs::read(&content).unwrap()[..50]).unwrap();
        assert_eq!(state.content(&report.sections[Section::Packages]).unwrap(), None);
        fs::write(folder.path().join("outbox/00000001.json"), "{").unwrap();
        assert_eq!(state.waiting().unwrap(), []);
        fs::write(folder.path().join("identity.json"), "{").unwrap();
        assert!(state.identity().unwrap_err().to_string().contains("identity.json"));
    }
}
