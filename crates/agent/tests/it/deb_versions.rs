//! Our order of versions is dpkg's, on real pairs and on mean ones.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use domain::model::version::deb;

/// Joins versions of real lists with each other and with small changes of themselves.
fn pairs() -> Vec<(String, String)> {
    let lists = testkit::roots::base("bookworm").join("var/lib/apt/lists");
    let mut versions = Vec::new();
    for entry in fs::read_dir(lists).unwrap().flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with("_Packages")) {
        let text = fs::read_to_string(entry.path()).unwrap();
        versions.extend(text.lines().filter_map(|line| line.strip_prefix("Version: ")).map(str::to_owned));
    }
    assert!(versions.len() > 60_000);
    let mut pairs = Vec::new();
    for (at, version) in versions.iter().enumerate().step_by(13) {
        pairs.push((version.clone(), versions[(at * 7919) % versions.len()].clone()));
        let change = ["~", "+deb12u1", "~bpo12+1", "a", ".0", "-0", "-1", "+b1", "~~", "0"][at % 10];
        pairs.push((version.clone(), format!("{version}{change}")));
        pairs.push((format!("0:{version}"), version.replacen('.', "+", 1)));
    }
    let parts = ["", "0", "00", "1", "01", "9", "10", "a", "A", "z", "~", "~~", "+", ".", "~a", "a~", "1a", "1~", "1.", "+1", "0a0", "18446744073709551617"];
    for left in parts {
        for right in parts {
            pairs.push((format!("1{left}"), format!("1{right}")));
            pairs.push((format!("2:1-{left}1"), format!("2:1-{right}1")));
        }
    }
    pairs
}

#[test]
fn the_order_is_that_of_apt_on_ten_thousand_pairs() {
    let pairs = pairs();
    assert!(pairs.len() > 10_000);
    let input: String = pairs.iter().map(|(left, right)| format!("{left} {right}\n")).collect();
    let script = "import sys, apt_pkg\napt_pkg.init()\nfor line in sys.stdin:\n    a, b = line.split()\n    r = apt_pkg.version_compare(a, b)\n    print((r > 0) - (r < 0))\n";
    let mut child = Command::new("/usr/bin/python3").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), pairs.len());
    for ((left, right), answer) in pairs.iter().zip(answers.lines()) {
        let native: i32 = answer.parse().unwrap();
        assert_eq!(deb::compare(left, right) as i32, native, "{left} against {right}");
        assert_eq!(deb::key(left).cmp(&deb::key(right)) as i32, native, "keys of {left} and {right}");
    }
}

#[test]
fn the_order_is_that_of_dpkg() {
    // dpkg compares one pair a process: a tenth of a second for forty, so a sample of the pairs.
    let sample: Vec<_> = pairs().into_iter().step_by(25).collect();
    let input: String = sample.iter().map(|(left, right)| format!("{left} {right}\n")).collect();
    let script = "while read -r a b; do if dpkg --compare-versions \"$a\" lt \"$b\" 2>/dev/null; then echo -1; elif dpkg --compare-versions \"$a\" gt \"$b\" 2>/dev/null; then echo 1; else echo 0; fi; done";
    let mut child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let answers = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    writer.join().unwrap();
    assert_eq!(answers.lines().count(), sample.len());
    for ((left, right), answer) in sample.iter().zip(answers.lines()) {
        assert_eq!((deb::compare(left, right) as i32).to_string(), answer, "{left} against {right}");
    }
}
