//! Lists events that were rejected, and takes them in after all once they are mended.

use serde_json::value::RawValue;

use super::collect_events::{CollectEventsError, CollectEventsPorts, Collected, collect_events};
use crate::domain::access::Caller;
use crate::domain::collected_event::{Circumstances, CollectedEvent, Collector};
use crate::domain::message::Message;
use crate::domain::rejected_event::{RejectedEvent, RejectedEventId, Rejection, RejectionReason};
use crate::ports::store_error::StoreError;

/// Reads an item as a collector does.
pub type ReadCollected = fn(Collector, &RawValue, &Circumstances) -> Result<CollectedEvent, Rejection>;

/// What managing rejected events needs.
pub struct ManageRejectedEventsPorts<'a> {
    /// Where they are kept, and what takes them in.
    pub collect: CollectEventsPorts<'a>,
    /// Reads them again.
    pub read: ReadCollected,
}

/// Why rejected events were not listed or taken in.
#[derive(Debug, thiserror::Error)]
pub enum ManageRejectedEventsError {
    /// There is none of this id, or the caller may not know of it.
    #[error("rejected event not found")]
    NotFound,
    /// Not all of it was kept, so that it can only be sent again with another body.
    #[error("only the start of this event was kept: retry it with a corrected body")]
    Truncated,
    /// It still cannot be read.
    #[error("the event is still rejected")]
    StillRejected(Rejection),
    /// It was not taken in.
    #[error(transparent)]
    Collect(#[from] CollectEventsError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

type Managing<T> = Result<T, ManageRejectedEventsError>;

/// How many pages one call reads: pages may be empty and yet not be the last.
const MOST_PAGES: usize = 20;

/// A page of rejected events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedEventPage {
    /// The events, latest first.
    pub events: Vec<RejectedEvent>,
    /// After which one to go on, if there may be more.
    pub next: Option<RejectedEventId>,
}

/// The events that the caller may know of, latest first.
///
/// # Errors
/// [`ManageRejectedEventsError::Store`] if the store failed.
pub async fn list_rejected_events(
    ports: &ManageRejectedEventsPorts<'_>,
    caller: &Caller,
    after: Option<RejectedEventId>,
    most: usize,
) -> Managing<RejectedEventPage> {
    let mut page = RejectedEventPage { events: Vec::new(), next: after };
    for _ in 0..MOST_PAGES {
        let wanted = most - page.events.len();
        let (events, next) = ports.collect.rejected.rejected_events(caller.organization.as_ref(), page.next.as_ref(), wanted).await?;
        page.events.extend(events.into_iter().filter(|event| caller.sees(event.organization())));
        page.next = next;
        if page.next.is_none() || page.events.len() >= most {
            break;
        }
    }
    Ok(page)
}

/// Takes a rejected event in after all, with another body if one is given, as if it had come when it did; then forgets it. Sent
/// twice, it counts once.
///
/// # Errors
/// [`ManageRejectedEventsError`]; the event is still kept then.
pub async fn retry_rejected_event(
    ports: &ManageRejectedEventsPorts<'_>,
    caller: &Caller,
    id: &RejectedEventId,
    corrected: Option<&RawValue>,
) -> Managing<Collected> {
    let kept = ports.collect.rejected.rejected_event(id).await?.filter(|event| caller.sees(event.organization()));
    let kept = kept.ok_or(ManageRejectedEventsError::NotFound)?;
    if kept.truncated && corrected.is_none() {
        return Err(ManageRejectedEventsError::Truncated);
    }
    let invalid = |error: serde_json::Error| {
        let rejection = Rejection { reason: RejectionReason::InvalidJson, detail: format!("the event is no JSON: {error}") };
        ManageRejectedEventsError::StillRejected(rejection)
    };
    let body = match corrected {
        Some(body) => body.to_owned(),
        None => RawValue::from_string(kept.body).map_err(invalid)?,
    };
    let read = (ports.read)(kept.collector, &body, &kept.circumstances);
    let mut event = read.map_err(ManageRejectedEventsError::StillRejected)?;
    // Whatever name the body has: two who mend it at once may give it two.
    event.message = format!("rejected-{id}").parse().ok().map(Message::alone);
    let collected = collect_events(&ports.collect, vec![event]).await?.into_iter().next();
    ports.collect.rejected.remove_rejected_event(id).await?;
    collected.ok_or(ManageRejectedEventsError::NotFound)
}
