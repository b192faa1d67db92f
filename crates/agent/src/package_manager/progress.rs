//! How much of its work a package manager has done, by what it prints.

/// Counts lines. dnf, zypper, apk and pacman print `3/10` beside each package; apt prints a line when it unpacks a
/// package and one when it sets it up.
#[derive(Debug)]
pub struct Progress {
    n_steps: usize,
    n_heard: usize,
    percent: u8,
}

impl Progress {
    /// Of so many steps.
    pub fn new(n_steps: usize) -> Self {
        Self { n_steps, n_heard: 0, percent: 0 }
    }

    /// Hears a line; the percentage so far, which never goes back.
    pub fn hear(&mut self, line: &str) -> Option<u8> {
        let of_apt = ["Unpacking ", "Setting up ", "Removing "].iter().any(|start| line.starts_with(start));
        let share = if of_apt {
            self.n_heard += 1;
            Some((self.n_heard, 2 * self.n_steps))
        } else {
            line.split([' ', '(', ')', '[', ']']).find_map(|word| {
                let (done, of) = word.split_once('/')?;
                Some((done.trim().parse().ok()?, of.parse().ok()?))
            })
        };
        // A line is printed when something begins: only what came before it is done.
        let (begun, of): (usize, usize) = share.filter(|(begun, of)| *begun > 0 && begun <= of)?;
        self.percent = self.percent.max(u8::try_from(100 * (begun - 1) / of).unwrap_or(100));
        Some(self.percent)
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;

    #[test]
    fn each_tools_lines_are_understood() {
        let mut progress = Progress::new(2);
        let apt = ["Get:1 copy:/repository ./ tb-a 2", "Unpacking tb-a (2) over (1) ...", "Unpacking tb-b (2)", "Setting up tb-a (2) ...", "Setting up tb-b (2) ..."];
        assert_eq!(apt.map(|line| progress.hear(line)), [None, Some(0), Some(25), Some(50), Some(75)]);
        let hear = |line: &str| Progress::new(1).hear(line);
        assert_eq!(hear("  Upgrading        : tb-a-1.1-1.noarch                                   3/4"), Some(50));
        assert_eq!(hear("(1/2) Upgrading tb-a (1-r0 -> 2-r0)"), Some(0));
        assert_eq!(hear("(2/2) upgrading tb-b..."), Some(50));
        assert_eq!([hear("/usr/lib 9/0"), hear("5/4"), hear("")], [None, None, None]);
    }
}
