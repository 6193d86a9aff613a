//! A client of this service: JSON over HTTP/1.1, with connections that stay open.

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ConnectionError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Where `make run` leaves a key for this machine.
const KEY_FILE: &str = ".data/dev-key";
/// Names a key where there is no such file.
const KEY_VARIABLE: &str = "EVENTS_API_KEY";

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client of one service, which keeps as many connections open as it has requests under way.
pub struct HttpClient {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    key: Option<HeaderValue>,
}

/// A client cannot be made of what it was given.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The text is no address.
    #[error("`{0}` is no address of the form http://host:port")]
    Address(String),
    /// There is no key anywhere.
    #[error("there is no API key: `make run` writes one to {KEY_FILE}; or pass --key, or set {KEY_VARIABLE}")]
    NoKey,
    /// The key's file is there, and cannot be read.
    #[error("{KEY_FILE} cannot be read")]
    UnreadableKey(#[source] std::io::Error),
    /// The key is not shown: it is a secret.
    #[error("the API key holds characters that no header may have")]
    MalformedKey,
}

/// A request got no answer, or not the one that was expected.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection can be opened.
    #[error("nothing answers at {base}")]
    Unreachable {
        /// The service's address.
        base: String,
    },
    /// A connection ended before the answer did.
    #[error("the connection to {base} broke")]
    Broken {
        /// The service's address.
        base: String,
        /// What happened.
        source: BoxError,
    },
    /// The answer takes too long.
    #[error("{base} did not answer within {} s", TIMEOUT.as_secs())]
    TimedOut {
        /// The service's address.
        base: String,
    },
    /// The request cannot be written.
    #[error("the request cannot be written")]
    Request(#[source] BoxError),
    /// The answer is something else.
    #[error("the answer is not the JSON that was expected")]
    Answer(#[source] serde_json::Error),
}

/// Any error, as a source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// How long the service asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Bytes,
}

/// The answer to a request that may have been sent more than once.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The last answer.
    pub answer: Answer,
    /// How often the request was sent again.
    pub retries: u32,
}

/// How often and how soon a request is sent again.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The most retries.
    pub retries: u32,
    /// The pause before the first retry; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause of our own choice.
    pub longest_pause: Duration,
}

impl Default for Patience {
    /// Half a minute in all.
    fn default() -> Self {
        Self { retries: 10, first_pause: Duration::from_millis(100), longest_pause: Duration::from_secs(5) }
    }
}

impl Patience {
    /// The longest pause that a service gets for the asking.
    const LONGEST_ASKED: Duration = Duration::from_mins(1);

    /// The pause before retry number `retry`, from 1: what the service asks for, if that is longer.
    fn pause(&self, retry: u32, asked: Option<Duration>) -> Duration {
        let own = self.first_pause.saturating_mul(2_u32.saturating_pow(retry.saturating_sub(1)));
        own.min(self.longest_pause).max(asked.unwrap_or_default().min(Self::LONGEST_ASKED))
    }
}

impl HttpClient {
    /// A client of the service at `base`, without a key.
    ///
    /// # Errors
    /// [`SetupError::Address`] unless `base` has the form `http://host:port`.
    pub fn new(base: &str) -> Result<Self, SetupError> {
        let base = base.trim_end_matches('/');
        let is_address =
            base.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some() && uri.query().is_none());
        if !is_address {
            return Err(SetupError::Address(base.to_owned()));
        }
        let mut connector = HttpConnector::new();
        // Otherwise a small request waits for the acknowledgement of the one before it.
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Ok(Self { client, base: base.to_owned(), key: None })
    }

    /// The same client, with a key.
    ///
    /// # Errors
    /// [`SetupError::MalformedKey`] if the key fits no header.
    pub fn with_key(self, key: &str) -> Result<Self, SetupError> {
        let mut key = HeaderValue::from_str(key.trim()).map_err(|_| SetupError::MalformedKey)?;
        key.set_sensitive(true);
        Ok(Self { key: Some(key), ..self })
    }

    /// Asks for `path`.
    ///
    /// # Errors
    /// [`HttpError`] if there is no answer. An answer of any status is none.
    pub async fn get(&self, path: &str) -> Result<Answer, HttpError> {
        self.send(Method::GET, path, Bytes::new(), None).await
    }

    /// Sends JSON to `path`.
    ///
    /// # Errors
    /// [`HttpError`] if there is no answer. An answer of any status is none.
    pub async fn post(&self, path: &str, body: Bytes) -> Result<Answer, HttpError> {
        self.send(Method::POST, path, body, None).await
    }

    /// Sends JSON to `path`, again if need be: `idempotency_key` makes the service count it once.
    ///
    /// # Errors
    /// [`HttpError`] if no try has an answer. An answer of any status is none.
    pub async fn post_once(&self, path: &str, body: &Bytes, idempotency_key: &str, patience: &Patience) -> Result<Settled, HttpError> {
        let mut retries = 0;
        loop {
            let outcome = self.send(Method::POST, path, body.clone(), Some(idempotency_key)).await;
            if retries == patience.retries || !may_pass(&outcome) {
                return outcome.map(|answer| Settled { answer, retries });
            }
            retries += 1;
            crate::rest(patience.pause(retries, outcome.ok().and_then(|answer| answer.retry_after))).await;
        }
    }

    /// Sends one request of any kind.
    ///
    /// # Errors
    /// [`HttpError`] if there is no answer. An answer of any status is none.
    pub async fn send(&self, method: Method, path: &str, body: Bytes, idempotency_key: Option<&str>) -> Result<Answer, HttpError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base)).header(CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.header(API_KEY, key);
        }
        if let Some(key) = idempotency_key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        let request = request.body(Full::new(body)).map_err(|error| HttpError::Request(error.into()))?;
        let timed_out = |_| HttpError::TimedOut { base: self.base.clone() };
        tokio::time::timeout(TIMEOUT, self.exchange(request)).await.map_err(timed_out)?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, HttpError> {
        let answer = self.client.request(request).await.map_err(|error| self.failure(error))?;
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.trim().parse().ok());
        let status = answer.status();
        let broken = |error: hyper::Error| HttpError::Broken { base: self.base.clone(), source: error.into() };
        let body = answer.into_body().collect().await.map_err(broken)?.to_bytes();
        Ok(Answer { status, retry_after: retry_after.map(Duration::from_secs), body })
    }

    fn failure(&self, error: ConnectionError) -> HttpError {
        let base = self.base.clone();
        if error.is_connect() { HttpError::Unreachable { base } } else { HttpError::Broken { base, source: error.into() } }
    }
}

impl Answer {
    /// The body, read as JSON.
    ///
    /// # Errors
    /// [`HttpError::Answer`] if it is not such JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(HttpError::Answer)
    }

    /// What the service says of a request that it refused, on one line.
    #[must_use]
    pub fn detail(&self) -> String {
        const LONGEST: usize = 500;
        let detail = match self.json::<serde_json::Value>().ok().and_then(|mut problem| Some(problem.get_mut("detail")?.take())) {
            Some(serde_json::Value::String(text)) => text,
            Some(list) => list.to_string(),
            None => String::from_utf8_lossy(&self.body).into_owned(),
        };
        detail.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect()
    }
}

/// `value` as the body of a request.
///
/// # Errors
/// [`HttpError::Request`] if it is no JSON.
pub fn body(value: &impl Serialize) -> Result<Bytes, HttpError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| HttpError::Request(error.into()))
}

/// The key to use: the one that is given, else the one of `.data/dev-key`, else `EVENTS_API_KEY`.
///
/// # Errors
/// [`SetupError::NoKey`] says how to get one; [`SetupError::UnreadableKey`].
pub fn api_key(given: Option<&str>) -> Result<String, SetupError> {
    first_key(given, Path::new(KEY_FILE), || crate::environment(KEY_VARIABLE))
}

fn first_key(given: Option<&str>, file: &Path, variable: impl FnOnce() -> Option<String>) -> Result<String, SetupError> {
    if let Some(key) = given {
        return Ok(key.trim().to_owned());
    }
    match std::fs::read_to_string(file) {
        Ok(key) if !key.trim().is_empty() => Ok(key.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(SetupError::UnreadableKey(error)),
        Ok(_) | Err(_) => variable().map(|key| key.trim().to_owned()).ok_or(SetupError::NoKey),
    }
}

/// Whether a later try may end better.
fn may_pass(outcome: &Result<Answer, HttpError>) -> bool {
    match outcome {
        Ok(answer) => matches!(
            answer.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        ),
        Err(HttpError::Unreachable { .. } | HttpError::Broken { .. } | HttpError::TimedOut { .. }) => true,
        Err(HttpError::Request(_) | HttpError::Answer(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: StatusCode, body: &'static str) -> Answer {
        Answer { status, retry_after: None, body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn only_plain_http_addresses_are_taken() {
        for base in ["http://127.0.0.1:8230", "http://localhost:8230/", "http://[::1]:8230", "http://host/prefix"] {
            assert!(HttpClient::new(base).is_ok(), "{base}");
        }
        for base in ["", "localhost:8230", "https://host", "/path", "http://", "http://host/?a=b", "not an address"] {
            assert!(matches!(HttpClient::new(base), Err(SetupError::Address(_))), "{base}");
        }
    }

    #[test]
    fn a_key_that_fits_no_header_is_refused_and_not_shown() {
        let error = HttpClient::new("http://host").unwrap().with_key("se\ncret").err().unwrap();
        assert!(matches!(error, SetupError::MalformedKey));
        assert!(!error.to_string().contains("cret"));
    }

    #[test]
    fn a_given_key_comes_before_the_file_and_the_file_before_the_environment() {
        let here = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        let nowhere = Path::new("/nowhere/dev-key");
        let variable = || Some("from the environment".to_owned());
        assert_eq!(first_key(Some("given\n"), here, variable).unwrap(), "given");
        assert!(first_key(None, here, variable).unwrap().starts_with("[package]"));
        assert_eq!(first_key(None, nowhere, variable).unwrap(), "from the environment");
        assert!(matches!(first_key(None, nowhere, || None), Err(SetupError::NoKey)));
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(matches!(first_key(None, directory, variable), Err(SetupError::UnreadableKey(_))));
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_heed_the_service() {
        let patience = Patience { retries: 9, first_pause: Duration::from_millis(100), longest_pause: Duration::from_secs(5) };
        let rows = [(1, None, 100), (2, None, 200), (4, None, 800), (40, None, 5000), (1, Some(2), 2000), (1, Some(3600), 60_000)];
        for (retry, asked, expected) in rows {
            assert_eq!(patience.pause(retry, asked.map(Duration::from_secs)), Duration::from_millis(expected), "{retry} {asked:?}");
        }
    }

    #[test]
    fn a_refusal_is_final_and_a_busy_service_is_not() {
        for (status, expected) in
            [(200, false), (401, false), (409, false), (422, false), (429, true), (500, false), (503, true), (504, true)]
        {
            assert_eq!(may_pass(&Ok(answer(StatusCode::from_u16(status).unwrap(), ""))), expected, "{status}");
        }
        assert!(may_pass(&Err(HttpError::Unreachable { base: String::new() })));
    }

    #[test]
    fn the_detail_of_a_problem_is_one_line() {
        let rows = [
            (r#"{"detail":"Invalid\n key"}"#, "Invalid key"),
            (r#"{"detail":[{"type":"missing"}]}"#, r#"[{"type":"missing"}]"#),
            ("<html>\n oops", "<html> oops"),
            ("", ""),
        ];
        for (body, expected) in rows {
            assert_eq!(answer(StatusCode::BAD_REQUEST, body).detail(), expected);
        }
    }
}
