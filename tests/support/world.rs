//! The service with all that happens after an answer, on the embedded store, on queues in memory and on a clock that tests move. Nothing
//! happens by itself: tests say when the stream is read, a queue is worked on, and time passes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use local::background::{Background, Bridge};
use serde_json::Value;
use shared::adapters::embedded_queues::{EmbeddedQueues, QueuesLocation};
use shared::adapters::memory::{MemoryBridgeStatus, MemoryBroker, MemoryBus};
use shared::commands::sweep::{SweepReach, Swept};
use shared::domain::bridge::IngestFeed;
use shared::domain::queue::{Queue, WorkQueue};

use crate::Store;
use crate::app::TestApp;
use crate::receivers::Receivers;

/// The service, its surroundings, and what tests move and look into.
pub struct World {
    /// The store.
    pub store: Store,
    /// The service as clients see it.
    pub app: TestApp,
    /// What happens after an answer.
    pub background: Background,
    /// Where webhooks go.
    pub receivers: Arc<Receivers>,
    /// The bus.
    pub bus: Arc<MemoryBus>,
    /// NATS, if there is a bridge.
    pub broker: Arc<MemoryBroker>,
    dispatched: Mutex<Option<String>>,
}

impl World {
    /// A new, empty one.
    ///
    /// # Panics
    /// If the store does not start.
    pub async fn open() -> Self {
        Self::with(None).await
    }

    /// A new, empty one with a bridge to a broker, which has messages of others in these feeds.
    ///
    /// # Panics
    /// If the store does not start.
    pub async fn bridged(feeds: Vec<IngestFeed>) -> Self {
        Self::with(Some(feeds)).await
    }

    #[expect(clippy::expect_used, reason = "a test without its world can only stop")]
    async fn with(feeds: Option<Vec<IngestFeed>>) -> Self {
        let store = Store::open().await;
        let clock = TestApp::stopped_clock();
        let queues = EmbeddedQueues::open(QueuesLocation::Memory, clock.clone()).expect("the queues open");
        let receivers = Arc::new(Receivers::new(clock.clone()));
        let mut app = TestApp::on_with(&store, clock, Arc::new(queues.clone()), receivers.clone());
        let bus = Arc::new(MemoryBus::default());
        let (bridged, broker) = (feeds.is_some(), Arc::new(MemoryBroker::with_feeds(feeds.unwrap_or_default())));
        let status = Arc::new(MemoryBridgeStatus::default());
        if bridged {
            app.app_mut().bridge = Some(status.clone());
        }
        let mut background = Background::new(app.app.clone(), queues, bus.clone());
        if bridged {
            background.bridge = Some(Bridge { broker: broker.clone(), status, own_name: "event-service".to_owned() });
        }
        Self { store, app, background, receivers, bus, broker, dispatched: Mutex::default() }
    }

    /// Hands what was stored since the last time to `dispatch-events`. Returns how many records there were.
    ///
    /// # Panics
    /// If it is not taken.
    #[expect(clippy::expect_used, reason = "a record that is not taken is a defect")]
    pub async fn dispatch(&self) -> usize {
        let after = self.dispatched.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let batch = self.store.records_after(after.as_deref(), 500).await;
        let count = batch.records.len();
        self.background.dispatch(batch.event()).await.expect("the records are taken");
        if batch.last_sequence.is_some() {
            *self.dispatched.lock().unwrap_or_else(PoisonError::into_inner) = batch.last_sequence;
        }
        count
    }

    /// Has the next dispatch start over from the first record, as after a crash.
    pub fn dispatch_again(&self) {
        *self.dispatched.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Works on a queue until nothing can be seen in it. Returns how many messages there were.
    ///
    /// # Panics
    /// If the queue fails.
    #[expect(clippy::expect_used, reason = "a queue in memory that fails is a defect")]
    pub async fn work(&self, queue: WorkQueue) -> usize {
        let mut worked = 0;
        loop {
            match self.background.take(queue, 10).await.expect("the queue is worked on") {
                0 => return worked,
                count => worked += count,
            }
        }
    }

    /// Does all there is to do at this moment, counters included.
    pub async fn settle(&self) {
        loop {
            let mut done = self.dispatch().await;
            for queue in WorkQueue::ALL {
                done += self.work(*queue).await;
            }
            if done == 0 {
                break;
            }
        }
        self.store.count().await;
    }

    /// Looks for what waits.
    ///
    /// # Panics
    /// If the store fails.
    #[expect(clippy::expect_used, reason = "a sweep that fails is a defect")]
    pub async fn sweep(&self, reach: SweepReach) -> Swept {
        self.background.sweep(reach).await.expect("the sweep gets through")
    }

    /// Lets time pass, from one moment at which there is something to do to the next, with a sweep at least every five minutes.
    ///
    /// # Panics
    /// If a queue fails.
    #[expect(clippy::expect_used, reason = "a queue in memory that fails is a defect")]
    pub async fn pass(&self, time: Duration) {
        let end = self.app.now().plus(time);
        loop {
            self.settle().await;
            let now = self.app.now();
            if now >= end {
                return;
            }
            let queues = WorkQueue::ALL.iter().map(|queue| Queue::Work(*queue));
            let due = queues.filter_map(|queue| self.background.queues.next_visible_at(&queue).expect("the queue answers")).min();
            let next = due.map_or(end, |due| due.max(now.plus(Duration::from_millis(1)))).min(end).min(now.plus(Duration::from_mins(5)));
            self.app.clock.set(next);
            if due.is_none_or(|due| due > next) {
                self.sweep(SweepReach::USUAL).await;
            }
        }
    }

    /// What was put on the bus of this type, as the particulars of the envelope.
    ///
    /// # Panics
    /// If it is no JSON.
    #[must_use]
    #[expect(clippy::expect_used, reason = "an entry that is no JSON is a defect")]
    pub fn told(&self, detail_type: &str) -> Vec<Value> {
        let (entries, _) = self.bus.entries_after(0);
        let of_type = entries.into_iter().filter(|entry| entry.detail_type == detail_type);
        of_type.map(|entry| serde_json::from_str(&entry.detail).expect("the detail is JSON")).collect()
    }
}
