//! Streams on DynamoDB as they were written, commit by commit.

use async_trait::async_trait;
use futures::future::try_join_all;

use super::DynamoEvents;
use super::items::{self, Item, read_text};
use super::keys::{self, AFTER_ALL, SK};
use super::scan::{Consistency, Direction};
use crate::domain::commit::Commit;
use crate::domain::stream_id::{StreamId, StreamKey, place_of};
use crate::domain::version::Version;
use crate::ports::store_error::StoreError;
use crate::ports::stream_reader::{CommitRun, StreamReader};

/// Up to how many commits a call says how many it wants.
const MOST_A_CALL: i32 = 1000;
/// About the most bytes of events of one answer.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// How many parts of a stream are read beside each other.
const PARTS_AT_ONCE: u64 = 4;
/// How many items of a place are looked at at a time for finding whose they are.
const NAMES_A_CALL: i32 = 4;

#[async_trait]
impl StreamReader for DynamoEvents {
    async fn commits_after(&self, stream: &StreamKey, after: Version, events: usize) -> Result<CommitRun, StoreError> {
        let address = stream.address();
        let pk = keys::place(address.place);
        let (low, high) = (keys::version_prefix(address, after.next()), format!("{}{AFTER_ALL}", keys::tag_prefix(address)));
        // One more than is asked for says whether there are more. A page of the store holds a megabyte anyway.
        let most = i32::try_from(events.saturating_add(1).max(2)).ok().filter(|most| *most <= MOST_A_CALL);
        let (page, next) = self.page_of_commits(&pk, (&low, &high), most, None).await?;
        let mut run = Run { events: 0, bytes: 0, commits: Vec::new() };
        run.extend(self.commits_of(page, stream).await?);
        if next.is_none() {
            return Ok(CommitRun { commits: run.commits, to_the_end: true });
        }
        // A stream has no gaps, so what comes after a page can be read in parts beside each other, as wide as the page was.
        let width = run.last().get().saturating_sub(after.get()).max(1);
        while !run.has_more_than(events) {
            let missing = events.saturating_sub(run.events) as u64 + 1;
            let parts = (0..missing.div_ceil(width).min(PARTS_AT_ONCE)).map(|part| {
                let start = run.last().max(after).get() + part * width;
                (Version::new(start), Version::new(start + width))
            });
            let parts: Vec<(Version, Version)> = parts.collect();
            let found = try_join_all(parts.iter().map(|part| self.commits_starting(stream, *part))).await?;
            for ((_, to), commits) in parts.into_iter().zip(found) {
                run.extend(commits);
                if run.last() < to {
                    // What was stored since, further on, comes with the next read.
                    return Ok(CommitRun { commits: run.commits, to_the_end: true });
                }
            }
        }
        run.commits.pop();
        Ok(CommitRun { commits: run.commits, to_the_end: false })
    }

    async fn streams_named(&self, name: &StreamId, most: usize) -> Result<Vec<StreamKey>, StoreError> {
        let (pk, high) = (keys::place(place_of(name)), AFTER_ALL.to_string());
        let mut low = "0".to_owned();
        let mut streams: Vec<StreamKey> = Vec::new();
        loop {
            let page = self.between(&pk, (&low, &high), Direction::Forward, Some(NAMES_A_CALL), Consistency::Strong).await?;
            // Streams whose addresses are the same by chance all show among the first commits at the address.
            for slot in page.iter().filter_map(|item| keys::read_commit_sk(read_text(item, SK).ok()?)) {
                if slot.stream.stream == *name && !streams.contains(&slot.stream) {
                    streams.push(slot.stream);
                }
            }
            let last = page.last().map(|item| read_text(item, SK)).transpose()?.and_then(keys::read_commit_sk);
            match last {
                Some(last) if streams.len() < most => low = format!("{}{AFTER_ALL}", keys::tag_prefix(last.stream.address())),
                Some(_) | None => break,
            }
        }
        streams.sort();
        streams.truncate(most);
        Ok(streams)
    }
}

impl DynamoEvents {
    /// The commits of a stream that start after a version, up to another.
    async fn commits_starting(&self, stream: &StreamKey, (after, to): (Version, Version)) -> Result<Vec<Commit>, StoreError> {
        let address = stream.address();
        let (low, high) = (keys::version_prefix(address, after.next()), format!("{}{AFTER_ALL}", keys::version_prefix(address, to)));
        let pk = keys::place(address.place);
        let (mut commits, mut start) = (Vec::new(), None);
        loop {
            let (found, next) = self.page_of_commits(&pk, (&low, &high), None, start).await?;
            commits.extend(self.commits_of(found, stream).await?);
            start = next;
            if start.is_none() {
                return Ok(commits);
            }
        }
    }

    async fn commits_of(&self, found: Vec<Item>, stream: &StreamKey) -> Result<Vec<Commit>, StoreError> {
        self.commits(found.into_iter().filter(|item| items::is_of(item, stream)).collect()).await
    }
}

/// Commits, one right after the other.
struct Run {
    events: usize,
    bytes: usize,
    commits: Vec<Commit>,
}

impl Run {
    fn extend(&mut self, commits: Vec<Commit>) {
        self.events += commits.iter().map(|commit| commit.events.len()).sum::<usize>();
        self.bytes += commits.iter().map(Commit::bytes).sum::<usize>();
        self.commits.extend(commits);
    }

    fn last(&self) -> Version {
        self.commits.last().map_or(Version::EMPTY, Commit::last)
    }

    /// Whether it is enough without its last commit, which says that there are more.
    fn has_more_than(&self, events: usize) -> bool {
        self.commits.last().is_some_and(|last| self.events - last.events.len() >= events || self.bytes - last.bytes() >= MOST_BYTES)
    }
}
