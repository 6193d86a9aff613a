//! What clients send that nobody controls: read leniently, item by item, each with its reason if it cannot be kept.

pub mod analytics;
pub mod batch;
mod body;
pub mod cloudevents;
pub mod cors;
pub mod door;
pub mod frontend;
pub mod nats;
pub mod pixel;
pub mod rudderstack_secret;
pub mod settings;
pub mod write_key;

use std::net::IpAddr;

use lambda_http::http::HeaderMap;
use lambda_http::http::header::{REFERER, USER_AGENT};
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt as _};
use serde_json::Value;
use serde_json::value::RawValue;

use self::settings::{CollectSettings, DoNotTrack};
use super::fields::{Blank, Fields, text_of};
use super::problem::{FieldProblem, FieldProblemKind, Place, Problem, ProblemKind, schema_problems};
use super::request::trace_parent;
use crate::commands::check_schemas::OpenGate;
use crate::commands::collect_events::{CollectEventsPorts, Collected, collect_events, keep_rejected};
use crate::domain::body as stored_body;
use crate::domain::collected_event::{Circumstances, CollectedEvent, Collector, OccurredAt};
use crate::domain::event::{EventDetails, EventDraft};
use crate::domain::identifiers::{MessageId, OrganizationId};
use crate::domain::json::{JsonObject, check_json};
use crate::domain::message::Message;
use crate::domain::rejected_event::{RejectedEvent, RejectedEventId, Rejection, RejectionReason};
use crate::domain::stream_id::StreamId;
use crate::domain::timestamp::Timestamp;
use crate::domain::trace;
use crate::domain::transform;
use crate::domain::version::ExpectedVersion;

/// The most bytes of a header that are kept.
const MOST_HEADER_BYTES: usize = 1024;

/// What a request is besides its events.
pub struct Envelope<'a> {
    /// Which door it came through.
    pub collector: Collector,
    /// What is known of it.
    pub circumstances: Circumstances,
    /// What the operator has decided.
    pub settings: &'a CollectSettings,
}

impl<'a> Envelope<'a> {
    /// What can be told of a request without reading its body. The address is that of the request's context, which no client writes.
    #[must_use]
    pub fn of(
        collector: Collector,
        request: &Request,
        organization: Option<OrganizationId>,
        received_at: Timestamp,
        settings: &'a CollectSettings,
    ) -> Self {
        let headers = request.headers();
        let do_not_track = ["dnt", "sec-gpc"].iter().any(|name| headers.get(*name).is_some_and(|value| value.as_bytes() == b"1"));
        let user_agent = header(headers, USER_AGENT.as_str());
        let circumstances = Circumstances {
            organization,
            client_ip: source_ip(request).and_then(|ip| settings.ip.apply(ip)).map(|ip| ip.to_string()),
            ip: settings.ip,
            bot: user_agent.as_deref().is_none_or(iscrawl::is_crawler),
            referer: header(headers, REFERER.as_str()),
            trace: trace_parent(request),
            user_agent,
            do_not_track,
            anonymous: do_not_track && settings.do_not_track == DoNotTrack::Anonymize,
            ..Circumstances::at(received_at)
        };
        Self { collector, circumstances, settings }
    }

    /// Whether nothing of the request may be kept.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.circumstances.do_not_track && self.settings.do_not_track == DoNotTrack::Drop
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned();
    let value: String = value.chars().filter(|character| !character.is_control()).collect();
    Some(value[..value.floor_char_boundary(MOST_HEADER_BYTES)].to_owned()).filter(|value| !value.trim().is_empty())
}

/// From where a request came, as the API, the function URL or the local process says.
#[must_use]
pub fn source_ip(request: &Request) -> Option<IpAddr> {
    match request.request_context_ref()? {
        RequestContext::ApiGatewayV2(context) => context.http.source_ip.as_deref()?.parse().ok(),
        // The enum grows with features of its crate; this service has no others.
        _ => None,
    }
}

/// A body that is JSON, as its text.
pub struct JsonText {
    json: Box<RawValue>,
    /// Whether the text had to be mended first.
    pub repaired: bool,
}

impl JsonText {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`ProblemKind::TooLarge`] for more than the request may have, [`ProblemKind::Invalid`] for what is no JSON at all.
    pub fn of(request: &Request, settings: &CollectSettings) -> Result<Self, Problem> {
        Self::parse(&body::body_text(request, settings.most_request_bytes)?)
    }

    fn parse(body: &body::BodyText<'_>) -> Result<Self, Problem> {
        let json = RawValue::from_string(body.text.trim().to_owned()).map_err(|error| not_json(&error.to_string()))?;
        Ok(Self { json, repaired: body.repaired })
    }

    /// The JSON.
    #[must_use]
    pub fn get(&self) -> &RawValue {
        &self.json
    }
}

fn not_json(reason: &str) -> Problem {
    let msg = format!("JSON decode error: {reason}");
    Problem::invalid(vec![FieldProblem::new(FieldProblemKind::JsonInvalid, vec![Place::name("body")], msg, Value::Null)])
}

/// What became of one item of a request.
#[derive(Debug)]
pub enum Item {
    /// It was taken in.
    Taken(Collected),
    /// It was not kept, as its sender asks.
    Dropped,
    /// It cannot be read.
    Rejected {
        /// Why.
        problem: Problem,
        /// The same, in one line.
        rejection: Rejection,
        /// What it is kept as.
        id: RejectedEventId,
    },
}

/// Takes in the items of a request, each on its own: one that is bad does not spoil the others. What is rejected is kept for a
/// while. The answer is in their order.
///
/// # Errors
/// [`ProblemKind::TooManyRequests`] if neither the store nor the queue takes them.
pub async fn take_in(ports: &CollectEventsPorts<'_>, envelope: Envelope<'_>, items: &[&RawValue]) -> Result<Vec<Item>, Problem> {
    if envelope.is_dropped() {
        return Ok(items.iter().map(|_| Item::Dropped).collect());
    }
    let Envelope { collector, circumstances, settings } = envelope;
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let mut answers: Vec<Option<Item>> = Vec::with_capacity(items.len());
    // While the store does not answer, events are taken all the same.
    let gate = ports.gate.open(ports.definitions, ports.clock.now()).await;
    let gate = gate.inspect_err(|error| tracing::warn!(%error, "events are not held to their schemas")).ok();
    for (index, item) in items.iter().enumerate() {
        let read = read(collector, item, &circumstances, settings.most_event_bytes);
        let read = read.and_then(|event| fitting(gate.as_ref(), event));
        match read {
            Ok(event) => {
                good.push(event);
                answers.push(None);
            }
            Err(NotRead { problem, rejection }) => {
                let event = rejected(rejection.clone(), collector, item.get(), &circumstances, index as u64);
                answers.push(Some(Item::Rejected { problem, rejection, id: event.id.clone() }));
                bad.push(event);
            }
        }
    }
    if !bad.is_empty() {
        keep_rejected(ports, bad).await;
    }
    let mut taken = if good.is_empty() { Vec::new() } else { collect_events(ports, good).await? }.into_iter();
    Ok(answers.into_iter().filter_map(|answer| answer.or_else(|| taken.next().map(Item::Taken))).collect())
}

/// Reads the body of a request, and notes whether it had to be mended. What is no JSON at all is kept as one rejected event: nobody
/// else may see that a page sends nonsense.
///
/// # Errors
/// Those of [`JsonText::of`].
pub async fn read_body(ports: &CollectEventsPorts<'_>, envelope: &mut Envelope<'_>, request: &Request) -> Result<JsonText, Problem> {
    let (sent, problem) = match body::body_text(request, envelope.settings.most_request_bytes) {
        Ok(sent) => match JsonText::parse(&sent) {
            Ok(text) => {
                envelope.circumstances.repaired = text.repaired;
                return Ok(text);
            }
            Err(problem) => (sent, problem),
        },
        // What cannot be unpacked is kept as it came.
        Err(problem) if problem.kind() == ProblemKind::Invalid => (body::mended(request.body().as_ref()), problem),
        Err(problem) => return Err(problem),
    };
    if !envelope.is_dropped() {
        let rejection = Rejection { reason: RejectionReason::InvalidJson, detail: "the request is no JSON".to_owned() };
        let event = rejected(rejection, envelope.collector, &sent.text, &envelope.circumstances, 0);
        keep_rejected(ports, vec![event]).await;
    }
    Err(problem)
}

/// What is kept of an item that cannot be read: nothing that tells who it was, if that may not be kept, and no key.
fn rejected(rejection: Rejection, collector: Collector, sent: &str, circumstances: &Circumstances, place: u64) -> RejectedEvent {
    let without_key = JsonObject::parse(sent).map(|object| object.without(&["writeKey"]));
    let kept = without_key.as_ref().map_or(sent, JsonObject::as_str);
    let event = RejectedEvent::new(rejection, collector, kept, circumstances.clone(), place);
    if circumstances.anonymous { RejectedEvent { body: String::new(), truncated: true, ..event } } else { event }
}

/// An item that cannot be kept.
struct NotRead {
    problem: Problem,
    rejection: Rejection,
}

/// The event that an item is, for who reads again what was rejected. It may be as large as any event.
///
/// # Errors
/// [`Rejection`] says why it is still none.
pub fn read_event(collector: Collector, item: &RawValue, circumstances: &Circumstances) -> Result<CollectedEvent, Rejection> {
    read(collector, item, circumstances, EventDraft::MAX_BYTES).map_err(|not_read| not_read.rejection)
}

fn read(collector: Collector, item: &RawValue, circumstances: &Circumstances, most: usize) -> Result<CollectedEvent, NotRead> {
    let bytes = item.get().len();
    if bytes > most {
        return Err(too_large(bytes, most));
    }
    check_json(item.get().as_bytes()).map_err(|error| {
        let reason = error.to_string();
        let detail = format!("the event is not JSON that can be kept: {reason}");
        NotRead { problem: not_json(&reason), rejection: Rejection { reason: RejectionReason::InvalidJson, detail } }
    })?;
    let mut fields = Fields::read(item, vec![Place::name("body")], Blank::Value).map_err(|problem| invalid(vec![problem]))?;
    let event = match collector {
        Collector::Frontend => frontend::event(&mut fields, circumstances),
        Collector::Rudderstack => analytics::event(&mut fields, circumstances, analytics::Sender::Middleman),
        Collector::Analytics => analytics::event(&mut fields, circumstances, analytics::Sender::Sdk),
        Collector::Cloudevents => cloudevents::event(&mut fields, circumstances),
        Collector::Nats => nats::event(&mut fields, item, circumstances),
    };
    let mut event = fields.finish(event).map_err(invalid)?;
    if circumstances.organization.is_some() {
        event.draft.organization.clone_from(&circumstances.organization);
    }
    if circumstances.anonymous {
        forget_who(&mut event.draft, circumstances);
    }
    if event.draft.bytes() > EventDraft::MAX_BYTES || !stored_body::fits_alone(&event.draft.details) {
        let detail = format!("the event has {bytes} bytes and is too large to be stored, even compressed");
        let rejection = Rejection { reason: RejectionReason::TooLarge, detail: detail.clone() };
        return Err(NotRead { problem: Problem::new(ProblemKind::TooLarge, detail), rejection });
    }
    Ok(event)
}

/// The event, if it fits the schema of its type, as far as schemas are known.
fn fitting(gate: Option<&OpenGate<'_>>, event: CollectedEvent) -> Result<CollectedEvent, NotRead> {
    let Some(gate) = gate else { return Ok(event) };
    match gate.check(event.draft.organization.as_ref(), &event.draft.details) {
        Ok(()) => Ok(event),
        Err(violations) => {
            let problems = schema_problems(&violations, &[Place::name("body")]);
            let detail = problems.iter().map(FieldProblem::in_a_line).collect::<Vec<_>>().join("; ");
            let rejection = Rejection { reason: RejectionReason::Schema, detail: detail.chars().take(1000).collect() };
            Err(NotRead { problem: Problem::invalid(problems), rejection })
        }
    }
}

fn too_large(bytes: usize, most: usize) -> NotRead {
    let detail = format!("the event has {bytes} bytes; {most} are allowed");
    NotRead {
        problem: Problem::new(ProblemKind::TooLarge, detail.clone()),
        rejection: Rejection { reason: RejectionReason::TooLarge, detail },
    }
}

fn invalid(problems: Vec<FieldProblem>) -> NotRead {
    let told: Vec<String> = problems.iter().map(FieldProblem::in_a_line).collect();
    let rejection = Rejection { reason: RejectionReason::InvalidFields, detail: told.join("; ") };
    NotRead { problem: Problem::invalid(problems), rejection }
}

/// Leaves nothing in an event that tells who it was.
fn forget_who(draft: &mut EventDraft, circumstances: &Circumstances) {
    draft.stream = None;
    let details = &mut draft.details;
    (details.user, details.session, details.device) = (None, None, None);
    (details.context, details.properties) = (JsonObject::default(), JsonObject::default());
    let nobody = Circumstances { client_ip: None, user_agent: None, referer: None, ..circumstances.clone() };
    details.metadata = metadata(&JsonObject::default(), &nobody, Vec::new());
}

/// What no sender says: it is known, or it is not.
const RESERVED: &[&str] = &["client_ip", "user_agent", "referer", "received_at", "bot", "do_not_track", "repaired", "call"];

/// The metadata of an event: what its sender says, then what is known of it besides, which its sender cannot say.
fn metadata(sent: &JsonObject, circumstances: &Circumstances, told: Vec<(&'static str, Value)>) -> JsonObject {
    let mut known: Vec<(&str, Value)> = told.into_iter().filter(|(_, value)| !value.is_null()).collect();
    let texts = [("client_ip", &circumstances.client_ip), ("user_agent", &circumstances.user_agent), ("referer", &circumstances.referer)];
    known.extend(texts.into_iter().filter_map(|(name, value)| Some((name, Value::String(value.clone()?)))));
    known.push(("received_at", circumstances.received_at.to_string().into()));
    known.extend(circumstances.trace.iter().map(|trace| (trace::MEMBER, trace.to_string().into())));
    let flags = [("bot", circumstances.bot), ("do_not_track", circumstances.do_not_track), ("repaired", circumstances.repaired)];
    known.extend(flags.into_iter().filter(|(_, is)| *is).map(|(name, _)| (name, Value::Bool(true))));
    sent.without(RESERVED).without(&transform::RESERVED).with(&known)
}

/// The first of these fields that says anything, and what it says as a text. Numbers do as well.
fn first_said<'n>(fields: &Fields<'_>, names: &[&'n str]) -> Option<(&'n str, String)> {
    names.iter().find_map(|name| {
        let json = fields.given(name)?.get();
        let is_number = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        let text = text_of(json).or_else(|| is_number.then(|| json.to_owned()))?;
        Some((*name, text.trim().to_owned())).filter(|(_, text)| !text.is_empty())
    })
}

/// What the first of these fields says that says anything.
fn loose_text(fields: &Fields<'_>, names: &[&str]) -> Option<String> {
    first_said(fields, names).map(|(_, text)| text)
}

/// The first of these fields that says anything, as an identifier. What cannot be one is wrong.
fn loose_identifier<T>(fields: &mut Fields<'_>, names: &[&'static str]) -> Option<T>
where
    T: TryFrom<String, Error = crate::domain::identifiers::IdentifierError>,
{
    for name in names {
        let is_text = |json: &RawValue| json.get().starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit());
        if fields.given(name).is_some_and(|json| !is_text(json)) {
            fields.refuse(name, FieldProblemKind::StringType, "Input should be a valid string");
            return None;
        }
    }
    let (name, text) = first_said(fields, names)?;
    fields.required_identifier(name, text)
}

/// The first of these fields that is a moment. What is none is no reason to refuse an event: when it came is known.
fn loose_moment(fields: &Fields<'_>, names: &[&str]) -> Option<Timestamp> {
    names.iter().find_map(|name| Timestamp::parse(&loose_text(fields, &[name])?).ok())
}

/// An event that goes to this stream, or to the one that follows from it, whatever stands there.
fn draft(stream: Option<StreamId>, at: OccurredAt, details: EventDetails) -> EventDraft {
    EventDraft {
        event_id: None,
        organization: None,
        stream,
        expected_version: ExpectedVersion::Any,
        occurred_at: Some(at.moment),
        trace: None,
        details,
    }
}

/// What makes an event count once, if its sender gives it a name.
fn message(id: Option<MessageId>, sender: Option<String>, made_at: Option<Timestamp>) -> Option<Message> {
    id.map(|id| Message { id, sender, made_at })
}
