//! Holds events to the schemas of their types before they are stored.

use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::definitions::Definitions;
use crate::domain::event::EventDetails;
use crate::domain::event_schema::{CompiledSchemas, Enforcement, Violation};
use crate::domain::identifiers::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::store_error::StoreError;

/// What is known of schemas by one process: read every [`SchemaGate::SECONDS`], so that writing an event needs no further call.
#[derive(Default)]
pub struct SchemaGate {
    compiled: CompiledSchemas,
    known: Mutex<Option<(Timestamp, Arc<Definitions>)>>,
}

impl SchemaGate {
    /// How long it takes at most until a change of schemas is known to every writer.
    pub const SECONDS: i64 = 10;

    /// The gate as it stands now.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    pub async fn open(&self, store: &dyn DefinitionStore, now: Timestamp) -> Result<OpenGate<'_>, StoreError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fresh = known.filter(|(at, _)| (0..Self::SECONDS * 1_000_000).contains(&(now.micros() - at.micros())));
        if let Some((_, definitions)) = fresh {
            return Ok(OpenGate { compiled: &self.compiled, definitions });
        }
        let definitions = store.definitions(Freshness::Current).await?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::clone(&definitions)));
        Ok(OpenGate { compiled: &self.compiled, definitions })
    }
}

/// Checks events against the schemas of one moment.
pub struct OpenGate<'a> {
    compiled: &'a CompiledSchemas,
    definitions: Arc<Definitions>,
}

impl OpenGate<'_> {
    /// Whether an event fits. What is only warned of is logged.
    ///
    /// # Errors
    /// The violations of one that is to be refused.
    pub fn check(&self, organization: Option<&OrganizationId>, details: &EventDetails) -> Result<(), Vec<Violation>> {
        match self.definitions.schemas_in_force(organization).check(details, self.compiled) {
            Err((Enforcement::Reject, violations)) => Err(violations),
            Err((Enforcement::Warn | Enforcement::Off, violations)) => {
                let first = violations.first();
                tracing::warn!(
                    event_type = %details.event_type,
                    schema_version = %details.schema_version,
                    violations = violations.len(),
                    place = first.map_or_else(String::new, |violation| violation.path.join(".")),
                    problem = first.map_or("", |violation| violation.message.as_str()),
                    "an event does not fit its schema"
                );
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}
