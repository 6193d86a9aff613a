//! Definitions on DynamoDB: what other processes see, and secrets at rest.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use event_service_tests::Store;
use serde_json::json;
use shared::adapters::dynamodb::DynamoEvents;
use shared::adapters::sealing::{Sealer, SealingKey};
use shared::ports::definition_store::{DefinitionStore, Freshness};
use shared::ports::revision::Revision;
use shared::ports::store_error::StoreError;
use shared::testing::builders::{processor, subscription};

const SECRET: &str = "a-secret-that-nobody-may-read";

fn key(number: u8) -> SealingKey {
    SealingKey::new([number; SealingKey::BYTES])
}

async fn seen(events: &DynamoEvents) -> Revision {
    Revision(events.definitions(Freshness::Current).await.unwrap().revision)
}

/// Saves a processor and a subscription that both hold [`SECRET`].
async fn save_both(events: &DynamoEvents) {
    let processor = processor(&json!({"kind": "webhook", "config": {"url": "https://receiver.example/", "secret": SECRET}}));
    let subscription = subscription(&json!({"id": "s1", "secrets": [{"secret": SECRET, "until": null}]}));
    assert!(events.save_processor(&processor, seen(events).await).await.unwrap());
    assert!(events.save_subscription(&subscription, seen(events).await).await.unwrap());
}

async fn assert_both_are_read(events: &DynamoEvents) {
    let definitions = events.definitions(Freshness::Current).await.unwrap();
    assert_eq!(definitions.processors().next().unwrap().config.to_value()["secret"], SECRET);
    assert_eq!(definitions.subscriptions().next().unwrap().secrets[0].secret.reveal(), SECRET);
}

/// How many attributes of the table show [`SECRET`].
async fn shown(store: &Store) -> usize {
    let items = store.client.scan().table_name(&store.table).send().await.unwrap().items.unwrap();
    assert_eq!(items.len(), 3, "a processor, a subscription and the revision");
    let shows = |value: &&AttributeValue| {
        value.as_s().is_ok_and(|text| text.contains(SECRET))
            || value.as_b().is_ok_and(|bytes| String::from_utf8_lossy(bytes.as_ref()).contains(SECRET))
    };
    items.iter().flat_map(|item| item.values()).filter(shows).count()
}

/// The item's sealed secret.
async fn sealed(store: &Store, sk: &str) -> Vec<u8> {
    let (pk, sk) = (AttributeValue::S("CFG".to_owned()), AttributeValue::S(sk.to_owned()));
    let item = store.client.get_item().table_name(&store.table).key("pk", pk).key("sk", sk).send().await.unwrap().item.unwrap();
    item["sec"].as_b().unwrap().as_ref().to_vec()
}

/// Puts a sealed secret into an item.
async fn forge(store: &Store, sk: &str, sealed: Vec<u8>) {
    let (pk, sk) = (AttributeValue::S("CFG".to_owned()), AttributeValue::S(sk.to_owned()));
    let update = store.client.update_item().table_name(&store.table).key("pk", pk).key("sk", sk).update_expression("SET sec = :sealed");
    update.expression_attribute_values(":sealed", AttributeValue::B(Blob::new(sealed))).send().await.unwrap();
}

/// Why definitions cannot be read.
async fn refusal(events: &DynamoEvents) -> String {
    match events.definitions(Freshness::Current).await {
        Err(StoreError::Corrupt(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_save_is_seen_by_every_other_process_that_asks_for_current_definitions() {
    let store = Store::open().await;
    let other = store.another_process();
    for number in 1..4 {
        let saved = subscription(&json!({"id": format!("s{number}")}));
        assert!(store.save_subscription(&saved, seen(&other).await).await.unwrap());
        let definitions = other.definitions(Freshness::Current).await.unwrap();
        assert_eq!(**definitions.subscription(&saved.id).unwrap(), saved);
    }
    assert!(other.remove_subscription(&"s2".parse().unwrap(), seen(&other).await).await.unwrap());
    let definitions = store.definitions(Freshness::Current).await.unwrap();
    assert_eq!(definitions.subscriptions().count(), 2);
    let stale = Revision(definitions.revision - 1);
    assert!(!other.save_processor(&processor(&json!({})), stale).await.unwrap());
}

#[tokio::test]
async fn clones_of_one_store_know_what_one_of_them_saved() {
    let store = Store::open().await;
    let clone = store.events.clone();
    save_both(&store).await;
    store.meter.reset();
    let definitions = clone.definitions(Freshness::Recent).await.unwrap();
    assert_eq!((definitions.processors().count(), definitions.subscriptions().count()), (1, 1));
    assert_eq!(store.meter.take().calls, 0);
}

#[tokio::test]
async fn a_half_seen_save_is_read_again() {
    let store = Store::open().await;
    save_both(&store).await;
    // As if the revision were seen before the subscription that it came with.
    let (pk, sk) = (AttributeValue::S("CFG".to_owned()), AttributeValue::S("S#s1".to_owned()));
    let update = store.client.update_item().table_name(&store.table).key("pk", pk).key("sk", sk).update_expression("SET rev = :before");
    update.expression_attribute_values(":before", AttributeValue::N("1".to_owned())).send().await.unwrap();
    let read = store.another_process().definitions(Freshness::Current).await;
    assert!(matches!(read, Err(StoreError::Contended)), "{read:?}");
}

#[tokio::test]
async fn sealed_secrets_are_nowhere_in_the_table() {
    let store = Store::open().await;
    let sealing = store.another_process().sealing(Sealer::new(key(1), Vec::new()));
    save_both(&sealing).await;
    assert_eq!(shown(&store).await, 0);
    assert_both_are_read(&store.another_process().sealing(Sealer::new(key(1), Vec::new()))).await;
    assert_both_are_read(&store.another_process().sealing(Sealer::new(key(2), vec![key(1)]))).await;
}

#[tokio::test]
async fn secrets_that_were_stored_before_there_was_a_key_are_sealed_with_the_next_save() {
    let store = Store::open().await;
    save_both(&store).await;
    assert_eq!(shown(&store).await, 2, "without a key they are stored as they are");
    let sealing = store.another_process().sealing(Sealer::new(key(1), Vec::new()));
    assert_both_are_read(&sealing).await;
    save_both(&sealing).await;
    assert_eq!(shown(&store).await, 0);
}

#[tokio::test]
async fn sealed_secrets_without_their_key_are_refused_by_the_settings_name() {
    let store = Store::open().await;
    save_both(&store.another_process().sealing(Sealer::new(key(1), Vec::new()))).await;
    let without = refusal(&store.another_process()).await;
    assert!(without.contains("SECRETS_KEY is not set"), "{without}");
    let other = refusal(&store.another_process().sealing(Sealer::new(key(2), Vec::new()))).await;
    assert!(other.contains("SECRETS_KEY_PREVIOUS"), "{other}");
    assert!(!format!("{without}{other}").contains(SECRET));
}

#[tokio::test]
async fn a_process_that_has_no_business_with_secrets_reads_all_but_them_and_saves_nothing() {
    let store = Store::open().await;
    save_both(&store.another_process().sealing(Sealer::new(key(1), Vec::new()))).await;
    let reader = store.another_process().without_secrets();
    let definitions = reader.definitions(Freshness::Current).await.unwrap();
    let (processor, subscription) = (definitions.processors().next().unwrap(), definitions.subscriptions().next().unwrap());
    assert_eq!((processor.config.as_str(), subscription.secrets.len()), ("{}", 0));
    let seen = Revision(definitions.revision);
    assert!(matches!(reader.save_processor(processor, seen).await, Err(StoreError::Corrupt(_))));
    assert!(matches!(reader.save_subscription(subscription, seen).await, Err(StoreError::Corrupt(_))));
    assert_both_are_read(&store.another_process().sealing(Sealer::new(key(1), Vec::new()))).await;
}

#[tokio::test]
async fn sealed_secrets_that_were_changed_or_moved_are_refused() {
    let store = Store::open().await;
    let sealing = || store.another_process().sealing(Sealer::new(key(1), Vec::new()));
    save_both(&sealing()).await;
    let (of_processor, of_subscription) = (sealed(&store, "P#processor-1").await, sealed(&store, "S#s1").await);
    forge(&store, "P#processor-1", of_subscription).await;
    assert!(refusal(&sealing()).await.contains("its seal is broken"));
    let mut changed = of_processor.clone();
    *changed.last_mut().unwrap() ^= 1;
    forge(&store, "P#processor-1", changed).await;
    assert!(refusal(&sealing()).await.contains("its seal is broken"));
    forge(&store, "P#processor-1", of_processor).await;
    assert_both_are_read(&sealing()).await;
}

#[tokio::test]
async fn secrets_are_not_printed_with_the_store() {
    let store = Store::open().await;
    save_both(&store).await;
    assert_both_are_read(&store).await;
    assert!(!format!("{:?}", store.events).contains(SECRET));
}
