//! Whether a machine that enrolls is a node that is known already, a new one, or a clone.

use crate::model::node::Presence;

/// What is known of a node that may be the same.
#[derive(Debug, Clone, Copy)]
pub struct KnownNode<'a> {
    /// What its agent keeps to be known again.
    pub identity: Option<&'a str>,
    /// What tells its machine from others.
    pub machine: Option<&'a str>,
    /// The boot that it was last heard of from.
    pub boot: Option<&'a str>,
    /// Whether it is heard of.
    pub presence: Presence,
}

/// What a machine presents when it enrolls.
#[derive(Debug, Clone, Copy)]
pub struct PresentedMachine<'a> {
    /// What its agent kept, or made anew.
    pub identity: &'a str,
    /// What tells the machine from others.
    pub machine: Option<&'a str>,
    /// Its boot.
    pub boot: &'a str,
}

/// Who a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognition {
    /// The known node.
    Same,
    /// A copy of the known node: it gets an identity of its own.
    Clone,
    /// Somebody else.
    Other,
}

/// Compares a machine that enrolls with a known node.
pub fn recognize(known: &KnownNode, presented: &PresentedMachine) -> Recognition {
    let same_identity = known.identity == Some(presented.identity);
    let same_machine = known.machine.is_some() && known.machine == presented.machine;
    match (same_identity, same_machine) {
        // The agent's files were copied to another machine.
        (true, false) => Recognition::Clone,
        // The agent's files were lost, or a copy of the machine was made before it enrolled. When
        // the known one is up in another boot, there are two of them.
        (false, true) if known.presence == Presence::Online && known.boot.is_some_and(|boot| boot != presented.boot) => Recognition::Clone,
        (_, true) => Recognition::Same,
        (false, false) => Recognition::Other,
    }
}

/// What a boot that a node is heard of from means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootMeaning {
    /// The same as last time.
    Same,
    /// It has rebooted.
    Rebooted,
    /// A boot that was thought to be over is back: two machines use one identity. This one had it first.
    HasClone,
    /// The machine that came later, with the identity of another.
    IsClone,
}

/// Judges a boot by those that a node was heard of from: the present one, those before it, and
/// those that were found to be clones. A machine never comes back to a boot that it has left.
pub fn judge_boot(present: Option<&str>, former: &[String], clones: &[String], boot: &str) -> BootMeaning {
    if clones.iter().any(|clone| clone == boot) {
        return BootMeaning::IsClone;
    }
    match present {
        Some(present) if present == boot => BootMeaning::Same,
        Some(_) if former.iter().any(|former| former == boot) => BootMeaning::HasClone,
        _ => BootMeaning::Rebooted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(identity: &str, machine: Option<&str>, boot: &str, presence: Presence, expected: Recognition) {
        let known = KnownNode { identity: Some("identity"), machine: Some("machine"), boot: Some("boot"), presence };
        assert_eq!(recognize(&known, &PresentedMachine { identity, machine, boot }), expected);
    }

    #[test]
    fn a_machine_is_known_again_and_a_copy_is_told_from_it() {
        check("identity", Some("machine"), "boot 2", Presence::Online, Recognition::Same);
        check("identity", Some("other"), "boot", Presence::Silent, Recognition::Clone);
        check("identity", None, "boot", Presence::Silent, Recognition::Clone);
        check("new", Some("machine"), "boot", Presence::Online, Recognition::Same);
        check("new", Some("machine"), "boot 2", Presence::Late, Recognition::Same);
        check("new", Some("machine"), "boot 2", Presence::Online, Recognition::Clone);
        check("new", Some("other"), "boot", Presence::Online, Recognition::Other);
        check("new", None, "boot", Presence::Online, Recognition::Other);
    }

    #[test]
    fn a_boot_that_comes_back_shows_a_clone() {
        let (former, clones) = (["a".to_owned()], ["c".to_owned()]);
        for (boot, expected) in [("b", BootMeaning::Same), ("d", BootMeaning::Rebooted), ("a", BootMeaning::HasClone), ("c", BootMeaning::IsClone)] {
            assert_eq!(judge_boot(Some("b"), &former, &clones, boot), expected);
        }
        assert_eq!(judge_boot(None, &[], &[], "b"), BootMeaning::Rebooted);
    }
}
