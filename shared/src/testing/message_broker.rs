//! The contract of [`MessagePublisher`] and [`MessageSource`].

#[cfg(feature = "nats")]
pub mod nats_server;

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::bridge::{BridgeMessage, BridgeStream, IncomingMessage, IngestFeed, Settlement};
use crate::ports::message_broker::{MessagePublisher, MessageSource};

/// An empty broker, with a feed whose subjects are `ingest.test.>`, and ways to see and to do what others do there.
#[async_trait]
pub trait ObservedBroker: Send + Sync {
    /// The broker, to publish to.
    fn publisher(&self) -> &dyn MessagePublisher;

    /// The same broker, to take messages from.
    fn source(&self) -> &dyn MessageSource;

    /// What was published to a stream, in its order: the subject after the prefix, the id and the body.
    async fn published(&self, stream: BridgeStream) -> Vec<(String, String, String)>;

    /// Sends a message as another service.
    async fn send(&self, subject: &str, message_id: Option<&str>, body: &[u8]);

    /// Lets what was taken and not settled come again.
    async fn redeliver(&self);
}

fn message(stream: BridgeStream, subject: &str, number: usize) -> BridgeMessage {
    let (id, body) = (format!("m-{number}"), format!("{{\"number\":{number},\"text\":\"ü 🦀\"}}"));
    BridgeMessage { stream, subject: subject.to_owned(), id, headers: vec![("event_type", "größe.\"x\"".to_owned())], body }
}

fn feed(broker: &dyn ObservedBroker) -> IngestFeed {
    broker.source().feeds()[0].clone()
}

async fn fetch(broker: &dyn ObservedBroker, most: usize) -> Vec<IncomingMessage> {
    broker.source().fetch(&feed(broker), most, Duration::from_millis(300)).await.unwrap()
}

async fn publish(broker: &dyn ObservedBroker, messages: &[BridgeMessage]) {
    for message in messages {
        broker.publisher().publish(message).await.unwrap();
    }
}

fn bodies(messages: &[IncomingMessage]) -> Vec<&str> {
    messages.iter().map(|message| std::str::from_utf8(&message.body).unwrap()).collect()
}

/// Subject, id and body, to the letter, in each stream in its order.
pub async fn messages_are_published_as_they_are_and_in_their_order(broker: &dyn ObservedBroker) {
    let events: Vec<BridgeMessage> =
        (0..20).map(|number| message(BridgeStream::Events, ["backend.order.a", "frontend.click.b.c"][number % 2], number)).collect();
    let told = [message(BridgeStream::DomainEvents, "event.stored", 1)];
    publish(broker, &events).await;
    publish(broker, &told).await;
    for (stream, expected) in [(BridgeStream::Events, events.as_slice()), (BridgeStream::DomainEvents, &told)] {
        let expected: Vec<_> = expected.iter().map(|message| (message.subject.clone(), message.id.clone(), message.body.clone())).collect();
        assert_eq!(broker.published(stream).await, expected);
    }
}

/// However often it is published, within the window.
pub async fn a_message_of_one_id_is_kept_once(broker: &dyn ObservedBroker) {
    let messages = [message(BridgeStream::Events, "backend.order.a", 1), message(BridgeStream::Events, "backend.order.a", 2)];
    publish(broker, &messages).await;
    publish(broker, &messages).await;
    assert_eq!(broker.published(BridgeStream::Events).await.len(), 2);
}

/// With all that its sender says of it.
pub async fn a_message_of_others_is_taken_as_it_was_sent(broker: &dyn ObservedBroker) {
    broker.send("ingest.test.order.placed", Some("id-1"), b"{\"a\":1}").await;
    broker.send("ingest.test.x", None, &[0xff, 0]).await;
    let taken = fetch(broker, 10).await;
    assert_eq!(taken.iter().map(|message| message.subject.as_str()).collect::<Vec<_>>(), ["ingest.test.order.placed", "ingest.test.x"]);
    assert_eq!((taken[0].message_id.as_deref(), taken[1].message_id.as_deref()), (Some("id-1"), None));
    assert_eq!((taken[0].body.as_slice(), taken[1].body.as_slice()), (b"{\"a\":1}".as_slice(), [0xff, 0].as_slice()));
    assert_eq!((taken[0].deliveries, taken[0].origin.as_deref()), (1, None));
    assert_ne!(taken[0].place, taken[1].place);
}

/// In the order in which they were sent, a few at a time.
pub async fn messages_are_taken_in_their_order(broker: &dyn ObservedBroker) {
    for number in 0..7 {
        broker.send("ingest.test.a", None, number.to_string().as_bytes()).await;
    }
    let mut taken = Vec::new();
    while taken.len() < 7 {
        let some = fetch(broker, 3).await;
        assert!((1..=3).contains(&some.len()), "{} messages", some.len());
        broker.source().settle(&some.iter().map(|message| (message.receipt.clone(), Settlement::Done)).collect::<Vec<_>>()).await.unwrap();
        taken.extend(some);
    }
    assert_eq!(bodies(&taken), ["0", "1", "2", "3", "4", "5", "6"]);
    assert_eq!(fetch(broker, 3).await, []);
}

/// Nothing is lost by who died with it, and nothing comes again that was dealt with.
pub async fn what_is_not_settled_comes_again_and_what_is_does_not(broker: &dyn ObservedBroker) {
    for body in [b"done", b"gone", b"left"] {
        broker.send("ingest.test.a", None, body).await;
    }
    let taken = fetch(broker, 3).await;
    assert_eq!(broker.source().waiting(&feed(broker)).await.unwrap(), 3);
    let settled = [(taken[0].receipt.clone(), Settlement::Done), (taken[1].receipt.clone(), Settlement::Never)];
    broker.source().settle(&settled).await.unwrap();
    broker.redeliver().await;
    let mut again = Vec::new();
    while again.is_empty() {
        again = fetch(broker, 3).await;
    }
    assert_eq!(bodies(&again), ["left"]);
    assert_eq!((again[0].deliveries, &again[0].place), (2, &taken[2].place));
    assert_eq!(broker.source().waiting(&feed(broker)).await.unwrap(), 1);
}

/// After a while, and before what was not taken yet.
pub async fn what_is_to_come_again_comes_again(broker: &dyn ObservedBroker) {
    for body in [b"1", b"2"] {
        broker.send("ingest.test.a", None, body).await;
    }
    let first = fetch(broker, 2).await;
    let settled: Vec<_> = first.iter().map(|message| (message.receipt.clone(), Settlement::Again(Duration::from_millis(50)))).collect();
    broker.source().settle(&settled).await.unwrap();
    let mut again = Vec::new();
    while again.len() < 2 {
        again.extend(fetch(broker, 2).await);
    }
    assert_eq!((bodies(&again), again[0].deliveries), (vec!["1", "2"], 2));
}

/// Every clause of the contract, for one adapter: an async function beside the call gives something that dereferences to an
/// [`ObservedBroker`].
#[macro_export]
macro_rules! message_broker_contract {
    ($broker:ident) => {
        $crate::contract!(message_broker: $broker, [
            messages_are_published_as_they_are_and_in_their_order,
            a_message_of_one_id_is_kept_once,
            a_message_of_others_is_taken_as_it_was_sent,
            messages_are_taken_in_their_order,
            what_is_not_settled_comes_again_and_what_is_does_not,
            what_is_to_come_again_comes_again,
        ]);
    };
}
