//! The contract of [`RejectedEvents`].

use super::builders::noon;
use crate::domain::collected_event::{CallType, Circumstances, Collector};
use crate::domain::json::JsonObject;
use crate::domain::rejected_event::{RejectedEvent, RejectedEventId, Rejection, RejectionReason};
use crate::ports::rejected_events::RejectedEvents;

/// An event that was rejected so many microseconds after noon.
#[must_use]
pub fn rejected(number: u32) -> RejectedEvent {
    let circumstances = Circumstances {
        organization: number.is_multiple_of(2).then(|| "acme".parse().unwrap()),
        client_ip: Some("203.0.113.7".to_owned()),
        call: Some(CallType::Track),
        context: JsonObject::parse(r#"{"app":{"n":12345678901234567890123}}"#).unwrap(),
        ..Circumstances::at(noon().plus_micros(i64::from(number)))
    };
    let rejection = Rejection { reason: RejectionReason::InvalidFields, detail: format!("{number}") };
    RejectedEvent::new(rejection, Collector::Analytics, &format!("{{\"text\":\"ü \\\" {number}\"}}"), circumstances, 0)
}

async fn keep(events: &impl RejectedEvents, numbers: impl IntoIterator<Item = u32>) {
    let kept: Vec<RejectedEvent> = numbers.into_iter().map(rejected).collect();
    events.keep(&kept).await.unwrap();
}

/// All pages, each event by its number.
async fn numbers(events: &impl RejectedEvents, organization: Option<&str>, most: usize) -> Vec<String> {
    let organization = organization.map(|text| text.parse().unwrap());
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = events.rejected_events(organization.as_ref(), after.as_ref(), most).await.unwrap();
        assert!(page.len() <= most);
        found.extend(page.into_iter().map(|event| event.detail));
        match next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

/// Whatever its body is, and however large.
pub async fn a_rejected_event_is_read_back_as_it_was_kept(events: &impl RejectedEvents) {
    let large = RejectedEvent { body: "\"".repeat(RejectedEvent::MOST_BYTES), truncated: true, ..rejected(2) };
    let both = [rejected(1), large];
    events.keep(&both).await.unwrap();
    for event in &both {
        assert_eq!(events.rejected_event(&event.id).await.unwrap().as_ref(), Some(event));
    }
}

/// In pages of any size, and each once.
pub async fn rejected_events_are_listed_latest_first_and_by_organization(events: &impl RejectedEvents) {
    keep(events, [3, 0, 5, 1, 2, 4, 4]).await;
    for most in [1, 3, 6, 100] {
        assert_eq!(numbers(events, None, most).await, ["5", "4", "3", "2", "1", "0"], "pages of {most}");
        assert_eq!(numbers(events, Some("acme"), most).await, ["4", "2", "0"], "pages of {most}");
    }
    assert!(numbers(events, Some("other"), 10).await.is_empty());
}

/// A client may ask for any.
pub async fn a_rejected_event_of_no_possible_id_is_not_found(events: &impl RejectedEvents) {
    keep(events, [1]).await;
    for id in [String::new(), "x".to_owned(), "x".repeat(2000), " ".to_owned()] {
        let id = RejectedEventId(id);
        assert_eq!(events.rejected_event(&id).await.unwrap(), None);
        events.remove_rejected_event(&id).await.unwrap();
    }
    assert_eq!(numbers(events, None, 10).await, ["1"]);
}

/// And may be removed again.
pub async fn a_rejected_event_that_was_removed_is_gone(events: &impl RejectedEvents) {
    keep(events, [1, 2]).await;
    for _ in 0..2 {
        events.remove_rejected_event(&rejected(1).id).await.unwrap();
    }
    assert_eq!(events.rejected_event(&rejected(1).id).await.unwrap(), None);
    assert_eq!(numbers(events, None, 10).await, ["2"]);
}
