//! The contract of [`EventReader`], but for queries and statistics, which property tests hold to the
//! in-memory adapter.

use serde_json::json;

use super::builders::{client_id, commit, event, large_event, noon, processor, stream};
use super::outcome_log::{concluded, outcome};
use crate::domain::claim::{Claim, ClaimKey, ClaimSubject, Fence, Slot};
use crate::domain::commit::Commit;
use crate::domain::event::BodyDigest;
use crate::domain::identifiers::OrganizationId;
use crate::domain::outcome::EventOutcome;
use crate::domain::status::EventStatus;
use crate::domain::version::Version;
use crate::ports::commit_log::CommitLog;
use crate::ports::definition_store::DefinitionStore;
use crate::ports::event_reader::{EventReader, StreamRequest, StreamSlice};
use crate::ports::outcome_log::OutcomeLog;
use crate::ports::revision::Revision;

fn organization(name: &str) -> OrganizationId {
    name.parse().unwrap()
}

fn whole(name: &str) -> StreamRequest {
    let stream = stream(name);
    StreamRequest { stream: stream.stream, organization: stream.organization, from: Version::EMPTY, to: Version::MAX, limit: usize::MAX }
}

fn versions(slice: &StreamSlice) -> Vec<u64> {
    slice.events.iter().map(|event| event.event.stream_version.get()).collect()
}

/// Each event of a commit by its own.
pub async fn an_event_is_found_by_its_id_at_once(store: &(impl EventReader + CommitLog)) {
    for put in [commit("acme/order:1", 1, vec![event("a"), event("b")]), commit("order:1", 1, (0..100).map(|_| event("c")).collect())] {
        store.put(std::slice::from_ref(&put)).await.unwrap();
        for event in put.to_events() {
            let found = store.event(event.id, None).await.unwrap().unwrap();
            assert_eq!(found.event, event);
            assert_eq!(found.outcome, EventOutcome::NOTHING_TO_DO);
        }
        let beyond = commit("order:1", 200, vec![event("never put")]);
        assert_eq!(store.event(beyond.id(), None).await.unwrap(), None);
    }
}

/// BR-EVT-001.
pub async fn an_event_is_found_by_the_id_that_a_client_gave_it(store: &(impl EventReader + CommitLog)) {
    for (number, name) in [(1, "order:1"), (2, "acme/order:1")] {
        let mut named = event("named");
        named.client_id = Some(client_id(number));
        let put = commit(name, 1, vec![event("other"), named]);
        let slot = Slot { stream: put.stream.clone(), first: put.first };
        let claim = Claim { fence: Fence(1), digest: BodyDigest(1), recorded_at: noon(), seed: 0, slots: vec![slot] };
        let key = ClaimKey { organization: put.stream.organization.clone(), subject: ClaimSubject::Event(client_id(number)) };
        store.put_claim(&key, &claim).await.unwrap();
        assert_eq!(store.event(client_id(number), None).await.unwrap(), None, "claimed, and not stored yet");
        store.put(std::slice::from_ref(&put)).await.unwrap();
        for asked in [None, put.stream.organization.as_ref()] {
            let found = store.event(client_id(number), asked).await.unwrap().unwrap();
            assert_eq!(found.event, put.to_events()[1]);
        }
        assert_eq!(store.event(client_id(number), Some(&organization("other"))).await.unwrap(), None);
    }
}

/// By either form of id.
pub async fn an_event_of_another_organization_is_not_found(store: &(impl EventReader + CommitLog)) {
    for name in ["acme/order:1", "order:1"] {
        let put = commit(name, 1, vec![event("a")]);
        store.put(std::slice::from_ref(&put)).await.unwrap();
        assert_eq!(store.event(put.id(), Some(&organization("other"))).await.unwrap(), None);
        let visible = store.event(put.id(), Some(&organization("acme"))).await.unwrap().is_some();
        assert_eq!(visible, put.stream.organization.is_some());
    }
}

/// BR-STM-005.
pub async fn an_unknown_stream_is_empty_at_version_zero(store: &(impl EventReader + CommitLog)) {
    for name in ["order:404", "acme/order:404"] {
        let slice = store.stream(&whole(name)).await.unwrap();
        assert_eq!(slice, StreamSlice { events: Vec::new(), version: Version::EMPTY, created_at: None, updated_at: None });
    }
}

/// BR-STM-002.
pub async fn a_stream_is_read_whole_however_long(store: &(impl EventReader + CommitLog)) {
    // Far more than the megabyte that one page of the store holds.
    let commits: Vec<Commit> = (0..40).map(|number| commit("order:1", number * 2 + 1, vec![event("small"), large_event(60_000)])).collect();
    for put in &commits {
        store.put(std::slice::from_ref(put)).await.unwrap();
    }
    let slice = store.stream(&whole("order:1")).await.unwrap();
    assert_eq!(versions(&slice), (1..=80).collect::<Vec<u64>>());
    assert_eq!(slice.version, Version::new(80));
    assert_eq!((slice.created_at, slice.updated_at), (Some(noon()), Some(noon())));
}

/// BR-STM-004.
pub async fn a_part_of_a_stream_is_read_by_version(store: &(impl EventReader + CommitLog)) {
    for (name, first, count) in [("acme/order:1", 1, 3), ("acme/order:1", 4, 100), ("acme/order:1", 104, 1)] {
        store.put(&[commit(name, first, (0..count).map(|_| event("a")).collect())]).await.unwrap();
    }
    for (from, to, limit, expected) in
        [(2, 4, 100, 2..=4), (50, 60, 5, 50..=54), (104, 999, 10, 104..=104), (0, 1, 10, 1..=1), (103, 200, 10, 103..=104)]
    {
        for name in ["acme/order:1", "order:1"] {
            let request = StreamRequest { from: Version::new(from), to: Version::new(to), limit, ..whole(name) };
            let slice = store.stream(&request).await.unwrap();
            // Without an organization, the only one that has the stream is found.
            assert_eq!(versions(&slice), expected.clone().collect::<Vec<u64>>(), "{name} {from}..{to}");
            assert_eq!(slice.version, Version::new(104));
        }
    }
    for (from, to) in [(0, 0), (1, 0), (105, 999), (3, 2)] {
        let request = StreamRequest { from: Version::new(from), to: Version::new(to), ..whole("acme/order:1") };
        let slice = store.stream(&request).await.unwrap();
        assert_eq!((versions(&slice), slice.version), (Vec::new(), Version::new(104)), "{from}..{to} holds nothing");
    }
}

/// BR-STM-002.
pub async fn a_late_event_keeps_its_place_in_the_stream(store: &(impl EventReader + CommitLog)) {
    let mut late = event("late");
    late.occurred_at = noon().plus_micros(-86_400_000_000);
    store.put(&[commit("order:1", 1, vec![event("first")])]).await.unwrap();
    store.put(&[commit("order:1", 2, vec![late])]).await.unwrap();
    let slice = store.stream(&whole("order:1")).await.unwrap();
    assert_eq!(slice.events.iter().map(|event| event.event.details.event_type.as_str()).collect::<Vec<_>>(), ["first", "late"]);
}

/// In the order of recording.
pub async fn without_an_organization_the_streams_of_all_are_read(store: &(impl EventReader + CommitLog)) {
    let mut first = commit("acme/order:1", 1, vec![event("a")]);
    let mut second = commit("other/order:1", 1, vec![event("b"), event("c")]);
    let mut third = commit("order:1", 1, vec![event("d")]);
    for (commit, millis) in [(&mut first, 1), (&mut second, 2), (&mut third, 3)] {
        commit.recorded_at = noon().plus_micros(millis * 1000);
        store.put(std::slice::from_ref(commit)).await.unwrap();
    }
    let slice = store.stream(&whole("order:1")).await.unwrap();
    assert_eq!(slice.events.iter().map(|event| event.event.details.event_type.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    assert_eq!(slice.version, Version::new(4));
    let slice = store.stream(&whole("other/order:1")).await.unwrap();
    assert_eq!(versions(&slice), [1, 2]);
}

/// Nothing is written for it.
pub async fn an_event_that_no_processor_is_given_is_processed_from_the_start(
    store: &(impl EventReader + CommitLog + OutcomeLog + DefinitionStore),
) {
    let acme = json!({"organization": "acme"});
    assert!(store.save_processor(&processor(&acme), Revision(0)).await.unwrap());
    for name in ["order:1", "other/order:1"] {
        let put = commit(name, 1, vec![event("a"), event("b")]);
        store.put(std::slice::from_ref(&put)).await.unwrap();
        for event in put.to_events() {
            let outcome = store.event(event.id, None).await.unwrap().map(|event| event.outcome);
            assert_eq!(outcome, Some(EventOutcome::NOTHING_TO_DO));
        }
        let stream = store.stream(&whole(name)).await.unwrap();
        assert!(stream.events.iter().all(|event| event.outcome == EventOutcome::NOTHING_TO_DO), "{stream:?}");
        assert_eq!(store.outcome(put.id()).await.unwrap(), (None, Revision(0)));
    }
}

/// It is one if a processor was on when it was recorded and selects it, whatever becomes of the processor then.
pub async fn an_event_that_a_processor_is_given_is_pending_until_it_has_an_outcome(
    store: &(impl EventReader + CommitLog + OutcomeLog + DefinitionStore),
) {
    let switched_off = json!({"from": noon(), "until": noon().plus_micros(1_000_000), "filters": {"event_type": "a"}});
    let past = json!({"enabled": false, "filters": {"event_type": "a"}, "activations": [switched_off]});
    assert!(store.save_processor(&processor(&past), Revision(0)).await.unwrap());
    let (given, mut late) = (commit("order:1", 1, vec![event("a"), event("b")]), commit("order:2", 1, vec![event("a")]));
    late.recorded_at = noon().plus_micros(1_000_000);
    store.put(std::slice::from_ref(&given)).await.unwrap();
    store.put(std::slice::from_ref(&late)).await.unwrap();
    let statuses = async |put: &Commit| {
        let mut statuses = Vec::new();
        for event in put.to_events() {
            statuses.extend(store.event(event.id, None).await.unwrap().map(|event| event.outcome.status));
        }
        let request = StreamRequest { stream: put.stream.stream.clone(), ..whole("order:1") };
        let stream = store.stream(&request).await.unwrap();
        assert_eq!(stream.events.iter().map(|event| event.outcome.status).collect::<Vec<_>>(), statuses);
        statuses
    };
    assert_eq!(statuses(&given).await, [EventStatus::Pending, EventStatus::Processed]);
    assert_eq!(statuses(&late).await, [EventStatus::Processed]);
    let mut failed = outcome(&given, EventStatus::Failed);
    failed.events[1] = EventOutcome::NOTHING_TO_DO;
    assert!(store.save_outcome(&concluded(&given), &failed, Revision(0)).await.unwrap());
    assert_eq!(statuses(&given).await, [EventStatus::Failed, EventStatus::Processed]);
}

/// Every attempt is kept.
pub async fn an_outcome_shows_in_the_event(store: &(impl EventReader + CommitLog + OutcomeLog)) {
    let put = commit("order:1", 1, vec![event("a"), event("b")]);
    store.put(std::slice::from_ref(&put)).await.unwrap();
    let outcome = outcome(&put, EventStatus::Failed);
    assert!(store.save_outcome(&concluded(&put), &outcome, Revision(0)).await.unwrap());
    for (event, expected) in put.to_events().into_iter().zip(outcome.events) {
        assert_eq!(store.event(event.id, None).await.unwrap().map(|event| event.outcome), Some(expected));
    }
}
