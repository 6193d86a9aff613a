//! A JSON document that events change. What they wrote stays as they wrote it, long numbers included.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::value::RawValue;

/// A JSON value, open for change. Copies share what they hold until one of them is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// An object, its members by name.
    Object(Arc<BTreeMap<String, Node>>),
    /// A list.
    List(Arc<Vec<Node>>),
    /// Anything else, as its text.
    Leaf(Box<str>),
}

/// A text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no path: names with dots between them, at most {MAX_STEPS}")]
pub(crate) struct NoPath(String);

/// The most names of a path.
pub(super) const MAX_STEPS: usize = 16;

/// Reads a path: names with dots between them.
pub(crate) fn parse_path(text: &str) -> Result<Vec<String>, NoPath> {
    let steps: Vec<String> = text.split('.').map(str::to_owned).collect();
    if steps.len() > MAX_STEPS || steps.iter().any(String::is_empty) { Err(NoPath(text.to_owned())) } else { Ok(steps) }
}

/// Why a document cannot be changed as a rule says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// A rule needs something that the event does not have.
    #[error("the event has no {0}")]
    Absent(String),
    /// A rule goes through something that has no members.
    #[error("{0} is not an object")]
    NotAnObject(String),
    /// A rule adds to something that is no list.
    #[error("{0} is not a list")]
    NotAList(String),
    /// A rule counts with something that is no number.
    #[error("{0} is not a number")]
    NotANumber(String),
    /// A sum is beyond what a number holds.
    #[error("{0} would be beyond the range of a number")]
    OutOfRange(String),
    /// The document would be too long.
    #[error("the state would have more than {} bytes", Document::MAX_BYTES)]
    TooLong,
    /// The document would be nested too deeply.
    #[error("the state would be more than {} levels deep", Document::MAX_DEPTH)]
    TooDeep,
}

impl Node {
    /// A text.
    pub(crate) fn text(text: &str) -> Self {
        Self::Leaf(serde_json::Value::from(text).to_string().into())
    }

    /// An object of these members.
    pub(crate) fn object(members: impl IntoIterator<Item = (String, Self)>) -> Self {
        Self::Object(Arc::new(members.into_iter().collect()))
    }

    /// A list of these items.
    pub(crate) fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(Arc::new(items.into_iter().collect()))
    }

    /// A whole number.
    pub(crate) fn number(number: u64) -> Self {
        Self::Leaf(number.to_string().into())
    }

    /// Reads JSON.
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        // Checked as a whole first, so that what follows need only find where its parts end.
        let text = serde_json::from_str::<&RawValue>(text)?.get();
        Scanner { text, at: 0 }.node()
    }

    /// Writes JSON without white space.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Object(members) => write_members(members, out),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Leaf(text) => out.push_str(text),
        }
    }

    /// The text of a number.
    fn as_number(&self) -> Option<&str> {
        match self {
            Self::Leaf(text) => number(text).map(|_| &**text),
            Self::Object(_) | Self::List(_) => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Leaf(text) if **text == *"null")
    }

    /// How much of a document's length it takes. A list or an object takes what its parts take and a little for each, so
    /// that a change of a part changes the whole by as much.
    fn bytes(&self) -> usize {
        match self {
            Self::Object(members) => 2 + members.iter().map(|(name, node)| member_bytes(name, node)).sum::<usize>(),
            Self::List(items) => 2 + items.iter().map(item_bytes).sum::<usize>(),
            Self::Leaf(text) => text.len(),
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::Object(members) => 1 + members.values().map(Self::depth).max().unwrap_or(0),
            Self::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Leaf(_) => 0,
        }
    }

    /// What lies at the end of these steps: names of members, and numbers of items from 0.
    pub(crate) fn at(&self, steps: &[String]) -> Option<&Self> {
        steps.iter().try_fold(self, |node, step| match node {
            Self::Object(members) => members.get(step),
            Self::List(items) => items.get(step.parse::<usize>().ok()?),
            Self::Leaf(_) => None,
        })
    }

    /// The same without the members that are null, as a patch that meets nothing is taken (RFC 7396).
    fn without_nulls(&self) -> Self {
        match self {
            Self::Object(members) if members.values().any(Self::holds_null) => {
                let kept = members.iter().filter(|(_, node)| !node.is_null());
                Self::object(kept.map(|(name, node)| (name.clone(), node.without_nulls())))
            }
            Self::Object(_) | Self::List(_) | Self::Leaf(_) => self.clone(),
        }
    }

    /// Whether it is null, or an object that holds null. What is in lists is left as it is.
    fn holds_null(&self) -> bool {
        match self {
            Self::Object(members) => members.values().any(Self::holds_null),
            Self::List(_) | Self::Leaf(_) => self.is_null(),
        }
    }
}

/// Takes JSON that is known to be right to its parts, without reading any of it twice. A tree of the library's own values would not do: it
/// rounds numbers.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn node(&mut self) -> Result<Node, serde_json::Error> {
        Ok(match self.peek() {
            b'{' => {
                let mut members = BTreeMap::new();
                while self.goes_on(b'}') {
                    let name = self.string();
                    let name = if name.contains('\\') { serde_json::from_str(name)? } else { name.trim_matches('"').to_owned() };
                    // The colon.
                    self.peek();
                    self.at += 1;
                    members.insert(name, self.node()?);
                }
                Node::Object(Arc::new(members))
            }
            b'[' => {
                let mut items = Vec::new();
                while self.goes_on(b']') {
                    items.push(self.node()?);
                }
                Node::List(Arc::new(items))
            }
            b'"' => Node::Leaf(self.string().into()),
            _ => Node::Leaf(self.word().into()),
        })
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> u8 {
        self.at += self.rest().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.rest().first().copied().unwrap_or_default()
    }

    /// Goes past an opening bracket or a comma; or past the bracket that ends it all.
    fn goes_on(&mut self, end: u8) -> bool {
        let goes_on = self.peek() != end;
        self.at += 1;
        if goes_on && self.peek() == end {
            // Nothing between the brackets.
            self.at += 1;
            return false;
        }
        goes_on
    }

    /// A string with its quotes.
    fn string(&mut self) -> &'a str {
        self.peek();
        let (start, mut escaped) = (self.at, false);
        let end = self.rest().iter().skip(1).position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        });
        self.at = end.map_or(self.text.len(), |end| start + end + 2);
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// A number, or `true`, `false`, `null`.
    fn word(&mut self) -> &'a str {
        let start = self.at;
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        self.at += self.rest().iter().take_while(|byte| is_part(byte)).count();
        self.text.get(start..self.at).unwrap_or_default()
    }
}

fn write_members(members: &BTreeMap<String, Node>, out: &mut String) {
    out.push('{');
    for (index, (name, node)) in members.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        // Writing to a text cannot fail.
        write!(out, "{comma}{}:", serde_json::Value::from(name.as_str())).ok();
        node.write(out);
    }
    out.push('}');
}

fn member_bytes(name: &str, node: &Node) -> usize {
    name.len() + 4 + node.bytes()
}

fn item_bytes(node: &Node) -> usize {
    1 + node.bytes()
}

/// A JSON object that rules change, each event's changes all or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    members: BTreeMap<String, Node>,
    bytes: usize,
    /// How to undo what was changed since the last [`Document::keep`], newest last.
    undo: Vec<Undo>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Undo {
    /// What was there before, if anything.
    Put { path: Vec<String>, before: Option<Node> },
    /// An item was added to a list, and these fell out at its front.
    Append { path: Vec<String>, dropped: Vec<Node> },
}

impl Default for Document {
    fn default() -> Self {
        Self { members: BTreeMap::new(), bytes: 2, undo: Vec::new() }
    }
}

impl Document {
    /// The most bytes of a document, about.
    pub(crate) const MAX_BYTES: usize = 1024 * 1024;
    /// The most levels of objects and lists in one another.
    pub(crate) const MAX_DEPTH: usize = 127;

    /// Reads a JSON object without white space between its tokens; nothing else is a document.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let node = Node::parse(text).ok()?;
        let bytes = node.bytes();
        match node {
            Node::Object(members) => Some(Self { members: Arc::unwrap_or_clone(members), bytes, undo: Vec::new() }),
            Node::List(_) | Node::Leaf(_) => None,
        }
    }

    /// The document as JSON: members in the order of their names, so that equal documents are equal texts.
    pub(crate) fn to_json(&self) -> String {
        let mut out = String::with_capacity(self.bytes);
        write_members(&self.members, &mut out);
        out
    }

    /// Keeps the changes so far, and says whether there were any.
    pub(crate) fn keep(&mut self) -> bool {
        let changed = !self.undo.is_empty();
        self.undo.clear();
        changed
    }

    /// Undoes the changes since the last [`Document::keep`].
    pub(crate) fn undo(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Put { path, before } => {
                    self.exchange(&path, before);
                }
                Undo::Append { path, dropped } => {
                    let back: usize = dropped.iter().map(item_bytes).sum();
                    let Some(Node::List(items)) = self.at_mut(&path) else { continue };
                    let items = Arc::make_mut(items);
                    let gone = items.pop().as_ref().map_or(0, item_bytes);
                    items.splice(0..0, dropped);
                    self.bytes = self.bytes + back - gone;
                }
            }
        }
    }

    /// Puts a value at a path, and makes the objects on the way.
    pub(crate) fn set(&mut self, path: &[String], value: Node) -> Result<(), Unfit> {
        let reached = self.reach(path)?;
        if path.len() + value.depth() > Self::MAX_DEPTH {
            return Err(Unfit::TooDeep);
        }
        let made = path[reached + 1..].iter().rev().fold(value, |node, step| Node::object([(step.clone(), node)]));
        self.put(&path[..=reached], Some(made))
    }

    /// What is at a path, through objects.
    pub(crate) fn at(&self, path: &[String]) -> Option<&Node> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.members.get(first)?, |node, step| match node {
            Node::Object(members) => members.get(step),
            Node::List(_) | Node::Leaf(_) => None,
        })
    }

    /// Takes away what is at a path, if anything is.
    pub(crate) fn remove(&mut self, path: &[String]) -> Result<(), Unfit> {
        if self.at(path).is_some() { self.put(path, None) } else { Ok(()) }
    }

    /// Merges a patch into what is at a path (RFC 7396); into the document itself if the path is empty.
    pub(crate) fn merge(&mut self, path: &[String], changes: &Node) -> Result<(), Unfit> {
        let members = match changes {
            Node::Object(members) => members,
            Node::List(_) | Node::Leaf(_) if path.is_empty() => return Err(Unfit::NotAnObject("what is merged into the state".to_owned())),
            other @ (Node::List(_) | Node::Leaf(_)) => return self.set(path, other.clone()),
        };
        if !path.is_empty() && !matches!(self.at(path), Some(Node::Object(_))) {
            return self.set(path, changes.without_nulls());
        }
        let mut inner = path.to_vec();
        for (name, value) in members.iter() {
            inner.push(name.clone());
            if value.is_null() {
                self.remove(&inner)?;
            } else {
                match (value, self.at(&inner)) {
                    (Node::Object(_), Some(Node::Object(_))) => self.merge(&inner, value)?,
                    _ => self.set(&inner, value.without_nulls())?,
                }
            }
            inner.pop();
        }
        Ok(())
    }

    /// Adds a number to the one at a path: exactly while both have at most 28 digits, else as doubles.
    pub(crate) fn increment(&mut self, path: &[String], by: &Node) -> Result<(), Unfit> {
        let name = || path.join(".");
        let by = by.as_number().ok_or_else(|| Unfit::NotANumber("what is added".to_owned()))?;
        let before = match self.at(path) {
            Some(node) if !node.is_null() => node.as_number().ok_or_else(|| Unfit::NotANumber(name()))?,
            Some(_) | None => "0",
        };
        let sum = add(before, by).ok_or_else(|| Unfit::OutOfRange(name()))?;
        self.set(path, Node::Leaf(sum.into()))
    }

    /// Adds an item to the list at a path, of which the last `keep` items stay.
    pub(crate) fn append(&mut self, path: &[String], item: Node, keep: usize) -> Result<(), Unfit> {
        match self.at(path) {
            Some(Node::List(_)) => {}
            Some(node) if !node.is_null() => return Err(Unfit::NotAList(path.join("."))),
            Some(_) | None => return self.set(path, Node::list([item])),
        }
        if path.len() + 1 + item.depth() > Self::MAX_DEPTH {
            return Err(Unfit::TooDeep);
        }
        let added = item_bytes(&item);
        let mut dropped = Vec::new();
        if let Some(Node::List(items)) = self.at_mut(path) {
            let items = Arc::make_mut(items);
            items.push(item);
            dropped = items.drain(..items.len().saturating_sub(keep.max(1))).collect();
        }
        self.bytes = self.bytes + added - dropped.iter().map(item_bytes).sum::<usize>();
        self.undo.push(Undo::Append { path: path.to_vec(), dropped });
        self.check_length()
    }

    fn at_mut(&mut self, path: &[String]) -> Option<&mut Node> {
        let (last, way) = path.split_last()?;
        self.object_mut(way)?.get_mut(last)
    }

    fn object_mut(&mut self, path: &[String]) -> Option<&mut BTreeMap<String, Node>> {
        path.iter().try_fold(&mut self.members, |members, step| match members.get_mut(step) {
            Some(Node::Object(inner)) => Some(Arc::make_mut(inner)),
            Some(Node::List(_) | Node::Leaf(_)) | None => None,
        })
    }

    /// How many steps of a path lead through objects that are there; the last is not looked at.
    fn reach(&self, path: &[String]) -> Result<usize, Unfit> {
        let way = path.len().saturating_sub(1);
        let mut members = &self.members;
        for (index, step) in path[..way].iter().enumerate() {
            match members.get(step) {
                Some(Node::Object(inner)) => members = inner,
                Some(node) if !node.is_null() => return Err(Unfit::NotAnObject(path[..=index].join("."))),
                Some(_) | None => return Ok(index),
            }
        }
        Ok(way)
    }

    fn put(&mut self, path: &[String], node: Option<Node>) -> Result<(), Unfit> {
        if self.at(path) == node.as_ref() {
            return Ok(());
        }
        let before = self.exchange(path, node);
        self.undo.push(Undo::Put { path: path.to_vec(), before });
        self.check_length()
    }

    /// Puts something in the place of what is at a path, whose way there leads through objects.
    fn exchange(&mut self, path: &[String], node: Option<Node>) -> Option<Node> {
        let (last, way) = path.split_last()?;
        let added = node.as_ref().map_or(0, |node| member_bytes(last, node));
        let members = self.object_mut(way)?;
        let before = match node {
            Some(node) => members.insert(last.clone(), node),
            None => members.remove(last),
        };
        self.bytes = self.bytes + added - before.as_ref().map_or(0, |node| member_bytes(last, node));
        before
    }

    const fn check_length(&self) -> Result<(), Unfit> {
        if self.bytes > Self::MAX_BYTES { Err(Unfit::TooLong) } else { Ok(()) }
    }
}

fn number(text: &str) -> Option<f64> {
    if text.starts_with('"') { None } else { text.parse().ok() }
}

/// A number's text, exactly, if it has few enough digits.
fn exactly(text: &str) -> Option<Decimal> {
    if text.contains(['e', 'E']) { Decimal::from_scientific(text).ok() } else { Decimal::from_str_exact(text).ok() }
}

fn add(one: &str, other: &str) -> Option<String> {
    let exact = exactly(one).zip(exactly(other)).and_then(|(one, other)| {
        let sum = one.checked_add(other)?;
        // Too many digits for both are rounded away; then doubles are as good, and known to be inexact.
        (sum.checked_sub(other)? == one && sum.checked_sub(one)? == other).then_some(sum)
    });
    if let Some(sum) = exact {
        return Some(sum.to_string());
    }
    let sum = number(one)? + number(other)?;
    sum.is_finite().then(|| serde_json::Value::from(sum).to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn null() -> Node {
        Node::Leaf("null".into())
    }

    fn path(text: &str) -> Vec<String> {
        text.split('.').filter(|step| !step.is_empty()).map(str::to_owned).collect()
    }

    fn node(value: &Value) -> Node {
        Node::parse(&value.to_string()).unwrap()
    }

    fn document(value: &Value) -> Document {
        Document::parse(&value.to_string()).unwrap()
    }

    /// The examples of RFC 7396, appendix A, of those whose target and patch are objects.
    #[test]
    fn a_patch_is_merged_as_the_rfc_says() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut state = document(&target);
            state.merge(&[], &node(&patch)).unwrap();
            assert_eq!(state.to_json(), result.to_string(), "{target} with {patch}");
        }
    }

    #[test]
    fn sums_of_decimal_numbers_are_exact() {
        for (before, by, after) in [
            ("0.1", "0.2", "0.3"),
            ("49.90", "0.10", "50.00"),
            ("9007199254740993", "1", "9007199254740994"),
            ("-1", "1", "0"),
            ("1e2", "1", "101"),
            ("1e300", "1", "1e300"),
            ("79228162514264337593543950335", "1", "7.922816251426434e28"),
            ("null", "3", "3"),
        ] {
            let mut state = Document::parse(&format!(r#"{{"n":{before}}}"#)).unwrap();
            state.increment(&path("n"), &Node::Leaf(by.into())).unwrap();
            let text = state.to_json();
            let shown = text.trim_start_matches(r#"{"n":"#).trim_end_matches('}');
            if after.contains('e') {
                assert_eq!(shown.parse::<f64>(), after.parse(), "{before} + {by}");
            } else {
                assert_eq!(shown, after, "{before} + {by}");
            }
        }
        let mut state = Document::parse(r#"{"n":1e308,"t":"1"}"#).unwrap();
        assert!(matches!(state.increment(&path("n"), &Node::Leaf("1e308".into())), Err(Unfit::OutOfRange(_))));
        for (at, by) in [("t", "1"), ("n", "\"1\""), ("n", "true")] {
            assert!(matches!(state.increment(&path(at), &Node::Leaf(by.into())), Err(Unfit::NotANumber(_))), "{at} {by}");
        }
    }

    #[test]
    fn what_a_path_cannot_go_through_is_an_error_and_changes_nothing() {
        let before = json!({"text": "x", "list": [1], "none": null});
        for (result, expected) in [
            (document(&before).set(&path("text.a"), null()), Unfit::NotAnObject("text".to_owned())),
            (document(&before).set(&path("list.0"), null()), Unfit::NotAnObject("list".to_owned())),
            (document(&before).append(&path("text"), null(), 9), Unfit::NotAList("text".to_owned())),
            (document(&before).merge(&[], &null()), Unfit::NotAnObject("what is merged into the state".to_owned())),
        ] {
            assert_eq!(result, Err(expected));
        }
        let mut state = document(&before);
        state.set(&path("none.a.b"), Node::number(1)).unwrap();
        assert_eq!(state.to_json(), json!({"list": [1], "none": {"a": {"b": 1}}, "text": "x"}).to_string());
    }

    #[test]
    fn a_state_that_would_be_too_long_or_too_deep_is_refused() {
        let mut state = Document::default();
        let long = Node::text(&"x".repeat(Document::MAX_BYTES));
        assert_eq!(state.set(&path("a"), long), Err(Unfit::TooLong));
        state.undo();
        assert_eq!(state, Document::default());
        let deep = (0..Document::MAX_DEPTH).fold(null(), |node, _| Node::list([node]));
        assert_eq!(state.set(&path("a"), deep), Err(Unfit::TooDeep));
    }

    #[test]
    fn a_list_keeps_its_last_items() {
        let mut state = Document::default();
        for item in 1..=5 {
            state.append(&path("recent"), Node::number(item), 3).unwrap();
        }
        assert_eq!(state.to_json(), r#"{"recent":[3,4,5]}"#);
        assert!(state.keep());
        state.append(&path("recent"), Node::number(6), 2).unwrap();
        state.undo();
        assert_eq!(state.to_json(), r#"{"recent":[3,4,5]}"#);
        assert!(!state.keep());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(json!(null)), Just(json!("t")), (0..9_u8).prop_map(|number| json!(number)), Just(json!(0.1))];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::hash_map("[abc]", inner, 0..3).prop_map(|members| members.into_iter().collect::<Value>()),
            ]
        })
    }

    #[derive(Debug, Clone)]
    enum Step {
        Set(String, Value),
        Merge(String, Value),
        Increment(String, Value),
        Append(String, Value, usize),
        Remove(String),
    }

    fn step() -> impl Strategy<Value = Step> {
        let at = || "[abc](\\.[abc]){0,2}";
        prop_oneof![
            (at(), value()).prop_map(|(at, value)| Step::Set(at, value)),
            (prop_oneof![Just(String::new()), at()], value()).prop_map(|(at, value)| Step::Merge(at, value)),
            (at(), value()).prop_map(|(at, value)| Step::Increment(at, value)),
            (at(), value(), 1..4_usize).prop_map(|(at, value, keep)| Step::Append(at, value, keep)),
            at().prop_map(Step::Remove),
        ]
    }

    fn take(state: &mut Document, step: &Step) -> Result<(), Unfit> {
        match step {
            Step::Set(at, value) => state.set(&path(at), node(value)),
            Step::Merge(at, value) => state.merge(&path(at), &node(value)),
            Step::Increment(at, value) => state.increment(&path(at), &node(value)),
            Step::Append(at, value, keep) => state.append(&path(at), node(value), *keep),
            Step::Remove(at) => state.remove(&path(at)),
        }
    }

    proptest! {
        #[test]
        fn changes_are_all_undone_and_the_length_is_known_throughout(events in prop::collection::vec(prop::collection::vec(step(), 1..6), 1..12)) {
            let mut state = Document::default();
            for event in events {
                let before = state.clone();
                let applied = event.iter().try_for_each(|step| take(&mut state, step));
                let again = Document::parse(&state.to_json()).unwrap();
                prop_assert_eq!(again.bytes, state.bytes);
                prop_assert_eq!(&again.members, &state.members);
                let kept = state.clone();
                state.undo();
                prop_assert_eq!(&state, &before);
                if applied.is_ok() {
                    state = kept;
                    state.keep();
                }
            }
        }

        #[test]
        fn a_value_is_written_as_it_was_read(value in value()) {
            prop_assert_eq!(written(&value.to_string()), value.to_string());
        }

        /// However it is written: with white space, and with names and texts of any characters.
        #[test]
        fn any_json_is_read(value in any_value()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert_eq!(serde_json::from_str::<Value>(&written(&text)).unwrap(), value.clone(), "{}", text);
            }
        }
    }

    fn written(text: &str) -> String {
        let mut out = String::new();
        Node::parse(text).unwrap().write(&mut out);
        out
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![".*", r#"[\\"/,:\[\]{} a]{0,6}"#];
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e300..1e300_f64).prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(text.clone(), inner, 0..4).prop_map(|members| members.into_iter().collect::<Value>()),
            ]
        })
    }

    #[test]
    fn numbers_stay_as_they_were_written_and_escapes_are_understood() {
        for text in ["123456789012345678901234567890", "-0", "1E+5", "0.10", "[1,-2.50e-3,[]]", r#"{"a":[{},[],""],"b\"c":"\\"}"#] {
            assert_eq!(written(text), text);
        }
        assert_eq!(written(r#" { "\u0061" : "\u0062" , "a" : [ 1 , 2 ] } "#), r#"{"a":[1,2]}"#, "the last of two members of one name");
        for text in ["", "{", "[1,]", "{\"a\"}", "nul", "\"", "1 2", "[1 2]", "{\"a\":1,}"] {
            assert!(Node::parse(text).is_err(), "{text}");
        }
    }
}
