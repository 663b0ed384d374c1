//! Invitations: a seat offered, not yet taken.
//!
//! Three items, written together: the invitation the tenant sees, the single-use token that its mail carries, and a mark
//! under the invited address, by which a person has at most one open invitation to an organization.

use clock::Timestamp;
use ids::{InvitationId, OrganizationId, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::change::{Expression, Table, Write};
use crate::item::{self, number, primary, text};
use crate::keys::{self, Key, OfOrganization};
use crate::single_use::REMEMBERED;
use crate::{Change, Page, PageRequest, Refusal, Role, SingleUse, Store, StoreError, Tenant};

/// What became of an invitation. One that is pending after its `expires_at` has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InvitationStatus {
    /// It waits for an answer.
    Pending,
    /// The person joined.
    Accepted,
    /// It was withdrawn.
    Revoked,
}

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// Whom it is for.
    pub email: String,
    /// The role they will have.
    pub role: Role,
    /// Where: in this workspace, or on the organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<WorkspaceId>,
    /// What became of it.
    pub status: InvitationStatus,
    /// Who invited: the id of a person or a key.
    pub invited_by: String,
    /// SHA-256 of the token that is good now.
    pub token_digest: String,
    /// Who accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_by: Option<UserId>,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Mark {
    invitation_id: InvitationId,
    valid_until: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Invitation {
    /// Whether it can still be accepted.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.status == InvitationStatus::Pending && self.expires_at > now
    }

    /// The mark under the invited address; the table drops it some time after it has lost its meaning.
    fn mark_item(&self, operation: &'static str, key: &Key) -> Result<item::Item, StoreError> {
        let mark = Mark {
            invitation_id: self.id,
            valid_until: self.expires_at.to_string(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        };
        let mut item = item::write(operation, key, &mark)?;
        item.insert("expires_at".to_owned(), number(self.expires_at.seconds()));
        Ok(item)
    }

    /// The item the tenant sees. `expires_at` is a number where a table expires items, so it goes by another name.
    fn item(&self, operation: &'static str, organization: OrganizationId) -> Result<item::Item, StoreError> {
        item::write(operation, &keys::invitation(organization, self.id), self)
    }
}

impl Change {
    /// Invites, unless the person has an open invitation to this organization.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when a record cannot be written as an item.
    pub fn invite(
        self,
        organization: OrganizationId,
        invitation: &Invitation,
        token: &SingleUse,
    ) -> Result<Self, StoreError> {
        let operation = self.operation();
        let record = invitation.item(operation, organization)?;
        let mark_key = keys::open_invitation(&invitation.email, organization);
        let mark = Write::Put {
            item: invitation.mark_item(operation, &mark_key)?,
            condition: "attribute_not_exists(pk) OR valid_until <= :now".to_owned(),
            values: vec![(":now", text(invitation.created_at.to_string()))],
        };
        let open = Refusal::Rule("there is an open invitation to this address; send that one again");
        self.step(Table::Core, Write::Create(record), Refusal::Exists("invitation"))
            .step(Table::Directory, mark, open)
            .issue_single_use(token)
    }

    /// Sends an invitation anew: with a new token and a new end, the old token withdrawn.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when a record cannot be written as an item.
    pub fn renew_invitation(
        self,
        organization: OrganizationId,
        before: &Invitation,
        after: &Invitation,
        token: &SingleUse,
    ) -> Result<Self, StoreError> {
        let mark_key = keys::open_invitation(&after.email, organization);
        let mark = Write::Put {
            item: after.mark_item(self.operation(), &mark_key)?,
            condition: "attribute_not_exists(pk) OR valid_until <= :now OR invitation_id = :id".to_owned(),
            values: vec![(":now", text(after.updated_at.to_string())), (":id", text(after.id.to_string()))],
        };
        let newer = Refusal::Rule("there is a newer open invitation to this address");
        self.replace(Table::Core, &keys::invitation(organization, before.id), after, before.updated_at)?
            .step(Table::Directory, mark, newer)
            .spend_token_of(before, after.updated_at)
            .issue_single_use(token)
    }

    /// Spends the token of an invitation, unless it expired so long ago that it may be forgotten.
    fn spend_token_of(self, invitation: &Invitation, now: Timestamp) -> Self {
        if invitation.expires_at + REMEMBERED > now {
            self.spend_single_use(&invitation.token_digest, now)
        } else {
            self
        }
    }

    /// Ends an invitation, accepted or withdrawn as `after` says: its token is spent, and the person may be invited again.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when a record cannot be written as an item.
    pub fn close_invitation(
        self,
        organization: OrganizationId,
        before: &Invitation,
        after: &Invitation,
    ) -> Result<Self, StoreError> {
        // The token first: of two who bring the same one, the later is to hear that it was used.
        let change = self.spend_token_of(before, after.updated_at).replace(
            Table::Core,
            &keys::invitation(organization, before.id),
            after,
            before.updated_at,
        )?;
        if before.expires_at <= after.updated_at {
            // The mark of one that has expired means nothing, and may be another one's by now.
            return Ok(change);
        }
        let unmark = Expression {
            key: primary(&keys::open_invitation(&before.email, organization)),
            condition: "invitation_id = :id".to_owned(),
            values: vec![(":id", text(before.id.to_string()))],
            ..Expression::default()
        };
        Ok(change.step(Table::Directory, Write::Delete(unmark), Refusal::Raced))
    }
}

impl Tenant {
    /// An invitation.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>, StoreError> {
        self.store.get(Store::core_table, "invitation", &keys::invitation(self.organization, id)).await
    }

    /// A page of the invitations, newest first, closed ones included.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn invitations(
        &self,
        page: &PageRequest<InvitationId>,
    ) -> Result<Page<Invitation>, StoreError> {
        let page = PageRequest { limit: page.limit, after: page.after.map(|id| id.to_string()) };
        self.store
            .page_of_organization("invitations", self.organization, OfOrganization::Invitations, &page)
            .await
    }
}
