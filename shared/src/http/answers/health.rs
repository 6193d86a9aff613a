//! Whether the service can work.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::timestamp::Timestamp;
use crate::http::openapi::schemas::MomentSchema;

/// The name of the service in its own words.
pub const SERVICE: &str = "event_service";

/// Whether the service can work.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthAnswer {
    /// `healthy`, or `unhealthy` with the status 503.
    #[schema(value_type = String, example = "healthy")]
    pub status: Health,
    /// Always `event_service`.
    #[schema(value_type = String, example = "event_service")]
    pub service: &'static str,
    /// The version of the service.
    #[schema(value_type = String)]
    pub version: &'static str,
    /// What it needs: each is `healthy`, `unhealthy` or `not_configured`.
    #[schema(value_type = BTreeMap<String, String>)]
    pub dependencies: BTreeMap<&'static str, Health>,
    /// When it was looked at.
    #[schema(value_type = MomentSchema)]
    pub timestamp: Timestamp,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It works.
    Healthy,
    /// It does not.
    Unhealthy,
    /// It is not used here.
    NotConfigured,
}

impl HealthAnswer {
    /// The answer when the store and the bridge to NATS are like this. Whether the service can work is a matter of the store alone:
    /// what is to be published waits.
    #[must_use]
    pub fn new(store: Health, nats: Health, now: Timestamp) -> Self {
        Self {
            status: store,
            service: SERVICE,
            version: env!("CARGO_PKG_VERSION"),
            dependencies: BTreeMap::from([("dynamodb", store), ("nats", nats)]),
            timestamp: now,
        }
    }
}
