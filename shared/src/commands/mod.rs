//! One write per file: its ports, its error, and what it does with them.

pub mod append;
pub mod archive_events;
pub mod check_schemas;
pub mod collect_events;
pub mod count_events;
pub mod deliver_webhooks;
pub mod dispatch_events;
mod known_versions;
pub mod manage_dead_letters;
pub mod manage_keys;
pub mod manage_processors;
pub mod manage_projections;
pub mod manage_rejected_events;
pub mod manage_replays;
pub mod manage_schemas;
pub mod manage_subscriptions;
pub mod process_events;
pub mod record_events;
pub mod replay_batch;
pub mod resend_deliveries;
pub mod retry_processors;
pub mod run_processor;
pub mod run_replays;
pub mod send_webhook;
pub mod sweep;
pub mod test_subscription;
