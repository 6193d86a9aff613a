//! The stores that are written in this repository, as a program that does jobs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use futures::future::try_join_all;
use serde_json::Value;
use tools::http_client::BoxError;

use crate::contender::Store;
use crate::designs::{Design, Designed};
use crate::job::{Answer, Job, Task};
use crate::ours::Ours;

/// A store of events.
#[async_trait]
pub(crate) trait EventStore: Send + Sync {
    /// Creates its tables.
    async fn create(&self) -> Result<(), BoxError>;
    /// Appends events with these payloads to the end of a stream, all or none.
    async fn append(&self, stream: &str, payloads: &[&Value]) -> Result<(), BoxError>;
    /// Reads all events of a stream, and says how many there are.
    async fn read(&self, stream: &str) -> Result<usize, BoxError>;
}

/// Where a process last saw streams end.
#[derive(Debug, Default)]
pub(crate) struct Versions(Mutex<HashMap<String, u64>>);

impl Versions {
    /// The last version of a stream, as far as this process knows.
    pub(crate) fn known(&self, stream: &str) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(stream).copied()
    }

    /// Notes that a stream has so many events at least.
    pub(crate) fn learn(&self, stream: &str, version: u64) {
        let mut versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = versions.entry(stream.to_owned()).or_default();
        *known = version.max(*known);
    }
}

/// The store of this program at an endpoint.
fn open(store: Store, endpoint: &str) -> Result<Arc<dyn EventStore>, BoxError> {
    match store {
        Store::Ours => Ok(Arc::new(Ours::new(endpoint))),
        Store::Outbox => Ok(Arc::new(Designed::new(Design::Outbox, endpoint))),
        Store::Port => Ok(Arc::new(Designed::new(Design::Port, endpoint))),
        Store::Castore | Store::DynamoEs => Err(format!("{} is a program of its own", store.name()).into()),
    }
}

/// Does one job for each line of the input, and answers each with a line.
pub(crate) async fn serve(store: Store, payloads: &Path) -> Result<(), BoxError> {
    let payloads: Vec<Value> = serde_json::from_slice(&std::fs::read(payloads)?)?;
    let (mut stores, next_payload) = (HashMap::new(), AtomicUsize::new(0));
    for line in std::io::stdin().lock().lines() {
        let job: Job = serde_json::from_str(&line?)?;
        let events = match stores.entry(job.endpoint.clone()) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => place.insert(open(store, &job.endpoint)?),
        };
        let answer = run(&**events, &job, &payloads, &next_payload).await;
        let answer = answer.unwrap_or_else(|error| Answer::Failed { error: shared::telemetry::Chain(&*error).to_string() });
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
        out.flush()?;
    }
    Ok(())
}

async fn run(events: &dyn EventStore, job: &Job, payloads: &[Value], next_payload: &AtomicUsize) -> Result<Answer, BoxError> {
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let writer = async || {
        let mut times = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= job.operations {
                return Ok::<_, BoxError>(times);
            }
            let (stream, began) = (job.stream(number), Instant::now());
            match job.task {
                Task::Append => {
                    let first = next_payload.fetch_add(job.batch, Ordering::Relaxed);
                    let batch: Vec<&Value> = payloads.iter().cycle().skip(first % payloads.len()).take(job.batch).collect();
                    events.append(&stream, &batch).await?;
                }
                Task::Create | Task::Read => {
                    let found = events.read(&stream).await?;
                    if found != job.events {
                        return Err(format!("{stream} has {found} events instead of {}", job.events).into());
                    }
                }
            }
            times.push(u64::try_from(began.elapsed().as_micros())?);
        }
    };
    if job.task == Task::Create {
        events.create().await?;
    }
    let times_us = try_join_all((0..job.writers).map(|_| writer())).await?.concat();
    Ok(Answer::Done { times_us, seconds: began.elapsed().as_secs_f64() })
}
