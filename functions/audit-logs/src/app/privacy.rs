//! The rules of exporting and erasing a person.

use ids::{Ids, LeadId, OrganizationId, UserId};
use problem::{FieldError, Problem};
use store::{AuditRecord, Change, FieldChange, LongJob, LongTask, Member, StoreError, Subject};

/// Who is meant, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) email: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) lead_id: Option<String>,
}

impl Draft {
    /// Who is meant: named in one way.
    ///
    /// # Errors
    /// 422.
    pub(crate) fn check(self) -> Result<Subject, Problem> {
        match (self.email, self.user_id, self.lead_id) {
            (Some(email), None, None) => input::email(&email)
                .map(Subject::Email)
                .map_err(|_| Problem::invalid("/email", "format", "must be an e-mail address")),
            (None, Some(id), None) => id
                .parse::<UserId>()
                .map(Subject::UserId)
                .map_err(|_| Problem::invalid("/user_id", "value", "is not the id of a user")),
            (None, None, Some(id)) => id
                .parse::<LeadId>()
                .map(Subject::LeadId)
                .map_err(|_| Problem::invalid("/lead_id", "value", "is not the id of a lead")),
            _ => {
                let message = "give one of `email`, `user_id` and `lead_id`";
                Err(Problem::Invalid { errors: vec![FieldError::new("", "value", message)] })
            }
        }
    }
}

/// Who is a member can't be erased.
///
/// # Errors
/// 409 naming the member.
pub(crate) fn refuse_members(
    about: &Subject,
    email: Option<&str>,
    members: &[Member],
) -> Result<(), Problem> {
    let is_meant = |member: &&Member| match about {
        Subject::Email(email) => member.email == *email,
        Subject::UserId(id) => member.user_id == *id,
        Subject::LeadId(_) => Some(member.email.as_str()) == email,
    };
    match members.iter().find(is_meant) {
        None => Ok(()),
        Some(member) => Err(Problem::Conflict {
            detail: format!("{} is a member of the organization. Remove them first.", member.user_id),
        }),
    }
}

/// The job of exporting a person.
pub(crate) fn export(about: Subject, ids: &Ids, record: &AuditRecord) -> LongJob {
    let named_by = about.named_by().to_owned();
    let task = LongTask::PersonalExport { about: Some(about), named_by };
    LongJob::new(ids.next(), task, record.actor.id.clone(), record.timestamp)
}

/// The job of erasing a person.
pub(crate) fn erasure(about: Subject, ids: &Ids, record: &AuditRecord) -> LongJob {
    let named_by = about.named_by().to_owned();
    let task = LongTask::Erasure { about: Some(about), named_by };
    LongJob::new(ids.next(), task, record.actor.id.clone(), record.timestamp)
}

/// The change that asks for the job. An address is a personal value of its record, and goes with an erasure.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn start(
    job: &LongJob,
    organization: OrganizationId,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    record.resource_id = Some(job.id.to_string());
    (record.pii_accessed, record.sensitive, record.compliance_relevant) = (true, true, true);
    record.changes.extend(job.task.about().map(|about| FieldChange {
        field: about.named_by().to_owned(),
        before: serde_json::Value::Null,
        after: match about {
            Subject::Email(email) => email.clone().into(),
            Subject::UserId(id) => id.to_string().into(),
            Subject::LeadId(id) => id.to_string().into(),
        },
    }));
    Change::audited(record).start_long_job(organization, job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_named_in_one_way() {
        let some = |text: &str| Some(text.to_owned());
        let email = Draft { email: some(" Ada@Example.com "), ..Draft::default() };
        assert_eq!(email.check(), Ok(Subject::Email("ada@example.com".to_owned())));
        let pointer = |draft: Draft| match draft.check() {
            Err(Problem::Invalid { errors }) => errors.into_iter().map(|error| error.pointer).collect(),
            other => vec![format!("{other:?}")],
        };
        assert_eq!(pointer(Draft::default()), [""]);
        let both = Draft { email: some("a@example.com"), user_id: some("usr_1"), lead_id: None };
        assert_eq!(pointer(both), [""]);
        assert_eq!(pointer(Draft { email: some("x"), ..Draft::default() }), ["/email"]);
        assert_eq!(pointer(Draft { user_id: some("x"), ..Draft::default() }), ["/user_id"]);
        assert_eq!(pointer(Draft { lead_id: some("x"), ..Draft::default() }), ["/lead_id"]);
    }
}
