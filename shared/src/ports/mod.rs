//! What the commands and queries need from outside, in words of the domain. Ports that keep
//! something have two adapters at least, in memory and on DynamoDB, held to one contract.

pub mod clock;
pub mod commit_log;
pub mod counter_store;
pub mod event_reader;
pub mod key_store;
pub mod outcome_log;
pub mod random;
pub mod store_error;
pub mod token_verifier;
