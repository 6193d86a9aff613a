//! Queries: which events, in which order, how many at a time.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::category::EventCategory;
use super::commit::Storage;
use super::event::{BodyDigest, Event, Position};
use super::event_id::EventId;
use super::identifiers::{CorrelationId, DeviceId, EventType, OrganizationId, SessionId, UserId};
use super::outcome::EventOutcome;
use super::source::EventSource;
use super::status::EventStatus;
use super::timestamp::Timestamp;

/// Which events a query is about. Every condition that is given must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventFilter {
    /// The type, exactly.
    pub event_type: Option<EventType>,
    /// The source.
    pub source: Option<EventSource>,
    /// The category.
    pub category: Option<EventCategory>,
    /// The user.
    pub user: Option<UserId>,
    /// Whether what the user did before anybody knew who it was belongs to it.
    pub anonymous: Anonymous,
    /// The session.
    pub session: Option<SessionId>,
    /// The tenant. A caller that is bound to one never asks for another.
    pub organization: Option<OrganizationId>,
    /// The device.
    pub device: Option<DeviceId>,
    /// The correlation id.
    pub correlation: Option<CorrelationId>,
    /// The processing status.
    pub status: Option<EventStatus>,
    /// The earliest moment, inclusive.
    pub from: Option<Timestamp>,
    /// The latest moment, inclusive.
    pub to: Option<Timestamp>,
    /// What the payload must hold (BR-QRY-004).
    pub data: Option<DataFilter>,
}

/// Whether a user's events include those of its visits from before it was known (BR-FE-005).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anonymous {
    /// They do not.
    #[default]
    Excluded,
    /// They do.
    Included,
}

/// The visits that a user's events are part of.
#[must_use]
pub fn visits_of(events: &[Event]) -> BTreeSet<(Option<OrganizationId>, SessionId)> {
    events.iter().filter_map(|event| Some((event.organization().cloned(), event.details.session.clone()?))).collect()
}

/// Of the events of one visit, those that happened before anybody knew who it was, if it was this user who was known first. What
/// happened after somebody else was known may be that other's. They are in the order of the visitor's clock where it is known: the
/// times of messages that were sent within milliseconds are corrected each by its own way through the network.
#[must_use]
pub fn before_known(user: &UserId, mut of_visit: Vec<Event>) -> Vec<Event> {
    let by_its_clock = |event: &Event| {
        let metadata = event.details.metadata.to_value();
        metadata.get("original_timestamp").and_then(Value::as_str).and_then(|text| Timestamp::parse(text).ok())
    };
    of_visit.sort_by_cached_key(|event| (by_its_clock(event).unwrap_or(event.occurred_at), event.place));
    let known = of_visit.iter().position(|event| !is_anonymous(event));
    match known {
        Some(known) if of_visit[known].details.user.as_ref() == Some(user) => {
            of_visit.truncate(known);
            of_visit
        }
        Some(_) | None => Vec::new(),
    }
}

/// Whether nobody knows whose event it is: it has no user, or one that stands for a visitor.
fn is_anonymous(event: &Event) -> bool {
    event.details.user.as_ref().is_none_or(|user| {
        let visitor = event.details.metadata.to_value();
        visitor.get("anonymous_id").and_then(Value::as_str) == Some(user.as_str())
    })
}

impl EventFilter {
    /// The same but for the user: what else holds for events of its visits from before it was known.
    #[must_use]
    pub fn of_visits(&self) -> Self {
        Self { user: None, anonymous: Anonymous::Excluded, ..self.clone() }
    }

    /// Whether the event is one of those asked for, its status aside.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, actual: Option<&T>) -> bool {
            wanted.is_none() || wanted == actual
        }
        let details = &event.details;
        is(self.event_type.as_ref(), Some(&details.event_type))
            && is(self.source.as_ref(), Some(&details.source))
            && is(self.category.as_ref(), Some(&details.category))
            && is(self.user.as_ref(), details.user.as_ref())
            && is(self.session.as_ref(), details.session.as_ref())
            && is(self.organization.as_ref(), event.organization())
            && is(self.device.as_ref(), details.device.as_ref())
            && is(self.correlation.as_ref(), details.correlation.as_ref())
            && self.from.is_none_or(|from| from <= event.occurred_at)
            && self.to.is_none_or(|to| event.occurred_at <= to)
            && self.data.as_ref().is_none_or(|data| data.matches(&details.data.to_value()))
    }

    /// Whether the status is the one asked for.
    #[must_use]
    pub fn matches_status(&self, status: EventStatus) -> bool {
        self.status.is_none_or(|wanted| wanted == status)
    }

    /// Whether hourly counters know how many events match: only type, source, category,
    /// organization and time are asked for.
    #[must_use]
    pub const fn is_counted(&self) -> bool {
        self.user.is_none()
            && self.session.is_none()
            && self.device.is_none()
            && self.correlation.is_none()
            && self.status.is_none()
            && self.data.is_none()
    }

    /// Tells one filter from another, for cursors.
    fn digest(&self) -> u64 {
        let digest = BodyDigest::of(format!("{self:?}").as_bytes()).0;
        u64::try_from(digest >> 64).unwrap_or_default()
    }
}

/// What an event's `data` must hold: each member must be there, nested objects in part, everything
/// else equal. A member that is not there by its name is looked for as a dotted path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataFilter(Map<String, Value>);

impl DataFilter {
    /// The filter that this object describes; none for an empty object.
    #[must_use]
    pub fn new(wanted: Map<String, Value>) -> Option<Self> {
        (!wanted.is_empty()).then_some(Self(wanted))
    }

    /// Whether `data` holds all that is wanted.
    #[must_use]
    pub fn matches(&self, data: &Value) -> bool {
        holds_members(&self.0, data)
    }
}

fn holds_members(wanted: &Map<String, Value>, actual: &Value) -> bool {
    wanted.iter().all(|(name, value)| member(actual, name).is_some_and(|actual| holds(value, actual)))
}

pub(super) fn holds(wanted: &Value, actual: &Value) -> bool {
    match wanted {
        Value::Object(members) => actual.is_object() && holds_members(members, actual),
        Value::Number(number) => number.as_f64().is_some() && (wanted == actual || number.as_f64() == actual.as_f64()),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => wanted == actual,
    }
}

/// The member of this name, or at this path of names and array indices.
pub(super) fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let step = |value: &'a Value, name: &str| match value {
        Value::Object(members) => members.get(name),
        Value::Array(items) => name.parse::<usize>().ok().and_then(|index| items.get(index)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    step(value, name).or_else(|| name.contains('.').then(|| name.split('.').try_fold(value, step)).flatten())
}

/// How many events a page has: 100 unless asked, at most 1000 (BR-QRY-001).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(usize);

impl PageSize {
    /// The largest page.
    pub const MAX: usize = 1000;

    /// A page of this many events, or nothing outside 1 to [`PageSize::MAX`].
    #[must_use]
    pub fn new(events: usize) -> Option<Self> {
        (1..=Self::MAX).contains(&events).then_some(Self(events))
    }

    /// The number of events.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(100)
    }
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStart {
    /// After this many of the newest events (BR-QRY-005).
    Offset(u64),
    /// Below a place that an earlier page ended at.
    Below(Position),
}

/// A query for one page.
#[derive(Debug, Clone, PartialEq)]
pub struct EventQuery {
    /// Which events.
    pub filter: EventFilter,
    /// How many.
    pub size: PageSize,
    /// From where.
    pub start: PageStart,
}

/// What a client gets to ask for the next page: opaque, and good for the same filter only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

/// The text is no cursor of this query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor of this query: send next_cursor as it came, with the same filters")]
pub struct CursorError;

impl Cursor {
    /// The cursor of the place that a page of `filter` ended at.
    #[must_use]
    pub fn new(filter: &EventFilter, below: Position) -> Self {
        let mut bytes = Vec::with_capacity(32);
        bytes.extend(filter.digest().to_be_bytes());
        bytes.extend(below.occurred_at.micros().to_be_bytes());
        bytes.extend(below.place.bytes());
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The place that the cursor stands for.
    ///
    /// # Errors
    /// [`CursorError`] if the text is not a cursor, or one of another filter.
    pub fn read(text: &str, filter: &EventFilter) -> Result<Position, CursorError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
        let (digest, rest) = bytes.split_first_chunk::<8>().ok_or(CursorError)?;
        let (micros, place) = rest.split_first_chunk::<8>().ok_or(CursorError)?;
        if u64::from_be_bytes(*digest) != filter.digest() {
            return Err(CursorError);
        }
        let occurred_at = Timestamp::from_micros(i64::from_be_bytes(*micros)).map_err(|_| CursorError)?;
        Ok(Position { occurred_at, place: EventId::new(Uuid::from_slice(place).map_err(|_| CursorError)?) })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An event with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedEvent {
    /// The event.
    pub event: Event,
    /// What became of it.
    pub outcome: EventOutcome,
}

impl ObservedEvent {
    /// An event with what became of it. One that is in the archive is archived, however it ended before.
    #[must_use]
    pub fn new(event: Event, outcome: EventOutcome) -> Self {
        let status = match event.storage {
            Storage::Table => outcome.status,
            Storage::Archive => EventStatus::Archived,
        };
        Self { event, outcome: EventOutcome { status, ..outcome } }
    }
}

/// One page of the answer to a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// The events, newest first (BR-QRY-002).
    pub events: Vec<ObservedEvent>,
    /// How many events match in all (BR-QRY-006).
    pub total: Total,
    /// Where the next page starts, if there may be one.
    pub next: Option<Position>,
}

/// How many events match a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// Exactly this many.
    Exactly(u64),
    /// This many were found before the bound on one request's reading was reached.
    AtLeast(u64),
}

impl Total {
    /// The number.
    #[must_use]
    pub const fn count(self) -> u64 {
        match self {
            Self::Exactly(count) | Self::AtLeast(count) => count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filter(wanted: &Value) -> Option<DataFilter> {
        wanted.as_object().cloned().and_then(DataFilter::new)
    }

    /// BR-QRY-004.
    #[test]
    fn a_data_filter_matches_parts_of_objects_and_dotted_paths() {
        let data = json!({"order": {"id": 42, "items": [{"sku": "a"}, {"sku": "b"}]}, "a.b": 1, "paid": null});
        for (wanted, expected) in [
            (json!({"order": {"id": 42}}), true),
            (json!({"order": {"id": 42.0}}), true),
            (json!({"order.id": 42}), true),
            (json!({"order.items.1.sku": "b"}), true),
            (json!({"a.b": 1}), true),
            (json!({"paid": null}), true),
            (json!({"order": {"id": "42"}}), false),
            (json!({"order": {}}), true),
            (json!({"order.items.2.sku": "b"}), false),
            (json!({"missing": null}), false),
            (json!({"order": {"items": [{"sku": "a"}]}}), false),
        ] {
            assert_eq!(filter(&wanted).map(|filter| filter.matches(&data)), Some(expected), "{wanted}");
        }
        assert_eq!(filter(&json!({})), None);
    }

    /// BR-QRY-001.
    #[test]
    fn a_page_has_100_events_unless_asked_and_at_most_1000() {
        assert_eq!(PageSize::default().get(), 100);
        assert_eq!(PageSize::new(1000).map(PageSize::get), Some(1000));
        assert_eq!(PageSize::new(1001), None);
        assert_eq!(PageSize::new(0), None);
    }

    #[test]
    fn a_cursor_is_good_for_the_filter_that_it_came_from_only() {
        let filter = EventFilter { category: Some(EventCategory::Order), ..EventFilter::default() };
        let below = Position { occurred_at: Timestamp::MAX, place: EventId::new(Uuid::from_u128(7)) };
        let cursor = Cursor::new(&filter, below);
        assert_eq!(Cursor::read(cursor.as_str(), &filter), Ok(below));
        assert_eq!(Cursor::read(cursor.as_str(), &EventFilter::default()), Err(CursorError));
        for text in ["", "x", "AAAA", "ééé"] {
            assert_eq!(Cursor::read(text, &filter), Err(CursorError));
        }
    }
}
