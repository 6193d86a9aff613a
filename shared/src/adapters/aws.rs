//! What all AWS clients share: where to connect and as whom; fast to start, quick to give up, quick
//! to try again.

use std::sync::OnceLock;
use std::time::Duration;

pub use aws_credential_types::Credentials;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

/// Where a service is, and as whom to speak to it.
#[derive(Debug, Clone)]
pub struct Connection {
    pub(super) region: String,
    pub(super) endpoint: Option<String>,
    pub(super) credentials: Credentials,
}

impl Connection {
    /// A connection to a region, or to another endpoint.
    #[must_use]
    pub const fn new(region: String, endpoint: Option<String>, credentials: Credentials) -> Self {
        Self { region, endpoint, credentials }
    }

    /// A connection to a local endpoint that does not check credentials.
    #[must_use]
    pub fn local(endpoint: &str) -> Self {
        Self {
            region: "us-east-1".to_owned(),
            endpoint: Some(endpoint.to_owned()),
            credentials: Credentials::new("local", "local", None, None, "local"),
        }
    }

    /// The HTTP client. It connects with its first call.
    pub(super) fn http_client(&self) -> SharedHttpClient {
        // The clients of all services share one, because making one takes longest of all that a function does at its start.
        static PLAIN: OnceLock<SharedHttpClient> = OnceLock::new();
        static SECURE: OnceLock<SharedHttpClient> = OnceLock::new();
        let client = if self.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http:")) {
            PLAIN.get_or_init(|| aws_smithy_http_client::Builder::new().build_http())
        } else {
            // `ring` starts in a millisecond; the SDK's default takes up to a second on a small function.
            SECURE.get_or_init(|| aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https())
        };
        client.clone()
    }

    /// How often a call is tried. The default waits up to a second before the first retry.
    pub(super) fn retries() -> RetryConfig {
        RetryConfig::standard()
            .with_max_attempts(4)
            .with_initial_backoff(Duration::from_millis(25))
            .with_max_backoff(Duration::from_millis(200))
    }

    /// How long a call may take, of which the service may wait so long for something to happen.
    pub(super) fn timeouts(&self, wait: Duration) -> TimeoutConfig {
        if self.endpoint.is_some() {
            TimeoutConfig::builder().connect_timeout(Duration::from_secs(2)).operation_timeout(wait + Duration::from_secs(25)).build()
        } else {
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_millis(250))
                .operation_attempt_timeout(wait + Duration::from_secs(1))
                .operation_timeout(wait + Duration::from_secs(5))
                .build()
        }
    }
}
