//! `template.yaml` as JSON, with CloudFormation's short forms written out: `!Ref A` is `{"Ref": "A"}`.

use saphyr::{LoadableYamlNode as _, ScalarOwned, YamlOwned};
use serde_json::{Map, Value, json};

/// A template cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum YamlError {
    #[error("it is not YAML: {0}")]
    Syntax(String),
    #[error("it has {0} documents instead of one")]
    Documents(usize),
    #[error("CloudFormation knows no such thing: {0}")]
    Unknown(String),
}

/// The one document of a text.
pub(crate) fn parse(text: &str) -> Result<Value, YamlError> {
    let documents = YamlOwned::load_from_str(text).map_err(|error| YamlError::Syntax(error.to_string()))?;
    match documents.as_slice() {
        [document] => to_json(document),
        other => Err(YamlError::Documents(other.len())),
    }
}

fn to_json(node: &YamlOwned) -> Result<Value, YamlError> {
    match node {
        YamlOwned::Value(scalar) => Ok(scalar_json(scalar)),
        YamlOwned::Sequence(items) => items.iter().map(to_json).collect(),
        YamlOwned::Mapping(members) => {
            let mut object = Map::new();
            for (key, value) in members {
                let Value::String(name) = to_json(key)? else { return Err(YamlError::Unknown(format!("the key {key:?}"))) };
                object.insert(name, to_json(value)?);
            }
            Ok(Value::Object(object))
        }
        YamlOwned::Tagged(tag, node) => Ok(function(&tag.suffix, to_json(node)?)),
        YamlOwned::Representation(text, _, Some(tag)) => Ok(function(&tag.suffix, text.as_str().into())),
        YamlOwned::Representation(text, _, None) => Ok(text.as_str().into()),
        YamlOwned::Alias(_) | YamlOwned::BadValue => Err(YamlError::Unknown(format!("{node:?}"))),
    }
}

fn scalar_json(scalar: &ScalarOwned) -> Value {
    match scalar {
        ScalarOwned::Null => Value::Null,
        ScalarOwned::Boolean(truth) => json!(truth),
        ScalarOwned::Integer(number) => json!(number),
        ScalarOwned::FloatingPoint(number) => json!(number.0),
        ScalarOwned::String(text) => json!(text),
    }
}

fn function(name: &str, argument: Value) -> Value {
    let (name, argument) = match (name, argument) {
        ("Ref" | "Condition", argument) => (name.to_owned(), argument),
        ("GetAtt", Value::String(path)) => {
            let parts: Vec<&str> = path.splitn(2, '.').collect();
            ("Fn::GetAtt".to_owned(), json!(parts))
        }
        (name, argument) => (format!("Fn::{name}"), argument),
    };
    Value::Object(Map::from_iter([(name, argument)]))
}
