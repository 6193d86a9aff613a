//! Follows the table's stream, and hands it to the functions that hear it on AWS: each at its own pace.
//!
//! What both have heard is removed from the stream. What only one has heard is handed to it again after a crash, which both expect.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lambda_runtime::{Context, LambdaEvent};
use shared::adapters::dynamodb::DynamoEvents;
use shared::adapters::embedded::{EmbeddedDynamo, EmbeddedError, StreamBatch, TumblingWindow, WindowStage};
use shared::commands::count_events::CountEventsPorts;
use shared::domain::counters::SequenceNumber;
use shared::domain::timestamp::Timestamp;
use shared::telemetry::Chain;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::background::{Background, BackgroundError};

/// How many records are handed over at a time.
const BATCH: usize = 500;

/// After how many looks that found nothing the stream counts as idle, and how many ticks pass between looks then.
const IDLE_AFTER: u32 = 100;
const IDLE_TICKS: u32 = 5;

/// A function that hears the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Listener {
    Count,
    Dispatch,
}

impl Listener {
    const ALL: [Self; 2] = [Self::Count, Self::Dispatch];

    /// How often new records are looked for.
    const fn pause(self) -> Duration {
        match self {
            // A few at a time would cost nearly as many counter writes as events.
            Self::Count => Duration::from_millis(50),
            Self::Dispatch => Duration::from_millis(10),
        }
    }
}

/// The stream could not be handed over.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The stream could not be read.
    #[error("the stream of the table cannot be read")]
    Read(#[from] EmbeddedError),
    /// The records were not taken.
    #[error("the records of the table's stream were not taken")]
    Taken(#[from] BackgroundError),
}

/// The stream of a table, and how far each function has heard it.
pub struct Tail<'a> {
    embedded: &'a EmbeddedDynamo,
    table: &'a str,
    events: &'a DynamoEvents,
    background: &'a Background,
    heard: Mutex<BTreeMap<Listener, String>>,
}

impl<'a> Tail<'a> {
    /// The stream of a table, from the oldest record that it still has.
    #[must_use]
    pub const fn new(embedded: &'a EmbeddedDynamo, table: &'a str, events: &'a DynamoEvents, background: &'a Background) -> Self {
        Self { embedded, table, events, background, heard: Mutex::new(BTreeMap::new()) }
    }

    /// Hands over records as they come, until `stop` changes, and then those that are left.
    pub async fn follow(&self, stop: watch::Receiver<bool>) {
        let [count, dispatch] = Listener::ALL;
        tokio::join!(self.follow_as(count, stop.clone()), self.follow_as(dispatch, stop));
    }

    async fn follow_as(&self, listener: Listener, mut stop: watch::Receiver<bool>) {
        let mut ticks = interval(listener.pause());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures_at_the_end: u32 = 0;
        let mut idle: u32 = 0;
        loop {
            let stopping = *stop.borrow();
            match self.hand_over(listener).await {
                Ok(0) if stopping => return,
                Ok(0) => idle = idle.saturating_add(1),
                Ok(count) => {
                    idle = 0;
                    if count == BATCH || stopping {
                        continue;
                    }
                }
                Err(error) => {
                    tracing::error!(error = %Chain(&error), ?listener, "the table's stream waits");
                    failures_at_the_end += u32::from(stopping);
                    // What is left is handed over at the next start.
                    if failures_at_the_end > 3 {
                        return;
                    }
                }
            }
            // Where nothing happens, nothing is looked for so often.
            let rests = if idle > IDLE_AFTER { IDLE_TICKS } else { 1 };
            for _ in 0..rests {
                tokio::select! {
                    _ = ticks.tick() => {}
                    _ = stop.changed() => break,
                }
            }
        }
    }

    /// Hands over the next records. Returns how many there were.
    async fn hand_over(&self, listener: Listener) -> Result<usize, TailError> {
        let after = self.heard.lock().unwrap_or_else(PoisonError::into_inner).get(&listener).cloned();
        let batch = self.embedded.read_stream(self.table, after.as_deref(), BATCH).await?;
        let count = batch.records.len();
        if count > 0 {
            match listener {
                Listener::Count => self.count(&batch).await?,
                Listener::Dispatch => self.background.dispatch(batch.event()).await?,
            }
        }
        if let Some(oldest) = batch.last_sequence.and_then(|last| self.advance(listener, last)) {
            self.embedded.prune_stream(self.table, &oldest).await?;
        }
        Ok(count)
    }

    async fn count(&self, batch: &StreamBatch) -> Result<(), BackgroundError> {
        let event = serde_json::from_value(batch.window_event(&window()))?;
        let ports = CountEventsPorts { counters: self.events, definitions: self.events };
        let answer =
            count_events::handle(&ports, None, LambdaEvent::new(event, Context::default())).await.map_err(BackgroundError::Function)?;
        let left = answer["batchItemFailures"].as_array().is_some_and(|failures| !failures.is_empty());
        if left { Err(BackgroundError::Left) } else { Ok(()) }
    }

    /// Notes how far a function has heard. Returns up to where all have.
    fn advance(&self, listener: Listener, last: String) -> Option<String> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.insert(listener, last);
        let everybody = heard.len() == Listener::ALL.len();
        heard.values().min_by_key(|last| SequenceNumber((*last).clone())).filter(|_| everybody).cloned()
    }
}

/// A tumbling window that nothing looks at.
fn window() -> TumblingWindow {
    let moment = Timestamp::MIN.to_chrono();
    TumblingWindow { start: moment, end: moment, state: serde_json::Map::new(), stage: WindowStage::Running }
}
