//! The personal values of a record, which lie apart from its entry and can be forgotten.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;
use tlog::Hash;

use crate::commitment::{Salt, commitment};

/// Where in the entry a value was, to the value and its salt. As JSON: `{"/actor/email":{"salt":"…","value":…}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Personal(BTreeMap<String, PersonalValue>);

/// A personal value and the salt of its commitment. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonalValue {
    salt: Salt,
    json: String,
}

impl PersonalValue {
    pub(crate) fn new(salt: Salt, value: &serde_json::Value) -> Self {
        Self { salt, json: value.to_string() }
    }

    /// The value, as the JSON that was committed to.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// What stands in the entry for it.
    #[must_use]
    pub fn commitment(&self) -> Hash {
        commitment(&self.salt, &self.json)
    }
}

impl fmt::Debug for PersonalValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonalValue")
    }
}

impl Personal {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value that was at this place of the entry.
    #[must_use]
    pub fn get(&self, pointer: &str) -> Option<&PersonalValue> {
        self.0.get(pointer)
    }

    /// All of them, by their places in the entry.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &PersonalValue)> {
        self.0.iter().map(|(pointer, value)| (pointer.as_str(), value))
    }

    /// Forgets those that `keep` does not want to keep.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &PersonalValue) -> bool) {
        self.0.retain(|pointer, value| keep(pointer, value));
    }

    pub(crate) fn insert(&mut self, pointer: String, value: PersonalValue) {
        self.0.insert(pointer, value);
    }

    /// Compact JSON, with the values' exact bytes in it.
    ///
    /// # Errors
    /// Not expected to happen.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// What [`Personal::to_json`] gave.
    ///
    /// # Errors
    /// If it is anything else, or names a place twice.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }
}

#[derive(Serialize)]
struct Written<'a> {
    salt: Salt,
    value: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    salt: Salt,
    value: Box<RawValue>,
}

/// To JSON only.
impl Serialize for PersonalValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = serde_json::from_str(&self.json).map_err(ser::Error::custom)?;
        Written { salt: self.salt, value }.serialize(serializer)
    }
}

/// From JSON only.
impl<'de> Deserialize<'de> for PersonalValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Read { salt, value } = Read::deserialize(deserializer)?;
        Ok(Self { salt, json: Box::<str>::from(value).into_string() })
    }
}

/// To JSON only.
impl Serialize for Personal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// From JSON only. A map would let a second value for one place pass, and which one a reader sees depends on the reader.
impl<'de> Deserialize<'de> for Personal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> de::Visitor<'de> for Entries {
            type Value = Personal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("personal values by their places")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Personal, A::Error> {
                let mut personal = BTreeMap::new();
                while let Some((pointer, value)) = map.next_entry::<String, PersonalValue>()? {
                    if personal.insert(pointer, value).is_some() {
                        return Err(de::Error::custom("a place is named twice"));
                    }
                }
                Ok(Personal(personal))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"/a":{"salt":"QUFBQUFBQUFBQUFBQUFBQQ==","value":{"b":1.50,"a":"\u00e4"}}}"#;

    #[test]
    fn bytes_are_kept() {
        let personal = Personal::from_json(JSON).unwrap();
        assert_eq!(personal.get("/a").map(PersonalValue::json), Some(r#"{"b":1.50,"a":"\u00e4"}"#));
        assert_eq!(personal.to_json().unwrap(), JSON);
        assert!(!format!("{personal:?}").contains("1.50"));
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        let value = r#"{"salt":"QUFBQUFBQUFBQUFBQUFBQQ==","value":1}"#;
        assert!(Personal::from_json(&format!(r#"{{"/a":{value},"/b":{value}}}"#)).is_ok());
        assert!(Personal::from_json(&format!(r#"{{"/a":{value},"/a":{value}}}"#)).is_err());
        assert!(
            Personal::from_json(r#"{"/a":{"salt":"QUFBQUFBQUFBQUFBQUFBQQ==","value":1,"value":2}}"#).is_err()
        );
        assert!(
            Personal::from_json(r#"{"/a":{"salt":"QUFBQUFBQUFBQUFBQUFBQQ==","value":1,"more":2}}"#).is_err()
        );
    }
}
