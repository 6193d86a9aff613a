//! What requests take in the functions as they are deployed: how many instructions a warm one is, and how soon the first is answered.
//!
//! Stands in for Lambda's runtime API, with the embedded store for DynamoDB, over plain HTTP on this machine. Instructions are those of
//! the function's process alone, by valgrind: its runtime, its handler and its client of DynamoDB, and nothing of the store. They are
//! nearly the same on every machine of one kind, however busy it is, so that a budget for them finds what timings hide.

mod runtime_api;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use chrono::{DurationRound as _, TimeDelta};
use clap::Parser;
use serde_json::{Value, json};
use shared::adapters::aws::Connection;
use shared::adapters::dynamodb::{DynamoEvents, TimeShards, connect, table};
use shared::adapters::embedded::{DataLocation, EmbeddedDynamo};
use shared::telemetry::Chain;
use tokio::process::{Child, Command};
use tools::http_client::BoxError;
use tools::{counting, sample};

use runtime_api::RuntimeApi;

/// What requests take in the functions as they are deployed.
#[derive(Debug, Parser)]
#[command(name = "requests")]
struct Arguments {
    /// The folder with the release binaries of the functions.
    #[arg(long)]
    binaries: PathBuf,
    /// Count instructions, and fail if there are more than there may be.
    #[arg(long)]
    instructions: bool,
    /// The folder to keep what valgrind has counted in, for `callgrind_annotate`.
    #[arg(long)]
    profiles: Option<PathBuf>,
    /// How often a function is started to time its first answer.
    #[arg(long, default_value_t = 21)]
    times: usize,
    /// Writes the numbers there as JSON as well.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// How many requests come before those that are counted, so that connections and caches are warm.
const WARM: usize = 20;
/// How many requests are counted.
const COUNTED: usize = 100;
/// How long a function may take for all of its requests, under valgrind.
const PATIENCE: Duration = Duration::from_mins(5);

/// A kind of request.
struct Request {
    name: &'static str,
    function: &'static str,
    /// The most instructions of a warm one, on x86_64.
    budget: u64,
    events: Vec<Value>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(measure(&Arguments::parse())).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!(
                "error: a request takes more instructions than it may: find out why with 'valgrind --tool=callgrind', or raise its budget and say why"
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {}", Chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: &Arguments) -> Result<bool, BoxError> {
    let dynamo = EmbeddedDynamo::open(DataLocation::Temporary).await?;
    table::create(&connect(Connection::local(dynamo.endpoint())), table::DEFAULT_NAME).await?;
    let folder = tempfile::tempdir()?;
    let profiles = arguments.profiles.as_deref().unwrap_or(folder.path());
    std::fs::create_dir_all(profiles)?;
    let place = Place { binaries: &arguments.binaries, dynamo: &dynamo, profiles };
    let (mut rows, mut all_within) = (Vec::new(), true);
    if arguments.instructions {
        println!("{:<10}{:<16}{:>16}{:>16}", "request", "function", "instructions", "budget");
    } else {
        println!("{:<10}{:<16}{:>18}{:>16}", "request", "function", "first answer, ms", "warm, p50 ms");
    }
    for request in requests(&place).await? {
        if arguments.instructions {
            let most = place.instructions(&request, WARM + COUNTED).await?;
            let least = place.instructions(&request, WARM).await?;
            let each = most.saturating_sub(least) / u64::try_from(COUNTED)?;
            let verdict = if each <= request.budget { "" } else { "   too many" };
            all_within &= each <= request.budget;
            println!("{:<10}{:<16}{:>16}{:>16}{verdict}", request.name, request.function, each, request.budget);
            rows.push(json!({"request": request.name, "function": request.function, "instructions": each, "budget": request.budget}));
        } else {
            let (first, warm) = place.times(&request, arguments.times).await?;
            println!("{:<10}{:<16}{:>18.1}{:>16.2}", request.name, request.function, first, warm);
            rows.push(json!({"request": request.name, "function": request.function, "first_answer_ms": first, "warm_p50_ms": warm}));
        }
    }
    if let Some(file) = &arguments.json {
        tools::write_json(file, &rows)?;
    }
    dynamo.stop().await?;
    Ok(all_within)
}

/// The requests that are measured; what they read is recorded first.
async fn requests(place: &Place<'_>) -> Result<[Request; 3], BoxError> {
    // All on one day that is over, so that it does not matter when this runs.
    let noon = (tools::now() - TimeDelta::days(1)).duration_trunc(TimeDelta::days(1))? + TimeDelta::hours(12);
    let create = |number: usize| {
        let order = sample::order("user-1", u64::try_from(number).unwrap_or_default());
        let order = sample::at(order, noon + TimeDelta::seconds(i64::try_from(number).unwrap_or_default()));
        event("events/record-events/create.json", "/api/v1/events/create", Some(&order))
    };
    let all = WARM + COUNTED;
    // Each run of the function gets its own, so that no event comes twice.
    let creates = (0..all).map(create).collect::<Result<Vec<_>, _>>()?;
    let record = Request { name: "create", function: "record-events", budget: 1_420_000, events: creates };
    let mut running = place.start(&record, all, None).await?;
    let mut gets = Vec::with_capacity(all);
    for _ in 0..all {
        let (_, answer) = running.api.answer().await?;
        let stored: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default())?;
        let path = format!("/api/v1/events/{}", stored["event_id"].as_str().unwrap_or_default());
        gets.push(event("events/read-events/get-event.json", &path, None)?);
    }
    drop(running);
    let counters =
        DynamoEvents::new(connect(Connection::local(place.dynamo.endpoint())), table::DEFAULT_NAME.to_owned(), TimeShards::default());
    let mut after = None;
    while counting::hand_over(place.dynamo, &counters, &mut after, 1000, tools::now()).await? > 0 {}
    let wanted = json!({"event_type": "order.placed", "limit": 20,
        "start_time": (noon - TimeDelta::hours(12)).to_rfc3339(), "end_time": (noon + TimeDelta::hours(11)).to_rfc3339()});
    let query = event("events/read-events/query.json", "/api/v1/events/query", Some(&wanted))?;
    Ok([
        record,
        Request { name: "get", function: "read-events", budget: 1_450_000, events: gets },
        Request { name: "query", function: "read-events", budget: 8_400_000, events: vec![query; all] },
    ])
}

/// A sample of what API Gateway sends, with another path and body.
fn event(sample: &str, path: &str, body: Option<&Value>) -> Result<Value, BoxError> {
    let mut event: Value = serde_json::from_slice(&std::fs::read(sample)?)?;
    event["rawPath"] = path.into();
    event["requestContext"]["http"]["path"] = path.into();
    if let Some(body) = body {
        event["body"] = body.to_string().into();
    }
    if let Some(headers) = event["headers"].as_object_mut() {
        headers.remove("idempotency-key");
    }
    Ok(event)
}

/// Where functions are run.
struct Place<'a> {
    binaries: &'a Path,
    dynamo: &'a EmbeddedDynamo,
    /// Where valgrind writes what it has counted.
    profiles: &'a Path,
}

/// A function that runs.
struct Running {
    api: RuntimeApi,
    process: Child,
    began: Instant,
}

impl Place<'_> {
    /// Starts the function of a request, with the first so many of its events; under valgrind if there is a file for what that counts.
    async fn start(&self, request: &Request, events: usize, counts: Option<&Path>) -> Result<Running, BoxError> {
        let api = RuntimeApi::serve(&request.events[..events]).await?;
        let binary = self.binaries.join(request.function);
        let mut command = match counts {
            None => Command::new(&binary),
            Some(counts) => {
                let mut command = Command::new("valgrind");
                command.args(["--tool=callgrind", "--quiet"]).arg(format!("--callgrind-out-file={}", counts.display())).arg(&binary);
                command
            }
        };
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        // Valgrind looks for what it starts.
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.envs(tools::function_environment(request.function, &api.address.to_string(), self.dynamo.endpoint()));
        let began = Instant::now();
        let process = command.spawn().map_err(|error| format!("{} cannot be run: {error}", binary.display()))?;
        Ok(Running { api, process, began })
    }

    /// How many instructions a function takes from its start to its answer to so many events.
    async fn instructions(&self, request: &Request, events: usize) -> Result<u64, BoxError> {
        let counts = self.profiles.join(format!("{}-{events}.callgrind", request.name));
        let mut running = self.start(request, events, Some(&counts)).await?;
        let answered = async {
            for _ in 0..events {
                running.api.answer().await?;
            }
            Ok::<_, BoxError>(())
        };
        tokio::time::timeout(PATIENCE, answered).await.map_err(|_| "the function took too long")??;
        // As Lambda ends functions. Valgrind writes what it has counted then.
        let id = running.process.id().ok_or("the function ended early")?.to_string();
        Command::new("kill").arg(id).status().await?;
        running.process.wait().await?;
        let counted = std::fs::read_to_string(&counts)?;
        let total = counted.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
        Ok(total.ok_or("valgrind has counted nothing")?.trim().parse()?)
    }

    /// How long it takes from running a function to its first answer, and how long to each of the warm ones, in milliseconds.
    async fn times(&self, request: &Request, times: usize) -> Result<(f64, f64), BoxError> {
        let (mut first, mut warm) = (Vec::new(), Vec::new());
        // The first start reads the binary from the disk, which is not the function's doing.
        for number in 0..=times {
            let mut running = self.start(request, WARM, None).await?;
            let mut before = running.began;
            for request in 0..WARM {
                let (at, _) = running.api.answer().await?;
                let took = at.duration_since(before);
                match (number, request) {
                    (0, _) => {}
                    (_, 0) => first.push(took),
                    _ => warm.push(took),
                }
                before = at;
            }
        }
        first.sort_unstable();
        warm.sort_unstable();
        Ok((tools::percentile_ms(&first, 50), tools::percentile_ms(&warm, 50)))
    }
}
