//! What an operator does to an API key from the command line: by the rules of the routes, and on record as they are.

use ids::KeyId;
use store::{ApiKey, AuditRecord, CommitError, KeyStatus, Refusal, Tenant};

use crate::app;

/// How often a key is looked at again that was changed at the same moment.
const LOOKS: usize = 4;

/// Revokes a key, as `DELETE /api/admin/api-keys/{id}` does, and the one it took the place of. `record` is the record of it.
/// Returns the key as it was.
///
/// # Errors
/// [`CommitError`]: it is not there, is revoked already, or the store failed.
pub async fn revoke(tenant: &Tenant, id: KeyId, record: &AuditRecord) -> Result<ApiKey, CommitError> {
    let mut looks_left = LOOKS;
    loop {
        looks_left -= 1;
        let missing = CommitError::Refused(Refusal::Missing("API key"));
        let key = tenant.api_key(id).await?.ok_or(missing)?;
        if key.status == KeyStatus::Revoked {
            return Err(CommitError::Refused(Refusal::Rule("the key is revoked already")));
        }
        let predecessor = match key.rotated_from {
            Some(id) => tenant.api_key(id).await?,
            None => None,
        };
        let organization = tenant.organization_id();
        let change = app::revoke(&key, predecessor.as_ref(), organization, record.clone(), record.timestamp);
        match tenant.commit(change, None).await {
            // Somebody else changed it at the same moment.
            Err(CommitError::Refused(Refusal::Raced)) if looks_left > 0 => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(key),
        }
    }
}
