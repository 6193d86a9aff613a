//! Moves events that are old, and with which nothing is left to be done, from the table into the archive.
//!
//! Everything is done in an order in which it may end at any point. What is about to be written is noted; the object is stored; then the
//! table learns, commit by commit, where each is. Whoever comes next finds the note: if the object is there, what it holds is marked,
//! else the note is void. So an event is in one object, and it is in the table until it can be read from there.

use std::time::Duration;

use crate::domain::archive::{
    ArchiveFormatError, ArchiveObject, ArchiveProgress, BYTES_AN_OBJECT, COMMITS_AN_OBJECT, UnarchivedCommit, commits_in, pack,
};
use crate::domain::timestamp::{Hour, Timestamp};
use crate::ports::archive_store::ArchiveStore;
use crate::ports::clock::Clock;
use crate::ports::object_store::{ObjectStore, ObjectStoreError};
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;

/// What archiving needs.
#[derive(Clone, Copy)]
pub struct ArchiveEventsPorts<'a> {
    /// Knows which events are not archived.
    pub archive: &'a dyn ArchiveStore,
    /// Keeps the archive.
    pub objects: &'a dyn ObjectStore,
    /// Says when.
    pub clock: &'a dyn Clock,
}

/// After how many days events are archived.
///
/// Invariant: one day at least, so that the hours which are looked at are over and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveAfter(u32);

impl ArchiveAfter {
    /// The most days: a hundred years.
    pub const MAX_DAYS: u32 = 36_500;

    /// After so many days, or nothing outside 1 to [`ArchiveAfter::MAX_DAYS`].
    #[must_use]
    pub fn days(days: u32) -> Option<Self> {
        (1..=Self::MAX_DAYS).contains(&days).then_some(Self(days))
    }

    /// The last moment that is so long ago.
    fn until(self, now: Timestamp) -> Timestamp {
        now.plus_micros(-i64::from(self.0) * 86_400_000_000)
    }
}

impl std::str::FromStr for ArchiveAfter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .and_then(Self::days)
            .ok_or_else(|| format!("must be 0, for never, or a number of days from 1 to {}", Self::MAX_DAYS))
    }
}

/// What one run archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveRun {
    /// What happened no later than this.
    pub until: Timestamp,
    /// What of that was recorded no later than this.
    pub recorded_until: Timestamp,
    /// When to stop; the next run goes on.
    pub deadline: Timestamp,
    /// Which hours are looked through.
    pub reach: ArchiveReach,
}

/// Which hours a run looks through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveReach {
    /// Those after the last that was looked through.
    New,
    /// All that hold anything: events may have come late to an hour, or failed and been redeemed since.
    All,
}

impl ArchiveRun {
    /// The run of an hourly schedule that begins now and may take so long: once a day it looks through everything.
    #[must_use]
    pub fn scheduled(after: ArchiveAfter, now: Timestamp, time: Duration) -> Self {
        let reach = if now.hour() == now.hour().day().first_hour() { ArchiveReach::All } else { ArchiveReach::New };
        let until = after.until(now);
        Self { until, recorded_until: until, deadline: now.plus(time), reach }
    }
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Archived {
    /// Events that were archived.
    pub events: usize,
    /// Their commits.
    pub commits: usize,
    /// Objects that were written.
    pub objects: usize,
    /// Whether it got through; else the next run goes on.
    pub complete: bool,
}

/// A run did not get through. The next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveEventsError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The object store failed.
    #[error("the object store failed")]
    Objects(#[from] ObjectStoreError),
    /// The archive cannot be written or read.
    #[error("object {object} of the archive cannot be written or read")]
    Format {
        /// The object.
        object: ArchiveObject,
        /// Why.
        source: ArchiveFormatError,
    },
    /// Another run is under way.
    #[error("another run is under way")]
    Overtaken,
}

/// How many hours are asked for at a time.
const HOURS_A_CALL: usize = 24;
/// How many commits are read at a time.
const COMMITS_A_CALL: usize = 500;

/// Archives what is old enough, hour by hour, oldest first.
///
/// Events are archived by whole commits: those of hours that were over at the run's moment, recorded before another, and of which every
/// event is processed. Failed and waiting events stay in the table until they are dealt with.
///
/// # Errors
/// [`ArchiveEventsError`]. What was archived until then stays so.
pub async fn archive_events(ports: &ArchiveEventsPorts<'_>, run: &ArchiveRun) -> Result<Archived, ArchiveEventsError> {
    let (progress, revision) = ports.archive.archive_progress().await?;
    let mut work = Archiving { ports, run, progress, saved: progress, revision, done: Archived::default() };
    work.finish_last().await?;
    work.done.complete = work.archive_hours().await?;
    work.save().await?;
    Ok(work.done)
}

/// A run under way.
struct Archiving<'a> {
    ports: &'a ArchiveEventsPorts<'a>,
    run: &'a ArchiveRun,
    progress: ArchiveProgress,
    saved: ArchiveProgress,
    revision: Revision,
    done: Archived,
}

impl Archiving<'_> {
    /// Archives what may be, hour by hour. Returns whether it got through.
    async fn archive_hours(&mut self) -> Result<bool, ArchiveEventsError> {
        // The hour of the moment itself is not over.
        let before = self.run.until.plus_micros(1).hour();
        let mut after = match self.run.reach {
            ArchiveReach::New => self.progress.reached,
            ArchiveReach::All => None,
        };
        loop {
            let hours = self.ports.archive.hours_to_archive(after, before, HOURS_A_CALL).await?;
            for hour in &hours {
                if !self.archive_hour(*hour).await? {
                    return Ok(false);
                }
                self.progress.reached = self.progress.reached.max(Some(*hour));
            }
            after = hours.last().copied();
            if hours.len() < HOURS_A_CALL {
                return Ok(true);
            }
        }
    }

    /// Ends what a run before may have left undone.
    async fn finish_last(&mut self) -> Result<(), ArchiveEventsError> {
        let Some(object) = self.progress.writing else { return Ok(()) };
        if let Some(bytes) = self.ports.objects.get(&object.key()).await? {
            let commits = commits_in(object, &bytes).map_err(|source| ArchiveEventsError::Format { object, source })?;
            self.ports.archive.mark_archived(&commits).await?;
        }
        self.progress.writing = None;
        self.save().await
    }

    /// Archives what may be of an hour. Returns whether it got through.
    async fn archive_hour(&mut self, hour: Hour) -> Result<bool, ArchiveEventsError> {
        let (mut batch, mut bytes, mut after): (Vec<UnarchivedCommit>, usize, _) = (Vec::new(), 0, None);
        loop {
            if self.ports.clock.now() >= self.run.deadline {
                return Ok(false);
            }
            let page = self.ports.archive.commits_to_archive(hour, after, COMMITS_A_CALL).await?;
            for commit in page.commits.into_iter().filter(|commit| commit.may_be_archived(self.run.recorded_until)) {
                bytes += commit.commit.bytes();
                batch.push(commit);
                if batch.len() >= COMMITS_AN_OBJECT || bytes >= BYTES_AN_OBJECT {
                    self.write(hour, &std::mem::take(&mut batch)).await?;
                    bytes = 0;
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if !batch.is_empty() {
            self.write(hour, &batch).await?;
        }
        Ok(true)
    }

    /// Writes one object, and lets the table know.
    async fn write(&mut self, hour: Hour, batch: &[UnarchivedCommit]) -> Result<(), ArchiveEventsError> {
        let packed = pack(hour, batch).map_err(|source| {
            let object = ArchiveObject::of(hour, batch.iter().map(|commit| &commit.commit));
            ArchiveEventsError::Format { object, source }
        })?;
        self.progress.writing = Some(packed.object);
        self.save().await?;
        self.ports.objects.put(&packed.object.key(), packed.bytes).await?;
        self.ports.archive.mark_archived(&packed.commits).await?;
        self.progress.writing = None;
        self.done.objects += 1;
        self.done.commits += batch.len();
        self.done.events += batch.iter().map(|commit| commit.events.len()).sum::<usize>();
        Ok(())
    }

    /// Saves how far it has come, unless that is known.
    async fn save(&mut self) -> Result<(), ArchiveEventsError> {
        if self.progress == self.saved {
            return Ok(());
        }
        if !self.ports.archive.save_archive_progress(&self.progress, self.revision).await? {
            return Err(ArchiveEventsError::Overtaken);
        }
        self.revision = Revision(self.revision.0 + 1);
        self.saved = self.progress;
        Ok(())
    }
}
