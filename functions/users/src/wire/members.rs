//! Members on the wire.

use std::collections::HashSet;

use access::permission::{UsersDelete, UsersRead, UsersWrite};
use clock::Timestamp;
use edge::{
    Authorized, Committed, Context, Everywhere, EverywhereOrSelf, IdempotencyKey, IfMatch, Json, Narrow,
    Narrowed, PathId, Refused, Reply, Search, Searchable, Values, includes,
};
use ids::{UserId, WorkspaceId, kind};
use input::Patch;
use problem::{Code, FieldError, Problem};
use serde::{Deserialize, Serialize};
use store::{Member, MemberStatus, Page, Role, Workspace, WorkspaceRole};
use tokio::sync::OnceCell;
use utoipa::{IntoParams, ToSchema};

use crate::app::members::{self as app, Draft};

/// A role in one workspace.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkspaceRole)]
struct WorkspaceRoleBody {
    workspace_id: WorkspaceId,
    /// `manager`, `member` or `read_only`.
    role: Role,
}

/// What is to be changed; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "read_only"}))]
pub(super) struct ChangeUser {
    /// The name in this organization: 1 to 100 characters.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 100, pattern = r"\S")]
    name: Patch<String>,
    /// `admin` or `read_only` on the organization; null takes the role away.
    #[serde(default)]
    #[schema(value_type = Option<Role>)]
    role: Patch<Role>,
    /// Every role in a workspace, in the place of those there are.
    #[serde(default)]
    #[schema(value_type = Vec<WorkspaceRoleBody>)]
    workspace_roles: Patch<Vec<WorkspaceRoleBody>>,
}

/// A member of the organization.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserBody {
    id: UserId,
    email: String,
    name: String,
    /// The role on the organization as a whole, if any: `admin` or `read_only`.
    role: Option<Role>,
    /// The roles in single workspaces, as far as the caller reaches those.
    workspace_roles: Vec<WorkspaceRoleBody>,
    /// `active`, which takes a seat, or `deactivated`.
    status: MemberStatus,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A member in a list.
#[derive(Debug, Serialize, ToSchema)]
struct ListedUser {
    #[serde(flatten)]
    user: UserBody,
    /// Whether they are asked for a second factor when they sign in; with `include=mfa`.
    #[serde(skip_serializing_if = "Option::is_none")]
    mfa_enabled: Option<bool>,
}

/// A page of members.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserList {
    data: Vec<ListedUser>,
    /// Give it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

impl From<&Member> for UserBody {
    fn from(member: &Member) -> Self {
        let held = member.workspace_roles.iter();
        Self {
            id: member.user_id,
            email: member.email.clone(),
            name: member.name.clone(),
            role: member.role,
            workspace_roles: held
                .map(|held| WorkspaceRoleBody { workspace_id: held.workspace_id, role: held.role })
                .collect(),
            status: member.status,
            created_at: member.created_at,
            updated_at: member.updated_at,
        }
    }
}

impl From<WorkspaceRoleBody> for WorkspaceRole {
    fn from(body: WorkspaceRoleBody) -> Self {
        Self { workspace_id: body.workspace_id, role: body.role }
    }
}

const MISSING: Refused = Refused(Problem::NotFound { what: "user" });

/// The member as the caller sees them: whoever reaches certain workspaces only sees those who have a role on the
/// organization or in one of these, and of their roles only these.
fn seen(caller: &Authorized<UsersRead>, member: Member, workspaces: &[Workspace]) -> Option<Member> {
    let mut member = member.within(workspaces);
    if caller.reaches_everywhere() {
        return Some(member);
    }
    let mode = caller.context.caller.known.mode();
    member.workspace_roles.retain(|held| caller.reaches(Some(held.workspace_id), mode));
    member.holds_a_role().then_some(member)
}

/// What a list of members tells besides.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) struct Besides {
    /// `mfa`: whether each has a second factor. It is told to whoever reaches the whole organization.
    #[param(pattern = "^mfa$")]
    include: Option<String>,
}

/// Which members are wanted, and what of them.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    search: Search,
    with_mfa: bool,
}

impl Narrow for Wanted {
    const NAMES: &'static [&'static str] = &[Search::NAME, "include"];

    fn read(values: &Values, faults: &mut Vec<FieldError>) -> Self {
        Self { search: Search::read(values, faults), with_mfa: includes(values, faults, "mfa") }
    }
}

/// List users
///
/// The members of the organization, newest first, deactivated ones included. A caller who reaches certain workspaces only
/// sees those who share one of them. `search` looks at names and e-mail addresses.
#[utoipa::path(
    get, path = "/api/admin/users", operation_id = "list_users", tag = "users", params(Searchable, Besides),
    responses((status = 200, description = "A page", body = UserList))
)]
pub(super) async fn list(caller: Authorized<UsersRead>, narrowed: Narrowed<Wanted>) -> Reply {
    let Narrowed { paging, by: Wanted { search, with_mfa } } = narrowed;
    let (confines, tenant, workspaces) = (caller.confines(), caller.context.tenant(), OnceCell::new());
    let read = async |page| {
        let workspaces = workspaces.get_or_try_init(|| tenant.workspaces());
        let (page, workspaces) = tokio::try_join!(tenant.members(&page), workspaces)?;
        let items = page.items.into_iter().map(|member| (member.user_id, seen(&caller, member, workspaces)));
        Ok(Page { items: items.collect(), more: page.more })
    };
    let found = |member: &Member| search.is_in(&[&member.name, &member.email]);
    // Whoever is not seen is not found either: a position to go on from would tell of them.
    let page = paging.look_through(&search, &confines, &read, |(id, _)| *id, |(_, seen)| seen.filter(found));
    let (members, position) = page.await?;
    let with_mfa = with_mfa && caller.reaches_everywhere();
    let protected = match with_mfa {
        true => tenant.with_second_factor(&members).await?,
        false => HashSet::new(),
    };
    let listed: Vec<ListedUser> = members
        .iter()
        .map(|member| ListedUser {
            user: UserBody::from(member),
            mfa_enabled: with_mfa.then(|| protected.contains(&member.user_id)),
        })
        .collect();
    paging.reply(&confines, &listed, position)
}

/// Get a user
#[utoipa::path(
    get, path = "/api/admin/users/{id}", operation_id = "get_user", tag = "users",
    params(("id" = String, Path, description = "`usr_…`")),
    responses((status = 200, description = "The user", body = UserBody))
)]
pub(super) async fn get(caller: Authorized<UsersRead>, PathId(id): PathId<kind::User>) -> Reply {
    let tenant = caller.context.tenant();
    let (member, workspaces) = tokio::try_join!(tenant.member(id), tenant.workspaces())?;
    let member = member.and_then(|member| seen(&caller, member, &workspaces)).ok_or(MISSING)?;
    edge::ok(&UserBody::from(&member), Some(member.updated_at))
}

/// A member as they stand, and the organization's workspaces.
async fn find(context: &Context, id: UserId) -> Result<(Member, Vec<Workspace>), Refused> {
    let tenant = context.tenant();
    let (member, workspaces) = tokio::try_join!(tenant.member(id), tenant.workspaces())?;
    Ok((member.ok_or(MISSING)?.within(&workspaces), workspaces))
}

/// Refuses to touch a member who holds, or would hold, more than the caller.
async fn outranks(context: &Context, member: &Member) -> Result<(), Refused> {
    match context.caller.known.lacks_of_member(member) {
        None => Ok(()),
        Some(permission) => Err(context.refuse_grant(permission).await),
    }
}

/// Change a user
///
/// Their roles, and their name in this organization. It counts from their next request on. Nobody gives or takes away
/// what they do not hold themselves, everybody keeps a role somewhere, and an organization keeps an admin.
#[utoipa::path(
    patch, path = "/api/admin/users/{id}", operation_id = "change_user", tag = "users",
    params(("id" = String, Path, description = "`usr_…`")),
    request_body = ChangeUser,
    responses((status = 200, description = "Changed", body = UserBody)),
    extensions(("x-problem-codes" = json!([
        Code::Conflict, Code::WorkspaceArchived, Code::LastAdmin, Code::LimitReached
    ])))
)]
pub(super) async fn change(
    caller: Everywhere<UsersWrite>,
    PathId(id): PathId<kind::User>,
    if_match: IfMatch,
    body: Json<ChangeUser>,
) -> Reply {
    let context = &caller.context;
    let (before, workspaces) = find(context, id).await?;
    outranks(context, &before).await?;
    if_match.check(before.updated_at)?;
    let ChangeUser { name, role, workspace_roles } = body.value;
    let workspace_roles = workspace_roles.map(|roles| roles.into_iter().map(WorkspaceRole::from).collect());
    let draft = Draft { name, role, workspace_roles };
    let after = draft.apply(&before, &workspaces, context.request.now)?;
    outranks(context, &after).await?;
    let record = context.record("user.update", "user", &id.to_string());
    let change = app::alter(&before, &after, context.tenant().organization_id(), record)?;
    context.commit_silently(change.only_as_read(if_match.is_given())).await?;
    edge::ok(&UserBody::from(&after), Some(after.updated_at))
}

/// Remove a user
///
/// Ends the membership and frees the seat; their sessions in this organization are over with their next request. What
/// they made stays, API keys included. Everybody may remove themselves, but for the last admin.
#[utoipa::path(
    delete, path = "/api/admin/users/{id}", operation_id = "remove_user", tag = "users",
    params(("id" = String, Path, description = "`usr_…`")),
    responses((status = 204, description = "Removed")),
    extensions(("x-problem-codes" = json!([Code::Conflict, Code::LastAdmin])))
)]
pub(super) async fn remove(caller: EverywhereOrSelf<UsersDelete>, if_match: IfMatch) -> Reply {
    let context = &caller.context;
    let member = context.tenant().member(caller.user).await?.ok_or(MISSING)?;
    if !caller.is_self() {
        outranks(context, &member).await?;
    }
    if_match.check(member.updated_at)?;
    let record = context.record("user.remove", "user", &caller.user.to_string());
    let change = app::remove(&member, context.tenant().organization_id(), record)?;
    context.commit_silently(change.only_as_read(if_match.is_given())).await
}

/// Deactivate a user
///
/// They keep their roles and lose their access, from their next request on; their seat is free.
#[utoipa::path(
    post, path = "/api/admin/users/{id}/deactivate", operation_id = "deactivate_user", tag = "users",
    params(("id" = String, Path, description = "`usr_…`")),
    responses((status = 200, description = "Deactivated", body = UserBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict, Code::LastAdmin])))
)]
pub(super) async fn deactivate(
    caller: Everywhere<UsersWrite>,
    PathId(id): PathId<kind::User>,
    key: IdempotencyKey,
) -> Reply {
    set_status(&caller.context, id, MemberStatus::Deactivated, "user.deactivate", &key).await
}

/// Reactivate a user
///
/// With the roles they had. Takes a seat, if the plan has one left.
#[utoipa::path(
    post, path = "/api/admin/users/{id}/reactivate", operation_id = "reactivate_user", tag = "users",
    params(("id" = String, Path, description = "`usr_…`")),
    responses((status = 200, description = "Active again", body = UserBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict, Code::LimitReached])))
)]
pub(super) async fn reactivate(
    caller: Everywhere<UsersWrite>,
    PathId(id): PathId<kind::User>,
    key: IdempotencyKey,
) -> Reply {
    set_status(&caller.context, id, MemberStatus::Active, "user.reactivate", &key).await
}

async fn set_status(
    context: &Context,
    id: UserId,
    status: MemberStatus,
    action: &'static str,
    key: &IdempotencyKey,
) -> Reply {
    let (before, _) = find(context, id).await?;
    outranks(context, &before).await?;
    let after = app::with_status(&before, status, context.request.now);
    let record = context.record(action, "user", &id.to_string());
    let change = app::set_status(&before, &after, context.tenant().organization_id(), record)?;
    context.commit(change, None, key, &[], Committed::ok(&UserBody::from(&after))).await
}
