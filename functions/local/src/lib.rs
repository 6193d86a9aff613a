//! The whole service in one process: the functions' handlers behind a socket, an embedded DynamoDB
//! below them, and its stream handed to the functions that hear it.

pub mod app;
pub mod background;
pub mod dev_key;
pub mod limits;
pub mod metrics;
pub mod nats;
pub mod options;
pub mod registry;
pub mod server;
pub mod tail;
pub mod terminal;

use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::Arc;

use authorize::settings::{self, SettingsError};
use shared::adapters::aws::Connection;
use shared::adapters::dynamodb::{DynamoEvents, TimeShards, connect, connect_metered, table};
use shared::adapters::embedded::{DataLocation, EmbeddedDynamo, EmbeddedError};
use shared::adapters::embedded_queues::{EmbeddedQueues, EmbeddedQueuesError, QueuesLocation};
use shared::adapters::folder::FolderObjects;
use shared::adapters::memory::{MemoryBridgeStatus, MemoryBus, MemoryObjects};
use shared::adapters::system::{SystemClock, SystemRandom, SystemTimer};
use shared::adapters::webhook::HttpWebhooks;
use shared::commands::append::KnownHeads;
use shared::commands::check_schemas::SchemaGate;
use shared::config::{self, ConfigError};
use shared::http::openapi;
use shared::ports::bridge_status::BridgeStatusStore;
use shared::ports::object_store::ObjectStore;
use shared::ports::token_verifier::TokenVerifier;
use shared::queries::check_access::KeyCache;
use shared::telemetry::{self, LogFormat};
use shared::wiring;
use tokio::net::TcpListener;
use tokio::sync::watch;

use app::{App, Checking, Stores};
use background::{Archiving, Background};
use limits::RateLimits;
use metrics::{MeteredWebhooks, Metrics};
use options::{Auth, Command, Log, Options};
use tail::Tail;

/// Why the service does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Something else answers at the port.
    #[error("port {port} is in use: stop what answers there, or choose another with --port")]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// The port cannot be listened at.
    #[error("port {port} cannot be opened")]
    Port {
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The embedded store did not start.
    #[error(transparent)]
    Store(#[from] EmbeddedError),
    /// The queues could not be opened.
    #[error(transparent)]
    Queues(#[from] EmbeddedQueuesError),
    /// The table could not be created.
    #[error(transparent)]
    Table(#[from] table::CreateError),
    /// The development key could not be kept.
    #[error(transparent)]
    Key(#[from] dev_key::DevKeyError),
    /// The environment's settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The settings for credentials cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The socket failed.
    #[error("the socket failed")]
    Socket(#[source] io::Error),
}

/// Does what the command line says.
///
/// # Errors
/// [`RunError`] says why not.
pub async fn run(options: Options) -> Result<(), RunError> {
    match &options.command {
        Some(Command::Openapi) => terminal::print(openapi::document_json()),
        Some(Command::CreateTable { table }) => {
            table::create(&connect(wiring::connection()?), table).await?;
            terminal::print(&format!("The table {table} is there."));
        }
        None => serve(&options).await?,
    }
    Ok(())
}

async fn serve(options: &Options) -> Result<(), RunError> {
    let format = match options.log {
        Log::Text => LogFormat::Text,
        Log::Json => LogFormat::Json,
    };
    telemetry::start(format, config::parsed("LOG_LEVEL")?.unwrap_or(tracing::Level::WARN));
    let listener = listen(options.port).await?;
    let address = listener.local_addr().map_err(RunError::Socket)?;
    let url = format!("http://{address}");
    let consul = wiring::consul()?;
    let nats = nats::settings()?;

    let location = if options.memory { DataLocation::Temporary } else { DataLocation::Folder(options.data_dir.clone()) };
    let embedded = EmbeddedDynamo::open(location).await?;
    let metrics = Metrics::default();
    let client = connect_metered(Connection::local(embedded.endpoint()), metrics.meter.clone());
    table::create(&client, table::DEFAULT_NAME).await?;
    let mut events = DynamoEvents::new(client, table::DEFAULT_NAME.to_owned(), TimeShards::default());
    if let Some(sealer) = wiring::sealer()? {
        events = events.sealing(sealer);
    }

    // What was archived stays readable, whether more is archived or not.
    let objects: Arc<dyn ObjectStore> =
        if options.memory { Arc::new(MemoryObjects::default()) } else { Arc::new(FolderObjects::new(options.data_dir.join("archive"))) };
    let events = events.with_archive(objects.clone());
    let after = wiring::archive_after()?;

    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let location = if options.memory { QueuesLocation::Memory } else { QueuesLocation::Folder(options.data_dir.clone()) };
    let queues = EmbeddedQueues::open(location, clock.clone())?;
    // Receivers under development are on this machine.
    let sender = HttpWebhooks::new(wiring::allowed_hosts()?.with_loopback(), clock.clone());
    let webhooks = MeteredWebhooks { sender, metrics: metrics.clone() };
    let key = dev_key::ensure(&options.data_dir, &events, &*clock, &*random).await?;
    let tokens = settings::tokens()?;
    // How the bridge is, this process sees for itself.
    let status: Arc<dyn BridgeStatusStore> = Arc::new(MemoryBridgeStatus::default());
    let app = Arc::new(App {
        stores: Stores::on(&events),
        gate: SchemaGate::default(),
        heads: KnownHeads::default(),
        queues: Arc::new(queues.clone()),
        webhooks: Arc::new(webhooks),
        tokens: tokens.map(|tokens| Arc::new(tokens) as Arc<dyn TokenVerifier>),
        clock,
        timer: Arc::new(SystemTimer),
        random,
        cache: KeyCache::new(wiring::bootstrap_key()?),
        access: match options.auth {
            Auth::On => Checking::On,
            Auth::Off => Checking::Off,
        },
        collect: wiring::collect_settings()?,
        rudderstack: wiring::rudderstack_secret()?,
        bridge: nats.as_ref().map(|_| status.clone()),
        limits: NonZeroU32::new(options.collect_rate).map(RateLimits::per_second),
    });
    let mut background = Background::new(app.clone(), queues, Arc::new(MemoryBus::default()));
    // The file of the queues is this process's alone, and so is what they ask for.
    background.alone_since = Some(app.clock.now());
    let shown = nats.as_ref().map(|settings| settings.servers.to_string());
    background.bridge = nats.map(|settings| nats::bridge(settings, status, metrics.clone()));
    background.archiving = Some(Archiving { store: Arc::new(events.clone()), objects, after, until: options.archive_until });

    background.metrics = metrics;
    let background = Arc::new(background);

    let (stop, stopped) = watch::channel(false);
    // Before anybody is told that the service is there, and may want it to end.
    let signalled = signalled();
    let data = (!options.memory).then_some(options.data_dir.as_path());
    terminal::welcome(&terminal::Banner { url: &url, key: &key, auth: options.auth, data, nats: shown.as_deref() });
    let serving = async {
        let served = server::serve(listener, background.clone(), options.trusted_proxies, signalled).await;
        // What was acknowledged last is counted before the process ends.
        stop.send_replace(true);
        served
    };
    let tail = Tail::new(&embedded, table::DEFAULT_NAME, &events, &background);
    let answering = async { tokio::join!(serving, tail.follow(stopped)).0 };
    let registration = registry::registration(address);
    let registering = async {
        match &consul {
            Some(consul) => registry::keep(consul, &registration, &SystemClock, &SystemTimer).await,
            None => std::future::pending().await,
        }
    };
    // What is under way then, or waits, is in the file of the queues, and is found there by the next process.
    let served = tokio::select! {
        served = answering => served,
        () = background::run(&background) => Ok(()),
        () = registering => Ok(()),
    };
    if let Some(consul) = &consul {
        registry::leave(consul, &registration).await;
    }
    embedded.stop().await?;
    served.map_err(RunError::Socket)
}

async fn listen(port: u16) -> Result<TcpListener, RunError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse { RunError::PortInUse { port } } else { RunError::Port { port, source } }
    })
}

/// Hears Ctrl-C and requests to terminate from now on; is ready at the first.
#[cfg(unix)]
fn signalled() -> impl Future<Output = ()> {
    use tokio::signal::unix::{Signal, SignalKind, signal};
    async fn heard(signal: io::Result<Signal>) {
        match signal {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "a signal is not heard");
                std::future::pending::<()>().await;
            }
        }
    }
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async {
        tokio::select! {
            () = heard(interrupt) => {}
            () = heard(terminate) => {}
        }
        terminal::farewell();
    }
}

/// Is ready at the first Ctrl-C.
#[cfg(not(unix))]
async fn signalled() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!(%error, "Ctrl-C is not heard");
        std::future::pending::<()>().await;
    }
    terminal::farewell();
}
