//! How soon events are processed and delivered by the service as it runs: on the system's clock, with queues in a file, and with
//! receivers behind sockets, all in this process.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use hyper::StatusCode;
use hyper::body::Bytes;
use local::background::{self, Background};
use local::metrics::Metrics;
use local::server;
use local::tail::Tail;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::adapters::aws::Connection;
use shared::adapters::dynamodb::{DynamoEvents, Meter, TimeShards, connect, connect_metered, table};
use shared::adapters::embedded::{DataLocation, EmbeddedDynamo};
use shared::adapters::embedded_queues::{EmbeddedQueues, QueuesLocation};
use shared::adapters::memory::{MemoryBridgeStatus, MemoryBus};
use shared::adapters::nats::settings::{NatsSettings, NoNatsServer};
use shared::adapters::system::{SystemClock, SystemRandom, SystemTimer};
use shared::adapters::webhook::HttpWebhooks;
use shared::domain::access::ApiKeySecret;
use shared::domain::webhook_url::AllowedHosts;
use shared::ports::bridge_status::BridgeStatusStore;
use shared::ports::random::Random as _;
use shared::testing::message_broker::nats_server::NatsServer;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tools::http_client::{HttpClient, body};
use tools::receiver::{self, Webhook};

use crate::BenchError;
use crate::after;
use crate::operation::{BATCH, CREATE, Per};
use crate::report::{Measure, Part};
use crate::timing::{Cost, Pace, Samples};
use crate::wiring::Surroundings;
use tools::sample;

const PROCESSORS: &str = "/api/v1/events/processors";
const SUBSCRIPTIONS: &str = "/api/v1/events/subscriptions";

/// How many events come each second.
const RATE: u32 = 100;
/// How many users' streams they are in.
const STREAMS: u64 = 128;
/// How many receivers get everything at once.
const RECEIVERS: usize = 32;
/// How many events they get, for each second of the pace.
const EVENTS_A_SECOND: u64 = 20;
/// How many events are published, and taken in, at once for each second of the pace.
const NATS_EVENTS_A_SECOND: u64 = 500;
/// How long to wait for what is late.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often to look whether all is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The service, running.
struct Live {
    client: HttpClient,
    meter: Meter,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Result<(), BenchError>>,
    _folder: TempDir,
}

/// An event, and the moment just before it was sent.
type Created = HashMap<String, DateTime<Utc>>;

#[derive(Deserialize)]
struct EventInBody {
    event_id: String,
    processed_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct WebhookBody {
    data: EventInBody,
}

/// What a receiver got, and when.
type Arrival = (DateTime<Utc>, Bytes);

impl Live {
    async fn start() -> Result<Self, BenchError> {
        Self::bridged(None).await
    }

    /// The service with a bridge, if there is a server to publish on.
    async fn bridged(nats: Option<NatsSettings>) -> Result<Self, BenchError> {
        let folder = tempfile::tempdir().map_err(BenchError::Socket)?;
        let embedded = EmbeddedDynamo::open(DataLocation::Temporary).await?;
        let client = connect(Connection::local(embedded.endpoint()));
        table::create(&client, table::DEFAULT_NAME).await?;
        let meter = Meter::default();
        let ports = |client| DynamoEvents::new(client, table::DEFAULT_NAME.to_owned(), TimeShards::default());
        let (events, metered) = (ports(client), ports(connect_metered(Connection::local(embedded.endpoint()), meter.clone())));
        let clock = Arc::new(SystemClock);
        let queues = EmbeddedQueues::open(QueuesLocation::Folder(folder.path().to_owned()), clock.clone())?;
        let surroundings = Surroundings {
            clock: clock.clone(),
            timer: Arc::new(SystemTimer),
            random: Arc::new(SystemRandom),
            queues: queues.clone(),
            webhooks: Arc::new(HttpWebhooks::new(AllowedHosts::default().with_loopback(), clock)),
        };
        let key = ApiKeySecret::from_random(SystemRandom.secret());
        let mut app = surroundings.app(&metered, &key);
        let status: Arc<dyn BridgeStatusStore> = Arc::new(MemoryBridgeStatus::default());
        app.bridge = nats.as_ref().map(|_| status.clone());
        let mut background = Background::new(Arc::new(app), queues, Arc::new(MemoryBus::default()));
        background.bridge = nats.map(|settings| local::nats::bridge(settings, status, Metrics::default()));
        let background = Arc::new(background);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(BenchError::Socket)?;
        let url = format!("http://{}", listener.local_addr().map_err(BenchError::Socket)?);
        let (stop, stopped) = watch::channel(false);
        let mut stopping = stopped.clone();
        let runtime = Handle::current();
        // As in the service itself: connections are on all threads, what happens after the answers is on one.
        let serving = tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                // Counters are not metered here: they have rows of their own.
                let tail = Tail::new(&embedded, table::DEFAULT_NAME, &events, &background);
                let shutdown = async move { stopping.changed().await.unwrap_or_default() };
                let answering = async { tokio::join!(server::serve(listener, background.clone(), 0, shutdown), tail.follow(stopped)).0 };
                let served = tokio::select! {
                    served = answering => served,
                    () = background::run(&background) => Ok(()),
                };
                embedded.stop().await?;
                served.map_err(BenchError::Socket)
            })
        });
        Ok(Self { client: HttpClient::new(&url)?.with_key(key.reveal())?, meter, stop, serving, _folder: folder })
    }

    async fn stop(self) -> Result<(), BenchError> {
        let Self { client, meter: _, stop, serving, _folder } = self;
        drop(client);
        stop.send_replace(true);
        serving.await?
    }

    async fn post(&self, path: &'static str, wanted: &Value) -> Result<Value, BenchError> {
        let answer = self.client.post(path, body(wanted)?).await?;
        if answer.status != StatusCode::OK {
            return Err(BenchError::Refused { operation: path, status: answer.status, detail: answer.detail() });
        }
        Ok(answer.json()?)
    }

    /// Sends events at a steady rate, however long their answers take.
    async fn create_steadily(self: &Arc<Self>, time: Duration) -> Result<Created, BenchError> {
        let mut ticks = interval(Duration::from_secs(1) / RATE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut sending: JoinSet<Result<(String, DateTime<Utc>), BenchError>> = JoinSet::new();
        let began = Instant::now();
        let mut number = 0;
        while began.elapsed() < time {
            ticks.tick().await;
            let live = Arc::clone(self);
            let order = sample::order(&format!("live-{}", number % STREAMS), number);
            number += 1;
            sending.spawn(async move {
                let sent = tools::now();
                let answer = live.post(CREATE, &order).await?;
                Ok((answer["event_id"].as_str().unwrap_or_default().to_owned(), sent))
            });
        }
        let mut created = Created::new();
        while let Some(sent) = sending.join_next().await {
            let (id, at) = sent??;
            created.insert(id, at);
        }
        Ok(created)
    }
}

/// Receivers behind sockets, and what they got.
struct Receivers {
    urls: Vec<String>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    _serving: JoinSet<std::io::Result<()>>,
}

impl Receivers {
    async fn start(count: usize) -> Result<Self, BenchError> {
        let arrivals: Arc<Mutex<Vec<Arrival>>> = Arc::default();
        let (mut urls, mut serving) = (Vec::new(), JoinSet::new());
        for _ in 0..count {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(BenchError::Socket)?;
            urls.push(format!("http://{}/", listener.local_addr().map_err(BenchError::Socket)?));
            let arrivals = Arc::clone(&arrivals);
            serving.spawn(receiver::serve(listener, move |Webhook { at, body, .. }| {
                arrivals.lock().unwrap_or_else(PoisonError::into_inner).push((at, body));
            }));
        }
        Ok(Self { urls, arrivals, _serving: serving })
    }

    /// Waits until so many requests have come, and returns for each of them which event it brought, and when.
    async fn arrivals(&self, count: usize) -> Result<Vec<(String, DateTime<Utc>)>, BenchError> {
        let began = Instant::now();
        let arrived = || self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).len();
        while arrived() < count {
            if began.elapsed() > PATIENCE {
                return Err(BenchError::Late { what: "delivered", left: count - arrived(), events: count });
            }
            tools::rest(LOOK_EVERY).await;
        }
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let event = |(at, body): &Arrival| Ok((serde_json::from_slice::<WebhookBody>(body)?.data.event_id, *at));
        arrivals.iter().map(event).collect()
    }
}

/// Everything that is measured of the running service.
pub(crate) async fn measures(pace: &Pace) -> Result<Vec<Measure>, BenchError> {
    Ok(vec![
        created_to_processed(pace).await?,
        created_to_delivered("created_to_delivered", "none", pace).await?,
        created_to_delivered("created_to_delivered_in_order", "stream", pace).await?,
        deliveries(pace).await?,
    ]
    .into_iter()
    .chain(on_nats(pace).await?)
    .collect())
}

/// Events on NATS, as somebody who subscribes sees them.
struct Subscriber {
    client: async_nats::Client,
    /// When each came: by its id, or by what its sender calls it.
    arrivals: Arc<Mutex<Created>>,
    _hearing: JoinSet<()>,
}

impl Subscriber {
    async fn start(server: &NatsServer) -> Result<Self, BenchError> {
        let client = async_nats::connect(server.url()).await.map_err(|error| BenchError::Nats(error.to_string()))?;
        let mut messages = client.subscribe("events.backend.>").await.map_err(|error| BenchError::Nats(error.to_string()))?;
        client.flush().await.map_err(|error| BenchError::Nats(error.to_string()))?;
        let arrivals: Arc<Mutex<Created>> = Arc::default();
        let (heard, mut hearing) = (Arc::clone(&arrivals), JoinSet::new());
        hearing.spawn(async move {
            while let Some(message) = messages.next().await {
                let at = tools::now();
                let event: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
                let id = event["metadata"]["original_event_id"].as_str().or_else(|| event["event_id"].as_str());
                heard.lock().unwrap_or_else(PoisonError::into_inner).insert(id.unwrap_or_default().to_owned(), at);
            }
        });
        Ok(Self { client, arrivals, _hearing: hearing })
    }

    /// Waits until all of these have come, and says how long each took.
    async fn times(&self, sent: &Created) -> Result<Vec<Duration>, BenchError> {
        let began = Instant::now();
        loop {
            let times: Vec<Duration> = {
                let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
                sent.iter().filter_map(|(id, at)| Some(between(*at, *arrivals.get(id)?))).collect()
            };
            if times.len() == sent.len() {
                return Ok(times);
            }
            if began.elapsed() > PATIENCE {
                return Err(BenchError::Late { what: "published", left: sent.len() - times.len(), events: sent.len() });
            }
            tools::rest(LOOK_EVERY).await;
        }
    }
}

/// How soon events are on NATS, how many go out a second, and how many messages of others become events.
async fn on_nats(pace: &Pace) -> Result<Vec<Measure>, BenchError> {
    let server = NatsServer::start();
    let servers = server.url().parse().map_err(|error: NoNatsServer| BenchError::Nats(error.to_string()))?;
    let live = Arc::new(Live::bridged(Some(NatsSettings::at(servers))).await?);
    let subscriber = Subscriber::start(&server).await?;
    subscriber.times(&live.create_steadily(pace.warm_up).await?).await?;
    live.meter.reset();
    let began = Instant::now();
    let created = live.create_steadily(pace.steady).await?;
    let took = began.elapsed();
    let times = subscriber.times(&created).await?;
    let cost = Cost::of(live.meter.take(), created.len());
    let steadily = Samples { times, took }.measure((Part::After, format!("created_to_nats_{RATE}")), 0, Per::Event(1), cost);
    let (out, into) = (flood_out(&live, &subscriber, pace).await?, flood_in(&live, &subscriber, pace).await?);
    close(live).await?;
    Ok(vec![steadily, out, into])
}

/// As many events as fit a batch at once, until all of them are on NATS.
async fn flood_out(live: &Live, subscriber: &Subscriber, pace: &Pace) -> Result<Measure, BenchError> {
    live.meter.reset();
    let (began, mut created) = (Instant::now(), Created::new());
    for batch in 0..NATS_EVENTS_A_SECOND * pace.steady.as_secs() / 100 {
        let sent = tools::now();
        let answer = live.post(BATCH, &Value::Array(sample::orders(&format!("out-{batch}"), batch * 100, 100))).await?;
        let ids = answer.as_array().into_iter().flatten().filter_map(|event| event["event_id"].as_str());
        created.extend(ids.map(|id| (id.to_owned(), sent)));
    }
    let times = subscriber.times(&created).await?;
    let (took, cost) = (began.elapsed(), Cost::of(live.meter.take(), created.len()));
    Ok(Samples { times, took }.measure((Part::After, "nats_out".to_owned()), 0, Per::Event(1), cost))
}

/// Messages of another service, until all of them are events, which are on NATS again.
async fn flood_in(live: &Live, subscriber: &Subscriber, pace: &Pace) -> Result<Measure, BenchError> {
    live.meter.reset();
    let (began, mut sent) = (Instant::now(), Created::new());
    for number in 0..NATS_EVENTS_A_SECOND * pace.steady.as_secs() {
        let id = format!("in-{number}");
        let message = json!({"id": id, "type": "order.placed", "source": "bench", "data": {"user_id": format!("in-{}", number % STREAMS)}});
        let payload = message.to_string().into_bytes().into();
        subscriber.client.publish("events.ingest.order", payload).await.map_err(|error| BenchError::Nats(error.to_string()))?;
        sent.insert(id, tools::now());
    }
    let times = subscriber.times(&sent).await?;
    let (took, cost) = (began.elapsed(), Cost::of(live.meter.take(), sent.len()));
    Ok(Samples { times, took }.measure((Part::After, "nats_in_and_out".to_owned()), 0, Per::Event(1), cost))
}

async fn created_to_processed(pace: &Pace) -> Result<Measure, BenchError> {
    let live = Arc::new(Live::start().await?);
    live.post(PROCESSORS, &after::processor()).await?;
    live.create_steadily(pace.warm_up).await?;
    live.meter.reset();
    let began = Instant::now();
    let created = live.create_steadily(pace.steady).await?;
    let took = began.elapsed();
    // What is under way is still to be paid for.
    tools::rest(Duration::from_secs(1)).await;
    let usage = live.meter.take();
    let mut times = Vec::with_capacity(created.len());
    let began = Instant::now();
    for (id, sent) in &created {
        let processed_at = loop {
            let event: EventInBody = live.client.get(&format!("/api/v1/events/{id}")).await?.json()?;
            match event.processed_at {
                Some(at) => break at,
                None if began.elapsed() > PATIENCE => {
                    return Err(BenchError::Late { what: "processed", left: created.len() - times.len(), events: created.len() });
                }
                None => tools::rest(LOOK_EVERY).await,
            }
        };
        times.push(between(*sent, processed_at));
    }
    close(live).await?;
    let cost = Cost::of(usage, times.len());
    Ok(Samples { times, took }.measure((Part::After, format!("created_to_processed_{RATE}")), 0, Per::Event(1), cost))
}

async fn created_to_delivered(name: &str, ordering: &str, pace: &Pace) -> Result<Measure, BenchError> {
    let live = Arc::new(Live::start().await?);
    let receivers = Receivers::start(1).await?;
    for url in &receivers.urls {
        live.post(SUBSCRIPTIONS, &json!({"event_types": ["*"], "callback_url": url, "ordering": ordering})).await?;
    }
    let warm = live.create_steadily(pace.warm_up).await?.len();
    receivers.arrivals(warm).await?;
    live.meter.reset();
    let began = Instant::now();
    let created = live.create_steadily(pace.steady).await?;
    let took = began.elapsed();
    let arrivals = receivers.arrivals(warm + created.len()).await?;
    let cost = Cost::of(live.meter.take(), created.len());
    close(live).await?;
    let times = arrivals.iter().filter_map(|(id, at)| Some(between(*created.get(id)?, *at))).collect();
    Ok(Samples { times, took }.measure((Part::After, format!("{name}_{RATE}")), 0, Per::Event(1), cost))
}

/// As many events as fit a batch at once, each to many receivers.
async fn deliveries(pace: &Pace) -> Result<Measure, BenchError> {
    let live = Arc::new(Live::start().await?);
    let receivers = Receivers::start(RECEIVERS).await?;
    for (number, url) in receivers.urls.iter().enumerate() {
        live.post(SUBSCRIPTIONS, &json!({"subscriber_name": format!("bench-{number}"), "event_types": ["*"], "callback_url": url})).await?;
    }
    live.post(CREATE, &sample::order("warm", 0)).await?;
    receivers.arrivals(RECEIVERS).await?;
    live.meter.reset();
    let mut created = Created::new();
    let began = (Instant::now(), tools::now());
    for batch in 0..EVENTS_A_SECOND * pace.steady.as_secs() / 20 {
        let sent = tools::now();
        let answer = live.post(BATCH, &Value::Array(sample::orders(&format!("live-{batch}"), batch * 20, 20))).await?;
        let ids = answer.as_array().into_iter().flatten().filter_map(|event| event["event_id"].as_str());
        created.extend(ids.map(|id| (id.to_owned(), sent)));
    }
    let arrivals = receivers.arrivals(RECEIVERS * (1 + created.len())).await?;
    let cost = Cost::of(live.meter.take(), RECEIVERS * created.len());
    close(live).await?;
    let took = arrivals.iter().map(|(_, at)| between(began.1, *at)).max().unwrap_or_else(|| began.0.elapsed());
    let times = arrivals.iter().filter_map(|(id, at)| Some(between(*created.get(id)?, *at))).collect();
    Ok(Samples { times, took }.measure((Part::After, format!("deliver_to_{RECEIVERS}")), 0, Per::Delivery, cost))
}

fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    (to - from).to_std().unwrap_or_default()
}

async fn close(live: Arc<Live>) -> Result<(), BenchError> {
    match Arc::into_inner(live) {
        Some(live) => live.stop().await,
        None => Ok(()),
    }
}
