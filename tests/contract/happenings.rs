//! What the table's stream says to those who are told of changes.

use aws_lambda_events::event::dynamodb::Event;
use event_service_tests::Store;
use serde_json::json;
use shared::adapters::dynamodb::stream::{change, happening};
use shared::domain::claim::Slot;
use shared::domain::happening::Happening;
use shared::domain::projection::SavedProjection;
use shared::domain::status::EventStatus;
use shared::ports::commit_log::CommitLog;
use shared::ports::dead_letters::DeadLetters;
use shared::ports::definition_store::DefinitionStore;
use shared::ports::delivery_log::DeliveryLog;
use shared::ports::outcome_log::OutcomeLog;
use shared::ports::projection_store::{Kept, ProjectionDefinitionStore, ProjectionStore};
use shared::ports::revision::Revision;
use shared::testing::builders::{commit, delivery, event, noon, processor, projection, subscription};
use shared::testing::dead_letters::letter;
use shared::testing::outcome_log::{concluded, outcome};
use shared::testing::projection_store::{key, snapshot};

/// All records so far, as Lambda sends them.
async fn records(store: &Store) -> Event {
    serde_json::from_value(store.records_after(None, 1000).await.event()).unwrap()
}

async fn happenings(store: &Store) -> Vec<Happening> {
    records(store).await.records.iter().filter_map(|record| happening(record).unwrap()).collect()
}

#[tokio::test]
async fn commits_and_their_outcomes_happen() {
    let store = Store::open().await;
    let commit = commit("a%/order:1", 1, vec![event("a"), event("b")]);
    store.put(std::slice::from_ref(&commit)).await.unwrap();
    let (failed, processed) = (outcome(&commit, EventStatus::Failed), outcome(&commit, EventStatus::Processed));
    assert!(store.save_outcome(&concluded(&commit), &failed, Revision(0)).await.unwrap());
    let (_, seen) = store.outcome(commit.id()).await.unwrap();
    assert!(store.save_outcome(&concluded(&commit), &processed, seen).await.unwrap());
    let slot = Slot { stream: commit.stream.clone(), first: commit.first };
    assert_eq!(
        happenings(&store).await,
        [
            Happening::Committed(Box::new(commit)),
            Happening::Concluded { commit: slot.clone(), before: None, after: failed.clone() },
            Happening::Concluded { commit: slot, before: Some(failed), after: processed },
        ]
    );
}

#[tokio::test]
async fn subscriptions_happen_without_their_secrets() {
    let store = Store::open().await;
    let created = subscription(&json!({}));
    let mut changed = created.clone();
    changed.enabled = false;
    assert!(store.save_subscription(&created, Revision(0)).await.unwrap());
    assert!(store.save_subscription(&changed, Revision(1)).await.unwrap());
    assert!(store.remove_subscription(&created.id, Revision(2)).await.unwrap());
    assert!(!created.secrets.is_empty());
    let (mut before, mut after) = (created, changed);
    before.secrets.clear();
    after.secrets.clear();
    assert_eq!(
        happenings(&store).await,
        [
            Happening::Subscribed(Box::new(before.clone())),
            Happening::SubscriptionChanged { before: Box::new(before), after: Box::new(after) },
        ]
    );
}

#[tokio::test]
async fn a_projection_happens_when_it_is_saved_for_the_first_time() {
    let store = Store::open().await;
    for key in [key("a%/order:1#2", None, 1), key("order:1", Some("d1"), 7)] {
        assert_eq!(store.save_snapshot(&key, &snapshot(20), Revision(0)).await.unwrap(), Kept::Yes);
        assert_eq!(store.save_snapshot(&key, &snapshot(40), Revision(1)).await.unwrap(), Kept::Yes);
        store.remove_snapshot(&key).await.unwrap();
    }
    let saved = |key| Happening::Projected(Box::new(SavedProjection { key, progress: snapshot(20).progress }));
    assert_eq!(happenings(&store).await, [saved(key("a%/order:1#2", None, 1)), saved(key("order:1", Some("d1"), 7))]);
}

#[tokio::test]
async fn what_is_defined_and_sent_is_neither_told_of_nor_counted() {
    let store = Store::open().await;
    assert!(store.save_processor(&processor(&json!({})), Revision(0)).await.unwrap());
    let delivery = delivery(0);
    assert!(store.save_delivery(&delivery, Revision(0)).await.unwrap());
    assert!(
        store
            .save_lane(&delivery.subscription, &delivery.event.stream, &shared::domain::delivery::Lane::default(), Revision(0))
            .await
            .unwrap()
    );
    assert!(store.save_health(&delivery.subscription, &shared::domain::subscription::Health::default(), Revision(0)).await.unwrap());
    assert_eq!(store.take_quota(&delivery.subscription, noon(), 1, 1).await.unwrap(), 1);
    let letter = letter(1);
    store.park(&letter).await.unwrap();
    store.remove_letter(&letter.id).await.unwrap();
    assert!(store.save_projection(&projection(&json!({})), Revision(1)).await.unwrap());
    assert_eq!(happenings(&store).await, []);
    let records = records(&store).await.records;
    assert_eq!(records.len(), 10);
    for record in &records {
        assert!(change(record).unwrap().is_none(), "{record:?}");
    }
}
