//! The bridge to other services' NATS: subjects, and the messages that are published there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::identifiers::{ReplayId, ReplayTargetName};
use super::source::EventSource;
use super::timestamp::Timestamp;
use super::trace::TraceParent;
use super::work::ToldEvent;

/// Whether there is a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bridging {
    /// What happens is published by way of the queue `nats`.
    On,
    /// Nobody is told anything there.
    Off,
}

/// A subject, or a pattern of subjects: tokens with dots between them. `*` stands for one token, `>` at the end for one or more.
///
/// Invariant: no token is empty, has white space or a control character, or has a wildcard beside other characters; at most
/// [`SubjectPattern::MAX_BYTES`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubjectPattern(String);

/// Why a text is no subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// Nothing stands between two dots, before the first or after the last.
    #[error("a subject has no empty token")]
    EmptyToken,
    /// A token has a character that it may not have.
    #[error("a subject has no white space, and a wildcard is a token of its own")]
    Character,
    /// `>` stands before the end.
    #[error("> may only be the last token of a subject")]
    NotLast,
    /// It has too many bytes.
    #[error("a subject has at most {} bytes", SubjectPattern::MAX_BYTES)]
    TooLong,
}

impl SubjectPattern {
    /// The most bytes: a server takes a control line of 4 KiB, with an inbox and sizes beside the subject.
    pub const MAX_BYTES: usize = 2048;

    /// What the subjects of events begin with unless somebody says otherwise.
    #[must_use]
    pub fn of_events() -> Self {
        Self("events".to_owned())
    }

    /// The subjects of messages that are for this service, unless somebody says otherwise.
    #[must_use]
    pub fn of_ingest() -> Self {
        Self("events.ingest.>".to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one subject, without a wildcard.
    #[must_use]
    pub fn is_subject(&self) -> bool {
        !self.0.contains(['*', '>'])
    }

    /// Whether any subject fits both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mut own, mut others) = (self.0.split('.'), other.0.split('.'));
        loop {
            return match (own.next(), others.next()) {
                (Some(">"), Some(_)) | (Some(_), Some(">")) | (None, None) => true,
                (Some(one), Some(another)) if one == another || one == "*" || another == "*" => continue,
                (Some(_) | None, Some(_) | None) => false,
            };
        }
    }
}

impl FromStr for SubjectPattern {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for SubjectPattern {
    type Error = SubjectError;

    fn try_from(text: String) -> Result<Self, SubjectError> {
        if text.len() > Self::MAX_BYTES {
            return Err(SubjectError::TooLong);
        }
        let mut tokens = text.split('.').peekable();
        while let Some(token) = tokens.next() {
            match token {
                "" => return Err(SubjectError::EmptyToken),
                ">" if tokens.peek().is_some() => return Err(SubjectError::NotLast),
                ">" | "*" => {}
                _ if token.chars().any(is_unsafe) => return Err(SubjectError::Character),
                _ => {}
            }
        }
        Ok(Self(text))
    }
}

impl From<SubjectPattern> for String {
    fn from(subject: SubjectPattern) -> Self {
        subject.0
    }
}

impl fmt::Display for SubjectPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_unsafe(character: char) -> bool {
    matches!(character, '*' | '>') || character.is_whitespace() || character.is_control()
}

/// A text as one or more tokens of a subject: what may not stand there becomes `_`.
fn tokens(text: &str) -> String {
    let token = |token: &str| match token {
        "" => "_".to_owned(),
        _ => token.chars().map(|character| if is_unsafe(character) { '_' } else { character }).collect(),
    };
    text.split('.').map(token).collect::<Vec<_>>().join(".")
}

/// The two streams that the bridge publishes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BridgeStream {
    /// Every event.
    Events,
    /// What this service did: domain events.
    DomainEvents,
}

impl BridgeStream {
    /// Both.
    pub const ALL: &'static [Self] = &[Self::Events, Self::DomainEvents];

    /// What all its subjects are within, after the prefix.
    #[must_use]
    pub fn subjects(self) -> Vec<String> {
        match self {
            Self::Events => {
                EventSource::ALL.iter().map(|source| source.as_str()).chain(["replay"]).map(|first| format!("{first}.>")).collect()
            }
            Self::DomainEvents => vec!["event.>".to_owned()],
        }
    }
}

/// The name of a header.
pub type HeaderName = &'static str;

/// What a message is told from every other by: JetStream stores it once within its duplicate window.
pub const MESSAGE_ID: HeaderName = "Nats-Msg-Id";
/// Which service published a message: what has this of a service's own is never taken in again.
pub const ORIGIN: HeaderName = "event_service_origin";
/// The trace that a message belongs to (W3C Trace Context).
pub const TRACE_PARENT: HeaderName = "traceparent";
/// Says `true` on an event that was published without its payload, because the server takes no message of its size.
pub const DATA_OMITTED: HeaderName = "data_omitted";

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeMessage {
    /// To which stream.
    pub stream: BridgeStream,
    /// On which subject, after the stream's prefix.
    pub subject: String,
    /// What tells it from every other.
    pub id: String,
    /// Its other headers.
    pub headers: Vec<(HeaderName, String)>,
    /// What it says: JSON.
    pub body: String,
}

impl BridgeMessage {
    /// An event, on `{source}.{category}.{type}`.
    #[must_use]
    pub fn event(event: &Event, body: String) -> Self {
        let details = &event.details;
        let subject = format!("{}.{}.{}", details.source, details.category, tokens(details.event_type.as_str()));
        Self { stream: BridgeStream::Events, subject, id: id(event), headers: headers(event), body }
    }

    /// An event that is replayed to whoever listens for this name, on `replay.{name}.{type}`.
    #[must_use]
    pub fn replayed(event: &Event, replay: &ReplayId, name: &ReplayTargetName, body: String) -> Self {
        let name = tokens(name.as_str()).replace('.', "_");
        let subject = format!("replay.{name}.{}", tokens(event.details.event_type.as_str()));
        let id = format!("{replay}/{}", id(event));
        Self { stream: BridgeStream::Events, subject, id, headers: headers(event), body }
    }

    /// A domain event, on its type.
    #[must_use]
    pub fn domain_event(event: ToldEvent, trace: Option<&TraceParent>) -> Self {
        let headers = trace.map(|trace| (TRACE_PARENT, trace.to_string())).into_iter().collect();
        Self { stream: BridgeStream::DomainEvents, subject: event.subject, id: event.id, headers, body: event.body }
    }
}

/// What tells an event's message from every other: the event's id. One that a client of an organization has chosen is that
/// organization's, and another may choose the same.
fn id(event: &Event) -> String {
    match event.organization().filter(|_| event.id != event.place) {
        Some(organization) => format!("{organization}/{}", event.id),
        None => event.id.to_string(),
    }
}

/// The headers of an event's message besides its id.
fn headers(event: &Event) -> Vec<(HeaderName, String)> {
    let details = &event.details;
    let mut headers = vec![("event_type", details.event_type.to_string()), ("timestamp", event.occurred_at.to_string())];
    headers.extend(details.user.as_ref().map(|user| ("user_id", user.to_string())));
    headers.extend(TraceParent::of(details).map(|trace| (TRACE_PARENT, trace.to_string())));
    headers
}

/// What is taken in from others: the messages of a stream whose subjects fit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IngestFeed {
    /// The name of the stream.
    pub stream: String,
    /// Which of its subjects.
    pub subject: SubjectPattern,
}

impl fmt::Display for IngestFeed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.stream, self.subject)
    }
}

/// A message of another service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingMessage {
    /// What settles it.
    pub receipt: MessageReceipt,
    /// Its subject.
    pub subject: String,
    /// Its stream, its number there, and when it came: what it is called if its sender gives it no name.
    pub place: String,
    /// What its sender calls it, in a header.
    pub message_id: Option<String>,
    /// Which event service published it, if one did.
    pub origin: Option<String>,
    /// The trace that it belongs to.
    pub trace: Option<TraceParent>,
    /// When the broker got it, if that is known.
    pub published_at: Option<Timestamp>,
    /// Whether it is an event without its payload, which was too large for a broker.
    pub omitted: bool,
    /// How often it has been delivered, this time included.
    pub deliveries: u32,
    /// What it says.
    pub body: Vec<u8>,
}

/// What settles a message that was taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageReceipt(pub String);

/// What becomes of a message that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It was dealt with.
    Done,
    /// It is to come again, after a while.
    Again(std::time::Duration),
    /// It will never be dealt with, and is kept elsewhere.
    Never,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subject(text: &str) -> SubjectPattern {
        text.parse().unwrap()
    }

    #[test]
    fn subjects_that_no_server_takes_are_refused() {
        for (text, expected) in [
            ("", SubjectError::EmptyToken),
            ("a..b", SubjectError::EmptyToken),
            (".a", SubjectError::EmptyToken),
            ("a.", SubjectError::EmptyToken),
            ("a.>.b", SubjectError::NotLast),
            ("a.b*", SubjectError::Character),
            ("a b", SubjectError::Character),
            ("a\tb", SubjectError::Character),
            ("a.>b", SubjectError::Character),
        ] {
            assert_eq!(text.parse::<SubjectPattern>(), Err(expected), "{text:?}");
        }
        assert_eq!("x".repeat(SubjectPattern::MAX_BYTES + 1).parse::<SubjectPattern>(), Err(SubjectError::TooLong));
    }

    #[test]
    fn patterns_overlap_if_one_subject_fits_both() {
        for (one, other, overlap) in [
            ("events.>", "events.ingest.>", true),
            ("events.backend.>", "events.ingest.>", false),
            ("events.*.>", "events.ingest.order", true),
            ("a.*", "*.b", true),
            ("a.*", "a", false),
            ("a.>", "a", false),
            (">", "a.b.c", true),
            ("a.*.c", "a.b", false),
            ("event.>", "events.x", false),
        ] {
            assert_eq!(subject(one).overlaps(&subject(other)), overlap, "{one} {other}");
            assert_eq!(subject(other).overlaps(&subject(one)), overlap, "{other} {one}");
        }
    }

    proptest! {
        #[test]
        fn the_tokens_of_any_text_are_a_subject_without_wildcards(text in "\\PC{1,40}|[a-z.*> ]{1,20}") {
            let made = tokens(&text);
            prop_assert!(made.parse::<SubjectPattern>().is_ok(), "{made:?}");
            prop_assert!(!made.contains(['*', '>', ' ']));
            if text.parse::<SubjectPattern>().is_ok() && !text.contains(['*', '>']) {
                prop_assert_eq!(made, text);
            }
        }
    }
}
