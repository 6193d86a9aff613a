use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::commit::{Attempt, Commit, CommittedEvent};
use crate::domain::stream_id::StreamKey;

const START: i64 = 1_763_892_672_345_000;

fn history(events: &[Value]) -> Vec<Event> {
    let moment = |index: usize| Timestamp::from_micros(START + i64::try_from(index).unwrap() * 1000).unwrap();
    let committed = |(index, details): (usize, &Value)| {
        let event =
            CommittedEvent { client_id: None, occurred_at: moment(index), details: serde_json::from_str(&details.to_string()).unwrap() };
        let commit = Commit {
            stream: StreamKey { organization: "acme".parse().ok(), stream: "order:42".parse().unwrap() },
            first: Version::new(index as u64 + 1),
            recorded_at: moment(index),
            attempt: Attempt(1),
            request: None,
            storage: crate::domain::commit::Storage::Table,
            events: vec![event],
        };
        commit.to_events().remove(0)
    };
    events.iter().enumerate().map(committed).collect()
}

fn rules(rules: &Value) -> Rules {
    parse(rules).unwrap()
}

fn parse(rules: &Value) -> Result<Rules, Vec<RuleProblem>> {
    Rules::parse(&JsonObject::parse(&rules.to_string()).unwrap())
}

fn fold(rules: &Rules, events: &[Event]) -> Projection {
    let mut projection = Projection::default();
    for event in events {
        projection.fold(rules, event);
    }
    projection
}

fn order() -> Vec<Event> {
    history(&[
        json!({"type": "order.placed", "user": "u1", "data": {"total": 49.90, "customer": {"name": "Ada", "mail": "a@x.org"}}}),
        json!({"type": "order.item_added", "data": {"sku": "A", "price": 0.10}}),
        json!({"type": "order.item_added", "data": {"sku": "B", "price": 1}}),
        json!({"type": "order.paid", "data": {"method": "card", "customer": {"mail": null}}}),
    ])
}

#[test]
fn every_entity_has_a_projection_of_its_merged_data_and_of_the_last_event_and_count_of_each_type() {
    let events = order();
    let projection = fold(&Rules::standard(), &events);
    let state = projection.state().to_value();
    assert_eq!(json!([state["total"], state["customer"], state["sku"], state["method"]]), json!([49.9, {"name": "Ada"}, "B", "card"]));
    assert_eq!(state["_events"]["order.item_added"]["count"], json!(2));
    assert_eq!(
        state["_events"]["order.item_added"]["last"],
        json!({
            "event_id": events[2].id.to_string(), "timestamp": events[2].occurred_at.to_string(), "stream_version": 3,
            "data": {"sku": "B", "price": 1}
        })
    );
    let progress = projection.progress();
    assert_eq!((progress.version, progress.last_event_id), (Version::new(4), Some(events[3].id)));
    assert_eq!((progress.created_at, progress.updated_at), (Some(events[0].recorded_at), Some(events[3].recorded_at)));
}

#[test]
fn what_the_standard_projection_counts_is_not_changed_by_an_event_that_names_it() {
    let events = history(&[json!({"type": "a", "data": {"x": 1}}), json!({"type": "b", "data": {"_events": null}})]);
    let state = fold(&Rules::standard(), &events).state().to_value();
    assert_eq!(json!([state["_events"]["a"]["count"], state["_events"]["b"]["count"]]), json!([1, 1]));
}

#[test]
fn numbers_in_rules_count_as_they_were_written() {
    let rules = r#"{"*":[{"set":{"exact":1.10,"list":[{"a.b":1e2}]}},{"increment":{"sum":1234567890123456789012345678}}]}"#;
    let rules = Rules::parse(&JsonObject::parse(rules).unwrap()).unwrap();
    let state = fold(&rules, &order()[..2]).state();
    assert_eq!(state.as_str(), r#"{"exact":1.10,"list":[{"a.b":1e2}],"sum":2469135780246913578024691356}"#);
}

#[test]
fn numbers_in_a_state_are_as_the_events_wrote_them() {
    let event: CommittedEvent =
        serde_json::from_str(r#"{"at":1763892672345678,"event":{"type":"a","data":{"long":123456789012345678901234567890,"price":1.50}}}"#)
            .unwrap();
    let mut events = history(&[json!({"type": "a"})]);
    events[0].details = event.details;
    let state = fold(&Rules::standard(), &events).state();
    assert!(state.as_str().ends_with(r#""long":123456789012345678901234567890,"price":1.50}"#), "{}", state.as_str());
}

#[test]
fn every_operation_does_what_its_name_says() {
    let declared = json!({
        "order.placed": [{"set": {"status": "placed", "by": "$user_id", "price": "$$5"}}, {"merge": {"customer": "$data.customer"}}],
        "order.item_added": [
            {"append": {"items": {"sku": "$data.sku", "at": "$timestamp", "note": "$data.note?"}}, "keep": 1},
            {"increment": {"total": "$data.price"}},
            {"count": ["items_added"]}
        ],
        "order.paid": [{"set": {"status": "paid", "coupon": "$data.coupon?"}}, {"remove": "customer.mail"}],
        "order.*": [{"set": {"status": "touched", "last": "$event_type"}}]
    });
    let events = order();
    let projection = fold(&rules(&declared), &events);
    assert_eq!(
        projection.state().to_value(),
        json!({
            "status": "paid", "by": "u1", "price": "$5", "last": "order.paid", "customer": {"name": "Ada"}, "total": 1.1, "items_added": 2,
            "items": [{"sku": "B", "at": events[2].occurred_at.to_string()}]
        })
    );
    assert_eq!(projection.progress().warnings, []);
}

#[test]
fn an_event_that_a_rule_cannot_be_applied_to_changes_nothing_and_is_named() {
    let declared = rules(&json!({"order.*": [{"count": "seen"}, {"set": {"sku": "$data.sku"}}]}));
    let events = order();
    let mut projection = Projection::default();
    let effects: Vec<Effect> = events.iter().map(|event| projection.fold(&declared, event)).collect();
    assert_eq!(effects, [Effect::Skipped, Effect::Changed, Effect::Changed, Effect::Skipped]);
    assert_eq!(projection.state().to_value(), json!({"seen": 2, "sku": "B"}));
    let progress = projection.progress();
    assert_eq!((progress.version, progress.skipped), (Version::new(4), 2));
    let named: Vec<(EventId, &str)> = progress.warnings.iter().map(|warning| (warning.event_id, warning.reason.as_str())).collect();
    assert_eq!(named, [(events[0].id, "the event has no data.sku"), (events[3].id, "the event has no data.sku")]);
}

#[test]
fn an_event_that_no_rule_is_about_or_that_says_nothing_new_leaves_the_state_unchanged() {
    let declared = rules(&json!({"order.item_*": [{"set": {"added": true}}]}));
    let mut projection = Projection::default();
    let effects: Vec<Effect> = order().iter().map(|event| projection.fold(&declared, event)).collect();
    assert_eq!(effects, [Effect::Unchanged, Effect::Changed, Effect::Unchanged, Effect::Unchanged]);
    assert_eq!(projection.progress().version, Version::new(4));
}

#[test]
fn of_many_warnings_the_last_are_kept() {
    let declared = rules(&json!({"*": [{"set": {"x": "$data.x"}}]}));
    let many = vec![json!({"type": "a"}); Projection::MAX_WARNINGS + 5];
    let projection = fold(&declared, &history(&many));
    let progress = projection.progress();
    assert_eq!((progress.skipped, progress.warnings.len()), (105, Projection::MAX_WARNINGS));
    assert_eq!(progress.warnings[0].stream_version, Version::new(6));
}

#[test]
fn rules_that_cannot_be_understood_are_all_reported_with_their_places() {
    let problems = parse(&json!({
        " ": [{"count": "a"}],
        "a": {"count": "a"},
        "b": [],
        "c": [{"add": {"a": 1}}, {"set": {"a": 1}, "count": "b"}, {"set": "x"}, 7],
        "d": [{"set": {"a..b": 1, "b": "$nothing.x", "c": {"d": ["$user_id.x"]}}}, {"count": 1}, {"remove": [1]}],
        "e": [{"set": {"a": 1}, "keep": 3}, {"append": {"a": 1}, "keep": 0}]
    }))
    .unwrap_err();
    let places: Vec<String> = problems.iter().map(|problem| problem.path.join("/")).collect();
    assert_eq!(
        places,
        [
            " ",
            "a",
            "b",
            "c/0/add",
            "c/1",
            "c/2/set",
            "c/3",
            "d/0/set/a..b",
            "d/0/set/b",
            "d/0/set/c/d/0",
            "d/1/count",
            "d/2/remove",
            "e/0",
            "e/1/keep"
        ]
    );
    assert!(parse(&json!({})).is_err());
    let many: serde_json::Map<String, Value> = (0..6).map(|index| (index.to_string(), vec![json!({"count": "a"}); 100].into())).collect();
    assert_eq!(parse(&many.into()).unwrap_err().len(), 1);
}

#[test]
fn of_several_patterns_that_fit_the_one_that_says_more_is_applied_later() {
    let declared = json!({
        "*": [{"set": {"by": "any"}}], "order.*": [{"set": {"by": "order"}}], "*.paid": [{"set": {"by": "paid"}}],
        "order.placed": [{"set": {"by": "exact"}}], "order.place*": [{"set": {"by": "longest"}}]
    });
    let by = |details: Value| fold(&rules(&declared), &history(&[details])).state().to_value()["by"].clone();
    for (event_type, expected) in [("order.placed", "exact"), ("order.placeholder", "longest"), ("order.paid", "order"), ("x", "any")] {
        assert_eq!(by(json!({"type": event_type})), json!(expected), "{event_type}");
    }
}

fn payload() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!("t")),
        (-3..9_i64).prop_map(|number| json!(number)),
        prop_oneof![Just(json!(0.1)), Just(json!(1e300)), Just(json!(2.5))]
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("[abc]", inner, 0..3).prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    })
}

fn details() -> impl Strategy<Value = Value> {
    let data = prop::collection::hash_map(prop_oneof!["[abc]", Just("_events".to_owned())], payload(), 0..4);
    ("[xy](\\.[xy])?", data).prop_map(|(event_type, data)| json!({"type": event_type, "data": data.into_iter().collect::<Value>()}))
}

fn operation() -> impl Strategy<Value = Value> {
    let at = || "[abc](\\.[abc]){0,2}";
    let of = || {
        prop_oneof![
            "\\$data\\.[abc](\\.[abc])?\\??".prop_map(Value::from),
            Just(json!("$event_type")),
            payload(),
            "[abc]".prop_map(|name| json!({"in": format!("$data.{name}?"), "n": ["$stream_version"]})),
        ]
    };
    prop_oneof![
        (prop_oneof![Just("set"), Just("merge"), Just("increment")], at(), of()).prop_map(|(name, at, of)| json!({name: {at: of}})),
        (at(), of(), 1..4).prop_map(|(at, of, keep)| json!({"append": {at: of}, "keep": keep})),
        (prop_oneof![Just("remove"), Just("count")], at()).prop_map(|(name, at)| json!({name: at})),
        Just(json!({"merge": "$data"})),
    ]
}

fn some_rules() -> impl Strategy<Value = Rules> {
    let types = prop_oneof![Just("*".to_owned()), "[xy]\\*", "[xy](\\.[xy])?"];
    let declared = prop::collection::hash_map(types, prop::collection::vec(operation(), 1..4), 1..4);
    let declared =
        declared.prop_map(|rules| rules.into_iter().map(|(types, operations)| (types, Value::from(operations))).collect::<Value>());
    prop_oneof![1 => Just(Rules::standard()), 4 => declared.prop_map(|declared| rules(&declared))]
}

proptest! {
    /// From scratch, event by event, and from a snapshot at every version, a fold comes to the same.
    #[test]
    fn folding_from_any_snapshot_and_from_scratch_agree_at_every_version(rules in some_rules(), events in prop::collection::vec(details(), 1..14)) {
        let events = history(&events);
        let mut followed = Projection::default();
        for (index, event) in events.iter().enumerate() {
            followed.fold(&rules, event);
            prop_assert_eq!(&followed, &fold(&rules, &events[..=index]));
            // As it is stored: through text.
            let stored = serde_json::to_string(&followed.to_snapshot()).unwrap();
            let mut resumed = Projection::from_snapshot(serde_json::from_str(&stored).unwrap()).unwrap();
            prop_assert_eq!(&resumed, &followed);
            for later in &events[index + 1..] {
                resumed.fold(&rules, later);
            }
            prop_assert_eq!(resumed, fold(&rules, &events));
        }
    }

    #[test]
    fn the_version_is_the_number_of_events_and_a_skipped_one_changes_nothing(rules in some_rules(), events in prop::collection::vec(details(), 1..20)) {
        let mut projection = Projection::default();
        let mut skipped = 0;
        for (index, event) in history(&events).iter().enumerate() {
            let before = projection.state();
            let effect = projection.fold(&rules, event);
            skipped += u64::from(effect == Effect::Skipped);
            prop_assert_eq!(projection.progress().version.get(), index as u64 + 1);
            if effect != Effect::Changed {
                prop_assert_eq!(projection.state(), before);
            }
        }
        prop_assert_eq!(projection.progress().skipped, skipped);
    }
}
