//! API keys: the metadata a tenant sees in `core`, and the credential that authentication reads in `directory`.
//! Both are written in one transaction and never apart.

use aws_sdk_dynamodb::error::SdkError;
use clock::Timestamp;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ids::{KeyId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::admission::{self, SUSPENDED};
use crate::change::{Expression, Table, Write};
use crate::directory::KeyCredential;
use crate::item::{self, primary, text};
use crate::keys::{self, OfOrganization};
use crate::tally::Tally;
use crate::{
    Change, ExpiryWarning, Leak, Mode, OrganizationStatus, Page, PageRequest, Refusal, Store, StoreError,
    Tenant,
};

/// How many credentials are changed side by side.
const AT_ONCE: usize = 16;
/// How often the organization is looked at again after its keys were brought in step with it.
const LOOKS: usize = 4;

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
    /// The last warning that it is about to expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_warning: Option<ExpiryWarning>,
    /// When it was reported as found where anybody can read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaked_at: Option<Timestamp>,
    /// Where it was found. The reporter's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaked_url: Option<String>,
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
        self.end_api_key(organization, key, unchanged, None, now)
    }

    /// Revokes a key that has leaked, also one that waits for its organization to be brought back, and says where it was
    /// found.
    pub fn revoke_leaked_api_key(self, organization: ids::OrganizationId, key: &ApiKey, leak: &Leak) -> Self {
        self.end_api_key(organization, key, false, Some(leak), leak.at)
    }

    fn end_api_key(
        self,
        organization: ids::OrganizationId,
        key: &ApiKey,
        unchanged: bool,
        leak: Option<&Leak>,
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
        let mut credential = revoke(primary(&keys::api_key_by_hash(&key.hash)));
        if let Some(leak) = leak {
            leak.note(&mut metadata);
            credential.condition.push_str(" OR #status = :suspended");
            credential.values.push((":suspended", text(SUSPENDED)));
        }
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

    /// Brings the keys' credentials in step with their organization: suspended while it is deleted, at work while it is
    /// active. Looks at the organization again afterwards, so that of a deletion and a restoration at the same moment
    /// the later one holds. Can be repeated: what is done stays done.
    ///
    /// # Errors
    /// [`StoreError`]; some credentials may then have been changed.
    pub async fn align_api_keys(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut aligned = None;
        for _ in 0..LOOKS {
            let Some(organization) = self.organization().await? else { return Ok(()) };
            if aligned == Some(organization.status) {
                return Ok(());
            }
            match organization.status {
                OrganizationStatus::Deleted => self.move_credentials("active", SUSPENDED, now).await?,
                OrganizationStatus::Active => self.move_credentials(SUSPENDED, "active", now).await?,
            }
            aligned = Some(organization.status);
        }
        Err(StoreError::Unavailable {
            operation: "align_api_keys",
            source: "the organization keeps changing".into(),
        })
    }

    /// Gives the credentials of all keys that are not revoked the status `to`, if they have the status `from`.
    async fn move_credentials(
        &self,
        from: &'static str,
        to: &'static str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let all: Vec<ApiKey> = self
            .store
            .all_of_organization("align_api_keys", self.organization, OfOrganization::ApiKeys)
            .await?;
        let moves = all.into_iter().filter(|key| key.status == KeyStatus::Active).map(|key| async move {
            let update = self
                .store
                .client
                .update_item()
                .table_name(self.store.directory_table())
                .set_key(Some(primary(&keys::api_key_by_hash(&key.hash))))
                .update_expression("SET #status = :to, updated_at = :now")
                .condition_expression("#status = :from")
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":from", text(from))
                .expression_attribute_values(":to", text(to))
                .expression_attribute_values(":now", text(now.to_string()));
            match update.send().await {
                Ok(_) => Ok(()),
                // It is as it should be, or was revoked.
                Err(SdkError::ServiceError(context))
                    if context.err().is_conditional_check_failed_exception() =>
                {
                    Ok(())
                }
                Err(error) => Err(StoreError::from_sdk("align_api_keys", error)),
            }
        });
        stream::iter(moves).buffer_unordered(AT_ONCE).try_collect().await
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
