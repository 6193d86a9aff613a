//! What is put back into a configuration, and what a trial says.

use serde_json::json;

use super::*;

fn object(value: &Value) -> JsonObject {
    JsonObject::parse(&value.to_string()).unwrap()
}

fn moment(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

#[test]
fn what_answers_mask_stays_what_it_is_and_everything_else_is_as_it_is_sent() {
    let before = json!({
        "url": "https://example.com/x?token=abc", "api_key": "k1", "n": 1.50, "headers": {"Authorization": "Bearer x", "X-Team": "t"},
        "list": [{"secret": "s0"}, {"secret": "s1"}],
    });
    let sent_back = masked(&object(&before));
    assert!(sent_back.to_string().matches(MASK).count() >= 6, "{sent_back}");
    let put_back = |config: &Value| unmasked(&object(config), &object(&before)).map(|config| config.to_value());
    assert_eq!(put_back(&sent_back).unwrap(), before);
    let mut changed = sent_back;
    changed["api_key"] = json!("k2");
    changed["headers"] = json!({"Authorization": MASK});
    let mut expected = before.clone();
    expected["api_key"] = json!("k2");
    expected["headers"] = json!({"Authorization": "Bearer x"});
    assert_eq!(put_back(&changed).unwrap(), expected);
    let exact = object(&json!({"n": 1})).as_str().replace('1', "123456789012345678901234567890");
    let exact = JsonObject::parse(&exact).unwrap();
    assert_eq!(unmasked(&exact, &object(&before)).unwrap(), exact, "what holds no mask is kept to the letter");
}

#[test]
fn a_mask_of_nothing_is_refused() {
    let before = object(&json!({"api_key": "k1"}));
    for config in [json!({"secret": MASK}), json!({"headers": {"a": MASK}}), json!({"list": [MASK]})] {
        let Err(ManageProcessorsError::Config(problems)) = unmasked(&object(&config), &before) else { panic!("{config}") };
        assert_eq!(problems.len(), 1, "{config}");
        assert!(config.get(&problems[0].field).is_some());
    }
}

fn processor(more: &Value) -> Processor {
    let text = |name: &str, default: &str| more[name].as_str().unwrap_or(default).to_owned();
    let draft = ProcessorDraft {
        name: "p".parse().unwrap(),
        kind: text("kind", "internal"),
        enabled: more["enabled"].as_bool().unwrap_or(true),
        priority: 0,
        filters: object(&more.get("filters").cloned().unwrap_or_else(|| json!({}))),
        config: object(&more.get("config").cloned().unwrap_or_else(|| json!({}))),
        retry_policy: JsonObject::default(),
    };
    let organization = more["organization"].as_str().map(|text| text.parse().unwrap());
    let from = moment("2026-11-23T12:00:00Z");
    Processor::new("id".parse().unwrap(), organization, draft, from, from)
}

fn event(organization: Option<&str>, recorded_at: &str) -> Event {
    let details = serde_json::from_value(json!({"type": "order.placed", "data": {"total": 5}})).unwrap();
    let draft = EventDraft {
        event_id: None,
        organization: organization.map(|text| text.parse().unwrap()),
        stream: "order:1".parse().ok(),
        expected_version: crate::domain::version::ExpectedVersion::Any,
        occurred_at: None,
        trace: None,
        details,
    };
    let plans = plan_streams([(0, &draft)], moment(recorded_at), 1);
    plans[0].commits_from(Version::new(1), moment(recorded_at), Attempt(0), None)[0].to_events().remove(0)
}

#[test]
fn a_trial_says_whether_a_processor_is_run_and_why_not() {
    let (then, before) = ("2026-11-23T12:00:01Z", "2026-11-23T11:59:59Z");
    let other_filters = json!({"filters": {"event_type": "user.*"}});
    for (more, organization, recorded, verdict, matches) in [
        (json!({}), None, then, TrialVerdict::Runs, true),
        (json!({"kind": "mystery"}), Some("o"), then, TrialVerdict::Skips, true),
        (other_filters, None, then, TrialVerdict::Unselected, false),
        (json!({"organization": "o"}), Some("o"), then, TrialVerdict::Runs, true),
        (json!({"organization": "o"}), None, then, TrialVerdict::ForeignEvent, true),
        (json!({"enabled": false}), None, then, TrialVerdict::Off, true),
        (json!({}), None, before, TrialVerdict::NotThen, true),
    ] {
        let trial = trial(&processor(&more), &event(organization, recorded), Some(moment(recorded)));
        assert_eq!((trial.verdict, trial.matches), (verdict, matches), "{more}");
        assert!(trial.verdict.reason().ends_with('.'));
        assert_eq!(trial.derived, None);
    }
    assert_eq!(trial(&processor(&json!({})), &event(None, before), None).verdict, TrialVerdict::Runs, "an imagined event is one of now");
}

#[test]
fn a_trial_of_a_transform_derives_the_event_or_says_why_not() {
    let transform = |template: &str| {
        let config = json!({"event_type": "order.noted", "template": {"text": template}});
        let processor = processor(&json!({"kind": "transform", "config": config}));
        trial(&processor, &event(None, "2026-11-23T12:00:01Z"), None).derived.unwrap()
    };
    let derived = transform("{{ data.total }} euros").unwrap();
    assert_eq!(derived.details.data.to_value(), json!({"total": 5, "text": "5 euros"}));
    assert!(transform("{{ data.missing }}").unwrap_err().contains("text"));
}
