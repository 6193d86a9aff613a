//! The operations that are measured, as the requests that do them.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use hyper::Method;
use hyper::body::Bytes;
use lambda_http::{Body, Request};
use serde_json::{Value, json};
use shared::domain::event_id::EventId;
use tools::http_client;

use crate::BenchError;
use crate::fill::{self, Targets};
use crate::store::{NOW, Store};
use tools::sample;

pub(crate) const CREATE: &str = "/api/v1/events/create";
pub(crate) const BATCH: &str = "/api/v1/events/batch";
const FRONTEND: &str = "/api/v1/events/frontend";
const ANALYTICS: &str = "/v1/batch";
const REPLAY: &str = "/api/v1/events/replay";
const QUERY: &str = "/api/v1/events/query";

/// How many streams writers of one stream take turns at: far more than there are connections, so
/// that two requests hardly ever meet.
const STREAMS: u64 = 128;
/// How many sets of streams writers of many streams take turns at.
const SETS: u64 = 64;

/// What numbers are given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Per {
    /// For one event; a request has so many.
    Event(u32),
    /// For one request.
    Call,
    /// For one event, sent to one subscription.
    Delivery,
}

/// Where an operation is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    /// Only by calling the handler.
    Called,
    /// Through HTTP as well.
    Everywhere,
}

/// Something that the service does.
pub(crate) struct Operation {
    /// Its name in tables and files.
    pub(crate) name: &'static str,
    /// What its numbers are given for.
    pub(crate) per: Per,
    /// Where it is measured.
    pub(crate) measured: Where,
    /// How many requests come first and are not measured, so that streams exist and their ends are known.
    pub(crate) prime: u64,
    /// How many events the answer must hold.
    pub(crate) answers: Option<usize>,
    make: Box<dyn Fn(u64) -> Result<Call, BenchError> + Send + Sync>,
}

impl Operation {
    /// Its request number `number`.
    pub(crate) fn call(&self, number: u64) -> Result<Call, BenchError> {
        (self.make)(number)
    }

    fn read(name: &'static str, make: impl Fn(u64) -> Result<Call, BenchError> + Send + Sync + 'static) -> Self {
        // The first one reads the definitions, which are remembered for those after it.
        Self { name, per: Per::Call, measured: Where::Everywhere, prime: 1, answers: None, make: Box::new(make) }
    }

    /// A query.
    pub(crate) fn query(name: &'static str, wanted: Value) -> Self {
        Self::read(name, move |_| Call::post(QUERY, &wanted))
    }

    fn create(name: &'static str, make: impl Fn(u64) -> Result<Call, BenchError> + Send + Sync + 'static) -> Self {
        Self { per: Per::Event(1), measured: Where::Called, prime: STREAMS, ..Self::read(name, make) }
    }

    fn batch(name: &'static str, events: u32, make: impl Fn(u64) -> Result<Call, BenchError> + Send + Sync + 'static) -> Self {
        Self { per: Per::Event(events), measured: Where::Everywhere, ..Self::create(name, make) }
    }

    /// The same, if its answers must hold so many events.
    pub(crate) fn answering(self, events: usize) -> Self {
        Self { answers: Some(events), ..self }
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Its method.
    pub(crate) method: Method,
    /// Its path, with what follows it.
    pub(crate) path: String,
    /// Its body.
    pub(crate) body: Bytes,
    /// Its `Idempotency-Key`.
    pub(crate) idempotency_key: Option<String>,
}

impl Call {
    pub(crate) fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: Bytes::new(), idempotency_key: None }
    }

    pub(crate) fn post(path: &str, body: &Value) -> Result<Self, BenchError> {
        Ok(Self { method: Method::POST, path: path.to_owned(), body: http_client::body(body)?, idempotency_key: None })
    }

    /// The request as the handler takes it.
    pub(crate) fn request(self, store: &Store) -> Result<Request, BenchError> {
        let mut request = hyper::Request::builder().method(self.method).uri(self.path).header("content-type", "application/json");
        request = request.header("x-api-key", store.key.reveal());
        if let Some(key) = self.idempotency_key {
            request = request.header(shared::http::request::IDEMPOTENCY_KEY, key);
        }
        Ok(request.body(Body::from(self.body.to_vec()))?)
    }
}

/// What is measured while the store holds just its history.
pub(crate) fn statistics() -> Operation {
    Operation::read("statistics", |_| Ok(Call::get("/api/v1/events/statistics".to_owned())))
}

/// What reads the store and leaves it as it is.
pub(crate) fn reads(targets: &Targets) -> Vec<Operation> {
    let day = |day: DateTime<Utc>| {
        let end = day + TimeDelta::days(1) - TimeDelta::microseconds(1);
        json!({"event_type": "order.placed", "start_time": text(day), "end_time": text(end), "limit": 1000})
    };
    let stream = format!("/api/v1/events/stream/{}", fill::LONG_STREAM);
    vec![
        get("get", targets.singles.clone()),
        Operation { measured: Where::Called, ..get("get_from_batch_100", targets.batched.clone()) },
        Operation::query("query_type_time_1000", day(fill::dense_day())).answering(1000),
        Operation { measured: Where::Called, ..Operation::query("query_type_time_1000_singles", day(fill::sparse_day())).answering(1000) },
        // Everything of the busiest type in the whole history, of which the newest come.
        Operation {
            measured: Where::Called,
            ..Operation::query(
                "query_type_week_1000",
                json!({"event_type": "page.viewed", "start_time": text(fill::start()), "end_time": text(NOW), "limit": 1000}),
            )
        },
        Operation::query("offset_50000", json!({"start_time": text(fill::start()), "end_time": text(NOW), "offset": 50_000, "limit": 100})),
        Operation {
            measured: Where::Called,
            ..Operation::read("replay_dry_run", |_| {
                Call::post(REPLAY, &json!({"start_time": text(fill::start()), "end_time": text(NOW), "all": true, "dry_run": true}))
            })
        },
        Operation::read("stream_1000", move |_| Ok(Call::get(stream.clone()))).answering(fill::LONG),
    ]
}

/// A moment as requests have it.
pub(crate) fn text(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn get(name: &'static str, ids: Vec<EventId>) -> Operation {
    Operation::read(name, move |number| {
        let index = usize::try_from(number).unwrap_or_default() * 7 % ids.len().max(1);
        Ok(Call::get(format!("/api/v1/events/{}", ids.get(index).map(ToString::to_string).unwrap_or_default())))
    })
}

/// When a visit has its events that are sent in one request: some twenty each minute, as pages do.
fn made_at(number: u64) -> DateTime<Utc> {
    NOW - TimeDelta::minutes(i64::try_from(number / STREAMS % 1_000_000).unwrap_or_default())
}

/// So many events of one visit.
fn collected(number: u64, events: u64) -> Result<Call, BenchError> {
    let views: Vec<Value> = (0..events).map(|event| sample::view(number % STREAMS, number * events + event, made_at(number))).collect();
    Call::post(&format!("{FRONTEND}/batch"), &json!({"events": views}))
}

/// What collects events of pages and of SDKs.
pub(crate) fn collecting() -> Vec<Operation> {
    writes().into_iter().filter(|operation| ["collect", "collect_20", "sdk_batch_20"].contains(&operation.name)).collect()
}

/// What adds to the store.
pub(crate) fn writes() -> Vec<Operation> {
    let user = |kind: &str, number: u64| format!("{kind}-{}", number % STREAMS);
    let one_stream = move |number: u64, events: u64| {
        let orders = sample::orders(&user("batch", number), number * events, events);
        Call::post(BATCH, &Value::Array(orders))
    };
    let many_streams = |number: u64, events: u64| {
        let order = |event| sample::order(&format!("many-{}-{event}", number % SETS), number * events + event);
        Call::post(BATCH, &Value::Array((0..events).map(order).collect()))
    };
    let many = |operation: Operation| Operation { prime: SETS, ..operation };
    vec![
        Operation {
            measured: Where::Everywhere,
            ..Operation::create("create", move |number| Call::post(CREATE, &sample::order(&user("create", number), number)))
        },
        Operation {
            prime: 0,
            ..Operation::create("create_unknown_head", |number| Call::post(CREATE, &sample::order(&fill::single_user(number), number)))
        },
        Operation::create("create_other_entity", move |number| {
            let order = sample::order(&user("buyer", number), number);
            Call::post(CREATE, &sample::with(order, "stream_id", format!("order:bench-{}", number % STREAMS)))
        }),
        Operation::create("create_with_event_id", move |number| {
            let order = sample::order(&user("identified", number), number);
            Call::post(CREATE, &sample::with(order, "event_id", format!("5c0ffee0-0000-4000-8000-{number:012x}")))
        }),
        Operation::create("create_with_idempotency_key", move |number| {
            let call = Call::post(CREATE, &sample::order(&user("keyed", number), number))?;
            Ok(Call { idempotency_key: Some(format!("bench-{number:012}")), ..call })
        }),
        Operation::batch("batch_20_one_stream", 20, move |number| one_stream(number, 20)),
        many(Operation::batch("batch_20_many_streams", 20, move |number| many_streams(number, 20))),
        Operation::batch("batch_100_one_stream", 100, move |number| one_stream(number, 100)),
        many(Operation::batch("batch_100_many_streams", 100, move |number| many_streams(number, 100))),
        Operation {
            measured: Where::Everywhere,
            ..Operation::create("collect", |number| Call::post(FRONTEND, &sample::view(number % STREAMS, number, made_at(number))))
        },
        Operation::batch("collect_20", 20, |number| collected(number, 20)),
        Operation::batch("collect_100", 100, |number| collected(number, 100)),
        Operation::batch("sdk_batch_20", 20, |number| {
            let messages: Vec<Value> =
                (0..20).map(|event| sample::message(number % STREAMS, number * 20 + event, made_at(number))).collect();
            Call::post(ANALYTICS, &json!({"batch": messages, "sentAt": text(NOW)}))
        }),
    ]
}
