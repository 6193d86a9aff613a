//! The contract of [`StreamReader`].

use super::builders::{commit, event, large_event, stream};
use crate::domain::commit::Commit;
use crate::domain::version::Version;
use crate::ports::commit_log::CommitLog;
use crate::ports::stream_reader::{CommitRun, StreamReader};

async fn put(store: &impl CommitLog, commits: &[Commit]) {
    for commit in commits {
        store.put(std::slice::from_ref(commit)).await.unwrap();
    }
}

/// Commits of 1, 3, 100 and 2 events.
fn four() -> Vec<Commit> {
    let events = |count: usize| (0..count).map(|_| event("a")).collect();
    vec![
        commit("acme/order:1", 1, events(1)),
        commit("acme/order:1", 2, events(3)),
        commit("acme/order:1", 5, events(100)),
        commit("acme/order:1", 105, events(2)),
    ]
}

async fn after(store: &impl StreamReader, version: u64) -> CommitRun {
    store.commits_after(&stream("acme/order:1"), Version::new(version), 1000).await.unwrap()
}

/// From the one right after it.
pub async fn commits_are_read_in_their_order_from_a_version_on(store: &(impl StreamReader + CommitLog)) {
    assert_eq!(after(store, 0).await, CommitRun { commits: Vec::new(), to_the_end: true });
    let all = four();
    put(store, &all).await;
    for (version, skipped) in [(0, 0), (1, 1), (4, 2), (104, 3), (106, 4), (1000, 4)] {
        assert_eq!(after(store, version).await, CommitRun { commits: all[skipped..].to_vec(), to_the_end: true }, "after {version}");
    }
}

/// However large they are.
pub async fn at_least_as_many_events_are_read_as_are_asked_for_and_the_end_is_known(store: &(impl StreamReader + CommitLog)) {
    let (name, most) = (stream("order:1"), 40);
    let all: Vec<Commit> = (1..=most).map(|first| commit("order:1", first, vec![large_event(70_000)])).collect();
    put(store, &all).await;
    for events in [1, 7, 39, 40, 41] {
        let (mut found, mut runs) = (Vec::new(), 0);
        loop {
            let last = found.last().map_or(Version::EMPTY, Commit::last);
            let run = store.commits_after(&name, last, events).await.unwrap();
            assert!(run.commits.len() >= events || run.to_the_end, "{} of {events}", run.commits.len());
            found.extend(run.commits);
            runs += 1;
            assert_eq!(run.to_the_end, found.len() == all.len(), "{events} at a time");
            if run.to_the_end {
                break;
            }
        }
        assert!(found == all && runs <= all.len() / events + 1, "{events} at a time took {runs}");
    }
}

/// Whatever lies beside it.
pub async fn streams_of_other_names_and_organizations_are_not_read(store: &(impl StreamReader + CommitLog)) {
    let all = four();
    put(store, &all).await;
    for other in ["order:1", "other/order:1", "acme/order:10", "acme/order:1#"] {
        put(store, &[commit(other, 1, vec![event("b")])]).await;
    }
    assert_eq!(after(store, 0).await.commits, all);
    assert_eq!(store.commits_after(&stream("other/order:1"), Version::EMPTY, 10).await.unwrap().commits.len(), 1);
}

/// In the order of their organizations, none first; and no more than are asked for.
pub async fn the_streams_of_a_name_are_found_whosever_they_are(store: &(impl StreamReader + CommitLog)) {
    let name = stream("order:1").stream;
    assert!(store.streams_named(&name, 5).await.unwrap().is_empty());
    put(store, &four()).await;
    assert_eq!(store.streams_named(&name, 5).await.unwrap(), [stream("acme/order:1")]);
    for other in ["zeta/order:1", "order:1", "beta/order:1", "beta/order:2"] {
        put(store, &[commit(other, 1, vec![event("b")]), commit(other, 2, (0..9).map(|_| event("b")).collect())]).await;
    }
    let all = ["order:1", "acme/order:1", "beta/order:1", "zeta/order:1"].map(stream);
    assert_eq!(store.streams_named(&name, 5).await.unwrap(), all);
    let some = store.streams_named(&name, 2).await.unwrap();
    assert!(some.len() == 2 && some.iter().all(|stream| all.contains(stream)), "{some:?}");
}
