//! Answers: what clients get to see of events, streams, statistics and keys.
//!
//! Objects that producers sent are written as they were written: their text is never rebuilt.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::openapi::{EventCategorySchema, EventSourceSchema, EventStatusSchema, JsonObjectSchema, MomentSchema, ScopeSchema};
use super::problem::{Problem, ProblemKind};
use crate::domain::access::{ApiKey, ApiKeySecret, Scope};
use crate::domain::category::EventCategory;
use crate::domain::event::Event;
use crate::domain::event_id::EventId;
use crate::domain::identifiers::{CorrelationId, DeviceId, EventType, OrganizationId, SchemaVersion, SessionId, UserId};
use crate::domain::json::JsonObject;
use crate::domain::outcome::EventOutcome;
use crate::domain::query::{Cursor, EventFilter, EventPage, EventQuery, ObservedEvent, PageStart, Total};
use crate::domain::source::EventSource;
use crate::domain::statistics::Statistics;
use crate::domain::status::EventStatus;
use crate::domain::stream_id::StreamId;
use crate::domain::timestamp::Timestamp;
use crate::ports::event_reader::{StreamRequest, StreamSlice};

/// The most bytes of events in an answer. Lambda takes 6 MB, in which the answer is a text within JSON:
/// each quote and backslash counts twice.
pub const MAX_ANSWER_BYTES: usize = 5_500_000;

/// The name under which events of types that have no count of their own are counted.
const OTHER_TYPES: &str = "(other)";

/// The name of the service in its own words.
pub const SERVICE: &str = "event_service";

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

/// As many of the events as fit an answer, from the start; at least one.
fn fitting(events: &[ObservedEvent]) -> Result<Vec<Box<RawValue>>, Problem> {
    let mut kept: Vec<Box<RawValue>> = Vec::with_capacity(events.len());
    let mut bytes = 0;
    for event in events {
        let json = serde_json::value::to_raw_value(&EventAnswer::from(event))
            .map_err(|error| Problem::new(ProblemKind::Internal, "the service made a mistake").caused_by(error))?;
        bytes += bytes_within_json(json.get());
        if bytes > MAX_ANSWER_BYTES && !kept.is_empty() {
            break;
        }
        kept.push(json);
    }
    Ok(kept)
}

/// How many bytes a text has as a JSON text, about.
fn bytes_within_json(text: &str) -> usize {
    text.len() + 1 + text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count()
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
    /// [`ProblemKind::Internal`] if an event cannot be written, which no event can.
    pub fn new(page: &EventPage, query: &EventQuery) -> Result<Self, Problem> {
        let events = fitting(&page.events)?;
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

fn cursor(filter: &EventFilter, position: crate::domain::event::Position) -> String {
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
    /// [`ProblemKind::Internal`] if an event cannot be written, which no event can.
    pub fn new(request: &'a StreamRequest, slice: &StreamSlice, limit: usize) -> Result<Self, Problem> {
        let wanted = slice.events.get(..limit).unwrap_or(&slice.events);
        let events = fitting(wanted)?;
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

/// How many events there are. Days, weeks (from Monday) and months are the calendar's, in UTC.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatisticsAnswer<'a> {
    /// All events.
    pub total_events: u64,
    /// Those that are not processed yet.
    pub pending_events: u64,
    /// Those that are being processed.
    pub processing_events: u64,
    /// Those that are processed.
    pub processed_events: u64,
    /// Those whose processing failed for good.
    pub failed_events: u64,
    /// Those that were moved to an archive.
    pub archived_events: u64,
    /// How many of each source.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub events_by_source: BTreeMap<&'static str, u64>,
    /// How many of each category.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub events_by_category: BTreeMap<&'static str, u64>,
    /// How many of each type. After a thousand types, those of others are counted as `(other)`.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub events_by_type: BTreeMap<&'a str, u64>,
    /// How many happened today.
    pub events_today: u64,
    /// How many happened since Monday.
    pub events_this_week: u64,
    /// How many happened since the first of the month.
    pub events_this_month: u64,
    /// Seconds from storing to the end of processing, on average; 0 if nothing was processed.
    pub average_processing_time: f64,
    /// How many percent of the events are processed.
    pub processing_rate: f64,
    /// How many percent of the events failed.
    pub error_rate: f64,
    /// The users with the most events.
    pub top_users: Vec<UserCount<'a>>,
    /// The types with the most events.
    pub top_event_types: Vec<TypeCount<'a>>,
    /// When the statistics were made.
    #[schema(value_type = MomentSchema)]
    pub calculated_at: Timestamp,
}

/// How many events are about a user.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserCount<'a> {
    /// The user.
    #[schema(value_type = String)]
    pub user_id: &'a UserId,
    /// How many events; for a user that is not among the top all the time, it may be a little too many.
    pub count: u64,
}

/// How many events have a type.
#[derive(Debug, Serialize, ToSchema)]
pub struct TypeCount<'a> {
    /// The type.
    #[schema(value_type = String)]
    pub event_type: &'a EventType,
    /// How many events.
    pub count: u64,
}

impl<'a> From<&'a Statistics> for StatisticsAnswer<'a> {
    fn from(statistics: &'a Statistics) -> Self {
        let total = statistics.total();
        let of = |status| statistics.with_status(status);
        let mut by_type: BTreeMap<&str, u64> = BTreeMap::new();
        for (event_type, count) in &statistics.by_type {
            *by_type.entry(event_type.as_ref().map_or(OTHER_TYPES, EventType::as_str)).or_default() += count;
        }
        let (processing_ms, processing_count) = statistics.processing;
        Self {
            total_events: total,
            pending_events: of(EventStatus::Pending),
            processing_events: of(EventStatus::Processing),
            processed_events: of(EventStatus::Processed),
            failed_events: of(EventStatus::Failed),
            archived_events: of(EventStatus::Archived),
            events_by_source: statistics.by_source.iter().map(|(source, count)| (source.as_str(), *count)).collect(),
            events_by_category: statistics.by_category.iter().map(|(category, count)| (category.as_str(), *count)).collect(),
            events_by_type: by_type,
            events_today: statistics.today,
            events_this_week: statistics.this_week,
            events_this_month: statistics.this_month,
            average_processing_time: ratio(processing_ms, processing_count.saturating_mul(1000), 1.0),
            processing_rate: ratio(of(EventStatus::Processed), total, 100.0),
            error_rate: ratio(of(EventStatus::Failed), total, 100.0),
            top_users: statistics.top_users.iter().map(|(user_id, count)| UserCount { user_id, count: *count }).collect(),
            top_event_types: statistics.top_types().into_iter().map(|(event_type, count)| TypeCount { event_type, count }).collect(),
            calculated_at: statistics.calculated_at,
        }
    }
}

/// `part / whole * scale`, to three decimals; 0 of nothing.
fn ratio(part: u64, whole: u64, scale: f64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "three decimals are shown")]
    let exact = part as f64 / whole as f64 * scale;
    (exact * 1000.0).round() / 1000.0
}

/// An API key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyAnswer<'a> {
    /// Its public name.
    #[schema(value_type = String)]
    pub key_id: &'a str,
    /// What its owner calls it.
    #[schema(value_type = String)]
    pub name: &'a str,
    /// Its rights.
    #[schema(value_type = Vec<ScopeSchema>)]
    pub scopes: &'a [Scope],
    /// The organization that it is bound to.
    #[schema(value_type = Option<String>, required)]
    pub organization_id: Option<&'a OrganizationId>,
    /// When it was made.
    #[schema(value_type = MomentSchema)]
    pub created_at: Timestamp,
    /// From when on it is refused.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub expires_at: Option<Timestamp>,
}

impl<'a> From<&'a ApiKey> for KeyAnswer<'a> {
    fn from(key: &'a ApiKey) -> Self {
        Self {
            key_id: key.digest.key_id(),
            name: &key.name,
            scopes: &key.scopes,
            organization_id: key.organization.as_ref(),
            created_at: key.created_at,
            expires_at: key.expires_at,
        }
    }
}

/// An API key that was made just now.
#[derive(Serialize, ToSchema)]
#[schema(as = NewKey)]
pub struct NewKeyAnswer<'a> {
    /// Its public name.
    #[schema(value_type = String)]
    pub key_id: &'a str,
    /// The key itself. It is shown this once.
    #[schema(value_type = String)]
    pub api_key: &'a str,
    /// What its owner calls it.
    #[schema(value_type = String)]
    pub name: &'a str,
    /// Its rights.
    #[schema(value_type = Vec<ScopeSchema>)]
    pub scopes: &'a [Scope],
    /// The organization that it is bound to.
    #[schema(value_type = Option<String>, required)]
    pub organization_id: Option<&'a OrganizationId>,
    /// When it was made.
    #[schema(value_type = MomentSchema)]
    pub created_at: Timestamp,
    /// From when on it is refused.
    #[schema(value_type = Option<MomentSchema>, required)]
    pub expires_at: Option<Timestamp>,
}

impl<'a> NewKeyAnswer<'a> {
    /// The answer for a key and its secret.
    #[must_use]
    pub fn new(key: &'a ApiKey, secret: &'a ApiKeySecret) -> Self {
        let KeyAnswer { key_id, name, scopes, organization_id, created_at, expires_at } = KeyAnswer::from(key);
        Self { key_id, api_key: secret.reveal(), name, scopes, organization_id, created_at, expires_at }
    }
}

/// A key is revoked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RevokedKey)]
pub struct RevokedKeyAnswer<'a> {
    /// Always `revoked`.
    #[schema(value_type = String, example = "revoked")]
    pub status: &'static str,
    /// The key's public name.
    #[schema(value_type = String)]
    pub key_id: &'a str,
}

impl<'a> RevokedKeyAnswer<'a> {
    /// The answer for the key of this name.
    #[must_use]
    pub const fn new(key_id: &'a str) -> Self {
        Self { status: "revoked", key_id }
    }
}

/// Whether the service can work.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthAnswer {
    /// `healthy`, or `unhealthy` with the status 503.
    #[schema(value_type = String, example = "healthy")]
    pub status: Health,
    /// Always `event_service`.
    #[schema(value_type = String, example = "event_service")]
    pub service: &'static str,
    /// The version of the service.
    #[schema(value_type = String)]
    pub version: &'static str,
    /// What it needs: each is `healthy`, `unhealthy` or `not_configured`.
    #[schema(value_type = BTreeMap<String, String>)]
    pub dependencies: BTreeMap<&'static str, Health>,
    /// When it was looked at.
    #[schema(value_type = MomentSchema)]
    pub timestamp: Timestamp,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It works.
    Healthy,
    /// It does not.
    Unhealthy,
    /// It is not used here.
    NotConfigured,
}

impl HealthAnswer {
    /// The answer when the store is like this.
    #[must_use]
    pub fn new(store: Health, now: Timestamp) -> Self {
        Self {
            status: store,
            service: SERVICE,
            version: env!("CARGO_PKG_VERSION"),
            dependencies: BTreeMap::from([("dynamodb", store), ("nats", Health::NotConfigured)]),
            timestamp: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::event::EventDetails;
    use crate::domain::outcome::{ProcessingResult, ResultStatus};
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

    #[test]
    fn rates_are_percent_and_times_are_seconds() {
        let mut statistics = Statistics {
            by_status: BTreeMap::from([(EventStatus::Processed, 2), (EventStatus::Failed, 1)]),
            by_source: BTreeMap::from([(EventSource::Backend, 3)]),
            by_category: BTreeMap::from([(EventCategory::Order, 3)]),
            by_type: BTreeMap::from([(Some("a".parse().unwrap()), 2), (None, 1)]),
            today: 1,
            this_week: 2,
            this_month: 3,
            processing: (3100, 2),
            top_users: vec![("u".parse().unwrap(), 2)],
            calculated_at: Timestamp::MAX,
        };
        let value = json(&StatisticsAnswer::from(&statistics));
        assert_eq!(
            json!([value["total_events"], value["average_processing_time"], value["processing_rate"], value["error_rate"]]),
            json!([3, 1.55, 66.667, 33.333])
        );
        assert_eq!(value["events_by_type"], json!({"a": 2, "(other)": 1}));
        assert_eq!((&value["events_by_source"], &value["events_by_category"]), (&json!({"backend": 3}), &json!({"order": 3})));
        assert_eq!(value["top_users"], json!([{"user_id": "u", "count": 2}]));
        assert_eq!(value["top_event_types"], json!([{"event_type": "a", "count": 2}]));
        statistics.by_source.clear();
        statistics.processing = (0, 0);
        let value = json(&StatisticsAnswer::from(&statistics));
        assert_eq!(json!([value["average_processing_time"], value["processing_rate"], value["error_rate"]]), json!([0.0, 0.0, 0.0]));
    }

    #[test]
    fn the_secret_of_a_key_is_in_the_answer_to_its_making_only() {
        let secret = ApiKeySecret::from_random([7; 32]);
        let key = ApiKey {
            digest: secret.digest(),
            name: "CI".to_owned(),
            scopes: vec![Scope::Read],
            organization: None,
            created_at: Timestamp::MIN,
            expires_at: None,
        };
        let made = json(&NewKeyAnswer::new(&key, &secret));
        assert_eq!(made["api_key"], secret.reveal());
        assert_eq!((&made["scopes"], &made["key_id"]), (&json!(["events:read"]), &json!(key.digest.key_id())));
        let listed = serde_json::to_string(&KeyAnswer::from(&key)).unwrap();
        assert!(!listed.contains(secret.reveal()) && !listed.contains(key.digest.as_str()), "{listed}");
    }
}
