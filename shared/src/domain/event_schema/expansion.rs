//! How large a schema is with its references followed: a few that lead to one another twice each stand for more than any event could
//! be held to.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Whether the schema has more parts than that, those counted again that a reference leads to again. One that leads back to where it
/// stands is not followed: how often it is depends on the event.
pub(super) fn is_beyond(schema: &Value, most: usize) -> bool {
    let mut count = Count { root: schema, named: HashMap::new(), left: most, under_way: Vec::new() };
    count.name(schema);
    count.parts(schema).is_none()
}

struct Count<'s> {
    root: &'s Value,
    /// The parts that have a name of their own.
    named: HashMap<&'s str, &'s Value>,
    left: usize,
    /// Where the references led that are followed now.
    under_way: Vec<*const Value>,
}

/// The members that give a part a name.
const NAMES: [&str; 3] = ["$anchor", "$dynamicAnchor", "$id"];
/// The members that refer to another part.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// The members that hold parts which nothing is held to unless a reference leads there.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

impl<'s> Count<'s> {
    fn name(&mut self, part: &'s Value) {
        match part {
            Value::Object(members) => {
                for name in NAMES.iter().filter_map(|name| members.get(*name)?.as_str()) {
                    self.named.insert(name, part);
                }
                members.values().for_each(|member| self.name(member));
            }
            Value::Array(items) => items.iter().for_each(|item| self.name(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Counts a part and all that it stands for. None if that is too much.
    fn parts(&mut self, part: &'s Value) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        match part {
            Value::Object(members) => {
                for reference in REFERENCES.iter().filter_map(|name| members.get(*name)?.as_str()) {
                    self.follow(reference)?;
                }
                members.iter().filter(|(name, _)| !DEFINITIONS.contains(&name.as_str())).try_for_each(|(_, member)| self.parts(member))
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.parts(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(()),
        }
    }

    fn follow(&mut self, reference: &'s str) -> Option<()> {
        let Some(target) = self.target(reference) else { return Some(()) };
        let place: *const Value = target;
        if self.under_way.contains(&place) {
            return Some(());
        }
        self.under_way.push(place);
        let counted = self.parts(target);
        self.under_way.pop();
        counted
    }

    /// What a reference leads to. What it does not find is no part of the schema, and is refused elsewhere.
    fn target(&self, reference: &'s str) -> Option<&'s Value> {
        let (base, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let base = if base.is_empty() { self.root } else { self.by_name(base)? };
        if fragment.is_empty() {
            return Some(base);
        }
        let pointer = percent_decode_str(fragment).decode_utf8_lossy();
        base.pointer(&pointer).or_else(|| self.root.pointer(&pointer)).or_else(|| self.by_name(fragment))
    }

    /// The part of this name. A relative one is taken for any that ends with it.
    fn by_name(&self, name: &str) -> Option<&'s Value> {
        let ends = || self.named.iter().find(|(known, _)| known.ends_with(name)).map(|(_, part)| *part);
        self.named.get(name).copied().or_else(ends)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Each of them twice the next.
    fn doubling(count: usize, reference: impl Fn(usize) -> String) -> Value {
        let part = |number: usize| {
            let next = json!({"$ref": reference(number + 1)});
            let body = if number == count { json!({"minProperties": 0}) } else { json!({"allOf": [next.clone(), next]}) };
            let mut body = body.as_object().cloned().unwrap_or_default();
            body.insert("$anchor".to_owned(), format!("a{number}").into());
            (format!("d{number}"), Value::Object(body))
        };
        let definitions: serde_json::Map<String, Value> = (1..=count).map(part).collect();
        json!({"$defs": definitions, "$ref": reference(1)})
    }

    #[test]
    fn references_that_double_are_beyond_any_measure_and_a_few_are_not() {
        for reference in [|number| format!("#/$defs/d{number}"), |number| format!("#a{number}"), |number| format!("#/%24defs/d{number}")] {
            assert!(is_beyond(&doubling(50, reference), 10_000));
            assert!(!is_beyond(&doubling(5, reference), 10_000));
        }
    }

    #[test]
    fn a_schema_that_leads_back_to_itself_is_as_large_as_it_is() {
        let tree =
            json!({"$defs": {"node": {"properties": {"left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#"}}}}, "$ref": "#/$defs/node"});
        assert!(!is_beyond(&tree, 100));
        assert!(is_beyond(&tree, 3));
    }
}
