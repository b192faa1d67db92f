//! The names and ids of all nodes in one text, so that a search for a part of one is a single pass.

use memchr::memmem;

/// Ends each name and each id; no search text has it.
const END: char = '\0';

/// Names and ids in lower case, those of each node after those of the node before.
pub(super) struct Names {
    text: String,
    /// Where each node's begin.
    starts: Vec<usize>,
}

impl Names {
    /// Of nodes in the order of their numbers.
    pub(super) fn of<'a>(nodes: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut names = Self { text: String::new(), starts: Vec::new() };
        for (name, id) in nodes {
            names.push(name, id);
        }
        names
    }

    /// Adds the node with the next number.
    pub(super) fn push(&mut self, name: &str, id: &str) {
        self.starts.push(self.text.len());
        for part in [name, id] {
            self.text.extend(part.chars().map(|character| character.to_ascii_lowercase()));
            self.text.push(END);
        }
    }

    /// The numbers of the nodes whose name or id contains `part`, which is in lower case.
    pub(super) fn find<'a>(&'a self, part: &str) -> impl Iterator<Item = usize> + use<'a> {
        let finder = memmem::Finder::new(part).into_owned();
        let (mut from, mut number) = (0, 0);
        std::iter::from_fn(move || {
            let at = from + finder.find(self.text.as_bytes().get(from..)?)?;
            while self.starts.get(number + 1).is_some_and(|start| *start <= at) {
                number += 1;
            }
            from = self.starts.get(number + 1).copied().unwrap_or(self.text.len());
            (number < self.starts.len()).then_some(number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn finds_parts_of_names_and_of_ids_once_for_each_node() {
        let mut names = Names::of([("Web-1", "no-00a"), ("db", "no-0bb"), ("webweb", "no-web")].into_iter());
        names.push("last", "no-00c");
        let found = |part: &str| names.find(part).collect::<Vec<_>>();
        assert_eq!(found("web"), [0, 2]);
        assert_eq!(found("no-0"), [0, 1, 3]);
        assert_eq!(found("st"), [3]);
        assert_eq!(found("00c"), [3]);
        assert_eq!(found("dbno"), [0_usize; 0]);
        assert_eq!(found("o"), [0, 1, 2, 3]);
        assert_eq!(Names::of(std::iter::empty()).find("a").count(), 0);
    }
}
