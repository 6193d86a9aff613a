//! Writers of one process take turns at a stream.
//!
//! Without turns all of them would try for the same slot, all but one in vain, and each vain try is a call that is paid for. Writers of
//! other processes are not known here: against them, whoever finds a slot taken tries the next one. So turns save calls, and nothing
//! depends on them.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use futures::channel::oneshot::{Sender, channel};

use crate::domain::stream_id::StreamKey;

/// Who waits for a stream, in the order of coming. A stream that nobody writes to is not in it.
type Queues = Mutex<HashMap<StreamKey, VecDeque<Sender<Turn>>>>;

/// The turns at all streams.
#[derive(Default)]
pub(super) struct Turns(Arc<Queues>);

/// A turn at a stream. When it is dropped, the turn is the next one's.
pub(super) struct Turn {
    queues: Arc<Queues>,
    stream: StreamKey,
}

impl Turns {
    /// Waits for turns at all of these streams, and has them all.
    pub(super) async fn at(&self, streams: BTreeSet<StreamKey>) -> Vec<Turn> {
        let mut turns = Vec::with_capacity(streams.len());
        // One after the other in their order, so that no two wait for each other.
        for stream in streams {
            turns.push(self.one(stream).await);
        }
        turns
    }

    async fn one(&self, stream: StreamKey) -> Turn {
        let free = || Turn { queues: Arc::clone(&self.0), stream: stream.clone() };
        let waiting = {
            let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match queues.get_mut(&stream) {
                None => {
                    queues.insert(stream.clone(), VecDeque::new());
                    return free();
                }
                Some(queue) => {
                    let (sender, waiting) = channel();
                    queue.push_back(sender);
                    waiting
                }
            }
        };
        // Whoever has the turn hands it on, whatever happens to it.
        waiting.await.unwrap_or_else(|_| free())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            let queue = queues.get_mut(&self.stream);
            // Past all who have given up, be they ever so many.
            let next = queue.and_then(|queue| std::iter::from_fn(|| queue.pop_front()).find(|next| !next.is_canceled()));
            if next.is_none() {
                queues.remove(&self.stream);
            }
            next
        };
        if let Some(next) = next {
            // If it gives up just now, the turn is dropped, and goes to the next one so.
            drop(next.send(Self { queues: Arc::clone(&self.queues), stream: self.stream.clone() }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;

    use super::*;

    fn streams(names: &[&str]) -> BTreeSet<StreamKey> {
        names.iter().map(|name| StreamKey { organization: None, stream: name.parse().unwrap() }).collect()
    }

    #[tokio::test]
    async fn turns_at_a_stream_go_in_the_order_of_coming_and_past_who_has_given_up() {
        let turns = Turns::default();
        let first = turns.at(streams(&["order:1"])).await;
        let mut second = Box::pin(turns.at(streams(&["order:1"])));
        let mut third = pin!(turns.at(streams(&["order:1"])));
        assert!(poll!(&mut second).is_pending());
        assert!(poll!(&mut third).is_pending());
        drop(first);
        // The second has the turn by now, but has never looked.
        drop(second);
        let third = third.await;
        let mut fourth = pin!(turns.at(streams(&["order:1"])));
        assert!(poll!(&mut fourth).is_pending());
        drop(third);
        drop(fourth.await);
        assert!(turns.0.lock().unwrap().is_empty(), "nothing is left of streams that nobody writes to");
    }

    #[tokio::test]
    async fn however_many_have_given_up_the_next_one_has_its_turn() {
        let turns = Turns::default();
        let first = turns.at(streams(&["order:1"])).await;
        for _ in 0..100_000 {
            assert!(poll!(pin!(turns.at(streams(&["order:1"])))).is_pending());
        }
        let mut last = pin!(turns.at(streams(&["order:1"])));
        assert!(poll!(&mut last).is_pending());
        drop(first);
        assert_eq!(last.await.len(), 1);
    }

    #[tokio::test]
    async fn writers_of_several_streams_wait_for_each_other_in_no_circle() {
        let turns = Turns::default();
        let other = turns.at(streams(&["order:3"])).await;
        let mut both = pin!(turns.at(streams(&["order:2", "order:1"])));
        let both = match poll!(&mut both) {
            std::task::Poll::Ready(both) => both,
            std::task::Poll::Pending => panic!("nobody else writes there"),
        };
        let mut same = pin!(turns.at(streams(&["order:1", "order:2", "order:3"])));
        assert!(poll!(&mut same).is_pending());
        drop(both);
        assert!(poll!(&mut same).is_pending(), "the third stream is still another's");
        drop(other);
        assert_eq!(same.await.len(), 3);
    }
}
