//! The client.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Region, StalledStreamProtectionConfig};

use super::meter::Meter;
use crate::adapters::aws::Connection;

/// Makes a client. It connects with its first call.
#[must_use]
pub fn connect(connection: Connection) -> Client {
    Client::from_conf(config(connection).build())
}

/// Makes a client whose every call is counted.
#[must_use]
pub fn connect_metered(connection: Connection, meter: Meter) -> Client {
    Client::from_conf(config(connection).interceptor(meter).build())
}

fn config(connection: Connection) -> Builder {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(connection.http_client())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // A conditional write that is sent twice is told from another's by the attempt that it carries.
        .retry_config(Connection::retries())
        .timeout_config(connection.timeouts(Duration::ZERO))
        .region(Region::new(connection.region))
        .credentials_provider(connection.credentials);
    match connection.endpoint {
        Some(endpoint) => config.endpoint_url(endpoint),
        None => config,
    }
}
