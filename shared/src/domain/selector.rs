//! Selectors: which events a processor or a subscription is about.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::category::EventCategory;
use super::event::{Event, EventDetails};
use super::identifiers::EventType;
use super::json::JsonObject;
use super::query::{holds, member};
use super::source::EventSource;

/// An event type, or many: `*` stands for any run of characters, also of none and across dots.
///
/// Invariant: not blank, at most [`EventType::MAX_CHARS`] characters, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TypePattern(String);

/// Why a text is no pattern of event types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TypePatternError {
    /// Nothing, or only white space.
    #[error("must not be empty or blank")]
    Blank,
    /// Longer than any event type.
    #[error("must have at most {} characters", EventType::MAX_CHARS)]
    TooLong,
    /// A control character.
    #[error("must not hold control characters")]
    Control,
}

impl TypePattern {
    /// The pattern's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the type is one of those that the pattern stands for.
    #[must_use]
    pub fn matches(&self, event_type: &EventType) -> bool {
        let mut parts = self.0.split('*');
        let text = event_type.as_str();
        let (Some(first), last) = (parts.next(), parts.next_back()) else { return false };
        let Some(last) = last else { return text == first };
        // What stands before the first and after the last star is fixed; the rest is found from the left, each as early
        // as can be, which leaves the most for those that follow.
        let Some(mut rest) = text.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

impl TryFrom<String> for TypePattern {
    type Error = TypePatternError;

    fn try_from(text: String) -> Result<Self, TypePatternError> {
        if text.trim().is_empty() {
            Err(TypePatternError::Blank)
        } else if text.chars().count() > EventType::MAX_CHARS {
            Err(TypePatternError::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(TypePatternError::Control)
        } else {
            Ok(Self(text))
        }
    }
}

impl FromStr for TypePattern {
    type Err = TypePatternError;

    fn from_str(text: &str) -> Result<Self, TypePatternError> {
        Self::try_from(text.to_owned())
    }
}

impl From<TypePattern> for String {
    fn from(pattern: TypePattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for TypePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Which events. Every part that says anything must hold; an empty list says nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Selector {
    /// The types.
    pub types: Vec<TypePattern>,
    /// The sources.
    pub sources: Vec<EventSource>,
    /// The categories.
    pub categories: Vec<EventCategory>,
    /// What the payload must hold.
    pub data: Vec<DataCondition>,
}

/// What must hold of one member of the payload.
#[derive(Debug, Clone, PartialEq)]
pub struct DataCondition {
    /// The member's name, or its dotted path.
    pub path: String,
    /// What must hold of it.
    pub test: DataTest,
}

/// A test of one member of the payload.
#[derive(Debug, Clone, PartialEq)]
pub enum DataTest {
    /// It is equal; an object in part.
    Equals(Value),
    /// It is equal to one of these.
    In(Vec<Value>),
    /// It is there, or not.
    Exists(bool),
    /// It is a number that compares so.
    Compares(Comparison, f64),
    /// It is a text that starts so.
    Prefix(String),
}

/// How two numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
    /// Less.
    Less,
    /// Less or equal.
    LessOrEqual,
}

/// A part of `filters` cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorProblem {
    /// The steps to it, from `filters`.
    pub path: Vec<String>,
    /// What is wrong with it.
    pub message: String,
}

/// One thing that was asked of an event, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: `event_type`, `data.total`.
    pub field: String,
    /// What it must be, in words.
    pub expected: String,
    /// What it is.
    pub actual: Value,
    /// Whether that will do.
    pub matches: bool,
}

/// The most conditions and the most alternatives of a selector.
pub const MAX_CONDITIONS: usize = 100;

impl Selector {
    /// Reads `filters`: `event_type` (or `event_types`, and so on), `event_source` and `event_category`, each one or a list, and `data`, an object of
    /// conditions by path. Members of other names are ignored, as everywhere.
    ///
    /// # Errors
    /// Everything that cannot be understood.
    pub fn parse(filters: &JsonObject) -> Result<Self, Vec<SelectorProblem>> {
        let value = filters.to_value();
        let mut problems = Vec::new();
        let types = words(&value, ["event_type", "event_types"], "an event type", &mut problems);
        let sources = words(&value, ["event_source", "event_sources"], "a known event source", &mut problems);
        let categories = words(&value, ["event_category", "event_categories"], "a known event category", &mut problems);
        let mut data = Vec::new();
        match value.get("data") {
            None | Some(Value::Null) => {}
            Some(Value::Object(members)) => conditions(members, &mut data, &mut problems),
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                problems.push(problem(&["data"], "must be an object of conditions by path"));
            }
        }
        if problems.is_empty() { Ok(Self { types, sources, categories, data }) } else { Err(problems) }
    }

    /// Whether the event is one of those meant.
    #[must_use]
    pub fn matches(&self, details: &EventDetails) -> bool {
        (self.types.is_empty() || self.types.iter().any(|pattern| pattern.matches(&details.event_type)))
            && (self.sources.is_empty() || self.sources.contains(&details.source))
            && (self.categories.is_empty() || self.categories.contains(&details.category))
            && (self.data.is_empty() || {
                let data = details.data.to_value();
                self.data.iter().all(|condition| condition.holds(&data))
            })
    }

    /// Everything that is asked of an event, and whether it holds.
    #[must_use]
    pub fn explain(&self, event: &Event) -> Vec<Check> {
        let details = &event.details;
        let mut checks = Vec::new();
        if !self.types.is_empty() {
            checks.push(Check {
                field: "event_type".to_owned(),
                expected: one_of(self.types.iter().map(TypePattern::as_str)),
                actual: details.event_type.as_str().into(),
                matches: self.types.iter().any(|pattern| pattern.matches(&details.event_type)),
            });
        }
        if !self.sources.is_empty() {
            checks.push(Check {
                field: "event_source".to_owned(),
                expected: one_of(self.sources.iter().map(|source| source.as_str())),
                actual: details.source.as_str().into(),
                matches: self.sources.contains(&details.source),
            });
        }
        if !self.categories.is_empty() {
            checks.push(Check {
                field: "event_category".to_owned(),
                expected: one_of(self.categories.iter().map(|category| category.as_str())),
                actual: details.category.as_str().into(),
                matches: self.categories.contains(&details.category),
            });
        }
        let data = details.data.to_value();
        checks.extend(self.data.iter().map(|condition| Check {
            field: format!("data.{}", condition.path),
            expected: condition.test.to_string(),
            actual: member(&data, &condition.path).cloned().unwrap_or(Value::Null),
            matches: condition.holds(&data),
        }));
        checks
    }
}

impl DataCondition {
    fn holds(&self, data: &Value) -> bool {
        let actual = member(data, &self.path);
        match &self.test {
            DataTest::Equals(wanted) => actual.is_some_and(|actual| holds(wanted, actual)),
            DataTest::In(wanted) => actual.is_some_and(|actual| wanted.iter().any(|wanted| holds(wanted, actual))),
            DataTest::Exists(exists) => actual.is_some() == *exists,
            DataTest::Compares(comparison, bound) => actual.and_then(Value::as_f64).is_some_and(|number| comparison.holds(number, *bound)),
            DataTest::Prefix(prefix) => actual.and_then(Value::as_str).is_some_and(|text| text.starts_with(prefix)),
        }
    }
}

impl Comparison {
    /// Every comparison.
    pub const ALL: &'static [Self] = &[Self::Greater, Self::GreaterOrEqual, Self::Less, Self::LessOrEqual];

    /// The word in `filters`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Greater => "gt",
            Self::GreaterOrEqual => "gte",
            Self::Less => "lt",
            Self::LessOrEqual => "lte",
        }
    }

    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Self::Greater => number > bound,
            Self::GreaterOrEqual => number >= bound,
            Self::Less => number < bound,
            Self::LessOrEqual => number <= bound,
        }
    }
}

impl fmt::Display for DataTest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(value) => write!(formatter, "equal to {value}"),
            Self::In(values) => formatter.write_str(&one_of(values)),
            Self::Exists(true) => formatter.write_str("there"),
            Self::Exists(false) => formatter.write_str("not there"),
            Self::Compares(comparison, bound) => write!(formatter, "{} {bound}", comparison.as_str()),
            Self::Prefix(prefix) => write!(formatter, "a text that starts with {prefix:?}"),
        }
    }
}

fn one_of<T: fmt::Display>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    match values.as_slice() {
        [only] => only.clone(),
        _ => format!("one of {}", values.join(", ")),
    }
}

fn problem(path: &[&str], message: impl Into<String>) -> SelectorProblem {
    SelectorProblem { path: path.iter().map(|step| (*step).to_owned()).collect(), message: message.into() }
}

/// One word or a list of words.
fn words<T: FromStr>(value: &Value, names: [&str; 2], what: &str, problems: &mut Vec<SelectorProblem>) -> Vec<T> {
    // Subscriptions have the plural, so it is bound to be written here as well.
    let [singular, plural] = names;
    let name = if value.get(plural).is_some() { plural } else { singular };
    let given: Vec<&Value> = match value.get(name) {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_))) => vec![one],
    };
    if given.is_empty() || given.len() > MAX_CONDITIONS {
        problems.push(problem(&[name], format!("must name 1 to {MAX_CONDITIONS}; leave it out for any")));
        return Vec::new();
    }
    let mut read = Vec::with_capacity(given.len());
    for item in given {
        match item.as_str().and_then(|text| text.parse().ok()) {
            Some(word) => read.push(word),
            None => problems.push(problem(&[name], format!("{item} is not {what}"))),
        }
    }
    read
}

fn conditions(members: &Map<String, Value>, found: &mut Vec<DataCondition>, problems: &mut Vec<SelectorProblem>) {
    for (path, wanted) in members {
        let mut add = |test: DataTest| found.push(DataCondition { path: path.clone(), test });
        match wanted {
            Value::Array(alternatives) => add(DataTest::In(alternatives.clone())),
            Value::Object(tests) if !tests.is_empty() && tests.keys().all(|name| is_operator(name)) => {
                for (name, operand) in tests {
                    match test(name, operand) {
                        Ok(test) => add(test),
                        Err(message) => problems.push(problem(&["data", path, name], message)),
                    }
                }
            }
            // Any other object is compared in part, as queries do.
            Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => add(DataTest::Equals(wanted.clone())),
        }
    }
    if found.len() > MAX_CONDITIONS {
        problems.push(problem(&["data"], format!("must have at most {MAX_CONDITIONS} conditions")));
    }
}

fn is_operator(name: &str) -> bool {
    matches!(name, "equals" | "in" | "exists" | "prefix") || Comparison::ALL.iter().any(|comparison| comparison.as_str() == name)
}

fn test(name: &str, operand: &Value) -> Result<DataTest, &'static str> {
    match (name, operand) {
        ("equals", value) => Ok(DataTest::Equals(value.clone())),
        ("in", Value::Array(values)) => Ok(DataTest::In(values.clone())),
        ("in", _) => Err("must be a list"),
        ("exists", Value::Bool(exists)) => Ok(DataTest::Exists(*exists)),
        ("exists", _) => Err("must be true or false"),
        ("prefix", Value::String(prefix)) => Ok(DataTest::Prefix(prefix.clone())),
        ("prefix", _) => Err("must be a text"),
        (comparison, bound) => {
            let comparison = Comparison::ALL.iter().find(|known| known.as_str() == comparison).ok_or("is not a known test")?;
            bound.as_f64().map(|bound| DataTest::Compares(*comparison, bound)).ok_or("must be a number")
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn selector(filters: &Value) -> Selector {
        Selector::parse(&JsonObject::parse(&filters.to_string()).unwrap()).unwrap()
    }

    fn details(event: &Value) -> EventDetails {
        serde_json::from_value(event.clone()).unwrap()
    }

    #[test]
    fn a_pattern_stands_for_every_type_that_fits_around_its_stars() {
        for (pattern, fitting, others) in [
            ("user.created", &["user.created"][..], &["user.createdx", "user.create", "xuser.created"][..]),
            ("user.*", &["user.created", "user.", "user.a.b"], &["user", "xuser.a"]),
            ("*", &["a", "a.b"], &[]),
            ("*.created", &["user.created", ".created"], &["created", "user.created.x"]),
            ("a*b*c", &["abc", "axbxc", "abcbc"], &["ab", "acb", "abcx"]),
            ("a*a", &["aa", "aba"], &["a"]),
            ("**", &["x"], &[]),
        ] {
            let pattern: TypePattern = pattern.parse().unwrap();
            for text in fitting {
                assert!(pattern.matches(&text.parse().unwrap()), "{pattern} {text}");
            }
            for text in others {
                assert!(!pattern.matches(&text.parse().unwrap()), "{pattern} {text}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_pattern_made_of_a_type_by_putting_stars_for_pieces_fits_it(text in "[a-c.]{1,12}", cuts in proptest::collection::vec((0..13_usize, 0..13_usize), 0..3)) {
            let mut pattern = text.clone();
            for (from, to) in cuts {
                let (from, to) = (from.min(to).min(pattern.len()), from.max(to).min(pattern.len()));
                pattern.replace_range(from..to, "*");
            }
            let pattern: TypePattern = pattern.parse().unwrap();
            prop_assert!(pattern.matches(&text.parse().unwrap()), "{} {}", pattern, text);
        }
    }

    #[test]
    fn a_selector_without_parts_means_every_event() {
        assert!(selector(&json!({})).matches(&details(&json!({"type": "a"}))));
        assert!(selector(&json!({"event_type": null, "data": null, "unknown": 1})).matches(&details(&json!({"type": "a"}))));
    }

    #[test]
    fn every_part_that_says_anything_must_hold() {
        let event = details(&json!({
            "type": "order.placed", "source": "backend", "category": "order",
            "data": {"total": 49.9, "state": "paid", "items": [{"sku": "A-1"}], "address": {"city": "Oslo", "zip": "1"}}
        }));
        for (filters, expected) in [
            (json!({"event_type": "order.*"}), true),
            (json!({"event_type": ["a", "order.placed"], "event_source": ["backend"], "event_category": "order"}), true),
            (json!({"event_type": "order.*", "event_category": ["payment", "task"]}), false),
            (json!({"event_source": "frontend"}), false),
            (json!({"event_types": ["order.*"], "event_sources": ["backend"], "event_categories": "order"}), true),
            (json!({"event_types": ["user.*"]}), false),
            (json!({"data": {"state": "paid"}}), true),
            (json!({"data": {"state": "open"}}), false),
            (json!({"data": {"state": ["open", "paid"]}}), true),
            (json!({"data": {"state": {"in": ["open"]}}}), false),
            (json!({"data": {"total": {"gt": 49, "lte": 49.9}}}), true),
            (json!({"data": {"total": {"gte": 50}}}), false),
            (json!({"data": {"state": {"gt": 1}}}), false),
            (json!({"data": {"coupon": {"exists": false}, "total": {"exists": true}}}), true),
            (json!({"data": {"coupon": {"exists": true}}}), false),
            (json!({"data": {"items.0.sku": {"prefix": "A-"}}}), true),
            (json!({"data": {"items.0.sku": {"prefix": "B"}}}), false),
            (json!({"data": {"address": {"city": "Oslo"}}}), true),
            (json!({"data": {"address.city": {"equals": "Oslo"}}}), true),
        ] {
            assert_eq!(selector(&filters).matches(&event), expected, "{filters}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_reported_together() {
        let filters =
            json!({"event_type": ["", 1], "event_source": "nowhere", "event_category": [], "data": {"a": {"gt": "x"}, "b": {"in": 1}}});
        let problems = Selector::parse(&JsonObject::parse(&filters.to_string()).unwrap()).unwrap_err();
        let paths: Vec<String> = problems.iter().map(|problem| problem.path.join(".")).collect();
        assert_eq!(paths, ["event_type", "event_type", "event_source", "event_category", "data.a.gt", "data.b.in"]);
    }
}
