//! The bridge in the real process, with a real NATS server, which is killed, wiped, filled up and flooded.
//!
//! `scripts/setup nats nats-client` gets the server, and a client that is not ours.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, Context, stream};
use futures::StreamExt as _;
use serde_json::{Value, json};
use shared::testing::message_broker::nats_server::NatsServer;
use tempfile::TempDir;

use super::service::{CREATE, Connection, PATIENCE, Service, eventually};

const BATCH: &str = "/api/v1/events/batch";
const REPUBLISH: &str = "/api/v1/events/nats/republish";
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A message on a stream: its headers, and its body.
#[derive(Debug)]
struct Published {
    headers: HeaderMap,
    body: Value,
}

impl Published {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(async_nats::HeaderValue::as_str)
    }
}

async fn context(server: &NatsServer) -> Context {
    jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

/// Everything that is on a stream now.
async fn published(context: &Context, stream: &str) -> Vec<Published> {
    let Ok(stream) = context.get_stream(stream).await else { return Vec::new() };
    let count = usize::try_from(stream.cached_info().state.messages).unwrap();
    let config = pull::Config { ack_policy: AckPolicy::None, ..pull::Config::default() };
    let consumer: PullConsumer = stream.create_consumer(config).await.unwrap();
    let mut found = Vec::with_capacity(count);
    while found.len() < count {
        let mut messages = consumer.fetch().max_messages(1000).messages().await.unwrap();
        while let Some(message) = messages.next().await {
            let message = message.unwrap();
            let body = serde_json::from_slice(&message.payload).unwrap();
            found.push(Published { headers: message.headers.clone().unwrap(), body });
        }
    }
    found
}

async fn count(context: &Context, stream: &str) -> u64 {
    match context.get_stream(stream).await {
        Ok(stream) => stream.cached_info().state.messages,
        Err(_) => 0,
    }
}

/// Waits until a stream has so many messages.
async fn until_there_are(context: &Context, stream: &str, wanted: u64) {
    let start = Instant::now();
    loop {
        let there = count(context, stream).await;
        if there >= wanted {
            return;
        }
        assert!(start.elapsed() < 6 * PATIENCE, "{stream} has {there} of {wanted} messages");
        tokio::task::yield_now().await;
    }
}

fn start(data: &TempDir, server: &NatsServer, environment: &[(&str, &str)]) -> Service {
    Service::start_in(data.path(), &[], &[&[("NATS_URL", server.url().as_str())], environment].concat())
}

fn create(service: &Service, event: &Value) -> Value {
    let (status, text) = service.send("POST", CREATE, &event.to_string()).unwrap();
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Records numbered events of some streams, in batches.
fn record(service: &Service, numbers: std::ops::Range<usize>, streams: usize) {
    let mut connection = Connection::open(&service.address, Some(&service.key)).unwrap();
    let all: Vec<usize> = numbers.collect();
    for batch in all.chunks(100) {
        let event = |number: &usize| json!({"event_type": "counted", "stream_id": format!("order:{}", number % streams), "data": {"number": number}});
        let events: Vec<Value> = batch.iter().map(event).collect();
        let (status, text) = connection.send("POST", BATCH, &json!(events).to_string()).unwrap();
        assert_eq!(status, 200, "{text}");
    }
}

/// Every number is there once, those of a stream in their order.
fn assert_complete(published: &[Published], numbers: std::ops::Range<usize>, streams: usize) {
    let ids: BTreeSet<&str> = published.iter().map(|message| message.header("Nats-Msg-Id").unwrap()).collect();
    assert_eq!((ids.len(), published.len()), (numbers.len(), numbers.len()), "each is there once");
    let mut by_stream: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for message in published {
        let number = usize::try_from(message.body["data"]["number"].as_u64().unwrap()).unwrap();
        by_stream.entry(message.body["stream_id"].as_str().unwrap().to_owned()).or_default().push(number);
    }
    for stream in 0..streams {
        let expected: Vec<usize> = numbers.clone().filter(|number| number % streams == stream).collect();
        assert_eq!(by_stream[&format!("order:{stream}")], expected, "order:{stream}");
    }
}

fn stderr(service: Service) -> String {
    service.interrupt();
    service.wait().1
}

/// API: domain events on NATS.
#[tokio::test]
async fn a_client_in_another_language_reads_what_is_published() {
    let (data, server) = (TempDir::new().unwrap(), NatsServer::start());
    let service = start(&data, &server, &[]);
    let event = json!({"event_type": "page view.*", "event_source": "frontend", "event_category": "page_view", "user_id": "ü 1", "data": {"total": 1.50}});
    let mut connection = Connection::open(&service.address, Some(&service.key)).unwrap();
    let head = connection.head("POST", CREATE, event.to_string().len(), &format!("traceparent: {TRACE}\r\n"));
    connection.stream.get_mut().write_all((head + &event.to_string()).as_bytes()).unwrap();
    let (status, answered) = connection.answer().unwrap();
    assert_eq!(status, 200, "{answered}");
    let answered: Value = serde_json::from_str(&answered).unwrap();
    let id = answered["event_id"].as_str().unwrap();
    until_there_are(&context(&server).await, "event-stream", 1).await;

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |subject: &str| {
        let output = Command::new(root.join("../../.tools/nats/bin/python"))
            .args([root.join("tests/process/nats_reader.py").to_str().unwrap(), &server.url(), subject, "1"])
            .output()
            .expect("scripts/setup nats-client gets the client");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let published = read("events.frontend.>");
    assert_eq!(published["subject"], "events.frontend.page_view.page_view._");
    let headers = json!({
        "Nats-Msg-Id": id, "event_service_origin": "event-service", "event_type": "page view.*", "user_id": "ü 1",
        "timestamp": answered["timestamp"], "traceparent": TRACE,
    });
    assert_eq!(published["headers"], headers);
    assert_eq!(published["body"], service.get(&format!("/api/v1/events/{id}")));
    let told = read("event.>");
    assert_eq!(
        (&told["subject"], &told["body"]["type"], &told["body"]["source"]),
        (&json!("event.stored"), &json!("event.stored"), &json!("event_service"))
    );
    assert_eq!((&told["body"]["data"]["event_id"], &told["headers"]["traceparent"]), (&json!(id), &json!(TRACE)));
}

#[tokio::test]
async fn nats_is_killed_amid_ten_thousand_events_and_all_are_there_once_and_in_order() {
    const EVENTS: usize = 10_000;
    const STREAMS: usize = 40;
    let (data, mut server) = (TempDir::new().unwrap(), NatsServer::start());
    let service = start(&data, &server, &[]);
    thread::scope(|scope| {
        let recording = scope.spawn(|| record(&service, 0..EVENTS, STREAMS));
        // Killed while events come, several times, and away for a while.
        for _ in 0..3 {
            let before = recorded(&service);
            until(|| recorded(&service) >= (before + 1500).min(EVENTS));
            server.kill();
            let before = recorded(&service);
            until(|| recorded(&service) >= (before + 500).min(EVENTS));
            server.restart();
        }
        recording.join().unwrap();
    });
    let context = context(&server).await;
    until_there_are(&context, "EVENTS", EVENTS as u64).await;
    until_there_are(&context, "event-stream", EVENTS as u64).await;
    assert_complete(&published(&context, "EVENTS").await, 0..EVENTS, STREAMS);
    eventually(&service, "/health", |health| health["dependencies"]["nats"] == "healthy");
}

#[tokio::test]
async fn nats_loses_its_disk_and_a_rewind_brings_all_of_it_back() {
    const EVENTS: usize = 10_000;
    const STREAMS: usize = 40;
    let (data, mut server) = (TempDir::new().unwrap(), NatsServer::start());
    let service = start(&data, &server, &[]);
    record(&service, 0..EVENTS / 2, STREAMS);
    until_there_are(&context(&server).await, "EVENTS", 1_000).await;
    server.restart_wiped();
    record(&service, EVENTS / 2..EVENTS, STREAMS);
    // What was published before is gone; what comes now waits for nobody, and so all of it is made to go again in its order.
    let (gone, all) = (context(&server).await, json!({"start_time": "2020-01-01T00:00:00Z", "end_time": "2100-01-01T00:00:00Z"}));
    eventually_empty(&service).await;
    assert!(count(&gone, "EVENTS").await < EVENTS as u64);
    server.restart_wiped();
    let mut dry = all.clone();
    dry["dry_run"] = json!(true);
    let counted: Value = serde_json::from_str(&service.send("POST", REPUBLISH, &dry.to_string()).unwrap().1).unwrap();
    assert_eq!(counted["events_count"], EVENTS);
    let (status, started) = service.send("POST", REPUBLISH, &all.to_string()).unwrap();
    assert_eq!(status, 200, "{started}");
    let context = context(&server).await;
    until_there_are(&context, "EVENTS", EVENTS as u64).await;
    assert_complete(&published(&context, "EVENTS").await, 0..EVENTS, STREAMS);
    until_there_are(&context, "event-stream", EVENTS as u64).await;
}

fn recorded(service: &Service) -> usize {
    (0..40)
        .map(|stream| {
            usize::try_from(service.get(&format!("/api/v1/events/stream/order:{stream}?limit=1"))["version"].as_u64().unwrap()).unwrap()
        })
        .sum()
}

fn until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE);
        thread::yield_now();
    }
}

/// Waits until nothing is left to be published.
async fn eventually_empty(service: &Service) {
    let start = Instant::now();
    loop {
        let metrics = service.send("GET", "/metrics", "").unwrap().1;
        if metrics.lines().any(|line| line == "event_service_queue_messages{queue=\"nats\"} 0") {
            return;
        }
        assert!(start.elapsed() < 2 * PATIENCE, "{metrics}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stream_without_room_has_events_wait_and_is_left_as_it_is() {
    let (data, server) = (TempDir::new().unwrap(), NatsServer::start());
    let context = context(&server).await;
    let theirs = stream::Config {
        name: "EVENTS".to_owned(),
        subjects: vec!["events.backend.>".to_owned()],
        max_messages: 10,
        discard: stream::DiscardPolicy::New,
        ..stream::Config::default()
    };
    context.create_stream(theirs.clone()).await.unwrap();
    let service = start(&data, &server, &[]);
    record(&service, 0..200, 4);
    until_there_are(&context, "event-stream", 10).await;
    until(|| service.get("/api/v1/events/stream/order:0")["version"] == 50);
    assert_eq!(count(&context, "EVENTS").await, 10);
    context.update_stream(stream::Config { max_messages: 100_000, ..theirs }).await.unwrap();
    until_there_are(&context, "EVENTS", 200).await;
    assert_complete(&published(&context, "EVENTS").await, 0..200, 4);
    let told = stderr(service);
    assert!(told.contains("the stream is there with other settings"), "{told}");
    assert!(told.contains("subjects"), "{told}");
}

#[tokio::test]
async fn what_others_send_is_taken_in_once_however_often_the_service_is_killed() {
    const MESSAGES: usize = 3_000;
    let (data, server) = (TempDir::new().unwrap(), NatsServer::start());
    let context = context(&server).await;
    let subjects = vec!["order.>".to_owned()];
    context.create_stream(stream::Config { name: "ORDERS".to_owned(), subjects, ..stream::Config::default() }).await.unwrap();
    // What was taken and not settled comes again after a second: a storm of redeliveries.
    let environment = [("NATS_INGEST", "ORDERS=order.>"), ("NATS_ACK_WAIT_SECONDS", "1")];
    let mut service = start(&data, &server, &environment);
    for number in 0..MESSAGES {
        let body = json!({"id": format!("m-{number}"), "type": "order.changed", "source": "orders", "data": {"user_id": format!("u{}", number % 5), "number": number}});
        let text = if number % 100 == 50 { "poison".to_owned() } else { body.to_string() };
        context.publish(format!("order.{}", number % 5), text.into()).await.unwrap();
        if number % 1_000 == 700 {
            service.kill();
            service = start(&data, &server, &environment);
        }
    }
    context.client().flush().await.unwrap();
    let wanted = (MESSAGES - MESSAGES / 100) as u64;
    eventually(&service, "/api/v1/events/statistics", |statistics| statistics["total_events"].as_u64() >= Some(wanted));
    for user in 0..5 {
        let stream = service.get(&format!("/api/v1/events/stream/user:u{user}?limit=1000"));
        let found: Vec<usize> = stream["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| usize::try_from(event["data"]["number"].as_u64().unwrap()).unwrap())
            .collect();
        let expected: Vec<usize> = (0..MESSAGES).filter(|number| number % 5 == user && number % 100 != 50).collect();
        assert_eq!(found, expected, "u{user}");
    }
    let rejected = eventually(&service, "/api/v1/events/rejected", |rejected| {
        rejected["rejected_events"].as_array().map(Vec::len) >= Some(MESSAGES / 100)
    });
    assert_eq!(rejected["rejected_events"].as_array().unwrap().len(), MESSAGES / 100, "each poisoned one is kept once");
    // None of it comes round: it was published on other subjects, and is marked.
    until_there_are(&context, "EVENTS", wanted).await;
    assert_eq!(service.get("/api/v1/events/statistics")["total_events"].as_u64(), Some(wanted));
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_nothing_up() {
    let (data, server) = (TempDir::new().unwrap(), NatsServer::start());
    let mut sleeper = TcpStream::connect(server.address()).unwrap();
    sleeper.write_all(b"CONNECT {\"verbose\":false}\r\nSUB > 1\r\n").unwrap();
    let service = start(&data, &server, &[]);
    let event =
        |number: usize| json!({"event_type": "large", "stream_id": "order:1", "data": {"number": number, "text": "x".repeat(100_000)}});
    for number in 0..200 {
        create(&service, &event(number));
    }
    let context = context(&server).await;
    until_there_are(&context, "EVENTS", 200).await;
    assert_eq!(service.get("/health")["dependencies"]["nats"], "healthy");
}

#[test]
fn what_would_be_taken_in_again_is_refused_at_the_start() {
    let data = TempDir::new().unwrap();
    let mut command = super::command(data.path(), &["--port", "0", "--memory"]);
    let output = command.envs([("NATS_URL", "nats://127.0.0.1:1"), ("NATS_INGEST", "ALL=events.>")]).output().unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        told.trim(),
        "event-service: NATS_INGEST takes in ALL=events.>, which has what this service publishes itself on events.frontend.>: choose other subjects, or another prefix"
    );
}

#[test]
fn without_nats_the_service_works_and_says_that_it_is_away() {
    let data = TempDir::new().unwrap();
    let service = Service::start_in(data.path(), &["--memory"], &[("NATS_URL", "nats://127.0.0.1:1")]);
    let id = create(&service, &json!({"event_type": "a"}))["event_id"].as_str().unwrap().to_owned();
    assert_eq!(service.get(&format!("/api/v1/events/{id}"))["event_type"], "a");
    let health = service.get("/health");
    assert_eq!((&health["status"], &health["dependencies"]["nats"]), (&json!("healthy"), &json!("unhealthy")));
    assert_eq!(service.get("/api/v1/events/frontend/health")["nats_connected"], false);
    let told = stderr(service);
    assert!(told.contains("NATS does not answer"), "{told}");
}

/// The time it takes until an event that was recorded is on NATS.
#[tokio::test]
async fn an_event_is_on_nats_within_a_second() {
    let (data, server) = (TempDir::new().unwrap(), NatsServer::start());
    let service = start(&data, &server, &[]);
    let others = async_nats::connect(server.url()).await.unwrap();
    let mut subscriber = others.subscribe("events.>").await.unwrap();
    others.flush().await.unwrap();
    create(&service, &json!({"event_type": "first"}));
    tokio::time::timeout(PATIENCE, subscriber.next()).await.unwrap().unwrap();
    let began = Instant::now();
    create(&service, &json!({"event_type": "second"}));
    let message = tokio::time::timeout(PATIENCE, subscriber.next()).await.unwrap().unwrap();
    assert_eq!(message.subject.as_str(), "events.backend.user_action.second");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
