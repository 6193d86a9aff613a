//! The contract of [`OutcomeLog`].

use super::builders::{commit, event, noon};
use crate::domain::commit::Commit;
use crate::domain::outcome::{EventOutcome, Outcome, ProcessingResult, ResultStatus};
use crate::domain::status::EventStatus;
use crate::ports::outcome_log::{ConcludedCommit, OutcomeLog};

/// What the log needs to know of a commit.
#[must_use]
pub fn concluded(commit: &Commit) -> ConcludedCommit {
    ConcludedCommit { stream: commit.stream.clone(), first: commit.first, last_occurred_at: commit.last_occurred_at() }
}

/// An outcome of a commit that gave all of its events this status, in one attempt.
#[must_use]
pub fn outcome(commit: &Commit, status: EventStatus) -> Outcome {
    let result = ProcessingResult {
        processor: "mail".to_owned(),
        status: if status == EventStatus::Failed { ResultStatus::Failed } else { ResultStatus::Success },
        message: (status == EventStatus::Failed).then(|| "no route".to_owned()),
        at: noon().plus_micros(1_500_000),
        ms: 20,
        attempt: 2,
    };
    Outcome { commit: commit.id(), events: commit.events.iter().map(|_| EventOutcome { status, results: vec![result.clone()] }).collect() }
}

/// Every attempt is kept.
pub async fn an_outcome_is_read_back_as_it_was_put(log: &impl OutcomeLog) {
    let commit = commit("acme/order:1", 1, vec![event("a"), event("b")]);
    assert_eq!(log.outcome(commit.id()).await.unwrap(), None);
    let outcome = outcome(&commit, EventStatus::Failed);
    log.put_outcome(&concluded(&commit), &outcome).await.unwrap();
    assert_eq!(log.outcome(commit.id()).await.unwrap(), Some(outcome));
}

/// A retry that succeeds is all that counts.
pub async fn an_outcome_takes_the_place_of_the_one_before(log: &impl OutcomeLog) {
    let commit = commit("order:1", 1, vec![event("a")]);
    for status in [EventStatus::Failed, EventStatus::Processed] {
        log.put_outcome(&concluded(&commit), &outcome(&commit, status)).await.unwrap();
        assert_eq!(log.outcome(commit.id()).await.unwrap().map(|outcome| outcome.events[0].status), Some(status));
    }
}
