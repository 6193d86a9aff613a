//! What readers ask for: a page of a query, a part of a stream, statistics.

use std::collections::BTreeMap;

use lambda_http::Request;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::fields::{Blank, Fields};
use super::openapi::schemas::{JsonObjectSchema, MomentSchema};
use super::problem::{FieldProblem, FieldProblemKind, Place, Problem};
use super::request::query_string;
use crate::domain::category::EventCategory;
use crate::domain::query::{Anonymous, Cursor, DataFilter, EventFilter, EventQuery, PageSize, PageStart};
use crate::domain::source::EventSource;
use crate::domain::statistics::StatisticsScope;
use crate::domain::status::EventStatus;
use crate::domain::stream_id::StreamId;
use crate::domain::version::Version;
use crate::ports::event_reader::StreamRequest;

/// The most events of one answer about a stream: more never fit it.
pub const MAX_STREAM_EVENTS: usize = 10_000;

/// A query. Every condition that is given must hold; null or an empty text is none.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct QueryRequest {
    /// The user.
    pub user_id: Option<String>,
    /// With `user_id`: also what happened in the user's visits before anybody knew who it was.
    #[schema(default = false)]
    pub include_anonymous: Option<bool>,
    /// The type, exactly.
    pub event_type: Option<String>,
    /// The source.
    #[schema(value_type = Option<super::openapi::schemas::EventSourceSchema>)]
    pub event_source: Option<EventSource>,
    /// The category.
    #[schema(value_type = Option<super::openapi::schemas::EventCategorySchema>)]
    pub event_category: Option<EventCategory>,
    /// The processing status.
    #[schema(value_type = Option<super::openapi::schemas::EventStatusSchema>)]
    pub status: Option<EventStatus>,
    /// The visit.
    pub session_id: Option<String>,
    /// The organization. A credential that is bound to another one finds nothing.
    pub organization_id: Option<String>,
    /// The device.
    pub device_id: Option<String>,
    /// The operation.
    pub correlation_id: Option<String>,
    /// The earliest `timestamp`, inclusive.
    #[schema(value_type = Option<MomentSchema>)]
    pub start_time: Option<String>,
    /// The latest `timestamp`, inclusive.
    #[schema(value_type = Option<MomentSchema>)]
    pub end_time: Option<String>,
    /// What `data` must hold: an object that is part of it, or dotted paths such as `order.id`.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub data: Option<BTreeMap<String, Value>>,
    /// How many events at most.
    #[schema(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u64>,
    /// How many of the newest events to skip.
    #[schema(minimum = 0, default = 0)]
    pub offset: Option<u64>,
    /// `next_cursor` of the page before, with the same conditions; instead of `offset`.
    pub cursor: Option<String>,
}

/// The query that a body describes.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn event_query(body: &RawValue) -> Result<EventQuery, Problem> {
    let mut fields = Fields::read(body, vec![Place::name("body")], Blank::Nothing).map_err(|problem| Problem::invalid(vec![problem]))?;
    let filter = event_filter(&mut fields);
    let size = page_size(&mut fields);
    let start = page_start(&mut fields, &filter);
    fields.finish(Some(EventQuery { filter, size, start })).map_err(Problem::invalid)
}

/// The conditions that a body has.
pub(super) fn event_filter(fields: &mut Fields<'_>) -> EventFilter {
    EventFilter {
        event_type: fields.identifier("event_type"),
        source: fields.word("event_source", EventSource::ALL, EventSource::as_str),
        category: fields.word("event_category", EventCategory::ALL, EventCategory::as_str),
        user: fields.identifier("user_id"),
        anonymous: match fields.boolean("include_anonymous") {
            Some(true) => Anonymous::Included,
            Some(false) | None => Anonymous::Excluded,
        },
        session: fields.identifier("session_id"),
        organization: fields.identifier("organization_id"),
        device: fields.identifier("device_id"),
        correlation: fields.identifier("correlation_id"),
        status: fields.word("status", EventStatus::ALL, EventStatus::as_str),
        from: fields.moment("start_time"),
        to: fields.moment("end_time"),
        data: data_filter(fields),
    }
}

fn data_filter(fields: &mut Fields<'_>) -> Option<DataFilter> {
    match fields.object("data")?.to_value() {
        Value::Object(wanted) => DataFilter::new(wanted),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

fn page_size(fields: &mut Fields<'_>) -> PageSize {
    let limit = fields.integer("limit", 1, PageSize::MAX as u64);
    limit.and_then(|limit| PageSize::new(usize::try_from(limit).ok()?)).unwrap_or_default()
}

/// How many items of a list are asked for: the same as of a query.
pub(super) fn limit(fields: &mut Fields<'_>) -> usize {
    page_size(fields).get()
}

fn page_start(fields: &mut Fields<'_>, filter: &EventFilter) -> PageStart {
    let offset = fields.integer("offset", 0, i64::MAX.unsigned_abs()).unwrap_or_default();
    let Some(cursor) = fields.text("cursor") else { return PageStart::Offset(offset) };
    if offset > 0 {
        fields.refuse_value("cursor", "stands where the page starts, and so does offset: send one of them");
        return PageStart::Offset(offset);
    }
    match Cursor::read(cursor.trim(), filter) {
        Ok(position) => PageStart::Below(position),
        Err(error) => {
            fields.refuse_value("cursor", error);
            PageStart::Offset(0)
        }
    }
}

/// The part of a stream that a path and its query string ask for.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with them. A name that no stream can have is a
/// mistake of the sender's, and not an empty stream.
pub fn stream_request(stream_id: &str, request: &Request) -> Result<StreamRequest, Problem> {
    let parameters = query_string(request)?;
    let mut fields = parameters_of(&parameters)?;
    let stream = stream_id.parse::<StreamId>().map_err(|error| in_path("stream_id", stream_id, error));
    let stream = match stream {
        Ok(stream) => Some(stream),
        Err(problem) => {
            fields.extend([problem]);
            None
        }
    };
    let from = fields.integer("from_version", 0, Version::MAX.get()).map_or(Version::EMPTY, Version::new);
    let to = fields.integer("to_version", 0, Version::MAX.get()).map_or(Version::MAX, Version::new);
    let limit = fields.integer("limit", 1, MAX_STREAM_EVENTS as u64).and_then(|limit| usize::try_from(limit).ok());
    let organization = fields.identifier("organization_id");
    let limit = limit.unwrap_or(MAX_STREAM_EVENTS);
    fields.finish(stream.map(|stream| StreamRequest { stream, organization, from, to, limit })).map_err(Problem::invalid)
}

/// Whose statistics a query string asks for.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn statistics_scope(request: &Request) -> Result<StatisticsScope, Problem> {
    let parameters = query_string(request)?;
    let mut fields = parameters_of(&parameters)?;
    let scope = StatisticsScope { organization: fields.identifier("organization_id"), user: fields.identifier("user_id") };
    fields.finish(Some(scope)).map_err(Problem::invalid)
}

/// The fields of a query string.
pub(super) fn parameters_of(parameters: &RawValue) -> Result<Fields<'_>, Problem> {
    Fields::read(parameters, vec![Place::name("query")], Blank::Nothing).map_err(|problem| Problem::invalid(vec![problem]))
}

/// A part of a path that breaks a rule.
pub(super) fn in_path(name: &str, text: &str, why: impl std::fmt::Display) -> FieldProblem {
    let loc = vec![Place::name("path"), Place::name(name)];
    FieldProblem::new(FieldProblemKind::ValueError, loc, format!("Value error, {why}"), Value::String(cut(text)))
}

fn cut(text: &str) -> String {
    text.chars().take(FieldProblem::INPUT_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;
    use serde_json::json;

    use super::*;
    use crate::domain::event::Position;
    use crate::domain::event_id::EventId;
    use crate::domain::identifiers::UserId;
    use crate::domain::timestamp::Timestamp;

    fn read(body: &Value) -> Result<EventQuery, Problem> {
        event_query(&serde_json::value::to_raw_value(body).unwrap())
    }

    /// `type` and `loc` of each problem.
    fn problems<T: std::fmt::Debug>(result: Result<T, Problem>) -> Vec<(String, Value)> {
        let answer = serde_json::to_value(result.unwrap_err()).unwrap();
        let list = answer["detail"].as_array().unwrap();
        list.iter().map(|problem| (problem["type"].as_str().unwrap().to_owned(), problem["loc"].clone())).collect()
    }

    fn get(uri: &str) -> Request {
        lambda_http::http::Request::builder().uri(uri).body(Body::Empty).unwrap()
    }

    /// BR-QRY-001.
    #[test]
    fn a_limit_is_from_1_to_1000_and_100_unless_given() {
        for (body, size) in [
            (json!({}), 100),
            (json!({"limit": null}), 100),
            (json!({"limit": ""}), 100),
            (json!({"limit": 1}), 1),
            (json!({"limit": "10"}), 10),
            (json!({"limit": 1000}), 1000),
        ] {
            assert_eq!(read(&body).unwrap().size.get(), size, "{body}");
        }
        for (limit, kind) in [
            (json!(0), "greater_than_equal"),
            (json!(-5), "greater_than_equal"),
            (json!(1001), "less_than_equal"),
            (json!("1001"), "less_than_equal"),
            (json!("many"), "int_parsing"),
            (json!(1.5), "int_from_float"),
            (json!(true), "int_type"),
        ] {
            assert_eq!(problems(read(&json!({"limit": limit}))), [(kind.to_owned(), json!(["body", "limit"]))], "{limit}");
        }
    }

    #[test]
    fn an_empty_text_is_no_filter() {
        let names = [
            "user_id",
            "event_type",
            "event_source",
            "event_category",
            "status",
            "session_id",
            "organization_id",
            "device_id",
            "correlation_id",
            "start_time",
            "end_time",
            "data",
            "offset",
            "cursor",
        ];
        for value in [json!(""), json!(" "), Value::Null] {
            let body: Value = names.iter().map(|name| ((*name).to_owned(), value.clone())).collect();
            assert_eq!(read(&body).unwrap(), read(&json!({})).unwrap());
        }
        assert_eq!(read(&json!({"data": {}})).unwrap().filter, EventFilter::default());
    }

    #[test]
    fn every_filter_lands_where_it_belongs() {
        let query = read(&json!({
            "user_id": "u", "event_type": "t", "event_source": "frontend", "event_category": "order", "status": "failed", "session_id": "s",
            "organization_id": "o", "device_id": "d", "correlation_id": "c", "start_time": 0, "end_time": "1970-01-02",
            "data": {"a.b": 1}, "limit": 5, "offset": "7", "more": 1,
        }))
        .unwrap();
        let expected = EventFilter {
            anonymous: Anonymous::default(),
            event_type: "t".parse().ok(),
            source: Some(EventSource::Frontend),
            category: Some(EventCategory::Order),
            user: "u".parse().ok(),
            session: "s".parse().ok(),
            organization: "o".parse().ok(),
            device: "d".parse().ok(),
            correlation: "c".parse().ok(),
            status: Some(EventStatus::Failed),
            from: Timestamp::from_micros(0).ok(),
            to: Timestamp::from_micros(86_400_000_000).ok(),
            data: DataFilter::new([("a.b".to_owned(), json!(1))].into_iter().collect()),
        };
        assert_eq!(query.filter, expected);
        assert_eq!(query.start, PageStart::Offset(7));
    }

    #[test]
    fn each_filter_is_refused_in_the_words_that_clients_know() {
        for (field, value, kind) in [
            ("user_id", json!(1), "string_type"),
            ("event_source", json!("x"), "enum"),
            ("event_category", json!(1), "enum"),
            ("status", json!("done"), "enum"),
            ("start_time", json!("x"), "datetime_parsing"),
            ("end_time", json!([]), "datetime_type"),
            ("data", json!("a"), "dict_type"),
            ("offset", json!(-1), "greater_than_equal"),
            ("offset", json!(1e30), "less_than_equal"),
            ("cursor", json!("x"), "value_error"),
            ("cursor", json!(1), "string_type"),
        ] {
            assert_eq!(problems(read(&json!({ field: value }))), [(kind.to_owned(), json!(["body", field]))], "{field} = {value}");
        }
        for body in [json!([]), json!(1), json!("x"), Value::Null] {
            assert_eq!(problems(read(&body)), [("dict_type".to_owned(), json!(["body"]))]);
        }
    }

    #[test]
    fn a_cursor_stands_instead_of_an_offset() {
        let position = Position { occurred_at: Timestamp::MAX, place: "0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f".parse::<EventId>().unwrap() };
        let cursor = Cursor::new(&EventFilter { user: "u".parse::<UserId>().ok(), ..EventFilter::default() }, position);
        let with = |more: Value| {
            let mut body = json!({"user_id": "u", "cursor": cursor.as_str()});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            read(&body)
        };
        assert_eq!(with(json!({})).unwrap().start, PageStart::Below(position));
        assert_eq!(with(json!({"offset": 0, "limit": 3})).unwrap().start, PageStart::Below(position));
        for more in [json!({"offset": 1}), json!({"user_id": "v"}), json!({"status": "failed"})] {
            assert_eq!(problems(with(more)), [("value_error".to_owned(), json!(["body", "cursor"]))]);
        }
    }

    #[test]
    fn a_part_of_a_stream_is_asked_for_by_versions() {
        let all = stream_request("order:1", &get("/x")).unwrap();
        assert_eq!((all.from, all.to, all.limit, all.organization), (Version::EMPTY, Version::MAX, MAX_STREAM_EVENTS, None));
        let part = stream_request("order:1", &get("/x?from_version=2&to_version=5&limit=3&organization_id=o&other=1")).unwrap();
        assert_eq!((part.from, part.to, part.limit), (Version::new(2), Version::new(5), 3));
        assert_eq!(part.organization, "o".parse().ok());
        for (stream, uri, kind, loc) in [
            ("order", "/x", "value_error", json!(["path", "stream_id"])),
            ("order:1", "/x?from_version=-1", "greater_than_equal", json!(["query", "from_version"])),
            ("order:1", "/x?to_version=x", "int_parsing", json!(["query", "to_version"])),
            ("order:1", "/x?limit=10001", "less_than_equal", json!(["query", "limit"])),
        ] {
            assert_eq!(problems(stream_request(stream, &get(uri))), [(kind.to_owned(), loc)]);
        }
    }

    #[test]
    fn statistics_are_of_everybody_unless_somebody_is_named() {
        assert_eq!(statistics_scope(&get("/x?user_id=")).unwrap(), StatisticsScope::default());
        let scope = statistics_scope(&get("/x?user_id=u%201&organization_id=o")).unwrap();
        assert_eq!(scope, StatisticsScope { organization: "o".parse().ok(), user: "u 1".parse().ok() });
        assert_eq!(problems(statistics_scope(&get("/x?user_id=%00"))), [("value_error".to_owned(), json!(["query", "user_id"]))]);
    }
}
