//! The rules of meetings.

use std::time::Duration;

use clock::Timestamp;
use events::EventType;
use ids::{Ids, LeadId};
use input::{Fault, Faults, Text};
use problem::Problem;
use serde::Serialize;
use store::{
    AuditRecord, Change, Event, FieldChange, Meeting, MeetingStatus, StoreError, WorkspaceScope, touched,
};

/// How long a meeting may take.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What was sent for a meeting, before it is checked.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) lead_id: LeadId,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) location: Option<String>,
}

impl Draft {
    /// The meeting, if all of it is in order. It may lie in the past: one that took place is worth noting, too.
    ///
    /// # Errors
    /// 422 with every fault.
    pub(crate) fn check(self, scope: WorkspaceScope, ids: &Ids, now: Timestamp) -> Result<Meeting, Problem> {
        let mut faults = Faults::default();
        if self.ends_at <= self.starts_at {
            faults.note("/ends_at", Fault::new("range", "must be after it begins"));
        } else if self.ends_at.since(self.starts_at) > LONGEST {
            faults.note("/ends_at", Fault::new("range", "must be at most 24 hours after it begins"));
        }
        let location = faults.take_optional("/location", self.location, |text| Text::up_to(500).check(&text));
        faults.finish(Some(Meeting {
            id: ids.next(),
            workspace_id: scope.workspace,
            lead_id: self.lead_id,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            location,
            status: MeetingStatus::Booked,
            created_at: now,
            updated_at: now,
        }))
    }
}

/// The change that books `meeting`, on `record` and causing `meeting.booked`. Its lead must exist.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn book<D: Serialize>(
    meeting: &Meeting,
    scope: WorkspaceScope,
    mut record: AuditRecord,
    ids: &Ids,
    shown: &D,
) -> Result<Change, StoreError> {
    record.changes.push(changed("lead_id", serde_json::Value::Null, meeting.lead_id.to_string().into()));
    let event = Event::new(ids.next(), EventType::MeetingBooked, scope, meeting.created_at, shown)?;
    Ok(Change::audited(record).book_meeting(scope, meeting)?.causing(event))
}

/// The meeting, cancelled.
pub(crate) fn cancelled(meeting: &Meeting, now: Timestamp) -> Meeting {
    let updated_at = touched(meeting.updated_at, now);
    Meeting { status: MeetingStatus::Cancelled, updated_at, ..meeting.clone() }
}

/// The change that cancels a meeting, on `record` and causing `meeting.cancelled`.
///
/// # Errors
/// [`StoreError::Malformed`] when the event does not fit its schema.
pub(crate) fn cancel<D: Serialize>(
    cancelled: &Meeting,
    scope: WorkspaceScope,
    mut record: AuditRecord,
    ids: &Ids,
    shown: &D,
) -> Result<Change, StoreError> {
    record.changes.push(changed("status", "booked".into(), "cancelled".into()));
    let event = Event::new(ids.next(), EventType::MeetingCancelled, scope, cancelled.updated_at, shown)?;
    Ok(Change::audited(record).cancel_meeting(scope, cancelled).causing(event))
}

fn changed(field: &str, before: serde_json::Value, after: serde_json::Value) -> FieldChange {
    FieldChange { field: field.to_owned(), before, after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meeting_ends_after_it_begins_and_within_a_day() {
        let now = clock::utc(2026, 11, 22, 15, 0);
        let ids = Ids::new(clock::Clock::manual(now).0);
        let scope =
            WorkspaceScope { organization: ids.next(), workspace: ids.next(), mode: store::Mode::Live };
        let check = |seconds: u64, location: &str| {
            let location = Some(location.to_owned());
            let ends_at = now + Duration::from_secs(seconds);
            Draft { lead_id: ids.next(), starts_at: now, ends_at, location }.check(scope, &ids, now)
        };
        let pointers = |result: Result<Meeting, Problem>| match result {
            Err(Problem::Invalid { errors }) => errors.into_iter().map(|error| error.pointer).collect(),
            _ => Vec::new(),
        };
        assert!(check(1, "Café Central").is_ok() && check(24 * 60 * 60, "x").is_ok());
        assert_eq!(pointers(check(0, "x")), ["/ends_at"]);
        assert_eq!(pointers(check(24 * 60 * 60 + 1, "")), ["/ends_at", "/location"]);
    }
}
