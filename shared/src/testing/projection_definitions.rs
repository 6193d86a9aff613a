//! The contract of [`ProjectionDefinitionStore`], with the store of definitions that shows them.

use std::sync::Arc;

use serde_json::json;

use super::builders::{processor, projection, stream, subscription};
use crate::domain::definitions::Definitions;
use crate::domain::projection::ProjectionDefinition;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::projection_store::ProjectionDefinitionStore;
use crate::ports::revision::Revision;

async fn current(store: &impl DefinitionStore) -> Arc<Definitions> {
    store.definitions(Freshness::Current).await.unwrap()
}

async fn save(store: &(impl DefinitionStore + ProjectionDefinitionStore), definition: &ProjectionDefinition) {
    let seen = Revision(current(store).await.revision);
    assert!(store.save_projection(definition, seen).await.unwrap());
    assert!(!store.save_projection(definition, seen).await.unwrap(), "that revision has passed");
}

/// BR-PRJ-005. Beside processors and subscriptions.
pub async fn a_projection_is_read_back_as_it_was_saved(store: &(impl DefinitionStore + ProjectionDefinitionStore)) {
    let saved = projection(&json!({
        "id": "a#b/c%ü", "organization": "acme", "name": "Ü #1", "version": 3, "before": {"x": [{"count": "n"}]},
        "rules": {"order.*": [{"increment": {"total": "$data.total"}}, {"set": {"limit": 1e300}}]},
    }));
    save(store, &saved).await;
    assert!(store.save_processor(&processor(&json!({})), Revision(1)).await.unwrap());
    assert!(store.save_subscription(&subscription(&json!({})), Revision(2)).await.unwrap());
    let definitions = current(store).await;
    assert_eq!(definitions.projections().map(|found| &**found).collect::<Vec<_>>(), [&saved]);
    assert_eq!((definitions.processors().count(), definitions.subscriptions().count()), (1, 1));
}

/// And nothing else is.
pub async fn a_projection_that_was_removed_is_gone(store: &(impl DefinitionStore + ProjectionDefinitionStore)) {
    let (kept, removed) = (projection(&json!({"id": "d1"})), projection(&json!({"id": "d2", "name": "other"})));
    save(store, &kept).await;
    save(store, &removed).await;
    let seen = Revision(current(store).await.revision);
    assert!(!store.remove_projection(&removed.id, Revision(seen.0 - 1)).await.unwrap());
    assert!(store.remove_projection(&removed.id, seen).await.unwrap());
    assert_eq!(current(store).await.projections().map(|found| &**found).collect::<Vec<_>>(), [&kept]);
}

/// Whatever was saved first.
pub async fn an_organizations_own_projection_comes_before_the_platforms(store: &(impl DefinitionStore + ProjectionDefinitionStore)) {
    for (id, organization, entity_type) in [("d1", Some("acme"), "order"), ("d2", None, "order"), ("d3", None, "user")] {
        save(store, &projection(&json!({"id": id, "organization": organization, "entity_type": entity_type}))).await;
    }
    let definitions = current(store).await;
    let of = |entity: &str, name: &str| {
        definitions.projection_named(&stream(entity), &name.parse().unwrap()).map(|definition| definition.id.as_str().to_owned())
    };
    for (entity, found) in
        [("acme/order:1", Some("d1")), ("other/order:1", Some("d2")), ("order:1", Some("d2")), ("user:1", Some("d3")), ("cart:1", None)]
    {
        assert_eq!(of(entity, "summary").as_deref(), found, "{entity}");
    }
    assert_eq!(of("order:1", "other"), None);
}
