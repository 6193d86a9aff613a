//! Outcomes: what became of a commit's events after they were stored.

use serde::{Deserialize, Serialize};

use super::event_id::EventId;
use super::status::EventStatus;
use super::timestamp::Timestamp;

/// What became of the events of one commit. Kept apart from the commit, which never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The commit.
    pub commit: EventId,
    /// One status for each of its events, in their order.
    pub events: Vec<EventOutcome>,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventOutcome {
    /// How far its processing has come.
    pub status: EventStatus,
    /// Every attempt of every processor (BR-PRC-005).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<ProcessingResult>,
}

/// One attempt of one processor at one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessingResult {
    /// The processor's name.
    pub processor: String,
    /// How the attempt ended.
    pub status: ResultStatus,
    /// What the processor or the failure said.
    pub message: Option<String>,
    /// When the attempt ended.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// Which attempt it was, from 1.
    pub attempt: u32,
}

/// How an attempt of a processor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultStatus {
    /// It did what it is for.
    Success,
    /// It failed.
    Failed,
    /// It had nothing to do, or is of no known type.
    Skipped,
    /// It failed and will be tried again.
    Retry,
}

impl EventOutcome {
    /// The outcome of an event that nothing has been done with: pending (BR-EVT-007).
    pub const PENDING: Self = Self { status: EventStatus::Pending, results: Vec::new() };

    /// When the last attempt ended.
    #[must_use]
    pub fn processed_at(&self) -> Option<Timestamp> {
        self.results.iter().map(|result| result.at).max()
    }

    /// What the last failed attempt said.
    #[must_use]
    pub fn error_message(&self) -> Option<&str> {
        let failed = |result: &&ProcessingResult| matches!(result.status, ResultStatus::Failed | ResultStatus::Retry);
        self.results.iter().rev().find(failed).and_then(|result| result.message.as_deref())
    }

    /// How many attempts came after a first one.
    #[must_use]
    pub fn retry_count(&self) -> u32 {
        self.results.iter().map(|result| result.attempt.saturating_sub(1)).max().unwrap_or_default()
    }

    /// The processors that the event was given to, each once.
    #[must_use]
    pub fn processors(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for result in &self.results {
            if !names.contains(&result.processor.as_str()) {
                names.push(&result.processor);
            }
        }
        names
    }
}
