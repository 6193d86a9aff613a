//! `GET /api/v1/events/{event_id}/results`.

use event_service_tests::Store;
use event_service_tests::app::TestApp;
use insta::assert_snapshot;
use serde_json::{Value, json};
use shared::domain::claim::Slot;
use shared::domain::outcome::{EventOutcome, Outcome, ProcessingResult, ResultStatus};
use shared::domain::status::EventStatus;
use shared::domain::stream_id::StreamKey;
use shared::domain::version::Version;
use shared::ports::commit_log::CommitLog as _;
use shared::ports::outcome_log::{ConcludedCommit, OutcomeLog as _};
use shared::ports::revision::Revision;

use super::{CLIENT_ID, CREATE};

#[tokio::test]
async fn every_attempt_is_answered_in_order() {
    let store = Store::open().await;
    let app = TestApp::on(&store);
    let client = app.client().await;
    client.post(CREATE, &json!({"event_type": "a", "event_id": CLIENT_ID, "stream_id": "order:1"})).await.succeeds();
    let path = format!("/api/v1/events/{CLIENT_ID}/results");
    assert_eq!(client.get(&path).await.ok()["results"], json!([]));

    let stream = StreamKey { organization: None, stream: "order:1".parse().unwrap() };
    let commit = store.commit_at(&Slot { stream, first: Version::new(1) }).await.unwrap().unwrap();
    let result = |processor: &str, status, message: Option<&str>, seconds: i64, attempt| ProcessingResult {
        processor: processor.to_owned(),
        status,
        message: message.map(str::to_owned),
        at: app.now().plus_micros(seconds * 1_000_000),
        ms: 12,
        attempt,
    };
    let results = vec![
        result("crm", ResultStatus::Retry, Some("the receiver answered 503"), 1, 1),
        result("odd", ResultStatus::Skipped, None, 1, 1),
        result("crm", ResultStatus::Success, None, 11, 2),
    ];
    let outcome = Outcome { commit: commit.id(), events: vec![EventOutcome { status: EventStatus::Processed, results }] };
    let of = ConcludedCommit { stream: commit.stream.clone(), first: commit.first, last_occurred_at: commit.last_occurred_at() };
    assert!(store.save_outcome(&of, &outcome, Revision(0)).await.unwrap());
    assert_snapshot!(client.get(&path).await);
}

#[tokio::test]
async fn the_results_of_an_event_are_for_those_who_may_read_it() {
    let app = TestApp::in_memory();
    let client = app.client_of("org_1").await;
    client.post(CREATE, &json!({"event_type": "a", "event_id": CLIENT_ID})).await.succeeds();
    let path = format!("/api/v1/events/{CLIENT_ID}/results");
    client.get(&path).await.succeeds();
    let foreign = app.client_of("org_2").await.get(&path).await;
    assert_eq!((foreign.status.as_u16(), &foreign.json()["detail"]), (404, &json!("Event not found")));
    assert_eq!(client.get("/api/v1/events/nonsense/results").await, foreign);
    assert_eq!(app.anybody().get(&path).await.json()["detail"], Value::from("Not authenticated"));
}
