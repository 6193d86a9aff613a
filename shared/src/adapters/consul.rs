//! Consul: where the platform's services find each other. The process tells its agent that it is there, and when it goes.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, Method, redirect};
use serde_json::{Value, json};
use url::Url;

use super::tls;

/// How long the agent, which is on the same machine or near it, may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How much is kept of what it says when it refuses.
const REASON_CHARACTERS: usize = 200;

/// An agent of Consul's.
pub struct Consul {
    client: Client,
    agent: Url,
    /// Shown to it, if it wants to see one.
    token: Option<String>,
}

/// Without the token.
impl std::fmt::Debug for Consul {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Consul").field("agent", &self.agent.as_str()).finish_non_exhaustive()
    }
}

/// Where an agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsulAddress(Url);

impl std::str::FromStr for ConsulAddress {
    type Err = String;

    /// As Consul's own tools read `CONSUL_HTTP_ADDR`: `127.0.0.1:8500`, or an address with `http` or `https`.
    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || "must be the address of a Consul agent: 127.0.0.1:8500, or http://… or https://…".to_owned();
        let text = text.trim();
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&with_scheme).map_err(|_| problem())?;
        let is_plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        if is_plain && url.has_host() && url.query().is_none() { Ok(Self(url)) } else { Err(problem()) }
    }
}

/// What is told of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Which instance it is. Who registers again under it replaces what is there.
    pub id: String,
    /// What others look for.
    pub name: String,
    /// Its host.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// What it is, in words to select by.
    pub tags: Vec<String>,
    /// What else there is to know: up to 64 values of up to 512 characters.
    pub meta: BTreeMap<String, String>,
    /// Where Consul asks whether it is well.
    pub health: String,
}

/// The agent did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ConsulError {
    /// It could not be reached.
    #[error("the Consul agent could not be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refused.
    #[error("the Consul agent answered {status}: {reason}")]
    Refused {
        /// The status of its answer.
        status: u16,
        /// The start of what it said.
        reason: String,
    },
}

impl Consul {
    /// The agent at an address. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ConsulError::Unreachable`] if the client cannot be set up.
    pub fn new(address: ConsulAddress, token: Option<String>) -> Result<Self, ConsulError> {
        let roots = tls::Roots::default();
        let tls = if address.0.scheme() == "https" { roots.of_the_system() } else { tls::without_roots() };
        let client = Client::builder()
            .tls_backend_preconfigured(tls.map_err(|error| ConsulError::Unreachable(error.into()))?)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .build();
        Ok(Self { client: client.map_err(|error| ConsulError::Unreachable(error.into()))?, agent: address.0, token })
    }

    /// Registers a service, with a check of its health every ten seconds. One that is ill for five minutes is forgotten.
    ///
    /// # Errors
    /// [`ConsulError`].
    pub async fn register(&self, registration: &Registration) -> Result<(), ConsulError> {
        let Registration { id, name, address, port, tags, meta, health } = registration;
        let check = json!({"HTTP": health, "Method": "GET", "Interval": "10s", "Timeout": "5s", "DeregisterCriticalServiceAfter": "5m"});
        let body = json!({"ID": id, "Name": name, "Address": address, "Port": port, "Tags": tags, "Meta": meta, "Check": check});
        self.put("/v1/agent/service/register", Some(&body)).await
    }

    /// Takes a service back.
    ///
    /// # Errors
    /// [`ConsulError`].
    pub async fn deregister(&self, id: &str) -> Result<(), ConsulError> {
        self.put(&format!("/v1/agent/service/deregister/{id}"), None).await
    }

    async fn put(&self, path: &str, body: Option<&Value>) -> Result<(), ConsulError> {
        let mut url = self.agent.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        let mut request = self.client.request(Method::PUT, url);
        if let Some(token) = &self.token {
            request = request.header("X-Consul-Token", token);
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        // The address may be all that there is to say; it is no secret, and the token is in no error.
        let response = request.send().await.map_err(|error| ConsulError::Unreachable(error.into()))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let reason = response.text().await.unwrap_or_default().chars().take(REASON_CHARACTERS).collect();
        Err(ConsulError::Refused { status: status.as_u16(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_consuls_own_tools_read_it() {
        for (text, url) in [
            ("127.0.0.1:8500", Some("http://127.0.0.1:8500/")),
            ("consul", Some("http://consul/")),
            ("https://consul.internal:8501", Some("https://consul.internal:8501/")),
            ("http://gateway/consul", Some("http://gateway/consul")),
            ("unix:///run/consul.sock", None),
            ("http://user:secret@consul", None),
            ("", None),
        ] {
            let read = text.parse::<ConsulAddress>();
            assert_eq!(read.ok().map(|address| address.0.to_string()).as_deref(), url, "{text}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let consul = Consul::new("127.0.0.1:8500".parse().unwrap(), Some("hush".to_owned())).unwrap();
        assert!(!format!("{consul:?}").contains("hush"));
    }
}
