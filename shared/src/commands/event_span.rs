//! What is logged while an event is worked on says which event that is, and of which operation.

use tracing::Span;

use crate::domain::event::Event;

/// The span of the work on an event. It is there at every level, because what is logged within it is.
pub(super) fn of(event: &Event) -> Span {
    let correlation = event.details.correlation.as_ref().map(tracing::field::display);
    tracing::error_span!("event", event_id = %event.id, correlation_id = correlation)
}
