//! Answers: what clients get to see.

pub mod collected;
pub mod dead_letters;
pub mod events;
pub mod health;
pub mod keys;
pub mod processors;
pub mod projections;
pub mod replays;
pub mod schemas;
pub mod statistics;
pub mod subscriptions;

use serde::Serialize;
use serde_json::value::RawValue;

use super::problem::Problem;

/// The most bytes of items in an answer. Lambda takes 6 MB, in which the answer is a text within JSON:
/// each quote and backslash counts twice.
pub const MAX_ANSWER_BYTES: usize = 5_500_000;

/// As many of the items as fit an answer, from the start; at least one.
fn fitting<T: Serialize>(items: impl IntoIterator<Item = T>) -> Result<Vec<Box<RawValue>>, Problem> {
    let mut kept: Vec<Box<RawValue>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let json = serde_json::value::to_raw_value(&item).map_err(Problem::mistake)?;
        bytes += bytes_within_json(json.get());
        if bytes > MAX_ANSWER_BYTES && !kept.is_empty() {
            break;
        }
        kept.push(json);
    }
    Ok(kept)
}

/// How many bytes a text has as a JSON text, about.
fn bytes_within_json(text: &str) -> usize {
    text.len() + 1 + text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}
