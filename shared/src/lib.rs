//! The Event Service's domain crate: `domain ← ports ← commands, queries, adapters ← http`.
//!
//! Without features it holds the rules and the in-memory adapters, and needs no AWS or HTTP crate.

pub mod adapters;
pub mod commands;
pub mod config;
pub mod domain;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod ports;
pub mod queries;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(any(feature = "dynamodb", feature = "eventbridge", feature = "sqs"))]
pub mod wiring;
