//! The erasure of a person: everything an organization holds about them, and every export that may.
//!
//! In steps, after each of which it is noted how far it has come and the job is held for another while: the walk over the
//! tables, stretch by stretch; then the other jobs; then the files in the bucket; then the record of the end. Whoever takes
//! it over goes on with the step that is next, and does none that is done.

use std::time::Duration;

use futures::future::try_join_all;
use ids::ExportId;
use serde::{Deserialize, Serialize};
use store::{AuditRecord, Change, CommitError, OutgoingMail, Person, Refusal, Subject, Tenant};

use crate::{Hold, JobError, Outcome, Worker};

/// Reads of a hundred items between two notes of how far it has come.
const STRETCHES: usize = 20;
/// Files that are looked at and deleted side by side.
const FILES_AT_ONCE: usize = 8;

/// What is left to do once nothing of the person is left in the tables. Whatever else a job has as its position is a place
/// of the walk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Rest {
    /// The other jobs: all of them, or those after this one.
    Exports { after: Option<ExportId> },
    /// The files: all of them, or those after this key.
    Files { after: Option<String> },
    /// The record of the end.
    Record,
}

impl Rest {
    fn at(position: Option<&str>) -> Option<Self> {
        position.and_then(|position| serde_json::from_str(position).ok())
    }

    fn position(&self) -> Result<String, JobError> {
        serde_json::to_string(self).map_err(JobError::write)
    }
}

impl Worker {
    /// Erases a person, from where it stopped.
    pub(crate) async fn erase(&self, hold: &mut Hold<'_>, about: &Subject) -> Result<Outcome, JobError> {
        if hold.job.person.is_none() {
            let person = hold.tenant.find_person(about, self.0.clock.now()).await?;
            hold.job.person = Some(person);
            hold.note().await?;
        }
        loop {
            let next = match Rest::at(hold.job.position.as_deref()) {
                None => self.walk(hold).await?,
                Some(Rest::Exports { after }) => self.clear_exports(hold, after).await?.position()?,
                Some(Rest::Files { after }) => self.delete_files(hold, after).await?.position()?,
                Some(Rest::Record) => return self.put_on_record(hold).await,
            };
            hold.job.position = Some(next);
            // It has come further: starts are counted from here.
            hold.job.starts = 1;
            hold.note().await?;
            if hold.is_late() {
                let now = self.0.clock.now();
                hold.tenant.release_long_job(hold.job, Duration::ZERO, now).await?;
                return Ok(Outcome::Unfinished);
            }
        }
    }

    /// Goes on with the walk for some stretches; where to go on after them.
    async fn walk(&self, hold: &mut Hold<'_>) -> Result<String, JobError> {
        let mut person = hold.job.person.clone().unwrap_or_default();
        refuse_members(&hold.tenant, &person).await?;
        let is_to = self.is_to(&person);
        let from = hold.job.position.clone();
        let now = self.0.clock.now();
        let walked = hold.tenant.forget(&mut person, from.as_deref(), &is_to, STRETCHES, now).await?;
        for (kind, count) in walked.counts {
            *hold.job.erased.entry(kind.to_owned()).or_default() += count;
            hold.job.records += count;
        }
        hold.job.person = Some(person);
        walked.next.map_or_else(|| Rest::Exports { after: None }.position(), Ok)
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

    /// Sees to some of the organization's exports, which may hold the person: those that are done expire, and those that are
    /// being made are begun anew.
    async fn clear_exports(&self, hold: &mut Hold<'_>, after: Option<ExportId>) -> Result<Rest, JobError> {
        let person = hold.job.person.clone().unwrap_or_default();
        let (ids, now) = (&self.0.ids, self.0.clock.now());
        let cleared = hold.tenant.clear_exports(&person, after, crate::NAME, ids, now).await?;
        for upload in cleared.uploads {
            self.abandon_upload(Some(upload)).await;
        }
        Ok(match cleared.next {
            None => Rest::Files { after: None },
            after => Rest::Exports { after },
        })
    }

    /// Deletes some of the organization's files, but for those that were made since the jobs were seen to.
    async fn delete_files(&self, hold: &mut Hold<'_>, after: Option<String>) -> Result<Rest, JobError> {
        let prefix = format!("{}/", hold.tenant.organization_id());
        let page = self.0.exports.list(&prefix, after.as_deref()).await?;
        for some in page.objects.chunks(FILES_AT_ONCE) {
            // Who has lost the job by now deletes nothing any more.
            hold.note_now_and_then().await?;
            try_join_all(some.iter().map(|object| self.delete_file(&hold.tenant, &object.key))).await?;
        }
        Ok(match page.next_after {
            None => Rest::Record,
            after => Rest::Files { after },
        })
    }

    async fn delete_file(&self, tenant: &Tenant, key: &str) -> Result<(), JobError> {
        if let Some((job, fence)) = made_by(key)
            && tenant.made_since(job, fence, key).await?
        {
            return Ok(());
        }
        Ok(self.0.exports.delete(key).await?)
    }

    async fn put_on_record(&self, hold: &mut Hold<'_>) -> Result<Outcome, JobError> {
        let (organization, now) = (hold.tenant.organization_id(), self.0.clock.now());
        let record = AuditRecord {
            changes: hold.job.erased_changes(),
            pii_accessed: true,
            ..AuditRecord::by_system(
                crate::NAME,
                "privacy.erased",
                ("erasure", Some(hold.job.id.to_string())),
                organization,
                &self.0.ids,
                now,
            )
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

/// The job that a file is of, and the start of it that made the file: what [`Worker::key_of`] has put into its key.
fn made_by(key: &str) -> Option<(ExportId, u64)> {
    let mut parts = key.split('/').skip(1);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_to_do_is_told_from_a_place_of_the_walk() {
        let export = ExportId::derived(clock::utc(2026, 11, 22, 15, 4), [1; 16]);
        for rest in [
            Rest::Exports { after: None },
            Rest::Exports { after: Some(export) },
            Rest::Files { after: Some("org_1/exp_1/1/person.json".to_owned()) },
            Rest::Record,
        ] {
            assert_eq!(Rest::at(Some(&rest.position().unwrap())), Some(rest));
        }
        for place in [r#"{"phase":"find_leads"}"#, r#"{"phase":"records","part":"ORG#x","after":"y"}"#] {
            assert_eq!(Rest::at(Some(place)), None);
        }
        assert_eq!(Rest::at(None), None);
    }

    #[test]
    fn a_file_says_which_start_of_which_job_has_made_it() {
        let export = ExportId::derived(clock::utc(2026, 11, 22, 15, 4), [1; 16]);
        assert_eq!(made_by(&format!("org_1/{export}/7/audit-log.csv")), Some((export, 7)));
        for key in ["org_1", "org_1/exp_1/7/x", "org_1/seven", &format!("org_1/{export}/x")] {
            assert_eq!(made_by(key), None, "{key}");
        }
    }
}
