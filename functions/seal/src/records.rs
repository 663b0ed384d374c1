//! What the stream of the `audit` table says happened.

use std::time::Duration;

use aws_lambda_events::event::dynamodb::EventRecord;
use clock::Timestamp;
use ids::{AuditId, OrganizationId};
use serde::Deserialize;
use store::{Image, Leaf};
use tlog::leaf_hash;

use crate::watch::{Deed, Offence};

/// An id is made with its record, or while the request is served that the record is of.
const ID_WITHIN: Duration = Duration::from_mins(10);

/// What happened to an item.
#[derive(Debug)]
pub(crate) enum Happened {
    /// A record was written; whether in its time shows against the log. If not, the offence is this one.
    Written(Leaf, Offence),
    /// Something was done that nobody may do.
    Offence(Offence),
}

/// Why a stream record cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("it is no item of an organization")]
pub(crate) struct Unreadable;

/// What an entry says of itself.
#[derive(Deserialize)]
struct Said {
    id: AuditId,
    organization_id: OrganizationId,
    timestamp: Timestamp,
}

impl Said {
    /// Whether an entry is a record of that id, of that organization, and of that time.
    fn fits(entry: &str, organization: OrganizationId, id: AuditId) -> bool {
        serde_json::from_str(entry).is_ok_and(|said: Self| {
            let apart = said.timestamp.since(id.time()).max(id.time().since(said.timestamp));
            said.id == id && said.organization_id == organization && apart <= ID_WITHIN
        })
    }
}

/// What happened, and whose item it is; `None` for what is as it should be and of no interest.
pub(crate) fn read(record: &EventRecord) -> Result<Option<(OrganizationId, Happened)>, Unreadable> {
    let change = &record.change;
    let keys = Image::of(change.keys.clone());
    let organization = keys.organization().ok_or(Unreadable)?;
    let offence = |deed| Offence {
        event: record.event_id.clone(),
        at: Timestamp::from_millis(change.approximate_creation_date_time.timestamp_millis()),
        item: keys.sort_key().unwrap_or_default().to_owned(),
        deed,
    };
    let happened = match record.event_name.as_str() {
        "INSERT" if !keys.is_audit_record() => return Ok(None),
        "INSERT" => {
            let image = Image::of(change.new_image.clone());
            let entry = keys.audit_record().zip(image.entry());
            match entry.filter(|(id, entry)| Said::fits(entry, organization, *id)) {
                Some((id, entry)) => {
                    let leaf = Leaf { id, hash: *leaf_hash(entry.as_bytes()).as_bytes() };
                    Happened::Written(leaf, offence(Deed::Inserted))
                }
                None => Happened::Offence(offence(Deed::Inserted)),
            }
        }
        // DynamoDB itself removes what has been kept for seven years.
        "REMOVE" if is_by_time(record) => return Ok(None),
        "REMOVE" => Happened::Offence(offence(Deed::Removed)),
        _ => Happened::Offence(offence(Deed::Changed)),
    };
    Ok(Some((organization, happened)))
}

fn is_by_time(record: &EventRecord) -> bool {
    record.user_identity.as_ref().is_some_and(|by| by.principal_id == "dynamodb.amazonaws.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_of_its_key_and_of_its_time() {
        let at = clock::utc(2026, 11, 22, 15, 4);
        let (id, organization) = (AuditId::derived(at, [7; 16]), OrganizationId::derived(at, [1; 16]));
        let entry = |id: AuditId, organization: OrganizationId, at: Timestamp| {
            format!(r#"{{"id":"{id}","organization_id":"{organization}","timestamp":"{at}","action":"a"}}"#)
        };
        let fits = |entry: &str| Said::fits(entry, organization, id);
        assert!(fits(&entry(id, organization, at)));
        assert!(fits(&entry(id, organization, at - ID_WITHIN)));
        assert!(fits(&entry(id, organization, at + ID_WITHIN)));
        for (wrong, why) in [
            (entry(AuditId::derived(at, [8; 16]), organization, at), "another record"),
            (entry(id, OrganizationId::derived(at, [2; 16]), at), "another organization's"),
            (entry(id, organization, at - ID_WITHIN - Duration::from_millis(1)), "of an earlier time"),
            (entry(id, organization, at + ID_WITHIN + Duration::from_millis(1)), "of a later time"),
            ("{}".to_owned(), "no record"),
            ("nonsense".to_owned(), "no JSON"),
        ] {
            assert!(!fits(&wrong), "{why}");
        }
    }
}
