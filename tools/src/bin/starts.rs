//! How long functions take to start: from the moment that a binary is run to the moment that it asks Lambda for its first event.
//!
//! Stands in for Lambda's runtime API and for DynamoDB, over plain HTTP on this machine. So the one cheap call with which a function
//! warms up its client is part of it, and TLS is not.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::json;

/// How long functions take to start.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder with the release binaries of the functions.
    #[arg(long)]
    binaries: PathBuf,
    /// The binary of a function that does nothing.
    #[arg(long)]
    empty: PathBuf,
    /// The functions.
    #[arg(required = true)]
    functions: Vec<String>,
    /// How often each is started.
    #[arg(long, default_value_t = 21)]
    times: usize,
    /// Writes the numbers there as JSON as well.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Where functions find their queues.
const QUEUES: [&str; 12] = [
    "PROCESS_QUEUE_URL",
    "RETRY_QUEUE_URL",
    "DELIVER_QUEUE_URL",
    "COLLECT_QUEUE_URL",
    "REPLAY_QUEUE_URL",
    "NATS_QUEUE_URL",
    "PROCESS_DEAD_LETTERS_URL",
    "RETRY_DEAD_LETTERS_URL",
    "DELIVER_DEAD_LETTERS_URL",
    "COLLECT_DEAD_LETTERS_URL",
    "REPLAY_DEAD_LETTERS_URL",
    "NATS_DEAD_LETTERS_URL",
];

/// How long one start may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something went wrong.
#[derive(Debug, thiserror::Error)]
enum StartsError {
    #[error("{path} cannot be run: {source}")]
    NoStart { path: PathBuf, source: std::io::Error },
    #[error("{path} did not ask for an event within {} s", PATIENCE.as_secs())]
    Silent { path: PathBuf },
    #[error("a socket cannot be had")]
    Socket(#[source] std::io::Error),
    #[error("{path} cannot be written: {source}")]
    Unwritable { path: PathBuf, source: std::io::Error },
}

/// What the starts of a function took.
struct Starts {
    name: String,
    bytes: u64,
    best: Duration,
    median: Duration,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), StartsError> {
    let aws = Aws::listen()?;
    let empty = measure("(empty)", &arguments.empty, &aws, arguments.times)?;
    let mut rows = Vec::with_capacity(arguments.functions.len() + 1);
    for name in &arguments.functions {
        rows.push(measure(name, &arguments.binaries.join(name), &aws, arguments.times)?);
    }
    println!("{:<22}{:>12}{:>12}{:>12}{:>10}", "start to first poll", "bytes", "best ms", "median ms", "x empty");
    for row in std::iter::once(&empty).chain(&rows) {
        let times = row.median.as_secs_f64() / empty.median.as_secs_f64();
        println!("{:<22}{:>12}{:>12.1}{:>12.1}{:>10.2}", row.name, row.bytes, millis(row.best), millis(row.median), times);
    }
    if let Some(path) = &arguments.json {
        let rows = std::iter::once(&empty).chain(&rows);
        let rows: Vec<_> = rows
            .map(|row| json!({"function": row.name, "bytes": row.bytes, "best_ms": millis(row.best), "median_ms": millis(row.median)}))
            .collect();
        tools::write_json(path, &rows).map_err(|source| StartsError::Unwritable { path: path.clone(), source })?;
    }
    Ok(())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn measure(name: &str, binary: &Path, aws: &Aws, times: usize) -> Result<Starts, StartsError> {
    let bytes = std::fs::metadata(binary).map_err(|source| StartsError::NoStart { path: binary.to_owned(), source })?.len();
    // The first start reads the binary from the disk, which is not the function's doing.
    let mut took = (0..=times.max(1)).map(|_| start(binary, aws)).collect::<Result<Vec<_>, _>>()?.split_off(1);
    took.sort_unstable();
    let (best, median) = (took.first().copied().unwrap_or_default(), took.get(took.len() / 2).copied().unwrap_or_default());
    Ok(Starts { name: name.to_owned(), bytes, best, median })
}

fn start(binary: &Path, aws: &Aws) -> Result<Duration, StartsError> {
    let place = format!("127.0.0.1:{}", aws.port);
    let url = format!("http://{place}");
    let mut command = Command::new(binary);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.envs(tools::function_environment("f", &place, &url));
    command.envs(QUEUES.map(|queue| (queue, &url)));
    command.envs([("EVENT_BUS_NAME", "bus"), ("ARCHIVE_BUCKET", "archive"), ("NATS_URL", "nats://127.0.0.1:1")]);
    let began = Instant::now();
    let mut child = command.spawn().map_err(|source| StartsError::NoStart { path: binary.to_owned(), source })?;
    let polled = loop {
        match aws.polls.recv_timeout(PATIENCE) {
            // A poll from before is one of the process that has just been killed.
            Ok(at) if at < began => {}
            Ok(at) => break Ok(at.duration_since(began)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break Err(StartsError::Silent { path: binary.to_owned() }),
        }
    };
    let _killed = child.kill().and_then(|()| child.wait());
    polled
}

/// Lambda's runtime API, which never has an event, and services that answer everything with nothing.
struct Aws {
    port: u16,
    polls: Receiver<Instant>,
}

impl Aws {
    fn listen() -> Result<Self, StartsError> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(StartsError::Socket)?;
        let port = listener.local_addr().map_err(StartsError::Socket)?.port();
        let (polled, polls) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let polled = polled.clone();
                // A process that is killed is no concern here.
                thread::spawn(move || serve(stream, &polled).unwrap_or_default());
            }
        });
        Ok(Self { port, polls })
    }
}

fn serve(stream: TcpStream, polled: &Sender<Instant>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        if first.starts_with("GET ") {
            polled.send(Instant::now()).unwrap_or_default();
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or_default();
            }
        }
        reader.by_ref().take(length).read_to_end(&mut Vec::new())?;
        if first.starts_with("GET ") {
            // Lambda lets functions wait for their next event; this one never comes.
            reader.read_line(&mut String::new())?;
            return Ok(());
        }
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 2\r\n\r\n{}")?;
    }
}
