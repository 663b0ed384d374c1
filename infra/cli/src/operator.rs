//! Who acts: the operator, by this program.

use clock::Timestamp;
use ids::OrganizationId;
use runtime::{Services, StartError};
use store::{AuditRecord, Store, Tenant};

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

    /// Which deployment that is, so that whoever is asked sees whether it is the one they mean.
    pub(crate) fn place(&self) -> String {
        let table = self.services.environment.optional("CORE_TABLE").unwrap_or("?");
        let config = &self.services.aws.config;
        let region = config.region().map_or("no region", |region| region.as_ref());
        format!("{table} ({})", config.endpoint_url().unwrap_or(region))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.services.clock.now()
    }

    /// The record of something that the operator does. Who that is at the machine, AWS's own trail knows.
    pub(crate) fn record(&self, action: &'static str, resource: (&str, Option<String>)) -> AuditRecord {
        let (services, organization) = (self.services, self.tenant.organization_id());
        AuditRecord {
            user_agent: Some(concat!("artisan/", env!("CARGO_PKG_VERSION")).to_owned()),
            ..AuditRecord::by_system("operator", action, resource, organization, &services.ids, self.now())
        }
    }
}
