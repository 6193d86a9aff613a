//! Receivers of webhooks that do as they are told, and remember what they were sent.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use shared::domain::timestamp::Timestamp;
use shared::domain::webhook_url::WebhookUrl;
use shared::ports::clock::Clock;
use shared::ports::webhook_sender::{SendError, WebhookAnswer, WebhookRequest, WebhookSender};

/// What a receiver does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// Answers with this status.
    Answer(u16),
    /// Answers with this status and wants to be left alone for so many seconds.
    AnswerAndRest(u16, u64),
    /// Answers nothing until the sender gives up.
    Hang,
    /// Takes the event, and the answer is lost.
    TakeAndHang,
    /// Refuses the connection.
    Refuse,
}

/// One request, as a receiver got it.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub url: String,
    /// The headers, names in lower case.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: String,
    /// Whether the receiver took it.
    pub taken: bool,
}

impl Delivered {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a webhook that is no JSON is a defect")]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    /// A member of the event.
    #[must_use]
    pub fn event(&self, member: &str) -> Value {
        self.json()["data"][member].clone()
    }

    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// All receivers, by URL. One that was told nothing answers 200.
pub struct Receivers {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scripts: HashMap<String, VecDeque<Reaction>>,
    always: HashMap<String, Reaction>,
    requests: Vec<Delivered>,
}

impl Receivers {
    /// Receivers that tell the time by this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the receiver at this URL react so to its next requests, one after the other.
    pub fn next(&self, url: &str, reactions: impl IntoIterator<Item = Reaction>) {
        self.state().scripts.entry(url.to_owned()).or_default().extend(reactions);
    }

    /// Has the receiver at this URL react so from now on, whenever nothing else was said of a request.
    pub fn always(&self, url: &str, reaction: Reaction) {
        self.state().always.insert(url.to_owned(), reaction);
    }

    /// Every request to this URL, in its order.
    #[must_use]
    pub fn requests(&self, url: &str) -> Vec<Delivered> {
        self.state().requests.iter().filter(|request| request.url == url).cloned().collect()
    }

    /// Every request that a receiver took, in its order.
    #[must_use]
    pub fn taken(&self, url: &str) -> Vec<Delivered> {
        self.requests(url).into_iter().filter(|request| request.taken).collect()
    }

    /// How many requests there were to any URL.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state().requests.len()
    }
}

#[async_trait]
impl WebhookSender for Receivers {
    async fn vet(&self, _url: &WebhookUrl) -> Result<(), SendError> {
        Ok(())
    }

    async fn send(&self, request: &WebhookRequest) -> Result<WebhookAnswer, SendError> {
        let url = request.url.as_str().to_owned();
        let mut state = self.state();
        let scripted = state.scripts.get_mut(&url).and_then(VecDeque::pop_front);
        let reaction = scripted.or_else(|| state.always.get(&url).cloned()).unwrap_or(Reaction::Answer(200));
        let taken = matches!(reaction, Reaction::Answer(200..300) | Reaction::TakeAndHang);
        let headers = request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        state.requests.push(Delivered { at: self.clock.now(), url, headers, body: request.body.clone(), taken });
        let answer = |status: u16, retry_after: Option<Duration>| {
            Ok(WebhookAnswer { status, body: format!("status {status}"), retry_after, took: Duration::from_millis(5) })
        };
        match reaction {
            Reaction::Answer(status) => answer(status, None),
            Reaction::AnswerAndRest(status, seconds) => answer(status, Some(Duration::from_secs(seconds))),
            Reaction::Hang | Reaction::TakeAndHang => Err(SendError::Timeout(request.timeout)),
            Reaction::Refuse => Err(SendError::Connection("nobody listens".into())),
        }
    }
}
