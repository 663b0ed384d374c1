//! The gate: from an `Authorization` header to a [`Caller`].
//!
//! What cannot be a credential is turned away before any I/O. What can costs one call to the store, which
//! authenticates it, enforces its limit and counts it; for a session a second one at the same time, which reads where its
//! person stands.

use std::sync::Arc;

use clock::Timestamp;
use ids::{KeyId, OrganizationId, SessionId, UserId, WorkspaceId};
use store::{
    Actor, Admission, KeyCredential, Member, Mode, Networks, Organization, Quota, Role, SessionCredential,
    Store, StoreError, Tenant, Visit, WorkspaceRole,
};

use crate::api_key::{Peppers, PlainKey};
use crate::permission::{Grants, Permission};
use crate::policy::{self, Obstacle};
use crate::session::{InvalidToken, Tokens};

/// What kind of credential a caller came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerKind {
    /// An API key.
    Key {
        /// The key.
        id: KeyId,
        /// The one workspace it is for, if it is for one.
        workspace: Option<WorkspaceId>,
        /// Test or live.
        mode: Mode,
        /// When it stops working.
        expires_at: Option<Timestamp>,
        /// The networks it may be used from; any when empty.
        networks: Networks,
    },
    /// A person.
    Person {
        /// The person.
        id: UserId,
        /// The session.
        session: SessionId,
        /// Their name.
        name: String,
        /// Their e-mail address.
        email: String,
        /// Their role on the organization.
        role: Option<Role>,
        /// Their roles in workspaces.
        workspace_roles: Vec<WorkspaceRole>,
        /// What the session proved.
        amr: Vec<String>,
    },
}

/// Somebody we know, whether or not they are let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Their tenant.
    pub organization: OrganizationId,
    /// Key or person.
    pub kind: CallerKind,
    scopes: Grants,
}

/// Somebody who was let in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub known: Known,
    /// What they have left.
    pub quota: Quota,
    /// Their tenant's data.
    pub tenant: Tenant,
    /// Where a key's requests are counted; a session's are not.
    pub counted_at: Option<store::keys::Key>,
    /// A person's organization as it is at this moment, and their session; a key has neither.
    pub person: Option<Arc<PersonalStanding>>,
}

/// What is known of a person's request beyond who they are.
#[derive(Debug, Clone)]
pub struct PersonalStanding {
    /// The session.
    pub session: SessionCredential,
    /// The organization, as it is at this moment.
    pub organization: Arc<Organization>,
    /// The membership, as it is at this moment.
    pub member: Member,
    /// What stands in the session's way. Somebody must judge whether that matters for what it is about.
    pub obstacle: Option<Obstacle>,
}

impl Known {
    /// The actor, for audit records.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match &self.kind {
            CallerKind::Key { id, .. } => {
                Actor { r#type: "api_key".to_owned(), id: id.to_string(), email: None }
            }
            CallerKind::Person { id, email, .. } => {
                Actor { r#type: "user".to_owned(), id: id.to_string(), email: Some(email.clone()) }
            }
        }
    }

    /// What they may do on the organization as a whole, workspaces and all.
    #[must_use]
    pub fn grants(&self) -> Grants {
        match &self.kind {
            CallerKind::Key { workspace: None, .. } => self.scopes,
            CallerKind::Key { workspace: Some(_), .. } => Grants::default(),
            CallerKind::Person { role, .. } => role.map(Grants::of_role).unwrap_or_default(),
        }
    }

    /// What they may do somewhere: on the organization, or in at least one workspace.
    #[must_use]
    pub fn grants_somewhere(&self) -> Grants {
        match &self.kind {
            CallerKind::Key { .. } => self.scopes,
            CallerKind::Person { role, workspace_roles, .. } => role
                .iter()
                .chain(workspace_roles.iter().map(|held| &held.role))
                .map(|role| Grants::of_role(*role))
                .fold(Grants::default(), Grants::and),
        }
    }

    /// What they may do in one workspace. `None` when they have no business there at all.
    #[must_use]
    pub fn grants_in(&self, workspace: WorkspaceId) -> Option<Grants> {
        match &self.kind {
            CallerKind::Key { workspace: Some(own), .. } => (*own == workspace).then_some(self.scopes),
            CallerKind::Key { workspace: None, .. } => Some(self.scopes),
            CallerKind::Person { role, workspace_roles, .. } => {
                let here =
                    workspace_roles.iter().find(|held| held.workspace_id == workspace).map(|held| held.role);
                let grants = [*role, here].into_iter().flatten().map(Grants::of_role);
                grants.reduce(Grants::and)
            }
        }
    }

    /// Whether something that belongs to `workspace` (to none in particular when `None`) and `mode` is in the reach of
    /// their `permission`. What belongs to no workspace is for those who hold the permission on the whole organization; a
    /// test key reaches what is in test mode, a live one the rest, people both.
    #[must_use]
    pub fn reaches(&self, permission: Permission, workspace: Option<WorkspaceId>, mode: Mode) -> bool {
        let mode_fits = match &self.kind {
            CallerKind::Key { mode: own, .. } => *own == mode,
            CallerKind::Person { .. } => true,
        };
        let here = workspace.and_then(|workspace| self.grants_in(workspace));
        mode_fits && (self.grants().holds(permission) || here.is_some_and(|here| here.holds(permission)))
    }

    /// The first permission that `role` gives, in `workspace` or on the whole organization, and that they do not hold
    /// there: why they may not give it, or take it away.
    #[must_use]
    pub fn lacks_of_role(&self, role: Role, workspace: Option<WorkspaceId>) -> Option<Permission> {
        let held = match workspace {
            Some(workspace) => self.grants_in(workspace).unwrap_or_default(),
            None => self.grants(),
        };
        Grants::of_role(role).iter().find(|permission| !held.holds(*permission))
    }

    /// The first permission that a member holds somewhere and they do not hold there.
    #[must_use]
    pub fn lacks_of_member(&self, member: &Member) -> Option<Permission> {
        let everywhere = member.role.and_then(|role| self.lacks_of_role(role, None));
        let mut somewhere = member.workspace_roles.iter();
        everywhere
            .or_else(|| somewhere.find_map(|held| self.lacks_of_role(held.role, Some(held.workspace_id))))
    }

    /// The first permission that a member holds in one workspace and they do not hold there.
    #[must_use]
    pub fn lacks_of_member_in(&self, member: &Member, workspace: WorkspaceId) -> Option<Permission> {
        let mut roles = member.role.into_iter().chain(member.role_in(workspace));
        roles.find_map(|role| self.lacks_of_role(role, Some(workspace)))
    }

    /// The mode a request acts in: a key's own, live for people.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match &self.kind {
            CallerKind::Key { mode, .. } => *mode,
            CallerKind::Person { .. } => Mode::Live,
        }
    }

    /// The one workspace the caller is bound to, if it is bound to one.
    #[must_use]
    pub fn bound_workspace(&self) -> Option<WorkspaceId> {
        match &self.kind {
            CallerKind::Key { workspace, .. } => *workspace,
            CallerKind::Person { .. } => None,
        }
    }
}

/// Why somebody was turned away at the gate.
#[derive(Debug)]
pub enum Turned {
    /// We don't know them.
    Unauthenticated,
    /// We don't know the API key, or it can't be one.
    UnknownKey,
    /// The access token has expired.
    TokenExpired,
    /// Their key was revoked or their session ended.
    Revoked(Box<Known>),
    /// Their key is suspended, as their organization is deleted.
    Suspended(Box<Known>),
    /// Their key or session has expired.
    Expired(Box<Known>),
    /// Their key may not be used from where they are.
    IpNotAllowed(Box<Known>),
    /// Their budget is spent.
    Limited {
        /// Whose.
        known: Box<Known>,
        /// How much of it, and when some returns.
        quota: Quota,
        /// Where it is counted.
        counted_at: store::keys::Key,
    },
    /// Their session is over: they are no longer a member, or it was ended in some other way than by itself.
    Over(Box<Known>),
    /// We could not find out.
    Store(StoreError),
}

/// Lets callers in, or turns them away.
#[derive(Debug, Clone)]
pub struct Gate {
    store: Store,
    tokens: Tokens,
    peppers: Peppers,
}

impl Gate {
    /// A gate over the directory.
    #[must_use]
    pub fn new(store: Store, tokens: Tokens, peppers: Peppers) -> Self {
        Self { store, tokens, peppers }
    }

    /// How keys are hashed.
    #[must_use]
    pub fn peppers(&self) -> &Peppers {
        &self.peppers
    }

    /// Lets in whoever the `Authorization` header speaks for.
    ///
    /// # Errors
    /// [`Turned`] says why not.
    pub async fn admit(&self, authorization: Option<&str>, visit: &Visit<'_>) -> Result<Caller, Turned> {
        let credential = authorization.and_then(bearer).ok_or(Turned::Unauthenticated)?;
        if credential.starts_with("sk_") {
            return self.admit_key(credential, visit).await;
        }
        let now = visit.now;
        let bearer = self.tokens.read(credential, now).map_err(|invalid| match invalid {
            InvalidToken::NotOurs => Turned::Unauthenticated,
            InvalidToken::Expired => Turned::TokenExpired,
        })?;
        let (admission, standing) = tokio::join!(
            self.store.admit_session(bearer.session, visit),
            self.store.standing(bearer.organization, bearer.user)
        );
        let admission = admission.map_err(Turned::Store)?;
        let (session, quota, _) = decide(admission, |session| known_person(&session, None))?;
        if (session.organization_id, session.user_id) != (bearer.organization, bearer.user) {
            return Err(Turned::Unauthenticated);
        }
        let standing = standing.map_err(Turned::Store)?;
        let known = known_person(&session, standing.member.as_ref());
        let obstacle = policy::judge(&session, &standing, now);
        let (Some(organization), Some(member)) = (standing.organization, standing.member) else {
            return Err(Turned::Over(Box::new(known)));
        };
        if obstacle == Some(Obstacle::Over) {
            return Err(Turned::Over(Box::new(known)));
        }
        let mut caller = self.let_in(known, quota);
        caller.person = Some(Arc::new(PersonalStanding {
            session,
            organization: Arc::new(organization),
            member,
            obstacle,
        }));
        Ok(caller)
    }

    async fn admit_key(&self, credential: &str, visit: &Visit<'_>) -> Result<Caller, Turned> {
        let key = PlainKey::parse(credential).map_err(|_| Turned::UnknownKey)?;
        let proof = key.proof(&self.peppers);
        let admission = self.store.admit_key(&proof, visit).await.map_err(Turned::Store)?;
        if admission == Admission::Unknown {
            return Err(Turned::UnknownKey);
        }
        let (credential, quota, counted_at) = decide(admission, known_key)?;
        let caller = self.let_in(known_key(credential), quota);
        Ok(Caller { counted_at: Some(counted_at), ..caller })
    }

    fn let_in(&self, known: Known, quota: Quota) -> Caller {
        let tenant = self.store.tenant_of_sign_in(known.organization);
        Caller { known, quota, tenant, counted_at: None, person: None }
    }

    /// The tenant of somebody who is known but was turned away, for the audit record.
    #[must_use]
    pub fn tenant_of(&self, known: &Known) -> Tenant {
        self.store.tenant_of_sign_in(known.organization)
    }
}

/// The credential in `Bearer <credential>` (RFC 6750 §2.1; the scheme's case does not matter, RFC 9110 §11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, credential) = header.split_once(' ')?;
    let credential = credential.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !credential.is_empty()).then_some(credential)
}

fn decide<C>(
    admission: Admission<C>,
    known: impl Fn(C) -> Known,
) -> Result<(C, Quota, store::keys::Key), Turned> {
    match admission {
        Admission::Admitted { credential, quota, counted_at } => Ok((credential, quota, counted_at)),
        Admission::Unknown => Err(Turned::Unauthenticated),
        Admission::Revoked(credential) => Err(Turned::Revoked(Box::new(known(credential)))),
        Admission::Suspended(credential) => Err(Turned::Suspended(Box::new(known(credential)))),
        Admission::Expired(credential) => Err(Turned::Expired(Box::new(known(credential)))),
        Admission::Elsewhere(credential) => Err(Turned::IpNotAllowed(Box::new(known(credential)))),
        Admission::Limited { credential, quota, counted_at } => {
            Err(Turned::Limited { known: Box::new(known(credential)), quota, counted_at })
        }
    }
}

fn known_key(credential: KeyCredential) -> Known {
    Known {
        organization: credential.organization_id,
        scopes: Grants::of_bits(credential.grants),
        kind: CallerKind::Key {
            id: credential.key_id,
            workspace: credential.workspace_id,
            mode: credential.mode,
            expires_at: credential.expires_at_seconds.map(Timestamp::from_seconds),
            networks: credential.networks,
        },
    }
}

/// Somebody in a session, with what their membership gives them; nothing without one.
fn known_person(session: &SessionCredential, member: Option<&Member>) -> Known {
    Known {
        organization: session.organization_id,
        scopes: Grants::default(),
        kind: CallerKind::Person {
            id: session.user_id,
            session: session.session_id,
            name: member.map(|member| member.name.clone()).unwrap_or_default(),
            email: session.email.clone(),
            role: member.and_then(|member| member.role),
            workspace_roles: member.map(|member| member.workspace_roles.clone()).unwrap_or_default(),
            amr: session.amr.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_is_the_only_scheme() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("Bearer"), None);
        assert_eq!(bearer("Bearer "), None);
    }
}
