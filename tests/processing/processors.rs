//! Processors: order, priority, isolation, retries, results.

use std::time::Duration;

use event_service_tests::app::Client;
use event_service_tests::receivers::Reaction;
use event_service_tests::world::World;
use serde_json::{Value, json};

/// Registers a webhook processor that sends to `http://<name>.test/`.
async fn register(client: &Client<'_>, name: &str, more: Value) -> Value {
    let mut body = json!({
        "processor_name": name, "processor_type": "webhook", "config": {"url": url(name)},
        "retry_policy": {"max_retries": 2, "backoff_seconds": [10, 60]}
    });
    for (member, value) in more.as_object().unwrap() {
        body[member] = value.clone();
    }
    client.post("/api/v1/events/processors", &body).await.ok()
}

fn url(name: &str) -> String {
    format!("http://{name}.test/")
}

async fn create(client: &Client<'_>, event: Value) -> String {
    client.post("/api/v1/events/create", &event).await.ok()["event_id"].as_str().unwrap().to_owned()
}

async fn get(client: &Client<'_>, id: &str) -> Value {
    client.get(&format!("/api/v1/events/{id}")).await.ok()
}

async fn results(client: &Client<'_>, id: &str) -> Vec<(String, String, u64)> {
    let answer = client.get(&format!("/api/v1/events/{id}/results")).await.ok();
    let result = |result: &Value| {
        let text = |member: &str| result[member].as_str().unwrap().to_owned();
        (text("processor_name"), text("status"), result["attempt"].as_u64().unwrap())
    };
    answer["results"].as_array().unwrap().iter().map(result).collect()
}

fn result(processor: &str, status: &str, attempt: u64) -> (String, String, u64) {
    (processor.to_owned(), status.to_owned(), attempt)
}

/// BR-PRC-001.
#[tokio::test]
async fn the_events_of_a_stream_are_processed_in_their_order() {
    let world = World::open().await;
    let client = world.app.client().await;
    register(&client, "p", json!({})).await;
    for number in 0..30 {
        create(&client, json!({"event_type": "order.changed", "stream_id": format!("order:{}", number % 3), "data": {"number": number}}))
            .await;
    }
    world.settle().await;
    let sent = world.receivers.requests(&url("p"));
    assert_eq!(sent.len(), 30);
    for stream in 0..3 {
        let versions: Vec<u64> = sent
            .iter()
            .filter(|request| request.event("stream_id") == format!("order:{stream}"))
            .map(|request| request.event("stream_version").as_u64().unwrap())
            .collect();
        assert_eq!(versions, (1..=10).collect::<Vec<u64>>());
    }
}

/// BR-PRC-001.
#[tokio::test]
async fn an_event_whose_message_comes_early_waits_for_those_before_it() {
    use shared::commands::dispatch_events::process_messages;
    use shared::domain::queue::{Queue, WorkQueue};
    use shared::domain::stream_id::StreamKey;
    use shared::domain::version::Version;
    use shared::ports::queue::QueueSender as _;
    let world = World::open().await;
    let client = world.app.client().await;
    register(&client, "p", json!({})).await;
    for _ in 0..4 {
        create(&client, json!({"event_type": "a", "stream_id": "order:1"})).await;
    }
    let stream = StreamKey { organization: None, stream: "order:1".parse().unwrap() };
    let early = process_messages(&stream, &[Version::new(3)], "");
    world.background.queues.send(&Queue::Work(WorkQueue::Process), &early).await.unwrap();
    world.work(WorkQueue::Process).await;
    let versions = || {
        world.receivers.requests(&url("p")).iter().map(|request| request.event("stream_version").as_u64().unwrap()).collect::<Vec<u64>>()
    };
    assert_eq!(versions(), [1, 2, 3]);
    world.settle().await;
    assert_eq!(versions(), [1, 2, 3, 4]);
}

/// BR-PRC-001.
#[tokio::test]
async fn a_commit_that_the_tables_stream_has_not_brought_yet_is_read_and_sent_in_its_place() {
    let world = World::open().await;
    let client = world.app.client().await;
    register(&client, "p", json!({})).await;
    let record = async || create(&client, json!({"event_type": "a", "stream_id": "order:1"})).await;
    record().await;
    world.dispatch().await;
    let before = world.store.records_after(None, 500).await.last_sequence;
    for _ in 0..3 {
        record().await;
    }
    // Of the three, the last one is noticed first.
    let mut early = world.store.records_after(before.as_deref(), 500).await;
    early.records.drain(..2);
    world.background.dispatch(early.event()).await.unwrap();
    world.work(shared::domain::queue::WorkQueue::Process).await;
    let versions: Vec<Value> = world.receivers.requests(&url("p")).iter().map(|request| request.event("stream_version")).collect();
    assert_eq!(versions, [1, 2, 3, 4]);
}

/// BR-PRC-002.
#[tokio::test]
async fn processors_run_in_the_order_of_their_priority() {
    let world = World::open().await;
    let client = world.app.client().await;
    for (name, priority) in [("low", -1), ("high", 100), ("middle", 5), ("middle-too", 5)] {
        register(&client, name, json!({"priority": priority})).await;
    }
    let id = create(&client, json!({"event_type": "a"})).await;
    world.settle().await;
    let order: Vec<String> = results(&client, &id).await.into_iter().map(|(name, _, _)| name).collect();
    assert_eq!(order, ["high", "middle", "middle-too", "low"]);
}

/// BR-PRC-003.
#[tokio::test]
async fn a_failed_processor_does_not_block_the_next_one_or_the_next_event() {
    let world = World::open().await;
    let client = world.app.client().await;
    register(&client, "broken", json!({"priority": 9})).await;
    register(&client, "sound", json!({})).await;
    world.receivers.always(&url("broken"), Reaction::Answer(500));
    create(&client, json!({"event_type": "a", "stream_id": "order:1"})).await;
    create(&client, json!({"event_type": "b", "stream_id": "order:1"})).await;
    world.settle().await;
    assert_eq!(world.receivers.taken(&url("sound")).len(), 2);
    assert_eq!(world.receivers.requests(&url("broken")).len(), 2);
}

/// BR-PRC-004.
#[tokio::test]
async fn a_failed_attempt_is_repeated_as_often_as_its_processor_says_and_no_more() {
    let world = World::open().await;
    let client = world.app.client().await;
    for (name, retries) in [("none", 0), ("once", 1), ("four", 4)] {
        register(&client, name, json!({"retry_policy": {"max_retries": retries, "backoff_seconds": [10, 60]}})).await;
        world.receivers.always(&url(name), Reaction::Answer(503));
    }
    let id = create(&client, json!({"event_type": "a"})).await;
    world.pass(Duration::from_hours(1)).await;
    for (name, attempts) in [("none", 1), ("once", 2), ("four", 5)] {
        assert_eq!(world.receivers.requests(&url(name)).len(), attempts, "{name}");
        let of_name: Vec<_> = results(&client, &id).await.into_iter().filter(|(processor, _, _)| processor == name).collect();
        let expected: Vec<_> = (1..=attempts as u64)
            .map(|attempt| result(name, if attempt == attempts as u64 { "failed" } else { "retry" }, attempt))
            .collect();
        assert_eq!(of_name, expected, "{name}");
    }
}

/// BR-PRC-004.
#[tokio::test]
async fn a_retry_comes_when_the_processor_says_or_the_receiver_asks_for() {
    let world = World::open().await;
    let client = world.app.client().await;
    register(&client, "p", json!({})).await;
    world.receivers.next(&url("p"), [Reaction::Answer(500), Reaction::AnswerAndRest(429, 300), Reaction::Answer(200)]);
    create(&client, json!({"event_type": "a"})).await;
    world.pass(Duration::from_hours(1)).await;
    let at: Vec<i64> = world.receivers.requests(&url("p")).iter().map(|request| request.at.millis() / 1000).collect();
    assert_eq!(at.len(), 3);
    assert!((9..=11).contains(&(at[1] - at[0])), "{at:?}");
    // It asked for five minutes, which is more than the minute that the policy has.
    assert!((269..=331).contains(&(at[2] - at[1])), "{at:?}");
}

/// BR-PRC-005.
#[tokio::test]
async fn every_attempt_is_recorded_with_what_was_said_and_how_long_it_took() {
    let world = World::open().await;
    let client = world.app.client().await;
    register(&client, "p", json!({})).await;
    register(&client, "unknown", json!({"processor_type": "teleport"})).await;
    world.receivers.next(&url("p"), [Reaction::Refuse, Reaction::Hang, Reaction::Answer(204)]);
    let id = create(&client, json!({"event_type": "a"})).await;
    world.pass(Duration::from_mins(30)).await;
    let mut found = results(&client, &id).await;
    found.sort();
    assert_eq!(found, [result("p", "retry", 1), result("p", "retry", 2), result("p", "success", 3), result("unknown", "skipped", 1)]);
    let answer = client.get(&format!("/api/v1/events/{id}/results")).await.ok();
    let messages = answer["results"].to_string();
    for said in ["nobody listens", "no answer within 15s", "answered 204", "processors of type teleport are not known here"] {
        assert!(messages.contains(said), "{said} in {messages}");
    }
    let event = get(&client, &id).await;
    assert_eq!((event["status"].as_str(), event["retry_count"].as_u64()), (Some("processed"), Some(2)));
}

/// BR-PRC-006.
#[tokio::test]
async fn an_event_is_processed_only_once_all_of_its_processors_have_succeeded() {
    let world = World::open().await;
    let client = world.app.client().await;
    register(&client, "one", json!({})).await;
    register(&client, "two", json!({})).await;
    world.receivers.next(&url("two"), [Reaction::Answer(500)]);
    let id = create(&client, json!({"event_type": "a"})).await;
    assert_eq!(get(&client, &id).await["status"], "pending");
    world.settle().await;
    assert_eq!(get(&client, &id).await["status"], "processing");
    world.pass(Duration::from_mins(1)).await;
    let event = get(&client, &id).await;
    assert_eq!(event["status"], "processed");
    assert_eq!(event["processors"], json!(["one", "two"]));
    let statistics = client.get("/api/v1/events/statistics").await.ok();
    assert_eq!((statistics["processed_events"].as_u64(), statistics["pending_events"].as_u64()), (Some(1), Some(0)));
}

/// BR-PRC-007.
#[tokio::test]
async fn an_event_is_failed_after_the_last_retry_and_not_before_and_can_be_sent_again() {
    let world = World::open().await;
    let client = world.app.client().await;
    register(&client, "p", json!({})).await;
    world.receivers.always(&url("p"), Reaction::Answer(500));
    let id = create(&client, json!({"event_type": "a"})).await;
    world.pass(Duration::from_secs(15)).await;
    assert_eq!(get(&client, &id).await["status"], "processing");
    world.pass(Duration::from_mins(5)).await;
    let event = get(&client, &id).await;
    assert_eq!((event["status"].as_str(), event["error_message"].as_str()), (Some("failed"), Some("answered 500: status 500")));
    let letters = client.get("/api/v1/events/dead-letters").await.ok();
    assert_eq!(letters["dead_letters"].as_array().unwrap().len(), 1, "{letters}");
    assert_eq!(letters["dead_letters"][0]["event_id"], id.as_str());

    world.receivers.always(&url("p"), Reaction::Answer(200));
    let redriven = client.post("/api/v1/events/dead-letters/redrive", &json!({"all": true})).await.ok();
    assert_eq!(redriven["count"], 1);
    world.pass(Duration::from_mins(1)).await;
    assert_eq!(get(&client, &id).await["status"], "processed");
    assert_eq!(client.get("/api/v1/events/dead-letters").await.ok()["dead_letters"], json!([]));
    let statistics = client.get("/api/v1/events/statistics").await.ok();
    assert_eq!((statistics["processed_events"].as_u64(), statistics["failed_events"].as_u64()), (Some(1), Some(0)));
}

#[tokio::test]
async fn a_receiver_that_says_the_request_is_wrong_is_not_asked_again() {
    let world = World::open().await;
    let client = world.app.client().await;
    register(&client, "p", json!({})).await;
    world.receivers.always(&url("p"), Reaction::Answer(400));
    let id = create(&client, json!({"event_type": "a"})).await;
    world.pass(Duration::from_hours(1)).await;
    assert_eq!(world.receivers.requests(&url("p")).len(), 1);
    assert_eq!(get(&client, &id).await["status"], "failed");
}

#[tokio::test]
async fn an_event_that_no_processor_is_given_is_processed_and_costs_nothing() {
    let world = World::open().await;
    let client = world.app.client().await;
    register(&client, "p", json!({"filters": {"event_type": "order.*", "data": {"total": {"gte": 100}}}})).await;
    let small = create(&client, json!({"event_type": "order.placed", "data": {"total": 99}})).await;
    let large = create(&client, json!({"event_type": "order.placed", "data": {"total": 100}})).await;
    world.settle().await;
    assert_eq!(get(&client, &small).await["status"], "processed");
    assert_eq!(results(&client, &small).await, []);
    assert_eq!(results(&client, &large).await, [result("p", "success", 1)]);
    assert_eq!(world.receivers.count(), 1);
}

#[tokio::test]
async fn a_processor_that_is_switched_off_gets_nothing_and_one_that_is_switched_on_gets_what_comes_after() {
    let world = World::open().await;
    let client = world.app.client().await;
    let id = register(&client, "p", json!({})).await["processor_id"].as_str().unwrap().to_owned();
    let toggle = format!("/api/v1/events/processors/{id}/toggle");
    for enabled in [false, true, false, true] {
        let answer = client.put(&toggle).await.ok();
        assert_eq!(answer, json!({"status": "updated", "processor_id": id, "enabled": enabled}));
        create(&client, json!({"event_type": format!("while-{enabled}")})).await;
    }
    world.settle().await;
    let types: Vec<Value> = world.receivers.requests(&url("p")).iter().map(|request| request.event("event_type")).collect();
    assert_eq!(types, ["while-true", "while-true"]);
}

#[tokio::test]
async fn an_event_that_waits_for_a_processor_that_was_switched_off_is_skipped_by_it() {
    let world = World::open().await;
    let client = world.app.client().await;
    let id = register(&client, "p", json!({})).await["processor_id"].as_str().unwrap().to_owned();
    let event = create(&client, json!({"event_type": "a"})).await;
    client.put(&format!("/api/v1/events/processors/{id}/toggle?enabled=false")).await.succeeds();
    world.settle().await;
    assert_eq!(results(&client, &event).await, [result("p", "skipped", 1)]);
    assert_eq!(get(&client, &event).await["status"], "processed");
    assert_eq!(world.receivers.count(), 0);
}

#[tokio::test]
async fn a_transform_records_a_derived_event_once_however_often_it_runs() {
    let world = World::open().await;
    let client = world.app.client().await;
    let config = json!({
        "event_type": "order.summary", "pick": ["order_id"], "set": {"source": "transform"},
        "template": {"line": "Order {{ data.order_id }} of {{ user_id }}"}
    });
    // Its own events would fit its filter: that would go on for ever.
    let body = json!({"processor_name": "summary", "processor_type": "transform", "filters": {"event_type": "order.*"}, "config": config});
    client.post("/api/v1/events/processors", &body).await.succeeds();
    let id = create(&client, json!({"event_type": "order.placed", "user_id": "u1", "stream_id": "order:7", "data": {"order_id": 7}})).await;
    world.settle().await;
    world.dispatch_again();
    world.settle().await;
    let stream = client.get("/api/v1/events/stream/order:7").await.ok();
    let events = stream["events"].as_array().unwrap();
    assert_eq!(events.len(), 2, "{stream}");
    let derived = &events[1];
    assert_eq!(derived["data"], json!({"order_id": 7, "source": "transform", "line": "Order 7 of u1"}));
    assert_eq!(derived["correlation_id"], id.as_str());
    assert_eq!(derived["metadata"]["causation_id"], id.as_str());
    let derived_id = derived["event_id"].as_str().unwrap();
    assert_eq!(results(&client, derived_id).await, [result("summary", "skipped", 1)]);
    assert_eq!(get(&client, derived_id).await["status"], "processed");
}

#[tokio::test]
async fn a_publish_processor_puts_events_on_a_bus_or_into_a_queue() {
    use shared::domain::queue::Queue;
    use shared::ports::queue::QueueReceiver as _;
    let world = World::open().await;
    let client = world.app.client().await;
    for (name, config) in [
        ("bus", json!({"target": "eventbridge", "bus": "partners", "detail_type": "order"})),
        ("queue", json!({"target": "sqs", "queue": "orders"})),
    ] {
        let body = json!({"processor_name": name, "processor_type": "publish", "config": config});
        client.post("/api/v1/events/processors", &body).await.succeeds();
    }
    let id = create(&client, json!({"event_type": "order.placed"})).await;
    world.settle().await;
    let told = world.told("order");
    assert_eq!((told.len(), told[0]["data"]["event_id"].as_str()), (1, Some(id.as_str())));
    let queued = world.background.queues.receive(&Queue::Named("orders".to_owned()), 10, Duration::from_secs(1)).await.unwrap();
    assert_eq!(queued.len(), 1);
    assert!(queued[0].body.contains(&id));
}

#[tokio::test]
async fn a_message_that_comes_again_runs_no_processor_again() {
    let world = World::open().await;
    let client = world.app.client().await;
    register(&client, "p", json!({})).await;
    for _ in 0..5 {
        create(&client, json!({"event_type": "a", "stream_id": "order:1"})).await;
    }
    world.settle().await;
    world.dispatch_again();
    // Beyond the time within which the queue itself would tell that the messages are the same.
    world.pass(Duration::from_mins(6)).await;
    assert_eq!(world.receivers.requests(&url("p")).len(), 5);
}

#[tokio::test]
async fn a_processor_shows_how_often_it_failed_and_what_was_said_last() {
    let world = World::open().await;
    let client = world.app.client().await;
    let id = register(&client, "p", json!({})).await["processor_id"].as_str().unwrap().to_owned();
    world.receivers.next(&url("p"), [Reaction::Answer(500), Reaction::Answer(502), Reaction::Answer(200)]);
    create(&client, json!({"event_type": "a"})).await;
    world.pass(Duration::from_mins(10)).await;
    let processor = client.get(&format!("/api/v1/events/processors/{id}")).await.ok();
    assert_eq!((processor["error_count"].as_u64(), processor["last_error"].as_str()), (Some(2), Some("answered 502: status 502")));
    assert!(processor["last_processed_at"].is_string());
}
