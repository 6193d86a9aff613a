//! What happens after an answer, in the real process and over real sockets.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::receiver::Receiver;
use super::service::{CREATE, Connection, PATIENCE, Service, eventually};
use super::write;

const SUBSCRIPTIONS: &str = "/api/v1/events/subscriptions";
const PROCESSORS: &str = "/api/v1/events/processors";

fn ask(service: &Service, path: &str, body: &Value) -> Value {
    let (status, text) = service.send("POST", path, &body.to_string()).unwrap();
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Waits until something holds.
fn until(what: &str, patience: Duration, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < patience, "{what} within {patience:?}");
        thread::yield_now();
    }
}

#[test]
fn whenever_the_process_is_killed_every_acknowledged_event_is_sent_and_processed() {
    const WRITERS: usize = 3;
    let data = TempDir::new().unwrap();
    let receiver = Receiver::start();
    let mut service = Service::start(data.path(), &[]);
    let retries = json!({"max_retries": 30, "backoff_seconds": [1]});
    let mut subscription = json!({"event_types": ["*"], "callback_url": receiver.url("/subscription")});
    subscription["retry_policy"] = retries.clone();
    ask(&service, SUBSCRIPTIONS, &subscription);
    let mut processor = json!({"processor_name": "p", "processor_type": "webhook", "config": {"url": receiver.url("/processor")}});
    processor["retry_policy"] = retries;
    ask(&service, PROCESSORS, &processor);

    let mut acknowledged: BTreeSet<String> = BTreeSet::new();
    for round in 0..3 {
        let count = AtomicUsize::new(0);
        let (address, key) = (service.address.clone(), service.key.clone());
        // Away, but not for so long that it is left alone for a while.
        receiver.refuse("/subscription", 3);
        receiver.refuse("/processor", 3);
        thread::scope(|scope| {
            let (address, key, count) = (&address, &key, &count);
            let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(address, key, writer, round, count))).collect();
            until("events are recorded", PATIENCE, || count.load(Ordering::Relaxed) >= 25 * (round + 1));
            service.kill();
            for writer in writers {
                acknowledged.extend(writer.join().unwrap().into_iter().map(|(id, _)| id));
            }
        });
        service = Service::start(data.path(), &[]);
    }

    let missing = |path: &str| acknowledged.difference(&receiver.taken(path)).count();
    until("everything is taken", PATIENCE, || missing("/subscription") == 0 && missing("/processor") == 0);
    let all_processed = |statistics: &Value| {
        let total = statistics["total_events"].as_u64();
        total >= Some(acknowledged.len() as u64) && statistics["processed_events"].as_u64() == total
    };
    eventually(&service, "/api/v1/events/statistics", all_processed);
    for id in &acknowledged {
        assert_eq!(service.get(&format!("/api/v1/events/{id}"))["status"], "processed", "{id}");
    }
}

#[test]
fn a_receiver_that_hangs_does_not_hold_up_another() {
    // Fewer than there are workers: each of them may have to wait for the one that hangs.
    const EVENTS: usize = 20;
    let data = TempDir::new().unwrap();
    let receiver = Receiver::start();
    let service = Service::start(data.path(), &["--memory"]);
    for path in ["/hang", "/good"] {
        ask(&service, SUBSCRIPTIONS, &json!({"event_types": ["*"], "callback_url": receiver.url(path)}));
    }
    let mut connection = Connection::open(&service.address, Some(&service.key)).unwrap();
    let mut recorded = BTreeSet::new();
    for number in 0..EVENTS {
        let event = json!({"event_type": "a", "data": {"number": number}});
        let (status, text) = connection.send("POST", CREATE, &event.to_string()).unwrap();
        assert_eq!(status, 200, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        recorded.insert(answer["event_id"].as_str().unwrap().to_owned());
    }
    until("the good one has everything", Duration::from_secs(2), || receiver.taken("/good") == recorded);
    until("the other one hangs", PATIENCE, || receiver.hanging() > 0);
}
