//! The archive: events that are no longer kept in the table, as lines of JSON in compressed objects. An object holds events of one
//! hour, and is named after it; the table keeps of each commit where it lies there.
//!
//! An object is a row of Zstandard frames, each of which can be unpacked by itself: so reading one event takes a small part of it, and
//! any tool that reads `.jsonl.zst` reads it whole. What was ever written stays readable for good; a test keeps a sample.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::category::EventCategory;
use super::claim::Slot;
use super::commit::{Commit, CommittedEvent};
use super::event::{BodyDigest, EventDetails};
use super::event_id::{EventId, Location};
use super::identifiers::{CorrelationId, DeviceId, EventType, OrganizationId, SchemaVersion, SessionId, UserId};
use super::json::JsonObject;
use super::outcome::ProcessingResult;
use super::query::ObservedEvent;
use super::source::EventSource;
use super::status::EventStatus;
use super::stream_id::{StreamId, StreamKey};
use super::timestamp::{Hour, Timestamp};
use super::version::Version;

/// The most commits of one object.
pub const COMMITS_AN_OBJECT: usize = 2000;
/// About the most bytes of events of one object, before they are compressed.
pub const BYTES_AN_OBJECT: usize = 16 * 1024 * 1024;
/// About the fewest bytes of lines of one frame, before they are compressed: what has to be unpacked for one event.
const BYTES_A_FRAME: usize = 128 * 1024;
/// The most bytes that frames which are read together unpack to; what claims more was not written here.
const MOST_UNPACKED: u64 = 256 * 1024 * 1024;
/// Archives are written once and kept: a higher level than that of the table's bodies.
const LEVEL: i32 = 9;

/// The archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFormatError {
    /// A frame is damaged, or the compressor failed.
    #[error("a frame cannot be read or written")]
    Frame(#[source] std::io::Error),
    /// A line is no archived event.
    #[error("a line is no archived event")]
    Line(#[source] serde_json::Error),
    /// A commit is not where it is said to be.
    #[error("commit {0} is not there, or not whole")]
    Missing(EventId),
    /// An event is no part of the commit that its line says.
    #[error("event {0} is not of its commit")]
    Misplaced(EventId),
}

/// Names an object of an object store: parts of letters, digits, `=`, `-`, `_` and `.`, with `/` between them.
///
/// Invariant: no part is empty or starts with a `.`, so that a key is a path below a folder, too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

/// The text is no [`ObjectKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not the key of an object")]
pub struct ObjectKeyError;

impl ObjectKey {
    /// The most bytes.
    pub const MAX_BYTES: usize = 512;

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectKey {
    type Err = ObjectKeyError;

    fn from_str(text: &str) -> Result<Self, ObjectKeyError> {
        let is_part = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b'-' | b'_' | b'.'))
        };
        if text.len() <= Self::MAX_BYTES && text.split('/').all(is_part) { Ok(Self(text.to_owned())) } else { Err(ObjectKeyError) }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One object of the archive. Its name follows from the commits that it holds, so that writing the same again is writing over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveObject {
    /// The hour in which its events happened.
    pub hour: Hour,
    digest: u64,
}

impl ArchiveObject {
    /// The object of these commits, of one hour.
    #[must_use]
    pub fn of<'a>(hour: Hour, commits: impl IntoIterator<Item = &'a Commit>) -> Self {
        let ids: Vec<u8> = commits.into_iter().flat_map(|commit| commit.id().to_string().into_bytes()).collect();
        Self { hour, digest: u64::try_from(BodyDigest::of(&ids).0 >> 64).unwrap_or_default() }
    }

    /// Its key: `events/date=2026-08-30/hour=13/0123456789abcdef.jsonl.zst`, which tools for such data read as a table by date and hour.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        let digits = self.hour.to_string();
        let part = |range: Range<usize>| digits.get(range).unwrap_or_default();
        let date = format!("{}-{}-{}", part(0..4), part(4..6), part(6..8));
        ObjectKey(format!("events/date={date}/hour={}/{:016x}.jsonl.zst", part(8..10), self.digest))
    }
}

impl fmt::Display for ArchiveObject {
    /// `yyyymmddhh/0123456789abcdef`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{:016x}", self.hour, self.digest)
    }
}

/// The text names no object, or no place in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no place of the archive")]
pub struct ArchivePlaceError;

impl FromStr for ArchiveObject {
    type Err = ArchivePlaceError;

    fn from_str(text: &str) -> Result<Self, ArchivePlaceError> {
        let (hour, digest) = text.split_once('/').ok_or(ArchivePlaceError)?;
        let digest = Some(digest).filter(|digits| digits.len() == 16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        Ok(Self { hour: Hour::from_digits(hour).ok_or(ArchivePlaceError)?, digest: digest.ok_or(ArchivePlaceError)? })
    }
}

/// Where in the archive a commit's events are: a frame of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchivePlace {
    /// The object.
    pub object: ArchiveObject,
    /// At which byte the frame begins.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
}

impl ArchivePlace {
    /// The first byte after the frame.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset + self.length
    }
}

impl fmt::Display for ArchivePlace {
    /// `yyyymmddhh/0123456789abcdef:0:34567`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.object, self.offset, self.length)
    }
}

impl FromStr for ArchivePlace {
    type Err = ArchivePlaceError;

    fn from_str(text: &str) -> Result<Self, ArchivePlaceError> {
        let mut parts = text.split(':');
        let (object, offset, length) = (parts.next(), parts.next(), parts.next());
        let number = |text: Option<&str>| text.and_then(|digits| digits.parse().ok()).ok_or(ArchivePlaceError);
        let place = Self { object: object.unwrap_or_default().parse()?, offset: number(offset)?, length: number(length)? };
        if parts.next().is_none() && place.offset.checked_add(place.length).is_some() { Ok(place) } else { Err(ArchivePlaceError) }
    }
}

/// A line of the archive: an event as the API shows it, and what else it takes to have it back in its commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedEvent {
    /// The commit that it was stored with.
    pub commit_id: EventId,
    /// Its id.
    pub event_id: EventId,
    /// What happened.
    pub event_type: EventType,
    /// Where it came from.
    pub event_source: EventSource,
    /// What kind of thing it is about.
    pub event_category: EventCategory,
    /// Whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// In which visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The tenant that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<OrganizationId>,
    /// On which device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// In which operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<CorrelationId>,
    /// The payload.
    #[serde(default)]
    pub data: JsonObject,
    /// Circumstances of the request.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub metadata: JsonObject,
    /// Environment and runtime.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub context: JsonObject,
    /// The producer's own properties.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub properties: JsonObject,
    /// What had become of it when it was archived.
    pub status: EventStatus,
    /// Every attempt of every processor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processing_results: Vec<ProcessingResult>,
    /// When it happened.
    pub timestamp: Timestamp,
    /// When it was stored.
    pub created_at: Timestamp,
    /// The schema version of `data`.
    pub schema_version: SchemaVersion,
    /// The stream that it is in.
    pub stream_id: StreamId,
    /// Its number in the stream, from 1.
    pub stream_version: Version,
}

impl From<&ObservedEvent> for ArchivedEvent {
    fn from(ObservedEvent { event, outcome }: &ObservedEvent) -> Self {
        let details = event.details.clone();
        Self {
            commit_id: event.commit,
            event_id: event.id,
            event_type: details.event_type,
            event_source: details.source,
            event_category: details.category,
            user_id: details.user,
            session_id: details.session,
            organization_id: event.stream.organization.clone(),
            device_id: details.device,
            correlation_id: details.correlation,
            data: details.data,
            metadata: details.metadata,
            context: details.context,
            properties: details.properties,
            status: outcome.status,
            processing_results: outcome.results.clone(),
            timestamp: event.occurred_at,
            created_at: event.recorded_at,
            schema_version: details.schema_version,
            stream_id: event.stream.stream.clone(),
            stream_version: event.stream_version,
        }
    }
}

impl ArchivedEvent {
    fn stream(&self) -> StreamKey {
        StreamKey { organization: self.organization_id.clone(), stream: self.stream_id.clone() }
    }

    /// The event of this index in its commit, as the commit held it.
    fn into_committed(self, index: usize) -> Result<CommittedEvent, ArchiveFormatError> {
        let address = self.stream().address();
        let place = |index: usize, version: Version| Location::new(self.created_at, index, address, version).id();
        let first = self.stream_version.get().checked_sub(index as u64).map(Version::new);
        if first.is_none_or(|first| place(0, first) != self.commit_id) {
            return Err(ArchiveFormatError::Misplaced(self.event_id));
        }
        let client_id = Some(self.event_id).filter(|id| *id != place(index, self.stream_version));
        let details = EventDetails {
            event_type: self.event_type,
            source: self.event_source,
            category: self.event_category,
            user: self.user_id,
            session: self.session_id,
            device: self.device_id,
            correlation: self.correlation_id,
            data: self.data,
            metadata: self.metadata,
            context: self.context,
            properties: self.properties,
            schema_version: self.schema_version,
        };
        Ok(CommittedEvent { client_id, occurred_at: self.timestamp, details })
    }
}

/// A commit that is not in the archive, with what became of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnarchivedCommit {
    /// The commit.
    pub commit: Commit,
    /// Its events, in their order.
    pub events: Vec<ObservedEvent>,
}

impl UnarchivedCommit {
    /// Whether nothing is left to be done with it, and it was recorded no later than `until`.
    #[must_use]
    pub fn may_be_archived(&self, until: Timestamp) -> bool {
        self.commit.recorded_at <= until && self.events.iter().all(|event| event.outcome.status == EventStatus::Processed)
    }
}

/// A commit that is in the archive, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedCommit {
    /// The commit's place in its stream.
    pub slot: Slot,
    /// Its place in the archive.
    pub place: ArchivePlace,
}

/// An object, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedCommits {
    /// The object.
    pub object: ArchiveObject,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Where in it the commits are.
    pub commits: Vec<ArchivedCommit>,
}

/// Packs commits of one hour into an object.
///
/// # Errors
/// [`ArchiveFormatError::Frame`] if the compressor fails.
pub fn pack(hour: Hour, commits: &[UnarchivedCommit]) -> Result<PackedCommits, ArchiveFormatError> {
    let object = ArchiveObject::of(hour, commits.iter().map(|commit| &commit.commit));
    let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(ArchiveFormatError::Frame)?;
    compressor.include_checksum(true).map_err(ArchiveFormatError::Frame)?;
    let mut packed = PackedCommits { object, bytes: Vec::new(), commits: Vec::new() };
    let (mut lines, mut waiting): (Vec<u8>, Vec<Slot>) = (Vec::new(), Vec::new());
    for (number, UnarchivedCommit { commit, events }) in commits.iter().enumerate() {
        for event in events {
            serde_json::to_writer(&mut lines, &ArchivedEvent::from(event)).map_err(ArchiveFormatError::Line)?;
            lines.push(b'\n');
        }
        waiting.push(Slot { stream: commit.stream.clone(), first: commit.first });
        if lines.len() >= BYTES_A_FRAME || number + 1 == commits.len() {
            let frame = compressor.compress(&lines).map_err(ArchiveFormatError::Frame)?;
            let place = ArchivePlace { object, offset: packed.bytes.len() as u64, length: frame.len() as u64 };
            packed.commits.extend(waiting.drain(..).map(|slot| ArchivedCommit { slot, place }));
            packed.bytes.extend(frame);
            lines.clear();
        }
    }
    Ok(packed)
}

/// The lines of one or more frames.
fn lines(frames: &[u8]) -> Result<impl Iterator<Item = Result<String, ArchiveFormatError>> + '_, ArchiveFormatError> {
    let reader = zstd::Decoder::new(frames).map_err(ArchiveFormatError::Frame)?.take(MOST_UNPACKED);
    Ok(BufReader::new(reader).lines().map(|line| line.map_err(ArchiveFormatError::Frame)))
}

/// Which commit a line is of: what is read of lines before the whole of them.
#[derive(Deserialize)]
struct OfCommit {
    commit_id: EventId,
}

fn read_line<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, ArchiveFormatError> {
    serde_json::from_str(line).map_err(ArchiveFormatError::Line)
}

/// The events of these commits, from frames that hold them.
///
/// # Errors
/// [`ArchiveFormatError`] if the frames cannot be read, or not all of the commits are there.
pub fn events_of(frames: &[u8], wanted: &BTreeSet<EventId>) -> Result<BTreeMap<EventId, Vec<CommittedEvent>>, ArchiveFormatError> {
    let mut found: BTreeMap<EventId, Vec<CommittedEvent>> = BTreeMap::new();
    for line in lines(frames)? {
        let line = line?;
        let OfCommit { commit_id } = read_line(&line)?;
        if wanted.contains(&commit_id) {
            let events = found.entry(commit_id).or_default();
            events.push(read_line::<ArchivedEvent>(&line)?.into_committed(events.len())?);
        }
    }
    match wanted.iter().find(|commit| !found.contains_key(commit)) {
        Some(missing) => Err(ArchiveFormatError::Missing(*missing)),
        None => Ok(found),
    }
}

/// The commits that an object holds, and where in it they are.
///
/// # Errors
/// [`ArchiveFormatError`] if it cannot be read.
pub fn commits_in(object: ArchiveObject, bytes: &[u8]) -> Result<Vec<ArchivedCommit>, ArchiveFormatError> {
    let (mut commits, mut offset): (Vec<ArchivedCommit>, usize) = (Vec::new(), 0);
    while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
        let damaged = |_| ArchiveFormatError::Frame(std::io::ErrorKind::InvalidData.into());
        let length = zstd::zstd_safe::find_frame_compressed_size(rest).map_err(damaged)?;
        let place = ArchivePlace { object, offset: offset as u64, length: length as u64 };
        let mut last = None;
        for line in lines(rest.get(..length).unwrap_or_default())? {
            let event: ArchivedEvent = read_line(&line?)?;
            if last != Some(event.commit_id) {
                last = Some(event.commit_id);
                commits.push(ArchivedCommit { slot: Slot { stream: event.stream(), first: event.stream_version }, place });
            }
        }
        offset += length;
    }
    Ok(commits)
}

/// How far archiving has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArchiveProgress {
    /// The last hour that was looked through.
    pub reached: Option<Hour>,
    /// The object that is being written: it may be there or not, and the table may know of all, some or none of its commits.
    pub writing: Option<ArchiveObject>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::commit::{Attempt, Storage};
    use crate::domain::outcome::{EventOutcome, ResultStatus};
    use proptest::prelude::*;

    /// An object as the first release wrote it. Never change it: archives are kept for good.
    const SAMPLE: &str = include_str!("archive_sample.txt");
    const START: i64 = 1_788_091_200_000_000;

    fn moment(micros: i64) -> Timestamp {
        Timestamp::from_micros(START + micros).unwrap()
    }

    fn unarchived(stream: &str, first: u64, numbers: &[u8]) -> UnarchivedCommit {
        let (organization, stream) = stream.split_once('/').unwrap_or(("", stream));
        let committed = |number: &u8| {
            CommittedEvent {
            client_id: number.is_multiple_of(3).then(|| format!("00000000-0000-4000-8000-{number:012}").parse().unwrap()),
            occurred_at: moment(i64::from(*number) * 1_000_001),
            details: serde_json::from_str(&format!(
                r#"{{"type":"order.placed","category":"order","user":"u{first}","data":{{"total":{number}.50,"big":123456789012345678901234567890}},"context":{{"text":"é\n"}}}}"#
            ))
            .unwrap(),
        }
        };
        let commit = Commit {
            stream: StreamKey { organization: organization.parse().ok(), stream: stream.parse().unwrap() },
            first: Version::new(first),
            recorded_at: moment(5_000),
            attempt: Attempt(7),
            request: None,
            storage: Storage::Table,
            events: numbers.iter().map(committed).collect(),
        };
        let result = ProcessingResult {
            processor: "logger".to_owned(),
            status: ResultStatus::Success,
            message: None,
            at: moment(9_000),
            ms: 3,
            attempt: 1,
        };
        let observed = |(index, event)| {
            let outcome = if index == 0 { EventOutcome::NOTHING_TO_DO } else { EventOutcome::of(vec![result.clone()]) };
            ObservedEvent { event, outcome }
        };
        let events = commit.to_events().into_iter().enumerate().map(observed).collect();
        UnarchivedCommit { commit, events }
    }

    fn hour() -> Hour {
        moment(0).hour()
    }

    /// Every commit read back from where it is said to be.
    fn read_back(packed: &PackedCommits, commits: &[UnarchivedCommit]) -> Vec<Vec<CommittedEvent>> {
        let read = |(archived, unarchived): (&ArchivedCommit, &UnarchivedCommit)| {
            let range = usize::try_from(archived.place.offset).unwrap()..usize::try_from(archived.place.end()).unwrap();
            let id = unarchived.commit.id();
            events_of(&packed.bytes[range], &BTreeSet::from([id])).unwrap().remove(&id).unwrap()
        };
        packed.commits.iter().zip(commits).map(read).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn commits_are_read_back_from_the_archive_as_they_were(
            sizes in proptest::collection::vec((0..3_u8, 1..5_u8), 1..60),
        ) {
            let commits: Vec<UnarchivedCommit> = (1_u64..).zip(&sizes).map(|(first, (stream, events))| {
                let name = ["order:1", "acme/order:1", "acme/user:ü#/%"][usize::from(*stream)];
                unarchived(name, first * 10, &(0..*events).collect::<Vec<u8>>())
            }).collect();
            let packed = pack(hour(), &commits).unwrap();
            let expected: Vec<_> = commits.iter().map(|commit| commit.commit.events.clone()).collect();
            prop_assert_eq!(read_back(&packed, &commits), expected);
            prop_assert_eq!(commits_in(packed.object, &packed.bytes).unwrap(), packed.commits.clone());
            let all: BTreeSet<EventId> = commits.iter().map(|commit| commit.commit.id()).collect();
            prop_assert_eq!(events_of(&packed.bytes, &all).unwrap().len(), commits.len());
            for archived in &packed.commits {
                prop_assert_eq!(archived.place.to_string().parse::<ArchivePlace>(), Ok(archived.place));
            }
        }
    }

    #[test]
    fn an_object_of_much_has_several_frames_and_reading_one_event_takes_one() {
        let commits: Vec<UnarchivedCommit> = (1..=2000).map(|number| unarchived("order:1", number, &[1])).collect();
        let packed = pack(hour(), &commits).unwrap();
        let places: BTreeSet<ArchivePlace> = packed.commits.iter().map(|commit| commit.place).collect();
        assert!(places.len() >= 5, "{} frames", places.len());
        assert_eq!(places.iter().map(|place| place.length).sum::<u64>(), packed.bytes.len() as u64);
        assert_eq!(read_back(&packed, &commits).len(), 2000);
    }

    #[test]
    fn the_same_commits_make_the_same_object() {
        let commits = [unarchived("order:1", 1, &[1, 2]), unarchived("order:2", 1, &[3])];
        let packed = pack(hour(), &commits).unwrap();
        assert_eq!(pack(hour(), &commits).unwrap(), packed);
        assert_ne!(pack(hour(), &commits[..1]).unwrap().object, packed.object);
        let key = packed.object.key();
        assert!(key.as_str().starts_with("events/date=2026-08-30/hour=12/"), "{key}");
        assert_eq!(key.as_str().parse(), Ok(key.clone()));
    }

    #[test]
    fn what_was_ever_archived_is_readable() {
        use base64::Engine as _;
        let commits = [unarchived("acme/order:1", 1, &[1, 3]), unarchived("order:2", 4, &[2])];
        let bytes = base64::engine::general_purpose::STANDARD.decode(SAMPLE.trim()).unwrap();
        let all: BTreeSet<EventId> = commits.iter().map(|commit| commit.commit.id()).collect();
        let found = events_of(&bytes, &all).unwrap();
        for commit in &commits {
            assert_eq!(found[&commit.commit.id()], commit.commit.events);
        }
    }

    #[test]
    fn a_line_is_the_event_as_the_api_shows_it() {
        let packed = pack(hour(), &[unarchived("acme/order:1", 1, &[1, 3])]).unwrap();
        let lines: Vec<String> = lines(&packed.bytes).unwrap().collect::<Result<_, _>>().unwrap();
        let names = |line: &str| serde_json::from_str::<BTreeMap<String, serde_json::Value>>(line).unwrap().into_keys().collect::<Vec<_>>();
        let expected = "commit_id context created_at data event_category event_id event_source event_type organization_id \
                        processing_results schema_version status stream_id stream_version timestamp user_id";
        assert_eq!(names(&lines[1]).join(" "), expected);
        assert!(lines[0].contains("123456789012345678901234567890") && lines[0].contains("1.50"), "{}", lines[0]);
    }

    #[test]
    fn what_is_damaged_is_an_error() {
        let commits = [unarchived("order:1", 1, &[1, 2])];
        let packed = pack(hour(), &commits).unwrap();
        let wanted = BTreeSet::from([commits[0].commit.id()]);
        let mut flipped = packed.bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x40;
        for bytes in [&packed.bytes[..packed.bytes.len() - 1], &flipped, b"{}", &[]] {
            assert!(events_of(bytes, &wanted).is_err(), "{} bytes", bytes.len());
            assert!(bytes.is_empty() || commits_in(packed.object, bytes).is_err());
        }
        let other = BTreeSet::from([unarchived("order:1", 2, &[1]).commit.id()]);
        assert!(matches!(events_of(&packed.bytes, &other), Err(ArchiveFormatError::Missing(_))));
    }

    #[test]
    fn keys_of_objects_stay_below_their_folder() {
        for text in ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.b", "a b", "a\\b", "ä", &"a".repeat(513)] {
            assert_eq!(text.parse::<ObjectKey>(), Err(ObjectKeyError), "{text}");
        }
        for text in [
            "",
            "2026083012/0123456789abcdef",
            "2026083012/0123456789abcdef:1",
            "2026083012/0:1:2",
            "2026083012/0123456789abcdef:1:2:3",
            "2026083012/0123456789abcdef:18446744073709551615:2",
            "2026083025/0123456789abcdef:1:2",
        ] {
            assert_eq!(text.parse::<ArchivePlace>(), Err(ArchivePlaceError), "{text}");
        }
    }
}
