//! What reading and sending history takes: projections of entities with few and many events, and replays.

use std::sync::Arc;
use std::time::Instant;

use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tools::http_client::Answer;

use crate::BenchError;
use crate::operation::{Call, Per};
use crate::report::{Measure, Part};
use crate::store::Store;
use crate::timing::{Cost, Samples};
use tools::sample;

const SUBSCRIPTIONS: &str = "/api/v1/events/subscriptions";
const REPLAY: &str = "/api/v1/events/replay";
/// How many events entities have, each stored alone, and how many such entities are read for the first time.
const ENTITIES: [(u32, u64); 3] = [(10, 20), (1000, 8), (10_000, 3)];
/// How often each is read again.
const AGAIN: usize = 20;
/// How many events are archived: fifty of each user.
const ARCHIVED: u64 = 5000;
/// How many events a replay has.
const REPLAYED: u64 = 5000;

/// All of it.
pub(crate) async fn measures(small: bool) -> Result<Vec<Measure>, BenchError> {
    let mut measures = Vec::new();
    for (events, entities) in ENTITIES {
        measures.extend(projections(events, if small { 1 } else { entities }).await?);
    }
    for (name, streams) in [("replay_one_stream", 1), ("replay_100_streams", 100)] {
        measures.push(replay(name, streams, if small { REPLAYED / 5 } else { REPLAYED }).await?);
    }
    for (name, batch) in [("archive", 1), ("archive_20", 20)] {
        measures.extend(archive(name, batch, if small { ARCHIVED / 10 } else { ARCHIVED }).await?);
    }
    Ok(measures)
}

/// Archiving so many events of a day, that were stored so many at a time in the streams of a hundred users; and reading one, and a
/// stream, from the archive. The archive is in memory: what S3 takes comes on top.
async fn archive(name: &'static str, batch: u64, events: u64) -> Result<Vec<Measure>, BenchError> {
    let store = Store::open(0).await?;
    let order = |number: u64| sample::order(&format!("user-{}", number / batch % 100), number);
    store
        .counted(async {
            for first in (0..events).step_by(usize::try_from(batch).unwrap_or(1)) {
                store.append(&(first..first + batch).map(order).collect::<Vec<Value>>()).await?;
            }
            Ok::<_, BenchError>(())
        })
        .await?;
    store.forget_usage();
    let began = Instant::now();
    let archived = store.archive().await?;
    let took = began.elapsed();
    let count = usize::try_from(events).unwrap_or(1);
    if archived.events != count {
        return Err(BenchError::Wrong { operation: name, detail: format!("{archived:?}") });
    }
    let cost = Cost::of(store.meter.take(), count);
    // As many events as there were took so long together; each of them on its own is not timed.
    let samples = Samples { times: vec![took / u32::try_from(events).unwrap_or(1); count], took };
    let mut measures = vec![samples.measure((Part::After, name.to_owned()), 0, Per::Event(1), cost)];
    if batch == 1 {
        let stream: Value = serde_json::from_slice(&call(&store, Call::get("/api/v1/events/stream/user:user-1".to_owned())).await?)?;
        let ids = stream["events"].as_array().into_iter().flatten().filter_map(|event| event["event_id"].as_str());
        let (mut one, mut whole) = (Samples::default(), Samples::default());
        store.forget_usage();
        for id in ids.cycle().take(AGAIN * 5) {
            one.time(call(&store, Call::get(format!("/api/v1/events/{id}")))).await?;
        }
        let of_one = Cost::of(store.meter.take(), one.times.len());
        for user in 0..AGAIN {
            whole.time(call(&store, Call::get(format!("/api/v1/events/stream/user:user-{user}")))).await?;
        }
        let of_whole = Cost::of(store.meter.take(), whole.times.len());
        measures.push(one.measure((Part::Called, "get_archived".to_owned()), 0, Per::Call, of_one));
        measures.push(whole.measure((Part::Called, "stream_archived_50".to_owned()), 0, Per::Call, of_whole));
    }
    store.close().await?;
    Ok(measures)
}

/// Reading entities with so many events: the first time, and again.
async fn projections(events: u32, entities: u64) -> Result<[Measure; 2], BenchError> {
    let store = Store::open(events).await?;
    for entity in 0..entities {
        let orders: Vec<Value> = (0..u64::from(events)).map(|number| alone(entity, number)).collect();
        for hundred in orders.chunks(100) {
            store.append(&hundred).await?;
        }
    }
    let path = |entity: u64| format!("/api/v1/events/projections/order/bench-{entity}");
    let (mut cold, mut warm) = (Samples::default(), Samples::default());
    store.forget_usage();
    for entity in 0..entities {
        cold.time(call(&store, Call::get(path(entity)))).await?;
    }
    let first = Cost::of(store.meter.take(), cold.times.len());
    for entity in 0..entities {
        for _ in 0..AGAIN {
            warm.time(call(&store, Call::get(path(entity)))).await?;
        }
    }
    let again = Cost::of(store.meter.take(), warm.times.len());
    store.close().await?;
    Ok([
        cold.measure((Part::Called, "projection_cold".to_owned()), events, Per::Call, first),
        warm.measure((Part::Called, "projection_warm".to_owned()), events, Per::Call, again),
    ])
}

/// An order's event that shares its commit with no other: the next one is of another user.
fn alone(entity: u64, number: u64) -> Value {
    let order = sample::order(&format!("user-{}", number % 2), number);
    sample::with(order, "stream_id", format!("order:bench-{entity}"))
}

/// Sending so many events of so many streams again, to a receiver that answers at once.
async fn replay(name: &'static str, streams: u64, events: u64) -> Result<Measure, BenchError> {
    let store = Store::open(0).await?;
    let orders: Vec<Value> = (0..events)
        .map(|number| sample::with(sample::order("user", number), "stream_id", format!("order:bench-{}", number % streams)))
        .collect();
    for hundred in orders.chunks(100) {
        store.append(&hundred).await?;
    }
    let subscription = json!({"subscription_id": "bench", "event_types": ["*"], "callback_url": "http://127.0.0.1:1/"});
    call(&store, Call::post(SUBSCRIPTIONS, &subscription)?).await?;
    let mut asked = json!({"target_service": "bench", "rate_limit": 1000});
    if streams == 1 {
        asked["stream_id"] = "order:bench-0".into();
    } else {
        (asked["start_time"], asked["end_time"]) = ("2000-01-01".into(), "2100-01-01".into());
    }
    let mut end = store.end_of_stream().await?;
    store.forget_usage();
    let began = Instant::now();
    let started: Value = serde_json::from_slice(&call(&store, Call::post(REPLAY, &asked)?).await?)?;
    store.settle(&mut end).await?;
    let took = began.elapsed();
    let usage = store.meter.take();
    let path = format!("{REPLAY}/{}", started["replay_id"].as_str().unwrap_or_default());
    let ended: Value = serde_json::from_slice(&call(&store, Call::get(path)).await?)?;
    if ended["replayed"] != events {
        return Err(BenchError::Wrong { operation: name, detail: ended.to_string() });
    }
    store.close().await?;
    let count = usize::try_from(events).unwrap_or(1);
    // As many events as there were took so long together; each of them on its own is not timed.
    let samples = Samples { times: vec![took / u32::try_from(events).unwrap_or(1); count], took };
    Ok(samples.measure((Part::After, name.to_owned()), 0, Per::Event(1), Cost::of(usage, count)))
}

async fn call(store: &Arc<Store>, call: Call) -> Result<Bytes, BenchError> {
    let answer = store.app.answer(call.request(store)?).await;
    let status = answer.status();
    let body = Bytes::from(answer.into_body().to_vec());
    if status == StatusCode::OK {
        return Ok(body);
    }
    Err(BenchError::Refused { operation: "history", status, detail: Answer { status, retry_after: None, body }.detail() })
}
