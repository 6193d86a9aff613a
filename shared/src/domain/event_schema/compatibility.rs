//! Whether what was written by one schema fits another.

use serde_json::{Map, Value};

use crate::domain::json::JsonObject;

/// How deep schemas are compared.
const MAX_DEPTH: usize = 32;

/// Where the newer schema may refuse what the older one took: nothing if every event that fits the older one fits the newer one, as far
/// as types, required members, closed objects, constants, limits and lists of values go. Other keywords are not compared.
#[must_use]
pub fn incompatibilities(older: &JsonObject, newer: &JsonObject) -> Vec<String> {
    let mut found = Vec::new();
    compare(&older.to_value(), &newer.to_value(), "data", 0, &mut found);
    found
}

fn compare(older: &Value, newer: &Value, place: &str, depth: usize, found: &mut Vec<String>) {
    let (Some(older), Some(newer)) = (members(older), members(newer)) else {
        if *newer == Value::Bool(false) && *older != Value::Bool(false) {
            found.push(format!("{place} is not allowed any more"));
        }
        return;
    };
    if depth > MAX_DEPTH {
        return;
    }
    types(&older, &newer, place, found);
    values(&older, &newer, place, found);
    limits(&older, &newer, place, found);
    required(&older, &newer, place, found);
    properties(&older, &newer, place, depth, found);
    if let Some(items) = newer.get("items") {
        let anything = Value::Bool(true);
        compare(older.get("items").unwrap_or(&anything), items, &format!("{place}[]"), depth + 1, found);
    }
}

/// The keywords of a schema; `true` has none.
fn members(schema: &Value) -> Option<Map<String, Value>> {
    match schema {
        Value::Object(members) => Some(members.clone()),
        Value::Bool(true) => Some(Map::new()),
        Value::Bool(false) | Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

fn words(value: Option<&Value>) -> Option<Vec<String>> {
    match value? {
        Value::String(word) => Some(vec![word.clone()]),
        Value::Array(words) => Some(words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn types(older: &Map<String, Value>, newer: &Map<String, Value>, place: &str, found: &mut Vec<String>) {
    let Some(now) = words(newer.get("type")) else { return };
    let allows = |kind: &str| now.iter().any(|allowed| allowed == kind || (allowed == "number" && kind == "integer"));
    match words(older.get("type")) {
        None => found.push(format!("{place} must be {} now", now.join(" or "))),
        Some(before) => {
            let gone: Vec<String> = before.into_iter().filter(|kind| !allows(kind)).collect();
            if !gone.is_empty() {
                found.push(format!("{place} may not be {} any more", gone.join(" or ")));
            }
        }
    }
}

/// The values that are allowed, if they are listed.
fn listed(schema: &Map<String, Value>) -> Option<Vec<Value>> {
    schema.get("const").map(|value| vec![value.clone()]).or_else(|| schema.get("enum")?.as_array().cloned())
}

fn values(older: &Map<String, Value>, newer: &Map<String, Value>, place: &str, found: &mut Vec<String>) {
    let Some(now) = listed(newer) else { return };
    match listed(older) {
        None => found.push(format!("{place} must be one of a list now")),
        Some(before) => {
            let gone: Vec<String> = before.iter().filter(|value| !now.contains(value)).map(Value::to_string).collect();
            if !gone.is_empty() {
                found.push(format!("{place} may not be {} any more", gone.join(" or ")));
            }
        }
    }
}

fn limits(older: &Map<String, Value>, newer: &Map<String, Value>, place: &str, found: &mut Vec<String>) {
    let least = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
    let most = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
    for (names, rises) in [(least, true), (most, false)] {
        for name in names {
            let Some(now) = newer.get(name).and_then(Value::as_f64) else { continue };
            let before = older.get(name).and_then(Value::as_f64);
            if before.is_none_or(|before| if rises { now > before } else { now < before }) {
                found.push(format!("{place} has a closer {name}"));
            }
        }
    }
    for name in ["pattern", "format"] {
        if newer.get(name).is_some_and(|now| older.get(name) != Some(now)) {
            found.push(format!("{place} has another {name}"));
        }
    }
}

fn required(older: &Map<String, Value>, newer: &Map<String, Value>, place: &str, found: &mut Vec<String>) {
    let before = words(older.get("required")).unwrap_or_default();
    for name in words(newer.get("required")).unwrap_or_default() {
        if !before.contains(&name) {
            found.push(format!("{place}.{name} is required now"));
        }
    }
}

fn properties(older: &Map<String, Value>, newer: &Map<String, Value>, place: &str, depth: usize, found: &mut Vec<String>) {
    let of = |schema: &Map<String, Value>| schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let (before, now) = (of(older), of(newer));
    let others = |schema: &Map<String, Value>| schema.get("additionalProperties").cloned().unwrap_or(Value::Bool(true));
    let (others_before, others_now) = (others(older), others(newer));
    for (name, schema) in &now {
        let was = before.get(name).unwrap_or(&others_before);
        // What was not allowed is in no event.
        if *was != Value::Bool(false) {
            compare(was, schema, &format!("{place}.{name}"), depth + 1, found);
        }
    }
    for name in before.keys().filter(|name| !now.contains_key(*name)) {
        if others_now == Value::Bool(false) {
            found.push(format!("{place}.{name} is not allowed any more"));
        }
    }
    if others_now == Value::Bool(false) && others_before != Value::Bool(false) {
        found.push(format!("{place} may have no other members any more"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::event_schema::CompiledSchema;

    fn object(value: &Value) -> JsonObject {
        JsonObject::parse(&value.to_string()).unwrap()
    }

    #[test]
    fn what_may_refuse_older_events_is_named() {
        let older = json!({"properties": {"total": {"type": "number"}, "state": {"enum": ["a", "b"]}, "lines": {"items": {"type": "string"}}}, "required": ["total"]});
        for (newer, expected) in [
            (older.clone(), vec![]),
            (json!({}), vec![]),
            (json!({"properties": {"note": {}}}), vec![]),
            (json!({"properties": {"state": {"enum": ["a", "b", "c"]}}}), vec![]),
            (json!({"required": ["total", "currency"]}), vec!["data.currency is required now"]),
            (json!({"properties": {"total": {"type": "integer"}}}), vec!["data.total may not be number any more"]),
            (json!({"properties": {"state": {"enum": ["a"]}}}), vec!["data.state may not be \"b\" any more"]),
            (json!({"properties": {"lines": {"items": {"type": "number"}}}}), vec!["data.lines[] may not be string any more"]),
            (json!({"properties": {"note": {"type": "string"}}}), vec!["data.note must be string now"]),
            (json!({"properties": {"total": {"type": "number", "minimum": 0}}}), vec!["data.total has a closer minimum"]),
            (json!({"properties": {"total": false}}), vec!["data.total is not allowed any more"]),
        ] {
            assert_eq!(incompatibilities(&object(&older), &object(&newer)), expected, "{newer}");
        }
        let closed = json!({"properties": {"total": {}}, "additionalProperties": false});
        let found = incompatibilities(&object(&older), &object(&closed));
        assert_eq!(
            found,
            ["data.lines is not allowed any more", "data.state is not allowed any more", "data may have no other members any more"]
        );
    }

    fn schema(depth: u32) -> BoxedStrategy<Value> {
        let kind = prop_oneof![
            Just(json!("string")),
            Just(json!("number")),
            Just(json!("integer")),
            Just(json!(["string", "null"])),
            Just(json!("object"))
        ];
        let leaf = (
            proptest::option::of(kind),
            proptest::option::of(0..3_i64),
            proptest::option::of(prop::sample::subsequence(vec![json!(1), json!("a"), json!(null)], 1..3)),
        )
            .prop_map(|(kind, minimum, values)| {
                let mut schema = Map::new();
                schema.extend(kind.map(|kind| ("type".to_owned(), kind)));
                schema.extend(minimum.map(|minimum| ("minimum".to_owned(), json!(minimum))));
                schema.extend(values.map(|values| ("enum".to_owned(), json!(values))));
                Value::Object(schema)
            });
        if depth == 0 {
            return leaf.boxed();
        }
        let properties = prop::collection::btree_map("[ab]", schema(depth - 1), 0..3);
        let object =
            (properties, prop::sample::subsequence(vec!["a", "b"], 0..3), any::<bool>()).prop_map(|(properties, required, closed)| {
                let mut schema = json!({"properties": properties, "required": required});
                if closed {
                    schema["additionalProperties"] = json!(false);
                }
                schema
            });
        prop_oneof![1 => leaf, 2 => object].boxed()
    }

    fn value(depth: u32) -> BoxedStrategy<Value> {
        let leaf = prop_oneof![Just(json!(null)), Just(json!("a")), Just(json!(1)), Just(json!(1.5)), Just(json!(-1)), Just(json!({}))];
        if depth == 0 {
            return leaf.boxed();
        }
        prop_oneof![1 => leaf, 3 => prop::collection::btree_map("[abc]", value(depth - 1), 0..4).prop_map(|members| json!(members))].boxed()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// An event that fits the older schema fits a newer one that is compatible with it.
        #[test]
        fn what_is_compatible_refuses_no_older_event(older in schema(2), newer in schema(2), data in prop::collection::btree_map("[abc]", value(2), 0..4)) {
            let (older, newer, data) = (object(&older), object(&newer), object(&json!(data)));
            if incompatibilities(&older, &newer).is_empty() && CompiledSchema::new(&older).unwrap().violations(&data).is_empty() {
                prop_assert_eq!(CompiledSchema::new(&newer).unwrap().violations(&data), []);
            }
        }
    }
}
