//! Items of the table, to and from the domain.

pub(super) mod definitions;
pub(super) mod deliveries;
pub(super) mod replays;
pub(super) mod snapshots;

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::keys;
use crate::domain::access::ApiKey;
use crate::domain::archive::{ArchivePlace, ArchiveProgress};
use crate::domain::body::{Body, Encoding, MAX_STORED_BYTES};
use crate::domain::claim::{Claim, ClaimKey, ClaimSubject, Fence, Slot};
use crate::domain::commit::{Attempt, Commit, CommittedEvent, RequestToken, Storage};
use crate::domain::counters::{
    CounterKey, CounterScope, Fences, IndexList, Kind, Period, ProcessorTallies, ProcessorTally, RankedUser, SequenceNumber, ShardId,
    Tally, UserRanking,
};
use crate::domain::event::BodyDigest;
use crate::domain::event_id::{EventId, Location};
#[cfg(feature = "stream")]
use crate::domain::identifiers::OrganizationId;
use crate::domain::identifiers::ProcessorId;
use crate::domain::outcome::Outcome;
use crate::domain::status::EventStatus;
use crate::domain::stream_id::{StreamId, StreamKey};
use crate::domain::timestamp::{Hour, Timestamp};
use crate::domain::version::Version;
use crate::ports::outcome_log::ConcludedCommit;
use crate::ports::store_error::StoreError;

/// An item as the SDK has it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// How many events the commit has.
pub(crate) const COUNT: &str = "n";
const ENCODING: &str = "enc";
const BODY: &str = "body";
const RECORDED_AT: &str = "at";
/// Tells a write from another that says the same.
pub(super) const ATTEMPT: &str = "try";
const REQUEST: &str = "req";
const FENCE: &str = "fence";
const DIGEST: &str = "dig";
const SEED: &str = "seed";
const SLOTS: &str = "slots";
const ORGANIZATION: &str = "org";
/// The sort key of the commit that an outcome is of.
pub(crate) const COMMIT_SK: &str = "csk";
pub(super) const REVISION: &str = "rev";
const KINDS: &str = "kinds";
/// How many events a counter item has in all.
pub(super) const TOTAL: &str = "total";
const LISTS: &str = "lists";
const STATUSES: &str = "statuses";
/// How many events there was nothing to do with.
const SETTLED: &str = "idle";
const PROCESSING_MS: &str = "pms";
const PROCESSING_COUNT: &str = "pn";
/// How many events of a counter item are archived.
pub(super) const ARCHIVED: &str = "archived";
/// Where in the archive the events of a commit are; it has no body then.
pub(super) const ARCHIVE_PLACE: &str = "arc";
/// The last hour that archiving has looked through.
const REACHED: &str = "hour";
/// The object that is being written.
const WRITING: &str = "object";
const FENCES: &str = "fences";
const USERS: &str = "users";

/// The bytes of an item's revision and of its attempt, which are added when it is put over another.
const REVISED_BYTES: usize = REVISION.len() + 12 + ATTEMPT.len() + 16;

/// The bytes of an item that one write unit pays for.
const WRITE_UNIT: usize = 1024;

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(format!("{value}"))
}

fn corrupt(item: &Item, attribute: &str) -> StoreError {
    let key = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map_or("?", String::as_str);
    StoreError::Corrupt(format!("{attribute} of {} {}", key(keys::PK), key(keys::SK)))
}

/// The text of an attribute.
pub(super) fn read_text<'a>(item: &'a Item, attribute: &str) -> Result<&'a str, StoreError> {
    item.get(attribute).and_then(|value| value.as_s().ok()).map(String::as_str).ok_or_else(|| corrupt(item, attribute))
}

pub(super) fn read_number<T: std::str::FromStr>(item: &Item, attribute: &str) -> Result<T, StoreError> {
    item.get(attribute).and_then(|value| value.as_n().ok()).and_then(|digits| digits.parse().ok()).ok_or_else(|| corrupt(item, attribute))
}

fn read_hex(item: &Item, attribute: &str) -> Result<u64, StoreError> {
    u64::from_str_radix(read_text(item, attribute)?, 16).map_err(|_| corrupt(item, attribute))
}

fn hex(number: u64) -> AttributeValue {
    text(format!("{number:x}"))
}

/// The value of [`ATTEMPT`].
pub(super) fn attempt(number: u64) -> AttributeValue {
    hex(number)
}

/// The bytes that DynamoDB charges for an item: names and values.
fn size(item: &Item) -> usize {
    // Around its body, an item has texts and numbers only.
    let value = |value: &AttributeValue| {
        value.as_s().map(String::len).or_else(|_| value.as_n().map(|digits| digits.len() / 2 + 2)).unwrap_or(WRITE_UNIT)
    };
    item.iter().map(|(name, attribute)| name.len() + value(attribute)).sum()
}

/// A commit's item, with the keys of the indexes that it belongs in.
pub(crate) fn write_commit(commit: &Commit, time_shards: u8) -> Result<Item, StoreError> {
    let mut item = Item::from([
        (keys::PK.to_owned(), text(keys::stream_pk(&commit.stream))),
        (keys::SK.to_owned(), text(keys::commit_sk(&commit.stream, commit.first))),
        (COUNT.to_owned(), number(commit.events.len())),
        (RECORDED_AT.to_owned(), number(commit.recorded_at.millis())),
        (ATTEMPT.to_owned(), hex(commit.attempt.0)),
        (keys::TIME.to_owned(), text(keys::time_list(commit, time_shards))),
        (keys::ORDER.to_owned(), text(keys::order(commit.last_occurred_at(), commit.id()))),
    ]);
    if let Some(request) = commit.request {
        item.insert(REQUEST.to_owned(), hex(request.0));
    }
    // All events of a commit have one user and one session.
    if let Some(first) = commit.events.first() {
        if let Some(user) = first.details.user.as_ref().filter(|user| !commit.stream.stream.is("user", user.as_str())) {
            item.insert(keys::WHO.to_owned(), text(keys::user_who(user)));
        }
        if let Some(session) = first.details.session.as_ref().filter(|session| !commit.stream.stream.is("session", session.as_str())) {
            item.insert(keys::SESSION.to_owned(), text(keys::session_key(session)));
        }
    }
    let body = body_of(size(&item), &commit.events)?;
    insert_body(&mut item, body);
    Ok(item)
}

/// The body that lets an item fit one write unit if it can, with so many bytes of everything else.
fn body_of<T: serde::Serialize + ?Sized>(rest: usize, value: &T) -> Result<Body, StoreError> {
    let around = rest + BODY.len() + ENCODING.len() + "json".len();
    Body::write(value, WRITE_UNIT.saturating_sub(around)).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn insert_body(item: &mut Item, body: Body) {
    let (encoding, body) = match body {
        Body::Json(json) => ("json", text(json)),
        Body::Zstd(packed) => ("zstd", AttributeValue::B(Blob::new(packed))),
    };
    item.insert(ENCODING.to_owned(), text(encoding));
    item.insert(BODY.to_owned(), body);
}

/// Reads what [`insert_body`] wrote.
fn read_body<T: serde::de::DeserializeOwned>(item: &Item) -> Result<T, StoreError> {
    let encoding: Encoding = match read_text(item, ENCODING)? {
        "json" => Encoding::Json,
        "zstd" => Encoding::Zstd,
        _ => return Err(corrupt(item, ENCODING)),
    };
    let body = match (encoding, item.get(BODY)) {
        (Encoding::Json, Some(AttributeValue::S(json))) => Body::Json(json.clone()),
        (Encoding::Zstd, Some(AttributeValue::B(packed))) => Body::Zstd(packed.as_ref().to_vec()),
        (Encoding::Json | Encoding::Zstd, _) => return Err(corrupt(item, BODY)),
    };
    body.read().map_err(|_| corrupt(item, BODY))
}

/// The commit's place in its stream.
fn read_slot(item: &Item) -> Result<Slot, StoreError> {
    keys::read_commit_sk(read_text(item, keys::SK)?).ok_or_else(|| corrupt(item, keys::SK))
}

/// The version of a commit's last event.
pub(super) fn last_version(item: &Item) -> Result<Version, StoreError> {
    let events: u64 = read_number(item, COUNT)?;
    Ok(Version::new((read_slot(item)?.first.get() + events).saturating_sub(1)))
}

/// When the request came that made an item.
pub(super) fn recorded_at(item: &Item) -> Result<Timestamp, StoreError> {
    let recorded_at = read_number::<i64>(item, RECORDED_AT)?.checked_mul(1000).and_then(|micros| Timestamp::from_micros(micros).ok());
    recorded_at.ok_or_else(|| corrupt(item, RECORDED_AT))
}

/// Reads what [`write_commit`] wrote.
pub(crate) fn read_commit(item: &Item) -> Result<Commit, StoreError> {
    let Slot { stream, first } = read_slot(item)?;
    Ok(Commit {
        stream,
        first,
        recorded_at: recorded_at(item)?,
        attempt: Attempt(read_hex(item, ATTEMPT)?),
        storage: if item.contains_key(ARCHIVE_PLACE) { Storage::Archive } else { Storage::Table },
        request: if item.contains_key(REQUEST) { Some(RequestToken(read_hex(item, REQUEST)?)) } else { None },
        events: read_body(item)?,
    })
}

/// Where in the archive a commit's events are, if they are there.
pub(super) fn archive_place(item: &Item) -> Result<Option<ArchivePlace>, StoreError> {
    if !item.contains_key(ARCHIVE_PLACE) {
        return Ok(None);
    }
    read_text(item, ARCHIVE_PLACE)?.parse().map(Some).map_err(|_| corrupt(item, ARCHIVE_PLACE))
}

/// The id of the commit that an item is, archived or not.
pub(super) fn commit_id(item: &Item) -> Result<EventId, StoreError> {
    let Slot { stream, first } = read_slot(item)?;
    Ok(Location::new(recorded_at(item)?, 0, stream.address(), first).id())
}

/// Gives a commit's item the events back that are in the archive.
pub(super) fn put_back(item: &mut Item, events: &[CommittedEvent]) -> Result<(), StoreError> {
    if events.len() != read_number::<usize>(item, COUNT)? {
        return Err(corrupt(item, COUNT));
    }
    insert_body(item, Body::Json(serde_json::to_string(events).map_err(|error| StoreError::Corrupt(error.to_string()))?));
    Ok(())
}

/// The attributes that a commit is read from.
pub(super) const OF_COMMIT: &[&str] = &[keys::SK, COUNT, RECORDED_AT, ATTEMPT, REQUEST, ENCODING, BODY, ARCHIVE_PLACE];

/// What is removed from the item of a commit that is archived.
pub(super) const BODY_ATTRIBUTES: [&str; 2] = [ENCODING, BODY];

/// How far archiving has come, to be put over what stands.
pub(super) fn write_archive_progress(progress: &ArchiveProgress) -> Item {
    let mut item = Item::from([(keys::PK.to_owned(), text(keys::ARCHIVE_PK)), (keys::SK.to_owned(), text(keys::ARCHIVE_SK))]);
    item.extend(progress.reached.map(|hour| (REACHED.to_owned(), text(hour.to_string()))));
    item.extend(progress.writing.map(|object| (WRITING.to_owned(), text(object.to_string()))));
    item
}

pub(super) fn read_archive_progress(item: &Item) -> Result<ArchiveProgress, StoreError> {
    let mut progress = ArchiveProgress::default();
    if item.contains_key(REACHED) {
        progress.reached = Some(Hour::from_digits(read_text(item, REACHED)?).ok_or_else(|| corrupt(item, REACHED))?);
    }
    if item.contains_key(WRITING) {
        progress.writing = Some(read_text(item, WRITING)?.parse().map_err(|_| corrupt(item, WRITING))?);
    }
    Ok(progress)
}

pub(super) fn write_claim(key: &ClaimKey, claim: &Claim) -> Item {
    let slots = claim.slots.iter().map(|slot| text(keys::commit_sk(&slot.stream, slot.first))).collect();
    let mut item = Item::from([
        (keys::PK.to_owned(), text(keys::claim_pk(key))),
        (keys::SK.to_owned(), text(keys::CLAIM_SK)),
        (FENCE.to_owned(), hex(claim.fence.0)),
        (DIGEST.to_owned(), text(format!("{:x}", claim.digest.0))),
        (RECORDED_AT.to_owned(), number(claim.recorded_at.millis())),
        (SEED.to_owned(), hex(claim.seed)),
        (SLOTS.to_owned(), AttributeValue::L(slots)),
    ]);
    if let (ClaimSubject::Event(id), Some(organization)) = (&key.subject, &key.organization) {
        item.insert(keys::WHO.to_owned(), text(keys::claim_who(*id)));
        item.insert(keys::ORDER.to_owned(), text(organization.as_str()));
    }
    item
}

pub(super) fn read_claim(item: &Item) -> Result<Claim, StoreError> {
    let slots = item.get(SLOTS).and_then(|value| value.as_l().ok()).ok_or_else(|| corrupt(item, SLOTS))?;
    let slot = |value: &AttributeValue| value.as_s().ok().and_then(|sk| keys::read_commit_sk(sk)).ok_or_else(|| corrupt(item, SLOTS));
    Ok(Claim {
        fence: Fence(read_hex(item, FENCE)?),
        digest: BodyDigest(u128::from_str_radix(read_text(item, DIGEST)?, 16).map_err(|_| corrupt(item, DIGEST))?),
        recorded_at: recorded_at(item)?,
        seed: read_hex(item, SEED)?,
        slots: slots.iter().map(slot).collect::<Result<_, _>>()?,
    })
}

/// The condition that [`read_claim`] would give this fence.
pub(super) fn fence_is(fence: Fence) -> (&'static str, AttributeValue) {
    (FENCE, hex(fence.0))
}

/// An outcome's item, to be put over the one before. If all of the outcome is more than the store takes, some of what was tried
/// again is left out.
pub(super) fn write_outcome(of: &ConcludedCommit, outcome: &Outcome) -> Result<Item, StoreError> {
    let mut item = Item::from([
        (keys::PK.to_owned(), text(keys::outcome_pk(outcome.commit))),
        (keys::SK.to_owned(), text(keys::OUTCOME_SK)),
        (COMMIT_SK.to_owned(), text(keys::commit_sk(&of.stream, of.first))),
    ]);
    if let Some(organization) = &of.stream.organization {
        item.insert(ORGANIZATION.to_owned(), text(organization.as_str()));
    }
    // Failed and stuck events are found by their status; the many that went well are not indexed.
    let flagged = [EventStatus::Failed, EventStatus::Processing]
        .into_iter()
        .find(|status| outcome.events.iter().any(|event| event.status == *status));
    if let Some(status) = flagged {
        item.insert(keys::WHO.to_owned(), text(keys::flagged_who(status)));
        item.insert(keys::ORDER.to_owned(), text(keys::order(of.last_occurred_at, outcome.commit)));
    }
    let rest = size(&item) + REVISED_BYTES;
    let mut body = body_of(rest, &outcome.events)?;
    let mut kept = None;
    while body.len() > MAX_STORED_BYTES
        && let Some(shorter) = kept.as_ref().unwrap_or(outcome).shortened()
    {
        body = body_of(rest, &shorter.events)?;
        kept = Some(shorter);
    }
    insert_body(&mut item, body);
    Ok(item)
}

pub(crate) fn read_outcome(item: &Item) -> Result<Outcome, StoreError> {
    let commit = read_text(item, keys::PK)?.strip_prefix("P#").and_then(|id| id.parse::<EventId>().ok());
    Ok(Outcome { commit: commit.ok_or_else(|| corrupt(item, keys::PK))?, events: read_body(item)? })
}

/// Where the commit lies that an outcome is of.
#[cfg(feature = "stream")]
pub(super) fn read_concluded(item: &Item) -> Result<Option<Slot>, StoreError> {
    if !item.contains_key(COMMIT_SK) {
        return Ok(None);
    }
    keys::read_commit_sk(read_text(item, COMMIT_SK)?).map(Some).ok_or_else(|| corrupt(item, COMMIT_SK))
}

/// Whose events an outcome is of.
#[cfg(feature = "stream")]
pub(super) fn read_organization(item: &Item) -> Result<Option<OrganizationId>, StoreError> {
    if !item.contains_key(ORGANIZATION) {
        return Ok(None);
    }
    read_text(item, ORGANIZATION)?.parse().map(Some).map_err(|_| corrupt(item, ORGANIZATION))
}

/// What kind of item this is, for those that change counters.
#[cfg(feature = "stream")]
pub(super) enum ItemKind {
    Commit,
    Outcome,
    Other,
}

#[cfg(feature = "stream")]
pub(super) fn kind_of(item: &Item) -> ItemKind {
    match (read_text(item, keys::PK).unwrap_or_default(), read_text(item, keys::SK)) {
        (pk, _) if pk.starts_with("S#") => ItemKind::Commit,
        (pk, Ok(keys::OUTCOME_SK)) if pk.starts_with("P#") => ItemKind::Outcome,
        _ => ItemKind::Other,
    }
}

/// The list of the time index that a commit's item is in.
#[cfg(feature = "stream")]
pub(super) fn list_of(item: &Item) -> Option<IndexList> {
    read_text(item, keys::TIME).ok().map(|list| IndexList(list.to_owned()))
}

/// Numbers by name, as JSON: the SDK reads one text much faster than a map of attributes.
fn write_map<V: serde::Serialize>(map: &BTreeMap<String, V>) -> AttributeValue {
    text(serde_json::to_string(map).unwrap_or_default())
}

fn read_map<V: serde::de::DeserializeOwned>(item: &Item, attribute: &str) -> Result<BTreeMap<String, V>, StoreError> {
    if !item.contains_key(attribute) {
        return Ok(BTreeMap::new());
    }
    serde_json::from_str(read_text(item, attribute)?).map_err(|_| corrupt(item, attribute))
}

fn write_fences(fences: &Fences) -> AttributeValue {
    write_map(&fences.0.iter().map(|(shard, last)| (shard.0.clone(), &last.0)).collect())
}

fn read_fences(item: &Item) -> Result<Fences, StoreError> {
    let fences = read_map::<String>(item, FENCES)?;
    Ok(Fences(fences.into_iter().map(|(shard, last)| (ShardId(shard), SequenceNumber(last))).collect()))
}

/// `type|source|category`; the type is empty for kinds that are counted together.
fn kind_name(kind: &Kind) -> String {
    let event_type = kind.event_type.as_ref().map_or("", |event_type| event_type.as_str());
    format!("{event_type}|{}|{}", kind.source, kind.category)
}

fn read_kind(name: &str) -> Option<Kind> {
    let mut parts = name.rsplitn(3, '|');
    let (category, source, event_type) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Kind {
        event_type: if event_type.is_empty() { None } else { Some(event_type.parse().ok()?) },
        source: source.parse().ok()?,
        category: category.parse().ok()?,
    })
}

pub(super) fn write_tally(key: &CounterKey, tally: &Tally, revision: u64) -> Item {
    let (pk, sk) = keys::counter_key(key);
    let mut item = Item::from([
        (keys::PK.to_owned(), text(pk)),
        (keys::SK.to_owned(), text(sk)),
        (REVISION.to_owned(), number(revision)),
        (TOTAL.to_owned(), number(tally.total())),
        (KINDS.to_owned(), write_map(&tally.kinds.iter().map(|(kind, count)| (kind_name(kind), *count)).collect())),
        (FENCES.to_owned(), write_fences(&tally.fences)),
    ]);
    if !tally.lists.is_empty() {
        item.insert(LISTS.to_owned(), AttributeValue::Ss(tally.lists.iter().map(|list| list.0.clone()).collect()));
    }
    if !tally.statuses.is_empty() {
        item.insert(STATUSES.to_owned(), write_map(&tally.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect()));
    }
    if tally.settled > 0 {
        item.insert(SETTLED.to_owned(), number(tally.settled));
    }
    if tally.archived > 0 {
        item.insert(ARCHIVED.to_owned(), number(tally.archived));
    }
    if tally.processing_count > 0 {
        item.insert(PROCESSING_MS.to_owned(), number(tally.processing_ms));
        item.insert(PROCESSING_COUNT.to_owned(), number(tally.processing_count));
    }
    if let Some(watermark) = tally.watermark {
        item.insert(RECORDED_AT.to_owned(), number(watermark.millis()));
    }
    item
}

pub(super) fn read_tally(item: &Item) -> Result<Tally, StoreError> {
    let kinds = read_map(item, KINDS)?.into_iter().map(|(name, count)| Some((read_kind(&name)?, count)));
    let statuses = read_map(item, STATUSES)?.into_iter().map(|(name, count)| Some((name.parse().ok()?, count)));
    let lists = item.get(LISTS).and_then(|value| value.as_ss().ok()).into_iter().flatten();
    let optional = |attribute: &str| if item.contains_key(attribute) { read_number::<u64>(item, attribute) } else { Ok(0) };
    let watermark = if item.contains_key(RECORDED_AT) { Some(read_number::<i64>(item, RECORDED_AT)?) } else { None };
    Ok(Tally {
        kinds: kinds.collect::<Option<_>>().ok_or_else(|| corrupt(item, KINDS))?,
        lists: lists.map(|list| IndexList(list.clone())).collect(),
        statuses: statuses.collect::<Option<_>>().ok_or_else(|| corrupt(item, STATUSES))?,
        settled: optional(SETTLED)?,
        archived: optional(ARCHIVED)?,
        processing_ms: optional(PROCESSING_MS)?,
        processing_count: optional(PROCESSING_COUNT)?,
        watermark: watermark.and_then(|millis| Timestamp::from_micros(millis.checked_mul(1000)?).ok()),
        fences: read_fences(item)?,
    })
}

/// For each user, the count and the excess.
pub(super) fn write_ranking(scope: &CounterScope, ranking: &UserRanking, revision: u64) -> Item {
    let users = ranking.users.iter().map(|(user, entry)| (user.as_str().to_owned(), (entry.count, entry.excess))).collect();
    Item::from([
        (keys::PK.to_owned(), text(keys::counter_pk(scope))),
        (keys::SK.to_owned(), text(keys::counter_sk(Period::Users))),
        (REVISION.to_owned(), number(revision)),
        (USERS.to_owned(), write_map::<(u64, u64)>(&users)),
        (FENCES.to_owned(), write_fences(&ranking.fences)),
    ])
}

pub(super) fn read_ranking(item: &Item) -> Result<UserRanking, StoreError> {
    let users = read_map::<(u64, u64)>(item, USERS)?;
    let entry = |(user, (count, excess)): (String, (u64, u64))| Some((user.parse().ok()?, RankedUser { count, excess }));
    let users = users.into_iter().map(entry).collect::<Option<_>>().ok_or_else(|| corrupt(item, USERS))?;
    Ok(UserRanking { users, fences: read_fences(item)? })
}

/// What is kept of a processor's tally: errors, successes, the last error and when the last attempt ended.
type ProcessorEntry = (u64, u64, Option<String>, Option<Timestamp>);

pub(super) fn write_processor_tallies(tallies: &ProcessorTallies, revision: u64) -> Result<Item, StoreError> {
    let entry = |(id, tally): (&ProcessorId, &ProcessorTally)| {
        (id.clone(), (tally.errors, tally.successes, tally.last_error.clone(), tally.last_processed_at))
    };
    let entries: BTreeMap<ProcessorId, ProcessorEntry> = tallies.by_id.iter().map(entry).collect();
    let mut item = Item::from([
        (keys::PK.to_owned(), text(keys::counter_pk(&CounterScope::All))),
        (keys::SK.to_owned(), text(keys::counter_sk(Period::Processors))),
        (REVISION.to_owned(), number(revision)),
        (FENCES.to_owned(), write_fences(&tallies.fences)),
    ]);
    // Errors resemble each other, and every save pays for all of them.
    let body = body_of(size(&item), &entries)?;
    insert_body(&mut item, body);
    Ok(item)
}

pub(super) fn read_processor_tallies(item: &Item) -> Result<ProcessorTallies, StoreError> {
    let entry = |(id, (errors, successes, last_error, last_processed_at)): (ProcessorId, ProcessorEntry)| {
        (id, ProcessorTally { errors, successes, last_error, last_processed_at })
    };
    let entries: BTreeMap<ProcessorId, ProcessorEntry> = read_body(item)?;
    Ok(ProcessorTallies { by_id: entries.into_iter().map(entry).collect(), fences: read_fences(item)? })
}

pub(super) fn write_api_key(key: &ApiKey) -> Result<Item, StoreError> {
    Ok(Item::from([
        (keys::PK.to_owned(), text(keys::CONFIG_PK)),
        (keys::SK.to_owned(), text(format!("{}{}", keys::API_KEY_PREFIX, key.digest.as_str()))),
        (BODY.to_owned(), text(serde_json::to_string(key).map_err(|error| StoreError::Corrupt(error.to_string()))?)),
    ]))
}

pub(super) fn read_api_key(item: &Item) -> Result<ApiKey, StoreError> {
    serde_json::from_str(read_text(item, BODY)?).map_err(|_| corrupt(item, BODY))
}

/// Whether the item is a commit of this stream.
pub(super) fn is_of(item: &Item, stream: &StreamKey) -> bool {
    read_text(item, keys::SK).ok().and_then(keys::read_commit_sk).is_some_and(|slot| slot.stream == *stream)
}

/// Whether the item is a commit of a stream of this name.
pub(super) fn is_of_stream(item: &Item, stream: &StreamId) -> bool {
    read_text(item, keys::SK).ok().and_then(keys::read_commit_sk).is_some_and(|slot| slot.stream.stream == *stream)
}
