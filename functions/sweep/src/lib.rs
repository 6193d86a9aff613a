//! Finds what waits, and has it taken up again: runs on a schedule, every minute.

use lambda_runtime::{Error, LambdaEvent};
use serde_json::{Value, json};
use shared::commands::sweep::{SweepPorts, SweepReach, sweep};
use shared::telemetry::Chain;

/// How many minutes after the full hour the sweep looks back over a whole day.
const DAY_MINUTES: std::ops::Range<i64> = 0..1;

/// Sweeps once, and answers with what was found.
///
/// # Errors
/// If the store or a queue fails: the next sweep goes on.
pub async fn handle(ports: &SweepPorts<'_>, _event: LambdaEvent<Value>) -> Result<Value, Error> {
    let minute = (ports.clock.now().millis() / 60_000).rem_euclid(60);
    let reach = if DAY_MINUTES.contains(&minute) { SweepReach::DAY } else { SweepReach::USUAL };
    match sweep(ports, reach).await {
        Ok(swept) => Ok(json!({
            "due": swept.due,
            "dispatched": swept.dispatched,
            "repeated": swept.repeated,
            "parked": swept.parked,
        })),
        Err(error) => {
            tracing::error!(error = %Chain(&error), "a sweep did not get through");
            Err(error.into())
        }
    }
}
