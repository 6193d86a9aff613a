//! SQS's protocol on embedded queues, within a client: what the adapter is tested against where there
//! is no endpoint, and where the service has to fail.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::adapters::embedded_queues::EmbeddedQueues;
use crate::adapters::sqs::QueueUrls;
use crate::domain::queue::{MessageOrder, Outgoing, Queue, Receipt, WorkQueue};
use crate::ports::queue::{QueueReceiver as _, QueueSender as _};

/// What the URLs begin with.
const SERVER: &str = "https://sqs.test/1/";
/// The most bytes that the service takes in one call.
const MOST_BYTES: usize = 1024 * 1024;

/// SQS, without a socket. Clones are the same.
#[derive(Debug, Clone)]
pub struct FakeSqs {
    queues: EmbeddedQueues,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    named: Vec<String>,
    failures: Vec<Failure>,
    calls: Vec<Call>,
}

/// A message that is not taken, although its call is.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The body of the message.
    pub body: String,
    /// How many times it is not taken.
    pub times: usize,
    /// Whether it is said to be the sender's fault.
    pub sender_fault: bool,
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The operation.
    pub operation: String,
    /// The bodies of the messages in it.
    pub bodies: Vec<String>,
}

impl FakeSqs {
    /// The protocol on these queues.
    #[must_use]
    pub fn new(queues: EmbeddedQueues) -> Self {
        Self { queues, state: Arc::default() }
    }

    /// A client that speaks to this.
    #[must_use]
    pub fn client(&self) -> aws_sdk_sqs::Client {
        let connector = SharedHttpConnector::new(self.clone());
        aws_sdk_sqs::Client::from_conf(
            aws_sdk_sqs::Config::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::from_static("us-east-1"))
                .credentials_provider(Credentials::new("fake", "fake", None, None, "fake"))
                .http_client(http_client_fn(move |_, _| connector.clone()))
                .build(),
        )
    }

    /// The URLs of this service's own queues.
    #[must_use]
    pub fn urls(&self) -> QueueUrls {
        own_queues().map(|queue| (queue.clone(), url(&queue))).collect()
    }

    /// Makes another queue, and returns its URL.
    #[must_use]
    pub fn create(&self, name: &str) -> String {
        self.state().named.push(name.to_owned());
        format!("{SERVER}{name}")
    }

    /// Lets a message fail.
    pub fn fail(&self, failure: Failure) {
        self.state().failures.push(failure);
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, operation: &str, request: &Value) -> Result<Value, &'static str> {
        let bodies = request["Entries"].as_array().into_iter().flatten().map(|entry| text(&entry["MessageBody"])).collect();
        self.state().calls.push(Call { operation: operation.to_owned(), bodies });
        if operation == "GetQueueUrl" {
            let name = text(&request["QueueName"]);
            return if self.state().named.contains(&name) {
                Ok(json!({ "QueueUrl": format!("{SERVER}{name}") }))
            } else {
                Err("QueueDoesNotExist")
            };
        }
        let queue = self.queue(&text(&request["QueueUrl"]))?;
        match operation {
            "SendMessageBatch" => self.send(&queue, request["Entries"].as_array().ok_or("EmptyBatchRequest")?).await,
            "ReceiveMessage" => {
                let most = request["MaxNumberOfMessages"].as_u64().unwrap();
                let hidden_for = Duration::from_secs(request["VisibilityTimeout"].as_u64().unwrap());
                let received = self.queues.receive(&queue, usize::try_from(most).unwrap(), hidden_for).await.unwrap();
                let messages: Vec<_> = received
                    .into_iter()
                    .map(|message| {
                        let mut attributes = json!({
                            "ApproximateReceiveCount": message.receives.to_string(),
                            "SentTimestamp": message.sent_at_ms.to_string(),
                        });
                        if let Some(group) = message.group {
                            attributes["MessageGroupId"] = group.into();
                        }
                        json!({
                            "MessageId": message.id, "ReceiptHandle": message.receipt.0, "Body": message.body, "Attributes": attributes,
                        })
                    })
                    .collect();
                Ok(json!({ "Messages": messages }))
            }
            "DeleteMessage" => {
                self.queues.remove(&queue, &Receipt(text(&request["ReceiptHandle"]))).await.unwrap();
                Ok(json!({}))
            }
            "ChangeMessageVisibility" => {
                let hidden_for = Duration::from_secs(request["VisibilityTimeout"].as_u64().unwrap());
                self.queues.hide(&queue, &Receipt(text(&request["ReceiptHandle"])), hidden_for).await.unwrap();
                Ok(json!({}))
            }
            "GetQueueAttributes" => {
                let depth = self.queues.depth(&queue).await.unwrap();
                Ok(json!({ "Attributes": { "ApproximateNumberOfMessages": depth.to_string() } }))
            }
            _ => Err("UnsupportedOperation"),
        }
    }

    async fn send(&self, queue: &Queue, entries: &[Value]) -> Result<Value, &'static str> {
        let bytes: usize = entries.iter().map(|entry| text(&entry["MessageBody"]).len()).sum();
        match entries.len() {
            0 => return Err("EmptyBatchRequest"),
            1..=10 if bytes > MOST_BYTES => return Err("BatchRequestTooLong"),
            1..=10 => {}
            _ => return Err("TooManyEntriesInBatchRequest"),
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            match self.take(queue, entry).await {
                Ok(()) => successful.push(json!({ "Id": entry["Id"], "MessageId": "-", "MD5OfMessageBody": "-" })),
                Err(sender_fault) => {
                    let message = format!("{} failed", text(&entry["MessageBody"]));
                    failed.push(json!({ "Id": entry["Id"], "SenderFault": sender_fault, "Code": "Failed", "Message": message }));
                }
            }
        }
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }

    /// An error says whether it is the sender's fault.
    async fn take(&self, queue: &Queue, entry: &Value) -> Result<(), bool> {
        let body = text(&entry["MessageBody"]);
        if let Some(failure) = self.state().failures.iter_mut().find(|failure| failure.body == body && failure.times > 0) {
            failure.times -= 1;
            return Err(failure.sender_fault);
        }
        if body.contains(
            |character: char| matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}'),
        ) {
            return Err(true);
        }
        let order = entry["MessageGroupId"]
            .as_str()
            .map(|group| MessageOrder { group: group.to_owned(), deduplication: text(&entry["MessageDeduplicationId"]) });
        let delay = Duration::from_secs(entry["DelaySeconds"].as_u64().unwrap_or(0));
        self.queues.send(queue, &[Outgoing { body, delay, order }]).await.map_err(|_| true)
    }

    fn queue(&self, asked: &str) -> Result<Queue, &'static str> {
        if let Some(own) = own_queues().find(|queue| url(queue) == asked) {
            return Ok(own);
        }
        let name = asked.strip_prefix(SERVER).filter(|name| self.state().named.iter().any(|known| known == name));
        name.map(|name| Queue::Named(name.to_owned())).ok_or("QueueDoesNotExist")
    }
}

impl HttpConnector for FakeSqs {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            let operation = request.headers().get("x-amz-target").unwrap().trim_start_matches("AmazonSQS.").to_owned();
            let input: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let (status, answer) = match this.answer(&operation, &input).await {
                Ok(answer) => (200, answer),
                Err(code) => (400, json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": code })),
            };
            Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(answer.to_string())))
        })
    }
}

fn own_queues() -> impl Iterator<Item = Queue> {
    WorkQueue::ALL.iter().flat_map(|queue| [Queue::Work(*queue), Queue::DeadLetters(*queue)])
}

fn url(queue: &Queue) -> String {
    format!("{SERVER}{queue}{}", if queue.is_fifo() { ".fifo" } else { "" })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
