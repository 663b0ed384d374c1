//! API keys on the wire.

mod leaks;

use access::CallerKind;
use access::api_key::PlainKey;
use access::permission::{ApiKeysDelete, ApiKeysRead, ApiKeysWrite, Permit};
use axum::http::StatusCode;
use clock::Timestamp;
use edge::{
    Authorized, Committed, Context, Edge, IdempotencyKey, IdempotencyParameter, IfMatch, IfMatchParameter,
    Json, PageParameters, Paging, PathId, Problems, Refused, Reply,
};
use ids::{KeyId, OrganizationId, WorkspaceId, kind};
use problem::Problem;
use serde::{Deserialize, Serialize};
use store::{ApiKey, KeyStatus, Mode};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{self, Draft};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, revoke))
        .routes(routes!(whoami))
        .merge(leaks::routes())
}

/// A key to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "CRM sync", "scopes": ["leads:read", "leads:write"]}))]
struct CreateApiKey {
    /// 1 to 100 characters.
    name: String,
    /// Permissions the creator holds; all of them if not given.
    #[serde(default)]
    scopes: Option<Vec<String>>,
    /// Test and live keys see separate data; `live` if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "live")]
    mode: Option<Mode>,
    /// Confines the key to one workspace.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    workspace_id: Option<WorkspaceId>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Requests in any 60 minutes, 1,000 if not given.
    #[serde(default)]
    rate_limit_per_hour: Option<u64>,
    /// Networks it may be used from; any if not given.
    #[serde(default)]
    allowed_cidrs: Vec<String>,
}

/// A key, without its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ApiKey)]
struct ApiKeyBody {
    #[schema(value_type = String, example = "key_01kaq8zr3y7e2r4m8n5p6q7s8t")]
    id: KeyId,
    name: String,
    #[schema(value_type = String, example = "live")]
    mode: Mode,
    #[schema(example = "sk_live_")]
    prefix: String,
    last_four: String,
    scopes: Vec<String>,
    #[schema(value_type = Option<String>)]
    workspace_id: Option<WorkspaceId>,
    #[schema(value_type = String, example = "active")]
    status: KeyStatus,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    rate_limit_per_hour: u64,
    allowed_cidrs: Vec<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// When it was reported as found where anybody can read it.
    #[schema(value_type = Option<String>, format = DateTime)]
    leaked_at: Option<Timestamp>,
    /// Where it was found, in the reporter's words. Not checked by anybody.
    leaked_url: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A key and its secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
struct CreatedApiKey<'a> {
    /// The key itself. Keep it: it can't be shown again.
    #[schema(example = "sk_live_…")]
    key: &'a str,
    #[serde(flatten)]
    api_key: &'a ApiKeyBody,
}

/// A page of keys.
#[derive(Debug, Serialize, ToSchema)]
struct ApiKeyList {
    data: Vec<ApiKeyBody>,
    /// Give it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

/// Who a credential stands for.
#[derive(Debug, Serialize, ToSchema)]
struct WhoAmI {
    /// `api_key` or `user`.
    r#type: String,
    id: String,
    #[schema(value_type = String)]
    organization_id: OrganizationId,
    #[schema(value_type = Option<String>)]
    workspace_id: Option<WorkspaceId>,
    #[schema(value_type = String, example = "live")]
    mode: Mode,
    /// The permissions it holds on the organization or in a workspace.
    scopes: Vec<String>,
}

impl ApiKeyBody {
    fn of(key: &ApiKey, last_used_at: Option<Timestamp>) -> Self {
        let key = key.clone();
        Self {
            id: key.id,
            name: key.name,
            mode: key.mode,
            prefix: key.prefix,
            last_four: key.last_four,
            scopes: key.scopes,
            workspace_id: key.workspace_id,
            status: key.status,
            expires_at: key.expires_at,
            rate_limit_per_hour: key.rate_limit_per_hour,
            allowed_cidrs: key.allowed_cidrs,
            last_used_at,
            leaked_at: key.leaked_at,
            leaked_url: key.leaked_url,
            created_at: key.created_at,
        }
    }
}

/// Create an API key
///
/// The answer holds the key itself, once. It never holds more permissions than its creator.
#[utoipa::path(
    post, path = "/api/admin/api-keys", operation_id = "create_api_key", tag = "api keys",
    security(("bearer" = [])), params(IdempotencyParameter), request_body = CreateApiKey,
    responses((status = 201, description = "Created", body = CreatedApiKey<'static>), Problems),
    extensions(("x-permission" = json!("api_keys:write")))
)]
async fn create(caller: Authorized<ApiKeysWrite>, key: IdempotencyKey, body: Json<CreateApiKey>) -> Reply {
    let CreateApiKey { name, scopes, mode, workspace_id, expires_at, rate_limit_per_hour, allowed_cidrs } =
        body.value;
    let draft = Draft { name, scopes, mode, workspace_id, expires_at, rate_limit_per_hour, allowed_cidrs };
    let (creator, now) = (&caller.context.caller.known, caller.context.request.now);
    let new = draft.check(&caller.context.caller, now)?;
    if new.escapes(creator) {
        return Err(Refused(Problem::NotFound { what: "workspace" }));
    }
    if let Some(permission) = new.exceeds(creator) {
        return Err(caller.context.refuse_grant(permission).await);
    }
    let plain = PlainKey::generate(new.mode)?;
    let created = new.issue(&plain, creator, caller.context.edge().ids(), now);
    let record = caller.context.record("api_key.create", "api_key", &created.id.to_string());
    let change = app::create(&created, creator.organization, record)?;
    let shown = ApiKeyBody::of(&created, None);
    let body_shown = CreatedApiKey { key: plain.reveal(), api_key: &shown };
    let committed = Committed { status: StatusCode::CREATED, body: &body_shown, replayed: &shown };
    caller.context.commit(change, None, &key, &body.bytes, committed).await
}

/// List API keys
///
/// Newest first, revoked ones included.
#[utoipa::path(
    get, path = "/api/admin/api-keys", operation_id = "list_api_keys", tag = "api keys",
    security(("bearer" = [])), params(PageParameters),
    responses((status = 200, description = "A page", body = ApiKeyList), Problems),
    extensions(("x-permission" = json!("api_keys:read")))
)]
async fn list(caller: Authorized<ApiKeysRead>, paging: Paging) -> Reply {
    let confines = caller.confines();
    let page = caller.context.tenant().api_keys(&paging.page(&confines)?).await?;
    let uses = caller.context.tenant().last_uses(&page.items).await?;
    let mut uses = uses.into_iter();
    paging.show(
        &confines,
        &page,
        |last| last.id.to_string(),
        |key| {
            let last_used_at = uses.next().flatten();
            caller.reaches(key.workspace_id, key.mode).then(|| ApiKeyBody::of(key, last_used_at))
        },
    )
}

/// The key, if it is in the caller's reach.
async fn find<P: Permit>(caller: &Authorized<P>, id: KeyId) -> Result<ApiKey, Refused> {
    let key = caller.context.tenant().api_key(id).await?;
    let key = key.filter(|key| caller.reaches(key.workspace_id, key.mode));
    key.ok_or(Refused(Problem::NotFound { what: "API key" }))
}

/// Get an API key
#[utoipa::path(
    get, path = "/api/admin/api-keys/{id}", operation_id = "get_api_key", tag = "api keys",
    security(("bearer" = [])), params(("id" = String, Path, description = "`key_…`")),
    responses((status = 200, description = "The key", body = ApiKeyBody), Problems),
    extensions(("x-permission" = json!("api_keys:read")))
)]
async fn get(caller: Authorized<ApiKeysRead>, PathId(id): PathId<kind::Key>) -> Reply {
    let key = find(&caller, id).await?;
    let used = caller.context.tenant().last_uses(std::slice::from_ref(&key)).await?;
    edge::ok(&ApiKeyBody::of(&key, used.into_iter().next().flatten()), Some(key.updated_at))
}

/// Revoke an API key
///
/// It is refused from the next request on, everywhere, and stays listed as revoked.
#[utoipa::path(
    delete, path = "/api/admin/api-keys/{id}", operation_id = "revoke_api_key", tag = "api keys",
    security(("bearer" = [])), params(("id" = String, Path, description = "`key_…`"), IfMatchParameter),
    responses((status = 204, description = "Revoked"), Problems),
    extensions(("x-permission" = json!("api_keys:delete")))
)]
async fn revoke(
    caller: Authorized<ApiKeysDelete>,
    PathId(id): PathId<kind::Key>,
    if_match: IfMatch,
) -> Reply {
    let key = find(&caller, id).await?;
    if_match.check(key.updated_at)?;
    let record = caller.context.record("api_key.revoke", "api_key", &key.id.to_string());
    let organization = caller.context.caller.known.organization;
    caller
        .context
        .commit_silently(app::revoke(
            &key,
            organization,
            if_match.is_given(),
            record,
            caller.context.request.now,
        ))
        .await
}

/// Who am I
///
/// What the credential of this request stands for.
#[utoipa::path(
    get, path = "/v1/whoami", operation_id = "whoami", tag = "api keys", security(("bearer" = [])),
    responses((status = 200, description = "The caller", body = WhoAmI), Problems),
    extensions(("x-permission" = json!("authenticated")))
)]
async fn whoami(context: Context) -> Reply {
    let known = &context.caller.known;
    let actor = known.actor();
    let workspace_id = match &known.kind {
        CallerKind::Key { workspace, .. } => *workspace,
        CallerKind::Person { .. } => None,
    };
    let scopes = known.grants_somewhere().iter().map(|permission| permission.to_string()).collect();
    let body = WhoAmI {
        r#type: actor.r#type,
        id: actor.id,
        organization_id: known.organization,
        workspace_id,
        mode: known.mode(),
        scopes,
    };
    edge::ok(&body, None)
}
