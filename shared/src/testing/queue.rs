//! The contract of [`QueueSender`] and [`QueueReceiver`].

#[cfg(all(feature = "embedded", feature = "sqs"))]
pub mod fake_sqs;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::queue::{MessageOrder, Outgoing, Queue, Received, WorkQueue};
use crate::ports::queue::{QueueError, QueueReceiver, QueueSender};

/// A queue without an order.
const PLAIN: Queue = Queue::Work(WorkQueue::Deliver);
/// A queue with groups.
const FIFO: Queue = Queue::Work(WorkQueue::Process);
/// Short enough to wait for, and longer than a receive that finds nothing.
const SHORT: Duration = Duration::from_secs(2);
/// Longer than any clause takes.
const LONG: Duration = Duration::from_mins(5);
/// How often a service is asked that may not show at once all that it has.
const MOST_TRIES: usize = 30;

/// Empty queues, and a way to let their time pass.
#[async_trait]
pub trait TimedQueues: Send + Sync {
    /// The queues, to put messages into.
    fn sender(&self) -> &dyn QueueSender;

    /// The same queues, to take messages from.
    fn receiver(&self) -> &dyn QueueReceiver;

    /// Lets so much time pass.
    async fn pass(&self, time: Duration);
}

/// A body that says this number.
fn body(number: usize) -> String {
    format!("{{\"number\":{number}}}")
}

/// A message of this group, unlike any other.
fn of_group(group: &str, number: usize) -> Outgoing {
    let order = MessageOrder { group: group.to_owned(), deduplication: format!("{group}.{number}") };
    Outgoing::ordered(order, body(number))
}

fn bodies(received: &[Received]) -> Vec<&str> {
    received.iter().map(|message| message.body.as_str()).collect()
}

async fn send(queues: &dyn TimedQueues, queue: &Queue, messages: &[Outgoing]) {
    queues.sender().send(queue, messages).await.unwrap();
}

async fn remove(queues: &dyn TimedQueues, queue: &Queue, message: &Received) {
    queues.receiver().remove(queue, &message.receipt).await.unwrap();
}

/// What one receive gives that is expected to give something.
async fn receive(queues: &dyn TimedQueues, queue: &Queue, most: usize, hidden_for: Duration) -> Vec<Received> {
    for _ in 0..MOST_TRIES {
        let received = queues.receiver().receive(queue, most, hidden_for).await.unwrap();
        assert!(received.len() <= most, "no more than {most}: {received:?}");
        if !received.is_empty() {
            return received;
        }
    }
    panic!("{queue} gave nothing");
}

/// The only message that can be seen.
async fn receive_one(queues: &dyn TimedQueues, queue: &Queue, hidden_for: Duration) -> Received {
    let mut received = receive(queues, queue, 10, hidden_for).await;
    assert_eq!(received.len(), 1, "{received:?}");
    received.remove(0)
}

async fn assert_nothing_is_seen(queues: &dyn TimedQueues, queue: &Queue) {
    assert_eq!(queues.receiver().receive(queue, 10, LONG).await.unwrap(), []);
}

/// Receives and removes messages until there were so many.
async fn drain(queues: &dyn TimedQueues, queue: &Queue, count: usize) -> Vec<Received> {
    let mut drained = Vec::new();
    while drained.len() < count {
        for message in receive(queues, queue, 10, LONG).await {
            remove(queues, queue, &message).await;
            drained.push(message);
        }
    }
    drained
}

async fn assert_depth(queues: &dyn TimedQueues, queue: &Queue, depth: u64) {
    let mut seen = 0;
    for _ in 0..MOST_TRIES {
        seen = queues.receiver().depth(queue).await.unwrap();
        if seen == depth {
            return;
        }
        queues.pass(Duration::from_secs(1)).await;
    }
    panic!("{queue} has {seen} messages, not {depth}");
}

/// Takes a message as often as its queue hands it out, without ever dealing with it.
async fn use_up(queues: &dyn TimedQueues, queue: WorkQueue, most: usize) {
    for receives in 1..=queue.most_receives() {
        let received = receive(queues, &Queue::Work(queue), most, SHORT).await;
        assert!(received.iter().all(|message| message.receives == receives), "{received:?}");
        queues.pass(SHORT).await;
    }
}

/// Nothing of a message is lost or added.
pub async fn a_message_is_received_as_it_was_sent(queues: &dyn TimedQueues) {
    send(queues, &PLAIN, &[Outgoing::now(body(1))]).await;
    let received = receive_one(queues, &PLAIN, LONG).await;
    assert_eq!((received.body, received.group, received.receives), (body(1), None, 1));
    assert!(received.sent_at_ms > 0);

    send(queues, &FIFO, &[of_group("a", 1)]).await;
    let received = receive_one(queues, &FIFO, LONG).await;
    assert_eq!((received.body, received.group, received.receives), (body(1), Some("a".to_owned()), 1));
}

/// The service refuses some characters, which JSON can spell in another way.
pub async fn a_message_may_say_anything_that_json_can(queues: &dyn TimedQueues) {
    let said = "\u{0}\u{1f}\u{7f}\u{fffe}\u{ffff}\u{fdd0}\u{1f980}\u{10ffff}<&>\"\\ \r\n\tü";
    let sent = serde_json::json!({ said: [said, 1.5, null] });
    send(queues, &PLAIN, &[Outgoing::now(sent.to_string())]).await;
    let received = receive_one(queues, &PLAIN, LONG).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&received.body).unwrap(), sent);
}

/// However many they are, and however large.
pub async fn every_message_of_a_call_arrives(queues: &dyn TimedQueues) {
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(Outgoing::MAX_BYTES - 11));
    assert_eq!(large.len(), Outgoing::MAX_BYTES);
    let sent: Vec<_> = (0..23).map(|number| if number % 8 == 3 { large.clone() } else { body(number) }).collect();
    send(queues, &PLAIN, &sent.iter().cloned().map(Outgoing::now).collect::<Vec<_>>()).await;
    let received = drain(queues, &PLAIN, sent.len()).await;
    let mut arrived = bodies(&received);
    arrived.sort_unstable();
    let mut expected: Vec<_> = sent.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert!(arrived == expected, "the bodies differ");
    let ids: BTreeSet<_> = received.iter().map(|message| &message.id).collect();
    assert_eq!(ids.len(), sent.len());
    assert_nothing_is_seen(queues, &PLAIN).await;
}

/// No call is made for nothing.
pub async fn no_message_is_sent_as_well(queues: &dyn TimedQueues) {
    send(queues, &PLAIN, &[]).await;
    send(queues, &FIFO, &[]).await;
    assert_nothing_is_seen(queues, &PLAIN).await;
}

/// What is in one queue is in no other.
pub async fn queues_are_apart(queues: &dyn TimedQueues) {
    send(queues, &PLAIN, &[Outgoing::now(body(1))]).await;
    assert_nothing_is_seen(queues, &Queue::Work(WorkQueue::Retry)).await;
    assert_nothing_is_seen(queues, &Queue::DeadLetters(WorkQueue::Deliver)).await;
    assert_eq!(receive_one(queues, &PLAIN, LONG).await.body, body(1));
}

/// An empty message, or one with an order where there is none, fails alone and is never retried.
pub async fn a_message_that_no_queue_takes_is_refused(queues: &dyn TimedQueues) {
    let too_large = Outgoing::now("x".repeat(Outgoing::MAX_BYTES + 1));
    for (queue, refused) in [
        (PLAIN, Outgoing::now(String::new())),
        (PLAIN, too_large),
        (PLAIN, of_group("a", 1)),
        (FIFO, Outgoing::now(body(1))),
        (FIFO, of_group("a group with spaces", 1)),
    ] {
        let error = queues.sender().send(&queue, &[refused]).await.unwrap_err();
        assert!(matches!(error, QueueError::Refused { failed: 1, of: 1, .. }), "{error:?}");
    }
    assert_nothing_is_seen(queues, &PLAIN).await;
    assert_nothing_is_seen(queues, &FIFO).await;
}

/// A retry comes when it is due.
pub async fn a_delayed_message_is_not_seen_before_its_time(queues: &dyn TimedQueues) {
    send(queues, &PLAIN, &[Outgoing::after(SHORT, body(1)), Outgoing::now(body(2))]).await;
    assert_eq!(receive_one(queues, &PLAIN, LONG).await.body, body(2));
    queues.pass(SHORT).await;
    assert_eq!(receive_one(queues, &PLAIN, LONG).await.body, body(1));
}

/// Who died with a message in hand loses nothing.
pub async fn a_received_message_is_hidden_until_its_time_is_up(queues: &dyn TimedQueues) {
    send(queues, &PLAIN, &[Outgoing::now(body(1))]).await;
    let first = receive_one(queues, &PLAIN, SHORT).await;
    assert_nothing_is_seen(queues, &PLAIN).await;
    queues.pass(SHORT).await;
    let second = receive_one(queues, &PLAIN, LONG).await;
    assert_eq!((&second.id, &second.body, second.sent_at_ms), (&first.id, &first.body, first.sent_at_ms));
    assert_eq!(second.receives, 2);
    assert_ne!(second.receipt, first.receipt);
}

/// Also if somebody else removed it in between.
pub async fn a_removed_message_is_gone(queues: &dyn TimedQueues) {
    send(queues, &PLAIN, &[Outgoing::now(body(1))]).await;
    let message = receive_one(queues, &PLAIN, SHORT).await;
    remove(queues, &PLAIN, &message).await;
    remove(queues, &PLAIN, &message).await;
    queues.pass(SHORT).await;
    assert_nothing_is_seen(queues, &PLAIN).await;
    assert_depth(queues, &PLAIN, 0).await;
}

/// A backlog shows, whoever has it in hand.
pub async fn the_depth_counts_what_cannot_be_seen_too(queues: &dyn TimedQueues) {
    assert_depth(queues, &PLAIN, 0).await;
    send(queues, &PLAIN, &[Outgoing::now(body(1)), Outgoing::now(body(2)), Outgoing::after(LONG, body(3))]).await;
    assert_depth(queues, &PLAIN, 3).await;
    let received = receive(queues, &PLAIN, 1, LONG).await;
    assert_depth(queues, &PLAIN, 3).await;
    remove(queues, &PLAIN, &received[0]).await;
    assert_depth(queues, &PLAIN, 2).await;
}

/// Nothing is tried for ever, and nothing is thrown away.
pub async fn a_message_that_is_never_removed_ends_in_the_dead_letters(queues: &dyn TimedQueues) {
    let dead_letters = Queue::DeadLetters(WorkQueue::Deliver);
    send(queues, &PLAIN, &[Outgoing::now(body(1))]).await;
    use_up(queues, WorkQueue::Deliver, 1).await;
    assert_nothing_is_seen(queues, &PLAIN).await;
    let dead = receive_one(queues, &dead_letters, LONG).await;
    assert_eq!(dead.body, body(1));
    assert_depth(queues, &PLAIN, 0).await;
    remove(queues, &dead_letters, &dead).await;
    assert_depth(queues, &dead_letters, 0).await;
}

/// Groups are worked on side by side, each in its order.
pub async fn messages_of_a_group_come_in_their_order(queues: &dyn TimedQueues) {
    let sent: Vec<_> = (0..36).map(|number| of_group(["a", "b", "c"][number % 3], number)).collect();
    send(queues, &FIFO, &sent).await;
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in drain(queues, &FIFO, sent.len()).await {
        seen.entry(message.group.unwrap()).or_default().push(message.body);
    }
    for (index, group) in ["a", "b", "c"].into_iter().enumerate() {
        let expected: Vec<_> = (0..36).skip(index).step_by(3).map(body).collect();
        assert_eq!(seen[group], expected, "{group}");
    }
}

/// The next message must not overtake the one that is being dealt with.
pub async fn a_group_waits_while_one_of_its_messages_is_hidden(queues: &dyn TimedQueues) {
    send(queues, &FIFO, &[of_group("a", 1), of_group("a", 2)]).await;
    let first = receive(queues, &FIFO, 1, SHORT).await.remove(0);
    assert_eq!(first.body, body(1));
    assert_nothing_is_seen(queues, &FIFO).await;
    send(queues, &FIFO, &[of_group("a", 3), of_group("b", 4)]).await;
    assert_eq!(receive_one(queues, &FIFO, LONG).await.body, body(4));

    queues.pass(SHORT).await;
    let again = receive(queues, &FIFO, 1, LONG).await.remove(0);
    assert_eq!((&again.body, again.receives), (&body(1), 2));
    remove(queues, &FIFO, &again).await;
    assert_eq!(bodies(&drain(queues, &FIFO, 2).await), [body(2), body(3)]);
}

/// A batch may fail in part: what was dealt with does not come back, and the rest keeps its order.
pub async fn a_failed_message_comes_back_without_those_that_were_removed(queues: &dyn TimedQueues) {
    send(queues, &FIFO, &[of_group("a", 1), of_group("a", 2), of_group("a", 3)]).await;
    // An adapter may give one message of a group at a time.
    let batch = receive(queues, &FIFO, 2, SHORT).await;
    assert_eq!(batch[0].body, body(1));
    for done in &batch[1..] {
        remove(queues, &FIFO, done).await;
    }
    queues.pass(SHORT).await;
    let left: Vec<_> = [1, 2, 3].into_iter().filter(|number| *number == 1 || *number > batch.len()).map(body).collect();
    assert_eq!(bodies(&drain(queues, &FIFO, left.len()).await), left);
    assert_nothing_is_seen(queues, &FIFO).await;
}

/// Who cannot deal with a message now says when to try again.
pub async fn a_message_that_was_taken_is_seen_again_when_its_taker_says(queues: &dyn TimedQueues) {
    for (queue, first, second) in [(PLAIN, Outgoing::now(body(1)), None), (FIFO, of_group("a", 1), Some(of_group("a", 2)))] {
        send(queues, &queue, &[first]).await;
        let taken = receive_one(queues, &queue, LONG).await;
        if let Some(second) = second {
            send(queues, &queue, &[second]).await;
        }
        queues.receiver().hide(&queue, &taken.receipt, SHORT).await.unwrap();
        assert_nothing_is_seen(queues, &queue).await;
        queues.pass(SHORT).await;
        let again = receive(queues, &queue, 1, LONG).await.remove(0);
        assert_eq!((&again.body, again.receives), (&body(1), 2));
        remove(queues, &queue, &again).await;
        // A receipt that is spent hides nothing.
        queues.receiver().hide(&queue, &taken.receipt, LONG).await.unwrap();
    }
    assert_eq!(receive_one(queues, &FIFO, LONG).await.body, body(2));
}

/// A change of the table that is handed over twice is processed once.
pub async fn a_message_that_was_sent_already_is_taken_once(queues: &dyn TimedQueues) {
    let twin = Outgoing { body: body(9), ..of_group("a", 1) };
    send(queues, &FIFO, &[of_group("a", 1), twin.clone(), of_group("a", 2)]).await;
    assert_eq!(bodies(&drain(queues, &FIFO, 2).await), [body(1), body(2)]);
    send(queues, &FIFO, &[twin]).await;
    assert_nothing_is_seen(queues, &FIFO).await;
}

/// One commit that nobody can process does not stop its stream for ever.
pub async fn a_group_goes_on_when_its_oldest_message_is_a_dead_letter(queues: &dyn TimedQueues) {
    send(queues, &FIFO, &[of_group("a", 1), of_group("a", 2)]).await;
    use_up(queues, WorkQueue::Process, 1).await;
    let next = receive_one(queues, &FIFO, LONG).await;
    assert_eq!((&next.body, next.receives), (&body(2), 1));
    let dead = receive_one(queues, &Queue::DeadLetters(WorkQueue::Process), LONG).await;
    assert_eq!((dead.body, dead.group), (body(1), Some("a".to_owned())));
}

/// Every clause of the contract, for one adapter: an async function beside the call gives something
/// that dereferences to a [`TimedQueues`].
#[macro_export]
macro_rules! queue_contract {
    ($queues:ident) => {
        $crate::contract!(queue: $queues, [
            a_message_is_received_as_it_was_sent,
            a_message_may_say_anything_that_json_can,
            every_message_of_a_call_arrives,
            no_message_is_sent_as_well,
            queues_are_apart,
            a_message_that_no_queue_takes_is_refused,
            a_delayed_message_is_not_seen_before_its_time,
            a_received_message_is_hidden_until_its_time_is_up,
            a_removed_message_is_gone,
            the_depth_counts_what_cannot_be_seen_too,
            a_message_that_is_never_removed_ends_in_the_dead_letters,
            messages_of_a_group_come_in_their_order,
            a_group_waits_while_one_of_its_messages_is_hidden,
            a_failed_message_comes_back_without_those_that_were_removed,
            a_message_that_was_taken_is_seen_again_when_its_taker_says,
            a_message_that_was_sent_already_is_taken_once,
            a_group_goes_on_when_its_oldest_message_is_a_dead_letter,
        ]);
    };
}
