//! One resource's properties, read by path, with errors that name resource and property.

use serde_json::Value;

use super::TemplateError;
use super::intrinsics::{Intrinsics, plain};

/// A part of a resource.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    intrinsics: Intrinsics<'a>,
    resource: &'a str,
    path: String,
    value: Option<&'a Value>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(intrinsics: Intrinsics<'a>, resource: &'a str, value: &'a Value) -> Self {
        Self { intrinsics, resource, path: String::new(), value: Some(value) }
    }

    pub(super) fn resource(&self) -> &'a str {
        self.resource
    }

    /// The property at `path` (`A.B.C`); absent parts make an absent property.
    pub(super) fn at(&self, path: &str) -> Self {
        let mut value = self.value;
        for part in path.split('.') {
            value = value.and_then(|value| value.get(part));
        }
        let path = if self.path.is_empty() { path.to_owned() } else { format!("{}.{path}", self.path) };
        Self { value, path, ..self.clone() }
    }

    pub(super) fn is_present(&self) -> bool {
        self.value.is_some_and(|value| !value.is_null())
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> TemplateError {
        TemplateError::Property {
            resource: self.resource.to_owned(),
            property: self.path.clone(),
            problem: problem.into(),
        }
    }

    /// The property with intrinsic functions answered; `None` when it is absent.
    pub(super) fn resolved(&self) -> Result<Option<Value>, TemplateError> {
        let resolved = self.value.map(|value| self.intrinsics.resolve(value)).transpose();
        Ok(resolved.map_err(|problem| self.error(problem))?.filter(|value| !value.is_null()))
    }

    pub(super) fn text(&self) -> Result<Option<String>, TemplateError> {
        self.resolved()?.map(|value| plain(&value).map_err(|problem| self.error(problem))).transpose()
    }

    pub(super) fn required_text(&self) -> Result<String, TemplateError> {
        self.text()?.ok_or_else(|| self.error("is missing"))
    }

    pub(super) fn number(&self, default: i64) -> Result<i64, TemplateError> {
        match self.text()? {
            None => Ok(default),
            Some(text) => {
                text.trim().parse().map_err(|_| self.error(format!("is {text}, not a whole number")))
            }
        }
    }

    /// A number that must not be negative.
    pub(super) fn count(&self, default: u32) -> Result<u32, TemplateError> {
        let number = self.number(default.into())?;
        u32::try_from(number).map_err(|_| self.error(format!("is {number}, out of range")))
    }

    pub(super) fn flag(&self) -> Result<bool, TemplateError> {
        match self.text()?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(self.error(format!("is {other}, neither true nor false"))),
        }
    }

    /// The items of a list, unresolved.
    pub(super) fn items(&self) -> Result<Vec<Self>, TemplateError> {
        match self.value {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items
                .iter()
                .enumerate()
                .map(|(index, item)| Self {
                    value: Some(item),
                    path: format!("{}.{index}", self.path),
                    ..self.clone()
                })
                .collect()),
            Some(_) => Err(self.error("is not a list")),
        }
    }

    /// The members of a mapping, unresolved.
    pub(super) fn members(&self) -> Result<Vec<(&'a str, Self)>, TemplateError> {
        match self.value {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Object(members)) => Ok(members
                .iter()
                .map(|(name, value)| {
                    (
                        name.as_str(),
                        Self { value: Some(value), path: format!("{}.{name}", self.path), ..self.clone() },
                    )
                })
                .collect()),
            Some(_) => Err(self.error("is not a mapping")),
        }
    }
}
