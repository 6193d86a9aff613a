//! Dead letters.

use serde::Serialize;
use utoipa::ToSchema;

use crate::commands::manage_dead_letters::{DeadLetterPage, Redriven};
use crate::commands::resend_deliveries::Run;
use crate::domain::dead_letter::{DeadLetter, DeadLetterId};
use crate::domain::event_id::EventId;
use crate::domain::identifiers::{OrganizationId, ProcessorId, SubscriptionId};
use crate::domain::timestamp::Timestamp;
use crate::http::openapi::schemas::{MomentSchema, WorkQueueSchema};

/// Work that was given up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetters)]
pub struct DeadLettersAnswer<'a> {
    /// The dead letters, latest first.
    #[schema(value_type = Vec<DeadLetterAnswer<'static>>)]
    pub dead_letters: Vec<DeadLetterAnswer<'a>>,
    /// Whether there may be more.
    pub has_more: bool,
    /// What to send as `cursor` for the next page.
    #[schema(value_type = Option<String>, required)]
    pub next_cursor: Option<&'a DeadLetterId>,
}

impl<'a> From<&'a DeadLetterPage> for DeadLettersAnswer<'a> {
    fn from(page: &'a DeadLetterPage) -> Self {
        Self {
            dead_letters: page.letters.iter().map(DeadLetterAnswer::from).collect(),
            has_more: page.next.is_some(),
            next_cursor: page.next.as_ref(),
        }
    }
}

/// One piece of work that was given up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub struct DeadLetterAnswer<'a> {
    /// Its id.
    #[schema(value_type = String)]
    pub dead_letter_id: &'a DeadLetterId,
    /// The queue that it came from.
    #[schema(value_type = WorkQueueSchema)]
    pub queue: &'static str,
    /// The organization whose work it was.
    #[schema(value_type = Option<String>, required)]
    pub organization_id: Option<&'a OrganizationId>,
    /// The subscription that did not get it.
    #[schema(value_type = Option<String>, required)]
    pub subscription_id: Option<&'a SubscriptionId>,
    /// The processor that failed.
    #[schema(value_type = Option<String>, required)]
    pub processor_id: Option<&'a ProcessorId>,
    /// The event that it is about.
    #[schema(value_type = Option<String>, format = Uuid, required)]
    pub event_id: Option<EventId>,
    /// Why it was given up.
    #[schema(value_type = String)]
    pub reason: &'a str,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up.
    #[schema(value_type = MomentSchema)]
    pub parked_at: Timestamp,
}

impl<'a> From<&'a DeadLetter> for DeadLetterAnswer<'a> {
    fn from(letter: &'a DeadLetter) -> Self {
        Self {
            dead_letter_id: &letter.id,
            queue: letter.queue.as_str(),
            organization_id: letter.organization.as_ref(),
            subscription_id: letter.subscription.as_ref(),
            processor_id: letter.processor.as_ref(),
            event_id: letter.event_id,
            reason: &letter.reason,
            attempts: letter.attempts,
            parked_at: letter.parked_at,
        }
    }
}

/// Work is taken up again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Redrive)]
pub struct RedriveAnswer {
    /// `redriven`, or `dry_run`.
    #[schema(value_type = String, example = "redriven")]
    pub status: &'static str,
    /// How many dead letters.
    pub count: usize,
    /// Whether there may be more that match.
    pub has_more: bool,
}

impl RedriveAnswer {
    /// The answer for a redrive.
    #[must_use]
    pub const fn new(redriven: Redriven, run: Run) -> Self {
        let status = match run {
            Run::Real => "redriven",
            Run::Dry => "dry_run",
        };
        Self { status, count: redriven.count, has_more: redriven.has_more }
    }
}

/// A dead letter is deleted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedDeadLetter)]
pub struct DeletedDeadLetterAnswer<'a> {
    /// Always `deleted`.
    #[schema(value_type = String, example = "deleted")]
    pub status: &'static str,
    /// Its id.
    #[schema(value_type = String)]
    pub dead_letter_id: &'a DeadLetterId,
}

impl<'a> DeletedDeadLetterAnswer<'a> {
    /// The answer for the letter of this id.
    #[must_use]
    pub const fn new(dead_letter_id: &'a DeadLetterId) -> Self {
        Self { status: "deleted", dead_letter_id }
    }
}
