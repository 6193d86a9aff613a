//! Dead letters: work that was given up, kept for a person to look at and send again.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::event::BodyDigest;
use super::event_id::EventId;
use super::identifiers::{OrganizationId, ProcessorId, SubscriptionId};
use super::queue::WorkQueue;
use super::timestamp::Timestamp;

/// Work that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its id.
    pub id: DeadLetterId,
    /// The queue that it is sent to again.
    #[serde(with = "queue_name")]
    pub queue: WorkQueue,
    /// The tenant whose work it was; none if that cannot be told, or the platform's.
    pub organization: Option<OrganizationId>,
    /// The subscription that did not get it.
    pub subscription: Option<SubscriptionId>,
    /// The processor that failed.
    pub processor: Option<ProcessorId>,
    /// The event that it is about.
    pub event_id: Option<EventId>,
    /// Why it was given up.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The message that takes it up again.
    pub body: String,
    /// When it was given up.
    pub parked_at: Timestamp,
}

/// Names a dead letter: the moment and a digest. Sorts by time; the same letter parked twice has one id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeadLetterId(pub String);

impl DeadLetterId {
    /// The id of a letter that was parked then, of what makes it different from others.
    #[must_use]
    pub fn of(parked_at: Timestamp, what: &str) -> Self {
        Self(format!("{}-{:016x}", parked_at.sort_key(), BodyDigest::of(what.as_bytes()).0 >> 64))
    }
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

mod queue_name {
    //! Queues by their names.
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    use super::WorkQueue;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
    pub(super) fn serialize<S: Serializer>(queue: &WorkQueue, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(queue.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WorkQueue, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Which dead letters. Every part that is given must fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterFilter {
    /// Of one tenant.
    pub organization: Option<OrganizationId>,
    /// Of one queue.
    pub queue: Option<WorkQueue>,
    /// Of one subscription.
    pub subscription: Option<SubscriptionId>,
    /// Of one processor.
    pub processor: Option<ProcessorId>,
    /// About one event.
    pub event_id: Option<EventId>,
    /// Only this one.
    pub id: Option<DeadLetterId>,
}

impl DeadLetterFilter {
    /// Whether a letter is one of those meant.
    #[must_use]
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, actual: Option<&T>) -> bool {
            wanted.is_none() || wanted == actual
        }
        is(self.organization.as_ref(), letter.organization.as_ref())
            && is(self.queue.as_ref(), Some(&letter.queue))
            && is(self.subscription.as_ref(), letter.subscription.as_ref())
            && is(self.processor.as_ref(), letter.processor.as_ref())
            && is(self.event_id.as_ref(), letter.event_id.as_ref())
            && is(self.id.as_ref(), Some(&letter.id))
    }
}
