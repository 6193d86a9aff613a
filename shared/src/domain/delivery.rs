//! Deliveries: one event, sent to one subscription, however many attempts that takes.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::event_id::EventId;
use super::identifiers::{EventType, SubscriptionId};
use super::timestamp::Timestamp;
use super::version::Version;
use super::work::EventRef;

/// Names a delivery: `msg_`, the event's place and eight digits of the subscription's hash. The same event to the same
/// subscription always has the same, so that it can be told by its receiver when it comes twice. Sorts by the time of recording.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeliveryId(String);

/// The text is no delivery's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not the id of a delivery")]
pub struct DeliveryIdError;

impl DeliveryId {
    const PREFIX: &str = "msg_";
    const DIGITS: usize = 40;

    /// The delivery of the event at this place to the subscription or processor of this id.
    #[must_use]
    pub fn of(receiver: &str, place: EventId) -> Self {
        let digest = Sha256::digest(receiver);
        let receiver = digest.iter().take(4).fold(String::with_capacity(8), |text, byte| text + &format!("{byte:02x}"));
        Self(format!("{}{}{receiver}", Self::PREFIX, place.to_string().replace('-', "")))
    }

    /// What the ids of all events recorded from this moment on sort after.
    #[must_use]
    pub fn first_at(moment: Timestamp) -> String {
        format!("{}{:012x}", Self::PREFIX, moment.millis().max(0))
    }

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DeliveryId {
    type Error = DeliveryIdError;

    fn try_from(text: String) -> Result<Self, DeliveryIdError> {
        let digits = text.strip_prefix(Self::PREFIX).ok_or(DeliveryIdError)?;
        let fits = digits.len() == Self::DIGITS && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if fits { Ok(Self(text)) } else { Err(DeliveryIdError) }
    }
}

impl std::str::FromStr for DeliveryId {
    type Err = DeliveryIdError;

    fn from_str(text: &str) -> Result<Self, DeliveryIdError> {
        Self::try_from(text.to_owned())
    }
}

impl From<DeliveryId> for String {
    fn from(id: DeliveryId) -> Self {
        id.0
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What became of a delivery so far. Kept for those with a failed attempt, and for all of subscriptions that log all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// To whom.
    pub subscription: SubscriptionId,
    /// Where the event lies.
    pub event: EventRef,
    /// The event's id.
    pub event_id: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// How far it has come.
    pub state: DeliveryState,
    /// Every attempt, oldest first; the last [`Delivery::MAX_ATTEMPTS`] of them.
    pub attempts: Vec<DeliveryAttempt>,
    /// How many attempts there were in all.
    pub attempt_count: u32,
    /// How many of them since the delivery was last begun: a person who sends it again begins anew.
    pub round: u32,
    /// When the next attempt is due, if it waits for longer than a queue can delay.
    pub due_at: Option<Timestamp>,
    /// When the next attempt is planned.
    pub next_attempt_at: Option<Timestamp>,
    /// When the event was first put into the queue.
    pub since: Timestamp,
    /// When the last attempt was made, or it was given up.
    pub updated_at: Timestamp,
}

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It failed and will be tried again.
    Retrying,
    /// Its receiver took it.
    Delivered,
    /// It failed for good, and lies with the dead letters.
    Failed,
    /// Its subscription was disabled or deleted.
    Canceled,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: &'static [Self] = &[Self::Retrying, Self::Delivered, Self::Failed, Self::Canceled];

    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

impl std::str::FromStr for DeliveryState {
    type Err = UnknownDeliveryState;

    fn from_str(text: &str) -> Result<Self, UnknownDeliveryState> {
        Self::ALL.iter().copied().find(|state| state.as_str() == text).ok_or(UnknownDeliveryState)
    }
}

/// The text names no [`DeliveryState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a known state")]
pub struct UnknownDeliveryState;

/// One attempt at a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryAttempt {
    /// When it ended.
    pub at: Timestamp,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// The start of the answer's body.
    pub response: Option<String>,
    /// Why there was no answer.
    pub error: Option<String>,
}

impl DeliveryAttempt {
    /// Whether the receiver took the event: any 2xx.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// What to do now.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.status {
            Some(200..300) => Verdict::Delivered,
            Some(410) => Verdict::Gone,
            // Whatever else a receiver says of the request will be said again (BR-SUB-004).
            Some(408 | 429 | 500..) | None => Verdict::TryAgain,
            Some(_) => Verdict::Refused,
        }
    }
}

/// What an attempt means for its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Delivered,
    /// It may go better later.
    TryAgain,
    /// It will not go better.
    Refused,
    /// The receiver wants no more at all.
    Gone,
}

impl Delivery {
    /// How many attempts are kept.
    pub const MAX_ATTEMPTS: usize = 30;
    /// For how long it is kept after it came to an end.
    pub const KEPT_FOR: std::time::Duration = std::time::Duration::from_hours(30 * 24);

    /// Adds an attempt.
    pub fn add(&mut self, attempt: DeliveryAttempt, state: DeliveryState) {
        self.updated_at = attempt.at;
        self.state = state;
        self.attempt_count += 1;
        self.round += 1;
        self.due_at = None;
        self.next_attempt_at = None;
        self.attempts.push(attempt);
        let beyond = self.attempts.len().saturating_sub(Self::MAX_ATTEMPTS);
        self.attempts.drain(..beyond);
    }
}

/// How far a stream has been sent to a subscription that wants its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lane {
    /// The version of the last event that was sent or given up.
    pub sent: Version,
    /// Until when somebody is sending.
    pub leased_until: Option<Timestamp>,
    /// Until when nothing is sent, because an attempt failed.
    pub waits_until: Option<Timestamp>,
    /// Since when that is so.
    #[serde(default)]
    pub waits_since: Option<Timestamp>,
}

impl Lane {
    /// How long somebody who sends may take before another goes on. Longer than any call of a function.
    pub const LEASE: std::time::Duration = std::time::Duration::from_mins(1);
}
