//! What an event consumes after its answer, exactly: processing it, and sending it to who wants it. Events come one at a time, so that
//! none of it is shared.

use std::sync::Arc;
use std::time::Instant;

use hyper::StatusCode;
use serde_json::{Value, json};
use shared::adapters::dynamodb::Usage;
use tools::http_client::Answer;

use crate::BenchError;
use crate::operation::{CREATE, Call, Per};
use crate::report::{Measure, Part};
use crate::store::Store;
use crate::timing::{Cost, Samples};
use tools::sample;

const PROCESSORS: &str = "/api/v1/events/processors";
const SUBSCRIPTIONS: &str = "/api/v1/events/subscriptions";

/// How many events the numbers are of: too few to open the circuit of a receiver that fails.
const EXACT: u64 = 8;

/// What is to follow from an event.
struct Consequence {
    name: &'static str,
    per: Per,
    /// What brings it about.
    path: &'static str,
    definition: Value,
    /// What receivers answer to the events that are measured.
    status: u16,
}

/// A processor that is given every event, and puts it on the bus in memory.
pub(crate) fn processor() -> Value {
    json!({"processor_name": "bench", "processor_type": "publish", "config": {"target": "bus"}})
}

/// What each consequence adds to an event.
pub(crate) async fn exact() -> Result<Vec<Measure>, BenchError> {
    let subscription = |ordering: &str| json!({"event_types": ["*"], "callback_url": "http://127.0.0.1:1/", "ordering": ordering});
    let consequences = [
        Consequence { name: "process", per: Per::Event(1), path: PROCESSORS, definition: processor(), status: 200 },
        Consequence { name: "deliver", per: Per::Delivery, path: SUBSCRIPTIONS, definition: subscription("none"), status: 200 },
        Consequence { name: "deliver_in_order", per: Per::Delivery, path: SUBSCRIPTIONS, definition: subscription("stream"), status: 200 },
        Consequence {
            name: "deliver_failed_attempt",
            per: Per::Delivery,
            path: SUBSCRIPTIONS,
            definition: subscription("none"),
            status: 503,
        },
    ];
    let mut measures = Vec::new();
    for consequence in &consequences {
        measures.push(added_by(consequence).await?);
    }
    Ok(measures)
}

async fn added_by(consequence: &Consequence) -> Result<Measure, BenchError> {
    let Consequence { name, per, path, definition, status } = consequence;
    let store = Store::open(0).await?;
    let mut after = None;
    // The first round makes the streams, and lets all that is remembered be read.
    rounds(&store, &mut after).await?;
    let (without, _) = rounds(&store, &mut after).await?;
    call(&store, path, definition).await?;
    rounds(&store, &mut after).await?;
    store.receiver.answer(*status);
    let (with, samples) = rounds(&store, &mut after).await?;
    store.close().await?;
    let events = usize::try_from(EXACT).unwrap_or(1);
    let added = Cost::of(with, events).beyond(Cost::of(without, events));
    Ok(samples.measure((Part::After, (*name).to_owned()), 0, *per, added))
}

/// One event after the other, each in a stream of its own, with all that follows from it. The time is that of what follows.
async fn rounds(store: &Arc<Store>, after: &mut Option<String>) -> Result<(Usage, Samples), BenchError> {
    store.settle(after).await?;
    store.forget_usage();
    let mut samples = Samples::default();
    for number in 0..EXACT {
        call(store, CREATE, &sample::order(&format!("after-{number}"), number)).await?;
        let began = Instant::now();
        store.settle(after).await?;
        samples.times.push(began.elapsed());
        samples.took += began.elapsed();
    }
    Ok((store.meter.take(), samples))
}

async fn call(store: &Store, path: &'static str, wanted: &Value) -> Result<(), BenchError> {
    let answer = store.app.answer(Call::post(path, wanted)?.request(store)?).await;
    let status = answer.status();
    if status == StatusCode::OK {
        return Ok(());
    }
    let answer = Answer { status, retry_after: None, body: answer.into_body().to_vec().into() };
    Err(BenchError::Refused { operation: path, status, detail: answer.detail() })
}
