//! API keys: the metadata a tenant sees in `core`, and the credential that authentication reads in `directory`.
//! Both are written in one transaction and never apart.

use clock::Timestamp;
use ids::{KeyId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::admission;
use crate::change::{Expression, Table, Write};
use crate::directory::KeyCredential;
use crate::item::{self, primary, text};
use crate::keys::{self, OfOrganization};
use crate::tally::Tally;
use crate::{Change, Mode, Page, PageRequest, Refusal, Store, StoreError, Tenant};

/// Whether a key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyStatus {
    /// Yes, until it expires.
    Active,
    /// Never again.
    Revoked,
}

/// A key's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Its name.
    pub name: String,
    /// Test or live.
    pub mode: Mode,
    /// What it begins with: `sk_live_`.
    pub prefix: String,
    /// What it ends with.
    pub last_four: String,
    /// The permissions it holds.
    pub scopes: Vec<String>,
    /// The one workspace it is for, if it is for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<WorkspaceId>,
    /// Whether it works.
    pub status: KeyStatus,
    /// When it stops working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Requests in any 60 minutes.
    pub rate_limit_per_hour: u64,
    /// The networks it may be used from; any when empty.
    #[serde(default)]
    pub allowed_cidrs: Vec<String>,
    /// SHA-256 of the key in hex: where its credential is.
    pub hash: String,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Change {
    /// Creates a key in `organization`.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn create_api_key(self, organization: ids::OrganizationId, key: &ApiKey) -> Result<Self, StoreError> {
        let operation = self.operation();
        let metadata = item::write(operation, &keys::api_key(organization, key.id), key)?;
        let credential = KeyCredential {
            key_id: key.id,
            organization_id: organization,
            workspace_id: key.workspace_id,
            mode: key.mode,
            scopes: key.scopes.clone(),
            allowed_cidrs: key.allowed_cidrs.clone(),
            expires_at_seconds: key.expires_at.map(Timestamp::seconds),
        };
        let mut credential = item::write(operation, &keys::api_key_by_hash(&key.hash), &credential)?;
        credential.extend(admission::fresh(key.rate_limit_per_hour));
        credential.insert("status".to_owned(), text("active"));
        credential.insert("created_at".to_owned(), text(key.created_at.to_string()));
        credential.insert("updated_at".to_owned(), text(key.updated_at.to_string()));
        Ok(self
            .step(Table::Core, Write::Create(metadata), Refusal::Exists("API key"))
            .step(Table::Directory, Write::Create(credential), Refusal::Exists("API key"))
            .tally(organization, Tally { api_keys: 1, ..Tally::default() }))
    }

    /// Revokes a key: from the next request on it is refused everywhere. With `unchanged`, only if it is as it was
    /// read.
    pub fn revoke_api_key(
        self,
        organization: ids::OrganizationId,
        key: &ApiKey,
        unchanged: bool,
        now: Timestamp,
    ) -> Self {
        let revoke = |key| Expression {
            key,
            update: "SET #status = :revoked, updated_at = :now".to_owned(),
            condition: "#status = :active".to_owned(),
            names: vec![("#status", "status")],
            values: vec![
                (":revoked", text("revoked")),
                (":active", text("active")),
                (":now", text(now.to_string())),
            ],
        };
        let mut metadata = revoke(primary(&keys::api_key(organization, key.id)));
        let credential = revoke(primary(&keys::api_key_by_hash(&key.hash)));
        let revoked = Refusal::Rule("the API key is already revoked");
        if unchanged {
            metadata.condition.push_str(" AND updated_at = :read");
            metadata.values.push((":read", text(key.updated_at.to_string())));
        }
        let stale = if unchanged && key.status == KeyStatus::Active { Refusal::Stale } else { revoked };
        self.step(Table::Core, Write::Update(metadata), stale)
            .step(Table::Directory, Write::Update(credential), revoked)
            .tally(organization, Tally { api_keys: -1, ..Tally::default() })
    }
}

impl Tenant {
    /// A key's metadata.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn api_key(&self, id: KeyId) -> Result<Option<ApiKey>, StoreError> {
        self.store.get(Store::core_table, "api_key", &keys::api_key(self.organization, id)).await
    }

    /// The tenant's keys, newest first, revoked ones included.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn api_keys(&self, page: &PageRequest<KeyId>) -> Result<Page<ApiKey>, StoreError> {
        let page = PageRequest { limit: page.limit, after: page.after.map(|id| id.to_string()) };
        self.store.page_of_organization("api_keys", self.organization, OfOrganization::ApiKeys, &page).await
    }

    /// When each of these keys was last used; one read a key, all at once.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn last_uses(&self, keys: &[ApiKey]) -> Result<Vec<Option<Timestamp>>, StoreError> {
        #[derive(Deserialize)]
        struct Used {
            #[serde(default)]
            last_used_at: Option<Timestamp>,
        }
        let reads = keys.iter().map(|key| async {
            let used: Option<Used> = self
                .store
                .get(Store::directory_table, "last_uses", &keys::api_key_by_hash(&key.hash))
                .await?;
            Ok(used.and_then(|used| used.last_used_at))
        });
        futures::future::try_join_all(reads).await
    }
}
