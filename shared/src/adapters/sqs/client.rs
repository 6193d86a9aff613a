//! The client.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};

use super::WAIT;
use crate::adapters::aws::Connection;

/// Makes a client. It connects with its first call.
#[must_use]
pub fn connect(connection: Connection) -> Client {
    let wait = Duration::from_secs(u64::from(WAIT.unsigned_abs()));
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(connection.http_client())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // A message that is sent twice is taken once by a FIFO queue; elsewhere work is done at least once anyway.
        .retry_config(Connection::retries())
        .timeout_config(connection.timeouts(wait))
        .region(Region::new(connection.region))
        .credentials_provider(connection.credentials);
    let config = match connection.endpoint {
        Some(endpoint) => config.endpoint_url(endpoint),
        None => config,
    };
    Client::from_conf(config.build())
}
