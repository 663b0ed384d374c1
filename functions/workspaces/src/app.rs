//! The rules of workspaces and of roles in them.

use access::permission::{Level, held_on};
use clock::Timestamp;
use ids::{Ids, OrganizationId, WorkspaceId};
use input::{Fault, Faults, Patch};
use problem::Problem;
use serde::Serialize;
use serde_json::Value;
use store::{
    ApiKey, AuditRecord, Change, Due, Endpoint, FieldChange, GRACE_BEFORE_ERASURE, Invitation,
    InvitationStatus, Member, Role, StoreError, Task, Workspace, WorkspaceRole, WorkspaceStatus, touched,
};

/// Characters of a name.
const LONGEST_NAME: usize = 100;

/// A new workspace.
///
/// # Errors
/// 422 when the name can't be one.
pub(crate) fn open(name: &str, ids: &Ids, now: Timestamp) -> Result<Workspace, Problem> {
    let mut faults = Faults::default();
    let name = faults.take("/name", input::name(name, LONGEST_NAME));
    faults.finish(name.map(|name| Workspace {
        id: ids.next(),
        name,
        status: WorkspaceStatus::Active,
        created_at: now,
        updated_at: now,
    }))
}

/// What was sent for a change of a workspace, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) name: Patch<String>,
    pub(crate) status: Patch<WorkspaceStatus>,
}

impl Draft {
    /// The workspace as it is to be.
    ///
    /// # Errors
    /// 422 with every fault.
    pub(crate) fn apply(self, to: &Workspace, now: Timestamp) -> Result<Workspace, Problem> {
        let mut faults = Faults::default();
        let name = self.name.kept("/name", &mut faults);
        let name = faults.take_optional("/name", name, |name| input::name(&name, LONGEST_NAME));
        let status = self.status.kept("/status", &mut faults);
        if status == Some(WorkspaceStatus::Deleted) {
            faults.note("/status", Fault::new("value", "must be active or archived"));
        }
        faults.finish(Some(Workspace {
            id: to.id,
            name: name.unwrap_or_else(|| to.name.clone()),
            status: status.unwrap_or(to.status),
            created_at: to.created_at,
            updated_at: touched(to.updated_at, now),
        }))
    }
}

/// Another workspace that can be used, which one that ceases to be usable must leave behind; `None` when `workspace` does
/// not cease to be usable.
///
/// # Errors
/// 409 when there is no other.
pub(crate) fn spare(
    all: &[Workspace],
    before: &Workspace,
    after: WorkspaceStatus,
) -> Result<Option<WorkspaceId>, Problem> {
    let usable = |status| status == WorkspaceStatus::Active;
    if !usable(before.status) || usable(after) {
        return Ok(None);
    }
    let other = all.iter().find(|it| it.id != before.id && usable(it.status));
    other.map(|it| Some(it.id)).ok_or_else(|| Problem::Conflict {
        detail: "This is the organization's last workspace that can be used. Create or unarchive another one first."
            .to_owned(),
    })
}

/// Refuses to delete a workspace in use.
///
/// # Errors
/// 409 when it holds data and is not archived.
pub(crate) fn may_be_deleted(workspace: &Workspace, holds_data: bool) -> Result<(), Problem> {
    if holds_data && workspace.status == WorkspaceStatus::Active {
        let detail = "The workspace holds campaigns, leads or meetings. Archive it first.".to_owned();
        return Err(Problem::Conflict { detail });
    }
    Ok(())
}

fn changed<T: Serialize>(field: &str, before: Option<T>, after: Option<T>) -> FieldChange {
    let value = |it: Option<T>| serde_json::to_value(it).unwrap_or_default();
    FieldChange { field: field.to_owned(), before: value(before), after: value(after) }
}

/// The change that creates `workspace`.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn create(
    workspace: &Workspace,
    organization: OrganizationId,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    record.workspace_id = Some(workspace.id);
    record.compliance_relevant = true;
    record.changes.push(changed("name", None, Some(&workspace.name)));
    Change::audited(record).create_workspace(organization, workspace)
}

/// The change from `before` to `after`, which leaves `spare` behind if it must leave one.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn alter(
    before: &Workspace,
    after: &Workspace,
    spare: Option<WorkspaceId>,
    organization: OrganizationId,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    record.workspace_id = Some(before.id);
    record.compliance_relevant = true;
    if before.name != after.name {
        record.changes.push(changed("name", Some(&before.name), Some(&after.name)));
    }
    if before.status != after.status {
        record.changes.push(changed("status", Some(before.status), Some(after.status)));
    }
    let change = Change::audited(record).change_workspace(organization, before, after)?;
    Ok(match spare {
        Some(other) => change.leaves_usable(organization, other),
        None => change,
    })
}

/// The change that deletes `workspace`, and puts on the list that what it holds is to be erased: also of one that was
/// found empty, as something may have got in at the last moment.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn delete(
    workspace: &Workspace,
    spare: Option<WorkspaceId>,
    organization: OrganizationId,
    mut record: AuditRecord,
    now: Timestamp,
) -> Result<Change, StoreError> {
    record.sensitive = true;
    let after = Workspace {
        status: WorkspaceStatus::Deleted,
        updated_at: touched(workspace.updated_at, now),
        ..workspace.clone()
    };
    let task = Task::EraseWorkspace { organization_id: organization, workspace_id: workspace.id };
    let due = Due { task, due_at: after.updated_at + GRACE_BEFORE_ERASURE };
    alter(workspace, &after, spare, organization, record)?.schedule(&due)
}

/// The change that revokes a key of a workspace that is no more.
pub(crate) fn revoke_key(
    key: &ApiKey,
    organization: OrganizationId,
    mut record: AuditRecord,
    now: Timestamp,
) -> Change {
    record.workspace_id = key.workspace_id;
    record.sensitive = true;
    record.compliance_relevant = true;
    record.changes.push(changed("status", Some("active"), Some("revoked")));
    Change::audited(record).revoke_api_key(organization, key, None, now)
}

/// The change that deletes an endpoint of a workspace that is no more.
pub(crate) fn delete_endpoint(
    endpoint: &Endpoint,
    organization: OrganizationId,
    mut record: AuditRecord,
) -> Change {
    record.workspace_id = endpoint.workspace_id;
    record.compliance_relevant = true;
    record.changes.push(changed("url", Some(&endpoint.url), None));
    Change::audited(record).delete_endpoint(organization, endpoint, false)
}

/// The change that withdraws an invitation to a workspace that is no more.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn revoke_invitation(
    invitation: &Invitation,
    organization: OrganizationId,
    mut record: AuditRecord,
    now: Timestamp,
) -> Result<Change, StoreError> {
    record.workspace_id = invitation.workspace_id;
    record.sensitive = true;
    record.compliance_relevant = true;
    record.changes.push(changed("status", Some("pending"), Some("revoked")));
    let after = Invitation {
        status: InvitationStatus::Revoked,
        updated_at: touched(invitation.updated_at, now),
        ..invitation.clone()
    };
    Change::audited(record).close_invitation(organization, invitation, &after)
}

/// Through what somebody has a role in a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// It was given there.
    Workspace,
    /// It is held on the whole organization.
    Organization,
}

/// What a member is in a workspace: of a role held there and one held on the organization, the one that may more.
pub(crate) fn presence(member: &Member, workspace: WorkspaceId) -> Option<(Role, Source)> {
    let here = member.role_in(workspace).map(|role| (role, Source::Workspace));
    let everywhere = member.role.map(|role| (role, Source::Organization));
    // The first of equals is kept: the one that was given there.
    here.into_iter().chain(everywhere).min_by_key(|(role, _)| *role)
}

/// Checks that a role can be held in a workspace.
///
/// # Errors
/// 422 when it can't.
pub(crate) fn workspace_role(role: Role) -> Result<Role, Problem> {
    if held_on(role).contains(&Level::Workspace) {
        return Ok(role);
    }
    Err(Problem::invalid("/role", "value", "must be manager, member or read_only"))
}

/// Refuses to change the roles of somebody who is deactivated.
///
/// # Errors
/// 409 when they are.
pub(crate) fn is_active(member: &Member) -> Result<(), Problem> {
    if member.is_active() {
        return Ok(());
    }
    Err(Problem::Conflict { detail: "The user is deactivated. Reactivate them first.".to_owned() })
}

/// The member with `role` in `workspace`, whatever it was before.
pub(crate) fn with_role(member: &Member, workspace: WorkspaceId, role: Role, now: Timestamp) -> Member {
    let mut after = Member { updated_at: touched(member.updated_at, now), ..member.clone() };
    match after.workspace_roles.iter_mut().find(|held| held.workspace_id == workspace) {
        Some(held) => held.role = role,
        None => after.workspace_roles.push(WorkspaceRole { workspace_id: workspace, role }),
    }
    after
}

/// The member without a role in `workspace`.
///
/// # Errors
/// 404 when they hold none there, 409 when it is the only one they hold anywhere.
pub(crate) fn without_role(
    member: &Member,
    workspace: WorkspaceId,
    now: Timestamp,
) -> Result<Member, Problem> {
    member.role_in(workspace).ok_or(Problem::NotFound { what: "member" })?;
    let mut after = Member { updated_at: touched(member.updated_at, now), ..member.clone() };
    after.workspace_roles.retain(|held| held.workspace_id != workspace);
    if after.holds_a_role() {
        return Ok(after);
    }
    let detail = "It is the only role the user holds. Remove or deactivate the user instead.".to_owned();
    Err(Problem::Conflict { detail })
}

/// The change of what a member is in `workspace`.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn change_role(
    before: &Member,
    after: &Member,
    workspace: WorkspaceId,
    organization: OrganizationId,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    record.workspace_id = Some(workspace);
    record.sensitive = true;
    record.compliance_relevant = true;
    let role = |member: &Member| serde_json::to_value(member.role_in(workspace)).unwrap_or(Value::Null);
    let change = FieldChange { field: "role".to_owned(), before: role(before), after: role(after) };
    record.changes.push(change);
    Change::audited(record).membership(organization, Some(before), Some(after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::UserId;
    use store::MemberStatus;

    fn now() -> Timestamp {
        clock::utc(2026, 11, 22, 15, 4)
    }

    fn id(seed: u8) -> WorkspaceId {
        WorkspaceId::derived(now(), [seed; 16])
    }

    fn workspace(seed: u8, status: WorkspaceStatus) -> Workspace {
        Workspace { id: id(seed), name: "Sales".to_owned(), status, created_at: now(), updated_at: now() }
    }

    fn member(role: Option<Role>, here: Option<Role>) -> Member {
        Member {
            user_id: UserId::derived(now(), [9; 16]),
            email: "ada@example.com".to_owned(),
            name: "Ada".to_owned(),
            role,
            workspace_roles: here
                .map(|role| WorkspaceRole { workspace_id: id(1), role })
                .into_iter()
                .collect(),
            status: MemberStatus::Active,
            address_proved: true,
            generation: 0,
            created_at: now(),
            updated_at: now(),
        }
    }

    #[test]
    fn one_usable_workspace_is_always_left() {
        use WorkspaceStatus::{Active, Archived, Deleted};
        let (first, second, archived) = (workspace(1, Active), workspace(2, Active), workspace(3, Archived));
        let all = [first.clone(), second.clone(), archived.clone()];
        assert_eq!(spare(&all, &first, Archived).unwrap(), Some(second.id));
        assert_eq!(spare(&all, &first, Active).unwrap(), None);
        assert_eq!(spare(&all, &archived, Deleted).unwrap(), None);
        let alone = [first.clone(), archived];
        for after in [Archived, Deleted] {
            assert!(matches!(spare(&alone, &first, after), Err(Problem::Conflict { .. })));
        }
    }

    #[test]
    fn a_workspace_with_data_is_archived_before_it_is_deleted() {
        use WorkspaceStatus::{Active, Archived};
        assert!(may_be_deleted(&workspace(1, Active), true).is_err());
        for (status, holds_data) in [(Active, false), (Archived, false), (Archived, true)] {
            assert!(may_be_deleted(&workspace(1, status), holds_data).is_ok());
        }
    }

    #[test]
    fn a_change_keeps_what_is_not_named_and_is_later_than_what_it_changes() {
        let before = workspace(1, WorkspaceStatus::Active);
        let named = Draft { name: Patch::Value(" Support ".to_owned()), status: Patch::Absent };
        let after = named.apply(&before, now()).unwrap();
        assert_eq!((after.name.as_str(), after.status), ("Support", before.status));
        assert!(after.updated_at > before.updated_at);
        let bad = Draft { name: Patch::Value(String::new()), status: Patch::Value(WorkspaceStatus::Deleted) };
        let Err(Problem::Invalid { errors }) = bad.apply(&before, now()) else { panic!("accepted") };
        assert_eq!(errors.iter().map(|e| e.pointer.as_str()).collect::<Vec<_>>(), ["/name", "/status"]);
    }

    #[test]
    fn of_two_roles_the_one_that_may_more_is_shown() {
        use Source::{Organization, Workspace};
        for (everywhere, here, expected) in [
            (None, None, None),
            (None, Some(Role::Member), Some((Role::Member, Workspace))),
            (Some(Role::Admin), None, Some((Role::Admin, Organization))),
            (Some(Role::ReadOnly), Some(Role::Manager), Some((Role::Manager, Workspace))),
            (Some(Role::Admin), Some(Role::Manager), Some((Role::Admin, Organization))),
            (Some(Role::ReadOnly), Some(Role::ReadOnly), Some((Role::ReadOnly, Workspace))),
        ] {
            assert_eq!(presence(&member(everywhere, here), id(1)), expected);
            assert_eq!(presence(&member(None, here), id(2)), None);
        }
    }

    #[test]
    fn roles_are_given_and_taken_but_never_the_last() {
        let given = with_role(&member(None, Some(Role::Member)), id(2), Role::Manager, now());
        assert_eq!(given.role_in(id(1)), Some(Role::Member));
        assert_eq!(given.role_in(id(2)), Some(Role::Manager));
        let changed = with_role(&given, id(1), Role::ReadOnly, now());
        assert_eq!((changed.role_in(id(1)), changed.workspace_roles.len()), (Some(Role::ReadOnly), 2));
        let taken = without_role(&changed, id(1), now()).unwrap();
        assert_eq!(taken.role_in(id(1)), None);
        assert!(matches!(without_role(&taken, id(2), now()), Err(Problem::Conflict { .. })));
        assert!(matches!(without_role(&taken, id(1), now()), Err(Problem::NotFound { .. })));
        assert!(workspace_role(Role::Admin).is_err() && workspace_role(Role::ReadOnly).is_ok());
    }
}
