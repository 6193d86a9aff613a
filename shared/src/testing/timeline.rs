//! The contract of [`Timeline`].

use super::builders::{commit, event, noon};
use crate::domain::commit::Commit;
use crate::domain::query::EventFilter;
use crate::ports::commit_log::CommitLog;
use crate::ports::timeline::Timeline;

/// A commit whose events happened so many minutes after noon.
fn at(stream: &str, first: u64, minutes: &[i64]) -> Commit {
    let mut made = commit(stream, first, minutes.iter().map(|_| event("a")).collect());
    for (event, minutes) in made.events.iter_mut().zip(minutes) {
        event.occurred_at = noon().plus_micros(minutes * 60_000_000);
    }
    made
}

/// Every page after the one before.
async fn all(store: &impl Timeline, filter: &EventFilter, most: usize) -> Vec<Commit> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.commits_since(filter, after, most, noon()).await.unwrap();
        assert!(page.commits.len() <= most);
        found.extend(page.commits);
        match page.next {
            Some(next) => {
                assert!(after.is_none_or(|after| after < next), "it leads on");
                after = Some(next);
            }
            None => return found,
        }
    }
}

/// By their latest events, whatever stream they are of and whenever they were stored.
pub async fn commits_come_in_the_order_of_time(store: &(impl Timeline + CommitLog)) {
    let commits = [
        at("order:1", 1, &[30]),
        at("acme/order:1", 1, &[5, 1]),
        at("order:1", 2, &[10]),
        at("order:2", 1, &[5]),
        at("order:3", 1, &[-90]),
    ];
    for commit in &commits {
        store.put(std::slice::from_ref(commit)).await.unwrap();
    }
    let mut expected = commits.to_vec();
    expected.sort_by_key(Commit::place_in_time);
    assert_eq!(expected[0].stream, commits[4].stream);
    for most in [1, 2, 100] {
        assert_eq!(all(store, &EventFilter::default(), most).await, expected, "{most} at a time");
    }
}

/// Of a commit that is partly in the range, too.
pub async fn a_range_of_time_has_the_commits_with_an_event_in_it(store: &(impl Timeline + CommitLog)) {
    let commits = [at("order:1", 1, &[1]), at("order:2", 1, &[5, 20]), at("order:3", 1, &[6]), at("order:4", 1, &[40])];
    for commit in &commits {
        store.put(std::slice::from_ref(commit)).await.unwrap();
    }
    let minute = |minute: i64| Some(noon().plus_micros(minute * 60_000_000));
    for (from, to, expected) in [(2, 7, vec![2, 1]), (5, 5, vec![1]), (20, 40, vec![1, 3]), (7, 19, vec![]), (41, 90, vec![])] {
        let filter = EventFilter { from: minute(from), to: minute(to), ..EventFilter::default() };
        let expected: Vec<Commit> = expected.into_iter().map(|index: usize| commits[index].clone()).collect();
        assert_eq!(all(store, &filter, 100).await, expected, "{from} to {to}");
    }
}

/// None, rather than an error.
pub async fn where_nothing_happened_nothing_is_found(store: &(impl Timeline + CommitLog)) {
    assert!(all(store, &EventFilter::default(), 10).await.is_empty());
}
