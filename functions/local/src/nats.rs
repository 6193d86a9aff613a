//! The bridge to NATS, if the environment names a server.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use shared::adapters::nats::NatsBroker;
use shared::adapters::nats::settings::{NatsCredentials, NatsSettings};
use shared::config::{self, ConfigError};
use shared::ports::bridge_status::BridgeStatusStore;
use shared::wiring;

use crate::background::Bridge;
use crate::metrics::{MeteredBroker, Metrics};

/// What is configured; nothing if `NATS_URL` names no server. On a machine, credentials and certificates may also be in files:
/// `NATS_CREDENTIALS_FILE` and `NATS_CA_FILE`.
///
/// # Errors
/// [`ConfigError`] says what cannot be used.
pub fn settings() -> Result<Option<NatsSettings>, ConfigError> {
    if config::optional("NATS_URL").is_none() {
        return Ok(None);
    }
    let mut settings = wiring::nats()?;
    if let Some(text) = file("NATS_CREDENTIALS_FILE")? {
        let read = text.parse::<NatsCredentials>();
        settings.credentials =
            Some(read.map_err(|error| ConfigError::Invalid { name: "NATS_CREDENTIALS_FILE", problem: error.to_string() })?);
    }
    if let Some(pem) = file("NATS_CA_FILE")? {
        settings.certificates = Some(pem);
    }
    Ok(Some(settings))
}

/// The bridge. Nothing is connected yet.
#[must_use]
pub fn bridge(settings: NatsSettings, status: Arc<dyn BridgeStatusStore>, metrics: Metrics) -> Bridge {
    let own_name = settings.own_name.clone();
    Bridge { own_name, broker: Arc::new(MeteredBroker { broker: NatsBroker::new(settings), metrics }), status }
}

/// What is in the file that a variable names.
fn file(name: &'static str) -> Result<Option<String>, ConfigError> {
    let Some(path) = config::optional(name).map(PathBuf::from) else { return Ok(None) };
    let read = fs::read_to_string(&path);
    read.map(Some)
        .map_err(|error| ConfigError::Invalid { name, problem: format!("names {}, which cannot be read: {error}", path.display()) })
}
