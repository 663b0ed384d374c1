//! Keys that were found where anybody can read them.

use clock::Timestamp;
use ids::{KeyId, OrganizationId};

use crate::change::{Expression, Table, Write};
use crate::item::{self, primary, text};
use crate::usage::Owner;
use crate::{ApiKey, Change, Proof, Refusal, Store, StoreError, Tenant, admission, keys, touched};

/// Where and when a key was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// When it was reported.
    pub at: Timestamp,
    /// Where, if the reporter said so.
    pub url: Option<String>,
}

impl Leak {
    /// Adds the leak to the update of a key's metadata.
    pub(crate) fn note(&self, metadata: &mut Expression) {
        metadata.update.push_str(", leaked_at = :leaked_at");
        metadata.values.push((":leaked_at", text(self.at.to_string())));
        if let Some(url) = &self.url {
            metadata.update.push_str(", leaked_url = :leaked_url");
            metadata.values.push((":leaked_url", text(url)));
        }
    }
}

impl Store {
    /// Whose key this is, whatever its state. Unlike [`Store::admit_key`] it is no use of the key: nothing is
    /// stamped, and nothing is taken from its budget. The tenant follows because who shows a key holds it.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn owner_of_key(&self, proof: &Proof) -> Result<Option<(Tenant, KeyId)>, StoreError> {
        const OPERATION: &str = "owner_of_key";
        let key = keys::api_key_at(&proof.locator);
        let found = self.item(Self::directory_table, OPERATION, &key).await?;
        let Some(found) = found.filter(|found| admission::is_proved(found, &proof.macs)) else {
            return Ok(None);
        };
        let owner: Owner = item::read(OPERATION, found)?;
        Ok(Some((self.tenant_of_job(owner.organization_id), owner.key_id)))
    }
}

impl Change {
    /// Flags a key that works as leaked, and lets it work on. One that is flagged already stays as it is.
    pub fn flag_leaked_api_key(self, organization: OrganizationId, key: &ApiKey, leak: &Leak) -> Self {
        let mut metadata = Expression {
            key: primary(&keys::api_key(organization, key.id)),
            update: "SET updated_at = :now".to_owned(),
            condition: "#status IN (:active, :rotated) AND attribute_not_exists(leaked_at)".to_owned(),
            names: vec![("#status", "status")],
            values: vec![
                (":active", text("active")),
                (":rotated", text(admission::ROTATED)),
                (":now", text(touched(key.updated_at, leak.at).to_string())),
            ],
        };
        leak.note(&mut metadata);
        let refusal = Refusal::Rule("the API key is already revoked or flagged");
        self.step(Table::Core, Write::Update(metadata), refusal)
    }
}
