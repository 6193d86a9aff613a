//! Events as clients send them: one, or a batch.
//!
//! Everything that is wrong is reported together, so that a producer mends its event in one go.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::fields::{Blank, Fields, list_of};
use super::openapi::schemas::{ExpectedVersionSchema, JsonObjectSchema, MomentSchema};
use super::problem::{FieldProblem, FieldProblemKind, Place, Problem, too_long};
use crate::domain::category::EventCategory;
use crate::domain::commit::Commit;
use crate::domain::event::{EventDetails, EventDraft};
use crate::domain::event_id::EventId;
use crate::domain::identifiers::EventType;
use crate::domain::source::EventSource;
use crate::domain::stream_id::StreamId;
use crate::domain::transform;
use crate::domain::version::{ExpectedVersion, Version};

/// An event to record. What is not given or null has its default.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct EventRequest {
    /// What happened, such as `order.placed`. Not blank.
    #[schema(min_length = 1, max_length = 255)]
    pub event_type: String,
    /// Where it came from.
    #[schema(value_type = Option<super::openapi::schemas::EventSourceSchema>, default = "backend")]
    pub event_source: Option<EventSource>,
    /// What kind of thing it is about.
    #[schema(value_type = Option<super::openapi::schemas::EventCategorySchema>, default = "user_action")]
    pub event_category: Option<EventCategory>,
    /// Whom it is about. At most 512 bytes; so are the other ids but the organization's. Blank is nothing.
    pub user_id: Option<String>,
    /// In which visit.
    pub session_id: Option<String>,
    /// The tenant that it belongs to: by default, the one that the credential is bound to. At most 128 bytes.
    pub organization_id: Option<String>,
    /// On which device.
    pub device_id: Option<String>,
    /// In which operation.
    pub correlation_id: Option<String>,
    /// The payload.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub data: Option<Box<RawValue>>,
    /// Circumstances of the request, such as IP and user agent.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub metadata: Option<Box<RawValue>>,
    /// Environment and runtime.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub context: Option<Box<RawValue>>,
    /// The producer's own properties.
    #[schema(value_type = Option<JsonObjectSchema>)]
    pub properties: Option<Box<RawValue>>,
    /// When it happened; by default, now.
    #[schema(value_type = Option<MomentSchema>)]
    pub timestamp: Option<String>,
    /// The schema version of `data`.
    #[schema(max_length = 64, default = "1.0.0")]
    pub version: Option<String>,
    /// The producer's own id, which makes the event idempotent: sent again, it is stored once.
    #[schema(format = Uuid)]
    pub event_id: Option<String>,
    /// The stream that it goes to, `{entity_type}:{entity_id}`. By default, that of the first of user, device, session
    /// and organization that is given, else one of its own.
    #[schema(example = "order:1001")]
    pub stream_id: Option<String>,
    /// With `entity_id`, another way to write `stream_id`.
    #[schema(example = "order")]
    pub entity_type: Option<String>,
    /// With `entity_type`, another way to write `stream_id`.
    #[schema(example = "1001")]
    pub entity_id: Option<String>,
    /// What the stream must look like before the event is added, or the answer is a version conflict.
    #[schema(value_type = Option<ExpectedVersionSchema>)]
    pub expected_version: Option<u64>,
}

/// A batch of events. A bare list of events does as well.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct BatchRequest {
    /// The events: all of them are stored, or none.
    #[schema(max_items = 100)]
    pub events: Vec<EventRequest>,
}

/// The event that a body describes.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn event_draft(body: &RawValue) -> Result<EventDraft, Problem> {
    draft_at(body, vec![Place::name("body")]).map_err(Problem::invalid)
}

/// The events that the body of a batch describes: a list, or an object that holds one as `events`.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with any of them, or with the batch.
pub fn batch_drafts(body: &RawValue) -> Result<Vec<EventDraft>, Problem> {
    let loc = vec![Place::name("body")];
    if let Some(items) = list_of(body) {
        return drafts_at(&items, &loc);
    }
    let not_a_list = |_| {
        let msg = "Input should be a valid list, or a dictionary that holds one as 'events'";
        Problem::invalid(vec![FieldProblem::with_json(FieldProblemKind::ListType, loc.clone(), msg, body)])
    };
    let mut fields = Fields::read(body, loc.clone(), Blank::Value).map_err(not_a_list)?;
    if fields.given("events").is_none() {
        fields.missing("events");
    }
    let loc = fields.loc("events");
    let items = fields.list("events");
    let items = fields.finish(items).map_err(Problem::invalid)?;
    drafts_at(&items, &loc)
}

fn drafts_at(items: &[&RawValue], loc: &[Place]) -> Result<Vec<EventDraft>, Problem> {
    if items.len() > Commit::MAX_EVENTS {
        let input = serde_json::Value::String(format!("{} items", items.len()));
        return Err(Problem::invalid(vec![too_long(loc.to_vec(), Commit::MAX_EVENTS, items.len(), input)]));
    }
    let (mut drafts, mut problems) = (Vec::with_capacity(items.len()), Vec::new());
    for (index, item) in items.iter().enumerate() {
        match draft_at(item, loc.iter().cloned().chain([Place::Index(index)]).collect()) {
            Ok(draft) => drafts.push(draft),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(drafts) } else { Err(Problem::invalid(problems)) }
}

/// The event that this JSON describes.
pub(super) fn draft_at(json: &RawValue, loc: Vec<Place>) -> Result<EventDraft, Vec<FieldProblem>> {
    let mut fields = Fields::read(json, loc, Blank::Value).map_err(|problem| vec![problem])?;
    let event_type = event_type(&mut fields);
    let details = |fields: &mut Fields<'_>, event_type| EventDetails {
        event_type,
        source: fields.word("event_source", EventSource::ALL, EventSource::as_str).unwrap_or_default(),
        category: fields.word("event_category", EventCategory::ALL, EventCategory::as_str).unwrap_or_default(),
        user: fields.identifier("user_id"),
        session: fields.identifier("session_id"),
        device: fields.identifier("device_id"),
        correlation: fields.identifier("correlation_id"),
        data: fields.object("data").unwrap_or_default(),
        metadata: fields.object("metadata").unwrap_or_default().without(&transform::RESERVED),
        context: fields.object("context").unwrap_or_default(),
        properties: fields.object("properties").unwrap_or_default(),
        schema_version: fields.text("version").and_then(|text| fields.required_identifier("version", text)).unwrap_or_default(),
    };
    // Without a type there is no draft, but the other fields are looked at all the same.
    let typed = event_type.is_some();
    let placeholder = || EventType::try_from("-".to_owned()).ok();
    let details = event_type.or_else(placeholder).map(|event_type| details(&mut fields, event_type));
    let draft = details.map(|details| EventDraft {
        event_id: event_id(&mut fields),
        organization: fields.identifier("organization_id"),
        stream: stream(&mut fields),
        expected_version: expected_version(&mut fields).unwrap_or_default(),
        occurred_at: fields.moment("timestamp"),
        trace: None,
        details,
    });
    fields.finish(draft.filter(|_| typed))
}

/// BR-EVT-002: the type is there and not blank.
pub(super) fn event_type(fields: &mut Fields<'_>) -> Option<EventType> {
    if fields.given("event_type").is_none() {
        fields.missing("event_type");
    }
    let text = fields.text("event_type")?;
    if text.is_empty() {
        fields.refuse("event_type", FieldProblemKind::StringTooShort, "String should have at least 1 character");
        return None;
    }
    fields.event_type("event_type", text)
}

fn event_id(fields: &mut Fields<'_>) -> Option<EventId> {
    let id = fields.text("event_id")?.parse().ok();
    if id.is_none() {
        fields.refuse("event_id", FieldProblemKind::UuidParsing, "Input should be a valid UUID");
    }
    id
}

/// The stream that the client names, in one way or the other.
fn stream(fields: &mut Fields<'_>) -> Option<StreamId> {
    let named: Option<StreamId> = fields.parsed("stream_id");
    let (has_type, has_id) = (fields.given("entity_type").is_some(), fields.given("entity_id").is_some());
    if has_type != has_id {
        fields.missing(if has_type { "entity_id" } else { "entity_type" });
    }
    let (Some(entity_type), Some(entity_id)) = (fields.text("entity_type"), fields.text("entity_id")) else { return named };
    let entity = match StreamId::new(&entity_type, &entity_id) {
        Ok(entity) => entity,
        Err(error) => {
            fields.refuse_value("entity_type", format_args!("entity_type and entity_id name no stream: {error}"));
            return None;
        }
    };
    if let Some(named) = &named
        && *named != entity
    {
        fields.refuse_value("stream_id", format_args!("names another stream than entity_type and entity_id, which name {entity}"));
    }
    Some(entity)
}

fn expected_version(fields: &mut Fields<'_>) -> Option<ExpectedVersion> {
    let json = fields.given("expected_version")?.get();
    match super::fields::text_of(json).as_deref().map(str::trim) {
        Some("none") => Some(ExpectedVersion::None),
        Some("any") => Some(ExpectedVersion::Any),
        Some("exists") => Some(ExpectedVersion::Exists),
        Some(text) if text.parse::<i128>().is_err() => {
            fields.refuse("expected_version", FieldProblemKind::IntParsing, "Input should be a valid integer, 'none', 'any' or 'exists'");
            None
        }
        Some(_) | None => {
            fields.integer("expected_version", 0, Version::MAX.get()).map(|number| ExpectedVersion::Exactly(Version::new(number)))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::identifiers::{OrganizationId, UserId};
    use crate::domain::json::JsonObject;
    use crate::domain::timestamp::Timestamp;

    fn raw(value: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).unwrap()
    }

    fn draft(value: &Value) -> EventDraft {
        event_draft(&raw(value)).unwrap()
    }

    /// `type` and `loc` of each problem.
    fn problems<T: std::fmt::Debug>(result: Result<T, Problem>) -> Vec<(String, Value)> {
        let answer = serde_json::to_value(result.unwrap_err()).unwrap();
        let list = answer["detail"].as_array().unwrap();
        list.iter().map(|problem| (problem["type"].as_str().unwrap().to_owned(), problem["loc"].clone())).collect()
    }

    fn problem_of(field: &str, value: &Value) -> String {
        let mut event = json!({"event_type": "a.b"});
        event[field] = value.clone();
        let found = problems(event_draft(&raw(&event)));
        assert_eq!(found.len(), 1, "{field} = {value}: {found:?}");
        assert_eq!(found[0].1, json!(["body", field]), "{field} = {value}");
        found[0].0.clone()
    }

    #[test]
    fn only_the_type_is_required() {
        let draft = draft(&json!({"event_type": "a.b", "category": "order", "unknown": [1]}));
        assert_eq!(draft.details.source, EventSource::Backend);
        assert_eq!(draft.details.category, EventCategory::UserAction);
        assert_eq!(draft.details.schema_version.as_str(), "1.0.0");
        assert!(draft.details.data.is_empty());
        assert_eq!((draft.occurred_at, draft.stream(), draft.expected_version), (None, None, ExpectedVersion::Any));
    }

    #[test]
    fn null_and_blank_ids_are_nothing() {
        let names =
            ["user_id", "session_id", "organization_id", "device_id", "correlation_id", "data", "timestamp", "event_source", "version"];
        let mut event = json!({"event_type": "a.b"});
        for name in names {
            event[name] = Value::Null;
        }
        assert_eq!(draft(&event), draft(&json!({"event_type": "a.b"})));
        assert_eq!(draft(&json!({"event_type": "a.b", "user_id": "", "organization_id": " "})), draft(&json!({"event_type": "a.b"})));
    }

    /// BR-EVT-002.
    #[test]
    fn an_event_without_a_type_is_refused() {
        assert_eq!(problems(event_draft(&raw(&json!({})))), [("missing".to_owned(), json!(["body", "event_type"]))]);
        for (value, kind) in [
            (Value::Null, "missing"),
            (json!(""), "string_too_short"),
            (json!("  "), "value_error"),
            (json!("a\0"), "value_error"),
            (json!(5), "string_type"),
            (json!("x".repeat(256)), "string_too_long"),
        ] {
            assert_eq!(problem_of("event_type", &value), kind);
        }
        assert_eq!(draft(&json!({"event_type": "é".repeat(255)})).details.event_type.as_str().chars().count(), 255);
    }

    /// BR-EVT-003.
    #[test]
    fn an_event_source_is_one_of_the_known_ones() {
        for source in EventSource::ALL {
            assert_eq!(draft(&json!({"event_type": "a", "event_source": source.as_str()})).details.source, *source);
        }
        let answer = serde_json::to_value(event_draft(&raw(&json!({"event_type": "a", "event_source": "Backend"}))).unwrap_err()).unwrap();
        assert_eq!(
            answer["detail"],
            json!([{
                "type": "enum", "loc": ["body", "event_source"], "input": "Backend",
                "msg": "Input should be 'frontend', 'backend', 'system', 'iot_device', 'external_api' or 'scheduled'",
            }])
        );
        for value in [json!(1), json!(""), json!(["backend"]), json!({})] {
            assert_eq!(problem_of("event_source", &value), "enum");
        }
    }

    /// BR-EVT-004.
    #[test]
    fn an_event_category_is_one_of_the_known_ones() {
        for category in EventCategory::ALL {
            assert_eq!(draft(&json!({"event_type": "a", "event_category": category.as_str()})).details.category, *category);
        }
        for value in [json!("user_interaction"), json!(true), json!("")] {
            assert_eq!(problem_of("event_category", &value), "enum");
        }
    }

    #[test]
    fn each_field_is_refused_in_the_words_that_clients_know() {
        for (field, value, kind) in [
            ("user_id", json!(12345), "string_type"),
            ("user_id", json!("a\nb"), "value_error"),
            ("user_id", json!("x".repeat(513)), "string_too_long"),
            ("organization_id", json!(["o"]), "string_type"),
            ("data", json!([1]), "dict_type"),
            ("data", json!("{}"), "dict_type"),
            ("metadata", json!(1), "dict_type"),
            ("timestamp", json!("yesterday"), "datetime_parsing"),
            ("timestamp", json!(""), "datetime_parsing"),
            ("timestamp", json!(1e18), "datetime_parsing"),
            ("timestamp", json!({}), "datetime_type"),
            ("timestamp", json!(true), "datetime_type"),
            ("version", json!(2), "string_type"),
            ("version", json!(" "), "value_error"),
            ("event_id", json!("order-1"), "uuid_parsing"),
            ("event_id", json!(""), "uuid_parsing"),
            ("event_id", json!(7), "string_type"),
            ("stream_id", json!("order"), "value_error"),
            ("stream_id", json!(""), "value_error"),
            ("stream_id", json!(1), "string_type"),
            ("expected_version", json!(-1), "greater_than_equal"),
            ("expected_version", json!(1e15), "less_than_equal"),
            ("expected_version", json!(1.5), "int_from_float"),
            ("expected_version", json!("two"), "int_parsing"),
            ("expected_version", json!("-2"), "greater_than_equal"),
            ("expected_version", json!(false), "int_type"),
        ] {
            assert_eq!(problem_of(field, &value), kind, "{field} = {value}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_reported_together() {
        let event = json!({"event_source": "x", "event_category": 1, "user_id": 1, "data": [], "timestamp": "x", "expected_version": "x"});
        let found = problems(event_draft(&raw(&event)));
        let mut fields: Vec<&str> = found.iter().map(|(_, loc)| loc[1].as_str().unwrap()).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["data", "event_category", "event_source", "event_type", "expected_version", "timestamp", "user_id"]);
    }

    #[test]
    fn every_documented_field_is_read() {
        let document: Value = serde_json::to_value(super::super::openapi::document()).unwrap();
        let schema = &document["components"]["schemas"]["EventRequest"]["properties"];
        let names: Vec<&String> = schema.as_object().unwrap().keys().collect();
        assert_eq!(names.len(), 19);
        for name in names {
            let event = json!({ name.as_str(): [[]] });
            let found = problems(event_draft(&raw(&event)));
            assert!(found.iter().any(|(_, loc)| *loc == json!(["body", name])), "{name}: {found:?}");
        }
    }

    #[test]
    fn a_stream_has_two_names_that_must_agree() {
        let stream = |value: Value| draft(&value).stream.map(|stream| stream.to_string());
        for event in [
            json!({"event_type": "a", "stream_id": "order:1:x"}),
            json!({"event_type": "a", "entity_type": "order", "entity_id": "1:x"}),
            json!({"event_type": "a", "entity_type": "order", "entity_id": "1:x", "stream_id": "order:1:x"}),
        ] {
            assert_eq!(stream(event), Some("order:1:x".to_owned()));
        }
        for (event, kind, field) in [
            (json!({"event_type": "a", "entity_type": "order"}), "missing", "entity_id"),
            (json!({"event_type": "a", "entity_id": "1"}), "missing", "entity_type"),
            (json!({"event_type": "a", "entity_type": "or:der", "entity_id": "1"}), "value_error", "entity_type"),
            (json!({"event_type": "a", "entity_type": "order", "entity_id": "2", "stream_id": "order:1"}), "value_error", "stream_id"),
        ] {
            assert_eq!(problems(event_draft(&raw(&event))), [(kind.to_owned(), json!(["body", field]))]);
        }
    }

    #[test]
    fn an_expected_version_is_a_number_or_a_word() {
        for (value, expected) in [
            (json!(0), ExpectedVersion::Exactly(Version::EMPTY)),
            (json!(7), ExpectedVersion::Exactly(Version::new(7))),
            (json!("7"), ExpectedVersion::Exactly(Version::new(7))),
            (json!("none"), ExpectedVersion::None),
            (json!("any"), ExpectedVersion::Any),
            (json!("exists"), ExpectedVersion::Exists),
            (Value::Null, ExpectedVersion::Any),
        ] {
            assert_eq!(draft(&json!({"event_type": "a", "expected_version": value})).expected_version, expected);
        }
    }

    #[test]
    fn every_field_lands_where_it_belongs() {
        let draft = draft(&json!({
            "event_type": "order.placed", "event_source": "external_api", "event_category": "order", "user_id": "u", "session_id": "s",
            "organization_id": "o", "device_id": "d", "correlation_id": "c", "data": {"a": 1}, "metadata": {"m": 1}, "context": {"c": 1},
            "properties": {"p": 1}, "timestamp": 1_763_892_672, "version": "2", "event_id": "0190F3A1-7E1B-7C3D-8E4F-5A6B7C8D9E0F",
        }));
        assert_eq!(draft.event_id.map(|id| id.to_string()).as_deref(), Some("0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f"));
        assert_eq!(draft.organization.as_ref().map(OrganizationId::as_str), Some("o"));
        assert_eq!(draft.occurred_at, Timestamp::parse("2025-11-23T10:11:12Z").ok());
        let details = &draft.details;
        assert_eq!(details.user.as_ref().map(UserId::as_str), Some("u"));
        assert_eq!(
            [&details.data, &details.metadata, &details.context, &details.properties].map(JsonObject::as_str),
            [r#"{"a":1}"#, r#"{"m":1}"#, r#"{"c":1}"#, r#"{"p":1}"#]
        );
        assert_eq!(details.schema_version.as_str(), "2");
    }

    #[test]
    fn a_batch_is_a_list_or_holds_one() {
        let event = json!({"event_type": "a"});
        for body in [json!([event, event]), json!({"events": [event, event], "client_info": {}})] {
            assert_eq!(batch_drafts(&raw(&body)).unwrap().len(), 2);
        }
        assert!(batch_drafts(&raw(&json!([]))).unwrap().is_empty());
        for (body, kind, loc) in [
            (json!({}), "missing", json!(["body", "events"])),
            (json!({"events": 1}), "list_type", json!(["body", "events"])),
            (json!("x"), "list_type", json!(["body"])),
            (json!([event, 1]), "dict_type", json!(["body", 1])),
            (json!([event, {}]), "missing", json!(["body", 1, "event_type"])),
            (json!({"events": [event, {}]}), "missing", json!(["body", "events", 1, "event_type"])),
            (json!(vec![&event; 101]), "too_long", json!(["body"])),
        ] {
            assert_eq!(problems(batch_drafts(&raw(&body))), [(kind.to_owned(), loc)]);
        }
    }
}
