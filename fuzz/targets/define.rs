//! Whatever is defined is understood, or a problem that says why not; and rules, filters and patterns that are understood look at any
//! event without harm, and come to the same each time.

use serde_json::value::RawValue;
use shared::domain::event::EventDetails;
use shared::domain::json::JsonObject;
use shared::domain::projection::Rules;
use shared::domain::selector::{Selector, TypePattern};
use shared::http::draft::event_draft;
use shared::http::key_request::key_draft;
use shared::http::processor_request::{processor_draft, specimen};
use shared::http::projection_request::{dry_run, projection_draft};
use shared::http::schema_request::schema_draft;
use shared::http::subscription_request::{recover_request, rotation, subscription_changes, subscription_draft};

/// One input: a body and, after a NUL, an event or a pattern.
pub(crate) fn run(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let (text, other) = input.split_once('\0').unwrap_or((input, input));
    let Ok(body) = serde_json::from_str::<&RawValue>(text) else { return };
    let _ = processor_draft(body);
    let _ = specimen(body);
    let _ = subscription_draft(body);
    let _ = subscription_changes(body);
    let _ = rotation(body);
    let _ = recover_request(body);
    let _ = projection_draft(body);
    let _ = dry_run(body);
    let _ = schema_draft(body);
    let _ = key_draft(body);
    let event: EventDetails = serde_json::from_str::<&RawValue>(other)
        .ok()
        .and_then(|event| event_draft(event).ok())
        .map_or_else(|| serde_json::from_str(r#"{"type":"order.placed"}"#).expect("an event"), |draft| draft.details);
    if let Ok(filters) = JsonObject::parse(text) {
        if let Ok(selector) = Selector::parse(&filters) {
            assert_eq!(selector.matches(&event), selector.matches(&event));
        }
        let _ = Rules::parse(&filters);
    }
    if let Ok(pattern) = other.parse::<TypePattern>() {
        let _ = pattern.matches(&event.event_type);
    }
}
