//! The broker that other services' messages go through.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::bridge::{BridgeMessage, IncomingMessage, IngestFeed, MessageReceipt, Settlement};

/// Publishes messages. Held to `testing::message_broker`.
#[async_trait]
pub trait MessagePublisher: Send + Sync {
    /// Publishes a message, and returns when the broker keeps it: whoever waits for that before the next one keeps their order. One that
    /// the broker has already, by its id, counts as published.
    ///
    /// # Errors
    /// [`NotPublished`] says why it was not.
    async fn publish(&self, message: &BridgeMessage) -> Result<(), NotPublished>;
}

/// Takes messages of others. Held to `testing::message_broker`.
#[async_trait]
pub trait MessageSource: Send + Sync {
    /// What is taken in.
    fn feeds(&self) -> &[IngestFeed];

    /// Up to `most` messages of a feed in the order of its stream, waiting for the first at most so long. Whatever is not settled
    /// within a minute comes again.
    ///
    /// # Errors
    /// [`BrokerError`] if the broker does not answer, or has no such stream.
    async fn fetch(&self, feed: &IngestFeed, most: usize, wait: Duration) -> Result<Vec<IncomingMessage>, BrokerError>;

    /// Says what becomes of messages.
    ///
    /// # Errors
    /// [`BrokerError`] if the broker does not answer: they come again.
    async fn settle(&self, settled: &[(MessageReceipt, Settlement)]) -> Result<(), BrokerError>;

    /// How many messages of a feed wait, those that were taken and not settled included.
    ///
    /// # Errors
    /// [`BrokerError`] if the broker does not answer.
    async fn waiting(&self, feed: &IngestFeed) -> Result<u64, BrokerError>;
}

/// Tells whether a broker can be reached.
#[async_trait]
pub trait BrokerCheck: Send + Sync {
    /// Asks the broker for something.
    ///
    /// # Errors
    /// [`BrokerError`] if it does not answer.
    async fn check(&self) -> Result<(), BrokerError>;
}

/// A broker as the bridge needs it.
pub trait MessageBroker: MessagePublisher + MessageSource + BrokerCheck {}

impl<T: MessagePublisher + MessageSource + BrokerCheck> MessageBroker for T {}

/// The broker did not do what was asked. Trying again later may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the message broker failed: {0}")]
pub struct BrokerError(pub String);

/// Why a message was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPublished {
    /// The broker takes no message of this size, however often it is asked.
    #[error("the message broker takes no message of {0} bytes")]
    TooLarge(usize),
    /// The broker did not keep it, or did not say that it did. It may be published another time.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}
