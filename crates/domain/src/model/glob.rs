//! Shell patterns as fnmatch(3) reads them, without path rules: `*`, `?`, `[set]`, `[!set]`, `\x`.

/// Whether letter case counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// `A` and `a` differ.
    Sensitive,
    /// ASCII letters are folded.
    Folded,
}

/// Whether `pattern` holds anything but literal text.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether the whole of `text` matches `pattern`. Runs in linear space and at worst
/// `pattern × text` time: only the last star is ever tried again.
pub fn matches(pattern: &str, text: &str, case: Case) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = if p == pattern.len() {
            None
        } else if pattern[p] == b'*' {
            retry = Some((p + 1, t));
            p += 1;
            continue;
        } else {
            text.get(t).and_then(|&byte| match_one(&pattern[p..], byte, case))
        };
        match step {
            Some(width) => {
                p += width;
                t += 1;
            }
            None if p == pattern.len() && t == text.len() => return true,
            None => match retry {
                Some((after_star, from)) if from < text.len() => {
                    retry = Some((after_star, from + 1));
                    p = after_star;
                    t = from + 1;
                }
                _ => return false,
            },
        }
    }
}

/// Matches one byte against the first element of `pattern`; the element's width when it fits.
fn match_one(pattern: &[u8], byte: u8, case: Case) -> Option<usize> {
    let fold = |byte: u8| if case == Case::Folded { byte.to_ascii_lowercase() } else { byte };
    match pattern[0] {
        b'?' => Some(1),
        b'\\' if pattern.len() > 1 => (fold(pattern[1]) == fold(byte)).then_some(2),
        b'[' => match set_end(pattern) {
            Some(end) => {
                let negated = matches!(pattern[1], b'!' | b'^');
                let members = &pattern[if negated { 2 } else { 1 }..end];
                (set_holds(members, fold(byte), fold) != negated).then_some(end + 1)
            }
            None => (byte == b'[').then_some(1),
        },
        literal => (fold(literal) == fold(byte)).then_some(1),
    }
}

/// Where the set that starts at `pattern[0]` closes; a `]` that comes first is a member.
fn set_end(pattern: &[u8]) -> Option<usize> {
    let mut at = 1;
    if matches!(pattern.get(at), Some(b'!' | b'^')) {
        at += 1;
    }
    pattern.iter().skip(at + 1).position(|&byte| byte == b']').map(|offset| at + 1 + offset)
}

fn set_holds(members: &[u8], byte: u8, fold: impl Fn(u8) -> u8) -> bool {
    let mut at = 0;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == b'-' {
            if (fold(members[at])..=fold(members[at + 2])).contains(&byte) {
                return true;
            }
            at += 3;
        } else {
            if fold(members[at]) == byte {
                return true;
            }
            at += 1;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("linux-*", "linux-image-amd64", true),
            ("linux-*", "linux", false),
            ("lib?c", "libxc", true),
            ("*-dev*", "libc6-dev-i386", true),
            ("[a-c]at", "bat", true),
            ("[!a-c]at", "bat", false),
            ("a[]]b", "a]b", true),
            ("a[b", "a[b", true),
            (r"a\*", "a*", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
        ] {
            assert_eq!(matches(pattern, text, Case::Sensitive), expected, "{pattern} on {text}");
        }
        assert!(matches("DEBIAN", "Debian", Case::Folded));
        assert!(!matches("DEBIAN", "Debian", Case::Sensitive));
    }

    #[test]
    fn many_stars_end_soon() {
        let pattern = "*a".repeat(50);
        assert!(!matches(&pattern, &"b".repeat(10_000), Case::Sensitive));
    }
}
