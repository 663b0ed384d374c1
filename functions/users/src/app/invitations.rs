//! The rules of invitations: to whom, for what, for how long.

use std::collections::BTreeSet;
use std::time::Duration;

use access::permission::Level;
use access::{CallerKind, Known, OneTimeToken, policy};
use clock::Timestamp;
use ids::{Ids, OrganizationId, WorkspaceId};
use input::{Fault, Faults};
use mailing::{Letter, Token};
use problem::Problem;
use serde::Serialize;
use store::{
    AuditRecord, Change, Errand, Invitation, InvitationStatus, Organization, OutgoingMail, Role, SingleUse,
    StoreError, touched,
};

use super::{changed, role_on};

/// How long an invitation can be accepted.
pub(crate) const VALID: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MOST_AT_ONCE: usize = 100;

/// One invitation as it was sent, before it is checked.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) email: String,
    pub(crate) role: Role,
    pub(crate) workspace_id: Option<WorkspaceId>,
}

/// What was sent: one invitation or many.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) email: Option<String>,
    pub(crate) role: Option<Role>,
    pub(crate) workspace_id: Option<WorkspaceId>,
    pub(crate) invitations: Option<Vec<Row>>,
}

/// An invitation that may be made, if whoever makes it holds the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) email: String,
    pub(crate) role: Role,
    pub(crate) workspace_id: Option<WorkspaceId>,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Request {
    /// One invitation, good as a whole or not at all.
    One(Offer),
    /// Several, each good or not for itself: the address as it was sent or as it is understood, and what became of it.
    Many(Vec<(String, Result<Offer, Problem>)>),
}

impl Draft {
    /// Checks what was sent. A fault of one among many is that one's alone.
    ///
    /// # Errors
    /// 422 with every fault.
    pub(crate) fn check(self) -> Result<Request, Problem> {
        let mut faults = Faults::default();
        let Some(rows) = self.invitations else {
            for (missing, pointer) in [(self.email.is_none(), "/email"), (self.role.is_none(), "/role")] {
                if missing {
                    faults.note(pointer, Fault::new("required", "must be given"));
                }
            }
            let (email, role) = faults.finish(self.email.zip(self.role))?;
            let row = Row { email, role, workspace_id: self.workspace_id };
            return row.check("").map(Request::One);
        };
        for (given, pointer) in [
            (self.email.is_some(), "/email"),
            (self.role.is_some(), "/role"),
            (self.workspace_id.is_some(), "/workspace_id"),
        ] {
            if given {
                faults.note(pointer, Fault::new("value", "must not stand beside invitations"));
            }
        }
        if !(1..=MOST_AT_ONCE).contains(&rows.len()) {
            let message = format!("must have 1 to {MOST_AT_ONCE} invitations");
            faults.note("/invitations", Fault::new("length", message));
        }
        faults.finish(Some(()))?;
        let mut named = BTreeSet::new();
        let checked = rows.into_iter().enumerate().map(|(index, row)| {
            let sent = row.email.clone();
            match row.check(&format!("/invitations/{index}")) {
                Ok(offer) if !named.insert(offer.email.clone()) => {
                    let detail = "The address stands in this request before.".to_owned();
                    (offer.email, Err(Problem::Conflict { detail }))
                }
                Ok(offer) => (offer.email.clone(), Ok(offer)),
                Err(problem) => (sent, Err(problem)),
            }
        });
        Ok(Request::Many(checked.collect()))
    }
}

impl Row {
    /// Checks an invitation that stands at `pointer` in the request.
    fn check(self, pointer: &str) -> Result<Offer, Problem> {
        let mut faults = Faults::default();
        let email = faults.take(&format!("{pointer}/email"), input::account_email(&self.email));
        let level = if self.workspace_id.is_some() { Level::Workspace } else { Level::Organization };
        let role = faults.take(&format!("{pointer}/role"), role_on(level, self.role));
        let offer = email.zip(role);
        faults.finish(offer.map(|(email, role)| Offer { email, role, workspace_id: self.workspace_id }))
    }
}

/// Whether an organization lets people with this address in.
///
/// # Errors
/// 403 when its domain is not one of those it admits.
pub(crate) fn admits(organization: &Organization, email: &str) -> Result<(), Problem> {
    if policy::admits_domain(organization, email) { Ok(()) } else { Err(Problem::DomainNotAllowed) }
}

/// What the invited are told of who invites them. Keys have no name for people.
pub(crate) fn inviter(known: &Known) -> String {
    match &known.kind {
        CallerKind::Person { name, .. } => name.clone(),
        CallerKind::Key { .. } => "An administrator".to_owned(),
    }
}

impl Offer {
    /// The invitation.
    pub(crate) fn invitation(
        self,
        token: &OneTimeToken,
        inviter: &Known,
        ids: &Ids,
        now: Timestamp,
    ) -> Invitation {
        Invitation {
            id: ids.next(),
            email: self.email,
            role: self.role,
            workspace_id: self.workspace_id,
            status: InvitationStatus::Pending,
            invited_by: inviter.actor().id,
            token_digest: token.digest(),
            accepted_by: None,
            expires_at: now + VALID,
            created_at: now,
            updated_at: now,
        }
    }
}

/// What the token of an invitation is good for.
fn single_use(invitation: &Invitation, organization: OrganizationId) -> SingleUse {
    SingleUse {
        digest: invitation.token_digest.clone(),
        errand: Errand::Invitation { organization_id: organization, invitation_id: invitation.id },
        email: invitation.email.clone(),
        valid_until: invitation.expires_at,
        spent: false,
        created_at: invitation.updated_at,
        updated_at: invitation.updated_at,
    }
}

/// The mail that carries the token.
pub(crate) fn letter(
    invitation: &Invitation,
    token: &OneTimeToken,
    organization: &Organization,
    inviter: String,
) -> Letter {
    Letter::Invitation {
        to: invitation.email.clone(),
        organization_name: organization.name.clone(),
        inviter_name: inviter,
        token: Token::new(token.reveal()),
        expires_at: invitation.expires_at,
    }
}

/// The change that invites who is not a member. A workspace it is for must be usable.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn invite(
    invitation: &Invitation,
    mail: OutgoingMail,
    organization: OrganizationId,
    record: AuditRecord,
) -> Result<Change, StoreError> {
    let mut record = about(invitation, record);
    record.changes.push(changed("role", None, Some(invitation.role)));
    record.changes.push(changed("status", None, Some(invitation.status)));
    let token = single_use(invitation, organization);
    let change = Change::audited(record).invite(organization, invitation, &token)?.mailing(mail);
    Ok(where_there_is_a_seat(change, invitation, organization))
}

/// The invitation with a new token and a new end.
pub(crate) fn renewed(invitation: &Invitation, token: &OneTimeToken, now: Timestamp) -> Invitation {
    let updated_at = touched(invitation.updated_at, now);
    Invitation {
        token_digest: token.digest(),
        expires_at: updated_at + VALID,
        updated_at,
        ..invitation.clone()
    }
}

/// The change that sends an invitation again. Refused when it was accepted or withdrawn.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn renew(
    before: &Invitation,
    after: &Invitation,
    mail: OutgoingMail,
    organization: OrganizationId,
    record: AuditRecord,
) -> Result<Change, StoreError> {
    let mut record = about(before, record);
    if let Some(over) = over(before) {
        return Ok(Change::audited(record).ruled_out(organization, over));
    }
    record.changes.push(changed("expires_at", Some(before.expires_at), Some(after.expires_at)));
    let token = single_use(after, organization);
    let change = Change::audited(record).renew_invitation(organization, before, after, &token)?.mailing(mail);
    Ok(where_there_is_a_seat(change, after, organization))
}

fn over(invitation: &Invitation) -> Option<&'static str> {
    match invitation.status {
        InvitationStatus::Pending => None,
        InvitationStatus::Accepted => Some("the invitation was accepted"),
        InvitationStatus::Revoked => Some("the invitation was revoked"),
    }
}

/// The invitation, withdrawn.
///
/// # Errors
/// 409 when it was accepted or withdrawn before.
pub(crate) fn revoked(invitation: &Invitation, now: Timestamp) -> Result<Invitation, Problem> {
    if let Some(over) = over(invitation) {
        return Err(Problem::Conflict { detail: format!("Refused: {over}.") });
    }
    let updated_at = touched(invitation.updated_at, now);
    Ok(Invitation { status: InvitationStatus::Revoked, updated_at, ..invitation.clone() })
}

/// The change that withdraws an invitation.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn revoke(
    before: &Invitation,
    after: &Invitation,
    organization: OrganizationId,
    record: AuditRecord,
) -> Result<Change, StoreError> {
    let mut record = about(before, record);
    record.changes.push(changed("status", Some(before.status), Some(after.status)));
    Change::audited(record).close_invitation(organization, before, after)
}

fn about(invitation: &Invitation, mut record: AuditRecord) -> AuditRecord {
    record.workspace_id = invitation.workspace_id;
    record.pii_accessed = true;
    record.sensitive = true;
    record.compliance_relevant = true;
    record
}

/// Only for who is not a member, and in a workspace that can be used.
fn where_there_is_a_seat(change: Change, invitation: &Invitation, organization: OrganizationId) -> Change {
    let change = change.requires_no_member(organization, &invitation.email);
    match invitation.workspace_id {
        Some(workspace) => change.requires_workspace(organization, workspace),
        None => change,
    }
}

/// What became of an invitation, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    Pending,
    Expired,
    Accepted,
    Revoked,
}

/// What became of an invitation by `now`.
pub(crate) fn standing(invitation: &Invitation, now: Timestamp) -> Standing {
    match invitation.status {
        InvitationStatus::Pending if invitation.is_open(now) => Standing::Pending,
        InvitationStatus::Pending => Standing::Expired,
        InvitationStatus::Accepted => Standing::Accepted,
        InvitationStatus::Revoked => Standing::Revoked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        clock::utc(2026, 11, 22, 15, 4)
    }

    fn row(email: &str, role: Role, workspace: Option<u8>) -> Row {
        let workspace_id = workspace.map(|seed| WorkspaceId::derived(now(), [seed; 16]));
        Row { email: email.to_owned(), role, workspace_id }
    }

    fn many(rows: Vec<Row>) -> Draft {
        Draft { invitations: Some(rows), ..Draft::default() }
    }

    fn pointers(draft: Draft) -> Vec<String> {
        match draft.check() {
            Err(Problem::Invalid { errors }) => errors.into_iter().map(|error| error.pointer).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_role_is_offered_where_it_can_be_held() {
        for (role, workspace, good) in [
            (Role::Admin, None, true),
            (Role::ReadOnly, None, true),
            (Role::ReadOnly, Some(1), true),
            (Role::Manager, Some(1), true),
            (Role::Member, Some(1), true),
            (Role::Admin, Some(1), false),
            (Role::Manager, None, false),
            (Role::Member, None, false),
        ] {
            assert_eq!(
                row("ada@example.com", role, workspace).check("").is_ok(),
                good,
                "{role:?} {workspace:?}"
            );
        }
    }

    #[test]
    fn one_or_many_and_never_both() {
        assert_eq!(pointers(Draft::default()), ["/email", "/role"]);
        let one = Draft { email: Some("nobody".to_owned()), role: Some(Role::Manager), ..Draft::default() };
        assert_eq!(pointers(one.clone()), ["/email", "/role"]);
        let rows = vec![row("a@example.com", Role::Admin, None)];
        let both = Draft { invitations: Some(rows), ..one };
        assert_eq!(pointers(both), ["/email", "/role"]);
        assert_eq!(pointers(many(Vec::new())), ["/invitations"]);
        assert_eq!(pointers(many(vec![row("a@example.com", Role::Admin, None); 101])), ["/invitations"]);
    }

    #[test]
    fn a_fault_of_one_among_many_is_its_own() {
        let rows = vec![
            row("Ada@Example.com", Role::Admin, None),
            row("nobody", Role::Admin, None),
            row("ada@example.com", Role::ReadOnly, None),
            row("bea@example.com", Role::Member, Some(1)),
        ];
        let Request::Many(checked) = many(rows).check().unwrap() else { panic!("one") };
        let good: Vec<bool> = checked.iter().map(|(_, offer)| offer.is_ok()).collect();
        assert_eq!(good, [true, false, false, true]);
        assert_eq!(checked[0].0, "ada@example.com");
        assert!(
            matches!(&checked[1].1, Err(Problem::Invalid { errors }) if errors[0].pointer == "/invitations/1/email")
        );
        assert!(matches!(&checked[2].1, Err(Problem::Conflict { .. })));
    }

    #[test]
    fn an_invitation_is_open_for_seven_days_and_anew_when_sent_again() {
        let token = OneTimeToken::generate(access::OneTimeKind::Invitation).unwrap();
        let invitation = Invitation {
            id: ids::InvitationId::derived(now(), [1; 16]),
            email: "ada@example.com".to_owned(),
            role: Role::Admin,
            workspace_id: None,
            status: InvitationStatus::Pending,
            invited_by: "usr_1".to_owned(),
            token_digest: token.digest(),
            accepted_by: None,
            expires_at: now() + VALID,
            created_at: now(),
            updated_at: now(),
        };
        let late = now() + VALID;
        assert_eq!(standing(&invitation, now()), Standing::Pending);
        assert_eq!(standing(&invitation, late), Standing::Expired);
        let next = OneTimeToken::generate(access::OneTimeKind::Invitation).unwrap();
        let again = renewed(&invitation, &next, late);
        assert_eq!(standing(&again, late), Standing::Pending);
        assert_ne!(again.token_digest, invitation.token_digest);
        let revoked = revoked(&invitation, now()).unwrap();
        assert_eq!(standing(&revoked, now()), Standing::Revoked);
        assert!(super::revoked(&revoked, now()).is_err());
    }
}
