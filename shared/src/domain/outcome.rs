//! Outcomes: what became of a commit's events after they were stored.

use std::collections::{BTreeMap, BTreeSet};

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

impl ProcessingResult {
    /// The most characters of a message.
    pub const MAX_MESSAGE: usize = 500;

    /// Whether both are of the same attempt. The one of them may have been shortened.
    #[must_use]
    pub fn is_same_attempt(&self, other: &Self) -> bool {
        (&self.processor, self.attempt, self.at) == (&other.processor, other.attempt, other.at)
    }
}

impl Outcome {
    /// Whether every event has been given to its processors.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.events.iter().all(|event| event.status != EventStatus::Pending)
    }

    /// The same with less to keep, if there is anything that it can do without: the older half of the attempts that were
    /// tried again, though of no processor its first or its last; once there are none, all but the starts of messages.
    #[must_use]
    pub fn shortened(&self) -> Option<Self> {
        let mut between: Vec<(Timestamp, usize, usize)> = Vec::new();
        for (event, outcome) in self.events.iter().enumerate() {
            let positions = outcome.positions_between().into_iter();
            between.extend(positions.map(|position| (outcome.results[position].at, event, position)));
        }
        let mut shorter = self.clone();
        if between.is_empty() {
            return shorter.cut_messages().then_some(shorter);
        }
        between.sort_unstable();
        between.truncate(between.len().div_ceil(2));
        // From the back, so that the positions of those in front still hold.
        between.sort_unstable_by_key(|(_, event, position)| std::cmp::Reverse((*event, *position)));
        for (_, event, position) in between {
            shorter.events[event].results.remove(position);
        }
        Some(shorter)
    }

    /// Cuts the longest messages to half of their length. Returns whether there were any worth it.
    fn cut_messages(&mut self) -> bool {
        const WORTH_CUTTING: usize = 20;
        let messages = self.events.iter_mut().flat_map(|event| &mut event.results).filter_map(|result| result.message.as_mut());
        let mut messages: Vec<(usize, &mut String)> = messages.map(|message| (message.chars().count(), message)).collect();
        let longest = messages.iter().map(|(length, _)| *length).max().unwrap_or_default();
        for (_, message) in messages.iter_mut().filter(|(length, _)| *length > longest / 2) {
            **message = message.chars().take(longest / 2).collect();
        }
        longest >= WORTH_CUTTING
    }
}

impl ResultStatus {
    /// Every status.
    pub const ALL: &'static [Self] = &[Self::Success, Self::Failed, Self::Skipped, Self::Retry];

    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Retry => "retry",
        }
    }
}

impl EventOutcome {
    /// The outcome of an event that no processor is given: there is nothing to do, so it is processed.
    pub const NOTHING_TO_DO: Self = Self { status: EventStatus::Processed, results: Vec::new() };

    /// The outcome of an event that nothing has been done with: pending (BR-EVT-007).
    pub const PENDING: Self = Self { status: EventStatus::Pending, results: Vec::new() };

    /// The outcome that these results make: processing while any processor will try again, failed if one has failed for good,
    /// else processed (BR-PRC-006, BR-PRC-007). What counts of a processor is its last result.
    #[must_use]
    pub fn of(results: Vec<ProcessingResult>) -> Self {
        let mut last: BTreeMap<&str, ResultStatus> = BTreeMap::new();
        for result in &results {
            last.insert(&result.processor, result.status);
        }
        let any = |status: ResultStatus| last.values().any(|other| *other == status);
        let status = if any(ResultStatus::Retry) {
            EventStatus::Processing
        } else if any(ResultStatus::Failed) {
            EventStatus::Failed
        } else {
            EventStatus::Processed
        };
        Self { status, results }
    }

    /// Where attempts stand that were tried again, but that are neither the first nor the last of their processor.
    fn positions_between(&self) -> Vec<usize> {
        let mut last: BTreeMap<&str, usize> = BTreeMap::new();
        for (position, result) in self.results.iter().enumerate() {
            last.insert(&result.processor, position);
        }
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let is_between = |(position, result): (usize, &'_ ProcessingResult), first: bool| {
            !first && result.status == ResultStatus::Retry && last.get(result.processor.as_str()) != Some(&position)
        };
        let results = self.results.iter().enumerate();
        results.filter(|(position, result)| is_between((*position, result), seen.insert(&result.processor))).map(|(at, _)| at).collect()
    }

    /// The results that were not there before.
    pub fn results_since<'a>(&'a self, before: Option<&'a Self>) -> impl Iterator<Item = &'a ProcessingResult> {
        let is_new = move |result: &&ProcessingResult| {
            before.is_none_or(|before| !before.results.iter().any(|standing| standing.is_same_attempt(result)))
        };
        self.results.iter().filter(is_new)
    }

    /// The last result of a processor.
    #[must_use]
    pub fn last_of(&self, processor: &str) -> Option<&ProcessingResult> {
        self.results.iter().rev().find(|result| result.processor == processor)
    }

    /// Whether nothing had to be done. Such events are counted when they are stored.
    #[must_use]
    pub fn is_nothing_to_do(&self) -> bool {
        self.status == EventStatus::Processed && self.results.is_empty()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn result(processor: &str, status: ResultStatus, attempt: u32) -> ProcessingResult {
        let (at, message) = (Timestamp::MIN.plus_micros(i64::from(attempt)), Some("é".repeat(100)));
        ProcessingResult { processor: processor.to_owned(), status, message, at, ms: 1, attempt }
    }

    fn attempts(outcome: &Outcome) -> Vec<(String, u32)> {
        outcome.events.iter().flat_map(|event| &event.results).map(|result| (result.processor.clone(), result.attempt)).collect()
    }

    #[test]
    fn the_oldest_retries_are_left_out_first_and_never_a_processors_first_or_last_result() {
        let of = |last| {
            let mut results = vec![result("once", ResultStatus::Retry, 1)];
            results.extend((1..=4).map(|attempt| result("mail", ResultStatus::Retry, attempt)));
            results.push(result("mail", last, 5));
            EventOutcome::of(results)
        };
        let outcome = Outcome { commit: EventId::new(uuid::Uuid::nil()), events: vec![of(ResultStatus::Success), of(ResultStatus::Retry)] };
        let mut shorter = outcome.clone();
        let kept = |attempts_of_mail: &[u32]| {
            let mail = attempts_of_mail.iter().map(|attempt| ("mail".to_owned(), *attempt));
            std::iter::once(("once".to_owned(), 1)).chain(mail).collect::<Vec<_>>()
        };
        for (first, second) in [(&[1, 4, 5][..], &[1, 3, 4, 5][..]), (&[1, 5], &[1, 4, 5]), (&[1, 5], &[1, 5])] {
            shorter = shorter.shortened().unwrap();
            assert_eq!(attempts(&shorter), [kept(first), kept(second)].concat());
            assert!(shorter.events.iter().zip(&outcome.events).all(|(event, before)| event.status == before.status));
        }
        assert_eq!(shorter.events[0].results[0].message.as_ref().map(|message| message.chars().count()), Some(100));
        let mut lengths = Vec::new();
        while let Some(next) = shorter.shortened() {
            lengths.extend(next.events[0].results[0].message.as_ref().map(|message| message.chars().count()));
            shorter = next;
        }
        assert_eq!(lengths, [50, 25, 12]);
        assert_eq!(attempts(&shorter), [kept(&[1, 5]), kept(&[1, 5])].concat());
    }

    #[test]
    fn results_are_new_only_if_their_attempt_was_not_there_before() {
        let mut before = EventOutcome::of(vec![result("mail", ResultStatus::Retry, 1)]);
        let after = EventOutcome::of(vec![result("mail", ResultStatus::Retry, 1), result("mail", ResultStatus::Success, 2)]);
        before.results[0].message = Some("shortened".to_owned());
        let attempts = |before| after.results_since(before).map(|result| result.attempt).collect::<Vec<_>>();
        assert_eq!((attempts(Some(&before)), attempts(None), attempts(Some(&after))), (vec![2], vec![1, 2], vec![]));
    }
}
