//! What tests share: builders, and the contract of each port as clauses that every adapter is put
//! through. A clause is a function; [`contract!`](crate::contract) makes a test of each.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "clauses are tests: they end in a panic if they do not hold")]

pub mod archive_store;
pub mod bridge_status;
pub mod builders;
pub mod commit_log;
pub mod counter_store;
pub mod dead_letters;
pub mod definition_store;
pub mod delivery_log;
pub mod event_bus;
pub mod event_reader;
pub mod key_store;
pub mod message_broker;
pub mod object_store;
pub mod outcome_log;
pub mod projection_definitions;
pub mod projection_store;
pub mod queue;
pub mod rejected_events;
pub mod replay_store;
pub mod schema_store;
pub mod stream_reader;
pub mod timeline;
pub mod webhook_sender;

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

/// Every clause of every contract, for one adapter of events, counters, keys, snapshots and replays.
#[macro_export]
macro_rules! store_contracts {
    ($events:ident, $counters:ident, $keys:ident, $snapshots:ident, $replays:ident) => {
        $crate::contract!(stream_reader: $events, [
            commits_are_read_in_their_order_from_a_version_on,
            at_least_as_many_events_are_read_as_are_asked_for_and_the_end_is_known,
            streams_of_other_names_and_organizations_are_not_read,
            the_streams_of_a_name_are_found_whosever_they_are,
        ]);
        $crate::contract!(schema_store: $events, [
            schemas_are_read_back_as_they_were_saved,
            schemas_that_were_removed_are_gone,
        ]);
        $crate::contract!(timeline: $events, [
            commits_come_in_the_order_of_time,
            a_range_of_time_has_the_commits_with_an_event_in_it,
            where_nothing_happened_nothing_is_found,
        ]);
        $crate::contract!(replay_store: $replays, [
            a_replay_is_read_back_as_it_was_saved,
            a_replay_is_saved_only_over_the_one_that_was_seen,
            replays_are_listed_latest_first_and_by_organization,
            replays_are_found_that_somebody_is_to_look_after,
        ]);
        $crate::contract!(projection_store: $snapshots, [
            a_snapshot_is_read_back_as_it_was_kept,
            a_snapshot_is_kept_only_over_the_one_that_was_seen,
            snapshots_of_entities_rules_and_versions_are_apart,
            a_snapshot_that_was_removed_is_gone,
        ]);
        $crate::contract!(projection_definitions: $events, [
            a_projection_is_read_back_as_it_was_saved,
            a_projection_that_was_removed_is_gone,
            an_organizations_own_projection_comes_before_the_platforms,
        ]);
        $crate::contract!(commit_log: $events, [
            a_stream_without_commits_is_at_version_zero,
            the_head_is_the_end_of_the_last_commit,
            a_commit_is_read_back_as_it_was_put,
            a_commit_is_found_by_any_version_that_it_holds,
            a_taken_slot_refuses_another_commit_and_shows_what_stands_there,
            commits_of_several_streams_are_put_together_or_not_at_all,
            a_hundred_commits_are_put_together,
            streams_of_two_organizations_with_one_name_are_apart,
            a_large_commit_is_read_back_as_it_was_put,
            an_id_that_was_made_here_is_known,
            a_claim_is_put_once,
            a_claim_is_moved_only_by_who_knows_its_fence,
            messages_are_noted_with_the_commit_of_their_events,
            a_message_that_was_noted_refuses_the_commit,
            a_taken_slot_notes_nothing,
            a_page_that_is_full_takes_no_more_and_still_knows_its_messages,
            claims_are_stored_with_the_commit,
        ]);
        $crate::contract!(outcome_log: $events, [
            an_outcome_is_read_back_as_it_was_saved,
            an_outcome_takes_the_place_of_the_one_before,
            of_two_who_read_the_same_one_saves,
            an_outcome_of_any_size_keeps_the_first_and_the_last_result_of_every_processor,
        ]);
        $crate::contract!(counter_store: $counters, [
            an_item_that_was_never_saved_is_empty,
            an_item_is_read_back_as_it_was_saved,
            an_item_is_saved_only_over_the_revision_that_was_read,
            a_ranking_is_read_back_as_it_was_saved,
            how_processors_have_done_is_read_back_as_it_was_saved,
            as_many_processors_as_there_may_be_are_saved_whatever_they_say,
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
            an_event_that_no_processor_is_given_is_processed_from_the_start,
            an_event_that_a_processor_is_given_is_pending_until_it_has_an_outcome,
            an_outcome_shows_in_the_event,
        ]);
    };
}

/// Every clause of the contracts of the archive, for one adapter of events with an archive, and for one of objects.
#[macro_export]
macro_rules! archive_contracts {
    ($archive:ident, $objects:ident) => {
        $crate::contract!(archive_store: $archive, [
            hours_that_hold_what_is_not_archived_are_found_oldest_first,
            the_commits_of_an_hour_come_in_the_order_of_time,
            what_is_archived_is_read_as_before_wherever_it_is_looked_for,
            how_far_archiving_has_come_is_saved_only_over_what_was_seen,
        ]);
        $crate::object_contracts!($objects);
    };
}

/// Every clause of the contract of object stores, for one adapter.
#[macro_export]
macro_rules! object_contracts {
    ($objects:ident) => {
        $crate::contract!(object_store: $objects, [
            an_object_is_read_back_as_it_was_put,
            a_part_of_an_object_is_read_by_its_range,
            an_object_that_was_never_put_is_not_there,
            an_object_takes_the_place_of_the_one_before,
        ]);
    };
}

/// Every clause of the contracts of what is defined and sent, for one adapter of definitions, deliveries and dead letters.
#[macro_export]
macro_rules! delivery_contracts {
    ($definitions:ident, $deliveries:ident, $dead_letters:ident, $rejected_events:ident, $bridge_status:ident) => {
        $crate::contract!(bridge_status: $bridge_status, [the_status_is_what_was_found_last]);
        $crate::contract!(rejected_events: $rejected_events, [
            a_rejected_event_is_read_back_as_it_was_kept,
            rejected_events_are_listed_latest_first_and_by_organization,
            a_rejected_event_of_no_possible_id_is_not_found,
            a_rejected_event_that_was_removed_is_gone,
        ]);
        $crate::contract!(definition_store: $definitions, [
            before_the_first_save_there_are_no_definitions,
            a_processor_is_read_back_as_it_was_saved,
            a_removed_processor_is_remembered,
            a_subscription_is_read_back_as_it_was_saved,
            definitions_have_an_order,
            a_removed_subscription_is_gone,
            a_save_over_another_revision_is_refused_and_changes_nothing,
            of_several_who_save_at_once_one_does,
            whoever_saves_sees_it_at_once,
        ]);
        $crate::contract!(delivery_log: $deliveries, [
            a_delivery_is_read_back_as_it_was_saved,
            what_was_not_seen_is_not_saved_over,
            of_several_who_save_a_lane_at_once_one_does,
            deliveries_are_listed_latest_first,
            deliveries_are_listed_by_state_and_from_a_moment_on,
            deliveries_are_due_from_their_moment_on,
            a_receiver_that_was_never_called_is_in_good_health,
            every_stream_has_a_lane_of_its_own,
            a_subscription_gets_its_quota_each_second,
            takers_at_once_get_no_more_than_the_quota,
        ]);
        $crate::contract!(dead_letters: $dead_letters, [
            a_letter_is_read_back_as_it_was_parked,
            a_letter_that_is_parked_twice_is_kept_once,
            letters_are_listed_latest_first,
            only_the_letters_that_match_are_listed,
            a_letter_of_no_possible_id_is_not_found,
            a_removed_letter_is_gone,
        ]);
    };
}
