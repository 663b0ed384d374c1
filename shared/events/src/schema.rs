//! Schemas, examples, and what is held against them before it is stored.
//!
//! A published schema is open: a receiver that checks with it passes over the fields that a later version adds. What we
//! send is held to a closed reading of the same schema, in which a field that it does not name is a fault: ours, and
//! caught before the event exists.

use std::fmt;

use boon::{Compiler, SchemaIndex, Schemas, ValidationError};
use serde_json::Value;

use crate::EventType;

/// Bytes of an event's body, the whole envelope, at most. The table takes items of 400 KB and the queue messages of 1 MiB;
/// this leaves the body room beside what else is in them, and is what a request may have, too.
pub const LARGEST_BODY: usize = 256 * 1024;

/// The data of an event is not what its schema says. A fault of ours, as what customers send is checked before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the data of {event} does not fit its schema: {}", Listed(flaws))]
pub struct Unfit {
    /// Which event type.
    pub event: EventType,
    /// How it does not fit.
    pub flaws: Vec<Flaw>,
}

/// One way in which data does not fit. It never shows a value: that may be personal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// RFC 6901 pointer into the data.
    pub pointer: String,
    /// The keyword of the schema that it breaks.
    pub keyword: String,
}

struct Listed<'a>(&'a [Flaw]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, flaw) in self.0.iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            write!(f, "{comma}`{}` against `{}`", flaw.pointer, flaw.keyword)?;
        }
        Ok(())
    }
}

impl EventType {
    /// The JSON Schema (draft 2020-12) of its data.
    #[must_use]
    pub fn schema(self) -> Value {
        // The files are part of the program, and a test reads each of them.
        serde_json::from_str(self.schema_file()).unwrap_or_default()
    }

    /// An example of the whole envelope.
    #[must_use]
    pub fn example(self) -> Value {
        serde_json::from_str(self.example_file()).unwrap_or_default()
    }

    /// When it happens, in a sentence: the schema's description.
    #[must_use]
    pub fn description(self) -> String {
        self.schema().get("description").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Holds data against its schema.
    ///
    /// # Errors
    /// [`Unfit`] with every flaw.
    pub fn check(self, data: &Value) -> Result<(), Unfit> {
        self.compiled().check(data).map_err(|flaws| Unfit { event: self, flaws })
    }
}

/// A schema ready for use: compiled when the first event of its type is made, so that a function which emits one type does
/// not pay for thirteen.
pub(crate) struct Compiled(Option<(Schemas, SchemaIndex)>);

impl Compiled {
    pub(crate) fn of(event: EventType) -> Self {
        let mut schema = event.schema();
        close(&mut schema);
        // The id of a published schema is a path; the compiler wants to know a whole URL.
        if let Some(keywords) = schema.as_object_mut() {
            keywords.remove("$id");
        }
        let url = format!("https://artisan.invalid/{event}");
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let index = match compiler.add_resource(&url, schema) {
            Ok(()) => compiler.compile(&url, &mut schemas).ok(),
            Err(_) => None,
        };
        Self(index.map(|index| (schemas, index)))
    }

    fn check(&self, data: &Value) -> Result<(), Vec<Flaw>> {
        // A test compiles each schema. One that did not compile would let nothing through.
        let Some((schemas, index)) = &self.0 else { return Err(Vec::new()) };
        schemas.validate(data, *index).map_err(|error| {
            let mut flaws = Vec::new();
            collect(&error, &mut flaws);
            flaws
        })
    }
}

/// Forbids what is not named in every object whose fields are named.
fn close(schema: &mut Value) {
    let Some(keywords) = schema.as_object_mut() else { return };
    let Some(properties) = keywords.get_mut("properties").and_then(Value::as_object_mut) else { return };
    properties.values_mut().for_each(close);
    keywords.insert("additionalProperties".to_owned(), Value::Bool(false));
}

fn collect(error: &ValidationError<'_, '_>, into: &mut Vec<Flaw>) {
    if error.causes.is_empty() {
        let keyword = error.kind.keyword_path().map(|path| path.to_string()).unwrap_or_default();
        into.push(Flaw { pointer: error.instance_location.to_string(), keyword });
    }
    for cause in &error.causes {
        collect(cause, into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What an envelope is made of.
    const ENVELOPE: [&str; 6] = ["id", "event", "timestamp", "organization_id", "workspace_id", "data"];

    #[test]
    fn every_event_type_has_a_schema_and_an_example_that_fits_it() {
        for event in EventType::ALL {
            let schema = event.schema();
            assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{event}");
            assert_eq!(schema["$id"], format!("/event-types/{event}/{}", event.version()), "{event}");
            assert_eq!(schema["title"], event.as_str());
            assert!(event.description().ends_with('.'), "{event}");
            let example = event.example();
            let members: Vec<_> = example.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(members.len() == ENVELOPE.len() && ENVELOPE.iter().all(|name| members.contains(name)));
            assert_eq!(example["event"], event.as_str());
            assert_eq!(event.check(&example["data"]), Ok(()), "{event}");
        }
    }

    /// Whatever is taken away, added or of another type is found, where it is.
    #[test]
    fn nothing_else_fits() {
        for event in EventType::ALL {
            let data = event.example()["data"].take();
            let flaws = |data: &Value| event.check(data).unwrap_err().flaws;
            for name in data.as_object().unwrap().keys() {
                let mut without = data.clone();
                without.as_object_mut().unwrap().remove(name);
                assert_eq!(flaws(&without), [flaw("", "required")], "{event} without {name}");
                let mut ill_typed = data.clone();
                ill_typed[name] = json!(5);
                assert!(flaws(&ill_typed).contains(&flaw(&format!("/{name}"), "type")), "{event} {name}");
            }
            let mut with = data.clone();
            with["surprise"] = json!("a secret");
            assert_eq!(flaws(&with), [flaw("", "additionalProperty")], "{event}");
            assert!(!event.check(&with).unwrap_err().to_string().contains("a secret"));
            let other = EventType::ALL.iter().find(|other| **other != *event).unwrap();
            assert!(other.check(&data).is_err(), "{event} fits {other}");
        }
        let mut data = EventType::LeadCreated.example()["data"].take();
        data["created_at"] = json!("yesterday");
        let found = EventType::LeadCreated.check(&data).unwrap_err();
        assert_eq!(found.flaws, [flaw("/created_at", "pattern")]);
        assert!(!found.to_string().contains("yesterday"), "{found}");
    }

    fn flaw(pointer: &str, keyword: &str) -> Flaw {
        Flaw { pointer: pointer.to_owned(), keyword: keyword.to_owned() }
    }

    #[test]
    fn a_receiver_that_checks_lets_later_fields_through() {
        for event in EventType::ALL {
            assert_eq!(event.schema()["additionalProperties"], true, "{event}");
        }
    }
}
