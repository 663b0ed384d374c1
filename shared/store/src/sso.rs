//! An organization's identity provider.

use clock::Timestamp;
use ids::{OrganizationId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::item::{self, primary, text};
use crate::{Change, Refusal, Role, Store, StoreError, Tenant, keys};

/// How an organization signs its people in: OpenID Connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SsoConnection {
    /// The provider's issuer URL, exactly as its tokens name it.
    pub issuer: String,
    /// Our id there.
    pub client_id: String,
    /// Our secret there, sealed and bound to the organization by the `oidc` crate.
    pub sealed_client_secret: String,
    /// The role of those who join by signing on.
    pub default_role: Role,
    /// Where they have it: in this workspace, or on the organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_workspace_id: Option<WorkspaceId>,
    /// When it was set up.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Change {
    /// Sets the connection up, or changes one that is still as it was read.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub fn set_sso(
        self,
        organization: OrganizationId,
        before: Option<&SsoConnection>,
        after: &SsoConnection,
    ) -> Result<Self, StoreError> {
        let key = keys::sso(organization);
        match before {
            Some(before) => self.replace(Table::Core, &key, after, before.updated_at),
            None => {
                let item = item::write(self.operation(), &key, after)?;
                Ok(self.step(Table::Core, Write::Create(item), Refusal::Raced))
            }
        }
    }

    /// Goes ahead only while there is a connection.
    pub fn requires_sso(self, organization: OrganizationId) -> Self {
        let check = Expression {
            key: primary(&keys::sso(organization)),
            condition: "attribute_exists(pk)".to_owned(),
            ..Expression::default()
        };
        self.step(Table::Core, Write::Check(check), Refusal::Raced)
    }

    /// Removes the connection.
    pub fn remove_sso(self, organization: OrganizationId, before: &SsoConnection) -> Self {
        let delete = Expression {
            key: primary(&keys::sso(organization)),
            condition: "updated_at = :read".to_owned(),
            values: vec![(":read", text(before.updated_at.to_string()))],
            ..Expression::default()
        };
        self.step(Table::Core, Write::Delete(delete), Refusal::Raced)
    }
}

impl Tenant {
    /// The connection, if there is one.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn sso(&self) -> Result<Option<SsoConnection>, StoreError> {
        self.store.get(Store::core_table, "sso", &keys::sso(self.organization)).await
    }
}
