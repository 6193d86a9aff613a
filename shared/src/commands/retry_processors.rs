//! Runs one processor again for one event, apart from all others (BR-PRC-003, BR-PRC-004).

use super::process_events::{ProcessEventsError, ProcessEventsPorts, add_result, follow_up, repeat_last};
use super::run_processor::run_processor;
use crate::domain::claim::Slot;
use crate::domain::outcome::{EventOutcome, ResultStatus};
use crate::domain::processor::Processor;
use crate::domain::stream_id::StreamKey;
use crate::domain::work::RetryWork;
use crate::ports::definition_store::Freshness;
use crate::ports::store_error::StoreError;

/// Makes the attempt that the message asks for, unless it was made before.
///
/// # Errors
/// [`ProcessEventsError`]: the message is to be taken up again.
pub async fn retry_processor(ports: &ProcessEventsPorts<'_>, work: &RetryWork) -> Result<(), ProcessEventsError> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let Some(processor) = definitions.processor(&work.processor_id) else {
        tracing::warn!(processor_id = %work.processor_id, "there is no such processor to run again");
        return Ok(());
    };
    let slot = Slot { stream: StreamKey::from(&work.event.stream), first: work.event.commit };
    let commit = ports.log.commit_at(&slot).await?;
    let Some((commit, event)) = commit.and_then(|commit| commit.to_events().into_iter().nth(work.event.index).map(|event| (commit, event)))
    else {
        tracing::error!(stream = %slot.stream, version = slot.first.get(), "there is no such event to process");
        return Ok(());
    };
    let (outcome, _) = ports.outcomes.outcome(commit.id()).await?;
    let Some(outcome) = outcome else {
        // The first attempt is saved before a second is asked for.
        return Err(StoreError::Corrupt(format!("there is no outcome of commit {}", commit.id())).into());
    };
    let Some(of_event) = outcome.events.get(work.event.index) else { return Ok(()) };
    let is_next = |of_event: &EventOutcome| next_attempt(of_event, processor) == Some(work.attempt);
    if !is_next(of_event) {
        // This very attempt may have been saved by one who ended right after.
        return match of_event.last_of(processor.name.as_str()).filter(|last| last.attempt == work.attempt) {
            Some(last) => repeat_last(ports, &event, processor, last).await,
            None => Ok(()),
        };
    }
    let run = run_processor(&ports.run, &definitions, processor, &event, work.attempt).await;
    if add_result(ports, &commit, work.event.index, &run.result, is_next).await? {
        follow_up(ports, &event, processor, &run.result, run.again_after).await?;
    }
    Ok(())
}

/// Which attempt is the next: the one after a failed one, or the first of a new round if it was given up.
fn next_attempt(outcome: &EventOutcome, processor: &Processor) -> Option<u32> {
    let last = outcome.last_of(processor.name.as_str())?;
    match last.status {
        ResultStatus::Retry => Some(last.attempt + 1),
        ResultStatus::Failed => Some(1),
        ResultStatus::Success | ResultStatus::Skipped => None,
    }
}
