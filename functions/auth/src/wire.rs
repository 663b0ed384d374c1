//! Sign-up, sign-in and sessions on the wire.

use access::session::{ACCESS_TOKEN_LIFE, Bearer, REQUESTS_PER_HOUR, RefreshToken};
use axum::extract::State;
use axum::http::StatusCode;
use edge::{
    Committed, Edge, Idempotency, IdempotencyKey, IdempotencyParameter, Json, Person, Problems, Refused,
    Reply, RequestInfo, Unproven,
};
use ids::{OrganizationId, UserId, WorkspaceId};
use problem::Problem;
use serde::{Deserialize, Serialize};
use store::{
    Account, Actor, AuditRecord, Change, CommitError, Identity, Member, MemberStatus, Organization, Plan,
    Role, SessionCredential, Tenant, Workspace,
};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{self, Refresh, SignUp};
use crate::password;

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(sign_up))
        .routes(routes!(sign_in))
        .routes(routes!(refresh))
        .routes(routes!(sign_out))
        .routes(routes!(me))
}

/// A new organization and its first admin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignUpRequest {
    /// 1 to 100 characters.
    organization_name: String,
    /// 1 to 100 characters.
    name: String,
    #[schema(example = "ada@example.com")]
    email: String,
    /// At least 12 characters.
    #[schema(format = Password)]
    password: String,
}

/// Credentials.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignInRequest {
    #[schema(example = "ada@example.com")]
    email: String,
    #[schema(format = Password)]
    password: String,
    /// Which organization; the one joined first if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    organization_id: Option<OrganizationId>,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefreshRequest {
    refresh_token: String,
}

/// Tokens.
#[derive(Serialize, ToSchema)]
struct Tokens {
    /// Send it as `Authorization: Bearer`.
    access_token: String,
    /// Good for one refresh.
    refresh_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token expires.
    expires_in: u64,
}

#[derive(Serialize, ToSchema)]
struct UserBody {
    #[schema(value_type = String)]
    id: UserId,
    email: String,
    name: String,
}

#[derive(Serialize, ToSchema)]
struct OrganizationBody {
    #[schema(value_type = String)]
    id: OrganizationId,
    name: String,
    #[schema(value_type = String, example = "starter")]
    plan: Plan,
}

#[derive(Serialize, ToSchema)]
struct WorkspaceBody {
    #[schema(value_type = String)]
    id: WorkspaceId,
    name: String,
    #[schema(value_type = String, example = "admin")]
    role: Role,
}

/// Who is signed in, and where.
#[derive(Serialize, ToSchema)]
struct Me {
    user: UserBody,
    organization: OrganizationBody,
    workspaces: Vec<WorkspaceBody>,
}

/// A session has begun.
#[derive(Serialize, ToSchema)]
struct SignedIn<'a> {
    #[serde(flatten)]
    tokens: Tokens,
    #[serde(flatten)]
    me: &'a Me,
}

impl Me {
    fn of(member: &Member, organization: &Organization, workspaces: &[Workspace]) -> Self {
        let workspaces = app::entered(member, workspaces);
        Self {
            user: UserBody { id: member.user_id, email: member.email.clone(), name: member.name.clone() },
            organization: OrganizationBody {
                id: organization.id,
                name: organization.name.clone(),
                plan: organization.plan,
            },
            workspaces: workspaces
                .into_iter()
                .map(|(workspace, role)| WorkspaceBody {
                    id: workspace.id,
                    name: workspace.name.clone(),
                    role,
                })
                .collect(),
        }
    }
}

fn tokens(
    edge: &Edge,
    session: &SessionCredential,
    refresh: &RefreshToken,
    request: &RequestInfo,
) -> Result<Tokens, Refused> {
    let bearer =
        Bearer { session: session.session_id, organization: session.organization_id, user: session.user_id };
    Ok(Tokens {
        access_token: edge.tokens().access_token(bearer, request.now)?,
        refresh_token: refresh.reveal().to_owned(),
        token_type: "Bearer",
        expires_in: ACCESS_TOKEN_LIFE.as_secs(),
    })
}

/// An audit record about a person's session; they have no [`edge::Context`] yet.
fn record(
    edge: &Edge,
    request: &RequestInfo,
    action: &'static str,
    organization: OrganizationId,
    actor: Actor,
    resource: (&str, String),
) -> AuditRecord {
    AuditRecord {
        id: edge.ids().next(),
        action,
        actor,
        resource_type: resource.0.to_owned(),
        resource_id: Some(resource.1),
        organization_id: organization,
        workspace_id: None,
        ip_address: request.ip.to_string(),
        user_agent: request.user_agent.clone(),
        request_id: request.id.clone(),
        timestamp: request.now,
        success: true,
        error_code: None,
        changes: Vec::new(),
        pii_accessed: false,
        sensitive: false,
        compliance_relevant: true,
    }
}

/// Sign up
///
/// Makes an organization, its first workspace and its first admin, and signs the admin in. Repeated with the same
/// `Idempotency-Key` the answer holds no tokens: sign in instead.
#[utoipa::path(
    post, path = "/api/auth/signup", operation_id = "sign_up", tag = "auth",
    params(IdempotencyParameter), request_body = SignUpRequest,
    responses((status = 201, description = "Signed up and signed in", body = SignedIn<'static>), Problems)
)]
async fn sign_up(
    State(edge): State<Edge>,
    request: RequestInfo,
    key: IdempotencyKey,
    body: Json<SignUpRequest>,
) -> Reply {
    let SignUpRequest { organization_name, name, email, password } = body.value;
    let checked = SignUp::check(&organization_name, &name, &email, &password)?;
    let hash = password::hash(password).await?;
    let founding = checked.found(hash, edge.ids(), request.now);
    let refresh = edge.tokens().refresh_token(edge.ids().next())?;
    let organization = founding.organization.id;
    let session = app::session(&founding.admin, 0, organization, &refresh, request.now);
    let actor = app::person(founding.admin.user_id, &founding.admin.email);
    let about = ("organization", organization.to_string());
    let change = founding
        .change(&session, record(&edge, &request, "organization.create", organization, actor, about))?;
    let me = Me::of(&founding.admin, &founding.organization, std::slice::from_ref(&founding.workspace));
    let signed_in = SignedIn { tokens: tokens(&edge, &session.credential, &refresh, &request)?, me: &me };
    let committed = Committed { status: StatusCode::CREATED, body: &signed_in, replayed: &me };
    let idempotency = Idempotency { key: &key, owner: "sign-up", workspace: "", body: &body.bytes };
    edge.commit_sign_up(&request, change, idempotency, committed).await
}

/// Sign in
///
/// The answer to a wrong password and to an unknown address is the same, and takes as long. An `Idempotency-Key`
/// has no effect: every sign-in begins a session of its own.
#[utoipa::path(
    post, path = "/api/auth/login", operation_id = "sign_in", tag = "auth", request_body = SignInRequest,
    responses((status = 200, description = "Signed in", body = SignedIn<'static>), Problems)
)]
async fn sign_in(State(edge): State<Edge>, request: RequestInfo, body: Json<SignInRequest>) -> Reply {
    let SignInRequest { email, password, organization_id } = body.value;
    // An address that can't be one is nobody's; it is answered, and takes as long, like any other.
    let email = input::email(&email).unwrap_or_default();
    let found = edge.unscoped_store().account(&email).await?;
    let hash = found.as_ref().and_then(|account| account.identity.password_hash.clone());
    let verified = password::verify(password, hash).await?;
    let Some(Account { identity, memberships, .. }) = found else {
        let digest = edge.fingerprint(&email);
        edge.unscoped_store().note_unknown_sign_in(&digest, request.now, &request.ip.to_string()).await?;
        return Err(Refused(Problem::InvalidCredentials));
    };
    let chosen = app::choose(&memberships, organization_id);
    match chosen {
        Ok(organization) if verified => begin_session(&edge, &request, &identity, organization).await,
        _ => {
            let organization = chosen.or_else(|_| app::choose(&memberships, None))?;
            refuse_sign_in(&edge, &request, &identity, organization).await
        }
    }
}

/// Refuses a sign-in with a known address, on record.
async fn refuse_sign_in(
    edge: &Edge,
    request: &RequestInfo,
    identity: &Identity,
    organization: OrganizationId,
) -> Reply {
    let actor = app::person(identity.user_id, &identity.email);
    let about = ("user", identity.user_id.to_string());
    let mut record = record(edge, request, "session.create", organization, actor, about);
    record.success = false;
    record.sensitive = true;
    record.error_code = Some(Problem::InvalidCredentials.code().as_str().to_owned());
    edge.unscoped_store().tenant_of_sign_in(organization).record(&record).await?;
    Err(Refused(Problem::InvalidCredentials))
}

async fn begin_session(
    edge: &Edge,
    request: &RequestInfo,
    identity: &Identity,
    organization: OrganizationId,
) -> Reply {
    let tenant = edge.unscoped_store().tenant_of_sign_in(organization);
    let (member, me) = read_me(&tenant, identity.user_id).await?;
    let refresh = edge.tokens().refresh_token(edge.ids().next())?;
    let session = app::session(&member, identity.epoch, organization, &refresh, request.now);
    let actor = app::person(member.user_id, &member.email);
    let about = ("session", refresh.session().to_string());
    let record = record(edge, request, "session.create", organization, actor, about);
    let change = Change::audited(record).begin_session(&session, REQUESTS_PER_HOUR)?;
    let signed_in = SignedIn { tokens: tokens(edge, &session.credential, &refresh, request)?, me: &me };
    edge.commit_sign_in(&tenant, request, change, &signed_in).await
}

/// A member and what they see of their organization: three reads, side by side.
async fn read_me(tenant: &Tenant, user: UserId) -> Result<(Member, Me), Refused> {
    let (member, organization, workspaces) =
        tokio::try_join!(tenant.member(user), tenant.organization(), tenant.workspaces())?;
    let member = member.filter(|member| member.status == MemberStatus::Active);
    match (member, organization) {
        (Some(member), Some(organization)) => {
            let me = Me::of(&member, &organization, &workspaces);
            Ok((member, me))
        }
        _ => Err(Refused(Problem::InvalidCredentials)),
    }
}

/// Refresh a session
///
/// Gives a new access token and a new refresh token. A refresh token is good once: used again, it ends the session,
/// because somebody has a copy of it.
#[utoipa::path(
    post, path = "/api/auth/refresh", operation_id = "refresh_session", tag = "auth", request_body = RefreshRequest,
    responses((status = 200, description = "Refreshed", body = Tokens), Problems)
)]
async fn refresh(State(edge): State<Edge>, request: RequestInfo, body: Json<RefreshRequest>) -> Reply {
    let over = || Refused(Problem::SessionExpired);
    let old = edge.tokens().read_refresh_token(&body.value.refresh_token).map_err(|_| over())?;
    let session = edge.unscoped_store().session(old.session()).await?.ok_or_else(over)?;
    let credential = &session.credential;
    let tenant = edge.unscoped_store().tenant_of_sign_in(credential.organization_id);
    let about = || ("session", credential.session_id.to_string());
    let actor = app::person(credential.user_id, &credential.email);
    let record = |action| record(&edge, &request, action, credential.organization_id, actor, about());
    match app::judge_refresh(&session, &old, request.now) {
        Refresh::Over => Err(over()),
        Refresh::Reused => {
            let mut record = record("session.reuse");
            record.success = false;
            record.error_code = Some(Problem::SessionExpired.code().as_str().to_owned());
            match tenant.commit(app::end(credential.session_id, record, request.now), None).await {
                Ok(()) => Err(over()),
                Err(CommitError::Store(error)) => Err(error.into()),
                Err(_) => Err(over()),
            }
        }
        Refresh::Valid => {
            let new = edge.tokens().refresh_token(credential.session_id)?;
            let change =
                app::rotate(credential.session_id, &old, &new, record("session.refresh"), request.now);
            let reply = edge
                .commit_sign_in(&tenant, &request, change, &tokens(&edge, credential, &new, &request)?)
                .await;
            // Lost a race for the same token.
            reply.map_err(|refused| match refused {
                Refused(Problem::NotFound { .. }) => over(),
                other => other,
            })
        }
    }
}

/// Sign out
///
/// Ends the session at once.
#[utoipa::path(
    post, path = "/api/auth/logout", operation_id = "sign_out", tag = "auth", security(("bearer" = [])),
    responses((status = 204, description = "Signed out"), Problems),
    extensions(("x-permission" = json!("signed-in")))
)]
async fn sign_out(Unproven(person): Unproven) -> Reply {
    let record = person.context.record("session.end", "session", &person.session.to_string());
    person.context.commit_silently(app::end(person.session, record, person.context.request.now)).await
}

/// Who am I
#[utoipa::path(
    get, path = "/api/auth/me", operation_id = "me", tag = "auth", security(("bearer" = [])),
    responses((status = 200, description = "The signed-in person", body = Me), Problems),
    extensions(("x-permission" = json!("signed-in")))
)]
async fn me(person: Person) -> Reply {
    let (_, me) = read_me(person.context.tenant(), person.id).await?;
    edge::ok(&me, None)
}
