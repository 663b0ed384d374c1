//! The rules of leads.

pub(crate) mod email_events;

use std::collections::BTreeMap;

use clock::Timestamp;
use events::EventType;
use ids::{CampaignId, Ids};
use input::{Fault, Faults, Patch, Text};
use problem::Problem;
use serde::Serialize;
use serde_json::Value;
use store::{
    AuditRecord, Change, Event, FieldChange, Lead, LeadStatus, Reply, StoreError, WorkspaceScope, touched,
};

/// Custom fields of one lead.
const MOST_CUSTOM_FIELDS: usize = 50;
/// How deep they may be nested.
const DEEPEST_CUSTOM: usize = 16;
/// Their size as JSON, in bytes, all together.
const LARGEST_CUSTOM: usize = 16 * 1024;

/// What was sent for a lead, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) email: String,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) company: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) campaign_id: Option<CampaignId>,
    pub(crate) custom: BTreeMap<String, Value>,
}

impl Draft {
    /// The lead, if all of it is in order.
    ///
    /// # Errors
    /// 422 with every fault.
    pub(crate) fn check(self, scope: WorkspaceScope, ids: &Ids, now: Timestamp) -> Result<Lead, Problem> {
        let mut faults = Faults::default();
        let text = |text: String| Text::up_to(200).check(&text);
        let email = faults.take("/email", input::email(&self.email));
        let first_name = faults.take_optional("/first_name", self.first_name, text);
        let last_name = faults.take_optional("/last_name", self.last_name, text);
        let company = faults.take_optional("/company", self.company, text);
        let title = faults.take_optional("/title", self.title, text);
        let custom = faults.take("/custom", custom(self.custom));
        let campaign_id = self.campaign_id;
        faults.finish(email.zip(custom).map(|(email, custom)| Lead {
            id: ids.next(),
            workspace_id: scope.workspace,
            email,
            first_name,
            last_name,
            company,
            title,
            campaign_id,
            custom,
            status: LeadStatus::New,
            replies: 0,
            created_at: now,
            updated_at: now,
        }))
    }
}

/// What was sent for a change of a lead, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alteration {
    pub(crate) email: Patch<String>,
    pub(crate) first_name: Patch<String>,
    pub(crate) last_name: Patch<String>,
    pub(crate) company: Patch<String>,
    pub(crate) title: Patch<String>,
    pub(crate) campaign_id: Patch<CampaignId>,
    pub(crate) custom: Patch<BTreeMap<String, Value>>,
}

impl Alteration {
    /// The lead as it is to be.
    ///
    /// # Errors
    /// 422 with every fault.
    pub(crate) fn apply(self, to: &Lead, now: Timestamp) -> Result<Lead, Problem> {
        let mut faults = Faults::default();
        let mut text = |pointer: &str, patch: Patch<String>, present: &Option<String>| match patch {
            Patch::Absent => present.clone(),
            Patch::Null => None,
            Patch::Value(text) => faults.take(pointer, Text::up_to(200).check(&text)),
        };
        let first_name = text("/first_name", self.first_name, &to.first_name);
        let last_name = text("/last_name", self.last_name, &to.last_name);
        let company = text("/company", self.company, &to.company);
        let title = text("/title", self.title, &to.title);
        let email = self.email.kept("/email", &mut faults);
        let email = faults.take_optional("/email", email, |email| input::email(&email));
        let fields = self.custom.onto(to.custom.clone(), BTreeMap::new());
        let custom = faults.take("/custom", custom(fields));
        faults.finish(custom.map(|custom| Lead {
            email: email.unwrap_or_else(|| to.email.clone()),
            first_name,
            last_name,
            company,
            title,
            campaign_id: self.campaign_id.map(Some).onto(to.campaign_id, None),
            custom,
            updated_at: touched(to.updated_at, now),
            ..to.clone()
        }))
    }
}

/// The names of the fields that differ.
pub(crate) fn differences(before: &Lead, after: &Lead) -> Vec<&'static str> {
    let fields = [
        ("email", before.email != after.email),
        ("first_name", before.first_name != after.first_name),
        ("last_name", before.last_name != after.last_name),
        ("company", before.company != after.company),
        ("title", before.title != after.title),
        ("campaign_id", before.campaign_id != after.campaign_id),
        ("custom", before.custom != after.custom),
    ];
    fields.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

fn custom(fields: BTreeMap<String, Value>) -> Result<BTreeMap<String, Value>, Fault> {
    if fields.len() > MOST_CUSTOM_FIELDS {
        return Err(Fault::new("range", format!("must have at most {MOST_CUSTOM_FIELDS} fields")));
    }
    let size = serde_json::to_string(&fields).map_or(usize::MAX, |text| text.len());
    if size > LARGEST_CUSTOM {
        return Err(Fault::new("length", format!("must have at most {LARGEST_CUSTOM} bytes as JSON")));
    }
    check_fields(&fields, 1)?;
    Ok(fields)
}

/// What the store can hold: names, a nesting well below DynamoDB's 32 levels, and numbers within its range (38 digits,
/// exponents up to 125).
fn check_fields<'a>(
    fields: impl IntoIterator<Item = (&'a String, &'a Value)>,
    depth: usize,
) -> Result<(), Fault> {
    for (name, value) in fields {
        if !(1..=64).contains(&name.chars().count()) {
            return Err(Fault::new("value", "names must have 1 to 64 characters"));
        }
        // Names that JSON libraries give a meaning of their own.
        if name.starts_with("$serde_json::") {
            return Err(Fault::new("value", "names must not begin with `$serde_json::`"));
        }
        check_value(value, depth)?;
    }
    Ok(())
}

fn check_value(value: &Value, depth: usize) -> Result<(), Fault> {
    if depth > DEEPEST_CUSTOM {
        return Err(Fault::new("range", format!("must be nested at most {DEEPEST_CUSTOM} levels deep")));
    }
    match value {
        Value::Number(number) if number.as_f64().is_none_or(out_of_range) => {
            Err(Fault::new("range", "numbers must be below 1e125"))
        }
        Value::Array(values) => values.iter().try_for_each(|value| check_value(value, depth + 1)),
        Value::Object(fields) => check_fields(fields, depth + 1),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Number(_) => Ok(()),
    }
}

fn out_of_range(number: f64) -> bool {
    number != 0.0 && !(1e-125..1e125).contains(&number.abs())
}

/// The change that creates `lead`, on `record` and causing `lead.created`. Its campaign must exist.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn create<D: Serialize>(
    lead: &Lead,
    scope: WorkspaceScope,
    mut record: AuditRecord,
    ids: &Ids,
    shown: &D,
) -> Result<Change, StoreError> {
    record.pii_accessed = true;
    let event = Event::new(ids.next(), EventType::LeadCreated, scope, lead.created_at, shown)?;
    let mut change = Change::audited(record).create_lead(scope, lead)?.causing(event);
    if let Some(campaign) = lead.campaign_id {
        change = change.requires_campaign(scope, campaign);
    }
    Ok(change)
}

/// The change from `before` to `after`, on `record` and causing `lead.updated`. A campaign it is moved to must exist.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn alter<D: Serialize>(
    before: &Lead,
    after: &Lead,
    scope: WorkspaceScope,
    mut record: AuditRecord,
    ids: &Ids,
    shown: &D,
) -> Result<Change, StoreError> {
    record.pii_accessed = true;
    // All but the campaign is personal, or may be: named, and not shown.
    record.changes.extend(differences(before, after).into_iter().map(|field| {
        let shown = |campaign: Option<CampaignId>| match field {
            "campaign_id" => serde_json::to_value(campaign).unwrap_or_default(),
            _ => Value::Null,
        };
        FieldChange {
            field: field.to_owned(),
            before: shown(before.campaign_id),
            after: shown(after.campaign_id),
        }
    }));
    let event = Event::new(ids.next(), EventType::LeadUpdated, scope, after.updated_at, shown)?;
    let change = Change::audited(record).change_lead(scope, before, after)?.causing(event);
    Ok(match after.campaign_id.filter(|_| before.campaign_id != after.campaign_id) {
        Some(campaign) => change.requires_campaign(scope, campaign),
        None => change,
    })
}

/// The change that deletes a lead, once its replies are gone.
pub(crate) fn delete(lead: &Lead, scope: WorkspaceScope, mut record: AuditRecord) -> Change {
    record.pii_accessed = true;
    record.sensitive = true;
    record.compliance_relevant = true;
    Change::audited(record).delete_lead(scope, lead)
}

/// The lead, qualified.
pub(crate) fn qualified(lead: &Lead, now: Timestamp) -> Lead {
    Lead { status: LeadStatus::Qualified, updated_at: touched(lead.updated_at, now), ..lead.clone() }
}

/// The change that qualifies a lead, on `record` and causing `lead.qualified`.
///
/// # Errors
/// [`StoreError::Malformed`] when the event does not fit its schema.
pub(crate) fn qualify<D: Serialize>(
    read: &Lead,
    qualified: &Lead,
    scope: WorkspaceScope,
    mut record: AuditRecord,
    ids: &Ids,
    shown: &D,
) -> Result<Change, StoreError> {
    record.pii_accessed = true;
    record.changes.push(moved(read.status, qualified.status));
    let event = Event::new(ids.next(), EventType::LeadQualified, scope, qualified.updated_at, shown)?;
    Ok(Change::audited(record).qualify_lead(scope, read, qualified).causing(event))
}

fn moved(from: LeadStatus, to: LeadStatus) -> FieldChange {
    FieldChange {
        field: "status".to_owned(),
        before: serde_json::to_value(from).unwrap_or_default(),
        after: serde_json::to_value(to).unwrap_or_default(),
    }
}

/// A reply, checked.
///
/// # Errors
/// 422 with every fault.
pub(crate) fn reply(
    lead: &Lead,
    message: &str,
    channel: Option<&str>,
    ids: &Ids,
    now: Timestamp,
) -> Result<Reply, Problem> {
    let mut faults = Faults::default();
    let message = faults.take("/message", Text::up_to(10_000).check(message));
    let channel = faults.take("/channel", Text::up_to(50).check(channel.unwrap_or("email")));
    faults.finish(message.zip(channel).map(|(message, channel)| Reply {
        id: ids.next(),
        lead_id: lead.id,
        message,
        channel,
        created_at: now,
    }))
}

/// The lead after a reply: at least `replied`.
pub(crate) fn replied(lead: &Lead, now: Timestamp) -> Lead {
    let status = lead.status.max(LeadStatus::Replied);
    Lead { status, updated_at: touched(lead.updated_at, now), ..lead.clone() }
}

/// The change that records a reply, on `record` and causing `lead.replied`.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn record_reply<D: Serialize>(
    read: &Lead,
    replied: &Lead,
    reply: &Reply,
    scope: WorkspaceScope,
    mut record: AuditRecord,
    ids: &Ids,
    shown: &D,
) -> Result<Change, StoreError> {
    record.pii_accessed = true;
    if read.status != replied.status {
        record.changes.push(moved(read.status, replied.status));
    }
    let event = Event::new(ids.next(), EventType::LeadReplied, scope, reply.created_at, shown)?;
    Ok(Change::audited(record).record_reply(scope, read, replied, reply)?.causing(event))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scope(ids: &Ids) -> WorkspaceScope {
        WorkspaceScope { organization: ids.next(), workspace: ids.next(), mode: store::Mode::Live }
    }

    fn check(draft: Draft) -> Result<Lead, Problem> {
        let ids = Ids::new(clock::Clock::system());
        draft.check(scope(&ids), &ids, clock::utc(2026, 11, 22, 15, 0))
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let draft = Draft {
            email: "nobody".into(),
            company: Some(String::new()),
            custom: BTreeMap::from([("n".into(), json!([1e200]))]),
            ..Draft::default()
        };
        let Err(Problem::Invalid { errors }) = check(draft) else { panic!("accepted") };
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/email", "/company", "/custom"]);
    }

    #[test]
    fn a_reply_never_moves_a_lead_back() {
        let mut lead = check(Draft { email: "a@b.co".into(), ..Draft::default() }).unwrap();
        let now = clock::utc(2026, 11, 22, 16, 0);
        assert_eq!(replied(&lead, now).status, LeadStatus::Replied);
        lead.status = LeadStatus::Qualified;
        assert_eq!(replied(&lead, now).status, LeadStatus::Qualified);
    }

    #[test]
    fn a_change_leaves_alone_what_it_does_not_mention() {
        let draft = Draft { email: "a@b.co".into(), company: Some("Acme".into()), ..Draft::default() };
        let lead = check(Draft { title: Some("Captain".into()), ..draft }).unwrap();
        let now = clock::utc(2026, 11, 22, 16, 0);
        let same = Alteration::default().apply(&lead, now).unwrap();
        assert_eq!(differences(&lead, &same), Vec::<&str>::new());
        let change = Alteration {
            company: Patch::Null,
            title: Patch::Value("Admiral".into()),
            custom: Patch::Value(BTreeMap::from([("seats".into(), json!(3))])),
            ..Alteration::default()
        };
        let after = change.apply(&lead, now).unwrap();
        assert_eq!(differences(&lead, &after), ["company", "title", "custom"]);
        assert_eq!((after.email.as_str(), after.company, after.status), ("a@b.co", None, LeadStatus::New));
        let faulty =
            Alteration { email: Patch::Null, title: Patch::Value("".into()), ..Alteration::default() };
        let Err(Problem::Invalid { errors }) = faulty.apply(&lead, now) else { panic!("accepted") };
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/title", "/email"]);
    }
}
