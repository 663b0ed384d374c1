//! Webhook endpoints.

use std::collections::BTreeMap;
use std::time::Duration;

use clock::Timestamp;
use events::{EventType, Subscription};
use ids::{EndpointId, OrganizationId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::item::{self, number, primary, text};
use crate::keys::{self, OfOrganization};
use crate::tally::Tally;
use crate::{
    Backlog, Change, EndpointState, Mode, Page, PageRequest, Refusal, Store, StoreError, Tenant, touched,
};

/// No event is longer on its way from the change that caused it until its delivery has an item, all being well: a pause of 75 s,
/// two minutes of standing back for others in the slow lane, and what stream and queues take.
const ON_ITS_WAY: Duration = Duration::from_secs(10 * 60);

/// Whether an endpoint is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum EndpointStatus {
    /// Yes.
    Enabled,
    /// Not at present.
    Disabled,
}

/// A secret that was replaced: deliveries are signed with it, too, until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The secret, sealed as it was.
    pub sealed_secret: String,
    /// The signing key that was replaced with it, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<SigningKeyRecord>,
    /// Until when it is signed with.
    pub until: Timestamp,
}

/// The Ed25519 key of an endpoint whose deliveries carry `v1a` signatures, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKeyRecord {
    /// The seed of the private key, as the `sealing` crate's envelope in base64. See [`Endpoint::signing_key_context`].
    pub sealed_seed: String,
    /// The public key, `whpk_…`.
    pub public_key: String,
}

/// The value of a header, as the `sealing` crate's envelope in base64. See [`Endpoint::header_context`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedHeader(pub String);

/// Where a customer wants events sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Where to.
    pub url: String,
    /// Names of event types, or `*`.
    pub events: Vec<String>,
    /// Only events of this workspace; of all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<WorkspaceId>,
    /// Events of this mode.
    pub mode: Mode,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Headers to add. Their values may be credentials.
    #[serde(default)]
    pub headers: BTreeMap<String, SealedHeader>,
    /// How long an attempt may take.
    pub timeout_seconds: u32,
    /// Retries after the first attempt.
    pub max_retries: u32,
    /// Attempts a second, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit_per_second: Option<u32>,
    /// Whether it is sent to.
    pub status: EndpointStatus,
    /// Why it is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
    /// Since when it is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    /// Since when there may be events that it was not sent because it is disabled, what waited for it then included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_since: Option<Timestamp>,
    /// When it was last enabled, if it had been disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled_at: Option<Timestamp>,
    /// The signing secret, as the `sealing` crate's envelope in base64.
    pub sealed_secret: String,
    /// The key of its `v1a` signatures, if it wants any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<SigningKeyRecord>,
    /// What the secret replaced, for as long as both are signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Replaced>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Endpoint {
    /// A new endpoint: it is sent all that happens live, and nothing was set but where to and what it is signed with.
    #[must_use]
    pub fn new(id: EndpointId, url: String, sealed_secret: String, now: Timestamp) -> Self {
        Self {
            id,
            url,
            events: vec!["*".to_owned()],
            workspace_id: None,
            mode: Mode::Live,
            description: None,
            headers: BTreeMap::new(),
            timeout_seconds: 30,
            max_retries: 4,
            rate_limit_per_second: None,
            status: EndpointStatus::Enabled,
            disabled_reason: None,
            disabled_at: None,
            missed_since: None,
            enabled_at: None,
            sealed_secret,
            signing_key: None,
            replaced: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// What a sealed secret is bound to: it opens for this endpoint of this tenant only.
    #[must_use]
    pub fn secret_context(organization: OrganizationId, id: EndpointId) -> Vec<u8> {
        format!("{organization}/{id}").into_bytes()
    }

    /// Since when it is enabled: what happened to it before does not count.
    #[must_use]
    pub fn enabled_at(&self) -> Timestamp {
        self.enabled_at.unwrap_or(self.created_at)
    }

    /// The endpoint, not sent to any more, for which this waits.
    #[must_use]
    pub fn disabled(&self, reason: String, waiting: &Backlog, now: Timestamp) -> Self {
        // Among what was not counted there may be any event.
        let oldest = if waiting.more { Some(self.created_at) } else { waiting.oldest };
        // What has not reached anybody's hands yet, and so waits nowhere, is cancelled, too.
        let on_its_way = (now - ON_ITS_WAY).max(self.enabled_at());
        let missed_since = oldest.unwrap_or(now).min(on_its_way).max(self.created_at);
        Self {
            status: EndpointStatus::Disabled,
            disabled_reason: Some(reason),
            disabled_at: Some(now),
            missed_since: Some(missed_since),
            updated_at: touched(self.updated_at, now),
            ..self.clone()
        }
    }

    /// What the sealed seed of a signing key is bound to.
    #[must_use]
    pub fn signing_key_context(organization: OrganizationId, id: EndpointId) -> Vec<u8> {
        format!("{organization}/{id}/signing-key").into_bytes()
    }

    /// Whether an event of this type, mode and workspace is for it, if it is enabled.
    #[must_use]
    pub fn is_for(&self, event: EventType, mode: Mode, workspace: WorkspaceId) -> bool {
        self.mode == mode
            && self.workspace_id.is_none_or(|own| own == workspace)
            && Subscription::parse(&self.events).is_ok_and(|subscription| subscription.wants(event))
    }

    /// What the sealed value of a header is bound to: it opens as this header of this endpoint only.
    #[must_use]
    pub fn header_context(organization: OrganizationId, id: EndpointId, name: &str) -> Vec<u8> {
        format!("{organization}/{id}/headers/{name}").into_bytes()
    }
}

impl Change {
    /// Creates an endpoint.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn create_endpoint(
        self,
        organization: OrganizationId,
        endpoint: &Endpoint,
    ) -> Result<Self, StoreError> {
        let item = item::write(self.operation(), &keys::endpoint(organization, endpoint.id), endpoint)?;
        let state = EndpointState::new(endpoint.id, endpoint.created_at);
        let change = self.step(Table::Core, Write::Create(item), Refusal::Exists("endpoint")).step(
            Table::Activity,
            Write::Create(state.item(organization)?),
            Refusal::Exists("endpoint"),
        );
        Ok(change.tally(organization, Tally { endpoints: 1, ..Tally::default() }))
    }

    /// Puts a changed endpoint in the place of one that is still as it was read.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn change_endpoint(
        self,
        organization: OrganizationId,
        read: &Endpoint,
        changed: &Endpoint,
    ) -> Result<Self, StoreError> {
        self.replace(Table::Core, &keys::endpoint(organization, read.id), changed, read.updated_at)
    }

    /// Has the sweep look at an endpoint: it was disabled or deleted, and what waits for it is to be cancelled.
    pub fn look_at_endpoint(self, organization: OrganizationId, id: EndpointId, now: Timestamp) -> Self {
        let look = EndpointState::flag(organization, id, now);
        self.step(Table::Activity, Write::Update(look), Refusal::Raced)
    }

    /// The same, provided nothing has happened to the endpoint since this was read of how it does.
    pub fn look_at_endpoint_as_read(
        self,
        organization: OrganizationId,
        read: &EndpointState,
        now: Timestamp,
    ) -> Self {
        let mut look = EndpointState::flag(organization, read.endpoint_id, now);
        look.condition = "revision = :read".to_owned();
        look.values.push((":read", number(i64::try_from(read.revision).unwrap_or(i64::MAX))));
        self.step(Table::Activity, Write::Update(look), Refusal::Raced)
    }

    /// What happened to an endpoint so far does not count any more: it is enabled again, or sends elsewhere.
    pub fn begin_endpoint_anew(self, organization: OrganizationId, id: EndpointId, now: Timestamp) -> Self {
        let anew = EndpointState::anew(organization, id, now);
        self.step(Table::Activity, Write::Update(anew), Refusal::Raced)
    }

    /// Deletes an endpoint; with `unchanged`, only if it is as it was read. Jobs in flight to it end as cancelled.
    pub fn delete_endpoint(self, organization: OrganizationId, endpoint: &Endpoint, unchanged: bool) -> Self {
        let mut delete = Expression {
            key: primary(&keys::endpoint(organization, endpoint.id)),
            condition: "attribute_exists(pk)".to_owned(),
            ..Expression::default()
        };
        let refusal = if unchanged { Refusal::Stale } else { Refusal::Missing("endpoint") };
        if unchanged {
            delete.condition = "updated_at = :read".to_owned();
            delete.values = vec![(":read", text(endpoint.updated_at.to_string()))];
        }
        let now = self.at();
        self.step(Table::Core, Write::Delete(delete), refusal)
            .look_at_endpoint(organization, endpoint.id, now)
            .tally(organization, Tally { endpoints: -1, ..Tally::default() })
    }
}

impl Tenant {
    /// An endpoint.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn endpoint(&self, id: EndpointId) -> Result<Option<Endpoint>, StoreError> {
        self.store.get(Store::core_table, "endpoint", &keys::endpoint(self.organization, id)).await
    }

    /// The tenant's endpoints, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn endpoints(&self, page: &PageRequest<EndpointId>) -> Result<Page<Endpoint>, StoreError> {
        let page = PageRequest { limit: page.limit, after: page.after.map(|id| id.to_string()) };
        self.store
            .page_of_organization("endpoints", self.organization, OfOrganization::Endpoints, &page)
            .await
    }

    /// All the tenant's endpoints; the plan bounds how many there are.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn all_endpoints(&self) -> Result<Vec<Endpoint>, StoreError> {
        self.store.all_of_organization("all_endpoints", self.organization, OfOrganization::Endpoints).await
    }

    /// The same, each read by itself: one that is malformed leaves the others readable.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read at all.
    pub async fn each_endpoint(&self) -> Result<Vec<Result<Endpoint, StoreError>>, StoreError> {
        const OPERATION: &str = "each_endpoint";
        let kind = OfOrganization::Endpoints;
        let items = self.store.items_of_organization(OPERATION, self.organization, kind).await?;
        Ok(items.into_iter().map(|item| item::read(OPERATION, item)).collect())
    }
}
