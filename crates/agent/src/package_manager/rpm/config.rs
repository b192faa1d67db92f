//! Configuration of dnf, yum and zypper: the main file, the repositories, and the variables in both.

use std::collections::{BTreeMap, HashMap};

use domain::model::problem::{Problem, ProblemCode};

use crate::root::Root;

/// Main files, the one that wins first: dnf (4 and 5), yum.
const MAIN_PATHS: [&str; 2] = ["/etc/dnf/dnf.conf", "/etc/yum.conf"];
/// Where repositories are configured: dnf and yum; zypper.
pub const REPOSITORY_FOLDERS: [&str; 3] = ["/etc/yum.repos.d", "/etc/distro.repos.d", "/etc/zypp/repos.d"];
const VARIABLE_FOLDERS: [&str; 4] = ["/usr/share/dnf5/vars.d", "/etc/yum/vars", "/etc/dnf/vars", "/etc/zypp/vars.d"];
/// What stands for a repository without one; dnf's default, and the number of zypper.
const PRIORITY: i32 = 99;
const COST: i32 = 1000;
const REPOSITORIES_MAX: usize = 1000;

/// The main section.
#[derive(Debug, Clone, Default)]
pub struct MainConfig {
    /// Packages that nothing is done with.
    pub excludes: Vec<String>,
    /// The only packages that anything is done with, when there are any.
    pub includes: Vec<String>,
    /// The folder for metadata, where it is not the usual one.
    pub cache_folder: Option<String>,
}

/// One repository that is enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryConfig {
    /// Its id, such as `baseos`.
    pub id: String,
    /// Where it is, variables put in: the first of metalink, mirrorlist and base URL.
    pub uri: String,
    /// A lower number wins.
    pub priority: i32,
    /// Among equal priorities and versions a lower number wins.
    pub cost: i32,
    /// Packages of it that are not looked at.
    pub excludes: Vec<String>,
    /// The only packages of it that are looked at, when there are any.
    pub includes: Vec<String>,
    /// Its packages are looked at whatever module streams are enabled.
    pub module_hotfixes: bool,
    /// Whether packages, or the metadata, must be signed.
    pub is_signed: bool,
    /// Whether the metadata must be signed.
    pub is_metadata_signed: bool,
}

type Section = BTreeMap<String, String>;

/// Reads everything. `release` and `architecture` stand for `$releasever` and `$basearch`.
pub fn read(root: &Root, release: &str, architecture: &str, problems: &mut Vec<Problem>) -> (MainConfig, Vec<RepositoryConfig>) {
    let variables = Variables::read(root, release, architecture, problems);
    let main = MAIN_PATHS.iter().find_map(|path| root.read_text(path, problems).map(|text| parse(&text, path, problems)));
    let main = main.and_then(|sections| sections.into_iter().find(|(name, _)| name == "main")).map(|(_, main)| main).unwrap_or_default();
    let mut repositories = Vec::<RepositoryConfig>::new();
    let folders = main.get("reposdir").map(|folders| words(folders)).filter(|folders| !folders.is_empty());
    for folder in folders.unwrap_or_else(|| REPOSITORY_FOLDERS.map(str::to_owned).to_vec()) {
        for file in root.list_names(&folder, problems).into_iter().filter(|name| name.strip_suffix(".repo").is_some()) {
            let path = format!("{folder}/{file}");
            let text = root.read_text(&path, problems).unwrap_or_default();
            for (id, section) in parse(&text, &path, problems) {
                let id = variables.put_in(&id);
                // Of two with one id the first counts.
                if id == "main" || repositories.iter().any(|known| known.id == id) || !flag(&section, "enabled", true) {
                    continue;
                }
                match repository(id, &section, &main, &variables) {
                    Ok(repository) if repositories.len() < REPOSITORIES_MAX => repositories.push(repository),
                    Ok(_) => {}
                    Err(message) => problems.push(Problem::new(ProblemCode::Malformed, &path, message)),
                }
            }
        }
    }
    let main = MainConfig {
        excludes: list(&main, &["excludepkgs", "exclude"]),
        includes: list(&main, &["includepkgs"]),
        cache_folder: main.get("cachedir").map(|folder| variables.put_in(folder)),
    };
    (main, repositories)
}

fn repository(id: String, section: &Section, main: &Section, variables: &Variables) -> Result<RepositoryConfig, String> {
    let uri = ["metalink", "mirrorlist", "baseurl"].iter().find_map(|key| section.get(*key).and_then(|value| words(value).into_iter().next()));
    let Some(uri) = uri else { return Err(format!("the repository `{id}` has no baseurl, mirrorlist or metalink")) };
    let number = |key: &str, default: i32| {
        section.get(key).map_or(Ok(default), |text| text.trim().parse().map_err(|_| format!("the {key} of the repository `{id}` is `{text}`, which is no number")))
    };
    let of_both = |key: &str, default: bool| flag(section, key, flag(main, key, default));
    let is_metadata_signed = of_both("repo_gpgcheck", false);
    Ok(RepositoryConfig {
        uri: variables.put_in(&uri),
        priority: number("priority", PRIORITY)?,
        cost: number("cost", COST)?,
        excludes: list(section, &["excludepkgs", "exclude"]),
        includes: list(section, &["includepkgs"]),
        module_hotfixes: flag(section, "module_hotfixes", false),
        is_signed: is_metadata_signed || of_both("gpgcheck", false) || of_both("pkg_gpgcheck", false),
        is_metadata_signed,
        id,
    })
}

/// Sections of an INI file; a line that begins with white space goes on with the value before it.
pub fn parse(text: &str, path: &str, problems: &mut Vec<Problem>) -> Vec<(String, Section)> {
    let mut sections: Vec<(String, Section)> = Vec::new();
    let mut last_key = None::<String>;
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            sections.push((name.0.trim().to_owned(), Section::new()));
            last_key = None;
            continue;
        }
        let section = sections.last_mut().map(|(_, section)| section);
        match (section, line.starts_with(char::is_whitespace).then_some(last_key.as_ref()).flatten(), trimmed.split_once('=')) {
            (Some(section), Some(key), _) => {
                let value = section.entry(key.clone()).or_default();
                value.push('\n');
                value.push_str(trimmed);
            }
            (Some(section), None, Some((key, value))) => {
                let key = key.trim().to_ascii_lowercase();
                section.insert(key.clone(), value.trim().to_owned());
                last_key = Some(key);
            }
            _ => problems.push(Problem::new(ProblemCode::Malformed, path, format!("line {} of {path} is no `key = value` of a section", at + 1))),
        }
    }
    sections
}

/// Words between white space and commas.
fn words(value: &str) -> Vec<String> {
    value.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn list(section: &Section, keys: &[&str]) -> Vec<String> {
    keys.iter().filter_map(|key| section.get(*key)).flat_map(|value| words(value)).collect()
}

fn flag(section: &Section, key: &str, default: bool) -> bool {
    match section.get(key).map(|value| value.to_ascii_lowercase()).as_deref() {
        Some("1" | "true" | "yes" | "on") => true,
        Some("0" | "false" | "no" | "off") => false,
        _ => default,
    }
}

struct Variables(HashMap<String, String>);

impl Variables {
    fn read(root: &Root, release: &str, architecture: &str, problems: &mut Vec<Problem>) -> Self {
        let mut variables =
            HashMap::from([("releasever".to_owned(), release.to_owned()), ("basearch".to_owned(), architecture.to_owned()), ("arch".to_owned(), architecture.to_owned())]);
        let mut parts = release.splitn(2, '.');
        variables.insert("releasever_major".to_owned(), parts.next().unwrap_or_default().to_owned());
        variables.insert("releasever_minor".to_owned(), parts.next().unwrap_or_default().to_owned());
        for folder in VARIABLE_FOLDERS {
            for name in root.list_names(folder, problems) {
                if let Some(text) = root.read_text(&format!("{folder}/{name}"), problems) {
                    variables.insert(name, text.lines().next().unwrap_or_default().trim().to_owned());
                }
            }
        }
        Self(variables)
    }

    /// Puts values in for `$name`, `${name}`, `${name:-when empty}` and `${name:+when not}`.
    fn put_in(&self, text: &str) -> String {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            result.push_str(before);
            let (name, otherwise, left) = if let Some((inner, left)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                let (name, otherwise) = inner.split_once(':').map_or((inner, None), |(name, otherwise)| (name, Some(otherwise)));
                (name, otherwise, left)
            } else {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                (&after[..end], None, &after[end..])
            };
            let value = self.0.get(name).filter(|value| !value.is_empty());
            match (value, otherwise.and_then(|otherwise| otherwise.split_at_checked(1))) {
                (Some(_), Some(("+", given))) | (None, Some(("-", given))) => result.push_str(given),
                (Some(value), _) => result.push_str(value),
                (None, Some(_)) => {}
                // What nobody defines stays.
                (None, None) => result.push_str(&rest[before.len()..rest.len() - left.len()]),
            }
            rest = left;
        }
        result + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_values_and_continued_lines_are_read() {
        let mut problems = Vec::new();
        let text = "# a comment\n[main]\nexclude = a, b\n  c*\n\n[base]\nbaseurl=https://one/\n https://two/\nEnabled=No\nnonsense\n";
        let sections = parse(text, "/etc/x.repo", &mut problems);
        assert_eq!(list(&sections[0].1, &["exclude"]), ["a", "b", "c*"]);
        assert_eq!(words(&sections[1].1["baseurl"]), ["https://one/", "https://two/"]);
        assert!(!flag(&sections[1].1, "enabled", true));
        let messages: Vec<_> = problems.into_iter().map(|problem| problem.message).collect();
        assert_eq!(messages, ["line 10 of /etc/x.repo is no `key = value` of a section"]);
    }

    #[test]
    fn variables_are_put_in() {
        let variables = Variables(HashMap::from([("releasever".to_owned(), "9".to_owned()), ("empty".to_owned(), String::new())]));
        for (text, expected) in [
            ("el$releasever/x", "el9/x"),
            ("${releasever}x$", "9x$"),
            ("$unknown/${unknown}", "$unknown/${unknown}"),
            ("${empty:-a}${releasever:-b}", "a9"),
            ("${empty:+a}${releasever:+b}", "b"),
            ("${releasever", "${releasever"),
        ] {
            assert_eq!(variables.put_in(text), expected, "{text}");
        }
    }
}
