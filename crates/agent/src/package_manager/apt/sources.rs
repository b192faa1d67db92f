//! Which repositories apt is told to use: sources.list(5) in the one-line and the deb822 form.

use std::fmt::Write;

use domain::model::problem::{Problem, ProblemCode};

use super::config::is_fragment;
use super::stanza;
use crate::root::Root;

/// One component of one repository for one architecture: a package list that apt would fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListTarget {
    /// Address without user and password, ending in `/`.
    pub uri: String,
    /// The distribution as written, such as `bookworm` or `./`.
    pub distribution: String,
    /// The component; `None` for a flat repository.
    pub component: Option<String>,
    /// The architecture; `None` for a flat repository.
    pub architecture: Option<String>,
    /// The operator vouches for it (`trusted=yes`).
    pub trusted: bool,
}

impl ListTarget {
    /// Name below `/var/lib/apt/lists` of the repository's folder, before `InRelease`.
    pub fn release_prefix(&self) -> String {
        match (&self.component, self.distribution.as_str()) {
            (Some(_), distribution) => list_name(&format!("{}dists/{distribution}/", self.uri)),
            (None, "/") => list_name(&self.uri),
            (None, distribution) => list_name(&format!("{}{}/", self.uri, distribution.trim_end_matches('/'))),
        }
    }

    /// The list's path inside the repository folder, as its Release file names it.
    pub fn path_in_release(&self) -> String {
        match (&self.component, &self.architecture) {
            (Some(component), Some(architecture)) => format!("{component}/binary-{architecture}/Packages"),
            _ => "Packages".to_owned(),
        }
    }

    /// The list's file name below `/var/lib/apt/lists`, without compression suffix.
    pub fn file_name(&self) -> String {
        format!("{}{}", self.release_prefix(), list_name(&self.path_in_release()))
    }

    /// The host of the address; empty for a folder.
    pub fn site(&self) -> String {
        let Some((scheme, rest)) = self.uri.split_once(':') else { return String::new() };
        if matches!(scheme, "file" | "copy" | "cdrom") {
            return String::new();
        }
        let authority = rest.trim_start_matches('/').split('/').next().unwrap_or_default();
        let host = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())).map_or(authority, |(host, _)| host);
        host.to_owned()
    }
}

/// Reads every source. Architectures are the node's own, native first.
pub fn read(root: &Root, architectures: &[String], problems: &mut Vec<Problem>) -> Vec<ListTarget> {
    let mut targets = Vec::new();
    let parts = root.list_names("/etc/apt/sources.list.d", problems);
    let of_kind = |extension: &'static str| {
        parts.iter().filter(move |name| name.ends_with(extension) && is_fragment(name, &extension[1..])).map(|name| format!("/etc/apt/sources.list.d/{name}"))
    };
    for path in std::iter::once("/etc/apt/sources.list".to_owned()).chain(of_kind(".list")) {
        let text = root.read_text(&path, problems).unwrap_or_default();
        for (at, line) in text.lines().enumerate() {
            match parse_line(line) {
                Ok(Some(source)) => source.push_targets(architectures, &mut targets),
                Ok(None) => {}
                Err(message) => problems.push(malformed(&format!("{path}:{}", at + 1), &message)),
            }
        }
    }
    for path in of_kind(".sources") {
        let text = root.read_text(&path, problems).unwrap_or_default();
        for stanza in stanza::split_text(&text) {
            match parse_stanza(&stanza) {
                Ok(sources) => sources.iter().for_each(|source| source.push_targets(architectures, &mut targets)),
                Err(message) => problems.push(malformed(&path, &message)),
            }
        }
    }
    let mut known = std::collections::HashSet::new();
    targets.retain(|target| known.insert(target.file_name()));
    targets
}

fn malformed(place: &str, message: &str) -> Problem {
    Problem::new(ProblemCode::Malformed, place, format!("{place}: {message}")).with_hint("apt refuses this source too; mend or remove it")
}

/// A `deb` source before its components and architectures are multiplied out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Source {
    uri: String,
    distribution: String,
    components: Vec<String>,
    architectures: Option<Vec<String>>,
    added: Vec<String>,
    removed: Vec<String>,
    trusted: bool,
}

impl Source {
    fn push_targets(&self, node_architectures: &[String], targets: &mut Vec<ListTarget>) {
        let base = ListTarget { uri: self.uri.clone(), distribution: self.distribution.clone(), component: None, architecture: None, trusted: self.trusted };
        if self.components.is_empty() {
            targets.push(base);
            return;
        }
        let configured = self.architectures.as_deref().unwrap_or(node_architectures);
        let wanted = configured.iter().chain(&self.added).filter(|architecture| !self.removed.contains(architecture));
        for architecture in wanted.map(String::as_str).chain(["all"]) {
            for component in &self.components {
                targets.push(ListTarget { component: Some(component.clone()), architecture: Some(architecture.to_owned()), ..base.clone() });
            }
        }
    }

    fn set_option(&mut self, name: &str, value: &str) {
        let (name, sign) = match name.as_bytes().last() {
            Some(sign @ (b'+' | b'-')) => (&name[..name.len() - 1], *sign),
            _ => (name, b'='),
        };
        if name.eq_ignore_ascii_case("trusted") {
            self.trusted = matches!(value.to_ascii_lowercase().as_str(), "yes" | "true" | "1" | "on" | "with" | "enable");
        } else if ["arch", "architectures"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
            let values = || value.split([',', ' ']).filter(|value| !value.is_empty()).map(str::to_owned);
            match sign {
                b'+' => self.added.extend(values()),
                b'-' => self.removed.extend(values()),
                _ => self.architectures = Some(values().collect()),
            }
        }
    }

    /// Checks and finishes the address and the distribution.
    fn finish(mut self) -> Result<Self, String> {
        if !self.uri.contains(':') {
            return Err(format!("`{}` is not an address", self.uri));
        }
        self.uri = without_password(&self.uri);
        if !self.uri.ends_with('/') {
            self.uri.push('/');
        }
        let native = self.architectures.as_ref().and_then(|list| list.first()).cloned().unwrap_or_default();
        self.distribution = self.distribution.replace("$(ARCH)", &native);
        match (self.distribution.ends_with('/'), self.components.is_empty()) {
            (true, false) => Err(format!("`{}` ends in a slash, so there must be no component", self.distribution)),
            (false, true) => Err(format!("`{}` needs a component such as `main`", self.distribution)),
            _ => Ok(self),
        }
    }
}

/// Reads `deb [options] uri distribution component…`; `None` for anything but binary packages.
fn parse_line(line: &str) -> Result<Option<Source>, String> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let Some(rest) = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t'])) else {
        let known = line.is_empty() || line.starts_with("deb-src") || line.starts_with("rpm");
        return if known { Ok(None) } else { Err(format!("`{}` is no source line", line.chars().take(60).collect::<String>())) };
    };
    let mut source = Source::default();
    let mut rest = rest.trim_start();
    if let Some(options) = rest.strip_prefix('[') {
        let (options, after) = options.split_once(']').ok_or("the options have no closing bracket")?;
        for option in options.split_ascii_whitespace() {
            let (name, value) = option.split_once('=').ok_or_else(|| format!("option `{option}` has no value"))?;
            source.set_option(name, value);
        }
        rest = after;
    }
    let mut words = rest.split_ascii_whitespace().map(str::to_owned);
    source.uri = words.next().ok_or("the address is missing")?;
    source.distribution = words.next().ok_or("the distribution is missing")?;
    source.components = words.collect();
    source.finish().map(Some)
}

fn parse_stanza(stanza: &str) -> Result<Vec<Source>, String> {
    let field = |name: &str| stanza::folded_field(stanza, name);
    let words = |name: &str| field(name).map(|value| value.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>());
    if stanza.lines().all(|line| line.starts_with('#')) {
        return Ok(Vec::new());
    }
    let types = words("Types").ok_or("a stanza has no Types field")?;
    let disabled = field("Enabled").is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "no" | "false" | "0" | "off" | "without" | "disable"));
    if disabled || !types.iter().any(|kind| kind == "deb") {
        return Ok(Vec::new());
    }
    let mut template = Source { components: words("Components").unwrap_or_default(), ..Source::default() };
    for name in ["Architectures", "Architectures-Add", "Architectures-Remove", "Trusted"] {
        if let Some(value) = field(name) {
            let option = name.replace("-Add", "+").replace("-Remove", "-");
            template.set_option(&option, &value);
        }
    }
    let mut sources = Vec::new();
    for uri in words("URIs").ok_or("a stanza has no URIs field")? {
        for distribution in words("Suites").ok_or("a stanza has no Suites field")? {
            sources.push(Source { uri: uri.clone(), distribution, ..template.clone() }.finish()?);
        }
    }
    Ok(sources)
}

fn without_password(uri: &str) -> String {
    match uri.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
            let host = authority.rsplit('@').next().unwrap_or_default();
            path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
        }
        None => uri.to_owned(),
    }
}

/// How apt turns an address into a file name: no scheme, slashes as underscores, and the
/// characters that could be confused as `%xx`.
fn list_name(uri: &str) -> String {
    let without_scheme = match uri.split_once("://") {
        Some((_, rest)) => rest,
        None => uri.split_once(':').filter(|(scheme, _)| matches!(*scheme, "file" | "copy" | "cdrom")).map_or(uri, |(_, rest)| rest),
    };
    let mut name = String::with_capacity(without_scheme.len());
    for byte in without_scheme.bytes() {
        match byte {
            b'/' => name.push('_'),
            0..=0x20 | 0x7f.. | b'\\' | b'|' | b'{' | b'}' | b'[' | b']' | b'<' | b'>' | b'"' | b'^' | b'~' | b'_' | b'=' | b'!' | b'@' | b'#' | b'$' | b'%' | b'&' | b'*' => {
                let _ = write!(name, "%{byte:02x}");
            }
            _ => name.push(char::from(byte)),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sources: &[Source]) -> Vec<String> {
        let mut targets = Vec::new();
        for source in sources {
            source.push_targets(&["amd64".into(), "i386".into()], &mut targets);
        }
        targets.iter().map(ListTarget::file_name).collect()
    }

    #[test]
    fn a_line_gives_a_list_per_component_and_architecture() {
        let source = parse_line("deb [arch=amd64 trusted=yes] http://user:secret@deb.example:8080/debian bookworm main contrib # x").unwrap().unwrap();
        assert!(source.trusted);
        assert_eq!(
            names(std::slice::from_ref(&source)),
            [
                "deb.example:8080_debian_dists_bookworm_main_binary-amd64_Packages",
                "deb.example:8080_debian_dists_bookworm_contrib_binary-amd64_Packages",
                "deb.example:8080_debian_dists_bookworm_main_binary-all_Packages",
                "deb.example:8080_debian_dists_bookworm_contrib_binary-all_Packages",
            ]
        );
        let mut targets = Vec::new();
        source.push_targets(&[], &mut targets);
        assert_eq!(targets[0].site(), "deb.example");
    }

    #[test]
    fn flat_repositories_and_folders_have_their_own_names() {
        assert_eq!(names(&[parse_line("deb file:/srv/my_repo ./").unwrap().unwrap()]), ["_srv_my%5frepo_._Packages"]);
        assert_eq!(names(&[parse_line("deb [trusted=yes] copy:/srv/r /").unwrap().unwrap()]), ["_srv_r_Packages"]);
    }

    #[test]
    fn deb822_stanzas_are_multiplied_out() {
        let text = "# c\nTypes: deb deb-src\nURIs: http://a.example/d\n http://b.example/d\nSuites: s s-updates\nComponents: main\nArchitectures-Remove: i386\n";
        assert_eq!(names(&parse_stanza(text).unwrap()).len(), 2 * 2 * 2);
        assert_eq!(parse_stanza(&format!("{text}Enabled: no\n")), Ok(vec![]));
    }

    #[test]
    fn bad_sources_say_why() {
        assert_eq!(parse_line("deb http://a"), Err("the distribution is missing".into()));
        assert_eq!(parse_line("deb http://a x/ main"), Err("`x/` ends in a slash, so there must be no component".into()));
        assert_eq!(parse_line("dep http://a x main"), Err("`dep http://a x main` is no source line".into()));
        assert_eq!(parse_stanza("URIs: x\n"), Err("a stanza has no Types field".into()));
        assert_eq!(parse_line("# deb http://a"), Ok(None));
    }
}
