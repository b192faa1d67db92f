//! A test bed to play with: real nodes, a server, and a prompt that breaks and mends them.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};
use testkit::testbed::{LinkQuality, NodeOptions, SERVER, Testbed};

use crate::{prepare, sh};

/// Arguments of `cargo xtask testbed`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Nodes to start, named n1, n2, …
    #[arg(long, default_value_t = 3)]
    nodes: u32,
    /// Size of each node's disk in MiB, so that it can be filled
    #[arg(long)]
    disk_mib: Option<u32>,
    /// The program that nodes and server run, in place of a fresh debug build
    #[arg(long, value_name = "FILE")]
    program: Option<std::path::PathBuf>,
}

const HELP: &str = "\
  fettle ARGUMENTS…        ask the server, as in `fettle node list`
  shell NODE SCRIPT…       run a shell script in a node
  add NODE                 start one more node, and enroll it
  clone NODE COPY          start a copy of a node, identity and all
  cut NODE                 cut its link            slow NODE MS        delay its link
  lose NODE PERCENT        drop frames             heal NODE           mend its link
  kill NODE                kill its agent          crash NODE          take its power away
  reboot NODE              reboot it               skew NODE SECONDS   set its agent's clock off
  fill NODE                fill its disk           free NODE           make room again
  starve NODE MIB          limit its memory        feed NODE           lift the limit
  quit                     remove everything";

/// Starts everything, then does what the lines of standard input say.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    prepare::prepare()?;
    let needed = |tests: &[&str]| tests.contains(&"testbed::");
    let missing: Vec<_> = prepare::missing_capabilities()?.into_iter().filter(|(_, tests)| needed(tests)).map(|(what, _)| what).collect();
    ensure!(missing.is_empty(), "a test bed needs {}", missing.join(", "));
    let program = if let Some(program) = &arguments.program {
        program.canonicalize().with_context(|| format!("failed to find `{}`", program.display()))?
    } else {
        sh::run("cargo", &["build", "--locked", "--workspace"])?;
        sh::target().join("debug/fettle")
    };
    let mut bed = Bed::start(&program)?;
    for number in 1..=arguments.nodes {
        bed.add(&format!("n{number}"), arguments.disk_mib)?;
    }
    println!("{HELP}");
    let stdin = std::io::stdin();
    loop {
        if stdin.is_terminal() {
            print!("> ");
            std::io::stdout().flush()?;
        }
        let mut line = String::new();
        if stdin.read_line(&mut line)? == 0 || line.trim() == "quit" {
            return Ok(());
        }
        if let Err(error) = bed.obey(&line.split_whitespace().collect::<Vec<_>>()) {
            println!("error: {error:#}");
        }
    }
}

struct Bed {
    bed: Testbed,
    server: Child,
    data: String,
    program: std::path::PathBuf,
}

impl Bed {
    fn start(program: &Path) -> anyhow::Result<Self> {
        let bed = Testbed::start(program);
        let data = bed.folder().join("server").display().to_string();
        let mut command = bed.at_server(program);
        command.args(["up", "--no-local-node", "--listen", "0.0.0.0:7300", "--scan-every", "10", "--poll-for", "5", "--late-after", "15", "--silent-after", "60", "--data", &data]);
        let mut server = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("failed to start the server")?;
        let mut lines = BufReader::new(server.stdout.take().context("its output is piped")?).lines();
        ensure!(lines.any(|line| line.is_ok_and(|line| line.contains("sign in"))), "the server did not start");
        Ok(Self { bed, server, data, program: program.to_owned() })
    }

    fn add(&mut self, name: &str, disk_mib: Option<u32>) -> anyhow::Result<()> {
        self.bed.add(name, NodeOptions { disk_mib, ..NodeOptions::default() });
        let code = self.fettle(&["activation", "create", "--format", "json"]).output()?;
        let code: serde_json::Value = serde_json::from_slice(&code.stdout).context("the server gives no activation")?;
        let code = code["code"].as_str().context("an activation has a code")?;
        println!("{name}: {}", self.bed.shell(name, &format!("fettle agent enroll --server https://{SERVER}:7300 --activation {code} 2>&1")).trim());
        Ok(())
    }

    fn fettle(&self, arguments: &[&str]) -> Command {
        let mut command = self.bed.at_server(&self.program);
        command.args(arguments).args(["--data", &self.data]);
        command
    }

    fn obey(&mut self, words: &[&str]) -> anyhow::Result<()> {
        let bed = &mut self.bed;
        if let [verb, name, ..] = words
            && !["fettle", "add"].contains(verb)
        {
            ensure!(bed.has(name), "there is no node {name}");
        }
        match words {
            [] => {}
            ["help"] => println!("{HELP}"),
            ["fettle", arguments @ ..] => drop(self.fettle(arguments).status()?),
            ["shell", name, script @ ..] => println!("{}", bed.shell(name, &format!("{{ {}; }} 2>&1 || true", script.join(" "))).trim_end()),
            ["add", name] => {
                ensure!(!bed.has(name), "there is a node {name}");
                self.add(name, None)?;
            }
            ["clone", name, copy] => {
                ensure!(!bed.has(copy), "there is a node {copy}");
                bed.add(copy, NodeOptions { clone_of: Some(name), ..NodeOptions::default() });
            }
            ["cut", name] => bed.partition(name),
            ["slow", name, ms] => bed.disturb(name, LinkQuality { delay_ms: ms.parse()?, loss_percent: 0 }),
            ["lose", name, percent] => bed.disturb(name, LinkQuality { delay_ms: 0, loss_percent: percent.parse()? }),
            ["heal", name] => bed.heal(name),
            ["kill", name] => bed.kill_agent(name),
            ["crash", name] => bed.crash(name),
            ["reboot", name] => bed.reboot(name),
            ["skew", name, seconds] => bed.skew(name, seconds.parse()?),
            ["fill", name] => bed.fill_disk(name),
            ["free", name] => bed.free_disk(name),
            ["starve", name, mib] => bed.starve(name, Some(mib.parse()?)),
            ["feed", name] => bed.starve(name, None),
            _ => bail!("`{}` is not understood; try help", words.join(" ")),
        }
        Ok(())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
