//! Measures the service on this machine: `make bench`.
//!
//! For each size of the store it says what every operation consumes, in units and calls, and how long
//! it takes, called directly and through HTTP. The store is the embedded one, so units and calls are
//! those of DynamoDB on every machine, and times are this machine's own. And it says what follows from an event: what processing and
//! delivering it consumes, and how soon it is done while a hundred events come each second.

mod after;
mod fill;
mod floor;
mod history;
mod live;
mod operation;
mod planner;
mod report;
mod store;
mod timing;
mod wiring;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use hyper::StatusCode;
use indicatif::HumanCount;
use local::background::BackgroundError;
use shared::adapters::dynamodb::table::CreateError;
use shared::adapters::embedded::EmbeddedError;
use shared::adapters::embedded_queues::EmbeddedQueuesError;
use shared::commands::append::AppendError;
use shared::commands::archive_events::ArchiveEventsError;
use shared::ports::store_error::StoreError;
use shared::telemetry::{self, LogFormat};
use tools::charts::ChartError;
use tools::counting::CountingError;
use tools::http_client::{HttpError, SetupError};

use operation::{Operation, Where};
use report::{Beside, Measure, Row};
use store::{Service, Store};
use timing::{Load, Pace};

/// How many connections the operations are measured at.
const CONNECTIONS: [usize; 2] = [1, 32];
/// In which batches changes are handed to the counters, and how many events that is measured with.
const COUNTED: [(usize, u32); 3] = [(1, 50), (100, 500), (500, 1500)];

/// Measure the service on this machine.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Two small stores and short measurements: done within two minutes.
    #[arg(long)]
    small: bool,
    /// How many events the stores hold, instead of 1000,100000,1000000.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1000..))]
    sizes: Vec<u32>,
    /// What is measured, instead of everything.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Subject>,
    /// Where the numbers go.
    #[arg(long, default_value = "target/bench.json")]
    out: PathBuf,
    /// The folder to draw charts into, of what grows with the store.
    #[arg(long)]
    charts: Option<PathBuf>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// What operations take, at each size of the store.
    Operations,
    /// What follows from an event.
    After,
    /// Projections and replays.
    History,
    /// What counters answer of ten million events.
    Planner,
    /// Collecting, beside a service that does nothing.
    Floor,
}

impl Arguments {
    /// Whether a subject is measured. A short run has what `make bench SMALL=1` ends with in two minutes, unless it is asked for more.
    fn measures(&self, subject: Subject) -> bool {
        let by_itself = match subject {
            Subject::Operations | Subject::After | Subject::History => true,
            Subject::Planner | Subject::Floor => !self.small,
        };
        self.only.contains(&subject) || (self.only.is_empty() && by_itself)
    }

    fn sizes(&self) -> Vec<u32> {
        let mut sizes = match (self.sizes.is_empty(), self.small) {
            (false, _) => self.sizes.clone(),
            (true, true) => vec![1000, 20_000],
            (true, false) => vec![1000, 100_000, 1_000_000],
        };
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    const fn pace(&self) -> Pace {
        if self.small {
            Pace {
                direct: Duration::from_millis(250),
                http: Duration::from_millis(550),
                warm_up: Duration::from_millis(150),
                steady: Duration::from_secs(5),
            }
        } else {
            Pace {
                direct: Duration::from_secs(1),
                http: Duration::from_secs(2),
                warm_up: Duration::from_millis(500),
                steady: Duration::from_secs(20),
            }
        }
    }
}

/// Why there are no numbers.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error(transparent)]
    Store(#[from] EmbeddedError),
    #[error(transparent)]
    Table(#[from] CreateError),
    #[error(transparent)]
    Queues(#[from] EmbeddedQueuesError),
    #[error(transparent)]
    Background(#[from] BackgroundError),
    #[error("{left} of {events} events had not been {what} in time")]
    Late { what: &'static str, left: usize, events: usize },
    #[error("NATS failed: {0}")]
    Nats(String),
    #[error(transparent)]
    Counters(#[from] StoreError),
    #[error("the store cannot be filled")]
    Fill(#[from] AppendError),
    #[error(transparent)]
    Archive(#[from] ArchiveEventsError),
    #[error("an event that was made up is not taken: {0}")]
    Draft(String),
    #[error("{operation}: the service answers {status}: {detail}")]
    Refused { operation: &'static str, status: StatusCode, detail: String },
    #[error("{operation}: the answer is not what was asked for: {detail}")]
    Wrong { operation: &'static str, detail: String },
    #[error(transparent)]
    Counting(#[from] CountingError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the socket failed")]
    Socket(#[source] std::io::Error),
    #[error("a request or an event cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("a request cannot be made")]
    Request(#[from] hyper::http::Error),
    #[error("a writer ended early")]
    Interrupted(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Chart(#[from] ChartError),
    #[error("{file} cannot be written")]
    Out { file: String, source: std::io::Error },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The embedded store warns of every condition that does not hold, which is how writers find out about each other.
    telemetry::start(LogFormat::Text, tracing::Level::ERROR);
    match Box::pin(bench(&arguments)).await {
        Ok(rows) => {
            let in_colour = std::io::stdout().is_terminal() && tools::environment("NO_COLOR").is_none();
            print!("{}", report::tables(&rows, in_colour));
            println!("\nThe numbers are in {}.", arguments.out.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", telemetry::Chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn bench(arguments: &Arguments) -> Result<Vec<Row>, BenchError> {
    let mut measures = Vec::new();
    let sizes = if arguments.measures(Subject::Operations) { arguments.sizes() } else { Vec::new() };
    for size in &sizes {
        let least = sizes.first().filter(|least| *least < size).copied();
        measures.extend(Box::pin(at_size(*size, least, &arguments.pace())).await?);
    }
    if arguments.measures(Subject::After) {
        measures.extend(after_the_answer(&arguments.pace()).await?);
    }
    if arguments.measures(Subject::History) {
        measures.extend(Box::pin(history::measures(arguments.small)).await?);
    }
    if arguments.measures(Subject::Planner) {
        measures.extend(Box::pin(planner::measures(&arguments.pace())).await?);
    }
    if arguments.measures(Subject::Floor) {
        measures.extend(Box::pin(floor::measures(&arguments.pace())).await?);
    }
    let rows = report::rows(&measures);
    let failed = |source| BenchError::Out { file: arguments.out.display().to_string(), source };
    tools::write_json(&arguments.out, &rows).map_err(failed)?;
    if let Some(folder) = &arguments.charts {
        report::draw(folder, &measures)?;
    }
    Ok(rows)
}

/// Everything that is measured at one size; `least` is the smallest size if that is another.
async fn at_size(size: u32, least: Option<u32>, pace: &Pace) -> Result<Vec<Measure>, BenchError> {
    let began = Instant::now();
    let phase = |name: &str| eprintln!("{} events: {name} after {:.1} s", HumanCount(size.into()), began.elapsed().as_secs_f64());
    let store = Store::open(size).await?;
    let mut mix = fill::history(&store).await?;
    phase("filled");
    let service = Service::start(&store).await?;
    let mut measures = measure(&store, &service, pace, &[operation::statistics()]).await?;
    if let (Some(least), Some(measure)) = (least, measures.first_mut()) {
        *measure = beside(&store, least, pace).await?;
    }
    let targets = fill::targets(&store).await?;
    measures.extend(measure(&store, &service, pace, &operation::reads(&targets)).await?);
    phase("read");
    measures.extend(Box::pin(store.counted(measure(&store, &service, pace, &operation::writes()))).await?);
    phase("written");
    for (batch, events) in COUNTED {
        measures.push(timing::count(&store, &mut mix, batch, events).await?);
    }
    phase("counted");
    service.stop().await?;
    store.close().await?;
    Ok(measures)
}

/// What follows from an event.
async fn after_the_answer(pace: &Pace) -> Result<Vec<Measure>, BenchError> {
    let began = Instant::now();
    let mut measures = after::exact().await?;
    eprintln!("after the answer: counted units after {:.1} s", began.elapsed().as_secs_f64());
    measures.extend(live::measures(pace).await?);
    eprintln!("after the answer: done after {:.1} s", began.elapsed().as_secs_f64());
    Ok(measures)
}

async fn measure(store: &Store, service: &Service, pace: &Pace, operations: &[Operation]) -> Result<Vec<Measure>, BenchError> {
    let mut measures = Vec::new();
    for operation in operations {
        let load = Load::new(store, operation).await?;
        measures.push(load.called(pace).await?);
        if operation.measured == Where::Everywhere {
            for connections in CONNECTIONS {
                measures.push(load.through_http(service, connections, pace).await?);
            }
        }
    }
    Ok(measures)
}

/// Statistics, measured in turns with those of a store of another size.
async fn beside(store: &Store, least: u32, pace: &Pace) -> Result<Measure, BenchError> {
    let other = Store::open(least).await?;
    fill::history(&other).await?;
    let operation = operation::statistics();
    let (here, there) = (Load::new(store, &operation).await?, Load::new(&other, &operation).await?);
    let (measure, compared) = here.called_beside(&there, pace).await?;
    other.close().await?;
    Ok(Measure { beside: Some(Beside { events: compared.events, p50_ms: compared.p50_ms }), ..measure })
}
