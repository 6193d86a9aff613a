//! Traces: which operation across services an event is part of (W3C Trace Context).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::event::EventDetails;

/// The member of an event's `metadata` that says its trace.
pub const MEMBER: &str = "traceparent";

/// The value of a `traceparent` header (W3C Trace Context, level 1).
///
/// Invariant: a version other than `ff`, ids in lower-case hex that are not all zero, and flags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent(String);

/// The text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no traceparent of W3C Trace Context")]
pub struct NoTraceParent;

impl TraceParent {
    /// The most bytes: a later version may add fields.
    const MAX_BYTES: usize = 256;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trace that an event says it is part of.
    #[must_use]
    pub fn of(details: &EventDetails) -> Option<Self> {
        // Most events have none, and need not be read for it.
        if !details.metadata.as_str().contains(MEMBER) {
            return None;
        }
        details.metadata.to_value().get(MEMBER)?.as_str()?.parse().ok()
    }

    /// Notes the trace in an event, unless the event says itself which it is part of.
    pub fn note_in(&self, details: &mut EventDetails) {
        if !details.metadata.as_str().contains(MEMBER) || details.metadata.to_value().get(MEMBER).is_none() {
            details.metadata = details.metadata.with(&[(MEMBER, self.0.as_str().into())]);
        }
    }
}

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        Self::try_from(text.to_owned())
    }
}

impl From<TraceParent> for String {
    fn from(trace: TraceParent) -> Self {
        trace.0
    }
}

impl TryFrom<String> for TraceParent {
    type Error = NoTraceParent;

    fn try_from(text: String) -> Result<Self, NoTraceParent> {
        let hex = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let id = |text: &str, digits| hex(text, digits) && text.bytes().any(|byte| byte != b'0');
        let mut fields = text.split('-');
        let mut next = || fields.next().unwrap_or_default();
        let (version, trace, span, flags) = (next(), next(), next(), next());
        let well_formed = hex(version, 2) && version != "ff" && id(trace, 32) && id(span, 16) && hex(flags, 2);
        // The first version has no further fields.
        let complete = fields.next().is_none() || version != "00";
        let printable = text.len() <= Self::MAX_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
        if well_formed && complete && printable { Ok(Self(text)) } else { Err(NoTraceParent) }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// The examples of W3C Trace Context, 3.2.2.
    #[test]
    fn only_what_the_specification_calls_valid_is_a_traceparent() {
        let later = format!("cc{}-what-the-future-brings", &GOOD[2..]);
        for text in [GOOD, &later] {
            assert_eq!(text.parse::<TraceParent>().unwrap().as_str(), text);
        }
        for text in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-\r\n",
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(NoTraceParent), "{text:?}");
        }
    }

    #[test]
    fn a_trace_is_noted_in_an_event_that_says_none_itself() {
        let mut details: EventDetails = serde_json::from_str(r#"{"type":"a","metadata":{"ip":"1.2.3.4"}}"#).unwrap();
        assert_eq!(TraceParent::of(&details), None);
        let trace: TraceParent = GOOD.parse().unwrap();
        trace.note_in(&mut details);
        assert_eq!(TraceParent::of(&details), Some(trace));
        let other: TraceParent = GOOD.replace("4bf9", "5bf9").parse().unwrap();
        other.note_in(&mut details);
        assert_eq!(TraceParent::of(&details).unwrap().as_str(), GOOD);
        assert!(details.metadata.as_str().contains("1.2.3.4"));
    }
}
