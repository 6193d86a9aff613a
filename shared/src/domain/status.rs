//! How far the processing of an event has come.

use serde::{Deserialize, Serialize};

/// The processing status of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// Stored, awaiting processing. The default (BR-EVT-007).
    #[default]
    Pending,
    /// Being processed.
    Processing,
    /// Every matching processor succeeded (BR-PRC-006).
    Processed,
    /// A processor failed for the last time (BR-PRC-007).
    Failed,
    /// Moved to archive storage.
    Archived,
}

impl EventStatus {
    /// Every value, in the order in which problems and documents list them.
    pub const ALL: &'static [Self] = &[Self::Pending, Self::Processing, Self::Processed, Self::Failed, Self::Archived];

    /// The word for this value in JSON, in keys and in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Processed => "processed",
            Self::Failed => "failed",
            Self::Archived => "archived",
        }
    }
}

impl std::str::FromStr for EventStatus {
    type Err = UnknownEventStatus;

    fn from_str(text: &str) -> Result<Self, UnknownEventStatus> {
        Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or(UnknownEventStatus)
    }
}

impl std::fmt::Display for EventStatus {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text names no [`EventStatus`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a known value")]
pub struct UnknownEventStatus;
