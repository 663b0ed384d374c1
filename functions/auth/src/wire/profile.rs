//! The signed-in person's own profile: `/api/auth/me`.

use access::{Grants, Permission};
use clock::Timestamp;
use edge::{Json, Person, Reply};
use futures::future::try_join_all;
use ids::OrganizationId;
use input::Faults;
use problem::Code;
use serde::{Deserialize, Serialize};
use store::{Account, Change, FieldChange, Identity, Member, Role};
use utoipa::ToSchema;

use crate::wire::account_of;
use crate::wire::answer::{Me, OrganizationBody, UserBody, WorkspaceBody};
use crate::wire::joining::open_to;

/// More organizations than this are not listed.
const MOST_LISTED: usize = 100;

/// An organization, by name.
#[derive(Serialize, ToSchema)]
struct Named {
    id: OrganizationId,
    name: String,
}

/// The session.
#[derive(Serialize, ToSchema)]
struct SessionBody {
    /// What it has proved (RFC 8176, and `sso` for the organization's identity provider).
    #[schema(example = json!(["pwd", "otp"]))]
    amr: Vec<String>,
    /// When the person signed in.
    authenticated_at: Timestamp,
}

/// A workspace, and what the person may do there.
#[derive(Serialize, ToSchema)]
struct Entered {
    #[serde(flatten)]
    workspace: WorkspaceBody,
    /// What they may do in this workspace.
    #[schema(value_type = Vec<Permission>)]
    permissions: Vec<String>,
}

/// The signed-in person.
#[derive(Serialize, ToSchema)]
pub(crate) struct Profile {
    user: UserBody,
    organization: OrganizationBody,
    /// Their role on the organization; null if they have roles in workspaces only.
    role: Option<Role>,
    /// What they may do on the organization as a whole, its workspaces included.
    #[schema(value_type = Vec<Permission>)]
    permissions: Vec<String>,
    /// What they may do on the organization or in one workspace at least. Enough for the operations of `/api/admin` that show
    /// and change what belongs to a workspace, as far as it belongs to theirs.
    #[schema(value_type = Vec<Permission>)]
    permissions_somewhere: Vec<String>,
    workspaces: Vec<Entered>,
    /// The organizations they belong to, this one included.
    organizations: Vec<Named>,
    /// Organizations that they can join with `POST /api/auth/switch`.
    joinable: Vec<Named>,
    session: SessionBody,
    /// Whether their address is confirmed.
    email_verified: bool,
    /// Whether a second factor is active.
    mfa_enabled: bool,
}

/// What may be changed about oneself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileRequest {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100, pattern = r"\S")]
    name: String,
}

fn names(grants: Grants) -> Vec<String> {
    grants.iter().map(|permission| permission.to_string()).collect()
}

/// Who am I
///
/// And what may I do: the permissions are those by which each request is judged.
#[utoipa::path(
    get, path = "/api/auth/me", operation_id = "me", tag = "auth",
    responses((status = 200, description = "The signed-in person", body = Profile))
)]
pub(crate) async fn me(person: Person) -> Reply {
    let context = &person.context;
    let standing = person.standing()?;
    let workspaces = async { Ok(context.tenant().workspaces().await?) };
    let (workspaces, account) = tokio::try_join!(workspaces, account_of(&person))?;
    let Account { identity, memberships, .. } = &account;
    let store = context.edge().unscoped_store();
    let here = &standing.organization;
    let others = memberships.iter().map(|it| it.organization_id).filter(|id| *id != here.id);
    let others = others.take(MOST_LISTED - 1).map(|id| async move {
        let tenant = store.tenant_of_sign_in(id);
        let (organization, member) = tokio::try_join!(tenant.organization(), tenant.member(person.id))?;
        let belongs = member.is_some_and(|member| member.is_active());
        Ok(organization.filter(|_| belongs).map(|it| Named { id: it.id, name: it.name }))
    });
    let (others, open) = tokio::try_join!(try_join_all(others), open_to(context.edge(), &account))?;
    let mut organizations = vec![Named { id: here.id, name: here.name.clone() }];
    organizations.extend(others.into_iter().flatten());
    organizations.sort_by_key(|it| it.id);
    let joinable = open
        .filter(|open| memberships.iter().all(|it| it.organization_id != open.organization.id))
        .map(|open| Named { id: open.organization.id, name: open.organization.name });
    let known = &context.caller.known;
    let Me { user, organization, workspaces } = Me::of(&standing.member, here, &workspaces);
    let entered = |workspace: WorkspaceBody| Entered {
        permissions: names(known.grants_in(workspace.id).unwrap_or_default()),
        workspace,
    };
    let profile = Profile {
        user,
        organization,
        role: standing.member.role,
        permissions: names(known.grants()),
        permissions_somewhere: names(known.grants_somewhere()),
        workspaces: workspaces.into_iter().map(entered).collect(),
        organizations,
        joinable: joinable.into_iter().collect(),
        session: SessionBody {
            amr: standing.session.amr.clone(),
            authenticated_at: standing.session.authenticated_at,
        },
        email_verified: identity.email_verified,
        mfa_enabled: identity.second_factor.as_ref().is_some_and(|factor| factor.active),
    };
    edge::ok(&profile, None)
}

/// Change my name
///
/// As it is shown in this organization, and in those joined from now on.
#[utoipa::path(
    patch, path = "/api/auth/me", operation_id = "change_profile", tag = "auth",
    request_body = ProfileRequest,
    responses((status = 200, description = "Changed", body = Me)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
pub(crate) async fn change(person: Person, body: Json<ProfileRequest>) -> Reply {
    let mut faults = Faults::default();
    let name = faults.take("/name", input::name(&body.value.name, 100));
    let name = faults.finish(name)?;
    let context = &person.context;
    let standing = person.standing()?;
    let now = context.request.now;
    let workspaces = async { Ok(context.tenant().workspaces().await?) };
    let (workspaces, account) = tokio::try_join!(workspaces, account_of(&person))?;
    let (identity, member) = (&account.identity, &standing.member);
    let renamed = Identity {
        name: name.clone(),
        updated_at: store::touched(identity.updated_at, now),
        ..identity.clone()
    };
    let shown = Member { name, updated_at: store::touched(member.updated_at, now), ..member.clone() };
    let mut record = context.record("profile.update", "user", &person.id.to_string());
    record.pii_accessed = true;
    // A name is personal data: it is said that it changed, and not from what to what.
    let (before, after) = (serde_json::Value::Null, serde_json::Value::Null);
    record.changes.push(FieldChange { field: "name".to_owned(), before, after });
    let change = Change::audited(record).change_identity(identity, &renamed)?.membership(
        standing.organization.id,
        Some(member),
        Some(&shown),
    )?;
    let reply = edge::ok(&Me::of(&shown, &standing.organization, &workspaces), None)?;
    context.tenant().commit(change, None).await?;
    Ok(reply)
}
