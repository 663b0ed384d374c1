//! Workspaces on the wire.

use access::permission::{Permit, WorkspacesDelete, WorkspacesRead, WorkspacesWrite};
use clock::Timestamp;
use edge::{
    Authorized, Committed, Context, Edge, Everywhere, IdempotencyKey, IfMatch, Json, Paging, PathId, PathIds,
    Refused, Reply, RoleInWorkspace, routes,
};
use ids::{UserId, WorkspaceId, kind};
use input::Patch;
use problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use store::{Bound, Change, CommitError, Member, MemberStatus, Role, Workspace, WorkspaceStatus};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::app::{self, Draft, Source};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, change, delete))
        .routes(routes!(members))
        .routes(routes!(put_member, remove_member))
}

/// A workspace to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Enterprise sales"}))]
struct CreateWorkspace {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100, pattern = r"\S")]
    name: String,
}

/// What is to be changed; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"status": "archived"}))]
struct ChangeWorkspace {
    /// 1 to 100 characters.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 100, pattern = r"\S")]
    name: Patch<String>,
    /// `active` or `archived`. Nothing in an archived workspace can be used.
    #[serde(default)]
    #[schema(value_type = WorkspaceStatus)]
    status: Patch<WorkspaceStatus>,
}

/// A workspace.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Workspace)]
struct WorkspaceBody {
    id: WorkspaceId,
    name: String,
    /// `active` or `archived`.
    status: WorkspaceStatus,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A page of workspaces.
#[derive(Debug, Serialize, ToSchema)]
struct WorkspaceList {
    data: Vec<WorkspaceBody>,
    /// Give it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

/// A role to be held in a workspace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "manager"}))]
struct PutMember {
    /// `manager`, `member` or `read_only`.
    #[schema(value_type = RoleInWorkspace)]
    role: Role,
}

/// Somebody with a role in a workspace.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WorkspaceMember)]
struct MemberBody {
    user_id: UserId,
    email: String,
    name: String,
    /// The one that may more, where one is held in the workspace and another on the organization.
    role: Role,
    /// Whether the role is held in the `workspace` or on the `organization`.
    #[schema(value_type = String, example = "workspace")]
    source: Source,
    /// `active` or `deactivated`.
    status: MemberStatus,
}

/// A page of those with a role in a workspace.
#[derive(Debug, Serialize, ToSchema)]
struct WorkspaceMemberList {
    data: Vec<MemberBody>,
    /// Give it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

impl From<&Workspace> for WorkspaceBody {
    fn from(workspace: &Workspace) -> Self {
        Self {
            id: workspace.id,
            name: workspace.name.clone(),
            status: workspace.status,
            created_at: workspace.created_at,
            updated_at: workspace.updated_at,
        }
    }
}

impl MemberBody {
    fn of(member: &Member, workspace: WorkspaceId) -> Option<Self> {
        let (role, source) = app::presence(member, workspace)?;
        Some(Self {
            user_id: member.user_id,
            email: member.email.clone(),
            name: member.name.clone(),
            role,
            source,
            status: member.status,
        })
    }
}

const MISSING: Refused = Refused(Problem::NotFound { what: "workspace" });

/// Whether a workspace is there and in the caller's reach.
fn sees<P: Permit>(caller: &Authorized<P>, workspace: &Workspace) -> bool {
    workspace.status != WorkspaceStatus::Deleted && reaches(caller, workspace.id)
}

/// Workspaces belong to no mode.
fn reaches<P: Permit>(caller: &Authorized<P>, workspace: WorkspaceId) -> bool {
    caller.reaches(Some(workspace), caller.context.caller.known.mode())
}

/// The workspace, if it is in the caller's reach.
async fn find<P: Permit>(caller: &Authorized<P>, id: WorkspaceId) -> Result<Workspace, Refused> {
    let workspace = caller.context.tenant().workspace_record(id).await?;
    workspace.filter(|workspace| sees(caller, workspace)).ok_or(MISSING)
}

/// Create a workspace
///
/// An organization's plan says how many it may have, archived ones included.
#[utoipa::path(
    post, path = "/api/admin/workspaces", operation_id = "create_workspace", tag = "workspaces",
    request_body = CreateWorkspace,
    responses((status = 201, description = "Created", body = WorkspaceBody)),
    extensions(("x-problem-codes" = json!([Code::LimitReached, Code::Conflict])))
)]
async fn create(
    caller: Everywhere<WorkspacesWrite>,
    key: IdempotencyKey,
    body: Json<CreateWorkspace>,
) -> Reply {
    let context = &caller.context;
    let workspace = app::open(&body.value.name, context.edge().ids(), context.request.now)?;
    let record = context.record("workspace.create", "workspace", &workspace.id.to_string());
    let change = app::create(&workspace, context.tenant().organization_id(), record)?;
    let shown = WorkspaceBody::from(&workspace);
    let reply = context.commit(change, None, &key, &body.bytes, Committed::created(&shown)).await;
    context.forget_overview();
    reply
}

/// List workspaces
///
/// Newest first, archived ones included.
#[utoipa::path(
    get, path = "/api/admin/workspaces", operation_id = "list_workspaces", tag = "workspaces",
    responses((status = 200, description = "A page", body = WorkspaceList))
)]
async fn list(caller: Authorized<WorkspacesRead>, paging: Paging) -> Reply {
    let confines = caller.confines();
    let page = caller.context.tenant().workspace_page(&paging.page(&confines)?).await?;
    paging.show(
        &confines,
        &page,
        |last| last.id.to_string(),
        |workspace| sees(&caller, workspace).then(|| WorkspaceBody::from(workspace)),
    )
}

/// Get a workspace
#[utoipa::path(
    get, path = "/api/admin/workspaces/{id}", operation_id = "get_workspace", tag = "workspaces",
    params(("id" = String, Path, description = "`ws_…`")),
    responses((status = 200, description = "The workspace", body = WorkspaceBody))
)]
async fn get(caller: Authorized<WorkspacesRead>, PathId(id): PathId<kind::Workspace>) -> Reply {
    let workspace = find(&caller, id).await?;
    edge::ok(&WorkspaceBody::from(&workspace), Some(workspace.updated_at))
}

/// Change a workspace
///
/// Rename it, archive it, make it active again. An organization keeps at least one active workspace.
#[utoipa::path(
    patch, path = "/api/admin/workspaces/{id}", operation_id = "change_workspace", tag = "workspaces",
    params(("id" = String, Path, description = "`ws_…`")),
    request_body = ChangeWorkspace,
    responses((status = 200, description = "Changed", body = WorkspaceBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict, Code::LimitReached])))
)]
async fn change(
    caller: Authorized<WorkspacesWrite>,
    PathId(id): PathId<kind::Workspace>,
    if_match: IfMatch,
    body: Json<ChangeWorkspace>,
) -> Reply {
    let context = &caller.context;
    let (before, all) = tokio::try_join!(find(&caller, id), all(context))?;
    if_match.check(before.updated_at)?;
    let draft = Draft { name: body.value.name, status: body.value.status };
    let after = draft.apply(&before, context.request.now)?;
    let spare = app::spare(&all, &before, after.status)?;
    let record = context.record("workspace.update", "workspace", &id.to_string());
    let change = app::alter(&before, &after, spare, context.tenant().organization_id(), record)?;
    context.commit_silently(change.only_as_read(if_match.is_given())).await?;
    context.forget_overview();
    edge::ok(&WorkspaceBody::from(&after), Some(after.updated_at))
}

/// The workspaces that are not deleted.
async fn all(context: &Context) -> Result<Vec<Workspace>, Refused> {
    Ok(context.tenant().workspaces().await?)
}

/// Delete a workspace
///
/// One that holds campaigns, leads or meetings must be archived first; what it holds is erased 30 days later. API keys,
/// endpoints and open invitations that are for this workspace alone end with it. An organization keeps at least one active
/// workspace.
#[utoipa::path(
    delete, path = "/api/admin/workspaces/{id}", operation_id = "delete_workspace", tag = "workspaces",
    params(("id" = String, Path, description = "`ws_…`")),
    responses((status = 204, description = "Deleted")),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn delete(
    caller: Authorized<WorkspacesDelete>,
    PathId(id): PathId<kind::Workspace>,
    if_match: IfMatch,
) -> Reply {
    let context = &caller.context;
    let workspace = context.tenant().workspace_record(id).await?;
    let workspace = workspace.filter(|_| reaches(&caller, id)).ok_or(MISSING)?;
    if workspace.status != WorkspaceStatus::Deleted {
        if_match.check(workspace.updated_at)?;
        let holds_data = async { Ok(context.tenant().workspace_holds_data(id).await?) };
        let (all, holds_data) = tokio::try_join!(all(context), holds_data)?;
        let spare = app::spare(&all, &workspace, WorkspaceStatus::Deleted)?;
        app::may_be_deleted(&workspace, holds_data)?;
        let record = context.record("workspace.delete", "workspace", &id.to_string());
        let organization = context.tenant().organization_id();
        let change = app::delete(&workspace, spare, organization, record, context.request.now)?;
        context.commit_silently(change.only_as_read(if_match.is_given())).await?;
        context.forget_overview();
        end_all(context, id).await?;
        return Ok(edge::no_content());
    }
    // It is gone, but a deletion that was cut off may have left something, which the same request ends when it is sent again.
    if context.tenant().bound_to(id).await?.is_empty() {
        return Err(MISSING);
    }
    end_all(context, id).await?;
    Ok(edge::no_content())
}

/// How often what is bound to a workspace is looked for again: what was changed while it was being ended is ended then.
const LOOKS: usize = 4;

/// Ends all that is bound to a workspace that is gone. Nothing new can be bound to it any more.
async fn end_all(context: &Context, id: WorkspaceId) -> Result<(), Refused> {
    for _ in 0..LOOKS {
        let bound = context.tenant().bound_to(id).await?;
        if bound.is_empty() {
            return Ok(());
        }
        end(context, bound).await?;
    }
    Err(Refused(Problem::Unavailable))
}

/// Ends what was bound to a workspace, one after the other: each is a change of its own, with a record of its own.
async fn end(context: &Context, bound: Bound) -> Result<(), Refused> {
    let (organization, now) = (context.tenant().organization_id(), context.request.now);
    for key in &bound.api_keys {
        let record = context.record("api_key.revoke", "api_key", &key.id.to_string());
        carry_out(context, app::revoke_key(key, organization, record, now)).await?;
    }
    for endpoint in &bound.endpoints {
        let record = context.record("endpoint.delete", "endpoint", &endpoint.id.to_string());
        carry_out(context, app::delete_endpoint(endpoint, organization, record)).await?;
    }
    for invitation in &bound.invitations {
        let record = context.record("invitation.revoke", "invitation", &invitation.id.to_string());
        carry_out(context, app::revoke_invitation(invitation, organization, record, now)?).await?;
    }
    Ok(())
}

/// Commits the end of something that somebody else may be ending at this moment; that is as good.
async fn carry_out(context: &Context, change: Change) -> Result<(), Refused> {
    match context.tenant().commit(change, None).await {
        Err(CommitError::Store(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

/// List the members of a workspace
///
/// Everybody with a role there, whether it was given there or is held on the organization; deactivated ones included.
#[utoipa::path(
    get, path = "/api/admin/workspaces/{id}/members", operation_id = "list_workspace_members", tag = "workspaces",
    params(("id" = String, Path, description = "`ws_…`")),
    responses((status = 200, description = "A page", body = WorkspaceMemberList))
)]
async fn members(
    caller: Authorized<WorkspacesRead>,
    PathId(id): PathId<kind::Workspace>,
    paging: Paging,
) -> Reply {
    let confines = caller.confines();
    let page = paging.page(&confines)?;
    let read = async { Ok(caller.context.tenant().members(&page).await?) };
    let (_, page) = tokio::try_join!(find(&caller, id), read)?;
    paging.show(&confines, &page, |last| last.user_id.to_string(), |member| MemberBody::of(member, id))
}

/// A workspace and a member, as whoever gives and takes roles there finds them.
async fn find_member(
    caller: &Authorized<WorkspacesWrite>,
    id: WorkspaceId,
    user: UserId,
) -> Result<(Workspace, Member), Refused> {
    let tenant = caller.context.tenant();
    let (all, member) = tokio::try_join!(tenant.workspaces(), tenant.member(user))?;
    let workspace = all.iter().find(|it| it.id == id && sees(caller, it)).cloned().ok_or(MISSING)?;
    let member = member.map(|member| member.within(&all));
    // Who reaches only some workspaces knows of nobody else.
    let known = member.filter(|it| caller.reaches_everywhere() || app::presence(it, id).is_some());
    let member = known.ok_or(Refused(Problem::NotFound { what: "user" }))?;
    if let Some(permission) = caller.context.caller.known.lacks_of_member_in(&member, id) {
        return Err(caller.context.refuse_grant(permission).await);
    }
    app::is_active(&member)?;
    Ok((workspace, member))
}

/// Give a role in a workspace
///
/// To a member of the organization, in the place of the one they hold there, if any. Nobody gives more than they hold
/// there themselves.
#[utoipa::path(
    put, path = "/api/admin/workspaces/{id}/members/{user_id}", operation_id = "put_workspace_member", tag = "workspaces",
    params(("id" = String, Path, description = "`ws_…`"), ("user_id" = String, Path, description = "`usr_…`")),
    request_body = PutMember,
    responses((status = 200, description = "The member, as they are there now", body = MemberBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict, Code::WorkspaceArchived])))
)]
async fn put_member(
    caller: Authorized<WorkspacesWrite>,
    PathIds(id, user): PathIds<kind::Workspace, kind::User>,
    body: Json<PutMember>,
) -> Reply {
    let context = &caller.context;
    let (workspace, before) = find_member(&caller, id, user).await?;
    let role = app::workspace_role(body.value.role)?;
    if let Some(permission) = context.caller.known.lacks_of_role(role, Some(id)) {
        return Err(context.refuse_grant(permission).await);
    }
    let after = app::with_role(&before, workspace.id, role, context.request.now);
    let record = context.record("workspace_member.put", "user", &user.to_string());
    let organization = context.tenant().organization_id();
    let change = app::change_role(&before, &after, id, organization, record)?;
    context.commit_silently(change.requires_workspace(organization, id)).await?;
    edge::ok(&MemberBody::of(&after, id), None)
}

/// Take a role in a workspace away
///
/// The one that was given there. What is held on the organization stays, and the only role that somebody holds anywhere
/// can't be taken away: remove or deactivate the person instead.
#[utoipa::path(
    delete, path = "/api/admin/workspaces/{id}/members/{user_id}", operation_id = "remove_workspace_member", tag = "workspaces",
    params(("id" = String, Path, description = "`ws_…`"), ("user_id" = String, Path, description = "`usr_…`")),
    responses((status = 204, description = "Taken away")),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn remove_member(
    caller: Authorized<WorkspacesWrite>,
    PathIds(id, user): PathIds<kind::Workspace, kind::User>,
) -> Reply {
    let context = &caller.context;
    let (workspace, before) = find_member(&caller, id, user).await?;
    let after = app::without_role(&before, workspace.id, context.request.now)?;
    let record = context.record("workspace_member.remove", "user", &user.to_string());
    let organization = context.tenant().organization_id();
    context.commit_silently(app::change_role(&before, &after, id, organization, record)?).await
}
