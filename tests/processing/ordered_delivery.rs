//! Deliveries in the order of a stream.

use std::time::Duration;

use event_service_tests::receivers::Reaction;
use event_service_tests::world::World;
use serde_json::{Value, json};
use shared::domain::queue::WorkQueue;

use crate::delivery::{URL, create, subscribe};

/// For each stream, the versions that the receiver took, in the order in which it did.
fn taken(world: &World, stream: &str) -> Vec<u64> {
    let of_stream = world.receivers.taken(URL).into_iter().filter(|request| request.event("stream_id") == stream);
    of_stream.map(|request| request.event("stream_version").as_u64().unwrap()).collect()
}

async fn record(world: &World, stream: &str, count: usize) {
    let client = world.app.client().await;
    for _ in 0..count {
        create(&client, json!({"event_type": "a", "stream_id": stream})).await;
    }
}

#[tokio::test]
async fn a_streams_events_are_sent_in_their_order_and_a_stuck_stream_holds_up_only_itself() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({"ordering": "stream", "retry_policy": {"backoff_seconds": [60], "max_retries": 9}})).await;
    record(&world, "order:1", 1).await;
    world.receivers.next(URL, [Reaction::Answer(500), Reaction::Hang, Reaction::Answer(503)]);
    world.settle().await;
    record(&world, "order:1", 4).await;
    record(&world, "order:2", 3).await;
    // The second and third failure hit whatever comes next; a stream that failed waits for its next attempt.
    world.settle().await;
    world.pass(Duration::from_mins(10)).await;
    assert_eq!(taken(&world, "order:1"), [1, 2, 3, 4, 5]);
    assert_eq!(taken(&world, "order:2"), [1, 2, 3]);
}

#[tokio::test]
async fn later_events_wait_while_an_earlier_one_of_their_stream_is_tried_again() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({"ordering": "stream", "retry_policy": {"backoff_seconds": [100], "max_retries": 3}})).await;
    world.receivers.next(URL, [Reaction::Answer(500)]);
    record(&world, "order:1", 1).await;
    world.settle().await;
    record(&world, "order:1", 2).await;
    record(&world, "order:2", 2).await;
    world.pass(Duration::from_mins(1)).await;
    assert_eq!(taken(&world, "order:1"), Vec::<u64>::new());
    assert_eq!(taken(&world, "order:2"), [1, 2]);
    world.pass(Duration::from_mins(1)).await;
    assert_eq!(taken(&world, "order:1"), [1, 2, 3]);
}

#[tokio::test]
async fn an_event_that_is_given_up_is_parked_and_the_stream_goes_on() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({"ordering": "stream", "retry_policy": {"backoff_seconds": [10], "max_retries": 1}})).await;
    world.receivers.next(URL, [Reaction::Answer(500), Reaction::Answer(500)]);
    record(&world, "order:1", 3).await;
    world.pass(Duration::from_mins(5)).await;
    assert_eq!(taken(&world, "order:1"), [2, 3]);
    let letters = client.get("/api/v1/events/dead-letters").await.ok();
    assert_eq!(letters["dead_letters"].as_array().unwrap().len(), 1);
    client.post("/api/v1/events/dead-letters/redrive", &json!({"all": true})).await.succeeds();
    world.settle().await;
    assert_eq!(taken(&world, "order:1"), [2, 3, 1]);
}

#[tokio::test]
async fn messages_that_come_twice_or_late_send_nothing_twice() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({"ordering": "stream"})).await;
    record(&world, "order:1", 5).await;
    world.settle().await;
    world.dispatch_again();
    world.settle().await;
    assert_eq!(taken(&world, "order:1"), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn two_who_work_on_one_stream_do_not_get_in_each_others_way() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({"ordering": "stream"})).await;
    for _ in 0..6 {
        record(&world, "order:1", 1).await;
        world.dispatch().await;
    }
    let workers = (0..4).map(|_| async { while world.background.take(WorkQueue::Deliver, 1).await.unwrap() > 0 {} });
    futures::future::join_all(workers).await;
    world.pass(Duration::from_mins(3)).await;
    assert_eq!(taken(&world, "order:1"), [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn a_new_subscription_starts_with_what_is_recorded_after_it() {
    let world = World::open().await;
    let client = world.app.client().await;
    record(&world, "order:1", 150).await;
    world.pass(Duration::from_mins(1)).await;
    subscribe(&client, json!({"ordering": "stream"})).await;
    record(&world, "order:1", 2).await;
    world.settle().await;
    assert_eq!(taken(&world, "order:1"), [151, 152]);
}

#[tokio::test]
async fn recovering_everything_rewinds_the_streams() {
    let world = World::open().await;
    let client = world.app.client().await;
    let subscription = subscribe(&client, json!({"ordering": "stream"})).await;
    record(&world, "order:1", 2).await;
    world.pass(Duration::from_mins(1)).await;
    let since = world.app.now().to_string();
    record(&world, "order:1", 2).await;
    record(&world, "order:2", 1).await;
    world.settle().await;
    let recover = format!("/api/v1/events/subscriptions/{subscription}/recover");
    let answer: Value = client.post(&recover, &json!({"since": since, "scope": "all"})).await.ok();
    assert_eq!(answer["count"], 3);
    world.settle().await;
    assert_eq!(taken(&world, "order:1"), [1, 2, 3, 4, 3, 4]);
    assert_eq!(taken(&world, "order:2"), [1, 1]);
}

#[tokio::test]
async fn a_subscription_that_comes_to_want_order_or_other_types_does_not_get_the_past() {
    let world = World::open().await;
    let client = world.app.client().await;
    let subscription = subscribe(&client, json!({"event_types": ["b"]})).await;
    record(&world, "order:1", 3).await;
    record(&world, "order:2", 3).await;
    world.pass(Duration::from_mins(1)).await;
    let changes = json!({"ordering": "stream", "event_types": ["*"]});
    client.patch(&format!("/api/v1/events/subscriptions/{subscription}"), &changes).await.succeeds();
    record(&world, "order:1", 2).await;
    world.settle().await;
    assert_eq!(taken(&world, "order:1"), [4, 5]);
    assert_eq!(taken(&world, "order:2"), Vec::<u64>::new());
}

#[tokio::test]
async fn what_waits_in_its_order_is_sent_to_a_new_address() {
    let world = World::open().await;
    let client = world.app.client().await;
    let wrong = "https://wrong.test/";
    let policy = json!({"backoff_seconds": [60], "max_retries": 9});
    let subscription = subscribe(&client, json!({"ordering": "stream", "callback_url": wrong, "retry_policy": policy})).await;
    world.receivers.always(wrong, Reaction::Refuse);
    record(&world, "order:1", 3).await;
    world.settle().await;
    client.patch(&format!("/api/v1/events/subscriptions/{subscription}"), &json!({"callback_url": URL})).await.succeeds();
    world.pass(Duration::from_mins(2)).await;
    assert_eq!(taken(&world, "order:1"), [1, 2, 3]);
}

#[tokio::test]
async fn a_subscription_that_was_off_starts_clean_and_leaves_nothing_that_seems_to_wait() {
    let world = World::open().await;
    let client = world.app.client().await;
    let policy = json!({"backoff_seconds": [600], "max_retries": 9});
    let subscription = subscribe(&client, json!({"ordering": "stream", "retry_policy": policy})).await;
    let path = format!("/api/v1/events/subscriptions/{subscription}");
    world.receivers.next(URL, [Reaction::Answer(503)]);
    record(&world, "order:1", 1).await;
    world.settle().await;
    client.patch(&path, &json!({"enabled": false})).await.succeeds();
    world.pass(Duration::from_secs(2)).await;
    record(&world, "order:1", 1).await;
    world.pass(Duration::from_secs(2)).await;
    client.patch(&path, &json!({"enabled": true})).await.succeeds();
    record(&world, "order:1", 1).await;
    world.settle().await;
    assert_eq!(taken(&world, "order:1"), [3]);
    let deliveries = client.get(&format!("{path}/deliveries")).await.ok();
    assert_eq!(deliveries["deliveries"][0]["status"], "canceled", "{deliveries}");
}

#[tokio::test]
async fn a_process_that_is_alone_does_not_wait_for_the_lease_of_one_that_was_killed() {
    let mut world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({"ordering": "stream"})).await;
    record(&world, "order:1", 2).await;
    world.dispatch().await;
    let mut killed = Box::pin(world.background.take(WorkQueue::Deliver, 1));
    // Until the lane is leased and the first event is on its way.
    while world.receivers.count() == 0 {
        assert!(futures::poll!(killed.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    drop(killed);
    drop(client);
    world.app.clock.set(world.app.now().plus(Duration::from_millis(1)));
    world.background.alone_since = Some(world.app.now());
    record(&world, "order:1", 1).await;
    world.settle().await;
    assert_eq!(taken(&world, "order:1").last(), Some(&3));
}
