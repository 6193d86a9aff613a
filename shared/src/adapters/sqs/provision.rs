//! This service's queues, for tests and for emulators. The deployment defines the same ones.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;

use super::{QueueUrls, failure};
use crate::domain::queue::{Queue, WorkQueue};
use crate::ports::queue::QueueError;

/// Makes every queue of this service, each with its dead letters, under names that begin with
/// `prefix`.
///
/// # Errors
/// [`QueueError`] if the service does not answer.
pub async fn create(client: &Client, prefix: &str) -> Result<QueueUrls, QueueError> {
    let mut urls = Vec::new();
    for work in WorkQueue::ALL {
        let dead_letters = Queue::DeadLetters(*work);
        let dead_letters_url = create_one(client, prefix, &dead_letters, None).await?;
        let arn = arn(client, &dead_letters, &dead_letters_url).await?;
        let redrive = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": work.most_receives() });
        let queue = Queue::Work(*work);
        urls.push((queue.clone(), create_one(client, prefix, &queue, Some(redrive.to_string())).await?));
        urls.push((dead_letters, dead_letters_url));
    }
    Ok(urls.into_iter().collect())
}

async fn create_one(client: &Client, prefix: &str, queue: &Queue, redrive: Option<String>) -> Result<String, QueueError> {
    let mut request = client.create_queue();
    let mut name = format!("{prefix}-{queue}");
    if queue.is_fifo() {
        name.push_str(".fifo");
        request = request.attributes(QueueAttributeName::FifoQueue, "true");
    }
    if let Some(redrive) = redrive {
        request = request.attributes(QueueAttributeName::RedrivePolicy, redrive);
    }
    let answer = request.queue_name(name).send().await.map_err(|error| failure(queue, error))?;
    answer.queue_url.ok_or_else(|| QueueError::Unknown(queue.to_string()))
}

async fn arn(client: &Client, queue: &Queue, url: &str) -> Result<String, QueueError> {
    let request = client.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
    let answer = request.send().await.map_err(|error| failure(queue, error))?;
    let arn = answer.attributes.and_then(|mut attributes| attributes.remove(&QueueAttributeName::QueueArn));
    arn.ok_or_else(|| QueueError::Unknown(queue.to_string()))
}
