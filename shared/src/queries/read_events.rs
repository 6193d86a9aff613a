//! Reads events for a caller: one, a stream, a page of a query, statistics.
//!
//! The organization that a caller is bound to is put into every request here, so that no route can
//! forget it.

use crate::domain::access::{Caller, ForeignOrganization};
use crate::domain::event_id::EventId;
use crate::domain::identifiers::{OrganizationId, UserId};
use crate::domain::query::{EventPage, EventQuery, ObservedEvent, Total};
use crate::domain::statistics::{Statistics, StatisticsScope};
use crate::ports::clock::Clock;
use crate::ports::event_reader::{EventReader, StreamRequest, StreamSlice};
use crate::ports::store_error::StoreError;

/// What reading needs.
pub struct ReadEventsPorts<'a> {
    /// Where events are read.
    pub events: &'a dyn EventReader,
    /// Says what today is.
    pub clock: &'a dyn Clock,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadEventsError {
    /// There is no such event, or the caller may not know of it.
    #[error("Event not found")]
    NotFound,
    /// The caller is bound to one organization and asks for another.
    #[error(transparent)]
    Foreign(#[from] ForeignOrganization),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// The event of this id.
///
/// # Errors
/// [`ReadEventsError::NotFound`] if there is none that the caller may see.
pub async fn get_event(ports: &ReadEventsPorts<'_>, caller: &Caller, id: EventId) -> Result<ObservedEvent, ReadEventsError> {
    let event = ports.events.event(id, caller.organization.as_ref()).await?;
    event.filter(|event| caller.sees(event.event.organization())).ok_or(ReadEventsError::NotFound)
}

/// The events of a stream that the caller may see.
///
/// # Errors
/// [`ReadEventsError::Foreign`] if the request names an organization that is not the caller's.
pub async fn read_stream(ports: &ReadEventsPorts<'_>, caller: &Caller, mut request: StreamRequest) -> Result<StreamSlice, ReadEventsError> {
    request.organization = caller.organization_for(request.organization)?;
    Ok(ports.events.stream(&request).await?)
}

/// One page of the events that match and that the caller may see.
///
/// A bound caller that asks for another organization gets no events rather than an error: filters
/// say what is wanted, and there is nothing of it.
///
/// # Errors
/// [`ReadEventsError::Store`] if the store failed.
pub async fn query_events(ports: &ReadEventsPorts<'_>, caller: &Caller, mut query: EventQuery) -> Result<EventPage, ReadEventsError> {
    match caller.organization_for(query.filter.organization.take()) {
        Ok(organization) => query.filter.organization = organization,
        Err(ForeignOrganization) => return Ok(EventPage { events: Vec::new(), total: Total::Exactly(0), next: None }),
    }
    Ok(ports.events.query(&query, ports.clock.now()).await?)
}

/// How many events there are that the caller may see.
///
/// # Errors
/// [`ReadEventsError::Store`] if the store failed.
pub async fn read_statistics(
    ports: &ReadEventsPorts<'_>,
    caller: &Caller,
    organization: Option<OrganizationId>,
    user: Option<UserId>,
) -> Result<Statistics, ReadEventsError> {
    let organization = caller.organization_for(organization)?;
    Ok(ports.events.statistics(&StatisticsScope { organization, user }, ports.clock.now()).await?)
}
