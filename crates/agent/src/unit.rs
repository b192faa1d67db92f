//! The agent's systemd unit.

use std::path::Path;

/// Where the unit is installed.
pub const UNIT_PATH: &str = "/etc/systemd/system/fettle-agent.service";
/// How the agent ends when the server takes it no more: starting it again would change nothing.
pub const REFUSED_EXIT_CODE: u8 = 5;

/// What the agent runs with: glibc's allocator gives memory back to the system at once, where it would
/// keep what the largest scan needed for good. Other C libraries read none of it.
pub const ENVIRONMENT: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072:glibc.malloc.trim_threshold=131072:glibc.malloc.arena_max=1");

/// The unit's text. The agent comes last when the machine is busy, and stays small.
pub fn text(program: &Path, config: &Path) -> String {
    let (variable, value) = ENVIRONMENT;
    format!(
        "[Unit]\n\
         Description=Fettle agent\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Environment={variable}={value}\n\
         ExecStart={} agent run --config {}\n\
         Restart=always\n\
         RestartSec=5\n\
         RestartPreventExitStatus=0 {REFUSED_EXIT_CODE}\n\
         Nice=10\n\
         IOSchedulingClass=idle\n\
         OOMScoreAdjust=200\n\
         UMask=0077\n\
         # A package manager at work goes on when the agent ends; the next one waits for it.\n\
         KillMode=process\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        program.display(),
        config.display()
    )
}
