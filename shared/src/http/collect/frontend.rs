//! Events of browsers and apps, by the routes `frontend`.

use super::{draft, loose_identifier, loose_moment, loose_text, message, metadata};
use crate::domain::category::EventCategory;
use crate::domain::collected_event::{Circumstances, CollectedEvent, occurred_at};
use crate::domain::event::EventDetails;
use crate::domain::identifiers::{EventType, MessageId, SchemaVersion, SessionId, UserId};
use crate::domain::json::JsonObject;
use crate::domain::source::EventSource;
use crate::http::draft::event_type;
use crate::http::fields::Fields;

/// The category that a word of a page's own stands for.
fn category(word: &str) -> EventCategory {
    let word = word.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    let known = EventCategory::ALL.iter().copied().find(|known| known.as_str() == word);
    known.unwrap_or(match word.as_str() {
        "pageview" | "page" | "screen" | "screen_view" | "navigation" => EventCategory::PageView,
        "form" | "form_submission" | "submit" => EventCategory::FormSubmit,
        "button" | "button_click" | "link" | "tap" => EventCategory::Click,
        "errors" | "exception" | "crash" => EventCategory::Error,
        "timing" | "web_vitals" | "perf" => EventCategory::Performance,
        "signup" | "login" | "logout" | "registration" => EventCategory::UserLifecycle,
        "purchase" | "checkout" => EventCategory::Payment,
        _ => EventCategory::UserAction,
    })
}

/// The event that these fields describe.
pub(super) fn event(fields: &mut Fields<'_>, circumstances: &Circumstances) -> Option<CollectedEvent> {
    let event_type: Option<EventType> = event_type(fields);
    let word = loose_text(fields, &["category"]);
    let user: Option<UserId> = loose_identifier(fields, &["user_id"]);
    let session: Option<SessionId> = loose_identifier(fields, &["session_id"]);
    let id: Option<MessageId> = loose_identifier(fields, &["message_id", "messageId", "event_id"]);
    let data = fields.object("data").unwrap_or_default();
    let sent = fields.object("metadata").unwrap_or_default();
    let context = fields.object("context").unwrap_or_else(|| circumstances.context.clone());
    let stated = loose_text(fields, &["timestamp"]);
    let original = loose_moment(fields, &["timestamp"]);
    let sent_at = loose_moment(fields, &["sent_at"]).or(circumstances.sent_at);
    let at = occurred_at(original, sent_at, circumstances.received_at);
    let told = vec![
        ("category", word.clone().into()),
        ("page_url", loose_text(fields, &["page_url"]).into()),
        ("message_id", id.as_ref().map(MessageId::as_str).into()),
        ("original_timestamp", stated.filter(|_| at.corrected || original.is_none()).into()),
    ];
    let sender = session.as_ref().map(SessionId::as_str).or(user.as_ref().map(UserId::as_str)).map(str::to_owned);
    Some(CollectedEvent {
        message: message(id, sender, original),
        draft: draft(
            None,
            at,
            EventDetails {
                event_type: event_type?,
                source: EventSource::Frontend,
                category: word.as_deref().map_or(EventCategory::UserAction, category),
                user,
                session,
                device: None,
                correlation: None,
                metadata: metadata(&sent, circumstances, told),
                data,
                context,
                properties: JsonObject::default(),
                schema_version: SchemaVersion::default(),
            },
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_page_become_categories() {
        for (word, expected) in [
            ("user_interaction", EventCategory::UserAction),
            ("Page-View", EventCategory::PageView),
            ("form submit", EventCategory::FormSubmit),
            ("click", EventCategory::Click),
            ("telemetry", EventCategory::Telemetry),
            ("anything", EventCategory::UserAction),
        ] {
            assert_eq!(category(word), expected, "{word}");
        }
    }
}
