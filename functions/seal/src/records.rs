//! What the stream of the `audit` table says happened.

use aws_lambda_events::event::dynamodb::EventRecord;
use ids::OrganizationId;
use store::{Image, Leaf};
use tlog::leaf_hash;

use crate::watch::Offence;

/// What happened to an item.
#[derive(Debug)]
pub(crate) enum Happened {
    /// A record was written.
    Written(Leaf),
    /// Something was done that nobody may do.
    Offence(Offence),
}

/// Why a stream record cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("it is neither a record nor a part of the log")]
pub(crate) struct Unreadable;

/// What happened, and whose item it is; `None` for what is as it should be and of no interest.
pub(crate) fn read(record: &EventRecord) -> Result<Option<(OrganizationId, Happened)>, Unreadable> {
    let change = &record.change;
    let keys = Image::of(change.keys.clone());
    let organization = keys.organization().ok_or(Unreadable)?;
    if record.event_name == "INSERT" {
        let Some(id) = keys.audit_record() else { return Ok(None) };
        let image = Image::of(change.new_image.clone());
        let entry = image.entry().ok_or(Unreadable)?;
        let leaf = Leaf { id, hash: *leaf_hash(entry.as_bytes()).as_bytes() };
        return Ok(Some((organization, Happened::Written(leaf))));
    }
    // DynamoDB itself removes what has been kept for seven years.
    let by_time = record.event_name == "REMOVE"
        && record.user_identity.as_ref().is_some_and(|by| by.principal_id == "dynamodb.amazonaws.com");
    if by_time {
        return Ok(None);
    }
    let offence = Offence {
        event: record.event_id.clone(),
        at: clock::Timestamp::from_millis(change.approximate_creation_date_time.timestamp_millis()),
        item: keys.sort_key().unwrap_or_default().to_owned(),
        removed: record.event_name == "REMOVE",
    };
    Ok(Some((organization, Happened::Offence(offence))))
}
