//! The contract of [`DefinitionStore`].

use std::sync::Arc;

use futures::future::join_all;
use serde_json::json;

use super::builders::{noon, processor, subscription};
use crate::domain::definitions::Definitions;
use crate::domain::processor::Processor;
use crate::domain::subscription::Subscription;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::revision::Revision;

async fn current(store: &impl DefinitionStore) -> Arc<Definitions> {
    store.definitions(Freshness::Current).await.unwrap()
}

async fn seen(store: &impl DefinitionStore) -> Revision {
    Revision(current(store).await.revision)
}

async fn save(store: &impl DefinitionStore, processor: &Processor) {
    assert!(store.save_processor(processor, seen(store).await).await.unwrap());
}

async fn subscribe(store: &impl DefinitionStore, subscription: &Subscription) {
    assert!(store.save_subscription(subscription, seen(store).await).await.unwrap());
}

/// Revision 0.
pub async fn before_the_first_save_there_are_no_definitions(store: &impl DefinitionStore) {
    for freshness in [Freshness::Current, Freshness::Recent] {
        let definitions = store.definitions(freshness).await.unwrap();
        assert_eq!((definitions.revision, definitions.processors().count(), definitions.subscriptions().count()), (0, 0, 0));
    }
}

/// Its configuration included, to the letter.
pub async fn a_processor_is_read_back_as_it_was_saved(store: &impl DefinitionStore) {
    let saved = processor(&json!({
        "id": "a#b/c%ü", "organization": "acme", "kind": "webhook", "priority": -7, "filters": {"event_type": "order.*"},
        "config": {"url": "https://receiver.example/", "secret": "not for everybody", "headers": {"Authorization": "Bearer x"}},
        "retry_policy": {"max_retries": 2},
    }));
    save(store, &saved).await;
    assert_eq!(**current(store).await.processor(&saved.id).unwrap(), saved);
    // Numbers that no machine type holds are kept too.
    let mut redefined = saved.clone();
    redefined.config = crate::domain::json::JsonObject::parse("{\"action\":\"log\",\"n\":123456789012345678901234567890}").unwrap();
    save(store, &redefined).await;
    let definitions = current(store).await;
    assert_eq!(definitions.processors().count(), 1);
    assert_eq!(definitions.processor(&saved.id).unwrap().config.as_str(), redefined.config.as_str());
}

/// Events that it was given are still to be told of.
pub async fn a_removed_processor_is_remembered(store: &impl DefinitionStore) {
    let mut removed = processor(&json!({}));
    save(store, &removed).await;
    removed.remove(noon(), noon());
    save(store, &removed).await;
    let definitions = current(store).await;
    assert_eq!(definitions.processors().count(), 0);
    assert_eq!(**definitions.processor(&removed.id).unwrap(), removed);
}

/// Its secrets included.
pub async fn a_subscription_is_read_back_as_it_was_saved(store: &impl DefinitionStore) {
    let saved = subscription(&json!({
        "id": "a#b/c%ü", "organization": "acme", "event_types": ["order.*", "a"], "event_sources": ["backend"], "event_categories": ["order"],
        "secrets": [{"secret": "the newest one", "until": null}, {"secret": "the one before", "until": noon()}],
        "disabled_because": "gone", "ordering": "stream", "rate_limit": 10, "delivery_log": "all", "retry_policy": {"max_retries": 1},
    }));
    subscribe(store, &saved).await;
    let definitions = current(store).await;
    assert_eq!(definitions.subscriptions().map(|found| &**found).collect::<Vec<_>>(), [&saved]);
}

/// The highest priority first, and the oldest.
pub async fn definitions_have_an_order(store: &impl DefinitionStore) {
    for (id, priority) in [("p1", 5), ("p2", 10), ("p3", 5)] {
        save(store, &processor(&json!({"id": id, "name": id, "priority": priority}))).await;
    }
    for (id, seconds) in [("s1", 2), ("s2", 1), ("s3", 3)] {
        subscribe(store, &subscription(&json!({"id": id, "created_at": noon().plus_micros(seconds)}))).await;
    }
    let definitions = current(store).await;
    assert_eq!(definitions.processors().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["p2", "p1", "p3"]);
    assert_eq!(definitions.subscriptions().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["s2", "s1", "s3"]);
}

/// And nothing else is.
pub async fn a_removed_subscription_is_gone(store: &impl DefinitionStore) {
    let (kept, removed) = (subscription(&json!({"id": "s1"})), subscription(&json!({"id": "s2"})));
    subscribe(store, &kept).await;
    subscribe(store, &removed).await;
    save(store, &processor(&json!({"id": "s2"}))).await;
    let before = seen(store).await;
    assert!(store.remove_subscription(&removed.id, before).await.unwrap());
    let definitions = current(store).await;
    assert_ne!(Revision(definitions.revision), before);
    assert!(definitions.subscription(&removed.id).is_none());
    assert!(definitions.subscription(&kept.id).is_some());
    assert_eq!(definitions.processors().count(), 1);
    assert!(store.remove_subscription(&removed.id, seen(store).await).await.unwrap(), "once more is no error");
}

/// Whatever was saved in between.
pub async fn a_save_over_another_revision_is_refused_and_changes_nothing(store: &impl DefinitionStore) {
    let (first, second) = (processor(&json!({"id": "p1"})), subscription(&json!({"id": "s1"})));
    assert!(!store.save_processor(&first, Revision(7)).await.unwrap());
    assert!(store.save_processor(&first, Revision(0)).await.unwrap());
    let before = seen(store).await;
    assert!(store.save_subscription(&second, before).await.unwrap());
    for stale in [Revision(0), before] {
        assert!(!store.save_processor(&processor(&json!({"id": "p2"})), stale).await.unwrap());
        assert!(!store.save_processor(&first, stale).await.unwrap(), "the same save again is another");
        assert!(!store.save_subscription(&subscription(&json!({"id": "s2"})), stale).await.unwrap());
        assert!(!store.remove_subscription(&second.id, stale).await.unwrap());
    }
    let definitions = current(store).await;
    assert_eq!(definitions.processors().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["p1"]);
    assert_eq!(definitions.subscriptions().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["s1"]);
}

/// The others are told, by `false` or by an error.
pub async fn of_several_who_save_at_once_one_does(store: &impl DefinitionStore) {
    save(store, &processor(&json!({"id": "p0"}))).await;
    let before = seen(store).await;
    let rivals: Vec<_> = (0..8).map(|number| processor(&json!({"id": format!("rival-{number}")}))).collect();
    let saved = join_all(rivals.iter().map(|rival| store.save_processor(rival, before))).await;
    assert_eq!(saved.iter().filter(|saved| matches!(saved, Ok(true))).count(), 1, "{saved:?}");
    assert_eq!(current(store).await.processors().count(), 2);
}

/// Of those who only show something, too.
pub async fn whoever_saves_sees_it_at_once(store: &impl DefinitionStore) {
    for number in 1..4_usize {
        let saved = subscription(&json!({"id": format!("s{number}")}));
        assert!(store.save_subscription(&saved, seen(store).await).await.unwrap());
        let recent = store.definitions(Freshness::Recent).await.unwrap();
        assert_eq!(recent.subscriptions().count(), number);
        assert_eq!(recent.revision, current(store).await.revision);
        assert_eq!(**recent.subscription(&saved.id).unwrap(), saved);
    }
}
