//! The API as clients see it: a module for each route, the scenarios of the domain, the walls
//! between organizations, hostile requests, and the sample payloads of each function.

#![cfg(test)]

mod batch;
mod collection;
mod conventions;
mod create;
mod dead_letters;
mod docs;
mod get_event;
mod health;
mod hostile;
mod keys;
mod processors;
mod projections;
mod query;
mod results;
mod samples;
mod scenarios;
mod schemas;
mod statistics;
mod stream;
mod subscriptions;
mod tenancy;
mod tokens;

use event_service_tests::app::{Answer, Client, TestApp};
use serde_json::{Value, json};

const CREATE: &str = "/api/v1/events/create";
const BATCH: &str = "/api/v1/events/batch";
const QUERY: &str = "/api/v1/events/query";
const STATISTICS: &str = "/api/v1/events/statistics";
const KEYS: &str = "/api/v1/keys";
const SUBSCRIPTIONS: &str = "/api/v1/events/subscriptions";
const PROCESSORS: &str = "/api/v1/events/processors";
const PROJECTIONS: &str = "/api/v1/events/projections";
const REPLAY: &str = "/api/v1/events/replay";
const SCHEMAS: &str = "/api/v1/events/schemas";
const DEAD_LETTERS: &str = "/api/v1/events/dead-letters";

/// An id as clients make them.
const CLIENT_ID: &str = "0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f";

/// Another one.
const OTHER_ID: &str = "0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e10";

/// Makes a processor that is given every event from now on. They are pending, as long as nobody runs it.
async fn process_everything(app: &TestApp) {
    let processor = json!({"processor_name": "everything", "processor_type": "internal"});
    app.client().await.post(PROCESSORS, &processor).await.succeeds();
}

/// How many events there are that the client may see.
async fn total(client: &Client<'_>) -> u64 {
    client.post(QUERY, &json!({})).await.ok()["total"].as_u64().unwrap()
}

/// `type` and `loc` of each problem of a 422.
fn problems(answer: &Answer) -> Vec<(String, Value)> {
    assert_eq!(answer.status, 422, "{answer}");
    let body = answer.json();
    let text = |problem: &Value, name: &str| problem[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let problems = body["detail"].as_array().unwrap().iter();
    problems
        .map(|problem| {
            assert!(!text(problem, "msg").is_empty() && problem.get("input").is_some(), "{answer}");
            (text(problem, "type"), problem["loc"].clone())
        })
        .collect()
}

/// The `event_type` of each event in a list.
fn types(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().map(|event| event["event_type"].as_str().unwrap()).collect()
}

/// A snapshot is named after the test that makes it, so one that no test makes can be told.
#[test]
fn every_snapshot_belongs_to_a_test() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("api");
    for entry in std::fs::read_dir(folder.join("snapshots")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let parts: Vec<&str> = name.strip_suffix(".snap").unwrap_or_else(|| panic!("{name} is to be reviewed")).split("__").collect();
        let is_made = match parts[..] {
            ["api", "samples", function, sample] => folder.join(format!("../../events/{function}/{sample}.json")).exists(),
            ["api", module, test] => {
                let source = std::fs::read_to_string(folder.join(format!("{module}.rs"))).unwrap();
                source.contains(&format!("fn {test}()"))
            }
            _ => false,
        };
        assert!(is_made, "no test makes {name}");
    }
}
