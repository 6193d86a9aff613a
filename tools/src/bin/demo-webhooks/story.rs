//! What is shown, step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::DateTime;
use hyper::{Method, StatusCode};
use local::dev_key;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::adapters::system::SystemRandom;
use shared::domain::signature::WebhookSecret;
use shared::ports::random::Random as _;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use tools::http_client::{HttpClient, body};
use tools::receiver::Signature;

use crate::DemoError;
use crate::children::{Receiver, Service};
use crate::orders::{FLAGGED_FROM, Order, STREAMS, orders};
use crate::receiver::Arrival;
use crate::screen::Screen;
use crate::tally::Tally;

const CREATE: &str = "/api/v1/events/create";
const SUBSCRIPTIONS: &str = "/api/v1/events/subscriptions";
const PROCESSORS: &str = "/api/v1/events/processors";
const KEYS: &str = "/api/v1/keys";

/// What is ordered while the receiver is there, and while it is not.
const TOTALS: [&[u32]; 2] = [&[25, 1250, 80, 40, 60, 2000], &[15, 70, 1999, 1000, 30, 55, 12, 90, 45]];
/// How many attempts at an event are to be seen before the receiver comes back: fewer than stop the service from trying.
const ATTEMPTS: u64 = 3;
/// How long to wait for what should happen by itself: longer than the service rests after ten failures.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often the service is asked for what it tells nobody.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct Deliveries {
    deliveries: Vec<Delivery>,
}

#[derive(Deserialize)]
struct Delivery {
    event_id: String,
    event_type: String,
    attempt_count: u64,
    attempts: Vec<Attempt>,
    next_attempt_at: Option<String>,
}

#[derive(Deserialize)]
struct Attempt {
    at: String,
    error: Option<String>,
    status_code: Option<u16>,
}

/// The service, the screen, and what is known so far.
struct Story<'s> {
    client: HttpClient,
    screen: &'s mut Screen,
    /// Stream and version of the orders, by the ids of their events.
    placed: BTreeMap<String, String>,
    /// How many events there are.
    expected: usize,
    arriving: UnboundedReceiver<Arrival>,
    arrived: Vec<Arrival>,
}

/// Tells it. Returns whether all ended well.
pub(crate) async fn tell(service: Option<PathBuf>, screen: &mut Screen) -> Result<bool, DemoError> {
    let folder = tempfile::tempdir()?;
    screen.step("The service starts, with everything in memory").await;
    screen.command(format!("event-service --memory --port 0 --data-dir {}", folder.path().display()));
    let program = service.map_or_else(tools::service_beside_this_program, Ok)?;
    let service = Service::start(&program, folder.path()).await?;
    let client = key_of_its_own(screen, &service, &folder.path().join(dev_key::FILE)).await?;

    screen.step("A receiver starts, in a process of its own").await;
    let secret = WebhookSecret::generate(SystemRandom.secret());
    let (arrivals, arriving) = unbounded_channel();
    let receiver = Receiver::start(0, &secret, arrivals.clone()).await?;
    let port = receiver.port;
    screen.line(format!("process {} listens at http://127.0.0.1:{port} and checks every signature", receiver.process));

    let mut story = Story { client, screen, placed: BTreeMap::new(), expected: 0, arriving, arrived: Vec::new() };
    let subscription = story.subscribe(port, &secret).await?;
    story.flag_large_orders().await?;

    let [first, second] = TOTALS;
    story.screen.step("Orders are placed in three streams, and arrive signed").await;
    story.place(&orders(1, first)).await?;
    story.all_arrive().await?;

    story.screen.step("The receiver is killed, and orders go on being placed").await;
    story.screen.command(format!("kill -9 {}", receiver.process));
    receiver.kill();
    story.place(&orders(101, second)).await?;

    story.screen.step_at_once("The service tries again, in each stream only the event that is next");
    let mut shown = BTreeMap::new();
    story.see_failures(&subscription, &mut shown).await?;

    // Any later, and the service would rest for a while before it tries again.
    story.screen.step_at_once("The receiver is back, and gets what it has missed");
    let receiver = Receiver::start(port, &secret, arrivals).await?;
    story.screen.line(format!("process {} listens at http://127.0.0.1:{port}", receiver.process));
    story.all_arrive().await?;

    story.screen.step("What has arrived, in the order in which it did").await;
    let tally = story.tally(&subscription).await?;
    tally.show(story.screen);
    Ok(tally.is_whole())
}

/// Waits until the service is healthy, and makes a key with the one for development.
async fn key_of_its_own(screen: &Screen, service: &Service, dev_key: &Path) -> Result<HttpClient, DemoError> {
    let anybody = HttpClient::new(&service.url)?;
    let began = Instant::now();
    while !anybody.get("/health").await.is_ok_and(|answer| answer.status == StatusCode::OK) {
        if began.elapsed() > PATIENCE {
            return Err(DemoError::TooLong { what: "the service's first answer", patience: PATIENCE });
        }
        tools::rest(LOOK_EVERY).await;
    }
    screen.line(format!("{} is healthy", screen.good(&service.url)));
    let admin = anybody.with_key(&fs::read_to_string(dev_key)?)?;
    let wanted = json!({"name": "demo", "scopes": ["events:write", "events:read", "admin"]});
    screen.command(format!("export URL={} KEY=$(cat {})", service.url, dev_key.display()));
    screen.curl(KEYS, Some(&wanted));
    let made: Value = send(&admin, Method::POST, KEYS, Some(&wanted)).await?;
    screen.line("a key of its own for what follows; the one that is read above does as well");
    Ok(HttpClient::new(&service.url)?.with_key(made["api_key"].as_str().unwrap_or_default())?)
}

impl Story<'_> {
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, DemoError> {
        send(&self.client, Method::GET, path, None).await
    }

    async fn post(&self, path: &str, wanted: &Value) -> Result<Value, DemoError> {
        self.screen.curl(path, Some(wanted));
        send(&self.client, Method::POST, path, Some(wanted)).await
    }

    /// Returns the subscription's id.
    async fn subscribe(&mut self, port: u16, secret: &WebhookSecret) -> Result<String, DemoError> {
        self.screen.step("It subscribes to orders, in the order of each stream").await;
        let mut wanted = json!({
            "subscriber_name": "demo", "subscriber_type": "webhook", "event_types": ["order.*"],
            "callback_url": format!("http://127.0.0.1:{port}/orders"), "ordering": "stream",
            "retry_policy": {"backoff_seconds": [1, 1, 2, 2, 3, 3, 5, 5]},
        });
        self.screen.curl(SUBSCRIPTIONS, Some(&wanted));
        // The receiver knows it already; others take the one that the answer holds.
        wanted["webhook_secret"] = secret.reveal().into();
        let made: Value = send(&self.client, Method::POST, SUBSCRIPTIONS, Some(&wanted)).await?;
        let id = made["subscription_id"].as_str().unwrap_or_default().to_owned();
        self.screen.line(format!("subscription {id}"));
        Ok(id)
    }

    async fn flag_large_orders(&mut self) -> Result<(), DemoError> {
        self.screen.step(&format!("A processor makes a second event of every order of {FLAGGED_FROM} and more")).await;
        let wanted = json!({
            "processor_name": "flag-large-orders", "processor_type": "transform",
            "filters": {"event_type": "order.placed", "data": {"total": {"gte": FLAGGED_FROM}}},
            "config": {"event_type": "order.flagged", "pick": ["order_id", "total"]},
        });
        let made = self.post(PROCESSORS, &wanted).await?;
        self.screen.line(format!("processor {}", made["processor_id"].as_str().unwrap_or_default()));
        Ok(())
    }

    async fn place(&mut self, orders: &[Order]) -> Result<(), DemoError> {
        for (number, order) in orders.iter().enumerate() {
            let event = order.event();
            if number == 0 {
                self.screen.curl(CREATE, Some(&event));
            }
            let made: Value = send(&self.client, Method::POST, CREATE, Some(&event)).await?;
            let version = made["stream_version"].as_u64().unwrap_or_default();
            let place = place(order.stream, version);
            self.placed.insert(made["event_id"].as_str().unwrap_or_default().to_owned(), place);
            self.expected += 1 + usize::from(order.is_flagged());
        }
        let flagged = orders.iter().filter(|order| order.is_flagged()).count();
        self.screen.line(format!("{} orders, {flagged} of them of {FLAGGED_FROM} and more", orders.len()));
        Ok(())
    }

    /// Shows what arrives, until all has.
    async fn all_arrive(&mut self) -> Result<(), DemoError> {
        let began = Instant::now();
        let mut seen: BTreeSet<String> = self.arrived.iter().map(|arrival| arrival.delivery.clone()).collect();
        while seen.len() < self.expected {
            let left = PATIENCE.saturating_sub(began.elapsed());
            // What has not arrived by then is missing in the table.
            let Ok(Some(arrival)) = timeout(left, self.arriving.recv()).await else { break };
            let signature = match arrival.signature {
                Signature::Good => self.screen.good("signature ok"),
                Signature::Missing => self.screen.bad("not signed"),
                Signature::Wrong => self.screen.bad("signature wrong"),
                Signature::Stale => self.screen.bad("signature too old"),
            };
            let twice = if seen.insert(arrival.delivery.clone()) { "" } else { "  again" };
            let event = &arrival.event;
            let place = place(&event.stream_id, event.stream_version);
            self.screen.line(format!("{}  {:<14}{place:<22}{signature}{twice}", arrival.at, event.event_type));
            self.arrived.push(arrival);
        }
        Ok(())
    }

    /// Shows attempts that failed, until one event has seen some.
    async fn see_failures(&mut self, subscription: &str, shown: &mut BTreeMap<String, usize>) -> Result<(), DemoError> {
        let path = format!("{SUBSCRIPTIONS}/{subscription}/deliveries?status=retrying");
        self.screen.curl(&path, None);
        let began = Instant::now();
        loop {
            let Deliveries { deliveries } = self.get(&path).await?;
            for delivery in &deliveries {
                let before = shown.insert(delivery.event_id.clone(), delivery.attempts.len()).unwrap_or_default();
                for (number, attempt) in delivery.attempts.iter().enumerate().skip(before) {
                    let next = if number + 1 == delivery.attempts.len() { next(delivery, attempt) } else { String::new() };
                    let place = self.placed.get(&delivery.event_id).map_or("", String::as_str);
                    let failed = self.screen.doubtful(format!("attempt {}: {}", number + 1, reason(attempt)));
                    self.screen.line(format!("{:<14}{place:<22}{failed}{next}", delivery.event_type));
                }
            }
            if deliveries.iter().any(|delivery| delivery.attempt_count >= ATTEMPTS) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(DemoError::TooLong { what: "trying again", patience: PATIENCE });
            }
            tools::rest(LOOK_EVERY).await;
        }
    }

    async fn tally(&self, subscription: &str) -> Result<Tally, DemoError> {
        let mut streams = Vec::new();
        for stream in STREAMS {
            let answer: Value = self.get(&format!("/api/v1/events/stream/{stream}")).await?;
            streams.push((stream, answer["version"].as_u64().unwrap_or_default()));
        }
        let path = format!("{SUBSCRIPTIONS}/{subscription}/deliveries");
        self.screen.curl(&path, None);
        let Deliveries { deliveries } = self.get(&path).await?;
        let failed = deliveries.into_iter().map(|delivery| {
            let in_vain = delivery.attempts.iter().filter(|attempt| attempt.status_code.is_none_or(|status| status >= 300)).count();
            (delivery.event_id, in_vain as u64)
        });
        Ok(Tally::new(&streams, &self.arrived, &failed.collect()))
    }
}

async fn send<T: DeserializeOwned>(client: &HttpClient, method: Method, path: &str, wanted: Option<&Value>) -> Result<T, DemoError> {
    let body = wanted.map(body).transpose()?.unwrap_or_default();
    let answer = client.send(method, path, body, None).await?;
    if answer.status != StatusCode::OK {
        return Err(DemoError::Refused { path: path.to_owned(), status: answer.status, detail: answer.detail() });
    }
    Ok(answer.json()?)
}

fn place(stream: &str, version: impl Display) -> String {
    format!("{stream:<16}v{version}")
}

/// Why an attempt failed, in a few words.
fn reason(attempt: &Attempt) -> String {
    match (&attempt.error, attempt.status_code) {
        (Some(error), _) if error.to_lowercase().contains("connection refused") => "connection refused".to_owned(),
        (Some(error), _) => error.rsplit(": ").next().unwrap_or(error).to_owned(),
        (None, Some(status)) => format!("answered {status}"),
        (None, None) => "no answer".to_owned(),
    }
}

/// When the next attempt is, after this one.
fn next(delivery: &Delivery, attempt: &Attempt) -> String {
    let moment = |text: &str| DateTime::parse_from_rfc3339(text).ok();
    let wait = delivery.next_attempt_at.as_deref().and_then(moment).zip(moment(&attempt.at)).map(|(next, at)| next - at);
    wait.map_or_else(String::new, |wait| format!(", next attempt in {} s", (wait.num_milliseconds() + 500) / 1000))
}
