//! Who acts: the operator, by this program.

use clock::Timestamp;
use ids::OrganizationId;
use runtime::{Services, StartError};
use store::{Actor, AuditRecord, Store, Tenant};

/// The operator at one organization.
pub(crate) struct Operator<'a> {
    pub(crate) services: &'a Services,
    pub(crate) tenant: Tenant,
}

impl<'a> Operator<'a> {
    /// The operator who was told an organization's id on the command line: whoever has the deployment's credentials has all
    /// of its tenants.
    ///
    /// # Errors
    /// [`StartError`] when no table is named.
    pub(crate) fn at(services: &'a Services, organization: OrganizationId) -> Result<Self, StartError> {
        let store = Store::from_environment(&services.environment, services.aws.dynamodb.clone())?;
        Ok(Self { services, tenant: store.tenant_of_job(organization) })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.services.clock.now()
    }

    /// The record of something that the operator does. Who that is at the machine, AWS's own trail knows.
    pub(crate) fn record(&self, action: &'static str, resource: (&str, Option<String>)) -> AuditRecord {
        AuditRecord {
            id: self.services.ids.next(),
            action,
            actor: Actor { r#type: "system".to_owned(), id: "operator".to_owned(), email: None },
            resource_type: resource.0.to_owned(),
            resource_id: resource.1,
            organization_id: self.tenant.organization_id(),
            workspace_id: None,
            ip_address: String::new(),
            user_agent: Some(concat!("artisan/", env!("CARGO_PKG_VERSION")).to_owned()),
            request_id: self.services.ids.next::<ids::kind::Request>().to_string(),
            timestamp: self.now(),
            success: true,
            error_code: None,
            changes: Vec::new(),
            pii_accessed: false,
            sensitive: true,
            compliance_relevant: true,
        }
    }
}
