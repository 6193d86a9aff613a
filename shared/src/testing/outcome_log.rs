//! The contract of [`OutcomeLog`].

use super::builders::{commit, event, large_event, noon};
use crate::domain::commit::Commit;
use crate::domain::outcome::{EventOutcome, Outcome, ProcessingResult, ResultStatus};
use crate::domain::status::EventStatus;
use crate::ports::outcome_log::{ConcludedCommit, OutcomeLog};
use crate::ports::revision::Revision;

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
pub async fn an_outcome_is_read_back_as_it_was_saved(log: &impl OutcomeLog) {
    for (name, events) in [("acme/order:1", vec![event("a"), event("b")]), ("order:1", (0..100).map(|_| event("c")).collect())] {
        let commit = commit(name, 1, events);
        assert_eq!(log.outcome(commit.id()).await.unwrap(), (None, Revision(0)));
        let outcome = outcome(&commit, EventStatus::Failed);
        assert!(log.save_outcome(&concluded(&commit), &outcome, Revision(0)).await.unwrap());
        let (saved, revision) = log.outcome(commit.id()).await.unwrap();
        assert_eq!(saved, Some(outcome));
        assert_ne!(revision, Revision(0));
    }
}

/// A retry that succeeds is all that counts.
pub async fn an_outcome_takes_the_place_of_the_one_before(log: &impl OutcomeLog) {
    let commit = commit("order:1", 1, vec![event("a")]);
    for status in [EventStatus::Processing, EventStatus::Failed, EventStatus::Processed] {
        let (_, seen) = log.outcome(commit.id()).await.unwrap();
        assert!(log.save_outcome(&concluded(&commit), &outcome(&commit, status), seen).await.unwrap());
        let (saved, _) = log.outcome(commit.id()).await.unwrap();
        assert_eq!(saved.map(|outcome| outcome.events[0].status), Some(status));
    }
}

/// Before the first save as well as after it.
pub async fn of_two_who_read_the_same_one_saves(log: &impl OutcomeLog) {
    let commit = commit("order:1", 1, vec![event("a")]);
    let of = concluded(&commit);
    let (first, second) = (outcome(&commit, EventStatus::Failed), outcome(&commit, EventStatus::Processed));
    for _ in 0..3 {
        let (_, seen) = log.outcome(commit.id()).await.unwrap();
        assert!(log.save_outcome(&of, &first, seen).await.unwrap());
        assert!(!log.save_outcome(&of, &second, seen).await.unwrap());
        assert_eq!(log.outcome(commit.id()).await.unwrap().0.as_ref(), Some(&first));
    }
    assert!(!log.save_outcome(&of, &second, Revision(99)).await.unwrap());
}

/// However often processors are tried, and whatever they say.
pub async fn an_outcome_of_any_size_keeps_the_first_and_the_last_result_of_every_processor(log: &impl OutcomeLog) {
    let commit = commit("order:1", 1, (0..100).map(|_| event("a")).collect());
    let noise = large_event(ProcessingResult::MAX_MESSAGE * 100).details.data.as_str().to_owned();
    let mut starts = (0..noise.len() - ProcessingResult::MAX_MESSAGE).step_by(7).cycle();
    let mut result = |processor: usize, attempt: u32, status| {
        let message = starts.next().map(|start| noise[start..start + ProcessingResult::MAX_MESSAGE].to_owned());
        let at = noon().plus_micros(i64::from(attempt) * 1_000_000);
        ProcessingResult { processor: format!("processor {processor}"), status, message, at, ms: 20, attempt }
    };
    let mut results_of_event = || {
        let attempts = (1..=10).flat_map(|attempt| (1..=3).map(move |processor| (processor, attempt)));
        let status = |attempt| if attempt == 10 { ResultStatus::Failed } else { ResultStatus::Retry };
        attempts.map(|(processor, attempt)| result(processor, attempt, status(attempt))).collect::<Vec<_>>()
    };
    let outcome = Outcome { commit: commit.id(), events: commit.events.iter().map(|_| EventOutcome::of(results_of_event())).collect() };
    assert!(log.save_outcome(&concluded(&commit), &outcome, Revision(0)).await.unwrap());
    let saved = log.outcome(commit.id()).await.unwrap().0.unwrap();
    for (saved, event) in saved.events.iter().zip(&outcome.events) {
        assert_eq!(saved.status, event.status);
        for processor in event.processors() {
            let of = |outcome: &EventOutcome| {
                let results = outcome.results.iter().filter(|result| result.processor == processor);
                let attempts: Vec<(u32, ResultStatus)> = results.map(|result| (result.attempt, result.status)).collect();
                (attempts.first().copied(), attempts.last().copied())
            };
            assert_eq!(of(saved), of(event));
        }
    }
}
