//! The log of events on the wire.

use access::permission::WebhooksRead;
use access::{CallerKind, Known};
use clock::Timestamp;
use edge::{Authorized, Edge, Narrow, Narrowed, PathId, Refused, Reply, Values, request_id, routes};
use events::EventType;
use ids::{DeliveryId, EndpointId, EventId, OrganizationId, WorkspaceId, kind};
use problem::{FieldError, Problem};
use serde::Serialize;
use serde_json::Value;
use store::{DeliveryStatus, EventFilter, Mode, PageRequest, StoreError, StoredEvent};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;

pub(crate) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
struct EventBody {
    id: EventId,
    event: EventType,
    timestamp: Timestamp,
    organization_id: OrganizationId,
    workspace_id: WorkspaceId,
    /// What it happened to, as it was sent.
    #[schema(value_type = Object)]
    data: Value,
    mode: Mode,
    /// The one endpoint that it was for: somebody tried it out.
    only_for: Option<EndpointId>,
    /// The request that caused it.
    request_id: Option<String>,
    /// Until when it can be read.
    kept_until: Timestamp,
    /// What became of it at the endpoints that there are; only when a single event is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<Vec<EventDelivery>>,
}

/// What became of an event at an endpoint.
#[derive(Debug, Serialize, ToSchema)]
struct EventDelivery {
    id: DeliveryId,
    endpoint_id: EndpointId,
    status: DeliveryStatus,
    attempt_count: u32,
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
struct EventList {
    data: Vec<EventBody>,
    /// Give it as `cursor` to get the next page; null on the last one. A narrowed list may have short pages.
    next_cursor: Option<String>,
}

impl EventBody {
    fn of(event: &StoredEvent) -> Result<Self, StoreError> {
        let body: Value = serde_json::from_str(&event.body)
            .map_err(|e| StoreError::Malformed { operation: "event", source: Box::new(e) })?;
        Ok(Self {
            id: event.id,
            event: event.event,
            timestamp: event.created_at,
            organization_id: event.organization_id,
            workspace_id: event.workspace_id,
            data: body.get("data").cloned().unwrap_or_default(),
            mode: event.mode,
            only_for: event.only_for,
            request_id: event.request_id.clone(),
            kept_until: Timestamp::from_seconds(event.expires_at),
            deliveries: None,
        })
    }
}

/// What a list of events is narrowed by.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
struct FilterParameters {
    /// An event type.
    event: Option<EventType>,
    /// A workspace: `ws_…`.
    workspace_id: Option<WorkspaceId>,
    /// The request that caused it: its id is ours (`req_…`), or the one that was sent as `X-Request-Id`.
    #[param(pattern = "^[A-Za-z0-9_.:-]+$", min_length = 1, max_length = 128)]
    request_id: Option<String>,
    /// From this time on, RFC 3339.
    from: Option<Timestamp>,
    /// Before this time.
    to: Option<Timestamp>,
}

#[derive(Debug, Clone, Default)]
struct Filter {
    event: Option<EventType>,
    workspace: Option<WorkspaceId>,
    request_id: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Narrow for Filter {
    const NAMES: &'static [&'static str] = &["event", "workspace_id", "request_id", "from", "to"];

    fn read(values: &Values, faults: &mut Vec<FieldError>) -> Self {
        let mut filter = Self::default();
        if let Some(name) = values.get("event") {
            filter.event = EventType::parse(name).ok();
            if filter.event.is_none() {
                faults.push(FieldError::new("query:event", "value", "is not an event type"));
            }
        }
        if let Some(id) = values.get("workspace_id") {
            filter.workspace = id.parse().ok();
            if filter.workspace.is_none() {
                faults.push(FieldError::new("query:workspace_id", "value", "is not the id of a workspace"));
            }
        }
        let mut time = |name: &str| {
            let time = values.get(name).map(|text| Timestamp::parse(text));
            if time == Some(None) {
                let message = "must be a time like 2026-11-22T15:04:05Z";
                faults.push(FieldError::new(format!("query:{name}"), "format", message));
            }
            time.flatten()
        };
        (filter.from, filter.to) = (time("from"), time("to"));
        if filter.from.zip(filter.to).is_some_and(|(from, to)| from >= to) {
            faults.push(FieldError::new("query:to", "range", "must be after `from`"));
        }
        filter.request_id = request_id(values, faults);
        filter
    }
}

/// The modes whose events a caller sees: a key its own, a person both.
fn mode(known: &Known) -> Option<Mode> {
    match known.kind {
        CallerKind::Key { .. } => Some(known.mode()),
        CallerKind::Person { .. } => None,
    }
}

fn sees(caller: &Authorized<WebhooksRead>, event: &StoredEvent) -> bool {
    let known = &caller.context.caller.known;
    mode(known).is_none_or(|mode| mode == event.mode) && caller.reaches(Some(event.workspace_id), event.mode)
}

/// List events
///
/// What happened to the organization's data, newest first, whether anybody was sent it or not. A narrowed page may be short,
/// even empty, and not be the last: `next_cursor` says.
#[utoipa::path(
    get, path = "/api/admin/events", operation_id = "list_events", tag = "webhooks",
    params(FilterParameters),
    responses((status = 200, description = "A page", body = EventList))
)]
async fn list(caller: Authorized<WebhooksRead>, narrowed: Narrowed<Filter>) -> Reply {
    let Narrowed { paging, by } = narrowed;
    let confines = caller.confines();
    let (tenant, now) = (caller.context.tenant(), caller.context.request.now);
    let filter = EventFilter {
        events: by.event.into_iter().collect(),
        workspaces: by.workspace.map(|workspace| vec![workspace]),
        mode: mode(&caller.context.caller.known),
        request_id: by.request_id,
        from: by.from,
        to: by.to,
    };
    let page: PageRequest<EventId> = paging.page(&confines)?;
    let listed = tenant.events(&filter, &page, now).await?;
    let shown = listed.items.iter().filter(|event| sees(&caller, event)).map(EventBody::of);
    let shown = shown.collect::<Result<Vec<_>, _>>()?;
    let next = listed.next.as_deref().and_then(store::event_at).map(|id| id.to_string());
    paging.reply(&confines, &shown, next)
}

/// Get an event
///
/// With what became of it.
#[utoipa::path(
    get, path = "/api/admin/events/{id}", operation_id = "get_event", tag = "webhooks",
    params(("id" = String, Path, description = "`evt_…`")),
    responses((status = 200, description = "The event", body = EventBody))
)]
async fn get(caller: Authorized<WebhooksRead>, PathId(id): PathId<kind::Event>) -> Reply {
    let missing = Refused(Problem::NotFound { what: "event" });
    let tenant = caller.context.tenant();
    let (event, endpoints) = tokio::try_join!(tenant.event(id), tenant.all_endpoints())?;
    let event = event.filter(|event| sees(&caller, event)).ok_or(missing)?;
    let reached: Vec<_> = endpoints
        .iter()
        .filter(|endpoint| caller.reaches(endpoint.workspace_id, endpoint.mode))
        .map(|endpoint| endpoint.id)
        .collect();
    let mut deliveries = Vec::new();
    for some in reached.chunks(100) {
        deliveries.extend(tenant.deliveries_of(id, some).await?);
    }
    let mut shown = EventBody::of(&event)?;
    shown.deliveries = Some(
        deliveries
            .iter()
            .map(|delivery| EventDelivery {
                id: delivery.id,
                endpoint_id: delivery.endpoint_id,
                status: delivery.status,
                attempt_count: delivery.attempt_count,
            })
            .collect(),
    );
    edge::ok(&shown, None)
}
