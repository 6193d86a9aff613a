//! Where events are read.

use async_trait::async_trait;

use super::store_error::StoreError;
use crate::domain::event_id::EventId;
use crate::domain::identifiers::OrganizationId;
use crate::domain::query::{EventPage, EventQuery, ObservedEvent};
use crate::domain::statistics::{Statistics, StatisticsScope};
use crate::domain::stream_id::StreamId;
use crate::domain::timestamp::Timestamp;
use crate::domain::version::Version;

/// Reads events. Held to `testing::event_reader`, and to the in-memory adapter by property tests.
#[async_trait]
pub trait EventReader: Send + Sync {
    /// The event of this id that `organization` may see; any organization's if none is given. An
    /// event is found as soon as it is stored, unless a client gave it its id in another
    /// organization than the one asked for.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn event(&self, id: EventId, organization: Option<&OrganizationId>) -> Result<Option<ObservedEvent>, StoreError>;

    /// The events of a stream, in its order. Without an organization, those of every organization's
    /// stream of this name, in the order of recording.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn stream(&self, request: &StreamRequest) -> Result<StreamSlice, StoreError>;

    /// One page of the events that match, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn query(&self, query: &EventQuery, now: Timestamp) -> Result<EventPage, StoreError>;

    /// How many events there are, as far as they have been counted.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn statistics(&self, scope: &StatisticsScope, now: Timestamp) -> Result<Statistics, StoreError>;
}

/// Which part of a stream is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRequest {
    /// The stream's name.
    pub stream: StreamId,
    /// Whose; every organization's if none is given.
    pub organization: Option<OrganizationId>,
    /// The first version.
    pub from: Version,
    /// The last version.
    pub to: Version,
    /// The most events.
    pub limit: usize,
}

/// A part of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSlice {
    /// The events in their order.
    pub events: Vec<ObservedEvent>,
    /// The version of the whole stream (of all streams of the name together, if there are several).
    pub version: Version,
    /// When the first event of the whole stream was recorded.
    pub created_at: Option<Timestamp>,
    /// When its last event was recorded.
    pub updated_at: Option<Timestamp>,
}
