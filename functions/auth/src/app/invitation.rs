//! Accepting an invitation.

use access::policy;
use clock::Timestamp;
use ids::{Ids, OrganizationId};
use input::Faults;
use problem::Problem;
use serde_json::Value;
use store::{
    AuditRecord, Change, FieldChange, Identity, Invitation, InvitationStatus, Member, Organization,
    OrganizationStatus, StoreError,
};

use crate::app::joining::{Seat, joined, made_over};
use crate::password;

/// The invitation that a token was made for, if it still waits for an answer.
///
/// # Errors
/// 410 when it was answered, withdrawn or sent anew since.
pub(crate) fn open(invitation: Option<Invitation>, digest: &str) -> Result<Invitation, Problem> {
    invitation
        .filter(|it| it.status == InvitationStatus::Pending && it.token_digest == digest)
        .ok_or(Problem::TokenSpent)
}

/// Whether an organization takes people with this address in.
///
/// # Errors
/// 403 when it does not.
pub(crate) fn admits(organization: &Organization, email: &str) -> Result<(), Problem> {
    if organization.status == OrganizationStatus::Deleted {
        return Err(Problem::OrganizationDeleted);
    }
    if policy::admits_domain(organization, email) { Ok(()) } else { Err(Problem::DomainNotAllowed) }
}

/// Somebody whom the directory does not know, or knows by an address that they have only now proved to be theirs.
#[derive(Debug)]
pub(crate) struct Newcomer {
    name: String,
    pub(crate) password: String,
    /// What it is likely to be made of.
    pub(crate) known: Vec<String>,
}

impl Newcomer {
    /// Checks what they say of themselves.
    ///
    /// # Errors
    /// 422 with every fault. Whether the password could be guessed is told once it is set.
    pub(crate) fn check(
        name: Option<String>,
        password: Option<String>,
        email: &str,
        organization: &Organization,
    ) -> Result<Self, Problem> {
        let mut faults = Faults::default();
        let required = || input::Fault::new("required", "is required");
        let name = faults.take("/name", name.ok_or_else(required).and_then(|name| input::name(&name, 100)));
        let password = faults.take(
            "/password",
            password.ok_or_else(required).and_then(|password| password::fits(&password).map(|()| password)),
        );
        faults.finish(name.zip(password).map(|(name, password)| {
            let known = vec![name.clone(), email.to_owned(), organization.name.clone()];
            Self { name, password, known }
        }))
    }

    /// Their identity: a new one, or the one that somebody made with their address before them.
    pub(crate) fn identity(
        self,
        before: Option<&Identity>,
        email: &str,
        password_hash: String,
        ids: &Ids,
        now: Timestamp,
    ) -> Identity {
        match before {
            Some(before) => made_over(before, self.name, Some(password_hash), now),
            None => Identity {
                user_id: ids.next(),
                email: email.to_owned(),
                name: self.name,
                password_hash: Some(password_hash),
                email_verified: true,
                made_over_at: None,
                second_factor: None,
                epoch: 0,
                created_at: now,
                updated_at: now,
            },
        }
    }
}

/// The seat an invitation offers.
pub(crate) fn seat(invitation: &Invitation) -> Seat {
    Seat { role: invitation.role, workspace: invitation.workspace_id }
}

/// The change that gives `member` the seat, on `record`; `identity` is written anew, as what it was `before` or as it is now.
///
/// # Errors
/// [`StoreError::Malformed`] when a record cannot be written as an item.
pub(crate) fn accept(
    mut record: AuditRecord,
    organization: OrganizationId,
    invitation: &Invitation,
    (before, identity): (Option<&Identity>, &Identity),
    member: &Member,
    now: Timestamp,
) -> Result<Change, StoreError> {
    let accepted = Invitation {
        status: InvitationStatus::Accepted,
        accepted_by: Some(identity.user_id),
        updated_at: store::touched(invitation.updated_at, now),
        ..invitation.clone()
    };
    record.sensitive = true;
    record.pii_accessed = true;
    record.workspace_id = invitation.workspace_id;
    record.changes.push(FieldChange {
        field: "status".to_owned(),
        before: Value::from("pending"),
        after: Value::from("accepted"),
    });
    let change = Change::audited(record).close_invitation(organization, invitation, &accepted)?.membership(
        organization,
        None,
        Some(member),
    )?;
    let change = match invitation.workspace_id {
        Some(workspace) => change.requires_workspace(organization, workspace),
        None => change,
    };
    match before {
        None => change.create_identity(identity),
        Some(before) if before == identity => change.change_identity(before, &joined(before, now)),
        Some(before) => change.change_identity(before, identity),
    }
}
