//! Processes of functions that are killed at any moment, and an audit of what is left.
//!
//! Only an emulator lets us: its functions are processes of this machine. `make test-aws` runs this after everything else, because
//! whatever else runs meanwhile would be killed as well.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use reqwest::Method;
use serde_json::{Value, json};
use shared::adapters::system::{SystemClock, SystemRandom, SystemTimer};
use shared::config;
use shared::ports::clock::Clock as _;
use shared::ports::random::Random as _;
use shared::ports::timer::Timer as _;
use tokio::task::JoinSet;

use crate::deployment::{Client, Deployment, eventually};
use crate::receiver::Receiver;
use crate::{PROCESSORS, SECRET, SUBSCRIPTIONS};

/// How many write, each to a stream of its own, and how many events each.
const WRITERS: u64 = 4;
const EVENTS: u64 = 25;
/// How often functions are killed.
const KILLS: u32 = 15;

async fn rest(milliseconds: u64) {
    SystemTimer.wait_until(SystemClock.now().plus(Duration::from_millis(milliseconds))).await;
}

/// Records an event, again and again until that is acknowledged.
async fn record(client: &Client, writer: u64, number: u64) -> String {
    let id = format!("{:08x}-0000-4000-8000-{number:012}", writer + 1);
    let event = json!({"event_type": "order.changed", "event_id": id, "stream_id": format!("order:{writer}"), "data": {"number": number}});
    for _ in 0..1000 {
        let answer = client.try_send(Method::POST, "/api/v1/events/create", Some(&event), &[]).await;
        if answer.is_ok_and(|answer| answer.status == 200) {
            return id;
        }
        rest(50).await;
    }
    panic!("{id} was not taken, however often it was sent");
}

/// The ids of what came, by stream, in the order in which each first came.
fn first_arrivals(receiver: &Receiver) -> BTreeMap<String, Vec<String>> {
    let mut arrivals: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in receiver.received() {
        assert!(request.is_signed_with(SECRET));
        let body = request.json();
        let text = |name: &str| body["data"][name].as_str().unwrap_or_default().to_owned();
        let ids = arrivals.entry(text("stream_id")).or_default();
        if !ids.contains(&text("event_id")) {
            ids.push(text("event_id"));
        }
    }
    arrivals
}

/// A message that a killed function had is given again after this many seconds, instead of minutes.
async fn shorten_waits(seconds: u32) {
    for queue in ["process.fifo", "retry", "deliver"] {
        let url = Deployment::queue_url(queue).await;
        let set = Deployment::queues().set_queue_attributes().queue_url(url);
        set.attributes(QueueAttributeName::VisibilityTimeout, seconds.to_string()).send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_no_acknowledged_event_is_lost_doubled_or_out_of_order() {
    let functions = config::required("EMULATED_FUNCTIONS").expect("only `make test-aws` on its own emulator says where its functions are");
    let deployment = Deployment::get();
    let client = deployment.client_of(&Deployment::fresh("org")).await;
    let (subscriber, processor) = (Receiver::start(), Receiver::start());
    let subscription = json!({"subscriber_name": "torture", "event_types": ["order.*"], "callback_url": subscriber.url(),
        "webhook_secret": SECRET, "ordering": "stream"});
    client.post(SUBSCRIPTIONS, &subscription).await.ok();
    let processing =
        json!({"processor_name": "torture", "processor_type": "webhook", "config": {"url": processor.url(), "secret": SECRET}});
    client.post(PROCESSORS, &processing).await.ok();
    shorten_waits(5).await;

    let mut writing = JoinSet::new();
    for writer in 0..WRITERS {
        let client = client.clone();
        writing.spawn(async move {
            let mut ids = Vec::new();
            for number in 1..=EVENTS {
                ids.push(record(&client, writer, number).await);
            }
            (format!("order:{writer}"), ids)
        });
    }
    let done = Arc::new(AtomicBool::new(false));
    let killing = tokio::spawn({
        let done = Arc::clone(&done);
        async move {
            let (mut kills, mut tries) = (0, 0);
            while kills < KILLS || !done.load(Ordering::Relaxed) {
                rest(200 + SystemRandom.number() % 1000).await;
                // It says whether there was anything to kill.
                kills += u32::from(Command::new("pkill").args(["-9", "-f", &functions]).status().expect("pkill, of procps").success());
                tries += 1;
                assert!(tries < 20 * KILLS, "{kills} kills of functions in {functions}");
            }
        }
    });
    let written: BTreeMap<String, Vec<String>> = writing.join_all().await.into_iter().collect();
    done.store(true, Ordering::Relaxed);
    killing.await.unwrap();

    for (stream, ids) in &written {
        let stored = client.get(&format!("/api/v1/events/stream/{stream}?limit=1000")).await.ok();
        let stored: Vec<&str> = stored["events"].as_array().unwrap().iter().map(|event| event["event_id"].as_str().unwrap()).collect();
        assert_eq!(&stored, ids, "{stream}");
    }
    for (what, receiver) in [("delivered", &subscriber), ("processed", &processor)] {
        let all =
            async || Some(first_arrivals(receiver)).filter(|arrived| arrived.values().map(Vec::len).eq(written.values().map(Vec::len)));
        let arrived = eventually(what, all, async || format!("{:?}", first_arrivals(receiver))).await;
        assert_eq!(arrived, written, "{what}");
    }
    let all = WRITERS * EVENTS;
    let is_all = |statistics: &Value| json!([statistics["total_events"], statistics["processed_events"]]) == json!([all, all]);
    client.until("/api/v1/events/statistics", is_all).await;
}
