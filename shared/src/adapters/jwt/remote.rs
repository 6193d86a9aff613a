//! Key sets that an issuer publishes: fetched when needed, kept for a while.

use std::error::Error as StdError;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use futures::lock::Mutex;

use super::keys::{JwksError, Key, MAX_JWKS_BYTES, Wanted, parse_set};
use crate::domain::timestamp::Timestamp;
use crate::telemetry::Chain;

/// How long to wait for a connection and the head of the answer, and again for its body.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long fetched keys are good for.
const FRESH_MICROS: u64 = 600_000_000;
/// The least time between two fetches. Anybody can make up a `kid`, so without it anybody could make us flood the issuer.
const PAUSE_MICROS: u64 = 30_000_000;
/// The least time between two fetches while there are no keys at all, and thus no token can be checked. It is longer than a
/// fetch can take (twice [`FETCH_TIMEOUT`]), so that callers do not queue up behind failing ones.
const PAUSE_WITHOUT_KEYS_MICROS: u64 = 5_000_000;

/// The address of a key set: https, or http on this machine.
///
/// Whoever can change the answer on its way can sign as anybody, so the way must be protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksUrl(String);

/// Why a text is no address of a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksUrlError {
    /// Not an absolute URL with a host.
    #[error("is not an absolute URL")]
    Form,
    /// It holds a user name or a password, which the fetch would not send.
    #[error("must not hold credentials")]
    Credentials,
    /// Neither https, nor http to this machine.
    #[error("must use https, except on loopback")]
    NotProtected,
}

impl std::str::FromStr for JwksUrl {
    type Err = JwksUrlError;

    fn from_str(text: &str) -> Result<Self, JwksUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(JwksUrlError::Form)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(JwksUrlError::Credentials);
        }
        let host = host(authority).ok_or(JwksUrlError::Form)?;
        // The parser that the fetch uses has the last word on the form.
        HttpRequest::get(text).map_err(|_| JwksUrlError::Form)?;
        match scheme {
            "https" => Ok(Self(text.to_owned())),
            "http" if is_loopback(host) => Ok(Self(text.to_owned())),
            _ => Err(JwksUrlError::NotProtected),
        }
    }
}

/// The host of `host:port`, where the host may be an IPv6 address in brackets.
fn host(authority: &str) -> Option<&str> {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => authority.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The last attempt failed, and it is too early for the next.
    #[error("the key set could not be fetched a moment ago")]
    Recently,
    #[error("the key set could not be fetched")]
    Request(#[source] Box<dyn StdError + Send + Sync>),
    #[error("the issuer answered the request for its key set with status {0}")]
    Status(u16),
    #[error("the body of the key set did not arrive in time")]
    SlowBody,
    #[error("the issuer's key set cannot be used")]
    Set(#[source] JwksError),
}

/// The keys behind one address.
///
/// Keys outlive a failed fetch: an issuer that cannot be reached must not lock its callers out.
#[derive(Debug)]
pub(super) struct RemoteKeys {
    url: JwksUrl,
    timeout: Duration,
    /// Built at the first fetch, because it reads the system's certificates.
    connector: OnceLock<Connector>,
    state: RwLock<State>,
    /// Held while fetching, so that there is one fetch at a time.
    fetching: Mutex<()>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// The last good answer and when it came.
    fetched: Option<(Arc<[Key]>, Timestamp)>,
    /// When the last fetch began.
    attempted: Option<Timestamp>,
}

/// What the keys at hand are worth to a token.
enum AtHand {
    /// One fits, and they are fresh.
    Good(Arc<[Key]>),
    /// One fits, but they are old.
    Old(Arc<[Key]>),
    /// None fits.
    Unfit(Arc<[Key]>),
    /// There are none.
    Nothing,
}

impl State {
    fn at_hand(&self, wanted: &Wanted<'_>, now: Timestamp) -> AtHand {
        match &self.fetched {
            None => AtHand::Nothing,
            Some((keys, _)) if !keys.iter().any(|key| key.fits(wanted)) => AtHand::Unfit(Arc::clone(keys)),
            Some((keys, at)) if elapsed(*at, now) < FRESH_MICROS => AtHand::Good(Arc::clone(keys)),
            Some((keys, _)) => AtHand::Old(Arc::clone(keys)),
        }
    }

    fn may_fetch(&self, now: Timestamp) -> bool {
        let pause = if self.fetched.is_some() { PAUSE_MICROS } else { PAUSE_WITHOUT_KEYS_MICROS };
        self.attempted.is_none_or(|attempted| elapsed(attempted, now) >= pause)
    }
}

/// The distance and not the difference: after the clock was set back, time has still passed.
fn elapsed(since: Timestamp, now: Timestamp) -> u64 {
    now.micros().abs_diff(since.micros())
}

impl RemoteKeys {
    pub(super) fn new(url: JwksUrl, timeout: Duration) -> Self {
        Self { url, timeout, connector: OnceLock::new(), state: RwLock::default(), fetching: Mutex::default() }
    }

    /// The keys as far as they are known, fetched anew if they are old or if none fits what is wanted.
    pub(super) async fn keys(&self, wanted: &Wanted<'_>, now: Timestamp) -> Result<Arc<[Key]>, FetchError> {
        let _turn = match self.state().at_hand(wanted, now) {
            AtHand::Good(keys) => return Ok(keys),
            // They still do, so one caller renews them and the others go on.
            AtHand::Old(keys) => match self.fetching.try_lock() {
                Some(turn) => turn,
                None => return Ok(keys),
            },
            // Whoever is fetching may bring the right one.
            AtHand::Unfit(_) | AtHand::Nothing => self.fetching.lock().await,
        };
        // Looks again, for somebody else may have fetched before this turn.
        let state = self.state();
        match state.at_hand(wanted, now) {
            AtHand::Old(_) | AtHand::Unfit(_) | AtHand::Nothing if state.may_fetch(now) => self.renew(now).await,
            AtHand::Good(keys) | AtHand::Old(keys) | AtHand::Unfit(keys) => Ok(keys),
            AtHand::Nothing => Err(FetchError::Recently),
        }
    }

    /// Fetches the keys. Those at hand stay if that fails.
    async fn renew(&self, now: Timestamp) -> Result<Arc<[Key]>, FetchError> {
        // Noted first: a caller that goes away in the middle has made its attempt, too.
        self.change(|state| state.attempted = Some(now));
        match self.fetch().await {
            Ok(keys) => {
                let keys: Arc<[Key]> = keys.into();
                self.change(|state| state.fetched = Some((Arc::clone(&keys), now)));
                Ok(keys)
            }
            Err(error) => {
                let old = self.state().fetched;
                tracing::warn!(url = %self.url.0, keeps_old_keys = old.is_some(), error = %Chain(&error), "no new keys");
                old.map(|(keys, _)| keys).ok_or(error)
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Key>, FetchError> {
        let request = HttpRequest::get(&self.url.0).map_err(|error| FetchError::Request(error.into()))?;
        let connector = self.connector.get_or_init(|| connector(self.timeout));
        let response = connector.call(request).await.map_err(|error| FetchError::Request(error.into()))?;
        // Redirects are not followed: they could lead to where the address rules do not hold.
        if response.status().as_u16() != 200 {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        // The connector's read timeout ends with the head of the answer.
        let body = tokio::time::timeout(self.timeout, read(response.into_body())).await.map_err(|_| FetchError::SlowBody)??;
        parse_set(&body).map_err(FetchError::Set)
    }

    // A panic between lock and unlock is impossible here, so a poisoned lock holds good data.

    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A connector of its own: fetches are rare, and a connection kept from the last one would be dead by now.
fn connector(timeout: Duration) -> Connector {
    Connector::builder()
        .connector_settings(HttpConnectorSettings::builder().connect_timeout(timeout).read_timeout(timeout).build())
        .pool_max_idle_per_host(0)
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build()
}

/// Reads a body, but no more of it than a key set may have.
async fn read(body: SdkBody) -> Result<Vec<u8>, FetchError> {
    let mut stream = ByteStream::new(body);
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.try_next().await.map_err(|error| FetchError::Request(error.into()))? {
        if bytes.len() + chunk.len() > MAX_JWKS_BYTES {
            return Err(FetchError::Set(JwksError::TooLarge));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_set_is_fetched_over_https_or_from_this_machine() {
        for (text, error) in [
            ("https://issuer.example/.well-known/jwks.json", None),
            ("https://issuer.example:8443/keys?tenant=1", None),
            ("http://localhost:8080/keys", None),
            ("http://127.0.0.1/keys", None),
            ("http://[::1]:8080/keys", None),
            ("http://issuer.example/keys", Some(JwksUrlError::NotProtected)),
            ("http://localhost.issuer.example/keys", Some(JwksUrlError::NotProtected)),
            ("http://127.0.0.1.issuer.example/keys", Some(JwksUrlError::NotProtected)),
            ("http://10.0.0.1/keys", Some(JwksUrlError::NotProtected)),
            ("http://localhost@issuer.example/keys", Some(JwksUrlError::Credentials)),
            ("https://user:secret@issuer.example/keys", Some(JwksUrlError::Credentials)),
            ("ftp://localhost/keys", Some(JwksUrlError::NotProtected)),
            ("file:///etc/keys.json", Some(JwksUrlError::Form)),
            ("https:///keys", Some(JwksUrlError::Form)),
            ("https://issuer.example/a b", Some(JwksUrlError::Form)),
            ("/keys", Some(JwksUrlError::Form)),
            ("", Some(JwksUrlError::Form)),
        ] {
            assert_eq!(text.parse::<JwksUrl>().err(), error, "{text}");
        }
    }
}
