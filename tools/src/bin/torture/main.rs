//! Kills the service again and again while events are recorded, delivered, processed, counted and published, and then audits:
//! `make torture`.
//!
//! The service, its NATS server and its receiver are real processes on real disks and sockets. Every so often the service is killed as
//! `kill -9` does it, stopped for a while, all of its connections are cut, its disk is filled, or its NATS server is killed. Whoever records
//! an event does so until it is acknowledged. In the end every acknowledged event must be stored, delivered, processed, counted and
//! published, each in the order of its stream.

mod audit;
mod cable;
mod disk;
mod service;
mod writers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use shared::telemetry::Chain;
use shared::testing::message_broker::nats_server::NatsServer;
use tools::http_client::{HttpError, SetupError};

use crate::audit::{Audit, Receiver};
use crate::cable::Cable;
use crate::disk::Disk;
use crate::service::Service;
use crate::writers::Writers;

/// Kill the service again and again, and audit what is left.
#[derive(Debug, Parser)]
#[command(name = "torture")]
struct Arguments {
    /// How often the service is killed.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    kills: u32,
    /// How many events a second are recorded, while somebody answers.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// What chance begins with: the same again does about the same.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The service to start [default: event-service, beside this program].
    #[arg(long)]
    service: Option<PathBuf>,
}

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
enum TortureError {
    #[error("{program} cannot be started: `make torture` builds it")]
    NoProgram { program: String, source: std::io::Error },
    #[error("a file or a process failed")]
    Machine(#[from] std::io::Error),
    #[error("{what} took longer than {} s", .patience.as_secs())]
    TooLong { what: &'static str, patience: Duration },
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{path} was answered with {status}: {detail}")]
    Refused { path: &'static str, status: u16, detail: String },
    #[error("interrupted")]
    Interrupted,
    #[error("NATS failed: {0}")]
    Nats(String),
}

/// What is done to the service next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// `kill -9`, and a start.
    Kill,
    /// Nothing of it runs for a moment, as on a machine that swaps.
    Stop,
    /// `kill -9` of its NATS server, and a start with the same disk.
    KillNats,
    /// Every connection ends: of its clients, to its receivers, to NATS.
    Cut,
    /// There is no room on its disk for a moment.
    FillDisk,
}

impl Blow {
    /// Kills are as likely as all else together.
    const DICE: [Self; 8] = [Self::Kill, Self::Kill, Self::Kill, Self::Kill, Self::Stop, Self::KillNats, Self::Cut, Self::FillDisk];
}

/// All that is tortured.
struct Scene {
    nats: NatsServer,
    service: Service,
    /// From the clients, to the receivers, to NATS.
    cables: [Cable; 3],
    /// The service's, if this machine lets us have one.
    disk: Option<Disk>,
    /// How often the service was killed, stopped, and so on.
    blows: BTreeMap<&'static str, u32>,
}

impl Scene {
    async fn strike(&mut self, blow: Blow, dice: &mut StdRng) -> Result<(), TortureError> {
        let name = match blow {
            Blow::Kill => {
                self.service.kill();
                self.service.start().await?;
                "kills of the service"
            }
            Blow::Stop => {
                self.service.stop_for(Duration::from_millis(dice.random_range(100..2_000))).await?;
                "stops"
            }
            Blow::KillNats => {
                self.nats.restart();
                "kills of NATS"
            }
            Blow::Cut => {
                self.cables.iter().for_each(Cable::cut);
                "cuts of all connections"
            }
            Blow::FillDisk => {
                let Some(disk) = &self.disk else { return Ok(()) };
                disk.fill()?;
                tools::rest(Duration::from_millis(dice.random_range(100..2_000))).await;
                disk.free()?;
                "full disks"
            }
        };
        *self.blows.entry(name).or_default() += 1;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Whoever has seen enough leaves no process, disk or folder behind.
    let tortured = tokio::select! {
        tortured = torture(&arguments) => tortured,
        _ = tokio::signal::ctrl_c() => Err(TortureError::Interrupted),
    };
    match tortured {
        Ok(audit) => {
            audit.show();
            if audit.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {}", Chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn torture(arguments: &Arguments) -> Result<Audit, TortureError> {
    let folder = tempfile::tempdir()?;
    let disk = Disk::mount(folder.path());
    if disk.is_none() {
        eprintln!("This machine gives us no disk of our own, which takes root on Linux: none is filled.");
    }
    let (nats, mut receiver) = (NatsServer::start(), Receiver::listen().await?);
    let cable_to_nats = Cable::to(nats.address().parse().map_err(|_| TortureError::Nats(nats.url()))?).await?;
    let service = Service::new(arguments.service.clone(), folder.path(), format!("nats://{}", cable_to_nats.address()))?;
    let cables = [Cable::to(service.address()).await?, Cable::to(receiver.address()).await?, cable_to_nats];
    receiver.is_reached_at(cables[1].address());
    let mut scene = Scene { nats, service, cables, disk, blows: BTreeMap::new() };
    scene.service.start().await?;
    receiver.subscribe(&scene.service.client()?).await?;
    let writers = Writers::start(scene.service.client_at(scene.cables[0].address())?, arguments.rate);
    let mut dice = StdRng::seed_from_u64(arguments.seed);
    let bar = ProgressBar::new(arguments.kills.into());
    let template = "{bar:40.cyan/blue} {pos} of {len} kills, {msg}, {eta} left";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let began = Instant::now();
    while bar.position() < arguments.kills.into() {
        tools::rest(Duration::from_millis(dice.random_range(100..1_500))).await;
        let blow = Blow::DICE[dice.random_range(0..Blow::DICE.len())];
        scene.strike(blow, &mut dice).await?;
        bar.inc(u64::from(blow == Blow::Kill));
        bar.set_message(format!("{} events acknowledged", writers.acknowledged()));
    }
    bar.finish_and_clear();
    let took = began.elapsed();
    let acknowledged = writers.stop().await;
    let blows: Vec<String> = scene.blows.iter().map(|(name, count)| format!("{count} {name}")).collect();
    println!("{} in {:.0} s, amid {} events.", blows.join(", "), took.as_secs_f64(), acknowledged.len());
    Audit::of(&scene.service.client()?, &receiver, &scene.nats, &acknowledged).await
}
