//! Joining an organization, whichever way somebody comes.

use clock::Timestamp;
use ids::WorkspaceId;
use problem::Problem;
use store::{Identity, Member, MemberStatus, Role, Workspace, WorkspaceRole, WorkspaceStatus};

/// The seat that waits for somebody: a role, on the organization or in one workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) role: Role,
    pub(crate) workspace: Option<WorkspaceId>,
}

impl Seat {
    /// Whether it can be taken: its workspace must be there and in use.
    ///
    /// # Errors
    /// 409 when it is not.
    pub(crate) fn check(&self, workspaces: &[Workspace]) -> Result<(), Problem> {
        let Some(id) = self.workspace else { return Ok(()) };
        match workspaces.iter().find(|workspace| workspace.id == id).map(|workspace| workspace.status) {
            Some(WorkspaceStatus::Active) => Ok(()),
            Some(WorkspaceStatus::Archived) => Err(Problem::WorkspaceArchived),
            Some(WorkspaceStatus::Deleted) | None => {
                Err(Problem::Conflict { detail: "The workspace that the seat is in was deleted.".to_owned() })
            }
        }
    }

    /// The membership of who takes it.
    pub(crate) fn taken_by(&self, identity: &Identity, now: Timestamp) -> Member {
        let (role, workspace_roles) = match self.workspace {
            None => (Some(self.role), Vec::new()),
            Some(workspace_id) => (None, vec![WorkspaceRole { workspace_id, role: self.role }]),
        };
        Member {
            user_id: identity.user_id,
            email: identity.email.clone(),
            name: identity.name.clone(),
            role,
            workspace_roles,
            status: MemberStatus::Active,
            address_proved: identity.email_verified,
            generation: store::new_generation(),
            // Not from before the identity was theirs, also when it became so within the same moment.
            created_at: identity.made_over_at.map_or(now, |at| at.max(now)),
            updated_at: now,
        }
    }
}

/// An identity that somebody made before its address was proved to be anybody's, made over to who has proved it now.
///
/// Whoever made it may know its password and hold its second factor and sessions. None of them survives. Nor are the
/// organizations it is in any of the new owner's choosing: it is remembered since when they are.
pub(crate) fn made_over(
    before: &Identity,
    name: String,
    password_hash: Option<String>,
    now: Timestamp,
) -> Identity {
    let updated_at = store::touched(before.updated_at, now);
    Identity {
        name,
        password_hash,
        email_verified: true,
        made_over_at: Some(updated_at),
        second_factor: None,
        epoch: before.epoch + 1,
        updated_at,
        ..before.clone()
    }
}

/// The identity of somebody who joins an organization with it, which is written anew though nothing else of it changes: who
/// belongs nowhere may be erased at the same moment, and an identity is deleted as it was read. So either they keep it, or
/// they find none and have not joined.
pub(crate) fn joined(before: &Identity, now: Timestamp) -> Identity {
    Identity { updated_at: store::touched(before.updated_at, now), ..before.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Ids;

    #[test]
    fn a_seat_is_on_the_organization_or_in_a_workspace_that_is_in_use() {
        let (clock, _) = clock::Clock::manual(clock::utc(2026, 11, 22, 15, 0));
        let (ids, now) = (Ids::new(clock.clone()), clock.now());
        let mut workspace = Workspace {
            id: ids.next(),
            name: "Sales".to_owned(),
            status: WorkspaceStatus::Active,
            created_at: now,
            updated_at: now,
        };
        let seat = Seat { role: Role::Manager, workspace: Some(workspace.id) };
        assert_eq!(seat.check(std::slice::from_ref(&workspace)), Ok(()));
        assert!(matches!(seat.check(&[]), Err(Problem::Conflict { .. })));
        workspace.status = WorkspaceStatus::Archived;
        assert_eq!(seat.check(&[workspace]), Err(Problem::WorkspaceArchived));
        assert_eq!(Seat { role: Role::Admin, workspace: None }.check(&[]), Ok(()));
    }
}
