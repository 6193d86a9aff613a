//! What answers take that come from the counters: of ten million events in a year, all of which are counted, and those of one hour
//! stored. It is the counters that say which hours a query reads, and how many events lie before a page.

use std::collections::BTreeMap;

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use shared::domain::category::EventCategory;
use shared::domain::counters::{CounterKey, CounterScope, Kind, Period};
use shared::domain::source::EventSource;
use shared::domain::timestamp::Timestamp;
use tools::sample;

use crate::BenchError;
use crate::operation::{self, Operation, text};
use crate::report::Measure;
use crate::store::{NOW, Store};
use crate::timing::{Load, Pace};

/// How many events there are.
const EVENTS: u32 = 10_000_000;
/// Over how many days.
const DAYS: i64 = 365;
/// How many of them are stored.
const STORED: u64 = 1200;
/// How many days before the end those are.
const STORED_BEFORE: i64 = 300;
/// How many types the others have.
const TYPES: u64 = 30;
/// How many counter items are written at a time.
const AT_ONCE: usize = 16;

/// Everything that is measured.
pub(crate) async fn measures(pace: &Pace) -> Result<Vec<Measure>, BenchError> {
    let store = Store::open(EVENTS).await?;
    let hour = (NOW - TimeDelta::days(STORED_BEFORE)).duration_trunc(TimeDelta::hours(1)).unwrap_or(NOW);
    store.counted(write(&store, hour)).await?;
    let newer = count_others(&store, hour).await?;
    let year = |more: Value| {
        let mut wanted = json!({"start_time": text(NOW - TimeDelta::days(DAYS)), "end_time": text(NOW), "limit": 100});
        if let (Some(wanted), Value::Object(more)) = (wanted.as_object_mut(), more) {
            wanted.extend(more);
        }
        wanted
    };
    let operations = [
        operation::statistics(),
        Operation::query("offset_deep", year(json!({"offset": newer + 500}))).answering(100),
        Operation::query("query_type_in_one_hour_of_a_year", year(json!({"event_type": "order.placed"}))).answering(100),
    ];
    let mut measures = Vec::new();
    for operation in operations {
        measures.push(Load::new(&store, &operation).await?.called(pace).await?);
    }
    store.close().await?;
    Ok(measures)
}

/// Stores the events of one hour.
async fn write(store: &Store, hour: DateTime<Utc>) -> Result<(), BenchError> {
    for first in (0..STORED).step_by(100) {
        let at = |number: u64| hour + TimeDelta::seconds(3 * i64::try_from(number).unwrap_or_default());
        let orders = (first..first + 100).map(|number| sample::at(sample::order(&format!("user-{}", first / 100), number), at(number)));
        store.append(&orders.collect::<Vec<Value>>()).await?;
    }
    Ok(())
}

/// So many events of several types.
fn tally(events: u64) -> BTreeMap<Kind, u64> {
    let kind = |number: u64| {
        let event_type = format!("type.{number}").parse().ok();
        (Kind { event_type, source: EventSource::Frontend, category: EventCategory::PageView }, 0)
    };
    let mut kinds: BTreeMap<Kind, u64> = (0..TYPES).map(kind).collect();
    for (number, count) in (0..TYPES).zip(kinds.values_mut()) {
        *count = events / TYPES + u64::from(number < events % TYPES);
    }
    kinds
}

/// Counts all events but those that are stored, evenly over the year. Returns how many happened after these.
async fn count_others(store: &Store, stored: DateTime<Utc>) -> Result<u64, BenchError> {
    let stored = Timestamp::new(stored).unwrap_or(Timestamp::MAX).hour();
    let last = Timestamp::new(NOW).unwrap_or(Timestamp::MAX).hour();
    let hours = u64::try_from(DAYS * 24).unwrap_or(1);
    let mut hour = Timestamp::new(NOW - TimeDelta::days(DAYS)).unwrap_or(Timestamp::MIN).hour().next();
    let (mut left, mut newer) = (u64::from(EVENTS) - STORED, 0);
    let mut counted: BTreeMap<Period, u64> = BTreeMap::new();
    let each = left / (hours - 1);
    while hour <= last {
        if hour != stored {
            let events = if hour == last { left } else { each };
            left -= events;
            newer += if hour > stored { events } else { 0 };
            for period in [Period::Hour(hour), Period::Day(hour.day()), Period::Total] {
                *counted.entry(period).or_default() += events;
            }
        }
        hour = hour.next();
    }
    let counters = store.counters();
    let lists = counters.tally(&CounterKey { scope: CounterScope::All, period: Period::Day(stored.day()) }).await?.0.lists;
    let saved = stream::iter(counted).map(async |(period, events)| {
        let key = CounterKey { scope: CounterScope::All, period };
        let (mut tally, revision) = counters.tally(&key).await?;
        for (kind, events) in self::tally(events) {
            *tally.kinds.entry(kind).or_default() += events;
        }
        match period {
            Period::Day(_) => tally.lists.extend(lists.clone()),
            Period::Total => tally.settled += events,
            Period::Hour(_) | Period::Users | Period::Processors => {}
        }
        counters.save_tally(&key, &tally, revision).await
    });
    saved.buffer_unordered(AT_ONCE).try_collect::<Vec<bool>>().await?;
    Ok(newer)
}
