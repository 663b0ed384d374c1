//! Sessions: begun by a proof, refreshed, ended.

use access::policy;
use access::session::{REFRESH_LEEWAY, REQUESTS_PER_HOUR, RefreshToken, SESSION_LIFE};
use clock::Timestamp;
use ids::{OrganizationId, SessionId};
use store::{
    AuditRecord, Change, Member, Organization, Role, Session, SessionCredential, StoreError, Workspace,
};

/// What somebody has proved, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    /// The methods (RFC 8176).
    pub(crate) amr: Vec<String>,
    /// When they did; a session that follows from another one keeps that one's.
    pub(crate) authenticated_at: Timestamp,
    /// Which of the person's sessions held at that moment.
    pub(crate) epoch: u64,
}

impl Proof {
    /// By these methods, just now.
    pub(crate) fn by(amr: &[&str], epoch: u64, now: Timestamp) -> Self {
        let amr = amr.iter().map(|method| (*method).to_owned()).collect();
        Self { amr, authenticated_at: now, epoch }
    }
}

/// What a session has proved is worth in another organization: the password and the person's own second factor, nothing
/// that an identity provider said of them. `None` when that is nothing.
pub(crate) fn elsewhere(session: &SessionCredential) -> Option<Proof> {
    let carried = [policy::PASSWORD, policy::ONE_TIME_CODE];
    let amr: Vec<String> =
        session.amr.iter().filter(|method| carried.contains(&method.as_str())).cloned().collect();
    let proof = Proof { authenticated_at: session.authenticated_at, epoch: session.epoch, amr };
    Some(proof).filter(|proof| proof.amr.iter().any(|method| method == policy::PASSWORD))
}

/// A session of `member`, to be refreshed with `refresh`. However it is passed on, it ends [`SESSION_LIFE`] after the
/// person signed in.
pub(crate) fn session(
    member: &Member,
    proof: Proof,
    organization: OrganizationId,
    refresh: &RefreshToken,
    now: Timestamp,
) -> Session {
    Session {
        ends_at: proof.authenticated_at + SESSION_LIFE,
        credential: SessionCredential {
            session_id: refresh.session(),
            organization_id: organization,
            user_id: member.user_id,
            email: member.email.clone(),
            epoch: proof.epoch,
            generation: member.generation,
            authenticated_at: proof.authenticated_at,
            amr: proof.amr,
        },
        refresh_digest: refresh.digest(),
        replaced_digest: None,
        replaced_at: None,
        created_at: now,
        updated_at: now,
        status: "active".to_owned(),
    }
}

/// Adds a session to `change`.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn begin(change: Change, session: &Session) -> Result<Change, StoreError> {
    change.begin_session(session, REQUESTS_PER_HOUR)
}

/// Whether a session gets past single sign-on or the admitted domains only because it is the break-glass admin's.
pub(crate) fn breaks_glass(
    organization: &Organization,
    member: &Member,
    session: &SessionCredential,
) -> bool {
    let signed_on = session.amr.iter().any(|method| method == policy::SINGLE_SIGN_ON);
    let is_spared = (organization.settings.require_sso && !signed_on)
        || !policy::admits_domain(organization, &session.email);
    is_spared && policy::breaks_glass(organization, member)
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

/// Where a refresh stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// The token is the valid one.
    Valid,
    /// It was replaced a moment ago, and gets the successor that it got.
    JustReplaced,
    /// It was used before: somebody has a copy. The session ends.
    Reused,
    /// The session is over.
    Over,
}

/// Judges a refresh token and its successor by their session.
pub(crate) fn judge_refresh(
    session: &Session,
    token: &RefreshToken,
    successor: &RefreshToken,
    now: Timestamp,
) -> Refresh {
    let was_replaced = session.replaced_digest.as_ref() == Some(&token.digest());
    // Sessions of before have tokens that do not follow from one another.
    let follows = session.refresh_digest == successor.digest();
    let in_time = session.replaced_at.is_some_and(|at| now < at + REFRESH_LEEWAY);
    if session.status != "active" || session.ends_at <= now {
        Refresh::Over
    } else if session.refresh_digest == token.digest() {
        Refresh::Valid
    } else if was_replaced && follows && in_time {
        Refresh::JustReplaced
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
    use crate::app::sign_up::SignUp;
    use access::session::Tokens;
    use ids::Ids;
    use std::time::Duration;

    #[test]
    fn the_glass_is_broken_by_whatever_it_spares() {
        let (clock, _) = clock::Clock::manual(clock::utc(2026, 11, 22, 15, 0));
        let (ids, now) = (Ids::new(clock.clone()), clock.now());
        let sign_up =
            SignUp::check("Acme", "Ada", "ada@example.com", "a difference engine of brass").unwrap();
        let founding = sign_up.found("hash".to_owned(), &ids, now);
        let tokens = Tokens::new(&sealing::MasterSecret::new("s".repeat(64))).unwrap();
        let (mut organization, mut admin) = (founding.organization, founding.admin);
        let mut breaks = |method, sso, domain: &str| {
            organization.settings.require_sso = sso;
            organization.settings.allowed_domains = vec![domain.to_owned()];
            let refresh = tokens.refresh_token(ids.next()).unwrap();
            let proof = Proof::by(&[method], 0, now);
            let credential = session(&admin, proof, organization.id, &refresh, now).credential;
            organization.settings.break_glass_user_id = None;
            assert!(!breaks_glass(&organization, &admin, &credential), "nobody may");
            organization.settings.break_glass_user_id = Some(admin.user_id);
            admin.role = Some(Role::Member);
            assert!(!breaks_glass(&organization, &admin, &credential), "no admin");
            admin.role = Some(Role::Admin);
            breaks_glass(&organization, &admin, &credential)
        };
        assert!(!breaks(policy::PASSWORD, false, "example.com"));
        assert!(breaks(policy::PASSWORD, true, "example.com"));
        assert!(!breaks(policy::SINGLE_SIGN_ON, true, "example.com"));
        assert!(breaks(policy::PASSWORD, false, "other.example"));
        assert!(breaks(policy::SINGLE_SIGN_ON, true, "other.example"));
    }

    #[test]
    fn a_used_refresh_token_is_told_from_one_that_was_just_replaced_and_one_whose_session_is_over() {
        let (clock, _) = clock::Clock::manual(clock::utc(2026, 11, 22, 15, 0));
        let (ids, now) = (Ids::new(clock.clone()), clock.now());
        let sign_up =
            SignUp::check("Acme", "Ada", "ada@example.com", "a difference engine of brass").unwrap();
        let founding = sign_up.found("hash".to_owned(), &ids, now);
        let tokens = Tokens::new(&sealing::MasterSecret::new("s".repeat(64))).unwrap();
        let first = tokens.refresh_token(ids.next()).unwrap();
        let (second, third) = (tokens.successor(&first), tokens.successor(&tokens.successor(&first)));
        let proof = Proof::by(&[policy::PASSWORD], 0, now);
        let mut session = session(&founding.admin, proof, founding.organization.id, &first, now);
        let judge =
            |session: &Session, token, at| judge_refresh(session, token, &tokens.successor(token), at);
        assert_eq!(judge(&session, &first, now), Refresh::Valid);
        session.refresh_digest = second.digest();
        // As it was stored before there was a leeway.
        assert_eq!(judge(&session, &first, now), Refresh::Reused);
        session.replaced_digest = Some(first.digest());
        session.replaced_at = Some(now);
        // Whoever replaced it may have a clock that is ahead.
        assert_eq!(judge(&session, &first, now - Duration::from_secs(1)), Refresh::JustReplaced);
        let in_time = now + REFRESH_LEEWAY - Duration::from_millis(1);
        assert_eq!(judge(&session, &first, in_time), Refresh::JustReplaced);
        assert_eq!(judge(&session, &first, now + REFRESH_LEEWAY), Refresh::Reused);
        assert_eq!(judge(&session, &second, now + REFRESH_LEEWAY), Refresh::Valid);
        // It was replaced by another one, as an instance of the version before does it.
        session.refresh_digest = tokens.refresh_token(first.session()).unwrap().digest();
        assert_eq!(judge(&session, &first, now), Refresh::Reused);
        // It was replaced, and its successor too.
        session.refresh_digest = third.digest();
        session.replaced_digest = Some(second.digest());
        assert_eq!(judge(&session, &first, now), Refresh::Reused);
        assert_eq!(judge(&session, &second, now), Refresh::JustReplaced);
        assert_eq!(judge(&session, &second, now + SESSION_LIFE), Refresh::Over);
        session.status = "ended".to_owned();
        assert_eq!(judge(&session, &second, now), Refresh::Over);
        assert_eq!(judge(&session, &third, now), Refresh::Over);
    }
}
