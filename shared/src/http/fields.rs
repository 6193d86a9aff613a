//! Reads the fields of a JSON object, and remembers everything that is wrong with them.
//!
//! `null` is the same as nothing. Texts are never made of numbers; numbers may be texts.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::str::FromStr;

use serde_json::value::RawValue;

use super::problem::{FieldProblem, FieldProblemKind, Place};
use crate::domain::identifiers::IdentifierError;
use crate::domain::json::JsonObject;
use crate::domain::timestamp::Timestamp;

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
    problems: Vec<FieldProblem>,
}

impl<'a> Fields<'a> {
    /// The fields of the object at `loc` of the request.
    ///
    /// # Errors
    /// A problem if it is no object.
    pub(super) fn read(json: &'a RawValue, loc: Vec<Place>, blank: Blank) -> Result<Self, FieldProblem> {
        match serde_json::from_str(json.get()) {
            Ok(members) => Ok(Self { loc, whole: json, members, blank, problems: Vec::new() }),
            Err(_) => Err(FieldProblem::with_json(FieldProblemKind::DictType, loc, "Input should be a valid dictionary", json)),
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

    /// Where a field is.
    pub(super) fn loc(&self, name: &str) -> Vec<Place> {
        self.loc.iter().cloned().chain([Place::name(name)]).collect()
    }

    /// Remembers that a field is wrong.
    pub(super) fn refuse(&mut self, name: &str, kind: FieldProblemKind, msg: impl Into<String>) {
        let input = self.members.get(name).copied().unwrap_or(self.whole);
        let problem = FieldProblem::with_json(kind, self.loc(name), msg, input);
        self.problems.push(problem);
    }

    /// Remembers that a field breaks a rule of its own.
    pub(super) fn refuse_value(&mut self, name: &str, why: impl std::fmt::Display) {
        self.refuse(name, FieldProblemKind::ValueError, format!("Value error, {why}"));
    }

    /// Remembers that a field must be there.
    pub(super) fn missing(&mut self, name: &str) {
        let problem = FieldProblem::with_json(FieldProblemKind::Missing, self.loc(name), "Field required", self.whole);
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

    /// A whole number from `least` to `most`, as a number or its digits.
    pub(super) fn integer(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let json = self.given(name)?.get();
        let number = match whole_number(json) {
            Ok(number) => number,
            Err((kind, msg)) => {
                self.refuse(name, kind, msg);
                return None;
            }
        };
        if number < i128::from(least) {
            self.refuse(name, FieldProblemKind::GreaterThanEqual, format!("Input should be greater than or equal to {least}"));
            None
        } else if number > i128::from(most) {
            self.refuse(name, FieldProblemKind::LessThanEqual, format!("Input should be less than or equal to {most}"));
            None
        } else {
            u64::try_from(number).ok()
        }
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
    fn words_are_listed_as_clients_know_it() {
        assert_eq!(one_of(&["a"]), "Input should be 'a'");
        assert_eq!(one_of(&["a", "b"]), "Input should be 'a' or 'b'");
        assert_eq!(one_of(&["a", "b", "c"]), "Input should be 'a', 'b' or 'c'");
    }
}
