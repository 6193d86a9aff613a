//! Whatever is sent to a collector is read or rejected, and nothing worse; and what is read can be stored and read back.

use lambda_http::http::Request;
use lambda_http::{Body, Request as LambdaRequest};
use serde_json::value::RawValue;
use shared::domain::collected_event::{Circumstances, Collector};
use shared::domain::event::EventDetails;
use shared::domain::timestamp::Timestamp;
use shared::http::collect::batch;
use shared::http::collect::cloudevents::CloudEvents;
use shared::http::collect::settings::CollectSettings;
use shared::http::collect::{JsonText, pixel, read_event};

const ENCODINGS: [&str; 5] = ["", "gzip", "deflate", "br", "gzip, br"];

fn read(collector: Collector, item: &RawValue) {
    let circumstances = Circumstances::at(Timestamp::from_micros(1_800_000_000_000_000).expect("a moment"));
    if let Ok(event) = read_event(collector, item, &circumstances) {
        let stored = serde_json::to_string(&event.draft.details).expect("it can be stored");
        let details: EventDetails = serde_json::from_str(&stored).expect("it can be read back");
        assert_eq!(details, event.draft.details);
        assert!(event.draft.occurred_at.is_some());
    }
}

/// One input: a byte that says how the body is packed and sent, and the body.
pub(crate) fn run(input: &[u8]) {
    let Some((&how, bytes)) = input.split_first() else { return };
    let settings = CollectSettings::default();
    let mut request = Request::builder().uri(format!("/x?data={}", String::from_utf8_lossy(bytes).escape_default()));
    let encoding = ENCODINGS[usize::from(how) % ENCODINGS.len()];
    if !encoding.is_empty() {
        request = request.header("content-encoding", encoding);
    }
    if how > 127 {
        request = request.header("ce-specversion", "1.0").header("ce-id", "1").header("ce-source", "s").header("ce-type", "t");
    }
    let Ok(request): Result<LambdaRequest, _> = request.body(Body::Binary(bytes.to_vec())) else { return };
    if let Ok(events) = CloudEvents::of(&request, &settings) {
        for item in events.items() {
            read(Collector::Cloudevents, item);
        }
    }
    for others in [pixel::Others::Data, pixel::Others::Properties] {
        if let Ok(event) = pixel::event(&request, others) {
            read(if others == pixel::Others::Data { Collector::Frontend } else { Collector::Analytics }, &event);
        }
    }
    let Ok(body) = JsonText::of(&request, &settings) else { return };
    let mut circumstances = Circumstances::at(Timestamp::MIN);
    read(Collector::Frontend, body.get());
    if let Ok(items) = batch::frontend(body.get(), &mut circumstances, 100) {
        for item in items {
            read(Collector::Frontend, item);
        }
    }
    if let Ok(items) = batch::analytics(body.get(), &mut circumstances) {
        for item in items.items {
            read(Collector::Analytics, item);
            read(Collector::Rudderstack, item);
        }
    }
}
