//! Where people are put who join by themselves: a role, and where they hold it.

use access::{Grants, Known, Permission};
use ids::WorkspaceId;
use input::{Fault, Faults};
use store::Role;

/// A role for people who join by themselves, in a workspace or on the organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) role: Role,
    pub(crate) workspace_id: Option<WorkspaceId>,
}

impl Placement {
    /// Notes what can't be: nobody becomes an admin by an address alone, and managers and members belong to a workspace.
    pub(crate) fn check(&self, role_at: &str, workspace_at: &str, faults: &mut Faults) {
        if self.role == Role::Admin {
            faults.note(role_at, Fault::new("value", "must be manager, member or read_only"));
        } else if self.role != Role::ReadOnly && self.workspace_id.is_none() {
            let message = "must be given: managers and members belong to a workspace";
            faults.note(workspace_at, Fault::new("required", message));
        }
    }

    /// The first permission that somebody would give by it without holding it there.
    pub(crate) fn exceeds(&self, giver: &Known) -> Option<Permission> {
        let held = match self.workspace_id {
            Some(workspace) => giver.grants_in(workspace).unwrap_or_default(),
            None => giver.grants(),
        };
        Grants::of_role(self.role).iter().find(|given| !held.holds(*given))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Id;

    #[test]
    fn nobody_becomes_an_admin_and_workers_have_a_workspace() {
        let workspace = Some(Id::derived(clock::utc(2026, 11, 22, 15, 0), [1; 16]));
        for (role, workspace_id, good) in [
            (Role::Admin, None, false),
            (Role::Admin, workspace, false),
            (Role::Manager, None, false),
            (Role::Member, None, false),
            (Role::Manager, workspace, true),
            (Role::Member, workspace, true),
            (Role::ReadOnly, None, true),
            (Role::ReadOnly, workspace, true),
        ] {
            let mut faults = Faults::default();
            Placement { role, workspace_id }.check("/role", "/workspace_id", &mut faults);
            assert_eq!(faults.finish(Some(())).is_ok(), good, "{role:?}");
        }
    }
}
