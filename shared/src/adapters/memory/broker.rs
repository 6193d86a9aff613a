//! A message broker in memory: for tests, which may have it fail.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::bridge::{BridgeMessage, BridgeStream, IncomingMessage, IngestFeed, MessageReceipt, Settlement};
use crate::ports::bridge_status::{BridgeStatus, BridgeStatusStore};
use crate::ports::message_broker::{BrokerCheck, BrokerError, MessagePublisher, MessageSource, NotPublished};
use crate::ports::store_error::StoreError;

/// A broker that keeps what is published, and gives what it is given.
#[derive(Debug, Default)]
pub struct MemoryBroker {
    feeds: Vec<IngestFeed>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    published: Vec<BridgeMessage>,
    known: BTreeSet<(BridgeStream, String)>,
    waiting: BTreeMap<IngestFeed, VecDeque<IncomingMessage>>,
    taken: BTreeMap<MessageReceipt, (IngestFeed, IncomingMessage)>,
    given: u64,
    /// After how many more messages it takes nothing, if it is to fail.
    fails_after: Option<usize>,
    /// Larger ones are not taken.
    most_bytes: Option<usize>,
}

impl MemoryBroker {
    /// A broker with messages of others.
    #[must_use]
    pub fn with_feeds(feeds: Vec<IngestFeed>) -> Self {
        Self { feeds, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was published, in its order.
    #[must_use]
    pub fn published(&self) -> Vec<BridgeMessage> {
        self.state().published.clone()
    }

    /// Forgets everything that was published, as a broker does that has lost its disk.
    pub fn wipe(&self) {
        let mut state = self.state();
        state.published.clear();
        state.known.clear();
    }

    /// Takes so many more messages, and then nothing at all.
    pub fn fail_after(&self, more: usize) {
        self.state().fails_after = Some(more);
    }

    /// Works again.
    pub fn recover(&self) {
        self.state().fails_after = None;
    }

    /// Takes no message of more bytes.
    pub fn take_at_most(&self, bytes: usize) {
        self.state().most_bytes = Some(bytes);
    }

    /// Has a message of another service wait in a feed.
    pub fn send(&self, feed: &IngestFeed, subject: &str, message_id: Option<&str>, body: &[u8]) {
        let mut state = self.state();
        state.given += 1;
        let message = IncomingMessage {
            receipt: MessageReceipt(String::new()),
            subject: subject.to_owned(),
            place: format!("{}:{}", feed.stream, state.given),
            message_id: message_id.map(str::to_owned),
            origin: None,
            trace: None,
            published_at: None,
            omitted: false,
            deliveries: 0,
            body: body.to_vec(),
        };
        state.waiting.entry(feed.clone()).or_default().push_back(message);
    }

    /// Gives everything again that was taken and not settled.
    pub fn redeliver(&self) {
        let mut state = self.state();
        let taken = std::mem::take(&mut state.taken);
        for (feed, message) in taken.into_values().rev() {
            state.waiting.entry(feed).or_default().push_front(message);
        }
    }
}

fn down() -> BrokerError {
    BrokerError("it was told to fail".to_owned())
}

#[async_trait]
impl MessagePublisher for MemoryBroker {
    async fn publish(&self, message: &BridgeMessage) -> Result<(), NotPublished> {
        let mut state = self.state();
        if state.most_bytes.is_some_and(|most| message.body.len() > most) {
            return Err(NotPublished::TooLarge(message.body.len()));
        }
        if state.fails_after == Some(0) {
            return Err(down().into());
        }
        if state.known.insert((message.stream, message.id.clone())) {
            state.fails_after = state.fails_after.map(|more| more - 1);
            state.published.push(message.clone());
        }
        Ok(())
    }
}

#[async_trait]
impl MessageSource for MemoryBroker {
    fn feeds(&self) -> &[IngestFeed] {
        &self.feeds
    }

    async fn fetch(&self, feed: &IngestFeed, most: usize, _wait: Duration) -> Result<Vec<IncomingMessage>, BrokerError> {
        let mut state = self.state();
        if state.fails_after == Some(0) {
            return Err(down());
        }
        let waiting = state.waiting.entry(feed.clone()).or_default();
        let count = most.min(waiting.len());
        let mut taken: Vec<IncomingMessage> = waiting.drain(..count).collect();
        for message in &mut taken {
            message.deliveries += 1;
            message.receipt = MessageReceipt(format!("{}/{}", message.place, message.deliveries));
            state.taken.insert(message.receipt.clone(), (feed.clone(), message.clone()));
        }
        Ok(taken)
    }

    async fn settle(&self, settled: &[(MessageReceipt, Settlement)]) -> Result<(), BrokerError> {
        let mut state = self.state();
        if state.fails_after == Some(0) {
            return Err(down());
        }
        let mut again = Vec::new();
        for (receipt, settlement) in settled {
            match (state.taken.remove(receipt), settlement) {
                (Some(taken), Settlement::Again(_)) => again.push(taken),
                (Some(_) | None, Settlement::Done | Settlement::Never | Settlement::Again(_)) => {}
            }
        }
        for (feed, message) in again.into_iter().rev() {
            state.waiting.entry(feed).or_default().push_front(message);
        }
        Ok(())
    }

    async fn waiting(&self, feed: &IngestFeed) -> Result<u64, BrokerError> {
        let state = self.state();
        let taken = state.taken.values().filter(|(of, _)| of == feed).count();
        Ok((state.waiting.get(feed).map_or(0, VecDeque::len) + taken) as u64)
    }
}

#[async_trait]
impl BrokerCheck for MemoryBroker {
    async fn check(&self) -> Result<(), BrokerError> {
        if self.state().fails_after == Some(0) { Err(down()) } else { Ok(()) }
    }
}

/// How the bridge is, in memory.
#[derive(Debug, Default)]
pub struct MemoryBridgeStatus(Mutex<Option<BridgeStatus>>);

#[async_trait]
impl BridgeStatusStore for MemoryBridgeStatus {
    async fn save_bridge_status(&self, status: &BridgeStatus) -> Result<(), StoreError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(status.clone());
        Ok(())
    }

    async fn bridge_status(&self) -> Result<Option<BridgeStatus>, StoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
