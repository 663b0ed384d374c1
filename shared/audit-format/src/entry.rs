//! Entries: what is sealed of a record, and what a reader sees of it.

use std::convert::Infallible;

use serde_json::{Map, Value};
use tlog::Hash;

use crate::commitment::Salt;
use crate::personal::{Personal, PersonalValue};
use crate::pointer::Path;

/// What a reader sees in the place of a value that was erased.
pub const ERASED: &str = "[erased]";
const COMMITTED: &str = "committed";

/// A record, ready for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedEntry {
    /// Compact JSON with commitments in it. Its bytes are the leaf: keep them as they are.
    pub entry: String,
    /// The values that were committed to.
    pub personal: Personal,
}

/// Replaces the values at the `personal` pointers (RFC 6901) by commitments, each with a salt of its own from `salts`.
///
/// Pointers to nothing, and to `null`, are passed over: there is nothing to forget. Where one lies inside another, the outer
/// one counts. A value that only looks like a commitment, as whoever fills a field may write one, is treated as
/// personal; so what looks like a commitment in an entry always is one.
///
/// # Errors
/// The one that `salts` gives, for example when there is no randomness.
pub fn seal<E>(
    record: &Value,
    personal: &[impl AsRef<str>],
    salts: impl FnMut() -> Result<Salt, E>,
) -> Result<SealedEntry, E> {
    let mut sealing = Sealing { pointers: personal, salts, personal: Personal::default() };
    let entry = sealing.walk(record, &mut Path::default())?;
    Ok(SealedEntry { entry: entry.to_string(), personal: sealing.personal })
}

struct Sealing<'p, P, S> {
    pointers: &'p [P],
    salts: S,
    personal: Personal,
}

impl<P: AsRef<str>, E, S: FnMut() -> Result<Salt, E>> Sealing<'_, P, S> {
    fn walk(&mut self, value: &Value, path: &mut Path) -> Result<Value, E> {
        let is_personal = self.pointers.iter().any(|pointer| pointer.as_ref() == path.as_str());
        if (is_personal && !value.is_null()) || committed(value).is_some() {
            let kept = PersonalValue::new((self.salts)()?, value);
            let placeholder = Value::String(kept.commitment().to_string());
            self.personal.insert(path.as_str().to_owned(), kept);
            return Ok(Value::Object(Map::from_iter([(COMMITTED.to_owned(), placeholder)])));
        }
        descend(value, path, |value, path| self.walk(value, path))
    }
}

/// The commitment that a value is, if it is one.
fn committed(value: &Value) -> Option<Hash> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.get(COMMITTED)?.as_str()?.parse().ok()
}

/// The same array or object with `change` applied to what is in it; anything else as it is.
fn descend<E>(
    value: &Value,
    path: &mut Path,
    mut change: impl FnMut(&Value, &mut Path) -> Result<Value, E>,
) -> Result<Value, E> {
    match value {
        Value::Object(fields) => {
            let changed = fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), path.field(name, |path| change(value, path))?)));
            Ok(Value::Object(changed.collect::<Result<_, E>>()?))
        }
        Value::Array(elements) => {
            let changed = elements
                .iter()
                .enumerate()
                .map(|(index, value)| path.element(index, |path| change(value, path)));
            Ok(Value::Array(changed.collect::<Result<_, E>>()?))
        }
        _ => Ok(value.clone()),
    }
}

/// What a reader sees: the entry with its personal values back in their places, and [`ERASED`] where there is none.
///
/// Does not compare the values with their commitments; [`hold`] does.
#[must_use]
pub fn resolve(entry: &Value, personal: &Personal) -> Value {
    fn walk(value: &Value, path: &mut Path, personal: &Personal) -> Result<Value, Infallible> {
        if committed(value).is_none() {
            return descend(value, path, |value, path| walk(value, path, personal));
        }
        Ok(match personal.get(path.as_str()) {
            None => Value::String(ERASED.to_owned()),
            // Text that is not JSON cannot have been committed to; it is shown rather than hidden.
            Some(kept) => {
                serde_json::from_str(kept.json()).unwrap_or_else(|_| Value::String(kept.json().to_owned()))
            }
        })
    }
    match walk(entry, &mut Path::default(), personal) {
        Ok(resolved) => resolved,
        Err(never) => match never {},
    }
}

/// Personal values that fit their entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// How many commitments have their value.
    pub kept: usize,
    /// How many have lost it.
    pub erased: usize,
}

/// A personal value that does not belong to the entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonalError {
    /// The value, or its salt, is not what the entry was sealed with.
    #[error("the personal value at `{0}` is not the one that was sealed")]
    Changed(String),
    /// The entry has no personal value there.
    #[error("the entry has no personal value at `{0}`")]
    Invented(String),
}

/// Compares each personal value with its commitment in the entry.
///
/// # Errors
/// [`PersonalError`] names the first value that does not fit. Missing values are no error: they were erased.
pub fn hold(entry: &Value, personal: &Personal) -> Result<Held, PersonalError> {
    let commitments = commitments(entry);
    let mut held = Held { kept: 0, erased: 0 };
    for (pointer, commitment) in &commitments {
        match personal.get(pointer) {
            None => held.erased += 1,
            Some(value) if value.commitment() == *commitment => held.kept += 1,
            Some(_) => return Err(PersonalError::Changed(pointer.clone())),
        }
    }
    let invented =
        personal.iter().find(|(pointer, _)| !commitments.iter().any(|(committed, _)| committed == pointer));
    match invented {
        None => Ok(held),
        Some((pointer, _)) => Err(PersonalError::Invented(pointer.to_owned())),
    }
}

/// The commitments in an entry, with their places.
fn commitments(entry: &Value) -> Vec<(String, Hash)> {
    fn walk(value: &Value, path: &mut Path, found: &mut Vec<(String, Hash)>) {
        if let Some(commitment) = committed(value) {
            found.push((path.as_str().to_owned(), commitment));
        } else if let Value::Object(fields) = value {
            for (name, value) in fields {
                path.field(name, |path| walk(value, path, found));
            }
        } else if let Value::Array(elements) = value {
            for (index, value) in elements.iter().enumerate() {
                path.element(index, |path| walk(value, path, found));
            }
        }
    }
    let mut found = Vec::new();
    walk(entry, &mut Path::default(), &mut found);
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Salts that count, for tests.
    fn salts() -> impl FnMut() -> Result<Salt, Infallible> {
        let mut next = 0_u128;
        move || {
            next += 1;
            Ok(Salt::from_bytes(next.to_be_bytes()))
        }
    }

    fn sealed(record: &Value, personal: &[&str]) -> (Value, SealedEntry) {
        let sealed = seal(record, personal, salts()).unwrap();
        (serde_json::from_str(&sealed.entry).unwrap(), sealed)
    }

    fn record() -> Value {
        json!({
            "id": "aud_1",
            "actor": {"type": "user", "id": "usr_1", "email": "ada@example.com"},
            "ip_address": "203.0.113.7",
            "user_agent": null,
            "changes": [{"field": "name", "before": "Ada", "after": {"first": "Ada", "last": "L."}}],
        })
    }

    const PERSONAL: [&str; 6] = [
        "/actor/email",
        "/ip_address",
        "/user_agent",
        "/changes/0/after",
        "/changes/0/after/first",
        "/nothing",
    ];

    #[test]
    fn personal_values_leave_the_entry_and_come_back() {
        let (entry, sealed) = sealed(&record(), &PERSONAL);
        let places: Vec<_> = sealed.personal.iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(places, ["/actor/email", "/changes/0/after", "/ip_address"]);
        for gone in ["ada@", "203.0", "L."] {
            assert!(!sealed.entry.contains(gone), "{gone}");
        }
        assert_eq!(entry["user_agent"], Value::Null);
        let email = sealed.personal.get("/actor/email").unwrap();
        assert_eq!(entry["actor"]["email"], json!({"committed": email.commitment().to_string()}));
        assert_eq!(resolve(&entry, &sealed.personal), record());
        assert_eq!(hold(&entry, &sealed.personal), Ok(Held { kept: 3, erased: 0 }));
    }

    #[test]
    fn erased_values_read_so() {
        let (entry, mut sealed) = sealed(&record(), &PERSONAL);
        sealed.personal.retain(|pointer, _| pointer == "/ip_address");
        let seen = resolve(&entry, &sealed.personal);
        assert_eq!(
            (&seen["actor"]["email"], &seen["ip_address"]),
            (&json!("[erased]"), &json!("203.0.113.7"))
        );
        assert_eq!(hold(&entry, &sealed.personal), Ok(Held { kept: 1, erased: 2 }));
        assert_eq!(hold(&entry, &Personal::default()), Ok(Held { kept: 0, erased: 3 }));
    }

    #[test]
    fn changed_and_invented_values_are_found() {
        let (entry, sealed) = sealed(&record(), &PERSONAL);
        let json = sealed.personal.to_json().unwrap();
        let hold = |json: &str| hold(&entry, &Personal::from_json(json).unwrap());
        assert_eq!(
            hold(&json.replace("ada@", "eve@")),
            Err(PersonalError::Changed("/actor/email".to_owned()))
        );
        assert_eq!(
            hold(&json.replace("\"Ada\"", " \"Ada\"")),
            Err(PersonalError::Changed("/changes/0/after".to_owned())),
        );
        assert_eq!(hold(&json.replace("/ip_address", "/id")), Err(PersonalError::Invented("/id".to_owned())));
    }

    #[test]
    fn a_look_alike_is_committed_to() {
        let look_alike = json!({"after": {"committed": Hash::of(b"mine").to_string()}});
        let (entry, sealed) = sealed(&look_alike, &[]);
        assert_eq!(hold(&entry, &sealed.personal), Ok(Held { kept: 1, erased: 0 }));
        assert_eq!(resolve(&entry, &sealed.personal), look_alike);
        let harmless = json!({"committed": "to quality"});
        assert_eq!(super::seal(&harmless, &[""; 0], salts()).unwrap().entry, harmless.to_string());
    }

    #[test]
    fn without_a_salt_nothing_is_sealed() {
        assert_eq!(seal(&record(), &PERSONAL, || Err("none")), Err("none"));
    }

    /// Any JSON, with strings that pointers must escape.
    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a~/\"é ]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a~/é]{0,3}|committed", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_record_comes_back(value in json_value(), pointers in prop::collection::vec("(/[a~01é]{0,2}){0,3}", 0..6)) {
            let pointers: Vec<_> = pointers.iter().map(String::as_str).collect();
            let (entry, sealed) = sealed(&value, &pointers);
            prop_assert_eq!(resolve(&entry, &sealed.personal), value);
            let held = hold(&entry, &sealed.personal).unwrap();
            prop_assert_eq!(held, Held { kept: sealed.personal.iter().count(), erased: 0 });
            let again = Personal::from_json(&sealed.personal.to_json().unwrap()).unwrap();
            prop_assert_eq!(again, sealed.personal);
        }
    }
}
