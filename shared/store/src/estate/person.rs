//! A person, as far as an organization knows them: who they are, whether a text is about them, and what of it is theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use audit_format::ERASED;
use ids::{Id, InvitationId, Kind, LeadId, UserId, WorkspaceId, kind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Mode, Subject};

/// So many leads of one person are known at once; where there are more, an erasure begins again for the rest.
pub(crate) const MOST_LEADS: usize = 2_000;
/// What of a thing that is about a person is the person's.
const PERSONAL: [&str; 9] =
    ["email", "name", "first_name", "last_name", "company", "title", "custom", "message", "location"];
/// Fields that say whom a thing is about.
const NAMING: [&str; 4] = ["id", "lead_id", "user_id", "email"];

/// A person. Never printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Their e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// As a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// Their name, as a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// As leads, and where those are; deleted ones included where something tells of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leads: BTreeMap<LeadId, Option<(WorkspaceId, Mode)>>,
    /// Whether there are more leads than that.
    #[serde(default)]
    pub has_more_leads: bool,
    /// Invitations to them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub invitations: BTreeSet<InvitationId>,
    /// Whether they once belonged to this organization.
    #[serde(default)]
    pub belonged_here: bool,
    /// Whether they did, and no organization is left that they belong to.
    #[serde(default)]
    pub belongs_nowhere: bool,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person")
    }
}

impl Person {
    /// Whether they are who is meant.
    #[must_use]
    pub fn is(&self, about: &Subject) -> bool {
        match about {
            Subject::Email(email) => self.email.as_ref() == Some(email),
            Subject::UserId(id) => self.user_id == Some(*id),
            Subject::LeadId(id) => self.leads.contains_key(id),
        }
    }

    /// Remembers a lead of theirs, and where it is if it is known, if there is room.
    pub(crate) fn knows_lead(&mut self, id: LeadId, place: Option<(WorkspaceId, Mode)>) {
        if self.leads.len() >= MOST_LEADS && !self.leads.contains_key(&id) {
            self.has_more_leads = true;
            return;
        }
        let known = self.leads.entry(id).or_default();
        *known = known.or(place);
    }

    /// Whether a text has their address in it, and not only as a part of a longer one.
    #[must_use]
    pub fn is_addressed_in(&self, text: &str) -> bool {
        self.email.as_ref().is_some_and(|email| places_of(email, text).next().is_some())
    }

    /// Whether a JSON text is about them, and does not only mention their address.
    pub(crate) fn is_subject_of(&self, text: &str) -> bool {
        !self.leads_in(text).is_empty()
            || ids_in::<kind::Lead>(text).any(|id| self.leads.contains_key(&id))
            || ids_in::<kind::User>(text).any(|id| self.user_id == Some(id))
    }

    /// Whether a text tells of them, by their address or by an id.
    pub(crate) fn is_mentioned_in(&self, text: &str) -> bool {
        self.is_addressed_in(text)
            || ids_in::<kind::Lead>(text).any(|id| self.leads.contains_key(&id))
            || ids_in::<kind::User>(text).any(|id| self.user_id == Some(id))
            || ids_in::<kind::Invitation>(text).any(|id| self.invitations.contains(&id))
    }

    /// The leads that the JSON text of an event says they are: those that have their address, and not all that stand beside it.
    pub(crate) fn leads_in(&self, text: &str) -> Vec<LeadId> {
        fn walk(value: &Value, email: &str, found: &mut Vec<LeadId>) {
            match value {
                Value::Object(fields) => {
                    let text = |name: &str| fields.get(name).and_then(Value::as_str);
                    if text("email") == Some(email) {
                        let ids =
                            ["id", "lead_id"].iter().filter_map(|name| text(name)?.parse::<LeadId>().ok());
                        found.extend(ids);
                    }
                    fields.values().for_each(|value| walk(value, email, found));
                }
                Value::Array(elements) => elements.iter().for_each(|value| walk(value, email, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        if let Some(email) = self.email.as_deref().filter(|_| self.is_addressed_in(text))
            && let Ok(value) = serde_json::from_str(text)
        {
            walk(&value, email, &mut found);
        }
        found
    }

    /// A JSON text with [`ERASED`] in the place of what is theirs. What is no JSON is replaced as a whole.
    pub(crate) fn scrub(&self, json: &str) -> String {
        let Ok(value) = serde_json::from_str::<Value>(json) else { return "{}".to_owned() };
        let scrubbed = self.scrub_value(value).to_string();
        // In a name of a field, or as part of a longer text that was let stand.
        let Some(email) = &self.email else { return scrubbed };
        let (mut rest, mut after) = (String::with_capacity(scrubbed.len()), 0);
        for at in places_of(email, &scrubbed) {
            rest.push_str(scrubbed.get(after..at).unwrap_or_default());
            rest.push_str(ERASED);
            after = at + email.len();
        }
        rest.push_str(scrubbed.get(after..).unwrap_or_default());
        rest
    }

    fn scrub_value(&self, value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                let is_about = NAMING.iter().any(|name| {
                    fields.get(*name).and_then(Value::as_str).is_some_and(|text| self.is_mentioned_in(text))
                });
                let scrub = |(name, value): (String, Value)| {
                    let is_theirs = is_about && PERSONAL.contains(&name.as_str());
                    let value = if is_theirs { erased(value) } else { self.scrub_value(value) };
                    (name, value)
                };
                Value::Object(fields.into_iter().map(scrub).collect())
            }
            Value::Array(elements) => elements.into_iter().map(|value| self.scrub_value(value)).collect(),
            Value::String(text) if self.is_addressed_in(&text) || Some(&text) == self.name.as_ref() => {
                Value::String(ERASED.to_owned())
            }
            other => other,
        }
    }
}

/// What stands for a value that is gone. What was nothing is nothing still; an object stays one.
fn erased(value: Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Object(_) => Value::Object(Map::new()),
        Value::Array(_) => Value::Array(Vec::new()),
        _ => Value::String(ERASED.to_owned()),
    }
}

/// Where an address stands in a text as one of its own: `ada@example.com` is no part of `maria.ada@example.com`, and not the
/// beginning of `ada@example.com.au`. An escape of JSON's before it is not taken for a letter.
fn places_of<'t>(email: &'t str, text: &'t str) -> impl Iterator<Item = usize> + 't {
    let of_name = |c: char| c.is_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    let of_domain = |c: char| c.is_alphanumeric() || c == '-';
    text.match_indices(email).map(|(at, _)| at).filter(move |at| {
        let mut before = text.get(..*at).unwrap_or_default().chars().rev();
        let begins = match (before.next(), before.next()) {
            (None, _) => true,
            (Some('n' | 'r' | 't'), Some('\\')) => true,
            (Some(c), _) => !of_name(c),
        };
        let mut after = text.get(*at + email.len()..).unwrap_or_default().chars();
        let ends = match (after.next(), after.next()) {
            (Some('.'), Some(c)) => !of_domain(c),
            (Some(c), _) => !of_domain(c),
            (None, _) => true,
        };
        begins && ends
    })
}

/// The ids of one kind in a text.
fn ids_in<K: Kind>(text: &str) -> impl Iterator<Item = Id<K>> + '_ {
    const BODY: usize = 26;
    let length = K::PREFIX.len() + 1 + BODY;
    let starts = text.match_indices(K::PREFIX).map(|(at, _)| at);
    starts.filter_map(move |at| text.get(at..at + length)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lead(seed: u8) -> LeadId {
        LeadId::derived(clock::utc(2026, 11, 22, 15, 4), [seed; 16])
    }

    fn ada() -> Person {
        Person {
            email: Some("ada@example.com".to_owned()),
            user_id: Some(UserId::derived(clock::utc(2026, 11, 22, 15, 4), [9; 16])),
            name: Some("Ada Lovelace".to_owned()),
            leads: BTreeMap::from([(lead(1), None)]),
            ..Person::default()
        }
    }

    #[test]
    fn texts_are_about_somebody_by_address_or_id() {
        let ada = ada();
        assert!(ada.is_mentioned_in("x ada@example.com y"));
        assert!(ada.is_mentioned_in(&format!("{{\"lead_id\":\"{}\"}}", lead(1))));
        assert!(ada.is_mentioned_in(&ada.user_id.unwrap().to_string()));
        assert!(!ada.is_mentioned_in(&format!("{} lead_ lead_x ada@example", lead(2))));
        let event = json!({
            "data": {"lead_id": lead(2), "email": "ada@example.com"},
            "others": [{"id": lead(3), "email": "bob@example.com", "custom": {"cc": "ada@example.com"}}],
        });
        assert_eq!(ada.leads_in(&event.to_string()), [lead(2)], "who only mentions her is not her");
        assert!(ada.leads_in(&lead(2).to_string()).is_empty());
        assert!(ada.is(&Subject::LeadId(lead(1))) && !ada.is(&Subject::Email("bob@example.com".to_owned())));
        assert_eq!(format!("{ada:?}"), "Person");
    }

    #[test]
    fn an_address_is_not_found_in_a_longer_one() {
        let ada = ada();
        for text in [
            "ada@example.com",
            "\"ada@example.com\"",
            "cc ada@example.com.",
            "<ada@example.com>, and",
            r"line\nada@example.com",
            "mailto:ada@example.com",
        ] {
            assert!(ada.is_addressed_in(text), "{text}");
        }
        for text in [
            "maria.ada@example.com",
            "xada@example.com",
            "ada@example.com.au",
            "ada@example.community",
            "-ada@example.com",
        ] {
            assert!(!ada.is_addressed_in(text), "{text}");
            let body = json!({"note": text}).to_string();
            assert_eq!(ada.scrub(&body), body);
        }
    }

    #[test]
    fn what_is_theirs_is_replaced_and_nothing_else() {
        let body = json!({
            "id": "evt_1",
            "data": {
                "lead_id": lead(1), "message": "Call me: +1 555 0100", "channel": "email",
                "lead": {
                    "id": lead(1), "email": "ada@example.com", "first_name": "Ada", "last_name": null,
                    "company": "Analytical", "custom": {"phone": "+1 555 0100"}, "status": "replied",
                },
            },
            "others": [{"id": lead(2), "email": "bob@example.com", "first_name": "Bob"}],
            "note": "written by ada@example.com", "author": "Ada Lovelace", "ada@example.com": 1,
        });
        let scrubbed: Value = serde_json::from_str(&ada().scrub(&body.to_string())).unwrap();
        let expected = json!({
            "id": "evt_1",
            "data": {
                "lead_id": lead(1), "message": "[erased]", "channel": "email",
                "lead": {
                    "id": lead(1), "email": "[erased]", "first_name": "[erased]", "last_name": null,
                    "company": "[erased]", "custom": {}, "status": "replied",
                },
            },
            "others": [{"id": lead(2), "email": "bob@example.com", "first_name": "Bob"}],
            "note": "[erased]", "author": "[erased]", "[erased]": 1,
        });
        assert_eq!(scrubbed, expected);
        assert_eq!(ada().scrub("ada@example.com"), "{}");
    }
}
