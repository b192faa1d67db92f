//! Free queries over nodes: `product = Debian12 and package openssl < 3.0.15-1~deb12u1 and not name = *-test`.
//!
//! ```text
//! query = all { "or" all }
//! all   = one { "and" one }
//! one   = "not" one | "(" query ")" | "package" NAME [ RELATION VERSION ] | FIELD ( "=" | "!=" ) PATTERN
//! FIELD = name | id | account | unit | region | system | product | architecture | agent | tag.KEY | fact.KEY
//! ```
//!
//! Words with spaces or signs stand in quotes. Patterns are those of fnmatch(3); versions are compared by the rules of the
//! node's own system. A `tag` was given by somebody; a `fact` is what the node says of itself.

use std::cmp::Ordering;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::glob::{self, Case};
use crate::model::platform::OperatingSystem;
use crate::model::selector::Selectable;

/// Longest text.
const TEXT_LENGTH_MAX: usize = 2000;
/// Most nested negations and parentheses.
const DEPTH_MAX: usize = 20;

/// A query, with the text that it was read from.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub struct Query {
    text: String,
    condition: Condition,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Is(Field, String),
    Package(String, Option<(Relation, String)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Id,
    Account,
    Unit,
    Region,
    System,
    Tag(String),
    Fact(Fact),
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Its host name.
    Name,
    /// Its product, such as `Debian12`.
    Product,
    /// Its architecture, as its package manager calls it.
    Architecture,
    /// The version of its agent.
    Agent,
    /// A tag that it gives itself.
    Tag(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

/// Why a query does not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Something else has to stand there.
    #[error("expected {expected}, found {found} at character {at} of the query")]
    Unexpected {
        /// What has to.
        expected: &'static str,
        /// What does.
        found: String,
        /// Where, counted from one.
        at: usize,
    },
    /// A quote without its other half.
    #[error("the quote at character {at} of the query is not closed")]
    Quote {
        /// Where, counted from one.
        at: usize,
    },
    /// No system is called so.
    #[error("no operating system is called `{pattern}`; there are {systems}", systems = OperatingSystem::ALL.map(OperatingSystem::code).join(", "))]
    System {
        /// How it was called.
        pattern: String,
    },
    /// It is too long or too deep.
    #[error("a query has at most {TEXT_LENGTH_MAX} bytes and {DEPTH_MAX} nested negations and parentheses")]
    TooLarge,
}

impl Query {
    /// Reads a query.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.len() > TEXT_LENGTH_MAX {
            return Err(QueryError::TooLarge);
        }
        let mut reader = Reader { tokens: read_tokens(text)?, next: 0 };
        let condition = reader.query(0)?;
        match reader.peek() {
            None => Ok(Self { text: text.trim().to_owned(), condition }),
            Some(_) => Err(reader.unexpected("`and`, `or` or the end")),
        }
    }

    /// Whether it finds a node.
    pub fn finds(&self, node: &impl Selectable) -> bool {
        self.condition.holds(node)
    }
}

impl Condition {
    fn holds(&self, node: &impl Selectable) -> bool {
        match self {
            Self::Any(all) => all.iter().any(|one| one.holds(node)),
            Self::All(all) => all.iter().all(|one| one.holds(node)),
            Self::Not(one) => !one.holds(node),
            Self::Is(field, pattern) => {
                let matches = |text: &str| glob::matches(pattern, text, Case::Sensitive);
                match field {
                    Field::Id => matches(node.id()),
                    Field::Account => matches(node.account()),
                    Field::Unit => node.units().iter().any(|unit| matches(unit)),
                    Field::Region => matches(node.region()),
                    Field::System => node.operating_system().is_some_and(|system| matches(system.code())),
                    Field::Tag(key) => node.tag(key).is_some_and(matches),
                    Field::Fact(fact) => node.fact(fact).is_some_and(matches),
                }
            }
            Self::Package(name, wanted) => {
                let scheme = node.operating_system().map(OperatingSystem::scheme);
                let is_wanted = |version: &str| match (wanted, scheme) {
                    (None, _) => true,
                    (Some((relation, wanted)), Some(scheme)) => relation.holds(scheme.compare(version, wanted)),
                    (Some(_), None) => false,
                };
                node.has_package(name, &is_wanted)
            }
        }
    }
}

impl Relation {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Equal => ordering.is_eq(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Greater => ordering.is_gt(),
        }
    }
}

/// A word or a sign, and where it begins.
struct Token {
    at: usize,
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Quoted,
    Sign,
}

fn read_tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().zip(1..).peekable();
    while let Some((first, at)) = characters.next() {
        let mut token = Token { at, text: String::new(), kind: Kind::Word };
        match first {
            _ if first.is_whitespace() => continue,
            '"' | '\'' => {
                token.kind = Kind::Quoted;
                loop {
                    match characters.next() {
                        Some((end, _)) if end == first => break,
                        Some((inside, _)) => token.text.push(inside),
                        None => return Err(QueryError::Quote { at }),
                    }
                }
            }
            '(' | ')' | '=' | '!' | '<' | '>' => {
                token.kind = Kind::Sign;
                token.text.push(first);
                if matches!(first, '!' | '<' | '>') {
                    token.text.extend(characters.next_if(|(next, _)| *next == '=').map(|(sign, _)| sign));
                }
            }
            _ => {
                token.text.push(first);
                let is_inside = |(next, _): &(char, usize)| !next.is_whitespace() && !matches!(next, '"' | '\'' | '(' | ')' | '=' | '<' | '>');
                while let Some((inside, _)) = characters.next_if(is_inside) {
                    token.text.push(inside);
                }
                // In `name!=web` the sign ends the word, in `[!a]*` it is part of it.
                if token.text.ends_with('!') && characters.peek().is_some_and(|(next, _)| *next == '=') {
                    token.text.pop();
                    let (_, at) = characters.next().expect("it was just seen");
                    tokens.push(token);
                    token = Token { at: at - 1, text: "!=".to_owned(), kind: Kind::Sign };
                }
            }
        }
        tokens.push(token);
    }
    Ok(tokens)
}

struct Reader {
    tokens: Vec<Token>,
    next: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn unexpected(&self, expected: &'static str) -> QueryError {
        let end = self.tokens.last().map_or(1, |last| last.at + last.text.chars().count());
        let (found, at) = self.peek().map_or(("the end".to_owned(), end), |token| (format!("`{}`", token.text), token.at));
        QueryError::Unexpected { expected, found, at }
    }

    /// Takes a word or sign when it is next.
    fn take(&mut self, text: &str) -> bool {
        let is_next = self.peek().is_some_and(|token| token.kind != Kind::Quoted && token.text == text);
        self.next += usize::from(is_next);
        is_next
    }

    fn word(&mut self, expected: &'static str) -> Result<String, QueryError> {
        match self.peek() {
            Some(token) if token.kind != Kind::Sign => {
                let text = token.text.clone();
                self.next += 1;
                Ok(text)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn query(&mut self, depth: usize) -> Result<Condition, QueryError> {
        let mut any = vec![self.all(depth)?];
        while self.take("or") {
            any.push(self.all(depth)?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Condition::Any(any) })
    }

    fn all(&mut self, depth: usize) -> Result<Condition, QueryError> {
        let mut all = vec![self.one(depth)?];
        while self.take("and") {
            all.push(self.one(depth)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::All(all) })
    }

    fn one(&mut self, depth: usize) -> Result<Condition, QueryError> {
        if depth > DEPTH_MAX {
            return Err(QueryError::TooLarge);
        }
        if self.take("not") {
            return Ok(Condition::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.take("(") {
            let inside = self.query(depth + 1)?;
            return if self.take(")") { Ok(inside) } else { Err(self.unexpected("`)`")) };
        }
        if self.take("package") {
            let name = self.word("the name of a package")?;
            return Ok(Condition::Package(name, self.relation()?));
        }
        let field = self.field()?;
        let differs = self.take("!=");
        if !differs && !self.take("=") {
            return Err(self.unexpected("`=` or `!=`"));
        }
        let pattern = self.word("a pattern")?;
        if field == Field::System && !OperatingSystem::ALL.iter().any(|system| glob::matches(&pattern, system.code(), Case::Sensitive)) {
            return Err(QueryError::System { pattern });
        }
        let is = Condition::Is(field, pattern);
        Ok(if differs { Condition::Not(Box::new(is)) } else { is })
    }

    fn relation(&mut self) -> Result<Option<(Relation, String)>, QueryError> {
        let signs = [("<", Relation::Less), ("<=", Relation::LessOrEqual), ("=", Relation::Equal), (">=", Relation::GreaterOrEqual), (">", Relation::Greater)];
        match signs.into_iter().find(|(sign, _)| self.take(sign)) {
            Some((_, relation)) => Ok(Some((relation, self.word("a version")?))),
            None => Ok(None),
        }
    }

    fn field(&mut self) -> Result<Field, QueryError> {
        const EXPECTED: &str = "`package`, name, id, account, unit, region, system, product, architecture, agent, tag.KEY or fact.KEY";
        let key = |text: &str, prefix: &str| text.strip_prefix(prefix).filter(|key| !key.is_empty()).map(str::to_owned);
        let field = self.peek().filter(|token| token.kind != Kind::Sign).and_then(|token| {
            Some(match token.text.as_str() {
                "name" => Field::Fact(Fact::Name),
                "id" => Field::Id,
                "account" => Field::Account,
                "unit" => Field::Unit,
                "region" => Field::Region,
                "system" => Field::System,
                "product" => Field::Fact(Fact::Product),
                "architecture" => Field::Fact(Fact::Architecture),
                "agent" => Field::Fact(Fact::Agent),
                text => key(text, "tag.").map(Field::Tag).or_else(|| key(text, "fact.").map(|key| Field::Fact(Fact::Tag(key))))?,
            })
        });
        let field = field.ok_or_else(|| self.unexpected(EXPECTED))?;
        self.next += 1;
        Ok(field)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Query {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Query {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::selector::tests::Tagged;

    const WEB: Tagged = Tagged("mi-1", &[("env", "prod")]);

    #[test]
    fn a_query_finds_what_it_says() {
        let finds = |text: &str| Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).finds(&WEB);
        for yes in [
            "name = web-*",
            "name=web-1 and id=mi-1 and account = shop and region = eu and architecture = amd64 and agent = 0.*",
            "unit = retail",
            "system = DEBIAN and product = Debian12",
            "tag.env = prod",
            "tag.env = * and tag.role != web",
            "fact.cloud:zone = 'a b'",
            "package openssl",
            "package openssl < 3.0.10",
            "package openssl >= 3.0.15-1~deb12u1 and not package openssl >= 3.0.15-1",
            "package openssl = 3.0.9-1",
            "not package nginx",
            "name = x or name = y or name = web-1",
            "name = web-1 or name = x and name = y",
            "not (name = x or name = y) and name != x",
            "name!=x",
            "name = [!a]eb-1",
            "name = \"web-1\"",
        ] {
            assert!(finds(yes), "{yes}");
        }
        for no in ["name = web", "name != web-1", "(name = web-1 or name = x) and name = y", "tag.cloud:zone = *", "package nginx", "package openssl > 4", "tag.role = *"] {
            assert!(!finds(no), "{no}");
        }
    }

    #[test]
    fn what_does_not_read_is_told_by_its_place() {
        let why = |text: &str| Query::parse(text).unwrap_err().to_string();
        let fields = "`package`, name, id, account, unit, region, system, product, architecture, agent, tag.KEY or fact.KEY";
        for (text, expected) in [
            ("", format!("expected {fields}, found the end at character 1 of the query")),
            ("host = a", format!("expected {fields}, found `host` at character 1 of the query")),
            ("name = a and tag. = b", format!("expected {fields}, found `tag.` at character 14 of the query")),
            ("name < a", "expected `=` or `!=`, found `<` at character 6 of the query".to_owned()),
            ("name =", "expected a pattern, found the end at character 7 of the query".to_owned()),
            ("(name = a", "expected `)`, found the end at character 10 of the query".to_owned()),
            ("name = a name = b", "expected `and`, `or` or the end, found `name` at character 10 of the query".to_owned()),
            ("package openssl != 3", "expected `and`, `or` or the end, found `!=` at character 17 of the query".to_owned()),
            ("package (", "expected the name of a package, found `(` at character 9 of the query".to_owned()),
            ("name = 'a", "the quote at character 8 of the query is not closed".to_owned()),
        ] {
            assert_eq!(why(text), expected, "{text}");
        }
        assert!(why("system = Debian").starts_with("no operating system is called `Debian`; there are DEBIAN, UBUNTU"));
        assert!(why(&format!("{}name = a{}", "(".repeat(30), ")".repeat(30))).starts_with("a query has at most"));
        assert!(why(&format!("name = {}", "a".repeat(3000))).starts_with("a query has at most"));
    }

    proptest! {
        #[test]
        fn any_text_reads_or_is_refused(text in r#"(name|not|and|or|package|\(|\)|=|!=|<|"|'|tag\.|é| ){0,40}"#) {
            if let Ok(query) = Query::parse(&text) {
                prop_assert_eq!(Query::parse(&query.to_string()).unwrap().finds(&WEB), query.finds(&WEB));
            }
        }
    }
}
