//! What is read of subscriptions, and what is refused.

use lambda_http::Body;
use serde_json::{Value, json};

use super::*;

fn raw(body: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(body).unwrap()
}

fn draft(body: &Value) -> SubscriptionDraft {
    subscription_draft(&raw(body)).unwrap()
}

/// `type` and `loc` of each problem.
fn problems<T: std::fmt::Debug>(result: Result<T, Problem>) -> Value {
    let answer = serde_json::to_value(result.unwrap_err()).unwrap();
    answer["detail"].as_array().unwrap().iter().map(|one| json!([one["type"], one["loc"]])).collect()
}

#[test]
fn only_types_are_required() {
    let draft = draft(&json!({"event_types": ["user.*"], "unknown": 1, "callback_url": null, "webhook_secret": null}));
    assert_eq!((draft.subscriber_name.as_str(), draft.subscriber_type.as_str()), ("default_subscriber", "service"));
    assert_eq!((draft.event_sources, draft.event_categories, draft.callback_url), (None, None, None));
    assert_eq!((draft.enabled, draft.ordering, draft.rate_limit, draft.delivery_log), (None, None, None, None));
}

#[test]
fn every_field_lands_where_it_belongs() {
    let draft = draft(&json!({
        "subscription_id": "s1", "organization_id": "o", "subscriber_name": " crm ", "subscriber_type": "webhook", "event_types": ["a", "b.*"],
        "event_sources": ["backend", "system"], "event_categories": ["order"], "callback_url": "https://example.com/x",
        "webhook_secret": "secret123", "enabled": false, "retry_policy": {"max_retries": 2}, "ordering": "stream", "rate_limit": "50",
        "delivery_log": "all",
    }));
    assert_eq!((draft.id, draft.organization), ("s1".parse().ok(), "o".parse().ok()));
    assert_eq!((draft.subscriber_name.as_str(), draft.subscriber_type.as_str()), ("crm", "webhook"));
    assert_eq!(draft.event_types, ["a".parse().unwrap(), "b.*".parse().unwrap()]);
    assert_eq!(draft.event_sources, Some(vec![EventSource::Backend, EventSource::System]));
    assert_eq!(draft.event_categories, Some(vec![EventCategory::Order]));
    assert_eq!(draft.callback_url.map(|url| url.as_str().to_owned()).as_deref(), Some("https://example.com/x"));
    assert_eq!(draft.webhook_secret.map(|secret| secret.reveal().to_owned()).as_deref(), Some("secret123"));
    assert_eq!((draft.enabled, draft.ordering, draft.rate_limit), (Some(false), Some(Ordering::Stream), Some(50)));
    assert_eq!(draft.delivery_log, Some(DeliveryLogging::All));
    assert_eq!(draft.retry_policy.map(|policy| policy.as_str().to_owned()).as_deref(), Some(r#"{"max_retries":2}"#));
}

#[test]
fn no_sources_are_all_sources_and_a_masked_secret_is_none() {
    let draft = draft(&json!({"event_types": ["a"], "event_sources": [], "event_categories": [], "webhook_secret": "whsec_…4dQk"}));
    assert_eq!((draft.event_sources, draft.event_categories, draft.webhook_secret), (None, None, None));
}

/// BR-SUB-002.
#[test]
fn a_subscription_is_of_at_least_one_type() {
    for (body, kind, loc) in [
        (json!({}), "missing", json!(["body", "event_types"])),
        (json!({"event_types": null}), "missing", json!(["body", "event_types"])),
        (json!({"event_types": []}), "too_short", json!(["body", "event_types"])),
        (json!({"event_types": "a"}), "list_type", json!(["body", "event_types"])),
        (json!({"event_types": [""]}), "value_error", json!(["body", "event_types", 0])),
        (json!({"event_types": ["a", 1]}), "string_type", json!(["body", "event_types", 1])),
        (json!({"event_types": ["x".repeat(256)]}), "string_too_long", json!(["body", "event_types", 0])),
        (json!({"event_types": vec!["a"; 101]}), "too_long", json!(["body", "event_types"])),
    ] {
        assert_eq!(problems(subscription_draft(&raw(&body))), json!([[kind, loc]]), "{body}");
    }
    assert_eq!(problems(subscription_changes(&raw(&json!({"event_types": null})))), json!([["missing", ["body", "event_types"]]]));
    assert_eq!(problems(subscription_changes(&raw(&json!({"event_types": []})))), json!([["too_short", ["body", "event_types"]]]));
}

/// BR-SUB-003.
#[test]
fn a_webhook_has_an_address() {
    for kind in ["webhook", "Webhook"] {
        let body = json!({"event_types": ["a"], "subscriber_type": kind});
        assert_eq!(problems(subscription_draft(&raw(&body))), json!([["missing", ["body", "callback_url"]]]));
    }
}

#[test]
fn each_field_is_refused_in_the_words_that_clients_know() {
    for (field, value, kind) in [
        ("subscriber_name", json!(""), "string_too_short"),
        ("subscriber_name", json!("x".repeat(256)), "string_too_long"),
        ("subscriber_type", json!("a\nb"), "value_error"),
        ("callback_url", json!("ftp://example.com"), "value_error"),
        ("callback_url", json!("example.com"), "value_error"),
        ("callback_url", json!("https://user:password@example.com"), "value_error"),
        ("callback_url", json!(1), "string_type"),
        ("webhook_secret", json!("short"), "value_error"),
        ("webhook_secret", json!(["secret123"]), "string_type"),
        ("enabled", json!("perhaps"), "bool_parsing"),
        ("enabled", json!([]), "bool_type"),
        ("ordering", json!("total"), "enum"),
        ("rate_limit", json!(0), "greater_than_equal"),
        ("rate_limit", json!(10_001), "less_than_equal"),
        ("delivery_log", json!("none"), "enum"),
        ("retry_policy", json!([]), "dict_type"),
        ("subscription_id", json!(" "), "value_error"),
        ("subscription_id", json!("x".repeat(129)), "string_too_long"),
        ("organization_id", json!(""), "value_error"),
    ] {
        let mut body = json!({"event_types": ["a"]});
        body[field] = value.clone();
        assert_eq!(problems(subscription_draft(&raw(&body))), json!([[kind, ["body", field]]]), "{field} = {value}");
        if !field.ends_with("_id") {
            assert_eq!(
                problems(subscription_changes(&raw(&json!({ field: value })))),
                json!([[kind, ["body", field]]]),
                "{field} = {value}"
            );
        }
    }
    let body =
        json!({"event_types": ["a"], "event_sources": ["backend", "x"], "retry_policy": {"max_retries": -1, "backoff_seconds": "x"}});
    assert_eq!(
        problems(subscription_draft(&raw(&body))),
        json!([
            ["enum", ["body", "event_sources", 1]],
            ["value_error", ["body", "retry_policy", "max_retries"]],
            ["value_error", ["body", "retry_policy", "backoff_seconds"]],
        ])
    );
}

#[test]
fn no_problem_shows_a_secret() {
    for body in [
        json!({"webhook_secret": "hidden\u{7}secret", "event_types": []}),
        json!({"webhook_secret": "hidden-secret"}),
        json!([{"webhook_secret": "hidden-secret"}]),
        json!({"webhook_secret": ["hidden-secret"], "event_types": ["a"]}),
    ] {
        let answers =
            [subscription_draft(&raw(&body)).map(|_| ()), rotation(&raw(&body)).map(|_| ()), subscription_changes(&raw(&body)).map(|_| ())];
        for problem in answers.into_iter().filter_map(Result::err) {
            let text = serde_json::to_string(&problem).unwrap();
            assert!(!text.contains("hidden"), "{text}");
        }
    }
}

#[test]
fn a_change_concerns_what_it_names_and_null_is_the_default() {
    assert_eq!(subscription_changes(&raw(&json!({"unknown": 1}))).unwrap(), SubscriptionChanges::default());
    let changes = subscription_changes(&raw(&json!({
        "subscriber_name": null, "event_sources": null, "callback_url": null, "webhook_secret": null, "enabled": null, "retry_policy": null,
        "ordering": null, "rate_limit": null, "delivery_log": null, "event_types": ["a"],
    })));
    let expected = SubscriptionChanges {
        event_types: Change::To(vec!["a".parse().unwrap()]),
        subscriber_name: Change::To("default_subscriber".to_owned()),
        event_sources: Change::To(None),
        callback_url: Change::To(None),
        webhook_secret: Change::To(None),
        enabled: Change::To(true),
        retry_policy: Change::To(JsonObject::default()),
        ordering: Change::To(Ordering::None),
        rate_limit: Change::To(None),
        delivery_log: Change::To(DeliveryLogging::Failures),
        ..SubscriptionChanges::default()
    };
    assert_eq!(changes.unwrap(), expected);
    let shown = subscription_changes(&raw(&json!({"webhook_secret": "whsec_…4dQk"}))).unwrap();
    assert_eq!(shown, SubscriptionChanges::default(), "what answers show of a secret is the secret that stands");
}

#[test]
fn a_rotation_lasts_a_day_unless_it_says_otherwise() {
    assert_eq!(rotation(&raw(&json!({}))).unwrap(), (None, Duration::from_hours(24)));
    let (secret, overlap) = rotation(&raw(&json!({"webhook_secret": "secret123", "overlap_seconds": "0"}))).unwrap();
    assert_eq!((secret.is_some(), overlap), (true, Duration::ZERO));
    assert_eq!(problems(rotation(&raw(&json!({"overlap_seconds": 604_801})))), json!([["less_than_equal", ["body", "overlap_seconds"]]]));
}

#[test]
fn a_recovery_says_since_when() {
    let wanted = recover_request(&raw(&json!({"since": "2026-11-23", "scope": "all", "dry_run": true, "cursor": "events."}))).unwrap();
    assert_eq!((wanted.scope, wanted.run), (RecoverScope::All, Run::Dry));
    assert_eq!(wanted.from.to_string(), "events.");
    let wanted = recover_request(&raw(&json!({"since": 0}))).unwrap();
    assert_eq!((wanted.scope, wanted.run, wanted.from.to_string().as_str()), (RecoverScope::Failed, Run::Real, "failed."));
    for (body, expected) in [
        (json!({}), json!([["missing", ["body", "since"]]])),
        (
            json!({"since": "x", "scope": "some", "dry_run": 2, "cursor": "x"}),
            json!([
                ["datetime_parsing", ["body", "since"]],
                ["enum", ["body", "scope"]],
                ["bool_type", ["body", "dry_run"]],
                ["value_error", ["body", "cursor"]],
            ]),
        ),
    ] {
        assert_eq!(problems(recover_request(&raw(&body))), expected, "{body}");
    }
}

#[test]
fn deliveries_are_asked_for_by_state_and_moment() {
    let request = |query: &str| lambda_http::http::Request::builder().uri(format!("/x?{query}")).body(Body::Empty).unwrap();
    let id: SubscriptionId = "s".parse().unwrap();
    let cursor = format!("msg_{}", "0".repeat(40));
    let wanted = deliveries_request(id.clone(), &request(&format!("status=failed&since=2026-11-23&limit=7&cursor={cursor}"))).unwrap();
    assert_eq!((wanted.state, wanted.limit, wanted.after.map(String::from)), (Some(DeliveryState::Failed), 7, Some(cursor)));
    assert!(wanted.since.is_some());
    let all = deliveries_request(id.clone(), &request("status=&since=")).unwrap();
    assert_eq!((all.state, all.since, all.after, all.limit), (None, None, None, 100));
    assert_eq!(
        problems(deliveries_request(id, &request("status=x&since=x&cursor=x&limit=0"))),
        json!([
            ["enum", ["query", "status"]],
            ["datetime_parsing", ["query", "since"]],
            ["value_error", ["query", "cursor"]],
            ["greater_than_equal", ["query", "limit"]],
        ])
    );
}
