//! What happens to the `audit` table behind our back, on record.

use clock::Timestamp;
use ids::AuditId;
use sha2::{Digest as _, Sha256};
use store::{Actor, AuditRecord, FieldChange, Tenant};

use crate::{Seal, SealError};

/// A change of what never changes.
#[derive(Debug)]
pub(crate) struct Offence {
    /// The stream's own id of it, the same each time it comes.
    pub(crate) event: String,
    /// When it was done.
    pub(crate) at: Timestamp,
    /// The sort key of the item: which record, or which part of the log.
    pub(crate) item: String,
    /// Removed, and not changed.
    pub(crate) removed: bool,
}

impl Seal {
    /// Puts an offence on record, once.
    pub(crate) async fn raise(&self, tenant: &Tenant, offence: &Offence) -> Result<(), SealError> {
        let done = if offence.removed { "removed" } else { "changed" };
        tracing::error!(item = offence.item, done, "the audit table was altered behind our back");
        // The record of it follows from it, so that a batch that comes again writes none again.
        let mut seed = [0; 16];
        for (to, from) in seed.iter_mut().zip(Sha256::digest(offence.event.as_bytes())) {
            *to = from;
        }
        let item = offence.item.split_once('#').map_or(offence.item.as_str(), |(_, id)| id);
        let record = AuditRecord {
            id: AuditId::derived(offence.at, seed),
            action: "audit_log.tamper",
            actor: Actor { r#type: "system".to_owned(), id: "seal".to_owned(), email: None },
            resource_type: "audit_record".to_owned(),
            resource_id: Some(item.to_owned()),
            organization_id: tenant.organization_id(),
            workspace_id: None,
            ip_address: String::new(),
            user_agent: None,
            request_id: self.0.ids.next::<ids::kind::Request>().to_string(),
            timestamp: offence.at,
            success: false,
            error_code: Some("tampered".to_owned()),
            changes: vec![FieldChange {
                field: offence.item.clone(),
                before: "as it was written".into(),
                after: done.into(),
            }],
            pii_accessed: false,
            sensitive: true,
            compliance_relevant: true,
        };
        Ok(tenant.record(&record).await?)
    }
}
