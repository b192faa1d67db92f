//! `fettle up`: the whole system in one process, with this machine as its first node.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent::inventory;
use agent::root::Root;
use anyhow::Context;
use domain::model::id::NodeId;
use domain::model::time::Clock;
use server::App;
use server::actions::reports::Recorded;
use server::actions::{operations, reports, sessions};
use server::app::AppConfig;
use store::{Database, StoreError};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::clock::{self, SystemClock};
use crate::commands::scan;
use crate::data_folder::{DataFolder, Endpoint};
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
    /// A proxy in front of the server speaks TLS; allows addresses other than loopback
    #[arg(long)]
    behind_tls_proxy: bool,
    /// Judge this machine by the package lists on disk, without `apt-get update` first
    #[arg(long)]
    no_refresh: bool,
}

/// How often this machine is scanned without being asked.
const SCAN_PERIOD: Duration = Duration::from_hours(6);
/// How long open requests may take when the server stops.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// Starts everything, and stays until a signal says to stop.
pub fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<Exit> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    if !arguments.listen.ip().is_loopback() && !arguments.behind_tls_proxy {
        let message = format!("refusing to listen on {} without TLS: sign-in would cross the network in the clear", arguments.listen);
        return Err(Failure::new(message, "listen on 127.0.0.1, or put a TLS proxy in front and say --behind-tls-proxy").into());
    }
    let folder = DataFolder::open(&arguments.data.clone().unwrap_or_else(settings::data_folder))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("failed to start the runtime")?;
    runtime.block_on(serve(arguments, &folder, printer))?;
    Ok(Exit::Success)
}

async fn serve(arguments: &Arguments, folder: &DataFolder, printer: &Printer) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to wait for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to wait for signals")?;
    let listener = bind(arguments.listen).await?;
    let database = open_database(arguments, folder).await?;
    let app = App::new(AppConfig {
        database: database.clone(),
        clock: Arc::new(SystemClock),
        ids: clock::ids()?,
        new_secret: Box::new(|| clock::random().expect("the system gave random bytes at the start")),
        behind_tls: arguments.behind_tls_proxy,
    });
    let (token, operator) = sessions::create_start_token(&app).await?;
    let url = format!("http://{}", listener.local_addr().context("failed to read the server's own address")?);
    folder.publish(&Endpoint { url: url.clone(), token })?;

    let (stop, stopped) = watch::channel(false);
    let mut server = tokio::spawn(serve_http(listener, app.clone(), stopped));
    let mut node = LocalNode { app: app.clone(), refresh: !arguments.no_refresh && settings::is_root(), id: None };
    printer.note("scanning this machine");
    let ended_early = tokio::select! {
        () = async {
            node.introduce(printer).await;
            match sessions::create_link(&app, &operator).await {
                Ok((secret, _)) => announce(&url, &secret, folder, printer),
                Err(error) => printer.error(&anyhow::Error::new(error)),
            }
            node.work().await;
        } => None,
        ended = &mut server => Some(ended),
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
    database.close().await;
    result?
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
    refresh: bool,
    id: Option<NodeId>,
}

impl LocalNode {
    /// The first scan, shown to the person who started the server.
    async fn introduce(&mut self, printer: &Printer) {
        if self.refresh {
            printer.note("refreshing package lists (apt-get update)");
        }
        match self.scan().await {
            Ok(recorded) => {
                scan::print(&recorded.report, printer);
                if let Err(error) = operations::release(&self.app, &recorded.node_id).await {
                    tracing::warn!(%error, "work that was taken before the last stop could not be given back");
                }
                self.id = Some(recorded.node_id);
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
                () = self.app.work_requested() => {}
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
        while let Some(operation_id) = operations::claim(&self.app, &id).await? {
            let outcome = self.scan().await.map(|_| ()).map_err(|error| format!("{error:#}"));
            operations::finish(&self.app, &operation_id, &id, outcome).await?;
        }
        Ok(())
    }

    async fn scan(&self) -> anyhow::Result<Recorded> {
        let root = Root::new("/");
        let refresh = self.refresh;
        let collected = tokio::task::spawn_blocking(move || {
            let problem = refresh.then(|| agent::package_manager::apt::refresh(&root)).flatten();
            let mut inventory = inventory::collect(&root, Some(&settings::cache_folder()), SystemClock.now())?;
            inventory.problems.extend(problem);
            anyhow::Ok(inventory)
        });
        Ok(reports::record(&self.app, collected.await.context("the scan was ended")??).await?)
    }
}
