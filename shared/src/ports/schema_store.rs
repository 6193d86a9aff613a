//! Where schemas of events are kept.

use async_trait::async_trait;

use super::revision::Revision;
use super::store_error::StoreError;
use crate::domain::event_schema::EventSchemas;
use crate::domain::identifiers::{EventType, OrganizationId};

/// Keeps schemas, beside what else a `DefinitionStore` shows and under one revision with it. Held to `testing::schema_store`.
#[async_trait]
pub trait SchemaStore: Send + Sync {
    /// Saves the schemas of a type if the definitions still have the revision. Returns whether they had.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then they may or may not be saved.
    async fn save_schemas(&self, schemas: &EventSchemas, seen: Revision) -> Result<bool, StoreError>;

    /// Removes the schemas of a type if the definitions still have the revision. Returns whether they had.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: then they may or may not be removed.
    async fn remove_schemas(
        &self,
        organization: Option<&OrganizationId>,
        event_type: &EventType,
        seen: Revision,
    ) -> Result<bool, StoreError>;
}
