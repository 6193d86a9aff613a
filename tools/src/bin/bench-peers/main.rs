//! Compares this service's store with other event stores on DynamoDB, and with common designs of one: `make bench-peers`.
//!
//! Each store runs in a process of its own, against an embedded DynamoDB of its own, and appends and reads the same events of a kilobyte.
//! They take turns, round after round, so that whatever else the machine does slows all of them. Units and calls are counted apart from
//! the times, by a DynamoDB that counts: they are exact, and the same on every machine.

mod contender;
mod designs;
mod job;
mod meter;
mod ours;
mod report;
mod stores;
mod workload;

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use shared::adapters::embedded::EmbeddedError;
use shared::telemetry::{self, LogFormat};
use tools::charts::ChartError;
use tools::sample;

use contender::{Contender, Done, Places, Store};
use report::Row;
use workload::Workload;

/// How many payloads there are.
const PAYLOADS: u64 = 256;

/// Compare this service's store with others.
#[derive(Debug, Parser)]
#[command(name = "bench-peers")]
struct Arguments {
    /// One short round instead of three.
    #[arg(long)]
    small: bool,
    /// Which stores are compared, instead of all.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Store>,
    /// The folder in which npm has installed castore.
    #[arg(long, default_value = ".tools/castore")]
    castore: PathBuf,
    /// The program of dynamo-es.
    #[arg(long, default_value = "target/peers/release/peer-dynamo-es")]
    dynamo_es: PathBuf,
    /// Where the numbers go.
    #[arg(long, default_value = "target/bench-peers.json")]
    out: PathBuf,
    /// The folder to draw a chart into.
    #[arg(long)]
    charts: Option<PathBuf>,
    /// Be one of the stores instead, and do the jobs that come as lines.
    #[arg(long, value_enum, hide = true, requires = "payloads")]
    store: Option<Store>,
    /// The file with the payloads.
    #[arg(hide = true)]
    payloads: Option<PathBuf>,
}

/// Why there are no numbers.
#[derive(Debug, thiserror::Error)]
enum PeersError {
    #[error(transparent)]
    Dynamo(#[from] EmbeddedError),
    #[error("interrupted")]
    Interrupted,
    #[error("there is no {}: run `make bench-peers` in the repository's folder, which installs it", path.display())]
    Missing { path: PathBuf },
    #[error("{file} cannot be written")]
    Out { file: String, source: std::io::Error },
    #[error("{name} cannot be started")]
    NoProgram { name: &'static str, source: std::io::Error },
    #[error("{name} ended early: see above")]
    Silent { name: &'static str },
    #[error("{name}: {error}")]
    Failed { name: &'static str, error: String },
    #[error("a file or a process failed")]
    Machine(#[from] std::io::Error),
    #[error(transparent)]
    Chart(#[from] ChartError),
    #[error("a job or its answer is not the JSON that it should be")]
    Json(#[from] serde_json::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::start(LogFormat::Text, tracing::Level::ERROR);
    if let (Some(store), Some(payloads)) = (arguments.store, &arguments.payloads) {
        return ended(stores::serve(store, payloads).await);
    }
    // The other programs hear of it too; this one then takes its folders with it.
    let compared = tokio::select! {
        compared = Box::pin(compare(&arguments)) => compared,
        _ = tokio::signal::ctrl_c() => Err(PeersError::Interrupted),
    };
    ended(compared.map_err(Into::into).map(|rows| {
        let in_colour = std::io::stdout().is_terminal() && tools::environment("NO_COLOR").is_none();
        print!("{}", report::tables(&rows, in_colour));
        println!("\nThe numbers are in {}.", arguments.out.display());
    }))
}

fn ended(result: Result<(), tools::http_client::BoxError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", telemetry::Chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn compare(arguments: &Arguments) -> Result<Vec<Row>, PeersError> {
    // A file that cannot be written is found out before the run and not after it.
    write(&arguments.out, &[])?;
    let folder = tempfile::tempdir()?;
    let payloads = folder.path().join("payloads.json");
    let orders: Vec<_> = (0..PAYLOADS).map(|number| sample::order("", number)["data"].take()).collect();
    std::fs::write(&payloads, serde_json::to_vec(&orders)?)?;
    let places = Places { castore: &arguments.castore, dynamo_es: &arguments.dynamo_es, payloads: &payloads };
    let mut contenders = Vec::new();
    for store in Store::ALL.into_iter().filter(|store| arguments.only.is_empty() || arguments.only.contains(store)) {
        contenders.push(Contender::start(store, &places).await?);
    }
    let rounds = if arguments.small { 1 } else { 3 };
    let bar = ProgressBar::new((Workload::ALL.len() * contenders.len() * (rounds + 1)).try_into().unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{bar:40.cyan/blue} {pos} of {len}, {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut rows = Vec::new();
    for workload in Workload::ALL {
        bar.set_message(workload.name());
        rows.extend(measure(workload, &mut contenders, rounds, arguments.small, &bar)?);
    }
    bar.finish_and_clear();
    report::compare(&mut rows);
    write(&arguments.out, &rows)?;
    if let Some(folder) = &arguments.charts {
        report::draw(folder, &rows)?;
    }
    Ok(rows)
}

fn write(file: &Path, rows: &[Row]) -> Result<(), PeersError> {
    tools::write_json(file, &rows).map_err(|source| PeersError::Out { file: file.display().to_string(), source })
}

/// One workload of all stores, in turns.
fn measure(
    workload: Workload,
    contenders: &mut [Contender],
    rounds: usize,
    small: bool,
    bar: &ProgressBar,
) -> Result<Vec<Row>, PeersError> {
    let (mut counted, mut timed) = (HashMap::new(), HashMap::<_, Vec<Done>>::new());
    for contender in &mut *contenders {
        workload.prepare(contender)?;
        counted.insert(contender.store.name(), workload.count(contender)?);
        bar.inc(1);
    }
    for _ in 0..rounds {
        for contender in &mut *contenders {
            let done = workload.time(contender, small)?;
            timed.entry(contender.store.name()).or_default().push(done);
            bar.inc(1);
        }
    }
    let row = |contender: &Contender| {
        let name = contender.store.name();
        let (usage, operations) = counted.get(name).copied()?;
        Some(Row::of(workload, contender.store, usage, operations, timed.get(name)?))
    };
    Ok(contenders.iter().filter_map(row).collect())
}
