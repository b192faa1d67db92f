//! What came of a run on one node, and what was proved.

use serde::{Deserialize, Serialize};

use crate::model::plan::Plan;
use crate::model::run::{Step, StepRecord};
use crate::model::time::Timestamp;
use crate::model::transaction::{Change, Transaction};

/// A result of a run, most of all for what did not go as planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// What was planned.
    pub plan: Plan,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// What really happened, by the package database before and after.
    pub done: Transaction,
    /// What became of each change.
    pub packages: Vec<PackageResult>,
    /// Files of new versions that lie beside what an owner changed.
    pub config_files: Vec<String>,
    /// The package manager's own words, their end when they were many.
    pub log: String,
    /// What was done one after another, and what was left out and why.
    #[serde(default)]
    pub steps: Vec<StepRecord>,
    /// What hooks said.
    #[serde(default)]
    pub hooks: Vec<HookRun>,
    /// Services that were restarted, or could not be.
    #[serde(default)]
    pub services: Vec<ServiceRestart>,
    /// Whether what is installed is what runs.
    #[serde(default)]
    pub effect: Effect,
    /// Whether it can be taken back.
    #[serde(default)]
    pub way_back: WayBack,
    /// The number of the transaction in the package manager's own history, where it keeps one.
    #[serde(default)]
    pub history: Option<String>,
}

/// Whether what is installed is what runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Effect {
    /// Nothing was looked at, or the system does not run.
    #[default]
    Unknown,
    /// It is.
    InEffect,
    /// It is not.
    NotInEffect {
        /// Why, in sentences.
        reasons: Vec<String>,
    },
}

/// Versions in a row, for people.
pub fn names(changes: &[Change]) -> String {
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What a hook did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRun {
    /// Its name.
    pub hook: String,
    /// In which step.
    pub step: Step,
    /// Its exit code, none when a signal ended it or its time was over.
    pub code: Option<i32>,
    /// The end of what it printed.
    pub output: String,
}

impl HookRun {
    /// How it ended, for people.
    pub fn words(&self) -> String {
        self.code.map_or_else(|| "did not end by itself".to_owned(), |code| format!("ended with {code}"))
    }
}

/// A service that ran replaced code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRestart {
    /// Its unit.
    pub service: String,
    /// Why it could not be restarted; nothing when it was.
    pub failure: Option<String>,
}

/// How a node gets back to what it had before a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayBack {
    /// Packages that a file is kept of, in the version of before.
    pub kept: Vec<Change>,
    /// Packages that came, and would go.
    pub new: Vec<Change>,
    /// Packages whose version of before is nowhere to be had.
    pub lost: Vec<Change>,
}

impl WayBack {
    /// Whether it leads back to everything.
    pub fn is_whole(&self) -> bool {
        self.lost.is_empty() && !(self.kept.is_empty() && self.new.is_empty())
    }

    /// Why it cannot be gone, in a sentence; nothing when all versions of before are kept.
    pub fn words(&self) -> Option<String> {
        (!self.lost.is_empty()).then(|| format!("it cannot be taken back: there is no package to be had of {}", names(&self.lost)))
    }
}

impl Receipt {
    /// Whether everything is installed.
    pub fn is_good(&self) -> bool {
        self.outcome == Outcome::Installed
    }

    /// What there is to say about it in a sentence; nothing when all is installed and in effect.
    pub fn words(&self) -> Option<String> {
        self.outcome.words().or_else(|| match &self.effect {
            Effect::NotInEffect { reasons } => Some(format!("installed, not in effect: {}", reasons.first().map(String::as_str).unwrap_or_default())),
            Effect::Unknown | Effect::InEffect => None,
        })
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Everything that was asked for is there.
    Installed,
    /// It was not begun.
    Held {
        /// Why.
        hold: Hold,
    },
    /// Someone stopped it.
    Cancelled {
        /// What was not begun.
        before: Step,
    },
    /// Something that was asked for is not there.
    Failed {
        /// What kind of failure.
        cause: Cause,
        /// The package manager's words about it.
        words: String,
    },
}

impl Outcome {
    /// What is wrong, in a sentence; nothing when all is well.
    pub fn words(&self) -> Option<String> {
        match self {
            Self::Installed => None,
            Self::Held { hold } => Some(format!("not begun: {}; {}", hold.words(), hold.mend())),
            Self::Cancelled { before } => Some(format!("cancelled before this: {}", before.words())),
            Self::Failed { cause, words } => Some(format!("failed, {}: {}", cause.words(), words.lines().next().unwrap_or_default())),
        }
    }
}

/// Why a run is not begun, and how that is mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Hold {
    /// Another program changes packages.
    Locked {
        /// The lock.
        file: String,
        /// The program, where it is known.
        holder: Option<String>,
    },
    /// An installation of before did not end well.
    Interrupted {
        /// Packages that are only partly installed.
        packages: Vec<String>,
    },
    /// There is not enough room.
    DiskFull {
        /// The file system.
        path: String,
        /// Free mebibytes.
        free_mib: u64,
        /// Mebibytes that are needed.
        needed_mib: u64,
    },
    /// The package manager would do something else than what was planned.
    Deviates {
        /// What, in sentences.
        deviations: Vec<String>,
    },
    /// The package manager would not do it at all.
    Refused {
        /// Its words.
        words: String,
    },
    /// A hook is none that the node's own configuration has.
    NoHook {
        /// Its name.
        hook: String,
    },
    /// The machine may lose its power in the middle.
    OnBattery {
        /// What is left.
        percent: u8,
    },
    /// There is no way back to versions of before.
    NoWayBack {
        /// Packages whose version of before is not to be had.
        packages: Vec<String>,
    },
    /// The time would be over before it ends.
    OutOfTime {
        /// When it should have ended.
        ends_by: Timestamp,
    },
}

impl Hold {
    /// What is wrong, in a sentence.
    pub fn words(&self) -> String {
        match self {
            Self::Locked { file, holder: Some(holder) } => format!("{holder} holds {file}"),
            Self::Locked { file, holder: None } => format!("another program holds {file}"),
            Self::Interrupted { packages } => format!("an installation of before did not end: {} only partly installed", packages.join(", ")),
            Self::DiskFull { path, free_mib, needed_mib } => format!("{path} has {free_mib} MiB free, and {needed_mib} MiB are needed"),
            Self::Deviates { deviations } => format!("the package manager would do something else than planned: {}", deviations.join("; ")),
            Self::Refused { words } => format!("the package manager will not do it: {words}"),
            Self::NoHook { hook } => format!("this node's configuration has no hook `{hook}`, or allows none"),
            Self::OnBattery { percent } => format!("the machine runs on a battery with {percent} % left"),
            Self::NoWayBack { packages } => format!("the versions of before are not to be had: {}", packages.join(", ")),
            Self::OutOfTime { ends_by } => format!("it would not end by {ends_by}"),
        }
    }

    /// What to do about it.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "wait until it has ended, or end it",
            Self::Interrupted { .. } => "allow the run to finish it first, finish it by hand, or remove the packages",
            Self::DiskFull { .. } => "make room, for example by emptying the package manager's cache",
            Self::Deviates { .. } => "make a new plan and look at it",
            Self::Refused { .. } => "refresh the package lists and make a new plan, or follow what it says",
            Self::NoHook { .. } => "add it below `hooks` in the node's agent.yaml, and `hooks` to what it allows",
            Self::OnBattery { .. } => "connect the machine to power",
            Self::NoWayBack { .. } => "add a repository that has them, or restore the node from a backup",
            Self::OutOfTime { .. } => "give it more time, or ask for fewer packages",
        }
    }
}

impl Outcome {
    /// What to do about it; nothing when all is well.
    pub fn mend(&self) -> Option<&'static str> {
        match self {
            Self::Installed | Self::Cancelled { .. } => None,
            Self::Held { hold } => Some(hold.mend()),
            Self::Failed { cause, .. } => Some(cause.mend()),
        }
    }
}

/// What kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Another program changed packages.
    LockHeld,
    /// Packages do not fit together.
    DependencyConflict,
    /// There was no room.
    DiskFull,
    /// Something is not signed as it should be.
    Signature,
    /// A script of a package failed.
    ScriptFailed,
    /// A repository could not be reached.
    Network,
    /// The version is in no repository any more.
    VersionGone,
    /// It took too long.
    Timeout,
    /// A hook failed.
    HookFailed,
    /// The node or its agent ended in the middle again and again.
    Interrupted,
    /// The rest would not have ended in time.
    OutOfTime,
    /// None of these.
    Unknown,
}

impl Cause {
    /// What package managers say when something of the kind is wrong, the telling ones first. Texts are those of
    /// dpkg and apt, dnf and rpm, zypper, apk and pacman in the C locale.
    const SAID: [(Self, &'static [&'static str]); 7] = [
        (
            Self::LockHeld,
            &[
                "could not get lock",
                "unable to acquire the dpkg",
                "is locked by",
                "unable to lock database",
                "waiting for process with pid",
                "failed to obtain the transaction lock",
            ],
        ),
        (Self::DiskFull, &["no space left on device", "enough free space", "more space needed on", "installing package needs", "insufficient space", "not enough space"]),
        (
            Self::Signature,
            &[
                "no_pubkey",
                "cannot be authenticated",
                "untrusted signature",
                "gpg check failed",
                "signature verification failed",
                "bad signature",
                "is not signed",
                "invalid or corrupted package",
                "hash sum mismatch",
                "hashes of expected file",
                "has unexpected size",
            ],
        ),
        (
            Self::ScriptFailed,
            &[
                "installation script subprocess",
                "removal script subprocess",
                "maintainer script",
                "scriptlet failed",
                "scriptlet in rpm package",
                "script returned error",
                "post-install: script exited",
                "command failed to execute correctly",
            ],
        ),
        (Self::VersionGone, &["was not found", "no match for argument", "no provider of", "unable to locate package", "404  ", "status code: 404", "nothing provides requested"]),
        (
            Self::Network,
            &[
                "temporary failure resolving",
                "could not resolve",
                "failed to fetch",
                "failed to connect",
                "connection refused",
                "cannot download",
                "connection timed out",
                "network error",
                "failed retrieving file",
            ],
        ),
        (
            Self::DependencyConflict,
            &[
                "unmet dependencies",
                "conflicts with",
                "nothing provides",
                "unable to satisfy",
                "unsatisfiable constraints",
                "unable to select packages",
                "could not satisfy dependencies",
                "held broken packages",
                "packages need to be removed",
            ],
        ),
    ];

    /// The cause that a package manager's words tell.
    pub fn of_words(words: &str) -> Self {
        let words = words.to_ascii_lowercase();
        Self::SAID.into_iter().find(|(_, said)| said.iter().any(|said| words.contains(said))).map_or(Self::Unknown, |(cause, _)| cause)
    }

    /// What to do about it.
    pub fn mend(self) -> &'static str {
        match self {
            Self::LockHeld => "wait until the other program has ended, or let the node wait longer (lock_wait_seconds)",
            Self::DependencyConflict => "ask for the packages that belong together, or allow what the plan shows",
            Self::DiskFull => "make room, for example by emptying the package manager's cache",
            Self::Signature => "refresh the package lists; if it stays so, ask whoever runs the repository",
            Self::ScriptFailed => "see what the script says, mend that, and patch again with --recover; or take the run back",
            Self::Network => "look whether the node reaches its repositories, and patch again",
            Self::VersionGone => "refresh the package lists and make a new plan",
            Self::Timeout => "patch again: what is there already needs nothing more",
            Self::HookFailed => "see what the hook says; what it kept from happening can be asked for again",
            Self::Interrupted => "find out why the node goes down, and patch again with --recover",
            Self::OutOfTime => "give it more time, or ask for fewer packages",
            Self::Unknown => "see the package manager's own words",
        }
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::LockHeld => "another program held the lock",
            Self::DependencyConflict => "packages do not fit together",
            Self::DiskFull => "the disk is full",
            Self::Signature => "a signature is missing or wrong",
            Self::ScriptFailed => "a package's script failed",
            Self::Network => "a repository could not be reached",
            Self::VersionGone => "the version is in no repository any more",
            Self::Timeout => "it took too long",
            Self::HookFailed => "a hook failed",
            Self::Interrupted => "it was interrupted again and again",
            Self::OutOfTime => "the time was over",
            Self::Unknown => "it failed",
        }
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageResult {
    /// What was asked for.
    pub change: Change,
    /// The version of before.
    pub before: Option<String>,
    /// The version of now.
    pub after: Option<String>,
    /// Whether it is there as it should be.
    pub state: PackageState,
}

/// Whether a change came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageState {
    /// It is there.
    Installed,
    /// It is there, and not configured to its end.
    Broken,
    /// It is not there.
    NotInstalled,
}

#[cfg(test)]
mod tests {
    use super::Cause;

    #[test]
    fn words_of_package_managers_tell_the_cause() {
        for (words, cause) in [
            ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt-get)", Cause::LockHeld),
            ("dpkg: error processing package tb-a (--configure):\n installed tb-a package post-installation script subprocess returned error exit status 1", Cause::ScriptFailed),
            ("E: Version '9' for 'bash' was not found", Cause::VersionGone),
            ("error: Package: tb is not signed", Cause::Signature),
            ("dpkg: unrecoverable fatal error: failed to write: No space left on device", Cause::DiskFull),
            ("E: Failed to fetch http://127.0.0.1/x.deb  Could not connect", Cause::Network),
            ("Error in POSTIN scriptlet in rpm package tb\nwarning: %post(tb-1) scriptlet failed, exit status 1", Cause::ScriptFailed),
            ("ERROR: unable to select packages:", Cause::DependencyConflict),
            ("whatever", Cause::Unknown),
        ] {
            assert_eq!(Cause::of_words(words), cause, "{words}");
        }
    }
}
