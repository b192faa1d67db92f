//! `fettle up`: the whole system in one process, with this machine as its first node.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent::inventory;
use agent::root::Root;
use anyhow::Context;
use domain::model::id::NodeId;
use domain::model::node::QuietLimits;
use domain::model::time::Clock;
use server::App;
use server::actions::operations::{self, Ended};
use server::actions::{Caller, feeds, nodes, reports, sessions, verdicts};
use server::app::{AppConfig, Rhythm};
use server::keys::{GivenCertificate, Keys};
use server::reconcilers;
use store::operations::InvocationState;
use store::{Database, StoreError};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use super::data_folder::{DataFolder, Endpoint};
use super::lead::Lease;
use crate::clock::{self, SystemClock};
use crate::commands::scan;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::settings;

/// Arguments of `fettle up`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder for the server's data
    #[arg(long, env = "FETTLE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, env = "FETTLE_LISTEN", default_value = "127.0.0.1:7300", value_name = "ADDR")]
    listen: SocketAddr,
    /// PostgreSQL database to use in place of the embedded one
    #[arg(long, env = "FETTLE_DATABASE", value_name = "URL", hide_env_values = true)]
    database: Option<String>,
    /// A trusted proxy in front of the server speaks TLS with browsers
    #[arg(long)]
    behind_tls_proxy: bool,
    /// Certificate chain that browsers see, in PEM, in place of one by the server's own authority
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Its key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Name or address by which nodes and browsers reach this server; may be given more than once
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// Seconds between two inventories of a node
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=86400), value_name = "SECONDS")]
    scan_every: u32,
    /// Seconds that the server holds a node's question for orders
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=600), value_name = "SECONDS")]
    poll_for: u32,
    /// Seconds without a word after which a node is late
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    late_after: u32,
    /// Seconds without a word after which a node is silent
    #[arg(long, default_value_t = 86400, value_name = "SECONDS")]
    silent_after: u32,
    /// Do not make this machine a node
    #[arg(long)]
    no_local_node: bool,
    /// Judge this machine by the package lists on disk, without refreshing them first
    #[arg(long)]
    no_refresh: bool,
}

/// How often this machine is scanned without being asked.
const SCAN_PERIOD: Duration = Duration::from_hours(6);
/// How often it is written down when nodes were last heard of.
const SAVE_PERIOD: Duration = Duration::from_mins(10);
/// How often it is written down which verdicts changed.
const VERDICT_PERIOD: Duration = Duration::from_mins(1);
/// How often the server's certificates are renewed, and given ones read again.
const RENEW_PERIOD: Duration = Duration::from_hours(24);
/// How often it is looked whether the time of a feed has come.
const FEED_PERIOD: Duration = Duration::from_mins(5);
/// How long open requests may take when the server stops.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// Starts everything, and stays until a signal says to stop.
pub fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    if arguments.silent_after < arguments.late_after {
        let message = format!("a node cannot be silent after {} s and late only after {} s", arguments.silent_after, arguments.late_after);
        return Err(Failure::new(message, "give --silent-after more seconds than --late-after").into());
    }
    if arguments.late_after <= arguments.poll_for {
        let message = format!("nodes ask every {} s, so one cannot be late after {} s", arguments.poll_for, arguments.late_after);
        return Err(Failure::new(message, "give --late-after more seconds than --poll-for").into());
    }
    settings::raise_file_limit();
    let folder = DataFolder::open(&arguments.data.clone().unwrap_or_else(settings::data_folder))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("failed to start the runtime")?;
    runtime.block_on(serve(arguments, &folder, printer))?;
    Ok(Exit::Success)
}

async fn serve(arguments: &Arguments, folder: &DataFolder, printer: &Printer) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to wait for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to wait for signals")?;
    let database = open_database(arguments, folder).await?;
    let holder = format!("{} {}", inventory::host_name(&Root::new("/")), std::process::id());
    let mut lost = tokio::select! {
        led = lead(arguments, &database, &holder, printer) => led?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    let listener = bind(arguments.listen).await?;
    let address = listener.local_addr().context("failed to read the server's own address")?;
    let names = server_names(arguments, address);
    let given_certificate = arguments.tls_certificate.clone().zip(arguments.tls_key.clone()).map(|(certificate, key)| GivenCertificate { certificate, key });
    let random = || clock::random().expect("the system gave random bytes at the start");
    let keys = Keys::open(&folder.path().join("keys"), given_certificate.as_ref(), &names, Box::new(random), SystemClock.now());
    let keys = keys.map_err(|error| {
        anyhow::Error::new(error)
            .context(Failure::new("failed to open the installation's keys", "`fettle doctor` says more; without its keys the server cannot be known to its nodes"))
    })?;
    let app = App::open(AppConfig {
        database: database.clone(),
        clock: Arc::new(SystemClock),
        ids: clock::ids()?,
        new_secret: Box::new(random),
        behind_tls: arguments.behind_tls_proxy,
        rhythm: Rhythm {
            scan_seconds: arguments.scan_every,
            poll_seconds: arguments.poll_for,
            limits: QuietLimits { late_after_ms: i64::from(arguments.late_after) * 1000, silent_after_ms: i64::from(arguments.silent_after) * 1000 },
        },
        keys,
        given_certificate,
        agent_url: format!("https://{}", host_and_port(&names[0], address.port())),
        names,
        spool: folder.path().join("spool"),
        gates: folder.path().join("gates"),
        secrets: folder.path().join("secrets"),
    })
    .await
    .context("failed to read the fleet")?;
    let (token, operator) = sessions::create_start_token(&app).await?;
    // Programs on this machine come over loopback, where TLS would add nothing.
    let local = if address.ip().is_unspecified() { SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())) } else { address };
    let (url, api_url) = if local.ip().is_loopback() { (format!("http://{local}"), format!("http://{local}")) } else { (app.agent_url().to_owned(), app.agent_url().to_owned()) };
    folder.publish(&Endpoint { url: api_url, token })?;

    let (stop, stopped) = watch::channel(false);
    let mut server = tokio::spawn(serve_http(listener, app.clone(), stopped));
    tokio::spawn(save_regularly(app.clone()));
    reconcilers::start(&app);
    tokio::spawn(record_verdicts_regularly(app.clone()));
    tokio::spawn(renew_certificates_regularly(app.clone()));
    tokio::spawn(refresh_feeds_regularly(app.clone(), Caller { actor: "fettle".to_owned(), ..operator.clone() }));
    let mut node = LocalNode { app: app.clone(), operator: operator.clone(), refresh: !arguments.no_refresh && settings::is_root(), id: None };
    let ended_early = tokio::select! {
        () = async {
            if !arguments.no_local_node {
                printer.note("scanning this machine");
                node.introduce(printer).await;
            }
            match sessions::create_link(&app, &operator, None).await {
                Ok((secret, _)) => announce(&url, &secret, folder, printer),
                Err(error) => printer.error(&anyhow::Error::new(error)),
            }
            if arguments.no_local_node { std::future::pending().await } else { node.work().await }
        } => None,
        ended = &mut server => Some(ended),
        () = async { match &mut lost { Some(lost) => drop(lost.await), None => std::future::pending().await } } => {
            // What is under way may be done by another server from now on.
            folder.unpublish();
            return Err(Failure::new("this server leads no more: its lease in the database could not be renewed", "start it again; it stands by until it is needed").into());
        }
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };

    printer.note("stopping");
    let _ = stop.send(true);
    let result = match ended_early {
        Some(ended) => ended.context("the server failed"),
        None => match tokio::time::timeout(SHUTDOWN_PATIENCE, server).await {
            Ok(ended) => ended.context("the server failed"),
            // Open requests had their time; what they wrote is committed or gone.
            Err(_) => Ok(Ok(())),
        },
    };
    folder.unpublish();
    if let Err(error) = app.save().await {
        tracing::warn!(%error, "when nodes were last heard of could not be saved");
    }
    if lost.is_some()
        && let Err(error) = Lease::give_back(&database, &holder).await
    {
        tracing::warn!(%error, "the lease of the leader could not be given back; it ends by itself");
    }
    database.close().await;
    result?
}

/// Waits until this server leads, where others may share its database. Who stands by listens nowhere: whatever balances
/// between servers sees which one leads.
async fn lead(arguments: &Arguments, database: &Database, holder: &str, printer: &Printer) -> anyhow::Result<Option<oneshot::Receiver<()>>> {
    if arguments.database.is_none() {
        return Ok(None);
    }
    let lease = Lease::new(database.clone(), holder.to_owned());
    lease.wait(printer).await.context("failed to ask which server leads")?;
    Ok(Some(lease.keep()))
}

/// Renews the server's certificates long before they expire.
async fn renew_certificates_regularly(app: App) {
    let mut period = tokio::time::interval(RENEW_PERIOD);
    period.tick().await;
    loop {
        period.tick().await;
        if let Err(error) = app.renew_server_certificates() {
            tracing::error!(error = format!("{:#}", anyhow::Error::new(error)), "the server's certificates could not be renewed; those before stay");
        }
    }
}

/// Looks at vendors' feeds when their time has come.
async fn refresh_feeds_regularly(app: App, caller: Caller) {
    let mut period = tokio::time::interval(FEED_PERIOD);
    loop {
        period.tick().await;
        if let Err(error) = feeds::refresh_due(&app, &caller).await {
            tracing::warn!(error = format!("{:#}", anyhow::Error::new(error)), "feeds could not be refreshed");
        }
    }
}

/// Writes down which verdicts changed.
async fn record_verdicts_regularly(app: App) {
    let mut period = tokio::time::interval(VERDICT_PERIOD);
    loop {
        period.tick().await;
        if let Err(error) = verdicts::record(&app).await {
            tracing::warn!(%error, "verdicts that changed could not be written down");
        }
    }
}

/// Saves what only memory knows, from time to time. What nodes were told is stored is stored at once.
async fn save_regularly(app: App) {
    let mut period = tokio::time::interval(SAVE_PERIOD);
    loop {
        period.tick().await;
        if let Err(error) = app.save().await {
            tracing::warn!(%error, "when nodes were last heard of could not be saved");
        }
    }
}

/// Names by which the server is reached: those that were given, else its address or this machine's name.
fn server_names(arguments: &Arguments, address: SocketAddr) -> Vec<String> {
    if !arguments.name.is_empty() {
        return arguments.name.clone();
    }
    let own = if address.ip().is_unspecified() { agent::inventory::host_name(&Root::new("/")) } else { address.ip().to_string() };
    vec![own, "localhost".to_owned()]
}

fn host_and_port(name: &str, port: u16) -> String {
    if name.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
}

fn announce(url: &str, secret: &str, folder: &DataFolder, printer: &Printer) {
    printer.line("");
    printer.line(format!("  console    {url}"));
    printer.line(format!("  sign in    {url}/sign-in?link={secret}"));
    printer.line(format!("  data       {}", folder.path().display()));
    printer.line("");
    printer.note("the link signs one browser in, within an hour; `fettle sign-in` makes another");
    printer.note("press Ctrl-C to stop");
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = if error.kind() == std::io::ErrorKind::AddrInUse {
            "another program listens there; give another address with --listen ADDR"
        } else {
            "give another address with --listen ADDR"
        };
        anyhow::Error::new(error).context(Failure::new(format!("failed to listen on {address}"), hint))
    })
}

async fn open_database(arguments: &Arguments, folder: &DataFolder) -> anyhow::Result<Database> {
    let now_ms = SystemClock.now().as_millis();
    let opened = match &arguments.database {
        Some(url) => Database::open_postgres(url, now_ms).await,
        None => Database::open_sqlite(&DataFolder::database(folder.path()), now_ms).await,
    };
    opened.map_err(|error| {
        let hint = match &error {
            StoreError::Newer { .. } => "run the newer release, or give another folder with --data DIR; nothing was changed",
            StoreError::Collation => "make the database with `CREATE DATABASE … LOCALE 'C' TEMPLATE template0`",
            _ => "`fettle doctor` says more",
        };
        let message = format!("failed to open the data in `{}`", folder.path().display());
        anyhow::Error::new(error).context(Failure::new(message, hint))
    })
}

async fn serve_http(listener: TcpListener, app: App, mut stopped: watch::Receiver<bool>) -> anyhow::Result<()> {
    let wait_for_stop = async move {
        // An error means that the sender is gone, which is a reason to stop too.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    server::serve(listener, app, wait_for_stop).await.context("the HTTP server failed")
}

/// This machine as a node: it scans when asked, and from time to time. It has no way to install.
struct LocalNode {
    app: App,
    operator: Caller,
    refresh: bool,
    id: Option<NodeId>,
}

impl LocalNode {
    /// The first scan, shown to the person who started the server.
    async fn introduce(&mut self, printer: &Printer) {
        if self.refresh {
            printer.note("refreshing package lists");
        }
        match self.scan().await {
            Ok(id) => {
                match nodes::find(&self.app, &self.operator, id.as_str()).await {
                    Ok((_, Some(report))) => scan::print(&report, printer),
                    Ok((_, None)) => {}
                    Err(error) => printer.error(&anyhow::Error::new(error)),
                }
                if let Err(error) = operations::release(&self.app, &id).await {
                    tracing::warn!(%error, "work that was taken before the last stop could not be given back");
                }
                self.id = Some(id);
            }
            Err(error) => printer.error(&error.context("this machine could not be scanned; the server works without it")),
        }
    }

    async fn work(&mut self) {
        let mut period = tokio::time::interval(SCAN_PERIOD);
        period.tick().await;
        loop {
            if let Err(error) = self.do_requested_work().await {
                tracing::warn!(%error, "requested work could not be done");
            }
            tokio::select! {
                () = work_requested(&self.app, self.id.as_ref()) => {}
                _ = period.tick() => {
                    if let Err(error) = self.scan().await {
                        tracing::warn!(error = format!("{error:#}"), "the regular scan of this machine failed");
                    }
                }
            }
        }
    }

    async fn do_requested_work(&mut self) -> anyhow::Result<()> {
        let Some(id) = self.id.clone() else { return Ok(()) };
        while let Some(claimed) = operations::claim(&self.app, &id, 0).await? {
            let failure = self.scan().await.err().map(|error| format!("{error:#}"));
            let state = if failure.is_none() { InvocationState::Succeeded } else { InvocationState::Failed };
            operations::finish(&self.app, &claimed.operation_id, &id, Ended::new(state, failure.as_deref())).await?;
        }
        Ok(())
    }

    async fn scan(&self) -> anyhow::Result<NodeId> {
        let root = Root::new("/");
        let refresh = self.refresh;
        let collected = tokio::task::spawn_blocking(move || {
            let problem = if refresh { inventory::package_manager(&root).and_then(|manager| manager.refresh(&root)) } else { None };
            let mut inventory = inventory::collect(&root, Some(&settings::cache_folder()), SystemClock.now())?;
            inventory.problems.extend(problem);
            anyhow::Ok(inventory)
        });
        Ok(reports::record_own(&self.app, &collected.await.context("the scan was ended")??).await?)
    }
}

async fn work_requested(app: &App, id: Option<&NodeId>) {
    match id {
        Some(id) => app.work_requested(id).await,
        None => std::future::pending().await,
    }
}
