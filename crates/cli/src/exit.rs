//! Exit codes, the same for every command. Documented in `docs/reference/exit-codes.md`.

use std::process::ExitCode;

use domain::model::compliance::Verdict;

/// How the program ends. Wrong usage ends with 2, by the argument parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well; a scanned node is compliant.
    Success,
    /// The command could not do its work.
    Failed,
    /// The arguments make no sense together, or a file given with them is not what it should be.
    Usage,
    /// The scanned node is not compliant.
    NonCompliant,
    /// The scanned node could not be judged.
    Unknown,
    /// Something would change.
    Changes,
    /// The server takes this node no more.
    Refused,
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Compliant => Self::Success,
            Verdict::NonCompliant => Self::NonCompliant,
            Verdict::Unknown | Verdict::Unmanaged => Self::Unknown,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failed => 1,
            Exit::Usage | Exit::Changes => 2,
            Exit::NonCompliant => 3,
            Exit::Unknown => 4,
            Exit::Refused => agent::unit::REFUSED_EXIT_CODE,
        })
    }
}
