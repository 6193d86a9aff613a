//! Events, pages of them, streams, and what became of an event.
//!
//! Objects that producers sent are written as they were written: their text is never rebuilt.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::fitting;
use crate::domain::category::EventCategory;
use crate::domain::event::{Event, Position};
use crate::domain::event_id::EventId;
use crate::domain::identifiers::{CorrelationId, DeviceId, EventType, OrganizationId, SchemaVersion, SessionId, UserId};
use crate::domain::json::JsonObject;
use crate::domain::outcome::{EventOutcome, ProcessingResult, ResultStatus};
use crate::domain::query::{Cursor, EventFilter, EventPage, EventQuery, ObservedEvent, PageStart, Total};
use crate::domain::source::EventSource;
use crate::domain::status::EventStatus;
use crate::domain::stream_id::StreamId;
use crate::domain::timestamp::Timestamp;
use crate::http::openapi::schemas::{
    EventCategorySchema, EventSourceSchema, EventStatusSchema, JsonObjectSchema, MomentSchema, ResultStatusSchema,
};
use crate::http::problem::Problem;
use crate::ports::event_reader::{StreamRequest, StreamSlice};

/// An event.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventAnswer<'a> {
    /// Its id: the producer's own, or one that was made here.
    #[schema(value_type = String, format = Uuid)]
    pub event_id: EventId,
    /// What happened.
    #[schema(value_type = String)]
    pub event_type: &'a EventType,
    /// Where it came from.
    #[schema(value_type = EventSourceSchema)]
    pub event_source: EventSource,
    /// What kind of thing it is about.
    #[schema(value_type = EventCategorySchema)]
    pub event_category: EventCategory,
    /// Whom it is about.
    #[schema(value_type = Option<String>, required)]
    pub user_id: Option<&'a UserId>,
    /// In which visit.
    #[schema(value_type = Option<String>, required)]
    pub session_id: Option<&'a SessionId>,
    /// The tenant that it belongs to.
    #[schema(value_type = Option<String>, required)]
    pub organization_id: Option<&'a OrganizationId>,
    /// On which device.
    #[schema(value_type = Option<String>, required)]
    pub device_id: Option<&'a DeviceId>,
    /// In which operation.
    #[schema(value_type = Option<String>, required)]
    pub correlation_id: Option<&'a CorrelationId>,
    /// The payload.
    #[schema(value_type = JsonObjectSchema)]
    pub data: &'a JsonObject,
    /// Circumstances of the request.
    #[schema(value_type = JsonObjectSchema)]
    pub metadata: &'a JsonObject,
    /// Environment and runtime.
    #[schema(value_type = JsonObjectSchema)]
    pub context: &'a JsonObject,
    /// The producer's own properties.
    #[schema(value_type = JsonObjectSchema)]
    pub properties: &'a JsonObject,
    /// How far its processing has come.
    #[schema(value_type = EventStatusSchema)]
    pub status: EventStatus,
    /// The names of the processors that it was given to.
    #[schema(value_type = Vec<String>)]
    pub processors: Vec<&'a str>,
    /// When the last attempt of a processor ended.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub processed_at: Option<Timestamp>,
    /// What the last failed attempt said.
    #[schema(value_type = Option<String>, required)]
    pub error_message: Option<&'a str>,
    /// How many attempts came after a first one.
    pub retry_count: u32,
    /// When it happened.
    #[schema(value_type = MomentSchema)]
    pub timestamp: Timestamp,
    /// When it was stored.
    #[schema(value_type = MomentSchema)]
    pub created_at: Timestamp,
    /// When it was stored or last processed.
    #[schema(value_type = MomentSchema)]
    pub updated_at: Timestamp,
    /// The schema version of `data`.
    #[schema(value_type = String)]
    pub version: &'a SchemaVersion,
    /// The same as `version`.
    #[schema(value_type = String)]
    pub schema_version: &'a SchemaVersion,
    /// The stream that it is in.
    #[schema(value_type = String, example = "order:1001")]
    #[serde(serialize_with = "as_text")]
    pub stream_id: &'a StreamId,
    /// Its number in the stream, from 1.
    pub stream_version: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn as_text<S: Serializer>(stream: &&StreamId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(stream)
}

impl<'a> EventAnswer<'a> {
    /// The answer for an event and what became of it.
    #[must_use]
    pub fn new(event: &'a Event, outcome: &'a EventOutcome) -> Self {
        let details = &event.details;
        let processed_at = outcome.processed_at();
        Self {
            event_id: event.id,
            event_type: &details.event_type,
            event_source: details.source,
            event_category: details.category,
            user_id: details.user.as_ref(),
            session_id: details.session.as_ref(),
            organization_id: event.organization(),
            device_id: details.device.as_ref(),
            correlation_id: details.correlation.as_ref(),
            data: &details.data,
            metadata: &details.metadata,
            context: &details.context,
            properties: &details.properties,
            status: outcome.status,
            processors: outcome.processors(),
            processed_at,
            error_message: outcome.error_message(),
            retry_count: outcome.retry_count(),
            timestamp: event.occurred_at,
            created_at: event.recorded_at,
            updated_at: processed_at.unwrap_or(event.recorded_at),
            version: &details.schema_version,
            schema_version: &details.schema_version,
            stream_id: &event.stream.stream,
            stream_version: event.stream_version.get(),
        }
    }

    /// The answer for an event that was recorded just now, and is pending.
    #[must_use]
    pub fn recorded(event: &'a Event) -> Self {
        const PENDING: &EventOutcome = &EventOutcome::PENDING;
        Self::new(event, PENDING)
    }
}

impl<'a> From<&'a ObservedEvent> for EventAnswer<'a> {
    fn from(observed: &'a ObservedEvent) -> Self {
        Self::new(&observed.event, &observed.outcome)
    }
}

/// One page of the answer to a query.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueryAnswer {
    /// The events, newest first.
    #[schema(value_type = Vec<EventAnswer<'static>>)]
    pub events: Vec<Box<RawValue>>,
    /// How many events match in all.
    pub total: u64,
    /// Whether `total` is exactly that, and not only what was found before one request's reading was bounded.
    pub total_is_exact: bool,
    /// How many events were asked for. The page may have fewer, also when there are more: it ends where it is too large.
    pub limit: u64,
    /// How many events were skipped.
    pub offset: u64,
    /// Whether there may be more.
    pub has_more: bool,
    /// What to send as `cursor` for the next page.
    #[schema(value_type = Option<String>, required)]
    pub next_cursor: Option<String>,
}

impl QueryAnswer {
    /// The answer for a page of `query`.
    ///
    /// # Errors
    /// [`super::super::problem::ProblemKind::Internal`] if an event cannot be written, which no event can.
    pub fn new(page: &EventPage, query: &EventQuery) -> Result<Self, Problem> {
        let events = fitting_events(&page.events)?;
        let last_kept = events.len().checked_sub(1).and_then(|index| page.events.get(index));
        let next = if events.len() < page.events.len() { last_kept.map(|last| last.event.position()) } else { page.next };
        let offset = match query.start {
            PageStart::Offset(offset) => offset,
            PageStart::Below(_) => 0,
        };
        Ok(Self {
            events,
            total: page.total.count(),
            total_is_exact: matches!(page.total, Total::Exactly(_)),
            limit: query.size.get() as u64,
            offset,
            has_more: next.is_some(),
            next_cursor: next.map(|position| cursor(&query.filter, position)),
        })
    }
}

fn cursor(filter: &EventFilter, position: Position) -> String {
    Cursor::new(filter, position).as_str().to_owned()
}

/// A part of a stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct StreamAnswer<'a> {
    /// The stream.
    #[schema(value_type = String, example = "order:1001")]
    #[serde(serialize_with = "as_text")]
    pub stream_id: &'a StreamId,
    /// The same as `entity_type`.
    #[schema(value_type = String)]
    pub stream_type: &'a str,
    /// The part of its name after the colon.
    #[schema(value_type = String)]
    pub entity_id: &'a str,
    /// The part of its name before the colon.
    #[schema(value_type = String)]
    pub entity_type: &'a str,
    /// The events, in their order.
    #[schema(value_type = Vec<EventAnswer<'static>>)]
    pub events: Vec<Box<RawValue>>,
    /// How many events the whole stream has; 0 for a stream that does not exist.
    pub version: u64,
    /// When its first event was stored.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub created_at: Option<Timestamp>,
    /// When its last event was stored.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub updated_at: Option<Timestamp>,
    /// Whether events that were asked for are left out, because of `limit` or because they are too large together.
    pub has_more: bool,
    /// What to send as `from_version` for those. Null if several organizations have a stream of this name: name one.
    #[schema(required)]
    pub next_from_version: Option<u64>,
}

impl<'a> StreamAnswer<'a> {
    /// The answer for a slice of a stream, which has one event more than `limit` if there is one.
    ///
    /// # Errors
    /// [`super::super::problem::ProblemKind::Internal`] if an event cannot be written, which no event can.
    pub fn new(request: &'a StreamRequest, slice: &StreamSlice, limit: usize) -> Result<Self, Problem> {
        let wanted = slice.events.get(..limit).unwrap_or(&slice.events);
        let events = fitting_events(wanted)?;
        let next = slice.events.get(events.len());
        let is_one_stream =
            slice.events.iter().all(|event| Some(&event.event.stream) == slice.events.first().map(|first| &first.event.stream));
        Ok(Self {
            stream_id: &request.stream,
            stream_type: request.stream.entity_type(),
            entity_id: request.stream.entity_id(),
            entity_type: request.stream.entity_type(),
            events,
            version: slice.version.get(),
            created_at: slice.created_at,
            updated_at: slice.updated_at,
            has_more: next.is_some(),
            next_from_version: next.filter(|_| is_one_stream).map(|next| next.event.stream_version.get()),
        })
    }
}

/// What became of an event: every attempt of every processor.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResultsAnswer<'a> {
    /// The event.
    #[schema(value_type = String, format = Uuid)]
    pub event_id: EventId,
    /// How far its processing has come.
    #[schema(value_type = EventStatusSchema)]
    pub status: EventStatus,
    /// The attempts, in their order.
    pub results: Vec<ResultAnswer<'a>>,
}

/// One attempt of a processor at an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Result)]
pub struct ResultAnswer<'a> {
    /// The processor.
    #[schema(value_type = String)]
    pub processor_name: &'a str,
    /// How the attempt ended.
    #[schema(value_type = ResultStatusSchema)]
    pub status: ResultStatus,
    /// What the processor or the failure said.
    #[schema(value_type = Option<String>, required)]
    pub message: Option<&'a str>,
    /// When it ended.
    #[schema(value_type = MomentSchema)]
    pub processed_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Which attempt it was, from 1.
    pub attempt: u32,
}

impl<'a> From<&'a ObservedEvent> for ResultsAnswer<'a> {
    fn from(observed: &'a ObservedEvent) -> Self {
        let ObservedEvent { event, outcome } = observed;
        Self { event_id: event.id, status: outcome.status, results: outcome.results.iter().map(ResultAnswer::from).collect() }
    }
}

impl<'a> From<&'a ProcessingResult> for ResultAnswer<'a> {
    fn from(result: &'a ProcessingResult) -> Self {
        Self {
            processor_name: &result.processor,
            status: result.status,
            message: result.message.as_deref(),
            processed_at: result.at,
            duration_ms: result.ms,
            attempt: result.attempt,
        }
    }
}

fn fitting_events(events: &[ObservedEvent]) -> Result<Vec<Box<RawValue>>, Problem> {
    fitting(events.iter().map(EventAnswer::from))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::commit::Storage;
    use crate::domain::event::EventDetails;
    use crate::domain::query::PageSize;
    use crate::domain::stream_id::StreamKey;
    use crate::domain::version::Version;

    const FIELDS: &str = "event_id event_type event_source event_category user_id session_id organization_id device_id correlation_id \
                          data metadata context properties status processors processed_at error_message retry_count timestamp \
                          created_at updated_at version schema_version stream_id stream_version";

    fn event(version: u64, data: &str) -> ObservedEvent {
        let details = EventDetails {
            event_type: "order.placed".parse().unwrap(),
            source: EventSource::default(),
            category: EventCategory::Order,
            user: "u1".parse().ok(),
            session: None,
            device: None,
            correlation: None,
            data: JsonObject::parse(data).unwrap(),
            metadata: JsonObject::default(),
            context: JsonObject::default(),
            properties: JsonObject::default(),
            schema_version: "2.1.0".parse().unwrap(),
        };
        let id: EventId = format!("0190f3a1-7e1b-8c3d-8e4f-{version:012}").parse().unwrap();
        let event = Event {
            id,
            place: id,
            commit: id,
            stream: StreamKey { organization: "o1".parse().ok(), stream: "order:1".parse().unwrap() },
            stream_version: Version::new(version),
            occurred_at: Timestamp::parse("2026-11-23T10:11:12.345678Z").unwrap(),
            recorded_at: Timestamp::parse("2026-11-23T10:11:13.5Z").unwrap(),
            storage: Storage::Table,
            details,
        };
        ObservedEvent { event, outcome: EventOutcome::PENDING }
    }

    fn json<T: Serialize>(value: &T) -> Value {
        serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
    }

    #[test]
    fn an_event_is_answered_with_every_field_in_order_and_its_payload_untouched() {
        let observed = event(3, r#"{"b":123456789012345678901234567890,"a":1.50}"#);
        let text = serde_json::to_string(&EventAnswer::recorded(&observed.event)).unwrap();
        let mut last = 0;
        for field in FIELDS.split_whitespace() {
            let at = text.find(&format!("\"{field}\":")).unwrap_or_else(|| panic!("{field}: {text}"));
            assert!(at >= last, "{field} comes too early");
            last = at;
        }
        assert!(text.contains(r#""data":{"b":123456789012345678901234567890,"a":1.50},"#), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value.as_object().unwrap().len(), FIELDS.split_whitespace().count());
        assert_eq!(
            json!([
                value["user_id"],
                value["session_id"],
                value["status"],
                value["processors"],
                value["processed_at"],
                value["retry_count"]
            ]),
            json!(["u1", null, "pending", [], null, 0])
        );
        assert_eq!(
            (&value["timestamp"], &value["updated_at"]),
            (&json!("2026-11-23T10:11:12.345678Z"), &json!("2026-11-23T10:11:13.500000Z"))
        );
        assert_eq!((&value["version"], &value["schema_version"]), (&json!("2.1.0"), &json!("2.1.0")));
        assert_eq!((&value["stream_id"], &value["stream_version"]), (&json!("order:1"), &json!(3)));
    }

    #[test]
    fn an_event_shows_what_became_of_it() {
        let mut observed = event(1, "{}");
        let at = Timestamp::parse("2026-11-23T11:00:00Z").unwrap();
        let result = ProcessingResult {
            processor: "crm".to_owned(),
            status: ResultStatus::Failed,
            message: Some("refused".to_owned()),
            at,
            ms: 5,
            attempt: 3,
        };
        observed.outcome = EventOutcome { status: EventStatus::Failed, results: vec![result] };
        let value = json(&EventAnswer::from(&observed));
        assert_eq!(
            json!([value["status"], value["processors"], value["processed_at"], value["error_message"], value["retry_count"]]),
            json!(["failed", ["crm"], "2026-11-23T11:00:00.000000Z", "refused", 2])
        );
        assert_eq!(value["updated_at"], value["processed_at"]);
    }

    fn query(limit: usize) -> EventQuery {
        EventQuery { filter: EventFilter::default(), size: PageSize::new(limit).unwrap(), start: PageStart::Offset(7) }
    }

    #[test]
    fn a_page_says_how_many_there_are_and_where_the_next_one_starts() {
        let events = vec![event(2, "{}"), event(1, "{}")];
        let next = events.last().map(|last| last.event.position());
        let page = EventPage { events, total: Total::Exactly(9), next };
        let value = json(&QueryAnswer::new(&page, &query(2)).unwrap());
        let cursor = value["next_cursor"].as_str().unwrap();
        assert_eq!(Cursor::read(cursor, &EventFilter::default()).ok(), next);
        assert_eq!(
            json!([value["total"], value["total_is_exact"], value["limit"], value["offset"], value["has_more"]]),
            json!([9, true, 2, 7, true])
        );
        let value = json(&QueryAnswer::new(&EventPage { events: Vec::new(), total: Total::AtLeast(9), next: None }, &query(2)).unwrap());
        assert_eq!(
            json!([value["events"], value["total_is_exact"], value["has_more"], value["next_cursor"]]),
            json!([[], false, false, null])
        );
    }

    /// Four quotes of five characters: the worst that an answer within JSON can grow.
    fn large(bytes: usize) -> String {
        format!(r#"{{"a":[{}""]}}"#, r#""","#.repeat(bytes / 3))
    }

    #[test]
    fn a_page_that_is_too_large_ends_early_and_goes_on_with_its_cursor() {
        let events: Vec<ObservedEvent> = (1..=20).rev().map(|version| event(version, &large(400_000))).collect();
        let page = EventPage { events, total: Total::Exactly(20), next: None };
        let answer = QueryAnswer::new(&page, &query(100)).unwrap();
        let kept = answer.events.len();
        assert!((1..20).contains(&kept), "{kept}");
        let text = serde_json::to_string(&answer).unwrap();
        assert!(serde_json::to_string(&text).unwrap().len() < 6_000_000);
        assert!(answer.has_more);
        let next = Cursor::read(&answer.next_cursor.unwrap(), &EventFilter::default()).unwrap();
        assert_eq!(next, page.events[kept - 1].event.position());
    }

    #[test]
    fn a_stream_says_where_to_go_on() {
        let request =
            StreamRequest { stream: "order:1".parse().unwrap(), organization: None, from: Version::EMPTY, to: Version::MAX, limit: 2 };
        let slice = |events: Vec<ObservedEvent>| StreamSlice { version: Version::new(3), created_at: None, updated_at: None, events };
        let small = |version| event(version, "{}");
        for (events, limit, expected) in [
            (vec![small(1), small(2), small(3)], 2, json!([2, true, 3])),
            (vec![small(1), small(2), small(3)], 3, json!([3, false, null])),
            (vec![small(1)], 5, json!([1, false, null])),
            (vec![], 5, json!([0, false, null])),
            ((1..=20).map(|version| event(version, &large(400_000))).collect(), 20, json!([8, true, 9])),
        ] {
            let value = json(&StreamAnswer::new(&request, &slice(events), limit).unwrap());
            let kept = value["events"].as_array().unwrap().len();
            assert_eq!(json!([kept, value["has_more"], value["next_from_version"]]), expected);
        }
        let mut foreign = small(1);
        foreign.event.stream.organization = "o2".parse().ok();
        let value = json(&StreamAnswer::new(&request, &slice(vec![small(1), foreign]), 1).unwrap());
        assert_eq!(json!([value["has_more"], value["next_from_version"]]), json!([true, null]));
        assert_eq!(
            json!([
                value["stream_id"],
                value["stream_type"],
                value["entity_id"],
                value["entity_type"],
                value["version"],
                value["created_at"]
            ]),
            json!(["order:1", "order", "1", "order", 3, null])
        );
    }
}
