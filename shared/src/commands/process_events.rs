//! Processes the events of a stream in their order (BR-PRC-001): runs the processors of each, and keeps what came of it.
//!
//! A commit's outcome is one item, saved after its events have been processed. What was taken up twice finds the outcome and
//! has nothing to do but to make sure that what has to be repeated is in its queue. A crash between a processor's work and the save
//! repeats that work: processors are run at least once.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::dispatch_events::{event_ref, process_messages, to_json};
use super::known_versions::KnownVersions;
use super::run_processor::{RunProcessorPorts, run_processor};
use crate::domain::claim::Slot;
use crate::domain::commit::Commit;
use crate::domain::dead_letter::{DeadLetter, DeadLetterId};
use crate::domain::definitions::Definitions;
use crate::domain::event::Event;
use crate::domain::outcome::{EventOutcome, Outcome, ProcessingResult, ResultStatus};
use crate::domain::processor::Processor;
use crate::domain::queue::{Outgoing, Queue, WorkQueue};
use crate::domain::retry_policy::with_jitter;
use crate::domain::status::EventStatus;
use crate::domain::stream_id::StreamKey;
use crate::domain::timestamp::Timestamp;
use crate::domain::version::Version;
use crate::domain::work::{ProcessWork, RetryWork};
use crate::ports::commit_log::CommitLog;
use crate::ports::dead_letters::DeadLetters;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::outcome_log::{ConcludedCommit, OutcomeLog};
use crate::ports::queue::QueueError;
use crate::ports::random::Random;
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

/// What processing needs.
pub struct ProcessEventsPorts<'a> {
    /// Where commits are read.
    pub log: &'a dyn CommitLog,
    /// Where outcomes are kept.
    pub outcomes: &'a dyn OutcomeLog,
    /// Knows the processors.
    pub definitions: &'a dyn DefinitionStore,
    /// Where what was given up is kept.
    pub dead_letters: &'a dyn DeadLetters,
    /// Runs processors.
    pub run: RunProcessorPorts<'a>,
    /// Spreads retries.
    pub random: &'a dyn Random,
    /// How far streams have been processed by this process.
    pub processed: &'a ProcessedStreams,
}

/// How far this process knows each stream to be processed.
pub struct ProcessedStreams(KnownVersions);

impl Default for ProcessedStreams {
    fn default() -> Self {
        const STREAMS: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();
        Self(KnownVersions::of(STREAMS))
    }
}

impl ProcessedStreams {
    fn covers(&self, stream: &StreamKey, version: Version) -> bool {
        self.0.get(stream).is_some_and(|last| last >= version)
    }
}

/// Why events were not processed. Taking the message up again goes on from what was saved.
#[derive(Debug, thiserror::Error)]
pub enum ProcessEventsError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// What has to be repeated could not be put into its queue.
    #[error("a queue failed")]
    Queue(#[from] QueueError),
}

/// After how long a message is put back with what is left, so that no function runs out of time.
const BUDGET: Duration = Duration::from_secs(30);
/// How many commits before the first are processed first, if they have not been.
const MOST_BEFORE: usize = 100;
/// How many commits that nobody is given are looked past for one that waits.
const MOST_LOOKED_PAST: usize = 8;
/// How often a save is tried that others get in the way of.
const MOST_ROUNDS: usize = 10;

/// Processes the events of these commits, and before them those of earlier commits of the stream that still wait.
///
/// # Errors
/// [`ProcessEventsError`]; what was processed before that is saved.
pub async fn process_events(ports: &ProcessEventsPorts<'_>, work: &ProcessWork) -> Result<(), ProcessEventsError> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let stream = StreamKey::from(&work.stream);
    let deadline = ports.run.webhooks.clock.now().plus(BUDGET);
    for (done, first) in work.commits.iter().enumerate() {
        let Some(commit) = ports.log.commit_at(&Slot { stream: stream.clone(), first: *first }).await? else {
            // A commit that is not there can only be a message of another table's.
            tracing::error!(%stream, version = first.get(), "there is no such commit to process");
            continue;
        };
        for commit in waiting_before(ports, &definitions, commit).await? {
            if !process_commit(ports, &definitions, &commit, deadline).await? {
                let rest: Vec<Version> = work.commits.get(done..).unwrap_or_default().to_vec();
                let again = ports.random.number().to_string();
                ports.run.queues.send(&Queue::Work(WorkQueue::Process), &process_messages(&stream, &rest, &again)).await?;
                return Ok(());
            }
            ports.processed.0.saw(&stream, commit.last());
        }
    }
    Ok(())
}

/// The commit, after those before it that still wait to be processed: their messages may come later.
async fn waiting_before(ports: &ProcessEventsPorts<'_>, definitions: &Definitions, commit: Commit) -> Result<Vec<Commit>, StoreError> {
    let stream = commit.stream.clone();
    let mut before = version_before(&commit);
    let mut waiting = vec![commit];
    // Commits that nobody is given say nothing of those before them. A few are looked past.
    let mut looked_past = 0;
    while waiting.len() <= MOST_BEFORE && looked_past < MOST_LOOKED_PAST {
        if before == Version::EMPTY || ports.processed.covers(&stream, before) {
            break;
        }
        let Some(earlier) = ports.log.commit_holding(&stream, before).await? else { break };
        before = version_before(&earlier);
        if definitions.count_to_process(&earlier) == 0 {
            looked_past += 1;
            continue;
        }
        let (outcome, _) = ports.outcomes.outcome(earlier.id()).await?;
        if outcome.is_some_and(|outcome| outcome.is_complete()) {
            break;
        }
        waiting.push(earlier);
    }
    waiting.reverse();
    Ok(waiting)
}

fn version_before(commit: &Commit) -> Version {
    Version::new(commit.first.get().saturating_sub(1))
}

/// Runs the processors of those of a commit's events that still wait. Returns whether none is left.
async fn process_commit(
    ports: &ProcessEventsPorts<'_>,
    definitions: &Definitions,
    commit: &Commit,
    deadline: Timestamp,
) -> Result<bool, ProcessEventsError> {
    let events = commit.to_events();
    for _ in 0..MOST_ROUNDS {
        let (standing, revision) = ports.outcomes.outcome(commit.id()).await?;
        if let Some(standing) = standing.as_ref().filter(|standing| standing.is_complete()) {
            repeat_what_waits(ports, definitions, &events, standing).await?;
            return Ok(true);
        }
        let mut outcome = standing.unwrap_or_else(|| Outcome {
            commit: commit.id(),
            events: events.iter().map(|event| definitions.outcome_before_processing(event)).collect(),
        });
        let mut follow_ups = Vec::new();
        for (event, of_event) in events.iter().zip(&mut outcome.events) {
            if of_event.status != EventStatus::Pending {
                continue;
            }
            if !follow_ups.is_empty() && ports.run.webhooks.clock.now() >= deadline {
                break;
            }
            let mut results = Vec::new();
            for processor in definitions.processors_given(event.organization(), &event.details, event.recorded_at) {
                let run = run_processor(&ports.run, definitions, processor, event, 1).await;
                results.push(run.result.clone());
                follow_ups.push((event, processor.clone(), run));
            }
            *of_event = EventOutcome::of(results);
        }
        if ports.outcomes.save_outcome(&concluded(commit), &outcome, revision).await? {
            for (event, processor, run) in &follow_ups {
                follow_up(ports, event, processor, &run.result, run.again_after).await?;
            }
            return Ok(outcome.is_complete());
        }
        // Somebody else was faster, or the store's answer to this very save was lost: look again.
    }
    Err(StoreError::Contended.into())
}

/// What the store needs to know of a commit.
#[must_use]
pub fn concluded(commit: &Commit) -> ConcludedCommit {
    ConcludedCommit { stream: commit.stream.clone(), first: commit.first, last_occurred_at: commit.last_occurred_at() }
}

/// Has a failed run repeated after `delay`, or parks it if it was the last.
pub(super) async fn follow_up(
    ports: &ProcessEventsPorts<'_>,
    event: &Event,
    processor: &Processor,
    result: &ProcessingResult,
    delay: Option<Duration>,
) -> Result<(), ProcessEventsError> {
    match result.status {
        ResultStatus::Retry => repeat(ports, event, processor, result.attempt + 1, delay.unwrap_or_default()).await,
        ResultStatus::Failed => Ok(ports.dead_letters.park(&letter(event, processor, result)).await?),
        ResultStatus::Success | ResultStatus::Skipped => Ok(()),
    }
}

async fn repeat(
    ports: &ProcessEventsPorts<'_>,
    event: &Event,
    processor: &Processor,
    attempt: u32,
    delay: Duration,
) -> Result<(), ProcessEventsError> {
    let work = RetryWork { event: event_ref(event), processor_id: processor.id.clone(), attempt };
    let message = Outgoing::after(with_jitter(delay, ports.random.number()), to_json(&work));
    Ok(ports.run.queues.send(&Queue::Work(WorkQueue::Retry), &[message]).await?)
}

/// What is parked of a processor that failed for good.
fn letter(event: &Event, processor: &Processor, result: &ProcessingResult) -> DeadLetter {
    let work = RetryWork { event: event_ref(event), processor_id: processor.id.clone(), attempt: 1 };
    DeadLetter {
        id: DeadLetterId::of(result.at, &format!("{}/{}", processor.id, event.place)),
        queue: WorkQueue::Retry,
        // It is the processor's owner's, whosever event it is about.
        organization: processor.organization.clone(),
        subscription: None,
        processor: Some(processor.id.clone()),
        event_id: Some(event.id),
        reason: result.message.clone().unwrap_or_else(|| "the processor failed".to_owned()),
        attempts: result.attempt,
        body: to_json(&work),
        parked_at: result.at,
    }
}

/// Whoever saved an outcome may have ended before what has to be repeated was in its queue. Once too often does no harm: an
/// attempt that was made is not made again.
async fn repeat_what_waits(
    ports: &ProcessEventsPorts<'_>,
    definitions: &Definitions,
    events: &[Event],
    outcome: &Outcome,
) -> Result<(), ProcessEventsError> {
    for (event, outcome) in events.iter().zip(&outcome.events) {
        for processor in definitions.processors_given(event.organization(), &event.details, event.recorded_at) {
            if let Some(last) = outcome.last_of(processor.name.as_str()) {
                repeat_last(ports, event, processor, last).await?;
            }
        }
    }
    Ok(())
}

/// Has a result that was saved followed up, in case whoever saved it ended before.
pub(super) async fn repeat_last(
    ports: &ProcessEventsPorts<'_>,
    event: &Event,
    processor: &Processor,
    last: &ProcessingResult,
) -> Result<(), ProcessEventsError> {
    follow_up(ports, event, processor, last, processor.policy().delay_after(last.attempt)).await
}

/// Adds a result to a commit's outcome, if `wanted` still holds of the event's outcome. Returns whether it did.
pub(super) async fn add_result(
    ports: &ProcessEventsPorts<'_>,
    commit: &Commit,
    index: usize,
    result: &ProcessingResult,
    wanted: impl Fn(&EventOutcome) -> bool,
) -> Result<bool, ProcessEventsError> {
    for _ in 0..MOST_ROUNDS {
        let (outcome, revision): (Option<Outcome>, Revision) = ports.outcomes.outcome(commit.id()).await?;
        let Some(mut outcome) = outcome else { return Ok(false) };
        let Some(of_event) = outcome.events.get_mut(index).filter(|of_event| wanted(of_event)) else { return Ok(false) };
        let mut results = std::mem::take(&mut of_event.results);
        results.push(result.clone());
        *of_event = EventOutcome::of(results);
        if ports.outcomes.save_outcome(&concluded(commit), &outcome, revision).await? {
            return Ok(true);
        }
    }
    Err(StoreError::Contended.into())
}
