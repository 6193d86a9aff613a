//! Events from clients that nobody controls, as a collector has read them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::event::EventDraft;
use super::identifiers::OrganizationId;
use super::json::JsonObject;
use super::message::Message;
use super::timestamp::Timestamp;
use super::trace::TraceParent;

/// The doors that such events come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collector {
    /// Browsers and apps, by the routes `frontend`.
    Frontend,
    /// RudderStack's webhook destination.
    Rudderstack,
    /// The SDKs of RudderStack and Segment.
    Analytics,
    /// CloudEvents over HTTP.
    Cloudevents,
    /// Messages on NATS.
    Nats,
}

impl Collector {
    /// Every collector.
    pub const ALL: &'static [Self] = &[Self::Frontend, Self::Rudderstack, Self::Analytics, Self::Cloudevents, Self::Nats];

    /// The word for this value in JSON and in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Rudderstack => "rudderstack",
            Self::Analytics => "analytics",
            Self::Cloudevents => "cloudevents",
            Self::Nats => "nats",
        }
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The calls of analytics SDKs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallType {
    /// Something was done.
    Track,
    /// A page was shown.
    Page,
    /// A screen was shown.
    Screen,
    /// Who somebody is.
    Identify,
    /// Which group somebody belongs to.
    Group,
    /// Two ids are one person's.
    Alias,
}

impl CallType {
    /// Every call.
    pub const ALL: &'static [Self] = &[Self::Track, Self::Page, Self::Screen, Self::Identify, Self::Group, Self::Alias];

    /// The word for this value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Track => "track",
            Self::Page => "page",
            Self::Screen => "screen",
            Self::Identify => "identify",
            Self::Group => "group",
            Self::Alias => "alias",
        }
    }
}

/// A word that is none of those that a setting knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {0}")]
pub struct UnknownWord(pub &'static str);

/// What is kept of the address that an event came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpPolicy {
    /// All of it.
    #[default]
    Keep,
    /// The network: 24 bits of IPv4, 48 of IPv6.
    Truncate,
    /// Nothing.
    Drop,
}

impl FromStr for IpPolicy {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "keep" => Ok(Self::Keep),
            "truncate" => Ok(Self::Truncate),
            "drop" => Ok(Self::Drop),
            _ => Err(UnknownWord("keep, truncate and drop")),
        }
    }
}

impl IpPolicy {
    /// What is kept of an address.
    #[must_use]
    pub fn apply(self, ip: IpAddr) -> Option<IpAddr> {
        match self {
            Self::Keep => Some(ip),
            Self::Drop => None,
            Self::Truncate => Some(match ip.to_canonical() {
                IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8))),
                IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 80))),
            }),
        }
    }
}

/// What is known of a request, and so of each event in it, besides what its sender says of the event.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and any of them may hold with any other")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// When the request came.
    pub received_at: Timestamp,
    /// The tenant that the credential is bound to, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    /// From where, as far as that may be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// What may be kept of addresses, wherever they stand.
    #[serde(default)]
    pub ip: IpPolicy,
    /// What the sender says that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The page that the sender says it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referer: Option<String>,
    /// Whether the user agent is that of a program that crawls.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bot: bool,
    /// Whether the sender asks not to be tracked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub do_not_track: bool,
    /// Whether nothing may be kept that tells who it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
    /// Whether the text of the request had to be mended before it could be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repaired: bool,
    /// When the whole batch was sent, by the sender's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// The call that the route names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallType>,
    /// Whether the events are of the past, so that their times are not corrected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub historical: bool,
    /// The trace that the request was part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
    /// Where a message was on its broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessagePlace>,
    /// What the batch says of all its events.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub context: JsonObject,
}

impl Circumstances {
    /// Those of a request of which nothing is known but when it came.
    #[must_use]
    pub fn at(received_at: Timestamp) -> Self {
        Self {
            received_at,
            organization: None,
            client_ip: None,
            ip: IpPolicy::Keep,
            user_agent: None,
            referer: None,
            bot: false,
            do_not_track: false,
            anonymous: false,
            repaired: false,
            sent_at: None,
            call: None,
            historical: false,
            trace: None,
            message: None,
            context: JsonObject::default(),
        }
    }
}

/// Where a message was on its broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePlace {
    /// On which subject.
    pub subject: String,
    /// What it is called there.
    pub id: String,
}

/// An event as a collector has read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectedEvent {
    /// The event.
    pub draft: EventDraft,
    /// What makes it count once, if its sender says so much.
    pub message: Option<Message>,
}

/// When something happened that a clock nobody controls has timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OccurredAt {
    /// The moment to keep.
    pub moment: Timestamp,
    /// Whether it is another than the sender's clock showed.
    pub corrected: bool,
}

/// The longest that a client may keep an event before it sends it, for the delay to be believed: a month.
const LONGEST_DELAY_MICROS: i64 = 31 * 24 * 3_600 * 1_000_000;
/// How far a clock may be ahead before its time is not believed.
const AHEAD_MICROS: i64 = 60 * 1_000_000;
/// No event is believed to be older than this: 2000-01-01.
const OLDEST_MICROS: i64 = 946_684_800_000_000;

/// When something happened: by the sender's clock, less what that clock differs from ours. It differs by the time between when
/// the request was sent and when it came, so `received_at − (sent_at − original)`, if that delay can be believed; else the
/// original time, if it is neither of the future nor of long ago; else when it came.
#[must_use]
pub fn occurred_at(original: Option<Timestamp>, sent_at: Option<Timestamp>, received_at: Timestamp) -> OccurredAt {
    let Some(original) = original else { return OccurredAt { moment: received_at, corrected: false } };
    let believable = |moment: &Timestamp| (OLDEST_MICROS..=received_at.micros().saturating_add(AHEAD_MICROS)).contains(&moment.micros());
    let delay = sent_at.map(|sent_at| sent_at.micros().saturating_sub(original.micros()));
    let by_delay = delay
        .filter(|delay| (0..=LONGEST_DELAY_MICROS).contains(delay))
        .and_then(|delay| Timestamp::from_micros(received_at.micros().saturating_sub(delay)).ok());
    let moment = by_delay.or(Some(original)).filter(believable).unwrap_or(received_at);
    OccurredAt { moment, corrected: moment != original }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BR-RS, clock skew: API of the webhook.
    #[test]
    fn the_time_of_a_wrong_clock_is_corrected_by_how_long_the_event_waited() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let received = at("2026-11-23T12:00:10Z");
        for (original, sent, expected) in [
            // A clock an hour ahead, and one a year behind; both waited ten seconds.
            (Some("2026-11-23T13:00:00Z"), Some("2026-11-23T13:00:10Z"), "2026-11-23T12:00:00Z"),
            (Some("2025-11-23T12:00:00Z"), Some("2025-11-23T12:00:10Z"), "2026-11-23T12:00:00Z"),
            // Sent before it was made, or years later: no such delay is believed.
            (Some("2026-11-23T11:00:00Z"), Some("2026-11-23T10:00:00Z"), "2026-11-23T11:00:00Z"),
            (Some("2020-11-23T11:00:00Z"), Some("2026-11-23T12:00:00Z"), "2020-11-23T11:00:00Z"),
            // Nothing but the original: what is of the future or of 1970 is not believed.
            (Some("2026-11-23T11:00:00Z"), None, "2026-11-23T11:00:00Z"),
            (Some("2026-11-23T12:01:00Z"), None, "2026-11-23T12:01:00Z"),
            (Some("2036-11-23T11:00:00Z"), None, "2026-11-23T12:00:10Z"),
            (Some("1970-01-01T00:00:01Z"), None, "2026-11-23T12:00:10Z"),
            (None, Some("2026-11-23T10:00:00Z"), "2026-11-23T12:00:10Z"),
        ] {
            let found = occurred_at(original.map(at), sent.map(at), received);
            assert_eq!(found.moment, at(expected), "{original:?} {sent:?}");
            assert_eq!(found.corrected, original.is_some_and(|original| at(original) != at(expected)));
        }
        let extreme = occurred_at(Timestamp::from_micros(i64::MAX / 80).ok(), Some(Timestamp::MIN), received);
        assert_eq!(extreme.moment, received);
    }
}
