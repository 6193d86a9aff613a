//! Answers get lost, and the client then sends a call again: whoever saved must not hear that another was faster.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use event_service_tests::Store;
use serde_json::json;
use shared::adapters::dynamodb::{DynamoEvents, TimeShards};
use shared::ports::definition_store::{DefinitionStore, Freshness};
use shared::ports::delivery_log::DeliveryLog;
use shared::ports::revision::Revision;
use shared::testing::builders::{delivery, processor, subscription};

/// Loses every other answer, after the store has done what was asked.
#[derive(Debug, Default)]
struct LosesAnswers(AtomicBool);

impl Intercept for LosesAnswers {
    fn name(&self) -> &'static str {
        "LosesAnswers"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if !self.0.fetch_xor(true, Ordering::SeqCst) {
            *context.response_mut() = HttpResponse::new(503.try_into()?, "".into());
        }
        Ok(())
    }
}

fn losing_answers(store: &Store) -> DynamoEvents {
    let config = store.client.config().to_builder().interceptor(LosesAnswers::default()).build();
    DynamoEvents::new(Client::from_conf(config), store.table.clone(), TimeShards::default())
}

#[tokio::test]
async fn definitions_are_saved_once_by_a_call_that_is_sent_twice() {
    let store = Store::open().await;
    let losing = losing_answers(&store);
    let saved = subscription(&json!({}));
    store.meter.reset();
    assert!(losing.save_processor(&processor(&json!({})), Revision(0)).await.unwrap());
    assert_eq!(store.meter.take().calls, 2, "the first answer was lost");
    assert!(losing.save_subscription(&saved, Revision(1)).await.unwrap());
    assert!(losing.remove_subscription(&saved.id, Revision(2)).await.unwrap());
    let definitions = store.definitions(Freshness::Current).await.unwrap();
    assert_eq!((definitions.revision, definitions.processors().count(), definitions.subscriptions().count()), (3, 1, 0));
}

#[tokio::test]
async fn deliveries_are_saved_once_by_a_call_that_is_sent_twice() {
    let store = Store::open().await;
    let losing = losing_answers(&store);
    let delivery = delivery(0);
    assert!(losing.save_delivery(&delivery, Revision(0)).await.unwrap());
    assert!(losing.save_delivery(&delivery, Revision(1)).await.unwrap());
    assert!(!losing.save_delivery(&delivery, Revision(1)).await.unwrap(), "the same save by another is another");
    assert_eq!(store.delivery(&delivery.subscription, &delivery.id).await.unwrap(), (Some(delivery), Revision(2)));
}
