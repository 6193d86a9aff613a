//! What tests share: builders, and the contract of each port as clauses that every adapter is put
//! through. A clause is a function; [`contract!`](crate::contract) makes a test of each.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "clauses are tests: they end in a panic if they do not hold")]

pub mod builders;
pub mod commit_log;
pub mod counter_store;
pub mod event_reader;
pub mod key_store;
pub mod outcome_log;

/// Makes a test of each clause of a contract for one adapter.
///
/// The adapter is named by an async function beside the call, which gives something that
/// dereferences to the port.
#[macro_export]
macro_rules! contract {
    ($contract:ident: $adapter:ident, [$($clause:ident),* $(,)?]) => {
        mod $contract {
            $(
                #[tokio::test]
                async fn $clause() {
                    let adapter = super::$adapter().await;
                    $crate::testing::$contract::$clause(&*adapter).await;
                }
            )*
        }
    };
}

/// Every clause of every contract, for one adapter of events, counters and keys.
#[macro_export]
macro_rules! store_contracts {
    ($events:ident, $counters:ident, $keys:ident) => {
        $crate::contract!(commit_log: $events, [
            a_stream_without_commits_is_at_version_zero,
            the_head_is_the_end_of_the_last_commit,
            a_commit_is_read_back_as_it_was_put,
            a_taken_slot_refuses_another_commit_and_shows_what_stands_there,
            commits_of_several_streams_are_put_together_or_not_at_all,
            a_hundred_commits_are_put_together,
            streams_of_two_organizations_with_one_name_are_apart,
            a_large_commit_is_read_back_as_it_was_put,
            an_id_that_was_made_here_is_known,
            a_claim_is_put_once,
            a_claim_is_moved_only_by_who_knows_its_fence,
        ]);
        $crate::contract!(outcome_log: $events, [
            an_outcome_is_read_back_as_it_was_put,
            an_outcome_takes_the_place_of_the_one_before,
        ]);
        $crate::contract!(counter_store: $counters, [
            an_item_that_was_never_saved_is_empty,
            an_item_is_read_back_as_it_was_saved,
            an_item_is_saved_only_over_the_revision_that_was_read,
            a_ranking_is_read_back_as_it_was_saved,
        ]);
        $crate::contract!(key_store: $keys, [
            a_key_is_found_by_the_digest_of_its_secret,
            a_removed_key_is_gone,
            keys_are_listed_oldest_first,
        ]);
        $crate::contract!(event_reader: $events, [
            an_event_is_found_by_its_id_at_once,
            an_event_is_found_by_the_id_that_a_client_gave_it,
            an_event_of_another_organization_is_not_found,
            an_unknown_stream_is_empty_at_version_zero,
            a_stream_is_read_whole_however_long,
            a_part_of_a_stream_is_read_by_version,
            a_late_event_keeps_its_place_in_the_stream,
            without_an_organization_the_streams_of_all_are_read,
            an_outcome_shows_in_the_event,
        ]);
    };
}
