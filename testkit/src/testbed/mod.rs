//! Real nodes on one Linux machine: each an overlay over a shared base with systemd as its own
//! pid 1, its own machine id, boot id, name and address in its own network namespace. A bridge in a
//! namespace of its own joins them with the server's address; the machine's network is not touched.
//!
//! Needs root, debootstrap, iproute2 and ethtool. Every name begins with the process that made it, so
//! that two test beds do not meet, and one that died is swept up by the next.

mod faults;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::roots;

pub use self::faults::LinkQuality;

/// The server's address.
pub const SERVER: &str = "10.77.0.1";
const SYSTEM_PACKAGES: &str = "systemd,systemd-sysv,dbus,procps,iproute2,ca-certificates,cron,libfaketime";
const INIT: &str = include_str!("init.sh");
const LINK: &str = include_str!("link.py");

/// Nodes with the network between them and the server.
pub struct Testbed {
    name: String,
    folder: PathBuf,
    base: PathBuf,
    program: PathBuf,
    nodes: Vec<Node>,
}

struct Node {
    name: String,
    disk_mib: Option<u32>,
    supervisor: Child,
    /// What stands in for the cable while the link is disturbed.
    forwarder: Option<Child>,
}

/// What a node is like besides its base.
#[derive(Debug, Clone, Copy, Default)]
pub struct NodeOptions<'a> {
    /// Size of its disk in MiB.
    pub disk_mib: Option<u32>,
    /// The node whose disk it begins with, identity and all.
    pub clone_of: Option<&'a str>,
}

impl Testbed {
    /// An empty test bed; nodes get `program` as `/usr/local/bin/fettle`.
    pub fn start(program: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sweep();
        let base = roots::base_with("bookworm", "node", SYSTEM_PACKAGES);
        let name = format!("ft{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir_all(&folder).expect("a folder can be made");
        // Deleting from memory is much quicker than from a disk.
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=4g", "tmpfs"]).arg(&folder));
        for (file, text) in [("init.sh", INIT), ("link.py", LINK)] {
            fs::write(folder.join(file), text).expect("the folder can be written");
        }
        let server = format!("{name}-srv");
        run(Command::new("ip").args(["netns", "add", &server]));
        for arguments in
            [vec!["link", "set", "lo", "up"], vec!["link", "add", "br0", "type", "bridge"], vec!["addr", "add", "10.77.0.1/16", "dev", "br0"], vec!["link", "set", "br0", "up"]]
        {
            run(Command::new("ip").args(["-n", &server]).args(arguments));
        }
        Self { name, folder, base, program: program.to_owned(), nodes: Vec::new() }
    }

    /// The folder that everything is in, and that is gone with it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether there is a node of this name.
    pub fn has(&self, name: &str) -> bool {
        self.nodes.iter().any(|node| node.name == name)
    }

    /// A program at the server's address.
    pub fn at_server(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.server_namespace()]).arg(program);
        command
    }

    /// A socket of the switch that another machine can be plugged into.
    pub fn add_tap<'a>(&self, name: &'a str) -> &'a str {
        let server = self.server_namespace();
        run(Command::new("ip").args(["-n", &server, "tuntap", "add", name, "mode", "tap"]));
        run(Command::new("ip").args(["-n", &server, "link", "set", name, "master", "br0", "up"]));
        name
    }

    /// Lets a moment pass for whoever waits for something on a machine that is slow.
    pub fn pause(&self) {
        run(Command::new("sleep").arg("2"));
    }

    /// Starts a node and waits until its systemd is up.
    pub fn add(&mut self, name: &str, options: NodeOptions) {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).expect("a folder can be made");
        if let Some(original) = options.clone_of {
            run(Command::new("cp").arg("-a").arg(self.folder.join(original).join("rw")).arg(&folder));
        }
        let (server, namespace) = (self.server_namespace(), self.namespace(name));
        let number = self.nodes.len() + 2;
        let link = format!("v{number}");
        run(Command::new("ip").args(["netns", "add", &namespace]));
        run(Command::new("ip").args(["-n", &server, "link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &namespace]));
        run(Command::new("ip").args(["-n", &server, "link", "set", &link, "master", "br0", "up"]));
        for arguments in [
            vec!["link", "set", "lo", "up"],
            vec!["addr", "add", &format!("10.77.0.{number}/16"), "dev", "eth0"],
            vec!["link", "set", "eth0", "up"],
            vec!["route", "add", "default", "via", SERVER],
        ] {
            run(Command::new("ip").args(["-n", &namespace]).args(arguments));
        }
        let supervisor = self.supervise(name, options.disk_mib);
        self.nodes.push(Node { name: name.to_owned(), disk_mib: options.disk_mib, supervisor, forwarder: None });
        self.wait_until_up(name);
    }

    /// Starts what starts a node's pid 1, at first and after each reboot.
    fn supervise(&self, name: &str, disk_mib: Option<u32>) -> Child {
        let folder = self.folder.join(name);
        let log = File::options().create(true).append(true).open(folder.join("log")).expect("the folder can be written");
        Command::new("bash")
            .arg(self.folder.join("init.sh"))
            .arg("supervise")
            .args([name, &self.namespace(name), &disk_mib.map_or(String::new(), |mib| format!("{mib}m"))])
            .args([&folder, &self.base, &self.program])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("bash can be started")
    }

    /// Waits until a node's systemd has started everything.
    pub fn wait_until_up(&self, name: &str) {
        let script = "for i in $(seq 600); do case $(systemctl is-system-running 2>/dev/null) in running|degraded) exit 0;; esac; sleep 0.05; done; exit 1";
        for _ in 0..200 {
            if self.pid(name).is_some() && self.try_shell(name, script).status.success() {
                return;
            }
            run(Command::new("sleep").arg("0.05"));
        }
        panic!("node {name} did not start: {}", fs::read_to_string(self.folder.join(name).join("log")).unwrap_or_default());
    }

    /// Runs a shell script in a node; its output.
    #[track_caller]
    pub fn shell(&self, name: &str, script: &str) -> String {
        let output = self.try_shell(name, script);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "`{script}` on {name} failed: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    fn try_shell(&self, name: &str, script: &str) -> Output {
        let pid = self.pid(name).unwrap_or_else(|| panic!("node {name} is down"));
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid.to_string(), "-m", "-u", "-i", "-n", "-p", "-C", "-T", "-r", "-w", "env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
        command.args(["HOME=/root", "LC_ALL=C", "sh", "-c", script]).output().expect("nsenter can be started")
    }

    /// Reboots a node: a new boot id, the same disk.
    pub fn reboot(&self, name: &str) {
        let before = self.pid(name);
        let _ = self.try_shell(name, "systemctl reboot");
        for _ in 0..400 {
            if self.pid(name).is_some_and(|pid| Some(pid) != before) {
                return self.wait_until_up(name);
            }
            run(Command::new("sleep").arg("0.05"));
        }
        panic!("node {name} did not reboot");
    }

    /// Pid 1 of a node, as the machine counts.
    fn pid(&self, name: &str) -> Option<u32> {
        let unshare = fs::read_to_string(self.folder.join(name).join("unshare.pid")).ok()?;
        let unshare = unshare.trim();
        let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).ok()?;
        let pid = children.split_whitespace().next()?.parse().ok()?;
        // Until it has become the node's init it is the script that builds the node's root.
        let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        program.ends_with("systemd").then_some(pid)
    }

    fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    fn server_namespace(&self) -> String {
        self.namespace("srv")
    }

    /// The server's end of a node's cable.
    fn link(&self, name: &str) -> String {
        format!("v{}", self.number(name) + 2)
    }

    fn number(&self, name: &str) -> usize {
        self.nodes.iter().position(|node| node.name == name).unwrap_or_else(|| panic!("there is no node {name}"))
    }

    fn node(&self, name: &str) -> &Node {
        &self.nodes[self.number(name)]
    }

    fn node_mut(&mut self, name: &str) -> &mut Node {
        let number = self.number(name);
        &mut self.nodes[number]
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        for process in self.nodes.iter_mut().flat_map(|node| [Some(&mut node.supervisor), node.forwarder.as_mut()]).flatten() {
            let _ = process.kill();
            let _ = process.wait();
        }
        remove(&self.name);
    }
}

/// Removes what test beds of dead processes left.
fn sweep() {
    let listed = Command::new("ip").args(["netns", "list"]).output().map(|output| output.stdout).unwrap_or_default();
    let names: std::collections::BTreeSet<String> = String::from_utf8_lossy(&listed)
        .lines()
        .filter_map(|line| {
            let name = line.split_whitespace().next()?;
            let (pid, rest) = name.strip_prefix("ft")?.split_once('-')?;
            let dead = !Path::new(&format!("/proc/{pid}")).exists() && pid.bytes().all(|byte| byte.is_ascii_digit());
            dead.then(|| format!("ft{pid}-{}", rest.split('-').next().unwrap_or_default()))
        })
        .collect();
    for name in &names {
        remove(name);
    }
}

/// Kills what is in a test bed's namespaces, and removes them, its mounts and its control groups.
fn remove(name: &str) {
    let script = format!(
        "for ns in $(ip netns list | awk '{{print $1}}' | grep '^{name}-'); do for i in 1 2 3; do ip netns pids $ns | xargs -r kill -9 2>/dev/null; sleep 0.05; done; ip netns del $ns; done
         for mount in $(awk '{{print $2}}' /proc/mounts | grep '^{folder}' | sort -r); do umount -l $mount; done; rmdir {folder}
         for root in /sys/fs/cgroup/unified /sys/fs/cgroup/memory /sys/fs/cgroup; do [ -d $root/{name} ] && find $root/{name} -depth -type d -exec rmdir {{}} + ; done; true",
        folder = std::env::temp_dir().join(name).display()
    );
    // What is gone already needs no removing.
    let _ = Command::new("bash").args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
}
