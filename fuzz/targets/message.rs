//! Whatever another service sends by way of NATS becomes an event that can be stored, or a rejected event with its reason.

use shared::commands::ingest_messages::ReadMessage;
use shared::domain::bridge::{IncomingMessage, MessageReceipt};
use shared::domain::event::EventDetails;
use shared::domain::timestamp::Timestamp;
use shared::http::collect::nats::read_message;

/// One input: the subject, the id and the body of a message, with NULs between them. An id may be empty; of that, there is none.
pub(crate) fn run(input: &[u8]) {
    let mut parts = input.splitn(3, |byte| *byte == 0);
    let mut text = || parts.next().and_then(|part| std::str::from_utf8(part).ok());
    let (Some(subject), Some(message_id)) = (text(), text()) else { return };
    let (message_id, body) = (Some(message_id).filter(|id| !id.is_empty()), parts.next().unwrap_or_default());
    let omitted = subject.ends_with('!');
    let message = IncomingMessage {
        receipt: MessageReceipt(String::new()),
        subject: subject.to_owned(),
        place: "S:1".to_owned(),
        message_id: message_id.map(str::to_owned),
        origin: None,
        trace: None,
        published_at: None,
        omitted,
        deliveries: 1,
        body: body.to_vec(),
    };
    let now = Timestamp::from_micros(1_800_000_000_000_000).expect("a moment");
    let read = read_message(&message, now, None);
    assert_eq!(read, read_message(&message, now, None), "a message that comes again is the same");
    if let ReadMessage::Event(event) = read {
        let stored = serde_json::to_string(&event.draft.details).expect("it can be stored");
        assert_eq!(serde_json::from_str::<EventDetails>(&stored).expect("it can be read back"), event.draft.details);
    }
}
