//! From YAML with CloudFormation's short tags to one JSON tree with the long forms.

use serde_json::{Map, Value};
use yaml_serde::Value as Yaml;

use super::TemplateError;

/// A template as one JSON tree in which `!Ref X` has become `{"Ref": "X"}` and so on.
pub(super) struct Document(Value);

impl Document {
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut yaml: Yaml = yaml_serde::from_str(text).map_err(TemplateError::Yaml)?;
        yaml.apply_merge().map_err(TemplateError::Yaml)?;
        let tree = json(yaml)?;
        if tree.get("Resources").is_some_and(Value::is_object) {
            Ok(Self(tree))
        } else {
            Err(TemplateError::Shape("has no Resources".to_owned()))
        }
    }

    /// The member `name` of the top-level section `section`.
    pub(super) fn entry(&self, section: &str, name: &str) -> Option<&Value> {
        self.0.get(section)?.get(name)
    }

    /// Everything in `Resources`, in alphabetical order.
    pub(super) fn resources(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0
            .get("Resources")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(id, it)| (id.as_str(), it))
    }

    /// `Globals.Function`.
    pub(super) fn function_globals(&self) -> Option<&Value> {
        self.entry("Globals", "Function")
    }
}

/// The type of a resource, `AWS::SQS::Queue` and so on.
pub(super) fn kind(resource: &Value) -> &str {
    resource.get("Type").and_then(Value::as_str).unwrap_or_default()
}

fn json(yaml: Yaml) -> Result<Value, TemplateError> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(it) => Value::Bool(it),
        Yaml::Number(it) => number(&it),
        Yaml::String(it) => Value::String(it),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(json).collect::<Result<_, _>>()?),
        Yaml::Mapping(entries) => Value::Object(
            entries
                .into_iter()
                .map(|(name, value)| Ok((text(name)?, json(value)?)))
                .collect::<Result<Map<_, _>, TemplateError>>()?,
        ),
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = match tag.trim_start_matches('!') {
                name @ ("Ref" | "Condition") => name.to_owned(),
                name => format!("Fn::{name}"),
            };
            Value::Object(Map::from_iter([(name, json(tagged.value)?)]))
        }
    })
}

fn number(number: &yaml_serde::Number) -> Value {
    if let Some(whole) = number.as_i64() {
        return whole.into();
    }
    number.as_f64().and_then(serde_json::Number::from_f64).map_or(Value::Null, Value::Number)
}

fn text(name: Yaml) -> Result<String, TemplateError> {
    match name {
        Yaml::String(name) => Ok(name),
        Yaml::Number(name) => Ok(name.to_string()),
        Yaml::Bool(name) => Ok(name.to_string()),
        _ => Err(TemplateError::Shape("has a mapping whose key is not text".to_owned())),
    }
}
