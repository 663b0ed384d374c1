//! Endpoints on the wire: made, shown, changed, deleted.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use access::permission::{Permit, WebhooksDelete, WebhooksRead, WebhooksWrite};
use axum::Extension;
use axum::http::StatusCode;
use clock::Timestamp;
use edge::{
    Authorized, Committed, Edge, IdempotencyKey, IfMatch, Json, Narrow, Narrowed, PathId, Refused, Reply,
    Search, Searchable, Values, includes, routes,
};
use events::EventType;
use ids::{DeliveryId, EndpointId, WorkspaceId, kind};
use input::Patch;
use problem::{Code, FieldError, Problem};
use serde::{Deserialize, Serialize};
use store::{
    DeliveryFilter, Endpoint, EndpointState, EndpointStatus, ErrorClass, LastError, Mode, PageRequest,
};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use crate::Shared;
use crate::app::health::{Condition, Health, SAMPLE};
use crate::app::{alteration, endpoint as app};

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get, change, delete))
}

/// An event type, or `*`, which stands alone, for all of them.
pub(super) enum EventName {}

impl PartialSchema for EventName {
    fn schema() -> RefOr<Schema> {
        let names = EventType::ALL.iter().map(|event| event.as_str()).chain(["*"]);
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
    }
}

impl ToSchema for EventName {}

/// What a delivery is signed by: `v1`, which is always among them, HMAC-SHA256; `v1a` Ed25519.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its description is used")]
enum SignatureVersion {
    V1,
    V1a,
}

/// An endpoint to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"url": "https://example.com/hooks/artisan", "events": ["lead.replied", "meeting.booked"]}))]
struct CreateEndpoint {
    /// Where to. HTTPS, a public host, port 443, 80 or above 1023.
    #[schema(format = "uri")]
    url: String,
    /// Event types, or `["*"]` for all.
    #[schema(value_type = Vec<EventName>, min_items = 1)]
    events: Vec<String>,
    /// Only events of this workspace; of all workspaces if not given.
    #[serde(default)]
    workspace_id: Option<WorkspaceId>,
    /// Events of live or of test data; `live` if not given.
    #[serde(default)]
    mode: Option<Mode>,
    /// Up to 500 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500, pattern = r"\S")]
    description: Option<String>,
    /// Up to 20 headers to add to each delivery, with values of 1 KiB each and 4 KiB in all.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// How long an attempt may take: 1 to 30, 30 if not given.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 30)]
    timeout_seconds: Option<u32>,
    /// Retries after the first attempt: 0 to 12, 4 if not given.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 12)]
    max_retries: Option<u32>,
    /// Attempts a second on average, up to a second's worth at once: 1 to 1,000; as fast as it can if not given.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000)]
    rate_limit_per_second: Option<u32>,
    /// How deliveries are signed: `["v1"]` (HMAC-SHA256) if not given, or `["v1", "v1a"]` to have them signed with Ed25519,
    /// too. The key to verify that with is the endpoint's `public_key`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<SignatureVersion>>)]
    signatures: Option<Vec<String>>,
}

/// What is to change of an endpoint. What is not named stays; null brings a field back to its default.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"events": ["*"], "headers": {"x-team": "sales", "x-old": null}}))]
struct ChangeEndpoint {
    /// Where to. HTTPS, a public host, port 443, 80 or above 1023.
    #[serde(default)]
    #[schema(value_type = String, format = "uri")]
    url: Patch<String>,
    /// Event types, or `["*"]` for all.
    #[serde(default)]
    #[schema(value_type = Vec<EventName>, min_items = 1)]
    events: Patch<Vec<String>>,
    /// Up to 500 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500, pattern = r"\S")]
    description: Patch<String>,
    /// Each name by itself: a value sets it, null takes it away, and what is not named stays. Null takes all away. When the
    /// URL goes to another origin (scheme, host or port) nothing stays: each is given anew, or null. The values have 4 KiB in
    /// all, those that stay included.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    headers: Patch<BTreeMap<String, Option<String>>>,
    /// 1 to 30.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 30)]
    timeout_seconds: Patch<u32>,
    /// 0 to 12.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 12)]
    max_retries: Patch<u32>,
    /// 1 to 1,000; null for none.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    rate_limit_per_second: Patch<u32>,
    /// `["v1"]` or `["v1", "v1a"]`.
    #[serde(default)]
    #[schema(value_type = Vec<SignatureVersion>)]
    signatures: Patch<Vec<String>>,
}

/// An endpoint, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Endpoint)]
pub(super) struct EndpointBody {
    id: EndpointId,
    url: String,
    events: Vec<String>,
    workspace_id: Option<WorkspaceId>,
    mode: Mode,
    description: Option<String>,
    /// Names of the added headers; their values may be credentials and are not shown.
    headers: Vec<String>,
    timeout_seconds: u32,
    max_retries: u32,
    rate_limit_per_second: Option<u32>,
    status: EndpointStatus,
    disabled_reason: Option<String>,
    /// Since when it is disabled. Events that have happened since can be replayed.
    disabled_at: Option<Timestamp>,
    /// How deliveries are signed.
    signatures: Vec<&'static str>,
    /// What `v1a` signatures are verified with: `whpk_…`.
    public_key: Option<String>,
    /// Until when deliveries are signed with the secret before this one, too.
    previous_secret_until: Option<Timestamp>,
    /// The public key before this one, for as long.
    previous_public_key: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// How an endpoint does.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndpointHealth)]
struct HealthBody {
    /// `healthy`, `slow`, `failing`, `paused` or `disabled`.
    #[schema(value_type = String)]
    state: &'static str,
    /// Of the last deliveries that are settled, how many were taken: 0 to 1.
    success_rate: Option<f64>,
    /// How many those are: 100 at most.
    sample: usize,
    /// Of the attempts at the last 100 deliveries, nineteen in twenty took no longer.
    p95_latency_ms: Option<u64>,
    /// Failed attempts since the last success.
    failures_in_a_row: u32,
    failing_since: Option<Timestamp>,
    /// Nothing is sent before: the receiver asked for that, or fails again and again.
    paused_until: Option<Timestamp>,
    /// Deliveries that wait for their next attempt, or for the endpoint to be well again; 1,000 are counted.
    waiting: usize,
    /// Whether there are more.
    waiting_more: bool,
    /// When the oldest event happened that waits.
    oldest_undelivered_at: Option<Timestamp>,
    oldest_undelivered_seconds: Option<u64>,
    last_success_at: Option<Timestamp>,
    last_error: Option<LastErrorBody>,
}

/// A failed attempt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LastError)]
struct LastErrorBody {
    at: Timestamp,
    error: ErrorClass,
    response_status: Option<u16>,
    delivery_id: DeliveryId,
}

/// An endpoint and how it does.
#[derive(Debug, Serialize, ToSchema)]
struct WatchedEndpoint {
    #[serde(flatten)]
    endpoint: EndpointBody,
    health: HealthBody,
}

/// An endpoint in a list.
#[derive(Debug, Serialize, ToSchema)]
struct ListedEndpoint {
    #[serde(flatten)]
    endpoint: EndpointBody,
    /// How it does, in short; with `include=health`.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<HealthInShort>,
}

/// How an endpoint does, as far as that is known without a look at its deliveries.
#[derive(Debug, Serialize, ToSchema)]
struct HealthInShort {
    /// `healthy`, `slow`, `failing`, `paused` or `disabled`.
    #[schema(value_type = String)]
    state: &'static str,
    /// Failed attempts since the last success.
    failures_in_a_row: u32,
    failing_since: Option<Timestamp>,
    /// Nothing is sent before: the receiver asked for that, or fails again and again.
    paused_until: Option<Timestamp>,
    last_error: Option<LastErrorBody>,
}

/// An endpoint and its signing secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
struct CreatedEndpoint<'a> {
    /// What deliveries are signed with. Keep it: it can't be shown again, and is not in an answer that is repeated.
    #[schema(required = false, example = "whsec_…")]
    secret: String,
    #[serde(flatten)]
    endpoint: &'a EndpointBody,
}

/// A page of endpoints.
#[derive(Debug, Serialize, ToSchema)]
struct EndpointList {
    data: Vec<ListedEndpoint>,
    /// Give it as `cursor` to get the next page; null on the last one.
    next_cursor: Option<String>,
}

impl EndpointBody {
    pub(super) fn of(endpoint: &Endpoint, now: Timestamp) -> Self {
        let endpoint = endpoint.clone();
        let replaced = endpoint.replaced.filter(|replaced| replaced.until > now);
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
            disabled_at: endpoint.disabled_at,
            signatures: if endpoint.signing_key.is_some() { vec!["v1", "v1a"] } else { vec!["v1"] },
            public_key: endpoint.signing_key.map(|key| key.public_key),
            previous_secret_until: replaced.as_ref().map(|replaced| replaced.until),
            previous_public_key: replaced.and_then(|it| it.signing_key).map(|key| key.public_key),
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
        }
    }
}

impl From<LastError> for LastErrorBody {
    fn from(last: LastError) -> Self {
        Self {
            at: last.at,
            error: last.error,
            response_status: last.response_status,
            delivery_id: last.delivery_id,
        }
    }
}

impl HealthInShort {
    fn of(endpoint: &Endpoint, state: EndpointState, now: Timestamp) -> Self {
        Self {
            state: Condition::of(endpoint, &state, now).as_str(),
            failures_in_a_row: state.failures,
            failing_since: state.failing_since,
            paused_until: state.not_before.filter(|_| state.is_left_alone(now)),
            last_error: state.last_error.map(LastErrorBody::from),
        }
    }
}

impl HealthBody {
    fn of(health: Health, now: Timestamp) -> Self {
        Self {
            state: health.condition.as_str(),
            success_rate: health.success_rate,
            sample: health.sample,
            p95_latency_ms: health.p95_latency_ms,
            failures_in_a_row: health.failures_in_a_row,
            failing_since: health.failing_since,
            paused_until: health.not_before,
            waiting: health.backlog.count,
            waiting_more: health.backlog.more,
            oldest_undelivered_at: health.backlog.oldest,
            oldest_undelivered_seconds: health.backlog.oldest.map(|oldest| now.since(oldest).as_secs()),
            last_success_at: health.last_success_at,
            last_error: health.last_error.map(LastErrorBody::from),
        }
    }
}

/// Create an endpoint
///
/// The answer holds the signing secret, once.
#[utoipa::path(
    post, path = "/api/admin/webhooks", operation_id = "create_endpoint", tag = "webhooks",
    request_body = CreateEndpoint,
    responses((status = 201, description = "Created", body = CreatedEndpoint<'static>)),
    extensions(("x-problem-codes" = json!([
        Code::NotFound, Code::LimitReached, Code::Conflict, Code::WorkspaceArchived
    ])))
)]
async fn create(
    caller: Authorized<WebhooksWrite>,
    Extension(shared): Extension<Shared>,
    key: IdempotencyKey,
    body: Json<CreateEndpoint>,
) -> Reply {
    let sent = body.value;
    let draft = app::Draft {
        url: sent.url,
        events: sent.events,
        workspace_id: sent.workspace_id,
        mode: sent.mode,
        description: sent.description,
        headers: sent.headers,
        timeout_seconds: sent.timeout_seconds,
        max_retries: sent.max_retries,
        rate_limit_per_second: sent.rate_limit_per_second,
        signatures: sent.signatures,
    };
    let (creator, now) = (&caller.context.caller.known, caller.context.request.now);
    let new = draft.check(creator, shared.policy)?;
    if new.escapes(creator) {
        return Err(Refused(Problem::NotFound { what: "workspace" }));
    }
    let (organization, ids) = (creator.organization, caller.context.edge().ids());
    let (endpoint, secret) = new.open(organization, &shared.sealing, ids, now)?;
    let record = caller.context.record("endpoint.create", "endpoint", &endpoint.id.to_string());
    let change = app::create(&endpoint, organization, record)?;
    let shown = EndpointBody::of(&endpoint, now);
    let body_shown = CreatedEndpoint { secret: secret.reveal(), endpoint: &shown };
    let committed = Committed { status: StatusCode::CREATED, body: &body_shown, replayed: &shown };
    caller.context.commit(change, None, &key, &body.bytes, committed).await
}

/// What a list of endpoints tells besides.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
struct Besides {
    /// `health`: each endpoint with how it does, in short.
    #[param(pattern = "^health$")]
    include: Option<String>,
}

/// Which endpoints are wanted, and what of them.
#[derive(Debug, Clone)]
struct Wanted {
    search: Search,
    with_health: bool,
}

impl Narrow for Wanted {
    const NAMES: &'static [&'static str] = &[Search::NAME, "include"];

    fn read(values: &Values, faults: &mut Vec<FieldError>) -> Self {
        Self { search: Search::read(values, faults), with_health: includes(values, faults, "health") }
    }
}

/// List endpoints
///
/// Newest first. `search` looks at URLs and descriptions.
#[utoipa::path(
    get, path = "/api/admin/webhooks", operation_id = "list_endpoints", tag = "webhooks", params(Searchable, Besides),
    responses((status = 200, description = "A page", body = EndpointList))
)]
async fn list(caller: Authorized<WebhooksRead>, narrowed: Narrowed<Wanted>) -> Reply {
    let Narrowed { paging, by: Wanted { search, with_health } } = narrowed;
    let (confines, now) = (caller.confines(), caller.context.request.now);
    let tenant = caller.context.tenant();
    let wanted = |endpoint: &Endpoint| {
        let names = [endpoint.url.as_str(), endpoint.description.as_deref().unwrap_or_default()];
        search.is_in(&names) && caller.reaches(endpoint.workspace_id, endpoint.mode)
    };
    let read = async |page| tenant.endpoints(&page).await;
    let page = paging.look_through(&search, &confines, &read, |it| it.id, |it| Some(it).filter(wanted));
    let (endpoints, position) = page.await?;
    let mut states = match with_health {
        true => {
            let ids: Vec<EndpointId> = endpoints.iter().map(|endpoint| endpoint.id).collect();
            tenant.states_of(&ids).await?
        }
        false => HashMap::new(),
    };
    let mut health = |endpoint: &Endpoint| {
        with_health.then(|| {
            let state = states.remove(&endpoint.id).unwrap_or_else(|| EndpointState::new(endpoint.id, now));
            HealthInShort::of(endpoint, state, now)
        })
    };
    let listed: Vec<ListedEndpoint> = endpoints
        .iter()
        .map(|endpoint| ListedEndpoint {
            endpoint: EndpointBody::of(endpoint, now),
            health: health(endpoint),
        })
        .collect();
    paging.reply(&confines, &listed, position)
}

/// The endpoint, if it is in the caller's reach.
pub(super) async fn find<P: Permit>(caller: &Authorized<P>, id: EndpointId) -> Result<Endpoint, Refused> {
    let endpoint = caller.context.tenant().endpoint(id).await?;
    let endpoint = endpoint.filter(|endpoint| caller.reaches(endpoint.workspace_id, endpoint.mode));
    endpoint.ok_or(Refused(Problem::NotFound { what: "endpoint" }))
}

/// How long ago what an endpoint's health is told from may have happened.
const LATELY: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Get an endpoint
///
/// And how it does.
#[utoipa::path(
    get, path = "/api/admin/webhooks/{id}", operation_id = "get_endpoint", tag = "webhooks",
    params(("id" = String, Path, description = "`ep_…`")),
    responses((status = 200, description = "The endpoint", body = WatchedEndpoint))
)]
async fn get(caller: Authorized<WebhooksRead>, PathId(id): PathId<kind::Endpoint>) -> Reply {
    let (tenant, now) = (caller.context.tenant(), caller.context.request.now);
    let endpoint = find(&caller, id).await?;
    let page = PageRequest { limit: SAMPLE, after: None };
    let lately = Some(now - LATELY);
    let filter = DeliveryFilter { since_month_of: lately, ..DeliveryFilter::default() };
    let (state, last, backlog) = tokio::try_join!(
        tenant.endpoint_state(id),
        tenant.deliveries_to(id, &filter, &page, now),
        tenant.backlog(id)
    )?;
    let state = state.unwrap_or_else(|| store::EndpointState::new(id, now));
    let health = Health::of(&endpoint, state, &last.items, backlog, now);
    let shown =
        WatchedEndpoint { endpoint: EndpointBody::of(&endpoint, now), health: HealthBody::of(health, now) };
    edge::ok(&shown, Some(endpoint.updated_at))
}

/// Change an endpoint
///
/// What has been sent is sent; whatever is sent from now on goes by what it is changed to.
#[utoipa::path(
    patch, path = "/api/admin/webhooks/{id}", operation_id = "change_endpoint", tag = "webhooks",
    params(("id" = String, Path, description = "`ep_…`")),
    request_body = ChangeEndpoint,
    responses((status = 200, description = "Changed", body = EndpointBody)),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
)]
async fn change(
    caller: Authorized<WebhooksWrite>,
    Extension(shared): Extension<Shared>,
    PathId(id): PathId<kind::Endpoint>,
    if_match: IfMatch,
    body: Json<ChangeEndpoint>,
) -> Reply {
    let sent = body.value;
    let draft = alteration::Draft {
        url: sent.url,
        events: sent.events,
        description: sent.description,
        headers: sent.headers,
        timeout_seconds: sent.timeout_seconds,
        max_retries: sent.max_retries,
        rate_limit_per_second: sent.rate_limit_per_second,
        signatures: sent.signatures,
    };
    let endpoint = find(&caller, id).await?;
    if_match.check(endpoint.updated_at)?;
    let (context, now) = (&caller.context, caller.context.request.now);
    let organization = context.caller.known.organization;
    let after = draft.check(&endpoint, shared.policy, now)?.seal(organization, &shared.sealing)?;
    if alteration::is_the_same(&endpoint, &after) {
        return edge::ok(&EndpointBody::of(&endpoint, now), Some(endpoint.updated_at));
    }
    let record = context.record("endpoint.update", "endpoint", &endpoint.id.to_string());
    let change = alteration::change(&endpoint, &after, organization, record)?;
    context.commit_silently(change.only_as_read(if_match.is_given())).await?;
    edge::ok(&EndpointBody::of(&after, now), Some(after.updated_at))
}

/// Delete an endpoint
///
/// Deliveries to it that have not been sent are cancelled.
#[utoipa::path(
    delete, path = "/api/admin/webhooks/{id}", operation_id = "delete_endpoint", tag = "webhooks",
    params(("id" = String, Path, description = "`ep_…`")),
    responses((status = 204, description = "Deleted")),
    extensions(("x-problem-codes" = json!([Code::Conflict])))
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
