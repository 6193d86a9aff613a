//! Puts adapters together as the environment says: what every function's `main.rs` starts with.

use crate::adapters::dynamodb::{Connection, Credentials, DynamoEvents, connect};
use crate::config::{self, ConfigError};

/// The connection that the environment of a Lambda function describes: `AWS_REGION`, the static
/// credentials, and `AWS_ENDPOINT_URL_DYNAMODB` or `AWS_ENDPOINT_URL` for another endpoint.
///
/// # Errors
/// [`ConfigError`] if one of them is missing.
pub fn connection() -> Result<Connection, ConfigError> {
    let credentials = Credentials::new(
        config::required("AWS_ACCESS_KEY_ID")?,
        config::required("AWS_SECRET_ACCESS_KEY")?,
        config::optional("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let endpoint = config::optional("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| config::optional("AWS_ENDPOINT_URL"));
    Ok(Connection::new(config::required("AWS_REGION")?, endpoint, credentials))
}

/// The ports on the table that `EVENTS_TABLE` names, with `EVENTS_TIME_SHARDS` partitions of its time
/// index a day.
///
/// # Errors
/// [`ConfigError`] if a variable is missing or cannot be read.
pub fn dynamo_events() -> Result<DynamoEvents, ConfigError> {
    let shards = config::parsed("EVENTS_TIME_SHARDS")?.unwrap_or_default();
    Ok(DynamoEvents::new(connect(connection()?), config::required("EVENTS_TABLE")?, shards))
}
