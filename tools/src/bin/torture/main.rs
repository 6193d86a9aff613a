//! Kills the service again and again while events are recorded, delivered, processed, counted and published, and then audits:
//! `make torture`.
//!
//! The service, its NATS server and its receiver are real processes on real disks and sockets. Every so often the service is killed as
//! `kill -9` does it, stopped for a while, or its NATS server is killed. Whoever records an event does so until it is acknowledged. In
//! the end every acknowledged event must be stored, delivered, processed, counted and published, each in the order of its stream.

mod audit;
mod service;
mod writers;

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
use crate::service::Service;
use crate::writers::Writers;

/// Kill the service again and again, and audit what is left.
#[derive(Debug, Parser)]
#[command(name = "torture")]
struct Arguments {
    /// How often the service is killed.
    #[arg(long, default_value_t = 100)]
    kills: u32,
    /// How many events a second are recorded, while somebody answers.
    #[arg(long, default_value_t = 300)]
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
}

#[tokio::main]
async fn main() -> ExitCode {
    match torture(&Arguments::parse()).await {
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
    let (mut nats, receiver) = (NatsServer::start(), Receiver::listen().await?);
    let mut service = Service::new(arguments.service.clone(), folder.path(), nats.url())?;
    service.start().await?;
    receiver.subscribe(&service.client()?).await?;
    let writers = Writers::start(service.client()?, arguments.rate);
    let mut dice = StdRng::seed_from_u64(arguments.seed);
    let bar = ProgressBar::new(arguments.kills.into());
    let template = "{bar:40.cyan/blue} {pos} of {len} kills, {msg}, {eta} left";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let (began, mut blows) = (Instant::now(), [0_u32; 2]);
    while bar.position() < arguments.kills.into() {
        tools::rest(Duration::from_millis(dice.random_range(100..1_500))).await;
        match [Blow::Kill, Blow::Kill, Blow::Kill, Blow::Kill, Blow::Stop, Blow::KillNats][dice.random_range(0..6_usize)] {
            Blow::Kill => {
                service.kill();
                service.start().await?;
                bar.inc(1);
            }
            Blow::Stop => {
                service.stop_for(Duration::from_millis(dice.random_range(100..2_000))).await?;
                blows[0] += 1;
            }
            Blow::KillNats => {
                nats.restart();
                blows[1] += 1;
            }
        }
        bar.set_message(format!("{} events acknowledged", writers.acknowledged()));
    }
    bar.finish_and_clear();
    let took = began.elapsed();
    let acknowledged = writers.stop().await;
    println!(
        "{} kills of the service, {} of its NATS server and {} stops in {:.0} s, amid {} events.",
        arguments.kills,
        blows[1],
        blows[0],
        took.as_secs_f64(),
        acknowledged.len()
    );
    Audit::of(&service.client()?, &receiver, &nats, &acknowledged).await
}
