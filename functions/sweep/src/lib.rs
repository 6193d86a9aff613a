//! Finds what waits, and has it taken up again; and measures the service. Runs on a schedule, every minute.

use lambda_runtime::{Error, LambdaEvent};
use serde_json::{Value, json};
use shared::commands::sweep::{SweepPorts, SweepReach, sweep};
use shared::domain::status::EventStatus;
use shared::queries::measure_service::{MeasureServicePorts, compare_days, measure_service};
use shared::telemetry::{Chain, Unit, measure};

/// The minute after the full hour at which the sweep looks back over a whole day.
const DAY_MINUTE: i64 = 0;
/// The minute at which today is compared with yesterday: the last hour's events have been counted by then.
const COMPARING_MINUTE: i64 = 5;

/// Events that wait for their processors.
pub const PENDING_EVENTS: &str = "PendingEvents";
/// Events that their processors have given up.
pub const FAILED_EVENTS: &str = "FailedEvents";
/// All events.
pub const TOTAL_EVENTS: &str = "TotalEvents";
/// What part of all events has failed.
pub const ERROR_RATE: &str = "ErrorRate";
/// How many events today has for a hundred of yesterday's until the same hour.
pub const TODAY_OF_YESTERDAY: &str = "TodayOfYesterday";

/// Messages of the dead-letter queues that were parked, if there were any.
pub const PARKED_MESSAGES: &str = "ParkedMessages";

/// What a sweep needs.
pub struct Ports<'a> {
    /// To find what waits.
    pub sweep: SweepPorts<'a>,
    /// To measure.
    pub measure: MeasureServicePorts<'a>,
}

/// Sweeps once, measures, and answers with what was found.
///
/// # Errors
/// If the store or a queue fails while sweeping: the next sweep goes on.
pub async fn handle(ports: &Ports<'_>, _event: LambdaEvent<Value>) -> Result<Value, Error> {
    let minute = (ports.sweep.clock.now().millis() / 60_000).rem_euclid(60);
    let reach = if minute == DAY_MINUTE { SweepReach::DAY } else { SweepReach::USUAL };
    let swept = sweep(&ports.sweep, reach).await;
    if let Err(error) = measure_all(&ports.measure, minute).await {
        tracing::warn!(error = %Chain(&*error), "the service was not measured");
    }
    let swept = swept.map_err(|error| format!("a sweep did not get through: {}", Chain(&error)))?;
    if swept.parked > 0 {
        #[expect(clippy::cast_precision_loss, reason = "metrics are numbers that people look at")]
        measure(PARKED_MESSAGES, Unit::Count, swept.parked as f64);
    }
    Ok(json!({ "due": swept.due, "dispatched": swept.dispatched, "repeated": swept.repeated, "parked": swept.parked }))
}

#[expect(clippy::cast_precision_loss, reason = "metrics are numbers that people look at")]
async fn measure_all(ports: &MeasureServicePorts<'_>, minute: i64) -> Result<(), Box<dyn std::error::Error>> {
    let statistics = measure_service(ports).await?;
    let (total, failed) = (statistics.total() as f64, statistics.with_status(EventStatus::Failed) as f64);
    measure(PENDING_EVENTS, Unit::Count, statistics.with_status(EventStatus::Pending) as f64);
    measure(FAILED_EVENTS, Unit::Count, failed);
    measure(TOTAL_EVENTS, Unit::Count, total);
    measure(ERROR_RATE, Unit::Percent, if total > 0.0 { failed * 100.0 / total } else { 0.0 });
    if minute == COMPARING_MINUTE
        && let Some(percent) = compare_days(ports).await?.percent()
    {
        measure(TODAY_OF_YESTERDAY, Unit::Percent, percent);
    }
    Ok(())
}
