//! HTTP: what requests are read into, and what answers and problems are made of.
//!
//! The functions' handlers put these together; nothing here knows a store or a vendor beside API
//! Gateway's request.

pub mod answers;
pub mod caller;
#[cfg(feature = "collect")]
pub mod collect;
pub mod collected_request;
pub mod credential;
pub mod dead_letter_request;
pub mod docs_page;
pub mod draft;
mod fields;
pub mod key_request;
pub mod openapi;
pub mod problem;
pub mod processor_request;
pub mod projection_request;
pub mod query_request;
pub mod rejected_request;
pub mod replay_request;
pub mod request;
pub mod respond;
pub mod routes;
pub mod schema_request;
pub mod subscription_request;
pub mod webhook_body;
