//! Warning the admins of keys that are about to expire.

use clock::Timestamp;
use ids::{KeyId, OrganizationId};
use mailing::Letter;
use serde_json::json;
use store::{
    ApiKey, AuditRecord, Change, CommitError, Due, ExpiryWarning, FieldChange, Organization,
    OrganizationStatus, OutgoingMail, Tenant,
};

use crate::{Sweep, TaskError};

impl Sweep {
    /// Warns of the key's expiry, if it still works and expires at the time that the task is about: an audit record and a mail
    /// to each admin, once. Then the next warning is put on the list. Of a deleted organization nobody is told, but as it may
    /// be brought back, the next warning is still put there. A task that is out of date is dropped.
    pub(crate) async fn warn_of_expiry(
        &self,
        due: &Due,
        organization: OrganizationId,
        key: KeyId,
        about: Timestamp,
    ) -> Result<(), TaskError> {
        let tenant = self.store.tenant_of_job(organization);
        let (key, organization) = (tenant.api_key(key).await?, tenant.organization().await?);
        let (Some(key), Some(organization)) = (key, organization) else {
            return Ok(self.store.drop_task(due).await?);
        };
        let now = self.clock.now();
        let is_told = organization.status != OrganizationStatus::Deleted && key.expires_at == Some(about);
        let Some(warning) = key.expiry_warning_at(now).filter(|_| is_told) else {
            return self.pass_on(due, &organization, &key, now).await;
        };
        let mut change = Change::audited(self.warning_record(&organization, &key, warning))
            .warn_of_expiry(organization.id, key.id, warning)?
            .unschedule(due)
            .schedule_expiry_warning(organization.id, &key, now)?;
        for mail in self.warning_mails(&tenant, &organization, &key, warning, now).await? {
            change = change.mailing(mail);
        }
        match tenant.commit(change, None).await {
            Ok(()) => Ok(()),
            // Somebody changed the key at the same moment. The task is still on the list, and is looked at anew.
            Err(CommitError::Refused(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a task off the list of which nobody is to be told now. The next warning is put there first, in case it isn't
    /// there yet; if it is, nothing changes.
    async fn pass_on(
        &self,
        due: &Due,
        organization: &Organization,
        key: &ApiKey,
        now: Timestamp,
    ) -> Result<(), TaskError> {
        if let Some(next) = key.next_expiry_warning(organization.id, now) {
            self.store.keep_task(&next).await?;
        }
        Ok(self.store.drop_task(due).await?)
    }

    /// Nothing of the key is altered but that a warning was given.
    fn warning_record(
        &self,
        organization: &Organization,
        key: &ApiKey,
        warning: ExpiryWarning,
    ) -> AuditRecord {
        let expiry = json!(warning.expires_at);
        let before = key.expiry_warning.filter(|given| given.expires_at == warning.expires_at);
        let mut record = self.record(organization.id, "api_key.expiring", ("api_key", key.id.to_string()));
        record.workspace_id = key.workspace_id;
        record.sensitive = false;
        record.changes = vec![
            FieldChange { field: "expires_at".to_owned(), before: expiry.clone(), after: expiry },
            FieldChange {
                field: "expiry_warning".to_owned(),
                before: json!(before.map(|given| given.notice)),
                after: json!(warning.notice),
            },
        ];
        record
    }

    async fn warning_mails(
        &self,
        tenant: &Tenant,
        organization: &Organization,
        key: &ApiKey,
        warning: ExpiryWarning,
        now: Timestamp,
    ) -> Result<Vec<OutgoingMail>, TaskError> {
        let admins = tenant.notified_admins().await?;
        let mails = admins.into_iter().map(|admin| {
            let letter = Letter::ApiKeyExpiring {
                to: admin.email,
                organization_name: organization.name.clone(),
                key: key.into(),
                expires_at: warning.expires_at,
            };
            self.mail_seal.outgoing(self.ids.next(), organization.id, letter, now)
        });
        Ok(mails.collect::<Result<_, _>>()?)
    }
}
