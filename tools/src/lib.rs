//! What the seeder, the bench and the demonstration share: made-up events, a client that sends them, a receiver of what is sent, and
//! the few things that they take from the machine they run on.

pub mod charts;
pub mod counting;
pub mod events;
pub mod http_client;
pub mod prices;
pub mod receiver;
pub mod sample;

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

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

/// Waits.
#[expect(clippy::disallowed_methods, reason = "the one place where these programs wait: they talk to one service and have no port for it")]
pub async fn rest(pause: Duration) {
    tokio::time::sleep(pause).await;
}

/// The time within which `percent` of a hundred of these are, which are sorted, in milliseconds. No time if there are none.
#[must_use]
pub fn percentile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default().as_secs_f64() * 1e3
}

/// Writes a value as JSON, into a folder that is made if there is none.
///
/// # Errors
/// If the file or its folder cannot be written.
pub fn write_json(file: &Path, value: &impl Serialize) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, serde_json::to_string_pretty(value)? + "\n")
}

/// What a function is told by Lambda's runtime at `runtime_api`, with all of AWS at `aws`.
#[must_use]
pub fn function_environment(function: &str, runtime_api: &str, aws: &str) -> [(&'static str, String); 9] {
    [
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", function.to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "a".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "b".to_owned()),
        ("AWS_ENDPOINT_URL", aws.to_owned()),
        ("EVENTS_TABLE", "events".to_owned()),
    ]
}

/// The service that was built with this program, and lies beside it.
///
/// # Errors
/// If it cannot be told where this program lies.
pub fn service_beside_this_program() -> std::io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(format!("event-service{}", std::env::consts::EXE_SUFFIX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_time_that_so_many_do_not_exceed() {
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        let is = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
        for (percent, expected) in [(50, 100.0), (99, 198.0), (100, 200.0)] {
            is(percentile_ms(&times, percent), expected);
        }
        is(percentile_ms(&times[..1], 50), 1.0);
        is(percentile_ms(&[], 50), 0.0);
    }
}
