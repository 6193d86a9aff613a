//! `template.yaml` as JSON, with CloudFormation's short forms written out: `!Ref A` is `{"Ref": "A"}`.

use std::fs;
use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode as _, ScalarOwned, YamlOwned};
use serde_json::{Map, Value, json};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The template.
pub(crate) fn template() -> Value {
    let text = fs::read_to_string(root().join("template.yaml")).unwrap();
    let documents = YamlOwned::load_from_str(&text).unwrap();
    assert_eq!(documents.len(), 1);
    to_json(&documents[0])
}

/// The resources of one type, by their names.
pub(crate) fn resources<'a>(template: &'a Value, kind: &str) -> Vec<(&'a str, &'a Value)> {
    let all = template["Resources"].as_object().unwrap();
    all.iter().filter(|(_, resource)| resource["Type"] == kind).map(|(name, resource)| (name.as_str(), &resource["Properties"])).collect()
}

fn to_json(node: &YamlOwned) -> Value {
    match node {
        YamlOwned::Value(scalar) => scalar_json(scalar),
        YamlOwned::Sequence(items) => items.iter().map(to_json).collect(),
        YamlOwned::Mapping(members) => {
            let members = members.iter().map(|(key, value)| (to_json(key).as_str().expect("keys are texts").to_owned(), to_json(value)));
            Value::Object(members.collect())
        }
        YamlOwned::Tagged(tag, node) => function(&tag.suffix, to_json(node)),
        YamlOwned::Representation(text, _, Some(tag)) => function(&tag.suffix, text.as_str().into()),
        YamlOwned::Representation(text, _, None) => text.as_str().into(),
        YamlOwned::Alias(_) | YamlOwned::BadValue => panic!("CloudFormation knows no such thing: {node:?}"),
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
            let (resource, attribute) = path.split_once('.').expect("an attribute of a resource");
            ("Fn::GetAtt".to_owned(), json!([resource, attribute]))
        }
        (name, argument) => (format!("Fn::{name}"), argument),
    };
    Value::Object(Map::from_iter([(name, argument)]))
}
