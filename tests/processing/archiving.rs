//! Old events, moved to the archive, as clients see it: what they ask for is answered as before.

use std::sync::Arc;
use std::time::Duration;

use event_service_tests::app::Client;
use event_service_tests::world::World;
use local::background::Archiving;
use serde_json::{Value, json};
use shared::commands::archive_events::{ArchiveAfter, Archived};

use crate::delivery::{URL, create, subscribe};

const QUERY: &str = "/api/v1/events/query";

/// A world that archives what is older than thirty days.
async fn world() -> World {
    let mut world = World::open().await;
    world.background.archiving = Some(Archiving {
        store: Arc::new(world.store.events.clone()),
        objects: world.store.objects.clone(),
        after: ArchiveAfter::days(30),
        until: None,
    });
    world
}

async fn archive(world: &World) -> Archived {
    let archived = world.background.archive(None).await.unwrap();
    world.settle().await;
    archived
}

/// Forty days later.
async fn wait(world: &World) {
    world.settle().await;
    world.app.clock.set(world.app.now().plus(Duration::from_hours(24 * 40)));
}

/// An answer without what archiving changes.
fn unchanged(mut answer: Value) -> Value {
    for event in answer["events"].as_array_mut().into_iter().flatten() {
        event["status"] = json!("*");
    }
    for status in ["processed_events", "archived_events", "calculated_at"] {
        if let Some(answer) = answer.as_object_mut() {
            answer.remove(status);
        }
    }
    answer
}

async fn statistics(client: &Client<'_>) -> Value {
    let statistics = client.get("/api/v1/events/statistics").await.ok();
    json!([statistics["total_events"], statistics["processed_events"], statistics["failed_events"], statistics["archived_events"]])
}

#[tokio::test]
async fn archived_events_are_answered_as_before_and_say_that_they_are_archived() {
    let world = world().await;
    let client = world.app.client().await;
    let processor = json!({"processor_name": "logger", "processor_type": "internal", "filters": {"event_type": "v2"}});
    client.post("/api/v1/events/processors", &processor).await.succeeds();
    world.app.pass(60);
    for number in 1..=5 {
        let event = json!({"event_type": format!("v{number}"), "stream_id": "order:1", "user_id": "u1", "session_id": "s1", "data": {"number": number}});
        create(&client, event).await;
    }
    wait(&world).await;
    create(&client, json!({"event_type": "v6", "stream_id": "order:1", "user_id": "u1"})).await;
    world.settle().await;
    let paths = [
        "/api/v1/events/stream/order:1",
        "/api/v1/events/stream/order:1?from_version=2&to_version=3",
        "/api/v1/events/projections/order/1",
        "/api/v1/events/projections/order/1?at_version=3",
        "/api/v1/events/projections/order/1?include=history",
        "/api/v1/events/statistics?user_id=u1",
    ];
    let queries = [
        json!({"user_id": "u1"}),
        json!({"session_id": "s1"}),
        json!({"event_type": "v2"}),
        json!({"limit": 2, "offset": 2}),
        json!({"filters": {"number": 3}}),
        json!({"start_time": "2026-11-23T00:00:00Z", "end_time": "2026-11-24T00:00:00Z"}),
    ];
    let ask_all = async || {
        let mut answers = Vec::new();
        for path in paths {
            answers.push(unchanged(client.get(path).await.ok()));
        }
        for query in &queries {
            answers.push(unchanged(client.post(QUERY, query).await.ok()));
        }
        answers
    };
    let before = ask_all().await;
    let events = client.get("/api/v1/events/stream/order:1").await.ok();
    let second = events["events"][1].clone();
    assert_eq!(statistics(&client).await, json!([6, 6, 0, 0]));

    let archived = archive(&world).await;
    assert_eq!((archived.events, archived.complete), (5, true));
    assert_eq!(statistics(&client).await, json!([6, 1, 0, 5]));
    for (after, before) in ask_all().await.into_iter().zip(before) {
        assert_eq!(after, before);
    }
    let mut expected = second.clone();
    expected["status"] = json!("archived");
    let id = second["event_id"].as_str().unwrap();
    assert_eq!(client.get(&format!("/api/v1/events/{id}")).await.ok(), expected);
    let results = client.get(&format!("/api/v1/events/{id}/results")).await.ok();
    assert!(results.to_string().contains("logger"), "{results}");
    for (status, total) in [("archived", 5), ("processed", 1), ("pending", 0), ("failed", 0)] {
        let page = client.post(QUERY, &json!({"status": status})).await.ok();
        assert_eq!(
            (page["total"].as_u64(), page["events"].as_array().unwrap().len()),
            (Some(total), usize::try_from(total).unwrap()),
            "{status}"
        );
    }
    client.post("/api/v1/events/projections/order/1/rebuild", &json!({})).await.succeeds();
    assert_eq!(archive(&world).await.events, 0, "it is archived");
}

/// BR-EVT-002. However old it is.
#[tokio::test]
async fn an_archived_event_that_is_sent_again_is_still_the_same_event() {
    let world = world().await;
    let client = world.app.client().await;
    let body = json!({"event_id": "0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f", "event_type": "a", "stream_id": "order:1", "data": {"a": 1}});
    let first = create(&client, body.clone()).await;
    let keyed = json!({"event_type": "b", "stream_id": "order:1", "expected_version": 1});
    let second = client.post_once("a-key", "/api/v1/events/create", &keyed).await.ok();
    wait(&world).await;
    assert_eq!(archive(&world).await.events, 2);
    assert_eq!(create(&client, body.clone()).await, first);
    assert_eq!(client.post_once("a-key", "/api/v1/events/create", &keyed).await.ok()["event_id"], second["event_id"]);
    let mut other = body;
    other["data"] = json!({"a": 2});
    assert_eq!(client.post("/api/v1/events/create", &other).await.status, 409);
    let stale = json!({"event_type": "b", "stream_id": "order:1", "expected_version": 1});
    assert_eq!(client.post("/api/v1/events/create", &stale).await.status, 409, "the stream goes on where it was");
    let next = create(&client, json!({"event_type": "c", "stream_id": "order:1", "expected_version": 2})).await;
    let stream = client.get("/api/v1/events/stream/order:1").await.ok();
    let ids: Vec<&Value> = stream["events"].as_array().unwrap().iter().map(|event| &event["event_id"]).collect();
    assert_eq!(ids, [&json!(first), &second["event_id"], &json!(next)]);
}

/// Of a stream, and of a range of time.
#[tokio::test]
async fn archived_events_are_replayed() {
    let world = world().await;
    let client = world.app.client().await;
    subscribe(&client, json!({"subscriber_name": "shop"})).await;
    for number in 1..=3 {
        create(&client, json!({"event_type": format!("v{number}"), "stream_id": "order:1"})).await;
    }
    wait(&world).await;
    assert_eq!(archive(&world).await.events, 3);
    let replays = [
        json!({"stream_id": "order:1", "target_service": "shop"}),
        json!({"start_time": "2026-11-23T00:00:00Z", "end_time": "2026-11-24T00:00:00Z", "target_service": "shop"}),
    ];
    for asked in replays {
        let before = world.receivers.requests(URL).len();
        let id = client.post("/api/v1/events/replay", &asked).await.ok()["replay_id"].clone();
        world.settle().await;
        let ended = client.get(&format!("/api/v1/events/replay/{}", id.as_str().unwrap())).await.ok();
        assert_eq!(json!([ended["status"], ended["replayed"], ended["failed"]]), json!(["completed", 3, 0]), "{asked}");
        let sent = world.receivers.requests(URL);
        let types: Vec<Value> = sent[before..].iter().map(|request| request.json()["type"].clone()).collect();
        assert_eq!(types, ["v1", "v2", "v3"]);
    }
}

/// They are still to be dealt with.
#[tokio::test]
async fn failed_events_stay_in_the_table_until_they_are_dealt_with() {
    let world = world().await;
    let client = world.app.client().await;
    let config = json!({"url": URL, "secret": "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"});
    let processor = json!({"processor_name": "hook", "processor_type": "webhook", "config": config, "retry_policy": {"max_attempts": 1}});
    client.post("/api/v1/events/processors", &processor).await.succeeds();
    world.app.pass(60);
    world.receivers.next(URL, [event_service_tests::receivers::Reaction::Answer(400)]);
    create(&client, json!({"event_type": "a", "stream_id": "order:1"})).await;
    world.settle().await;
    create(&client, json!({"event_type": "a", "stream_id": "order:1"})).await;
    wait(&world).await;
    assert_eq!(statistics(&client).await, json!([2, 1, 1, 0]));
    assert_eq!(archive(&world).await.events, 1);
    assert_eq!(statistics(&client).await, json!([2, 0, 1, 1]));
    assert_eq!(client.post("/api/v1/events/dead-letters/redrive", &json!({"all": true})).await.ok()["count"], 1);
    world.settle().await;
    assert_eq!(statistics(&client).await, json!([2, 1, 0, 1]));
    assert_eq!(archive(&world).await.events, 1);
    assert_eq!(statistics(&client).await, json!([2, 0, 0, 2]));
}
