//! Deliveries whose messages come twice, or that a person asks for once more.

use std::time::Duration;

use event_service_tests::receivers::Reaction;
use event_service_tests::world::World;
use serde_json::json;

use crate::delivery::{URL, create, subscribe};

/// BR-SUB-004.
#[tokio::test]
async fn an_event_that_was_dispatched_twice_is_tried_again_until_it_is_taken() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({"retry_policy": {"backoff_seconds": [10], "max_retries": 5}})).await;
    world.receivers.next(URL, [Reaction::Answer(500), Reaction::Answer(500)]);
    create(&client, json!({"event_type": "a"})).await;
    world.dispatch().await;
    world.dispatch_again();
    world.settle().await;
    assert_eq!((world.receivers.requests(URL).len(), world.receivers.taken(URL).len()), (2, 0));
    world.pass(Duration::from_mins(5)).await;
    assert!(!world.receivers.taken(URL).is_empty());
}

/// BR-SUB-004.
#[tokio::test]
async fn what_is_sent_again_out_of_its_streams_order_is_tried_again_as_well() {
    let world = World::open().await;
    let client = world.app.client().await;
    for (wait, minutes) in [(10, 5), (3600, 120)] {
        let policy = json!({"backoff_seconds": [wait], "max_retries": 1});
        subscribe(&client, json!({"subscription_id": "s", "ordering": "stream", "retry_policy": policy})).await;
        let before = world.receivers.taken(URL).len();
        world.receivers.next(URL, [Reaction::Answer(400), Reaction::Answer(500)]);
        create(&client, json!({"event_type": "a", "stream_id": format!("order:{wait}")})).await;
        world.settle().await;
        client.post("/api/v1/events/dead-letters/redrive", &json!({"all": true})).await.succeeds();
        world.settle().await;
        assert_eq!(world.receivers.taken(URL).len(), before, "refused, and then not taken either");
        world.pass(Duration::from_mins(minutes)).await;
        assert_eq!(world.receivers.taken(URL).len(), before + 1, "after {wait} s");
    }
}
