//! Routes that manage dead letters.

use serde_json::{Value, json};
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::{ComponentsBuilder, Ref};

use super::parts::{Description, in_path, in_query, json_request, json_response, limit_parameter, parameter, text};
use super::schemas::WorkQueueSchema;
use crate::domain::queue::WorkQueue;
use crate::http::answers::dead_letters::{DeadLetterAnswer, DeadLettersAnswer, DeletedDeadLetterAnswer, RedriveAnswer};
use crate::http::dead_letter_request::RedriveRequest;
use crate::http::problem::ProblemKind;
use crate::http::routes::ManageDeadLettersEndpoint;

const TAG: &str = "Dead letters";

pub(super) fn with_schemas(components: ComponentsBuilder) -> ComponentsBuilder {
    components
        .schema_from::<WorkQueueSchema>()
        .schema_from::<RedriveRequest>()
        .schema_from::<DeadLettersAnswer<'static>>()
        .schema_from::<DeadLetterAnswer<'static>>()
        .schema_from::<RedriveAnswer>()
        .schema_from::<DeletedDeadLetterAnswer<'static>>()
}

pub(super) fn describe_dead_letters(endpoint: ManageDeadLettersEndpoint) -> Description {
    match endpoint {
        ManageDeadLettersEndpoint::List => Description {
            tag: TAG,
            text: "What failed as often as it may, latest first: processors, deliveries, and work whose function failed. A page may \
                   have fewer than asked for, and yet not be the last.",
            parameters: vec![
                parameter(
                    "queue",
                    ParameterIn::Query,
                    text().enum_values(Some(WorkQueue::ALL.iter().map(|queue| queue.as_str()))),
                    "Only those of this queue.",
                ),
                in_query("subscription_id", "Only those of this subscription."),
                in_query("processor_id", "Only those of this processor."),
                in_query("event_id", "Only those about this event."),
                limit_parameter(),
                in_query("cursor", "`next_cursor` of the page before."),
            ],
            body: None,
            answer: json_response("The dead letters.", Ref::from_schema_name("DeadLetters"), Some(example_dead_letters())),
            problems: &[ProblemKind::Invalid],
        },
        ManageDeadLettersEndpoint::Redrive => Description {
            tag: TAG,
            text: "Takes up to 1000 of those that match up again, oldest first, from their first attempt on; send it again while \
                   `has_more`. It is done at least once: a processor or a subscriber may see an event twice.",
            parameters: Vec::new(),
            body: Some(json_request(Ref::from_schema_name("RedriveRequest"), example_redrive())),
            answer: json_response("They are taken up.", Ref::from_schema_name("Redrive"), None),
            problems: &[ProblemKind::NotFound, ProblemKind::TooLarge, ProblemKind::Invalid],
        },
        ManageDeadLettersEndpoint::Delete => Description {
            tag: TAG,
            text: "The work is never done.",
            parameters: vec![in_path("dead_letter_id", "The dead letter's id.")],
            body: None,
            answer: json_response("The dead letter is deleted.", Ref::from_schema_name("DeletedDeadLetter"), None),
            problems: &[ProblemKind::NotFound],
        },
    }
}

pub(super) fn example_redrive() -> Value {
    json!({"queue": "deliver", "subscription_id": "5f0c6a51-3a51-4b0e-9d0e-6a1b2c3d4e5f", "dry_run": true})
}

pub(super) fn example_dead_letters() -> Value {
    json!({
        "dead_letters": [{
            "dead_letter_id": "063900360673100000-8f14e45fceea167a", "queue": "deliver", "organization_id": null,
            "subscription_id": "5f0c6a51-3a51-4b0e-9d0e-6a1b2c3d4e5f", "processor_id": null,
            "event_id": "019e9f5d-31a0-8a4e-9c1f-2b6d3f000001", "reason": "the receiver answered 503", "attempts": 8,
            "parked_at": "2026-11-24T14:11:13.100000Z",
        }],
        "has_more": false, "next_cursor": null,
    })
}
