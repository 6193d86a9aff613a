//! Every file in `events/` is fed to its function, and every function has some.
//!
//! They are what AWS sends: requests of an HTTP API (payload format 2.0) and of its authorizer, batches of
//! the table's stream and of queues, and the schedule.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use event_service_tests::app::{Answer, TestApp};
use insta::assert_snapshot;
use lambda_http::{Body, Request, Response};
use lambda_runtime::{Context, LambdaEvent};
use local::background::{Background, Bridge};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::adapters::memory::{MemoryBridgeStatus, MemoryBroker, MemoryBus, MemoryCounters, MemoryEvents, MemoryObjects};
use shared::commands::append::AppendPorts;
use shared::commands::archive_events::{ArchiveAfter, ArchiveEventsPorts};
use shared::commands::count_events::CountEventsPorts;
use shared::commands::manage_keys::ManageKeysPorts;
use shared::commands::manage_rejected_events::ManageRejectedEventsPorts;
use shared::commands::manage_replays::ManageReplaysPorts;
use shared::commands::record_events::RecordEventsPorts;
use shared::domain::access::{ApiKey, ApiKeySecret, Scope};
use shared::domain::bridge::{Bridging, IngestFeed, SubjectPattern};
use shared::domain::counters::{CounterKey, CounterScope, Period};
use shared::domain::delivery::DeliveryState;
use shared::domain::queue::WorkQueue;
use shared::domain::signature::WebhookSecret;
use shared::domain::timestamp::Timestamp;
use shared::http::collect::read_event;
use shared::ports::commit_log::CommitLog as _;
use shared::ports::counter_store::CounterStore as _;
use shared::queries::check_access::CheckAccessPorts;
use shared::queries::read_events::ReadEventsPorts;
use shared::testing::builders::{commit, event as committed};

use super::dead_letters::letter;
use super::subscriptions::{delivery, keep_delivery};
use super::{BATCH, CLIENT_ID, PROCESSORS, SUBSCRIPTIONS};

/// The one function that is no Lambda function: it runs the others.
const LOCAL: &str = "local";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The names of the folders in `events/`.
fn sampled() -> BTreeSet<String> {
    names(&root().join("events")).into_iter().filter(|name| root().join("events").join(name).is_dir()).collect()
}

/// The names of what is in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with('.')).collect()
}

fn functions() -> BTreeSet<String> {
    let names = names(&root().join("functions")).into_iter().filter(|name| name != LOCAL);
    names.filter(|name| root().join("functions").join(name).join("Cargo.toml").exists()).collect()
}

/// The samples of a function: name and content.
fn samples(function: &str) -> Vec<(String, String)> {
    let folder = root().join("events").join(function);
    names(&folder).into_iter().map(|name| (name.clone(), fs::read_to_string(folder.join(name)).unwrap())).collect()
}

/// A service with all that the samples speak of.
async fn app() -> TestApp {
    let app = TestApp::in_memory();
    let events = json!([
        {"event_type": "order.placed", "event_category": "order", "user_id": "user_12345", "stream_id": "order:42", "event_id": CLIENT_ID},
        {"event_type": "order.paid", "event_category": "order", "user_id": "user_12345", "stream_id": "order:42"},
    ]);
    let client = app.client().await;
    let subscription = json!({"subscription_id": "mailer", "event_types": ["order.*"], "callback_url": "https://mailer.example/hook"});
    client.post(SUBSCRIPTIONS, &subscription).await.succeeds();
    keep_delivery(&app, &delivery("mailer", 0, DeliveryState::Failed)).await;
    client.post(PROCESSORS, &json!({"processor_name": "log", "processor_type": "internal", "enabled": false})).await.succeeds();
    app.app.stores.dead_letters.park(&letter("063900360000000000-0000000000000001", WorkQueue::Deliver, None)).await.unwrap();
    app.random.seed(1);
    client.post(BATCH, &events).await.succeeds();
    let secret = ApiKeySecret::from_random([0; 32]);
    let key = ApiKey {
        digest: secret.digest(),
        name: "Order Service".to_owned(),
        scopes: vec![Scope::Write, Scope::Collect],
        organization: "org_1".parse().ok(),
        created_at: app.now(),
        expires_at: None,
    };
    app.keys().put_key(&key).await.unwrap();
    app.anybody().post("/api/v1/events/frontend/batch", &json!({"events": [{}]})).await.succeeds();
    app.random.seed(2);
    app
}

/// What a function answers to a sample; nothing if there is no such function here.
async fn answer(app: &TestApp, function: &str, sample: &str) -> Option<String> {
    let background = background(app);
    let (app, random) = (&app.app, &*app.random);
    match function {
        "record-events" => {
            let append = AppendPorts { log: &*app.stores.log, random, heads: &app.heads };
            Some(shown(
                record_events::handle(
                    &RecordEventsPorts { append, clock: &*app.clock, definitions: &*app.stores.definitions, gate: &app.gate },
                    request(sample),
                )
                .await,
            ))
        }
        "read-events" => {
            let ports =
                ReadEventsPorts { events: &*app.stores.events, definitions: &*app.stores.definitions, clock: &*app.clock, bridge: None };
            Some(shown(read_events::handle(&ports, request(sample)).await))
        }
        "read-projections" => Some(shown(read_projections::handle(&app.projecting(), request(sample)).await)),
        "manage-schemas" => Some(shown(manage_schemas::handle(&app.registering(), request(sample)).await)),
        "replay-events" => {
            let ports = ManageReplaysPorts { bridging: Bridging::On, ..app.replaying() };
            Some(shown(replay_events::handle(&ports, request(sample)).await))
        }
        "manage-keys" => {
            let ports = ManageKeysPorts { keys: &*app.stores.keys, clock: &*app.clock, random };
            Some(shown(manage_keys::handle(&ports, request(sample)).await))
        }
        "manage-subscriptions" => Some(shown(manage_subscriptions::handle(&app.subscriptions(), request(sample)).await)),
        "manage-processors" => Some(shown(manage_processors::handle(&app.processors(), request(sample)).await)),
        "manage-dead-letters" => Some(shown(manage_dead_letters::handle(&app.letters(), request(sample)).await)),
        "manage-rejected-events" => {
            let ports = ManageRejectedEventsPorts { collect: app.collecting(), read: read_event };
            Some(shown(manage_rejected_events::handle(&ports, request(sample)).await))
        }
        "collect-frontend" => {
            let ports = collect_frontend::Ports { collect: app.collecting(), settings: &app.collect, bridge: None };
            Some(shown(collect_frontend::handle(&ports, request(sample)).await))
        }
        "receive-rudderstack" => {
            let secret = WebhookSecret::from_text("a-secret-of-the-samples".to_owned()).unwrap();
            let ports = receive_rudderstack::Ports { collect: app.collecting(), settings: &app.collect, secret: Some(&secret) };
            Some(shown(receive_rudderstack::handle(&ports, request(sample)).await))
        }
        "receive-analytics" => {
            let access = CheckAccessPorts { keys: &*app.stores.keys, tokens: None, clock: &*app.clock, cache: &app.cache };
            let ports = receive_analytics::Ports { collect: app.collecting(), access, settings: &app.collect };
            Some(shown(receive_analytics::handle(&ports, request(sample)).await))
        }
        "receive-cloudevents" => {
            let ports = receive_cloudevents::Ports { collect: app.collecting(), settings: &app.collect };
            Some(shown(receive_cloudevents::handle(&ports, request(sample)).await))
        }
        "authorize" => {
            let ports = CheckAccessPorts { keys: &*app.stores.keys, tokens: None, clock: &*app.clock, cache: &app.cache };
            let verdict = authorize::handle(&ports, serde_json::from_str(sample).unwrap()).await;
            Some(format!("{:#}", serde_json::to_value(verdict).unwrap()))
        }
        "nats-bridge" => Some(bridged(background, sample).await),
        "archive-events" => Some(archived(sample).await),
        "count-events" => Some(counted(sample).await),
        "dispatch-events" | "process-events" | "retry-processors" | "deliver-webhooks" | "store-collected" | "run-replays" | "sweep" => {
            Some(worked(background, function, sample).await)
        }
        _ => None,
    }
}

/// The functions behind the answers, with a bus and outcomes of their own.
fn background(app: &TestApp) -> Background {
    Background::new(app.app.clone(), app.queues.clone(), Arc::new(MemoryBus::default()))
}

/// What a function that nobody asks answers to Lambda.
async fn worked(background: Background, function: &str, sample: &str) -> String {
    fn event<T: DeserializeOwned>(sample: &str) -> LambdaEvent<T> {
        LambdaEvent::new(serde_json::from_str(sample).unwrap(), Context::default())
    }
    let answer = match function {
        "dispatch-events" => dispatch_events::handle(&background.dispatching(), event(sample)).await,
        "process-events" => process_events::handle(&background.processing(), event(sample)).await,
        "retry-processors" => retry_processors::handle(&background.processing(), event(sample)).await,
        "deliver-webhooks" => deliver_webhooks::handle(&background.delivering(), event(sample)).await,
        "store-collected" => store_collected::handle(&background.app.storing(), event(sample)).await,
        "run-replays" => run_replays::handle(&background.replaying(), event(sample)).await,
        _ => sweep::handle(&background.sweeping(), event(sample)).await,
    };
    format!("{:#}", answer.unwrap())
}

/// The answer, and what was published: a message of another service waits.
async fn bridged(mut background: Background, sample: &str) -> String {
    let feed = IngestFeed { stream: "EVENTS_INGEST".to_owned(), subject: SubjectPattern::of_ingest() };
    let broker = Arc::new(MemoryBroker::with_feeds(vec![feed.clone()]));
    broker.send(&feed, "events.ingest.order", None, br#"{"id":"m-1","type":"order.paid","source":"shop"}"#);
    let status = Arc::new(MemoryBridgeStatus::default());
    background.bridge = Some(Bridge { broker: broker.clone(), status, own_name: "event-service".to_owned() });
    let event = LambdaEvent::new(serde_json::from_str(sample).unwrap(), Context::default());
    let answer = nats_bridge::handle(&background.bridging().unwrap(), event).await.unwrap();
    let published = broker.published().into_iter().map(|message| format!("{:?} {} {}", message.stream, message.subject, message.id));
    std::iter::once(format!("{answer:#}")).chain(published).collect::<Vec<_>>().join("\n")
}

/// The answer to a call at noon, when an event of the year before and one of this morning are not archived yet.
async fn archived(sample: &str) -> String {
    let (events, objects, clock) = (MemoryEvents::default(), MemoryObjects::default(), TestApp::stopped_clock());
    for (stream, at) in [("order:1", "2025-11-23T12:00:00Z"), ("order:2", "2026-11-23T09:00:00Z")] {
        let mut old = commit(stream, 1, vec![committed("order.placed")]);
        old.recorded_at = Timestamp::parse(at).unwrap();
        old.events[0].occurred_at = old.recorded_at;
        events.put(&[old]).await.unwrap();
    }
    let archive = ArchiveEventsPorts { archive: &events, objects: &objects, clock: &*clock };
    let ports = archive_events::Ports { archive, after: ArchiveAfter::days(30) };
    let event = LambdaEvent::new(serde_json::from_str(sample).unwrap(), Context::default());
    format!("{:#}", archive_events::handle(&ports, event).await.unwrap())
}

fn request(sample: &str) -> Request {
    lambda_http::request::from_str(sample).unwrap()
}

fn shown(response: Response<Body>) -> String {
    let (head, body) = response.into_parts();
    let is_picture = head.headers.get("content-type").is_some_and(|kind| kind == "image/gif");
    let text =
        if is_picture { format!("a picture of {} bytes", body.as_ref().len()) } else { String::from_utf8(body.as_ref().to_vec()).unwrap() };
    Answer { status: head.status, headers: head.headers, text }.to_string()
}

/// The answer, and what was counted.
async fn counted(sample: &str) -> String {
    let counters = MemoryCounters::default();
    let event = LambdaEvent::new(serde_json::from_str(sample).unwrap(), Context::default());
    let ports = CountEventsPorts { counters: &counters, definitions: &MemoryEvents::default() };
    let answer = count_events::handle(&ports, None, event).await.unwrap();
    let mut lines = vec![format!("{answer:#}\n")];
    for scope in [CounterScope::All, CounterScope::Organization("org_1".parse().unwrap())] {
        let (tally, _) = counters.tally(&CounterKey { scope: scope.clone(), period: Period::Total }).await.unwrap();
        lines.push(format!("{scope:?}: {} events", tally.total()));
        let kinds = tally.kinds.iter();
        lines.extend(
            kinds.map(|(kind, count)| format!("  {count} {:?} {} {}", kind.event_type, kind.source.as_str(), kind.category.as_str())),
        );
    }
    lines.join("\n")
}

/// Emulators leave out the shard; AWS never does, as long as there is a window.
#[tokio::test]
async fn without_a_shard_nothing_is_counted_unless_there_is_only_one() {
    let mut sample: Value = serde_json::from_str(&samples("count-events").remove(1).1).unwrap();
    for member in ["shardId", "window", "state", "eventSourceARN", "isFinalInvokeForWindow", "isWindowTerminatedEarly"] {
        sample.as_object_mut().unwrap().remove(member);
    }
    let counters = MemoryCounters::default();
    let ports = CountEventsPorts { counters: &counters, definitions: &MemoryEvents::default() };
    let event = || LambdaEvent::new(serde_json::from_value(sample.clone()).unwrap(), Context::default());
    let total = async || {
        let key = CounterKey { scope: CounterScope::All, period: Period::Total };
        counters.tally(&key).await.unwrap().0.total()
    };
    assert!(count_events::handle(&ports, None, event()).await.is_err());
    assert_eq!(total().await, 0);
    let answer = count_events::handle(&ports, Some("shard"), event()).await.unwrap();
    assert_eq!(answer["batchItemFailures"], json!([]));
    assert!(total().await > 0);
}

#[tokio::test]
async fn every_sample_is_answered_by_its_function() {
    for function in sampled() {
        for (name, sample) in samples(&function) {
            let app = app().await;
            let answer = answer(&app, &function, &sample).await.unwrap_or_else(|| panic!("events/{function} belongs to no function"));
            let name = name.strip_suffix(".json").unwrap_or_else(|| panic!("events/{function}/{name} is no JSON file"));
            assert_snapshot!(format!("{function}__{name}"), answer);
        }
    }
}

#[test]
fn every_function_has_samples_and_every_sample_a_function() {
    assert_eq!(sampled(), functions());
    for function in functions() {
        assert!(!samples(&function).is_empty(), "events/{function} has no samples");
    }
}

#[test]
fn every_sample_of_a_request_fits_what_api_gateway_sends() {
    for function in [
        "record-events",
        "read-events",
        "manage-keys",
        "manage-subscriptions",
        "manage-processors",
        "manage-dead-letters",
        "manage-rejected-events",
        "read-projections",
        "replay-events",
        "manage-schemas",
        "collect-frontend",
        "receive-rudderstack",
        "receive-analytics",
        "receive-cloudevents",
        "authorize",
    ] {
        for (name, sample) in samples(function) {
            let sample: Value = serde_json::from_str(&sample).unwrap();
            assert_eq!(sample["version"], "2.0", "{function}/{name}");
            let http = &sample["requestContext"]["http"];
            // A function URL knows no routes.
            let is_function_url = sample["requestContext"]["domainName"].as_str().is_some_and(|name| name.contains(".lambda-url."));
            assert_eq!(is_function_url, sample["routeKey"] == "$default", "{function}/{name}");
            if is_function_url {
                continue;
            }
            assert_eq!(sample["routeKey"], sample["requestContext"]["routeKey"], "{function}/{name}");
            assert_eq!(sample["rawPath"], http["path"], "{function}/{name}");
            let (method, path) = sample["routeKey"].as_str().unwrap().split_once(' ').unwrap();
            assert_eq!(http["method"], method, "{function}/{name}");
            let is_route = |route: &&shared::http::routes::Route| route.method.as_str() == method && route.path == path;
            let route = shared::http::routes::ROUTES.iter().find(is_route).unwrap_or_else(|| panic!("{function}/{name} has no route"));
            if function != "authorize" {
                assert_eq!(route.endpoint.function(), function, "{name}");
            }
        }
    }
}
