//! apt's own configuration: the few values of apt.conf(5) that decide what apt would install.

use domain::model::problem::Problem;

use crate::root::Root;

/// Scalar values of the configuration by lower-case name, in the order they were set.
#[derive(Debug, Default)]
pub struct AptConfig {
    values: Vec<(String, String)>,
}

impl AptConfig {
    /// Reads `apt.conf.d` in the order of names, then `apt.conf`.
    pub fn read(root: &Root, problems: &mut Vec<Problem>) -> Self {
        let mut config = Self::default();
        let fragments = root.list_names("/etc/apt/apt.conf.d", problems).into_iter().filter(|name| is_fragment(name, "conf"));
        for path in fragments.map(|name| format!("/etc/apt/apt.conf.d/{name}")).chain(["/etc/apt/apt.conf".to_owned()]) {
            if let Some(text) = root.read_text(&path, problems) {
                config.parse(&text);
            }
        }
        config
    }

    /// The last value set for a name such as `APT::Default-Release`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every value set for a list such as `APT::Architectures`.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        let of_list = move |key: &str| key.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) && matches!(key.get(name.len()..), Some("" | "::"));
        self.values.iter().filter(move |(key, value)| of_list(key) && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// A truth value in apt's words.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)?.to_ascii_lowercase().as_str() {
            "yes" | "true" | "with" | "on" | "enable" | "1" => Some(true),
            "no" | "false" | "without" | "off" | "disable" | "0" => Some(false),
            _ => None,
        }
    }

    fn parse(&mut self, text: &str) {
        let mut scopes: Vec<String> = Vec::new();
        let mut words: Vec<String> = Vec::new();
        for token in tokens(text) {
            match token {
                Token::Word(word) => words.push(word),
                Token::Open => scopes.push(std::mem::take(&mut words).join(" ")),
                Token::Close => {
                    self.assign(&scopes, &words);
                    words.clear();
                    scopes.pop();
                }
                Token::End => {
                    self.assign(&scopes, &words);
                    words.clear();
                }
            }
        }
    }

    fn assign(&mut self, scopes: &[String], words: &[String]) {
        let (name, value) = match words {
            // A value alone in a scope is an element of the scope's list.
            [value] if !scopes.is_empty() => (None, value),
            [name, value] => (Some(name), value),
            _ => return,
        };
        let path: Vec<&str> = scopes.iter().map(String::as_str).chain(name.map(String::as_str)).filter(|part| !part.is_empty()).collect();
        let list_mark = if name.is_none() { "::" } else { "" };
        self.values.push((format!("{}{list_mark}", path.join("::")), value.clone()));
    }
}

/// Whether apt reads this file of a `.d` folder: no extension or the given one, plain characters.
pub fn is_fragment(name: &str, extension: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte));
    let fits = match name.rsplit_once('.') {
        Some((_, found)) => found == extension,
        None => true,
    };
    plain && fits && !name.starts_with('.')
}

enum Token {
    Word(String),
    Open,
    Close,
    End,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let used = match first {
            '{' => {
                tokens.push(Token::Open);
                1
            }
            '}' => {
                tokens.push(Token::Close);
                1
            }
            ';' => {
                tokens.push(Token::End);
                1
            }
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '"' => {
                let inner = &rest[1..];
                let end = inner.find('"').unwrap_or(inner.len());
                tokens.push(Token::Word(inner[..end].to_owned()));
                (end + 2).min(rest.len())
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "{};\"".contains(c)).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                end
            }
        };
        rest = rest[used..].trim_start();
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> AptConfig {
        let mut config = AptConfig::default();
        config.parse(text);
        config
    }

    #[test]
    fn scopes_lists_and_comments_are_read() {
        let config = config(
            "// c\nAPT::Default-Release \"trixie\";\n/* x */ APT { Get { Always-Include-Phased-Updates \"true\"; }; Architectures { \"amd64\"; \"i386\"; }; };\n# y\nAPT::Architectures:: \"arm64\";",
        );
        assert_eq!(config.get("apt::default-release"), Some("trixie"));
        assert_eq!(config.flag("APT::Get::Always-Include-Phased-Updates"), Some(true));
        assert_eq!(config.list("APT::Architectures").collect::<Vec<_>>(), ["amd64", "i386", "arm64"]);
        assert_eq!(config.get("APT::Missing"), None);
    }

    #[test]
    fn broken_text_ends_quietly() {
        for text in ["\"", "A { {", "}}}", "/* x", "A \"b"] {
            config(text);
        }
    }

    #[test]
    fn backups_are_not_fragments() {
        assert!(is_fragment("20auto-upgrades", "conf"));
        assert!(is_fragment("x.conf", "conf"));
        assert!(!is_fragment("x.conf.bak", "conf"));
        assert!(!is_fragment("x.dpkg-old~", "conf"));
    }
}
