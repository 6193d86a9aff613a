//! Unchanged clients of others, pointed at the service: the SDKs of RudderStack and Segment, and the official one of CloudEvents.
//!
//! `scripts/setup clients` installs them and a browser; without them these tests fail.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use event_service_tests::app::{Client, TestApp};
use local::background::Background;
use local::server;
use serde_json::{Value, json};
use shared::adapters::memory::MemoryBus;
use shared::adapters::system::SystemClock;
use shared::domain::access::Scope;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::oneshot;

const QUERY: &str = "/api/v1/events/query";

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Runs a script of clients against the service, and returns what it says that it sent.
async fn run(app: &TestApp, script: &str, keys: &[&str]) -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let background = Background::new(app.app.clone(), app.queues.clone(), Arc::new(MemoryBus::default()));
    let serving = tokio::spawn(server::serve(listener, Arc::new(background), 0, async move { stopped.await.unwrap_or_default() }));
    let output = Command::new("node").arg(in_repository(script)).arg(&url).args(keys).stderr(Stdio::piped()).output().await;
    let output = output.unwrap_or_else(|error| panic!("node does not run ({error}): call scripts/setup clients"));
    drop(stop);
    serving.await.unwrap().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{script}: {complaint}\nIf a library is missing, call scripts/setup clients");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{script} says nothing of use ({error})"))
}

/// A key of these scopes.
async fn key(app: &TestApp, scopes: &[Scope]) -> String {
    let client = app.client_with(scopes, Some("org_1")).await;
    let request = client.request(lambda_http::http::Method::GET, "/").body(lambda_http::Body::Empty).unwrap();
    request.headers()["x-api-key"].to_str().unwrap().to_owned()
}

async fn found(client: &Client<'_>, query: Value) -> Vec<Value> {
    client.post(QUERY, &query).await.ok()["events"].as_array().unwrap().clone()
}

/// The only event that a message became.
async fn event_of(client: &Client<'_>, message_id: &Value) -> Value {
    let all = found(client, json!({"limit": 1000})).await;
    let mut of_message: Vec<&Value> = all.iter().filter(|event| event["metadata"]["message_id"] == *message_id).collect();
    assert_eq!(of_message.len(), 1, "{message_id} is there once");
    of_message.remove(0).clone()
}

/// What an SDK says that it sent: `type` and, of some, `event`.
fn expected_type(sent: &Value) -> &Value {
    if sent["event"].is_string() { &sent["event"] } else { &sent["type"] }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sdks_for_node_send_is_read_back() {
    let app = TestApp::in_memory();
    let (write_key, api_key) = (key(&app, &[Scope::Collect]).await, key(&app, &[Scope::Write]).await);
    let sent = run(&app, "tests/clients/node.mjs", &[&write_key, &api_key]).await;
    let client = app.client_of("org_1").await;
    for (sdk, user) in [("rudder", "rudder-user"), ("segment", "segment-user")] {
        let calls: Vec<&str> = sent[sdk].as_array().unwrap().iter().map(|call| call["type"].as_str().unwrap()).collect();
        assert_eq!(calls.len(), 6, "{sdk}: {calls:?}");
        for call in sent[sdk].as_array().unwrap() {
            let event = event_of(&client, &call["messageId"]).await;
            assert_eq!(
                json!([event["metadata"]["call"], event["user_id"], event["organization_id"]]),
                json!([call["type"], user, "org_1"])
            );
            if call["type"] == "track" {
                assert_eq!(&event["event_type"], expected_type(call));
            }
        }
        let stream = client.get(&format!("/api/v1/events/stream/user:{user}")).await.ok();
        assert_eq!(stream["version"], 6, "{sdk}");
    }
    let order = client.get("/api/v1/events/stream/order:42").await.ok();
    let in_order: Vec<&Value> = order["events"].as_array().unwrap().iter().map(|event| &event["event_type"]).collect();
    let as_sent: Vec<&Value> = sent["cloudevents"].as_array().unwrap().iter().map(|event| &event["type"]).collect();
    assert_eq!(in_order, as_sent);
    assert!(order["events"].as_array().unwrap().iter().all(|event| event["context"]["cloudevent"]["tenant"].is_string()));
    assert_eq!(client.get("/api/v1/events/rejected").await.ok()["rejected_events"], json!([]));
}

/// Scenario 1, BR-FE-005.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_sdk_for_browsers_sends_from_a_page_is_read_back_an_unload_beacon_too() {
    let mut app = TestApp::in_memory();
    app.app_mut().clock = Arc::new(SystemClock);
    let write_key = key(&app, &[Scope::Collect]).await;
    let report = run(&app, "tests/clients/browser.mjs", &[&write_key]).await;
    let client = app.client_of("org_1").await;
    let sent = report["sent"].as_array().unwrap();
    for call in ["page", "identify", "track", "group"] {
        assert!(sent.iter().any(|sent| sent["type"] == call), "{call}: {report}");
    }
    assert!(sent.iter().any(|sent| sent["path"].as_str().is_some_and(|path| path.starts_with("/beacon/"))), "{report}");
    let session = report["sessionId"].to_string();
    for call in sent {
        let event = event_of(&client, &call["messageId"]).await;
        assert_eq!(json!([event["metadata"]["call"], event["event_source"]]), json!([call["type"], "frontend"]));
        assert!(event["metadata"]["client_ip"].as_str() == Some("127.0.0.1") && event["metadata"]["user_agent"].is_string(), "{event}");
    }
    // Before it was known who it was, the visitor had looked at a page.
    let of_user = found(&client, json!({"user_id": "user-1", "session_id": session})).await;
    let with_before = found(&client, json!({"user_id": "user-1", "include_anonymous": true})).await;
    assert!(!of_user.is_empty() && with_before.len() > found(&client, json!({"user_id": "user-1"})).await.len(), "{report}");
    assert!(with_before.iter().any(|event| event["user_id"] == report["anonymousId"] && event["metadata"]["call"] == "page"));
    assert_eq!(client.get("/api/v1/events/rejected").await.ok()["rejected_events"], json!([]));
}
