//! Names, addresses and secrets are read or refused; and what is read is written as something that is read as the same.

use shared::domain::bridge::SubjectPattern;
use shared::domain::event_id::EventId;
use shared::domain::signature::WebhookSecret;
use shared::domain::stream_id::StreamId;
use shared::domain::timestamp::Timestamp;
use shared::domain::trace::TraceParent;
use shared::domain::webhook_url::WebhookUrl;

/// One input: a name.
pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(id) = text.parse::<EventId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
        let _ = id.location().map(|location| location.id());
    }
    if let Ok(stream) = text.parse::<StreamId>() {
        assert_eq!(stream.to_string().parse(), Ok(stream));
    }
    if let Ok(moment) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&moment.to_string()), Ok(moment));
    }
    if let Ok(trace) = text.parse::<TraceParent>() {
        assert_eq!(trace.to_string().parse(), Ok(trace));
    }
    if let Ok(pattern) = text.parse::<SubjectPattern>() {
        assert!(pattern.overlaps(&pattern));
    }
    if let Ok(url) = text.parse::<WebhookUrl>() {
        assert_eq!(url.as_str().parse::<WebhookUrl>().map(|again| again.as_str().to_owned()), Ok(url.as_str().to_owned()));
    }
    let _ = WebhookSecret::from_text(text.to_owned());
}
