//! Streams on DynamoDB as they were written, commit by commit.

use async_trait::async_trait;

use super::DynamoEvents;
use super::items::{self, read_text};
use super::keys::{self, AFTER_ALL, SK};
use super::scan::{Consistency, Direction};
use crate::domain::commit::Commit;
use crate::domain::stream_id::{StreamId, StreamKey, place_of};
use crate::domain::version::Version;
use crate::ports::store_error::StoreError;
use crate::ports::stream_reader::{CommitRun, StreamReader};

/// The most commits of one call.
const MOST_A_CALL: usize = 1000;
/// About the most bytes of events of one answer.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// How many items of a place are looked at at a time for finding whose they are.
const NAMES_A_CALL: i32 = 4;

#[async_trait]
impl StreamReader for DynamoEvents {
    async fn commits_after(&self, stream: &StreamKey, after: Version, events: usize) -> Result<CommitRun, StoreError> {
        let address = stream.address();
        let pk = keys::place(address.place);
        let (low, high) = (keys::version_prefix(address, after.next()), format!("{}{AFTER_ALL}", keys::tag_prefix(address)));
        // One more than is asked for says whether there are more.
        let most = i32::try_from(events.saturating_add(1).clamp(2, MOST_A_CALL)).ok();
        let mut commits: Vec<Commit> = Vec::new();
        let (mut found, mut bytes, mut start) = (0, 0, None);
        loop {
            let (page, next) = self.page_between(&pk, (&low, &high), Direction::Forward, most, Consistency::Strong, start).await?;
            for item in page.iter().filter(|item| items::is_of(item, stream)) {
                let commit = items::read_commit(item)?;
                found += commit.events.len();
                bytes += commit.bytes();
                commits.push(commit);
            }
            start = next;
            if start.is_none() {
                return Ok(CommitRun { commits, to_the_end: true });
            }
            let enough = |last: &mut Commit| found - last.events.len() >= events || bytes - last.bytes() >= MOST_BYTES;
            if commits.pop_if(enough).is_some() {
                return Ok(CommitRun { commits, to_the_end: false });
            }
        }
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
