#![cfg(all(feature = "embedded", feature = "testing"))]

use super::*;

use crate::adapters::embedded_queues::{EmbeddedQueues, QueuesLocation};
use crate::adapters::system::SystemClock;
use crate::domain::queue::{MessageOrder, Outgoing, WorkQueue};
use crate::ports::queue::QueueSender as _;
use crate::testing::queue::fake_sqs::{Failure, FakeSqs};

const PLAIN: Queue = Queue::Work(WorkQueue::Deliver);
const FIFO: Queue = Queue::Work(WorkQueue::Process);

fn fake() -> (FakeSqs, SqsQueues) {
    let fake = FakeSqs::new(EmbeddedQueues::open(QueuesLocation::Memory, Arc::new(SystemClock)).unwrap());
    let queues = SqsQueues::new(fake.client(), fake.urls());
    (fake, queues)
}

fn failure(body: &str, times: usize) -> Failure {
    Failure { body: body.to_owned(), times, sender_fault: false }
}

fn plain(body: &str) -> Outgoing {
    Outgoing::now(body.to_owned())
}

/// A message of the group that its first letter names.
fn ordered(body: &str) -> Outgoing {
    Outgoing::ordered(MessageOrder { group: body[..1].to_owned(), deduplication: body.to_owned() }, body.to_owned())
}

fn calls(fake: &FakeSqs) -> Vec<Vec<String>> {
    fake.calls().into_iter().map(|call| call.bodies).collect()
}

async fn bodies(queues: &SqsQueues, queue: &Queue) -> Vec<String> {
    let received = queues.receive(queue, 10, Duration::from_mins(1)).await.unwrap();
    received.into_iter().map(|message| message.body).collect()
}

#[tokio::test]
async fn messages_are_packed_up_to_the_limits_of_a_call() {
    let (fake, queues) = fake();
    queues.send(&PLAIN, &vec![plain("small"); 23]).await.unwrap();
    assert_eq!(calls(&fake).iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 3]);

    let (fake, queues) = self::fake();
    let half = plain(&"x".repeat(Outgoing::MAX_BYTES / 2));
    let whole = plain(&"x".repeat(Outgoing::MAX_BYTES));
    queues.send(&PLAIN, &[half.clone(), half.clone(), plain("small"), whole, half.clone(), plain("small")]).await.unwrap();
    assert_eq!(calls(&fake).iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 2]);
}

/// The second of them could be taken and the first not.
#[tokio::test]
async fn no_two_messages_of_a_group_are_in_one_call() {
    let (fake, queues) = fake();
    queues.send(&FIFO, &["a1", "a2", "b1", "a3", "c1", "b2"].map(ordered)).await.unwrap();
    assert_eq!(calls(&fake), [vec!["a1", "b1", "c1"], vec!["a2", "b2"], vec!["a3"]]);
}

#[tokio::test]
async fn a_message_that_was_left_out_is_sent_again() {
    let (fake, queues) = fake();
    fake.fail(failure("2", 2));
    queues.send(&PLAIN, &["1", "2", "3"].map(plain)).await.unwrap();
    assert_eq!(calls(&fake), [vec!["1", "2", "3"], vec!["2"], vec!["2"]]);
    assert_eq!(queues.depth(&PLAIN).await.unwrap(), 3);
}

#[tokio::test]
async fn a_message_that_is_left_out_again_and_again_is_given_up() {
    let (fake, queues) = fake();
    fake.fail(failure("2", usize::MAX));
    let error = queues.send(&PLAIN, &["1", "2", "3"].map(plain)).await.unwrap_err();
    assert_eq!(error.to_string(), "the queue deliver did not take 1 of 3 messages: 2 failed");
    assert_eq!(calls(&fake).len(), 4);
    assert_eq!(bodies(&queues, &PLAIN).await, ["1", "3"]);
}

#[tokio::test]
async fn a_message_that_the_service_refuses_is_not_sent_again() {
    let (fake, queues) = fake();
    fake.fail(Failure { sender_fault: true, ..failure("2", 1) });
    let error = queues.send(&PLAIN, &["1", "2", "3"].map(plain)).await.unwrap_err();
    assert!(matches!(error, QueueError::Refused { failed: 1, of: 3, .. }), "{error:?}");
    assert_eq!(calls(&fake).len(), 1);
}

#[tokio::test]
async fn no_message_overtakes_one_of_its_group_that_was_left_out() {
    let (fake, queues) = fake();
    fake.fail(failure("a1", 2));
    queues.send(&FIFO, &["a1", "a2", "b1", "b2"].map(ordered)).await.unwrap();
    assert_eq!(calls(&fake), [vec!["a1", "b1"], vec!["a1", "b2"], vec!["a1"], vec!["a2"]]);
    assert_eq!(bodies(&queues, &FIFO).await, ["b1", "b2", "a1", "a2"]);
}

#[tokio::test]
async fn a_message_that_is_given_up_takes_the_rest_of_its_group_with_it() {
    let (fake, queues) = fake();
    fake.fail(failure("a2", usize::MAX));
    let error = queues.send(&FIFO, &["a1", "a2", "a3", "b1", "a4", "b2"].map(ordered)).await.unwrap_err();
    assert_eq!(error.to_string(), "the queue process did not take 3 of 6 messages: a2 failed");
    assert_eq!(bodies(&queues, &FIFO).await, ["a1", "b1", "b2"]);
}

#[tokio::test]
async fn a_call_with_a_message_that_no_queue_takes_sends_nothing() {
    let (fake, queues) = fake();
    let error = queues.send(&PLAIN, &[plain("1"), plain("")]).await.unwrap_err();
    assert!(matches!(error, QueueError::Refused { failed: 1, of: 2, .. }), "{error:?}");
    assert_eq!(fake.calls(), []);
}

#[tokio::test]
async fn a_queue_that_is_not_configured_is_unknown() {
    let (fake, _) = fake();
    let queues = SqsQueues::new(fake.client(), QueueUrls::default());
    for queue in [PLAIN, Queue::DeadLetters(WorkQueue::Retry)] {
        let error = queues.send(&queue, &[plain("1")]).await.unwrap_err();
        assert!(matches!(error, QueueError::Unknown(_)), "{error:?}");
        assert!(matches!(queues.depth(&queue).await.unwrap_err(), QueueError::Unknown(_)));
    }
    assert_eq!(fake.calls(), []);
}

#[tokio::test]
async fn a_named_queue_is_found_by_its_url_or_once_by_its_name() {
    let (fake, queues) = fake();
    let url = fake.create("orders");
    for named in ["orders", &url, "orders"] {
        queues.send(&Queue::Named(named.to_owned()), &[plain(named)]).await.unwrap();
    }
    let operations: Vec<_> = fake.calls().into_iter().map(|call| call.operation).collect();
    assert_eq!(operations, ["GetQueueUrl", "SendMessageBatch", "SendMessageBatch", "SendMessageBatch"]);
    assert_eq!(queues.depth(&Queue::Named(url)).await.unwrap(), 3);
}

#[tokio::test]
async fn a_named_queue_that_does_not_exist_is_unknown() {
    let (_, queues) = fake();
    for named in ["orders", "https://sqs.test/1/orders"] {
        let error = queues.send(&Queue::Named(named.to_owned()), &[plain("1")]).await.unwrap_err();
        assert!(matches!(&error, QueueError::Unknown(name) if name == named), "{error:?}");
    }
}

#[test]
fn times_are_whole_seconds_and_no_less_than_asked_for() {
    for (millis, seconds) in [(0, 0), (1, 1), (1000, 1), (1001, 2)] {
        assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
    }
}
