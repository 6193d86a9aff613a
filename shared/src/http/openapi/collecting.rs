//! Routes that take in events of clients that nobody controls.

use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{ComponentsBuilder, Ref, Response, ResponseBuilder};

use super::parts::{Description, in_path, in_query, json_request, json_response, optional_request, parameter, text, whole_number};
use super::schemas::{CallTypeSchema, CollectorSchema, RejectionReasonSchema};
use crate::domain::collected_event::CallType;
use crate::http::answers::collected::{
    AnalyticsAnswer, CollectedAnswer, CollectedBatchAnswer, FrontendHealthAnswer, RejectedEventAnswer, RejectedEventsAnswer,
    RejectedItemAnswer, RudderstackAnswer, SourceConfigAnswer,
};
use crate::http::collected_request::{AnalyticsBatch, AnalyticsMessage, CloudEvent, FrontendBatchRequest, FrontendEventRequest};
use crate::http::problem::ProblemKind;
use crate::http::routes::{CollectFrontendEndpoint, ManageRejectedEventsEndpoint, ReceiveAnalyticsEndpoint};

const TAG: &str = "Collection";
/// What goes wrong with what is sent.
const BAD: &[ProblemKind] = &[ProblemKind::Invalid, ProblemKind::TooLarge, ProblemKind::TooManyRequests, ProblemKind::Internal];

pub(super) fn with_schemas(components: ComponentsBuilder) -> ComponentsBuilder {
    components
        .schema_from::<CallTypeSchema>()
        .schema_from::<CollectorSchema>()
        .schema_from::<RejectionReasonSchema>()
        .schema_from::<FrontendEventRequest>()
        .schema_from::<FrontendBatchRequest>()
        .schema_from::<AnalyticsMessage>()
        .schema_from::<AnalyticsBatch>()
        .schema_from::<CloudEvent>()
        .schema_from::<CollectedAnswer>()
        .schema_from::<CollectedBatchAnswer>()
        .schema_from::<RejectedItemAnswer>()
        .schema_from::<AnalyticsAnswer>()
        .schema_from::<RudderstackAnswer>()
        .schema_from::<FrontendHealthAnswer>()
        .schema_from::<SourceConfigAnswer>()
        .schema_from::<RejectedEventsAnswer<'static>>()
        .schema_from::<RejectedEventAnswer<'static>>()
}

fn picture() -> Response {
    let bytes = ObjectBuilder::new().schema_type(Type::String);
    ResponseBuilder::new()
        .description("A picture of one point.")
        .content("image/gif", ContentBuilder::new().schema(Some(bytes)).build())
        .build()
}

fn reference(name: &str) -> Ref {
    Ref::from_schema_name(name)
}

pub(super) fn describe_frontend(endpoint: CollectFrontendEndpoint) -> Description {
    let describe =
        |text: &'static str, parameters: Vec<Parameter>, body: Option<RequestBody>, answer: Response, problems: &'static [ProblemKind]| {
            Description { tag: TAG, text, parameters, body, answer, problems }
        };
    match endpoint {
        CollectFrontendEndpoint::Event => describe(
            "Takes JSON as any type of content, `text/plain` of `navigator.sendBeacon` included, packed with gzip, deflate or br or not. \
             Address, user agent, referer and the moment of receiving are added as `metadata`. With a `message_id` the event counts once, \
             however often and whenever it is sent.",
            Vec::new(),
            Some(json_request(reference("FrontendEventRequest"), example_event())),
            json_response("It is accepted.", reference("CollectedEvent"), Some(example_accepted())),
            BAD,
        ),
        CollectFrontendEndpoint::Batch => describe(
            "An event that is bad is rejected, with its index and the reason, and spoils none of the others.",
            Vec::new(),
            Some(json_request(reference("FrontendBatchRequest"), example_batch())),
            json_response("Those that can be read are accepted.", reference("CollectedEvents"), Some(example_batch_answer())),
            BAD,
        ),
        CollectFrontendEndpoint::Pixel => describe(
            "An event in the address of a picture, for mails and pages without scripts: in `data`, as JSON in base64, or by its fields; \
             what is no field of an event goes into its `data`. It is answered with a picture whatever is wrong.",
            vec![
                in_query("event_type", "What happened; `page_view` if nothing is said."),
                in_query("user_id", "Who it was."),
                in_query("session_id", "In which visit."),
                in_query("message_id", "What makes it count once."),
                in_query("data", "The whole event, as JSON in base64."),
            ],
            None,
            picture(),
            &[],
        ),
        CollectFrontendEndpoint::Health => {
            describe("Whether events are collected.", Vec::new(), None, json_response("They are.", reference("FrontendHealth"), None), &[])
        }
    }
}

pub(super) fn describe_rudderstack() -> Description {
    let message = || reference("AnalyticsMessage");
    let body = OneOfBuilder::new().item(message()).item(ArrayBuilder::new().items(message())).item(reference("AnalyticsBatch"));
    Description {
        tag: TAG,
        text: "One message, a list of them, or an object that holds one as `batch`, as RudderStack's webhook destination sends them. If the \
               operator has set a secret, the request must show it: as `X-Signature`, as `Authorization: Bearer`, as the password of \
               `Authorization: Basic`, by a hexadecimal HMAC-SHA256 of the body in `X-Signature`, or by the headers of Standard Webhooks.",
        parameters: Vec::new(),
        body: Some(json_request(body, example_message())),
        answer: json_response("Those that can be read are accepted.", reference("RudderstackAnswer"), None),
        problems: &[
            ProblemKind::NotAuthenticated,
            ProblemKind::Invalid,
            ProblemKind::TooLarge,
            ProblemKind::TooManyRequests,
            ProblemKind::Internal,
        ],
    }
}

pub(super) fn describe_analytics(endpoint: ReceiveAnalyticsEndpoint) -> Description {
    let text = match endpoint {
        ReceiveAnalyticsEndpoint::Call(_) => {
            "One message, as the SDKs of RudderStack and Segment send it. The key is the user name of `Authorization: Basic`; it needs the \
             scope `events:collect`, and events belong to its organization."
        }
        ReceiveAnalyticsEndpoint::Batch => {
            "Several messages. One that is bad is rejected, with its index and the reason, and spoils none of the others."
        }
        ReceiveAnalyticsEndpoint::Import => "The same, for messages of the past: their times are kept as they are.",
        ReceiveAnalyticsEndpoint::Beacon => {
            "The same as `/v1/batch`, with the key in the address: what a browser sends of a page that is being left."
        }
        ReceiveAnalyticsEndpoint::Pixel(_) => {
            "A message in the address of a picture: in `data`, as JSON in base64, or by its fields; what is none goes into `properties`. It is \
             answered with a picture whatever is wrong."
        }
        ReceiveAnalyticsEndpoint::SourceConfig => "Tells an SDK that the source is switched on and sends to nobody else.",
    };
    let write_key = || in_query("writeKey", "The key, for who cannot send headers.");
    let (parameters, body, answer, problems) = match endpoint {
        ReceiveAnalyticsEndpoint::Call(_) => (Vec::new(), Some(json_request(reference("AnalyticsMessage"), example_message())), None, BAD),
        ReceiveAnalyticsEndpoint::Batch | ReceiveAnalyticsEndpoint::Import => {
            (Vec::new(), Some(json_request(reference("AnalyticsBatch"), json!({"batch": [example_message()]}))), None, BAD)
        }
        ReceiveAnalyticsEndpoint::Beacon => {
            (vec![write_key()], Some(json_request(reference("AnalyticsBatch"), json!({"batch": [example_message()]}))), None, BAD)
        }
        ReceiveAnalyticsEndpoint::Pixel(
            CallType::Track | CallType::Page | CallType::Screen | CallType::Identify | CallType::Group | CallType::Alias,
        ) => {
            let parameters = vec![
                write_key(),
                in_query("event", "What happened."),
                in_query("userId", "Who it was."),
                in_query("anonymousId", "Who it was, if nobody knows."),
                in_query("data", "The whole message, as JSON in base64."),
            ];
            (parameters, None, Some(picture()), &[][..])
        }
        ReceiveAnalyticsEndpoint::SourceConfig => {
            let answer = json_response("The configuration.", reference("SourceConfig"), None);
            (vec![write_key()], None, Some(answer), &[ProblemKind::Internal][..])
        }
    };
    let accepted = || json_response("Those that can be read are accepted.", reference("AnalyticsAnswer"), Some(example_analytics_answer()));
    Description { tag: TAG, text, parameters, body, answer: answer.unwrap_or_else(accepted), problems }
}

pub(super) fn describe_cloudevents() -> Description {
    let single = json_response(
        "It is accepted, or those of a batch that can be read are.",
        OneOfBuilder::new().item(reference("CollectedEvent")).item(reference("CollectedEvents")),
        Some(example_accepted()),
    );
    let body = ContentBuilder::new().schema(Some(reference("CloudEvent"))).example(Some(example_cloud_event()));
    let batch = ContentBuilder::new()
        .schema(Some(ArrayBuilder::new().items(reference("CloudEvent"))))
        .example(Some(json!([example_cloud_event()])));
    let body = utoipa::openapi::request_body::RequestBodyBuilder::new()
        .content("application/cloudevents+json", body.build())
        .content("application/cloudevents-batch+json", batch.build())
        .required(Some(utoipa::openapi::Required::True))
        .build();
    Description {
        tag: TAG,
        text: "CloudEvents 1.0: structured, as a batch, or binary, where the attributes are headers `ce-…` and the body is the payload. `source` \
               and `id` together make an event count once. An event whose `subject` has the form `{entity_type}:{entity_id}` goes to that \
               stream. `OPTIONS` answers the handshake of the specification for webhooks.",
        parameters: vec![parameter("ce-id", ParameterIn::Header, self::text(), "In binary mode, the attribute `id`; so with the others.")],
        body: Some(body),
        answer: single,
        problems: &[ProblemKind::Invalid, ProblemKind::TooLarge, ProblemKind::TooManyRequests],
    }
}

pub(super) fn describe_rejected(endpoint: ManageRejectedEventsEndpoint) -> Description {
    match endpoint {
        ManageRejectedEventsEndpoint::List => Description {
            tag: TAG,
            text: "Events that collectors could not read, latest first, each with its reason and what was sent. They are kept for 30 days. A page \
                   has at most 50, may have fewer than asked for, and yet not be the last.",
            parameters: vec![
                parameter(
                    "limit",
                    ParameterIn::Query,
                    whole_number().minimum(Some(1)).maximum(Some(1000)).default(Some(json!(100))),
                    "How many at most.",
                ),
                in_query("cursor", "`next_cursor` of the page before."),
            ],
            body: None,
            answer: json_response("The events.", reference("RejectedEvents"), Some(example_rejected())),
            problems: &[ProblemKind::Invalid],
        },
        ManageRejectedEventsEndpoint::Retry => Description {
            tag: TAG,
            text: "Reads the event again, as its collector does, or another body in its place, as if it had come when it did. Once it is taken in, it \
                   is rejected no more. Sent twice, it counts once.",
            parameters: vec![in_path("rejected_event_id", "The rejected event's id.")],
            body: Some(optional_request(reference("FrontendEventRequest"), example_event())),
            answer: json_response("It is accepted.", reference("CollectedEvent"), Some(example_accepted())),
            problems: &[
                ProblemKind::NotFound,
                ProblemKind::Conflict,
                ProblemKind::Invalid,
                ProblemKind::TooLarge,
                ProblemKind::TooManyRequests,
            ],
        },
    }
}

pub(super) fn example_event() -> Value {
    json!({
        "event_type": "product_view", "category": "page_view", "page_url": "https://shop.example/p/42", "session_id": "s-9f2c",
        "data": {"product_id": "42"}, "timestamp": "2026-11-24T14:11:13.100Z", "message_id": "5f0c6a51-3a51-4b0e-9d0e-6a1b2c3d4e5f",
    })
}

pub(super) fn example_batch() -> Value {
    json!({"events": [example_event()], "client_info": {"app": "shop", "version": "2.4.0"}})
}

pub(super) fn example_accepted() -> Value {
    json!({"status": "accepted", "event_id": "019e9f5d-31a0-8a4e-9c1f-2b6d3f000001", "message": "Event accepted", "duplicate": false})
}

pub(super) fn example_batch_answer() -> Value {
    json!({
        "status": "accepted", "processed_count": 1, "event_ids": ["019e9f5d-31a0-8a4e-9c1f-2b6d3f000001"],
        "message": "1 event accepted, 1 rejected", "duplicate_count": 0, "rejected": [example_rejected_item()],
    })
}

fn example_rejected_item() -> Value {
    json!({"index": 1, "detail": "event_type: Field required", "reason": "invalid_fields", "rejected_event_id": "063900360673100000-8f14e45fceea167a"})
}

pub(super) fn example_analytics_answer() -> Value {
    json!({"success": true, "accepted": 1, "duplicates": 0, "rejected": []})
}

pub(super) fn example_message() -> Value {
    json!({
        "type": "track", "event": "Order Completed", "userId": "user_12345", "anonymousId": "a-77",
        "messageId": "5f0c6a51-3a51-4b0e-9d0e-6a1b2c3d4e5f", "properties": {"order_id": "42"}, "context": {"sessionId": 1_795_876_180_u64},
        "originalTimestamp": "2026-11-24T14:11:13.100Z", "sentAt": "2026-11-24T14:11:14.000Z",
    })
}

pub(super) fn example_cloud_event() -> Value {
    json!({
        "specversion": "1.0", "id": "A234-1234-1234", "source": "/shop/orders", "type": "order.placed", "subject": "order:42",
        "time": "2026-11-24T14:11:13Z", "data": {"total": 99.9},
    })
}

pub(super) fn example_rejected() -> Value {
    json!({
        "rejected_events": [{
            "rejected_event_id": "063900360673100000-8f14e45fceea167a", "collector": "frontend", "organization_id": null,
            "reason": "invalid_fields", "detail": "event_type: Field required", "body": "{\"data\":{}}", "truncated": false,
            "rejected_at": "2026-11-24T14:11:13.100000Z", "expires_at": "2026-12-24T14:11:13.100000Z",
        }],
        "has_more": false, "next_cursor": null,
    })
}
