//! Webhooks that go nowhere: for tests of what sends them.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::webhook_url::{AllowedHosts, WebhookUrl};
use crate::ports::webhook_sender::{SendError, WebhookAnswer, WebhookRequest, WebhookSender};

/// What is answered to requests that nothing was scripted for.
type Respond = dyn Fn(&WebhookRequest) -> Result<WebhookAnswer, SendError> + Send;

/// Answers as a test has scripted, and remembers what was sent.
///
/// `localhost` is this machine, names that end in `.invalid` stand for nothing, and all others are public, unless a test
/// says otherwise. Without a script every request is answered with 200.
#[derive(Default)]
pub struct MemoryWebhooks(Mutex<State>);

#[derive(Default)]
struct State {
    allowed: AllowedHosts,
    names: BTreeMap<String, Vec<IpAddr>>,
    script: BTreeMap<String, VecDeque<Result<WebhookAnswer, SendError>>>,
    otherwise: Option<Box<Respond>>,
    sent: Vec<WebhookRequest>,
}

impl MemoryWebhooks {
    /// What every name is that a test says nothing of.
    const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(93, 184, 215, 14));

    /// Webhooks to these hosts and the Internet.
    #[must_use]
    pub fn new(allowed: AllowedHosts) -> Self {
        Self(Mutex::new(State { allowed, ..State::default() }))
    }

    /// An answer with this status, without a body, at once.
    #[must_use]
    pub const fn status(status: u16) -> WebhookAnswer {
        WebhookAnswer { status, body: String::new(), retry_after: None, took: Duration::ZERO }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a name stand for these addresses from now on.
    pub fn name(&self, host: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        self.state().names.insert(host.to_owned(), addresses.into_iter().collect());
    }

    /// Answers one request to the URL, after those that were scripted before.
    pub fn next(&self, url: &WebhookUrl, answer: Result<WebhookAnswer, SendError>) {
        self.state().script.entry(url.as_str().to_owned()).or_default().push_back(answer);
    }

    /// Answers every request from now on that nothing was scripted for. The function must not use these webhooks itself.
    pub fn otherwise(&self, respond: impl Fn(&WebhookRequest) -> Result<WebhookAnswer, SendError> + Send + 'static) {
        self.state().otherwise = Some(Box::new(respond));
    }

    /// All requests, oldest first. Those that were refused were not sent.
    #[must_use]
    pub fn sent(&self) -> Vec<WebhookRequest> {
        self.state().sent.clone()
    }
}

impl State {
    fn vet(&self, url: &WebhookUrl) -> Result<(), SendError> {
        let addresses = self.addresses(url);
        if addresses.is_empty() {
            return Err(SendError::Unresolved);
        }
        Ok(addresses.into_iter().try_for_each(|address| self.allowed.permits(url, address))?)
    }

    fn addresses(&self, url: &WebhookUrl) -> Vec<IpAddr> {
        if let Some(address) = url.address() {
            return vec![address];
        }
        match (url.host(), self.names.get(url.host())) {
            (_, Some(addresses)) => addresses.clone(),
            ("localhost", None) => vec![Ipv4Addr::LOCALHOST.into()],
            (name, None) if name.ends_with(".invalid") => Vec::new(),
            (_, None) => vec![MemoryWebhooks::SOMEWHERE],
        }
    }
}

#[async_trait]
impl WebhookSender for MemoryWebhooks {
    async fn vet(&self, url: &WebhookUrl) -> Result<(), SendError> {
        self.state().vet(url)
    }

    async fn send(&self, request: &WebhookRequest) -> Result<WebhookAnswer, SendError> {
        let mut state = self.state();
        state.vet(&request.url)?;
        state.sent.push(request.clone());
        if let Some(answer) = state.script.get_mut(request.url.as_str()).and_then(VecDeque::pop_front) {
            return answer;
        }
        state.otherwise.as_ref().map_or(Ok(Self::status(200)), |respond| respond(request))
    }
}
