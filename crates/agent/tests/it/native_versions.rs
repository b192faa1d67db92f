//! Our order of versions is that of the native tools, on real pairs and on mean ones.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use domain::model::version::{alpm, apk, deb, rpm};
use testkit::roots::Overlay;

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

/// Ten thousand pairs of versions that are made of parts: each of all with some of all.
fn made(heads: &[&str], tails: &[&str]) -> Vec<(String, String)> {
    let versions: Vec<String> = heads.iter().flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}"))).collect();
    let n = versions.len();
    assert!(n * n > 12_000, "{n} versions");
    let step = n * n / 12_000;
    (0..n * n)
        .step_by(step)
        .map(|at| (versions[at / n].clone(), versions[(at * 7919 + at / n) % n].clone()))
        .chain(versions.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())))
        .collect()
}

/// Compares with what a script in a root says of each pair, given as lines of `/pairs`.
fn check(node: &Overlay, script: &str, pairs: &[(String, String)], compare: fn(&str, &str) -> std::cmp::Ordering, key: Option<fn(&str) -> Vec<u8>>) {
    assert!(pairs.len() > 10_000, "{} pairs", pairs.len());
    node.write("pairs", &pairs.iter().map(|(left, right)| format!("{left} {right}\n")).collect::<String>());
    let answers = node.shell(script);
    let answers: Vec<_> = answers.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(answers.len(), pairs.len());
    for ((left, right), answer) in pairs.iter().zip(answers) {
        let native: i32 = answer.parse().unwrap();
        assert_eq!(compare(left, right) as i32, native, "{left} against {right}");
        if let Some(key) = key {
            assert_eq!(key(left).cmp(&key(right)) as i32, native, "keys of {left} and {right}");
        }
    }
}

#[test]
fn the_order_is_that_of_rpm_on_ten_thousand_pairs() {
    let node = Overlay::over(&testkit::rpm::tools());
    let heads = [
        "1",
        "1.0",
        "1.00",
        "1.01",
        "1.10",
        "1_0",
        "2:1.0",
        "0:1",
        "10:0",
        "1a",
        "1.a",
        "a1",
        "1.0~rc1",
        "1.0^git1",
        "1.0~^",
        "1.0^~1",
        "1..0",
        "1.0.",
        "18446744073709551617",
        "1.0~",
        "1+2",
        "~1",
        "^1",
    ];
    let tails = ["", "-1", "-1.el9", "-1.el9_2", "-10.el9", "-1~", "-1^", "-0.1.rc1", "-1.fc41.2", "-01", "-a"];
    // The parts of epoch, version and release are compared in their order; a missing release is an empty one.
    let script = "rpm --eval '%{lua: local function evr(s) local e, r = s:match(\"^(%d+):(.*)$\"); if not e then e, r = \"0\", s end; local v, x = r:match(\"^(.*)-([^-]*)$\"); return e, v or r, x or \"\" end for l in io.lines(\"/pairs\") do local a, b = l:match(\"(%S+) (%S+)\"); local e1, v1, r1 = evr(a); local e2, v2, r2 = evr(b); local c = rpm.vercmp(e1, e2); if c == 0 then c = rpm.vercmp(v1, v2) end; if c == 0 then if #r1 > 0 and #r2 > 0 then c = rpm.vercmp(r1, r2) else c = math.min(#r1, 1) - math.min(#r2, 1) end end; print(c) print(\"\\n\") end}'";
    check(&node, script, &made(&heads, &tails), rpm::compare, Some(rpm::key));
}

#[test]
fn the_order_is_that_of_pacman_on_ten_thousand_pairs() {
    let node = Overlay::over(&testkit::rpm::tools());
    let heads = [
        "1",
        "1.0",
        "1.00",
        "1.01",
        "1.10",
        "1_0",
        "2:1.0",
        "0:1",
        "10:0",
        "1a",
        "1.a",
        "a1",
        "1.0rc1",
        "1.0.rc1",
        "1..0",
        "18446744073709551617",
        "1+2",
        "1.0a",
        "1.0.1",
        "r12.abc",
        "20240101",
    ];
    let tails = ["-1", "-1.1", "-10", "-01", "-2", "-1.10", "-3", "-2.1"];
    let script = "python3 -c 'import ctypes, glob
compare = ctypes.CDLL(glob.glob(\"/usr/lib/*/libalpm.so.*\")[0]).alpm_pkg_vercmp
compare.argtypes = [ctypes.c_char_p] * 2
for line in open(\"/pairs\"):
    a, b = line.split()
    c = compare(a.encode(), b.encode())
    print((c > 0) - (c < 0))'";
    check(&node, script, &made(&heads, &tails), alpm::compare, Some(alpm::key));
    // Where a part ends in a separator, or a release is missing, there is no order that a key could have.
    let mean = made(
        &["1", "1.", "1.0", "1.0.", "1a", "1a.", "1.a", "1a1", "1a.b", "..1", "1..", ".", "1.0-", "2:", "1.a.", "1_"],
        &["", "-1", "-1.", "-2", ".", "a", "1", ".b", "-", "..1", "-0"],
    );
    check(&node, script, &mean, alpm::compare, None);
}

#[test]
fn the_order_is_that_of_apk_on_ten_thousand_pairs() {
    let node = Overlay::over(&testkit::roots::alpine());
    let heads = ["1", "1.0", "1.00", "1.01", "1.10", "1.9", "10", "01", "1a", "1.0a", "1.0b", "1.002", "1.0.0", "x", "1.", "1.x", "1A", "18446744073709551610"];
    let tails = [
        "",
        "-r0",
        "-r1",
        "-r10",
        "_alpha",
        "_alpha1",
        "_beta2",
        "_pre",
        "_rc1",
        "_rc1_git2",
        "_p1",
        "_p",
        "_git20240101",
        "_cvs",
        "_svn3",
        "_hg",
        "_x",
        "~0af",
        "~0b-r1",
        "_rc2~abc-r3",
        "-x",
        "-r",
        "_p1.2",
    ];
    // One process for all pairs, linked with the libraries of the root.
    let program = r#"
#include <stdio.h>
#include <string.h>
#include <dlfcn.h>
typedef struct { long length; char *text; } blob;
int main(void) {
    int (*compare)(blob, blob) = dlsym(dlopen("libapk.so.3.0.0", RTLD_NOW), "apk_version_compare");
    char a[512], b[512];
    while (scanf("%511s %511s", a, b) == 2) {
        int answer = compare((blob){strlen(a), a}, (blob){strlen(b), b});
        puts(answer == 1 ? "0" : answer == 2 ? "-1" : answer == 4 ? "1" : "?");
    }
}
"#;
    node.write("compare.c", program);
    let built = Command::new("musl-gcc").arg("-o").arg(node.path().join("compare")).arg(node.path().join("compare.c")).status().unwrap();
    assert!(built.success());
    let script = "/compare < /pairs";
    check(&node, script, &made(&heads, &tails), apk::compare, Some(apk::key));
}
