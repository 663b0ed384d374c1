//! API keys: the metadata a tenant sees in `core`, and the credential that authentication reads in `directory`.
//! Both are written in one transaction and never apart.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use clock::Timestamp;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ids::{KeyId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::admission::{self, SUSPENDED};
use crate::change::{Expression, Table, Write};
use crate::directory::KeyCredential;
use crate::item::{self, Item, get_number, get_text, number, primary, text};
use crate::keys::{self, OfOrganization};
use crate::tally::Tally;
use crate::{
    Change, ExpiryWarning, Leak, Mode, Networks, OrganizationStatus, Page, PageRequest, Refusal, Store,
    StoreError, Tenant,
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
    /// Another key has taken its place, and it works until it expires.
    Rotated,
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
    /// The key that it has taken the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_from: Option<KeyId>,
    /// The key that has taken its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_to: Option<KeyId>,
    /// Where its credential is. Empty for a key of before there were locators, which is not honoured any more.
    #[serde(default)]
    pub locator: String,
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

/// What only the credential of a key has.
#[derive(Clone, Copy)]
pub struct Secret {
    /// The key's hash under the pepper in force.
    pub mac: [u8; 32],
    /// Its permissions, a bit each.
    pub grants: u64,
    /// How many days what it is used for is kept.
    pub kept_days: u64,
}

/// When, from where and by what a key was used last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUse {
    /// When.
    pub at: Timestamp,
    /// The address.
    pub address: String,
    /// The beginning of the user agent.
    pub user_agent: Option<String>,
}

/// A credential as it was read, for another one that takes over what it has counted.
#[derive(Debug, Clone)]
pub struct Succession {
    counted: Item,
    /// How many more requests it may have admitted by the time it is taken over, beyond what it was seen to have counted.
    /// They are debited to the successor up front.
    margin: i64,
}

impl ApiKey {
    /// How much of what its organization may give out it has.
    pub(crate) fn weight(&self) -> Tally {
        let holds = self.status == KeyStatus::Active;
        let requests = if holds { admission::signed(self.rate_limit_per_hour) } else { 0 };
        Tally { api_keys: i64::from(holds), requests, ..Tally::default() }
    }

    fn networks(&self) -> Networks {
        self.allowed_cidrs.iter().filter_map(|cidr| cidr.parse().ok()).collect()
    }

    /// The key's credential, which has counted nothing.
    fn credential(
        &self,
        operation: &'static str,
        organization: ids::OrganizationId,
        secret: &Secret,
    ) -> Result<Item, StoreError> {
        let credential = KeyCredential {
            key_id: self.id,
            organization_id: organization,
            workspace_id: self.workspace_id,
            mode: self.mode,
            grants: secret.grants,
            networks: self.networks(),
            kept_days: secret.kept_days,
            expires_at_seconds: self.expires_at.map(Timestamp::seconds),
        };
        let mut item = item::write(operation, &keys::api_key_at(&self.locator), &credential)?;
        item.insert(admission::MAC.to_owned(), admission::bytes(&secret.mac));
        item.extend(admission::fresh(self.rate_limit_per_hour));
        item.insert("status".to_owned(), text("active"));
        item.insert("created_at".to_owned(), text(self.created_at.to_string()));
        item.insert("updated_at".to_owned(), text(self.updated_at.to_string()));
        Ok(item)
    }
}

impl Change {
    /// Creates a key in `organization`.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn create_api_key(
        self,
        organization: ids::OrganizationId,
        key: &ApiKey,
        secret: &Secret,
    ) -> Result<Self, StoreError> {
        let operation = self.operation();
        let metadata = item::write(operation, &keys::api_key(organization, key.id), key)?;
        let credential = key.credential(operation, organization, secret)?;
        Ok(self
            .step(Table::Core, Write::Create(metadata), Refusal::Exists("API key"))
            .step(Table::Directory, Write::Create(credential), Refusal::Exists("API key"))
            .tally(organization, key.weight()))
    }

    /// Changes name, permissions (`grants` are their bits), expiry, networks or limit of an active key that is still as it
    /// was read. From the next request on it is what it is changed to; what it has used of its budget stays used.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn change_api_key(
        self,
        organization: ids::OrganizationId,
        before: &ApiKey,
        after: &ApiKey,
        grants: u64,
    ) -> Result<Self, StoreError> {
        let mut update = "SET may = :may, u = n - :limit, updated_at = :now".to_owned();
        let mut values = vec![
            (":may", number(admission::signed(grants))),
            (":limit", number(admission::signed(after.rate_limit_per_hour))),
            (":now", text(after.updated_at.to_string())),
            (":active", text("active")),
        ];
        let mut gone = Vec::new();
        match after.expires_at {
            Some(at) => {
                update.push_str(", exp = :exp");
                values.push((":exp", number(at.seconds())));
            }
            None => gone.push("exp"),
        }
        let networks = after.networks();
        if networks.is_empty() {
            gone.push("nets");
        } else {
            update.push_str(", nets = :nets");
            values.push((":nets", admission::bytes(&networks.pack())));
        }
        if !gone.is_empty() {
            update.push_str(" REMOVE ");
            update.push_str(&gone.join(", "));
        }
        let credential = Expression {
            key: primary(&keys::api_key_at(&before.locator)),
            update,
            condition: "#status = :active".to_owned(),
            names: vec![("#status", "status")],
            values,
        };
        let tally = after.weight().less(before.weight());
        Ok(self
            .replace(Table::Core, &keys::api_key(organization, before.id), after, before.updated_at)?
            .step(Table::Directory, Write::Update(credential), Refusal::Raced)
            .tally(organization, tally))
    }

    /// Revokes a key that is still as it was read: from the next request on it is refused everywhere, and so is
    /// `predecessor`, which draws on the same budget. (What it gives back is what it had when it was read.)
    pub fn revoke_api_key(
        self,
        organization: ids::OrganizationId,
        key: &ApiKey,
        predecessor: Option<&ApiKey>,
        now: Timestamp,
    ) -> Self {
        self.end_api_key(organization, key, predecessor, None, now)
    }

    /// Revokes a key that has leaked, also one that waits for its organization to be brought back, and says where it was
    /// found. `predecessor`, which draws on the same budget, goes with it.
    pub fn revoke_leaked_api_key(
        self,
        organization: ids::OrganizationId,
        key: &ApiKey,
        predecessor: Option<&ApiKey>,
        leak: &Leak,
    ) -> Self {
        self.end_api_key(organization, key, predecessor, Some(leak), leak.at)
    }

    fn end_api_key(
        self,
        organization: ids::OrganizationId,
        key: &ApiKey,
        predecessor: Option<&ApiKey>,
        leak: Option<&Leak>,
        now: Timestamp,
    ) -> Self {
        let refusal = match key.status {
            KeyStatus::Revoked => Refusal::Rule("the API key is already revoked"),
            KeyStatus::Active | KeyStatus::Rotated => Refusal::Raced,
        };
        let [mut metadata, mut credential] = revocation(organization, key, now);
        if let Some(leak) = leak {
            leak.note(&mut metadata);
            credential.condition = "#status IN (:active, :rotated, :suspended)".to_owned();
            credential.values.push((":suspended", text(SUSPENDED)));
        }
        metadata.condition.push_str(" AND updated_at = :read");
        metadata.values.push((":read", text(key.updated_at.to_string())));
        let change = self
            .step(Table::Core, Write::Update(metadata), refusal)
            .step(Table::Directory, Write::Update(credential), refusal)
            .tally(organization, Tally::default().less(key.weight()));
        change.revoke_predecessor(organization, predecessor, now)
    }

    fn revoke_predecessor(
        self,
        organization: ids::OrganizationId,
        predecessor: Option<&ApiKey>,
        now: Timestamp,
    ) -> Self {
        let still = predecessor.filter(|predecessor| predecessor.status == KeyStatus::Rotated);
        let Some(predecessor) = still else { return self };
        let [metadata, credential] = revocation(organization, predecessor, now);
        self.step(Table::Core, Write::Update(metadata), Refusal::Raced).step(
            Table::Directory,
            Write::Update(credential),
            Refusal::Raced,
        )
    }

    /// Puts `new` in the place of `old`, an active key that is still as it was read: it takes over what that has counted, so
    /// that both together have one budget. `retired` is the old key afterwards: revoked, or rotated, which works until it
    /// expires. `predecessor`, which the old key once took the place of, is over with this. The new key weighs what the old
    /// one did, so no count of the organization moves; that it is not being deleted is therefore asked here: a deletion
    /// suspends the keys that it finds, and would not find one that is made behind it.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when a record cannot be written as an item.
    pub fn rotate_api_key(
        self,
        organization: ids::OrganizationId,
        (old, retired): (&ApiKey, &ApiKey),
        predecessor: Option<&ApiKey>,
        (new, secret): (&ApiKey, &Secret),
        succession: &Succession,
    ) -> Result<Self, StoreError> {
        let operation = self.operation();
        let metadata = item::write(operation, &keys::api_key(organization, new.id), new)?;
        let mut credential = new.credential(operation, organization, secret)?;
        succession.hand_over(&mut credential, new);
        let seen = get_number(&succession.counted, admission::COUNT).unwrap_or(0);
        let mut retire = Expression {
            key: primary(&keys::api_key_at(&old.locator)),
            update: "SET #status = :status, #to = :to, updated_at = :now".to_owned(),
            condition: "#status = :active AND n BETWEEN :seen AND :latest".to_owned(),
            names: vec![("#status", "status"), ("#to", admission::SUCCESSOR)],
            values: vec![
                (":active", text("active")),
                (":to", text(new.locator.clone())),
                (":now", text(retired.updated_at.to_string())),
                (":seen", number(seen)),
                (":latest", number(seen + succession.margin)),
            ],
        };
        let status = if retired.status == KeyStatus::Rotated { admission::ROTATED } else { "revoked" };
        retire.values.push((":status", text(status)));
        if let Some(until) = retired.expires_at {
            retire.update.push_str(", exp = :until");
            retire.values.push((":until", number(until.seconds())));
        }
        Ok(self
            .replace(Table::Core, &keys::api_key(organization, old.id), retired, old.updated_at)?
            .step(Table::Directory, Write::Update(retire), Refusal::Raced)
            .step(Table::Core, Write::Create(metadata), Refusal::Exists("API key"))
            .step(Table::Directory, Write::Create(credential), Refusal::Exists("API key"))
            .while_active(organization)
            .revoke_predecessor(organization, predecessor, retired.updated_at))
    }
}

/// What revokes a key that is active or rotated: of its metadata and of its credential.
fn revocation(organization: ids::OrganizationId, key: &ApiKey, now: Timestamp) -> [Expression; 2] {
    let revoke = |key| Expression {
        key,
        update: "SET #status = :revoked, updated_at = :now".to_owned(),
        condition: "#status IN (:active, :rotated)".to_owned(),
        names: vec![("#status", "status")],
        values: vec![
            (":revoked", text("revoked")),
            (":active", text("active")),
            (":rotated", text(admission::ROTATED)),
            (":now", text(now.to_string())),
        ],
    };
    [revoke(primary(&keys::api_key(organization, key.id))), revoke(primary(&keys::api_key_at(&key.locator)))]
}

impl Succession {
    /// Copies what limits to a credential that takes over; what the old key was used for stays with it.
    fn hand_over(&self, credential: &mut Item, new: &ApiKey) {
        let is_window = |name: &str| admission::is_of_window(name);
        credential.extend(
            self.counted
                .iter()
                .filter(|(name, _)| is_window(name))
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        let count = get_number(credential, admission::COUNT).unwrap_or(0) + self.margin;
        credential.insert(admission::COUNT.to_owned(), number(count));
        credential
            .insert(admission::OVER.to_owned(), number(count - admission::signed(new.rate_limit_per_hour)));
        if self.margin > 0 {
            // By whatever clock they are stamped, they are not later than that.
            let minute = admission::mark(new.created_at.minute() + 1);
            let counted = get_number(credential, &minute).unwrap_or(0) + self.margin;
            credential.insert(minute, number(counted));
        }
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

    /// Brings how long the usage of keys is kept in step with the organization's plan. Can be repeated.
    ///
    /// # Errors
    /// [`StoreError`]; some credentials may then have been changed.
    pub async fn align_usage_retention(&self, days: u64) -> Result<(), StoreError> {
        let set = |update: UpdateItemFluentBuilder| {
            update
                .update_expression("SET days = :days")
                .condition_expression("attribute_exists(pk)")
                .expression_attribute_values(":days", number(admission::signed(days)))
        };
        self.each_credential(set).await
    }

    /// Gives the credentials of all keys that are active the status `to`, if they have the status `from`.
    async fn move_credentials(
        &self,
        from: &'static str,
        to: &'static str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let set = |update: UpdateItemFluentBuilder| {
            update
                .update_expression("SET #status = :to, updated_at = :now")
                .condition_expression("#status = :from")
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":from", text(from))
                .expression_attribute_values(":to", text(to))
                .expression_attribute_values(":now", text(now.to_string()))
        };
        self.each_credential(set).await
    }

    /// Updates the credentials of all keys that are active, side by side; one whose condition fails is as it should be, or
    /// was revoked.
    async fn each_credential(
        &self,
        set: impl Fn(UpdateItemFluentBuilder) -> UpdateItemFluentBuilder,
    ) -> Result<(), StoreError> {
        let all: Vec<ApiKey> = self
            .store
            .all_of_organization("align_api_keys", self.organization, OfOrganization::ApiKeys)
            .await?;
        let active = all.into_iter().filter(|key| key.status == KeyStatus::Active);
        let updates = active.map(|key| {
            let update = self
                .store
                .client
                .update_item()
                .table_name(self.store.directory_table())
                .set_key(Some(primary(&keys::api_key_at(&key.locator))));
            let update = set(update);
            async move {
                match update.send().await {
                    Ok(_) => Ok(()),
                    Err(SdkError::ServiceError(context))
                        if context.err().is_conditional_check_failed_exception() =>
                    {
                        Ok(())
                    }
                    Err(error) => Err(StoreError::from_sdk("align_api_keys", error)),
                }
            }
        });
        // Collected first: a stream that holds the closure itself is not known to be `Send` by who spawns this.
        let updates: Vec<_> = updates.collect();
        stream::iter(updates).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// What a key's credential has counted, for one that takes over, and room for what it may admit until then: what it
    /// admits in two seconds, by the present minute and the last one, and `spare` more. `None` when there is no credential.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn succession(
        &self,
        key: &ApiKey,
        spare: u32,
        now: Timestamp,
    ) -> Result<Option<Succession>, StoreError> {
        let Some(counted) = self.credential(key).await? else { return Ok(None) };
        let margin = admission::margin(&counted, i64::from(spare), now);
        Ok(Some(Succession { counted, margin }))
    }

    /// When each of these keys was last used; one read a key, all at once.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn last_uses(&self, keys: &[ApiKey]) -> Result<Vec<Option<LastUse>>, StoreError> {
        let reads = keys.iter().map(|key| async {
            let [at, from, by] = admission::LAST_USED;
            Ok(self.credential(key).await?.and_then(|item| {
                Some(LastUse {
                    at: Timestamp::from_millis(get_number(&item, at)?),
                    address: get_text(&item, from)?.to_owned(),
                    user_agent: get_text(&item, by).filter(|agent| !agent.is_empty()).map(str::to_owned),
                })
            }))
        });
        futures::future::try_join_all(reads).await
    }

    /// The key's credential, as it is stored.
    pub(crate) async fn credential(&self, key: &ApiKey) -> Result<Option<Item>, StoreError> {
        self.store.item(Store::directory_table, "credential", &keys::api_key_at(&key.locator)).await
    }
}
