//! Reads events for a caller: one, a stream, a page of a query, statistics.
//!
//! The organization that a caller is bound to is put into every request here, so that no route can
//! forget it.

use crate::domain::access::{Caller, ForeignOrganization};
use crate::domain::event_id::EventId;
use crate::domain::identifiers::{OrganizationId, UserId};
use crate::domain::outcome::EventOutcome;
use crate::domain::query::{EventPage, EventQuery, ObservedEvent, Total};
use crate::domain::statistics::{Statistics, StatisticsScope};
use crate::ports::bridge_status::BridgeStatusStore;
use crate::ports::clock::Clock;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::event_reader::{EventReader, StreamRequest, StreamSlice};
use crate::ports::store_error::StoreError;

/// What reading needs.
pub struct ReadEventsPorts<'a> {
    /// Where events are read.
    pub events: &'a dyn EventReader,
    /// Knows whose processors are whose.
    pub definitions: &'a dyn DefinitionStore,
    /// Says what today is.
    pub clock: &'a dyn Clock,
    /// Knows how the bridge to NATS is, if there is one.
    pub bridge: Option<&'a dyn BridgeStatusStore>,
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
    let event = event.filter(|event| caller.sees(event.event.organization())).ok_or(ReadEventsError::NotFound)?;
    let mut events = vec![event];
    show(ports, caller, &mut events).await?;
    events.pop().ok_or(ReadEventsError::NotFound)
}

/// Brings events into their newest schema versions, and leaves out what a caller that is bound to an organization may not know: what
/// others' processors said.
async fn show(ports: &ReadEventsPorts<'_>, caller: &Caller, events: &mut [ObservedEvent]) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let definitions = ports.definitions.definitions(Freshness::Recent).await?;
    definitions.upcast(events.iter_mut().map(|observed| &mut observed.event));
    if caller.organization.is_none() {
        return Ok(());
    }
    for event in events.iter_mut().filter(|event| !event.outcome.results.is_empty()) {
        let outcome = std::mem::replace(&mut event.outcome, EventOutcome::PENDING);
        event.outcome = definitions.shown_to(caller.organization.as_ref(), outcome);
    }
    Ok(())
}

/// The events of a stream that the caller may see.
///
/// # Errors
/// [`ReadEventsError::Foreign`] if the request names an organization that is not the caller's.
pub async fn read_stream(ports: &ReadEventsPorts<'_>, caller: &Caller, mut request: StreamRequest) -> Result<StreamSlice, ReadEventsError> {
    request.organization = caller.organization_for(request.organization)?;
    let mut slice = ports.events.stream(&request).await?;
    show(ports, caller, &mut slice.events).await?;
    Ok(slice)
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
    let mut page = ports.events.query(&query, ports.clock.now()).await?;
    show(ports, caller, &mut page.events).await?;
    Ok(page)
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
