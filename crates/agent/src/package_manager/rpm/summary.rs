//! What a scan needs of one repository: a line for each package and each advisory. It is made from the
//! repository's metadata once, kept in a file, and read as it is: a hundredth of the metadata.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use catalog::updateinfo::AdvisedPackage;
use domain::model::advisory::{Advisory, Suggestion};
use domain::model::patch::{Classification, Severity};
use domain::model::time::Timestamp;

use crate::package_manager::cache;

/// The first line; a new form gets a new one.
const HEAD: &str = "fettle-rpm-summary/4";
const SUGGESTIONS: [Suggestion; 4] = [Suggestion::Nothing, Suggestion::Restart, Suggestion::Relogin, Suggestion::Reboot];

/// Largest summary; that of a repository with 100,000 packages has a twentieth of it.
const BYTES_MAX: usize = 256 * 1024 * 1024;

/// A package of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedPackage<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its architecture.
    pub architecture: &'a str,
    /// Its version.
    pub version: &'a str,
    /// When it was built, in seconds since 1970.
    pub built_at: Option<i64>,
    /// The file that it was built from.
    pub source_rpm: &'a str,
}

/// An installed package that a listed one takes the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Obsoletes<'a> {
    /// Its name.
    pub name: &'a str,
    /// `LT`, `LE`, `EQ`, `GE` or `GT`; empty when every version is meant.
    pub flags: &'a str,
    /// The version that the installed one is compared with.
    pub version: &'a str,
}

/// Writes a summary.
pub struct SummaryWriter {
    text: String,
    /// The end of the first line, where the vendor goes.
    head_bytes: usize,
    vendors: HashMap<String, usize>,
}

impl SummaryWriter {
    /// Of a repository in the state with this digest.
    pub fn new(digest: &str) -> Self {
        let head = format!("{HEAD}\t{digest}");
        Self { head_bytes: head.len(), text: head + "\n", vendors: HashMap::new() }
    }

    /// Adds a package and who made it.
    pub fn add_package(&mut self, package: &ListedPackage, vendor: &str) {
        let built_at = package.built_at.map(|at| at.to_string()).unwrap_or_default();
        self.line("P", &[package.name, package.architecture, package.version, &built_at, package.source_rpm]);
        match self.vendors.get_mut(vendor) {
            Some(n) => *n += 1,
            None => drop(self.vendors.insert(vendor.to_owned(), 1)),
        }
    }

    /// Adds what the package before takes the place of.
    pub fn add_obsoletes(&mut self, obsoletes: &Obsoletes) {
        self.line("O", &[obsoletes.name, obsoletes.flags, obsoletes.version]);
    }

    /// Adds an advisory and the versions that it names.
    pub fn add_advisory(&mut self, advisory: &Advisory, packages: &[AdvisedPackage]) {
        let released_at = advisory.released_at.map(|at| at.as_millis().to_string()).unwrap_or_default();
        let suggestion = (advisory.suggestion as usize).to_string();
        let (cves, bugs) = (advisory.cves.join(" "), advisory.bugs.join(" "));
        self.line("A", &[&advisory.ids.join(" "), advisory.classification.word(), advisory.severity.word(), &released_at, &suggestion, &cves, &bugs]);
        for package in packages {
            self.line("N", &[&package.name, &package.architecture, &package.version]);
        }
    }

    /// Adds a module's stream and its packages.
    pub fn add_module(&mut self, module: &str, stream: &str, artifacts: &[String]) {
        self.line("M", &[module, stream]);
        for artifact in artifacts {
            self.line("R", &[artifact]);
        }
    }

    /// Adds the stream that a module has where nobody chose one.
    pub fn add_default(&mut self, module: &str, stream: &str) {
        self.line("D", &[module, stream]);
    }

    /// Ends it; an error when there was more than there is room for.
    pub fn finish(mut self) -> io::Result<Summary> {
        if self.text.len() > BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it lists more packages and advisories than there is room for"));
        }
        let most = std::mem::take(&mut self.vendors).into_iter().filter(|(vendor, _)| !vendor.is_empty()).max_by(|a, b| (a.1, &b.0).cmp(&(b.1, &a.0)));
        let vendor = most.map(|(vendor, _)| vendor.replace(char::is_control, " ")).unwrap_or_default();
        self.text.insert_str(self.head_bytes, &format!("\t{vendor}"));
        // The text is kept no larger than it is.
        self.text.shrink_to_fit();
        Ok(Summary { text: self.text })
    }

    fn line(&mut self, kind: &str, fields: &[&str]) {
        if self.text.len() > BYTES_MAX {
            return;
        }
        self.text.push_str(kind);
        for field in fields {
            self.text.push('\t');
            if field.contains(char::is_control) {
                self.text.extend(field.chars().map(|c| if c.is_control() { ' ' } else { c }));
            } else {
                self.text.push_str(field);
            }
        }
        self.text.push('\n');
    }
}

/// A summary.
#[derive(Debug)]
pub struct Summary {
    text: String,
}

/// A line of a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// A package.
    Package(ListedPackage<'a>),
    /// What the package before takes the place of.
    Obsoletes(Obsoletes<'a>),
    /// An advisory. The lines after it are about it.
    Advisory(AdvisoryLine<'a>),
    /// A version that the advisory before names: name, architecture, version.
    Advised([&'a str; 3]),
    /// A module and a stream of it. The lines after it are its packages.
    Module([&'a str; 2]),
    /// A package of the stream before.
    Artifact(&'a str),
    /// A module and its stream where nobody chose one.
    Default([&'a str; 2]),
}

/// An advisory, not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdvisoryLine<'a>(&'a str);

impl AdvisoryLine<'_> {
    /// Reads it.
    pub fn read(&self) -> Option<Advisory> {
        let [ids, classification, severity, released_at, suggestion, cves, bugs] = fields(self.0)?;
        let words = |text: &str| text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        Some(Advisory {
            ids: words(ids),
            classification: Classification::parse(classification)?,
            severity: Severity::parse(severity)?,
            cves: words(cves),
            bugs: words(bugs),
            released_at: released_at.parse().ok().map(Timestamp::from_millis),
            suggestion: *SUGGESTIONS.get(suggestion.parse::<usize>().ok()?)?,
        })
    }
}

impl Summary {
    /// Reads the file of a repository in the state with this digest; `None` when there is none.
    pub fn open(path: &Path, digest: &str) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let [head, of] = fields(text.lines().next()?.rsplit_once('\t')?.0)?;
        (head == HEAD && of == digest && text.ends_with('\n')).then_some(Self { text })
    }

    /// Who made most packages.
    pub fn vendor(&self) -> Option<&str> {
        Some(self.text.lines().next()?.rsplit_once('\t')?.1).filter(|vendor| !vendor.is_empty())
    }

    /// Keeps it in a file.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        cache::save(path, self.text.as_bytes())
    }

    /// Every line that reads.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let (_, text) = self.text.split_once('\n').unwrap_or_default();
        let mut rest = text;
        std::iter::from_fn(move || {
            let end = memchr::memchr(b'\n', rest.as_bytes())?;
            let line = &rest[..end];
            rest = &rest[end + 1..];
            Some(line)
        })
        .filter_map(|line| {
            let (kind, line) = line.split_once('\t')?;
            Some(match kind {
                "P" => {
                    let [name, architecture, version, built_at, source_rpm] = fields(line)?;
                    Line::Package(ListedPackage { name, architecture, version, built_at: built_at.parse().ok(), source_rpm })
                }
                "O" => {
                    let [name, flags, version] = fields(line)?;
                    Line::Obsoletes(Obsoletes { name, flags, version })
                }
                "A" => Line::Advisory(AdvisoryLine(line)),
                "N" => Line::Advised(fields(line)?),
                "M" => Line::Module(fields(line)?),
                "R" => Line::Artifact(line),
                "D" => Line::Default(fields(line)?),
                _ => return None,
            })
        })
    }
}

/// Exactly so many fields.
fn fields<const N: usize>(line: &str) -> Option<[&str; N]> {
    let mut fields = [""; N];
    let mut rest = line.split('\t');
    for field in &mut fields {
        *field = rest.next()?;
    }
    rest.next().is_none().then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_as_they_were_written() {
        let package = ListedPackage { name: "a\tb", architecture: "x86_64", version: "1:2-3", built_at: Some(7), source_rpm: "a-2-3.src.rpm" };
        let advisory = Advisory {
            ids: vec!["RHSA-1".into()],
            classification: Classification::Security,
            severity: Severity::Low,
            cves: vec!["CVE-1".into(), "CVE-2".into()],
            bugs: vec![],
            released_at: Some(Timestamp::from_millis(5)),
            suggestion: Suggestion::Relogin,
        };
        let mut writer = SummaryWriter::new("digest");
        writer.add_package(&package, "Fedora Project");
        let obsoletes = Obsoletes { name: "b", flags: "LT", version: "2-1" };
        writer.add_obsoletes(&obsoletes);
        writer.add_advisory(&advisory, &[AdvisedPackage { name: "a".into(), architecture: "noarch".into(), version: "2-3".into() }]);
        let summary = writer.finish().unwrap();
        let folder = testkit::folder();
        let path = folder.path().join("x");
        summary.save(&path).unwrap();
        assert!(Summary::open(&path, "another").is_none());
        let read = Summary::open(&path, "digest").unwrap();
        let lines: Vec<_> = read.lines().collect();
        let [Line::Package(of_package), Line::Obsoletes(of_other), Line::Advisory(of_advisory), Line::Advised(advised)] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(*of_package, ListedPackage { name: "a b", ..package });
        assert_eq!(*of_other, obsoletes);
        assert_eq!(of_advisory.read(), Some(advisory));
        assert_eq!((*advised, read.vendor().unwrap()), (["a", "noarch", "2-3"], "Fedora Project"));
    }
}
