//! What happens to the `audit` table behind our back, on record.

use std::time::Duration;

use clock::Timestamp;
use ids::AuditId;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use store::{AuditRecord, FieldChange, Tenant};

use crate::{Seal, SealError};

/// The stream's clock and ours agree to within this, or ours is gone by.
const SAME_CLOCK: Duration = Duration::from_hours(1);

/// What was done that nobody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// What is no record, or none of its time, was put among the records.
    Inserted,
    /// What never changes was changed.
    Changed,
    /// And what is kept, removed.
    Removed,
}

impl Deed {
    fn as_str(self) -> &'static str {
        match self {
            Self::Inserted => "inserted",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}

/// Something that was done to the table behind our back.
#[derive(Debug)]
pub(crate) struct Offence {
    /// The stream's own id of it, the same each time it comes.
    pub(crate) event: String,
    /// When it was done.
    pub(crate) at: Timestamp,
    /// The sort key of the item: which record, or which part of the log.
    pub(crate) item: String,
    /// What was done to it.
    pub(crate) deed: Deed,
}

impl Seal {
    /// Puts an offence on record, once.
    pub(crate) async fn raise(&self, tenant: &Tenant, offence: &Offence) -> Result<(), SealError> {
        let done = offence.deed.as_str();
        tracing::error!(item = offence.item, done, "the audit table was altered behind our back");
        let now = self.0.clock.now();
        // A record that were not of this time would be an offence itself.
        let at = if now.since(offence.at) < SAME_CLOCK { offence.at.min(now) } else { now };
        // The record of it follows from it, so that a batch that comes again writes none again.
        let mut seed = [0; 16];
        for (to, from) in seed.iter_mut().zip(Sha256::digest(offence.event.as_bytes())) {
            *to = from;
        }
        let item = offence.item.split_once('#').map_or(offence.item.as_str(), |(_, id)| id);
        let record = AuditRecord {
            id: AuditId::derived(at, seed),
            success: false,
            error_code: Some("tampered".to_owned()),
            changes: vec![FieldChange {
                field: offence.item.clone(),
                before: if offence.deed == Deed::Inserted { Value::Null } else { "as it was written".into() },
                after: done.into(),
            }],
            ..AuditRecord::by_system(
                "seal",
                "audit_log.tamper",
                ("audit_record", Some(item.to_owned())),
                tenant.organization_id(),
                &self.0.ids,
                at,
            )
        };
        Ok(tenant.record(&record).await?)
    }
}
