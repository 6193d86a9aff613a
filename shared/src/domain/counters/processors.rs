//! How processors have done: counted from outcomes, so that running one for an event takes no write of its own.

use std::collections::BTreeMap;

use super::{Change, ChangeKind, Fences, ShardId};
use crate::domain::definitions::Definitions;
use crate::domain::identifiers::ProcessorId;
use crate::domain::outcome::{ProcessingResult, ResultStatus};
use crate::domain::timestamp::Timestamp;

/// How one processor has done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessorTally {
    /// How many attempts failed, those included that were tried again.
    pub errors: u64,
    /// How many attempts succeeded.
    pub successes: u64,
    /// What the last failed attempt said.
    pub last_error: Option<String>,
    /// When the last attempt ended.
    pub last_processed_at: Option<Timestamp>,
}

/// How processors have done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessorTallies {
    /// Each that was run.
    pub by_id: BTreeMap<ProcessorId, ProcessorTally>,
    /// What has been counted.
    pub fences: Fences,
}

impl ProcessorTally {
    /// The most characters of [`ProcessorTally::last_error`].
    pub const MAX_ERROR: usize = 500;

    fn add(&mut self, result: &ProcessingResult) {
        match result.status {
            ResultStatus::Success => self.successes += 1,
            ResultStatus::Failed | ResultStatus::Retry => {
                self.errors += 1;
                self.last_error = result.message.as_ref().map(|message| message.chars().take(Self::MAX_ERROR).collect());
            }
            ResultStatus::Skipped => return,
        }
        self.last_processed_at = self.last_processed_at.max(Some(result.at));
    }

    fn error_bytes(&self) -> usize {
        self.last_error.as_ref().map_or(0, String::len)
    }
}

impl ProcessorTallies {
    /// How many processors are kept: those that were run last.
    pub const MAX: usize = 1000;
    /// The most bytes of all errors together, so that the item stays below the store's limit.
    const MAX_ERROR_BYTES: usize = 200 * 1024;

    /// Counts those of `changes` that have not been counted yet. Returns whether there were any.
    pub fn apply(&mut self, shard: &ShardId, changes: &[&Change], definitions: &Definitions) -> bool {
        let mut applied = false;
        for change in changes {
            if self.fences.covers(shard, &change.sequence) {
                continue;
            }
            self.add(&change.kind, definitions);
            self.fences.advance(shard, &change.sequence);
            applied = true;
        }
        self.forget();
        applied
    }

    fn add(&mut self, change: &ChangeKind, definitions: &Definitions) {
        let organization = match change {
            ChangeKind::Committed { .. } | ChangeKind::Archived { .. } => return,
            ChangeKind::Concluded { organization, .. } => organization.as_ref(),
        };
        for result in change.new_results() {
            // A processor that is no longer known has nobody who asks how it did.
            if let Some(processor) = definitions.processor_named(organization, &result.processor) {
                self.by_id.entry(processor.id.clone()).or_default().add(result);
            }
        }
    }

    /// Keeps within bounds what is kept of processors, and of their errors, those first that were run last.
    fn forget(&mut self) {
        let mut errors: usize = self.by_id.values().map(ProcessorTally::error_bytes).sum();
        if self.by_id.len() <= Self::MAX && errors <= Self::MAX_ERROR_BYTES {
            return;
        }
        let mut oldest: Vec<(Option<Timestamp>, ProcessorId)> =
            self.by_id.iter().map(|(id, tally)| (tally.last_processed_at, id.clone())).collect();
        oldest.sort_unstable();
        let too_many = self.by_id.len().saturating_sub(Self::MAX);
        for (position, (_, id)) in oldest.iter().enumerate() {
            if position < too_many {
                errors -= self.by_id.remove(id).map_or(0, |tally| tally.error_bytes());
            } else if errors > Self::MAX_ERROR_BYTES
                && let Some(tally) = self.by_id.get_mut(id)
            {
                errors -= tally.error_bytes();
                tally.last_error = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::counters::SequenceNumber;
    use crate::domain::event_id::EventId;
    use crate::domain::json::JsonObject;
    use crate::domain::outcome::{EventOutcome, Outcome};
    use crate::domain::processor::{Processor, ProcessorDraft};

    fn processor(id: &str, organization: Option<&str>, name: &str) -> Processor {
        let draft = ProcessorDraft {
            name: name.parse().unwrap(),
            kind: "internal".to_owned(),
            enabled: true,
            priority: 0,
            filters: JsonObject::default(),
            config: JsonObject::default(),
            retry_policy: JsonObject::default(),
        };
        let organization = organization.map(|name| name.parse().unwrap());
        Processor::new(id.parse().unwrap(), organization, draft, Timestamp::MIN, Timestamp::MIN)
    }

    fn result(processor: &str, status: ResultStatus, attempt: u32) -> ProcessingResult {
        let message = (status != ResultStatus::Success).then(|| format!("{processor} {attempt} {}", "x".repeat(1000)));
        let at = Timestamp::MIN.plus_micros(i64::from(attempt));
        ProcessingResult { processor: processor.to_owned(), status, message, at, ms: 1, attempt }
    }

    fn outcome(results: Vec<ProcessingResult>) -> Outcome {
        Outcome { commit: EventId::new(uuid::Uuid::nil()), events: vec![EventOutcome::of(results)] }
    }

    fn change(number: u32, organization: Option<&str>, before: Option<Outcome>, after: Outcome) -> Change {
        let organization = organization.map(|name| name.parse().unwrap());
        Change { sequence: SequenceNumber(number.to_string()), kind: ChangeKind::Concluded { organization, before, after } }
    }

    fn shard() -> ShardId {
        ShardId("shardId-1".to_owned())
    }

    fn counts(tallies: &ProcessorTallies, id: &str) -> Option<(u64, u64, Option<i64>)> {
        let tally = tallies.by_id.get(&id.parse().unwrap())?;
        Some((tally.errors, tally.successes, tally.last_processed_at.map(|at| at.micros() - Timestamp::MIN.micros())))
    }

    #[test]
    fn every_attempt_is_counted_once_with_the_processor_that_made_it() {
        let definitions = Definitions::new(
            1,
            vec![processor("ours", None, "mail"), processor("theirs", Some("acme"), "mail"), processor("idle", None, "log")],
            Vec::new(),
        );
        let first =
            vec![result("mail", ResultStatus::Retry, 1), result("log", ResultStatus::Skipped, 1), result("gone", ResultStatus::Failed, 1)];
        let second = [first.clone(), vec![result("mail", ResultStatus::Success, 2)]].concat();
        let changes = [
            change(1, None, None, outcome(first.clone())),
            change(2, None, Some(outcome(first.clone())), outcome(second.clone())),
            change(3, Some("acme"), None, outcome(vec![result("mail", ResultStatus::Failed, 3)])),
            change(4, Some("other"), None, outcome(vec![result("mail", ResultStatus::Failed, 4)])),
        ];
        let changes: Vec<&Change> = changes.iter().collect();
        let mut tallies = ProcessorTallies::default();
        assert!(tallies.apply(&shard(), &changes, &definitions));
        assert!(!tallies.apply(&shard(), &changes, &definitions), "they are counted");
        assert_eq!(counts(&tallies, "ours"), Some((2, 1, Some(4))));
        assert_eq!(counts(&tallies, "theirs"), Some((1, 0, Some(3))));
        assert_eq!(counts(&tallies, "idle"), Some((0, 0, None)));
        assert_eq!(tallies.by_id.len(), 3);
        let error = tallies.by_id[&"ours".parse().unwrap()].last_error.clone().unwrap();
        assert!(error.starts_with("mail 4 xxx") && error.len() == ProcessorTally::MAX_ERROR, "{error}");
    }

    #[test]
    fn the_processors_that_were_run_last_are_kept_and_their_errors_as_far_as_there_is_room() {
        let names: Vec<String> = (0..ProcessorTallies::MAX + 10).map(|number| format!("p{number:04}")).collect();
        let definitions = Definitions::new(1, names.iter().map(|name| processor(name, None, name)).collect(), Vec::new());
        let mut tallies = ProcessorTallies::default();
        for (number, name) in (1..).zip(&names) {
            let change = change(number, None, None, outcome(vec![result(name, ResultStatus::Failed, number)]));
            assert!(tallies.apply(&shard(), &[&change], &definitions));
        }
        assert_eq!(tallies.by_id.keys().map(ProcessorId::as_str).collect::<Vec<_>>(), names[10..]);
        let with_error = tallies.by_id.values().filter(|tally| tally.last_error.is_some()).count();
        assert_eq!(with_error, ProcessorTallies::MAX_ERROR_BYTES / ProcessorTally::MAX_ERROR);
        assert!(tallies.by_id.values().rev().take(with_error).all(|tally| tally.last_error.is_some()));
    }
}
