//! Sending: messages packed into calls, and what a call did not take sent again.
//!
//! A call takes its messages one by one, and may leave out any of them. So no two messages of a group are in one call:
//! the second would overtake the first that was left out.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;

use super::{SqsQueues, failure, whole_seconds};
use crate::domain::queue::{Outgoing, Queue};
use crate::ports::queue::{QueueError, QueueSender};

/// The most messages of one call.
const MOST_MESSAGES: usize = 10;
/// The most bytes of one call, unless a single message has more.
const MOST_BYTES: usize = 256 * 1024;
/// How often a message is sent that the service leaves out for no fault of ours.
const MOST_TRIES: u32 = 4;
/// How long to wait before the second try; twice as long before each further one.
const BACKOFF: Duration = Duration::from_millis(50);

#[async_trait]
impl QueueSender for SqsQueues {
    async fn send(&self, queue: &Queue, messages: &[Outgoing]) -> Result<(), QueueError> {
        let mut open = Vec::with_capacity(messages.len());
        let mut refusal = Refusal::default();
        for message in messages {
            match queue.takes(message) {
                Ok(()) => open.push(Open { message, body: sendable(&message.body), tries: 0 }),
                Err(reason) => refusal.add(&reason.to_string()),
            }
        }
        if refusal.failed > 0 {
            return refusal.into_result(queue, messages.len());
        }
        if open.is_empty() {
            return Ok(());
        }
        let url = self.url(queue).await?;
        while !open.is_empty() {
            let call = next_call(&open);
            let outcomes = self.call(queue, &url, &open, &call).await?;
            if let Some(tries) = settle(&mut open, &call, outcomes, &mut refusal) {
                pause(BACKOFF * 2_u32.pow(tries - 1)).await;
            }
        }
        refusal.into_result(queue, messages.len())
    }
}

/// A message that the service has not taken yet.
struct Open<'a> {
    message: &'a Outgoing,
    body: Cow<'a, str>,
    tries: u32,
}

impl Open<'_> {
    fn group(&self) -> Option<&str> {
        self.message.order.as_ref().map(|order| order.group.as_str())
    }
}

/// What became of a message in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Taken,
    /// Left out; it may be taken another time.
    LeftOut(String),
    /// It will never be taken.
    Refused(String),
}

/// What was not taken in the end.
#[derive(Debug, Default)]
struct Refusal {
    failed: usize,
    reason: String,
}

impl Refusal {
    fn add(&mut self, reason: &str) {
        if self.failed == 0 {
            reason.clone_into(&mut self.reason);
        }
        self.failed += 1;
    }

    fn into_result(self, queue: &Queue, of: usize) -> Result<(), QueueError> {
        let Self { failed, reason } = self;
        if failed == 0 { Ok(()) } else { Err(QueueError::Refused { queue: queue.to_string(), failed, of, reason }) }
    }
}

impl SqsQueues {
    /// Sends some of the open messages, and says for each of them, in their order, what became of it.
    async fn call(&self, queue: &Queue, url: &str, open: &[Open<'_>], call: &[usize]) -> Result<Vec<Outcome>, QueueError> {
        let mut request = self.client.send_message_batch().queue_url(url);
        for (id, open) in call.iter().filter_map(|index| open.get(*index)).enumerate() {
            let Outgoing { delay, order, .. } = open.message;
            let entry = SendMessageBatchRequestEntry::builder()
                .id(id.to_string())
                .message_body(open.body.as_ref())
                .set_delay_seconds((!delay.is_zero()).then(|| whole_seconds(*delay)))
                .set_message_group_id(order.as_ref().map(|order| order.group.clone()))
                .set_message_deduplication_id(order.as_ref().map(|order| order.deduplication.clone()))
                .build()
                .map_err(|error| QueueError::Unavailable { queue: queue.to_string(), source: Box::new(error) })?;
            request = request.entries(entry);
        }
        let answer = request.send().await.map_err(|error| failure(queue, error))?;
        let mut outcomes: HashMap<String, Outcome> = answer.successful.into_iter().map(|entry| (entry.id, Outcome::Taken)).collect();
        for entry in answer.failed {
            let reason = entry.message.unwrap_or(entry.code);
            outcomes.insert(entry.id, if entry.sender_fault { Outcome::Refused(reason) } else { Outcome::LeftOut(reason) });
        }
        let outcome = |id: usize| outcomes.remove(&id.to_string()).unwrap_or_else(|| Outcome::LeftOut("no answer".to_owned()));
        Ok((0..call.len()).map(outcome).collect())
    }
}

/// The open messages of the next call, by their places: the first ones that fit, no two of one group.
fn next_call(open: &[Open<'_>]) -> Vec<usize> {
    let mut call = Vec::new();
    let mut bytes = 0;
    let mut groups = HashSet::new();
    for (index, open) in open.iter().enumerate() {
        if open.group().is_some_and(|group| !groups.insert(group)) {
            continue;
        }
        bytes += open.body.len();
        if call.len() == MOST_MESSAGES || (bytes > MOST_BYTES && !call.is_empty()) {
            break;
        }
        call.push(index);
    }
    call
}

/// Keeps open what was left out and may be tried again: if there is any, the answer is how often it
/// was tried. A message that is given up takes those of its group with it that come after it.
fn settle(open: &mut Vec<Open<'_>>, call: &[usize], outcomes: Vec<Outcome>, refusal: &mut Refusal) -> Option<u32> {
    let mut outcomes: HashMap<usize, Outcome> = call.iter().copied().zip(outcomes).collect();
    let mut given_up: HashMap<String, String> = HashMap::new();
    let mut tried = None;
    let mut index = 0;
    open.retain_mut(|open| {
        let outcome = outcomes.remove(&index);
        index += 1;
        let reason = match outcome {
            None => match open.group().and_then(|group| given_up.get(group)) {
                None => return true,
                Some(reason) => reason.clone(),
            },
            Some(Outcome::Taken) => return false,
            Some(Outcome::LeftOut(reason)) => {
                open.tries += 1;
                if open.tries < MOST_TRIES {
                    tried = tried.max(Some(open.tries));
                    return true;
                }
                reason
            }
            Some(Outcome::Refused(reason)) => reason,
        };
        refusal.add(&reason);
        if let Some(group) = open.group() {
            given_up.insert(group.to_owned(), reason);
        }
        false
    });
    tried
}

/// The text with each character that the service refuses spelt as JSON can: such characters stand
/// only within JSON's strings.
fn sendable(body: &str) -> Cow<'_, str> {
    let refused = |character: char| match character {
        '\t' | '\n' | '\r' => false,
        other => matches!(other, '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}'),
    };
    if !body.contains(refused) {
        return Cow::Borrowed(body);
    }
    let mut text = String::with_capacity(body.len() + 16);
    for character in body.chars() {
        if refused(character) {
            text.extend(format!("\\u{:04x}", u32::from(character)).chars());
        } else {
            text.push(character);
        }
    }
    Cow::Owned(text)
}

#[expect(clippy::disallowed_methods, reason = "what the service leaves out because it is busy is not sent again at once")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
