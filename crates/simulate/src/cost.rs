//! What a process on this machine costs, by the kernel's accounting.

use std::fs;

/// Ticks of the kernel's accounting in a second; Linux has had this number on every platform for long.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time and memory of a process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProcessCost {
    /// User and system time, in seconds.
    pub cpu_s: f64,
    /// Memory that it has now, in MiB.
    pub resident_mib: f64,
    /// The most memory that it ever had, in MiB.
    pub peak_mib: f64,
}

impl ProcessCost {
    /// What the process has cost so far; `None` when there is none.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The program's name, in parentheses, may hold spaces.
        let ticks: Vec<f64> = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let mib = |name: &str| status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib / 1024.0);
        Some(Self { cpu_s: ticks.iter().sum::<f64>() / TICKS_PER_SECOND, resident_mib: mib("VmRSS:")?, peak_mib: mib("VmHWM:")? })
    }
}
