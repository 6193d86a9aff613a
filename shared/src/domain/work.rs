//! What the queues between the functions carry: where events lie and what is to be done with them.
//!
//! Messages hold places, never events: they stay small, and whoever takes one up reads what is stored. The one exception is what
//! the store did not take: collected events wait in a queue until it does.

use serde::{Deserialize, Serialize};

use super::delivery::DeliveryId;
use super::domain_event::DomainEvent;
use super::event::{Event, EventDetails};
use super::event_id::EventId;
use super::identifiers::{OrganizationId, ProcessorId, ReplayId, ReplayTargetName, SubscriptionId};
use super::message::Message;
use super::rejected_event::RejectedEvent;
use super::stream_id::{StreamId, StreamKey};
use super::timestamp::Timestamp;
use super::version::Version;

/// A stream, in a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamRef {
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    /// Its name.
    #[serde(rename = "stream_id")]
    pub stream: StreamId,
}

impl From<&StreamKey> for StreamRef {
    fn from(key: &StreamKey) -> Self {
        Self { organization: key.organization.clone(), stream: key.stream.clone() }
    }
}

impl From<&StreamRef> for StreamKey {
    fn from(stream: &StreamRef) -> Self {
        Self { organization: stream.organization.clone(), stream: stream.stream.clone() }
    }
}

/// Where an event lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventRef {
    /// Its stream.
    #[serde(flatten)]
    pub stream: StreamRef,
    /// The version that its commit starts at.
    pub commit: Version,
    /// Its index in the commit.
    pub index: usize,
}

/// Where an event lies in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceInStream {
    /// The version that its commit starts at.
    pub commit: Version,
    /// Its index in the commit.
    pub index: usize,
}

impl From<&Event> for PlaceInStream {
    fn from(event: &Event) -> Self {
        let index = event.place.location().map_or(0, |location| location.index);
        Self { commit: Version::new(event.stream_version.get().saturating_sub(index as u64)), index }
    }
}

/// In the queue `process`: run the processors for the events of these commits, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessWork {
    /// The stream.
    #[serde(flatten)]
    pub stream: StreamRef,
    /// The versions that the commits start at, ascending.
    pub commits: Vec<Version>,
}

/// In the queue `retry`: run one processor again for one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryWork {
    /// The event.
    #[serde(flatten)]
    pub event: EventRef,
    /// The processor.
    pub processor_id: ProcessorId,
    /// Which attempt this will be, from 2 on; from 1 on again once it was redriven.
    pub attempt: u32,
}

/// In the queue `deliver`: send something to a subscription's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DeliverWork {
    /// Send these events, in any order.
    Events {
        /// The subscription.
        subscription_id: SubscriptionId,
        /// The events.
        deliveries: Vec<DeliveryWork>,
    },
    /// Send what a stream has that was not sent yet, in its order.
    Stream {
        /// The subscription.
        subscription_id: SubscriptionId,
        /// The stream.
        #[serde(flatten)]
        stream: StreamRef,
        /// The version up to which there is something to send.
        through: Version,
    },
}

impl DeliverWork {
    /// The most events in one message.
    pub const MAX_EVENTS: usize = 20;

    /// Whose work it is.
    #[must_use]
    pub const fn subscription(&self) -> &SubscriptionId {
        match self {
            Self::Events { subscription_id, .. } | Self::Stream { subscription_id, .. } => subscription_id,
        }
    }
}

/// One attempt to send one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryWork {
    /// The delivery, the same in every attempt.
    pub delivery_id: DeliveryId,
    /// The event.
    #[serde(flatten)]
    pub event: EventRef,
    /// Which attempt this will be, from 1.
    pub attempt: u32,
    /// When the event was first put into the queue.
    pub since: Timestamp,
    /// Whether a person asked for it: then it is sent whatever its log says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resend: bool,
}

/// In the queue `replay`: go on with a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayWork {
    /// The replay.
    pub replay_id: ReplayId,
    /// Which message this is: only the one that the replay waits for does anything.
    pub ticket: u64,
}

/// In the queue `nats`: publish something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NatsWork {
    /// The events of these commits, in their order, each with the domain event that it was stored.
    Commits {
        /// The stream.
        #[serde(flatten)]
        stream: StreamRef,
        /// The versions that the commits start at, ascending.
        commits: Vec<Version>,
    },
    /// Domain events.
    Told {
        /// The domain events.
        events: Vec<ToldEvent>,
    },
    /// Events once more, because a replay has come to them.
    Again {
        /// The stream.
        #[serde(flatten)]
        stream: StreamRef,
        /// The events, in their order.
        events: Vec<PlaceInStream>,
        /// The replay.
        replay_id: ReplayId,
        /// For whom it is, on a subject of its own. Without a name it is published as it was when it was new, with all that the
        /// service told of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<ReplayTargetName>,
    },
}

impl NatsWork {
    /// The most commits of one message.
    pub const MAX_COMMITS: usize = 20;
    /// The most events of one message of a replay.
    pub const MAX_AGAIN: usize = 20;
    /// The most domain events of one message.
    pub const MAX_TOLD: usize = 50;
}

/// A domain event, in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldEvent {
    /// Its id.
    pub id: String,
    /// Its subject, which is its type.
    pub subject: String,
    /// The whole of it: JSON.
    pub body: String,
}

impl From<&DomainEvent> for ToldEvent {
    fn from(event: &DomainEvent) -> Self {
        // A tree of texts and numbers can always be written.
        Self { id: event.id.clone(), subject: event.subject.to_owned(), body: serde_json::to_string(event).unwrap_or_default() }
    }
}

/// In the queue `collect`: store what a collector took in while the store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CollectWork {
    /// Events of one stream, in their order.
    Events(HeldEvents),
    /// Events that were rejected.
    Rejected(Vec<RejectedEvent>),
}

/// Events of one stream that are still to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldEvents {
    /// The stream.
    pub stream: StreamRef,
    /// Where they may be stored already, with others: their collector asked for it and got no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Tried>,
    /// The events, in their order.
    pub events: Vec<HeldEvent>,
}

impl HeldEvents {
    /// The most events of one message: with the claims of their ids they are stored in one call.
    pub const MAX_EVENTS: usize = 30;
    /// About the most bytes of one message.
    pub const MAX_BYTES: usize = 160 * 1024;
}

/// An attempt at storing that was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The version that the first event was to have.
    pub first: Version,
    /// What tells the attempt from every other.
    pub attempt: u64,
}

/// An event that is still to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldEvent {
    /// The id that its sender was told.
    pub event_id: EventId,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// What makes it count once.
    pub message: Message,
    /// Everything else.
    pub event: EventDetails,
}
