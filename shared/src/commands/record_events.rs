//! Records events, one or a batch, all or none (BR-EVT-008).

use super::append::{AppendError, AppendPorts, AppendRequest, Appended, append};
use super::check_schemas::SchemaGate;
use crate::domain::access::{Caller, ForeignOrganization};
use crate::domain::body;
use crate::domain::commit::Commit;
use crate::domain::event::EventDraft;
use crate::domain::event_schema::Violation;
use crate::domain::identifiers::IdempotencyKey;
use crate::ports::clock::Clock;
use crate::ports::definition_store::DefinitionStore;

/// What recording needs.
pub struct RecordEventsPorts<'a> {
    /// Where events go.
    pub append: AppendPorts<'a>,
    /// Says when they came.
    pub clock: &'a dyn Clock,
    /// Knows the schemas.
    pub definitions: &'a dyn DefinitionStore,
    /// What is known of them.
    pub gate: &'a SchemaGate,
}

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordEventsError {
    /// More events than a batch may have.
    #[error("a batch has at most {most} events, this one has {0}", most = Commit::MAX_EVENTS)]
    TooMany(usize),
    /// One event is too large.
    #[error(
        "event {index} is too large: it has {bytes} bytes of JSON; {} are allowed, and {} compressed",
        EventDraft::MAX_BYTES,
        body::MAX_STORED_BYTES
    )]
    TooLarge {
        /// Its index in the request.
        index: usize,
        /// Its bytes as JSON.
        bytes: usize,
    },
    /// The events together are too large to be stored at once.
    #[error("the batch has {bytes} bytes; {} are allowed", MAX_BATCH_BYTES)]
    BatchTooLarge {
        /// Their bytes as JSON.
        bytes: usize,
    },
    /// One event belongs to an organization that is not the caller's.
    #[error("event {index}: {reason}")]
    Foreign {
        /// Its index in the request.
        index: usize,
        /// Why it is refused.
        reason: ForeignOrganization,
    },
    /// One event does not fit the schema of its type.
    #[error("event {index} does not fit its schema")]
    Schema {
        /// Its index in the request.
        index: usize,
        /// Of how many events.
        of: usize,
        /// What is wrong with it.
        violations: Vec<Violation>,
    },
    /// Appending failed.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// The most bytes of JSON that one request's events have together: a transaction of the store holds
/// 4 MB even of what does not compress.
pub const MAX_BATCH_BYTES: usize = 3 * 1024 * 1024;

/// Records events, all or none, for a caller.
///
/// # Errors
/// [`RecordEventsError`]; nothing was stored then, except as [`append`] says.
pub async fn record_events(
    ports: &RecordEventsPorts<'_>,
    caller: &Caller,
    mut drafts: Vec<EventDraft>,
    key: Option<IdempotencyKey>,
) -> Result<Appended, RecordEventsError> {
    if drafts.len() > Commit::MAX_EVENTS {
        return Err(RecordEventsError::TooMany(drafts.len()));
    }
    let mut total = 0;
    for (index, draft) in drafts.iter_mut().enumerate() {
        let bytes = draft.bytes();
        if bytes > EventDraft::MAX_BYTES || !body::fits_alone(&draft.details) {
            return Err(RecordEventsError::TooLarge { index, bytes });
        }
        total += bytes;
        draft.organization =
            caller.organization_for(draft.organization.take()).map_err(|reason| RecordEventsError::Foreign { index, reason })?;
    }
    if total > MAX_BATCH_BYTES {
        return Err(RecordEventsError::BatchTooLarge { bytes: total });
    }
    let (now, of) = (ports.clock.now(), drafts.len());
    let gate = ports.gate.open(ports.definitions, now).await.map_err(AppendError::Store)?;
    for (index, draft) in drafts.iter().enumerate() {
        let checked = gate.check(draft.organization.as_ref(), &draft.details);
        checked.map_err(|violations| RecordEventsError::Schema { index, of, violations })?;
    }
    let key = key.map(|key| (caller.organization.clone(), key));
    Ok(append(&ports.append, &AppendRequest { drafts, key, now }).await?)
}
