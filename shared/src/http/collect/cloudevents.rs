//! CloudEvents 1.0 over HTTP: binary, structured and batched.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::Request;
use lambda_http::http::HeaderMap;
use lambda_http::http::header::CONTENT_TYPE;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::batch::{MOST_ITEMS, within};
use super::body::{BodyText, body_bytes, mended};
use super::settings::CollectSettings;
use super::{JsonText, draft, loose_moment, loose_text, message, metadata};
use crate::domain::category::EventCategory;
use crate::domain::collected_event::{Circumstances, CollectedEvent, occurred_at};
use crate::domain::event::{BodyDigest, EventDetails};
use crate::domain::identifiers::{MessageId, SchemaVersion};
use crate::domain::json::{JsonObject, check_json};
use crate::domain::source::EventSource;
use crate::domain::stream_id::StreamId;
use crate::domain::trace;
use crate::http::fields::{Fields, list_of};
use crate::http::problem::{FieldProblemKind, Place, Problem, ProblemKind};
use crate::http::request::percent_decoded;

/// What the headers of binary mode start with.
const PREFIX: &str = "ce-";
/// What is no attribute: it is in the body, or in a header of its own.
const NO_ATTRIBUTES: [&str; 3] = ["data", "data_base64", "datacontenttype"];
const STRUCTURED: &str = "application/cloudevents+json";
const BATCHED: &str = "application/cloudevents-batch+json";

/// The events of a request, each in the JSON format, whatever mode it came in.
pub struct CloudEvents {
    items: Vec<Box<RawValue>>,
    /// Whether the text had to be mended first.
    pub repaired: bool,
    /// Whether they came as a batch.
    pub batched: bool,
}

impl CloudEvents {
    /// Reads a request.
    ///
    /// # Errors
    /// [`ProblemKind::TooLarge`] for more than the request may have, [`ProblemKind::Invalid`] for what is no JSON where it must be.
    pub fn of(request: &Request, settings: &CollectSettings) -> Result<Self, Problem> {
        let headers = request.headers();
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_binary = headers.keys().any(|name| name.as_str().starts_with(PREFIX));
        if is_binary && media_type != STRUCTURED && media_type != BATCHED {
            let (event, repaired) = binary(request, headers, settings)?;
            return Ok(Self { items: vec![event], repaired, batched: false });
        }
        if media_type.starts_with("application/cloudevents") && media_type != STRUCTURED && media_type != BATCHED {
            let shown: String = media_type.chars().take(80).collect();
            return Err(Problem::new(ProblemKind::Invalid, format!("the event format {shown} is not understood: JSON is")));
        }
        let text = JsonText::of(request, settings)?;
        let list = list_of(text.get());
        let batched = list.is_some();
        within(list.as_ref().map_or(1, Vec::len), vec![Place::name("body")], MOST_ITEMS)?;
        let items = list.map_or_else(|| vec![text.get().to_owned()], |items| items.into_iter().map(RawValue::to_owned).collect());
        Ok(Self { items, repaired: text.repaired, batched })
    }

    /// The events.
    #[must_use]
    pub fn items(&self) -> Vec<&RawValue> {
        self.items.iter().map(AsRef::as_ref).collect()
    }
}

/// An event in binary mode, written in the JSON format.
fn binary(request: &Request, headers: &HeaderMap, settings: &CollectSettings) -> Result<(Box<RawValue>, bool), Problem> {
    let mut members: BTreeMap<String, Box<RawValue>> = BTreeMap::new();
    let raw = |value: &Value| serde_json::value::to_raw_value(value).map_err(Problem::mistake);
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(PREFIX).filter(|name| !NO_ATTRIBUTES.contains(name)) {
            let text = String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
            members.insert(name.to_owned(), raw(&String::from_utf8_lossy(&percent_decoded(&text)).into_owned().into())?);
        }
    }
    let media_type = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let bytes = body_bytes(request, settings.most_request_bytes)?;
    let mut repaired = false;
    if !bytes.is_empty() {
        let is_json =
            media_type.as_deref().is_none_or(|media_type| media_type.split(';').next().unwrap_or_default().trim().ends_with("json"));
        if is_json {
            let BodyText { text, repaired: was } = mended(&bytes);
            repaired = was;
            let data = RawValue::from_string(text.trim().to_owned()).map_err(|error| super::not_json(&error.to_string()))?;
            members.insert("data".to_owned(), data);
        } else if std::str::from_utf8(&bytes).is_ok() {
            members.insert("data".to_owned(), raw(&String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}").into())?);
        } else {
            members.insert("data_base64".to_owned(), raw(&STANDARD.encode(&bytes).into())?);
        }
    }
    if let Some(media_type) = media_type {
        members.insert("datacontenttype".to_owned(), raw(&media_type.into())?);
    }
    let event = serde_json::value::to_raw_value(&members).map_err(Problem::mistake)?;
    Ok((event, repaired))
}

/// A required attribute: a text that is not empty.
fn attribute(fields: &mut Fields<'_>, name: &'static str) -> Option<String> {
    if fields.given(name).is_none() {
        fields.missing(name);
        return None;
    }
    let text = fields.text(name)?;
    if text.is_empty() {
        fields.refuse(name, FieldProblemKind::StringTooShort, "String should have at least 1 character");
        return None;
    }
    Some(text)
}

/// The event that these fields describe.
pub(super) fn event(fields: &mut Fields<'_>, circumstances: &Circumstances) -> Option<CollectedEvent> {
    let (id, source, kind) = (attribute(fields, "id"), attribute(fields, "source"), attribute(fields, "type"));
    let version = attribute(fields, "specversion");
    if version.as_deref().is_some_and(|version| version != "1.0") {
        fields.refuse_value("specversion", "must be 1.0");
    }
    let event_type = kind.and_then(|kind| fields.event_type("type", kind));
    let time = fields.moment("time");
    let stream: Option<StreamId> = loose_text(fields, &["subject"]).and_then(|subject| subject.parse().ok());
    let at = occurred_at(time, None, circumstances.received_at);
    let data = data(fields);
    // What the event says of its trace is of its own beginning; the request may be of whoever passed it on.
    let own_trace = loose_text(fields, &[trace::MEMBER]).and_then(|text| text.parse().ok());
    let circumstances = &Circumstances { trace: own_trace.or_else(|| circumstances.trace.clone()), ..circumstances.clone() };
    // The two together are what tells an event from every other. An id may be longer than a message's.
    let (id, source) = (id?, source?);
    let digest = BodyDigest::of(format!("{source}\0{id}").as_bytes());
    let name: MessageId = format!("cloudevent-{digest}").parse().ok()?;
    let told = vec![("original_timestamp", loose_text(fields, &["time"]).filter(|_| at.corrected).into())];
    Some(CollectedEvent {
        message: message(Some(name), Some(source), loose_moment(fields, &["time"])),
        draft: draft(
            stream,
            at,
            EventDetails {
                event_type: event_type?,
                source: EventSource::ExternalApi,
                category: EventCategory::System,
                user: None,
                session: None,
                device: None,
                correlation: None,
                metadata: metadata(&JsonObject::default(), circumstances, told),
                data: data?,
                context: attributes(fields),
                properties: JsonObject::default(),
                schema_version: SchemaVersion::default(),
            },
        ),
    })
}

/// The payload: an object as it is, anything else as the member `data` or `data_base64` of one.
fn data(fields: &mut Fields<'_>) -> Option<JsonObject> {
    if let Some(data) = fields.given("data") {
        if let Ok(object) = JsonObject::parse(data.get()) {
            return Some(object);
        }
        return check_json(data.get().as_bytes()).ok().and_then(|()| JsonObject::parse(&format!(r#"{{"data":{}}}"#, data.get())).ok());
    }
    if fields.given("data_base64").is_none() {
        return Some(JsonObject::default());
    }
    let text = fields.text("data_base64")?;
    if STANDARD.decode(&text).is_err() {
        fields.refuse_value("data_base64", "must be base64");
        return None;
    }
    Some(JsonObject::default().with(&[("data_base64", json!(text))]))
}

/// Every attribute of the event, extensions included.
fn attributes(fields: &Fields<'_>) -> JsonObject {
    let names = fields.names().into_iter().filter(|name| !matches!(name.as_str(), "data" | "data_base64"));
    let members: BTreeMap<String, &RawValue> = names.filter_map(|name| fields.given(&name).map(|json| (name, json))).collect();
    let attributes = serde_json::to_value(&members).unwrap_or_default();
    JsonObject::default().with(&[("cloudevent", attributes)])
}
