//! Development tasks, run as `cargo xtask TASK`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tasks talk to a developer's terminal")]

mod bench;
mod check;
mod prepare;
mod screenshots;
mod sh;
mod testbed;
mod walls;

use clap::Parser;

/// Development tasks of Fettle.
#[derive(Parser)]
enum Task {
    /// Install what the tests need, then run every test
    Test(check::TestArguments),
    /// Format, clippy, walls, reference documents, API docs, dependencies
    Check,
    /// Compare each crate's dependencies with the table of ARCHITECTURE.md
    Walls,
    /// Write the reference documents that follow from the code
    Generate,
    /// Measure against peers and print ratios
    Bench(bench::Arguments),
    /// Start real nodes with a server, and break them as you say
    Testbed(testbed::Arguments),
    /// Take pictures of every console page
    Screenshots(screenshots::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Test(arguments) => prepare::prepare().and_then(|()| check::test(&arguments)),
        Task::Check => check::check(),
        Task::Walls => walls::check(),
        Task::Generate => check::generate(&[]),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Testbed(arguments) => testbed::run(&arguments),
        Task::Screenshots(arguments) => screenshots::run(&arguments),
    }
}
