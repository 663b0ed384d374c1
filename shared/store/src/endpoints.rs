//! Webhook endpoints.

use std::collections::BTreeMap;

use clock::Timestamp;
use ids::{EndpointId, OrganizationId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::item::{self, primary, text};
use crate::keys::{self, OfOrganization};
use crate::tally::Tally;
use crate::{Change, Mode, Page, PageRequest, Refusal, Store, StoreError, Tenant};

/// Whether an endpoint is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointStatus {
    /// Yes.
    Enabled,
    /// Not at present.
    Disabled,
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
    /// Attempts a second; kept, not yet enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit_per_second: Option<u32>,
    /// Whether it is sent to.
    pub status: EndpointStatus,
    /// Why it is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
    /// The signing secret, as the `sealing` crate's envelope in base64.
    pub sealed_secret: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Endpoint {
    /// What a sealed secret is bound to: it opens for this endpoint of this tenant only.
    #[must_use]
    pub fn secret_context(organization: OrganizationId, id: EndpointId) -> Vec<u8> {
        format!("{organization}/{id}").into_bytes()
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
        let change = self.step(Table::Core, Write::Create(item), Refusal::Exists("endpoint"));
        Ok(change.tally(organization, Tally { endpoints: 1, ..Tally::default() }))
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
        self.step(Table::Core, Write::Delete(delete), refusal)
            .tally(organization, Tally { endpoints: -1, ..Tally::default() })
    }

    /// Disables an endpoint that is enabled.
    pub fn disable_endpoint(
        self,
        organization: OrganizationId,
        id: EndpointId,
        reason: &str,
        now: Timestamp,
    ) -> Self {
        let disable = Expression {
            key: primary(&keys::endpoint(organization, id)),
            update: "SET #status = :disabled, disabled_reason = :reason, updated_at = :now".to_owned(),
            condition: "#status = :enabled".to_owned(),
            names: vec![("#status", "status")],
            values: vec![
                (":disabled", text("disabled")),
                (":enabled", text("enabled")),
                (":reason", text(reason)),
                (":now", text(now.to_string())),
            ],
        };
        self.step(Table::Core, Write::Update(disable), Refusal::Rule("the endpoint is not enabled"))
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
}
