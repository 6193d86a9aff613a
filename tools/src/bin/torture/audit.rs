//! What is left: whether all that was acknowledged is everywhere, once, and in its order.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, consumer};
use futures::StreamExt as _;
use serde_json::{Value, json};
use shared::domain::signature::WebhookSecret;
use shared::testing::message_broker::nats_server::NatsServer;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tools::http_client::{HttpClient, body};
use tools::receiver::{self, Signature, Webhook};

use crate::TortureError;
use crate::writers::Acknowledged;

/// How long it may take until everything has come to its end.
const PATIENCE: Duration = Duration::from_mins(10);
/// How often one looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The secret of the receivers.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The most events of one answer.
const PAGE: u64 = 1000;

/// Ids in the order in which they first came, by stream.
type Order = BTreeMap<String, Vec<String>>;

/// What came to a receiver.
#[derive(Debug, Default)]
struct Arrived {
    seen: BTreeSet<String>,
    order: Order,
    unsigned: usize,
}

impl Arrived {
    fn take(&mut self, webhook: &Webhook, secret: &WebhookSecret) {
        if webhook.signature(secret) != Signature::Good {
            self.unsigned += 1;
        }
        let event: Value = serde_json::from_slice(&webhook.body).unwrap_or_default();
        let text = |name: &str| event["data"][name].as_str().unwrap_or_default().to_owned();
        if self.seen.insert(text("event_id")) {
            self.order.entry(text("stream_id")).or_default().push(text("event_id"));
        }
    }
}

/// Who subscribes, and who processes.
pub(crate) struct Receiver {
    address: SocketAddr,
    arrived: Arc<Mutex<[Arrived; 2]>>,
    _serving: JoinSet<()>,
}

const PATHS: [&str; 2] = ["/subscriber", "/processor"];

impl Receiver {
    /// Listens at a free port.
    pub(crate) async fn listen() -> Result<Self, TortureError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let arrived: Arc<Mutex<[Arrived; 2]>> = Arc::default();
        let (takes, mut serving) = (Arc::clone(&arrived), JoinSet::new());
        let secret = WebhookSecret::from_text(SECRET.to_owned());
        serving.spawn(async move {
            let Ok(secret) = secret else { return };
            let take = move |webhook: Webhook| {
                let who = usize::from(webhook.path == PATHS[1]);
                takes.lock().unwrap_or_else(PoisonError::into_inner)[who].take(&webhook, &secret);
            };
            receiver::serve(listener, take).await.unwrap_or_default();
        });
        Ok(Self { address, arrived, _serving: serving })
    }

    /// Where it is.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whoever is to reach it does so there from now on.
    pub(crate) const fn is_reached_at(&mut self, address: SocketAddr) {
        self.address = address;
    }

    /// Has every event delivered in the order of its stream, and processed.
    pub(crate) async fn subscribe(&self, client: &HttpClient) -> Result<(), TortureError> {
        let [subscriber, processor] = PATHS.map(|path| format!("http://{}{path}", self.address));
        let subscription = json!({"subscriber_name": "torture", "event_types": ["order.*"], "callback_url": subscriber,
            "webhook_secret": SECRET, "ordering": "stream"});
        let processor = json!({"processor_name": "torture", "processor_type": "webhook", "config": {"url": processor, "secret": SECRET}});
        for (path, wanted) in [("/api/v1/events/subscriptions", subscription), ("/api/v1/events/processors", processor)] {
            let answer = client.post(path, body(&wanted)?).await?;
            if !answer.status.is_success() {
                return Err(TortureError::Refused { path, status: answer.status.as_u16(), detail: answer.detail() });
            }
        }
        Ok(())
    }
}

/// One claim, and what speaks against it.
struct Finding {
    claim: &'static str,
    count: usize,
    missing: usize,
    surplus: usize,
    disorder: usize,
}

/// The claims.
pub(crate) struct Audit {
    acknowledged: usize,
    findings: Vec<Finding>,
}

impl Audit {
    /// Waits until all has come to its end, and looks everywhere.
    pub(crate) async fn of(
        client: &HttpClient,
        receiver: &Receiver,
        nats: &NatsServer,
        acknowledged: &Acknowledged,
    ) -> Result<Self, TortureError> {
        let began = Instant::now();
        while !is_at_rest(client, acknowledged.len()).await {
            if began.elapsed() > PATIENCE {
                eprintln!("It has not come to rest within {} s: the audit goes by what there is.", PATIENCE.as_secs());
                break;
            }
            tools::rest(LOOK_EVERY).await;
        }
        let stored = stored(client, acknowledged).await?;
        let published = published(nats).await?;
        let [delivered, processed] = std::mem::take(&mut *receiver.arrived.lock().unwrap_or_else(PoisonError::into_inner));
        let mut findings =
            vec![Finding::new("stored", acknowledged, &stored, &stored), Finding::new("published", acknowledged, &published, &stored)];
        for (claim, arrived) in [("delivered", &delivered), ("processed", &processed)] {
            let finding = Finding::new(claim, acknowledged, &arrived.order, &stored);
            findings.push(Finding { surplus: finding.surplus + arrived.unsigned, ..finding });
        }
        if let Some(finding) = findings.last_mut() {
            finding.disorder = disorder_but_for_retries(client, processed.order, stored).await?;
        }
        let counted = statistics(client).await.map_or(0, |statistics| statistics["total_events"].as_u64().unwrap_or_default());
        let counted = usize::try_from(counted).unwrap_or(usize::MAX);
        findings.push(Finding {
            claim: "counted",
            count: counted,
            missing: acknowledged.len().saturating_sub(counted),
            surplus: counted.saturating_sub(acknowledged.len()),
            disorder: 0,
        });
        Ok(Self { acknowledged: acknowledged.len(), findings })
    }

    /// Whether nothing speaks against any claim.
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.iter().all(Finding::is_clean)
    }

    /// A table of it.
    pub(crate) fn show(&self) {
        let colored = std::io::stdout().is_terminal() && tools::environment("NO_COLOR").is_none();
        println!("\n{:<14}{:>10}{:>10}{:>10}{:>14}", "", "events", "missing", "surplus", "out of order");
        println!("{:<14}{:>10}", "acknowledged", self.acknowledged);
        for finding in &self.findings {
            let Finding { claim, count, missing, surplus, disorder } = finding;
            let line = format!("{claim:<14}{count:>10}{missing:>10}{surplus:>10}{disorder:>14}");
            match (colored, finding.is_clean()) {
                (true, false) => println!("\u{1b}[31m{line}\u{1b}[0m"),
                (true | false, _) => println!("{line}"),
            }
        }
        println!("\n{}", if self.is_clean() { "Nothing is lost, doubled or out of order." } else { "The service did not keep its word." });
    }
}

impl Finding {
    fn new(claim: &'static str, acknowledged: &Acknowledged, found: &Order, stored: &Order) -> Self {
        let all: Vec<&String> = found.values().flatten().collect();
        let ids: BTreeSet<&String> = all.iter().copied().collect();
        let missing = acknowledged.keys().filter(|id| !ids.contains(id)).count();
        let known = ids.iter().filter(|id| acknowledged.contains_key(**id)).count();
        let disorder = disorder(found, stored);
        Self { claim, count: ids.len(), missing, surplus: all.len() - known, disorder }
    }

    const fn is_clean(&self) -> bool {
        self.missing == 0 && self.surplus == 0 && self.disorder == 0
    }
}

/// How many streams are in another order.
fn disorder(found: &Order, stored: &Order) -> usize {
    found.iter().filter(|(stream, order)| stored.get(*stream) != Some(*order)).count()
}

/// How many streams were processed in another order. A processor that fails is tried again later, alone, while the events after this one
/// go on: so of streams that are out of order, those events are left out on both sides that it was tried with more than once.
async fn disorder_but_for_retries(client: &HttpClient, mut processed: Order, mut stored: Order) -> Result<usize, TortureError> {
    for (stream, order) in &mut processed {
        let Some(expected) = stored.get_mut(stream) else { continue };
        if order == expected {
            continue;
        }
        let mut retried = BTreeSet::new();
        for id in &*order {
            let answer: Value = client.get(&format!("/api/v1/events/{id}/results")).await?.json()?;
            if answer["results"].as_array().is_some_and(|results| results.len() > 1) {
                retried.insert(id.clone());
            }
        }
        order.retain(|id| !retried.contains(id));
        expected.retain(|id| !retried.contains(id));
    }
    Ok(disorder(&processed, &stored))
}

async fn statistics(client: &HttpClient) -> Option<Value> {
    client.get("/api/v1/events/statistics").await.ok()?.json().ok()
}

/// Whether every event is counted and processed, and nothing waits in a queue.
async fn is_at_rest(client: &HttpClient, events: usize) -> bool {
    let Some(statistics) = statistics(client).await else { return false };
    let processed = statistics["processed_events"].as_u64();
    let Ok(metrics) = client.get("/metrics").await else { return false };
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let waits = metrics.lines().any(|line| line.starts_with("event_service_queue_messages{") && !line.ends_with(" 0"));
    processed == u64::try_from(events).ok() && !waits
}

/// What the streams hold.
async fn stored(client: &HttpClient, acknowledged: &Acknowledged) -> Result<Order, TortureError> {
    let streams: BTreeSet<&String> = acknowledged.values().collect();
    let mut stored = Order::new();
    for stream in streams {
        let ids = stored.entry(stream.clone()).or_default();
        loop {
            let from = ids.len() as u64 + 1;
            let answer: Value = client.get(&format!("/api/v1/events/stream/{stream}?from_version={from}&limit={PAGE}")).await?.json()?;
            let page: Vec<String> = answer["events"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|event| event["event_id"].as_str().map(str::to_owned))
                .collect();
            if page.is_empty() {
                break;
            }
            ids.extend(page);
        }
    }
    Ok(stored)
}

/// What NATS has.
async fn published(nats: &NatsServer) -> Result<Order, TortureError> {
    let failed = |error: &dyn std::fmt::Display| TortureError::Nats(error.to_string());
    let client = async_nats::connect(nats.url()).await.map_err(|error| failed(&error))?;
    let mut stream = jetstream::new(client).get_stream("EVENTS").await.map_err(|error| failed(&error))?;
    let count = stream.info().await.map_err(|error| failed(&error))?.state.messages;
    let config = consumer::pull::OrderedConfig::default();
    let consumer = stream.create_consumer(config).await.map_err(|error| failed(&error))?;
    let mut messages = consumer.messages().await.map_err(|error| failed(&error))?;
    let mut order = Order::new();
    for _ in 0..count {
        let Some(message) = messages.next().await else { break };
        let message = message.map_err(|error| failed(&error))?;
        let event: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        order.entry(text("stream_id")).or_default().push(text("event_id"));
    }
    Ok(order)
}
