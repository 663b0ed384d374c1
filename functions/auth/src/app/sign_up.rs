//! Signing up: an organization, its first workspace and its first admin.

use access::session::REQUESTS_PER_HOUR;
use clock::Timestamp;
use ids::{Ids, UserId};
use input::Faults;
use problem::Problem;
use store::{
    AuditRecord, Change, Due, Identity, Member, MemberStatus, Organization, Role, Session, StoreError,
    Workspace, WorkspaceStatus,
};

use crate::password;

/// How many sign-ups a window hears from one place.
pub(crate) const MOST_SIGN_UPS: u64 = 20;

/// A sign-up, checked.
#[derive(Debug)]
pub(crate) struct SignUp {
    organization_name: String,
    name: String,
    pub(crate) email: String,
}

impl SignUp {
    /// Checks what was sent.
    ///
    /// # Errors
    /// 422 with every fault. Whether the password could be guessed is told once it is set.
    pub(crate) fn check(
        organization_name: &str,
        name: &str,
        email: &str,
        secret: &str,
    ) -> Result<Self, Problem> {
        let mut faults = Faults::default();
        let organization_name = faults.take("/organization_name", input::name(organization_name, 100));
        let name = faults.take("/name", input::name(name, 100));
        let address = faults.take("/email", input::account_email(email));
        faults.take("/password", password::fits(secret));
        let checked = organization_name.zip(name).zip(address);
        faults.finish(checked.map(|((organization_name, name), email)| Self {
            organization_name,
            name,
            email,
        }))
    }

    /// What a password is likely to be made of.
    pub(crate) fn known(&self) -> Vec<String> {
        vec![self.name.clone(), self.email.clone(), self.organization_name.clone()]
    }
}

/// Everything a sign-up makes.
#[derive(Debug)]
pub(crate) struct Founding {
    pub(crate) organization: Organization,
    pub(crate) workspace: Workspace,
    pub(crate) admin: Member,
    pub(crate) identity: Identity,
}

impl SignUp {
    /// The organization on its first plan, its first workspace, and its first admin.
    pub(crate) fn found(self, password_hash: String, ids: &Ids, now: Timestamp) -> Founding {
        let user_id: UserId = ids.next();
        Founding {
            organization: Organization::founded(ids.next(), self.organization_name, now),
            workspace: Workspace {
                id: ids.next(),
                name: "Default".to_owned(),
                status: WorkspaceStatus::Active,
                created_at: now,
                updated_at: now,
            },
            admin: Member {
                user_id,
                email: self.email.clone(),
                name: self.name.clone(),
                role: Some(Role::Admin),
                workspace_roles: Vec::new(),
                status: MemberStatus::Active,
                address_proved: false,
                generation: store::new_generation(),
                created_at: now,
                updated_at: now,
            },
            identity: Identity {
                user_id,
                email: self.email,
                name: self.name,
                password_hash: Some(password_hash),
                email_verified: false,
                made_over_at: None,
                second_factor: None,
                epoch: 0,
                created_at: now,
                updated_at: now,
            },
        }
    }
}

impl Founding {
    /// The change that makes it all, on `record`, and begins the admin's session.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when a record cannot be written as an item.
    pub(crate) fn change(&self, session: &Session, mut record: AuditRecord) -> Result<Change, StoreError> {
        record.compliance_relevant = true;
        record.pii_accessed = true;
        let witness = Due::witness(self.organization.id, self.organization.created_at);
        Change::audited(record)
            .schedule(&witness)?
            .create_identity(&self.identity)?
            .found_organization(&self.organization, &self.workspace, &self.admin)?
            .begin_session(session, REQUESTS_PER_HOUR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_sign_up_is_told_at_once() {
        let Err(Problem::Invalid { errors }) = SignUp::check("", " ", "nobody", "short") else {
            panic!("accepted")
        };
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/organization_name", "/name", "/email", "/password"]);
    }
}
