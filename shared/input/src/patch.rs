//! A field of a partial change: left alone, removed, or given a value.

use serde::{Deserialize, Deserializer};

use crate::{Fault, Faults};

/// What a PATCH says about one field. Absent, null and a value are three things; a field of this type needs
/// `#[serde(default)]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// It is not mentioned: leave it as it is.
    #[default]
    Absent,
    /// It is null: remove it, or bring it back to its default.
    Null,
    /// It is to be this.
    Value(T),
}

impl<T> Patch<T> {
    /// Whether the field is mentioned.
    #[must_use]
    pub fn is_given(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// The same about what `turn` makes of the value.
    pub fn map<U>(self, turn: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Absent => Patch::Absent,
            Self::Null => Patch::Null,
            Self::Value(value) => Patch::Value(turn(value)),
        }
    }

    /// The value, where one is given, of a field that can't be removed: null is a fault at `pointer`.
    pub fn kept(self, pointer: &str, faults: &mut Faults) -> Option<T> {
        match self {
            Self::Absent => None,
            Self::Value(value) => Some(value),
            Self::Null => {
                faults.note(pointer, Fault::new("required", "can be changed, but not removed"));
                None
            }
        }
    }

    /// What becomes of a field that is `present` now and `default` when it is removed.
    pub fn onto(self, present: T, default: T) -> T {
        match self {
            Self::Absent => present,
            Self::Null => default,
            Self::Value(value) => value,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Option::deserialize(deserializer)? {
            None => Self::Null,
            Some(value) => Self::Value(value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Sent {
        #[serde(default)]
        field: Patch<u8>,
    }

    #[test]
    fn absent_null_and_a_value_are_three_things() {
        let read = |json: &str| serde_json::from_str::<Sent>(json).map(|sent| sent.field);
        assert_eq!(read("{}").unwrap(), Patch::Absent);
        assert_eq!(read(r#"{"field":null}"#).unwrap(), Patch::Null);
        assert_eq!(read(r#"{"field":5}"#).unwrap(), Patch::Value(5));
        assert!(read(r#"{"field":"x"}"#).is_err());
        let onto = |patch: Patch<u8>| patch.onto(1, 0);
        let mut faults = Faults::default();
        assert_eq!(Patch::Value(5).kept("/field", &mut faults), Some(5));
        assert_eq!(Patch::<u8>::Absent.kept("/field", &mut faults), None);
        assert_eq!(Patch::<u8>::Null.kept("/field", &mut faults), None);
        assert!(faults.finish(Some(())).is_err());
        assert_eq!([onto(Patch::Absent), onto(Patch::Null), onto(Patch::Value(5))], [1, 0, 5]);
    }
}
