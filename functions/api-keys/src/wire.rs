//! API keys on the wire.

mod leaks;
mod rotation;
mod usage;

use access::CallerKind;
use access::api_key::PlainKey;
use access::permission::{ApiKeysDelete, ApiKeysRead, ApiKeysWrite, Permission, Permit};
use axum::http::StatusCode;
use clock::Timestamp;
use edge::{
    Authorized, Committed, Context, Edge, IdempotencyKey, IfMatch, Json, Narrow, Narrowed, Network, PathId,
    Refused, Reply, Search, Searchable, Values, routes,
};
use ids::{KeyId, OrganizationId, WorkspaceId, kind};
use input::Patch;
use problem::{Code, FieldError, Problem};
use serde::{Deserialize, Serialize};
use store::{ApiKey, KeyStatus, LastUse, Mode};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::app::{self, Draft, alteration};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, change, revoke))
        .routes(routes!(whoami))
        .merge(rotation::routes())
        .merge(usage::routes())
        .merge(leaks::routes())
}

/// A key to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "CRM sync", "scopes": ["leads:read", "leads:write"]}))]
struct CreateApiKey {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100, pattern = r"\S")]
    name: String,
    /// Permissions the creator holds; all of them if not given.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Permission>>, min_items = 1)]
    scopes: Option<Vec<String>>,
    /// Test and live keys see separate data; `live` if not given.
    #[serde(default)]
    mode: Option<Mode>,
    /// Confines the key to one workspace.
    #[serde(default)]
    workspace_id: Option<WorkspaceId>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
    /// Requests in any 60 minutes, 1,000 if not given.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000000)]
    rate_limit_per_hour: Option<u64>,
    /// Networks it may be used from; any if not given. At most 30, of which an IPv6 network counts as three.
    #[serde(default)]
    #[schema(value_type = Vec<Network>)]
    allowed_cidrs: Vec<String>,
}

/// What to change of a key; what is not mentioned stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"scopes": ["leads:read"], "expires_at": "2027-06-30T00:00:00.000Z"}))]
struct ChangeApiKey {
    /// 1 to 100 characters.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 100, pattern = r"\S")]
    name: Patch<String>,
    /// Permissions the caller holds.
    #[serde(default)]
    #[schema(value_type = Vec<Permission>, min_items = 1)]
    scopes: Patch<Vec<String>>,
    /// In the future; null for never.
    #[serde(default)]
    #[schema(value_type = Option<Timestamp>)]
    expires_at: Patch<Timestamp>,
    /// Requests in any 60 minutes; null for 1,000. What was used of the budget stays used.
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1000000)]
    rate_limit_per_hour: Patch<u64>,
    /// Networks it may be used from; null or none for any.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Network>>)]
    allowed_cidrs: Patch<Vec<String>>,
}

/// A key, without its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ApiKey)]
struct ApiKeyBody {
    id: KeyId,
    name: String,
    mode: Mode,
    #[schema(example = "sk_live_")]
    prefix: String,
    last_four: String,
    scopes: Vec<String>,
    workspace_id: Option<WorkspaceId>,
    /// `active`, `expired`, `rotated` (another key has taken its place, and it works until it expires) or `revoked`.
    #[schema(example = "active")]
    status: &'static str,
    expires_at: Option<Timestamp>,
    rate_limit_per_hour: u64,
    allowed_cidrs: Vec<String>,
    last_used_at: Option<Timestamp>,
    /// The address it was last used from.
    last_used_ip: Option<String>,
    /// The first 32 characters of what it was last used by.
    last_used_user_agent: Option<String>,
    /// The key that it has taken the place of.
    rotated_from: Option<KeyId>,
    /// The key that has taken its place.
    rotated_to: Option<KeyId>,
    /// When it was reported as found where anybody can read it.
    leaked_at: Option<Timestamp>,
    /// Where it was found, in the reporter's words. Not checked by anybody.
    leaked_url: Option<String>,
    created_at: Timestamp,
}

/// A key and its secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
struct CreatedApiKey<'a> {
    /// The key itself. Keep it: it can't be shown again, and is not in an answer that is repeated.
    #[schema(required = false, example = "sk_live_…")]
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
    organization_id: OrganizationId,
    workspace_id: Option<WorkspaceId>,
    mode: Mode,
    /// The permissions it holds on the organization or in a workspace.
    scopes: Vec<String>,
    /// Requests in any 60 minutes.
    rate_limit_per_hour: u64,
    /// When a key stops working.
    expires_at: Option<Timestamp>,
    /// The networks a key may be used from; any when there is none.
    allowed_cidrs: Vec<String>,
}

impl ApiKeyBody {
    fn of(key: &ApiKey, last_use: Option<LastUse>, now: Timestamp) -> Self {
        let (key, status) = (key.clone(), app::status_at(key, now));
        let (at, last_used_ip, last_used_user_agent) = match last_use {
            Some(LastUse { at, address, user_agent }) => (Some(at), Some(address), user_agent),
            None => (None, None, None),
        };
        Self {
            id: key.id,
            name: key.name,
            mode: key.mode,
            prefix: key.prefix,
            last_four: key.last_four,
            scopes: key.scopes,
            workspace_id: key.workspace_id,
            status,
            expires_at: key.expires_at,
            rate_limit_per_hour: key.rate_limit_per_hour,
            allowed_cidrs: key.allowed_cidrs,
            last_used_at: at,
            last_used_ip,
            last_used_user_agent,
            rotated_from: key.rotated_from,
            rotated_to: key.rotated_to,
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
    request_body = CreateApiKey,
    responses((status = 201, description = "Created", body = CreatedApiKey<'static>)),
    extensions(("x-problem-codes" = json!([
        Code::NotFound, Code::LimitReached, Code::Conflict, Code::WorkspaceArchived
    ])))
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
    let (grants, peppers) = (new.scopes.iter().copied().collect(), caller.context.edge().peppers());
    let secret = plain.secret(peppers, grants, kept_days(&caller.context));
    let created = new.issue(&plain, creator, caller.context.edge().ids(), now);
    let record = caller.context.record("api_key.create", "api_key", &created.id.to_string());
    let change = app::create((&created, &secret), creator.organization, record)?;
    let shown = ApiKeyBody::of(&created, None, now);
    let body_shown = CreatedApiKey { key: plain.reveal(), api_key: &shown };
    let committed = Committed { status: StatusCode::CREATED, body: &body_shown, replayed: &shown };
    caller.context.commit(change, None, &key, &body.bytes, committed).await
}

/// Which keys are wanted.
#[derive(Debug, Clone)]
struct Wanted(Search);

impl Narrow for Wanted {
    const NAMES: &'static [&'static str] = &[Search::NAME];

    fn read(values: &Values, faults: &mut Vec<FieldError>) -> Self {
        Self(Search::read(values, faults))
    }
}

/// List API keys
///
/// Newest first, revoked ones included. `search` looks at names, and finds a key by its last four characters.
#[utoipa::path(
    get, path = "/api/admin/api-keys", operation_id = "list_api_keys", tag = "api keys", params(Searchable),
    responses((status = 200, description = "A page", body = ApiKeyList))
)]
async fn list(caller: Authorized<ApiKeysRead>, narrowed: Narrowed<Wanted>) -> Reply {
    let Narrowed { paging, by: Wanted(search) } = narrowed;
    let (confines, tenant) = (caller.confines(), caller.context.tenant());
    let wanted = |key: &ApiKey| {
        let found = search.is_in(&[&key.name]) || search.is(&key.last_four);
        found && caller.reaches(key.workspace_id, key.mode)
    };
    let read = async |page| tenant.api_keys(&page).await;
    let page = paging.look_through(&search, &confines, &read, |key| key.id, |key| Some(key).filter(wanted));
    let (keys, position) = page.await?;
    let uses = tenant.last_uses(&keys).await?;
    let now = caller.context.request.now;
    let listed: Vec<ApiKeyBody> =
        keys.iter().zip(uses).map(|(key, last_use)| ApiKeyBody::of(key, last_use, now)).collect();
    paging.reply(&confines, &listed, position)
}

/// How often a key is looked at again that somebody else changed at the same moment.
const LOOKS: usize = 4;

/// How many days the organization's plan keeps what happened.
fn kept_days(context: &Context) -> u64 {
    context.organization().map_or(90, |organization| organization.limits.retention_days)
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
    params(("id" = String, Path, description = "`key_…`")),
    responses((status = 200, description = "The key", body = ApiKeyBody))
)]
async fn get(caller: Authorized<ApiKeysRead>, PathId(id): PathId<kind::Key>) -> Reply {
    show(&caller, &find(&caller, id).await?).await
}

/// The key and its last use.
async fn show<P>(caller: &Authorized<P>, key: &ApiKey) -> Reply {
    let used = caller.context.tenant().last_uses(std::slice::from_ref(key)).await?;
    let last_use = used.into_iter().next().flatten();
    edge::ok(&ApiKeyBody::of(key, last_use, caller.context.request.now), Some(key.updated_at))
}

/// The key that `key` has taken the place of, if there is one.
async fn predecessor<P>(caller: &Authorized<P>, key: &ApiKey) -> Result<Option<ApiKey>, Refused> {
    match key.rotated_from {
        Some(id) => Ok(caller.context.tenant().api_key(id).await?),
        None => Ok(None),
    }
}

/// Change an API key
///
/// From the next request on it is what it is changed to, everywhere. Whoever changes more than its name must hold its
/// permissions.
#[utoipa::path(
    patch, path = "/api/admin/api-keys/{id}", operation_id = "change_api_key", tag = "api keys",
    params(("id" = String, Path, description = "`key_…`")),
    request_body = ChangeApiKey,
    responses((status = 200, description = "Changed", body = ApiKeyBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict, Code::LimitReached])))
)]
async fn change(
    caller: Authorized<ApiKeysWrite>,
    PathId(id): PathId<kind::Key>,
    if_match: IfMatch,
    body: Json<ChangeApiKey>,
) -> Reply {
    let ChangeApiKey { name, scopes, expires_at, rate_limit_per_hour, allowed_cidrs } = body.value;
    let draft = alteration::Draft { name, scopes, expires_at, rate_limit_per_hour, allowed_cidrs };
    let key = find(&caller, id).await?;
    if_match.check(key.updated_at)?;
    let (context, now) = (&caller.context, caller.context.request.now);
    let alteration = draft.check(&key, &context.caller, now)?;
    if let Some(permission) = alteration.exceeds(&key, &context.caller) {
        return Err(context.refuse_grant(permission).await);
    }
    alteration.stays_within(&context.caller)?;
    let record = context.record("api_key.update", "api_key", &key.id.to_string());
    let change = alteration.change(&key, context.caller.known.organization, record)?;
    context.commit_silently(change.only_as_read(if_match.is_given())).await?;
    show(&caller, &alteration.after).await
}

/// Revoke an API key
///
/// It is refused from the next request on, everywhere, and so is the key that it took the place of, if that still worked.
/// It stays listed as revoked.
#[utoipa::path(
    delete, path = "/api/admin/api-keys/{id}", operation_id = "revoke_api_key", tag = "api keys",
    params(("id" = String, Path, description = "`key_…`")),
    responses((status = 204, description = "Revoked")),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn revoke(
    caller: Authorized<ApiKeysDelete>,
    PathId(id): PathId<kind::Key>,
    if_match: IfMatch,
) -> Reply {
    let (context, now) = (&caller.context, caller.context.request.now);
    let organization = context.caller.known.organization;
    let record = context.record("api_key.revoke", "api_key", &id.to_string());
    for looks_left in (0..LOOKS).rev() {
        let key = find(&caller, id).await?;
        if_match.check(key.updated_at)?;
        let predecessor = predecessor(&caller, &key).await?;
        let change = app::revoke(&key, predecessor.as_ref(), organization, record.clone(), now)
            .only_as_read(if_match.is_given());
        match context.commit_silently(change).await {
            // Somebody else changed it at the same moment; what is then left to revoke is seen by another look.
            Err(Refused(Problem::Conflict { .. }))
                if looks_left > 0 && !if_match.is_given() && key.status != KeyStatus::Revoked => {}
            answer => return answer,
        }
    }
    Err(Refused(Problem::Unavailable))
}

/// Who am I
///
/// What the credential of this request stands for.
#[utoipa::path(
    get, path = "/v1/whoami", operation_id = "whoami", tag = "api keys",
    responses((status = 200, description = "The caller", body = WhoAmI))
)]
async fn whoami(context: Context) -> Reply {
    let known = &context.caller.known;
    let actor = known.actor();
    let (workspace_id, expires_at, networks) = match &known.kind {
        CallerKind::Key { workspace, expires_at, networks, .. } => {
            (*workspace, *expires_at, networks.as_slice())
        }
        CallerKind::Person { .. } => (None, None, [].as_slice()),
    };
    let scopes = known.grants_somewhere().iter().map(|permission| permission.to_string()).collect();
    let body = WhoAmI {
        r#type: actor.r#type,
        id: actor.id,
        organization_id: known.organization,
        workspace_id,
        mode: known.mode(),
        scopes,
        rate_limit_per_hour: context.caller.quota.limit,
        expires_at,
        allowed_cidrs: networks.iter().map(ToString::to_string).collect(),
    };
    edge::ok(&body, None)
}
