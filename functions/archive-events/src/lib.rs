//! Moves events that are old, and with which nothing is left to be done, from the table into the archive. Runs on a schedule, every hour.

use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::commands::archive_events::{ArchiveAfter, ArchiveEventsPorts, ArchiveReach, ArchiveRun, Archived, archive_events};
use shared::domain::timestamp::Timestamp;
use shared::telemetry::{Chain, Unit, measure};

/// Events that were archived, if there were any.
pub const ARCHIVED_EVENTS: &str = "ArchivedEvents";

/// How long a run goes on. What is under way then is ended, and the function has fifteen minutes.
pub const RUN_TIME: Duration = Duration::from_mins(12);

/// What archiving needs.
pub struct Ports<'a> {
    /// To archive.
    pub archive: ArchiveEventsPorts<'a>,
    /// After how many days, if the schedule archives anything.
    pub after: Option<ArchiveAfter>,
}

/// What whoever calls the function may ask for; the schedule asks for nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Archives everything that happened in hours which were over at this moment, however lately it was recorded.
    until: Option<Timestamp>,
}

/// Archives once, and answers with what was archived.
///
/// # Errors
/// If the payload cannot be read, or the store or the object store fails: the next run goes on.
pub async fn handle(ports: &Ports<'_>, event: LambdaEvent<Value>) -> Result<Value, Error> {
    let asked = asked(event.payload)?;
    let now = ports.archive.clock.now();
    let Some(run) = run(ports.after, asked.until, now) else { return Ok(answer(Archived { complete: true, ..Archived::default() })) };
    let archived = archive_events(&ports.archive, &run).await;
    let archived = archived.map_err(|error| format!("archiving did not get through: {}", Chain(&error)))?;
    if archived.events > 0 {
        #[expect(clippy::cast_precision_loss, reason = "metrics are numbers that people look at")]
        measure(ARCHIVED_EVENTS, Unit::Count, archived.events as f64);
    }
    Ok(answer(archived))
}

fn answer(Archived { events, commits, objects, complete }: Archived) -> Value {
    json!({ "events": events, "commits": commits, "objects": objects, "complete": complete })
}

/// What is to be archived now: everything up to a moment, if one is said, else what is so many days old, if that is said.
#[must_use]
pub fn run(after: Option<ArchiveAfter>, until: Option<Timestamp>, now: Timestamp) -> Option<ArchiveRun> {
    match until {
        Some(until) => {
            Some(ArchiveRun { until: until.min(now), recorded_until: now, deadline: now.plus(RUN_TIME), reach: ArchiveReach::All })
        }
        None => after.map(|after| ArchiveRun::scheduled(after, now, RUN_TIME)),
    }
}

/// What a payload asks for. What a schedule sends, and an empty one, ask for nothing.
fn asked(payload: Value) -> Result<Asked, Error> {
    match payload {
        Value::Object(members) if !members.is_empty() && !members.contains_key("detail-type") => {
            serde_json::from_value(Value::Object(members)).map_err(|error| format!("the payload cannot be read: {error}").into())
        }
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Ok(Asked::default()),
    }
}
