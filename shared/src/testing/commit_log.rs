//! The contract of [`CommitLog`].

use std::slice;

use super::builders::{client_id, commit, event, large_event, noon, stream};
use crate::domain::claim::{Claim, ClaimKey, ClaimSubject, Fence, Slot};
use crate::domain::commit::{Attempt, Commit, CommittedEvent, RequestToken};
use crate::domain::event::BodyDigest;
use crate::domain::message::{LedgerNote, LedgerPage, Mark};
use crate::domain::version::Version;
use crate::ports::commit_log::{CommitLog, Put, PutNoting, TogetherWith};

fn slot(commit: &Commit) -> Slot {
    Slot { stream: commit.stream.clone(), first: commit.first }
}

/// BR-STM-005.
pub async fn a_stream_without_commits_is_at_version_zero(log: &impl CommitLog) {
    assert_eq!(log.head(&stream("order:1")).await.unwrap(), Version::EMPTY);
}

/// BR-STM-003.
pub async fn the_head_is_the_end_of_the_last_commit(log: &impl CommitLog) {
    log.put(&[commit("order:1", 1, vec![event("a"), event("b"), event("c")])]).await.unwrap();
    assert_eq!(log.head(&stream("order:1")).await.unwrap(), Version::new(3));
    log.put(&[commit("order:1", 4, vec![event("d")])]).await.unwrap();
    assert_eq!(log.head(&stream("order:1")).await.unwrap(), Version::new(4));
    assert_eq!(log.head(&stream("order:2")).await.unwrap(), Version::EMPTY);
}

/// BR-EVT-006.
pub async fn a_commit_is_read_back_as_it_was_put(log: &impl CommitLog) {
    let mut named = event("named");
    named.client_id = Some(client_id(7));
    let json = serde_json::json!({"type": "x", "source": "iot_device", "category": "telemetry", "user": "u", "session": "s", "device": "d",
        "correlation": "c", "data": {"n": 1.50, "deep": {"list": [1, null, "ü"]}}, "metadata": {"ip": "::1"}, "context": {"a": {}},
        "properties": {"p": true}, "version": "2.1.0"});
    let mut full = event("x");
    full.details = super::builders::details(&json);
    let mut put = commit("a#c/e%/order:1#2/3", 1, vec![named, full]);
    put.stream =
        crate::domain::stream_id::StreamKey { organization: Some("a#c/e%".parse().unwrap()), stream: "order:1#2/3".parse().unwrap() };
    put.request = Some(RequestToken(u64::MAX));
    assert_eq!(log.put(std::slice::from_ref(&put)).await.unwrap(), Put::Stored);
    assert_eq!(log.commit_at(&slot(&put)).await.unwrap(), Some(put.clone()));
    assert_eq!(log.commit_at(&Slot { first: Version::new(2), ..slot(&put) }).await.unwrap(), None);
}

/// Wherever in the commit the version is, and in no other stream.
pub async fn a_commit_is_found_by_any_version_that_it_holds(log: &impl CommitLog) {
    let (first, second) = (commit("order:1", 1, vec![event("a"), event("b"), event("c")]), commit("order:1", 4, vec![event("d")]));
    for put in [&first, &second, &commit("acme/order:1", 1, vec![event("x")])] {
        assert_eq!(log.put(std::slice::from_ref(put)).await.unwrap(), Put::Stored);
    }
    for (version, expected) in [(1, Some(&first)), (2, Some(&first)), (3, Some(&first)), (4, Some(&second)), (5, None), (0, None)] {
        let found = log.commit_holding(&stream("order:1"), Version::new(version)).await.unwrap();
        assert_eq!(found.as_ref(), expected, "{version}");
    }
    assert_eq!(log.commit_holding(&stream("order:2"), Version::new(1)).await.unwrap(), None);
    assert_eq!(log.commit_holding(&stream("acme/order:1"), Version::new(2)).await.unwrap(), None);
}

/// BR-EVT-006.
pub async fn a_taken_slot_refuses_another_commit_and_shows_what_stands_there(log: &impl CommitLog) {
    let (first, mut second) = (commit("order:1", 1, vec![event("first")]), commit("order:1", 1, vec![event("second")]));
    second.attempt = Attempt(99);
    log.put(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(log.put(&[second]).await.unwrap(), Put::Taken(vec![first.clone()]));
    assert_eq!(log.commit_at(&slot(&first)).await.unwrap(), Some(first));
}

/// BR-EVT-008.
pub async fn commits_of_several_streams_are_put_together_or_not_at_all(log: &impl CommitLog) {
    let standing = commit("order:2", 1, vec![event("standing")]);
    log.put(std::slice::from_ref(&standing)).await.unwrap();
    let batch = |second: u64| {
        vec![commit("order:1", 1, vec![event("a")]), commit("order:2", second, vec![event("b")]), commit("order:3", 1, vec![event("c")])]
    };
    assert_eq!(log.put(&batch(1)).await.unwrap(), Put::Taken(vec![standing]));
    assert_eq!(log.head(&stream("order:1")).await.unwrap(), Version::EMPTY);
    assert_eq!(log.head(&stream("order:3")).await.unwrap(), Version::EMPTY);
    assert_eq!(log.put(&batch(2)).await.unwrap(), Put::Stored);
    assert_eq!(log.head(&stream("order:2")).await.unwrap(), Version::new(2));
    assert_eq!(log.head(&stream("order:3")).await.unwrap(), Version::new(1));
}

/// BR-EVT-008.
pub async fn a_hundred_commits_are_put_together(log: &impl CommitLog) {
    let batch: Vec<Commit> = (0..100).map(|number| commit(&format!("order:{number}"), 1, vec![event("a")])).collect();
    assert_eq!(log.put(&batch).await.unwrap(), Put::Stored);
    assert_eq!(log.head(&stream("order:99")).await.unwrap(), Version::new(1));
}

/// Neither sees the other's versions.
pub async fn streams_of_two_organizations_with_one_name_are_apart(log: &impl CommitLog) {
    log.put(&[commit("acme/order:1", 1, vec![event("a"), event("b")])]).await.unwrap();
    assert_eq!(log.head(&stream("other/order:1")).await.unwrap(), Version::EMPTY);
    assert_eq!(log.head(&stream("order:1")).await.unwrap(), Version::EMPTY);
    assert_eq!(log.put(&[commit("other/order:1", 1, vec![event("c")])]).await.unwrap(), Put::Stored);
    assert_eq!(log.head(&stream("acme/order:1")).await.unwrap(), Version::new(2));
}

/// Whatever does not fit one write unit is compressed.
pub async fn a_large_commit_is_read_back_as_it_was_put(log: &impl CommitLog) {
    for (number, bytes) in [(1, 700), (2, 1_500), (3, 50_000), (4, 280_000)] {
        let put = commit(&format!("large:{number}"), 1, vec![large_event(bytes)]);
        log.put(std::slice::from_ref(&put)).await.unwrap();
        assert_eq!(log.commit_at(&slot(&put)).await.unwrap(), Some(put), "{bytes} bytes");
    }
}

/// BR-EVT-001.
pub async fn an_id_that_was_made_here_is_known(log: &impl CommitLog) {
    let put = commit("acme/order:1", 1, vec![event("a"), event("b")]);
    log.put(std::slice::from_ref(&put)).await.unwrap();
    for event in put.to_events() {
        assert!(log.is_placed(event.id, put.stream.organization.as_ref()).await.unwrap());
        assert!(!log.is_placed(event.id, None).await.unwrap());
    }
    assert!(!log.is_placed(commit("acme/order:1", 7, vec![event("c")]).id(), put.stream.organization.as_ref()).await.unwrap());
    assert!(!log.is_placed(client_id(1), None).await.unwrap());
}

fn claim(fence: u64, first: u64) -> Claim {
    Claim {
        fence: Fence(fence),
        digest: BodyDigest(u128::MAX - 1),
        recorded_at: noon(),
        seed: 5,
        slots: vec![
            Slot { stream: stream("acme/order:1"), first: Version::new(first) },
            Slot { stream: stream("order:2"), first: Version::new(1) },
        ],
    }
}

fn keys() -> [ClaimKey; 3] {
    let event = ClaimSubject::Event(client_id(1));
    [
        ClaimKey { organization: None, subject: event.clone() },
        ClaimKey { organization: Some("acme".parse().unwrap()), subject: event },
        ClaimKey { organization: None, subject: ClaimSubject::Request("00000000-0000-4000-8000-000000000001".parse().unwrap()) },
    ]
}

/// BR-EVT-001.
pub async fn a_claim_is_put_once(log: &impl CommitLog) {
    for (number, key) in keys().iter().enumerate() {
        let mine = claim(number as u64 + 10, 1);
        assert_eq!(log.claim(key).await.unwrap(), None, "{key:?}");
        assert_eq!(log.put_claim(key, &mine).await.unwrap(), None);
        assert_eq!(log.put_claim(key, &claim(2, 2)).await.unwrap(), Some(mine.clone()));
        assert_eq!(log.claim(key).await.unwrap(), Some(mine));
    }
}

/// BR-EVT-001.
pub async fn a_claim_is_moved_only_by_who_knows_its_fence(log: &impl CommitLog) {
    let [key, ..] = keys();
    assert!(!log.move_claim(&key, Fence(0), &claim(1, 1)).await.unwrap_or(false));
    log.put_claim(&key, &claim(1, 1)).await.unwrap();
    assert!(!log.move_claim(&key, Fence(3), &claim(4, 9)).await.unwrap());
    assert_eq!(log.claim(&key).await.unwrap(), Some(claim(1, 1)));
    assert!(log.move_claim(&key, Fence(1), &claim(2, 5)).await.unwrap());
    assert_eq!(log.claim(&key).await.unwrap(), Some(claim(2, 5)));
}

fn events(count: usize) -> Vec<CommittedEvent> {
    vec![event("a"); count]
}

fn note(name: u128, mark: u128, event: u64) -> LedgerNote {
    LedgerNote { page: LedgerPage { organization: None, name }, mark: Mark(mark), event: client_id(event) }
}

fn with_notes(notes: Vec<LedgerNote>) -> TogetherWith {
    TogetherWith { notes, claims: Vec::new() }
}

/// Commits and notes are stored together.
pub async fn messages_are_noted_with_the_commit_of_their_events(log: &impl CommitLog) {
    let first = commit("order:1", 1, events(2));
    let together = with_notes(vec![note(1, 1, 1), note(1, 2, 2), note(2, 3, 3)]);
    assert_eq!(log.put_noting(slice::from_ref(&first), &together).await.unwrap(), PutNoting::Stored);
    assert_eq!(log.commit_at(&slot(&first)).await.unwrap().as_ref(), Some(&first));
    // Others may be noted in the same pages.
    let second = commit("order:1", 3, events(1));
    assert_eq!(log.put_noting(&[second], &with_notes(vec![note(1, 4, 4)])).await.unwrap(), PutNoting::Stored);
}

/// And the events that they became are told, whatever page or organization else has the same mark.
pub async fn a_message_that_was_noted_refuses_the_commit(log: &impl CommitLog) {
    log.put_noting(&[commit("order:1", 1, events(1))], &with_notes(vec![note(1, 1, 1), note(2, 9, 7)])).await.unwrap();
    let second = commit("order:1", 2, events(3));
    let notes = vec![note(1, 2, 12), note(1, 1, 11), note(2, 9, 13), note(3, 1, 14)];
    let refused = log.put_noting(slice::from_ref(&second), &with_notes(notes)).await.unwrap();
    let PutNoting::Noted { mut known, full } = refused else { panic!("{refused:?}") };
    known.sort();
    assert_eq!((known, full), (vec![note(1, 1, 1), note(2, 9, 7)], Vec::new()));
    assert_eq!(log.commit_at(&slot(&second)).await.unwrap(), None);
    let foreign = LedgerNote { page: LedgerPage { organization: "acme".parse().ok(), name: 1 }, ..note(1, 1, 15) };
    assert_eq!(log.put_noting(&[second], &with_notes(vec![foreign, note(3, 1, 14)])).await.unwrap(), PutNoting::Stored);
}

/// A taken slot is told before anything else, and nothing is noted.
pub async fn a_taken_slot_notes_nothing(log: &impl CommitLog) {
    let standing = commit("order:1", 1, events(1));
    log.put(slice::from_ref(&standing)).await.unwrap();
    let mine = Commit { attempt: Attempt(77), ..standing.clone() };
    let together = with_notes(vec![note(1, 1, 1)]);
    assert_eq!(log.put_noting(&[mine], &together).await.unwrap(), PutNoting::Taken(vec![standing]));
    assert_eq!(log.put_noting(&[commit("order:1", 2, events(1))], &together).await.unwrap(), PutNoting::Stored);
}

/// Once it is full, and whoever asks.
pub async fn a_page_that_is_full_takes_no_more_and_still_knows_its_messages(log: &impl CommitLog) {
    // The last ones find it nearly full, and all of them have room: how many there are makes no difference.
    let most = u128::from(LedgerPage::FULL) + 60;
    for from in (0..most).step_by(92) {
        let notes = (from..from + 92).map(|mark| note(1, mark, 1)).collect();
        let first = u64::try_from(from).unwrap() + 1;
        assert_eq!(log.put_noting(&[commit("order:1", first, events(92))], &with_notes(notes)).await.unwrap(), PutNoting::Stored);
    }
    let next = commit("order:1", u64::try_from(most).unwrap() + 1, events(1));
    let page = LedgerPage { organization: None, name: 1 };
    let one_more = log.put_noting(slice::from_ref(&next), &with_notes(vec![note(1, most, 2)])).await.unwrap();
    assert_eq!(one_more, PutNoting::Noted { known: Vec::new(), full: vec![page] });
    let again = log.put_noting(slice::from_ref(&next), &with_notes(vec![note(1, 5, 2)])).await.unwrap();
    assert_eq!(again, PutNoting::Noted { known: vec![note(1, 5, 1)], full: Vec::new() });
    assert_eq!(log.put_noting(&[next], &with_notes(vec![note(2, most, 2)])).await.unwrap(), PutNoting::Stored);
}

/// In place of what was claimed before.
pub async fn claims_are_stored_with_the_commit(log: &impl CommitLog) {
    let [key, ..] = keys();
    log.put_claim(&key, &claim(1, 1)).await.unwrap();
    let together = TogetherWith { notes: vec![note(1, 1, 1)], claims: vec![(key.clone(), claim(2, 5))] };
    assert_eq!(log.put_noting(&[commit("order:1", 1, events(1))], &together).await.unwrap(), PutNoting::Stored);
    assert_eq!(log.claim(&key).await.unwrap(), Some(claim(2, 5)));
}
