//! `fettle node`: nodes of a running server.

use std::collections::BTreeMap;

use api::client::{Client, ClientError};
use api::v1::node::{BetweenDays, EditTags, ListNodePatches, ListNodes, ListPage, ListVerdicts, NodeDetail, NodePatch, OnDay, PastVerdict};
use api::v1::operation::{CreateOperation, OperationKind};
use api::v1::organization::MoveNodes;
use clap::Subcommand;

use super::remote::{PageArguments, Remote, parse_tag};
use crate::clock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::{Format, Printer};

/// Arguments of `fettle node`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: NodeCommand,
}

#[derive(Subcommand)]
enum NodeCommand {
    /// Nodes with their verdicts
    List {
        #[command(flatten)]
        filter: Filter,
        /// missing, name or `last_scan`
        #[arg(long, default_value = "missing")]
        sort: String,
        #[command(flatten)]
        page: PageArguments,
        #[command(flatten)]
        remote: Remote,
    },
    /// One node: why its verdict is so, and what it needs
    Show {
        /// Id or name
        node: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// The packages of a node, now or at the end of a day
    Packages {
        /// Id or name
        node: String,
        /// A day such as 2026-11-24
        #[arg(long)]
        day: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// What changed on a node between the ends of two days
    Changes {
        /// Id or name
        node: String,
        /// The earlier day, such as 2026-11-01
        #[arg(long)]
        from: String,
        /// The later day
        #[arg(long)]
        to: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Reports of a node that said something new
    Reports {
        /// Id or name
        node: String,
        #[command(flatten)]
        page: PageArguments,
        #[command(flatten)]
        remote: Remote,
    },
    /// Why a node is judged as it is: by which baseline, through what, and what that says of its patches
    Explain {
        /// Id or name
        node: String,
        /// Part of a package's name; without it all that is not installed and approved
        patch: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// What a node was judged to be over time, and by what
    Verdicts {
        /// Id or name
        node: String,
        /// Up to the end of this day, such as 2026-03-12
        #[arg(long, value_name = "DAY")]
        on: Option<String>,
        /// Rows to show
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        #[command(flatten)]
        remote: Remote,
    },
    /// What happened to a node: enrolled, refused orders, clones
    Events {
        /// Id or name
        node: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Ask nodes for a new scan; it changes no package on them
    Scan {
        /// Ids or names
        #[arg(required = true)]
        nodes: Vec<String>,
        /// Refresh the package lists first
        #[arg(long)]
        refresh: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Ask nodes to report everything again, for when the server may have lost something
    ReportAgain {
        /// Ids or names
        #[arg(required = true)]
        nodes: Vec<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Ask nodes to have their certificates renewed before it is time
    Renew {
        /// Ids or names
        #[arg(required = true)]
        nodes: Vec<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Set and remove tags
    Tag {
        /// Ids or names
        #[arg(required = true)]
        nodes: Vec<String>,
        /// A tag to set, such as env=prod
        #[arg(long, value_parser = parse_tag)]
        set: Vec<(String, String)>,
        /// Key of a tag to remove
        #[arg(long)]
        remove: Vec<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Move nodes into another account or region
    Move {
        /// Ids or names
        #[arg(required = true)]
        nodes: Vec<String>,
        /// The account
        #[arg(long, required_unless_present = "region")]
        account: Option<String>,
        /// The region
        #[arg(long)]
        region: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Retire a node: its certificate is refused from then on
    Retire {
        /// Id or name
        node: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Which nodes.
#[derive(clap::Args)]
struct Filter {
    /// Part of the name or the id
    #[arg(long)]
    search: Option<String>,
    /// COMPLIANT, `NON_COMPLIANT` or UNKNOWN
    #[arg(long)]
    verdict: Option<String>,
    /// online, late, silent, awaited or retired
    #[arg(long)]
    presence: Option<String>,
    /// Nodes in this unit and below it
    #[arg(long)]
    unit: Option<String>,
    /// Nodes of this account
    #[arg(long)]
    account: Option<String>,
    /// Nodes in this region
    #[arg(long)]
    region: Option<String>,
    /// Nodes with this tag, such as env=prod or env, or this value of the custom inventory, such as
    /// custom:rack.row=7
    #[arg(long)]
    tag: Vec<String>,
    /// Nodes with this product, such as Debian12
    #[arg(long)]
    product: Option<String>,
    /// Nodes that a query finds, such as 'package openssl < 3.0.15-1~deb12u1 and not tag.env = test'
    #[arg(long)]
    query: Option<String>,
}

/// Runs the command.
pub fn run(arguments: Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    match arguments.command {
        NodeCommand::List { filter, sort, page, remote } => list(filter, sort, page, &remote, printer)?,
        NodeCommand::Show { node, remote } => {
            let (detail, needed) = remote.ask(async |client| {
                let id = find_id(&client, &node).await?;
                let needed = client.list_node_patches(&id, &ListNodePatches { limit: Some(500), ..ListNodePatches::default() }).await?.items;
                Ok((client.node(&id).await?, needed))
            })?;
            match remote.format {
                Format::Json => printer.json(&detail)?,
                Format::Table => print(&detail, needed, printer),
            }
        }
        NodeCommand::Explain { node, patch, remote } => {
            let (detail, patches) = remote.ask(async |client| {
                let id = find_id(&client, &node).await?;
                let query = ListNodePatches { q: patch.clone(), limit: Some(500), ..ListNodePatches::default() };
                let patches = client.list_node_patches(&id, &query).await?.items;
                Ok((client.node(&id).await?, patches))
            })?;
            let patches: Vec<_> = patches.into_iter().filter(|row| patch.is_some() || row.state != "INSTALLED").collect();
            match remote.format {
                Format::Json => printer.json(&patches)?,
                Format::Table => explain(&detail, patches, printer),
            }
        }
        NodeCommand::Packages { node, day, remote } => {
            let inventory = remote.ask(async |client| client.node_inventory(&find_id(&client, &node).await?, &OnDay { day: day.clone() }).await)?;
            let inventory = inventory.ok_or_else(|| Failure::new(format!("node `{node}` had not reported by then"), "`fettle node show` says when it last did"))?;
            if remote.format == Format::Json {
                printer.json(&inventory)?;
                return Ok(Exit::Success);
            }
            let rows = inventory.packages.into_iter().map(|package| [format!("{}:{}", package.name, package.architecture), package.version, package.source]);
            printer.table(["package", "version", "source"], rows);
        }
        NodeCommand::Changes { node, from, to, remote } => {
            let query = BetweenDays { from, to };
            let changes = remote.ask(async |client| client.node_changes(&find_id(&client, &node).await?, &query).await)?;
            if remote.format == Format::Json {
                printer.json(&changes)?;
                return Ok(Exit::Success);
            }
            let plain = |line: Option<String>| line.unwrap_or_default().replace('\t', " ");
            printer.table(["section", "before", "after"], changes.into_iter().map(|change| [change.section, plain(change.before), plain(change.after)]));
        }
        NodeCommand::Reports { node, page, remote } => {
            let query = ListPage { cursor: page.cursor, limit: Some(page.limit) };
            let reports = remote.ask(async |client| client.node_reports(&find_id(&client, &node).await?, &query).await)?;
            if remote.format == Format::Json {
                printer.json(&reports)?;
                return Ok(Exit::Success);
            }
            printer.table(["collected", "received", "what changed"], reports.items.into_iter().map(|report| [report.collected_at, report.received_at, report.changed.join(", ")]));
            printer.next_page(reports.next_cursor.as_deref());
        }
        NodeCommand::Events { node, remote } => {
            let events = remote.ask(async |client| client.node_events(&find_id(&client, &node).await?).await)?;
            match remote.format {
                Format::Json => printer.json(&events)?,
                Format::Table => printer.table(["at", "what", "detail"], events.into_iter().map(|event| [event.at, event.kind, event.detail])),
            }
        }
        NodeCommand::Verdicts { node, on, limit, remote } => {
            let query = ListVerdicts { on, limit: Some(limit) };
            let past = remote.ask(async |client| client.node_verdicts(&find_id(&client, &node).await?, &query).await)?;
            print_verdicts(past, remote.format, printer)?;
        }
        NodeCommand::Scan { nodes, refresh, remote } => order(if refresh { OperationKind::Refresh } else { OperationKind::Scan }, &nodes, &remote, printer)?,
        NodeCommand::ReportAgain { nodes, remote } => order(OperationKind::Report, &nodes, &remote, printer)?,
        NodeCommand::Renew { nodes, remote } => order(OperationKind::Renew, &nodes, &remote, printer)?,
        NodeCommand::Tag { nodes, set, remove, remote } => {
            let (set, remove) = (set.into_iter().collect::<BTreeMap<_, _>>(), remove);
            let changed = remote.ask(async |client| {
                let edit = EditTags { nodes: find_ids(&client, &nodes).await?, set: set.clone(), remove: remove.clone() };
                client.edit_tags(&edit).await
            })?;
            printer.line(format!("tags of {} changed", count(changed.n_changed)));
        }
        NodeCommand::Move { nodes, account, region, remote } => {
            let changed = remote.ask(async |client| {
                let request = MoveNodes { nodes: find_ids(&client, &nodes).await?, account: account.clone(), region: region.clone() };
                client.move_nodes(&request).await
            })?;
            printer.line(format!("{} moved", count(changed.n_changed)));
        }
        NodeCommand::Retire { node, remote } => {
            remote.ask(async |client| client.retire_node(&find_id(&client, &node).await?).await)?;
            printer.line(format!("{node} is retired; its certificate is refused from now on"));
        }
    }
    Ok(Exit::Success)
}

fn list(filter: Filter, sort: String, page: PageArguments, remote: &Remote, printer: &Printer) -> anyhow::Result<()> {
    let Filter { search, verdict, presence, unit, account, region, tag, product, query } = filter;
    let tag = Some(tag.join(",")).filter(|tag| !tag.is_empty());
    let query = ListNodes { q: search, verdict, presence, unit, account, region, tag, product, query, sort: Some(sort), cursor: page.cursor, limit: Some(page.limit) };
    let answer = remote.ask(async |client| client.list_nodes(&query).await)?;
    if remote.format == Format::Json {
        return printer.json(&answer);
    }
    printer.table(
        ["node", "verdict", "heard of", "missing", "security", "platform", "last scan", "id"],
        answer.items.into_iter().map(|node| {
            let last_scan = node.last_scan_at.unwrap_or_else(|| "never".to_owned());
            let (missing, security) = (node.counts.missing.to_string(), node.counts.security_non_compliant.to_string());
            [node.name, node.verdict, node.presence, missing, security, node.product, last_scan, node.id]
        }),
    );
    printer.next_page(answer.next_cursor.as_deref());
    Ok(())
}

/// Asks nodes for work.
fn order(kind: OperationKind, nodes: &[String], remote: &Remote, printer: &Printer) -> anyhow::Result<()> {
    let key = clock::idempotency_key()?;
    let operation = remote.ask(async |client| client.create_operation(&CreateOperation::new(kind, find_ids(&client, nodes).await?), &key).await)?;
    match remote.format {
        Format::Json => printer.json(&operation)?,
        Format::Table => printer.line(format!("{} requested on {}", operation.id, count(operation.invocations.len()))),
    }
    Ok(())
}

fn count(n_nodes: usize) -> String {
    if n_nodes == 1 { "1 node".to_owned() } else { format!("{n_nodes} nodes") }
}

/// The id of a node that is named by its id or its name.
pub async fn find_id(client: &Client, node: &str) -> Result<String, ClientError> {
    if node.starts_with("mi-") {
        return Ok(node.to_owned());
    }
    let query = ListNodes { q: Some(node.to_owned()), limit: Some(500), ..ListNodes::default() };
    let mut named = client.list_nodes(&query).await?.items.into_iter().filter(|found| found.name == node).map(|found| found.id);
    match (named.next(), named.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => Err(ClientError::no_such("node", node, "`fettle node list` shows names and ids")),
        (Some(_), Some(_)) => Err(ClientError::no_such("single node", node, "several nodes have this name; give an id from `fettle node list`")),
    }
}

pub async fn find_ids(client: &Client, nodes: &[String]) -> Result<Vec<String>, ClientError> {
    let mut ids = Vec::with_capacity(nodes.len());
    for node in nodes {
        ids.push(find_id(client, node).await?);
    }
    Ok(ids)
}

fn explain(detail: &NodeDetail, patches: Vec<NodePatch>, printer: &Printer) {
    printer.line(format!("{}  {}", printer.bold(&detail.node.name), detail.node.platform));
    printer.line(format!("  verdict    {}", printer.bold(&detail.node.verdict)));
    for reason in &detail.reasons {
        printer.line(format!("             because {}", reason.text));
    }
    printer.line(format!("  baseline   {}", baseline_words(detail)));
    if !patches.is_empty() {
        printer.line("");
        printer.table(
            ["patch", "available", "state", "why"],
            patches.into_iter().map(|patch| {
                [format!("{}:{}", patch.name, patch.architecture), patch.available_version.unwrap_or_default(), patch.state.to_lowercase().replace('_', " "), patch.reason.text]
            }),
        );
    }
}

fn baseline_words(detail: &NodeDetail) -> String {
    let name = detail.baseline.as_deref().unwrap_or("none applies");
    detail.judged_through.as_ref().map_or_else(|| name.to_owned(), |through| format!("{name}, {through}"))
}

fn print(detail: &NodeDetail, needed: Vec<NodePatch>, printer: &Printer) {
    let node = &detail.node;
    printer.line(format!("{}  {}  {}", printer.bold(&node.name), node.platform, node.id));
    printer.line(format!("  verdict    {}", printer.bold(&node.verdict)));
    for reason in &detail.reasons {
        printer.line(format!("             because {}", reason.text));
    }
    printer.line(format!("  baseline   {}", baseline_words(detail)));
    printer.line(format!("  packages   {}, of them {} missing a patch", node.n_packages, node.counts.missing));
    if !detail.non_compliant_by_level.is_empty() {
        let words = |counts: &BTreeMap<String, u32>| counts.iter().map(|(word, n)| format!("{n} {}", word.to_lowercase())).collect::<Vec<_>>().join(", ");
        printer.line(format!("  level      {}", words(&detail.non_compliant_by_level)));
        printer.line(format!("  severity   {}", words(&detail.non_compliant_by_severity)));
    }
    if let Some(n) = detail.n_not_applicable.filter(|n| *n > 0) {
        printer.line(format!("  elsewhere  {n} approved patches are of packages that it does not have"));
    }
    printer.line(format!("  last scan  {}{}", node.last_scan_at.as_deref().unwrap_or("never"), if node.stale { ", stale" } else { "" }));
    let seen = node.seen_at.as_deref().map_or_else(String::new, |at| format!(", last at {at}"));
    printer.line(format!("  heard of   {}{seen}", node.presence));
    printer.line(format!("  lives in   account {}, region {}", node.account, node.region));
    if !node.tags.is_empty() {
        printer.line(format!("  tags       {}", tag_words(&node.tags)));
    }
    printer.line(format!("  allows     {}", node.allows));
    if let Some((acting, shadowed)) = detail.policies.split_first() {
        let shadows = if shadowed.is_empty() { String::new() } else { format!(", and shadows {}", shadowed.join(", ")) };
        printer.line(format!("  policy     {acting} acts{shadows}"));
    }
    for difference in &detail.drift {
        printer.line(format!("  differs    {}", difference.what));
        printer.line(format!("             mended by {}", difference.mended_by));
    }
    let rows: Vec<_> = needed.into_iter().filter(|patch| !matches!(patch.state.as_str(), "INSTALLED" | "INSTALLED_OTHER")).collect();
    if !rows.is_empty() {
        printer.line("");
        printer.table(
            ["patch", "installed", "available", "state", "why"],
            rows.into_iter().map(|patch| {
                [format!("{}:{}", patch.name, patch.architecture), patch.installed_version, patch.available_version.unwrap_or_default(), patch.state, patch.reason.text]
            }),
        );
    }
    for warning in &detail.warnings {
        printer.note(format!("warning: {}", warning.message));
    }
}

fn tag_words(tags: &BTreeMap<String, String>) -> String {
    tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

fn print_verdicts(past: Vec<PastVerdict>, format: Format, printer: &Printer) -> anyhow::Result<()> {
    let row = |past: PastVerdict| {
        let name = past.baseline.unwrap_or(past.baseline_id);
        let judged_by = if name.is_empty() { "no baseline".to_owned() } else { format!("{name}, version {}, through {}", past.baseline_version, past.through) };
        [past.since, past.verdict, past.counts.missing.to_string(), past.counts.security_non_compliant.to_string(), judged_by]
    };
    match format {
        Format::Json => printer.json(&past)?,
        Format::Table if past.is_empty() => printer.note("nothing was written down of it by then"),
        Format::Table => printer.table(["since", "verdict", "missing", "security", "judged by"], past.into_iter().map(row)),
    }
    Ok(())
}
