//! A virtual machine with a kernel of its own, on the network of a test bed. It is emulated instruction by instruction, so
//! that it needs nothing of the machine that it runs on, and takes minutes to do what a node does in seconds.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::roots;
use crate::testbed::Testbed;

/// What the machine has; its kernel is the one of the release, and the update that waits for it is downloaded.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,udev,procps,iproute2,ca-certificates,initramfs-tools,linux-image-cloud-amd64";
/// The emulator comes from a root of its own: on the machine it might take the place of something else.
const EMULATOR: &str = "qemu-system-x86,seabios";
const DISK_MIB: u32 = 3072;
const RUN: &str = include_str!("vm-run.sh");

/// A machine that runs; it is gone when this is dropped.
pub struct Vm {
    folder: PathBuf,
    supervisor: Child,
}

impl Vm {
    /// Starts a machine with `program` as `/usr/local/bin/fettle`, which runs `first` at its first boot, on the network of
    /// a test bed.
    pub fn start(bed: &Testbed, program: &Path, first: &str) -> Self {
        let emulator = roots::base_with("trixie", "qemu", EMULATOR);
        let folder = bed.folder().join("vm");
        fs::create_dir_all(&folder).expect("a folder can be made");
        make_disk(&folder, program, first);
        let tap = bed.add_tap("vm0");
        fs::write(folder.join("vm-run.sh"), RUN).expect("the folder can be written");
        let mut command = bed.at_server(Path::new("bash"));
        let supervisor = command.arg(folder.join("vm-run.sh")).args([&folder, &emulator]).arg(tap).stdin(Stdio::null()).spawn().expect("bash can be started");
        Self { folder, supervisor }
    }

    /// What the machine printed on its console.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("console")).unwrap_or_default()).into_owned()
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let _ = fs::write(self.folder.join("stop"), "");
        let emulator = fs::read_to_string(self.folder.join("pid")).unwrap_or_default();
        let _ = Command::new("kill").arg(emulator.trim()).status();
        let _ = self.supervisor.wait();
    }
}

/// A disk from a root folder, without mounting it.
fn make_disk(folder: &Path, program: &Path, first: &str) {
    let base = roots::with_kernel_update(PACKAGES);
    let root = folder.join("root");
    run(Command::new("cp").arg("-a").arg(base).arg(&root));
    let write = |path: &str, text: &str, mode: u32| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder can be made");
        fs::write(&path, text).expect("the root can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the root can be written");
    };
    run(Command::new("cp").arg(program).arg(root.join("usr/local/bin/fettle")));
    let _ = fs::remove_file(root.join("usr/sbin/policy-rc.d"));
    write("etc/fstab", "/dev/vda / ext4 defaults 0 1\n", 0o644);
    write("etc/hostname", "vm\n", 0o644);
    write("etc/hosts", "127.0.0.1 localhost vm\n", 0o644);
    let script = format!("#!/bin/sh\nip link set eth0 up\nip addr add 10.77.2.1/16 dev eth0\nif [ ! -e /etc/fettle/agent.yaml ]; then\n{first}\nfi\n");
    write("usr/local/sbin/first-boot", &script, 0o755);
    let unit = "[Service]\nType=oneshot\nExecStart=/usr/local/sbin/first-boot\nStandardOutput=journal+console\nStandardError=journal+console\n";
    write("etc/systemd/system/first-boot.service", unit, 0o644);
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).expect("a folder can be made");
    std::os::unix::fs::symlink("/etc/systemd/system/first-boot.service", wants.join("first-boot.service")).expect("the root can be written");
    run(Command::new("mke2fs").args(["-q", "-t", "ext4", "-d"]).arg(&root).arg(folder.join("disk")).arg(format!("{DISK_MIB}M")));
    fs::remove_dir_all(&root).expect("the folder is ours");
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
