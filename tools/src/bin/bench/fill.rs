//! Fills a store: a week of a platform's events, and then what some operations look for.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::Value;
use shared::domain::event_id::EventId;
use tokio::task::JoinSet;
use tools::events::{Event, MOST_IN_A_BATCH, Mix, Settings};

use crate::BenchError;
use crate::store::{NOW, Store};
use tools::sample;

/// How many days the history takes.
const DAYS: u32 = 7;
/// How many batches are under way at once.
const AT_ONCE: usize = 8;
/// How many events each kind of target has at least: a page of a query, and some to spare.
const TARGETS: u64 = 1100;
/// The stream that is read whole.
pub(crate) const LONG_STREAM: &str = "ledger:bench";
/// How many events it has.
pub(crate) const LONG: usize = 1000;

/// The moment that the history starts at.
pub(crate) fn start() -> DateTime<Utc> {
    NOW - TimeDelta::days(i64::from(DAYS))
}

/// The midnight so many days before the history starts, when nothing else happens.
fn quiet_day(days: i64) -> DateTime<Utc> {
    let day = start() - TimeDelta::days(days);
    day.date_naive().and_time(chrono::NaiveTime::MIN).and_utc()
}

/// The day of the events that lie in batches of 20.
pub(crate) fn dense_day() -> DateTime<Utc> {
    quiet_day(2)
}

/// The day of the events that were recorded one by one.
pub(crate) fn sparse_day() -> DateTime<Utc> {
    quiet_day(4)
}

/// A user with one event.
pub(crate) fn single_user(number: u64) -> String {
    format!("single-{}", number % TARGETS)
}

/// Fills the store with as many events as it is to hold. Returns the source of more.
pub(crate) async fn history(store: &Arc<Store>) -> Result<Mix, BenchError> {
    let began = Instant::now();
    let mut mix = Mix::new(Settings { seed: 42, events: store.size, days: DAYS, now: NOW });
    let bar = ProgressBar::new(u64::from(store.size));
    if let Ok(style) = ProgressStyle::with_template("{bar:40.cyan/blue} {human_pos} of {human_len} events, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    let written = store.counted(write(store, &mut mix, &bar)).await;
    bar.finish_and_clear();
    written?;
    let took = began.elapsed().as_secs_f64();
    eprintln!("{} events are stored and counted after {took:.1} s", HumanCount(u64::from(store.size)));
    Ok(mix)
}

async fn write(store: &Arc<Store>, mix: &mut Mix, bar: &ProgressBar) -> Result<(), BenchError> {
    let mut writers: JoinSet<Result<usize, BenchError>> = JoinSet::new();
    let mut left = usize::try_from(store.size).unwrap_or(usize::MAX);
    loop {
        while left > 0 && writers.len() < AT_ONCE {
            let mut batch: Vec<Event> = mix.next_batch(MOST_IN_A_BATCH);
            batch.truncate(left);
            left -= batch.len();
            let store = Arc::clone(store);
            writers.spawn(async move {
                store.append(&batch).await?;
                Ok(batch.len())
            });
        }
        let Some(written) = writers.join_next().await else { return Ok(()) };
        bar.inc(u64::try_from(written??).unwrap_or_default());
    }
}

/// What operations look for, by how it was recorded.
pub(crate) struct Targets {
    /// Ids of events that were recorded alone.
    pub(crate) singles: Vec<EventId>,
    /// Ids of events that lie in batches of 100.
    pub(crate) batched: Vec<EventId>,
}

/// Adds what operations look for, on days of its own.
pub(crate) async fn targets(store: &Store) -> Result<Targets, BenchError> {
    store.counted(add_targets(store)).await
}

async fn add_targets(store: &Store) -> Result<Targets, BenchError> {
    let spread =
        |day: DateTime<Utc>, number: u64| day + TimeDelta::hours(9) + TimeDelta::seconds(20 * i64::try_from(number).unwrap_or_default());
    let dense = (0..TARGETS / 20).map(|batch| {
        let orders = (0..20).map(|number| {
            // All within a few seconds, as a batch is.
            let moment = spread(dense_day(), batch * 20) + TimeDelta::milliseconds(100 * i64::try_from(number).unwrap_or_default());
            sample::at(sample::order(&format!("dense-{batch}"), batch * 20 + number), moment)
        });
        orders.collect::<Vec<Value>>()
    });
    append_all(store, dense).await?;

    let singles = (0..TARGETS).map(|number| vec![sample::at(sample::order(&single_user(number), number), spread(sparse_day(), number))]);
    let singles = append_all(store, singles).await?;

    let mut batched = Vec::new();
    for batch in 0..LONG / MOST_IN_A_BATCH {
        let moment = quiet_day(6) + TimeDelta::minutes(i64::try_from(batch).unwrap_or_default());
        let first = u64::try_from(batch * MOST_IN_A_BATCH).unwrap_or_default();
        let orders = sample::orders("ledger", first, MOST_IN_A_BATCH as u64).into_iter();
        let orders: Vec<Value> = orders.map(|order| sample::with(sample::at(order, moment), "stream_id", LONG_STREAM)).collect();
        batched.extend(store.append(&orders).await?.events.into_iter().map(|event| event.id));
    }
    Ok(Targets { singles, batched })
}

/// Appends batches, several at a time, and returns the ids of their events in order.
async fn append_all(store: &Store, batches: impl Iterator<Item = Vec<Value>>) -> Result<Vec<EventId>, BenchError> {
    let appended = stream::iter(batches).map(async |batch| store.append(&batch).await).buffered(AT_ONCE);
    let appended: Vec<_> = appended.try_collect().await?;
    Ok(appended.into_iter().flat_map(|appended| appended.events).map(|event| event.id).collect())
}
