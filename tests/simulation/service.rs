//! A service of two processes that are killed and started again, and what goes on in it at the same time.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use event_service_tests::StoppedClock;
use event_service_tests::app::{RepeatedRandom, TestApp};
use futures::executor::block_on;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request};
use local::app::{App, Checking, Stores};
use local::background::{Background, Bridge};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use shared::adapters::memory::{MemoryBridgeStatus, MemoryEvents, MemoryKeys, MemoryProjections, MemoryReplays};
use shared::commands::append::KnownHeads;
use shared::commands::check_schemas::SchemaGate;
use shared::commands::count_events::{CountEventsPorts, count_events};
use shared::commands::dispatch_events::dispatch_events;
use shared::commands::ingest_messages::ingest_messages;
use shared::commands::sweep::{SweepReach, Swept};
use shared::domain::counters::ShardId;
use shared::domain::queue::{Queue, WorkQueue};
use shared::domain::timestamp::Timestamp;
use shared::http::collect::settings::CollectSettings;
use shared::ports::clock::Clock;
use shared::ports::definition_store::{DefinitionStore as _, Freshness};
use shared::ports::delivery_log::DeliveryLog as _;
use shared::ports::message_broker::MessageSource as _;
use shared::ports::projection_store::ProjectionStore;
use shared::ports::queue::QueueReceiver as _;
use shared::queries::check_access::KeyCache;

use super::plan::{Move, Plan, Step};
use super::surroundings::{Flaw, Moment, SHARDS, Surroundings, feed};

/// How long a call of a function may take before it is killed, as on AWS.
const MOST_OF_A_CALL: Duration = Duration::from_mins(1);
/// How many calls are under way at the same time.
const AT_ONCE: usize = 3;

/// A call under way.
struct Call {
    began: Moment,
    at: Timestamp,
    process: usize,
    turns_left: Option<u32>,
    /// The listener and the shard that it works for, which nobody else works for meanwhile.
    listens: Option<(Listener, usize)>,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

/// Who hears the table's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listener {
    Dispatch,
    Count,
}

/// A clock that is ahead of the others.
struct Ahead {
    clock: Arc<StoppedClock>,
    by: Duration,
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        self.clock.now().plus(self.by)
    }
}

/// How far the listeners have heard each shard.
#[derive(Default)]
struct Heard {
    dispatch: [usize; SHARDS],
    count: [usize; SHARDS],
}

pub(super) struct Service {
    pub(super) surroundings: Arc<Surroundings>,
    clock: Arc<StoppedClock>,
    random: Arc<RepeatedRandom>,
    processes: [Arc<Background>; 2],
    /// How far the clock of each process is ahead.
    ahead: [Duration; 2],
    heard: Arc<Mutex<Heard>>,
    calls: Vec<Call>,
    dice: StdRng,
    flaw: Flaw,
    /// The ids of events that were acknowledged.
    pub(super) acknowledged: Arc<Mutex<Vec<String>>>,
    /// The marks of collected events that were taken.
    pub(super) taken: Arc<Mutex<Vec<String>>>,
    processors: Vec<String>,
}

fn process(
    surroundings: &Arc<Surroundings>,
    snapshots: Arc<dyn ProjectionStore>,
    clock: &Arc<StoppedClock>,
    ahead: Duration,
    random: &Arc<RepeatedRandom>,
) -> Arc<Background> {
    let all = || Arc::clone(surroundings);
    let status = Arc::new(MemoryBridgeStatus::default());
    let stores = Stores {
        log: all(),
        events: all(),
        keys: Arc::new(MemoryKeys::default()),
        definitions: all(),
        outcomes: all(),
        // Nobody asks for replays there, nor defines projections or schemas.
        timeline: Arc::new(MemoryEvents::default()),
        replays: Arc::new(MemoryReplays::default()),
        streams: all(),
        projections: Arc::new(MemoryEvents::default()),
        snapshots,
        schemas: Arc::new(MemoryEvents::default()),
        deliveries: all(),
        dead_letters: all(),
        rejected: all(),
        counters: all(),
    };
    let app = App {
        stores,
        gate: SchemaGate::default(),
        queues: all(),
        webhooks: all(),
        tokens: None,
        clock: Arc::new(Ahead { clock: clock.clone(), by: ahead }),
        timer: clock.clone(),
        random: random.clone(),
        heads: KnownHeads::default(),
        cache: KeyCache::new(None),
        access: Checking::Off,
        collect: CollectSettings::default(),
        rudderstack: None,
        bridge: Some(status.clone()),
        limits: None,
    };
    let mut background = Background::new(Arc::new(app), surroundings.queues.clone(), all());
    background.bridge = Some(Bridge { broker: all(), status, own_name: "event-service".to_owned() });
    Arc::new(background)
}

fn request(method: &str, path: &str, body: &Value) -> Request {
    lambda_http::http::Request::builder().method(method).uri(path).body(Body::from(body.to_string())).unwrap()
}

/// What a process answers, while nothing else goes on.
fn ask_process(process: &Background, method: &str, path: &str, body: &Value) -> Value {
    let answer = block_on(process.app.answer(request(method, path, body)));
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{method} {path} {body}: {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

/// What events are known by that their senders send again.
pub(super) fn marks(body: &Value) -> Vec<String> {
    let events = body["events"].as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
    events.iter().filter_map(|event| event["data"]["mark"].as_str().map(str::to_owned)).collect()
}

impl Service {
    /// A service with the subscriptions and processors of a plan.
    pub(super) fn open(plan: &Plan, seed: u64, flaw: Flaw) -> Self {
        let clock = TestApp::stopped_clock();
        let surroundings = Arc::new(Surroundings::new(clock.clone(), seed, flaw));
        let random = Arc::new(RepeatedRandom::new(seed));
        let mut dice = StdRng::seed_from_u64(seed ^ 0x7e57);
        // Machines agree on the time to within some seconds. Whoever switches a processor in that time is the exception to exact
        // counters (decision 0008): nobody does.
        let switches = plan.moves.iter().any(|planned| matches!(planned.step, Step::Switch { .. }));
        let differ = !switches && dice.random_bool(0.5);
        let ahead = [Duration::ZERO, Duration::from_millis(if differ { dice.random_range(0..3_000) } else { 0 })];
        let new_process = |ahead| process(&surroundings, surroundings.clone(), &clock, ahead, &random);
        let mut service = Self {
            processes: ahead.map(new_process),
            ahead,
            surroundings: surroundings.clone(),
            clock: clock.clone(),
            random: random.clone(),
            heard: Arc::default(),
            calls: Vec::new(),
            dice,
            flaw,
            acknowledged: Arc::default(),
            taken: Arc::default(),
            processors: Vec::new(),
        };
        for subscription in &plan.subscriptions {
            service.ask("POST", "/api/v1/events/subscriptions", subscription);
        }
        for processor in &plan.processors {
            let answer = service.ask("POST", "/api/v1/events/processors", processor);
            service.processors.push(answer["processor_id"].as_str().unwrap().to_owned());
        }
        service
    }

    /// Asks, while nothing else goes on.
    pub(super) fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.surroundings.goes_on(0);
        ask_process(&self.processes[0], method, path, body)
    }

    /// What a process answers that has no snapshots of anything.
    pub(super) fn ask_anew(&self, path: &str) -> Value {
        let process = process(&self.surroundings, Arc::new(MemoryProjections::default()), &self.clock, Duration::ZERO, &self.random);
        ask_process(&process, "GET", path, &Value::Null)
    }

    /// Does what is planned, and then lets everything that is under way come to an end.
    pub(super) fn endure(&mut self, moves: &[Move]) {
        self.surroundings.storm(true);
        for next in moves {
            while self.calls.len() >= AT_ONCE {
                self.turn();
            }
            self.begin(next);
            for _ in 0..next.turns {
                if self.calls.is_empty() {
                    break;
                }
                self.turn();
            }
        }
        self.finish();
        self.surroundings.storm(false);
    }

    /// Lets everything that is under way come to an end.
    fn finish(&mut self) {
        while !self.calls.is_empty() {
            self.turn();
        }
    }

    /// Lets one call go on, or end.
    fn turn(&mut self) {
        let chosen = self.dice.random_range(0..self.calls.len());
        let call = &mut self.calls[chosen];
        let late = self.clock.now().since(call.at).is_some_and(|took| took > MOST_OF_A_CALL);
        if late || call.turns_left == Some(0) {
            drop(self.calls.swap_remove(chosen));
            return;
        }
        call.turns_left = call.turns_left.map(|left| left - 1);
        self.surroundings.goes_on(call.began);
        if let Poll::Ready(()) = call.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            drop(self.calls.swap_remove(chosen));
        }
    }

    fn begin(&mut self, next: &Move) {
        let background = Arc::clone(&self.processes[next.process]);
        let mut listens = None;
        let future: Pin<Box<dyn Future<Output = ()>>> = match &next.step {
            Step::Ask { method, path, body } => {
                let (request, acknowledged) = (request(method, path, body), Arc::clone(&self.acknowledged));
                let collects = path.contains("/frontend");
                let records = !collects && (path.ends_with("/create") || path.ends_with("/batch"));
                let (taken, body) = (Arc::clone(&self.taken), body.clone());
                Box::pin(async move {
                    let answer = background.app.answer(request).await;
                    if collects && answer.status().is_success() {
                        taken.lock().unwrap().extend(marks(&body));
                    }
                    if records && answer.status() == StatusCode::OK {
                        let answer: Value = serde_json::from_slice(answer.body()).unwrap();
                        let events = answer["events"].as_array().cloned().unwrap_or_else(|| vec![answer]);
                        acknowledged
                            .lock()
                            .unwrap()
                            .extend(events.iter().filter_map(|event| event["event_id"].as_str().map(str::to_owned)));
                    }
                })
            }
            Step::Switch { processor } => {
                let path = format!("/api/v1/events/processors/{}/toggle", self.processors[*processor]);
                let request = request("PUT", &path, &json!({}));
                Box::pin(async move {
                    background.app.answer(request).await;
                })
            }
            Step::Dispatch { shard, back, most } => {
                listens = Some((Listener::Dispatch, *shard));
                let (shard, back, most) = (*shard, *back, *most);
                Box::pin(self.dispatching(background, shard, back, most))
            }
            Step::Count { shard, back, most } => {
                listens = Some((Listener::Count, *shard));
                Box::pin(self.counting(background, *shard, *back, *most))
            }
            Step::Ingest { most } => {
                let most = *most;
                Box::pin(async move {
                    let ports = background.bridging().unwrap();
                    // What was not settled comes again.
                    drop(ingest_messages(&ports.ingest, &feed(), most, Duration::ZERO).await);
                })
            }
            Step::OtherSends { body } => return self.surroundings.other_sends(body),
            Step::Redeliver => return self.surroundings.broker.redeliver(),
            Step::Broker { away } => return self.surroundings.broker_goes(*away),
            Step::Take { queue, most } => {
                let (queue, most) = (*queue, *most);
                Box::pin(async move {
                    // What was not dealt with is seen again after a while.
                    drop(background.take(queue, most).await);
                })
            }
            // A lost message is only found by a sweep.
            Step::Sweep { .. } if self.flaw == Flaw::LostMessages => return,
            Step::Sweep { whole_day } => {
                let reach = if *whole_day { SweepReach::DAY } else { SweepReach::USUAL };
                Box::pin(async move {
                    drop(background.sweep(reach).await);
                })
            }
            Step::Pass { seconds } => {
                self.finish();
                return self.clock.set(self.clock.now().plus(Duration::from_secs(*seconds)));
            }
            Step::Restart => {
                self.calls.retain(|call| call.process != next.process);
                self.processes[next.process] =
                    process(&self.surroundings, self.surroundings.clone(), &self.clock, self.ahead[next.process], &self.random);
                return;
            }
            Step::Receiver { url, away } => return self.surroundings.receiver_goes(url, *away),
            Step::Bus { away } => return self.surroundings.bus_goes(*away),
        };
        if listens.is_some() && self.calls.iter().any(|call| call.listens == listens) {
            return;
        }
        let (began, at) = (self.surroundings.now(), self.clock.now());
        self.calls.push(Call { began, at, process: next.process, turns_left: next.killed_after, listens, future });
    }

    fn dispatching(&self, background: Arc<Background>, shard: usize, back: usize, most: usize) -> impl Future<Output = ()> + use<> {
        let (surroundings, heard) = (Arc::clone(&self.surroundings), Arc::clone(&self.heard));
        async move {
            let from = heard.lock().unwrap().dispatch[shard].saturating_sub(back);
            let (noticed, end) = surroundings.noticed(shard, from, most);
            if dispatch_events(&background.dispatching(), noticed).await.is_ok() {
                let mut heard = heard.lock().unwrap();
                heard.dispatch[shard] = heard.dispatch[shard].max(end);
            }
        }
    }

    fn counting(&self, background: Arc<Background>, shard: usize, back: usize, most: usize) -> impl Future<Output = ()> + use<> {
        let (surroundings, heard) = (Arc::clone(&self.surroundings), Arc::clone(&self.heard));
        async move {
            let from = heard.lock().unwrap().count[shard].saturating_sub(back);
            let (changes, end) = surroundings.changes(shard, from, most);
            let ports = CountEventsPorts { counters: &*background.app.stores.counters, definitions: &*background.app.stores.definitions };
            if count_events(&ports, &ShardId(format!("shard-{shard}")), changes).await.is_ok() {
                let mut heard = heard.lock().unwrap();
                heard.count[shard] = heard.count[shard].max(end);
            }
        }
    }

    fn heard(&self, shard: usize) -> (usize, usize) {
        let heard = self.heard.lock().unwrap();
        (heard.dispatch[shard], heard.count[shard])
    }

    /// Does all there is to do at this moment. Returns whether there was anything.
    fn settle(&self) -> bool {
        const MOST: usize = 100;
        let background = &self.processes[0];
        let mut done = false;
        self.surroundings.goes_on(self.surroundings.now());
        for shard in 0..SHARDS {
            loop {
                let before = self.heard(shard);
                block_on(self.dispatching(background.clone(), shard, 0, MOST));
                block_on(self.counting(background.clone(), shard, 0, MOST));
                if self.heard(shard) == before {
                    break;
                }
                done = true;
            }
        }
        self.surroundings.broker.redeliver();
        if block_on(self.surroundings.broker.waiting(&feed())).unwrap() > 0 {
            let ports = background.bridging().unwrap();
            done |= block_on(ingest_messages(&ports.ingest, &feed(), MOST, Duration::ZERO)).unwrap().taken > 0;
        }
        for queue in WorkQueue::ALL {
            loop {
                self.surroundings.goes_on(self.surroundings.now());
                if block_on(background.take(*queue, 10)).unwrap() == 0 {
                    break;
                }
                done = true;
            }
        }
        done
    }

    /// Lets time pass until nothing is left to do.
    pub(super) fn rest(&self) -> Result<(), String> {
        const MOST_ROUNDS: usize = 2_000;
        let mut quiet = 0;
        for _ in 0..MOST_ROUNDS {
            while self.settle() {}
            let now = self.clock.now();
            let queues = WorkQueue::ALL.iter().map(|queue| Queue::Work(*queue));
            let visible = queues.filter_map(|queue| self.surroundings.queues.next_visible_at(&queue).unwrap()).min();
            let far = now.plus(Duration::from_hours(24 * 30));
            let due = block_on(self.surroundings.deliveries.due_deliveries(far, 1)).unwrap();
            let due = due.first().and_then(|(delivery, _)| delivery.due_at);
            let soon = now.plus(Duration::from_millis(1));
            self.clock.set(match visible.into_iter().chain(due).min() {
                Some(next) => next.max(soon),
                None => now.plus(Duration::from_mins(20)),
            });
            if due.is_none_or(|due| due > self.clock.now()) && visible.is_some() {
                continue;
            }
            if self.flaw == Flaw::LostMessages {
                quiet += 1;
            } else {
                let mut swept = block_on(self.processes[0].sweep(SweepReach::USUAL)).unwrap();
                if swept == Swept::default() {
                    swept = block_on(self.processes[0].sweep(SweepReach::DAY)).unwrap();
                }
                quiet = if swept == Swept::default() { quiet + 1 } else { 0 };
            }
            if quiet > 2 && self.waiting() == 0 {
                return Ok(());
            }
        }
        Err(format!("it never comes to rest: {} messages wait", self.waiting()))
    }

    fn waiting(&self) -> u64 {
        let all = WorkQueue::ALL.iter().flat_map(|queue| [Queue::Work(*queue), Queue::DeadLetters(*queue)]);
        all.map(|queue| block_on(self.surroundings.queues.depth(&queue)).unwrap()).sum()
    }

    pub(super) fn definitions(&self) -> Arc<shared::domain::definitions::Definitions> {
        block_on(self.surroundings.events.definitions(Freshness::Current)).unwrap()
    }

    pub(super) fn time(&self) -> Timestamp {
        self.clock.now()
    }
}
