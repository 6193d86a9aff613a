//! Whatever is sent to be recorded is an event that can be stored and read back, or a problem that says why not.

use serde_json::value::RawValue;
use shared::domain::event::{EventDetails, EventDraft};
use shared::http::draft::{batch_drafts, event_draft};

fn can_be_stored(draft: &EventDraft) {
    let stored = serde_json::to_string(&draft.details).expect("it can be stored");
    let details: EventDetails = serde_json::from_str(&stored).expect("it can be read back");
    assert_eq!(details, draft.details);
}

/// One input: a body.
pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(body) = serde_json::from_str::<&RawValue>(text) else { return };
    if let Ok(draft) = event_draft(body) {
        can_be_stored(&draft);
    }
    if let Ok(drafts) = batch_drafts(body) {
        drafts.iter().for_each(can_be_stored);
    }
}
