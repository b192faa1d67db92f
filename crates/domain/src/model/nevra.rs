//! Names of rpm packages with as much of their version as people type: name, epoch, version, release,
//! architecture.

use crate::model::glob::{self, Case};
use crate::model::version::rpm;

/// Whether a text that a person typed means this package. It may hold `*`, `?` and `[…]`, and be any of
/// what dnf takes: `name`, `name.arch`, `name-version`, `name-version-release`, both with an epoch before
/// the version or the name, the latter with an architecture, and a file's name with `.rpm`.
pub fn names(typed: &str, name: &str, version: &str, architecture: &str) -> bool {
    let typed = typed.strip_suffix(".rpm").unwrap_or(typed);
    let is_pattern = glob::is_pattern(typed);
    if !is_pattern && !typed.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':').starts_with(name) && !typed.starts_with(name) {
        return false;
    }
    let is = |form: &str| if is_pattern { glob::matches(typed, form, Case::Sensitive) } else { typed == form };
    if is(name) || is(&format!("{name}.{architecture}")) {
        return true;
    }
    let parts = rpm::split(version.as_bytes());
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    let (epoch, upstream, release) = (text(parts.epoch), text(parts.version), text(parts.release));
    let epoch = if epoch.is_empty() { "0" } else { epoch };
    let with_release = format!("{upstream}-{release}");
    [
        format!("{name}-{upstream}"),
        format!("{name}-{epoch}:{upstream}"),
        format!("{name}-{with_release}"),
        format!("{name}-{epoch}:{with_release}"),
        format!("{epoch}:{name}-{with_release}"),
    ]
    .iter()
    .enumerate()
    .any(|(at, form)| is(form) || (at >= 2 && is(&format!("{form}.{architecture}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_people_type_is_understood() {
        let forms = [
            "bind-libs",
            "bind-libs.x86_64",
            "bind-libs-9.16.23",
            "bind-libs-32:9.16.23",
            "bind-libs-9.16.23-1.el9",
            "bind-libs-32:9.16.23-1.el9",
            "bind-libs-9.16.23-1.el9.x86_64",
            "bind-libs-32:9.16.23-1.el9.x86_64",
            "32:bind-libs-9.16.23-1.el9.x86_64",
            "bind-libs-9.16.23-1.el9.x86_64.rpm",
            "bind-*",
            "*.x86_64",
            "bind-libs-9.16.*",
            "bind-lib[a-s]",
        ];
        for form in forms {
            assert!(names(form, "bind-libs", "32:9.16.23-1.el9", "x86_64"), "{form}");
        }
        for form in ["bind", "bind-libs-lite", "bind-libs-9.16", "bind-libs-0:9.16.23", "bind-libs.i686", "", "libs", "bind-libs-9.16.23.x86_64"] {
            assert!(!names(form, "bind-libs", "32:9.16.23-1.el9", "x86_64"), "{form}");
        }
        assert!(names("a-0:1-2", "a", "1-2", "noarch"));
        assert!(names("7zip-1-2", "7zip", "1-2", "noarch"));
    }
}
