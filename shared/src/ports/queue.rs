//! Queues: work that is handed over, and taken up at least once.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::queue::{Outgoing, Queue, Receipt, Received};

/// Puts messages into queues. Held to `testing::queue`.
#[async_trait]
pub trait QueueSender: Send + Sync {
    /// Puts messages into a queue, those of one group in their order. Any number of messages of any
    /// size up to [`Outgoing::MAX_BYTES`]: the adapter packs them up to the service's limits.
    ///
    /// # Errors
    /// [`QueueError`] if any message was not taken. Others may have been, but none of a group after one
    /// of it that was not; and none at all if [`Queue::takes`] says of one that it cannot be taken.
    async fn send(&self, queue: &Queue, messages: &[Outgoing]) -> Result<(), QueueError>;
}

/// Takes messages from queues. On AWS, Lambda does this for the functions; dead-letter queues are
/// read with it. Held to `testing::queue`.
#[async_trait]
pub trait QueueReceiver: Send + Sync {
    /// Up to `most` messages (at most 10) that can be seen, which nobody else sees for `hidden_for`.
    /// Of a FIFO queue's group, the oldest ones in their order, and none while an older one is hidden.
    ///
    /// # Errors
    /// [`QueueError`] if the queue does not answer.
    async fn receive(&self, queue: &Queue, most: usize, hidden_for: Duration) -> Result<Vec<Received>, QueueError>;

    /// Removes a message that was dealt with. One that is gone already, or was handed out to somebody
    /// else since, is no error: nothing happens.
    ///
    /// # Errors
    /// [`QueueError`] if the queue does not answer: the message may come again.
    async fn remove(&self, queue: &Queue, receipt: &Receipt) -> Result<(), QueueError>;

    /// Hides a message that was taken for so long from now on, instead of as long as it was hidden when it was taken. One that is
    /// gone, or was handed out to somebody else since, is no error: nothing happens.
    ///
    /// # Errors
    /// [`QueueError`] if the queue does not answer: the message is hidden as it was.
    async fn hide(&self, queue: &Queue, receipt: &Receipt, hidden_for: Duration) -> Result<(), QueueError>;

    /// About how many messages the queue has: those that can be seen, and those that cannot yet or
    /// are being dealt with.
    ///
    /// # Errors
    /// [`QueueError`] if the queue does not answer.
    async fn depth(&self, queue: &Queue) -> Result<u64, QueueError>;
}

/// Why a queue did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue could not be reached, or refused for now. Trying again may help.
    #[error("the queue {queue} is not available")]
    Unavailable {
        /// The queue.
        queue: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Some messages of a call were not taken.
    #[error("the queue {queue} did not take {failed} of {of} messages: {reason}")]
    Refused {
        /// The queue.
        queue: String,
        /// How many were not taken.
        failed: usize,
        /// Of how many.
        of: usize,
        /// What it said of the first of them.
        reason: String,
    },
    /// There is no such queue, or none is configured under this name.
    #[error("there is no queue {0}")]
    Unknown(String),
}
