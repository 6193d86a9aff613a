//! Upcasters: events of an older schema version, read as if they had been written in a newer one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::document::{Document, Node, Unfit, parse_path};
use super::event::{BodyDigest, EventDetails};
use super::identifiers::{EventType, SchemaVersion};
use super::json::JsonObject;

/// Brings the `data` of one type of event from one schema version to another, whenever it is read. What is stored stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upcaster {
    /// The type of event.
    pub event_type: EventType,
    /// The schema version that it was written in.
    pub from: SchemaVersion,
    /// The schema version that it is read in.
    pub to: SchemaVersion,
    /// What is changed, in this order.
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A member gets another name, in its object.
    Rename { path: Vec<String>, name: String },
    /// A member goes to another place.
    Move { path: Vec<String>, to: Vec<String> },
    /// A member that is missing gets a value.
    Default { path: Vec<String>, value: Node },
}

/// A part of an upcaster's steps cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepProblem {
    /// The number of the step, from 0; none if it is about all of them.
    pub step: Option<usize>,
    /// What is wrong with it.
    pub message: String,
}

impl Upcaster {
    /// The most steps.
    pub const MAX_STEPS: usize = 100;

    /// Reads the steps: a list of objects with one member each. `rename` has an object of new names by path, `move` one of new
    /// paths by path, `default` one of values by path.
    ///
    /// # Errors
    /// Everything that cannot be understood.
    pub fn parse(event_type: EventType, from: SchemaVersion, to: SchemaVersion, steps: &Value) -> Result<Self, Vec<StepProblem>> {
        let all = |message: String| vec![StepProblem { step: None, message }];
        if from == to {
            return Err(all("must lead to another schema version".to_owned()));
        }
        let Some(items) = steps.as_array().filter(|items| (1..=Self::MAX_STEPS).contains(&items.len())) else {
            return Err(all(format!("must be a list of 1 to {} steps", Self::MAX_STEPS)));
        };
        let (mut read, mut problems) = (Vec::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            match parse_step(item) {
                Ok(steps) => read.extend(steps),
                Err(message) => problems.push(StepProblem { step: Some(index), message }),
            }
        }
        if problems.is_empty() { Ok(Self { event_type, from, to, steps: read }) } else { Err(problems) }
    }

    fn apply(&self, data: &mut Document) -> Result<(), Unfit> {
        self.steps.iter().try_for_each(|step| match step {
            Step::Rename { path, name } => {
                let to: Vec<String> = path.iter().take(path.len() - 1).chain([name]).cloned().collect();
                displace(data, path, &to)
            }
            Step::Move { path, to } => displace(data, path, to),
            Step::Default { path, .. } if data.at(path).is_some() => Ok(()),
            Step::Default { path, value } => data.set(path, value.clone()),
        })
    }
}

/// Moves a member, if it is there.
fn displace(data: &mut Document, from: &[String], to: &[String]) -> Result<(), Unfit> {
    let Some(node) = data.at(from).cloned() else { return Ok(()) };
    data.remove(from)?;
    data.set(to, node)
}

fn parse_step(item: &Value) -> Result<Vec<Step>, String> {
    const NAMES: &str = "must be an object with one of rename, move and default";
    let members = item.as_object().ok_or(NAMES)?;
    let (Some((name, operand)), 1) = (members.iter().next(), members.len()) else { return Err(NAMES.to_owned()) };
    let operand = operand.as_object().ok_or_else(|| format!("{name} must be an object by path"))?;
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| format!("{name}: {value} must be a text"));
    let step = |(path, value): (&String, &Value)| {
        let path = parse_path(path).map_err(|error| error.to_string())?;
        Ok(match name.as_str() {
            "rename" => Step::Rename { path, name: text(value).and_then(|name| only_name(&name))? },
            "move" => Step::Move { path, to: text(value).and_then(|to| parse_path(&to).map_err(|error| error.to_string()))? },
            "default" => Step::Default { path, value: Node::parse(&value.to_string()).map_err(|error| error.to_string())? },
            _ => return Err(NAMES.to_owned()),
        })
    };
    operand.iter().map(step).collect()
}

fn only_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('.') {
        return Err(format!("{text:?} is no name; a member goes to another place by move"));
    }
    Ok(text.to_owned())
}

/// All upcasters, by what they are for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upcasters(BTreeMap<(EventType, SchemaVersion), Upcaster>);

impl Upcasters {
    /// These upcasters; of two for the same type and version, the last.
    pub fn new(upcasters: impl IntoIterator<Item = Upcaster>) -> Self {
        Self(upcasters.into_iter().map(|upcaster| ((upcaster.event_type.clone(), upcaster.from.clone()), upcaster)).collect())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells them from others: 0 for none.
    #[must_use]
    pub fn digest(&self) -> u32 {
        if self.is_empty() {
            return 0;
        }
        let digest = BodyDigest::of(format!("{:?}", self.0).as_bytes()).0;
        u32::try_from(digest >> 96).unwrap_or_default().max(1)
    }

    /// Whether one more would let some event be read for ever: it leads back to where it starts.
    #[must_use]
    pub fn would_loop(&self, upcaster: &Upcaster) -> bool {
        let mut at = &upcaster.to;
        // One step for each there is: more would go through one of them twice.
        for _ in 0..=self.0.len() {
            if *at == upcaster.from {
                return true;
            }
            match self.0.get(&(upcaster.event_type.clone(), at.clone())) {
                Some(next) => at = &next.to,
                None => return false,
            }
        }
        true
    }

    /// The event as its newest schema version has it, through one upcaster after the other. Where one of them cannot be
    /// applied, it stays in the version that it has come to.
    #[must_use]
    pub fn upcast(&self, details: EventDetails) -> EventDetails {
        let mut details = details;
        for _ in 0..self.0.len() {
            let Some(upcaster) = self.0.get(&(details.event_type.clone(), details.schema_version.clone())) else { break };
            let Some(mut data) = Document::parse(details.data.as_str()) else { break };
            let Some(upcast) = upcaster.apply(&mut data).ok().and_then(|()| JsonObject::parse(&data.to_json()).ok()) else { break };
            details.data = upcast;
            details.schema_version = upcaster.to.clone();
        }
        details
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn upcaster(from: &str, to: &str, steps: &Value) -> Result<Upcaster, Vec<StepProblem>> {
        Upcaster::parse("order.placed".parse().unwrap(), from.parse().unwrap(), to.parse().unwrap(), steps)
    }

    fn all() -> Upcasters {
        Upcasters::new([
            upcaster("1.0.0", "2.0.0", &json!([{"rename": {"customer.mail": "email"}}, {"default": {"currency": "EUR"}}])).unwrap(),
            upcaster("2.0.0", "3.0.0", &json!([{"move": {"sum": "amount.total", "currency": "amount.currency"}}])).unwrap(),
        ])
    }

    fn details(event_type: &str, version: &str, data: &str) -> EventDetails {
        serde_json::from_str(&format!(r#"{{"type":"{event_type}","version":"{version}","data":{data}}}"#)).unwrap()
    }

    #[test]
    fn an_event_is_read_in_the_newest_version_through_every_upcaster_on_the_way() {
        for (version, data, expected) in [
            (
                "1.0.0",
                r#"{"customer":{"mail":"a@x.org"},"sum":123456789012345678901234567890}"#,
                r#"{"amount":{"currency":"EUR","total":123456789012345678901234567890},"customer":{"email":"a@x.org"}}"#,
            ),
            ("1.0.0", r#"{"currency":"USD"}"#, r#"{"amount":{"currency":"USD"}}"#),
            ("2.0.0", r#"{"sum":1.50}"#, r#"{"amount":{"total":1.50}}"#),
        ] {
            let read = all().upcast(details("order.placed", version, data));
            assert_eq!((read.schema_version.as_str(), read.data.as_str()), ("3.0.0", expected), "{data}");
        }
        for (event_type, version) in [("order.placed", "3.0.0"), ("order.placed", "0.9.0"), ("order.paid", "1.0.0")] {
            let other = details(event_type, version, r#"{"sum":1}"#);
            assert_eq!(all().upcast(other.clone()), other);
        }
    }

    #[test]
    fn an_event_that_an_upcaster_cannot_be_applied_to_stays_in_the_version_before() {
        let read = all().upcast(details("order.placed", "1.0.0", r#"{"amount":7,"sum":1}"#));
        assert_eq!((read.schema_version.as_str(), read.data.as_str()), ("2.0.0", r#"{"amount":7,"currency":"EUR","sum":1}"#));
    }

    #[test]
    fn an_upcaster_that_leads_back_is_known_before_it_is_kept() {
        let step = json!([{"default": {"a": 1}}]);
        for (from, to, loops) in [("3.0.0", "1.0.0", true), ("3.0.0", "2.0.0", true), ("3.0.0", "4.0.0", false), ("0.1.0", "1.0.0", false)]
        {
            assert_eq!(all().would_loop(&upcaster(from, to, &step).unwrap()), loops, "{from} to {to}");
        }
        let endless = Upcasters::new([upcaster("1.0.0", "2.0.0", &step).unwrap(), upcaster("2.0.0", "1.0.0", &step).unwrap()]);
        assert_eq!(endless.upcast(details("order.placed", "1.0.0", "{}")).data.as_str(), r#"{"a":1}"#);
    }

    #[test]
    fn steps_that_cannot_be_understood_are_reported_together() {
        let problems = upcaster(
            "1.0.0",
            "2.0.0",
            &json!([{"rename": {"a": "b.c"}}, {"move": {"a..b": "c"}}, {"default": {"a": 1}}, {"drop": {"a": 1}}, {"rename": 1}, 7, {"move": {"a": 1}}]),
        );
        let numbers: Vec<Option<usize>> = problems.unwrap_err().into_iter().map(|problem| problem.step).collect();
        assert_eq!(numbers, [Some(0), Some(1), Some(3), Some(4), Some(5), Some(6)]);
        for (from, to, steps) in
            [("1.0.0", "1.0.0", json!([{"default": {"a": 1}}])), ("1.0.0", "2.0.0", json!([])), ("1.0.0", "2.0.0", json!({}))]
        {
            assert_eq!(upcaster(from, to, &steps).unwrap_err().len(), 1);
        }
    }
}
