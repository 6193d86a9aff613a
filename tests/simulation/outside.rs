//! What is not the table: queues, the bus, the broker, and receivers of webhooks.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use shared::domain::bridge::{BridgeMessage, BridgeStream, IncomingMessage, IngestFeed, MessageReceipt, Settlement};
use shared::domain::queue::{Outgoing, Queue, WorkQueue};
use shared::domain::webhook_url::WebhookUrl;
use shared::ports::clock::Clock as _;
use shared::ports::event_bus::{BusEntry, BusError, EventBus};
use shared::ports::message_broker::{BrokerCheck, BrokerError, MessagePublisher, MessageSource, NotPublished};
use shared::ports::queue::{QueueError, QueueSender};
use shared::ports::webhook_sender::{SendError, WebhookAnswer, WebhookRequest, WebhookSender};

use super::surroundings::{Flaw, Pause, Request, Surroundings, Weather};

#[async_trait]
impl QueueSender for Surroundings {
    async fn send(&self, queue: &Queue, messages: &[Outgoing]) -> Result<(), QueueError> {
        const FAILS: u32 = 150;
        let failed = || Err(QueueError::Unavailable { queue: queue.to_string(), source: "the queue had a bad moment".into() });
        Pause(false).await;
        if self.roll(FAILS) {
            return failed();
        }
        let dropped = self.flaw == Flaw::NothingHeld && *queue == Queue::Work(WorkQueue::Collect);
        let kept: Vec<Outgoing> = messages.iter().filter(|_| !self.loses() && !dropped).cloned().collect();
        self.queues.send(queue, &kept).await?;
        Pause(false).await;
        if self.roll(FAILS) { failed() } else { Ok(()) }
    }
}

impl Surroundings {
    fn loses(&self) -> bool {
        let mut weather = self.weather.lock().unwrap();
        weather.messages += 1;
        self.flaw == Flaw::LostMessages && weather.messages.is_multiple_of(20)
    }
}

#[async_trait]
impl EventBus for Surroundings {
    async fn put(&self, entries: &[BusEntry]) -> Result<(), BusError> {
        const FAILS: u32 = 100;
        let failed = || Err(BusError { failed: (0..entries.len()).collect(), reason: "the bus is away".to_owned() });
        Pause(false).await;
        if self.weather.lock().unwrap().bus_is_away || self.roll(FAILS) {
            return failed();
        }
        self.bus.put(entries).await?;
        Pause(false).await;
        if self.roll(FAILS) { failed() } else { Ok(()) }
    }
}

/// What a receiver does with a request.
#[derive(Debug, Clone, Copy)]
enum Reaction {
    Answer(u16),
    AskForRest(u64),
    Hang,
    TakeAndHang,
    Refuse,
    Garbage,
}

impl Weather {
    fn reaction(&mut self, url: &str) -> Reaction {
        if !self.storm {
            return Reaction::Answer(if is_dead(url) { 503 } else { 200 });
        }
        if self.away.contains(url) || is_dead(url) {
            return [Reaction::Answer(503), Reaction::Hang, Reaction::Refuse][self.dice.random_range(0..3_usize)];
        }
        match self.dice.random_range(0..200) {
            ..130 => Reaction::Answer(200),
            130..150 => Reaction::Answer(500),
            150..155 => Reaction::Answer(408),
            155..165 => Reaction::AskForRest(self.dice.random_range(1..2_000)),
            165..175 => Reaction::Hang,
            175..185 => Reaction::TakeAndHang,
            185..191 => Reaction::Refuse,
            191..196 => Reaction::Garbage,
            196..199 => Reaction::Answer(422),
            _ => Reaction::Answer(410),
        }
    }
}

/// Whether the receiver at this address never comes back.
pub(super) fn is_dead(url: &str) -> bool {
    url.contains("dead")
}

impl Surroundings {
    /// A request reaches its receiver.
    fn arrive(&self, request: Request) {
        let overtaken = {
            let mut weather = self.weather.lock().unwrap();
            if self.flaw == Flaw::Overtaking && request.taken && weather.overtaken.is_none() && weather.dice.random_bool(0.2) {
                weather.overtaken = Some(request);
                return;
            }
            weather.overtaken.take()
        };
        let late = overtaken.map(|overtaken| Request { moment: self.next(), ..overtaken });
        self.history().requests.extend([Some(request), late].into_iter().flatten());
    }
}

#[async_trait]
impl WebhookSender for Surroundings {
    async fn vet(&self, _url: &WebhookUrl) -> Result<(), SendError> {
        Ok(())
    }

    async fn send(&self, request: &WebhookRequest) -> Result<WebhookAnswer, SendError> {
        Pause(false).await;
        let url = request.url.as_str().to_owned();
        let (reaction, waited) = {
            let mut weather = self.weather.lock().unwrap();
            let reaction = weather.reaction(&url);
            let hangs = matches!(reaction, Reaction::Hang | Reaction::TakeAndHang);
            (reaction, hangs.then(|| Duration::from_secs(weather.dice.random_range(0..=request.timeout.as_secs()))))
        };
        let taken = matches!(reaction, Reaction::Answer(200..300) | Reaction::TakeAndHang);
        let (moment, began) = (self.next(), self.began.load(Ordering::Relaxed));
        let (headers, body) = (request.headers.clone(), request.body.clone());
        self.arrive(Request { moment, began, url, headers, body, taken });
        if let Some(waited) = waited {
            self.clock.set(self.clock.now().plus(waited));
        }
        Pause(false).await;
        let answer = |status: u16, retry_after: Option<Duration>| {
            Ok(WebhookAnswer { status, body: "whatever".to_owned(), retry_after, took: Duration::from_millis(5) })
        };
        match reaction {
            Reaction::Answer(status) => answer(status, None),
            Reaction::AskForRest(seconds) => answer(429, Some(Duration::from_secs(seconds))),
            Reaction::Hang | Reaction::TakeAndHang => Err(SendError::Timeout(request.timeout)),
            Reaction::Refuse => Err(SendError::Connection("nobody listens".into())),
            Reaction::Garbage => Err(SendError::Connection("what came is not HTTP".into())),
        }
    }
}

impl Surroundings {
    /// A call to the broker: it waits, may fail before it takes effect or after, and takes effect in one step.
    async fn call_broker<T, E: From<BrokerError>>(&self, effect: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        const FAILS: u32 = 100;
        let failed = || Err(BrokerError("the broker had a bad moment".to_owned()).into());
        Pause(false).await;
        if self.weather.lock().unwrap().broker_is_away || self.roll(FAILS) {
            return failed();
        }
        let done = effect.await;
        Pause(false).await;
        if self.roll(FAILS) { failed() } else { done }
    }

    /// Which message the broker gets now, if any, and which after it.
    fn overtake(&self, message: &BridgeMessage) -> [Option<BridgeMessage>; 2] {
        let mut weather = self.weather.lock().unwrap();
        if self.flaw != Flaw::LateMessages || message.stream != BridgeStream::Events {
            return [Some(message.clone()), None];
        }
        if weather.storm && weather.late.is_none() && weather.dice.random_bool(0.2) {
            weather.late = Some(message.clone());
            return [None, None];
        }
        [Some(message.clone()), weather.late.take()]
    }
}

#[async_trait]
impl MessagePublisher for Surroundings {
    async fn publish(&self, message: &BridgeMessage) -> Result<(), NotPublished> {
        self.call_broker(async {
            for message in self.overtake(message).into_iter().flatten() {
                self.broker.publish(&message).await?;
            }
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl MessageSource for Surroundings {
    fn feeds(&self) -> &[IngestFeed] {
        self.broker.feeds()
    }

    async fn fetch(&self, feed: &IngestFeed, most: usize, wait: Duration) -> Result<Vec<IncomingMessage>, BrokerError> {
        self.call_broker(async {
            let mut messages = self.broker.fetch(feed, most, wait).await?;
            for message in &mut messages {
                let number: usize = message.place.rsplit(':').next().unwrap().parse().unwrap();
                message.published_at = Some(self.history().sent[number - 1].0);
            }
            if self.flaw == Flaw::SettledEarly {
                let all: Vec<_> = messages.iter().map(|message| (message.receipt.clone(), Settlement::Done)).collect();
                self.broker.settle(&all).await?;
            }
            Ok(messages)
        })
        .await
    }

    async fn settle(&self, settled: &[(MessageReceipt, Settlement)]) -> Result<(), BrokerError> {
        self.call_broker(self.broker.settle(settled)).await
    }

    async fn waiting(&self, feed: &IngestFeed) -> Result<u64, BrokerError> {
        self.call_broker(self.broker.waiting(feed)).await
    }
}

#[async_trait]
impl BrokerCheck for Surroundings {
    async fn check(&self) -> Result<(), BrokerError> {
        self.call_broker(self.broker.check()).await
    }
}
