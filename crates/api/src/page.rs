//! Pages of lists: cursors that belong to one list with its filters.

use domain::model::digest::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Rows of a page when nothing is said.
pub const LIMIT_DEFAULT: u32 = 50;
/// Most rows of a page.
pub const LIMIT_MAX: u32 = 500;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Give this as `cursor` for the next page; absent on the last one.
    pub next_cursor: Option<String>,
}

/// Where a page ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The sort column's value of the last row.
    pub value: String,
    /// Its id.
    pub id: String,
}

impl Cursor {
    /// The cursor as text, bound to its list: the name of the list with its order and filters.
    pub fn encode(&self, list: &str) -> String {
        let value: String = self.value.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{}.{value}.{}", tag(list), self.id)
    }

    /// Reads a cursor; `None` when it is not one of this list.
    pub fn decode(text: &str, list: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let (found, value, id) = (parts.next()?, parts.next()?, parts.next()?);
        if found != tag(list) || !value.is_ascii() || !value.len().is_multiple_of(2) {
            return None;
        }
        let bytes = (0..value.len()).step_by(2).map(|at| u8::from_str_radix(&value[at..at + 2], 16).ok()).collect::<Option<Vec<_>>>()?;
        Some(Self { value: String::from_utf8(bytes).ok()?, id: id.to_owned() })
    }
}

fn tag(list: &str) -> String {
    Digest::of(list.as_bytes()).short(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let cursor = Cursor { value: "ö.1".into(), id: "mi-1".into() };
        let text = cursor.encode("nodes?sort=name");
        assert_eq!(Cursor::decode(&text, "nodes?sort=name"), Some(cursor));
        assert_eq!(Cursor::decode(&text, "nodes?sort=missing"), None);
        for bad in ["", "x", "..", &text[..9], &text.replace('.', "ü"), "00000000.zz.x"] {
            assert_eq!(Cursor::decode(bad, "nodes?sort=name"), None, "{bad}");
        }
    }
}
