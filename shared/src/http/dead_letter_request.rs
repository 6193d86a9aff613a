//! Which dead letters are meant.

use lambda_http::Request;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::fields::Fields;
use super::openapi::schemas::WorkQueueSchema;
use super::problem::{FieldProblemKind, Problem};
use super::query_request::{limit, parameters_of};
use super::request::query_string;
use super::subscription_request::run;
use crate::commands::resend_deliveries::Run;
use crate::domain::dead_letter::{DeadLetterFilter, DeadLetterId};
use crate::domain::event_id::EventId;
use crate::domain::queue::WorkQueue;

/// The dead letters to take up again. At least one condition is needed; every one that is given must hold.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct RedriveRequest {
    /// This one.
    pub dead_letter_id: Option<String>,
    /// Those of one queue.
    #[schema(value_type = Option<WorkQueueSchema>)]
    pub queue: Option<String>,
    /// Those of one subscription.
    pub subscription_id: Option<String>,
    /// Those of one processor.
    pub processor_id: Option<String>,
    /// Those about one event.
    #[schema(format = Uuid)]
    pub event_id: Option<String>,
    /// All of them.
    #[schema(default = false)]
    pub all: Option<bool>,
    /// Whether they are only counted.
    #[schema(default = false)]
    pub dry_run: Option<bool>,
}

/// A list of dead letters as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLettersRequest {
    /// Which of them.
    pub filter: DeadLetterFilter,
    /// After which one.
    pub after: Option<DeadLetterId>,
    /// How many.
    pub limit: usize,
}

/// The dead letters that a query string asks for.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn dead_letters_request(request: &Request) -> Result<DeadLettersRequest, Problem> {
    let parameters = query_string(request)?;
    let mut fields = parameters_of(&parameters)?;
    let filter = filter(&mut fields);
    let after = fields.text("cursor").map(DeadLetterId);
    let limit = limit(&mut fields);
    fields.finish(Some(DeadLettersRequest { filter, after, limit })).map_err(Problem::invalid)
}

/// The dead letters that a body asks to take up again, and whether that is done.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn redrive_request(body: &RawValue) -> Result<(DeadLetterFilter, Run), Problem> {
    let mut fields = Fields::read_body(body, &[])?;
    let filter = DeadLetterFilter { id: fields.text("dead_letter_id").map(DeadLetterId), ..filter(&mut fields) };
    let run = run(&mut fields);
    let all = fields.boolean("all");
    let says_nothing =
        ["dead_letter_id", "queue", "subscription_id", "processor_id", "event_id"].iter().all(|name| fields.given(name).is_none());
    if says_nothing && all != Some(true) {
        fields.refuse_value("all", "must be true if nothing else says which dead letters are meant");
    }
    fields.finish(Some((filter, run))).map_err(Problem::invalid)
}

fn filter(fields: &mut Fields<'_>) -> DeadLetterFilter {
    DeadLetterFilter {
        organization: None,
        queue: fields.word("queue", WorkQueue::ALL, WorkQueue::as_str),
        subscription: fields.text("subscription_id").and_then(|text| fields.required_identifier("subscription_id", text)),
        processor: fields.text("processor_id").and_then(|text| fields.required_identifier("processor_id", text)),
        event_id: event_id(fields),
        id: None,
    }
}

fn event_id(fields: &mut Fields<'_>) -> Option<EventId> {
    let id = fields.text("event_id")?.parse().ok();
    if id.is_none() {
        fields.refuse("event_id", FieldProblemKind::UuidParsing, "Input should be a valid UUID");
    }
    id
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;
    use serde_json::{Value, json};

    use super::*;

    fn redrive(body: &Value) -> Result<(DeadLetterFilter, Run), Problem> {
        redrive_request(&serde_json::value::to_raw_value(body).unwrap())
    }

    fn list(query: &str) -> Result<DeadLettersRequest, Problem> {
        let uri = format!("/x?{query}");
        dead_letters_request(&lambda_http::http::Request::builder().uri(uri).body(Body::Empty).unwrap())
    }

    fn problems<T: std::fmt::Debug>(result: Result<T, Problem>) -> Value {
        let answer = serde_json::to_value(result.unwrap_err()).unwrap();
        answer["detail"].as_array().unwrap().iter().map(|one| json!([one["type"], one["loc"]])).collect()
    }

    const ID: &str = "0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f";

    #[test]
    fn a_redrive_says_what_it_is_about() {
        let (filter, run) = redrive(&json!({"queue": "deliver", "subscription_id": "s", "event_id": ID, "dry_run": true})).unwrap();
        assert_eq!((filter.queue, filter.subscription, filter.event_id), (Some(WorkQueue::Deliver), "s".parse().ok(), ID.parse().ok()));
        assert_eq!(run, Run::Dry);
        assert_eq!(redrive(&json!({"all": true})).unwrap(), (DeadLetterFilter::default(), Run::Real));
        assert_eq!(redrive(&json!({"dead_letter_id": "x"})).unwrap().0.id, Some(DeadLetterId("x".to_owned())));
        for (body, expected) in [
            (json!({}), json!([["value_error", ["body", "all"]]])),
            (json!({"all": false, "queue": null}), json!([["value_error", ["body", "all"]]])),
            (json!({"all": "perhaps"}), json!([["bool_parsing", ["body", "all"]], ["value_error", ["body", "all"]]])),
            (json!({"queue": "other"}), json!([["enum", ["body", "queue"]]])),
            (
                json!({"event_id": "x", "processor_id": 1}),
                json!([["string_type", ["body", "processor_id"]], ["uuid_parsing", ["body", "event_id"]]]),
            ),
            (json!({"subscription_id": ""}), json!([["value_error", ["body", "subscription_id"]]])),
            (json!([]), json!([["dict_type", ["body"]]])),
        ] {
            assert_eq!(problems(redrive(&body)), expected, "{body}");
        }
    }

    #[test]
    fn a_list_is_of_all_unless_something_is_named() {
        let all = list("queue=&cursor=").unwrap();
        assert_eq!(all, DeadLettersRequest { filter: DeadLetterFilter::default(), after: None, limit: 100 });
        let some = list("queue=retry&processor_id=p&limit=5&cursor=1-2").unwrap();
        assert_eq!((some.filter.queue, some.filter.processor), (Some(WorkQueue::Retry), "p".parse().ok()));
        assert_eq!((some.limit, some.after), (5, Some(DeadLetterId("1-2".to_owned()))));
        for (query, expected) in [
            ("queue=x", json!([["enum", ["query", "queue"]]])),
            ("limit=1001&event_id=x", json!([["uuid_parsing", ["query", "event_id"]], ["less_than_equal", ["query", "limit"]]])),
        ] {
            assert_eq!(problems(list(query)), expected, "{query}");
        }
    }
}
