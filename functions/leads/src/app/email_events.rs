//! The rules of what happened to e-mails.
//!
//! DynamoDB writes a hundred items at once, and a hundred events with the leads they move on are more. So they are
//! recorded in parts, each as a whole and with a record of its own. Which events make a part follows from the request alone;
//! so a request that was cut off is taken up again where it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clock::Timestamp;
use events::EventType;
use ids::{EventId, Ids, LeadId, WorkspaceId};
use input::{Fault, Faults, Text};
use problem::Problem;
use serde::{Deserialize, Serialize};
use store::{AuditRecord, Change, Event, FieldChange, LeadStanding, LeadStatus, StoreError, WorkspaceScope};

/// Events of one request.
pub(crate) const MOST_EVENTS: usize = 100;
/// Events of a part: with a lead for each of them, the remembered answer, the audit record and its personal part, a transaction
/// of at most 100 items.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
const EVENTS_OF_A_PART: usize = 48;
/// How far ahead of ours the clock of a reporter may be.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// How long ago it may have been.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What was sent for one event, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) kind: String,
    pub(crate) lead_id: String,
    pub(crate) occurred_at: Option<String>,
    pub(crate) message_id: Option<String>,
}

/// What happened to an e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// It was sent.
    Sent,
    /// It was opened.
    Opened,
    /// It could not be delivered.
    Bounced,
}

impl Kind {
    fn parse(name: &str) -> Result<Self, Fault> {
        match name {
            "sent" => Ok(Self::Sent),
            "opened" => Ok(Self::Opened),
            "bounced" => Ok(Self::Bounced),
            _ => Err(Fault::new("value", "must be sent, opened or bounced")),
        }
    }

    fn event_type(self) -> EventType {
        match self {
            Self::Sent => EventType::EmailSent,
            Self::Opened => EventType::EmailOpened,
            Self::Bounced => EventType::EmailBounced,
        }
    }
}

/// An event as it is recorded and shown. Read back from a remembered answer, it is the same event again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EmailEvent {
    pub(crate) id: EventId,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) lead_id: LeadId,
    pub(crate) occurred_at: Timestamp,
    pub(crate) message_id: Option<String>,
}

/// The events of a request, checked.
///
/// # Errors
/// 422 with every fault.
pub(crate) fn check(
    drafts: Vec<Draft>,
    scope: WorkspaceScope,
    ids: &Ids,
    now: Timestamp,
) -> Result<Vec<EmailEvent>, Problem> {
    let mut faults = Faults::default();
    if !(1..=MOST_EVENTS).contains(&drafts.len()) {
        faults.note("/events", Fault::new("length", format!("must have 1 to {MOST_EVENTS} events")));
        return faults.finish(None);
    }
    let mut events = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.into_iter().enumerate() {
        let at = |field: &str| format!("/events/{index}/{field}");
        let kind = faults.take(&at("type"), Kind::parse(&draft.kind));
        let lead = draft.lead_id.parse().map_err(|_| Fault::new("format", "must be the id of a lead"));
        let lead = faults.take(&at("lead_id"), lead);
        let occurred_at =
            faults.take(&at("occurred_at"), draft.occurred_at.map_or(Ok(now), |text| time(&text, now)));
        let message_id =
            faults.take_optional(&at("message_id"), draft.message_id, |text| Text::up_to(255).check(&text));
        if let (Some(kind), Some(lead_id), Some(occurred_at)) = (kind, lead, occurred_at) {
            let workspace_id = scope.workspace;
            events.push(EmailEvent { id: ids.next(), kind, workspace_id, lead_id, occurred_at, message_id });
        }
    }
    faults.finish(Some(events))
}

fn time(text: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    let message = "must be an RFC 3339 time such as 2026-11-22T15:04:05Z";
    let at = Timestamp::parse(text).ok_or_else(|| Fault::new("format", message))?;
    if at > now + TOLERANCE {
        return Err(Fault::new("range", "must not be in the future"));
    }
    if at + OLDEST < now {
        return Err(Fault::new("range", "must not be more than 30 days ago"));
    }
    Ok(at)
}

/// The leads that events are about.
pub(crate) fn leads(events: &[EmailEvent]) -> BTreeSet<LeadId> {
    events.iter().map(|event| event.lead_id).collect()
}

/// Refuses events about leads that are not among those found.
///
/// # Errors
/// 422 with every one of them.
pub(crate) fn all_found(
    events: &[EmailEvent],
    found: &BTreeMap<LeadId, LeadStanding>,
) -> Result<(), Problem> {
    let mut faults = Faults::default();
    for (index, _) in events.iter().enumerate().filter(|(_, event)| !found.contains_key(&event.lead_id)) {
        let fault = Fault::new("value", "there is no such lead in this workspace");
        faults.note(format!("/events/{index}/lead_id"), fault);
    }
    faults.finish(Some(()))
}

/// The parts that events are recorded in.
pub(crate) fn parts(events: &[EmailEvent]) -> impl Iterator<Item = &[EmailEvent]> {
    events.chunks(EVENTS_OF_A_PART)
}

/// The change that records a part, on `record`: each event, and each lead that something was sent to for the first time.
///
/// # Errors
/// [`StoreError::Malformed`] when an event does not fit its schema.
pub(crate) fn record(
    part: &[EmailEvent],
    standings: &BTreeMap<LeadId, LeadStanding>,
    scope: WorkspaceScope,
    mut record: AuditRecord,
    now: Timestamp,
) -> Result<Change, StoreError> {
    let sent = part.iter().filter(|event| event.kind == Kind::Sent).map(|event| event.lead_id);
    let sent: BTreeSet<LeadId> = sent.collect();
    let first_contacts: Vec<&LeadStanding> = sent
        .iter()
        .filter_map(|lead| standings.get(lead))
        .filter(|standing| standing.status == LeadStatus::New)
        .collect();
    record.changes.push(changed("recorded", serde_json::Value::Null, part.len().into()));
    record.changes.extend(
        first_contacts
            .iter()
            .map(|standing| changed(&format!("{}/status", standing.id), "new".into(), "contacted".into())),
    );
    let mut change = Change::audited(record);
    for standing in first_contacts {
        change = change.contact_lead(scope, standing, now);
    }
    for event in part {
        // The time is that of the id: an event that is taken up again says the same.
        let kind = event.kind.event_type();
        change = change.causing(Event::new(event.id, kind, scope, event.id.time(), event)?);
    }
    Ok(change)
}

fn changed(field: &str, before: serde_json::Value, after: serde_json::Value) -> FieldChange {
    FieldChange { field: field.to_owned(), before, after }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(ids: &Ids) -> WorkspaceScope {
        WorkspaceScope { organization: ids.next(), workspace: ids.next(), mode: store::Mode::Live }
    }

    #[test]
    fn every_fault_of_every_event_is_told_at_once() {
        let now = clock::utc(2026, 11, 22, 15, 0);
        let ids = Ids::new(clock::Clock::manual(now).0);
        let lead: LeadId = ids.next();
        let good = Draft { kind: "sent".into(), lead_id: lead.to_string(), ..Draft::default() };
        let at = |text: &str| Draft { occurred_at: Some(text.into()), ..good.clone() };
        let drafts = vec![
            good.clone(),
            Draft { kind: "read".into(), lead_id: "lead_1".into(), ..Draft::default() },
            at("2026-11-22T15:05:00Z"),
            at("2026-11-22T15:05:01Z"),
            at("2026-10-23T15:00:00Z"),
            at("2026-10-23T14:59:59Z"),
            at("yesterday"),
            Draft { message_id: Some("x".repeat(256)), ..good.clone() },
        ];
        let Err(Problem::Invalid { errors }) = check(drafts, scope(&ids), &ids, now) else { panic!("taken") };
        let found: Vec<_> = errors.iter().map(|error| (error.pointer.as_str(), error.code)).collect();
        let expected = [
            ("/events/1/type", "value"),
            ("/events/1/lead_id", "format"),
            ("/events/3/occurred_at", "range"),
            ("/events/5/occurred_at", "range"),
            ("/events/6/occurred_at", "format"),
            ("/events/7/message_id", "length"),
        ];
        assert_eq!(found, expected);
        for number in [0, MOST_EVENTS + 1] {
            let drafts = vec![good.clone(); number];
            let Err(Problem::Invalid { errors }) = check(drafts, scope(&ids), &ids, now) else { panic!() };
            assert_eq!(errors.first().map(|error| error.pointer.as_str()), Some("/events"));
        }
        let taken = check(vec![good; MOST_EVENTS], scope(&ids), &ids, now).unwrap();
        assert_eq!(taken[0].occurred_at, now);
        assert_eq!(parts(&taken).map(<[EmailEvent]>::len).collect::<Vec<_>>(), [48, 48, 4]);
    }
}
