//! API keys: revoked.

use ids::{KeyId, OrganizationId};
use runtime::Services;
use serde::Serialize;
use store::Refusal;

use crate::Verdict;
use crate::error::Error;
use crate::operator::Operator;
use crate::tenants::present;
use crate::terminal::Terminal;

#[derive(Debug, Serialize)]
struct Revoked {
    organization_id: OrganizationId,
    key_id: KeyId,
    /// The key that it had taken the place of, which is refused with it.
    rotated_from: Option<KeyId>,
}

/// Revokes a key.
pub(crate) async fn revoke(
    services: &Services,
    organization: OrganizationId,
    id: KeyId,
    terminal: &mut Terminal,
) -> Result<Verdict, Error> {
    let operator = Operator::at(services, organization)?;
    let owner = present(&operator).await?;
    let key = operator.tenant.api_key(id).await?.ok_or(Error::Refused(Refusal::Missing("API key")))?;
    let question = format!(
        "The key {} ({}…{}) of {} in {} is to be revoked. Programs that use it are refused at once, for good.",
        key.name,
        key.prefix,
        key.last_four,
        owner.name,
        operator.place()
    );
    if !terminal.confirm(&question, &[&id.to_string(), &key.last_four])? {
        return Err(Error::NotConfirmed);
    }
    let record = operator.record("api_key.revoke", ("api_key", Some(id.to_string())));
    let key = fn_api_keys::operator::revoke(&operator.tenant, id, &record).await?;
    let said = Revoked { organization_id: organization, key_id: id, rotated_from: key.rotated_from };
    terminal.say(&said, &format!("{id} is revoked\n"))?;
    Ok(Verdict::Fine)
}
