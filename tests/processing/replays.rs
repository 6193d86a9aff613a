//! Events of the past, sent again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use event_service_tests::app::{Client, TestApp};
use event_service_tests::receivers::{Delivered, Reaction, Receivers};
use event_service_tests::world::World;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use shared::adapters::memory::MemoryBus;
use shared::commands::append::AppendPorts;
use shared::commands::run_processor::RunProcessorPorts;
use shared::commands::run_replays::{RunReplaysPorts, run_replay};
use shared::commands::send_webhook::SendWebhookPorts;
use shared::commands::sweep::SweepReach;
use shared::domain::identifiers::{OrganizationId, ReplayId};
use shared::domain::queue::{Outgoing, Queue, WorkQueue};
use shared::domain::replay::Replay;
use shared::domain::timestamp::Timestamp;
use shared::domain::webhook_url::WebhookUrl;
use shared::http::webhook_body::webhook_body;
use shared::ports::queue::{QueueError, QueueReceiver as _, QueueSender};
use shared::ports::replay_store::ReplayStore;
use shared::ports::revision::Revision;
use shared::ports::store_error::StoreError;
use shared::ports::webhook_sender::{SendError, WebhookAnswer, WebhookRequest, WebhookSender};

use crate::delivery::{URL, create, subscribe};

const REPLAY: &str = "/api/v1/events/replay";
const PROCESSORS: &str = "/api/v1/events/processors";

/// Records so many events of `order:1`, of the types `v1`, `v2` and so on.
async fn record(client: &Client<'_>, count: usize) {
    for number in 1..=count {
        create(client, json!({"event_type": format!("v{number}"), "stream_id": "order:1", "data": {"number": number}})).await;
    }
}

async fn start(client: &Client<'_>, body: Value) -> String {
    client.post(REPLAY, &body).await.ok()["replay_id"].as_str().unwrap().to_owned()
}

async fn replay(client: &Client<'_>, id: &str) -> Value {
    client.get(&format!("{REPLAY}/{id}")).await.ok()
}

/// Status, and how many were replayed, skipped and failed.
fn counts(replay: &Value) -> Value {
    json!([replay["status"], replay["replayed"], replay["skipped"], replay["failed"]])
}

fn types(requests: &[Delivered]) -> Vec<String> {
    requests.iter().map(|request| request.json()["type"].as_str().unwrap().to_owned()).collect()
}

/// What the receiver at [`URL`] got of a replay.
fn replayed(world: &World) -> Vec<Delivered> {
    world.receivers.requests(URL).into_iter().filter(|request| request.json()["replay"] == true).collect()
}

/// Scenario 4. BR-STM-004.
#[tokio::test]
async fn a_stream_is_sent_to_one_subscriber_again_in_its_order_and_marked() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({"subscriber_name": "user_service"})).await;
    subscribe(&client, json!({"subscriber_name": "other", "callback_url": "https://other.test/"})).await;
    record(&client, 5).await;
    world.settle().await;
    let (before, others) = (world.receivers.requests(URL), world.receivers.requests("https://other.test/").len());
    let events = client.get("/api/v1/events/stream/order:1").await.ok();
    let asked = json!({"stream_id": "order:1", "from_version": 2, "target_service": "user_service"});

    // The engineer looks first.
    let mut dry = asked.clone();
    dry["dry_run"] = json!(true);
    let preview = client.post(REPLAY, &dry).await.ok();
    assert_eq!(
        json!([preview["status"], preview["dry_run"], preview["replay_id"], preview["events_count"]]),
        json!(["replay_started", true, null, 4])
    );
    let versions: Vec<_> = preview["events"].as_array().unwrap().iter().map(|event| event["stream_version"].clone()).collect();
    assert_eq!(versions, [2, 3, 4, 5]);
    world.settle().await;
    assert_eq!(replayed(&world).len(), 0, "nothing was sent");

    let id = start(&client, asked).await;
    world.settle().await;
    let ended = replay(&client, &id).await;
    assert_eq!(counts(&ended), json!(["completed", 4, 0, 0]));
    let again = replayed(&world);
    assert_eq!(types(&again), ["v2", "v3", "v4", "v5"]);
    for (request, event) in again.iter().zip(&events["events"].as_array().unwrap()[1..]) {
        assert_eq!(
            request.json(),
            json!({"type": event["event_type"], "timestamp": event["timestamp"], "data": event, "replay": true, "replay_id": id})
        );
        assert!(request.header("webhook-signature").starts_with("v1,"));
        assert!(before.iter().all(|first| first.header("webhook-id") != request.header("webhook-id")), "it is no delivery of before");
    }
    assert_eq!(world.receivers.requests("https://other.test/").len(), others, "nobody else gets it");
    assert_eq!(client.get("/api/v1/events/stream/order:1").await.ok(), events, "the events stay as they are");
}

#[tokio::test]
async fn the_bus_is_told_when_a_replay_starts_and_how_it_ended() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({"event_types": ["v1", "v3"]})).await;
    record(&client, 3).await;
    world.settle().await;
    world.receivers.next(URL, [Reaction::Answer(400)]);
    let id = start(&client, json!({"stream_id": "order:1", "target_service": "shop"})).await;
    world.settle().await;
    let [started] = &world.told("event.replay.started")[..] else { panic!("one start") };
    let [completed] = &world.told("event.replay.completed")[..] else { panic!("one end") };
    for told in [started, completed] {
        let data = &told["data"];
        let said = json!([data["replay_id"], data["events_count"], data["stream_id"], data["target_service"], data["dry_run"]]);
        assert_eq!(said, json!([id, 3, "order:1", "shop", false]));
    }
    let data = &completed["data"];
    assert_eq!(
        json!([data["replayed"], data["skipped"], data["failed"], data["success"], data["status"]]),
        json!([1, 1, 1, false, "completed"])
    );
    let ended = replay(&client, &id).await;
    assert_eq!(ended["failures"][0]["reason"], "the receiver answered 400");
}

#[tokio::test]
async fn events_are_named_by_their_ids_and_come_in_the_order_of_their_streams() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({})).await;
    let mut ids = Vec::new();
    for number in 1..=3 {
        ids.push(create(&client, json!({"event_type": format!("v{number}"), "stream_id": "order:1"})).await);
    }
    world.settle().await;
    let body = |ids: &[&String]| json!({"event_ids": ids, "target_service": "shop"});
    let id = start(&client, body(&[&ids[2], &ids[0], &ids[2]])).await;
    world.settle().await;
    assert_eq!(types(&replayed(&world)), ["v1", "v3"]);
    let ended = replay(&client, &id).await;
    assert_eq!(json!([counts(&ended), ended["events_count"]]), json!([["completed", 2, 0, 0], 2]));
    let unknown = "01a20846-fe00-8019-85eb-4c5fa0ffffff".to_owned();
    assert_eq!(client.post(REPLAY, &body(&[&ids[0], &unknown])).await.status, 404);
}

/// A late event is no reason to leave the order of its stream.
#[tokio::test]
async fn what_happened_in_a_range_of_time_is_sent_in_the_order_of_its_streams() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({})).await;
    for (event_type, minute, stream) in [
        ("a1", 10, "order:a"),
        ("b1", 12, "order:b"),
        ("a2", 30, "order:a"),
        ("a3", 20, "order:a"),
        ("b2", 50, "order:b"),
        ("x", 25, "order:b"),
    ] {
        let event = json!({"event_type": event_type, "stream_id": stream, "timestamp": format!("2026-11-23T11:{minute}:00Z"), "event_category": "order"});
        create(&client, event).await;
    }
    world.settle().await;
    let body = |more: Value| {
        let mut body = json!({"start_time": "2026-11-23T11:00:00Z", "end_time": "2026-11-23T11:45:00Z", "target_service": "shop"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let preview = client.post(REPLAY, &body(json!({"dry_run": true}))).await.ok();
    assert_eq!(
        json!([preview["events_count"], preview["events_count_is_exact"], preview["events"][0]["event_type"]]),
        json!([5, true, "a1"])
    );
    let id = start(&client, body(json!({}))).await;
    world.settle().await;
    assert_eq!(counts(&replay(&client, &id).await), json!(["completed", 5, 0, 0]));
    let of = |stream: &str| -> Vec<String> {
        let of_stream = replayed(&world).into_iter().filter(|request| request.event("stream_id") == stream);
        types(&of_stream.collect::<Vec<_>>())
    };
    assert_eq!((of("order:a"), of("order:b")), (vec!["a1".into(), "a2".into(), "a3".into()], vec!["b1".into(), "x".into()]));
    let id = start(&client, body(json!({"event_type": "b1", "event_category": "order", "status": "processed"}))).await;
    world.settle().await;
    assert_eq!(counts(&replay(&client, &id).await), json!(["completed", 1, 0, 0]));
}

/// The results of a replay are its own.
#[tokio::test]
async fn a_processor_is_run_again_and_the_outcomes_stay() {
    let world = World::open().await;
    let client = world.app.client().await;
    record(&client, 3).await;
    world.settle().await;
    let derive = json!({"processor_name": "flag", "processor_type": "transform", "filters": {"event_type": ["v1", "v3"]},
        "config": {"event_type": "order.flagged", "pick": ["number"]}});
    client.post(PROCESSORS, &derive).await.succeeds();
    let statuses = client.get("/api/v1/events/statistics").await.ok();
    for _ in 0..2 {
        let id = start(&client, json!({"stream_id": "order:1", "to_version": 3, "target_service": "processor:flag"})).await;
        world.settle().await;
        assert_eq!(counts(&replay(&client, &id).await), json!(["completed", 2, 1, 0]));
    }
    let stream = client.get("/api/v1/events/stream/order:1").await.ok();
    let types: Vec<_> = stream["events"].as_array().unwrap().iter().map(|event| event["event_type"].clone()).collect();
    assert_eq!(types, ["v1", "v2", "v3", "order.flagged", "order.flagged"], "each is derived once");
    for event in &stream["events"].as_array().unwrap()[..3] {
        assert_eq!(json!([event["status"], event["processors"]]), json!(["processed", []]));
    }
    assert_eq!(statuses["failed_events"], 0);
}

#[tokio::test]
async fn a_replay_is_put_on_the_bus_under_the_name_of_its_target() {
    let world = World::open().await;
    let client = world.app.client().await;
    record(&client, 2).await;
    let id = start(&client, json!({"stream_id": "order:1", "target_service": "eventbridge:audit"})).await;
    world.settle().await;
    let [told] = &world.told("events.replay.audit.v2")[..] else { panic!("one entry") };
    assert_eq!(json!([told["type"], told["replay"], told["replay_id"], told["data"]["stream_version"]]), json!(["v2", true, id, 2]));
}

#[tokio::test]
async fn everybody_gets_a_replay_only_if_that_is_said() {
    let world = World::open().await;
    let client = world.app.client().await;
    record(&client, 2).await;
    world.settle().await;
    subscribe(&client, json!({"subscription_id": "s1", "event_types": ["v1"]})).await;
    subscribe(&client, json!({"subscription_id": "s2", "callback_url": "https://other.test/"})).await;
    let refused = client.post(REPLAY, &json!({"stream_id": "order:1"})).await;
    assert_eq!(refused.status, 422, "{refused}");
    let id = start(&client, json!({"stream_id": "order:1", "all": true})).await;
    world.settle().await;
    assert_eq!(counts(&replay(&client, &id).await), json!(["completed", 2, 0, 0]));
    assert_eq!(
        (types(&world.receivers.requests(URL)), types(&world.receivers.requests("https://other.test/"))),
        (vec!["v1".into()], vec!["v1".into(), "v2".into()])
    );
}

#[tokio::test]
async fn who_cannot_be_reached_is_told_before_anything_is_sent() {
    let world = World::open().await;
    let client = world.app.client().await;
    record(&client, 1).await;
    subscribe(&client, json!({"subscription_id": "off", "subscriber_name": "off", "enabled": false})).await;
    for name in ["s1", "s2"] {
        subscribe(&client, json!({"subscription_id": name, "subscriber_name": "twins"})).await;
    }
    client.post(PROCESSORS, &json!({"processor_name": "p", "processor_type": "internal", "enabled": false})).await.succeeds();
    for (target, status) in
        [("nobody", 422), ("processor:nobody", 422), ("twins", 422), ("eventbridge:", 422), ("off", 409), ("processor:p", 409)]
    {
        for dry_run in [true, false] {
            let answer = client.post(REPLAY, &json!({"stream_id": "order:1", "target_service": target, "dry_run": dry_run})).await;
            assert_eq!(answer.status, status, "{target}: {answer}");
        }
    }
    assert_eq!(client.post(REPLAY, &json!({"stream_id": "order:2", "target_service": "s1"})).await.status, 404);
    assert_eq!(client.get(REPLAY).await.ok()["replays"], json!([]));
}

#[tokio::test]
async fn an_organization_replays_its_own_events_to_its_own() {
    let world = World::open().await;
    let (platform, acme, other) = (world.app.client().await, world.app.client_of("acme").await, world.app.client_of("other").await);
    for client in [&acme, &other] {
        create(client, json!({"event_type": "v1", "stream_id": "order:1"})).await;
    }
    subscribe(&acme, json!({"subscription_id": "acmes"})).await;
    subscribe(&platform, json!({"subscription_id": "platforms", "callback_url": "https://platform.test/"})).await;
    let body = |target: &str| json!({"stream_id": "order:1", "target_service": target});
    assert_eq!(acme.post(REPLAY, &body("platforms")).await.status, 422);
    assert_eq!(other.post(REPLAY, &body("acmes")).await.status, 422);
    for (more, status) in [
        (json!({"all": true}), 403),
        (json!({"target_service": "eventbridge:x"}), 403),
        (json!({"target_service": "acmes", "organization_id": "other"}), 403),
    ] {
        let mut body = json!({"stream_id": "order:1"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(acme.post(REPLAY, &body).await.status, status, "{body}");
    }
    assert_eq!(platform.post(REPLAY, &body("platforms")).await.status, 409, "whose stream?");
    let id = start(&acme, body("acmes")).await;
    world.settle().await;
    assert_eq!(counts(&replay(&acme, &id).await), json!(["completed", 1, 0, 0]));
    assert_eq!(replayed(&world)[0].event("organization_id"), "acme");
    for path in [format!("{REPLAY}/{id}")] {
        assert_eq!((other.get(&path).await.status.as_u16(), other.delete(&path).await.status.as_u16()), (404, 404));
        assert_eq!(platform.get(&path).await.ok()["replay_id"], id);
    }
    let listed = async |client: &Client<'_>| client.get(REPLAY).await.ok()["replays"].as_array().unwrap().len();
    assert_eq!((listed(&acme).await, listed(&other).await, listed(&platform).await), (1, 0, 1));
    // By their ids, somebody else's events are not there.
    let theirs = other.get("/api/v1/events/stream/order:1").await.ok()["events"][0]["event_id"].clone();
    assert_eq!(acme.post(REPLAY, &json!({"event_ids": [theirs], "target_service": "acmes"})).await.status, 404);
}

#[tokio::test]
async fn a_receiver_that_is_down_is_asked_again_and_nothing_overtakes() {
    let world = World::open().await;
    let client = world.app.client().await;
    record(&client, 3).await;
    world.settle().await;
    subscribe(&client, json!({})).await;
    world.receivers.next(URL, [Reaction::Answer(200), Reaction::Answer(503), Reaction::Hang, Reaction::AnswerAndRest(429, 600)]);
    let began = world.app.now();
    let id = start(&client, json!({"stream_id": "order:1", "target_service": "shop"})).await;
    world.settle().await;
    assert_eq!(counts(&replay(&client, &id).await), json!(["running", 1, 0, 0]));
    world.pass(Duration::from_mins(30)).await;
    assert_eq!(counts(&replay(&client, &id).await), json!(["completed", 3, 0, 0]));
    let requests = replayed(&world);
    assert_eq!(types(&requests), ["v1", "v2", "v2", "v2", "v2", "v3"]);
    assert!(requests[4].at.since(requests[3].at).unwrap() >= Duration::from_mins(10), "as it has asked for");
    assert!(requests[1].header("webhook-id") == requests[4].header("webhook-id"));
    assert!(requests[5].at.since(began).unwrap() < Duration::from_mins(20));
}

#[tokio::test]
async fn an_event_that_is_never_taken_is_counted_and_holds_up_nothing_for_good() {
    let world = World::open().await;
    let client = world.app.client().await;
    record(&client, 3).await;
    world.settle().await;
    subscribe(&client, json!({})).await;
    world.receivers.next(URL, std::iter::repeat_n(Reaction::Answer(500), 6));
    let id = start(&client, json!({"stream_id": "order:1", "target_service": "shop"})).await;
    world.pass(Duration::from_hours(1)).await;
    let ended = replay(&client, &id).await;
    assert_eq!(json!([counts(&ended), ended["failures"][0]["reason"]]), json!([["completed", 2, 0, 1], "the receiver answered 500"]));
    assert_eq!(types(&replayed(&world)), ["v1", "v1", "v1", "v1", "v1", "v1", "v2", "v3"]);
}

#[tokio::test]
async fn a_target_that_takes_nothing_ends_the_replay() {
    let world = World::open().await;
    let client = world.app.client().await;
    record(&client, 30).await;
    world.settle().await;
    subscribe(&client, json!({})).await;
    world.receivers.always(URL, Reaction::Refuse);
    let id = start(&client, json!({"stream_id": "order:1", "target_service": "shop"})).await;
    world.pass(Duration::from_hours(4)).await;
    let ended = replay(&client, &id).await;
    assert_eq!(counts(&ended), json!(["failed", 0, 0, 10]));
    assert!(ended["reason"].as_str().unwrap().starts_with("the target takes nothing: "), "{ended}");
    for (reaction, reason) in
        [(Reaction::Answer(410), "the receiver answered 410"), (Reaction::Answer(200), "the subscription is disabled")]
    {
        world.receivers.always(URL, reaction);
        let id = start(&client, json!({"stream_id": "order:1", "target_service": "shop", "rate_limit": 1})).await;
        if reason.contains("disabled") {
            let all = client.get("/api/v1/events/subscriptions").await.ok();
            let path = format!("/api/v1/events/subscriptions/{}", all[0]["subscription_id"].as_str().unwrap());
            client.patch(&path, &json!({"enabled": false})).await.succeeds();
        }
        world.settle().await;
        let ended = replay(&client, &id).await;
        assert_eq!(json!([ended["status"], ended["reason"]]), json!(["failed", reason]));
        assert_eq!(ended["failed"], u8::from(reason.ends_with("410")), "what was refused is counted: {ended}");
    }
}

/// Records so many events of `order:1` in one commit.
async fn record_batch(client: &Client<'_>, count: usize) {
    let event = json!({"event_type": "many", "stream_id": "order:1"});
    client.post("/api/v1/events/batch", &json!(vec![event; count])).await.succeeds();
}

/// How often it was saved.
async fn saves(world: &World, id: &str) -> u64 {
    world.app.app.stores.replays.replay(&id.parse().unwrap()).await.unwrap().1.0
}

/// However many events a commit has.
#[tokio::test]
async fn batches_are_sent_in_parts_and_what_is_refused_a_hundred_times_is_not_sent_again_and_again() {
    let world = World::open().await;
    let client = world.app.client().await;
    for _ in 0..5 {
        record_batch(&client, 100).await;
    }
    world.settle().await;
    subscribe(&client, json!({})).await;
    let asked = json!({"stream_id": "order:1", "from_version": 50, "to_version": 470, "target_service": "shop", "rate_limit": 1000});
    let id = start(&client, asked).await;
    world.settle().await;
    assert_eq!(counts(&replay(&client, &id).await), json!(["completed", 421, 0, 0]));
    let versions: Vec<u64> = replayed(&world).iter().map(|request| request.event("stream_version").as_u64().unwrap()).collect();
    assert_eq!(versions, (50..=470).collect::<Vec<u64>>());
    assert!(saves(&world, &id).await >= 5, "when it was begun, taken up, twice on its way, and at its end");
    world.receivers.always(URL, Reaction::Answer(400));
    let id = start(&client, json!({"stream_id": "order:1", "target_service": "shop"})).await;
    world.settle().await;
    assert_eq!(counts(&replay(&client, &id).await), json!(["failed", 0, 0, 100]));
    assert_eq!(replayed(&world).len(), 421 + 100);
}

#[tokio::test]
async fn a_replay_keeps_to_its_rate() {
    let world = World::open().await;
    let client = world.app.client().await;
    record(&client, 100).await;
    world.settle().await;
    subscribe(&client, json!({})).await;
    let id = start(&client, json!({"stream_id": "order:1", "target_service": "shop", "rate_limit": 2})).await;
    world.settle().await;
    assert!(saves(&world, &id).await >= 25, "how far it is, and whether it is to go on, is looked at every two seconds");
    let requests = replayed(&world);
    assert_eq!(requests.len(), 100);
    let took = requests[99].at.since(requests[0].at).unwrap();
    assert!((Duration::from_secs(45)..Duration::from_mins(1)).contains(&took), "{took:?}, in several parts");
}

#[tokio::test]
async fn a_canceled_replay_sends_no_more() {
    let world = World::open().await;
    let client = world.app.client().await;
    record(&client, 3).await;
    world.settle().await;
    subscribe(&client, json!({})).await;
    world.receivers.next(URL, [Reaction::Answer(200), Reaction::Answer(503)]);
    let id = start(&client, json!({"stream_id": "order:1", "target_service": "shop"})).await;
    world.settle().await;
    let path = format!("{REPLAY}/{id}");
    for _ in 0..2 {
        assert_eq!(counts(&client.delete(&path).await.ok()), json!(["canceled", 1, 0, 0]));
    }
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(
        (types(&replayed(&world)), counts(&replay(&client, &id).await)),
        (vec!["v1".into(), "v2".into()], json!(["canceled", 1, 0, 0]))
    );
    let [told] = &world.told("event.replay.completed")[..] else { panic!("one end") };
    assert_eq!(json!([told["data"]["status"], told["data"]["success"]]), json!(["canceled", false]));
    let done = start(&client, json!({"stream_id": "order:1", "target_service": "shop"})).await;
    world.settle().await;
    assert_eq!(client.delete(&format!("{REPLAY}/{done}")).await.status, 409);
}

#[tokio::test]
async fn a_replay_whose_message_was_lost_is_found_by_the_sweep() {
    let world = World::open().await;
    let client = world.app.client().await;
    record(&client, 3).await;
    world.settle().await;
    subscribe(&client, json!({})).await;
    let id = start(&client, json!({"stream_id": "order:1", "target_service": "shop"})).await;
    let queue = Queue::Work(WorkQueue::Replay);
    for message in world.background.queues.receive(&queue, 10, Duration::from_mins(1)).await.unwrap() {
        world.background.queues.remove(&queue, &message.receipt).await.unwrap();
    }
    world.settle().await;
    assert_eq!(counts(&replay(&client, &id).await), json!(["running", 0, 0, 0]));
    world.app.pass(180);
    assert_eq!(world.sweep(SweepReach::USUAL).await.replays, 1);
    world.settle().await;
    assert_eq!(counts(&replay(&client, &id).await), json!(["completed", 3, 0, 0]));
    world.app.pass(3600);
    assert_eq!(world.sweep(SweepReach::USUAL).await.replays, 0);
}

/// What a subscriber knows that keeps the last event of each stream, and drops what it has seen.
fn known(requests: &[Delivered]) -> BTreeMap<String, Vec<Value>> {
    let mut known: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for request in requests {
        let events = known.entry(request.event("stream_id").to_string()).or_default();
        let event = request.event("event_id");
        if !events.contains(&event) {
            events.push(event);
        }
    }
    known
}

#[tokio::test]
async fn a_late_subscriber_that_is_rebuilt_by_replay_equals_one_that_was_there_from_the_start() {
    let world = World::open().await;
    let client = world.app.client().await;
    subscribe(&client, json!({"subscriber_name": "early", "ordering": "stream", "event_types": ["v*"]})).await;
    for round in 0..40 {
        let minute = format!("2026-11-23T11:{:02}:00Z", (round * 7) % 60);
        let event_type = if round % 5 == 0 { "other".to_owned() } else { format!("v{round}") };
        create(&client, json!({"event_type": event_type, "stream_id": format!("order:{}", round % 3), "timestamp": minute})).await;
        world.app.pass(1);
    }
    world.pass(Duration::from_mins(5)).await;
    subscribe(
        &client,
        json!({"subscriber_name": "late", "ordering": "stream", "event_types": ["v*"], "callback_url": "https://late.test/"}),
    )
    .await;
    world.receivers.next("https://late.test/", [200, 200, 503, 200, 500].map(Reaction::Answer));
    let body = json!({"start_time": "2026-11-23T00:00:00Z", "end_time": "2026-11-24T00:00:00Z", "target_service": "late"});
    let id = start(&client, body).await;
    world.pass(Duration::from_mins(30)).await;
    assert_eq!(counts(&replay(&client, &id).await), json!(["completed", 32, 8, 0]));
    let (early, late) = (known(&world.receivers.taken(URL)), known(&world.receivers.taken("https://late.test/")));
    assert_eq!(early.values().map(Vec::len).sum::<usize>(), 32);
    assert_eq!(late, early);
}

/// Does what it is told to until an effect that is one too many: then it does nothing any more, or does that one and never says so.
struct Mortal {
    app: Arc<local::app::App>,
    receivers: Arc<Receivers>,
    left: AtomicUsize,
    does_the_last: bool,
    died: tokio::sync::Notify,
}

impl Mortal {
    /// Does something, unless its time is over.
    async fn effect<T>(&self, doing: impl Future<Output = T>) -> T {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            0 => {
                self.left.store(0, Ordering::SeqCst);
                if self.does_the_last {
                    doing.await;
                }
                self.died.notify_one();
                std::future::pending().await
            }
            _ => doing.await,
        }
    }
}

#[async_trait]
impl WebhookSender for Mortal {
    async fn vet(&self, url: &WebhookUrl) -> Result<(), SendError> {
        self.receivers.vet(url).await
    }

    async fn send(&self, request: &WebhookRequest) -> Result<WebhookAnswer, SendError> {
        self.effect(self.receivers.send(request)).await
    }
}

#[async_trait]
impl QueueSender for Mortal {
    async fn send(&self, queue: &Queue, messages: &[Outgoing]) -> Result<(), QueueError> {
        self.effect(self.app.queues.send(queue, messages)).await
    }
}

#[async_trait]
impl ReplayStore for Mortal {
    async fn replay(&self, id: &ReplayId) -> Result<(Option<Replay>, Revision), StoreError> {
        self.app.stores.replays.replay(id).await
    }

    async fn save_replay(&self, replay: &Replay, seen: Revision) -> Result<bool, StoreError> {
        self.effect(self.app.stores.replays.save_replay(replay, seen)).await
    }

    async fn replays(
        &self,
        organization: Option<&OrganizationId>,
        after: Option<&ReplayId>,
        most: usize,
    ) -> Result<(Vec<Replay>, Option<ReplayId>), StoreError> {
        self.app.stores.replays.replays(organization, after, most).await
    }

    async fn due_replays(&self, now: Timestamp, most: usize) -> Result<Vec<(Replay, Revision)>, StoreError> {
        self.app.stores.replays.due_replays(now, most).await
    }
}

/// A replay that may be interrupted.
struct Interrupted {
    app: TestApp,
    receivers: Arc<Receivers>,
}

impl Interrupted {
    /// Some streams with late events, and a subscriber.
    async fn open(events: &[(u8, i64)]) -> Self {
        let app = TestApp::in_memory();
        let receivers = Arc::new(Receivers::new(app.clock.clone()));
        let client = app.client().await;
        for (stream, minute) in events {
            let at = app.now().plus_micros(-minute * 60_000_000);
            create(&client, json!({"event_type": "a", "stream_id": format!("order:{stream}"), "timestamp": at})).await;
            app.pass(1);
        }
        subscribe(&client, json!({})).await;
        drop(client);
        Self { app, receivers }
    }

    /// Goes on with what is in the queue, until so many effects have come about. Returns how many are left.
    async fn live(&self, effects: usize, does_the_last: bool) -> usize {
        let app = self.app.app.clone();
        let mortal = Mortal {
            app: app.clone(),
            receivers: self.receivers.clone(),
            left: AtomicUsize::new(effects),
            does_the_last,
            died: tokio::sync::Notify::new(),
        };
        let bus = MemoryBus::default();
        let ports = RunReplaysPorts {
            replays: &mortal,
            batch: app.replay_batches(),
            timer: &*app.timer,
            run: RunProcessorPorts {
                append: AppendPorts { log: &*app.stores.log, random: &*app.random, heads: &app.heads },
                webhooks: SendWebhookPorts { sender: &mortal, clock: &*app.clock },
                queues: &mortal,
                bus: Some(&bus),
                write: webhook_body,
                replay: None,
            },
            bridging: app.bridging(),
            alone_since: None,
        };
        let queue = Queue::Work(WorkQueue::Replay);
        let work = async {
            loop {
                let received = self.app.queues.receive(&queue, 1, Duration::from_mins(3)).await.unwrap();
                let Some(message) = received.into_iter().next() else { break };
                if run_replay(&ports, &serde_json::from_str(&message.body).unwrap()).await.is_ok() {
                    self.app.queues.remove(&queue, &message.receipt).await.unwrap();
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = mortal.died.notified() => {}
        }
        mortal.left.load(Ordering::SeqCst)
    }

    /// Lets so much time pass that everything can be taken up again, and has the sweep look.
    async fn recover(&self) {
        self.app.pass(600);
        let app = &self.app.app;
        for (replay, _) in app.stores.replays.due_replays(self.app.now(), 10).await.unwrap() {
            app.queues.send(&Queue::Work(WorkQueue::Replay), &[shared::commands::run_replays::replay_message(&replay)]).await.unwrap();
        }
    }

    /// Each event was sent, those of a stream in their order; and the counts are right.
    async fn check(&self, events: &[(u8, i64)], id: &str) -> Result<(), TestCaseError> {
        let client = self.app.client().await;
        let ended = replay(&client, id).await;
        prop_assert_eq!(counts(&ended), json!(["completed", events.len(), 0, 0]));
        let mut by_stream: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for request in self.receivers.taken(URL) {
            by_stream.entry(request.event("stream_id").to_string()).or_default().push(request.event("stream_version").as_u64().unwrap());
        }
        let mut count = 0;
        for (stream, versions) in by_stream {
            let mut reached = 0;
            for version in &versions {
                prop_assert!(*version <= reached + 1, "{} was overtaken: {:?}", stream, versions);
                reached = reached.max(*version);
            }
            count += reached;
        }
        prop_assert_eq!(count, events.len() as u64);
        Ok(())
    }
}

fn by_time() -> Value {
    json!({"start_time": "2026-11-22T00:00:00Z", "end_time": "2026-11-24T00:00:00Z", "target_service": "shop", "rate_limit": 1000})
}

/// Whenever it is killed, each event is sent at least once, in order, and the replay ends with the right counts.
#[tokio::test]
async fn a_replay_that_is_killed_at_any_step_goes_on_from_its_checkpoint() {
    let events = [(1, 10), (2, 5), (1, 40), (1, 1), (2, 30), (3, 2), (1, 20)];
    for body in [by_time(), json!({"stream_id": "order:1", "target_service": "shop"})] {
        let expected: Vec<(u8, i64)> = events.into_iter().filter(|(stream, _)| body["stream_id"].is_null() || *stream == 1).collect();
        for does_the_last in [true, false] {
            for effects in 0.. {
                let world = Interrupted::open(&events).await;
                let id = start(&world.app.client().await, body.clone()).await;
                let left = world.live(effects, does_the_last).await;
                world.recover().await;
                world.live(usize::MAX, false).await;
                world.check(&expected, &id).await.unwrap();
                if left > 0 {
                    assert!(effects > expected.len(), "it was killed at each");
                    break;
                }
            }
        }
    }
}

/// The same for histories with late events, and several kills.
#[test]
fn no_history_and_no_kills_lose_or_reorder_a_replay() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, max_shrink_iters: 300, ..Config::default() });
    let histories = (prop::collection::vec((0..3_u8, 0..90_i64), 1..300), prop::collection::vec((0..120_usize, any::<bool>()), 0..4));
    let checked = runner.run(&histories, |(events, kills)| {
        runtime.block_on(async {
            let world = Interrupted::open(&events).await;
            let id = start(&world.app.client().await, by_time()).await;
            for (effects, does_the_last) in kills {
                world.live(effects, does_the_last).await;
                world.recover().await;
            }
            for _ in 0..3 {
                world.live(usize::MAX, false).await;
                world.recover().await;
            }
            world.check(&events, &id).await
        })
    });
    if let Err(error) = checked {
        panic!("{error}");
    }
}
