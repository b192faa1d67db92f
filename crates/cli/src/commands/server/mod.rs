//! The server and what its operators do with it. A build of the agent alone leaves this out.

mod activation;
mod apply;
mod baseline;
mod data_folder;
mod doctor;
mod document;
mod exception;
mod feed;
mod key;
mod lead;
mod node;
mod operation;
mod organization;
mod patch;
mod reference;
mod remote;
mod sign_in;
mod simulate;
mod up;

use api::v1::organization::MemberKind;
use clap::Subcommand;
use domain::model::intent::IntentKind;

use crate::exit::Exit;
use crate::printer::Printer;

/// What needs a server, or is one.
#[derive(Subcommand)]
pub enum Command {
    /// Start the server, register this machine, scan it, and stay up until Ctrl-C
    Up(up::Arguments),
    /// Nodes of a running server
    Node(node::Arguments),
    /// Codes that let nodes join a running server
    Activation(activation::Arguments),
    /// Whose the nodes are: the tree of units and accounts
    Organization(organization::Arguments),
    /// Units of the organization
    Unit(organization::MemberArguments),
    /// Accounts of the organization
    Account(organization::MemberArguments),
    /// Regions of the organization
    Region(organization::MemberArguments),
    /// Keys of the installation
    Key(key::Arguments),
    /// Patches that nodes of a running server need
    Patch(patch::Arguments),
    /// Work on nodes that was asked for
    Operation(operation::Arguments),
    /// Bring back what was there before an install
    Rollback(operation::RollbackArguments),
    /// Patch policies: which nodes are scanned and patched, when, and how carefully
    Policy(document::Arguments),
    /// Maintenance windows: recurring times in which change is allowed
    Window(document::Arguments),
    /// Freezes: periods in which nothing changes
    Freeze(document::Arguments),
    /// Reboot groups: nodes of which only so many may be down at once
    RebootGroup(document::Arguments),
    /// Channels: where notifications go
    Channel(document::ChannelArguments),
    /// What lies ahead: windows, freezes, scans and installs of policies
    Calendar(document::CalendarArguments),
    /// Baselines of a running server
    Baseline(baseline::Arguments),
    /// Exceptions: patches that are approved or rejected on some nodes for a while
    Exception(exception::Arguments),
    /// Feeds: where vendors publish their advisories
    Feed(feed::Arguments),
    /// Bring a running server to what a folder of documents says
    Apply(apply::ApplyArguments),
    /// Write a running server's baselines, whom they judge, policies, windows and their kin as documents
    Export(apply::ExportArguments),
    /// Load a server with thousands of simulated nodes, to see what it can carry
    Simulate(simulate::Arguments),
    /// Make a one-time sign-in link to the console
    SignIn(sign_in::Arguments),
    /// Say what is wrong with an installation and how to mend it
    Doctor(doctor::Arguments),
    /// Write the reference documents
    #[command(hide = true)]
    Reference(reference::Arguments),
}

/// Runs a command.
pub fn run(command: Command, printer: &Printer) -> anyhow::Result<Exit> {
    match command {
        Command::Up(arguments) => up::run(&arguments, printer),
        Command::Node(arguments) => node::run(arguments, printer),
        Command::Activation(arguments) => activation::run(arguments, printer),
        Command::Organization(arguments) => organization::run(arguments, printer),
        Command::Unit(arguments) => organization::run_member(MemberKind::Unit, arguments, printer),
        Command::Account(arguments) => organization::run_member(MemberKind::Account, arguments, printer),
        Command::Region(arguments) => organization::run_member(MemberKind::Region, arguments, printer),
        Command::Key(arguments) => key::run(arguments, printer),
        Command::Patch(arguments) => patch::run(arguments, printer),
        Command::Operation(arguments) => operation::run(arguments, printer),
        Command::Rollback(arguments) => operation::roll_back(arguments, printer),
        Command::Policy(arguments) => document::run(IntentKind::Policy, arguments, printer),
        Command::Window(arguments) => document::run(IntentKind::Window, arguments, printer),
        Command::Freeze(arguments) => document::run(IntentKind::Freeze, arguments, printer),
        Command::RebootGroup(arguments) => document::run(IntentKind::RebootGroup, arguments, printer),
        Command::Channel(arguments) => document::run_channel(arguments, printer),
        Command::Calendar(arguments) => document::run_calendar(&arguments, printer),
        Command::Baseline(arguments) => baseline::run(arguments, printer),
        Command::Exception(arguments) => exception::run(arguments, printer),
        Command::Feed(arguments) => feed::run(arguments, printer),
        Command::Apply(arguments) => apply::apply(&arguments, printer),
        Command::Export(arguments) => apply::export(&arguments, printer),
        Command::Simulate(arguments) => simulate::run(&arguments, printer),
        Command::SignIn(arguments) => sign_in::run(&arguments, printer),
        Command::Doctor(arguments) => doctor::run(&arguments, printer),
        Command::Reference(arguments) => reference::run(&arguments),
    }
}
