//! Messages of other services on NATS: the envelope of the platform, and whole events as this service publishes them.

use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use super::{NotRead, draft, fitting, loose_moment, loose_text, message, metadata, read, rejected};
use crate::commands::check_schemas::OpenGate;
use crate::commands::ingest_messages::ReadMessage;
use crate::domain::bridge::IncomingMessage;
use crate::domain::category::EventCategory;
use crate::domain::collected_event::{Circumstances, CollectedEvent, Collector, MessagePlace, OccurredAt};
use crate::domain::domain_event::SOURCE;
use crate::domain::event::{BodyDigest, EventDetails, EventDraft};
use crate::domain::event_id::EventId;
use crate::domain::identifiers::{EventType, MessageId, SchemaVersion};
use crate::domain::json::JsonObject;
use crate::domain::rejected_event::{Rejection, RejectionReason};
use crate::domain::source::EventSource;
use crate::domain::timestamp::Timestamp;
use crate::domain::version::ExpectedVersion;
use crate::http::draft::draft_at;
use crate::http::fields::{Fields, text_of};
use crate::http::problem::Place;

/// What the broker has had for longer counts as new.
const LATEST: Duration = Duration::from_hours(24);

/// Reads a message. What cannot be read, or does not fit its schema, is to be kept as a rejected event.
#[must_use]
pub fn read_message(message: &IncomingMessage, now: Timestamp, gate: Option<&OpenGate<'_>>) -> ReadMessage {
    // When the broker got it: so that a message that comes again is the same, also if it is rejected.
    let received_at = message.published_at.filter(|at| at.plus(LATEST) > now && *at <= now).unwrap_or(now);
    let circumstances = Circumstances {
        trace: message.trace.clone(),
        message: Some(MessagePlace {
            subject: message.subject.clone(),
            id: message.message_id.clone().unwrap_or_else(|| message.place.clone()),
        }),
        ..Circumstances::at(received_at)
    };
    let reject = |rejection: Rejection, text: &str| {
        let place = u64::try_from(BodyDigest::of(message.place.as_bytes()).0 >> 64).unwrap_or_default();
        ReadMessage::Rejected(Box::new(rejected(rejection, Collector::Nats, text, &circumstances, place)))
    };
    if message.omitted {
        let detail = "the event comes without its payload, which was too large for its broker: record the event itself".to_owned();
        return reject(Rejection { reason: RejectionReason::TooLarge, detail }, &String::from_utf8_lossy(&message.body));
    }
    let not_json = || Rejection { reason: RejectionReason::InvalidJson, detail: "the message is no JSON".to_owned() };
    let Ok(text) = std::str::from_utf8(&message.body) else {
        return reject(not_json(), &String::from_utf8_lossy(&message.body));
    };
    let Ok(item) = serde_json::from_str::<&RawValue>(text) else { return reject(not_json(), text) };
    if is_own(item) {
        return ReadMessage::Own;
    }
    let read = read(Collector::Nats, item, &circumstances, EventDraft::MAX_BYTES);
    match read.and_then(|event| fitting(gate, event)) {
        Ok(event) => ReadMessage::Event(Box::new(event)),
        Err(NotRead { rejection, .. }) => reject(rejection, text),
    }
}

/// Whether the message is a domain event of this service.
fn is_own(item: &RawValue) -> bool {
    #[derive(serde::Deserialize)]
    struct Sender<'a> {
        #[serde(borrow)]
        source: Option<&'a RawValue>,
    }
    let sender: Option<Sender<'_>> = serde_json::from_str(item.get()).ok();
    sender.and_then(|sender| text_of(sender.source?.get())).is_some_and(|source| source == SOURCE)
}

/// The event that a message describes.
pub(super) fn event(fields: &mut Fields<'_>, item: &RawValue, circumstances: &Circumstances) -> Option<CollectedEvent> {
    if fields.given("event_type").is_some() { whole(fields, item, circumstances) } else { envelope(fields, circumstances) }
}

/// The name of a message: ids may be longer than a message's, and are only told apart within what sent them.
fn name(sender: &str, id: &str) -> Option<MessageId> {
    format!("nats-{}", BodyDigest::of(format!("{sender}\0{id}").as_bytes())).parse().ok()
}

/// What the message is called by its broker.
fn called(circumstances: &Circumstances) -> String {
    circumstances.message.as_ref().map(|message| message.id.clone()).unwrap_or_default()
}

/// On which subject the message came.
fn subject(circumstances: &Circumstances) -> Value {
    circumstances.message.as_ref().map(|message| message.subject.clone()).into()
}

/// `{id, type, source, data, metadata, timestamp, version}`.
fn envelope(fields: &mut Fields<'_>, circumstances: &Circumstances) -> Option<CollectedEvent> {
    if fields.given("type").is_none() {
        fields.missing("type");
    }
    let event_type = fields.text("type").and_then(|text| fields.event_type("type", text));
    let (data, sent) = (fields.object("data").unwrap_or_default(), fields.object("metadata").unwrap_or_default());
    let made_at = loose_moment(fields, &["timestamp"]);
    let source = loose_text(fields, &["source"]);
    let id = loose_text(fields, &["id"]);
    let version = loose_text(fields, &["version"]);
    let organization = super::loose_identifier(fields, &["organization_id"]);
    let event_type = event_type?;
    let (told, circumstance) = (data.to_value(), sent.to_value());
    let known = vec![
        ("source_service", source.clone().into()),
        ("original_event_id", id.clone().into()),
        ("original_version", version.into()),
        ("nats_subject", subject(circumstances)),
    ];
    let details = EventDetails {
        source: EventSource::Backend,
        category: category(&event_type),
        event_type,
        user: identifier(&told, "user_id"),
        session: None,
        device: identifier(&told, "device_id"),
        correlation: identifier(&circumstance, "correlation_id"),
        metadata: metadata(&sent, circumstances, known),
        data,
        context: JsonObject::default(),
        properties: JsonObject::default(),
        schema_version: SchemaVersion::default(),
    };
    let sender = source.unwrap_or_default();
    let id = name(&sender, &id.unwrap_or_else(|| called(circumstances)));
    let at = OccurredAt { moment: made_at.unwrap_or(circumstances.received_at), corrected: false };
    let draft = EventDraft { organization, ..draft(None, at, details) };
    Some(CollectedEvent { draft, message: message(id, Some(format!("nats\0{sender}")), made_at) })
}

/// A member of an object as an identifier: a text, or a number. What cannot be one is nothing.
fn identifier<T: FromStr>(object: &Value, name: &str) -> Option<T> {
    match object.get(name)? {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A whole event, as `GET` answers it.
fn whole(fields: &mut Fields<'_>, item: &RawValue, circumstances: &Circumstances) -> Option<CollectedEvent> {
    let mut draft = match draft_at(item, vec![Place::name("body")]) {
        Ok(draft) => draft,
        Err(problems) => {
            fields.extend(problems);
            return None;
        }
    };
    let id = draft.event_id;
    let known = vec![("original_event_id", id.map(|id| id.to_string()).into()), ("nats_subject", subject(circumstances))];
    draft.details.metadata = metadata(&draft.details.metadata, circumstances, known);
    draft.expected_version = ExpectedVersion::Any;
    let made_at = draft.occurred_at;
    draft.occurred_at = made_at.or(Some(circumstances.received_at));
    let id = name("event", &id.as_ref().map_or_else(|| called(circumstances), EventId::to_string));
    Some(CollectedEvent { draft, message: message(id, Some("nats\0event".to_owned()), made_at) })
}

/// What kind of thing a message is about: the first of these words that is a token of its type.
fn category(event_type: &EventType) -> EventCategory {
    const WORDS: [(&str, EventCategory); 5] = [
        ("user", EventCategory::UserLifecycle),
        ("payment", EventCategory::Payment),
        ("order", EventCategory::Order),
        ("task", EventCategory::Task),
        ("device", EventCategory::Device),
    ];
    let tokens: Vec<&str> = event_type.as_str().split(['.', '_', '-', ':', '/']).collect();
    let said = WORDS.iter().find(|(word, _)| tokens.iter().any(|token| token.eq_ignore_ascii_case(word)));
    said.map_or(EventCategory::System, |(_, category)| *category)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::bridge::MessageReceipt;
    use crate::domain::identifiers::{CorrelationId, UserId};

    fn message(body: &str, message_id: Option<&str>) -> IncomingMessage {
        IncomingMessage {
            receipt: MessageReceipt("r".to_owned()),
            subject: "orders.placed".to_owned(),
            place: "ORDERS:7".to_owned(),
            message_id: message_id.map(str::to_owned),
            origin: None,
            trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok(),
            published_at: None,
            omitted: false,
            deliveries: 1,
            body: body.as_bytes().to_vec(),
        }
    }

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-23T12:00:00Z").unwrap()
    }

    fn event_of(body: &Value, message_id: Option<&str>) -> CollectedEvent {
        match read_message(&message(&body.to_string(), message_id), now(), None) {
            ReadMessage::Event(event) => *event,
            other @ (ReadMessage::Own | ReadMessage::Rejected(_)) => panic!("{other:?}"),
        }
    }

    fn reason_of(body: &str) -> RejectionReason {
        match read_message(&message(body, None), now(), None) {
            ReadMessage::Rejected(event) => event.reason,
            other @ (ReadMessage::Own | ReadMessage::Event(_)) => panic!("{other:?}"),
        }
    }

    /// API, domain events: what an ingested message becomes.
    #[test]
    fn an_envelope_becomes_an_event_that_says_where_it_is_from() {
        let body = json!({
            "id": "m-1", "type": "order.placed", "source": "order_service", "timestamp": "2026-11-23T11:00:00Z", "version": "2.1.0",
            "data": {"user_id": 42, "total": 5}, "metadata": {"correlation_id": "c-1", "region": "eu"},
        });
        let CollectedEvent { draft, message } = event_of(&body, Some("other"));
        let details = &draft.details;
        assert_eq!((details.source, details.category), (EventSource::Backend, EventCategory::Order));
        assert_eq!(details.user.as_ref().map(UserId::as_str), Some("42"));
        assert_eq!(details.correlation.as_ref().map(CorrelationId::as_str), Some("c-1"));
        assert_eq!(draft.occurred_at, Timestamp::parse("2026-11-23T11:00:00Z").ok());
        assert_eq!(
            details.metadata.to_value(),
            json!({
                "region": "eu", "correlation_id": "c-1", "source_service": "order_service", "original_event_id": "m-1", "original_version": "2.1.0",
                "nats_subject": "orders.placed", "received_at": "2026-11-23T12:00:00.000000Z",
                "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            })
        );
        // The same message again, whatever it is called in its header, is the same; another service's is not.
        assert_eq!(event_of(&body, None).message, message);
        let mut other = body;
        other["source"] = json!("shop");
        assert_ne!(event_of(&other, None).message.unwrap().id, message.unwrap().id);
    }

    #[test]
    fn a_message_without_an_id_is_named_by_its_header_or_else_by_its_place() {
        let body = json!({"type": "a"});
        let (by_header, by_place) = (event_of(&body, Some("h")).message, event_of(&body, None).message);
        assert_eq!(event_of(&body, Some("h")).message, by_header);
        assert_ne!(by_header, by_place);
        let named = event_of(&json!({"type": "a", "id": "h"}), None).message.unwrap();
        assert_eq!(Some(named.id), by_header.map(|message| message.id));
    }

    /// API, domain events: the category.
    #[test]
    fn the_category_is_the_first_word_of_the_list_that_is_a_token_of_the_type() {
        for (event_type, expected) in [
            ("order.user.changed", EventCategory::UserLifecycle),
            ("payment.completed", EventCategory::Payment),
            ("order_placed", EventCategory::Order),
            ("task.done", EventCategory::Task),
            ("device.online", EventCategory::Device),
            ("users.created", EventCategory::System),
            ("reorder", EventCategory::System),
        ] {
            assert_eq!(category(&event_type.parse().unwrap()), expected, "{event_type}");
        }
    }

    #[test]
    fn a_whole_event_keeps_all_that_it_says() {
        let id = "0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f";
        let body = json!({
            "event_id": id, "event_type": "device.telemetry", "event_source": "iot_device", "event_category": "telemetry", "device_id": "d-1",
            "organization_id": "acme", "data": {"t": 1}, "timestamp": "2026-11-23T11:00:00Z", "stream_id": "device:d-1", "stream_version": 9,
            "status": "processed", "version": "1.2.0", "metadata": {}, "created_at": "2026-11-23T11:00:01Z",
        });
        let CollectedEvent { draft, .. } = event_of(&body, None);
        assert_eq!((draft.details.source, draft.details.category), (EventSource::IotDevice, EventCategory::Telemetry));
        assert_eq!(draft.event_id.map(|id| id.to_string()).as_deref(), Some(id));
        assert_eq!(draft.organization, "acme".parse().ok());
        assert_eq!(draft.stream, "device:d-1".parse().ok());
        assert_eq!(draft.expected_version, ExpectedVersion::Any);
        assert_eq!(draft.details.metadata.to_value()["original_event_id"], id);
    }

    #[test]
    fn what_cannot_be_read_is_rejected_with_its_reason() {
        for (body, reason) in [
            ("no json", RejectionReason::InvalidJson),
            ("{\"type\":\"a\",\"type\":\"b\"}", RejectionReason::InvalidJson),
            ("[]", RejectionReason::InvalidFields),
            ("{}", RejectionReason::InvalidFields),
            ("{\"type\":\" \"}", RejectionReason::InvalidFields),
            ("{\"type\":\"a\",\"data\":[1]}", RejectionReason::InvalidFields),
            ("{\"event_type\":\"a\",\"event_source\":\"moon\"}", RejectionReason::InvalidFields),
        ] {
            assert_eq!(reason_of(body), reason, "{body}");
        }
        let without = IncomingMessage { omitted: true, ..message(&json!({"type": "a", "data": {}}).to_string(), None) };
        assert!(matches!(read_message(&without, now(), None), ReadMessage::Rejected(_)), "it would be taken for the whole");
        let binary = IncomingMessage { body: vec![0xff, 0xfe], ..message("", None) };
        assert!(matches!(read_message(&binary, now(), None), ReadMessage::Rejected(_)));
        assert_eq!(
            reason_of(&json!({"type": "a", "data": {"x": "x".repeat(EventDraft::MAX_BYTES)}}).to_string()),
            RejectionReason::TooLarge
        );
    }

    #[test]
    fn a_domain_event_of_this_service_is_known_by_its_source() {
        let own = json!({"id": "1", "type": "event.stored", "source": "event_service", "data": {}});
        assert!(matches!(read_message(&message(&own.to_string(), None), now(), None), ReadMessage::Own));
    }
}
