//! One read per file: its ports and its error.

pub mod check_access;
pub mod measure_service;
pub mod read_events;
pub mod read_projection;
