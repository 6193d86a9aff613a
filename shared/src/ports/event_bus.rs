//! The bus that others listen to.

use async_trait::async_trait;

use crate::domain::domain_event::DomainEvent;
use crate::domain::timestamp::Timestamp;

/// Puts entries on a bus. Held to `testing::event_bus`.
#[async_trait]
pub trait EventBus: Send + Sync {
    /// Puts entries on their buses, in as many calls as it takes. Each is taken or tried again a few times.
    ///
    /// # Errors
    /// [`BusError`] if some were not taken. The others were.
    async fn put(&self, entries: &[BusEntry]) -> Result<(), BusError>;
}

/// What is put on a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusEntry {
    /// The bus; this service's own if none is named.
    pub bus: Option<String>,
    /// Who says it.
    pub source: String,
    /// What happened.
    pub detail_type: String,
    /// The particulars: a JSON object.
    pub detail: String,
    /// When it happened.
    pub at: Timestamp,
}

impl From<&DomainEvent> for BusEntry {
    fn from(event: &DomainEvent) -> Self {
        Self {
            bus: None,
            source: event.source.to_owned(),
            detail_type: event.kind.as_str().to_owned(),
            // A tree of texts and numbers can always be written.
            detail: serde_json::to_string(event).unwrap_or_default(),
            at: event.timestamp,
        }
    }
}

/// Some entries were not taken.
#[derive(Debug, thiserror::Error)]
#[error("the bus did not take {} entries: {reason}", .failed.len())]
pub struct BusError {
    /// Which of them, by index.
    pub failed: Vec<usize>,
    /// What was said of the first.
    pub reason: String,
}
