//! The rules of sign-up, sign-in and sessions.

use access::policy::PASSWORD;
use access::session::{REQUESTS_PER_HOUR, RefreshToken, SESSION_LIFE};
use clock::Timestamp;
use ids::{Ids, OrganizationId, SessionId, UserId};
use input::{Faults, Text};
use problem::Problem;
use store::{
    Actor, AuditRecord, Change, Identity, IdentityMembership, Member, MemberStatus, Organization, Role,
    Session, SessionCredential, StoreError, Workspace, WorkspaceStatus,
};

use crate::password;

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
    /// 422 with every fault.
    pub(crate) fn check(
        organization_name: &str,
        name: &str,
        email: &str,
        secret: &str,
    ) -> Result<Self, Problem> {
        let mut faults = Faults::default();
        let organization_name = faults.take("/organization_name", Text::up_to(100).check(organization_name));
        let name = faults.take("/name", Text::up_to(100).check(name));
        let address = faults.take("/email", input::email(email));
        faults.take("/password", password::check(secret, email));
        let checked = organization_name.zip(name).zip(address);
        faults.finish(checked.map(|((organization_name, name), email)| Self {
            organization_name,
            name,
            email,
        }))
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
                created_at: now,
                updated_at: now,
            },
            identity: Identity {
                user_id,
                email: self.email,
                name: self.name,
                password_hash: Some(password_hash),
                email_verified: false,
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
        Change::audited(record)
            .create_identity(&self.identity)?
            .found_organization(&self.organization, &self.workspace, &self.admin)?
            .begin_session(session, REQUESTS_PER_HOUR)
    }
}

/// A session of `member`, to be refreshed with `refresh`.
pub(crate) fn session(
    member: &Member,
    epoch: u64,
    organization: OrganizationId,
    refresh: &RefreshToken,
    now: Timestamp,
) -> Session {
    Session {
        credential: SessionCredential {
            session_id: refresh.session(),
            organization_id: organization,
            user_id: member.user_id,
            email: member.email.clone(),
            epoch,
            authenticated_at: now,
            amr: vec![PASSWORD.to_owned()],
        },
        refresh_digest: refresh.digest(),
        created_at: now,
        updated_at: now,
        ends_at: now + SESSION_LIFE,
        status: "active".to_owned(),
    }
}

/// Which of their organizations a person signs in to: the one they name, else the one they have been in longest.
///
/// # Errors
/// 401 when they name one that isn't theirs: the same as for a wrong password.
pub(crate) fn choose(
    memberships: &[IdentityMembership],
    named: Option<OrganizationId>,
) -> Result<OrganizationId, Problem> {
    let mut sorted: Vec<_> = memberships.iter().collect();
    sorted.sort_unstable_by_key(|membership| membership.created_at);
    let chosen = match named {
        None => sorted.first(),
        Some(named) => sorted.iter().find(|membership| membership.organization_id == named),
    };
    chosen.map(|membership| membership.organization_id).ok_or(Problem::InvalidCredentials)
}

/// The roles a person holds in each of `workspaces` that they may enter.
pub(crate) fn entered<'a>(member: &Member, workspaces: &'a [Workspace]) -> Vec<(&'a Workspace, Role)> {
    workspaces
        .iter()
        .filter_map(|workspace| {
            let here = member.workspace_roles.iter().find(|held| held.workspace_id == workspace.id);
            // Of two roles the one that may more; the enum is in that order.
            let role = member.role.into_iter().chain(here.map(|held| held.role)).min()?;
            Some((workspace, role))
        })
        .collect()
}

/// Who an audit record about a person's session names.
pub(crate) fn person(id: UserId, email: &str) -> Actor {
    Actor { r#type: "user".to_owned(), id: id.to_string(), email: Some(email.to_owned()) }
}

/// Where a refresh stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// The token is the valid one.
    Valid,
    /// It was used before: somebody has a copy. The session ends.
    Reused,
    /// The session is over.
    Over,
}

/// Judges a refresh token by its session.
pub(crate) fn judge_refresh(session: &Session, token: &RefreshToken, now: Timestamp) -> Refresh {
    if session.status != "active" || session.ends_at <= now {
        Refresh::Over
    } else if session.refresh_digest == token.digest() {
        Refresh::Valid
    } else {
        Refresh::Reused
    }
}

/// The change that replaces a session's refresh token, on `record`.
pub(crate) fn rotate(
    id: SessionId,
    old: &RefreshToken,
    new: &RefreshToken,
    record: AuditRecord,
    now: Timestamp,
) -> Change {
    Change::audited(record).rotate_refresh_token(id, &old.digest(), &new.digest(), now)
}

/// The change that ends a session, on `record`.
pub(crate) fn end(id: SessionId, mut record: AuditRecord, now: Timestamp) -> Change {
    record.sensitive = true;
    Change::audited(record).end_session(id, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use access::session::Tokens;
    use std::time::Duration;

    #[test]
    fn a_used_refresh_token_is_told_from_one_whose_session_is_over() {
        let (clock, _) = clock::Clock::manual(clock::utc(2026, 11, 22, 15, 0));
        let (ids, now) = (Ids::new(clock.clone()), clock.now());
        let sign_up = SignUp::check("Acme", "Ada", "ada@example.com", "correct horse battery").unwrap();
        let founding = sign_up.found("hash".to_owned(), &ids, now);
        let tokens = Tokens::new(&sealing::MasterSecret::new("s".repeat(64))).unwrap();
        let first = tokens.refresh_token(ids.next()).unwrap();
        let mut session = session(&founding.admin, 0, founding.organization.id, &first, now);
        assert_eq!(judge_refresh(&session, &first, now), Refresh::Valid);
        session.refresh_digest = tokens.refresh_token(first.session()).unwrap().digest();
        assert_eq!(judge_refresh(&session, &first, now), Refresh::Reused);
        assert_eq!(judge_refresh(&session, &first, now + SESSION_LIFE), Refresh::Over);
        session.status = "ended".to_owned();
        assert_eq!(judge_refresh(&session, &first, now + Duration::from_secs(1)), Refresh::Over);
    }

    #[test]
    fn every_fault_of_a_sign_up_is_told_at_once() {
        let Err(Problem::Invalid { errors }) = SignUp::check("", " ", "nobody", "short") else {
            panic!("accepted")
        };
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/organization_name", "/name", "/email", "/password"]);
    }
}
