//! The stores that are compared, each in a process of its own with a DynamoDB of its own.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use shared::adapters::embedded::{DataLocation, EmbeddedDynamo};

use crate::PeersError;
use crate::job::{Answer, Job};
use crate::meter::{Meter, Usage};

/// The program of castore, in the repository's folder.
pub(crate) const CASTORE: &str = "tools/peers/castore/main.mjs";

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
        let mut command = match self {
            Self::Castore => {
                let mut command = Command::new("node");
                command.arg(CASTORE).arg(places.castore);
                command
            }
            Self::DynamoEs => Command::new(places.dynamo_es),
            Self::Ours | Self::Outbox | Self::Port => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["--store", self.word()]);
                command
            }
        };
        command.arg(places.payloads).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(command)
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Castore => "castore",
            Self::DynamoEs => "dynamo-es",
            Self::Outbox => "outbox",
            Self::Port => "port",
        }
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
    /// How long each took, in microseconds.
    pub(crate) times_us: Vec<u64>,
    /// How long all of them took together.
    pub(crate) seconds: f64,
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
            Answer::Done { times_us, seconds } => Ok(Done { times_us, seconds }),
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
