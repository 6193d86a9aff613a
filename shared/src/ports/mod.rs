//! What the commands and queries need from outside, in words of the domain. Ports that keep
//! something have two adapters at least, in memory and on DynamoDB, held to one contract.

pub mod archive_store;
pub mod bridge_status;
pub mod clock;
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
pub mod projection_store;
pub mod queue;
pub mod random;
pub mod rejected_events;
pub mod replay_store;
pub mod revision;
pub mod schema_store;
pub mod store_error;
pub mod stream_reader;
pub mod timeline;
pub mod timer;
pub mod token_verifier;
pub mod webhook_sender;
