//! The bus on EventBridge.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_sdk_eventbridge::error::DisplayErrorContext;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use futures::stream::{self, StreamExt as _};

use super::aws::Connection;
use crate::ports::event_bus::{BusEntry, BusError, EventBus};

#[cfg(all(test, feature = "testing"))]
mod tests;

/// The most entries of one call.
const MOST_ENTRIES: usize = 10;
/// The most bytes of one call, and so of one entry, as the service counts them.
const MOST_BYTES: usize = 256 * 1024;
/// What the service counts for an entry's time.
const TIME_BYTES: usize = 14;
/// How many calls are under way at a time.
const CALLS_AT_ONCE: usize = 4;
/// How often an entry is put that the service leaves out for no fault of ours.
const MOST_TRIES: u32 = 4;
/// How long to wait before the second try; twice as long before each further one.
const BACKOFF: Duration = Duration::from_millis(50);
/// What the service says of entries that it will never take.
const REFUSALS: [&str; 7] = [
    "AccessDeniedException",
    "InvalidAccountIdException",
    "InvalidArgument",
    "MalformedDetail",
    "NotAuthorizedForDetailTypeException",
    "NotAuthorizedForSourceException",
    "RedactionFailure",
];

/// Makes a client. It connects with its first call.
#[must_use]
pub fn connect(connection: Connection) -> Client {
    let config = aws_sdk_eventbridge::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(connection.http_client())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // An entry that is put twice is told by its id: others are told everything at least once.
        .retry_config(Connection::retries())
        .timeout_config(connection.timeouts(Duration::ZERO))
        .region(Region::new(connection.region))
        .credentials_provider(connection.credentials);
    let config = match connection.endpoint {
        Some(endpoint) => config.endpoint_url(endpoint),
        None => config,
    };
    Client::from_conf(config.build())
}

/// EventBridge, through a client.
#[derive(Debug, Clone)]
pub struct EventBridge {
    client: Client,
    bus: String,
}

impl EventBridge {
    /// Puts entries that name no bus on the one of this name or ARN.
    #[must_use]
    pub const fn new(client: Client, bus: String) -> Self {
        Self { client, bus }
    }

    /// Puts some of the entries in one call. The answer says for each, in their order, what became of it.
    async fn call(&self, entries: &[BusEntry], call: &[usize]) -> Result<Vec<Outcome>, String> {
        let entry = |entry: &BusEntry| {
            PutEventsRequestEntry::builder()
                .event_bus_name(entry.bus.as_ref().unwrap_or(&self.bus))
                .source(&entry.source)
                .detail_type(&entry.detail_type)
                .detail(&entry.detail)
                .time(DateTime::from_millis(entry.at.millis()))
                .build()
        };
        let put = self.client.put_events().set_entries(Some(call.iter().filter_map(|index| entries.get(*index)).map(entry).collect()));
        let answer = put.send().await.map_err(|error| DisplayErrorContext(error).to_string())?;
        let mut results = answer.entries.unwrap_or_default().into_iter();
        Ok(call.iter().map(|_| results.next().map_or_else(no_answer, outcome)).collect())
    }
}

#[async_trait]
impl EventBus for EventBridge {
    async fn put(&self, entries: &[BusEntry]) -> Result<(), BusError> {
        let mut failed: BTreeMap<usize, String> = BTreeMap::new();
        let mut open: Vec<usize> = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            if bytes(entry) > MOST_BYTES {
                failed.insert(index, format!("the entry is larger than {MOST_BYTES} bytes"));
            } else {
                open.push(index);
            }
        }
        for tries in 1..=MOST_TRIES {
            let left_out = self.put_open(entries, &open, &mut failed).await;
            if left_out.is_empty() {
                break;
            }
            if tries == MOST_TRIES {
                failed.extend(left_out);
                break;
            }
            open = left_out.into_keys().collect();
            pause(BACKOFF * 2_u32.pow(tries - 1)).await;
        }
        match failed.first_key_value() {
            None => Ok(()),
            Some((_, reason)) => Err(BusError { reason: reason.clone(), failed: failed.into_keys().collect() }),
        }
    }
}

impl EventBridge {
    /// Puts the open entries once. Those that will not be taken are added to `failed`; those that may be taken another time are
    /// returned with the reason.
    async fn put_open(&self, entries: &[BusEntry], open: &[usize], failed: &mut BTreeMap<usize, String>) -> BTreeMap<usize, String> {
        let mut left_out = BTreeMap::new();
        let calls = calls(entries, open);
        let mut pending = calls.iter();
        let answers: Vec<_> = calls.iter().map(|call| self.call(entries, call)).collect();
        let mut answers = stream::iter(answers).buffered(CALLS_AT_ONCE);
        while let Some(answer) = answers.next().await {
            let Some(call) = pending.next() else { break };
            match answer {
                Ok(outcomes) => {
                    for (index, outcome) in call.iter().zip(outcomes) {
                        match outcome {
                            Outcome::Taken => {}
                            Outcome::LeftOut(reason) => drop(left_out.insert(*index, reason)),
                            Outcome::Refused(reason) => drop(failed.insert(*index, reason)),
                        }
                    }
                }
                Err(reason) => {
                    // The client has tried the call several times. The others would fail too, each after a while.
                    failed.extend(std::iter::once(call).chain(pending).flatten().map(|index| (*index, reason.clone())));
                    failed.append(&mut left_out);
                    break;
                }
            }
        }
        left_out
    }
}

/// What became of an entry.
enum Outcome {
    Taken,
    /// Left out; it may be taken another time.
    LeftOut(String),
    /// It will never be taken.
    Refused(String),
}

fn no_answer() -> Outcome {
    Outcome::LeftOut("no answer".to_owned())
}

fn outcome(result: PutEventsResultEntry) -> Outcome {
    let Some(code) = result.error_code else { return Outcome::Taken };
    let reason = format!("{code}: {}", result.error_message.unwrap_or_default());
    if REFUSALS.contains(&code.as_str()) { Outcome::Refused(reason) } else { Outcome::LeftOut(reason) }
}

/// The size of an entry, as the service counts it.
fn bytes(entry: &BusEntry) -> usize {
    TIME_BYTES + entry.source.len() + entry.detail_type.len() + entry.detail.len()
}

/// The open entries in their order, as many together as a call takes.
fn calls(entries: &[BusEntry], open: &[usize]) -> Vec<Vec<usize>> {
    let mut calls: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for index in open {
        let size = entries.get(*index).map_or(0, bytes);
        match calls.last_mut() {
            Some(call) if call.len() < MOST_ENTRIES && size <= room => {
                call.push(*index);
                room -= size;
            }
            Some(_) | None => {
                calls.push(vec![*index]);
                room = MOST_BYTES.saturating_sub(size);
            }
        }
    }
    calls
}

#[expect(clippy::disallowed_methods, reason = "what the service leaves out because it is busy is not put again at once")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
