//! The real process: it is killed, interrupted and started twice, and nothing that was acknowledged
//! is lost.

#![cfg(test)]

mod background;
mod consul;
mod nats;
mod receiver;
mod schemathesis;
mod service;

use std::io::{BufRead as _, Write as _};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};
use shared::adapters::system::SystemRandom;
use shared::ports::random::Random as _;
use tempfile::TempDir;

use self::service::{CREATE, Connection, PATIENCE, Service, command, eventually};

/// What a writer was told: the id and the version of each event that was acknowledged.
pub(crate) type Acknowledged = Vec<(String, u64)>;

/// Records events in a stream, until the service is gone.
pub(crate) fn write(address: &str, key: &str, writer: usize, round: usize, count: &AtomicUsize) -> Acknowledged {
    let mut acknowledged = Vec::new();
    let Ok(mut connection) = Connection::open(address, Some(key)) else { return acknowledged };
    for number in 0.. {
        let mut event =
            json!({"event_type": "written", "stream_id": format!("writer:{writer}"), "user_id": "u", "data": {"number": number}});
        if number % 3 == 0 {
            event["event_id"] = json!(format!("00000000-0000-4000-8000-{round:04}{writer:02}{number:06}"));
        }
        let Ok((status, text)) = connection.send("POST", CREATE, &event.to_string()) else { break };
        assert_eq!(status, 200, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        acknowledged.push((answer["event_id"].as_str().unwrap().to_owned(), answer["stream_version"].as_u64().unwrap()));
        count.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

#[test]
fn after_a_kill_every_acknowledged_event_is_there_and_the_statistics_catch_up() {
    const WRITERS: usize = 6;
    let data = TempDir::new().unwrap();
    let mut all: Vec<Acknowledged> = vec![Vec::new(); WRITERS];
    for round in 0..3 {
        let service = Service::start(data.path(), &[]);
        let (count, kill_after) = (AtomicUsize::new(0), 20 + usize::try_from(SystemRandom.number() % 300).unwrap());
        let (address, key) = (service.address.clone(), service.key.clone());
        thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    scope.spawn({
                        let (address, key, count) = (&address, &key, &count);
                        move || write(address, key, writer, round, count)
                    })
                })
                .collect();
            let start = Instant::now();
            while count.load(Ordering::Relaxed) < kill_after {
                assert!(start.elapsed() < PATIENCE, "{} of {kill_after} events were recorded", count.load(Ordering::Relaxed));
                thread::yield_now();
            }
            service.kill();
            for (all, writer) in all.iter_mut().zip(writers) {
                all.extend(writer.join().unwrap());
            }
        });

        let service = Service::start(data.path(), &[]);
        let mut stored = 0;
        for (writer, acknowledged) in all.iter().enumerate() {
            let path = format!("/api/v1/events/stream/writer:{writer}");
            let stream = service.get(&path);
            let events = stream["events"].as_array().unwrap();
            let versions: Vec<u64> = events.iter().map(|event| event["stream_version"].as_u64().unwrap()).collect();
            assert_eq!(versions, (1..=stream["version"].as_u64().unwrap()).collect::<Vec<_>>(), "no gap, nothing twice");
            // At most the one event of each round that was under way was stored without being acknowledged.
            assert!((acknowledged.len()..=acknowledged.len() + round + 1).contains(&events.len()), "{writer}: {}", events.len());
            stored += events.len();
            for (id, version) in acknowledged {
                let event = service.get(&format!("/api/v1/events/{id}"));
                assert_eq!(event["stream_version"], *version, "{id}");
                assert_eq!(event["event_id"], events[usize::try_from(*version).unwrap() - 1]["event_id"]);
            }
        }
        let statistics =
            eventually(&service, "/api/v1/events/statistics", |statistics| statistics["total_events"].as_u64() >= Some(stored as u64));
        assert_eq!(
            json!([statistics["total_events"], statistics["processed_events"], statistics["events_by_type"], statistics["top_users"]]),
            json!([stored, stored, {"written": stored}, [{"user_id": "u", "count": stored}]]),
            "nothing is counted twice"
        );
        let of_user = eventually(&service, "/api/v1/events/statistics?user_id=u", |statistics| statistics["total_events"] == stored);
        assert_eq!(of_user["total_events"], stored);
        service.kill();
    }
}

#[test]
fn an_interrupt_lets_what_is_under_way_end_and_exits_with_0() {
    let data = TempDir::new().unwrap();
    let mut service = Service::start(data.path(), &[]);
    let body = r#"{"event_type":"late","event_id":"00000000-0000-4000-8000-000000000001","stream_id":"order:1"}"#;
    let (before, after) = body.split_at(20);
    let mut connection = Connection::open(&service.address, Some(&service.key)).unwrap();
    let head = connection.head("POST", CREATE, body.len(), "expect: 100-continue\r\n");
    connection.stream.get_mut().write_all(head.as_bytes()).unwrap();
    assert_eq!(connection.answer().unwrap().0, 100, "the service waits for the body");
    connection.stream.get_mut().write_all(before.as_bytes()).unwrap();

    service.interrupt();
    let mut line = String::new();
    while !line.contains("Stopping") {
        line.clear();
        assert_ne!(service.stdout.read_line(&mut line).unwrap(), 0, "it says that it stops");
    }
    connection.stream.get_mut().write_all(after.as_bytes()).unwrap();
    let (status, text) = connection.answer().unwrap();
    assert_eq!(status, 200, "{text}");
    let (_, complaints, exit) = service.wait();
    assert_eq!((exit.code(), complaints.as_str()), (Some(0), ""));

    let service = Service::start(data.path(), &[]);
    let event = service.get("/api/v1/events/00000000-0000-4000-8000-000000000001");
    let mut acknowledged: Value = serde_json::from_str(&text).unwrap();
    // There is no processor, so there was nothing to do with it.
    acknowledged["status"] = "processed".into();
    assert_eq!(event, acknowledged);
    // It was counted before the process ended.
    assert_eq!(service.get("/api/v1/events/statistics")["total_events"], 1);
}

#[test]
fn a_request_to_terminate_ends_it_too() {
    let data = TempDir::new().unwrap();
    let service = Service::start(data.path(), &["--memory"]);
    let kill = Command::new("sh").args(["-c", &format!("kill -TERM {}", service.child.id())]).status().unwrap();
    assert!(kill.success());
    let (_, complaints, exit) = service.wait();
    assert_eq!((exit.code(), complaints.as_str()), (Some(0), ""));
}

/// Checks that a start failed with one line, and gives that line.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!((text.lines().count(), output.stdout.len()), (1, 0), "{text}");
    text
}

#[test]
fn a_second_start_on_the_same_port_says_so_in_one_line() {
    let (data, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let service = Service::start(data.path(), &["--memory"]);
    let line = complaint(&command(other.path(), &["--port", service.port()]).output().unwrap());
    assert!(line.contains(service.port()) && line.contains("--port"), "{line}");
    assert_eq!(service.get("/health")["status"], "healthy", "the first one goes on");
}

#[test]
fn a_second_start_on_the_same_data_says_so_in_one_line() {
    let data = TempDir::new().unwrap();
    let service = Service::start(data.path(), &[]);
    let line = complaint(&command(data.path(), &["--port", "0"]).output().unwrap());
    assert!(line.contains("data") && line.contains("in use"), "{line}");
    assert_eq!(service.get("/health")["dependencies"]["dynamodb"], "healthy", "the first one goes on");
}

#[test]
fn with_memory_no_event_stays_behind() {
    let data = TempDir::new().unwrap();
    let service = Service::start(data.path(), &["--memory"]);
    let (status, text) = service.send("POST", CREATE, r#"{"event_type":"gone.tomorrow","stream_id":"order:1"}"#).unwrap();
    assert_eq!(status, 200, "{text}");
    assert_eq!(service.get("/api/v1/events/stream/order:1")["version"], 1);
    service.interrupt();
    let (_, _, exit) = service.wait();
    assert_eq!(exit.code(), Some(0));
    let left: Vec<_> = std::fs::read_dir(data.path().join("data")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [local::dev_key::FILE], "only the key is kept");
    for options in [&["--memory"][..], &[]] {
        let service = Service::start(data.path(), options);
        assert_eq!(service.get("/api/v1/events/stream/order:1")["version"], 0);
    }
}

#[test]
fn the_development_key_stays_the_same_and_is_needed_unless_auth_is_off() {
    let data = TempDir::new().unwrap();
    let service = Service::start(data.path(), &[]);
    let first = service.key.clone();
    let mut nobody = Connection::open(&service.address, None).unwrap();
    let event = r#"{"event_type":"a"}"#;
    assert_eq!(nobody.send("POST", CREATE, event).unwrap().0, 401);
    assert_eq!(service.send("POST", CREATE, event).unwrap().0, 200);
    drop(service);

    let service = Service::start(data.path(), &[]);
    assert_eq!(service.key, first);
    drop(service);

    let service = Service::start(data.path(), &["--auth", "off"]);
    let mut nobody = Connection::open(&service.address, None).unwrap();
    for (method, path, body) in [("POST", CREATE, event), ("GET", "/api/v1/events/statistics", ""), ("GET", "/api/v1/keys", "")] {
        let (status, text) = nobody.send(method, path, body).unwrap();
        assert_eq!(status, 200, "{text}");
        assert!(!service.key.starts_with("evk_"), "no key is shown that nobody needs");
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_read_whole() {
    let data = TempDir::new().unwrap();
    let service = Service::start(data.path(), &["--memory"]);
    let mut connection = Connection::open(&service.address, Some(&service.key)).unwrap();
    let head = connection.head("POST", CREATE, 10_000_000_000, "");
    connection.stream.get_mut().write_all(head.as_bytes()).unwrap();
    // The rest is never sent, or not taken.
    let chunk = vec![b' '; 1024 * 1024];
    for _ in 0..7 {
        if connection.stream.get_mut().write_all(&chunk).is_err() {
            break;
        }
    }
    let (status, text) = connection.answer().unwrap();
    assert_eq!(status, 413, "{text}");
    assert_eq!(service.get("/health")["status"], "healthy");
}

/// The lines of a request are found by the id that its sender gave it, or was told.
#[test]
fn every_line_of_a_request_has_its_id() {
    let data = TempDir::new().unwrap();
    let mut service = Service::start_in(data.path(), &["--log", "json"], &[("LOG_LEVEL", "debug")]);
    // It says so much that somebody has to listen.
    let log = service.child.stderr.take().unwrap();
    let log = thread::spawn(move || std::io::read_to_string(log).unwrap());
    let body = json!({"event_type": "placed", "stream_id": "order:1"}).to_string();
    let mut connection = Connection::open(&service.address, Some(&service.key)).unwrap();
    let head = connection.head("POST", CREATE, body.len(), "x-request-id: night-shift-1\r\n");
    connection.stream.get_mut().write_all((head + &body).as_bytes()).unwrap();
    assert_eq!(connection.answer().unwrap().0, 200);
    service.kill();
    let log = log.join().unwrap();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let around =
        |line: &Value| line["spans"].as_array().is_some_and(|spans| spans.iter().any(|span| span["request_id"] == "night-shift-1"));
    // What it asks the table among them.
    assert!(lines.iter().filter(|line| around(line)).any(|line| line.to_string().contains("PutItem")), "{log}");
}

/// The value of a metric's sample in the text that Prometheus reads.
fn sample(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn prometheus_reads_what_came_in_what_was_done_with_it_and_what_waits() {
    let data = TempDir::new().unwrap();
    let service = Service::start(data.path(), &[]);
    for number in 0..3 {
        let event = json!({"event_type": "counted", "stream_id": format!("count:{number}")});
        assert_eq!(service.send("POST", CREATE, &event.to_string()).unwrap().0, 200);
    }
    assert_eq!(service.send("POST", CREATE, "{}").unwrap().0, 422);
    eventually(&service, "/api/v1/events/statistics", |statistics| statistics["total_events"] == 3);
    let (status, metrics) = service.send("GET", "/metrics", "").unwrap();
    assert_eq!((status, metrics.ends_with("# EOF\n")), (200, true), "{metrics}");
    for (name, value) in [
        ("event_service_requests_total{function=\"record-events\",status=\"200\"}", 3.0),
        ("event_service_requests_total{function=\"record-events\",status=\"422\"}", 1.0),
        ("event_service_request_duration_seconds_count{function=\"record-events\"}", 4.0),
        ("event_service_events_recorded_total{source=\"backend\"}", 3.0),
        ("event_service_queue_messages{queue=\"deliver\"}", 0.0),
        ("event_service_queue_oldest_age_seconds{queue=\"deliver\"}", 0.0),
    ] {
        assert_eq!(sample(&metrics, name), Some(value), "{name}\n{metrics}");
    }
    // Two units an event, and what the counters cost besides.
    assert!(sample(&metrics, "event_service_table_units_total{kind=\"write\"}").is_some_and(|units| units >= 6.0), "{metrics}");
    assert!(sample(&metrics, "event_service_table_calls_total").is_some_and(|calls| calls >= 3.0), "{metrics}");
    for absent in ["nats_connected", service.key.as_str()] {
        assert!(!metrics.contains(absent), "{absent}\n{metrics}");
    }
}
