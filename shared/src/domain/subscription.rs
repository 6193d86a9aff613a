//! Subscriptions: who wants to hear of which events, and where.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::category::EventCategory;
use super::event::Event;
use super::identifiers::{OrganizationId, SubscriptionId};
use super::json::JsonObject;
use super::retry_policy::RetryPolicy;
use super::selector::{Selector, TypePattern};
use super::signature::WebhookSecret;
use super::source::EventSource;
use super::timestamp::Timestamp;
use super::webhook_url::WebhookUrl;

/// Somebody who wants to hear of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    /// Its id (BR-SUB-001).
    pub id: SubscriptionId,
    /// The tenant whose events it may hear of; none for the platform's own, which hears of everybody's.
    pub organization: Option<OrganizationId>,
    /// Who subscribes.
    pub subscriber_name: String,
    /// What kind of subscriber: `service`, `webhook`, `consumer`, or another word.
    pub subscriber_type: String,
    /// The types, at least one (BR-SUB-002).
    pub event_types: Vec<TypePattern>,
    /// The sources; any if none are named.
    pub event_sources: Option<Vec<EventSource>>,
    /// The categories; any if none are named.
    pub event_categories: Option<Vec<EventCategory>>,
    /// Where events are sent. Without one, the subscription is only a declaration.
    pub callback_url: Option<WebhookUrl>,
    /// What signs, newest first (BR-SUB-006). More than one while a rotation's overlap lasts.
    pub secrets: Vec<SigningSecret>,
    /// Whether events are sent (BR-SUB-005).
    pub enabled: bool,
    /// Why it was disabled, if not by its owner.
    pub disabled_because: Option<DisabledBecause>,
    /// When failed deliveries are tried again, as the client said it.
    pub retry_policy: JsonObject,
    /// Whether a stream's events are sent in their order.
    pub ordering: Ordering,
    /// The most deliveries a second.
    pub rate_limit: Option<u32>,
    /// Which deliveries are kept in the log.
    pub delivery_log: DeliveryLogging,
    /// Since when it has been enabled and has had an address: earlier events are not sent.
    pub active_since: Timestamp,
    /// Since when it has selected what it selects, in the order that it has. A stream of which nothing was sent in its order yet is sent
    /// from here on.
    pub selecting_since: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A secret that signs, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningSecret {
    /// The secret.
    #[serde(with = "revealed")]
    pub secret: WebhookSecret,
    /// Until when; the newest one has no end.
    pub until: Option<Timestamp>,
}

mod revealed {
    //! Secrets as text, for the store.
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    use super::WebhookSecret;

    pub(super) fn serialize<S: Serializer>(secret: &WebhookSecret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.reveal())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WebhookSecret, D::Error> {
        WebhookSecret::from_text(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Whether a stream's events are sent in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// They are sent as fast as can be; a failed one does not hold up others.
    #[default]
    None,
    /// An event is sent once all earlier ones of its stream were, or were given up. Other streams are not held up.
    Stream,
}

impl Ordering {
    /// Every value.
    pub const ALL: &'static [Self] = &[Self::None, Self::Stream];

    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Stream => "stream",
        }
    }
}

/// Which deliveries are kept in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryLogging {
    /// Those with a failed attempt: what goes well the first time costs no write.
    #[default]
    Failures,
    /// All.
    All,
}

impl DeliveryLogging {
    /// Every value.
    pub const ALL: &'static [Self] = &[Self::Failures, Self::All];

    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::All => "all",
        }
    }
}

/// Why a subscription was disabled without its owner's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisabledBecause {
    /// Its receiver answered 410.
    Gone,
    /// Nothing but failures for [`Health::DISABLED_AFTER`].
    Failing,
}

impl DisabledBecause {
    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

impl Subscription {
    /// How far apart the clocks of two writers may be: events recorded so long before a subscription became active are sent.
    pub const CLOCK_TOLERANCE: Duration = Duration::from_millis(100);
    /// How long the secret before the last still signs after a rotation, unless said otherwise.
    pub const ROTATION_OVERLAP: Duration = Duration::from_hours(24);

    /// Whether the event is one that it may and wants to hear of, whether or not it is enabled.
    #[must_use]
    pub fn selects(&self, event: &Event) -> bool {
        (self.organization.is_none() || self.organization.as_ref() == event.organization()) && self.selector().matches(&event.details)
    }

    /// Whether the event is sent to it (BR-SUB-005).
    #[must_use]
    pub fn receives(&self, event: &Event) -> bool {
        self.is_active() && self.is_due(event.recorded_at) && self.selects(event)
    }

    /// Whether anything is sent to it.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.enabled && self.callback_url.is_some()
    }

    /// Whether it was active when an event was recorded.
    #[must_use]
    pub fn is_due(&self, recorded_at: Timestamp) -> bool {
        recorded_at.plus(Self::CLOCK_TOLERANCE) >= self.active_since
    }

    /// Whether an event recorded then is where a stream begins, of which nothing was sent in its order yet.
    #[must_use]
    pub fn begins_with(&self, recorded_at: Timestamp) -> bool {
        recorded_at.plus(Self::CLOCK_TOLERANCE) >= self.active_since.max(self.selecting_since)
    }

    /// Which events it wants to hear of.
    #[must_use]
    pub fn selector(&self) -> Selector {
        Selector {
            types: self.event_types.clone(),
            sources: self.event_sources.clone().unwrap_or_default(),
            categories: self.event_categories.clone().unwrap_or_default(),
            data: Vec::new(),
        }
    }

    /// When failed deliveries are tried again.
    #[must_use]
    pub fn policy(&self) -> RetryPolicy {
        let default = RetryPolicy::of_webhooks();
        // It was checked when it was set.
        RetryPolicy::parse(&self.retry_policy, &default).unwrap_or(default)
    }

    /// The secrets that sign at this moment, newest first.
    #[must_use]
    pub fn signing(&self, now: Timestamp) -> Vec<&WebhookSecret> {
        self.secrets.iter().filter(|signing| signing.until.is_none_or(|until| now < until)).map(|signing| &signing.secret).collect()
    }

    /// Makes `secret` the newest. The one before still signs for `overlap`.
    pub fn rotate(&mut self, secret: WebhookSecret, now: Timestamp, overlap: Duration) {
        let end = now.plus(overlap);
        self.secrets.retain(|signing| signing.until.is_none());
        for signing in &mut self.secrets {
            signing.until = Some(end);
        }
        self.secrets.insert(0, SigningSecret { secret, until: None });
        self.updated_at = now;
    }
}

/// How well a subscription's receiver has answered lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// How many attempts have failed since the last that succeeded.
    pub failures: u32,
    /// When the first of them failed.
    pub failing_since: Option<Timestamp>,
    /// Until when nothing is sent: the circuit is open.
    pub open_until: Option<Timestamp>,
    /// When an attempt last succeeded, to within [`Health::SUCCESS_EVERY`].
    pub last_success_at: Option<Timestamp>,
    /// Whether it was said that the subscription will soon be disabled.
    #[serde(default)]
    pub warned: bool,
}

impl Health {
    /// How many failures in a row open the circuit.
    pub const OPENS_AFTER: u32 = 10;
    /// How long the circuit stays open at first, and how long at most; each further failure doubles it.
    pub const OPEN_FOR: (Duration, Duration) = (Duration::from_secs(15), Duration::from_mins(5));
    /// After how long of nothing but failures a warning is given.
    pub const WARNED_AFTER: Duration = Duration::from_hours(4 * 24);
    /// After how long of nothing but failures a subscription is disabled.
    pub const DISABLED_AFTER: Duration = Duration::from_hours(5 * 24);
    /// How often a success is noted while all goes well.
    pub const SUCCESS_EVERY: Duration = Duration::from_mins(1);

    /// The health after one more failure.
    #[must_use]
    pub fn failed(self, now: Timestamp) -> Self {
        let failures = self.failures.saturating_add(1);
        let (first, most) = Self::OPEN_FOR;
        let open_until = failures.checked_sub(Self::OPENS_AFTER).map(|beyond| {
            let doubled = first.saturating_mul(1_u32.checked_shl(beyond).unwrap_or(u32::MAX).max(1));
            now.plus(doubled.min(most))
        });
        Self { failures, failing_since: self.failing_since.or(Some(now)), open_until, ..self }
    }

    /// The health after a success.
    #[must_use]
    pub const fn succeeded(now: Timestamp) -> Self {
        Self { failures: 0, failing_since: None, open_until: None, last_success_at: Some(now), warned: false }
    }

    /// Whether a success now is worth noting: it ends failures, or the last one noted is a while ago.
    #[must_use]
    pub fn is_news(&self, now: Timestamp) -> bool {
        self.failures > 0 || self.last_success_at.is_none_or(|last| last.plus(Self::SUCCESS_EVERY) <= now)
    }

    /// How long nothing is sent, from now.
    #[must_use]
    pub fn open_for(&self, now: Timestamp) -> Option<Duration> {
        self.open_until.and_then(|until| until.since(now)).filter(|left| !left.is_zero())
    }

    /// For how long there have been nothing but failures.
    #[must_use]
    pub fn failing_for(&self, now: Timestamp) -> Duration {
        self.failing_since.and_then(|since| now.since(since)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000).unwrap()
    }

    #[test]
    fn ten_failures_in_a_row_open_the_circuit_for_longer_each_time_and_a_success_closes_it() {
        let mut health = Health::succeeded(at(0));
        for failure in 1..=20 {
            health = health.failed(at(failure));
            let open = health.open_for(at(failure)).map(|open| open.as_secs());
            let expected = match failure {
                ..10 => None,
                10 => Some(15),
                11 => Some(30),
                12 => Some(60),
                13 => Some(120),
                14 => Some(240),
                _ => Some(300),
            };
            assert_eq!(open, expected, "{failure}");
        }
        assert_eq!(health.failing_for(at(101)).as_secs(), 100);
        let health = Health::succeeded(at(101));
        assert_eq!((health.open_for(at(101)), health.failing_for(at(500)).as_secs()), (None, 0));
    }

    #[test]
    fn a_success_is_news_after_failures_and_once_a_minute() {
        let health = Health::succeeded(at(0));
        assert!(!health.is_news(at(59)));
        assert!(health.is_news(at(60)));
        assert!(health.failed(at(1)).is_news(at(2)));
        assert!(Health::default().is_news(at(0)));
    }
}
