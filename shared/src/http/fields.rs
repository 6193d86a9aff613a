//! Reads the fields of a JSON object, and remembers everything that is wrong with them.
//!
//! `null` is the same as nothing. Texts are never made of numbers; numbers may be texts.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::str::FromStr;

use serde_json::Value;
use serde_json::value::RawValue;

use super::problem::{FieldProblem, FieldProblemKind, Place, Problem, shown, too_long};
use crate::domain::identifiers::{EventType, IdentifierError};
use crate::domain::json::JsonObject;
use crate::domain::timestamp::Timestamp;

/// The most items of a list of words.
const MAX_WORDS: usize = 100;

/// What an empty text stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blank {
    /// A value like any other.
    Value,
    /// Nothing, as in filters.
    Nothing,
}

/// The fields of one object, and what is wrong with them so far.
pub(super) struct Fields<'a> {
    loc: Vec<Place>,
    whole: &'a RawValue,
    members: HashMap<String, &'a RawValue>,
    blank: Blank,
    /// The members that may hold secrets: no problem shows what was sent as one of them.
    secret: &'static [&'static str],
    problems: Vec<FieldProblem>,
}

impl<'a> Fields<'a> {
    /// The fields of the object at `loc` of the request.
    ///
    /// # Errors
    /// A problem if it is no object.
    pub(super) fn read(json: &'a RawValue, loc: Vec<Place>, blank: Blank) -> Result<Self, FieldProblem> {
        match serde_json::from_str(json.get()) {
            Ok(members) => Ok(Self { loc, whole: json, members, blank, secret: &[], problems: Vec::new() }),
            Err(_) => Err(FieldProblem::with_json(FieldProblemKind::DictType, loc, "Input should be a valid dictionary", json)),
        }
    }

    /// The fields of the object that is the request's body, of which these may hold secrets.
    ///
    /// # Errors
    /// A problem if it is no object.
    pub(super) fn read_body(json: &'a RawValue, secret: &'static [&'static str]) -> Result<Self, Problem> {
        match Self::read(json, vec![Place::name("body")], Blank::Value) {
            Ok(fields) => Ok(Self { secret, ..fields }),
            Err(problem) if secret.is_empty() => Err(Problem::invalid(vec![problem])),
            Err(problem) => Err(Problem::invalid(vec![FieldProblem { input: Value::Null, ..problem }])),
        }
    }

    /// The value, if all fields were right.
    ///
    /// # Errors
    /// Everything that was wrong.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Vec<FieldProblem>> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            Some(_) | None => Err(self.problems),
        }
    }

    /// The JSON of a field, unless it is absent or null.
    pub(super) fn given(&self, name: &str) -> Option<&'a RawValue> {
        let is_nothing =
            |json: &str| json == "null" || (self.blank == Blank::Nothing && text_of(json).is_some_and(|text| text.trim().is_empty()));
        self.members.get(name).copied().filter(|json| !is_nothing(json.get()))
    }

    /// The names of all fields, in their order.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.members.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Whether a field is there, be it null.
    pub(super) fn mentions(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Where a field is.
    pub(super) fn loc(&self, name: &str) -> Vec<Place> {
        self.loc.iter().cloned().chain([Place::name(name)]).collect()
    }

    /// Remembers that a field is wrong.
    pub(super) fn refuse(&mut self, name: &str, kind: FieldProblemKind, msg: impl Into<String>) {
        let loc = self.loc(name);
        let problem = match self.members.get(name).copied() {
            _ if self.secret.contains(&name) => FieldProblem::new(kind, loc, msg, Value::Null),
            Some(input) => FieldProblem::with_json(kind, loc, msg, input),
            None => FieldProblem::new(kind, loc, msg, self.shown_whole()),
        };
        self.problems.push(problem);
    }

    /// What a problem shows of the whole object.
    fn shown_whole(&self) -> Value {
        if self.secret.is_empty() { shown(self.whole) } else { Value::Null }
    }

    /// Remembers that a field breaks a rule of its own.
    pub(super) fn refuse_value(&mut self, name: &str, why: impl std::fmt::Display) {
        self.refuse(name, FieldProblemKind::ValueError, format!("Value error, {why}"));
    }

    /// A problem with a part of what a field holds, at the end of these steps: names of members, and numbers of items.
    pub(super) fn within(&self, name: &str, value: &Value, steps: &[String], why: impl std::fmt::Display) -> FieldProblem {
        let (mut part, mut loc) = (Some(value), self.loc(name));
        for step in steps {
            let index = part.is_some_and(Value::is_array).then(|| step.parse::<usize>().ok()).flatten();
            loc.push(index.map_or_else(|| Place::name(step), Place::Index));
            part = part.and_then(|part| index.map_or_else(|| part.get(step), |index| part.get(index)));
        }
        let input = serde_json::value::to_raw_value(&part).map_or(Value::Null, |json| shown(&json));
        FieldProblem::new(FieldProblemKind::ValueError, loc, format!("Value error, {why}"), input)
    }

    /// Remembers that a field must be there.
    pub(super) fn missing(&mut self, name: &str) {
        let problem = FieldProblem::new(FieldProblemKind::Missing, self.loc(name), "Field required", self.shown_whole());
        self.problems.push(problem);
    }

    /// Remembers problems that were found inside of a field.
    pub(super) fn extend(&mut self, problems: impl IntoIterator<Item = FieldProblem>) {
        self.problems.extend(problems);
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let text = text_of(self.given(name)?.get());
        if text.is_none() {
            self.refuse(name, FieldProblemKind::StringType, "Input should be a valid string");
        }
        text
    }

    /// A text that has a form, where breaking it is an error of its own.
    pub(super) fn parsed<T: FromStr>(&mut self, name: &str) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.text(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse_value(name, error);
                None
            }
        }
    }

    /// A text that names something outside. A blank one names nothing.
    pub(super) fn identifier<T: TryFrom<String, Error = IdentifierError>>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name).filter(|text| !text.trim().is_empty())?;
        self.required_identifier(name, text)
    }

    /// A type of event, which is counted in characters as well as in bytes (BR-EVT-002).
    pub(super) fn event_type(&mut self, name: &str, text: String) -> Option<EventType> {
        if text.chars().count() > EventType::MAX_CHARS {
            let msg = format!("String should have at most {} characters", EventType::MAX_CHARS);
            self.refuse(name, FieldProblemKind::StringTooLong, msg);
            return None;
        }
        self.required_identifier(name, text)
    }

    /// A text that names something outside and must not be blank.
    pub(super) fn required_identifier<T: TryFrom<String, Error = IdentifierError>>(&mut self, name: &str, text: String) -> Option<T> {
        match T::try_from(text) {
            Ok(identifier) => Some(identifier),
            Err(IdentifierError::TooLong { limit }) => {
                self.refuse(name, FieldProblemKind::StringTooLong, format!("String should have at most {limit} bytes"));
                None
            }
            Err(error @ (IdentifierError::Blank | IdentifierError::Control)) => {
                self.refuse_value(name, error);
                None
            }
        }
    }

    /// One of a closed set of words.
    pub(super) fn word<T: Copy>(&mut self, name: &str, all: &[T], as_str: fn(T) -> &'static str) -> Option<T> {
        let text = text_of(self.given(name)?.get());
        let value = text.and_then(|text| all.iter().copied().find(|value| as_str(*value) == text));
        if value.is_none() {
            let words: Vec<&str> = all.iter().map(|value| as_str(*value)).collect();
            self.refuse(name, FieldProblemKind::Enum, one_of(&words));
        }
        value
    }

    /// An object, as it was written.
    pub(super) fn object(&mut self, name: &str) -> Option<JsonObject> {
        let object = JsonObject::parse(self.given(name)?.get()).ok();
        if object.is_none() {
            self.refuse(name, FieldProblemKind::DictType, "Input should be a valid dictionary");
        }
        object
    }

    /// A moment, as a text or a unix number.
    pub(super) fn moment(&mut self, name: &str) -> Option<Timestamp> {
        let json = self.given(name)?.get();
        let parsed = match (text_of(json), json.parse::<f64>()) {
            (Some(text), _) => Timestamp::parse(&text),
            (None, Ok(number)) => Timestamp::from_unix_number(number),
            (None, Err(_)) => {
                self.refuse(name, FieldProblemKind::DatetimeType, "Input should be a valid datetime");
                return None;
            }
        };
        match parsed {
            Ok(moment) => Some(moment),
            Err(error) => {
                self.refuse(name, FieldProblemKind::DatetimeParsing, format!("Input should be a valid datetime: it {error}"));
                None
            }
        }
    }

    /// A text for people to read: trimmed, of 1 to `most` characters, none of them a control character.
    pub(super) fn label(&mut self, name: &str, most: usize) -> Option<String> {
        let label = self.text(name)?.trim().to_owned();
        if label.is_empty() {
            self.refuse(name, FieldProblemKind::StringTooShort, "String should have at least 1 character");
        } else if label.chars().count() > most {
            self.refuse(name, FieldProblemKind::StringTooLong, format!("String should have at most {most} characters"));
        } else if label.chars().any(char::is_control) {
            self.refuse_value(name, "must not hold control characters");
        } else {
            return Some(label);
        }
        None
    }

    /// Yes or no, as a word, as a text or as 1 or 0.
    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        let json = self.given(name)?.get();
        let text = text_of(json);
        match text.as_deref().map_or(json, str::trim).to_ascii_lowercase().as_str() {
            "true" | "1" => return Some(true),
            "false" | "0" => return Some(false),
            _ => {}
        }
        let (kind, msg) = match text {
            Some(_) => (FieldProblemKind::BoolParsing, "Input should be a valid boolean, unable to interpret input"),
            None => (FieldProblemKind::BoolType, "Input should be a valid boolean"),
        };
        self.refuse(name, kind, msg);
        None
    }

    /// A whole number from `least` to `most`, as a number or its digits.
    pub(super) fn integer(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        self.number(name, least.into(), most.into()).and_then(|number| u64::try_from(number).ok())
    }

    /// A whole number that may be negative, as a number or its digits.
    pub(super) fn signed(&mut self, name: &str, least: i64, most: i64) -> Option<i64> {
        self.number(name, least.into(), most.into()).and_then(|number| i64::try_from(number).ok())
    }

    fn number(&mut self, name: &str, least: i128, most: i128) -> Option<i128> {
        let json = self.given(name)?.get();
        let number = match whole_number(json) {
            Ok(number) => number,
            Err((kind, msg)) => {
                self.refuse(name, kind, msg);
                return None;
            }
        };
        if number < least {
            self.refuse(name, FieldProblemKind::GreaterThanEqual, format!("Input should be greater than or equal to {least}"));
            None
        } else if number > most {
            self.refuse(name, FieldProblemKind::LessThanEqual, format!("Input should be less than or equal to {most}"));
            None
        } else {
            Some(number)
        }
    }

    /// The items of a list, each of a form of its own. `kind` says what is wrong with an item that has another.
    pub(super) fn list_of<T>(
        &mut self,
        name: &str,
        most: usize,
        mut read: impl FnMut(Option<&str>) -> Result<T, (FieldProblemKind, String)>,
    ) -> Option<Vec<T>> {
        let items = self.list(name)?;
        if items.len() > most {
            let input = Value::String(format!("{} items", items.len()));
            self.problems.push(too_long(self.loc(name), most, items.len(), input));
            return None;
        }
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match read(text_of(item.get()).as_deref()) {
                Ok(value) => values.push(value),
                Err((kind, msg)) => {
                    let loc = self.loc(name).into_iter().chain([Place::Index(index)]).collect();
                    self.problems.push(FieldProblem::with_json(kind, loc, msg, item));
                }
            }
        }
        Some(values)
    }

    /// A list of some of a closed set of words.
    pub(super) fn words<T: Copy>(&mut self, name: &str, all: &[T], as_str: fn(T) -> &'static str) -> Option<Vec<T>> {
        let read = |text: Option<&str>| {
            let known = text.and_then(|text| all.iter().copied().find(|value| as_str(*value) == text));
            known.ok_or_else(|| (FieldProblemKind::Enum, one_of(&all.iter().map(|value| as_str(*value)).collect::<Vec<_>>())))
        };
        self.list_of(name, all.len().max(MAX_WORDS), read)
    }

    /// The items of a list.
    pub(super) fn list(&mut self, name: &str) -> Option<Vec<&'a RawValue>> {
        let items = list_of(self.given(name)?);
        if items.is_none() {
            self.refuse(name, FieldProblemKind::ListType, "Input should be a valid list");
        }
        items
    }
}

/// The text that this JSON is, if it is one.
pub(super) fn text_of(json: &str) -> Option<String> {
    if json.starts_with('"') { serde_json::from_str(json).ok() } else { None }
}

/// The items of the list that this JSON is, if it is one.
pub(super) fn list_of(json: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(json.get()).ok()
}

/// The whole number that this JSON is, as a number or as a text.
fn whole_number(json: &str) -> Result<i128, (FieldProblemKind, &'static str)> {
    const PARSING: (FieldProblemKind, &str) =
        (FieldProblemKind::IntParsing, "Input should be a valid integer, unable to parse string as an integer");
    const TYPE: (FieldProblemKind, &str) = (FieldProblemKind::IntType, "Input should be a valid integer");
    const FRACTION: (FieldProblemKind, &str) =
        (FieldProblemKind::IntFromFloat, "Input should be a valid integer, got a number with a fractional part");
    let text = text_of(json);
    let digits = text.as_deref().unwrap_or(json).trim();
    if let Ok(number) = digits.parse() {
        return Ok(number);
    }
    let (not_a_number, fraction) = if text.is_some() { (PARSING, PARSING) } else { (TYPE, FRACTION) };
    let number: f64 = digits.parse().map_err(|_| not_a_number)?;
    if !number.is_finite() {
        Err(not_a_number)
    } else if number.fract() != 0.0 {
        Err(fraction)
    } else {
        #[expect(clippy::cast_possible_truncation, reason = "what is too large stays far too large")]
        Ok(number as i128)
    }
}

/// `Input should be 'a', 'b' or 'c'`.
pub(super) fn one_of(words: &[&str]) -> String {
    let mut text = "Input should be ".to_owned();
    for (index, word) in words.iter().enumerate() {
        let between = match index {
            0 => "",
            last if last + 1 == words.len() => " or ",
            _ => ", ",
        };
        // Writing to a string cannot fail.
        write!(text, "{between}'{word}'").unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_may_be_a_text_and_is_never_anything_else() {
        for (json, expected) in [
            ("10", Ok(10)),
            ("-1", Ok(-1)),
            ("10.0", Ok(10)),
            ("1e3", Ok(1000)),
            (r#""10""#, Ok(10)),
            (r#"" 10 ""#, Ok(10)),
            (r#""x""#, Err(FieldProblemKind::IntParsing)),
            (r#""""#, Err(FieldProblemKind::IntParsing)),
            (r#""1.5""#, Err(FieldProblemKind::IntParsing)),
            (r#""inf""#, Err(FieldProblemKind::IntParsing)),
            ("1.5", Err(FieldProblemKind::IntFromFloat)),
            ("true", Err(FieldProblemKind::IntType)),
            ("[1]", Err(FieldProblemKind::IntType)),
            ("{}", Err(FieldProblemKind::IntType)),
        ] {
            assert_eq!(whole_number(json).map_err(|(kind, _)| kind), expected, "{json}");
        }
        assert!(whole_number("123456789012345678901234567890123456789012345678901234567890").is_ok_and(|number| number > 1 << 100));
    }

    #[test]
    fn yes_and_no_are_words_texts_or_digits() {
        for (json, expected) in [
            ("true", Ok(true)),
            ("false", Ok(false)),
            ("1", Ok(true)),
            ("0", Ok(false)),
            (r#""True""#, Ok(true)),
            (r#"" 0 ""#, Ok(false)),
            (r#""yes""#, Err(FieldProblemKind::BoolParsing)),
            (r#""""#, Err(FieldProblemKind::BoolParsing)),
            ("2", Err(FieldProblemKind::BoolType)),
            ("{}", Err(FieldProblemKind::BoolType)),
        ] {
            let object = RawValue::from_string(format!(r#"{{"a":{json}}}"#)).unwrap();
            let mut fields = Fields::read(&object, Vec::new(), Blank::Value).unwrap();
            let read = fields.boolean("a");
            assert_eq!(fields.finish(read).map_err(|problems| problems[0].kind), expected, "{json}");
        }
    }

    #[test]
    fn problems_show_nothing_of_secrets() {
        let object = RawValue::from_string(r#"{"secret":"hidden","open":"shown"}"#.to_owned()).unwrap();
        let mut fields = Fields::read_body(&object, &["secret"]).unwrap();
        fields.refuse_value("secret", "x");
        fields.missing("name");
        fields.refuse_value("name", "x");
        fields.refuse_value("open", "x");
        let problems = serde_json::to_string(&fields.finish(None::<()>).unwrap_err()).unwrap();
        assert!(problems.contains("shown") && !problems.contains("hidden"), "{problems}");
        let list = RawValue::from_string(r#"[{"secret":"hidden"}]"#.to_owned()).unwrap();
        let problem = Fields::read_body(&list, &["secret"]).map(|_| ()).unwrap_err();
        assert!(!serde_json::to_string(&problem).unwrap().contains("hidden"));
    }

    #[test]
    fn words_are_listed_as_clients_know_it() {
        assert_eq!(one_of(&["a"]), "Input should be 'a'");
        assert_eq!(one_of(&["a", "b"]), "Input should be 'a' or 'b'");
        assert_eq!(one_of(&["a", "b", "c"]), "Input should be 'a', 'b' or 'c'");
    }
}
