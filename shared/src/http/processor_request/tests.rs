//! What is read of processors, and what is refused.

use lambda_http::Body;
use serde_json::json;

use super::*;

fn raw(body: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(body).unwrap()
}

fn read(body: &Value) -> Result<(Option<OrganizationId>, ProcessorDraft), Problem> {
    processor_draft(&raw(body))
}

/// `type` and `loc` of each problem.
fn problems<T>(result: Result<T, Problem>) -> Value {
    let answer = serde_json::to_value(result.map(|_| ()).unwrap_err()).unwrap();
    answer["detail"].as_array().unwrap().iter().map(|one| json!([one["type"], one["loc"]])).collect()
}

#[test]
fn a_processor_needs_a_name_and_a_type() {
    let (organization, draft) =
        read(&json!({"processor_name": " a ", "processor_type": "anything", "unknown": 1, "config": null})).unwrap();
    assert_eq!((organization, draft.name.as_str(), draft.kind.as_str()), (None, "a", "anything"));
    assert_eq!((draft.enabled, draft.priority), (true, 0));
    assert!(draft.filters.is_empty() && draft.config.is_empty() && draft.retry_policy.is_empty());
    assert_eq!(problems(read(&json!({}))), json!([["missing", ["body", "processor_name"]], ["missing", ["body", "processor_type"]]]));
}

#[test]
fn a_retry_policy_stands_by_itself_or_in_config() {
    for (more, expected) in [
        (json!({}), json!({})),
        (json!({"retry_policy": {"max_retries": 2, "note": 1}}), json!({"max_retries": 2, "note": 1})),
        (
            json!({"config": {"max_retries": 5, "backoff_seconds": [1], "initial_delay_ms": null, "action": "log"}}),
            json!({"max_retries": 5, "backoff_seconds": [1]}),
        ),
        (json!({"config": {"max_retries": 5}, "retry_policy": {"max_retries": 1}}), json!({"max_retries": 1})),
    ] {
        let mut body = json!({"processor_name": "a", "processor_type": "internal"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(read(&body).unwrap().1.retry_policy.to_value(), expected, "{more}");
    }
}

#[test]
fn each_part_is_refused_where_it_stands() {
    for (more, expected) in [
        (json!({"priority": 1.5}), json!([["int_from_float", ["body", "priority"]]])),
        (json!({"priority": -1_000_001}), json!([["greater_than_equal", ["body", "priority"]]])),
        (json!({"enabled": "x"}), json!([["bool_parsing", ["body", "enabled"]]])),
        (json!({"filters": []}), json!([["dict_type", ["body", "filters"]]])),
        (
            json!({"filters": {"event_source": "x", "data": {"a": {"gt": "x"}}}}),
            json!([["value_error", ["body", "filters", "event_source"]], ["value_error", ["body", "filters", "data", "a", "gt"]]]),
        ),
        (json!({"config": 1}), json!([["dict_type", ["body", "config"]], ["value_error", ["body", "config", "url"]]])),
        (json!({"config": {"url": "nowhere"}}), json!([["value_error", ["body", "config", "url"]]])),
        (json!({"config": {"url": "https://example.com", "max_retries": -1}}), json!([["value_error", ["body", "config", "max_retries"]]])),
        (
            json!({"config": {"url": "https://example.com"}, "retry_policy": {"backoff_seconds": "x"}}),
            json!([["value_error", ["body", "retry_policy", "backoff_seconds"]]]),
        ),
        (json!({"organization_id": " ", "config": {"url": "https://example.com"}}), json!([["value_error", ["body", "organization_id"]]])),
    ] {
        let mut body = json!({"processor_name": "a", "processor_type": "webhook", "config": {"url": "https://example.com"}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(problems(read(&body)), expected, "{more}");
    }
}

#[test]
fn no_problem_shows_the_configuration() {
    for body in [
        json!({"config": {"api_key": "hidden", "secret": 1}}),
        json!({"processor_name": "a", "processor_type": "webhook", "config": {"secret": "hidden\u{7}secret", "url": "https://hidden:hidden@x"}}),
        json!({"processor_name": "a", "processor_type": "webhook", "config": ["hidden"]}),
        json!([{"config": "hidden"}]),
    ] {
        let text = serde_json::to_string(&read(&body).unwrap_err()).unwrap();
        assert!(!text.contains("hidden"), "{text}");
    }
}

#[test]
fn a_processor_is_tried_on_one_event() {
    let id = "0190f3a1-7e1b-7c3d-8e4f-5a6b7c8d9e0f";
    assert_eq!(specimen(&raw(&json!({"event_id": id}))).unwrap(), Specimen::Stored(id.parse().unwrap()));
    assert!(matches!(specimen(&raw(&json!({"event": {"event_type": "a"}}))).unwrap(), Specimen::Imagined(_)));
    for (body, expected) in [
        (json!({}), json!([["missing", ["body", "event_id"]]])),
        (json!({"event_id": "x"}), json!([["uuid_parsing", ["body", "event_id"]]])),
        (json!({"event_id": 1}), json!([["string_type", ["body", "event_id"]]])),
        (json!({"event": {}}), json!([["missing", ["body", "event", "event_type"]]])),
        (json!({"event": []}), json!([["dict_type", ["body", "event"]]])),
        (json!({"event_id": id, "event": {"event_type": "a"}}), json!([["value_error", ["body", "event"]]])),
    ] {
        assert_eq!(problems(specimen(&raw(&body))), expected, "{body}");
    }
}

#[test]
fn a_switch_is_put_to_what_the_query_string_says_or_over() {
    let switch = |query: &str| switch(&lambda_http::http::Request::builder().uri(format!("/x{query}")).body(Body::Empty).unwrap());
    for (query, expected) in [
        ("", Switch::Over),
        ("?enabled=", Switch::Over),
        ("?enabled=true", Switch::On),
        ("?enabled=1", Switch::On),
        ("?enabled=False", Switch::Off),
        ("?enabled=0", Switch::Off),
    ] {
        assert_eq!(switch(query).unwrap(), expected, "{query}");
    }
    assert_eq!(problems(switch("?enabled=perhaps")), json!([["bool_parsing", ["query", "enabled"]]]));
}
