//! The client: fast to start, quick to give up, quick to try again.

use std::time::Duration;

pub use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use super::meter::Meter;

/// Where the table is, and as whom to speak to it.
#[derive(Debug, Clone)]
pub struct Connection {
    region: String,
    endpoint: Option<String>,
    credentials: Credentials,
    meter: Option<Meter>,
}

impl Connection {
    /// A connection to a region, or to another endpoint.
    #[must_use]
    pub const fn new(region: String, endpoint: Option<String>, credentials: Credentials) -> Self {
        Self { region, endpoint, credentials, meter: None }
    }

    /// A connection to a local endpoint that does not check credentials.
    #[must_use]
    pub fn local(endpoint: &str) -> Self {
        Self {
            region: "us-east-1".to_owned(),
            endpoint: Some(endpoint.to_owned()),
            credentials: Credentials::new("local", "local", None, None, "local"),
            meter: None,
        }
    }

    /// The same connection, with every call counted.
    #[must_use]
    pub fn metered(self, meter: Meter) -> Self {
        Self { meter: Some(meter), ..self }
    }
}

/// Makes a client. It connects with its first call.
#[must_use]
pub fn connect(connection: Connection) -> Client {
    let local = connection.endpoint.is_some();
    let http = if connection.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http:")) {
        aws_smithy_http_client::Builder::new().build_http()
    } else {
        // `ring` starts in a millisecond; the SDK's default takes up to a second on a small function.
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
    };
    let mut config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(connection.region))
        .credentials_provider(connection.credentials)
        .http_client(http)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // The default waits up to a second before the first retry. A conditional write that is sent
        // twice is told from another's by the attempt that it carries.
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(4)
                .with_initial_backoff(Duration::from_millis(25))
                .with_max_backoff(Duration::from_millis(200)),
        )
        .timeout_config(if local {
            TimeoutConfig::builder().connect_timeout(Duration::from_secs(2)).operation_timeout(Duration::from_secs(25)).build()
        } else {
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_millis(250))
                .operation_attempt_timeout(Duration::from_secs(1))
                .operation_timeout(Duration::from_secs(5))
                .build()
        });
    if let Some(endpoint) = connection.endpoint {
        config = config.endpoint_url(endpoint);
    }
    if let Some(meter) = connection.meter {
        config = config.interceptor(meter);
    }
    Client::from_conf(config.build())
}
