//! Replays as they are asked for.

use lambda_http::Request;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::fields::{Blank, Fields};
use super::openapi::schemas::{EventCategorySchema, EventSourceSchema, EventStatusSchema, JsonObjectSchema, MomentSchema};
use super::problem::{FieldProblemKind, Place, Problem};
use super::query_request::{event_filter, limit, parameters_of};
use super::request::query_string;
use crate::commands::manage_replays::{Everybody, REPUBLISH, ReplayRequest, Wanted};
use crate::domain::category::EventCategory;
use crate::domain::event_id::EventId;
use crate::domain::identifiers::ReplayId;
use crate::domain::query::{Anonymous, EventFilter};
use crate::domain::replay::Replay;
use crate::domain::source::EventSource;
use crate::domain::status::EventStatus;
use crate::domain::stream_id::StreamId;
use crate::domain::version::Version;

/// Events to send again. One of `stream_id`, `event_ids` and `start_time` with `end_time` says which; `target_service` says to whom.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = ReplayRequest)]
pub struct ReplayRequestBody {
    /// All events of a stream, in its order.
    #[schema(example = "order:1001")]
    pub stream_id: Option<String>,
    /// With `stream_id`: from which version on.
    #[schema(minimum = 0, default = 1)]
    pub from_version: Option<u64>,
    /// With `stream_id`: up to which version.
    #[schema(minimum = 0)]
    pub to_version: Option<u64>,
    /// These events.
    #[schema(min_items = 1, max_items = 1000)]
    pub event_ids: Option<Vec<String>>,
    /// What happened from this moment on, inclusive, and fits the conditions below.
    #[schema(value_type = Option<MomentSchema>)]
    pub start_time: Option<String>,
    /// Until when, inclusive.
    #[schema(value_type = Option<MomentSchema>)]
    pub end_time: Option<String>,
    /// Who gets them: the id or the name of a subscription, `processor:` with the name of a processor, `eventbridge:` or `nats:` with a
    /// name of your own, under which they are put on the bus or published as `events.replay.{name}.{event_type}`, or `nats:*`, which
    /// publishes them on NATS as when they were new.
    #[schema(example = "user_service")]
    pub target_service: Option<String>,
    /// Instead of `target_service`: every subscription and every processor that selects an event.
    #[schema(default = false)]
    pub all: Option<bool>,
    /// Whether only to say what would be sent.
    #[schema(default = false)]
    pub dry_run: Option<bool>,
    /// The most events a second.
    #[schema(minimum = 1, maximum = 1000, default = 100)]
    pub rate_limit: Option<u32>,
    /// The organization; by default the credential's own, or everybody's.
    pub organization_id: Option<String>,
    /// With a time range: the type, exactly.
    pub event_type: Option<String>,
    /// The source.
    #[schema(value_type = Option<EventSourceSchema>)]
    pub event_source: Option<EventSource>,
    /// The category.
    #[schema(value_type = Option<EventCategorySchema>)]
    pub event_category: Option<EventCategory>,
    /// The processing status.
    #[schema(value_type = Option<EventStatusSchema>)]
    pub status: Option<EventStatus>,
    /// The user.
    pub user_id: Option<String>,
    /// The visit.
    pub session_id: Option<String>,
    /// The device.
    pub device_id: Option<String>,
    /// The operation.
    pub correlation_id: Option<String>,
    /// What `data` must hold, as in a query.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub data: Option<BTreeMap<String, serde_json::Value>>,
}

/// Events to publish on NATS again: those that happened between two moments and fit the conditions below.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = RepublishRequest)]
pub struct RepublishRequestBody {
    /// From this moment on, inclusive: by the events' own `timestamp`.
    #[schema(value_type = MomentSchema)]
    pub start_time: String,
    /// Until when, inclusive.
    #[schema(value_type = MomentSchema)]
    pub end_time: String,
    /// Whether only to say how many that would be.
    #[schema(default = false)]
    pub dry_run: Option<bool>,
    /// The most events a second.
    #[schema(minimum = 1, maximum = 1000, default = 1000)]
    pub rate_limit: Option<u32>,
    /// The organization; by default, everybody's.
    pub organization_id: Option<String>,
    /// The type, exactly.
    pub event_type: Option<String>,
    /// The source.
    #[schema(value_type = Option<EventSourceSchema>)]
    pub event_source: Option<EventSource>,
    /// The category.
    #[schema(value_type = Option<EventCategorySchema>)]
    pub event_category: Option<EventCategory>,
    /// The user.
    pub user_id: Option<String>,
}

/// Whether a replay is only tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// It is.
    Dry,
    /// It is not.
    Real,
}

/// The replay that a body asks for.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn replay_request(body: &RawValue) -> Result<(ReplayRequest, Run), Problem> {
    let mut fields = Fields::read(body, vec![Place::name("body")], Blank::Nothing).map_err(|problem| Problem::invalid(vec![problem]))?;
    let filter = event_filter(&mut fields);
    if filter.anonymous == Anonymous::Included {
        fields.refuse_value("include_anonymous", "is of queries: replay the streams of the visits");
    }
    let organization = filter.organization.clone();
    let what = wanted(&mut fields, filter);
    let target = fields.label("target_service", 600);
    let all = match fields.boolean("all") {
        Some(true) if target.is_some() => {
            fields.refuse_value("all", "means everybody, and target_service names one: send one of them");
            Everybody::No
        }
        Some(true) => Everybody::Yes,
        Some(false) | None => Everybody::No,
    };
    let (run, rate) = run_and_rate(&mut fields, Replay::USUAL_RATE);
    let request = what.map(|what| (ReplayRequest { what, organization, target, all, rate }, run));
    fields.finish(request).map_err(Problem::invalid)
}

/// The fields of replays that publishing again has no use for.
const OF_REPLAYS: [&str; 7] = ["stream_id", "event_ids", "from_version", "to_version", "target_service", "all", "include_anonymous"];
/// The fields of a request to publish again, and all other conditions of queries.
const OF_REPUBLISHING: [&str; 14] = [
    "start_time",
    "end_time",
    "dry_run",
    "rate_limit",
    "organization_id",
    "event_type",
    "event_source",
    "event_category",
    "user_id",
    "status",
    "session_id",
    "device_id",
    "correlation_id",
    "data",
];

/// The replay to NATS that a body asks for.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn republish_request(body: &RawValue) -> Result<(ReplayRequest, Run), Problem> {
    let mut fields = Fields::read(body, vec![Place::name("body")], Blank::Nothing).map_err(|problem| Problem::invalid(vec![problem]))?;
    // A dry run that is misspelled must not begin a real one.
    for name in fields.names() {
        if OF_REPLAYS.contains(&name.as_str()) && fields.given(&name).is_some() {
            fields.refuse_value(&name, "is of replays: POST /api/v1/events/replay with \"target_service\": \"nats:*\" takes it");
        } else if !OF_REPUBLISHING.contains(&name.as_str()) && !OF_REPLAYS.contains(&name.as_str()) {
            fields.refuse_value(&name, "is no field of this request");
        }
    }
    let filter = event_filter(&mut fields);
    let organization = filter.organization.clone();
    let what = range(&mut fields, filter);
    let (run, rate) = run_and_rate(&mut fields, Replay::MAX_RATE);
    let target = Some(REPUBLISH.to_owned());
    let request = what.map(|what| (ReplayRequest { what, organization, target, all: Everybody::No, rate }, run));
    fields.finish(request).map_err(Problem::invalid)
}

fn run_and_rate(fields: &mut Fields<'_>, usual: u32) -> (Run, u32) {
    let run = if fields.boolean("dry_run") == Some(true) { Run::Dry } else { Run::Real };
    let rate = fields.integer("rate_limit", 1, u64::from(Replay::MAX_RATE)).and_then(|rate| u32::try_from(rate).ok());
    (run, rate.unwrap_or(usual))
}

/// What happened between two moments, both of which must be named.
fn range(fields: &mut Fields<'_>, filter: EventFilter) -> Option<Wanted> {
    for name in ["start_time", "end_time"] {
        if fields.given(name).is_none() {
            fields.missing(name);
        }
    }
    if filter.from.zip(filter.to).is_some_and(|(from, to)| from > to) {
        fields.refuse_value("end_time", "comes before start_time");
    }
    (filter.from.is_some() && filter.to.is_some()).then_some(Wanted::Time(filter))
}

/// What the body names.
fn wanted(fields: &mut Fields<'_>, filter: EventFilter) -> Option<Wanted> {
    let stream: Option<StreamId> = fields.parsed("stream_id");
    let ids = ids(fields);
    let from = fields.integer("from_version", 0, Version::MAX.get()).map(Version::new);
    let to = fields.integer("to_version", 0, Version::MAX.get()).map(Version::new);
    let given = |fields: &Fields<'_>, name: &str| fields.given(name).is_some();
    let by_time = given(fields, "start_time") || given(fields, "end_time");
    // Clients that always send a first version mean nothing by 0 or 1.
    let starts_later = from.is_some_and(|from| from > Version::new(1));
    for (name, says) in [("from_version", starts_later), ("to_version", to.is_some())] {
        if says && !given(fields, "stream_id") {
            fields.refuse_value(name, "goes with stream_id");
        }
    }
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        fields.refuse_value("to_version", "comes before from_version");
    }
    match (given(fields, "stream_id"), given(fields, "event_ids"), by_time) {
        (true, false, false) => {
            let others =
                ["event_type", "event_source", "event_category", "status", "user_id", "session_id", "device_id", "correlation_id", "data"];
            for name in others.into_iter().filter(|name| given(fields, name)).collect::<Vec<_>>() {
                fields.refuse_value(name, "goes with start_time and end_time, not with stream_id");
            }
            stream.map(|stream| Wanted::Stream { stream, from: from.unwrap_or(Version::EMPTY), to: to.unwrap_or(Version::MAX) })
        }
        (false, true, false) => ids.map(Wanted::Events),
        (false, false, true) => range(fields, filter),
        (false, false, false) => {
            fields.refuse_value("stream_id", "or event_ids, or start_time with end_time, must say which events");
            None
        }
        (true, true, _) | (true, _, true) | (_, true, true) => {
            fields.refuse_value("stream_id", "event_ids and start_time with end_time each say which events: send one of them");
            None
        }
    }
}

fn ids(fields: &mut Fields<'_>) -> Option<Vec<EventId>> {
    let read = |text: Option<&str>| {
        let id = text.and_then(|text| text.parse().ok());
        id.ok_or_else(|| (FieldProblemKind::UuidParsing, "Input should be a valid UUID".to_owned()))
    };
    let ids = fields.list_of("event_ids", Replay::MAX_IDS, read);
    if ids.as_ref().is_some_and(Vec::is_empty) && fields.list("event_ids").is_some_and(|items| items.is_empty()) {
        fields.refuse("event_ids", FieldProblemKind::TooShort, "List should have at least 1 item after validation, not 0");
        return None;
    }
    ids
}

/// A list of replays as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaysRequest {
    /// After which one.
    pub after: Option<ReplayId>,
    /// How many.
    pub limit: usize,
}

/// The replays that a query string asks for.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn replays_request(request: &Request) -> Result<ReplaysRequest, Problem> {
    let parameters = query_string(request)?;
    let mut fields = parameters_of(&parameters)?;
    let after = fields.identifier("cursor");
    let limit = limit(&mut fields);
    fields.finish(Some(ReplaysRequest { after, limit })).map_err(Problem::invalid)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::timestamp::Timestamp;

    fn read(body: &Value) -> Result<(ReplayRequest, Run), Problem> {
        replay_request(&serde_json::value::to_raw_value(body).unwrap())
    }

    #[test]
    fn a_replay_is_of_a_stream_or_of_events_or_of_a_time() {
        let (request, run) = read(&json!({"stream_id": "order:1", "from_version": 3, "target_service": "shop", "dry_run": true})).unwrap();
        assert_eq!(request.what, Wanted::Stream { stream: "order:1".parse().unwrap(), from: Version::new(3), to: Version::MAX });
        assert_eq!((request.target.as_deref(), request.all, request.rate, run), (Some("shop"), Everybody::No, 100, Run::Dry));
        let id = "0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f";
        let (request, run) = read(&json!({"event_ids": [id], "all": true, "rate_limit": 5, "organization_id": "acme"})).unwrap();
        assert_eq!(
            (request.what, request.all, request.rate, run),
            (Wanted::Events(vec![id.parse().unwrap()]), Everybody::Yes, 5, Run::Real)
        );
        assert_eq!(request.organization, "acme".parse().ok());
        let (request, _) = read(&json!({"start_time": 0, "end_time": "1970-01-02", "event_type": "a", "stream_id": null})).unwrap();
        let Wanted::Time(filter) = request.what else { panic!("no time") };
        assert_eq!((filter.from, filter.event_type), (Timestamp::from_micros(0).ok(), "a".parse().ok()));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (body, places) in [
            (json!({}), vec!["stream_id"]),
            (json!({"stream_id": "order:1", "event_ids": []}), vec!["event_ids", "stream_id"]),
            (json!({"stream_id": "order:1", "start_time": 0}), vec!["stream_id"]),
            (json!({"stream_id": "order"}), vec!["stream_id"]),
            (json!({"stream_id": "order:1", "event_type": "a"}), vec!["event_type"]),
            (json!({"stream_id": "order:1", "from_version": 9, "to_version": 3}), vec!["to_version"]),
            (json!({"event_ids": ["0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f"], "from_version": 2}), vec!["from_version"]),
            (json!({"start_time": 0, "from_version": 0}), vec!["end_time"]),
            (json!({"start_time": 5, "end_time": 4}), vec!["end_time"]),
            (json!({"event_ids": ["x", 7]}), vec!["event_ids", "event_ids"]),
            (json!({"event_ids": vec![0; 1001]}), vec!["event_ids"]),
            (json!({"stream_id": "order:1", "all": true, "target_service": "x"}), vec!["all"]),
            (json!({"stream_id": "order:1", "rate_limit": 0, "dry_run": "maybe"}), vec!["dry_run", "rate_limit"]),
            (json!({"stream_id": "order:1", "include_anonymous": true}), vec!["include_anonymous"]),
        ] {
            let answer = serde_json::to_value(read(&body).unwrap_err()).unwrap();
            let found: Vec<&str> = answer["detail"].as_array().unwrap().iter().map(|problem| problem["loc"][1].as_str().unwrap()).collect();
            assert_eq!(found, places, "{body}");
        }
    }
}
