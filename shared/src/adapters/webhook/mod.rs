//! Webhooks over HTTP, sent to vetted addresses only.
//!
//! The address that is vetted is the one that is called: names are resolved inside the connection, by `names`, which hands
//! on nothing that it has not vetted. So a name that changes what it stands for gains nothing by it.

mod answer;
mod names;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, redirect};
use tokio::time::{Instant, timeout};

use super::tls;
use crate::domain::webhook_headers::is_of_the_connection;
use crate::domain::webhook_url::{AllowedHosts, Reach, WebhookUrl};
use crate::ports::clock::Clock;
use crate::ports::webhook_sender::{SendError, WebhookAnswer, WebhookRequest, WebhookSender};
use names::{NameError, Names, SystemNames, VettedNames};

/// How long finding and reaching a host may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an idle connection is kept: less than the 5 seconds after which Node.js closes it, so that no request is lost on
/// a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// How many idle connections are kept to one host.
const MAX_IDLE: usize = 32;
/// Who calls.
const USER_AGENT: &str = concat!("event-service/", env!("CARGO_PKG_VERSION"));

/// Sends webhooks over HTTP/1.1. Nothing is set up before the first request, and no certificates are read before the first
/// over TLS.
pub struct HttpWebhooks {
    allowed: AllowedHosts,
    clock: Arc<dyn Clock>,
    names: Arc<dyn Names>,
    roots: tls::Roots,
    /// For hosts that the operator has listed, apart from the others so that no connection is shared.
    listed: Clients,
    others: Clients,
}

/// A client over TLS needs the system's certificates, and one without should not wait for them.
#[derive(Default)]
struct Clients {
    plain: OnceLock<Client>,
    secure: OnceLock<Client>,
}

impl std::fmt::Debug for HttpWebhooks {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HttpWebhooks").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl HttpWebhooks {
    /// Webhooks to these hosts and the Internet. The clock is for answers that say at what time to try again.
    #[must_use]
    pub fn new(allowed: AllowedHosts, clock: Arc<dyn Clock>) -> Self {
        Self::on(Arc::new(SystemNames), allowed, clock)
    }

    fn on(names: Arc<dyn Names>, allowed: AllowedHosts, clock: Arc<dyn Clock>) -> Self {
        Self { allowed, clock, names, roots: tls::Roots::default(), listed: Clients::default(), others: Clients::default() }
    }

    /// The client for a URL, made when it is first needed.
    fn client(&self, url: &WebhookUrl, reach: Reach) -> Result<&Client, SendError> {
        let clients = match reach {
            Reach::Network => &self.listed,
            Reach::Public | Reach::Machine => &self.others,
        };
        let slot = if url.is_https() { &clients.secure } else { &clients.plain };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let tls = if url.is_https() { self.roots.of_the_system() } else { tls::without_roots() };
        let client = Client::builder()
            .tls_backend_preconfigured(tls.map_err(|error| SendError::Connection(error.into()))?)
            .dns_resolver(VettedNames::new(Arc::clone(&self.names), reach))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| SendError::Connection(error.into()))?;
        Ok(slot.get_or_init(|| client))
    }

    async fn exchange(&self, request: &WebhookRequest) -> Result<Exchanged, SendError> {
        let reach = self.allowed.reach(&request.url);
        vet_literal(&request.url, reach)?;
        let sending = self
            .client(&request.url, reach)?
            .post(request.url.as_url().clone())
            .headers(headers(&request.headers)?)
            .body(request.body.clone())
            .send();
        let mut response = sending.await.map_err(failure)?;
        let retry_after = response.headers().get(reqwest::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| answer::retry_after(text, self.clock.now()));
        let mut body = answer::Start::default();
        while !body.is_enough()
            && let Some(chunk) = response.chunk().await.map_err(failure)?
        {
            body.push(&chunk);
        }
        Ok(Exchanged { status: response.status().as_u16(), body: body.into_text(), retry_after })
    }
}

/// An answer, but for how long it took.
struct Exchanged {
    status: u16,
    body: String,
    retry_after: Option<Duration>,
}

#[async_trait]
impl WebhookSender for HttpWebhooks {
    async fn vet(&self, url: &WebhookUrl) -> Result<(), SendError> {
        let reach = self.allowed.reach(url);
        if url.address().is_some() {
            return vet_literal(url, reach);
        }
        let resolving = names::resolve(&*self.names, url.host(), reach);
        timeout(CONNECT_TIMEOUT, resolving).await.map_err(|_| SendError::Timeout(CONNECT_TIMEOUT))??;
        Ok(())
    }

    async fn send(&self, request: &WebhookRequest) -> Result<WebhookAnswer, SendError> {
        let began = Instant::now();
        let exchanging = timeout(request.timeout, self.exchange(request));
        let Exchanged { status, body, retry_after } = exchanging.await.map_err(|_| SendError::Timeout(request.timeout))??;
        Ok(WebhookAnswer { status, body, retry_after, took: began.elapsed() })
    }
}

/// Vets a host that is an address: the connection does not ask `names` for it.
fn vet_literal(url: &WebhookUrl, reach: Reach) -> Result<(), SendError> {
    url.address().map_or(Ok(()), |address| reach.admits(url.host(), address)).map_err(SendError::Refused)
}

/// The request's headers, with what every request has.
fn headers(given: &[(String, String)]) -> Result<HeaderMap, SendError> {
    let mut headers = HeaderMap::with_capacity(given.len() + 1);
    for (name, value) in given {
        if is_of_the_connection(name) {
            // Framing is not the caller's: at best the request would break, at worst another would be smuggled in.
            continue;
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| SendError::Connection(error.into()))?;
        let value = HeaderValue::from_str(value).map_err(|error| SendError::Connection(error.into()))?;
        headers.append(name, value);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(headers)
}

/// What a failed request means. The URL is left out: its query may hold a token.
fn failure(error: reqwest::Error) -> SendError {
    if let Some(error) = NameError::behind(&error) {
        return error.into();
    }
    // Only connecting has a time limit of its own in there.
    if error.is_timeout() { SendError::Timeout(CONNECT_TIMEOUT) } else { SendError::Connection(error.without_url().into()) }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};
    use std::sync::Mutex;

    use tokio::net::TcpListener;

    use super::*;
    use crate::adapters::system::SystemClock;

    /// Says each time something else of every name, and the last for good.
    struct Fickle(Mutex<Vec<IpAddr>>);

    #[async_trait]
    impl Names for Fickle {
        async fn addresses(&self, _name: &str) -> io::Result<Vec<SocketAddr>> {
            let mut answers = self.0.lock().unwrap();
            let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0] };
            Ok(vec![(answer, 0).into()])
        }
    }

    #[tokio::test]
    async fn a_name_that_is_public_when_it_is_vetted_and_this_machine_when_it_is_called_is_not_called() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let inside = [Ipv4Addr::LOCALHOST.into(), Ipv4Addr::new(169, 254, 169, 254).into(), "::ffff:10.0.0.1".parse().unwrap()];
        for private in inside {
            let names = Fickle(Mutex::new(vec![Ipv4Addr::new(93, 184, 216, 34).into(), private]));
            let webhooks = HttpWebhooks::on(Arc::new(names), AllowedHosts::default(), Arc::new(SystemClock));
            let url: WebhookUrl = format!("http://rebind.example:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
            webhooks.vet(&url).await.unwrap();
            let request = WebhookRequest { url, headers: Vec::new(), body: "{}".to_owned(), timeout: Duration::from_secs(5) };
            assert!(matches!(webhooks.send(&request).await, Err(SendError::Refused(_))), "{private}");
        }
        let connected = timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(connected.is_err(), "nothing may have been connected to");
    }
}
