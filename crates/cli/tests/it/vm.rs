//! A kernel update with a real boot into it, in an emulated machine: minutes, so it is a job of its own.

use std::path::Path;

use testkit::testbed::SERVER;
use testkit::vm::Vm;

use crate::fleet::{Fleet, PROGRAM};

#[test]
#[ignore = "boots an emulated machine, which takes minutes: cargo xtask test --vm"]
fn a_new_kernel_is_in_effect_after_the_boot_into_it() {
    let fleet = Fleet::start();
    fleet.approve_all("");
    let enroll = format!("fettle agent enroll --server https://{SERVER}:7300 --activation {} --allow install,reboot", fleet.code());
    let vm = Vm::start(&fleet.bed, Path::new(PROGRAM), &enroll);
    let patiently = |what: &str, is_so: &dyn Fn() -> bool| {
        for _ in 0..600 {
            if is_so() {
                return;
            }
            fleet.bed.pause();
        }
        panic!("{what} did not come: {}", vm.console());
    };
    patiently("a missing kernel", &|| fleet.node("vm").is_some_and(|node| node["counts"]["missing"].as_u64() > Some(0)));
    let kernel = || fleet.json(&["node", "packages", "vm"])["kernel"].as_str().unwrap().to_owned();
    let before = kernel();
    let (code, said) = fleet.fettle(&["patch", "now", "vm", "--only", "linux-image-cloud-amd64", "--yes"]);
    assert!(code == Some(0) && said.contains("in effect: no process runs what was replaced"), "{said}{}", vm.console());
    assert!(said.contains("in effect only after a boot: linux-image-") && said.contains("rebooting, expected back by"), "{said}");
    assert_ne!(kernel(), before, "{said}");
    assert_eq!(fleet.json(&["node", "packages", "vm"])["reboot"]["state"], "not_pending");
}
