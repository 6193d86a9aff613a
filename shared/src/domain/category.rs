//! What kind of thing an event is about (BR-EVT-004).

use serde::{Deserialize, Serialize};

/// The classification of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum EventCategory {
    /// Anything a user does that has no category of its own. The default.
    #[default]
    UserAction,
    /// A page or screen was shown.
    PageView,
    /// A form was sent.
    FormSubmit,
    /// Something was clicked.
    Click,
    /// A user was created, changed, left.
    UserLifecycle,
    /// Money.
    Payment,
    /// Orders.
    Order,
    /// Units of work.
    Task,
    /// The platform itself.
    System,
    /// Sign-ins, permissions, attacks.
    Security,
    /// Timings and load.
    Performance,
    /// Failures.
    Error,
    /// Devices as such.
    Device,
    /// A device's state.
    DeviceStatus,
    /// A device's measurements.
    Telemetry,
    /// Orders to a device.
    Command,
    /// Warnings from a device or a rule.
    Alert,
}

impl EventCategory {
    /// Every value, in the order in which problems and documents list them.
    pub const ALL: &'static [Self] = &[
        Self::UserAction,
        Self::PageView,
        Self::FormSubmit,
        Self::Click,
        Self::UserLifecycle,
        Self::Payment,
        Self::Order,
        Self::Task,
        Self::System,
        Self::Security,
        Self::Performance,
        Self::Error,
        Self::Device,
        Self::DeviceStatus,
        Self::Telemetry,
        Self::Command,
        Self::Alert,
    ];

    /// The word for this value in JSON, in keys and in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserAction => "user_action",
            Self::PageView => "page_view",
            Self::FormSubmit => "form_submit",
            Self::Click => "click",
            Self::UserLifecycle => "user_lifecycle",
            Self::Payment => "payment",
            Self::Order => "order",
            Self::Task => "task",
            Self::System => "system",
            Self::Security => "security",
            Self::Performance => "performance",
            Self::Error => "error",
            Self::Device => "device",
            Self::DeviceStatus => "device_status",
            Self::Telemetry => "telemetry",
            Self::Command => "command",
            Self::Alert => "alert",
        }
    }
}

impl std::str::FromStr for EventCategory {
    type Err = UnknownEventCategory;

    fn from_str(text: &str) -> Result<Self, UnknownEventCategory> {
        Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or(UnknownEventCategory)
    }
}

impl std::fmt::Display for EventCategory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text names no [`EventCategory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a known value")]
pub struct UnknownEventCategory;
