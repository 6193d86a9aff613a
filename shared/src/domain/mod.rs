//! Types and pure rules. Nothing here does I/O, reads a clock or knows a vendor.

pub mod access;
pub mod body;
pub mod category;
pub mod claim;
pub mod commit;
pub mod counters;
pub mod event;
pub mod event_id;
pub mod identifiers;
pub mod json;
pub mod outcome;
pub mod query;
pub mod source;
pub mod statistics;
pub mod status;
pub mod stream_id;
pub mod timestamp;
pub mod version;
