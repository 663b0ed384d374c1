//! The signed-in person's own profile: `/api/auth/me`.

use clock::Timestamp;
use edge::{Json, Person, Reply};
use futures::future::try_join_all;
use ids::OrganizationId;
use input::Faults;
use problem::Code;
use serde::{Deserialize, Serialize};
use store::{Account, Change, FieldChange, Identity, Member};
use utoipa::ToSchema;

use crate::wire::account_of;
use crate::wire::answer::Me;
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

/// The signed-in person.
#[derive(Serialize, ToSchema)]
pub(crate) struct Profile {
    #[serde(flatten)]
    me: Me,
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

/// Who am I
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
    let profile = Profile {
        me: Me::of(&standing.member, here, &workspaces),
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
