//! What every collector does around its work: browsers are told who may send, and items become answers.

use lambda_http::http::Method;
use lambda_http::{Body, Request, Response};

use super::settings::CollectSettings;
use super::{Item, cors};
use crate::commands::collect_events::{Collected, Taken};
use crate::http::answers::collected::{
    ACCEPTED, AnalyticsAnswer, CollectedAnswer, CollectedBatchAnswer, RejectedItemAnswer, RudderstackAnswer,
};
use crate::http::problem::Problem;
use crate::http::respond::{Addressee, Answer, respond};

/// The response to a request, with what a browser needs to hear before a page may see it: failures too, or the page could not tell
/// them from a broken network.
#[must_use]
pub fn respond_to_page(request: &Request, settings: &CollectSettings, result: Result<Answer, Problem>) -> Response<Body> {
    let mut response = respond(Addressee::of(request), result);
    if request.method() == Method::OPTIONS {
        cors::allow_preflight(&settings.origins, request.headers(), &mut response);
    } else {
        cors::allow(&settings.origins, request.headers(), &mut response);
    }
    response
}

/// What the items of a request came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Those that were taken in.
    pub taken: Vec<Collected>,
    /// How many were not kept, as their sender asks.
    pub dropped: usize,
    /// Those that cannot be read.
    pub rejected: Vec<RejectedItemAnswer>,
}

impl Outcome {
    /// What these items came to.
    #[must_use]
    pub fn of(items: Vec<Item>) -> Self {
        let mut outcome = Self::default();
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Item::Taken(collected) => outcome.taken.push(collected),
                Item::Dropped => outcome.dropped += 1,
                Item::Rejected { problem: _, rejection, id } => outcome.rejected.push(RejectedItemAnswer {
                    index,
                    detail: rejection.detail,
                    reason: rejection.reason,
                    rejected_event_id: id,
                }),
            }
        }
        outcome
    }

    /// What the only item of a request came to.
    ///
    /// # Errors
    /// What is wrong with the item.
    pub fn of_one(mut items: Vec<Item>) -> Result<Self, Problem> {
        match items.pop() {
            Some(Item::Rejected { problem, .. }) => Err(problem),
            Some(item @ (Item::Taken(_) | Item::Dropped)) => Ok(Self::of(vec![item])),
            None => Ok(Self::default()),
        }
    }

    fn accepted(&self) -> usize {
        self.taken.len() + self.dropped
    }

    fn duplicates(&self) -> usize {
        self.taken.iter().filter(|collected| collected.how == Taken::Before).count()
    }

    fn message(&self) -> String {
        let accepted = self.accepted();
        let told = [(self.duplicates(), "of them before"), (self.rejected.len(), "rejected")].into_iter();
        let told = told.filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let accepted = format!("{accepted} event{} accepted", if accepted == 1 { "" } else { "s" });
        std::iter::once(accepted).chain(told).collect::<Vec<_>>().join(", ")
    }

    /// The answer for a batch.
    #[must_use]
    pub fn batch(self) -> CollectedBatchAnswer {
        CollectedBatchAnswer {
            status: ACCEPTED,
            processed_count: self.accepted(),
            event_ids: self.taken.iter().map(|collected| collected.event_id).collect(),
            message: self.message(),
            duplicate_count: self.duplicates(),
            rejected: self.rejected,
        }
    }

    /// The answer for an analytics SDK.
    #[must_use]
    pub fn analytics(self) -> AnalyticsAnswer {
        AnalyticsAnswer { success: true, accepted: self.accepted(), duplicates: self.duplicates(), rejected: self.rejected }
    }

    /// The answer for RudderStack.
    #[must_use]
    pub fn rudderstack(self) -> RudderstackAnswer {
        RudderstackAnswer { status: ACCEPTED, message: self.message(), rejected: self.rejected }
    }
}

/// The answer for the only item of a request.
///
/// # Errors
/// What is wrong with the item.
pub fn only(items: Vec<Item>) -> Result<CollectedAnswer, Problem> {
    Outcome::of_one(items).map(|outcome| CollectedAnswer::new(outcome.taken.first().copied()))
}
