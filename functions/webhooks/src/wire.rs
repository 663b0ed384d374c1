//! Endpoints and deliveries on the wire.

use std::collections::{BTreeMap, BTreeSet};

use access::CallerKind;
use access::permission::{Permit, WebhooksDelete, WebhooksRead, WebhooksWrite};
use axum::Extension;
use axum::http::StatusCode;
use clock::Timestamp;
use edge::{
    Authorized, Committed, Edge, IdempotencyKey, IdempotencyParameter, IfMatch, IfMatchParameter, Json,
    PageParameters, Paging, PathId, Problems, Refused, Reply,
};
use events::EventType;
use ids::{AttemptId, DeliveryId, EndpointId, EventId, WorkspaceId, kind};
use problem::Problem;
use serde::{Deserialize, Serialize};
use store::{Attempt, Delivery, DeliveryStatus, Endpoint, EndpointStatus, ErrorClass, Mode};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Secrets;
use crate::app::{self, Draft};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, delete))
        .routes(routes!(deliveries))
        .routes(routes!(delivery))
        .routes(routes!(dead_letters))
}

/// An endpoint to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"url": "https://example.com/hooks/artisan", "events": ["lead.replied", "meeting.booked"]}))]
struct CreateEndpoint {
    /// Where to. HTTPS, a public host, port 443, 80 or above 1023.
    url: String,
    /// Event types, or `["*"]` for all.
    events: Vec<String>,
    /// Only events of this workspace; of all workspaces if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    workspace_id: Option<WorkspaceId>,
    /// Events of live or of test data; `live` if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
    /// Up to 500 characters.
    #[serde(default)]
    description: Option<String>,
    /// Up to 20 headers to add to each delivery.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// How long an attempt may take: 1 to 30, 30 if not given.
    #[serde(default)]
    timeout_seconds: Option<u32>,
    /// Retries after the first attempt: 0 to 12, 4 if not given.
    #[serde(default)]
    max_retries: Option<u32>,
    /// Kept for the pacing of deliveries: 1 to 1,000.
    #[serde(default)]
    rate_limit_per_second: Option<u32>,
}

/// An endpoint, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Endpoint)]
struct EndpointBody {
    #[schema(value_type = String, example = "ep_01kaq8zr3y7e2r4m8n5p6q7s8t")]
    id: EndpointId,
    url: String,
    events: Vec<String>,
    #[schema(value_type = Option<String>)]
    workspace_id: Option<WorkspaceId>,
    #[schema(value_type = String, example = "live")]
    mode: Mode,
    description: Option<String>,
    /// Names of the added headers; their values may be credentials and are not shown.
    headers: Vec<String>,
    timeout_seconds: u32,
    max_retries: u32,
    rate_limit_per_second: Option<u32>,
    #[schema(value_type = String, example = "enabled")]
    status: EndpointStatus,
    disabled_reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// An endpoint and its signing secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
struct CreatedEndpoint<'a> {
    /// What deliveries are signed with. Keep it: it can't be shown again.
    #[schema(example = "whsec_…")]
    secret: String,
    #[serde(flatten)]
    endpoint: &'a EndpointBody,
}

/// A page of endpoints.
#[derive(Debug, Serialize, ToSchema)]
struct EndpointList {
    data: Vec<EndpointBody>,
    /// Give it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

/// An event owed to an endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
struct DeliveryBody {
    #[schema(value_type = String, example = "dlv_01kaq8zr3y7e2r4m8n5p6q7s8t")]
    id: DeliveryId,
    #[schema(value_type = String)]
    event_id: EventId,
    #[schema(value_type = String, example = "lead.replied")]
    event: EventType,
    #[schema(value_type = String)]
    endpoint_id: EndpointId,
    #[schema(value_type = String, example = "succeeded")]
    status: DeliveryStatus,
    attempt_count: u32,
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// First to last; only when a single delivery is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptBody>>,
}

/// One attempt at a delivery.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
struct AttemptBody {
    #[schema(value_type = String)]
    id: AttemptId,
    number: u32,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    duration_ms: u64,
    response_status: Option<u16>,
    /// `status`, `timeout`, `dns`, `forbidden_address`, `connect`, `tls`, `reset`, `response_too_large` or `protocol`.
    /// After a 2xx, one of the last four is a note about the body: the delivery has succeeded.
    #[schema(value_type = Option<String>)]
    error: Option<ErrorClass>,
    /// The first 4 KiB.
    response_body: Option<String>,
}

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryList {
    data: Vec<DeliveryBody>,
    /// Give it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

impl From<&Endpoint> for EndpointBody {
    fn from(endpoint: &Endpoint) -> Self {
        let endpoint = endpoint.clone();
        Self {
            id: endpoint.id,
            url: endpoint.url,
            events: endpoint.events,
            workspace_id: endpoint.workspace_id,
            mode: endpoint.mode,
            description: endpoint.description,
            headers: endpoint.headers.into_keys().collect(),
            timeout_seconds: endpoint.timeout_seconds,
            max_retries: endpoint.max_retries,
            rate_limit_per_second: endpoint.rate_limit_per_second,
            status: endpoint.status,
            disabled_reason: endpoint.disabled_reason,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

impl DeliveryBody {
    fn of(delivery: &Delivery, attempts: Option<Vec<Attempt>>) -> Self {
        Self {
            id: delivery.id,
            event_id: delivery.event_id,
            event: delivery.event,
            endpoint_id: delivery.endpoint_id,
            status: delivery.status,
            attempt_count: delivery.attempt_count,
            next_attempt_at: delivery.next_attempt_at,
            created_at: delivery.created_at,
            updated_at: delivery.updated_at,
            attempts: attempts.map(|attempts| attempts.into_iter().map(AttemptBody::from).collect()),
        }
    }
}

impl From<Attempt> for AttemptBody {
    fn from(attempt: Attempt) -> Self {
        Self {
            id: attempt.id,
            number: attempt.number,
            started_at: attempt.started_at,
            duration_ms: attempt.duration_ms,
            response_status: attempt.response_status,
            error: attempt.error,
            response_body: attempt.response_body,
        }
    }
}

/// Create an endpoint
///
/// The answer holds the signing secret, once.
#[utoipa::path(
    post, path = "/api/admin/webhooks", operation_id = "create_endpoint", tag = "webhooks",
    security(("bearer" = [])), params(IdempotencyParameter), request_body = CreateEndpoint,
    responses((status = 201, description = "Created", body = CreatedEndpoint<'static>), Problems),
    extensions(("x-permission" = json!("webhooks:write")))
)]
async fn create(
    caller: Authorized<WebhooksWrite>,
    Extension(Secrets(sealing_key, policy)): Extension<Secrets>,
    key: IdempotencyKey,
    body: Json<CreateEndpoint>,
) -> Reply {
    let sent = body.value;
    let draft = Draft {
        url: sent.url,
        events: sent.events,
        workspace_id: sent.workspace_id,
        mode: sent.mode,
        description: sent.description,
        headers: sent.headers,
        timeout_seconds: sent.timeout_seconds,
        max_retries: sent.max_retries,
        rate_limit_per_second: sent.rate_limit_per_second,
    };
    let (creator, now) = (&caller.context.caller.known, caller.context.request.now);
    let new = draft.check(creator, policy)?;
    if new.escapes(creator) {
        return Err(Refused(Problem::NotFound { what: "workspace" }));
    }
    let (organization, ids) = (creator.organization, caller.context.edge().ids());
    let (endpoint, secret) = new.open(organization, sealing::random()?, &sealing_key, ids, now)?;
    let record = caller.context.record("endpoint.create", "endpoint", &endpoint.id.to_string());
    let change = app::create(&endpoint, organization, record)?;
    let shown = EndpointBody::from(&endpoint);
    let body_shown = CreatedEndpoint { secret: secret.reveal(), endpoint: &shown };
    let committed = Committed { status: StatusCode::CREATED, body: &body_shown, replayed: &shown };
    caller.context.commit(change, None, &key, &body.bytes, committed).await
}

/// List endpoints
///
/// Newest first.
#[utoipa::path(
    get, path = "/api/admin/webhooks", operation_id = "list_endpoints", tag = "webhooks",
    security(("bearer" = [])), params(PageParameters),
    responses((status = 200, description = "A page", body = EndpointList), Problems),
    extensions(("x-permission" = json!("webhooks:read")))
)]
async fn list(caller: Authorized<WebhooksRead>, paging: Paging) -> Reply {
    let confines = caller.confines();
    let page = caller.context.tenant().endpoints(&paging.page(&confines)?).await?;
    paging.show(
        &confines,
        &page,
        |last| last.id.to_string(),
        |endpoint| caller.reaches(endpoint.workspace_id, endpoint.mode).then(|| EndpointBody::from(endpoint)),
    )
}

/// The endpoint, if it is in the caller's reach.
async fn find<P: Permit>(caller: &Authorized<P>, id: EndpointId) -> Result<Endpoint, Refused> {
    let endpoint = caller.context.tenant().endpoint(id).await?;
    let endpoint = endpoint.filter(|endpoint| caller.reaches(endpoint.workspace_id, endpoint.mode));
    endpoint.ok_or(Refused(Problem::NotFound { what: "endpoint" }))
}

/// Get an endpoint
#[utoipa::path(
    get, path = "/api/admin/webhooks/{id}", operation_id = "get_endpoint", tag = "webhooks",
    security(("bearer" = [])), params(("id" = String, Path, description = "`ep_…`")),
    responses((status = 200, description = "The endpoint", body = EndpointBody), Problems),
    extensions(("x-permission" = json!("webhooks:read")))
)]
async fn get(caller: Authorized<WebhooksRead>, PathId(id): PathId<kind::Endpoint>) -> Reply {
    let endpoint = find(&caller, id).await?;
    edge::ok(&EndpointBody::from(&endpoint), Some(endpoint.updated_at))
}

/// Delete an endpoint
///
/// Deliveries to it that have not been sent are cancelled.
#[utoipa::path(
    delete, path = "/api/admin/webhooks/{id}", operation_id = "delete_endpoint", tag = "webhooks",
    security(("bearer" = [])), params(("id" = String, Path, description = "`ep_…`"), IfMatchParameter),
    responses((status = 204, description = "Deleted"), Problems),
    extensions(("x-permission" = json!("webhooks:delete")))
)]
async fn delete(
    caller: Authorized<WebhooksDelete>,
    PathId(id): PathId<kind::Endpoint>,
    if_match: IfMatch,
) -> Reply {
    let endpoint = find(&caller, id).await?;
    if_match.check(endpoint.updated_at)?;
    let record = caller.context.record("endpoint.delete", "endpoint", &endpoint.id.to_string());
    let organization = caller.context.caller.known.organization;
    caller.context.commit_silently(app::delete(&endpoint, organization, if_match.is_given(), record)).await
}

/// List the deliveries to an endpoint
///
/// Newest first.
#[utoipa::path(
    get, path = "/api/admin/webhooks/{id}/deliveries", operation_id = "list_deliveries", tag = "webhooks",
    security(("bearer" = [])), params(("id" = String, Path, description = "`ep_…`"), PageParameters),
    responses((status = 200, description = "A page", body = DeliveryList), Problems),
    extensions(("x-permission" = json!("webhooks:read")))
)]
async fn deliveries(
    caller: Authorized<WebhooksRead>,
    PathId(id): PathId<kind::Endpoint>,
    paging: Paging,
) -> Reply {
    let confines = caller.confines();
    let endpoint = find(&caller, id).await?;
    let page = caller.context.tenant().deliveries_to(endpoint.id, &paging.page(&confines)?).await?;
    let shown: Vec<_> = page.items.iter().map(|delivery| DeliveryBody::of(delivery, None)).collect();
    paging.reply(&confines, &shown, page.next)
}

/// Those of `deliveries` that are in the caller's reach: what its workspaces' events led to, at endpoints it reaches. What
/// was delivered to endpoints that are gone is for people who reach everything.
async fn seen(
    caller: &Authorized<WebhooksRead>,
    mut deliveries: Vec<Delivery>,
) -> Result<Vec<Delivery>, Refused> {
    let known = &caller.context.caller.known;
    if caller.reaches_everywhere() && matches!(known.kind, CallerKind::Person { .. }) {
        return Ok(deliveries);
    }
    deliveries.retain(|delivery| caller.reaches(Some(delivery.workspace_id), known.mode()));
    let named: BTreeSet<EndpointId> = deliveries.iter().map(|delivery| delivery.endpoint_id).collect();
    let endpoints =
        futures::future::try_join_all(named.into_iter().map(|id| caller.context.tenant().endpoint(id)))
            .await?;
    let open: BTreeSet<EndpointId> = endpoints
        .iter()
        .flatten()
        .filter(|endpoint| caller.reaches(endpoint.workspace_id, endpoint.mode))
        .map(|endpoint| endpoint.id)
        .collect();
    deliveries.retain(|delivery| open.contains(&delivery.endpoint_id));
    Ok(deliveries)
}

/// Get a delivery
///
/// With all its attempts.
#[utoipa::path(
    get, path = "/api/admin/webhooks/deliveries/{id}", operation_id = "get_delivery", tag = "webhooks",
    security(("bearer" = [])), params(("id" = String, Path, description = "`dlv_…`")),
    responses((status = 200, description = "The delivery", body = DeliveryBody), Problems),
    extensions(("x-permission" = json!("webhooks:read")))
)]
async fn delivery(caller: Authorized<WebhooksRead>, PathId(id): PathId<kind::Delivery>) -> Reply {
    let missing = Problem::NotFound { what: "delivery" };
    let found = caller.context.tenant().delivery_detail(id).await?.ok_or(missing.clone())?;
    let delivery = seen(&caller, vec![found.delivery]).await?.pop().ok_or(missing)?;
    edge::ok(&DeliveryBody::of(&delivery, Some(found.attempts)), Some(delivery.updated_at))
}

/// List dead letters
///
/// Deliveries whose attempts are exhausted, latest first.
#[utoipa::path(
    get, path = "/api/admin/webhooks/dead-letters", operation_id = "list_dead_letters", tag = "webhooks",
    security(("bearer" = [])), params(PageParameters),
    responses((status = 200, description = "A page", body = DeliveryList), Problems),
    extensions(("x-permission" = json!("webhooks:read")))
)]
async fn dead_letters(caller: Authorized<WebhooksRead>, paging: Paging) -> Reply {
    let confines = caller.confines();
    let page = caller.context.tenant().dead_letters(&paging.page(&confines)?).await?;
    let seen = seen(&caller, page.items).await?;
    let shown: Vec<_> = seen.iter().map(|delivery| DeliveryBody::of(delivery, None)).collect();
    paging.reply(&confines, &shown, page.next)
}
