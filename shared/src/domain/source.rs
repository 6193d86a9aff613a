//! Where events come from (BR-EVT-003).

use serde::{Deserialize, Serialize};

/// The origin of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum EventSource {
    /// Interactions of users with a browser or an app.
    Frontend,
    /// Business logic and services. The default.
    #[default]
    Backend,
    /// Infrastructure and the platform itself.
    System,
    /// Hardware: telemetry and status.
    IotDevice,
    /// Third parties, such as a payment provider.
    ExternalApi,
    /// Cron jobs and batch processes.
    Scheduled,
}

impl EventSource {
    /// Every value, in the order in which problems and documents list them.
    pub const ALL: &'static [Self] = &[Self::Frontend, Self::Backend, Self::System, Self::IotDevice, Self::ExternalApi, Self::Scheduled];

    /// The word for this value in JSON, in keys and in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Backend => "backend",
            Self::System => "system",
            Self::IotDevice => "iot_device",
            Self::ExternalApi => "external_api",
            Self::Scheduled => "scheduled",
        }
    }
}

impl std::str::FromStr for EventSource {
    type Err = UnknownEventSource;

    fn from_str(text: &str) -> Result<Self, UnknownEventSource> {
        Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or(UnknownEventSource)
    }
}

impl std::fmt::Display for EventSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text names no [`EventSource`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a known value")]
pub struct UnknownEventSource;
