//! What follows from an event, at its price: units, exactly. These numbers are the product's promise.

use event_service_tests::receivers::Reaction;
use event_service_tests::world::World;
use serde_json::{Value, json};
use shared::domain::queue::WorkQueue;

use crate::delivery::{URL, create, subscribe};

/// Records an event in each of these streams, one at a time, with all that follows from it but the counters. Returns the write units
/// of each.
async fn write_units(world: &World, streams: &[&str]) -> Vec<f64> {
    let client = world.app.client().await;
    let mut units = Vec::new();
    for stream in streams {
        world.store.meter.reset();
        create(&client, json!({"event_type": "order.placed", "stream_id": stream, "data": {"total": 219.89}})).await;
        loop {
            let mut done = world.dispatch().await;
            for queue in WorkQueue::ALL {
                done += world.work(*queue).await;
            }
            if done == 0 {
                break;
            }
        }
        units.push(world.store.meter.take().write_units);
    }
    units
}

/// What this adds to an event after the first, in streams that have been seen.
async fn added_by(world: &World, consequence: impl AsyncFnOnce()) -> Vec<f64> {
    let streams = ["order:1", "order:2", "order:3"];
    write_units(world, &streams).await;
    let without = write_units(world, &streams).await;
    consequence().await;
    let with = write_units(world, &streams).await;
    with.iter().zip(without).map(|(with, without)| with - without).collect()
}

#[tokio::test]
async fn an_event_that_a_processor_is_given_takes_one_write_unit_more() {
    let world = World::open().await;
    let added = added_by(&world, async || {
        let processor = json!({"processor_name": "log", "processor_type": "internal"});
        world.app.client().await.post("/api/v1/events/processors", &processor).await.succeeds();
        // The definitions are read and remembered.
        write_units(&world, &["order:4"]).await;
    });
    assert_eq!(added.await, [1.0, 1.0, 1.0]);
}

#[tokio::test]
async fn a_delivery_that_goes_well_at_once_takes_no_write_unit_and_in_order_two() {
    let rows = [
        // While all goes well, the time of the last success is noted once a minute.
        (json!({}), [0.0; 3]),
        // Who sends, and how far it was sent.
        (json!({"ordering": "stream"}), [2.0; 3]),
        (json!({"delivery_log": "all"}), [1.0; 3]),
        (json!({"rate_limit": 1000}), [1.0; 3]),
    ];
    for (subscription, expected) in rows {
        let world = World::open().await;
        let added = added_by(&world, async || {
            subscribe(&world.app.client().await, subscription.clone()).await;
            write_units(&world, &["order:4"]).await;
        });
        assert_eq!(added.await, expected, "{subscription}");
    }
}

#[tokio::test]
async fn a_failed_attempt_takes_a_write_unit_for_the_delivery_and_one_for_the_receivers_health() {
    let world = World::open().await;
    let added = added_by(&world, async || {
        subscribe(&world.app.client().await, Value::Object(serde_json::Map::new())).await;
        write_units(&world, &["order:4"]).await;
        world.receivers.always(URL, Reaction::Answer(503));
    });
    assert_eq!(added.await, [2.0, 2.0, 2.0]);
}
