//! What the node is besides its packages. Everything here is best effort: what cannot be read is
//! left out, and what is wrong becomes a problem.

mod custom;
mod openrc;
mod processes;
mod services;
mod updating;

use std::collections::BTreeMap;

use domain::model::host::{Hardware, Host, Interface};
use domain::model::problem::Problem;
use domain::model::time::Timestamp;

use crate::package_manager::rpm;
use crate::root::Root;

pub use self::custom::read_custom;
pub use self::processes::{is_outdated, running_code};
pub use self::updating::{UPDATERS, image_problem};

/// Collects the facts of the running system.
pub fn collect(root: &Root, custom: &std::path::Path, now: Timestamp, problems: &mut Vec<Problem>) -> Host {
    Host {
        booted_at: booted_at(root, now),
        kernels: kernels(root),
        hardware: Some(hardware(root)),
        interfaces: interfaces(),
        services: services::collect(root, problems),
        stale_processes: processes::collect(root, problems),
        custom: read_custom(custom, problems),
        tags: updating::tags(root).into_iter().chain(rpm::product_tags(root)).collect(),
    }
}

/// Programs that still use files which were replaced or deleted.
pub fn stale_processes(root: &Root) -> Vec<domain::model::host::StaleProcess> {
    processes::collect(root, &mut Vec::new())
}

/// Free room on the file system of a path for those who are not root.
pub fn free_mib(root: &Root, path: &str) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(&root.join(path)).ok()?;
    Some(stat.blocks_available().saturating_mul(stat.fragment_size()) / (1024 * 1024))
}

/// To the minute, so that the answer is the same at every scan.
fn booted_at(root: &Root, now: Timestamp) -> Option<Timestamp> {
    const MINUTE_MS: i64 = 60_000;
    let uptime = root.read_text("/proc/uptime", &mut Vec::new())?;
    let seconds: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "uptimes are far below the limits of an integer")]
    let booted_ms = now.as_millis() - (seconds * 1000.0) as i64;
    Some(Timestamp::from_millis(booted_ms - booted_ms.rem_euclid(MINUTE_MS)))
}

/// Kernels have their modules in a folder each.
fn kernels(root: &Root) -> Vec<String> {
    let boot = root.list_names("/boot", &mut Vec::new());
    let mut kernels: Vec<_> = boot.iter().filter_map(|name| name.strip_prefix("vmlinuz-")).map(str::to_owned).collect();
    kernels.sort_by(|a, b| domain::model::version::rpm::compare(a, b));
    kernels
}

fn hardware(root: &Root) -> Hardware {
    let read = |path: &str| root.read_text(path, &mut Vec::new());
    let dmi = |name: &str| read(&format!("/sys/class/dmi/id/{name}")).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let cpu = read("/proc/cpuinfo").unwrap_or_default();
    let field = |line: &str| line.split_once(':').map(|(_, value)| value.trim().to_owned());
    let memory = read("/proc/meminfo").unwrap_or_default();
    let memory_kib: u64 = memory.lines().find(|line| line.starts_with("MemTotal:")).and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or_default();
    let root_mib = nix::sys::statvfs::statvfs(root.path()).ok().map(|stat| stat.blocks() * stat.fragment_size() / (1024 * 1024));
    Hardware {
        vendor: dmi("sys_vendor"),
        model: dmi("product_name"),
        processor: cpu.lines().find(|line| line.starts_with("model name")).and_then(field),
        n_processors: u32::try_from(cpu.lines().filter(|line| line.starts_with("processor")).count()).unwrap_or_default(),
        memory_mib: memory_kib / 1024,
        root_mib,
    }
}

fn interfaces() -> Vec<Interface> {
    let mut found = BTreeMap::<String, Interface>::new();
    for address in nix::ifaddrs::getifaddrs().into_iter().flatten() {
        let name = address.interface_name;
        let up = address.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP);
        let interface = found.entry(name.clone()).or_insert_with(|| Interface { name, mac: None, addresses: Vec::new(), up });
        let Some(storage) = address.address else { continue };
        if let Some(link) = storage.as_link_addr() {
            interface.mac = link.addr().filter(|mac| *mac != [0; 6]).map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
        } else if let Some(v4) = storage.as_sockaddr_in() {
            let prefix = address.netmask.and_then(|mask| Some(u32::from(mask.as_sockaddr_in()?.ip()).count_ones())).unwrap_or(32);
            interface.addresses.push(format!("{}/{prefix}", v4.ip()));
        } else if let Some(v6) = storage.as_sockaddr_in6() {
            let prefix = address.netmask.and_then(|mask| Some(u128::from(mask.as_sockaddr_in6()?.ip()).count_ones())).unwrap_or(128);
            interface.addresses.push(format!("{}/{prefix}", v6.ip()));
        }
    }
    let mut interfaces: Vec<_> = found.into_values().filter(|interface| interface.name != "lo").collect();
    for interface in &mut interfaces {
        interface.addresses.sort();
    }
    interfaces
}
