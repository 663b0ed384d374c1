//! What waits in the queue, and the seal it waits under.

use std::fmt;

use clock::Timestamp;
use ids::{MailId, OrganizationId};
use sealing::{MasterSecret, Purpose, SealError};
use serde::{Deserialize, Serialize};
use store::{OutgoingMail, StoreError};

use crate::Letter;

/// What sealed jobs are bound to: a job is no answer to a question about anything else.
const CONTEXT: &[u8] = b"mail-job";
/// The longest job, as JSON: far above any letter, and ten of them fit a batch of SQS.
const LONGEST: usize = 48 * 1024;
/// The format's version.
const FORMAT: u32 = 1;

/// What the `mail` function is to do. The `Debug` form shows no address and no token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "about", rename_all = "snake_case")]
pub enum MailJob {
    /// Send this.
    Letter(Letter),
    /// Somebody says that they have forgotten the password of this address. Whether anybody has the address is found
    /// out by the `mail` function, so that the request's answer and timing can't tell.
    PasswordForgotten {
        /// The address, checked for its form.
        email: String,
        /// The request that asked.
        request_id: String,
        /// The address it came from.
        ip: String,
    },
}

impl fmt::Debug for MailJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl MailJob {
    /// What kind of job it is; safe to log.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Letter(letter) => letter.kind(),
            Self::PasswordForgotten { .. } => "password_forgotten",
        }
    }
}

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    job: &'a MailJob,
}

#[derive(Deserialize)]
struct Read {
    job: MailJob,
}

/// Seals and opens jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MailSeal(sealing::Key);

impl MailSeal {
    /// The seal that follows from the deployment's session secret.
    ///
    /// # Errors
    /// [`SealError::Failed`] if the key can't be derived; not expected to happen.
    pub fn new(secret: &MasterSecret) -> Result<Self, SealError> {
        secret.sealing_key(Purpose::Mail).map(Self)
    }

    /// The job as text that nobody else can read.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it is absurdly long or can't be sealed.
    pub fn seal(&self, job: &MailJob) -> Result<String, StoreError> {
        let malformed = |source| StoreError::Malformed { operation: "seal_mail", source };
        let json = serde_json::to_vec(&Written { v: FORMAT, job }).map_err(|e| malformed(e.into()))?;
        if json.len() > LONGEST {
            return Err(malformed("it is too long".into()));
        }
        self.0.seal(CONTEXT, &json).map_err(|e| malformed(e.into()))
    }

    /// The job that was sealed.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it was sealed with another secret or changed since.
    pub fn open(&self, sealed: &str) -> Result<MailJob, StoreError> {
        let malformed = |source| StoreError::Malformed { operation: "open_mail", source };
        let json = self.0.open(CONTEXT, sealed).map_err(|e| malformed(e.into()))?;
        let read: Read = serde_json::from_slice(&json).map_err(|e| malformed(e.into()))?;
        Ok(read.job)
    }

    /// A letter that a change of `organization` causes, for `store::Change::mailing`.
    ///
    /// # Errors
    /// As [`MailSeal::seal`].
    pub fn outgoing(
        &self,
        id: MailId,
        organization: OrganizationId,
        letter: Letter,
        now: Timestamp,
    ) -> Result<OutgoingMail, StoreError> {
        let sealed = self.seal(&MailJob::Letter(letter))?;
        Ok(OutgoingMail { id, organization_id: organization, sealed, created_at: now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::tests::every_letter;

    fn seal(secret: &str) -> MailSeal {
        MailSeal::new(&MasterSecret::new(secret.repeat(32))).unwrap()
    }

    fn forgotten() -> MailJob {
        MailJob::PasswordForgotten {
            email: "ada@example.com".to_owned(),
            request_id: "req_1".to_owned(),
            ip: "192.0.2.1".to_owned(),
        }
    }

    #[test]
    fn every_job_opens_as_itself_and_with_its_own_secret_only() {
        let jobs = every_letter("Acme", "t0ken").into_iter().map(MailJob::Letter).chain([forgotten()]);
        for job in jobs {
            let sealed = seal("a").seal(&job).unwrap();
            assert!(seal("a").open(&sealed).unwrap() == job, "{job:?}");
            assert!(seal("b").open(&sealed).is_err());
            assert!(!sealed.contains("example") && !sealed.contains("t0ken"));
        }
    }

    #[test]
    fn the_debug_form_tells_nothing_about_anybody() {
        assert_eq!(format!("{:?}", forgotten()), "password_forgotten");
    }

    #[test]
    fn what_is_absurdly_long_is_not_sealed() {
        let letter = every_letter(&"x".repeat(LONGEST), "t0ken").remove(0);
        assert!(matches!(seal("a").seal(&MailJob::Letter(letter)), Err(StoreError::Malformed { .. })));
    }

    #[test]
    fn a_newer_writers_fields_are_passed_over() {
        let json = serde_json::json!({
            "v": 2,
            "job": {"kind": "password_forgotten", "about": {
                "email": "ada@example.com", "request_id": "req_1", "ip": "192.0.2.1", "language": "de",
            }},
        });
        let sealed = seal("a").0.seal(CONTEXT, json.to_string().as_bytes()).unwrap();
        assert!(seal("a").open(&sealed).unwrap() == forgotten());
    }
}
