//! Messages of analytics SDKs, as they come from the SDKs themselves and from RudderStack's webhook destination.

use std::net::IpAddr;

use serde_json::Value;

use super::{draft, first_said, loose_identifier, loose_moment, loose_text, message, metadata};
use crate::domain::category::EventCategory;
use crate::domain::collected_event::{CallType, Circumstances, CollectedEvent, IpPolicy, OccurredAt, occurred_at};
use crate::domain::event::EventDetails;
use crate::domain::identifiers::{DeviceId, EventType, MessageId, SchemaVersion, SessionId, UserId};
use crate::domain::json::JsonObject;
use crate::domain::source::EventSource;
use crate::domain::timestamp::Timestamp;
use crate::http::fields::Fields;
use crate::http::problem::FieldProblemKind;

/// Who sends the message to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// The SDK itself.
    Sdk,
    /// RudderStack, which has received it from an SDK and may have corrected its time.
    Middleman,
}

/// BR-RS-002: pages are page views, what is done is told by its name, and identities are of the user's life.
fn category(call: CallType, name: &str) -> EventCategory {
    let name = name.to_ascii_lowercase();
    match call {
        CallType::Page | CallType::Screen => EventCategory::PageView,
        CallType::Track if name.contains("form") => EventCategory::FormSubmit,
        CallType::Track if name.contains("click") => EventCategory::Click,
        CallType::Identify => EventCategory::UserLifecycle,
        CallType::Track | CallType::Group | CallType::Alias => EventCategory::UserAction,
    }
}

/// The call that the message is. The route's counts if the message says nothing.
fn call(fields: &mut Fields<'_>, circumstances: &Circumstances) -> Option<CallType> {
    let Some(word) = loose_text(fields, &["type"]) else {
        if circumstances.call.is_none() {
            fields.missing("type");
        }
        return circumstances.call;
    };
    let word = word.to_ascii_lowercase();
    let known = CallType::ALL.iter().copied().find(|call| call.as_str() == word);
    if known.is_none() {
        let words: Vec<&str> = CallType::ALL.iter().map(|call| call.as_str()).collect();
        fields.refuse("type", FieldProblemKind::Enum, crate::http::fields::one_of(&words));
    }
    known
}

/// What happened: the event's name, else the page's, else the call.
fn event_type(fields: &mut Fields<'_>, call: CallType) -> Option<EventType> {
    match first_said(fields, &["event", "name"]) {
        Some((name, text)) => fields.event_type(name, text),
        None => call.as_str().parse().ok(),
    }
}

/// A member of the message's context, as a text.
fn of_context(context: &Value, path: &[&str]) -> Option<String> {
    let value = path.iter().try_fold(context, |value, step| value.get(step))?;
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A context with as much of the address in it as may be kept.
fn with_kept_ip(context: &JsonObject, policy: IpPolicy) -> JsonObject {
    let ip = of_context(&context.to_value(), &["ip"]);
    match (policy, ip) {
        (IpPolicy::Keep, _) | (IpPolicy::Truncate | IpPolicy::Drop, None) => context.clone(),
        (IpPolicy::Truncate | IpPolicy::Drop, Some(text)) => match text.parse::<IpAddr>().ok().and_then(|ip| policy.apply(ip)) {
            Some(ip) => context.with(&[("ip", ip.to_string().into())]),
            None => context.without(&["ip"]),
        },
    }
}

/// An object, or nothing: what else an SDK sends there is not what anybody wants.
fn object(fields: &Fields<'_>, name: &str) -> Option<JsonObject> {
    JsonObject::parse(fields.given(name)?.get()).ok()
}

/// When it happened, and when by its maker's clock.
fn times(fields: &Fields<'_>, circumstances: &Circumstances, from: Sender) -> (OccurredAt, Option<Timestamp>) {
    let original = loose_moment(fields, &["originalTimestamp", "original_timestamp"]);
    let timestamp = loose_moment(fields, &["timestamp"]);
    let sent_at = loose_moment(fields, &["sentAt", "sent_at"]);
    let received_at = circumstances.received_at;
    // When it was sent is another time each time.
    let made_at = original.or(timestamp);
    let at = match from {
        Sender::Middleman => {
            // RudderStack says when it got it, which is before we did.
            let received = loose_moment(fields, &["receivedAt", "received_at"]).unwrap_or(received_at);
            match timestamp {
                Some(corrected) => occurred_at(Some(corrected), None, received_at),
                None => occurred_at(original.or(sent_at), sent_at.filter(|_| original.is_some()), received.min(received_at)),
            }
        }
        Sender::Sdk if circumstances.historical => OccurredAt { moment: timestamp.or(original).unwrap_or(received_at), corrected: false },
        Sender::Sdk => occurred_at(original.or(timestamp).or(sent_at), sent_at.or(circumstances.sent_at), received_at),
    };
    (at, made_at)
}

/// The event that these fields describe.
pub(super) fn event(fields: &mut Fields<'_>, circumstances: &Circumstances, from: Sender) -> Option<CollectedEvent> {
    let call = call(fields, circumstances);
    // Without a call there is no event, but the other fields are looked at all the same.
    let event_type = event_type(fields, call.unwrap_or(CallType::Track));
    let anonymous = loose_text(fields, &["anonymousId", "anonymous_id"]);
    // BR-RS-003.
    let user: Option<UserId> = loose_identifier(fields, &["userId", "user_id", "anonymousId", "anonymous_id"]);
    let id: Option<MessageId> = loose_identifier(fields, &["messageId", "message_id"]);
    if from == Sender::Sdk && user.is_none() {
        let msg = "Value error, the message has neither anonymousId nor userId";
        fields.refuse("userId", FieldProblemKind::ValueError, msg);
    }
    // BR-RS-004.
    let context = object(fields, "context").unwrap_or_else(|| circumstances.context.clone());
    let context = with_kept_ip(&context, circumstances.ip);
    let tree = context.to_value();
    let session: Option<SessionId> =
        of_context(&tree, &["sessionId"]).or_else(|| of_context(&tree, &["session_id"])).and_then(|text| text.parse().ok());
    let device: Option<DeviceId> = of_context(&tree, &["device", "id"]).and_then(|text| text.parse().ok());
    let (at, made_at) = times(fields, circumstances, from);
    // Traits tell who it is, and nothing else.
    let traits = object(fields, "traits").filter(|_| !circumstances.anonymous);
    let properties = object(fields, "properties");
    let channel = loose_text(fields, &["channel"]);
    let name = event_type.as_ref().map_or(String::new(), |name| name.as_str().to_owned());
    let told = vec![
        ("call", call.map(CallType::as_str).into()),
        ("message_id", id.as_ref().map(MessageId::as_str).into()),
        ("anonymous_id", anonymous.clone().into()),
        ("group_id", loose_text(fields, &["groupId", "group_id"]).into()),
        ("previous_id", loose_text(fields, &["previousId", "previous_id"]).into()),
        ("category", loose_text(fields, &["category"]).into()),
        ("channel", channel.clone().into()),
        ("original_timestamp", loose_text(fields, &["originalTimestamp", "original_timestamp", "timestamp"]).into()),
        ("sent_at", loose_text(fields, &["sentAt", "sent_at"]).or_else(|| circumstances.sent_at.map(|at| at.to_string())).into()),
    ];
    // What is known of the request is of RudderStack's, not of the user's, who is in the context.
    let circumstances = match from {
        Sender::Sdk => {
            // A server's SDK is a program, and no crawler; a browser's says in the context which browser it is.
            let by_sdk = tree.get("library").is_some();
            let agent = of_context(&tree, &["userAgent"]);
            let bot = if by_sdk { agent.is_some_and(|agent| iscrawl::is_crawler(&agent)) } else { circumstances.bot };
            Circumstances { bot, ..circumstances.clone() }
        }
        Sender::Middleman => Circumstances {
            client_ip: of_context(&tree, &["ip"]).and_then(|text| text.parse::<IpAddr>().ok()).map(|ip| ip.to_string()),
            user_agent: of_context(&tree, &["userAgent"]),
            referer: None,
            bot: of_context(&tree, &["userAgent"]).is_some_and(|agent| iscrawl::is_crawler(&agent)),
            ..circumstances.clone()
        },
    };
    let sender = anonymous.or_else(|| user.as_ref().map(|user| user.as_str().to_owned()));
    Some(CollectedEvent {
        message: message(id, sender, made_at),
        draft: draft(
            None,
            at,
            EventDetails {
                event_type: event_type?,
                source: if from == Sender::Sdk && channel.as_deref() == Some("server") {
                    EventSource::Backend
                } else {
                    EventSource::Frontend
                },
                category: category(call?, &name),
                user,
                session,
                device,
                correlation: None,
                metadata: metadata(&JsonObject::default(), &circumstances, told),
                properties: if properties.is_some() { traits.clone().unwrap_or_default() } else { JsonObject::default() },
                data: properties.or(traits).unwrap_or_default(),
                context,
                schema_version: SchemaVersion::default(),
            },
        ),
    })
}
