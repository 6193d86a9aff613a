//! JSON objects that clients send, kept as they were written.

use std::collections::{BTreeMap, HashSet};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON object kept as its text, without white space: numbers of any length come back unchanged.
///
/// Invariant: well-formed (nesting, numbers and surrogates included) and without a repeated key.
#[derive(Clone, Default)]
pub struct JsonObject(Option<Box<RawValue>>);

/// The object without members, which most are.
const EMPTY: &str = "{}";

/// Why a text is not JSON that can be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Malformed, nested too deeply, a number out of range, a lone surrogate or a repeated key.
    #[error("{0}")]
    Invalid(String),
    /// Well-formed, but not an object.
    #[error("must be an object")]
    NotAnObject,
}

impl JsonObject {
    /// Reads an object.
    ///
    /// # Errors
    /// [`JsonError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        check_json(text.as_bytes())?;
        if !text.trim_start().starts_with('{') {
            return Err(JsonError::NotAnObject);
        }
        Self::written(without_white_space(text)).map_err(|error| JsonError::Invalid(error.to_string()))
    }

    fn written(text: String) -> Result<Self, serde_json::Error> {
        if text == EMPTY { Ok(Self(None)) } else { RawValue::from_string(text).map(|raw| Self(Some(raw))) }
    }

    /// The object's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or(EMPTY, |raw| raw.get())
    }

    /// Whether the object has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The same object without the members of these names.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        // Most objects have none of them, and need not be taken apart. A name may be written with escapes.
        let text = self.as_str();
        if !text.contains('\\') && !names.iter().any(|name| text.contains(name)) {
            return self.clone();
        }
        let mut all: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).unwrap_or_default();
        let before = all.len();
        all.retain(|name, _| !names.contains(&name.as_str()));
        if all.len() == before { self.clone() } else { serde_json::to_string(&all).and_then(Self::written).unwrap_or_default() }
    }

    /// The same object with these members, in place of those of their names.
    #[must_use]
    pub fn with(&self, members: &[(&str, Value)]) -> Self {
        if members.is_empty() {
            return self.clone();
        }
        // What is kept stays as it was written, long numbers included.
        let mut all: BTreeMap<String, Box<RawValue>> = serde_json::from_str(self.as_str()).unwrap_or_default();
        for (name, value) in members {
            if let Ok(raw) = serde_json::value::to_raw_value(value) {
                all.insert((*name).to_owned(), raw);
            }
        }
        serde_json::to_string(&all).and_then(Self::written).unwrap_or_default()
    }

    /// The object as a tree, for looking into it. Numbers beyond 64 bits are rounded there.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::from_str(self.as_str()).unwrap_or(Value::Null)
    }
}

impl std::fmt::Debug for JsonObject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "JsonObject({})", self.as_str())
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(raw) => raw.serialize(serializer),
            None => serializer.serialize_map(Some(0))?.end(),
        }
    }
}

impl PartialEq for JsonObject {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for JsonObject {}

/// Reads what was written here, and so was checked: stored events are not checked again. What clients
/// send goes through [`JsonObject::parse`].
impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if raw.get() == EMPTY {
            Ok(Self(None))
        } else if raw.get().starts_with('{') {
            Ok(Self(Some(raw)))
        } else {
            Err(D::Error::custom(JsonError::NotAnObject))
        }
    }
}

/// Checks that bytes are JSON that can be kept: well-formed, at most 127 levels deep, numbers in
/// the range of a double, no lone surrogate, and no key twice in one object.
///
/// # Errors
/// [`JsonError::Invalid`] says what and where.
pub fn check_json(bytes: &[u8]) -> Result<(), JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let invalid = |error: serde_json::Error| JsonError::Invalid(error.to_string());
    Strict.deserialize(&mut deserializer).map_err(invalid)?;
    deserializer.end().map_err(invalid)
}

/// Visits every value and keeps none.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format_args!("the key {key:?} stands twice in one object")));
            }
            keys.insert(key);
            members.next_value_seed(Self)?;
        }
        Ok(())
    }
}

/// The same JSON without the white space between its tokens.
fn without_white_space(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for character in text.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            in_string = character == '"';
        }
        kept.push(character);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_comes_back_as_it_was_written() {
        let text = r#"{ "n" : 123456789012345678901234567890, "s" : "a \" { b \\" , "x":[1 , 2e3, null]}"#;
        let kept = JsonObject::parse(text).map(|object| object.as_str().to_owned());
        assert_eq!(kept, Ok(r#"{"n":123456789012345678901234567890,"s":"a \" { b \\","x":[1,2e3,null]}"#.to_owned()));
    }

    #[test]
    fn json_that_cannot_be_kept_is_refused() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "{",
            r#"{"a":1,"a":2}"#,
            r#"{"x":{"a":1,"\u0061":2}}"#,
            r#"{"a":1e999}"#,
            r#"{"a":"\ud800"}"#,
            deep.as_str(),
            "{} {}",
            "{\"a\":\"\u{1}\"}",
        ] {
            assert!(matches!(JsonObject::parse(text), Err(JsonError::Invalid(_))), "{}", &text[..text.len().min(40)]);
        }
        for text in ["[]", "1", "null", "\"{}\""] {
            assert_eq!(JsonObject::parse(text), Err(JsonError::NotAnObject), "{text}");
        }
    }
}
