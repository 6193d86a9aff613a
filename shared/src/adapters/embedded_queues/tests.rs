use super::*;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures::FutureExt as _;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::domain::queue::{MessageOrder, WorkQueue};

const PLAIN: Queue = Queue::Work(WorkQueue::Deliver);
const FIFO: Queue = Queue::Work(WorkQueue::Process);
const MINUTE: Duration = Duration::from_mins(1);

/// A clock that stands still until it is moved.
struct StoppedClock(Mutex<Timestamp>);

impl StoppedClock {
    fn at_noon() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Timestamp::parse("2026-11-23T12:00:00Z").unwrap())))
    }

    fn pass(&self, time: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.plus_micros(i64::try_from(time.as_micros()).unwrap());
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

fn in_memory(clock: &Arc<StoppedClock>) -> EmbeddedQueues {
    EmbeddedQueues::open(QueuesLocation::Memory, Arc::clone(clock) as Arc<dyn Clock>).unwrap()
}

fn in_folder(folder: &Path, clock: &Arc<StoppedClock>) -> Result<EmbeddedQueues, EmbeddedQueuesError> {
    EmbeddedQueues::open(QueuesLocation::Folder(folder.join("data")), Arc::clone(clock) as Arc<dyn Clock>)
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn plain(text: &str) -> Outgoing {
    Outgoing::now(text.to_owned())
}

fn ordered(group: &str, text: &str) -> Outgoing {
    Outgoing::ordered(MessageOrder { group: group.to_owned(), deduplication: text.to_owned() }, text.to_owned())
}

fn bodies(received: &[Received]) -> Vec<&str> {
    received.iter().map(|message| message.body.as_str()).collect()
}

#[tokio::test]
async fn what_was_sent_survives_reopening() {
    let (folder, clock) = (folder(), StoppedClock::at_noon());
    let queues = in_folder(folder.path(), &clock).unwrap();
    queues.send(&PLAIN, &[plain("1"), Outgoing::after(MINUTE, "2".to_owned())]).await.unwrap();
    queues.send(&FIFO, &[ordered("a", "3")]).await.unwrap();
    drop(queues);

    let queues = in_folder(folder.path(), &clock).unwrap();
    assert_eq!(bodies(&queues.receive(&PLAIN, 10, MINUTE).await.unwrap()), ["1"], "the delay stays");
    assert_eq!(bodies(&queues.receive(&FIFO, 10, MINUTE).await.unwrap()), ["3"]);
    queues.send(&FIFO, &[ordered("a", "3")]).await.unwrap();
    assert_eq!(queues.depth(&FIFO).await.unwrap(), 1, "what was taken is remembered");
}

#[tokio::test]
async fn what_was_hidden_can_be_seen_after_reopening() {
    let (folder, clock) = (folder(), StoppedClock::at_noon());
    let queues = in_folder(folder.path(), &clock).unwrap();
    queues.send(&PLAIN, &[plain("1")]).await.unwrap();
    queues.send(&FIFO, &[ordered("a", "2"), ordered("a", "3")]).await.unwrap();
    assert_eq!(queues.receive(&PLAIN, 10, MINUTE).await.unwrap().len(), 1);
    assert_eq!(queues.receive(&FIFO, 1, MINUTE).await.unwrap().len(), 1);
    drop(queues);

    let queues = in_folder(folder.path(), &clock).unwrap();
    let received = queues.receive(&PLAIN, 10, MINUTE).await.unwrap();
    assert_eq!((bodies(&received), received[0].receives), (vec!["1"], 2));
    let received = queues.receive(&FIFO, 10, MINUTE).await.unwrap();
    assert_eq!(bodies(&received), ["2", "3"]);
    assert_eq!(received.iter().map(|message| message.receives).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test]
async fn a_folder_is_open_once() {
    let (folder, clock) = (folder(), StoppedClock::at_noon());
    let queues = in_folder(folder.path(), &clock).unwrap();
    let error = in_folder(folder.path(), &clock).unwrap_err();
    assert!(matches!(error, EmbeddedQueuesError::InUse { .. }), "{error:?}");
    drop(queues);
    in_folder(folder.path(), &clock).unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_created_is_an_error() {
    let (folder, clock) = (folder(), StoppedClock::at_noon());
    fs::write(folder.path().join("data"), "").unwrap();
    let error = in_folder(folder.path(), &clock).unwrap_err();
    assert!(matches!(error, EmbeddedQueuesError::Folder { .. }), "{error:?}");
}

#[tokio::test]
async fn a_receipt_of_an_earlier_hand_out_does_nothing() {
    for (queue, message) in [(PLAIN, plain("1")), (FIFO, ordered("a", "1"))] {
        let clock = StoppedClock::at_noon();
        let queues = in_memory(&clock);
        queues.send(&queue, &[message]).await.unwrap();
        let first = queues.receive(&queue, 1, MINUTE).await.unwrap().remove(0);
        clock.pass(MINUTE);
        let second = queues.receive(&queue, 1, MINUTE).await.unwrap().remove(0);
        for nothing in [&first.receipt, &Receipt(String::new()), &Receipt("1.x".to_owned())] {
            queues.remove(&queue, nothing).await.unwrap();
        }
        assert_eq!(queues.depth(&queue).await.unwrap(), 1);
        assert_eq!(queues.receive(&queue, 1, MINUTE).await.unwrap(), [], "it is still hidden");
        queues.remove(&Queue::Work(WorkQueue::Retry), &second.receipt).await.unwrap();
        assert_eq!(queues.depth(&queue).await.unwrap(), 1, "a receipt is good in its queue only");
        queues.remove(&queue, &second.receipt).await.unwrap();
        assert_eq!(queues.depth(&queue).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn the_same_text_is_taken_again_after_five_minutes() {
    let clock = StoppedClock::at_noon();
    let queues = in_memory(&clock);
    for (passed, depth) in [(0, 1), (299, 1), (1, 2)] {
        clock.pass(Duration::from_secs(passed));
        queues.send(&FIFO, &[ordered("a", "1")]).await.unwrap();
        assert_eq!(queues.depth(&FIFO).await.unwrap(), depth);
    }
}

#[tokio::test]
async fn a_call_with_a_refused_message_sends_nothing() {
    let queues = in_memory(&StoppedClock::at_noon());
    let error = queues.send(&PLAIN, &[plain("1"), plain(""), plain("")]).await.unwrap_err();
    assert!(matches!(error, QueueError::Refused { failed: 2, of: 3, .. }), "{error:?}");
    assert_eq!(queues.depth(&PLAIN).await.unwrap(), 0);
}

#[tokio::test]
async fn a_dead_letter_keeps_its_id_and_is_not_moved_again() {
    let clock = StoppedClock::at_noon();
    let queues = in_memory(&clock);
    queues.send(&PLAIN, &[plain("1")]).await.unwrap();
    let mut ids = BTreeSet::new();
    for _ in 0..WorkQueue::Deliver.most_receives() {
        ids.extend(queues.receive(&PLAIN, 1, Duration::ZERO).await.unwrap().into_iter().map(|message| message.id));
    }
    assert_eq!(queues.receive(&PLAIN, 1, MINUTE).await.unwrap(), []);
    let dead_letters = Queue::DeadLetters(WorkQueue::Deliver);
    for _ in 0..10 {
        ids.extend(queues.receive(&dead_letters, 1, Duration::ZERO).await.unwrap().into_iter().map(|message| message.id));
    }
    assert_eq!(ids.len(), 1);
    assert_eq!((queues.depth(&PLAIN).await.unwrap(), queues.depth(&dead_letters).await.unwrap()), (0, 1));
}

#[tokio::test]
async fn a_named_queue_is_made_on_demand_and_its_messages_are_never_dead_letters() {
    let queues = in_memory(&StoppedClock::at_noon());
    let named = Queue::Named("deliver".to_owned());
    assert_eq!(queues.depth(&named).await.unwrap(), 0);
    queues.send(&named, &[plain("1")]).await.unwrap();
    for receives in 1..20 {
        assert_eq!(queues.receive(&named, 1, Duration::ZERO).await.unwrap()[0].receives, receives);
    }
    assert_eq!(queues.depth(&PLAIN).await.unwrap(), 0, "the name is not that of our own queue");
}

#[tokio::test]
async fn a_poller_learns_when_the_next_message_can_be_seen() {
    let clock = StoppedClock::at_noon();
    let queues = in_memory(&clock);
    let minutes = |minutes: i64| Some(Timestamp::parse("2026-11-23T12:00:00Z").unwrap().plus_micros(minutes * 60_000_000));
    assert_eq!(queues.next_visible_at(&PLAIN).unwrap(), None);
    queues.send(&PLAIN, &[Outgoing::after(3 * MINUTE, "1".to_owned())]).await.unwrap();
    assert_eq!(queues.next_visible_at(&PLAIN).unwrap(), minutes(3));
    queues.send(&PLAIN, &[plain("2")]).await.unwrap();
    assert_eq!(queues.next_visible_at(&PLAIN).unwrap(), minutes(0));
    queues.receive(&PLAIN, 1, MINUTE).await.unwrap();
    assert_eq!(queues.next_visible_at(&PLAIN).unwrap(), minutes(1));

    queues.send(&FIFO, &[ordered("a", "1"), ordered("a", "2")]).await.unwrap();
    queues.receive(&FIFO, 1, MINUTE).await.unwrap();
    assert_eq!(queues.next_visible_at(&FIFO).unwrap(), minutes(1), "the second waits for the first");
}

#[tokio::test]
async fn an_arrival_wakes_who_waits_and_who_comes_after() {
    let clock = StoppedClock::at_noon();
    let queues = in_memory(&clock);
    let arrived = || queues.arrival(&PLAIN).now_or_never().is_some();
    assert!(!arrived());
    queues.send(&FIFO, &[ordered("a", "1")]).await.unwrap();
    assert!(!arrived(), "that was another queue");
    queues.send(&PLAIN, &[plain("1"), plain("2")]).await.unwrap();
    assert!(arrived());
    assert!(!arrived());
    queues.receive(&PLAIN, 1, MINUTE).await.unwrap();
    assert!(arrived(), "whoever receives something calls the next");
    queues.receive(&PLAIN, 10, MINUTE).await.unwrap();

    let waiting = tokio::spawn({
        let queues = queues.clone();
        async move { queues.arrival(&FIFO).await }
    });
    waiting.await.unwrap();
    let first = queues.receive(&FIFO, 1, MINUTE).await.unwrap().remove(0);
    assert!(queues.arrival(&FIFO).now_or_never().is_some());
    queues.remove(&FIFO, &first.receipt).await.unwrap();
    assert!(queues.arrival(&FIFO).now_or_never().is_some(), "the group goes on");
}

/// What somebody may do to a queue.
#[derive(Debug, Clone)]
enum Step {
    Send {
        group: usize,
        count: usize,
    },
    Receive {
        most: usize,
    },
    /// Removes one of the messages in hand.
    Remove(prop::sample::Index),
    /// Time is up for everything in hand.
    Fail,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3usize, 1..4usize).prop_map(|(group, count)| Step::Send { group, count }),
        (1..6usize).prop_map(|most| Step::Receive { most }),
        any::<prop::sample::Index>().prop_map(Step::Remove),
        Just(Step::Fail),
    ]
}

/// Every message by its group, the oldest first, with how often it was handed out.
#[derive(Default)]
struct Model {
    groups: BTreeMap<String, Vec<(String, u32)>>,
    dead: BTreeMap<String, Vec<String>>,
    in_hand: Vec<Received>,
}

impl Model {
    /// Whether a group has something to hand out and nothing in hand.
    fn has_something(&self) -> bool {
        let busy = |group: &String| self.in_hand.iter().any(|message| message.group.as_ref() == Some(group));
        let fresh = |waiting: &Vec<(String, u32)>| waiting.iter().any(|(_, receives)| *receives < WorkQueue::Process.most_receives());
        self.groups.iter().any(|(group, waiting)| !busy(group) && fresh(waiting))
    }

    /// What was received goes on from the oldest message of a group that has none in hand.
    fn received(&mut self, received: Vec<Received>) {
        let busy: BTreeSet<_> = self.in_hand.iter().filter_map(|message| message.group.clone()).collect();
        let mut next: BTreeMap<String, usize> = BTreeMap::new();
        for message in &received {
            let group = message.group.clone().unwrap();
            assert!(!busy.contains(&group), "{group} has a message in hand");
            let waiting = self.groups.get_mut(&group).unwrap();
            let place = next.entry(group.clone()).or_default();
            // Those that were handed out too often went to the dead letters on the way.
            while waiting[*place].1 >= WorkQueue::Process.most_receives() {
                self.dead.entry(group.clone()).or_default().push(waiting.remove(*place).0);
            }
            waiting[*place].1 += 1;
            assert_eq!((&message.body, message.receives), (&waiting[*place].0, waiting[*place].1));
            *place += 1;
        }
        self.in_hand.extend(received);
    }

    fn removed(&mut self, message: &Received) {
        self.groups.get_mut(message.group.as_ref().unwrap()).unwrap().retain(|(body, _)| *body != message.body);
    }
}

async fn keeps_order(steps: Vec<Step>) {
    let clock = StoppedClock::at_noon();
    let queues = in_memory(&clock);
    let mut model = Model::default();
    let mut sent = 0;
    for step in steps {
        match step {
            Step::Send { group, count } => {
                let group = group.to_string();
                let texts: Vec<_> = (sent..sent + count).map(|number| number.to_string()).collect();
                queues.send(&FIFO, &texts.iter().map(|text| ordered(&group, text)).collect::<Vec<_>>()).await.unwrap();
                model.groups.entry(group).or_default().extend(texts.into_iter().map(|text| (text, 0)));
                sent += count;
            }
            Step::Receive { most } => {
                let received = queues.receive(&FIFO, most, MINUTE).await.unwrap();
                assert!(received.len() <= most);
                assert!(!received.is_empty() || !model.has_something(), "nobody waits for nothing");
                model.received(received);
            }
            Step::Remove(index) if !model.in_hand.is_empty() => {
                let message = model.in_hand.remove(index.index(model.in_hand.len()));
                queues.remove(&FIFO, &message.receipt).await.unwrap();
                model.removed(&message);
            }
            Step::Remove(_) => {}
            Step::Fail => {
                clock.pass(MINUTE);
                model.in_hand.clear();
            }
        }
    }
    // Everything that is left comes out, each group in its order; the rest is among the dead letters, in its order too.
    clock.pass(MINUTE);
    model.in_hand.clear();
    loop {
        let received = queues.receive(&FIFO, 10, MINUTE).await.unwrap();
        if received.is_empty() {
            break;
        }
        model.received(received.clone());
        for message in received {
            queues.remove(&FIFO, &message.receipt).await.unwrap();
            model.removed(&message);
        }
        model.in_hand.clear();
    }
    assert_eq!(queues.depth(&FIFO).await.unwrap(), 0);
    for (group, waiting) in &mut model.groups {
        model.dead.entry(group.clone()).or_default().extend(waiting.drain(..).map(|(body, _)| body));
    }
    let mut dead: BTreeMap<String, Vec<String>> = model.dead.keys().map(|group| (group.clone(), Vec::new())).collect();
    loop {
        let received = queues.receive(&Queue::DeadLetters(WorkQueue::Process), 10, MINUTE).await.unwrap();
        if received.is_empty() {
            break;
        }
        for message in received {
            queues.remove(&Queue::DeadLetters(WorkQueue::Process), &message.receipt).await.unwrap();
            dead.entry(message.group.unwrap()).or_default().push(message.body);
        }
    }
    assert_eq!(dead, model.dead);
}

proptest! {
    /// Whatever is sent, received, removed and left to fail.
    #[test]
    fn a_group_keeps_its_order(steps in prop::collection::vec(step(), 0..60)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(keeps_order(steps));
    }
}
