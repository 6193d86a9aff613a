//! What the bus is told.

use std::time::Duration;

use event_service_tests::receivers::Reaction;
use event_service_tests::world::World;
use serde_json::{Value, json};

use crate::delivery::create;

fn data(told: &[Value]) -> Vec<&Value> {
    told.iter().map(|event| &event["data"]).collect()
}

/// Scenario 2.
#[tokio::test]
async fn a_stored_event_is_told_of_in_the_envelope_that_others_know() {
    let world = World::open().await;
    let client = world.app.client().await;
    let id = create(
        &client,
        json!({"event_type": "order.placed", "event_category": "order", "user_id": "u1", "correlation_id": "c1", "data": {"total": 5}}),
    )
    .await;
    world.settle().await;
    let [told] = &world.told("event.stored")[..] else { panic!("one event") };
    for (member, expected) in [("type", "event.stored"), ("source", "event_service"), ("subject", "event.stored"), ("version", "1.0.0")] {
        assert_eq!(told[member], expected, "{told}");
    }
    let data = &told["data"];
    assert_eq!(
        (data["event_id"].as_str(), data["stream_version"].as_u64(), &data["data"]),
        (Some(id.as_str()), Some(1), &json!({"total": 5}))
    );
    assert_eq!(told["metadata"]["correlation_id"], "c1");
    world.dispatch_again();
    world.settle().await;
    let again = world.told("event.stored");
    assert_eq!((again.len(), &again[0]["id"]), (2, &again[1]["id"]), "told again, it has the same id");
}

#[tokio::test]
async fn large_data_is_left_out_and_that_is_said() {
    let world = World::open().await;
    let client = world.app.client().await;
    create(&client, json!({"event_type": "a", "data": {"text": "x".repeat(70_000)}})).await;
    world.settle().await;
    let told = world.told("event.stored");
    assert_eq!((&told[0]["data"]["data"], &told[0]["data"]["data_omitted"]), (&json!({}), &json!(true)));
}

#[tokio::test]
async fn every_attempt_of_a_processor_is_told_of_once() {
    let world = World::open().await;
    let client = world.app.client().await;
    let body = json!({"processor_name": "p", "processor_type": "webhook", "config": {"url": "https://p.test/", "max_retries": 3, "backoff_seconds": [10]}});
    client.post("/api/v1/events/processors", &body).await.succeeds();
    world.receivers.next("https://p.test/", [Reaction::Answer(500), Reaction::Hang]);
    let id = create(&client, json!({"event_type": "a"})).await;
    world.pass(Duration::from_mins(5)).await;
    let (failed, succeeded) = (world.told("event.processed.failed"), world.told("event.processed.success"));
    let retries: Vec<Option<u64>> = data(&failed).iter().map(|data| data["retry_count"].as_u64()).collect();
    assert_eq!(retries, [Some(0), Some(1)]);
    assert!(
        data(&failed)
            .iter()
            .all(|data| data["event_id"] == id.as_str() && data["processor_name"] == "p" && data["error_message"].is_string())
    );
    assert_eq!((succeeded.len(), data(&succeeded)[0]["event_type"].as_str()), (1, Some("a")));
    assert!(data(&succeeded)[0]["duration_ms"].is_u64());
}

/// Scenario 5.
#[tokio::test]
async fn a_new_subscription_is_told_of_without_its_secret_and_a_changed_one_is_not() {
    let world = World::open().await;
    let client = world.app.client().await;
    let id = crate::delivery::subscribe(&client, json!({"event_types": ["user.*"], "event_sources": ["backend"]})).await;
    client.patch(&format!("/api/v1/events/subscriptions/{id}"), &json!({"event_types": ["order.*"]})).await.succeeds();
    world.settle().await;
    let [told] = &world.told("event.subscription.created")[..] else { panic!("one event") };
    let data = &told["data"];
    assert_eq!(
        (data["subscription_id"].as_str(), data["subscriber_name"].as_str(), data["enabled"].as_bool()),
        (Some(id.as_str()), Some("shop"), Some(true))
    );
    assert_eq!((&data["event_types"], &data["event_sources"]), (&json!(["user.*"]), &json!(["backend"])));
    assert!(!told.to_string().contains("secret123"));
}

#[tokio::test]
async fn what_the_bus_refuses_is_told_again() {
    let world = World::open().await;
    let client = world.app.client().await;
    create(&client, json!({"event_type": "a"})).await;
    world.bus.refuse("event.stored");
    let batch = world.store.records_after(None, 10).await;
    assert!(world.background.dispatch(batch.event()).await.is_err());
    world.bus.refuse_nothing();
    world.settle().await;
    assert_eq!(world.told("event.stored").len(), 1);
}
