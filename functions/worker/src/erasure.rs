//! The erasure of a person: everything an organization holds about them, and every export that may.

use store::{Actor, AuditRecord, Change, CommitError, OutgoingMail, Person, Refusal, Subject, Tenant};

use crate::{Hold, JobError, Outcome, Worker};

/// Reads of a hundred items between two notes of how far it has come.
const STRETCHES: usize = 20;

impl Worker {
    /// Erases a person, from where it stopped.
    pub(crate) async fn erase(&self, hold: &mut Hold<'_>, about: &Subject) -> Result<Outcome, JobError> {
        let tenant = hold.tenant.clone();
        if hold.job.person.is_none() {
            let person = tenant.find_person(about, self.0.clock.now()).await?;
            hold.job.person = Some(person);
            hold.note().await?;
        }
        loop {
            let mut person = hold.job.person.clone().unwrap_or_default();
            refuse_members(&tenant, &person).await?;
            let is_to = self.is_to(&person);
            let from = hold.job.position.clone();
            let now = self.0.clock.now();
            let walked = tenant.forget(&mut person, from.as_deref(), &is_to, STRETCHES, now).await?;
            for (kind, count) in walked.counts {
                *hold.job.erased.entry(kind.to_owned()).or_default() += count;
                hold.job.records += count;
            }
            hold.job.person = Some(person);
            hold.job.position = walked.next;
            if hold.job.position.is_none() {
                break;
            }
            // It has come further: starts are counted from here.
            hold.job.starts = 1;
            hold.note().await?;
            if hold.is_late() {
                tenant.release_long_job(hold.job, std::time::Duration::ZERO, self.0.clock.now()).await?;
                return Ok(Outcome::Unfinished);
            }
        }
        hold.note().await?;
        self.clear_exports(hold).await?;
        self.put_on_record(hold).await
    }

    /// Tells of a mail whether it is to a person or names their address.
    fn is_to(&self, person: &Person) -> impl Fn(&OutgoingMail) -> bool + Send + Sync + use<> {
        let seal = self.0.mail_seal.clone();
        // No more of them is needed.
        let addressee = Person { email: person.email.clone(), ..Person::default() };
        move |mail| {
            let job = seal.open(&mail.sealed).ok();
            let text = job.and_then(|job| serde_json::to_string(&job).ok());
            text.is_some_and(|text| addressee.is_addressed_in(&text))
        }
    }

    /// Deletes every export of the organization: they may hold the person. Those that are being made are begun anew.
    async fn clear_exports(&self, hold: &mut Hold<'_>) -> Result<(), JobError> {
        let person = hold.job.person.clone().unwrap_or_default();
        let now = self.0.clock.now();
        let uploads = hold.tenant.clear_exports(&person, crate::NAME, &self.0.ids, now).await?;
        for upload in uploads {
            self.abandon_upload(Some(upload)).await;
        }
        let prefix = format!("{}/", hold.tenant.organization_id());
        self.0.exports.delete_prefix(&prefix).await?;
        Ok(())
    }

    async fn put_on_record(&self, hold: &mut Hold<'_>) -> Result<Outcome, JobError> {
        let (organization, now) = (hold.tenant.organization_id(), self.0.clock.now());
        let record = AuditRecord {
            id: self.0.ids.next(),
            action: "privacy.erased",
            actor: Actor { r#type: "system".to_owned(), id: crate::NAME.to_owned(), email: None },
            resource_type: "erasure".to_owned(),
            resource_id: Some(hold.job.id.to_string()),
            organization_id: organization,
            workspace_id: None,
            ip_address: String::new(),
            user_agent: None,
            request_id: self.0.ids.next::<ids::kind::Request>().to_string(),
            timestamp: now,
            success: true,
            error_code: None,
            changes: hold.job.erased_changes(),
            pii_accessed: true,
            sensitive: true,
            compliance_relevant: true,
        };
        let change = Change::audited(record).finish_long_job(organization, hold.job, now)?;
        match hold.tenant.commit(change, None).await {
            Ok(()) => Ok(Outcome::Done),
            Err(CommitError::Refused(Refusal::Raced)) => Err(JobError::Lost),
            Err(error) => Err(error.into()),
        }
    }
}

/// Who is a member is removed first, on record and with all that follows from it.
async fn refuse_members(tenant: &Tenant, person: &Person) -> Result<(), JobError> {
    let members = tenant.all_members().await?;
    let member = members.into_iter().find(|member| {
        Some(member.user_id) == person.user_id || Some(&member.email) == person.email.as_ref()
    });
    match member {
        None => Ok(()),
        Some(member) => {
            let reason = format!("{} is a member of the organization. Remove them first.", member.user_id);
            Err(JobError::GivenUp(reason))
        }
    }
}
