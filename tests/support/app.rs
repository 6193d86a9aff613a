//! The service behind one door: the authorizer and all HTTP functions, on a clock that stands still
//! and on random bits that repeat, so that the same requests get the same answers to the byte.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lambda_http::http::request::Builder;
use lambda_http::http::{HeaderMap, Method, StatusCode};
use lambda_http::{Body, Request};
use local::app::{App, Checking, Stores};
use serde_json::Value;
use shared::adapters::embedded_queues::{EmbeddedQueues, QueuesLocation};
use shared::adapters::memory::{
    MemoryCounters, MemoryDeadLetters, MemoryDeliveries, MemoryEvents, MemoryKeys, MemoryProjections, MemoryRejectedEvents, MemoryReplays,
    MemoryWebhooks,
};
use shared::commands::append::KnownHeads;
use shared::commands::check_schemas::SchemaGate;
use shared::domain::access::{ApiKey, ApiKeySecret, Scope};
use shared::domain::timestamp::Timestamp;
use shared::http::collect::settings::CollectSettings;
use shared::ports::key_store::KeyStore;
use shared::ports::queue::QueueSender;
use shared::ports::random::Random;
use shared::ports::token_verifier::TokenVerifier;
use shared::ports::webhook_sender::WebhookSender;
use shared::queries::check_access::KeyCache;

use crate::{StoppedClock, Store};

/// Random bits that repeat: the same after the same seed.
#[derive(Debug)]
pub struct RepeatedRandom(Mutex<u64>);

impl RepeatedRandom {
    /// The bits that follow this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    /// Starts again from this seed.
    pub fn seed(&self, seed: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seed;
    }
}

impl Random for RepeatedRandom {
    fn secret(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for eight in bytes.chunks_exact_mut(8) {
            eight.copy_from_slice(&self.number().to_be_bytes());
        }
        bytes
    }

    /// SplitMix64.
    fn number(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The service, and what tests move and look into.
pub struct TestApp {
    /// The service itself.
    pub app: Arc<App>,
    /// Its clock. It starts at noon of Monday, 23 November 2026. Waiting moves it.
    pub clock: Arc<StoppedClock>,
    /// Its random bits.
    pub random: Arc<RepeatedRandom>,
    /// Where webhooks go, unless the test has brought other receivers.
    pub webhooks: Arc<MemoryWebhooks>,
    /// Where work goes, unless the test has brought other queues.
    pub queues: EmbeddedQueues,
    keys_made: AtomicU64,
}

impl TestApp {
    /// A service on memory adapters.
    ///
    /// # Panics
    /// If the queues do not open.
    #[must_use]
    pub fn in_memory() -> Self {
        let events = Arc::new(MemoryEvents::default());
        let stores = Stores {
            log: events.clone(),
            events: events.clone(),
            keys: Arc::new(MemoryKeys::default()),
            streams: events.clone(),
            projections: events.clone(),
            snapshots: Arc::new(MemoryProjections::default()),
            schemas: events.clone(),
            timeline: events.clone(),
            outcomes: events.clone(),
            replays: Arc::new(MemoryReplays::default()),
            definitions: events,
            deliveries: Arc::new(MemoryDeliveries::default()),
            dead_letters: Arc::new(MemoryDeadLetters::default()),
            rejected: Arc::new(MemoryRejectedEvents::default()),
            counters: Arc::new(MemoryCounters::default()),
        };
        Self::new(stores, Self::stopped_clock(), None)
    }

    /// A service on the embedded DynamoDB. Statistics there know what [`Store::count`] has counted.
    ///
    /// # Panics
    /// If the queues do not open.
    #[must_use]
    pub fn on(store: &Store) -> Self {
        Self::new(Stores::on(&store.events), Self::stopped_clock(), None)
    }

    /// The same on a clock, queues and receivers of the test's own.
    ///
    /// # Panics
    /// If the queues do not open.
    #[must_use]
    pub fn on_with(store: &Store, clock: Arc<StoppedClock>, queues: Arc<dyn QueueSender>, webhooks: Arc<dyn WebhookSender>) -> Self {
        Self::new(Stores::on(&store.events), clock, Some((queues, webhooks)))
    }

    /// The clock of a service: it stands at noon.
    #[must_use]
    pub fn stopped_clock() -> Arc<StoppedClock> {
        Arc::new(StoppedClock::new(shared::testing::builders::noon()))
    }

    #[expect(clippy::expect_used, reason = "a test without its queues can only stop")]
    fn new(stores: Stores, clock: Arc<StoppedClock>, own: Option<(Arc<dyn QueueSender>, Arc<dyn WebhookSender>)>) -> Self {
        let random = Arc::new(RepeatedRandom::new(1));
        let webhooks = Arc::new(MemoryWebhooks::default());
        let queues = EmbeddedQueues::open(QueuesLocation::Memory, clock.clone()).expect("the queues open");
        let (takes, sends) = own.unwrap_or_else(|| (Arc::new(queues.clone()), webhooks.clone()));
        let app = App {
            stores,
            gate: SchemaGate::default(),
            queues: takes,
            webhooks: sends,
            tokens: None,
            clock: clock.clone(),
            timer: clock.clone(),
            random: random.clone(),
            heads: KnownHeads::default(),
            cache: KeyCache::new(None),
            access: Checking::On,
            collect: CollectSettings::default(),
            rudderstack: None,
            bridge: None,
            limits: None,
        };
        Self { app: Arc::new(app), clock, random, webhooks, queues, keys_made: AtomicU64::new(0) }
    }

    /// The service, to change it.
    ///
    /// # Panics
    /// If somebody else has it.
    #[expect(clippy::expect_used, reason = "a test that changes a service which is at work can only stop")]
    pub fn app_mut(&mut self) -> &mut App {
        Arc::get_mut(&mut self.app).expect("nobody else has the service")
    }

    /// The same service, which accepts these tokens too.
    #[must_use]
    pub fn with_tokens(mut self, tokens: impl TokenVerifier + 'static) -> Self {
        self.app_mut().tokens = Some(Arc::new(tokens));
        self
    }

    /// Moves the clock.
    pub fn pass(&self, seconds: i64) {
        self.clock.set(self.now().plus_micros(seconds * 1_000_000));
    }

    /// What the clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.app.clock.now()
    }

    /// A client that may do everything, everywhere.
    pub async fn client(&self) -> Client<'_> {
        self.client_with(Scope::ALL, None).await
    }

    /// A client that may do everything in one organization.
    pub async fn client_of(&self, organization: &str) -> Client<'_> {
        self.client_with(Scope::ALL, Some(organization)).await
    }

    /// A client with a new key of these scopes, bound to an organization or to none.
    ///
    /// # Panics
    /// If the organization cannot be one, or the store fails.
    #[expect(clippy::expect_used, reason = "a test without its key can only stop")]
    pub async fn client_with(&self, scopes: &[Scope], organization: Option<&str>) -> Client<'_> {
        let number = self.keys_made.fetch_add(1, Ordering::Relaxed);
        let secret = ApiKeySecret::from_random(RepeatedRandom::new(u64::MAX - number).secret());
        let key = ApiKey {
            digest: secret.digest(),
            name: format!("test key {number}"),
            scopes: scopes.to_vec(),
            organization: organization.map(|text| text.parse().expect("an organization")),
            created_at: self.now(),
            expires_at: None,
        };
        self.keys().put_key(&key).await.expect("the key is stored");
        self.client_that_presents("x-api-key", secret.reveal())
    }

    /// A client with this header in all its requests.
    #[must_use]
    pub fn client_that_presents(&self, header: &'static str, value: &str) -> Client<'_> {
        Client { app: self, credential: Some((header, value.to_owned())) }
    }

    /// A client without a credential.
    #[must_use]
    pub const fn anybody(&self) -> Client<'_> {
        Client { app: self, credential: None }
    }

    /// Where its keys are.
    #[must_use]
    pub fn keys(&self) -> &dyn KeyStore {
        &*self.app.stores.keys
    }
}

/// Somebody who sends requests.
pub struct Client<'a> {
    app: &'a TestApp,
    credential: Option<(&'static str, String)>,
}

impl Client<'_> {
    /// Sends a `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path), Body::Empty).await
    }

    /// Sends a `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path), Body::Empty).await
    }

    /// Sends a `PUT` without a body.
    pub async fn put(&self, path: &str) -> Answer {
        self.send(self.request(Method::PUT, path), Body::Empty).await
    }

    /// Sends JSON with `PATCH`.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path), Body::from(body.to_string())).await
    }

    /// Sends JSON with `POST`.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, body.to_string()).await
    }

    /// Sends anything with `POST`.
    pub async fn post_text(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(self.request(Method::POST, path), body.into()).await
    }

    /// Sends JSON with `POST`, under an `Idempotency-Key`.
    pub async fn post_once(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).header("idempotency-key", key), Body::from(body.to_string())).await
    }

    /// A request with this client's credential, for more headers.
    #[must_use]
    pub fn request(&self, method: Method, path: &str) -> Builder {
        let builder = lambda_http::http::Request::builder().method(method).uri(path);
        match &self.credential {
            Some((name, value)) => builder.header(*name, value),
            None => builder,
        }
    }

    /// Sends a request.
    ///
    /// # Panics
    /// If it is none, or its answer is not text.
    #[expect(clippy::expect_used, reason = "a test with a wrong request can only stop")]
    pub async fn send(&self, request: Builder, body: Body) -> Answer {
        self.app.answer(request.body(body).expect("a request")).await
    }
}

impl TestApp {
    /// Answers a request as it is.
    ///
    /// # Panics
    /// If the answer is not text.
    pub async fn answer(&self, request: Request) -> Answer {
        let (head, body) = self.app.answer(request).await.into_parts();
        // All but pictures are UTF-8.
        let text = match String::from_utf8(body.as_ref().to_vec()) {
            Ok(text) => text,
            Err(bytes) if head.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"image/")) => {
                String::from_utf8_lossy(bytes.as_bytes()).into_owned()
            }
            Err(error) => panic!("the answer is not UTF-8: {error}"),
        };
        Answer { status: head.status, headers: head.headers, text }
    }
}

/// What came back. Shown, it is a snapshot: status, headers in order, and the body, JSON indented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    #[expect(clippy::panic, reason = "a test whose answer is not JSON has failed")]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The body as JSON, of an answer with status 200.
    ///
    /// # Panics
    /// If the status is another.
    #[must_use]
    pub fn ok(&self) -> Value {
        self.succeeds();
        self.json()
    }

    /// Checks that the status is 200.
    ///
    /// # Panics
    /// If it is another.
    pub fn succeeds(&self) {
        assert_eq!(self.status, StatusCode::OK, "{self}");
    }

    /// A header, if it is there once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        if values.next().is_some() { None } else { first.to_str().ok() }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.status)?;
        let mut headers: Vec<String> =
            self.headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))).collect();
        headers.sort();
        for header in headers {
            writeln!(formatter, "{header}")?;
        }
        writeln!(formatter)?;
        let is_json = self.header("content-type") == Some("application/json");
        formatter.write_str(&if is_json { indented(&self.text) } else { self.text.clone() })
    }
}

/// JSON without white space as people read it. Nothing else changes: not the order of members, not
/// how numbers are written.
fn indented(json: &str) -> String {
    let (mut text, mut depth, mut in_string, mut escaped) = (String::with_capacity(json.len() * 2), 0_usize, false, false);
    let new_line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    let mut before = ' ';
    for character in json.chars() {
        match character {
            _ if in_string => {
                text.push(character);
                in_string = escaped || character != '"';
                escaped = !escaped && character == '\\';
            }
            '{' | '[' => {
                text.push(character);
                depth += 1;
                new_line(&mut text, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if matches!(before, '{' | '[') {
                    text.truncate(text.trim_end().len());
                } else {
                    new_line(&mut text, depth);
                }
                text.push(character);
            }
            ',' => {
                text.push(character);
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ => {
                text.push(character);
                in_string = character == '"';
            }
        }
        before = character;
    }
    text
}
