//! The rules of members: what they hold, and whether they may come in.

use std::collections::BTreeSet;

use access::permission::Level;
use clock::Timestamp;
use ids::OrganizationId;
use input::{Fault, Faults, Patch};
use problem::Problem;
use store::{
    AuditRecord, Change, Member, MemberStatus, Role, StoreError, Workspace, WorkspaceRole, WorkspaceStatus,
    touched,
};

use super::{changed, role_on};

/// More than any plan has workspaces.
const MOST_ROLES: usize = 1000;

/// What was sent for a change of a member, before it is checked. What is absent stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) name: Patch<String>,
    /// The role on the organization.
    pub(crate) role: Patch<Role>,
    /// All roles in workspaces, in the place of those there are.
    pub(crate) workspace_roles: Patch<Vec<WorkspaceRole>>,
}

impl Draft {
    /// The member as they are to be, in an organization with these workspaces.
    ///
    /// # Errors
    /// 422 with every fault, also when no role would be left; 404 for a workspace that is not there, 409 for a role in an
    /// archived one that is not held already.
    pub(crate) fn apply(
        self,
        to: &Member,
        workspaces: &[Workspace],
        now: Timestamp,
    ) -> Result<Member, Problem> {
        let mut faults = Faults::default();
        let name = self.name.kept("/name", &mut faults);
        let name = faults.take_optional("/name", name, |name| input::name(&name, 100));
        let role = match self.role {
            Patch::Absent => to.role,
            Patch::Null => None,
            Patch::Value(role) => faults.take("/role", role_on(Level::Organization, role)),
        };
        let workspace_roles = self.workspace_roles.kept("/workspace_roles", &mut faults);
        if let Some(roles) = &workspace_roles {
            check(roles, &mut faults);
        }
        let after = Member {
            name: name.unwrap_or_else(|| to.name.clone()),
            role,
            workspace_roles: workspace_roles.unwrap_or_else(|| to.workspace_roles.clone()),
            updated_at: touched(to.updated_at, now),
            ..to.clone()
        };
        let after = faults.finish(Some(after))?;
        if !after.holds_a_role() {
            let message = "must leave a role somewhere; remove or deactivate the user instead";
            return Err(Problem::invalid("/role", "required", message));
        }
        for held in &after.workspace_roles {
            let workspace = workspaces.iter().find(|it| it.id == held.workspace_id);
            let workspace = workspace.ok_or(Problem::NotFound { what: "workspace" })?;
            let is_new = to.role_in(held.workspace_id) != Some(held.role);
            if is_new && workspace.status != WorkspaceStatus::Active {
                return Err(Problem::WorkspaceArchived);
            }
        }
        Ok(after)
    }
}

fn check(roles: &[WorkspaceRole], faults: &mut Faults) {
    if roles.len() > MOST_ROLES {
        faults
            .note("/workspace_roles", Fault::new("length", format!("must name at most {MOST_ROLES} roles")));
        return;
    }
    let mut named = BTreeSet::new();
    for (index, held) in roles.iter().enumerate() {
        faults.take(&format!("/workspace_roles/{index}/role"), role_on(Level::Workspace, held.role));
        if !named.insert(held.workspace_id) {
            let fault = Fault::new("value", "is named twice");
            faults.note(format!("/workspace_roles/{index}/workspace_id"), fault);
        }
    }
}

/// The change from `before` to `after`.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn alter(
    before: &Member,
    after: &Member,
    organization: OrganizationId,
    record: AuditRecord,
) -> Result<Change, StoreError> {
    let record = about(Some(before), Some(after), record);
    Change::audited(record).membership(organization, Some(before), Some(after))
}

/// The member in this status.
pub(crate) fn with_status(member: &Member, status: MemberStatus, now: Timestamp) -> Member {
    // What was ended by deactivating stays ended, whatever comes after.
    let generation =
        if status == MemberStatus::Deactivated { store::new_generation() } else { member.generation };
    Member { status, generation, updated_at: touched(member.updated_at, now), ..member.clone() }
}

/// The change of whether a member may come in: takes or frees the seat. Refused when it is so already.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn set_status(
    before: &Member,
    after: &Member,
    organization: OrganizationId,
    record: AuditRecord,
) -> Result<Change, StoreError> {
    if before.status == after.status {
        let already = match after.status {
            MemberStatus::Active => "the user is active already",
            MemberStatus::Deactivated => "the user is deactivated already",
        };
        return Ok(Change::audited(record).ruled_out(organization, already));
    }
    alter(before, after, organization, record)
}

/// The change that ends a membership.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn remove(
    member: &Member,
    organization: OrganizationId,
    record: AuditRecord,
) -> Result<Change, StoreError> {
    let record = about(Some(member), None, record);
    Change::audited(record).membership(organization, Some(member), None)
}

/// The record with what the change alters. A name is personal data: that it was changed is told, and not to what.
fn about(before: Option<&Member>, after: Option<&Member>, mut record: AuditRecord) -> AuditRecord {
    record.sensitive = true;
    record.compliance_relevant = true;
    let role = |it: Option<&Member>| it.and_then(|member| member.role);
    if role(before) != role(after) {
        record.changes.push(changed("role", role(before), role(after)));
    }
    let roles = |it: Option<&Member>| it.map(|member| member.workspace_roles.clone()).unwrap_or_default();
    if roles(before) != roles(after) {
        record.changes.push(changed("workspace_roles", Some(roles(before)), Some(roles(after))));
    }
    let status = |it: Option<&Member>| it.map(|member| member.status);
    if status(before) != status(after) {
        record.changes.push(changed("status", status(before), status(after)));
    }
    let name = |it: Option<&Member>| it.map(|member| member.name.clone());
    if after.is_some() && name(before) != name(after) {
        record.pii_accessed = true;
        record.changes.push(changed::<()>("name", None, None));
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{UserId, WorkspaceId};

    fn now() -> Timestamp {
        clock::utc(2026, 11, 22, 15, 4)
    }

    fn id(seed: u8) -> WorkspaceId {
        WorkspaceId::derived(now(), [seed; 16])
    }

    fn held(seed: u8, role: Role) -> WorkspaceRole {
        WorkspaceRole { workspace_id: id(seed), role }
    }

    fn workspaces() -> Vec<Workspace> {
        let workspace = |seed, status| Workspace {
            id: id(seed),
            name: "Sales".to_owned(),
            status,
            created_at: now(),
            updated_at: now(),
        };
        vec![workspace(1, WorkspaceStatus::Active), workspace(2, WorkspaceStatus::Archived)]
    }

    fn member(role: Option<Role>, workspace_roles: Vec<WorkspaceRole>) -> Member {
        Member {
            user_id: UserId::derived(now(), [9; 16]),
            email: "ada@example.com".to_owned(),
            name: "Ada".to_owned(),
            role,
            workspace_roles,
            status: MemberStatus::Active,
            address_proved: true,
            generation: 0,
            created_at: now(),
            updated_at: now(),
        }
    }

    fn applied(draft: Draft, to: &Member) -> Result<Member, Problem> {
        draft.apply(to, &workspaces(), now())
    }

    #[test]
    fn what_is_absent_stays_and_null_takes_away() {
        let before = member(Some(Role::Admin), vec![held(1, Role::Manager)]);
        let after = applied(Draft::default(), &before).unwrap();
        assert_eq!((after.role, &after.workspace_roles), (before.role, &before.workspace_roles));
        assert!(after.updated_at > before.updated_at);
        let after = applied(Draft { role: Patch::Null, ..Draft::default() }, &before).unwrap();
        assert_eq!((after.role, after.workspace_roles), (None, before.workspace_roles));
    }

    #[test]
    fn a_role_is_left_somewhere() {
        let before = member(Some(Role::ReadOnly), Vec::new());
        let none = Draft { role: Patch::Null, ..Draft::default() };
        assert!(matches!(applied(none, &before), Err(Problem::Invalid { .. })));
        let moved = Draft {
            role: Patch::Null,
            workspace_roles: Patch::Value(vec![held(1, Role::Member)]),
            ..Draft::default()
        };
        assert_eq!(applied(moved, &before).unwrap().role_in(id(1)), Some(Role::Member));
    }

    #[test]
    fn each_level_takes_its_own_roles_and_each_workspace_one() {
        let before = member(Some(Role::Admin), Vec::new());
        let draft = Draft {
            name: Patch::Value(" ".to_owned()),
            role: Patch::Value(Role::Manager),
            workspace_roles: Patch::Value(vec![held(1, Role::Admin), held(1, Role::Member)]),
        };
        let Err(Problem::Invalid { errors }) = applied(draft, &before) else { panic!("accepted") };
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            ["/name", "/role", "/workspace_roles/0/role", "/workspace_roles/1/workspace_id"]
        );
    }

    #[test]
    fn roles_are_given_in_workspaces_that_can_be_used() {
        let roles = |roles| Draft { workspace_roles: Patch::Value(roles), ..Draft::default() };
        let before = member(Some(Role::Admin), vec![held(2, Role::Member)]);
        assert!(applied(roles(vec![held(1, Role::Member), held(2, Role::Member)]), &before).is_ok());
        let promoted = applied(roles(vec![held(2, Role::Manager)]), &before);
        assert_eq!(promoted, Err(Problem::WorkspaceArchived));
        let unknown = applied(roles(vec![held(3, Role::Member)]), &before);
        assert!(matches!(unknown, Err(Problem::NotFound { .. })));
    }
}
