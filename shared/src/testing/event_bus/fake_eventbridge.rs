//! EventBridge's protocol, within a client: what the adapter is tested against.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_eventbridge::config::retry::RetryConfig;
use aws_sdk_eventbridge::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::domain::timestamp::Timestamp;
use crate::ports::event_bus::BusEntry;

/// The most bytes that the service takes in one call.
const MOST_BYTES: usize = 256 * 1024;

/// EventBridge, without a socket. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct FakeEventBridge(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    taken: Vec<BusEntry>,
    call_sizes: Vec<usize>,
    failures: Vec<Failure>,
    most_calls: Option<usize>,
}

/// Entries that are not taken, although their call is.
#[derive(Debug)]
struct Failure {
    detail_type: String,
    code: String,
    times: usize,
}

impl FakeEventBridge {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client that speaks to this.
    #[must_use]
    pub fn client(&self) -> aws_sdk_eventbridge::Client {
        let connector = SharedHttpConnector::new(self.clone());
        aws_sdk_eventbridge::Client::from_conf(
            aws_sdk_eventbridge::Config::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::from_static("us-east-1"))
                .credentials_provider(Credentials::new("fake", "fake", None, None, "fake"))
                .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
                .http_client(http_client_fn(move |_, _| connector.clone()))
                .build(),
        )
    }

    /// Answers so many entries of this detail type with this code.
    pub fn fail(&self, detail_type: &str, code: &str, times: usize) {
        self.state().failures.push(Failure { detail_type: detail_type.to_owned(), code: code.to_owned(), times });
    }

    /// Refuses every call after so many.
    pub fn refuse_calls_after(&self, calls: usize) {
        self.state().most_calls = Some(calls);
    }

    /// The entries that were taken.
    #[must_use]
    pub fn taken(&self) -> Vec<BusEntry> {
        self.state().taken.clone()
    }

    /// How many entries each call had.
    #[must_use]
    pub fn call_sizes(&self) -> Vec<usize> {
        self.state().call_sizes.clone()
    }

    fn answer(&self, request: &Value) -> (u16, Value) {
        let entries = request["Entries"].as_array().unwrap();
        let mut state = self.state();
        state.call_sizes.push(entries.len());
        let (read, sizes): (Vec<BusEntry>, Vec<usize>) = entries.iter().map(read).unzip();
        let bytes: usize = sizes.iter().sum();
        if !(1..=10).contains(&entries.len()) || bytes > MOST_BYTES {
            return (400, json!({ "__type": "ValidationException", "message": "too many entries, or too large" }));
        }
        if state.most_calls.is_some_and(|most| state.call_sizes.len() > most) {
            return (500, json!({ "__type": "InternalException", "message": "out of order" }));
        }
        let mut failed = 0;
        let mut results = Vec::new();
        for entry in read {
            let failure = state.failures.iter_mut().find(|failure| failure.detail_type == entry.detail_type && failure.times > 0);
            if let Some(failure) = failure {
                failure.times -= 1;
                failed += 1;
                results.push(json!({ "ErrorCode": failure.code, "ErrorMessage": "not now" }));
            } else {
                results.push(json!({ "EventId": format!("id-{}", state.taken.len()) }));
                state.taken.push(entry);
            }
        }
        (200, json!({ "FailedEntryCount": failed, "Entries": results }))
    }
}

/// An entry, and its size as the service counts it.
fn read(entry: &Value) -> (BusEntry, usize) {
    let text = |name: &str| entry[name].as_str().unwrap().to_owned();
    let (bus, source, detail_type, detail) = (text("EventBusName"), text("Source"), text("DetailType"), text("Detail"));
    assert!(serde_json::from_str::<Value>(&detail).unwrap().is_object(), "{detail}");
    let size = 14 + source.len() + detail_type.len() + detail.len();
    let at = Timestamp::from_unix_number(entry["Time"].as_f64().unwrap()).unwrap();
    (BusEntry { bus: Some(bus), source, detail_type, detail, at }, size)
}

impl HttpConnector for FakeEventBridge {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        assert_eq!(request.headers().get("x-amz-target"), Some("AWSEvents.PutEvents"));
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let (status, answer) = self.answer(&body);
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(answer.to_string()))))
    }
}
