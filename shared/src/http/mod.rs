//! HTTP: what requests are read into, and what answers and problems are made of.
//!
//! The functions' handlers put these together; nothing here knows a store or a vendor beside API
//! Gateway's request.

pub mod answers;
pub mod caller;
pub mod credential;
pub mod docs_page;
pub mod draft;
mod fields;
pub mod key_request;
pub mod openapi;
pub mod problem;
pub mod query_request;
pub mod request;
pub mod respond;
pub mod routes;
