//! What the seeder and the bench share: made-up events, a client that sends them, and the two things
//! that they take from the machine they run on.

pub mod events;
pub mod http_client;

use chrono::{DateTime, Utc};

/// The moment it is.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place where these programs read the clock; all else is handed the moment")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The value of a variable of the environment; none if it is unset or blank.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place where these programs read the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}
