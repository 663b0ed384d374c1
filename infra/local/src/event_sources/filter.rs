//! Event filtering as Lambda does it: which records of a batch a function gets to see.
//!
//! A pattern names fields by their place in the record; each field lists what it may be: literals, or one of
//! `prefix`, `suffix`, `equals-ignore-case`, `exists`, `anything-but`, `numeric`. All fields of a pattern must
//! match, and one pattern of several is enough. A pattern that uses anything else is refused when the template is
//! read, never silently at run time.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

/// Why a pattern cannot be used. Continues "X.Pattern …".
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The pattern is not JSON.
    #[error("is not a JSON object")]
    Json,
    /// A field does not list what it may be.
    #[error("must give a list of values or a nested object for {0}")]
    Leaf(String),
    /// A matcher is unknown or malformed.
    #[error("uses {0}, which is not a matcher that Lambda offers or is malformed")]
    Matcher(String),
}

/// The filters of one event source. Without any, everything passes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FilterCriteria(Vec<Vec<Field>>);

/// One field of a pattern: where it is and what it may be.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    path: Vec<String>,
    any_of: Vec<Matcher>,
}

#[derive(Debug, Clone, PartialEq)]
enum Matcher {
    Equals(Value),
    EqualsIgnoreCase(String),
    Prefix(String),
    Suffix(String),
    Exists(bool),
    AnythingBut(Vec<Matcher>),
    Numeric(Vec<(Comparison, f64)>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl FilterCriteria {
    /// Reads patterns, each the text of a JSON object.
    ///
    /// # Errors
    /// [`FilterError`] for the first pattern that cannot be used.
    pub fn parse<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, FilterError> {
        let patterns = patterns.into_iter().map(|pattern| {
            let pattern: Map<String, Value> =
                serde_json::from_str(pattern.as_ref()).map_err(|_| FilterError::Json)?;
            let mut fields = Vec::new();
            collect(&pattern, &mut Vec::new(), &mut fields)?;
            Ok(fields)
        });
        Ok(Self(patterns.collect::<Result<_, _>>()?))
    }

    /// Whether the function gets to see this record.
    #[must_use]
    pub fn matches(&self, record: &Value) -> bool {
        self.0.is_empty() || self.0.iter().any(|fields| fields.iter().all(|field| field.matches(record)))
    }

    /// Whether a record may match of which only the name of the event and the keys are known: most can be told from
    /// those, and need not be looked at whole.
    #[must_use]
    pub fn may_match(&self, event_name: &str, keys: impl FnOnce() -> Value) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let mut known = json!({"eventName": event_name});
        let of_event = |field: &&Field| field.path.as_slice() == ["eventName"];
        let mut left =
            self.0.iter().filter(|fields| fields.iter().filter(of_event).all(|it| it.matches(&known)));
        let Some(first) = left.next() else { return false };
        let left: Vec<_> = std::iter::once(first).chain(left).collect();
        known = json!({"dynamodb": {"Keys": keys()}});
        let of_keys = |field: &&Field| field.path.starts_with(&["dynamodb".to_owned(), "Keys".to_owned()]);
        left.iter().any(|fields| fields.iter().filter(of_keys).all(|it| it.matches(&known)))
    }
}

impl Field {
    fn matches(&self, record: &Value) -> bool {
        let found = self.path.iter().try_fold(record, |value, name| value.get(name));
        // An object is not a value a pattern can compare with; for `exists` only leaves count.
        let found = found.filter(|value| !value.is_object());
        match found {
            Some(Value::Array(items)) if !items.is_empty() => {
                items.iter().any(|item| self.any_of.iter().any(|matcher| matcher.matches(Some(item))))
            }
            found => self.any_of.iter().any(|matcher| matcher.matches(found)),
        }
    }
}

impl Matcher {
    fn matches(&self, value: Option<&Value>) -> bool {
        let Some(value) = value else { return *self == Self::Exists(false) };
        let text = value.as_str();
        match self {
            Self::Equals(expected) => match (expected.as_f64(), value.as_f64()) {
                (Some(expected), Some(actual)) => expected == actual,
                _ => expected == value,
            },
            Self::EqualsIgnoreCase(expected) => {
                text.is_some_and(|it| it.to_lowercase() == expected.to_lowercase())
            }
            Self::Prefix(prefix) => text.is_some_and(|it| it.starts_with(prefix)),
            Self::Suffix(suffix) => text.is_some_and(|it| it.ends_with(suffix)),
            Self::Exists(expected) => *expected,
            Self::AnythingBut(refused) => !refused.iter().any(|matcher| matcher.matches(Some(value))),
            Self::Numeric(bounds) => value
                .as_f64()
                .is_some_and(|it| bounds.iter().all(|(comparison, bound)| comparison.holds(it, *bound))),
        }
    }
}

impl Comparison {
    fn holds(self, value: f64, bound: f64) -> bool {
        matches!(
            (self, value.partial_cmp(&bound)),
            (Self::Equal | Self::LessOrEqual | Self::GreaterOrEqual, Some(Ordering::Equal))
                | (Self::Less | Self::LessOrEqual, Some(Ordering::Less))
                | (Self::Greater | Self::GreaterOrEqual, Some(Ordering::Greater))
        )
    }
}

fn collect(
    pattern: &Map<String, Value>,
    path: &mut Vec<String>,
    fields: &mut Vec<Field>,
) -> Result<(), FilterError> {
    for (name, value) in pattern {
        path.push(name.clone());
        match value {
            Value::Object(inner) => collect(inner, path, fields)?,
            Value::Array(items) if name != "$or" && !items.is_empty() => fields.push(Field {
                path: path.clone(),
                any_of: items.iter().map(matcher).collect::<Result<_, _>>()?,
            }),
            Value::Array(_) if name == "$or" => return Err(FilterError::Matcher("$or".to_owned())),
            _ => return Err(FilterError::Leaf(path.join("."))),
        }
        path.pop();
    }
    Ok(())
}

fn matcher(item: &Value) -> Result<Matcher, FilterError> {
    let Value::Object(members) = item else { return Ok(Matcher::Equals(item.clone())) };
    let refused = || FilterError::Matcher(item.to_string());
    let mut members = members.iter();
    let (Some((name, argument)), None) = (members.next(), members.next()) else { return Err(refused()) };
    let text = || argument.as_str().map(str::to_owned).ok_or_else(refused);
    Ok(match name.as_str() {
        "prefix" => Matcher::Prefix(text()?),
        "suffix" => Matcher::Suffix(text()?),
        "equals-ignore-case" => Matcher::EqualsIgnoreCase(text()?),
        "exists" => Matcher::Exists(argument.as_bool().ok_or_else(refused)?),
        "anything-but" => Matcher::AnythingBut(match argument {
            Value::Array(items) => items.iter().map(matcher).collect::<Result<_, _>>()?,
            other => vec![matcher(other)?],
        }),
        "numeric" => Matcher::Numeric(bounds(argument).ok_or_else(refused)?),
        _ => return Err(refused()),
    })
}

fn bounds(argument: &Value) -> Option<Vec<(Comparison, f64)>> {
    let items = argument.as_array().filter(|items| !items.is_empty() && items.len() % 2 == 0)?;
    items
        .chunks_exact(2)
        .map(|pair| {
            let [comparison, bound] = pair else { return None };
            let comparison = match comparison.as_str()? {
                "=" => Comparison::Equal,
                "<" => Comparison::Less,
                "<=" => Comparison::LessOrEqual,
                ">" => Comparison::Greater,
                ">=" => Comparison::GreaterOrEqual,
                _ => return None,
            };
            Some((comparison, bound.as_f64()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(pattern: &Value, record: &Value) -> bool {
        FilterCriteria::parse([pattern.to_string()]).unwrap().matches(record)
    }

    fn record() -> Value {
        json!({
            "eventName": "INSERT",
            "dynamodb": {
                "Keys": {"pk": {"S": "EVT#org_1"}},
                "NewImage": {"type": {"S": "event"}, "flag": {"BOOL": true}, "tags": {"SS": ["a", "b"]}},
                "SizeBytes": 240,
            },
        })
    }

    #[test]
    fn without_a_filter_everything_passes() {
        assert!(FilterCriteria::default().matches(&record()));
    }

    #[test]
    fn every_field_must_match_and_one_value_of_a_list_is_enough() {
        assert!(passes(&json!({"eventName": ["INSERT", "MODIFY"]}), &record()));
        assert!(passes(
            &json!({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"type": {"S": ["event"]}}}}),
            &record()
        ));
        assert!(!passes(
            &json!({"eventName": ["REMOVE"], "dynamodb": {"NewImage": {"type": {"S": ["event"]}}}}),
            &record()
        ));
        assert!(passes(&json!({"dynamodb": {"NewImage": {"flag": {"BOOL": [true]}}}}), &record()));
        assert!(passes(&json!({"dynamodb": {"NewImage": {"tags": {"SS": ["b"]}}}}), &record()));
    }

    #[test]
    fn one_pattern_of_several_is_enough() {
        let criteria =
            FilterCriteria::parse([r#"{"eventName":["REMOVE"]}"#, r#"{"eventName":["INSERT"]}"#]).unwrap();
        assert!(criteria.matches(&record()));
    }

    #[test]
    fn matchers_mean_what_lambda_means() {
        let key = |matcher: Value| json!({"dynamodb": {"Keys": {"pk": {"S": [matcher]}}}});
        assert!(passes(&key(json!({"prefix": "EVT#"})), &record()));
        assert!(!passes(&key(json!({"prefix": "AUD#"})), &record()));
        assert!(passes(&key(json!({"suffix": "_1"})), &record()));
        assert!(passes(&key(json!({"equals-ignore-case": "evt#ORG_1"})), &record()));
        assert!(passes(&key(json!({"anything-but": ["x", "y"]})), &record()));
        assert!(passes(&key(json!({"anything-but": {"prefix": "AUD#"}})), &record()));
        assert!(!passes(&key(json!({"anything-but": {"prefix": "EVT#"}})), &record()));
        let size = |bounds: Value| json!({"dynamodb": {"SizeBytes": [{"numeric": bounds}]}});
        assert!(passes(&size(json!([">", 100, "<=", 240])), &record()));
        assert!(!passes(&size(json!(["<", 240])), &record()));
        assert!(passes(&json!({"dynamodb": {"SizeBytes": [240.0]}}), &record()));
    }

    #[test]
    fn most_records_can_be_told_from_their_event_and_keys() {
        let may_match = |pattern: Value| {
            let criteria = FilterCriteria::parse([pattern.to_string()]).unwrap();
            let record = record();
            criteria.may_match(record["eventName"].as_str().unwrap(), || record["dynamodb"]["Keys"].clone())
        };
        assert!(may_match(json!({"eventName": ["INSERT"]})));
        assert!(!may_match(json!({"eventName": ["REMOVE"]})));
        let keys = |prefix: &str| json!({"dynamodb": {"Keys": {"pk": {"S": [{"prefix": prefix}]}}}});
        assert!(may_match(keys("EVT#")));
        assert!(!may_match(keys("MAIL#")));
        assert!(
            may_match(json!({"dynamodb": {"NewImage": {"type": {"S": ["other"]}}}})),
            "it is not known yet"
        );
        assert!(!may_match(json!({"dynamodb": {"Keys": {"sk": {"S": [{"exists": true}]}}}})));
        assert!(FilterCriteria::default().may_match("REMOVE", || Value::Null));
    }

    #[test]
    fn exists_is_about_leaves() {
        let image =
            |name: &str, exists: bool| json!({"dynamodb": {"NewImage": {name: {"S": [{"exists": exists}]}}}});
        assert!(passes(&image("type", true), &record()));
        assert!(!passes(&image("type", false), &record()));
        assert!(passes(&image("gone", false), &record()));
        assert!(!passes(&image("gone", true), &record()));
        assert!(!passes(&json!({"dynamodb": {"NewImage": [{"exists": true}]}}), &record()));
    }

    #[test]
    fn what_cannot_be_evaluated_is_refused_when_read() {
        for pattern in [
            "[]",
            "not json",
            r#"{"a":"text"}"#,
            r#"{"a":[]}"#,
            r#"{"a":[{"wildcard":"x*"}]}"#,
            r#"{"a":[{"numeric":[">"]}]}"#,
            r#"{"$or":[{"a":["b"]}]}"#,
        ] {
            assert!(FilterCriteria::parse([pattern]).is_err(), "{pattern}");
        }
    }
}
