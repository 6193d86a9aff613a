//! The deployment that is tested, as a client has it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::Method;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use shared::adapters::aws::{Connection, Credentials};
use shared::adapters::sqs;
use shared::adapters::system::{SystemClock, SystemRandom, SystemTimer};
use shared::config;
use shared::ports::clock::Clock as _;
use shared::ports::random::Random as _;
use shared::ports::timer::Timer as _;

/// How long anything may take that happens after an answer, on an emulator that starts processes on two cores.
const PATIENCE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(100);

/// The secret that tokens are signed with, if the deployment trusts tokens.
pub(super) const JWT_SECRET: &str = "JWT_HS256_SECRET";

/// A deployment: `EVENTS_API_URL`, and `EVENTS_API_KEY` that may do everything. `make test-aws` sets them.
#[derive(Clone)]
pub(super) struct Deployment {
    url: String,
    http: reqwest::Client,
}

/// A client with a credential of its own.
#[derive(Clone)]
pub(super) struct Client {
    deployment: Deployment,
    credential: Option<(&'static str, String)>,
}

/// An answer.
#[derive(Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) text: String,
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.status, self.text)
    }
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The body of an answer that went well.
    pub(super) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }
}

fn required(name: &'static str) -> String {
    config::required(name).unwrap_or_else(|_| panic!("{name} is not set: these tests are run by `make test-aws`"))
}

fn credentials() -> Credentials {
    Credentials::new(required("AWS_ACCESS_KEY_ID"), required("AWS_SECRET_ACCESS_KEY"), config::optional("AWS_SESSION_TOKEN"), None, "test")
}

impl Deployment {
    pub(super) fn get() -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        Self { url: required("EVENTS_API_URL").trim_end_matches('/').to_owned(), http }
    }

    /// The same by the function URL of collection: `COLLECT_URL`.
    pub(super) fn function_url(&self) -> Self {
        Self { url: required("COLLECT_URL").trim_end_matches('/').to_owned(), http: self.http.clone() }
    }

    /// Whoever may do everything.
    pub(super) fn admin(&self) -> Client {
        self.presenting("x-api-key", &required("EVENTS_API_KEY"))
    }

    /// Whoever has no credential.
    pub(super) fn anybody(&self) -> Client {
        Client { deployment: self.clone(), credential: None }
    }

    pub(super) fn presenting(&self, header: &'static str, credential: &str) -> Client {
        Client { deployment: self.clone(), credential: Some((header, credential.to_owned())) }
    }

    /// A client that is bound to an organization, with all rights in it.
    pub(super) async fn client_of(&self, organization: &str) -> Client {
        let key = json!({"name": organization, "scopes": ["events:write", "events:read", "admin"], "organization_id": organization});
        let made = self.admin().post("/api/v1/keys", &key).await.ok();
        self.presenting("x-api-key", made["api_key"].as_str().unwrap())
    }

    /// A name that no other run has used.
    pub(super) fn fresh(what: &str) -> String {
        format!("{what}-{:016x}", SystemRandom.number())
    }

    /// What one of its functions answers to a call of an operator's.
    pub(super) async fn invoke(&self, function: &str, payload: &Value) -> Value {
        let region = required("AWS_REGION");
        let endpoint = config::optional("AWS_ENDPOINT_URL").unwrap_or_else(|| format!("https://lambda.{region}.amazonaws.com"));
        let url = format!("{endpoint}/2015-03-31/functions/{}-{function}/invocations", required("STACK_NAME"));
        let (identity, body) = (credentials().into(), payload.to_string());
        let time = UNIX_EPOCH + Duration::from_millis(u64::try_from(SystemClock.now().millis()).unwrap());
        let params = v4::SigningParams::builder().identity(&identity).region(&region).name("lambda").time(time);
        let params = params.settings(SigningSettings::default()).build().unwrap().into();
        let signable = SignableRequest::new("POST", &url, std::iter::empty(), SignableBody::Bytes(body.as_bytes())).unwrap();
        let (instructions, _signature) = sign(signable, &params).unwrap().into_parts();
        let mut request = self.http.post(&url).body(body);
        for (name, value) in instructions.headers() {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        let (status, failed) = (response.status(), response.headers().contains_key("x-amz-function-error"));
        let text = response.text().await.unwrap();
        assert!(status.is_success() && !failed, "{status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The queues of the deployment.
    pub(super) fn queues() -> aws_sdk_sqs::Client {
        sqs::connect(Connection::new(required("AWS_REGION"), config::optional("AWS_ENDPOINT_URL"), credentials()))
    }

    /// The URL of one of its queues.
    pub(super) async fn queue_url(name: &str) -> String {
        let name = format!("{}-{name}", required("STACK_NAME"));
        Self::queues().get_queue_url().queue_name(name).send().await.unwrap().queue_url.unwrap()
    }
}

impl Client {
    pub(super) async fn send(&self, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Answer {
        self.try_send(method, path, body, headers).await.unwrap()
    }

    /// An answer, if there is one.
    pub(super) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> reqwest::Result<Answer> {
        let mut request = self.deployment.http.request(method, format!("{}{path}", self.deployment.url));
        if let Some((name, value)) = &self.credential {
            request = request.header(*name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await?;
        Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), text: response.text().await? })
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, &[]).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body), &[]).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None, &[]).await
    }

    pub(super) async fn create(&self, event: &Value) -> Value {
        self.post("/api/v1/events/create", event).await.ok()
    }

    /// Asks until the answer is as it should be.
    pub(super) async fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(path, async || Some(self.get(path).await.ok()).filter(&is_so), async || self.get(path).await.text).await
    }
}

/// Tries until there is something.
pub(super) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>, instead: impl AsyncFnOnce() -> String) -> T {
    let until = SystemClock.now().plus(PATIENCE);
    while SystemClock.now() < until {
        if let Some(found) = attempt().await {
            return found;
        }
        SystemTimer.wait_until(SystemClock.now().plus(PAUSE)).await;
    }
    panic!("{what}: not within {PATIENCE:?}; instead {}", instead().await)
}
