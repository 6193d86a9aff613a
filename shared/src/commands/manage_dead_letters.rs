//! Lists dead letters, sends them to their queues again, or forgets them.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::bridge_events::group_of_work;
use super::dispatch_events::{delivery_messages, group_of, process_messages};
use super::resend_deliveries::{Run, begin_all_anew};
use crate::domain::access::Caller;
use crate::domain::dead_letter::{DeadLetter, DeadLetterFilter, DeadLetterId};
use crate::domain::delivery::DeliveryId;
use crate::domain::identifiers::SubscriptionId;
use crate::domain::queue::{MessageOrder, Outgoing, Queue, WorkQueue};
use crate::domain::stream_id::StreamKey;
use crate::domain::timestamp::Timestamp;
use crate::domain::work::{CollectWork, DeliverWork, DeliveryWork, NatsWork, ProcessWork};
use crate::ports::clock::Clock;
use crate::ports::dead_letters::DeadLetters;
use crate::ports::delivery_log::DeliveryLog;
use crate::ports::queue::{QueueError, QueueSender};
use crate::ports::random::Random;
use crate::ports::store_error::StoreError;

/// What managing dead letters needs.
#[derive(Clone, Copy)]
pub struct ManageDeadLettersPorts<'a> {
    /// Where they are kept.
    pub dead_letters: &'a dyn DeadLetters,
    /// Where deliveries are kept: those that are sent again begin anew.
    pub deliveries: &'a dyn DeliveryLog,
    /// Takes the work.
    pub queues: &'a dyn QueueSender,
    /// Says when.
    pub clock: &'a dyn Clock,
    /// Tells a message from the one before it.
    pub random: &'a dyn Random,
}

/// Why dead letters were not listed, sent or forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ManageDeadLettersError {
    /// There is no such letter, or the caller may not know of it.
    #[error("dead letter not found")]
    NotFound,
    /// A queue failed.
    #[error("a queue failed")]
    Queue(#[from] QueueError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

type Managing<T> = Result<T, ManageDeadLettersError>;

/// How many letters one call sends.
pub const MOST_REDRIVEN: usize = 1_000;
/// How many pages one call reads: pages may be empty and yet not be the last.
const MOST_PAGES: usize = 50;
/// How many items are written at a time.
const AT_ONCE: usize = 16;

/// A page of letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterPage {
    /// The letters, latest first.
    pub letters: Vec<DeadLetter>,
    /// After which one to go on, if there may be more.
    pub next: Option<DeadLetterId>,
}

/// The letters that match and that the caller may know of, latest first.
///
/// # Errors
/// [`ManageDeadLettersError::Store`] if the store failed.
pub async fn list_dead_letters(
    ports: &ManageDeadLettersPorts<'_>,
    caller: &Caller,
    mut filter: DeadLetterFilter,
    after: Option<DeadLetterId>,
    most: usize,
) -> Managing<DeadLetterPage> {
    filter.organization.clone_from(&caller.organization);
    let mut page = DeadLetterPage { letters: Vec::new(), next: after };
    for _ in 0..MOST_PAGES {
        let (letters, next) = ports.dead_letters.letters(&filter, page.next.as_ref(), most - page.letters.len()).await?;
        page.letters.extend(letters.into_iter().filter(|letter| caller.sees(letter.organization.as_ref())));
        page.next = next;
        if page.next.is_none() || page.letters.len() >= most {
            break;
        }
    }
    Ok(page)
}

/// What a redrive came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redriven {
    /// How many letters were sent.
    pub count: usize,
    /// Whether there may be more that match.
    pub has_more: bool,
}

/// Sends up to [`MOST_REDRIVEN`] of the letters that match to their queues again, oldest first, and removes them. A letter is
/// removed once it was sent: one that is sent twice does no harm.
///
/// # Errors
/// [`ManageDeadLettersError::NotFound`] if the filter names a letter that there is not. If the store or a queue failed, some
/// may have been sent, and are there still.
pub async fn redrive_dead_letters(
    ports: &ManageDeadLettersPorts<'_>,
    caller: &Caller,
    filter: DeadLetterFilter,
    run: Run,
) -> Managing<Redriven> {
    let is_named = filter.id.is_some();
    let DeadLetterPage { mut letters, next } = list_dead_letters(ports, caller, filter, None, MOST_REDRIVEN).await?;
    if is_named && letters.is_empty() {
        return Err(ManageDeadLettersError::NotFound);
    }
    let redriven = Redriven { count: letters.len(), has_more: next.is_some() && !is_named };
    if run == Run::Real {
        letters.reverse();
        send(ports, &letters).await?;
        let removed = stream::iter(letters).map(|letter| async move { ports.dead_letters.remove_letter(&letter.id).await });
        removed.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    }
    Ok(redriven)
}

/// Forgets a letter.
///
/// # Errors
/// [`ManageDeadLettersError::NotFound`] if there is none that the caller may know of.
pub async fn delete_dead_letter(ports: &ManageDeadLettersPorts<'_>, caller: &Caller, id: DeadLetterId) -> Managing<()> {
    let filter = DeadLetterFilter { id: Some(id), ..DeadLetterFilter::default() };
    let page = list_dead_letters(ports, caller, filter, None, 1).await?;
    let letter = page.letters.first().ok_or(ManageDeadLettersError::NotFound)?;
    Ok(ports.dead_letters.remove_letter(&letter.id).await?)
}

async fn send(ports: &ManageDeadLettersPorts<'_>, letters: &[DeadLetter]) -> Managing<()> {
    let now = ports.clock.now();
    let deliveries = letters.iter().filter_map(deliver_work).flat_map(|work| match work {
        DeliverWork::Events { subscription_id, deliveries } => {
            deliveries.into_iter().map(|work| (subscription_id.clone(), work.delivery_id)).collect::<Vec<_>>()
        }
        DeliverWork::Stream { .. } => Vec::new(),
    });
    // Several letters may be about one delivery.
    let deliveries: BTreeSet<(SubscriptionId, DeliveryId)> = deliveries.collect();
    begin_all_anew(ports.deliveries, deliveries.into_iter().collect(), now).await?;
    let mut messages: BTreeMap<WorkQueue, Vec<Outgoing>> = BTreeMap::new();
    for letter in letters {
        let again = format!("{:016x}", ports.random.number());
        messages.entry(letter.queue).or_default().extend(messages_of(letter, &again, now));
    }
    for (queue, messages) in messages {
        ports.queues.send(&Queue::Work(queue), &messages).await?;
    }
    Ok(())
}

fn deliver_work(letter: &DeadLetter) -> Option<DeliverWork> {
    match letter.queue {
        WorkQueue::Deliver => serde_json::from_str(&letter.body).ok(),
        WorkQueue::Process | WorkQueue::Retry | WorkQueue::Collect | WorkQueue::Replay | WorkQueue::Nats => None,
    }
}

/// The messages that take a letter's work up again. What cannot be read is sent as it is: it is for
/// those who take it to say what is wrong with it. `again` tells it from the same message before.
fn messages_of(letter: &DeadLetter, again: &str, now: Timestamp) -> Vec<Outgoing> {
    let as_it_is = || Outgoing::now(letter.body.clone());
    match letter.queue {
        WorkQueue::Process => match serde_json::from_str::<ProcessWork>(&letter.body) {
            Ok(work) => process_messages(&StreamKey::from(&work.stream), &work.commits, again),
            Err(_) => {
                vec![Outgoing::ordered(MessageOrder { group: again.to_owned(), deduplication: again.to_owned() }, letter.body.clone())]
            }
        },
        WorkQueue::Collect => {
            let group = match serde_json::from_str::<CollectWork>(&letter.body) {
                Ok(CollectWork::Events(held)) => group_of(&StreamKey::from(&held.stream)),
                Ok(CollectWork::Rejected(_)) | Err(_) => again.to_owned(),
            };
            vec![Outgoing::ordered(MessageOrder { group, deduplication: again.to_owned() }, letter.body.clone())]
        }
        WorkQueue::Nats => {
            let group = serde_json::from_str::<NatsWork>(&letter.body).ok().and_then(|work| group_of_work(&work));
            let order = MessageOrder { group: group.unwrap_or_else(|| again.to_owned()), deduplication: again.to_owned() };
            vec![Outgoing::ordered(order, letter.body.clone())]
        }
        // What was given up says that its next attempt is the first; what its function never took says which one it is.
        WorkQueue::Retry | WorkQueue::Replay => vec![as_it_is()],
        WorkQueue::Deliver => match deliver_work(letter) {
            Some(DeliverWork::Events { subscription_id, deliveries }) => {
                let first = |work: DeliveryWork| DeliveryWork { attempt: 1, since: now, resend: true, ..work };
                delivery_messages(&subscription_id, &deliveries.into_iter().map(first).collect::<Vec<_>>())
            }
            Some(DeliverWork::Stream { .. }) | None => vec![as_it_is()],
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn letter(queue: WorkQueue, body: &Value) -> DeadLetter {
        DeadLetter {
            id: DeadLetterId("1".to_owned()),
            queue,
            organization: None,
            subscription: None,
            processor: None,
            event_id: None,
            reason: "x".to_owned(),
            attempts: 5,
            body: body.to_string(),
            parked_at: Timestamp::MIN,
        }
    }

    fn bodies(letter: &DeadLetter) -> Vec<Value> {
        let messages = messages_of(letter, "again", Timestamp::MIN);
        for message in &messages {
            assert_eq!(Queue::Work(letter.queue).takes(message), Ok(()));
        }
        messages.iter().map(|message| serde_json::from_str(&message.body).unwrap()).collect()
    }

    #[test]
    fn work_is_taken_up_again_and_deliveries_from_their_first_attempt_on() {
        let event = |more: Value| {
            let mut event = json!({"organization": "o", "stream_id": "order:1", "commit": 3, "index": 1});
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        let delivery = |attempt: u32, since: &str, resend: bool| {
            let mut delivery = event(json!({"delivery_id": format!("msg_{}", "0".repeat(40)), "attempt": attempt, "since": since}));
            if resend {
                delivery["resend"] = json!(true);
            }
            json!({"kind": "events", "subscription_id": "s", "deliveries": [delivery]})
        };
        let first = Timestamp::MIN.to_string();
        for (queue, body, expected) in [
            (
                WorkQueue::Process,
                json!({"organization": "o", "stream_id": "order:1", "commits": [1, 3]}),
                json!([{"organization": "o", "stream_id": "order:1", "commits": [1, 3]}]),
            ),
            (
                WorkQueue::Retry,
                event(json!({"processor_id": "p", "attempt": 4})),
                json!([event(json!({"processor_id": "p", "attempt": 4}))]),
            ),
            (WorkQueue::Deliver, delivery(8, "2026-11-23T12:00:00.000000Z", false), json!([delivery(1, &first, true)])),
            (
                WorkQueue::Deliver,
                json!({"kind": "stream", "subscription_id": "s", "stream_id": "order:1", "through": 9}),
                json!([{"kind": "stream", "subscription_id": "s", "stream_id": "order:1", "through": 9}]),
            ),
            (WorkQueue::Process, json!("nonsense"), json!(["nonsense"])),
            (WorkQueue::Retry, json!([1]), json!([[1]])),
            (WorkQueue::Deliver, json!({}), json!([{}])),
        ] {
            assert_eq!(json!(bodies(&letter(queue, &body))), expected, "{queue} {body}");
        }
    }

    #[test]
    fn commits_are_sent_to_the_group_of_their_stream_and_never_taken_for_those_sent_before() {
        let letter = letter(WorkQueue::Process, &json!({"stream_id": "order:1", "commits": [1]}));
        let order = |again: &str| messages_of(&letter, again, Timestamp::MIN).remove(0).order.unwrap();
        let (one, other) = (order("a"), order("b"));
        let stream = StreamKey { organization: None, stream: "order:1".parse().unwrap() };
        assert_eq!(one.group, crate::commands::dispatch_events::group_of(&stream));
        assert_eq!(one.group, other.group);
        assert_ne!(one.deduplication, other.deduplication);
    }
}
