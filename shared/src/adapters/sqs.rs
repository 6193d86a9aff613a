//! Queues on SQS.

mod client;
pub mod provision;
mod send;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};

pub use self::client::connect;
use crate::domain::queue::{Queue, Receipt, Received};
use crate::ports::queue::{QueueError, QueueReceiver};

/// The most messages of one receive.
const MOST_RECEIVED: usize = 10;

/// How long a receive waits for a message, in seconds. One that does not wait at all asks only some of the service's
/// servers, and may find nothing where there is something.
const WAIT: i32 = 1;

/// The longest time that the service hides a message.
const MOST_HIDDEN: Duration = Duration::from_hours(12);

/// What a queue's depth is made of.
const DEPTHS: [QueueAttributeName; 3] = [
    QueueAttributeName::ApproximateNumberOfMessages,
    QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
    QueueAttributeName::ApproximateNumberOfMessagesDelayed,
];

/// Where queues are: those that a function has to do with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueUrls(BTreeMap<Queue, String>);

impl FromIterator<(Queue, String)> for QueueUrls {
    fn from_iter<I: IntoIterator<Item = (Queue, String)>>(urls: I) -> Self {
        Self(urls.into_iter().collect())
    }
}

/// Queues, through a client. Clones share what they have learnt.
///
/// A [`Queue::Named`] may say a URL, which is used as it is, or a name, whose URL is asked for once. Either way it is a
/// queue of the client's region.
#[derive(Debug, Clone)]
pub struct SqsQueues {
    client: aws_sdk_sqs::Client,
    urls: QueueUrls,
    found: Arc<Mutex<HashMap<String, String>>>,
}

impl SqsQueues {
    /// The queues at these URLs.
    #[must_use]
    pub fn new(client: aws_sdk_sqs::Client, urls: QueueUrls) -> Self {
        Self { client, urls, found: Arc::default() }
    }

    /// Opens a connection before the first message needs it: asks for an attribute of one of the queues.
    pub async fn warm_up(&self) {
        let Some(url) = self.urls.0.values().next() else { return };
        let asked = self.client.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::DelaySeconds).send().await;
        if let Err(error) = asked {
            tracing::warn!(error = %crate::telemetry::Chain(&error), "the queues were not reached at start");
        }
    }

    async fn url(&self, queue: &Queue) -> Result<String, QueueError> {
        if let Some(url) = self.urls.0.get(queue) {
            return Ok(url.clone());
        }
        match queue {
            Queue::Work(_) | Queue::DeadLetters(_) => Err(QueueError::Unknown(queue.to_string())),
            Queue::Named(url) if url.starts_with("https://") || url.starts_with("http://") => Ok(url.clone()),
            Queue::Named(name) => self.find(queue, name).await,
        }
    }

    async fn find(&self, queue: &Queue, name: &str) -> Result<String, QueueError> {
        if let Some(url) = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(url.clone());
        }
        let answer = self.client.get_queue_url().queue_name(name).send().await.map_err(|error| failure(queue, error))?;
        let url = answer.queue_url.ok_or_else(|| QueueError::Unknown(queue.to_string()))?;
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), url.clone());
        Ok(url)
    }
}

#[async_trait]
impl QueueReceiver for SqsQueues {
    async fn receive(&self, queue: &Queue, most: usize, hidden_for: Duration) -> Result<Vec<Received>, QueueError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(self.url(queue).await?)
            .max_number_of_messages(i32::try_from(most.clamp(1, MOST_RECEIVED)).unwrap_or(1))
            .visibility_timeout(whole_seconds(hidden_for.min(MOST_HIDDEN)))
            .wait_time_seconds(WAIT)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .send()
            .await
            .map_err(|error| failure(queue, error))?;
        Ok(answer.messages.into_iter().flatten().filter_map(received).collect())
    }

    async fn remove(&self, queue: &Queue, receipt: &Receipt) -> Result<(), QueueError> {
        let removed = self.client.delete_message().queue_url(self.url(queue).await?).receipt_handle(&receipt.0).send().await;
        match removed {
            Ok(_) => Ok(()),
            // A FIFO queue refuses a receipt once its time is up, other queues then do nothing.
            Err(error) if is_spent_receipt(&error) => Ok(()),
            Err(error) => Err(failure(queue, error)),
        }
    }

    async fn hide(&self, queue: &Queue, receipt: &Receipt, hidden_for: Duration) -> Result<(), QueueError> {
        let hidden = self
            .client
            .change_message_visibility()
            .queue_url(self.url(queue).await?)
            .receipt_handle(&receipt.0)
            .visibility_timeout(whole_seconds(hidden_for.min(MOST_HIDDEN)))
            .send()
            .await;
        match hidden {
            Ok(_) => Ok(()),
            Err(error) if is_spent_receipt(&error) || error.code() == Some("MessageNotInflight") => Ok(()),
            Err(error) => Err(failure(queue, error)),
        }
    }

    async fn depth(&self, queue: &Queue) -> Result<u64, QueueError> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(self.url(queue).await?)
            .set_attribute_names(Some(DEPTHS.to_vec()))
            .send()
            .await
            .map_err(|error| failure(queue, error))?;
        let counts = answer.attributes.unwrap_or_default();
        Ok(DEPTHS.iter().filter_map(|name| counts.get(name)?.parse::<u64>().ok()).sum())
    }
}

fn received(message: Message) -> Option<Received> {
    let attributes = message.attributes.unwrap_or_default();
    let number = |name| attributes.get(&name).and_then(|text: &String| text.parse::<i64>().ok());
    Some(Received {
        id: message.message_id?,
        receipt: Receipt(message.receipt_handle?),
        body: message.body?,
        receives: number(MessageSystemAttributeName::ApproximateReceiveCount).and_then(|count| count.try_into().ok()).unwrap_or(1),
        sent_at_ms: number(MessageSystemAttributeName::SentTimestamp).unwrap_or_default(),
        group: attributes.get(&MessageSystemAttributeName::MessageGroupId).cloned(),
    })
}

/// No less than what was asked for.
fn whole_seconds(duration: Duration) -> i32 {
    let started = u64::from(duration.subsec_nanos() > 0);
    i32::try_from(duration.as_secs() + started).unwrap_or(i32::MAX)
}

fn is_spent_receipt<E, R>(error: &SdkError<E, R>) -> bool
where
    E: ProvideErrorMetadata,
{
    match error.code() {
        Some("ReceiptHandleIsInvalid") => true,
        Some("InvalidParameterValue" | "InvalidParameterValueException") => {
            error.message().is_some_and(|message| message.contains("expired"))
        }
        Some(_) | None => false,
    }
}

/// The port's error for an SDK error.
fn failure<E, R>(queue: &Queue, error: SdkError<E, R>) -> QueueError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error.code() {
        Some("QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue") => QueueError::Unknown(queue.to_string()),
        Some(_) | None => QueueError::Unavailable { queue: queue.to_string(), source: Box::new(error) },
    }
}
