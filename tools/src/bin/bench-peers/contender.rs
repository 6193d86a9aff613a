//! The stores that are compared, each in a process of its own with a DynamoDB of its own.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use clap::ValueEnum as _;
use shared::adapters::embedded::{DataLocation, EmbeddedDynamo};

use crate::PeersError;
use crate::job::{Answer, Job};
use crate::meter::{Meter, Usage};

/// The program of castore, in the repository's folder.
const CASTORE: &str = "tools/peers/castore/main.mjs";

/// A store that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Store {
    /// This one.
    Ours,
    /// Castore, of npm.
    Castore,
    /// dynamo-es, of crates.io.
    DynamoEs,
    /// The usual design: a transaction of the event, its stream's head and its id, with three small indexes.
    Outbox,
    /// A table of a relational database carried over: the same transaction, with six indexes of everything.
    Port,
}

impl Store {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Ours, Self::Castore, Self::DynamoEs, Self::Outbox, Self::Port];

    /// What it is called in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "Event Service",
            Self::Castore => "castore 2.4.2",
            Self::DynamoEs => "dynamo-es 0.5.0",
            Self::Outbox => "outbox (design)",
            Self::Port => "literal port (design)",
        }
    }

    fn program(self, places: &Places) -> Result<Command, PeersError> {
        let is_there = |path: &Path| if path.exists() { Ok(()) } else { Err(PeersError::Missing { path: path.to_owned() }) };
        let mut command = match self {
            Self::Castore => {
                is_there(Path::new(CASTORE))?;
                is_there(&places.castore.join("package.json"))?;
                let mut command = Command::new("node");
                command.arg(CASTORE).arg(places.castore);
                command
            }
            Self::DynamoEs => {
                is_there(places.dynamo_es)?;
                Command::new(places.dynamo_es)
            }
            Self::Ours | Self::Outbox | Self::Port => {
                let mut command = Command::new(std::env::current_exe()?);
                // By the name that clap reads it by.
                command.arg("--store").args(self.to_possible_value().map(|value| value.get_name().to_owned()));
                command
            }
        };
        command.arg(places.payloads).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(command)
    }
}

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    /// The folder in which npm has installed castore.
    pub(crate) castore: &'a Path,
    /// The program of dynamo-es.
    pub(crate) dynamo_es: &'a Path,
    /// The payloads.
    pub(crate) payloads: &'a Path,
}

/// One of the stores, running. Its process ends with this.
pub(crate) struct Contender {
    /// Which.
    pub(crate) store: Store,
    /// Its DynamoDB.
    dynamo: EmbeddedDynamo,
    meter: Meter,
    process: Child,
    jobs: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Drop for Contender {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How operations went.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    /// How long each took.
    pub(crate) times: Vec<Duration>,
    /// How long all of them took together.
    pub(crate) took: Duration,
}

impl Contender {
    /// Starts a store with tables of its own.
    pub(crate) async fn start(store: Store, places: &Places<'_>) -> Result<Self, PeersError> {
        let dynamo = EmbeddedDynamo::open(DataLocation::Temporary).await?;
        let meter = Meter::before(dynamo.endpoint()).await?;
        let failed = |source| PeersError::NoProgram { name: store.name(), source };
        let mut process = store.program(places)?.spawn().map_err(failed)?;
        let (Some(jobs), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(PeersError::Silent { name: store.name() });
        };
        let mut contender = Self { store, dynamo, meter, process, jobs, answers: BufReader::new(answers).lines() };
        contender.run(&Job::create(contender.dynamo.endpoint()))?;
        Ok(contender)
    }

    /// Where its DynamoDB is.
    pub(crate) fn endpoint(&self) -> String {
        self.dynamo.endpoint().to_owned()
    }

    /// Has it do a job.
    pub(crate) fn run(&mut self, job: &Job) -> Result<Done, PeersError> {
        let line = serde_json::to_string(job)?;
        let name = self.store.name();
        // Reading from a process waits; DynamoDB and the meter answer on other threads meanwhile.
        let answer = tokio::task::block_in_place(|| {
            writeln!(self.jobs, "{line}")?;
            self.jobs.flush()?;
            self.answers.next().transpose()
        })?;
        match serde_json::from_str(&answer.ok_or(PeersError::Silent { name })?)? {
            Answer::Done { times_us, seconds } => {
                let times = times_us.into_iter().map(Duration::from_micros).collect();
                Ok(Done { times, took: Duration::try_from_secs_f64(seconds).unwrap_or_default() })
            }
            Answer::Failed { error } => Err(PeersError::Failed { name, error }),
        }
    }

    /// Has it do a job, and says what that used.
    pub(crate) fn metered(&mut self, job: Job) -> Result<Usage, PeersError> {
        self.meter.take();
        let job = Job { endpoint: self.meter.endpoint.clone(), ..job };
        self.run(&job)?;
        Ok(self.meter.take())
    }
}
