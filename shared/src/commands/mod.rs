//! One write per file: its ports, its error, and what it does with them.

pub mod append;
pub mod count_events;
pub mod manage_keys;
pub mod record_events;
