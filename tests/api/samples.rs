//! Every file in `events/` is fed to its function, and every function has some.
//!
//! They are what AWS sends: requests of an HTTP API (payload format 2.0), of its authorizer, and
//! batches of the table's stream.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use event_service_tests::app::{Answer, TestApp};
use insta::assert_snapshot;
use lambda_http::{Body, Request, Response};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use shared::adapters::memory::MemoryCounters;
use shared::commands::append::AppendPorts;
use shared::commands::manage_keys::ManageKeysPorts;
use shared::commands::record_events::RecordEventsPorts;
use shared::domain::access::{ApiKey, ApiKeySecret, Scope};
use shared::domain::counters::{CounterKey, CounterScope, Period};
use shared::ports::counter_store::CounterStore as _;
use shared::queries::check_access::CheckAccessPorts;
use shared::queries::read_events::ReadEventsPorts;

use super::{BATCH, CLIENT_ID};

/// The one function that is no Lambda function: it runs the others.
const LOCAL: &str = "local";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
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

/// A service with the events and the key that the samples speak of.
async fn app() -> TestApp {
    let app = TestApp::in_memory();
    let events = json!([
        {"event_type": "order.placed", "event_category": "order", "user_id": "user_12345", "stream_id": "order:42", "event_id": CLIENT_ID},
        {"event_type": "order.paid", "event_category": "order", "user_id": "user_12345", "stream_id": "order:42"},
    ]);
    app.client().await.post(BATCH, &events).await.succeeds();
    let secret = ApiKeySecret::from_random([0; 32]);
    let key = ApiKey {
        digest: secret.digest(),
        name: "Order Service".to_owned(),
        scopes: vec![Scope::Write],
        organization: "org_1".parse().ok(),
        created_at: app.now(),
        expires_at: None,
    };
    app.keys().put_key(&key).await.unwrap();
    app
}

/// What a function answers to a sample; nothing if there is no such function here.
async fn answer(app: &TestApp, function: &str, sample: &str) -> Option<String> {
    let (app, random) = (&app.app, &*app.random);
    match function {
        "record-events" => {
            let append = AppendPorts { log: &*app.log, random, heads: &app.heads };
            Some(shown(record_events::handle(&RecordEventsPorts { append, clock: &*app.clock }, request(sample)).await))
        }
        "read-events" => {
            let ports = ReadEventsPorts { events: &*app.events, clock: &*app.clock };
            Some(shown(read_events::handle(&ports, request(sample)).await))
        }
        "manage-keys" => {
            let ports = ManageKeysPorts { keys: &*app.keys, clock: &*app.clock, random };
            Some(shown(manage_keys::handle(&ports, request(sample)).await))
        }
        "authorize" => {
            let ports = CheckAccessPorts { keys: &*app.keys, tokens: None, clock: &*app.clock, cache: &app.cache };
            let verdict = authorize::handle(&ports, serde_json::from_str(sample).unwrap()).await;
            Some(format!("{:#}", serde_json::to_value(verdict).unwrap()))
        }
        "count-events" => Some(counted(sample).await),
        _ => None,
    }
}

fn request(sample: &str) -> Request {
    lambda_http::request::from_str(sample).unwrap()
}

fn shown(response: Response<Body>) -> String {
    let (head, body) = response.into_parts();
    let text = String::from_utf8(body.as_ref().to_vec()).unwrap();
    Answer { status: head.status, headers: head.headers, text }.to_string()
}

/// The answer, and what was counted.
async fn counted(sample: &str) -> String {
    let counters = MemoryCounters::default();
    let event = LambdaEvent::new(serde_json::from_str(sample).unwrap(), Context::default());
    let answer = count_events::handle(&counters, event).await.unwrap();
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

#[tokio::test]
async fn every_sample_is_answered_by_its_function() {
    for function in names(&root().join("events")) {
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
    assert_eq!(names(&root().join("events")), functions());
    for function in functions() {
        assert!(!samples(&function).is_empty(), "events/{function} has no samples");
    }
}

#[test]
fn every_sample_of_a_request_fits_what_api_gateway_sends() {
    for function in ["record-events", "read-events", "manage-keys", "authorize"] {
        for (name, sample) in samples(function) {
            let sample: Value = serde_json::from_str(&sample).unwrap();
            assert_eq!(sample["version"], "2.0", "{function}/{name}");
            let http = &sample["requestContext"]["http"];
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
