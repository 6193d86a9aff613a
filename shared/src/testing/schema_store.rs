//! The contract of [`SchemaStore`], with the store of definitions that shows them.

use std::sync::Arc;

use serde_json::json;

use super::builders::{noon, projection};
use crate::domain::definitions::Definitions;
use crate::domain::event_schema::EventSchemas;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::projection_store::ProjectionDefinitionStore;
use crate::ports::revision::Revision;
use crate::ports::schema_store::SchemaStore;

fn schemas(organization: Option<&str>, event_type: &str) -> EventSchemas {
    let upcast = json!({"from": "1.0.0", "steps": [{"rename": {"a": "b"}}]});
    let versions = [
        json!({"version": "1.0.0", "schema": {"type": "object", "x": 123}, "created_at": noon()}),
        json!({"version": "2.0.0", "schema": {}, "upcast": upcast, "created_at": noon()}),
    ];
    let all =
        json!({"organization": organization, "event_type": event_type, "enforcement": "warn", "versions": versions, "updated_at": noon()});
    serde_json::from_str(&all.to_string()).unwrap()
}

async fn current(store: &impl DefinitionStore) -> Arc<Definitions> {
    store.definitions(Freshness::Current).await.unwrap()
}

async fn save(store: &(impl DefinitionStore + SchemaStore), schemas: &EventSchemas) {
    let seen = Revision(current(store).await.revision);
    assert!(store.save_schemas(schemas, seen).await.unwrap());
    assert!(!store.save_schemas(schemas, seen).await.unwrap(), "that revision has passed");
}

/// However long the type is, and beside other definitions.
pub async fn schemas_are_read_back_as_they_were_saved(store: &(impl DefinitionStore + SchemaStore + ProjectionDefinitionStore)) {
    let all = [schemas(None, "a#b/c%ü"), schemas(Some("acme"), "a#b/c%ü"), schemas(None, &"ü".repeat(255))];
    for schemas in &all {
        save(store, schemas).await;
    }
    let seen = Revision(current(store).await.revision);
    assert!(store.save_projection(&projection(&json!({})), seen).await.unwrap());
    let definitions = current(store).await;
    assert_eq!(definitions.schemas().map(|found| (**found).clone()).collect::<Vec<_>>(), all);
    assert_eq!(definitions.projections().count(), 1);
}

/// And nobody else's.
pub async fn schemas_that_were_removed_are_gone(store: &(impl DefinitionStore + SchemaStore)) {
    for organization in [None, Some("acme")] {
        save(store, &schemas(organization, "a")).await;
    }
    let (seen, event_type) = (Revision(current(store).await.revision), "a".parse().unwrap());
    assert!(!store.remove_schemas(None, &event_type, Revision(seen.0 - 1)).await.unwrap());
    assert!(store.remove_schemas(None, &event_type, seen).await.unwrap());
    assert_eq!(current(store).await.schemas().map(|found| (**found).clone()).collect::<Vec<_>>(), [schemas(Some("acme"), "a")]);
}
