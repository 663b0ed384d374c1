//! Data: what the secrets must be able to open, and signs that something does not run.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealing::Purpose;
use store::{AuditFilter, Endpoint, Organization, PageRequest, Store, StoreError, Tenant, data_level};

use super::Examination;
use super::secrets::Secrets;

/// Organizations that are looked into.
const ORGANIZATIONS: usize = 20;
/// Stretches of the table that are looked through for them.
const STRETCHES: usize = 20;
/// What should happen within a minute has not happened for so long.
const LATE: Duration = Duration::from_secs(15 * 60);
/// The sweep brings items up by itself, from an hour after a deployment on.
const SWEPT_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

impl Examination<'_> {
    pub(super) async fn data(&mut self, secrets: &Secrets) {
        const WHAT: &str = "data";
        let store = Store::from_environment(&self.services.environment, self.services.aws.dynamodb.clone());
        let Ok(store) = store else {
            self.report.skip(WHAT, "no table is named");
            return;
        };
        let looked = async {
            self.format(&store).await?;
            self.due(&store).await?;
            let organizations = some_organizations(&store).await?;
            self.envelopes(&store, &organizations, secrets).await?;
            self.seals(&store, &organizations).await
        };
        if let Err(error) = looked.await {
            self.report.skip(WHAT, telemetry::chain(&error));
        }
    }

    /// Whether items are in formats that this version knows, and brought up to them.
    async fn format(&mut self, store: &Store) -> Result<(), StoreError> {
        const WHAT: &str = "format of items";
        match store.migration().await? {
            Some(run) if run.level > data_level() => self.report.error(
                "format_newer",
                WHAT,
                format!(
                    "items are at level {}, and this version knows {}: what a newer version has written may not be read",
                    run.level,
                    data_level()
                ),
                "deploy the newer version again, and use its program",
            ),
            Some(run) if run.level == data_level() && run.finished_at.is_some() => self.report.pass(),
            Some(run) if self.services.clock.now() < run.created_at + SWEPT_WITHIN => self.report.pass(),
            Some(_) => self.report.warning(
                "migration_unfinished",
                WHAT,
                "items are not all brought up to the present format",
                "run `artisan migrate`, or wait for the sweep",
            ),
            // A new deployment has nothing to bring up; the sweep looks, after an hour.
            None => self.report.pass(),
        }
        Ok(())
    }

    /// Whether the sweep runs: tasks are carried out when they are due.
    async fn due(&mut self, store: &Store) -> Result<(), StoreError> {
        let late = store.due(self.services.clock.now() - LATE, 1).await?;
        match late.first() {
            None => self.report.pass(),
            Some(task) => self.report.error(
                "sweep_behind",
                "sweep",
                format!("a task has been due since {}, and nobody has carried it out", task.due_at),
                "is the schedule enabled, is the function throttled, what does its log say? Retries wait for it too",
            ),
        }
        Ok(())
    }

    /// Whether the webhook secret is the one that endpoints' secrets were sealed with.
    async fn envelopes(
        &mut self,
        store: &Store,
        organizations: &[Organization],
        secrets: &Secrets,
    ) -> Result<(), StoreError> {
        const VARIABLE: &str = "WEBHOOK_SECRET_ID";
        let key = secrets.get(VARIABLE).and_then(|it| it.sealing_key(Purpose::WebhookSecrets).ok());
        let Some(key) = key else { return Ok(()) };
        let mut unopened = Vec::new();
        let mut opened = 0_u64;
        for organization in organizations {
            let page = PageRequest { limit: 5, after: None };
            for endpoint in store.tenant_of_job(organization.id).endpoints(&page).await?.items {
                let context = Endpoint::secret_context(organization.id, endpoint.id);
                let envelope = STANDARD.decode(&endpoint.sealed_secret).unwrap_or_default();
                match key.open_envelope(&context, &envelope) {
                    Ok(_) => opened += 1,
                    Err(_) => unopened.push(endpoint.id),
                }
            }
        }
        match unopened.first() {
            None if opened == 0 => {
                self.report.skip("whether the webhook secret opens what is sealed", "there is no endpoint");
            }
            None => self.report.pass(),
            Some(first) => self.report.error(
                "envelope_unreadable",
                VARIABLE,
                format!(
                    "it does not open the signing secrets of {} endpoints of {}, {first} among them: nothing is delivered to them",
                    unopened.len(),
                    unopened.len() as u64 + opened
                ),
                "bring back the value that they were sealed with (docs/operations.md, Replacing secrets)",
            ),
        }
        self.report.skip(
            "whether the pepper is the one that API keys were hashed with",
            "that takes a key: `GET /v1/whoami` with one that worked before says 200 if it is",
        );
        Ok(())
    }

    /// Whether audit records are sealed.
    async fn seals(&mut self, store: &Store, organizations: &[Organization]) -> Result<(), StoreError> {
        let now = self.services.clock.now();
        for organization in organizations {
            let tenant: Tenant = store.tenant_of_job(organization.id);
            let filter = AuditFilter { to: Some(now - LATE), ..AuditFilter::default() };
            let page = PageRequest { limit: 1, after: None };
            let last = tenant.audit_records(&filter, &page, false, now).await?;
            if let Some(record) = last.items.first().filter(|record| record.leaf_index.is_none()) {
                self.report.error(
                    "seal_behind",
                    organization.id.to_string(),
                    format!("its audit record {} is not sealed", record.id),
                    "is the event source mapping of `seal` enabled, what does its log say? Records that wait for a day stay unsealed",
                );
                return Ok(());
            }
        }
        self.report.pass();
        Ok(())
    }
}

/// Some organizations, as far as they are near the front of the table.
async fn some_organizations(store: &Store) -> Result<Vec<Organization>, StoreError> {
    let (mut found, mut after) = (Vec::new(), None);
    for _ in 0..STRETCHES {
        let stretch = store.organizations(after.as_deref()).await?;
        found.extend(stretch.items);
        after = stretch.next;
        if found.len() >= ORGANIZATIONS || after.is_none() {
            break;
        }
    }
    found.truncate(ORGANIZATIONS);
    Ok(found)
}
