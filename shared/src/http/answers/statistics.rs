//! How many events there are.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::identifiers::{EventType, UserId};
use crate::domain::statistics::Statistics;
use crate::domain::status::EventStatus;
use crate::domain::timestamp::Timestamp;
use crate::http::openapi::schemas::MomentSchema;

/// The name under which events of types that have no count of their own are counted.
const OTHER_TYPES: &str = "(other)";

/// How many events there are. Days, weeks (from Monday) and months are the calendar's, in UTC.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatisticsAnswer<'a> {
    /// All events.
    pub total_events: u64,
    /// Those that are not processed yet.
    pub pending_events: u64,
    /// Those that are being processed.
    pub processing_events: u64,
    /// Those that are processed and not archived.
    pub processed_events: u64,
    /// Those whose processing failed for good.
    pub failed_events: u64,
    /// Those that were processed, and moved to the archive since.
    pub archived_events: u64,
    /// How many of each source.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub events_by_source: BTreeMap<&'static str, u64>,
    /// How many of each category.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub events_by_category: BTreeMap<&'static str, u64>,
    /// How many of each type. After a thousand types, those of others are counted as `(other)`.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub events_by_type: BTreeMap<&'a str, u64>,
    /// How many happened today.
    pub events_today: u64,
    /// How many happened since Monday.
    pub events_this_week: u64,
    /// How many happened since the first of the month.
    pub events_this_month: u64,
    /// Seconds from storing to the end of processing, on average; 0 if nothing was processed.
    pub average_processing_time: f64,
    /// How many percent of the events are processed, archived ones included.
    pub processing_rate: f64,
    /// How many percent of the events failed.
    pub error_rate: f64,
    /// The users with the most events.
    pub top_users: Vec<UserCount<'a>>,
    /// The types with the most events.
    pub top_event_types: Vec<TypeCount<'a>>,
    /// When the statistics were made.
    #[schema(value_type = MomentSchema)]
    pub calculated_at: Timestamp,
}

/// How many events are about a user.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserCount<'a> {
    /// The user.
    #[schema(value_type = String)]
    pub user_id: &'a UserId,
    /// How many events; for a user that is not among the top all the time, it may be a little too many.
    pub count: u64,
}

/// How many events have a type.
#[derive(Debug, Serialize, ToSchema)]
pub struct TypeCount<'a> {
    /// The type.
    #[schema(value_type = String)]
    pub event_type: &'a EventType,
    /// How many events.
    pub count: u64,
}

impl<'a> From<&'a Statistics> for StatisticsAnswer<'a> {
    fn from(statistics: &'a Statistics) -> Self {
        let total = statistics.total();
        let of = |status| statistics.with_status(status);
        let mut by_type: BTreeMap<&str, u64> = BTreeMap::new();
        for (event_type, count) in &statistics.by_type {
            *by_type.entry(event_type.as_ref().map_or(OTHER_TYPES, EventType::as_str)).or_default() += count;
        }
        let (processing_ms, processing_count) = statistics.processing;
        Self {
            total_events: total,
            pending_events: of(EventStatus::Pending),
            processing_events: of(EventStatus::Processing),
            processed_events: of(EventStatus::Processed),
            failed_events: of(EventStatus::Failed),
            archived_events: of(EventStatus::Archived),
            events_by_source: statistics.by_source.iter().map(|(source, count)| (source.as_str(), *count)).collect(),
            events_by_category: statistics.by_category.iter().map(|(category, count)| (category.as_str(), *count)).collect(),
            events_by_type: by_type,
            events_today: statistics.today,
            events_this_week: statistics.this_week,
            events_this_month: statistics.this_month,
            average_processing_time: ratio(processing_ms, processing_count.saturating_mul(1000), 1.0),
            // What is archived was processed before.
            processing_rate: ratio(of(EventStatus::Processed) + of(EventStatus::Archived), total, 100.0),
            error_rate: ratio(of(EventStatus::Failed), total, 100.0),
            top_users: statistics.top_users.iter().map(|(user_id, count)| UserCount { user_id, count: *count }).collect(),
            top_event_types: statistics.top_types().into_iter().map(|(event_type, count)| TypeCount { event_type, count }).collect(),
            calculated_at: statistics.calculated_at,
        }
    }
}

/// `part / whole * scale`, to three decimals; 0 of nothing.
fn ratio(part: u64, whole: u64, scale: f64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "three decimals are shown")]
    let exact = part as f64 / whole as f64 * scale;
    (exact * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::category::EventCategory;
    use crate::domain::source::EventSource;

    fn json<T: Serialize>(value: &T) -> Value {
        serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
    }

    #[test]
    fn rates_are_percent_and_times_are_seconds() {
        let mut statistics = Statistics {
            by_status: BTreeMap::from([(EventStatus::Processed, 2), (EventStatus::Failed, 1)]),
            by_source: BTreeMap::from([(EventSource::Backend, 3)]),
            by_category: BTreeMap::from([(EventCategory::Order, 3)]),
            by_type: BTreeMap::from([(Some("a".parse().unwrap()), 2), (None, 1)]),
            today: 1,
            this_week: 2,
            this_month: 3,
            processing: (3100, 2),
            top_users: vec![("u".parse().unwrap(), 2)],
            calculated_at: Timestamp::MAX,
        };
        let value = json(&StatisticsAnswer::from(&statistics));
        assert_eq!(
            json!([value["total_events"], value["average_processing_time"], value["processing_rate"], value["error_rate"]]),
            json!([3, 1.55, 66.667, 33.333])
        );
        assert_eq!(value["events_by_type"], json!({"a": 2, "(other)": 1}));
        assert_eq!((&value["events_by_source"], &value["events_by_category"]), (&json!({"backend": 3}), &json!({"order": 3})));
        assert_eq!(value["top_users"], json!([{"user_id": "u", "count": 2}]));
        assert_eq!(value["top_event_types"], json!([{"event_type": "a", "count": 2}]));
        statistics.by_source.clear();
        statistics.processing = (0, 0);
        let value = json(&StatisticsAnswer::from(&statistics));
        assert_eq!(json!([value["average_processing_time"], value["processing_rate"], value["error_rate"]]), json!([0.0, 0.0, 0.0]));
    }
}
