//! The contract of [`ReplayStore`].

use serde_json::json;

use super::builders::{noon, replay};
use crate::domain::identifiers::OrganizationId;
use crate::domain::replay::{Replay, ReplayState};
use crate::ports::replay_store::ReplayStore;
use crate::ports::revision::Revision;

/// A replay that was started so many seconds after noon.
fn started(seconds: u64) -> Replay {
    let id = format!("01a20846-fe{seconds:02x}-7000-8000-000000000001");
    let organization = seconds.is_multiple_of(2).then_some("acme");
    replay(&id, &json!({"organization": organization, "due_at": noon().plus(std::time::Duration::from_secs(seconds))}))
}

async fn keep(store: &impl ReplayStore, replays: &[Replay]) {
    for replay in replays {
        assert!(store.save_replay(replay, Revision(0)).await.unwrap());
    }
}

/// Whatever it selects.
pub async fn a_replay_is_read_back_as_it_was_saved(store: &impl ReplayStore) {
    let place = json!({"place": {"time": {"last_occurred_at": noon(), "commit": "01a20846-fe00-8019-85eb-4c5fa0000001"}},
        "ahead": [{"organization": "acme", "stream_id": "order:1", "through": 7, "until": noon()}]});
    let refs: Vec<_> =
        (0..1000).map(|number| json!({"stream_id": format!("order:{number}"), "commit": number + 1, "index": number % 100})).collect();
    let filter = json!({"event_type": "a", "status": "failed", "from": noon(), "to": noon(), "data": {"a.b": [1, null]}, "user": "ü"});
    let all = [
        replay("01a20846-fe00-7000-8000-000000000001", &json!({"organization": "acme", "lease": {"since": noon(), "until": noon()}})),
        replay("01a20846-fe00-7000-8000-000000000002", &json!({"selection": {"events": refs}, "target": {"bus": "audit"}})),
        replay("01a20846-fe00-7000-8000-000000000003", &json!({"selection": {"time": filter}, "target": "everybody", "checkpoint": place})),
        replay("01a20846-fe00-7000-8000-000000000004", &json!({"due_at": null, "completed_at": noon(), "state": "failed", "reason": "x"})),
    ];
    keep(store, &all).await;
    for replay in all {
        assert_eq!(store.replay(&replay.id).await.unwrap(), (Some(replay), Revision(1)));
    }
    assert_eq!(store.replay(&"nobody".parse().unwrap()).await.unwrap(), (None, Revision(0)));
}

/// Who has not seen a cancellation does not save over it.
pub async fn a_replay_is_saved_only_over_the_one_that_was_seen(store: &impl ReplayStore) {
    let first = started(1);
    assert!(!store.save_replay(&first, Revision(3)).await.unwrap());
    keep(store, std::slice::from_ref(&first)).await;
    let mut canceled = first.clone();
    canceled.end(ReplayState::Canceled, None, noon());
    assert!(store.save_replay(&canceled, Revision(1)).await.unwrap());
    for stale in [Revision(0), Revision(1)] {
        assert!(!store.save_replay(&first, stale).await.unwrap());
    }
    assert_eq!(store.replay(&first.id).await.unwrap(), (Some(canceled), Revision(2)));
}

/// In pages of any size, and each once.
pub async fn replays_are_listed_latest_first_and_by_organization(store: &impl ReplayStore) {
    let all: Vec<Replay> = [3, 0, 5, 1, 2, 4].map(started).into();
    keep(store, &all).await;
    let acme: OrganizationId = "acme".parse().unwrap();
    for (organization, expected) in [(None, vec![5, 4, 3, 2, 1, 0]), (Some(&acme), vec![4, 2, 0])] {
        let expected: Vec<_> = expected.into_iter().map(|seconds| started(seconds).id).collect();
        for most in [1, 2, 6, 100] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let (page, next) = store.replays(organization, after.as_ref(), most).await.unwrap();
                assert!(page.len() <= most);
                found.extend(page.into_iter().map(|replay| replay.id));
                match next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            assert_eq!(found, expected, "pages of {most}");
        }
    }
}

/// And no other.
pub async fn replays_are_found_that_somebody_is_to_look_after(store: &impl ReplayStore) {
    let mut ended = started(0);
    ended.end(ReplayState::Completed, None, noon());
    keep(store, &[started(3), started(1), ended, started(9), started(2)]).await;
    let now = noon().plus(std::time::Duration::from_secs(3));
    let due = async |most| -> Vec<_> {
        store.due_replays(now, most).await.unwrap().into_iter().map(|(replay, seen)| (replay.id, seen)).collect()
    };
    let expected = [1, 2, 3].map(|seconds| (started(seconds).id, Revision(1)));
    assert_eq!(due(10).await, expected);
    assert_eq!(due(2).await, expected[..2]);
    let mut later = started(1);
    later.due_at = started(9).due_at;
    assert!(store.save_replay(&later, Revision(1)).await.unwrap());
    assert_eq!(due(10).await, expected[1..]);
}
