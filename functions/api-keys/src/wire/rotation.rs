//! Rotating a key.

use access::permission::{ApiKeysWrite, Permission};
use axum::http::StatusCode;
use clock::Timestamp;
use edge::{Authorized, Committed, Edge, IdempotencyKey, Json, PathId, Refused, Reply, routes};
use ids::kind;
use problem::{Code, Problem};
use serde::Deserialize;
use store::{Change, KeyStatus};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::{ApiKeyBody, CreatedApiKey, find, kept_days, predecessor};
use crate::app::rotation::{Draft, Rotation};

/// How much of its budget a key in heavy use may lose by its rotation, from one try to the next.
const SPARES: [u32; 3] = [0, 8, 64];

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(rotate))
}

/// How to rotate a key.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"grace_seconds": 86400}))]
struct RotateApiKey {
    /// How long the old key goes on working, up to 604,800 (seven days); 0 if not given, which revokes it at once.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 604800)]
    grace_seconds: Option<u64>,
    /// Some of the old key's permissions; all of them if not given.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Permission>>, min_items = 1)]
    scopes: Option<Vec<String>>,
    /// Not later than the old key's; the same if not given.
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

/// Rotate an API key
///
/// The answer holds the new key, once. It has the same rights as the old one or fewer, expires no later, and both draw on
/// one budget. The old key is revoked at once, or works until the grace is over; a key that the old one itself took the
/// place of is revoked. Whoever rotates a key must hold its permissions.
#[utoipa::path(
    post, path = "/api/admin/api-keys/{id}/rotate", operation_id = "rotate_api_key", tag = "api keys",
    params(("id" = String, Path, description = "`key_…`")),
    request_body = RotateApiKey,
    responses((status = 201, description = "Rotated", body = CreatedApiKey<'static>)),
    extensions(("x-problem-codes" = json!([Code::Conflict, Code::LimitReached, Code::WorkspaceArchived])))
)]
async fn rotate(
    caller: Authorized<ApiKeysWrite>,
    PathId(id): PathId<kind::Key>,
    key: IdempotencyKey,
    body: Json<RotateApiKey>,
) -> Reply {
    let RotateApiKey { grace_seconds, scopes, expires_at } = body.value;
    let old = find(&caller, id).await?;
    let (context, now) = (&caller.context, caller.context.request.now);
    let organization = context.caller.known.organization;
    let record = context.record("api_key.rotate", "api_key", &old.id.to_string());
    if old.status != KeyStatus::Active {
        // By this very request, perhaps, and then it is answered as before.
        let change = Change::audited(record).ruled_out(organization, "the API key is not active");
        let committed = Committed { status: StatusCode::CREATED, body: &(), replayed: &() };
        return context.commit(change, None, &key, &body.bytes, committed).await;
    }
    let draft = Draft { grace_seconds, scopes, expires_at };
    let rotation = draft.check(&old, &context.caller, now)?;
    if let Some(permission) = Rotation::exceeds(&old, &context.caller) {
        return Err(context.refuse_grant(permission).await);
    }
    let predecessor = predecessor(&caller, &old).await?;
    let rotated = rotation.carry_out(&old, &context.caller, context.edge().ids(), now)?;
    let secret = rotated.plain.secret(context.edge().peppers(), rotated.grants(), kept_days(context));
    let shown = ApiKeyBody::of(&rotated.new, None, now);
    let with_key = CreatedApiKey { key: rotated.plain.reveal(), api_key: &shown };
    let mut answer = Err(Refused(Problem::NotFound { what: "API key" }));
    for spare in SPARES {
        let Some(succession) = context.tenant().succession(&old, spare, now).await? else { break };
        let counted = (&succession, &secret);
        let change = rotated.change(&old, predecessor.as_ref(), counted, organization, record.clone())?;
        let committed = Committed { status: StatusCode::CREATED, body: &with_key, replayed: &shown };
        answer = context.commit(change, None, &key, &body.bytes, committed).await;
        // It was used too much in between, or somebody else changed it; then the next try finds out.
        if !matches!(answer, Err(Refused(Problem::Conflict { .. }))) {
            break;
        }
    }
    answer
}
