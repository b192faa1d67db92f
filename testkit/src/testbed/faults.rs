//! What can go wrong with a node of a test bed: its link, its processes, its disk, memory and clock.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Testbed, run};

/// How bad a link is.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinkQuality {
    /// How long each frame takes, in each direction.
    pub delay_ms: u32,
    /// Frames of a hundred that do not arrive.
    pub loss_percent: u32,
}

impl Testbed {
    /// Cuts a node's link.
    pub fn partition(&self, name: &str) {
        self.at_bridge(&["link", "set", &self.link(name), "down"]);
    }

    /// Mends a node's link: what was cut, slow or lossy is as it was at the start.
    pub fn heal(&mut self, name: &str) {
        let link = self.link(name);
        let node = self.node_mut(name);
        if let Some(mut forwarder) = node.forwarder.take() {
            let _ = forwarder.kill();
            let _ = forwarder.wait();
            self.at_bridge(&["link", "del", &format!("{link}a")]);
            self.at_bridge(&["link", "set", &link, "master", "br0"]);
        }
        self.at_bridge(&["link", "set", &link, "up"]);
    }

    /// Makes a node's link slow or lossy: a forwarder takes the place of the cable.
    pub fn disturb(&mut self, name: &str, quality: LinkQuality) {
        self.heal(name);
        let (link, namespace) = (self.link(name), self.namespace(name));
        let (near, far) = (format!("{link}a"), format!("{link}b"));
        // Frames that a program forwards must carry their own checksums.
        run(Command::new("ip").args(["netns", "exec", &namespace, "ethtool", "-K", "eth0", "tx", "off"]));
        run(self.at_server(Path::new("ethtool")).args(["-K", "br0", "tx", "off"]));
        self.at_bridge(&["link", "set", &link, "nomaster"]);
        self.at_bridge(&["link", "add", &near, "type", "veth", "peer", "name", &far]);
        self.at_bridge(&["link", "set", &near, "up"]);
        self.at_bridge(&["link", "set", &far, "master", "br0", "up"]);
        let mut command = self.at_server(Path::new("python3"));
        command.arg(self.folder.join("link.py")).args([&link, &near]).args([quality.delay_ms, quality.loss_percent].map(|number| number.to_string()));
        let mut forwarder = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("python3 can be started");
        let mut first = String::new();
        BufReader::new(forwarder.stdout.take().expect("its output is piped")).read_line(&mut first).expect("the forwarder says that it forwards");
        assert_eq!(first, "forwarding\n", "the link of {name} cannot be disturbed");
        self.node_mut(name).forwarder = Some(forwarder);
    }

    /// Kills a node's agent; its unit starts it again.
    pub fn kill_agent(&self, name: &str) {
        self.shell(name, "systemctl kill --kill-whom=main --signal KILL fettle-agent.service");
    }

    /// Takes a node's power away and gives it back: what was not on its disk is gone.
    pub fn crash(&mut self, name: &str) {
        let pid = self.pid(name).unwrap_or_else(|| panic!("node {name} is down"));
        run(Command::new("kill").args(["-KILL", &pid.to_string()]));
        let _ = self.node_mut(name).supervisor.wait();
        let supervisor = self.supervise(name, self.node(name).disk_mib);
        self.node_mut(name).supervisor = supervisor;
        self.wait_until_up(name);
    }

    /// Leaves no room on a node's disk; `free_disk` gives it back.
    pub fn fill_disk(&self, name: &str) {
        assert!(self.node(name).disk_mib.is_some(), "only a disk of a given size can be filled");
        self.shell(name, "cat /dev/zero > /filler 2> /dev/null || true");
    }

    /// Makes room again.
    pub fn free_disk(&self, name: &str) {
        self.shell(name, "rm -f /filler");
    }

    /// Lets all of a node have this much memory and no more; `None` lifts the limit.
    pub fn starve(&self, name: &str, memory_mib: Option<u32>) {
        let (file, unlimited) = if self.groups("memory").ends_with("memory") { ("memory.limit_in_bytes", "-1") } else { ("memory.max", "max") };
        let limit = memory_mib.map_or_else(|| unlimited.to_owned(), |mib| (u64::from(mib) << 20).to_string());
        let path = self.groups("memory").join(&self.name).join(name).join(file);
        fs::write(&path, limit).unwrap_or_else(|error| panic!("failed to limit the memory of {name} in {}: {error}", path.display()));
    }

    /// Makes a node's agent believe in another time, so many seconds away from the true one.
    pub fn skew(&self, name: &str, seconds: i32) {
        let unit = "/etc/systemd/system/fettle-agent.service.d";
        let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
        let settings = format!("[Service]\\nEnvironment=LD_PRELOAD={library} FAKETIME={seconds:+} DONT_FAKE_MONOTONIC=1\\n");
        self.shell(name, &format!("mkdir -p {unit} && printf '{settings}' > {unit}/skew.conf && systemctl daemon-reload && systemctl restart fettle-agent.service"));
    }

    /// Where the kernel keeps the control groups of a controller: its own tree, or the one for all.
    fn groups(&self, controller: &str) -> PathBuf {
        let all = PathBuf::from("/sys/fs/cgroup");
        let own = all.join(controller);
        if own.is_dir() { own } else { all }
    }

    fn at_bridge(&self, arguments: &[&str]) {
        run(Command::new("ip").args(["-n", &self.server_namespace()]).args(arguments));
    }
}
