//! The only place that spells the table's keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::category::EventCategory;
use crate::domain::claim::{ClaimKey, ClaimSubject, Slot};
use crate::domain::commit::Commit;
use crate::domain::counters::{CounterKey, CounterScope, IndexList, Period};
use crate::domain::delivery::DeliveryId;
use crate::domain::event::BodyDigest;
use crate::domain::event_id::EventId;
use crate::domain::identifiers::{
    EventType, OrganizationId, ProcessorId, ProjectionDefinitionId, ReplayId, SessionId, SubscriptionId, UserId,
};
use crate::domain::message::{LedgerPage, Mark};
use crate::domain::projection::RulesKey;
use crate::domain::status::EventStatus;
use crate::domain::stream_id::{StreamAddress, StreamKey};
use crate::domain::timestamp::{Day, Timestamp};
use crate::domain::version::Version;
use crate::domain::work::StreamRef;

/// The table's partition key.
pub(crate) const PK: &str = "pk";
/// The table's sort key.
pub(crate) const SK: &str = "sk";
/// The most bytes of a sort key.
pub(super) const MAX_SORT_KEY: usize = 1024;
/// The partition key of the index [`TIME_INDEX`].
pub(crate) const TIME: &str = "time";
/// The partition key of the index [`WHO_INDEX`].
pub(crate) const WHO: &str = "who";
/// The partition key of the index [`SESSION_INDEX`].
pub(crate) const SESSION: &str = "ses";
/// The sort key of all three indexes: when the latest event happened, then the commit.
pub(crate) const ORDER: &str = "ord";
/// Until when an item is kept, in seconds since 1970.
pub(crate) const EXPIRES: &str = "ttl";

/// Commits by day and category, in the order of time.
pub(crate) const TIME_INDEX: &str = "time";
/// Sparse: commits by user, flagged outcomes by status, claims of organizations by event id, deliveries that are due.
pub(crate) const WHO_INDEX: &str = "who";
/// Sparse: commits by session.
pub(crate) const SESSION_INDEX: &str = "session";

/// The name of the list for commits of several categories.
const MIX: &str = "mix";
/// Sorts after every character that follows a common prefix of sort keys.
pub(crate) const AFTER_ALL: char = '~';

/// The partition of all streams at this place.
pub(super) fn place(place: u32) -> String {
    format!("S#{place:07x}")
}

pub(super) fn stream_pk(stream: &StreamKey) -> String {
    place(stream.address().place)
}

/// What the sort keys of a stream's commits start with.
pub(super) fn tag_prefix(address: StreamAddress) -> String {
    format!("{:04x}#", address.tag)
}

/// What the sort key of the commit at this version starts with.
pub(super) fn version_prefix(address: StreamAddress, first: Version) -> String {
    format!("{:04x}#{:012}#", address.tag, first.get())
}

pub(super) fn commit_sk(stream: &StreamKey, first: Version) -> String {
    let organization = stream.organization.as_ref().map_or(String::new(), escaped);
    format!("{}{organization}/{}", version_prefix(stream.address(), first), stream.stream)
}

/// Reads what [`commit_sk`] wrote.
pub(super) fn read_commit_sk(sk: &str) -> Option<Slot> {
    let mut parts = sk.splitn(3, '#');
    let (_tag, version, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (organization, stream) = rest.split_once('/')?;
    let organization = if organization.is_empty() { None } else { Some(unescaped(organization)?) };
    Some(Slot { stream: StreamKey { organization, stream: stream.parse().ok()? }, first: Version::new(version.parse().ok()?) })
}

/// An organization without the characters that keys use between their parts.
fn escaped(organization: &OrganizationId) -> String {
    organization.as_str().replace('%', "%25").replace('#', "%23").replace('/', "%2F")
}

fn unescaped(text: &str) -> Option<OrganizationId> {
    text.replace("%2F", "/").replace("%23", "#").replace("%25", "%").parse().ok()
}

pub(super) fn claim_pk(key: &ClaimKey) -> String {
    let organization = key.organization.as_ref().map_or(String::new(), escaped);
    match &key.subject {
        ClaimSubject::Event(id) => format!("K#{organization}#e#{id}"),
        ClaimSubject::Request(key) => format!("K#{organization}#k#{key}"),
    }
}

pub(super) const CLAIM_SK: &str = "K";

/// Under which a claim of an organization's is found without knowing the organization.
pub(super) fn claim_who(id: EventId) -> String {
    format!("I#{id}")
}

pub(super) fn outcome_pk(commit: EventId) -> String {
    format!("P#{commit}")
}

pub(super) const OUTCOME_SK: &str = "P";

pub(super) fn user_who(user: &UserId) -> String {
    format!("U#{user}")
}

pub(super) fn session_key(session: &SessionId) -> String {
    format!("N#{session}")
}

pub(super) fn flagged_who(status: EventStatus) -> String {
    format!("F#{status}")
}

pub(super) const CONFIG_PK: &str = "CFG";
pub(super) const API_KEY_PREFIX: &str = "K#";

pub(super) const PROCESSOR_PREFIX: &str = "P#";
pub(super) const SUBSCRIPTION_PREFIX: &str = "S#";
/// Sorts among the others that are read together with their revision.
pub(super) const PROJECTION_PREFIX: &str = "PJ#";
/// The revision of all definitions. It sorts after them.
pub(super) const REVISION_SK: &str = "V";

pub(super) fn processor_sk(id: &ProcessorId) -> String {
    format!("{PROCESSOR_PREFIX}{id}")
}

pub(super) fn subscription_sk(id: &SubscriptionId) -> String {
    format!("{SUBSCRIPTION_PREFIX}{id}")
}

/// Sorts among those as well.
pub(super) const SCHEMAS_PREFIX: &str = "SC#";

/// Types may be longer than a key.
pub(super) fn schemas_sk(organization: Option<&OrganizationId>, event_type: &EventType) -> String {
    let organization = organization.map_or("", OrganizationId::as_str);
    format!("{SCHEMAS_PREFIX}{}", BodyDigest::of(format!("{organization}\0{event_type}").as_bytes()))
}

pub(super) fn projection_sk(id: &ProjectionDefinitionId) -> String {
    format!("{PROJECTION_PREFIX}{id}")
}

/// The partition of an entity's snapshots.
pub(super) fn snapshot_pk(stream: &StreamKey) -> String {
    let organization = stream.organization.as_ref().map_or(String::new(), escaped);
    format!("{SNAPSHOTS}{organization}/{}", stream.stream)
}

/// What partitions of snapshots start with.
pub(super) const SNAPSHOTS: &str = "J#";

pub(super) fn snapshot_sk(rules: &RulesKey) -> String {
    let definition = rules.definition.as_ref().map_or(RulesKey::STANDARD_NAME, |definition| definition.as_str());
    let upcasters = if rules.upcasters == 0 { String::new() } else { format!("#{:x}", rules.upcasters) };
    format!("{definition}#{}{upcasters}", rules.version)
}

/// Reads what [`snapshot_pk`] wrote.
#[cfg(feature = "stream")]
pub(super) fn read_snapshot_pk(pk: &str) -> Option<StreamKey> {
    let (organization, stream) = pk.strip_prefix(SNAPSHOTS)?.split_once('/')?;
    let organization = if organization.is_empty() { None } else { Some(unescaped(organization)?) };
    Some(StreamKey { organization, stream: stream.parse().ok()? })
}

/// Reads what [`snapshot_sk`] wrote.
#[cfg(feature = "stream")]
pub(super) fn read_snapshot_sk(sk: &str) -> Option<RulesKey> {
    let mut parts = sk.split('#');
    let (rules, version, upcasters) = (parts.next()?, parts.next()?, parts.next());
    let definition = if rules == RulesKey::STANDARD_NAME { None } else { Some(rules.parse().ok()?) };
    let upcasters = upcasters.map_or(Some(0), |digits| u32::from_str_radix(digits, 16).ok())?;
    Some(RulesKey { definition, version: version.parse().ok()?, upcasters })
}

/// The partition of a subscription's deliveries.
pub(super) fn delivery_pk(subscription: &SubscriptionId) -> String {
    format!("D#{subscription}")
}

pub(super) const DELIVERY_PREFIX: &str = "M#";

pub(super) fn delivery_sk(id: &DeliveryId) -> String {
    format!("{DELIVERY_PREFIX}{id}")
}

/// Reads what [`delivery_sk`] wrote.
pub(super) fn read_delivery_sk(sk: &str) -> Option<DeliveryId> {
    sk.strip_prefix(DELIVERY_PREFIX)?.parse().ok()
}

pub(super) const HEALTH_SK: &str = "H";

pub(super) fn lane_sk(stream: &StreamRef) -> String {
    let organization = stream.organization.as_ref().map_or(String::new(), escaped);
    format!("L#{organization}/{}", stream.stream)
}

/// How many deliveries were taken in the second that holds this moment.
pub(super) fn quota_sk(now: Timestamp) -> String {
    format!("Q#{}", now.second())
}

/// Under which deliveries are found that are due at some moment.
pub(super) const DUE_WHO: &str = "Q#due";

/// The sort key in the index of a delivery that is due then.
pub(super) fn due_order(due_at: Timestamp, id: &DeliveryId) -> String {
    format!("{}#{id}", due_at.sort_key())
}

/// The partition of all replays.
pub(super) const REPLAYS_PK: &str = "R";
/// Under which replays are found that somebody is to look after at some moment.
pub(super) const REPLAY_DUE_WHO: &str = "R#due";

/// The sort key in the index of a replay that is due then.
pub(super) fn due_replay_order(due_at: Timestamp, id: &ReplayId) -> String {
    format!("{}#{id}", due_at.sort_key())
}

/// The partition of all dead letters.
pub(super) const LETTERS_PK: &str = "X";

/// The partition of all rejected events.
pub(super) const REJECTED_PK: &str = "B";
/// Both keys of the one item that says how the bridge is.
pub(super) const BRIDGE_STATUS: &str = "NATS";

/// How far archiving has come.
pub(super) const ARCHIVE_PK: &str = "Z";
pub(super) const ARCHIVE_SK: &str = "Z";

/// The partition of one page of the ledger of messages.
pub(super) fn ledger_pk(page: &LedgerPage) -> String {
    format!("M#{}#{:032x}", page.organization.as_ref().map_or(String::new(), escaped), page.name)
}

pub(super) const LEDGER_SK: &str = "M";

/// The attribute of a page that stands for a message.
pub(super) fn mark(mark: Mark) -> String {
    format!("m{}", URL_SAFE_NO_PAD.encode(&mark.0.to_be_bytes()[7..]))
}

pub(super) fn counter_pk(scope: &CounterScope) -> String {
    match scope {
        CounterScope::All => "A#*".to_owned(),
        CounterScope::Organization(organization) => format!("A#@{organization}"),
    }
}

pub(super) fn counter_sk(period: Period) -> String {
    match period {
        Period::Total => "T".to_owned(),
        Period::Users => "U".to_owned(),
        Period::Processors => "P".to_owned(),
        Period::Day(day) => format!("D#{day}"),
        Period::Hour(hour) => format!("H#{hour}"),
    }
}

pub(super) fn counter_key(key: &CounterKey) -> (String, String) {
    (counter_pk(&key.scope), counter_sk(key.period))
}

/// The sort key in the indexes of a commit whose latest event happened then.
pub(super) fn order(last_occurred_at: Timestamp, commit: EventId) -> String {
    format!("{}#{commit}", last_occurred_at.sort_key())
}

/// The moment that an [`order`] key holds.
pub(super) fn order_time(order: &str) -> Option<Timestamp> {
    Timestamp::from_sort_key(order.split_once('#')?.0)
}

/// The list of the time index that a commit goes to.
pub(crate) fn time_list(commit: &Commit, shards: u8) -> String {
    let mut categories = commit.events.iter().map(|event| event.details.category);
    let first = categories.next();
    let category = first.filter(|first| categories.all(|other| other == *first));
    let shard = if shards <= 1 { 0 } else { commit.stream.address().tag % u16::from(shards) };
    list_name(category, commit.last_occurred_at().hour().day(), shard)
}

fn list_name(category: Option<EventCategory>, day: Day, shard: u16) -> String {
    format!("{}#{day}#{shard}", category.map_or(MIX, EventCategory::as_str))
}

/// Whether a list may hold events of this category.
pub(super) fn list_may_hold(list: &IndexList, category: Option<EventCategory>) -> bool {
    let name = list.0.split('#').next().unwrap_or_default();
    category.is_none_or(|category| name == MIX || name == category.as_str())
}

/// Every list that may hold events of this category on this day.
pub(super) fn all_lists(category: Option<EventCategory>, day: Day, shards: u8) -> Vec<IndexList> {
    let categories = match category {
        Some(category) => vec![Some(category), None],
        None => EventCategory::ALL.iter().copied().map(Some).chain([None]).collect(),
    };
    categories
        .into_iter()
        .flat_map(|category| (0..u16::from(shards)).map(move |shard| IndexList(list_name(category, day, shard))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_key_of_a_commit_reads_back_whatever_the_names_hold(
            organization in proptest::option::of("[a-z#/%:~|*]{1,20}"), kind in "[a-z#/%]{1,10}", id in "[a-z#/%:~]{1,20}", first in 1..1_000_000_000_000_u64,
        ) {
            let stream = StreamKey { organization: organization.map(|text| text.parse().unwrap()), stream: format!("{kind}:{id}").parse().unwrap() };
            let slot = Slot { stream, first: Version::new(first) };
            prop_assert_eq!(read_commit_sk(&commit_sk(&slot.stream, slot.first)), Some(slot));
        }
    }

    #[test]
    fn keys_fit_the_limits_of_the_store_even_at_their_longest() {
        let organization: OrganizationId = "%".repeat(OrganizationId::MAX_BYTES).parse().unwrap();
        let stream = StreamKey {
            organization: Some(organization.clone()),
            stream: format!("{}:{}", "t".repeat(64), "i".repeat(512)).parse().unwrap(),
        };
        assert!(commit_sk(&stream, Version::MAX).len() <= 1024, "{}", commit_sk(&stream, Version::MAX).len());
        let lane = StreamRef::from(&stream);
        assert!(lane_sk(&lane).len() <= 1024, "{}", lane_sk(&lane).len());
        let key = ClaimKey { organization: Some(organization), subject: ClaimSubject::Request("k".repeat(255).parse().unwrap()) };
        assert!(claim_pk(&key).len() <= 2048);
    }
}
